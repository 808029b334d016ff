"""What is late goes to disk: the one task that writes messages, in batches (docs/delivery.md).

A message that is handed over within `LATE_SECONDS` never touches the disk. What takes longer, in
either direction, is written here in one transaction with all else that is late. An event is
acknowledged to its network once it is proven or written, whichever comes first.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

import attrs
import trio

from gateway.errors import StoreError
from gateway.host import Host
from gateway.networks.base import LegacyClient
from gateway.store.store import JournalEntry, Store
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import Message, element_of
from gateway.xmpp.xml import to_bytes

log = logging.getLogger(__name__)

LATE_SECONDS = 0.05
RETRY_SECONDS = 5.0
SEEN_SECONDS = 10.0  # how long a remembered legacy id may wait for a transaction of its own
FLUSH_SECONDS = 5.0

TO_USER = "to_user"
FROM_USER = "from_user"


@attrs.define(eq=False)
class Entry:
    """One message under way, in either direction, until it is settled."""

    account_id: int
    direction: str
    message: Message = attrs.field(repr=False)
    at: datetime
    born: float  # trio.current_time()
    legacy_id: str | None = None
    row: int | None = None  # its row in the journal, while it has one
    settled: bool = False
    client: LegacyClient | None = attrs.field(default=None, repr=False)
    token: object | None = attrs.field(default=None, repr=False)

    def acknowledge(self) -> None:
        """Tell the network, once, that the event is safe here."""
        if self.client is not None and self.token is not None:
            self.client.acknowledge(self.token)
        self.client = self.token = None


class Journal:
    """The journal of one daemon. `note` and `settle` wait for nothing; `run` is its task."""

    def __init__(self, host: Host, store: Store) -> None:
        self._host = host
        self._store = store
        self._young: dict[Entry, None] = {}  # not settled, not written; oldest first
        self._rows: list[int] = []  # to be removed
        self._seen: list[tuple[int, str]] = []
        self._seen_since: float | None = None
        self._aliases: list[tuple[str, str, str]] = []  # component, alias, address
        self._writing = trio.Lock()
        self._woken = trio.Event()

    def note_alias(self, component: str, alias: str, address: str) -> None:
        """Have the alias of an address written with the next batch."""
        self._aliases.append((component, alias, address))
        self._woken.set()

    def unwritten_seen(self, account_id: int) -> list[str]:
        """Return the legacy ids that the store does not know of yet, oldest first."""
        return [legacy_id for owner, legacy_id in self._seen if owner == account_id]

    def note(self, entry: Entry) -> None:
        """Take note of a message under way: it is written when it is not settled in time."""
        if entry.row is None and not entry.settled:
            self._young[entry] = None
            self._woken.set()

    def settle(self, entry: Entry) -> None:
        """Note that the message needs no keeping any more: handed over, or its sender told."""
        if entry.settled:
            return
        entry.settled = True
        self._young.pop(entry, None)
        entry.acknowledge()
        if entry.legacy_id is not None and entry.row is None:
            self._remember(entry)
        if entry.row is not None:
            self._rows.append(entry.row)
            self._woken.set()

    def turn(self, entry: Entry, message: Message) -> Entry:
        """Replace the user's message under way by `message`, which tells him of its failure.

        The new entry takes over the old one's row, if there is one, so that the failure is told
        even when the daemon is killed before it is.
        """
        error = attrs.evolve(
            entry, direction=TO_USER, message=message, legacy_id=None, client=None, token=None
        )
        entry.settled = True
        self._young.pop(entry, None)
        return error

    def forget(self, account_id: int) -> None:
        """Drop what is not yet written of an account; its rows go with the account."""
        for entry in [one for one in self._young if one.account_id == account_id]:
            entry.settled = True
            del self._young[entry]
        self._seen = [one for one in self._seen if one[0] != account_id]

    async def run(self) -> None:
        """Write what is late, for ever. A store that fails is tried again; nothing is dropped."""
        while True:
            await self._wait_for_work()
            await trio.sleep(LATE_SECONDS)
            try:
                await self._commit(trio.current_time() - LATE_SECONDS)
            except StoreError as exc:
                log.error("the journal cannot be written: %s; trying again", exc)
                await trio.sleep(RETRY_SECONDS)

    async def flush(self) -> None:
        """Write all there is, at the end; bounded in time."""
        with trio.move_on_after(FLUSH_SECONDS) as scope:
            try:
                await self._commit(trio.current_time(), all_seen=True)
            except StoreError:
                log.exception("the journal could not be written at the end")
        if scope.cancelled_caught:
            log.error("the journal could not be written within %d s", FLUSH_SECONDS)

    async def _wait_for_work(self) -> None:
        if self._young or self._rows or self._aliases:
            return
        deadline = trio.current_time() + SEEN_SECONDS if self._seen else float("inf")
        with trio.move_on_at(deadline):
            self._woken = trio.Event()
            await self._woken.wait()

    async def _commit(self, before: float, *, all_seen: bool = False) -> None:
        async with self._writing:
            await self._write(before, all_seen=all_seen)

    async def _write(self, before: float, *, all_seen: bool) -> None:
        late = [entry for entry in self._young if entry.born <= before]
        rows, seen = self._rows, self._seen_to_write(all_seen or bool(late))
        also_seen = [(one.account_id, one.legacy_id) for one in late if one.legacy_id is not None]
        aliases, self._aliases = self._aliases, []
        if not (late or rows or seen or aliases):
            return
        self._rows = []
        self._seen = self._seen[len(seen) :]
        try:
            numbers = await self._host.run_blocking(
                self._call(late, rows, seen + also_seen, aliases)
            )
        except StoreError:
            self._rows, self._seen = rows + self._rows, seen + self._seen
            self._aliases = aliases + self._aliases
            self._seen_since = trio.current_time()
            raise
        for entry, number in zip(late, numbers, strict=True):
            self._written(entry, number)

    def _written(self, entry: Entry, number: int) -> None:
        entry.row = number or None
        self._young.pop(entry, None)
        if entry.settled or not number:  # settled meanwhile, or the account is gone
            self._rows += [number] if number else []
            self._woken.set()
            return
        entry.acknowledge()

    def _call(
        self,
        late: Sequence[Entry],
        rows: Sequence[int],
        seen: Sequence[tuple[int, str]],
        aliases: Sequence[tuple[str, str, str]],
    ) -> Callable[[], list[int]]:
        def call() -> list[int]:
            for component, alias, address in aliases:
                self._store.save_alias(component, alias, address)
            numbers = self._store.commit_journal([_row(entry) for entry in late], rows, seen)
            return list(numbers)

        return call

    def _remember(self, entry: Entry) -> None:
        assert entry.legacy_id is not None
        self._seen.append((entry.account_id, entry.legacy_id))
        if self._seen_since is None:
            self._seen_since = trio.current_time()

    def _seen_to_write(self, now: bool) -> list[tuple[int, str]]:
        """Return the ids to write: with other work at once, else when they have waited enough."""
        since = self._seen_since
        if since is None or not (now or trio.current_time() - since >= SEEN_SECONDS):
            return []
        self._seen_since = None
        return list(self._seen)


def _row(entry: Entry) -> JournalEntry:
    return JournalEntry(
        account_id=entry.account_id,
        direction=entry.direction,
        stanza_id=entry.message.id or "",
        payload=to_bytes(element_of(entry.message), ns.COMPONENT),
        at=entry.at,
        legacy_id=entry.legacy_id,
    )
