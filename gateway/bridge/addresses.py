"""Contact JIDs and legacy addresses, each way (GW-ADDR-04, AMB-16, AMB-17).

A canonical address becomes a localpart by XEP-0106. One that cannot (a server would change it, or
refuse it) gets an alias: a hash, the same for ever, whose address is remembered in the store.
"""

from collections.abc import Callable

from gateway.networks.base import InvalidAddress
from gateway.xmpp.jid import Jid, localpart_for, stable_alias, unescape


class Addresses:
    """The addresses of one component."""

    def __init__(self, jid: Jid, canonical: Callable[[str], str], aliases: dict[str, str]) -> None:
        self._jid = jid
        self._canonical = canonical
        self._addresses = dict(aliases)
        self._unsaved: list[tuple[str, str]] = []

    def jid_of(self, address: str) -> Jid:
        """Return the bare JID that stands for the canonical `address`."""
        local = localpart_for(address)
        if local is None or self._back(local) != address:
            local = stable_alias(address)
            if local not in self._addresses:
                self._addresses[local] = address
                self._unsaved.append((local, address))
        return Jid(local=local, domain=self._jid.domain, resource="")

    def address_of(self, jid: Jid) -> str:
        """Return the canonical address of a contact's JID. Raises `InvalidAddress`."""
        if address := self._addresses.get(jid.local):
            return address
        return self._canonical(unescape(jid.local))

    def take_unsaved(self) -> list[tuple[str, str]]:
        """Return the (alias, address) pairs made since the last call, for the store."""
        unsaved, self._unsaved = self._unsaved, []
        return unsaved

    def _back(self, local: str) -> str | None:
        try:
            return self._canonical(unescape(local))
        except InvalidAddress:
            return None
