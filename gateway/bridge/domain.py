"""What the users of one component share: its JID, its network, its link, its accounts."""

from collections import OrderedDict, deque

import attrs

from gateway.bridge.addresses import Addresses
from gateway.bridge.attempts import Attempts
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

MAX_STRANGERS = 10_000
MAX_ENDED = 1_000  # dialogues of ad-hoc commands that are over, by their ids


class Strangers:
    """Which full JIDs have been told that nobody is registered there: each once (AMB-06)."""

    def __init__(self) -> None:
        self._told: OrderedDict[Jid, None] = OrderedDict()

    def is_new(self, stranger: Jid) -> bool:
        """Say whether this one has still to be told; the next time he has been."""
        if stranger in self._told:
            return False
        self._told[stranger] = None
        if len(self._told) > MAX_STRANGERS:
            self._told.popitem(last=False)
        return True

    def forget(self, stranger: Jid) -> None:
        """He left: whoever comes under this JID comes anew."""
        self._told.pop(stranger, None)


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
    attempts: Attempts = attrs.field(factory=Attempts)
    kinds: Kinds = attrs.field(factory=Kinds)
    claimed: set[str] = attrs.field(factory=set)  # accounts being registered, if each has one owner
    ended_dialogues: deque[str] = attrs.field(factory=lambda: deque(maxlen=MAX_ENDED))
    strangers: Strangers = attrs.field(factory=Strangers)
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

    def contact_jid(self, address: str) -> Jid:
        """Return the JID from which a contact speaks and shows itself (GW-IN-05, AMB-26)."""
        return self.speaker(self.addresses.jid_of(address))

    def speaker(self, jid: Jid) -> Jid:
        """Give a contact's bare JID the resource that the operator wishes, if he does."""
        resource = self.config.contact_resource
        return attrs.evolve(jid, resource=resource) if resource and jid.local else jid

    def new_id(self) -> str:
        return self.host.token_bytes(9).hex()
