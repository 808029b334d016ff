"""What clients once ended or filled the service with, over WebSocket and the control channel."""

import json
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair

from legacy_emu import backend
from legacy_emu.control import Control, answer
from legacy_emu.events import RequestRefused
from legacy_emu.faults import Kind
from legacy_emu.fronts import websocket
from legacy_emu.names import NameRefused, canonical
from legacy_emu.recent import Recent
from legacy_emu.record import Record
from legacy_emu.service import Service
from legacy_emu.websockets import WebSocket, serve_websocket
from tests.unit.legacy_emu.conftest import Connect

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: emu.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
EMPTY_START = b"\x01\x80\0\0\0\0"
EMPTY_CONTINUATION = b"\x00\x80\0\0\0\0"


@pytest.mark.parametrize(
    ("usual", "odd"),
    [
        (b"emu.example", b"\xff\xfe"),
        (b"emu.example", b"xn--\xc3"),
        (b"emu.example", b"a" * 70),
        (b"GET /", b"GET /\xff"),
    ],
)
async def test_handshake_beyond_ascii_ends_quietly(
    service: Service,
    usual: bytes,
    odd: bytes,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = memory_stream_pair()
    with trio.fail_after(60):
        await ours.send_all(HANDSHAKE.replace(usual, odd))
        await ours.send_eof()
        await websocket.serve(theirs, service)
    assert not service.connections
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n", b"\0\r\n\r\n"])
async def test_end_before_the_handshake_frees_the_connection(
    service: Service, said: bytes, autojump_clock: MockClock
) -> None:
    ours, theirs = memory_stream_pair()
    await ours.send_all(said)
    await ours.send_eof()
    before = trio.current_time()
    await websocket.serve(theirs, service)
    assert trio.current_time() == before


async def talk(socket: WebSocket) -> None:
    while True:
        await socket.send_message(str(await socket.get_message()))


async def test_endless_fragments_end_the_connection() -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_websocket, theirs, talk, max_bytes=100))
        with trio.fail_after(5):
            await ours.send_all(HANDSHAKE)
            assert b" 101 " in await ours.receive_some()
            await ours.send_all(EMPTY_START + EMPTY_CONTINUATION * 80)
            await trio.testing.wait_all_tasks_blocked()
            await ours.send_all(EMPTY_CONTINUATION * 60)
            assert await ours.receive_some() == b""


async def test_many_messages_keep_the_connection() -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_websocket, theirs, talk, max_bytes=100))
        with trio.fail_after(5):
            await ours.send_all(HANDSHAKE)
            assert b" 101 " in await ours.receive_some()
            for _ in range(200):
                await ours.send_all(b"\x81\x85\0\0\0\0hello")
                assert await ours.receive_some() == b"\x81\x05hello"
        nursery.cancel_scope.cancel()


async def test_half_surrogates_said_raw_go_out(control: Control, connect: Connect) -> None:
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        control.say_raw('"\ud800"')
        assert await romeo.socket.get_message() == '"?"'


async def test_client_that_never_reads_is_bounded(
    control: Control, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MAX_WAITING_LENGTH", 100_000)
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        for _ in range(60):
            control.notice("romeo", "x" * 1_900)
        await trio.testing.wait_all_tasks_blocked()
        assert not control.connections()


async def test_client_that_reads_may_get_much(
    control: Control, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MAX_WAITING_LENGTH", 10_000)
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        for _ in range(60):
            control.notice("romeo", "x" * 1_900)
            await romeo.expect("notice")


# --- the control channel ----------------------------------------------------------------------


async def asked(control: Control, text: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(await answer(control, text))
    return said


def request(action: str, arguments: str) -> str:
    return f'{{"id": 1, "action": "{action}", "arguments": {arguments}}}'


@pytest.mark.parametrize(
    "arguments",
    [
        f'{{"kind": "delay", "seconds": 1{"0" * 400}}}',
        '{"kind": "delay", "seconds": 1e999}',
        '{"kind": "delay", "seconds": NaN}',
        '{"kind": "delay", "seconds": -1}',
        '{"kind": "rate_limit", "per_second": -1}',
        '{"kind": "refuse", "retry_after": Infinity}',
        f'{{"kind": "delay", "times": {"9" * 5000}}}',
    ],
    ids=range(7),
)
async def test_numbers_no_clock_takes_are_refused(control: Control, arguments: str) -> None:
    assert "error" in await asked(control, request("set_fault", arguments))
    assert control.faults() == {}


@pytest.mark.parametrize("depth", [*range(900, 1000, 7), 100_000])
async def test_deep_nesting_is_answered(control: Control, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    assert "error" in await asked(control, f'{{"id": {deep}, "action": "accounts"}}')
    assert "error" in await asked(control, f'{{"id": 1, "action": {deep}}}')
    assert "error" in await asked(control, request("set_policy", f'{{"capabilities": {deep}}}'))
    assert "error" in await asked(control, deep)


# --- memory -----------------------------------------------------------------------------------


def test_recent_items_have_a_total_length() -> None:
    recent: Recent[str] = Recent(max_items=5, max_length=100)
    for number in range(20):
        recent.add(f"{number}" * 15)
    assert list(recent) == ["15" * 15, "16" * 15, "17" * 15, "18" * 15, "19" * 15][2:]
    recent.add("x" * 1_000)
    assert list(recent) == ["x" * 1_000]
    for letter in "abcdefg":
        recent.add(letter)
    assert list(recent) == list("cdefg")


def test_record_forgets_by_length(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legacy_emu.record.MAX_LENGTH", 10_000)
    record = Record()
    for _ in range(100):
        record.add(service.world.now(), "romeo", "message", {"text": "x" * 1_000})
        record.add(service.world.now(), "romeo", "ack", {"ids": ["y" * 100] * 10})
    numbers = [entry.number for entry in record.entries()]
    assert numbers == list(range(194, 201))


def test_waiting_messages_have_a_total_length(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "MAX_KEPT_LENGTH", 50_000)
    for _ in range(40):
        control.send_message("romeo", "juliet", "x" * 1_000)
    control.send_message("romeo", "juliet", "x" * 10_000)
    with pytest.raises(RequestRefused, match="too much waits"):
        control.send_message("romeo", "juliet", "x")
    control.sign_on("juliet")
    control.sign_off("juliet")
    assert control.kept("juliet") == ()
    control.send_message("romeo", "juliet", "and there is room again")


def test_names_padded_with_blanks_are_refused() -> None:
    assert canonical(" Romeo  Montague ") == "romeomontague"
    with pytest.raises(NameRefused, match="at most"):
        canonical("romeo" + " " * 1_000)


def test_faults_that_strike_take_only_finite_numbers(control: Control) -> None:
    with pytest.raises(RequestRefused):
        control.set_fault(Kind.DELAY, seconds=-0.5)
