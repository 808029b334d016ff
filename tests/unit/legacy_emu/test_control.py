"""The control channel: the same actions as methods and over WebSocket, to the letter."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from legacy_emu.control import ACTIONS, Control, answer, serve
from legacy_emu.control_client import ControlClient, ControlError, control_over
from tests.unit.legacy_emu.conftest import Connect


@asynccontextmanager
async def controlling(control: Control) -> AsyncGenerator[ControlClient, None]:
    async with trio.open_nursery() as nursery:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(serve, theirs, control)
        async with control_over(ours) as client:
            yield client
        nursery.cancel_scope.cancel()


async def test_an_account_that_is_signed_on_is_shown_otherwise_where_it_is(
    control: Control, connect: Connect
) -> None:
    async with controlling(control) as client, connect() as romeo, connect() as juliet:
        await client.call("befriend", first="romeo", second="juliet", mutual=False)
        await romeo.sign_on("romeo")
        await juliet.sign_on("juliet")
        await romeo.expect("presence")
        await client.call("set_presence", address="juliet", show="away", text="on the balcony")
        own = await juliet.expect("presence")
        assert (own["address"], own["show"], own["text"]) == ("juliet", "away", "on the balcony")
        assert (await romeo.expect("presence"))["show"] == "away"
        assert [one["sessions"] for one in await client.call("accounts")][:2] == [1, 1]


async def test_a_legacy_user_is_played_over_the_channel(control: Control, connect: Connect) -> None:
    async with controlling(control) as client, connect() as romeo:
        await client.call("befriend", first="romeo", second="juliet", groups=["Capulets"])
        await romeo.sign_on("romeo")
        await client.call("set_presence", address="juliet", show="dnd", text="reading")
        assert (await romeo.expect("presence"))["show"] == "online"  # he signs on first
        assert (await romeo.expect("presence"))["text"] == "reading"
        number = await client.call("send_message", sender="juliet", to="romeo", text="Hi \ud83d")
        assert (await romeo.expect("message"))["id"] == number
        await romeo.send("ack", ids=[number])
        await romeo.send("ping", id="1")
        await romeo.expect("pong")
        heard = await client.call("heard", address="juliet")
        assert [each["kind"] for each in heard[-2:]] == ["MessageAccepted", "MessageDelivered"]
        since = await client.call("last_arrived")
        await romeo.send("send_message", ref="1", to="juliet", text="Hello")
        [entry] = await client.wait_arrived(since, account="romeo", kind="message")
        assert (entry["fields"]["to"], entry["fields"]["text"]) == ("juliet", "Hello")
        heard = await client.call("heard", address="juliet")
        assert heard[-1]["kind"] == "MessageArrived"
        assert heard[-1]["event"]["text"] == "Hello"
        assert (await romeo.expect("outcome"))["stage"] == "accepted"
        assert (await romeo.expect("outcome"))["stage"] == "delivered"  # who is played, acks


async def test_every_action_can_be_asked_for(control: Control) -> None:
    """Called without its arguments each action says so, or does what needs none."""
    for action in ACTIONS:
        if action == "wait_arrived":
            continue  # it would wait
        reply = json.loads(await answer(control, json.dumps({"id": 1, "action": action})))
        assert reply["id"] == 1
        assert "result" in reply or "missing" in reply["error"]


WRONG: list[tuple[str | bytes, str]] = [
    ("nonsense", "JSON"),
    (b"\xff", "JSON"),
    ("[" * 100_000, "JSON"),
    ("[]", "object"),
    ("{}", "action"),
    ('{"action": "_user"}', "action"),
    ('{"action": "recorded"}', "action"),
    ('{"action": ["kick"]}', "action"),
    ('{"action": "kick", "arguments": []}', "arguments"),
    ('{"action": "kick", "arguments": {"addres": "romeo"}}', "addres"),
    ('{"action": "kick", "arguments": {"address": 7}}', "address"),
    ('{"action": "kick", "arguments": {"address": "romeo", "reason": "boredom"}}', "boredom"),
    ('{"action": "kick", "arguments": {"address": "rosaline"}}', "rosaline"),
    ('{"action": "create_account", "arguments": {"address": "", "password": "x"}}', "empty"),
    ('{"action": "set_policy", "arguments": {"consent": "false"}}', "consent"),
    ('{"action": "set_policy", "arguments": {"max_text_bytes": 9999999}}', "max_text_bytes"),
    ('{"action": "set_fault", "arguments": {"kind": "plague"}}', "plague"),
]


@pytest.mark.parametrize(("request_", "about"), WRONG, ids=lambda value: str(value)[:50])
async def test_what_cannot_be_done_is_said(
    control: Control, request_: str | bytes, about: str
) -> None:
    reply: dict[str, Any] = json.loads(await answer(control, request_))
    assert "result" not in reply
    assert about in reply["error"]


async def test_the_client_raises_what_the_service_refuses(control: Control) -> None:
    async with controlling(control) as client:
        with pytest.raises(ControlError, match="rosaline"):
            await client.call("kick", address="rosaline")
        assert await client.call("kick", address="romeo") == 0


async def test_exceptions_pass_through_the_client_as_they_are(control: Control) -> None:
    async with trio.open_nursery() as nursery:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(serve, theirs, control)
        with pytest.raises(ZeroDivisionError):
            async with control_over(ours):
                raise ZeroDivisionError


async def test_a_policy_changes_in_parts(control: Control) -> None:
    control.set_policy(consent=False)
    control.set_policy(max_contacts=1)
    assert control.add_contact("romeo", "juliet") is True
    assert control.contacts("romeo")[0].sees
