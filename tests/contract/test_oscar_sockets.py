"""What ends a session on AIM, and what keeps it, over real sockets."""

import pytest
import trio

from gateway.errors import ConnectionLost
from gateway.networks.base import (
    ContactList,
    MessageOutcome,
    MessageReceived,
    Refusal,
    SendMessage,
    SignedOff,
    Stage,
)
from gateway.networks.oscar.wire import FrameWriter, Snac, encode, general
from legacy_emu.faults import Kind
from legacy_emu.policy import Policy
from tests.contract.harness import ask_of, next_event, sign_on, until_ended
from tests.contract.oscar import on_loopback

ELSEWHERE = bytes.fromhex("2a04 0000 0006 0009 0002 0001")


async def test_another_sign_on_ends_the_first_and_is_no_fight() -> None:
    async with on_loopback() as aim:
        account = aim.account("romeo")
        async with sign_on(aim, account) as first:
            await next_event(first, ContactList)
            async with sign_on(aim, account) as second:
                _, ended = await until_ended(first)
                assert isinstance(ended, SignedOff)
                assert (ended.reason, ended.retry_after) == (Refusal.ELSEWHERE, None)
                await next_event(second, ContactList)
                aim.account("juliet")
                aim.say("juliet", "romeo", "Which one?")
                assert (await next_event(second, MessageReceived)).text == "Which one?"
        assert not aim.control.arrived(account="romeo", kind="sign_on")[2:]


async def test_several_sign_ons_stay_where_they_may() -> None:
    async with on_loopback(Policy(several_sign_ons=True)) as aim:
        account = aim.account("romeo")
        aim.account("juliet")
        async with sign_on(aim, account) as first, sign_on(aim, account) as second:
            aim.say("juliet", "romeo", "Both of you")
            for client in (first, second):
                assert (await next_event(client, MessageReceived)).text == "Both of you"


async def test_who_does_not_want_several_sign_ons_is_the_only_one() -> None:
    async with on_loopback(Policy(several_sign_ons=True), several_sign_ons=False) as aim:
        account = aim.account("romeo")
        async with sign_on(aim, account) as first, sign_on(aim, account) as second:
            _, ended = await until_ended(first)
            assert isinstance(ended, SignedOff)
            assert ended.reason is Refusal.ELSEWHERE
            await next_event(second, ContactList)


async def test_who_was_limited_is_not_said_to_be_elsewhere() -> None:
    """One server has the same words for both."""
    rate = general.RateClass(3, 20, 5100, 5000, 4000, 3000, 3900, 6000, 0, 1)
    limited = encode(FrameWriter(0), Snac(general.RateChange(general.RateCode.LIMITED, rate)))
    async with on_loopback() as aim, sign_on(aim, aim.account("romeo")) as client:
        await next_event(client, ContactList)
        aim.control.say_raw((limited + ELSEWHERE).decode("latin-1"))
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert ended.reason is Refusal.TOO_MANY_ATTEMPTS
        assert ended.retry_after


@pytest.mark.parametrize("reason", [None, Refusal.ELSEWHERE])
async def test_a_sign_off_in_four_bytes_is_orderly_and_says_nothing(
    reason: Refusal | None,
) -> None:
    async with on_loopback() as aim, sign_on(aim, aim.account("romeo")) as client:
        await next_event(client, ContactList)
        aim.control.set_fault(Kind.SHORT_SIGN_OFF)
        aim.sign_off("romeo", reason, "")
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert ended.reason is None


async def test_a_connection_is_kept_alive_and_found_dead() -> None:
    async with on_loopback(ping_seconds=0.05, pong_seconds=0.2) as aim:
        account = aim.account("romeo")
        aim.account("juliet")
        async with sign_on(aim, account) as client:
            await next_event(client, ContactList)
            with trio.move_on_after(0.8):  # much longer than it may be silent
                pytest.fail(f"{await client.receive()} came")
            message = SendMessage(ref="m", conversation="juliet", text="Still here")
            assert (await ask_of(client, message, MessageOutcome)).stage is Stage.ACCEPTED
            aim.fall_silent()
            _, ended = await until_ended(client)
            assert isinstance(ended, ConnectionLost)
            assert "has not answered" in str(ended)
            aim.heal()
