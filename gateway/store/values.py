"""What the store keeps, as its callers see it."""

from collections.abc import Mapping
from datetime import datetime

import attrs

CONTACT_STATES = (
    "shown",
    "offered",
    "invited",
    "declined",
    "asked",
    "accepted",
    "refused",
)
DIRECTIONS = ("to_user", "from_user")


@attrs.frozen
class StoredAccount:
    """One user's registration with one component.

    `broken`: the credentials do not open (they were sealed with a key that is gone, or damaged), so
    `secret` and `fields` are empty; the user has to register again, all else of him is kept.
    """

    account_id: int
    component: str
    jid: str
    address: str
    secret: str = attrs.field(repr=False)
    fields: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    preferences: Mapping[str, str] = attrs.field(factory=dict)
    broken: bool = False


@attrs.frozen
class StoredContact:
    """A contact and what passed with the user's roster about it: see `CONTACT_STATES`."""

    address: str
    state: str = attrs.field(validator=attrs.validators.in_(CONTACT_STATES))
    name: str = ""
    groups: tuple[str, ...] = ()


@attrs.frozen
class StoredRequest:
    """Somebody asks to see the user's presence, and has no answer yet."""

    address: str
    nick: str
    reason: str
    received_at: datetime


@attrs.frozen
class JournalEntry:
    """A message on its way; `payload` is whatever its writer makes of it, sealed at rest."""

    account_id: int
    direction: str = attrs.field(validator=attrs.validators.in_(DIRECTIONS))
    stanza_id: str
    payload: bytes = attrs.field(repr=False)
    at: datetime
    legacy_id: str | None = None


@attrs.frozen
class JournalRow:
    """A `JournalEntry` as it was kept; `row_id` removes it."""

    row_id: int
    account_id: int
    direction: str
    stanza_id: str
    payload: bytes = attrs.field(repr=False)
    at: datetime
    legacy_id: str | None = None
