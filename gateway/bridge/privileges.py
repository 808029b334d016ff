"""What the XMPP server lets the gateway do in its users' name (XEP-0356, PRIV-01).

The server says so in a message after the handshake, in either of two versions of the protocol. What
it says holds for its own users, and for as long as the link does. Anybody can send such a message:
it counts from the bare domain of a server we serve, and from nobody else.
"""

from collections.abc import Container

import attrs

from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import Message, MessageType, Stanza

_ROSTER_TYPES = {
    "get": frozenset(("get",)),
    "set": frozenset(("set",)),
    "both": frozenset(("get", "set")),
}


@attrs.define(eq=False)
class Privileges:
    """The privileges of one link, by the domain whose users they are for."""

    servers: Container[str]
    _rosters: dict[str, frozenset[str]] = attrs.field(factory=dict)
    _work: set[str] = attrs.field(factory=set)
    _doubted: set[str] = attrs.field(factory=set)

    def take(self, stanza: Stanza) -> bool:
        """Take a server's word on privileges. Returns whether the stanza was one."""
        if not isinstance(stanza, Message) or stanza.type is MessageType.ERROR:
            return False
        offered = next(
            (
                one
                for one in stanza.payload
                if one.name == "privilege" and one.xmlns in (ns.PRIVILEGE, ns.PRIVILEGE_OLD)
            ),
            None,
        )
        sender = stanza.from_
        if offered is None or sender.local or sender.resource or sender.domain not in self.servers:
            return False
        granted: frozenset[str] = frozenset()
        for perm in offered.elements:
            if perm.name == "perm" and perm.attributes.get("access") == "roster":
                granted |= _ROSTER_TYPES.get(perm.attributes.get("type", ""), frozenset())
        self._rosters[sender.domain] = granted
        return True

    def may_change_rosters(self, domain: str) -> bool:
        """Say whether the rosters of this domain's users may be read and changed."""
        return self._rosters.get(domain, frozenset()) >= {"get", "set"}

    def note_works(self, domain: str) -> None:
        """Note that a roster of this domain was changed: what fails for one user is no rule."""
        self._work.add(domain)

    def works(self, domain: str) -> bool:
        """Say whether any roster was changed: some servers grant what they cannot do."""
        return domain in self._work

    def doubt(self, domain: str) -> bool:
        """Note that what was granted has failed. Returns whether that is news."""
        is_news = domain not in self._doubted
        self._doubted.add(domain)
        return is_news

    def clear(self) -> None:
        """Forget all: the link is gone."""
        self._rosters.clear()
        self._work.clear()
        self._doubted.clear()
