"""The legacy contact list in the user's own roster (GW-ROST, RIX, PRIV-02, AMB-13).

Only what differs from what the roster was told before is brought, by the first way that works:

1. the server lets the gateway write the roster (XEP-0356): see `privileged.py`;
2. a client takes roster items (XEP-0144), as its capabilities say;
3. nobody knows whether a client takes them: a message offers them;
4. where the operator wishes so, each contact asks to be added;
5. else not at all, until a client comes that takes them.

A contact that the user declined is never brought again, and none by a `subscribed` nobody asked
for (GW-ROST-03).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import trio

from gateway.bridge.caps import features_in
from gateway.bridge.features.cards import Changes, card_for, differences, note_told
from gateway.bridge.features.items import invite, roster_item
from gateway.bridge.features.privileged import Writer
from gateway.bridge.requests import failed
from gateway.bridge.states import Phase
from gateway.bridge.user import Card, Roster, User
from gateway.errors import StoreError
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import IqType, Message
from gateway.xmpp.xml import Element, to_bytes

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0  # a list that changes is brought when it has been quiet for so long
PACE_SECONDS = 1.0  # between stanzas that nobody answers
MAX_ITEMS = 100  # in one stanza: clients distrust more (RIX-03)
PREFERENCE = "roster"  # which way worked last


class Sync:
    """Brings one user's contact list into his roster. `run` is a task while there is work."""

    def __init__(self, user: User, again: Callable[[], None]) -> None:
        self._user = user
        self._writer = Writer(user, again)
        self._scope: trio.CancelScope | None = None
        self._again = False
        self._in_vain: set[str] = set()  # resources that took nothing: not asked again (RIX-03)

    @property
    def running(self) -> bool:
        return self._scope is not None

    def start(self) -> bool:
        """Note that there may be work. Returns whether `run` has to be started."""
        user = self._user
        if user.phase is not Phase.ONLINE or not user.has_list:
            return False
        if not differences(user) and not self._writer.has_to_read():
            return False
        self._again = True
        if self.running:
            return False
        self._scope = trio.CancelScope()
        return True

    def stop(self) -> None:
        """The user is signed off: what was not brought is brought another time."""
        self._in_vain.clear()
        self._writer.reset()
        self._user.taken_off.clear()
        if self._scope is not None:
            self._scope.cancel()

    def forget(self) -> None:
        """Bring what was offered in vain, or turned down, once more: the user wishes it."""
        user = self._user
        self._in_vain.clear()
        self._writer.reset()
        user.taken_off.clear()
        for address, known in user.contacts.items():
            if known.roster in (Roster.OFFERED, Roster.INVITED, Roster.DECLINED):
                user.remember(address, Roster.NONE)

    async def run(self) -> None:
        assert self._scope is not None
        try:
            with self._scope:
                while self._again:
                    self._again = False
                    await self._bring()
        finally:
            self._scope = None

    async def _bring(self) -> None:
        user = self._user
        is_open = user.domain.privileges.may_change_rosters(user.jid.domain)
        if is_open and not await self._writer.bring():
            return await self._worked("privilege") if self._writer.works else None
        changes = differences(user)
        if not changes:
            return None
        able, unsure = await self._sort_clients()
        if able:
            if await self._by_iq(changes, able):
                await self._worked("iq")
        elif unsure:
            await self._by_message(changes)
            await self._worked("message")
        elif user.domain.config.invite_contacts:
            await self._by_subscription(changes)
            await self._worked("subscription")
        return None

    async def _worked(self, how: str) -> None:
        """Remember what worked, so that a client that never answers is not waited for again."""
        user = self._user
        account = user.account
        if account is None or account.preferences.get(PREFERENCE) == how:
            return
        preferences = {**account.preferences, PREFERENCE: how}
        store, id_ = user.domain.store, account.account_id
        user.account = attrs.evolve(account, preferences=preferences)
        user.domain.accounts[user.jid] = user.account
        try:
            await user.domain.host.run_blocking(lambda: store.save_preferences(id_, preferences))
        except StoreError as exc:
            log.warning("%s: not stored how the roster is reached: %s", user.name, exc)

    # --- which client takes items ---

    async def _sort_clients(self) -> tuple[list[Jid], bool]:
        """Return who takes roster items, and whether nobody can say that anybody does not."""
        user = self._user
        able, unsure = [], bool(user.resources)
        for resource in user.resources:
            features = await self._features(resource)
            if features is None:
                continue
            unsure = False
            if ns.ROSTER_EXCHANGE in features and resource not in self._in_vain:
                able.append(user.full(resource))
        return able, unsure

    async def _features(self, resource: str) -> frozenset[str] | None:
        """Return what a client can do, asked if need be; None: it does not say (RIX-02)."""
        user, caps = self._user, self._user.resources.caps(resource)
        known = user.resources.features(resource)
        if known is None and caps is not None:
            known = user.domain.kinds.features(caps)
        if known is not None:
            return known
        preferences = user.account.preferences if user.account is not None else {}
        if caps is None and preferences.get(PREFERENCE) == "message":
            return None
        node = {"node": f"{caps.node}#{caps.ver}"} if caps is not None else {}
        question = Element("query", ns.DISCO_INFO, node)
        full, id_ = user.full(resource), user.domain.new_id()
        answer = await user.requests.ask(full, IqType.GET, question, id_)
        if answer is None or answer.type is not IqType.RESULT or answer.payload is None:
            return None
        if caps is not None:
            user.domain.kinds.learn(caps, answer.payload)
        features = features_in(answer.payload)
        user.resources.note_features(resource, features)
        return features

    # --- the ways ---

    async def _by_iq(self, changes: Changes, able: Sequence[Jid]) -> bool:
        """Offer the changes to each client that takes them. Returns whether one took any."""
        worked = False
        for action, addresses in attrs.asdict(changes).items():
            for part in _parts(self._user, action, addresses):
                took = [one for one in able if await self._client_takes(one, part.element)]
                for address, card in part.cards.items() if took else ():
                    note_told(self._user, action, address, Roster.OFFERED, card)
                worked = worked or bool(took)
        return worked

    async def _client_takes(self, client: Jid, items: Element) -> bool:
        if client.resource in self._in_vain:
            return False
        user = self._user
        if failed(await user.requests.ask(client, IqType.SET, items, user.domain.new_id())):
            self._in_vain.add(client.resource)
            return False
        return True

    async def _by_message(self, changes: Changes) -> None:
        user = self._user
        for action, addresses in attrs.asdict(changes).items():
            for part in _parts(user, action, addresses):
                id_ = user.domain.new_id()
                offer = Message(from_=user.domain.jid, to=user.jid, id=id_, payload=(part.element,))
                user.domain.link.send(offer)
                for address, card in part.cards.items():
                    note_told(user, action, address, Roster.OFFERED, card)
                await trio.sleep(PACE_SECONDS)

    async def _by_subscription(self, changes: Changes) -> None:
        """Have each new contact ask to be added. It asks once: an answer, or none, is heard."""
        for address in changes.add:
            if self._user.known(address).listed is not None:
                invite(self._user, address)
                await trio.sleep(PACE_SECONDS)


# --- all ways ---------------------------------------------------------------------------------


@attrs.frozen
class _Part:
    """One stanza's worth of items, by address what each says of its contact."""

    cards: Mapping[str, Card]
    element: Element


def _parts(user: User, action: str, addresses: Sequence[str]) -> Iterator[_Part]:
    """Cut items of one action into stanzas that clients and servers take (RIX-01, RIX-03)."""
    most_bytes = user.domain.config.max_stanza_bytes // 2
    size, cards, items = 0, dict[str, Card](), list[Element]()
    for address in addresses:
        jid = user.domain.addresses.jid_of(address)
        card = Card() if action == "delete" else card_for(user.known(address))
        item = roster_item(jid, card, {"action": action}, ns.ROSTER_EXCHANGE)
        weight = len(to_bytes(item, ns.ROSTER_EXCHANGE))
        if items and (len(items) >= MAX_ITEMS or size + weight > most_bytes):
            yield _Part(cards, Element("x", ns.ROSTER_EXCHANGE, {}, tuple(items)))
            size, cards, items = 0, {}, []
        size += weight
        cards[address] = card
        items.append(item)
    if items:
        yield _Part(cards, Element("x", ns.ROSTER_EXCHANGE, {}, tuple(items)))
