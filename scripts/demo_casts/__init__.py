"""Who plays in the demo, by network: one file here for each, with the network's name.

A file has `CAST`. The people are those of the emulated service's sample; which one, what they are
called there, and what this network shows of them is what differs.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import attrs

from gateway.networks import load_network
from scripts.lab.xmpp_server import DOMAIN

ServiceSettings = Mapping[str, str | int | float | bool]

ACTS = ("away", "back", "ask", "kick", "cut")


def in_the_clear(front: str) -> ServiceSettings:
    """Return the `[component.service]` for a front at this address, on this machine."""
    where = urlsplit(front if "//" in front else f"//{front}")
    return {"host": where.hostname or "", "port": where.port or 0, "tls": "off"}


@attrs.frozen(kw_only=True)
class Cast:
    """How the demo is played on one network. People are named as in the play: juliet, romeo, …"""

    network: str
    protocol: str  # as it is called where it is spoken
    front: str  # the emulated service's, that the gateway speaks to
    service: Callable[[str], ServiceSettings] = in_the_clear  # from the front's address
    sample: str = "sample.toml"  # of `legacy_emu/`
    accounts: Mapping[str, str] = attrs.field(factory=dict)  # not there: called as in the play
    shown: Mapping[str, str] = attrs.field(factory=dict)  # what romeo's client calls them
    romeo_is: Literal["away", "dnd"] = "dnd"  # a state of his that this network can show
    acts: tuple[str, ...] = ACTS  # of `demo_web.py`

    @property
    def gateway(self) -> str:
        return f"{self.network}.{DOMAIN}"

    def account(self, who: str) -> str:
        """Return what somebody signs on as."""
        return self.accounts.get(who, who.capitalize())

    def address(self, who: str) -> str:
        """Return the one spelling of that."""
        return load_network(self.network).canonical(self.account(who))

    def jid(self, who: str) -> str:
        return f"{self.address(who)}@{self.gateway}"

    def name(self, who: str) -> str:
        """Return what somebody is called in romeo's contact list."""
        return self.shown.get(who, who.capitalize())


def cast_names() -> list[str]:
    """Return the networks that the demo can be played on, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def load_cast(network: str) -> Cast:
    """Return the cast for a network. Raises `LookupError`, which says which there are."""
    if network not in cast_names():
        raise LookupError(f"no network {network!r}; there are: {', '.join(cast_names())}")
    cast: Cast = import_module(f"{__name__}.{network}").CAST
    return cast
