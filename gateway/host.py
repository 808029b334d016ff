"""The one door to the outside world: streams, threads, the calendar, randomness, the database file.

Everything else uses a `Host` (and `trio.current_time()` for intervals), so that the whole daemon
runs unchanged over a simulated network, on a simulated clock, under one seed. A lint rule keeps
sockets, clocks, randomness and threads out of every other module. Nothing here knows XMPP or a
legacy protocol.
"""

import contextlib
import fcntl
import os
import random
import secrets
import ssl
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import attrs
import sqlalchemy
import trio

from gateway.errors import ConnectionLost, StoreError

T = TypeVar("T")

DIAL_SECONDS = 30
STORE_THREADS = 1  # SQLite has one writer; a queue of our own beats its busy timeout


@attrs.frozen
class Address:
    """Where a service listens. `tls` is from the first byte; `path` alone means a Unix socket."""

    host: str = ""
    port: int = 0
    tls: bool = False
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Listening(Protocol):
    """One listener that is up: its address, with the real port, and the loop that serves it."""

    @property
    def address(self) -> Address: ...

    async def serve(self, handler: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        """Accept for ever, one task a connection; `handler` owns its stream and closes it."""


class Host(Protocol):
    """The outside world as one daemon sees it."""

    @property
    def random(self) -> random.Random:
        """Randomness for jitter and choice; never for secrets or ids."""

    def now(self) -> datetime:
        """Return the date and time, in UTC, for stamps. Intervals use `trio.current_time()`."""

    def token_bytes(self, count: int) -> bytes:
        """Return `count` unguessable bytes, for ids, keys and nonces."""

    async def dial(self, address: Address) -> trio.abc.Stream:
        """Connect. Raises `ConnectionLost`, also when it takes longer than `DIAL_SECONDS`."""

    async def listen(self, address: Address) -> Listening:
        """Bind and listen; port 0 takes a free one. Raises `OSError` when the address is taken."""

    async def run_blocking(self, call: Callable[[], T]) -> T:
        """Run `call` where it may block: the only way to the store. One call, one transaction."""

    def open_engine(self, url: str) -> sqlalchemy.Engine:
        """Make the database engine for `url`; its owner disposes of it."""

    def lock_file(self, path: Path) -> "FileLock":
        """Take the exclusive lock on `path`, freed by `close` and when the process dies.

        Raises `StoreError` when another process (or another daemon in this one) holds it.
        """


class FileLock(Protocol):
    """A lock that is held until `close`."""

    def close(self) -> None: ...


class _Flock:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self.close()
            raise StoreError(f"{path} is locked: another balcony uses this store") from exc

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@attrs.frozen
class _RealListening:
    listeners: Sequence[trio.SocketListener]
    address: Address

    async def serve(self, handler: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        await trio.serve_listeners(handler, list(self.listeners))


class RealHost:
    """The host of a daemon in production."""

    def __init__(self) -> None:
        self.random = random.Random()  # noqa: S311 - jitter, not secrets
        self._threads = trio.CapacityLimiter(STORE_THREADS)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    async def dial(self, address: Address) -> trio.abc.Stream:
        with _as_connection_lost(address):
            with trio.fail_after(DIAL_SECONDS):
                if address.path:
                    return await trio.open_unix_socket(address.path)
                plain = await trio.open_tcp_stream(address.host, address.port)
                return await _over_tls(plain, address.host) if address.tls else plain

    async def listen(self, address: Address) -> Listening:
        if address.path:
            return _RealListening([await _listen_on_path(address.path)], address)
        listeners = await trio.open_tcp_listeners(address.port, host=address.host)
        port = listeners[0].socket.getsockname()[1]
        return _RealListening(listeners, attrs.evolve(address, port=port))

    async def run_blocking(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, limiter=self._threads)

    def open_engine(self, url: str) -> sqlalchemy.Engine:
        return sqlalchemy.create_engine(url)

    def lock_file(self, path: Path) -> FileLock:
        return _Flock(path)


async def _over_tls(plain: trio.SocketStream, server_name: str) -> trio.abc.Stream:
    secured = trio.SSLStream(
        plain, ssl.create_default_context(), server_hostname=server_name, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(secured)
        raise
    return secured


async def _listen_on_path(path: str) -> trio.SocketListener:
    """Listen on a Unix socket that only its owner may use; a stale one is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - the caller holds the store's lock: nobody else listens here
    listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            await listening.bind(path)
        finally:
            os.umask(before)
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return trio.SocketListener(listening)


@contextmanager
def _as_connection_lost(address: Address) -> Generator[None, None, None]:
    try:
        yield
    except trio.TooSlowError as exc:
        raise ConnectionLost(f"{address} did not answer within {DIAL_SECONDS} s") from exc
    except (OSError, trio.BrokenResourceError) as exc:
        raise ConnectionLost(f"cannot connect to {address}: {exc}") from exc
