"""What a client changes on its list, and whom it asks, grants and denies."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import feedbag, messages, text
from gateway.networks.oscar.wire.feedbag import (
    AddItems,
    Attribute,
    DeleteItems,
    Item,
    ItemClass,
    Result,
    UpdateItems,
)
from gateway.networks.oscar.wire.general import OwnBart
from gateway.networks.oscar.wire.messages import TypedKind
from gateway.networks.oscar.wire.people import BartId, BartType
from legacy_emu.events import Reason, RequestRefused
from legacy_emu.fronts.oscar import looks
from legacy_emu.fronts.oscar.feedbag import DEFAULT_GROUP, Change, Edit, address_of, key_of
from legacy_emu.fronts.oscar.looks import is_uin
from legacy_emu.people import Person, Relation

if TYPE_CHECKING:
    from legacy_emu.fronts.oscar.bos import Bos

log = logging.getLogger(__name__)

MAX_ITEM_BYTES = 8_000

_RESULTS = {
    Reason.UNKNOWN_ADDRESS: Result.BAD_NAME,
    Reason.LIST_FULL: Result.CLASS_FULL,
    Reason.UNSUPPORTED: Result.UNAVAILABLE,
}


class Edits:
    """The edits of one connection."""

    def __init__(self, bos: "Bos") -> None:
        self._bos = bos
        self._backend = bos.backend
        self._bag = bos.account.feedbag
        self._person = bos.person
        self._own = bos.own
        self._in_transaction = False
        self._leaving: set[str] = set()  # taken off in this transaction; they may only be moving
        # Asked for before they are on the list: libpurple asks first, and adds them then.
        self._expected: set[str] = set()

    def take(self, snac: wire.Snac) -> bool:
        """Act on a SNAC of food group 13; returns whether it is one of these."""
        match snac.body:
            case feedbag.BeginEdit():
                self._in_transaction = True
            case feedbag.EndEdit():
                self.finish()
            case AddItems(items=items):
                self._edit(AddItems, items, snac.request)
            case UpdateItems(items=items):
                self._edit(UpdateItems, items, snac.request)
            case DeleteItems(items=items):
                self._edit(DeleteItems, items, snac.request)
            case feedbag.RequestAuthorisation(name=name, reason=reason):
                self._ask(name, text.decode_loose(reason))
            case feedbag.Authorise(name=name, granted=granted, reason=reason):
                self._answer(name, granted=granted == 1, reason=text.decode_loose(reason))
            case feedbag.Preauthorise(name=name, text=said):
                self._try(lambda: self._welcome(name, said))
            case feedbag.RemoveMe(name=name):
                self._try(lambda: self._backend.revoke(self._own, name))
            case _:
                return False
        return True

    def take_typed(self, other: str, typed: messages.TypedMessage) -> bool:
        """Act on what old ICQ clients say on channel 4 of the same; returns whether it is that."""
        reason = text.decode_loose(typed.text.split(messages.FIELD_END)[-1])
        match typed.kind:
            case TypedKind.AUTHORISATION_REQUEST:
                self._ask(other, reason)
            case TypedKind.AUTHORISATION_GRANTED:
                self._answer(other, granted=True)
            case TypedKind.AUTHORISATION_DENIED:
                self._answer(other, granted=False, reason=reason)
            case TypedKind.ADDED:
                pass  # the service knows by itself
            case _:
                return False
        return True

    @property
    def unsettled(self) -> set[str]:
        """Contacts about whom the client has more to say: the list does not follow them yet."""
        return self._leaving | self._expected

    def finish(self) -> None:
        """End the transaction: who is in no group any more is off the list."""
        self._in_transaction = False
        leaving, self._leaving = self._leaving, set()
        for address in leaving:
            self._try(partial(self._carry_over, address))

    # --- items --------------------------------------------------------------------------------

    def _edit(self, edit: Edit, items: tuple[Item, ...], request: int) -> None:
        self._bos.hold()
        results = [Result.OK] * len(items)
        places = sorted(
            range(len(items)),
            key=lambda place: (items[place].cls == ItemClass.GROUP) is (edit is DeleteItems),
        )
        done = []
        for place in places:  # groups first; but when they go, last
            results[place] = self._edit_one(edit, items[place])
            if results[place] is Result.OK:
                item = self._bag.get(key_of(items[place])) or items[place]
                done.append(Change(edit, item))
        self._bos.say(feedbag.EditResults(tuple(int(each) for each in results)), request)
        self._bos.release()
        self._bos.push(done)
        self._bos.follow()

    def _edit_one(self, edit: Edit, item: Item) -> Result:
        old = self._bag.get(key_of(item))
        if len(wire.encode_block(item)) > MAX_ITEM_BYTES:
            return Result.BAD_REQUEST  # nobody could be told of it
        if edit is AddItems:
            if old is not None:
                return Result.EXISTS
            if self._bag.is_full:
                return Result.CLASS_FULL
        elif old is None:
            return Result.NOT_FOUND
        try:
            return self._apply(edit, item, old)
        except RequestRefused as exc:
            if old is None:
                self._bag.drop(item)
            else:
                self._bag.put(old)
            return _RESULTS.get(exc.reason, Result.BAD_REQUEST)

    def _apply(self, edit: Edit, item: Item, old: Item | None) -> Result:
        match item.cls:
            case ItemClass.BUDDY:
                return self._apply_buddy(edit, item, old)
            case ItemClass.GROUP:
                return self._apply_group(edit, item)
            case ItemClass.DENY:
                self._block(edit, item, old)
            case ItemClass.ICON:
                self._set_icon(edit, item)
        self._store(edit, item)
        return Result.OK

    def _store(self, edit: Edit, item: Item) -> None:
        if edit is DeleteItems:
            self._bag.drop(item)
        else:
            self._bag.put(item)

    def _apply_group(self, edit: Edit, item: Item) -> Result:
        buddies = list(self._bag.buddies(group=item.group)) if item.group else []
        if edit is DeleteItems and (buddies or not item.group):
            return Result.BAD_REQUEST
        self._store(edit, item)
        for address in {address_of(each) for each in buddies}:
            self._carry_over(address)
        return Result.OK

    def _apply_buddy(self, edit: Edit, item: Item, old: Item | None) -> Result:
        address = self._backend.person(item.name).address if edit is AddItems else address_of(item)
        if edit is DeleteItems:
            self._bag.drop(item)
            self._carry_over(address)
            return Result.OK
        if self._bag.group(item.group) is None or (old and address_of(old) != address):
            return Result.BAD_REQUEST
        if edit is AddItems and any(self._bag.buddies(address, item.group)):
            return Result.EXISTS
        relation = self._person.relations.get(address)
        other = self._backend.person(address)
        listed = relation is not None and relation.listed
        asks = not listed and self._asks(other, relation)
        in_silence = self._bos.link.traits.asks_in_silence and is_uin(address)
        if asks and in_silence and not is_uin(self._own):
            attributes = item.attributes.with_value(Attribute.AWAITING, b"")
            item = attrs.evolve(item, attributes=attributes)
        if asks and is_uin(self._own):
            if self._is_full(address):
                raise RequestRefused(Reason.LIST_FULL, "the list is full")
            if item.attributes.first(Attribute.AWAITING) is None:
                return Result.NEEDS_AUTHORISATION
            self._bag.unasked.add(address)
        self._bag.put(item)
        self._expected.discard(address)
        self._carry_over(address)
        return Result.OK

    def _is_full(self, address: str) -> bool:
        """Say whether there is no room for somebody, also for one who has yet to agree."""
        there = {address_of(each) for each in self._bag.buddies()}
        return address not in there and len(there) >= self._backend.policy.max_contacts

    def _carry_over(self, address: str, reason: str = "") -> None:
        """Let the backend have a contact as the list has it now."""
        relation = self._person.relations.get(address)
        listed = relation is not None and relation.listed
        groups, alias = self._bag.groups_of(address), self._bag.alias_of(address)
        if not groups:
            self._bag.unasked.discard(address)
            if listed and self._in_transaction:
                self._leaving.add(address)
            elif listed:
                self._backend.remove_contact(self._own, address)
            return
        self._leaving.discard(address)
        if relation is not None and listed:
            if not relation.groups and groups == (DEFAULT_GROUP,):
                groups = ()
            if (relation.name, relation.groups) != (alias, groups):
                self._backend.change_contact(self._own, address, alias, groups)
        elif address not in self._bag.unasked:
            self._add(address, alias, groups, reason)

    def _add(self, address: str, alias: str, groups: tuple[str, ...], reason: str) -> None:
        other = self._backend.person(address)
        consent = self._asks(other, self._person.relations.get(address))
        self._backend.add_contact(self._own, address, alias, groups, reason, consent=consent)
        self._bos.show(other)

    def _asks(self, other: Person, relation: Relation | None) -> bool:
        """Say whether somebody is asked: ICQ numbers as ever, AIM names only if they insist."""
        if relation is not None and relation.sees:
            return False
        if self._own in self._bos.link.shared.account(other).welcome:
            return False
        return self._bos.asks(other)

    def _block(self, edit: Edit, item: Item, old: Item | None) -> None:
        if not self._bos.is_able("block"):
            raise RequestRefused(Reason.UNSUPPORTED, "nobody can be blocked here")
        if old is not None and (edit is DeleteItems or address_of(old) != address_of(item)):
            self._bag.drop(old)
            self._try(lambda: self._backend.set_blocked(self._own, old.name, blocked=False))
        if edit is not DeleteItems:
            self._backend.person(item.name)
            self._bag.put(item)
            self._backend.set_blocked(self._own, item.name, blocked=True)

    def _set_icon(self, edit: Edit, item: Item) -> None:
        """Take the own icon's hash, and ask for the picture if it is not known."""
        value = item.attributes.first(Attribute.ICON) or b""
        wanted = value[2:]
        current = self._person.avatar
        if edit is DeleteItems or len(wanted) != 16:
            self._backend.set_avatar(self._own, None)
        elif current is None or looks.icon_hash(current.data) != wanted:
            asked = BartId(BartType.ICON, looks.ICON_FLAGS | looks.ICON_WANTED, wanted)
            self._bos.say(OwnBart((asked,)))
        else:
            self._bos.say(OwnBart((BartId(BartType.ICON, looks.ICON_FLAGS, wanted),)))

    def _try(self, act: Callable[[], object]) -> None:
        """Do what has no answer, so that nobody hears that it was refused."""
        try:
            act()
        except RequestRefused as exc:
            log.debug("%s: %s", self._own, exc.text)

    # --- asking -------------------------------------------------------------------------------

    def _ask(self, name: str, reason: str) -> None:
        def ask() -> None:
            other = self._backend.person(name)
            address = other.address
            relation = self._person.relations.get(address)
            if relation is not None and relation.sees:
                return
            groups, alias = self._bag.groups_of(address), self._bag.alias_of(address)
            if relation is not None and relation.listed:
                groups, alias = relation.groups, relation.name
            elif not groups:
                self._expected.add(address)
            self._bag.unasked.discard(address)
            self._add(address, alias, groups, reason)

        self._try(ask)

    def _welcome(self, name: str, said: bytes) -> None:
        """Let somebody add the user, whether he has asked already or has not."""
        other = self._backend.person(name)
        relation = self._person.relations.get(other.address)
        if relation is not None and relation.asking:
            self._backend.grant(self._own, other.address)
            return
        self._bos.account.welcome.add(other.address)
        for each in self._bos.link.shared.account(other).connections:
            if each.session is not None and each.uses_list:
                told = feedbag.Preauthorised(looks.name_of(self._person), said)
                each.say(told, extended=True)

    def _answer(self, name: str, *, granted: bool, reason: str = "") -> None:
        if granted:
            self._try(lambda: self._backend.grant(self._own, name))
        else:
            self._try(lambda: self._backend.deny(self._own, name, reason))
