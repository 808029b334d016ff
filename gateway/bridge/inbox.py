"""What waits for one user's session: one queue, first in first out, in which state is replaced.

Value (messages, iqs, subscriptions) counts each and is bounded; state (presence, typing) has one
place per key and keeps it, so nothing is overtaken. What is put by the session itself (`put_own`)
is never refused: its number is bounded by who puts it.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")

MAX_VALUE = 200
MAX_STATE = 10_000
MAX_OWN = 1_000  # for whoever uses `put_own` to look at first


class Inbox(Generic[T]):
    """A queue with one reader. Putting never waits."""

    def __init__(self) -> None:
        self._items: OrderedDict[Hashable, T] = OrderedDict()
        self._value = 0
        self._number = 0
        self._has_news = False
        self._arrived = trio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Queue value. Returns False when there is no room."""
        if self._value >= MAX_VALUE:
            return False
        self._value += 1
        self._append((self, self._next()), item)
        return True

    def put_own(self, item: T) -> None:
        self._append((None, self._next()), item)

    def put_state(self, key: Hashable, item: T) -> bool:
        """Replace the state waiting under `key` in its place, or queue it at the end."""
        if key in self._items:
            self._items[key] = item
            return True
        if len(self._items) >= MAX_STATE:
            return False
        self._append(key, item)
        return True

    def put_last_state(self, key: Hashable, item: T) -> None:
        """Drop what waits under `key` and queue this at the end: a leaving overtakes nothing.

        It is never refused: the caller sees to it that there are few such keys.
        """
        self._items.pop(key, None)
        self._append(key, item)

    def drop_state(self, key: Hashable) -> bool:
        """Drop what waits under `key`. Returns whether anything did."""
        return self._items.pop(key, None) is not None

    def get_nowait(self) -> T | None:
        if not self._items:
            return None
        key, item = next(iter(self._items.items()))
        self._drop(key)
        return item

    def get_first(self, fits: Callable[[T, bool], bool]) -> T | None:
        """Return the first that `fits`, whatever stands before it.

        `fits` is given an item, and whether nothing that does not fit stands before it.
        """
        is_next, self._has_news = True, False
        for key, item in self._items.items():
            if fits(item, is_next):
                self._drop(key)
                return item
            is_next = False
        return None

    async def wait(self, *, held: bool = False) -> None:
        """Wait until something is there; if what is there is `held`, until there is news.

        News is what comes, or a `wake`, after the last `get_first`.
        """
        if (held and not self._has_news) or not self._items:
            self._arrived = trio.Event()
            await self._arrived.wait()

    def wake(self) -> None:
        """Let `wait` return though nothing came: something else changed."""
        self._has_news = True
        self._arrived.set()

    def _drop(self, key: Hashable) -> None:
        del self._items[key]
        if isinstance(key, tuple) and key[0] is self:
            self._value -= 1

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _append(self, key: Hashable, item: T) -> None:
        self._items[key] = item
        self.wake()
