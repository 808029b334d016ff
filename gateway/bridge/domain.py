"""What the users of one component share: its JID, its network, its link, its accounts."""

import attrs

from gateway.bridge.addresses import Addresses
from gateway.bridge.caps import Kinds
from gateway.bridge.deliveries import Deliveries
from gateway.bridge.journal import Journal
from gateway.bridge.pacing import Gate
from gateway.bridge.privileges import Privileges
from gateway.config import ComponentConfig
from gateway.host import Host
from gateway.networks.base import Network
from gateway.store.store import Store, StoredAccount
from gateway.xmpp.component import Link
from gateway.xmpp.jid import Jid


@attrs.define(eq=False)
class Domain:
    """One `[[component]]` at work. `accounts` is the store's, by bare JID, kept in memory."""

    host: Host
    config: ComponentConfig
    jid: Jid
    network: Network
    store: Store
    journal: Journal
    addresses: Addresses
    link: Link
    deliveries: Deliveries
    gate: Gate
    accounts: dict[Jid, StoredAccount]
    privileges: Privileges
    started: float  # trio.current_time()
    kinds: Kinds = attrs.field(factory=Kinds)
    crashed: bool = False  # the last daemon did: what users see of contacts may be stale
    closing: bool = False

    @property
    def title(self) -> str:
        return self.network.description.title

    def owns(self, user: Jid) -> bool:
        """Say whether this daemon serves `user`. Always, while one daemon serves a domain."""
        return user.domain != self.jid.domain

    def allows(self, user: Jid) -> bool:
        """Say whether the operator's policy lets `user` register."""
        return user.domain in self.config.allow

    def new_id(self) -> str:
        return self.host.token_bytes(9).hex()
