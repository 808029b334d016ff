"""The record of what arrived at the service: for tests, judges and people who look for a fault."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Protocol

import attrs

from legacy_emu.recent import Recent

MAX_ENTRIES = 100_000
MAX_LENGTH = 64 * 1024 * 1024  # characters of all entries


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
    """The newest things that arrived: `MAX_ENTRIES`, or fewer if they are long."""

    def __init__(self) -> None:
        self._entries: Recent[Entry] = Recent(MAX_ENTRIES, MAX_LENGTH)
        self._watchers: list[Watcher] = []
        self.last = 0

    def add(self, at: datetime, account: str, kind: str, fields: Mapping[str, object]) -> None:
        self.last += 1
        self._entries.add(Entry(self.last, at, account, kind, fields))
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
