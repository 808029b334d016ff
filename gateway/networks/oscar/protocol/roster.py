"""The feedbag as a contact list: items in, contacts out.

An item is one buddy in one group; a contact is all items of one address. What the items say that
is nobody's business here stays with them, and goes back as it came.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice

from gateway.errors import RemoteProtocolError
from gateway.networks import base
from gateway.networks.base import InvalidAddress, Strand
from gateway.networks.oscar.protocol.names import plain
from gateway.networks.oscar.wire.feedbag import (
    Attribute,
    Item,
    ItemClass,
    PrivacyMode,
    decode_order,
)

MAX_ITEMS = 20_000
MAX_PLACES = 100  # of one contact that are looked at
LAST_ID = 0x7FFF
ROOT = (0, 0, int(ItemClass.GROUP))

Key = tuple[int, int, int]


def key_of(item: Item) -> Key:
    return item.group, item.id, item.cls


class Roster:
    """The local copy of the feedbag."""

    def __init__(self, canonical: Callable[[str], str]) -> None:
        self._canonical = canonical
        self._items: dict[Key, Item] = {}
        self._keys: dict[str, dict[Key, None]] = {}  # of buddies, by address
        self._denied: dict[str, dict[Key, None]] = {}  # of those who are blocked, by address
        self._told: dict[str, base.Contact] = {}
        self._touched: dict[str, None] = {}  # whose contact may be another than was told
        self._refused: set[str] = set()  # who said no to being added, while we are signed on

    # --- what comes ---------------------------------------------------------------------------

    def put(self, items: Iterable[Item]) -> list[base.LegacyEvent]:
        """Add or replace items. Returns what is to be told of names nobody can have."""
        unusable: list[base.LegacyEvent] = []
        for item in items:
            old = self._items.get(key_of(item))
            if old is None or old.name != item.name:
                self.remove((item,))
                if len(self._items) >= MAX_ITEMS:
                    raise RemoteProtocolError(f"a contact list of more than {MAX_ITEMS} items")
                try:
                    self._index(item)
                except InvalidAddress as exc:
                    unusable.append(base.UnknownEvent(f"a list item with an unusable name: {exc}"))
                self._touch_group(item)
            self._items[key_of(item)] = item
            self._touch(item)
        return unusable

    def remove(self, items: Iterable[Item]) -> None:
        """Delete items; those that are not there are left alone."""
        for item in items:
            old = self._items.pop(key_of(item), None)
            if old is None:
                continue
            self._touch(old)
            self._touch_group(old)
            index = self._index_of(old)
            with suppress(InvalidAddress):
                address = self._canonical(old.name)
                keys = index.get(address, {}) if index is not None else {}
                keys.pop(key_of(old), None)
                if index is not None and not keys:
                    index.pop(address, None)

    def _index(self, item: Item) -> None:
        index = self._index_of(item)
        if index is not None:
            index.setdefault(self._canonical(item.name), {})[key_of(item)] = None

    def _index_of(self, item: Item) -> dict[str, dict[Key, None]] | None:
        match item.cls:
            case ItemClass.BUDDY:
                return self._keys
            case ItemClass.DENY:
                return self._denied
        return None

    def _touch(self, item: Item) -> None:
        """Note whose contact an item is part of."""
        if self._index_of(item) is not None:
            with suppress(InvalidAddress):
                self._touched[self._canonical(item.name)] = None

    def _touch_group(self, item: Item) -> None:
        """Note that a group has come, gone or got another name."""
        if item.cls == ItemClass.GROUP:
            self._touched.update(dict.fromkeys(self._keys))

    def whole(self) -> base.ContactList:
        """Return all contacts; changes count from here."""
        self._told = {address: self.contact(address) for address in self._keys}
        self._touched.clear()
        return base.ContactList(tuple(self._told.values()))

    def changes(self) -> Iterator[base.LegacyEvent]:
        """Yield what is different since it was told last."""
        touched, self._touched = self._touched, {}
        for address in touched:
            if address not in self._keys:
                if self._told.pop(address, None) is not None:
                    yield base.ContactRemoved(address)
                continue
            contact = self.contact(address)
            if self._told.get(address) != contact:
                self._told[address] = contact
                yield base.ContactChanged(contact)

    # --- what it says -------------------------------------------------------------------------

    def __contains__(self, address: str) -> bool:
        return address in self._keys

    def contact(self, address: str) -> base.Contact:
        items = [self._items[key] for key in islice(self._keys.get(address, ()), MAX_PLACES)]
        names = [self._name_of(item, address) for item in items]
        groups = dict.fromkeys(name for item in items if (name := self._group_name(item.group)))
        waits = all(item.attributes.first(Attribute.AWAITING) is not None for item in items)
        blocked = address in self._denied
        strands = set() if blocked else {Strand.SEEN_BY}
        if not waits:
            strands.add(Strand.SEES)
        elif address not in self._refused:
            strands.add(Strand.ASKED)
        return base.Contact(
            address=address,
            name=next((name for name in names if name), ""),
            groups=tuple(groups),
            subscription=frozenset(strands),
            blocked=blocked,
        )

    def _name_of(self, item: Item, address: str) -> str:
        alias = alias_of(item)
        if alias:
            return alias
        name = plain(item.name)
        return "" if name == address else name

    def _group_name(self, group: int) -> str:
        item = self._items.get((group, 0, int(ItemClass.GROUP)))
        return plain(item.name) if item is not None and group else ""

    def buddies(self, address: str) -> list[Item]:
        return [self._items[key] for key in self._keys.get(address, ())]

    def refuse(self, address: str) -> None:
        """Note that somebody on the list has said no."""
        if address in self:
            self._refused.add(address)
            self._touched[address] = None

    def ask_again(self, address: str) -> None:
        """Note that somebody is asked, or no longer on the list."""
        self._refused.discard(address)
        self._touched[address] = None

    def awaits_authorisation(self, address: str) -> bool:
        items = self.buddies(address)
        return any(item.attributes.first(Attribute.AWAITING) is not None for item in items)

    def item(self, key: Key) -> Item | None:
        return self._items.get(key)

    def groups(self) -> list[Item]:
        """Return the group items, the root left out, in the order the root has them."""
        found = [one for one in self._items.values() if one.cls == ItemClass.GROUP and one.group]
        root = self._items.get(ROOT)
        order = decode_order((root and root.attributes.first(Attribute.ORDER)) or b"")
        places = {group: place for place, group in enumerate(order)}
        return sorted(found, key=lambda one: places.get(one.group, len(places)))

    def group_named(self, name: str) -> Item | None:
        return next((one for one in self.groups() if plain(one.name) == name), None)

    def denials(self, address: str) -> list[Item]:
        return [self._items[key] for key in self._denied.get(address, ())]

    def privacy(self) -> Item | None:
        return next((one for one in self._items.values() if one.cls == ItemClass.PRIVACY), None)

    def privacy_mode(self) -> int:
        item = self.privacy()
        value = item.attributes.first(Attribute.PRIVACY_MODE) if item is not None else None
        return int.from_bytes(value, "big") if value else PrivacyMode.ALLOW_ALL

    def free_group_id(self) -> int | None:
        return _lowest_free({group for group, _, _ in self._items})

    def free_item_id(self) -> int | None:
        return _lowest_free({id_ for _, id_, _ in self._items})


def alias_of(item: Item) -> str:
    value = item.attributes.first(Attribute.ALIAS)
    return plain(value.decode("utf-8", "replace")) if value else ""


def _lowest_free(used: set[int]) -> int | None:
    return next((number for number in range(1, LAST_ID + 1) if number not in used), None)
