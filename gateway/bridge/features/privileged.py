"""The user's roster, read and written where the server allows it (XEP-0356, PRIV-02).

A fault costs what it is about. An item that the server refuses is tried again later, and the others
go on. A roster that cannot be read, or in which nothing can be written, is tried again later, and
the rosters of other users go on. The delays grow. Only a server for whose users no write has worked
counts as one that grants what it cannot do: then the user's contacts go another way at once.
"""

import logging
from collections.abc import Callable, Iterable
from enum import Enum

import attrs
import trio

from gateway.bridge.features import presence
from gateway.bridge.features.cards import (
    IN_ROSTER,
    Changes,
    card,
    card_for,
    carry,
    differences,
    heard,
    note_told,
)
from gateway.bridge.features.items import invite, roster_item
from gateway.bridge.user import Card, Roster, User
from gateway.networks.base import InvalidAddress
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import InvalidJid, Jid
from gateway.xmpp.stanza import Condition, Iq, IqType, PresenceType, StanzaError, result_of
from gateway.xmpp.xml import Element

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0  # after the first fault; doubled with each that follows
MAX_RETRY_SECONDS = 3_600.0
ROUNDING_SECONDS = 0.01  # so that what is to be tried again is due when the clock says so
MAX_REFUSED = 5  # one after the other and none taken: nothing can be written into this roster
TRIES = 3  # before a user's contacts go another way, though this one works for others
TAKE_OFF_SECONDS = 20.0  # how long an unregistration waits for the server's roster

_SEEING = ("both", "to")
_CLOSED = (
    Condition.FEATURE_NOT_IMPLEMENTED,
    Condition.FORBIDDEN,
    Condition.NOT_ALLOWED,
    Condition.NOT_AUTHORIZED,
    Condition.SERVICE_UNAVAILABLE,
)


class Trouble(Enum):
    """How a request about a roster failed."""

    SILENT = "no answer"
    CLOSED = "not open to the gateway"
    GONE = "no such item"
    REFUSED = "refused"


@attrs.frozen
class Held:
    """An item of the user's roster."""

    subscription: str
    card: Card


@attrs.define
class _Wait:
    """An item that was refused: as what, how often, and until when it waits (trio time)."""

    wanted: Card | None
    tries: int
    until: float


def _delay(tries: int) -> float:
    return min(RETRY_SECONDS * 2.0 ** min(tries - 1, 30), MAX_RETRY_SECONDS)


class Writer:
    """Keeps one user's roster in step with the network's list, while the user is signed on.

    `again` is called when something is to be tried again.
    """

    def __init__(self, user: User, again: Callable[[], None]) -> None:
        self._user = user
        self._again = again
        self._has_read = False  # since this sign-on
        self._tries = 0  # faults of the whole roster, one after the other
        self._not_before = 0.0
        self._other_way = False  # the contacts go another way until this one works
        self._waits: dict[str, _Wait] = {}
        self._works = False

    def reset(self) -> None:
        """Forget all faults: the user is signed off, or the link is down."""
        self._has_read = self._other_way = False
        self._tries, self._not_before = 0, 0.0
        self._waits.clear()
        self._user.later.cancel("roster retry")

    @property
    def works(self) -> bool:
        """Say whether the last `bring` brought anything."""
        return self._works

    def has_to_read(self) -> bool:
        """Say whether the user may have named contacts that the gateway has not heard of."""
        user = self._user
        return (
            user.domain.privileges.may_change_rosters(user.jid.domain)
            and not self._has_read
            and trio.current_time() >= self._not_before
            and any(known.roster in IN_ROSTER for known in user.contacts.values())
        )

    async def bring(self) -> bool:
        """Write what is new into the roster. Returns whether it has to go another way."""
        user, self._works = self._user, False
        if trio.current_time() < self._not_before:
            return self._other_way
        if self._has_read and not self._due(differences(user)):
            return self._other_way
        before = await _read(user)
        if isinstance(before, Trouble):
            return self._failed(before, read=False)
        self._learn(before)
        run, changes = _Run(user, before), self._due(differences(user))
        try:
            await run.write(changes)
        finally:  # until here what is pushed may be our own write
            for address in (*changes.add, *changes.modify):
                if (known := user.contacts.get(address)) is not None:
                    known.writing = None
        for address, wanted in run.refused.items():
            self._refused(address, wanted)
        self._works = run.has_brought
        if run.trouble is not None:
            return self._failed(run.trouble, read=True)
        if user.domain.privileges.works(user.jid.domain):  # a read alone does not prove it
            self._tries, self._not_before, self._other_way = 0, 0.0, False
        self._retry()
        return self._other_way

    def _learn(self, roster: dict[Jid, Held]) -> None:
        user, is_first = self._user, not self._has_read
        self._has_read = True
        for address, known in user.contacts.items():
            if known.roster not in (*IN_ROSTER, Roster.ASKED):
                continue
            held = roster.get(user.domain.addresses.jid_of(address))
            if held is not None:
                heard(user, address, _card_in(held, address))
            if is_first:
                carry(user, address)

    # --- what is tried again ---

    def _due(self, changes: Changes) -> Changes:
        """Leave out what was refused and still waits. Items refused before go last."""
        now = trio.current_time()

        def due(addresses: tuple[str, ...]) -> tuple[str, ...]:
            found = [one for one in addresses if self._is_due(one, now)]
            return tuple(sorted(found, key=lambda one: one in self._waits))

        return Changes(due(changes.add), due(changes.modify), due(changes.delete))

    def _is_due(self, address: str, now: float) -> bool:
        wait = self._waits.get(address)
        return wait is None or now >= wait.until or wait.wanted != self._wanted(address)

    def _wanted(self, address: str) -> Card | None:
        known = self._user.known(address)
        return card_for(known) if known.listed is not None else None

    def _refused(self, address: str, wanted: Card | None) -> None:
        old = self._waits.get(address)
        tries = old.tries + 1 if old is not None and old.wanted == wanted else 1
        until = trio.current_time() + _delay(tries)
        self._waits[address] = _Wait(wanted, tries, until)

    def _failed(self, trouble: Trouble, *, read: bool) -> bool:
        """Note that nothing could be done. Returns whether the contacts have to go another way."""
        user, privileges, host = self._user, self._user.domain.privileges, self._user.jid.domain
        self._tries += 1
        delay = _delay(self._tries)
        self._not_before = trio.current_time() + delay
        is_closed = trouble is Trouble.CLOSED and not read
        works = privileges.works(host)
        self._other_way = not works or is_closed or self._tries >= TRIES
        if not works and privileges.doubt(host):
            log.warning("%s: the roster cannot be written though %s allows it", user.name, host)
        log.info("%s: roster: %s; next try in %d s", user.name, trouble.value, delay)
        self._retry()
        return self._other_way

    def _retry(self) -> None:
        changes = differences(self._user)
        wanted = {*changes.add, *changes.modify, *changes.delete}
        for address in self._waits.keys() - wanted:
            del self._waits[address]
        at = [wait.until for wait in self._waits.values()]
        if self._not_before > trio.current_time():
            at = [self._not_before]
        if at:
            seconds = max(min(at) - trio.current_time(), 0.0)
            self._user.later.set("roster retry", seconds + ROUNDING_SECONDS, self._again)
        else:
            self._user.later.cancel("roster retry")


class _Run:
    """One pass through what is to be written. `trouble`: a fault of the whole roster."""

    def __init__(self, user: User, before: dict[Jid, Held]) -> None:
        self._user = user
        self._before = before
        self._has_written = False
        self.has_brought = False
        self.refused: dict[str, Card | None] = {}  # what was wanted of each
        self.trouble: Trouble | None = None

    async def write(self, changes: Changes) -> None:
        user, jid_of = self._user, self._user.domain.addresses.jid_of
        placed: dict[str, Card] = {}
        for address in changes.add:
            held, shown = self._before.get(jid_of(address)), card_for(user.known(address))
            has_it = held is not None and held.subscription in _SEEING  # it keeps its name
            if has_it or await self._put(address, shown, "both"):
                placed[address] = shown
        for address in changes.modify:
            held, shown = self._before.get(jid_of(address)), card_for(user.known(address))
            if held is None or await self._put(address, shown, held.subscription):
                note_told(user, "modify", address, Roster.ACCEPTED, shown)
        for address in changes.delete:
            if jid_of(address) not in self._before or await self._put(address, None, "remove"):
                note_told(user, "delete", address, Roster.NONE)
        if placed and self.trouble is None:
            await self._confirm(placed)
        self.has_brought = self._has_written or bool(placed)
        self._judge()

    async def _put(self, address: str, shown: Card | None, subscription: str) -> bool:
        if self.trouble is not None:
            return False
        trouble = await _write(self._user, address, shown, subscription)
        if trouble is None:
            self._has_written = True
            self._user.domain.privileges.note_works(self._user.jid.domain)
            return True
        if trouble is Trouble.SILENT:
            self.trouble = trouble
            return False
        if trouble is Trouble.GONE and shown is None:
            return True
        self.refused[address] = shown
        if not self._has_written and len(self.refused) >= MAX_REFUSED:
            self.trouble = trouble
        return False

    async def _confirm(self, placed: dict[str, Card]) -> None:
        """Check that each added item has its subscription, and show its contact."""
        user, jid_of = self._user, self._user.domain.addresses.jid_of
        after = await _read(user)
        if isinstance(after, Trouble):
            self.trouble = after  # they are found in the roster the next time
            return
        still_wanted = set(differences(user).add)  # the user may have declined one meanwhile
        for address, shown in placed.items():
            if address not in still_wanted:
                continue
            held = after.get(jid_of(address))
            if held is None or held.subscription not in _SEEING:  # an item, but no subscription
                invite(user, address)
                continue
            note_told(user, "add", address, Roster.ACCEPTED, shown)
            if (before := self._before.get(jid_of(address))) is not None:
                heard(user, address, _card_in(before, address))
            user.shown.pop(address, None)  # clients ignored it before
            presence.show_contact(user, address, user.known(address))

    def _judge(self) -> None:
        """Decide whether refusals are a fault of the whole roster, or of the items."""
        if self.trouble is not None or self.has_brought or not self.refused:
            return
        works = self._user.domain.privileges.works(self._user.jid.domain)
        if len(self.refused) > 1 or not works:
            self.trouble = Trouble.REFUSED


# --- the requests -----------------------------------------------------------------------------


def _trouble(answer: Iq | None) -> Trouble | None:
    """Say how a request failed; None: it did not."""
    if answer is None:
        return Trouble.SILENT
    if answer.type is IqType.RESULT:
        return None
    condition = answer.error.condition if answer.error is not None else None
    if condition is Condition.ITEM_NOT_FOUND:
        return Trouble.GONE
    return Trouble.CLOSED if condition in _CLOSED else Trouble.REFUSED


async def _read(user: User) -> dict[Jid, Held] | Trouble:
    """Return our contacts as the user's roster has them."""
    question = Element("query", ns.ROSTER)
    answer = await user.requests.ask(user.jid, IqType.GET, question, user.domain.new_id())
    trouble = _trouble(answer)
    if trouble is not None or answer is None:
        return trouble or Trouble.SILENT
    if answer.payload is None:
        return Trouble.REFUSED
    return {
        jid: _held(item)
        for item in answer.payload.elements
        if (jid := _jid_of(user, item)) is not None
    }


def _held(item: Element) -> Held:
    groups = [one.text for one in item.elements if one.name == "group"]
    shown = card(item.attributes.get("name", ""), groups)
    return Held(item.attributes.get("subscription", "none"), shown)


def _card_in(held: Held, address: str) -> Card:
    """Return the name and groups of an item. A client's stopgap for a name is none."""
    name = held.card.name
    is_stopgap = address in (name, name.partition("@")[0])
    return attrs.evolve(held.card, name="") if is_stopgap else held.card


def _jid_of(user: User, item: Element) -> Jid | None:
    """Return whom a roster item is about, if it is one of our contacts."""
    try:
        jid = Jid.parse(item.attributes.get("jid", ""))
    except InvalidJid:
        return None
    ours = item.name == "item" and jid.domain == user.domain.jid.domain
    return jid if ours and jid.local and not jid.resource else None


async def _write(user: User, address: str, shown: Card | None, subscription: str) -> Trouble | None:
    """Set one item of the roster, or remove it."""
    jid, known = user.domain.addresses.jid_of(address), user.contacts.get(address)
    item = roster_item(jid, shown, {"subscription": subscription}, ns.ROSTER)
    query = Element("query", ns.ROSTER, {}, (item,))
    if known is not None:
        known.writing = shown
    answer = await user.requests.ask(user.jid, IqType.SET, query, user.domain.new_id())
    return _trouble(answer)


async def take_off(user: User, addresses: Iterable[str]) -> list[str]:
    """Remove contacts from the roster by privilege, within bounds. Returns who is left (AMB-08).

    `item-not-found` means removed. A refusal does not stop the removal of the others.
    """
    wanted, gone, refused = list(addresses), set[str](), 0
    if not user.domain.privileges.may_change_rosters(user.jid.domain):
        return wanted
    with trio.move_on_after(TAKE_OFF_SECONDS):
        for address in wanted:
            trouble = await _write(user, address, None, "remove")
            if trouble in (None, Trouble.GONE):
                gone.add(address)
            else:
                refused += 1
            if trouble is Trouble.SILENT or (not gone and refused >= MAX_REFUSED):
                break
    return [address for address in wanted if address not in gone]


def pushed(user: User, iq: Iq) -> Iq:
    """Take a roster push: the server tells of the user's changes to our contacts (PRIV-02)."""
    privileged = user.domain.privileges.may_change_rosters(user.jid.domain)
    if iq.from_ != user.jid or iq.to.local or not privileged or iq.payload is None:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    for item in iq.payload.elements:
        jid = _jid_of(user, item)
        if jid is None or user.account is None:
            continue
        if item.attributes.get("subscription") == "remove":
            user.wishes(jid, PresenceType.UNSUBSCRIBE)
        else:
            _changed(user, jid, _held(item))
    return result_of(iq)


def _changed(user: User, jid: Jid, held: Held) -> None:
    addresses = user.domain.addresses
    try:
        address = addresses.address_of(jid)
        is_contact = addresses.jid_of(address, keep=False) == jid
    except InvalidAddress:
        return
    shown = _card_in(held, address)
    is_news = address in user.contacts or (shown != Card() and user.has_room_for(address))
    if is_contact and is_news:
        heard(user, address, shown)
