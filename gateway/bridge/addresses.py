"""Contact JIDs and legacy addresses, each way (GW-ADDR-04, AMB-16, AMB-17).

A canonical address becomes a localpart by XEP-0106. One that cannot (a server would change it, or
refuse it) gets an alias: a hash, the same for ever, whose address is remembered in the store.
"""

from collections.abc import Callable

from gateway.bridge.journal import Journal
from gateway.networks.base import InvalidAddress
from gateway.xmpp.jid import Jid, localpart_for, stable_alias, unescape


class Addresses:
    """The addresses of one component."""

    def __init__(
        self,
        jid: Jid,
        canonical: Callable[[str], str],
        aliases: dict[str, str],
        journal: Journal,
    ) -> None:
        self._jid = jid
        self._canonical = canonical
        self._addresses = dict(aliases)
        self._journal = journal

    def jid_of(self, address: str, *, keep: bool = True) -> Jid:
        """Return the bare JID that stands for the canonical `address`.

        Without `keep` a new alias is not remembered: it answers a stranger, who may ask for many.
        """
        local = localpart_for(address)
        if local is None or self._back(local) != address:
            local = stable_alias(address)
            if keep and local not in self._addresses:
                self._addresses[local] = address
                self._journal.note_alias(self._jid.domain, local, address)
        return Jid(local=local, domain=self._jid.domain, resource="")

    def address_of(self, jid: Jid) -> str:
        """Return the canonical address of a contact's JID. Raises `InvalidAddress`."""
        if address := self._addresses.get(jid.local):
            return address
        return self._canonical(unescape(jid.local))

    def _back(self, local: str) -> str | None:
        try:
            return self._canonical(unescape(local))
        except InvalidAddress:
            return None
