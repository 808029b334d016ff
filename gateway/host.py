"""The one door to the outside world: streams, threads, the calendar, randomness, the database file.

Everything else uses a `Host` (and `trio.current_time()` for intervals), so that the whole daemon
runs unchanged over a simulated network, on a simulated clock, under one seed. A lint rule keeps
sockets, clocks, randomness and threads out of every other module. Nothing here knows XMPP or a
legacy protocol.
"""

import contextlib
import errno
import fcntl
import os
import random
import secrets
import socket
import ssl
import stat
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
        """Bind and listen; port 0 takes a free one, a Unix socket left behind is replaced.

        Raises `OSError` when the address is taken or cannot be used.
        """

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
        except OSError as exc:
            self.close()
            if isinstance(exc, BlockingIOError):
                raise StoreError(f"{path} is locked: another balcony uses this store") from exc
            raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@attrs.frozen
class _RealListening:
    listeners: Sequence[trio.SocketListener]
    address: Address

    async def serve(self, handler: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        try:
            await trio.serve_listeners(handler, list(self.listeners))
        finally:
            if self.address.path:
                with contextlib.suppress(OSError):  # it is replaced at the next start, too
                    os.unlink(self.address.path)  # noqa: PTH108 - a path in an address is text


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
            return _RealListening([_listen_on_path(address.path)], address)
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


def _listen_on_path(path: str) -> trio.SocketListener:
    """Listen on a Unix socket that only its owner may use; one that was left behind is replaced.

    Whoever asks for it holds the store's lock, so nobody else listens there. What is no socket is
    left alone: the path may be a slip.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "it is there already, and no socket", path)
        os.unlink(path)  # noqa: PTH108 - a path in an address is text
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)  # no await before it is put back: it is the whole process's
        try:
            listening.bind(path)
        finally:
            os.umask(before)
        listening.listen()
        return trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    except BaseException:
        listening.close()
        raise


@contextmanager
def _as_connection_lost(address: Address) -> Generator[None, None, None]:
    try:
        yield
    except trio.TooSlowError as exc:
        raise ConnectionLost(f"{address} did not answer within {DIAL_SECONDS} s") from exc
    except (OSError, trio.BrokenResourceError, UnicodeError) as exc:  # the latter: no host's name
        raise ConnectionLost(f"cannot connect to {address}: {_reason(exc)}") from exc


def _reason(exc: BaseException) -> str:
    """Say why a connection failed, in the words of the one that knows."""
    cause = exc.__cause__
    # trio says that all attempts failed, and what each failed of in the cause.
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    known = cause if cause is not None and str(cause) else exc
    # These two have numbers of their own.
    if isinstance(known, OSError) and not isinstance(known, ssl.SSLError | socket.gaierror):
        return os.strerror(known.errno) if known.errno else str(known)
    return getattr(known, "strerror", None) or str(known)
