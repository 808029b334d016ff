"""The record of what arrived at the service: for tests, judges and people who look for a fault."""

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Protocol

import attrs

MAX_ENTRIES = 100_000


@attrs.frozen
class Entry:
    """One thing that arrived. `number` counts from 1 and has no holes."""

    number: int
    at: datetime
    account: str
    kind: str
    fields: Mapping[str, object]


class Watcher(Protocol):
    def recorded(self) -> None:
        """Hear that something was recorded: at once, without waiting."""


class Record:
    """The newest `MAX_ENTRIES` things that arrived."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._watchers: list[Watcher] = []
        self.last = 0

    def add(self, at: datetime, account: str, kind: str, fields: Mapping[str, object]) -> None:
        self.last += 1
        self._entries.append(Entry(self.last, at, account, kind, fields))
        for watcher in self._watchers:
            watcher.recorded()

    def entries(self, since: int = 0, account: str = "", kind: str = "") -> Iterator[Entry]:
        """Yield what came after number `since`: of everybody and every kind, or of one."""
        for entry in self._entries:
            if (
                entry.number > since
                and (not account or entry.account == account)
                and (not kind or entry.kind == kind)
            ):
                yield entry

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)
