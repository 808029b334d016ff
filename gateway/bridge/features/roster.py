"""The legacy contact list in the user's own roster (GW-ROST, RIX, PRIV-02, AMB-13).

Only what differs from what the roster was told before is brought, by the first way that works:

1. the server lets the gateway write the roster (XEP-0356);
2. a client takes roster items (XEP-0144), as its capabilities say;
3. nobody knows whether a client takes them: a message offers them;
4. where the operator wishes so, each contact asks to be added;
5. else not at all, until a client comes that takes them.

A contact that the user declined is never brought again, and none by a `subscribed` nobody asked
for (GW-ROST-03).
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
import trio

from gateway.bridge.caps import features_in
from gateway.bridge.features import presence
from gateway.bridge.requests import failed
from gateway.bridge.states import Phase
from gateway.bridge.translate import bounded
from gateway.bridge.user import Card, Known, Roster, User
from gateway.errors import StoreError
from gateway.networks.base import Contact, Strand
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import InvalidJid, Jid
from gateway.xmpp.stanza import (
    Condition,
    Iq,
    IqType,
    Message,
    Presence,
    PresenceType,
    StanzaError,
    result_of,
)
from gateway.xmpp.xml import Element, to_bytes

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0  # a list that changes is brought when it has been quiet for so long
PACE_SECONDS = 1.0  # between stanzas that nobody answers
MAX_ITEMS = 100  # in one stanza: clients distrust more (RIX-03)
TAKE_OFF_SECONDS = 20.0  # how long an unregistration waits for the server's roster
MAX_NAME = 200  # characters of a name or a group
MAX_GROUPS = 20
PREFERENCE = "roster"  # which way worked last

_IN_ROSTER = (Roster.OFFERED, Roster.INVITED, Roster.ACCEPTED)
_SEEING = ("both", "to")


@attrs.frozen
class Changes:
    """What the user's roster does not know yet, by address."""

    add: tuple[str, ...] = ()
    modify: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.modify or self.delete)


def card_of(contact: Contact) -> Card:
    """Return what a roster shows of a contact."""
    groups = dict.fromkeys(bounded(group, MAX_NAME) for group in contact.groups if group)
    return Card(bounded(contact.name, MAX_NAME), tuple(groups)[:MAX_GROUPS])


def differences(user: User) -> Changes:
    """Compare the network's list with what the roster was told of it (GW-ROST-04)."""
    add, modify, delete = [], [], []
    for address, known in user.contacts.items():
        listed = known.listed
        if listed is None:
            if known.roster in _IN_ROSTER:
                delete.append(address)
        elif known.roster in (Roster.NONE, Roster.SHOWN):
            is_new = address not in user.taken_off  # RIX-03: no alternating add and delete
            if is_new and Strand.SEES in listed.subscription and not listed.blocked:
                add.append(address)
        elif known.roster in _IN_ROSTER and known.told not in (None, card_of(listed)):
            modify.append(address)
    return Changes(tuple(add), tuple(modify), tuple(delete))


class Sync:
    """Brings one user's contact list into his roster. `run` is a task while there is work."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._scope: trio.CancelScope | None = None
        self._again = False
        self._in_vain: set[str] = set()  # resources that took nothing: not asked again (RIX-03)

    @property
    def running(self) -> bool:
        return self._scope is not None

    def start(self) -> bool:
        """Note that there may be work. Returns whether `run` has to be started."""
        user = self._user
        if user.phase is not Phase.ONLINE or not user.has_list or not differences(user):
            return False
        self._again = True
        if self.running:
            return False
        self._scope = trio.CancelScope()
        return True

    def stop(self) -> None:
        """The user is signed off: what was not brought is brought another time."""
        self._in_vain.clear()
        self._user.taken_off.clear()
        if self._scope is not None:
            self._scope.cancel()

    def forget(self) -> None:
        """Bring what was offered in vain, or turned down, once more: the user wishes it."""
        user = self._user
        self._in_vain.clear()
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
                    await self._bring(differences(self._user))
        finally:
            self._scope = None

    async def _bring(self, changes: Changes) -> None:
        if not changes:
            return None
        user = self._user
        privileges, host = user.domain.privileges, user.jid.domain
        if privileges.may_change_rosters(host):
            if await _by_privilege(user, changes):
                return await self._worked("privilege")
            log.warning("%s: the roster cannot be written though %s allows it", user.name, host)
            privileges.does_not_work(host)
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
                    _told(self._user, action, address, Roster.OFFERED, card)
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
                    _told(user, action, address, Roster.OFFERED, card)
                await trio.sleep(PACE_SECONDS)

    async def _by_subscription(self, changes: Changes) -> None:
        """Have each new contact ask to be added. It asks once: an answer, or none, is heard."""
        for address in changes.add:
            if self._user.known(address).listed is not None:
                invite(self._user, address)
                await trio.sleep(PACE_SECONDS)


# --- by privilege -----------------------------------------------------------------------------


async def _by_privilege(user: User, changes: Changes) -> bool:
    """Write the changes into the roster itself. Returns False when it cannot be done."""
    before = await _read(user)
    if before is None:
        return False
    placed: dict[str, Card] = {}
    for address in changes.add:
        jid, card = user.domain.addresses.jid_of(address), _card(user, address)
        has_it = before.get(jid) in _SEEING  # under a name of his own
        if not has_it and not await _write(user, jid, card, "both"):
            break
        placed[address] = card
    else:
        for address in changes.modify:
            jid, card = user.domain.addresses.jid_of(address), _card(user, address)
            if jid in before and not await _write(user, jid, card, before[jid]):
                break
            _told(user, "modify", address, Roster.ACCEPTED, card)
        for address in changes.delete:
            jid = user.domain.addresses.jid_of(address)
            if jid in before and not await _write(user, jid, None, "remove"):
                break
            _told(user, "delete", address, Roster.NONE)
    if changes.add and not placed:
        return False
    after = await _read(user) if placed else before
    still_wanted = set(differences(user).add)  # he may have turned one down meanwhile
    for address, card in placed.items():
        if address not in still_wanted:
            continue
        if (after or {}).get(user.domain.addresses.jid_of(address)) in _SEEING:
            _placed(user, address, card)
        else:  # the server wrote the item, but no subscription
            invite(user, address)
    return True


async def _read(user: User) -> dict[Jid, str] | None:
    """Return the subscriptions of our contacts in the user's roster; None: it is not shown."""
    question = Element("query", ns.ROSTER)
    answer = await user.requests.ask(user.jid, IqType.GET, question, user.domain.new_id())
    if answer is None or answer.type is not IqType.RESULT or answer.payload is None:
        return None
    return {
        jid: item.attributes.get("subscription", "none")
        for item in answer.payload.elements
        if (jid := _jid_of(user, item)) is not None
    }


def _jid_of(user: User, item: Element) -> Jid | None:
    """Return whom a roster item is about, if it is one of our contacts."""
    try:
        jid = Jid.parse(item.attributes.get("jid", ""))
    except InvalidJid:
        return None
    ours = item.name == "item" and jid.domain == user.domain.jid.domain
    return jid if ours and jid.local and not jid.resource else None


async def _write(user: User, jid: Jid, card: Card | None, subscription: str) -> bool:
    item = _item(jid, card, {"subscription": subscription}, ns.ROSTER)
    query = Element("query", ns.ROSTER, {}, (item,))
    answer = await user.requests.ask(user.jid, IqType.SET, query, user.domain.new_id())
    return not failed(answer)


def _placed(user: User, address: str, card: Card) -> None:
    """Note that a contact is in the roster, and show it: before, nobody looked at it."""
    known = user.known(address)
    _told(user, "add", address, Roster.ACCEPTED, card)
    user.shown.pop(address, None)
    presence.show_contact(user, address, known)


async def take_off(user: User, addresses: Iterable[str]) -> list[str]:
    """Remove contacts from the roster by privilege, within bounds. Returns who is left (AMB-08)."""
    left = list(addresses)
    if not user.domain.privileges.may_change_rosters(user.jid.domain):
        return left
    with trio.move_on_after(TAKE_OFF_SECONDS):
        while left and await _write(user, user.domain.addresses.jid_of(left[0]), None, "remove"):
            left.pop(0)
    return left


def pushed(user: User, iq: Iq) -> Iq:
    """Take a roster push: the server tells of the user's changes to our contacts (PRIV-02)."""
    privileged = user.domain.privileges.may_change_rosters(user.jid.domain)
    if iq.from_ != user.jid or iq.to.local or not privileged or iq.payload is None:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    for item in iq.payload.elements:
        jid = _jid_of(user, item)
        if jid is not None and item.attributes.get("subscription") == "remove":
            user.wishes(jid, PresenceType.UNSUBSCRIBE)
    return result_of(iq)


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
        card = Card() if action == "delete" else _card(user, address)
        item = _item(jid, card, {"action": action}, ns.ROSTER_EXCHANGE)
        weight = len(to_bytes(item, ns.ROSTER_EXCHANGE))
        if items and (len(items) >= MAX_ITEMS or size + weight > most_bytes):
            yield _Part(cards, Element("x", ns.ROSTER_EXCHANGE, {}, tuple(items)))
            size, cards, items = 0, {}, []
        size += weight
        cards[address] = card
        items.append(item)
    if items:
        yield _Part(cards, Element("x", ns.ROSTER_EXCHANGE, {}, tuple(items)))


def _item(jid: Jid, card: Card | None, attributes: dict[str, str], xmlns: str) -> Element:
    named = {"name": card.name} if card is not None and card.name else {}
    groups = card.groups if card is not None else ()
    children = tuple(Element("group", xmlns, {}, (group,)) for group in groups)
    return Element("item", xmlns, {"jid": str(jid)} | named | attributes, children)


def _card(user: User, address: str) -> Card:
    listed = user.known(address).listed
    return card_of(listed) if listed is not None else Card()


def _told(user: User, action: str, address: str, roster: Roster, card: Card | None = None) -> None:
    """Note that the roster was told `card` of a contact, which may have changed meanwhile."""
    known = user.known(address)
    if action == "delete":
        user.taken_off.add(address)
        known.told = None
        user.remember(address, Roster.NONE)
        return
    if known.told != card:
        known.told = card
        user.unsaved[address] = known
    if action == "add" and known.roster in (Roster.NONE, Roster.SHOWN):
        user.remember(address, roster)


def invite(user: User, address: str) -> None:
    """Have a contact of the network's list ask the user to add it."""
    card = _card(user, address)
    _told(user, "add", address, Roster.INVITED, card)
    nick = (Element("nick", ns.NICK, {}, (card.name,)),) if card.name else ()
    jid = user.domain.addresses.jid_of(address)
    user.domain.link.send(
        Presence(from_=jid, to=user.jid, type=PresenceType.SUBSCRIBE, payload=nick)
    )


def note_listed(user: User, address: str, known: Known) -> None:
    """Take the network's word as what the roster has of a contact that the user added himself."""
    if known.roster in _IN_ROSTER and known.told is None and known.listed is not None:
        known.told = card_of(known.listed)
        user.unsaved[address] = known
