"""The door to the real world: sockets, TLS, Unix sockets, the file lock, threads."""

import contextlib
import signal
import socket  # noqa: TID251 - to leave one behind
import ssl
import stat
import subprocess
import sys
import threading  # noqa: TID251 - to look from within
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio

from gateway.errors import ConnectionLost, StoreError
from gateway.host import Address, Listening, RealHost

TEST_SECONDS = 20

Handler = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def served(handler: Handler, address: Address) -> AsyncGenerator[Listening, None]:
    """Listen, and serve for as long as it lasts; bounded in real time."""
    with trio.fail_after(TEST_SECONDS):
        async with trio.open_nursery() as nursery:
            listening = await RealHost().listen(address)
            nursery.start_soon(listening.serve, handler)
            yield listening
            nursery.cancel_scope.cancel()


LOOPBACK = Address("127.0.0.1", 0)


async def echo(stream: trio.abc.Stream) -> None:
    async for data in stream:
        await stream.send_all(data)


class Peer:
    """A peer that says something, or nothing, and notes that the other side has closed."""

    def __init__(self, says: bytes = b"") -> None:
        self._says = says
        self.connected = trio.Event()
        self.closed = trio.Event()

    async def __call__(self, stream: trio.abc.Stream) -> None:
        self.connected.set()
        with contextlib.suppress(trio.BrokenResourceError):  # closed with bytes unread, but closed
            if self._says:
                await stream.send_all(self._says)
            async for _ in stream:
                pass
        self.closed.set()


# --- dialling ---------------------------------------------------------------------------------


async def test_what_is_dialled_talks() -> None:
    async with served(echo, LOOPBACK) as listening:
        assert listening.address.port
        stream = await RealHost().dial(listening.address)
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        await stream.aclose()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (Address("nowhere.invalid", 5347), "nowhere.invalid:5347: "),
        (Address("a" * 70 + ".example", 5347), "label"),
        (Address("a..b", 5347), "label"),
        (Address(path="/nowhere/balcony.sock"), "/nowhere/balcony.sock: No such file or directory"),
    ],
)
async def test_what_cannot_be_reached_is_a_connection_lost(address: Address, why: str) -> None:
    with trio.fail_after(TEST_SECONDS), pytest.raises(ConnectionLost, match=why):
        await RealHost().dial(address)


async def test_a_refusal_says_so_once_and_plainly() -> None:
    async with served(echo, LOOPBACK) as listening:
        gone = listening.address
    with trio.fail_after(TEST_SECONDS), pytest.raises(ConnectionLost) as caught:
        await RealHost().dial(gone)
    assert str(caught.value) == f"cannot connect to {gone}: Connection refused"


async def test_a_peer_that_does_not_answer_in_time_is_lost_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.host.DIAL_SECONDS", 0.05)
    silent = Peer()
    async with served(silent, LOOPBACK) as listening:
        port = listening.address.port
        with pytest.raises(ConnectionLost, match=r"did not answer within 0.05 s"):
            await RealHost().dial(Address("127.0.0.1", port, tls=True))
        await silent.closed.wait()


async def test_a_cancelled_dial_leaves_no_connection() -> None:
    silent = Peer()
    async with served(silent, LOOPBACK) as listening, trio.open_nursery() as nursery:
        secured = Address("127.0.0.1", listening.address.port, tls=True)
        nursery.start_soon(RealHost().dial, secured)
        await silent.connected.wait()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await silent.closed.wait()


# --- TLS --------------------------------------------------------------------------------------


async def test_a_tls_handshake_that_fails_closes_the_socket() -> None:
    rude = Peer(b"220 this is no TLS at all\r\n")
    async with served(rude, LOOPBACK) as listening:
        with pytest.raises(ConnectionLost, match="SSL"):
            await RealHost().dial(Address("127.0.0.1", listening.address.port, tls=True))
        await rude.closed.wait()


def over_tls(certificate: Path) -> Handler:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def serve(stream: trio.abc.Stream) -> None:
        secured = trio.SSLStream(stream, context, server_side=True)
        with contextlib.suppress(trio.BrokenResourceError):  # by a client that does not trust us
            await echo(secured)

    return serve


async def test_a_trusted_certificate_of_the_right_name_lets_us_talk(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with served(over_tls(certificate), Address("localhost", 0)) as listening:
        stream = await RealHost().dial(Address("localhost", listening.address.port, tls=True))
        await stream.send_all(b"secret")
        assert await stream.receive_some() == b"secret"
        await stream.aclose()


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    async with served(over_tls(certificate), Address("localhost", 0)) as listening:
        with pytest.raises(ConnectionLost, match=r"certificate verify failed: self.signed"):
            await RealHost().dial(Address("localhost", listening.address.port, tls=True))


async def test_a_certificate_of_another_name_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with served(over_tls(certificate), LOOPBACK) as listening:
        with pytest.raises(ConnectionLost, match="IP address mismatch"):
            await RealHost().dial(Address("127.0.0.1", listening.address.port, tls=True))


# --- Unix sockets -----------------------------------------------------------------------------


async def test_a_unix_socket_is_its_owners_alone_and_goes_with_its_listener(
    tmp_path: Path,
) -> None:
    path = tmp_path / "balcony.sock"
    async with served(echo, Address(path=str(path))) as listening:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        stream = await RealHost().dial(listening.address)
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        await stream.aclose()
    assert not path.exists()


async def test_a_socket_that_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "balcony.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(ConnectionLost, match="refused"):
        await RealHost().dial(Address(path=str(path)))
    async with served(echo, Address(path=str(path))) as listening:
        await (await RealHost().dial(listening.address)).aclose()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "balcony.key"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="no socket"):
        await RealHost().listen(Address(path=str(path)))
    assert path.read_text() == "precious"


async def test_a_path_that_cannot_be_listened_on_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await RealHost().listen(Address(path=str(tmp_path / "nowhere" / "balcony.sock")))


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with served(echo, LOOPBACK) as listening:
        with pytest.raises(OSError, match="in use"):
            await RealHost().listen(listening.address)


# --- the file lock ----------------------------------------------------------------------------


def test_a_lock_keeps_others_out_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "balcony.db.lock"
    lock = RealHost().lock_file(path)
    with pytest.raises(StoreError, match="another balcony uses this store"):
        RealHost().lock_file(path)
    lock.close()
    lock.close()  # twice is harmless: its number may be another file's by now
    again = RealHost().lock_file(path)
    with pytest.raises(StoreError):
        RealHost().lock_file(path)
    again.close()


def test_a_lock_goes_with_its_process_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "balcony.db.lock"
    program = (
        "import pathlib, sys; from gateway.host import RealHost;"
        " lock = RealHost().lock_file(pathlib.Path(sys.argv[1])); print('held', flush=True);"
        " sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreError):
            RealHost().lock_file(path)
        other.send_signal(signal.SIGKILL)
        other.wait(TEST_SECONDS)
    RealHost().lock_file(path).close()


def test_a_lock_in_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RealHost().lock_file(tmp_path / "nowhere" / "balcony.db.lock")


# --- threads, clock, randomness ---------------------------------------------------------------


async def test_a_blocking_call_gives_its_result_or_its_exception() -> None:
    host = RealHost()
    assert await host.run_blocking(lambda: 6 * 7) == 42

    def fail() -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        await host.run_blocking(fail)
    assert await host.run_blocking(lambda: "still there") == "still there"


async def test_blocking_calls_run_one_at_a_time() -> None:
    host, meeting, alone = RealHost(), threading.Barrier(2), []

    def call() -> None:
        try:
            meeting.wait(0.05)  # met by the other only if that runs, too
        except threading.BrokenBarrierError:
            alone.append(True)

    with trio.fail_after(TEST_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.run_blocking, call)
            nursery.start_soon(host.run_blocking, call)
    assert len(alone) == 2


def test_dates_are_in_utc_and_bytes_are_never_the_same() -> None:
    host = RealHost()
    assert host.now().utcoffset() == timedelta(0)
    assert len({host.token_bytes(16) for _ in range(100)}) == 100
