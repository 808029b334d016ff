"""What waits to be written to the stream: first in, first out, state replaced in its place.

Three kinds of bytes wait. State has a key, and only its latest counts; value counts each, and is
bounded; tracked messages are bounded by the proof, and their owner keeps a copy.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from enum import Enum

import attrs
import trio

MAX_WAITING_BYTES = 32 * 1024 * 1024


class Kind(Enum):
    STATE = "state"
    VALUE = "value"
    TRACKED = "tracked"


@attrs.frozen
class Item:
    """One stanza. `key` names the state it is, or the waiting state it makes obsolete."""

    kind: Kind
    data: bytes = attrs.field(repr=False)
    key: Hashable = None


class Outbox:
    """A queue with one reader. Putting never waits."""

    def __init__(self) -> None:
        self._items: OrderedDict[Hashable, Item] = OrderedDict()
        self._bytes = 0
        self._number = 0
        self._stirred = trio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    def put(self, item: Item) -> bool:
        """Queue one stanza at the end. Returns False, and drops it, when value finds no room."""
        if item.kind is Kind.VALUE and self._bytes + len(item.data) > MAX_WAITING_BYTES:
            return False
        self._number += 1
        self._items[self._number] = item
        self._bytes += len(item.data)
        self._stirred.set()
        return True

    def put_state(self, item: Item) -> None:
        """Replace the state waiting under the item's key in its place, or queue it at the end."""
        key = ("state", item.key)
        replaced = self._items.get(key)
        if replaced is not None:
            self._bytes -= len(replaced.data)
        self._items[key] = item
        self._bytes += len(item.data)
        self._stirred.set()

    def put_batch(self, items: Sequence[Item]) -> bool:
        """Queue stanzas of a prescribed order, all or none; drop the state they supersede."""
        if self._bytes + sum(len(item.data) for item in items) > MAX_WAITING_BYTES:
            return False
        for item in items:
            if item.key is not None:
                superseded = self._items.pop(("state", item.key), None)
                self._bytes -= 0 if superseded is None else len(superseded.data)
        for item in items:
            self.put(item)
        return True

    def take(self, most_bytes: int) -> bytes:
        """Take what is ready, as much as fits; at least one stanza when there is any."""
        taken: list[bytes] = []
        size = 0
        while self._items:
            item = next(iter(self._items.values()))
            if taken and size + len(item.data) > most_bytes:
                break
            self._items.popitem(last=False)
            taken.append(item.data)
            size += len(item.data)
        self._bytes -= size
        return b"".join(taken)

    def link_lost(self) -> None:
        """Drop state, which is announced anew, and tracked messages, which are offered again."""
        kept = [item for item in self._items.values() if item.kind is Kind.VALUE]
        self._items.clear()
        self._bytes = 0
        for item in kept:
            self.put(item)

    async def wait(self) -> None:
        """Wait until something is there, or `wake` was called."""
        if not self._items:
            self._stirred = trio.Event()
            await self._stirred.wait()

    def wake(self) -> None:
        self._stirred.set()
