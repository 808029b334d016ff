"""One account's feedbag: its contacts as the backend has them, and what only OSCAR knows.

Contacts, their groups, names and blocks are the backend's; `follow` brings the items into accord
with them. Groups without anybody, the ids, the order, the preferences and whatever else clients
store are here alone.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

import attrs

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire.feedbag import (
    AddItems,
    Attribute,
    DeleteItems,
    Item,
    ItemClass,
    UpdateItems,
    decode_order,
    encode_order,
)
from legacy_emu.fronts.oscar.looks import can_be_named, clean, name_of, to_utf8
from legacy_emu.names import NameRefused, canonical
from legacy_emu.people import Person, Relation

DEFAULT_GROUP = "Buddies"  # where contacts without a group stand
MAX_ID = 0x7FFF
MAX_ITEMS = 20_000

Edit = type[AddItems] | type[UpdateItems] | type[DeleteItems]
Key = tuple[int, int, int]


@attrs.frozen
class Change:
    """Something that others with the same list have to be told."""

    edit: Edit
    item: Item


def key_of(item: Item) -> Key:
    return item.group, item.id, item.cls


class Feedbag:
    def __init__(self, person: Person, find: Callable[[str], Person]) -> None:
        self._person = person
        self._find = find
        self._items: dict[Key, Item] = {}
        self._buddies: dict[Key, None] = {}
        self._places: dict[str, dict[Key, None]] = {}  # of buddies, by address
        self.time = 0
        self.unasked: set[str] = set()  # on the list to be asked for authorisation, but not yet
        self.put(Item("", 0, 0, ItemClass.GROUP, wire.Tlvs().with_value(Attribute.ORDER, b"")))

    # --- to look ------------------------------------------------------------------------------

    @property
    def items(self) -> tuple[Item, ...]:
        """All items: the root first, then the groups, then the rest."""
        return tuple(sorted(self._items.values(), key=lambda each: each.cls != ItemClass.GROUP))

    @property
    def is_full(self) -> bool:
        return len(self._items) >= MAX_ITEMS

    def get(self, key: Key) -> Item | None:
        return self._items.get(key)

    def group(self, number: int) -> Item | None:
        return self._items.get((number, 0, ItemClass.GROUP))

    def buddies(self, address: str = "", group: int | None = None) -> Iterator[Item]:
        """Yield the buddies of one address, of one group, or all."""
        keys = self._buddies if not address else self._places.get(address, {})
        for key in keys:
            if group is None or key[0] == group:
                yield self._items[key]

    def groups_of(self, address: str) -> tuple[str, ...]:
        """Return the names of the groups a contact is in."""
        groups = (self.group(item.group) for item in self.buddies(address))
        return tuple(dict.fromkeys(clean(group.name) for group in groups if group is not None))

    def alias_of(self, address: str) -> str:
        aliases = (item.attributes.first(Attribute.ALIAS) for item in self.buddies(address))
        return next((each.decode("utf-8", "replace") for each in aliases if each), "")

    # --- to change ----------------------------------------------------------------------------

    def put(self, item: Item) -> None:
        self.drop(item, stays=True)
        self._items[key_of(item)] = item
        if item.cls == ItemClass.BUDDY:
            self._buddies[key_of(item)] = None
            self._places.setdefault(address_of(item), {})[key_of(item)] = None

    def drop(self, item: Item, *, stays: bool = False) -> None:
        """Delete an item; one that `stays` keeps its place among the others."""
        key = key_of(item)
        old = self._items.get(key) if stays else self._items.pop(key, None)
        if old is None or old.cls != ItemClass.BUDDY:
            return
        if not stays:
            self._buddies.pop(key, None)
        places = self._places.get(address_of(old), {})
        places.pop(key, None)
        if not places:
            self._places.pop(address_of(old), None)

    def follow(self, unsettled: Collection[str] = ()) -> list[Change]:
        """Bring the items into accord with the backend, and return what that changed.

        `unsettled` are contacts about whom a client has more to say; theirs stay as they are.
        """
        changes: list[Change] = []
        touched: set[int] = set()
        self._follow_contacts(changes, touched, unsettled)
        self._follow_blocks(changes)
        for number in sorted(touched):
            group = self.group(number)
            if number and group is not None and not any(self.buddies(group=number)):
                self._change(changes, DeleteItems, group)
                touched |= {0}
        for number in sorted(touched | ({0} if touched else set())):
            self._reorder(changes, number)
        return changes

    def _follow_contacts(
        self, changes: list[Change], touched: set[int], unsettled: Collection[str]
    ) -> None:
        wanted = dict(self._wanted(unsettled))
        there: set[tuple[str, str]] = set()
        for item in list(self.buddies()):
            address = address_of(item)
            group = self.group(item.group)
            place = (address, clean(group.name) if group is not None else "")
            if place in wanted and place not in there:
                there.add(place)
                attributes = _attributes(item, wanted[place])
                if attributes != item.attributes:
                    self._change(changes, UpdateItems, attrs.evolve(item, attributes=attributes))
            elif address not in self.unasked and address not in unsettled:
                self._change(changes, DeleteItems, item)
                touched.add(item.group)
        for (address, name), relation in wanted.items():
            if (address, name) in there or self.is_full:
                continue
            group = self._group_named(changes, name)
            item = Item(
                name_of(self._find(address)),
                group.group,
                self._new_id(group.group),
                ItemClass.BUDDY,
            )
            attributes = _attributes(item, relation)
            self._change(changes, AddItems, attrs.evolve(item, attributes=attributes))
            touched.add(group.group)

    def _wanted(self, unsettled: Collection[str]) -> Iterator[tuple[tuple[str, str], Relation]]:
        for address, relation in self._person.relations.items():
            if relation.listed and address not in unsettled and can_be_named(self._find(address)):
                self.unasked.discard(address)
                for group in relation.groups or (DEFAULT_GROUP,):
                    yield (address, clean(group)), relation

    def _follow_blocks(self, changes: list[Change]) -> None:
        wanted = {
            address
            for address, relation in self._person.relations.items()
            if relation.blocked and can_be_named(self._find(address))
        }
        for item in [each for each in self._items.values() if each.cls == ItemClass.DENY]:
            if address_of(item) in wanted:
                wanted.remove(address_of(item))
            else:
                self._change(changes, DeleteItems, item)
        for address in sorted(wanted):
            name = name_of(self._find(address))
            self._change(changes, AddItems, Item(name, 0, self._new_id(0), ItemClass.DENY))

    def _group_named(self, changes: list[Change], name: str) -> Item:
        groups = [each for each in self._items.values() if each.cls == ItemClass.GROUP]
        for each in groups:
            if each.group and clean(each.name) == name:
                return each
        number = _lowest_free({each.group for each in self._items.values()})
        group = Item(name, number, 0, ItemClass.GROUP)
        self._change(changes, AddItems, group)
        return group

    def _reorder(self, changes: list[Change], number: int) -> None:
        """Let a group say who is in it, and the root which groups there are."""
        group = self.group(number)
        if group is None:
            return
        if number:
            there = [each.id for each in self.buddies(group=number)]
        else:
            items = self._items.values()
            there = [each.group for each in items if each.cls == ItemClass.GROUP and each.group]
        old = decode_order(group.attributes.first(Attribute.ORDER) or b"")
        present = set(there)
        # Each once, first as the client has ordered them.
        order = dict.fromkeys([*(each for each in old if each in present), *there])
        attributes = group.attributes.with_value(Attribute.ORDER, encode_order(tuple(order)))
        if attributes != group.attributes:
            self._change(changes, UpdateItems, attrs.evolve(group, attributes=attributes))

    def _change(self, changes: list[Change], edit: Edit, item: Item) -> None:
        if edit is DeleteItems:
            self.drop(item)
        else:
            self.put(item)
        changes.append(Change(edit, item))

    def _new_id(self, group: int) -> int:
        return _lowest_free({each.id for each in self._items.values() if each.group == group})


def address_of(item: Item) -> str:
    """Return the account an item is about, or nothing."""
    try:
        return canonical(item.name)
    except NameRefused:
        return ""


def batches(
    changes: Iterable[Change], max_bytes: int
) -> Iterator[AddItems | UpdateItems | DeleteItems]:
    """Put changes of one kind that follow each other into as few SNACs as they fit."""
    edit: Edit = AddItems
    items: list[Item] = []
    size = 0
    for change in changes:
        weight = len(wire.encode_block(change.item))
        if items and (change.edit is not edit or size + weight > max_bytes):
            yield edit(tuple(items))
            items, size = [], 0
        edit = change.edit
        items.append(change.item)
        size += weight
    if items:
        yield edit(tuple(items))


def _attributes(item: Item, relation: Relation) -> wire.Tlvs:
    attributes = item.attributes
    alias = to_utf8(relation.name)
    if (attributes.first(Attribute.ALIAS) or b"") != alias:
        attributes = attributes.with_value(Attribute.ALIAS, alias or None)
    awaiting = None if relation.sees else b""
    if (attributes.first(Attribute.AWAITING) is None) is not relation.sees:
        attributes = attributes.with_value(Attribute.AWAITING, awaiting)
    return attributes


def _lowest_free(taken: set[int]) -> int:
    number = next(each for each in range(1, MAX_ID + 2) if each not in taken)
    assert number <= MAX_ID, "there are far fewer items"
    return number
