"""The driver's shell against bytes no honest service sends."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.host import Address, RealHost
from gateway.networks.base import Account, LoginRefused, MessageReceived, Refusal, SignedOff
from gateway.networks.emu import EmuNetwork, Settings, wire
from legacy_emu.faults import Kind, Moment
from tests.contract.emu import EmuHarness, in_memory
from tests.contract.harness import no_challenge, nothing_left, sign_on, until_ended

ROMEO = Account("romeo", "romeo-pw")


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[EmuNetwork, None]:
    """Give a network whose service says these bytes to everybody, and no more."""

    class Host(RealHost):
        async def dial(self, address: Address) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = memory_stream_pair()
            await theirs.send_all(answer)
            await theirs.send_eof()
            return ours

    yield EmuNetwork(Host(), Settings(host="emu.example", port=1, tls="off"))


ANSWERS = [
    (b"", ConnectionLost),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", RemoteProtocolError),
    (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", RemoteProtocolError),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ConnectionLost),
    (b"220 mail.example ESMTP\r\n", ConnectionLost),
    (b"\x16\x03\x03\x00\x7a\x02", ConnectionLost),
]


@pytest.mark.parametrize(("answer", "expected"), ANSWERS)
async def test_who_is_no_websocket_service_is_left_at_once(
    answer: bytes, expected: type[Exception], autojump_clock: MockClock
) -> None:
    async with answering(answer) as network:
        with pytest.raises(expected):
            async with network.sign_on(ROMEO, no_challenge):
                pytest.fail("signed on")
    assert trio.current_time() == 0


@given(answer=st.binary(max_size=300))
async def test_random_bytes_raise_nothing_else(answer: bytes) -> None:
    async with answering(answer) as network:
        with pytest.raises((ConnectionLost, RemoteProtocolError)):
            async with network.sign_on(ROMEO, no_challenge):
                pytest.fail("signed on")


@pytest.mark.parametrize("seed", range(100))
async def test_a_garbled_connection_ends_in_an_orderly_error(
    seed: int, autojump_clock: MockClock
) -> None:
    async with in_memory() as harness, nothing_left(harness):
        harness.service.world.random.seed(seed)
        account = harness.account("romeo")
        harness.account("juliet")
        harness.befriend("romeo", "juliet")
        if seed % 4 == 0:
            harness.control.set_fault(Kind.GARBLE)  # the handshake, too
        may_fail = (ConnectionLost, RemoteProtocolError, LoginRefused) if seed % 4 == 0 else ()
        with contextlib.suppress(*may_fail):
            async with sign_on(harness, account) as client:
                harness.control.set_fault(Kind.GARBLE)
                for number in range(20):
                    harness.say("juliet", "romeo", f"message {number}")
                harness.control.kick("romeo")
                _, ended = await until_ended(client)
                assert isinstance(ended, ConnectionLost | RemoteProtocolError | SignedOff)


async def test_a_credential_that_fits_no_frame_is_a_wrong_one() -> None:
    async with in_memory() as harness, nothing_left(harness):
        with pytest.raises(LoginRefused) as refused:
            async with sign_on(harness, Account("romeo", "x" * 300_000)):
                pytest.fail("signed on")
        assert refused.value.reason is Refusal.WRONG_CREDENTIALS


async def test_byte_by_byte_is_as_good_as_whole() -> None:
    async with in_memory() as harness, nothing_left(harness):
        await talk_while(harness, Kind.SPLIT)


async def test_a_drop_at_each_frame_is_a_lost_connection() -> None:
    async with in_memory() as harness, nothing_left(harness):
        account = harness.account("romeo")
        harness.control.set_fault(Kind.DROP, moment=Moment.FRAMES, after_frames=2)
        async with sign_on(harness, account) as client:
            client.acknowledge("any")
            _, ended = await until_ended(client)
            assert isinstance(ended, ConnectionLost)


async def talk_while(harness: EmuHarness, kind: Kind) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    harness.control.set_fault(kind)
    async with sign_on(harness, account) as client:
        sent = [harness.say("juliet", "romeo", f"message {number}") for number in range(5)]
        harness.control.kick("romeo")
        events, _ = await until_ended(client)
        assert [getattr(event, "legacy_id", None) for event in events][-5:] == sent


@asynccontextmanager
async def saying(data: Callable[[WSConnection], bytes]) -> AsyncGenerator[EmuNetwork, None]:
    """Give a network whose service answers the sign-on with `data`, in one write, and no more."""

    async def serve(stream: trio.abc.Stream) -> None:
        socket = WSConnection(ConnectionType.SERVER)
        while True:
            socket.receive_data(bytes(await stream.receive_some()))
            for event in socket.events():
                if isinstance(event, Request):
                    await stream.send_all(socket.send(AcceptConnection()))
                elif isinstance(event, TextMessage):
                    await stream.send_all(data(socket))
                    await trio.sleep_forever()

    class Host(RealHost):
        async def dial(self, address: Address) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = memory_stream_pair()
            nursery.start_soon(serve, theirs)
            return ours

    async with trio.open_nursery() as nursery:
        yield EmuNetwork(Host(), Settings(host="emu.example", port=1, tls="off"))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("bad", [b"\x81\x03{{{", b"\x81\x02\xff\xff", b"\xff\x00", b"\x83\x00"])
async def test_frames_before_a_malformed_one_count(bad: bytes, autojump_clock: MockClock) -> None:
    def data(socket: WSConnection) -> bytes:
        frames: list[wire.ServerFrame] = [wire.SignedOn("Romeo", "Romeo")]
        frames += [wire.Message(str(n), "juliet", "juliet", f"message {n}") for n in range(5)]
        return b"".join(socket.send(TextMessage(wire.encode(one))) for one in frames) + bad

    async with saying(data) as network, network.sign_on(ROMEO, no_challenge) as client:
        events, ended = await until_ended(client)
        texts = [event.text for event in events if isinstance(event, MessageReceived)]
        assert texts == [f"message {n}" for n in range(5)]
        assert isinstance(ended, ConnectionLost | RemoteProtocolError)
