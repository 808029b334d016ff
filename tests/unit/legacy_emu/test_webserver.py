"""The page's web server, and what HTTP clients once ended the emulator with."""

import re

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from legacy_emu import webserver
from legacy_emu.webserver import Answer, Request, serve_http

GET = b"GET / HTTP/1.1\r\nHost: emu.example\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: "


def answer_to(request: Request) -> Answer:
    return Answer(200, {"x-path": request.path}, b"hello")


async def statuses(data: bytes) -> list[int]:
    """Send `data`, and return the status of each answer until the server closes."""
    ours, theirs = memory_stream_pair()
    with trio.fail_after(60):
        await ours.send_all(data)
        await ours.send_eof()
        await serve_http(theirs, answer_to)
        came = b"".join([part async for part in ours])
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+)", came)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (GET + b"\r\n", [200]),
        ((GET + b"\r\n") * 20, [200] * 20),
        (b"GET / HTTP/1.0\r\n\r\n" + GET + b"\r\n", [200]),
        (GET + b"Connection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n", [200]),
        (GET + b"\r\nGET / HTTP/1.1\r\n\r\n", [200, 400]),
        (GET + b"\r\nC\xff\xffontent", [200, 400]),
        (GET, [400]),
        (b"CO\xceNECT 127.0.0.1:1 HTTP/1", [400]),
        (b"\0" * 40, [400]),
        (GET + b"X: " + b"y" * 20_000, [431]),
        (GET + b"Content-Length: 5\r\n\r\nhello" + GET + b"\r\n", [200]),
        (GET + b"Content-Length: 90000\r\n\r\nhello", [200]),
        (GET + b"Content-Length: -5\r\n\r\n", [400]),
        (GET + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", [200]),
        (GET + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", [200]),
        (
            b"CONNECT emu.example:1 HTTP/1.1\r\nHost: emu.example:1\r\n\r\n" + GET + b"\r\n",
            [405, 200],
        ),
        (GET + UPGRADE + b"h2c\r\n\r\n", [200]),
        (GET + UPGRADE + b"h2c\r\n\r\n" + GET + b"\r\n", [200, 200]),
        (GET + UPGRADE + b"websocket\r\n\r\n\x81\x80", [200, 400]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", [405, 400]),
        (GET.replace(b"GET", b"POST") + b"Content-Length: 5\r\n\r\nhello", [405]),
    ],
    ids=range(22),
)
async def test_hostile_requests_get_plain_answers(
    data: bytes, expected: list[int], autojump_clock: MockClock
) -> None:
    assert await statuses(data) == expected


async def test_head_has_a_length_and_no_body(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    await ours.send_all(GET.replace(b"GET", b"HEAD") + b"Connection: close\r\n\r\n")
    await serve_http(theirs, answer_to)
    came = b"".join([part async for part in ours])
    assert b"content-length: 5\r\n" in came
    assert came.endswith(b"\r\n\r\n")


async def test_silent_client_is_left(autojump_clock: MockClock) -> None:
    for said in (b"", GET, GET + b"\r\n"):
        ours, theirs = memory_stream_pair()
        await ours.send_all(said)
        before = trio.current_time()
        await serve_http(theirs, answer_to)
        assert trio.current_time() - before == webserver.REQUEST_SECONDS


async def test_client_that_reads_nothing_is_left(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    theirs.send_stream.send_all_hook = trio.sleep_forever
    await ours.send_all((GET + b"\r\n") * 1_000)
    before = trio.current_time()
    await serve_http(theirs, answer_to)
    assert trio.current_time() - before == webserver.ANSWER_SECONDS


async def test_cancellation_ends_a_stuck_answer(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    theirs.send_stream.send_all_hook = trio.sleep_forever
    await ours.send_all(GET + b"\r\n")
    with trio.move_on_after(1) as scope:
        await serve_http(theirs, answer_to)
    assert scope.cancelled_caught
    assert trio.current_time() == 1
