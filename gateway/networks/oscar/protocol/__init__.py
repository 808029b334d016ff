"""AIM and ICQ as state machines: packets in, events out, and back; no I/O, no clock.

`Login` is the login connection, `Session` the one that follows, `IconSession` the one that pictures
come from.
"""

from gateway.networks.oscar.protocol.icons import IconSession
from gateway.networks.oscar.protocol.login import Login, Ticket, Variant
from gateway.networks.oscar.protocol.moment import Moment
from gateway.networks.oscar.protocol.names import (
    canonical_contact,
    canonical_screen_name,
    canonical_uin,
)
from gateway.networks.oscar.protocol.outbox import Outgoing
from gateway.networks.oscar.protocol.session import IconWanted, Session
from gateway.networks.oscar.protocol.traits import OfflineStore, Traits

__all__ = [
    "IconSession",
    "IconWanted",
    "Login",
    "Moment",
    "OfflineStore",
    "Outgoing",
    "Session",
    "Ticket",
    "Traits",
    "Variant",
    "canonical_contact",
    "canonical_screen_name",
    "canonical_uin",
]
