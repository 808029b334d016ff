"""One incarnation of the daemon and its whole outside world, which can be taken from it at once.

A crash is a fence, then a cancellation: from the kill on, every call through the host raises
`Killed`, so that no clean-up can say goodbye or write to the store, and then the tasks unwind
behind the fence. What outlives a crash is the `Machine`: the network and the files.
"""

import math
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import attrs
import sqlalchemy
import trio

from gateway.errors import ConnectionLost, StoreError
from gateway.host import DIAL_SECONDS, Address, FileLock, Listening
from tests.simulation.network import SimListener, SimNetwork, SimStream

T = TypeVar("T")

EPOCH = datetime(2031, 3, 14, 15, 9, 26, tzinfo=UTC)
STATEMENTS_TO_CHANGE = 2  # BEGIN, and the first change
MAX_WAIT_BEFORE_CALL = 0.004
MAX_WAIT_AFTER_CALL = 0.001
SLOW_CALL_SECONDS = 2.0
BUSY_SECONDS = 5.0  # that a call waits for a database which another process has


def virtual_now() -> datetime:
    """Return the simulated date and time."""
    return EPOCH + timedelta(seconds=trio.current_time())


class Killed(BaseException):
    """This incarnation is dead. A `BaseException`: no handler of errors is to survive it."""


class CrashPoint(StrEnum):
    """Where in a call to the store a crash strikes."""

    BEFORE = "before"  # nothing was done
    BETWEEN = "between"  # in the middle of the transaction, which rolls back
    AFTER = "after"  # committed, and nobody will hear of it


class StoreTrouble:
    """What is wrong with the store: every call suffers from it, reads as well as writes."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []  # when it failed, was slow or locked
        self._fails_until = self._slow_until = self._locked_until = -math.inf
        self._failures = 0

    def fail(self, seconds: float) -> None:
        """Let each call fail for a while."""
        self._fails_until = self._note(seconds)

    def fail_once(self, times: int = 1) -> None:
        """Let the next calls fail."""
        self._failures += times

    def slow_down(self, seconds: float) -> None:
        """Let each call take long for a while."""
        self._slow_until = self._note(seconds)

    def lock(self, seconds: float) -> None:
        """Let each call wait while another process has the database, and fail if that lasts."""
        self._locked_until = self._note(seconds)

    def heal(self) -> None:
        now = trio.current_time()
        self.spans = [(start, min(end, now)) for start, end in self.spans]
        self._fails_until = self._slow_until = self._locked_until = -math.inf
        self._failures = 0

    async def suffer(self) -> None:
        """Do to a call what is wrong now. Raises `StoreError`."""
        now = trio.current_time()
        if now < self._slow_until:
            await trio.sleep(SLOW_CALL_SECONDS)
        if now < self._locked_until:
            await trio.sleep(min(self._locked_until - now, BUSY_SECONDS))
            if trio.current_time() < self._locked_until:
                raise StoreError("database is locked")
        if self._failures or trio.current_time() < self._fails_until:
            self._failures = max(0, self._failures - 1)
            self._note(0.0)
            raise StoreError("database or disk is full")

    def _note(self, seconds: float) -> float:
        now = trio.current_time()
        self.spans.append((now, now + seconds))
        return now + seconds


@attrs.define
class Machine:
    """What outlives a crash: the network, and who has locked which file."""

    seed: int
    network: SimNetwork
    name: str = "gateway"
    locks: dict[Path, "SimLock"] = attrs.field(factory=dict)
    incarnations: int = 0
    store: StoreTrouble = attrs.field(factory=StoreTrouble)


@attrs.define(eq=False)
class SimLock:
    """A lock that ends with `close` or with its incarnation."""

    machine: Machine
    path: Path

    def close(self) -> None:
        if self.machine.locks.get(self.path) is self:
            del self.machine.locks[self.path]


class SimHost:
    """A `Host` for one incarnation. `run` lives it; `kill` ends it as `kill -9` would."""

    def __init__(self, machine: Machine) -> None:
        machine.incarnations += 1
        self.name = f"{machine.name}#{machine.incarnations}"
        self.dead = False
        self.died_at = math.inf
        self.died = trio.Event()
        self.store_suffers = False  # from `Machine.store`; set once the daemon has started
        self.crashed_at: CrashPoint | None = None  # by `crash_soon`, and not by `kill`
        self.streams: list[HostStream] = []
        self._machine = machine
        self._random = self._generator("jitter")
        self._tokens = self._generator("tokens")
        self._waits = self._generator("waits")
        self._scope = trio.CancelScope()
        self._store_thread = trio.Lock()
        self._databases: list[_Database] = []
        self._listeners: list[SimListener] = []
        self._held: list[SimLock] = []
        self._calling = False
        self._crash: CrashPoint | None = None

    def _generator(self, what: str) -> Random:
        return Random(f"{self._machine.seed}/{self.name}/{what}")

    # --- life and death -----------------------------------------------------------------------

    async def run(self, life: Callable[["SimHost"], Awaitable[None]]) -> None:
        """Live until `life` ends or a kill ends it. What it raises after its death is nothing."""
        with self._scope:
            try:
                await life(self)
            except* Killed:
                pass
            except* Exception:
                if not self.dead:
                    raise

    def kill(self) -> None:
        """End this incarnation now, between two steps of its tasks. Killing twice is harmless."""
        if self.dead:
            return
        self.dead = True
        self.died_at = trio.current_time()
        self.died.set()
        for stream in self.streams:
            stream.raw.close_as_kernel()
        for listener in self._listeners:
            listener.close()
        if not self._calling:
            self._close_databases()
        for lock in self._held:
            lock.close()
        self._scope.cancel()

    def crash_soon(self, point: CrashPoint) -> None:
        """Crash at the next call to the store, at that point of it."""
        self._crash = point

    def check(self) -> None:
        """Raise `Killed` once this incarnation is dead: nothing passes the fence."""
        if self.dead:
            raise Killed(self.name)

    def _crash_at(self, point: CrashPoint) -> None:
        if self._crash is point and not self.dead:
            self.crashed_at = point
            self.kill()
        self.check()

    # --- the seam -----------------------------------------------------------------------------

    @property
    def random(self) -> Random:
        self.check()
        return self._random

    def now(self) -> datetime:
        self.check()
        return virtual_now()

    def token_bytes(self, count: int) -> bytes:
        self.check()
        return self._tokens.randbytes(count)

    async def dial(self, address: Address) -> trio.abc.Stream:
        self.check()
        try:
            with trio.fail_after(DIAL_SECONDS):
                raw = await self._machine.network.dial(address, f"{self.name}>{address}")
        except trio.TooSlowError as exc:
            self.check()
            raise ConnectionLost(f"{address} did not answer within {DIAL_SECONDS} s") from exc
        except OSError as exc:
            self.check()
            raise ConnectionLost(f"cannot connect to {address}: {exc}") from exc
        return self._own(raw)

    async def listen(self, address: Address) -> Listening:
        self.check()
        listener = self._machine.network.bind(address)
        self._listeners.append(listener)
        return _HostListening(self, listener)

    def _own(self, raw: SimStream) -> "HostStream":
        if self.dead:
            raw.close_as_kernel()
        self.check()
        stream = HostStream(self, raw)
        self.streams.append(stream)
        return stream

    async def run_blocking(self, call: Callable[[], T]) -> T:
        """Run `call` inline, after and before a short wait; as a thread, it cannot be cancelled."""
        self.check()
        await trio.lowlevel.checkpoint_if_cancelled()
        async with self._store_thread:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._waits.random() * MAX_WAIT_BEFORE_CALL)
                self.check()
                self._crash_at(CrashPoint.BEFORE)
                if self.store_suffers:
                    await self._machine.store.suffer()
                    self.check()
                with self._calling_the_store():
                    result = call()
                self._crash_at(CrashPoint.AFTER)
                await trio.sleep(self._waits.random() * MAX_WAIT_AFTER_CALL)
        self.check()
        return result

    @contextmanager
    def _calling_the_store(self) -> Generator[None, None, None]:
        self._calling = True
        try:
            yield
        finally:
            self._calling = False
            if self.dead:
                self._close_databases()

    def open_engine(self, url: str) -> sqlalchemy.Engine:
        self.check()
        engine = sqlalchemy.create_engine(url)
        self._databases.append(_Database(self, engine))
        return engine

    def in_transaction(self) -> None:
        """Hear that a transaction has changed something and is not committed."""
        self._crash_at(CrashPoint.BETWEEN)

    def _close_databases(self) -> None:
        for database in self._databases:
            database.close_as_kernel()

    def lock_file(self, path: Path) -> FileLock:
        self.check()
        if path in self._machine.locks:
            raise StoreError(f"{path} is locked: another balcony uses this store")
        lock = self._machine.locks[path] = SimLock(self._machine, path)
        self._held.append(lock)
        return lock


@attrs.define(eq=False)
class _HostListening:
    host: SimHost
    listener: SimListener

    @property
    def address(self) -> Address:
        return self.listener.address

    async def serve(self, handler: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        async def handle(raw: trio.abc.Stream) -> None:
            assert isinstance(raw, SimStream)
            await handler(self.host._own(raw))

        await self.listener.serve(handle)


class HostStream(trio.abc.HalfCloseableStream):
    """A stream of one incarnation: dead with it."""

    def __init__(self, host: SimHost, raw: SimStream) -> None:
        self.host = host
        self.raw = raw

    @contextmanager
    def _fenced(self) -> Generator[None, None, None]:
        self.host.check()
        try:
            yield
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            self.host.check()
            raise
        self.host.check()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._fenced():
            await self.raw.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        with self._fenced():
            await self.raw.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        with self._fenced():
            return await self.raw.receive_some(max_bytes)

    async def send_eof(self) -> None:
        with self._fenced():
            await self.raw.send_eof()

    async def aclose(self) -> None:
        self.host.check()
        if self in self.host.streams:
            self.host.streams.remove(self)
        await self.raw.aclose()


class _Database:
    """One engine, with its connections and where its transaction stands."""

    def __init__(self, host: SimHost, engine: sqlalchemy.Engine) -> None:
        self._host = host
        self._engine = engine
        self._connections: list[Any] = []  # DBAPI connections: no common type
        self._statements = 0
        sqlalchemy.event.listen(engine, "connect", self._on_connect)
        sqlalchemy.event.listen(engine, "begin", self._on_begin)
        sqlalchemy.event.listen(engine, "before_cursor_execute", self._on_statement)
        sqlalchemy.event.listen(engine, "commit", self._on_commit)

    def _on_connect(self, connection: Any, _record: object) -> None:
        self._connections.append(connection)

    def _on_begin(self, _connection: object) -> None:
        self._statements = 0

    def _on_statement(self, *_what: object) -> None:
        self._statements += 1
        if self._statements > STATEMENTS_TO_CHANGE:
            self._host.in_transaction()

    def _on_commit(self, _connection: object) -> None:
        self._host.in_transaction()

    def close_as_kernel(self) -> None:
        """Close every connection; what was not committed is gone."""
        self._engine.dispose()
        for connection in self._connections:
            connection.close()
        self._connections.clear()
