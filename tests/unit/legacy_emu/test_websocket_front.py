"""The WebSocket front in literal JSON: bad input, foreign pages, and who is cut off."""

from typing import Any, cast

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import ConnectionClosed, ConnectionRejected, wrap_client_stream

from legacy_emu.control import Control
from legacy_emu.fronts import UnknownFront, load_front, url
from legacy_emu.fronts.websocket import MAX_WAITING, serve
from legacy_emu.policy import Policy
from legacy_emu.service import Service
from tests.unit.legacy_emu.conftest import Connect

BAD = [
    "nonsense",
    "[]",
    "{}",
    '{"type": 7}',
    '{"type": "ping"}',
    '{"type": "ping", "id": 1}',
    '{"type": "ping", "id": "' + "x" * 201 + '"}',
    '{"type": "set_presence", "ref": "r", "show": "asleep"}',
    '{"type": "set_typing", "ref": "r", "to": "juliet", "state": "singing"}',
    '{"type": "grant", "ref": "' + "x" * 201 + '", "address": "juliet"}',
    '{"type": "sign_on", "account": "romeo", "password": "romeo-pw"}',
    b"\x00\x01",
]


@pytest.mark.parametrize("data", BAD, ids=lambda data: str(data)[:40])
async def test_who_breaks_the_protocol_is_signed_off_with_a_reason(
    control: Control, connect: Connect, data: str | bytes
) -> None:
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        await romeo.socket.send_message(data)
        over = await romeo.next()
        assert (over["type"], over["reason"]) == ("signed_off", None)
        assert over["text"]
        with pytest.raises(ConnectionClosed):
            await romeo.socket.get_message()
    assert [account["sessions"] for account in control.accounts()] == [0, 0, 0]


async def test_a_frame_that_is_too_large_closes_the_connection(
    control: Control, connect: Connect
) -> None:
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        await romeo.socket.send_message("x" * 300_000)
        with pytest.raises(ConnectionClosed):
            await romeo.next()
    assert control.connections() == []


async def test_nobody_acts_before_signing_on(control: Control, connect: Connect) -> None:
    del control
    async with connect() as nobody:
        await nobody.send("send_message", ref="1", to="juliet", text="Boo")
        assert "sign on first" in (await nobody.next())["text"]


async def test_an_unknown_frame_is_left_alone(control: Control, connect: Connect) -> None:
    del control
    async with connect() as romeo:
        await romeo.send("horoscope", sign="leo")
        await romeo.send("ping", id="1")
        assert await romeo.next() == {"type": "pong", "id": "1"}


async def test_two_talk_in_literal_frames(control: Control, connect: Connect) -> None:
    control.befriend("romeo", "juliet")
    async with connect() as romeo, connect() as juliet:
        await romeo.sign_on("romeo")
        await juliet.sign_on("juliet")
        await juliet.expect("presence")
        await romeo.send("send_message", ref="1", to="Juliet", text="Hello")
        accepted = await romeo.expect("outcome")
        heard = await juliet.next()
        assert accepted == {
            "type": "outcome",
            "ref": "1",
            "stage": "accepted",
            "id": heard["id"],
            "reason": None,
            "text": "",
        }
        assert heard == {
            "type": "message",
            "id": heard["id"],
            "conversation": "romeo",
            "sender": "romeo",
            "text": "Hello",
            "sent_at": None,
            "outgoing": False,
            "replaces": None,
        }
        await juliet.send("ack", ids=[heard["id"]])
        assert (await romeo.expect("outcome"))["stage"] == "delivered"
        await romeo.send("sign_off")
        assert (await romeo.next())["type"] == "signed_off"
        assert (await juliet.expect("presence"))["show"] == "offline"


async def test_a_long_list_comes_in_parts(
    service: Service, control: Control, connect: Connect
) -> None:
    for number in range(250):
        control.create_account(f"friend {number}", "pw", "x" * 200)
        service.backend.befriend("romeo", f"friend{number}", ("y" * 1900,))
    async with connect() as romeo:
        await romeo.send("sign_on", account="romeo", password="romeo-pw")
        await romeo.expect("signed_on")
        contacts, complete = [], False
        while not complete:
            part = await romeo.next()
            contacts += part["contacts"]
            complete = part["complete"]
    assert [contact["address"] for contact in contacts] == [f"friend {n}" for n in range(250)]


async def test_what_the_service_cannot_do_is_refused(
    service: Service, control: Control, connect: Connect
) -> None:
    del control
    service.backend.policy = Policy(capabilities=())
    async with connect() as romeo:
        await romeo.send("sign_on", account="romeo", password="romeo-pw")
        assert (await romeo.next())["capabilities"] == ["offline_messages"]
        await romeo.expect("contact_list")
        for type_, fields in (
            ("nudge", {"to": "juliet"}),
            ("set_presence", {"show": "away", "only_for": ["juliet"]}),
            ("search", {"fields": {}}),
        ):
            await romeo.send(type_, ref="1", **fields)
            assert (await romeo.next())["reason"] == "unsupported"
        await romeo.send("send_message", ref="2", to="juliet", text="x", replaces="1")
        assert (await romeo.next())["reason"] == "unsupported"


async def test_who_does_not_read_is_cut_off_in_the_end(
    service: Service, control: Control, connect: Connect
) -> None:
    service.backend.policy = Policy(max_kept=10)
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        for number in range(MAX_WAITING + 1):
            control.notice("romeo", str(number))
        await trio.testing.wait_all_tasks_blocked()
        assert control.connections() == []


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True),
        ("http://127.0.0.1:8000", True),
        ("http://evil.example", False),
        ("null", False),
    ],
)
async def test_foreign_web_pages_are_refused(
    service: Service, origin: str | None, welcome: bool
) -> None:
    service.origins = ("http://127.0.0.1:8000",)
    ours, theirs = memory_stream_pair()
    headers = [] if origin is None else [(b"Origin", origin.encode())]
    status = 101
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, service)
            await wrap_client_stream(nursery, cast(Any, ours), "emu", "/", extra_headers=headers)
            nursery.cancel_scope.cancel()
    except* ConnectionRejected as group:
        status = cast(ConnectionRejected, group.exceptions[0]).status_code
    assert status == (101 if welcome else 403)


@pytest.mark.parametrize("hello", [b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x00\xa5"])
async def test_who_never_opens_a_websocket_is_sent_away(
    service: Service, autojump_clock: MockClock, hello: bytes
) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, theirs, service)
        await ours.send_all(hello)
        while await ours.receive_some():
            pass
    assert trio.current_time() < 60
    assert service.connections == {}


def test_fronts_are_loaded_by_name() -> None:
    assert load_front("websocket") is serve
    with pytest.raises(UnknownFront, match="websocket"):
        load_front("telepathy")
    assert url("websocket", "::1", 80) == "ws://[::1]:80/"
