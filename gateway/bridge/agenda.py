"""What a session has to do later unless something comes between: a few named deadlines.

Setting one again moves it. Whoever owns the agenda sleeps until `next_at` and then calls `run_due`.
"""

from collections.abc import Callable, Hashable

import trio

Do = Callable[[], None]


class Agenda:
    """Named deadlines of one session, on trio's clock. What is done may set others."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake  # whoever sleeps until `next_at` has to look again
        self._entries: dict[Hashable, tuple[float, Do]] = {}

    @property
    def next_at(self) -> float:
        """When `run_due` has something to do next (trio time)."""
        return min((at for at, _ in self._entries.values()), default=float("inf"))

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def set(self, key: Hashable, seconds: float, do: Do) -> None:
        """Have `do` called in `seconds`; what was to be done under `key` is not."""
        self._entries[key] = (trio.current_time() + seconds, do)
        self._wake()

    def cancel(self, key: Hashable) -> bool:
        """Forget what was to be done under `key`. Returns whether there was anything."""
        return self._entries.pop(key, None) is not None

    def run_due(self) -> None:
        now = trio.current_time()
        for key, (at, do) in list(self._entries.items()):
            if at <= now and key in self._entries:
                del self._entries[key]
                do()
