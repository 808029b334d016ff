"""Contract: how a session ends, from either side, and that what is unproven comes again."""

from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost
from gateway.networks import event_queue
from gateway.networks.base import (
    ContactList,
    MessageReceived,
    PresenceChanged,
    Refusal,
    SendMessage,
    Show,
    SignedOff,
)
from tests.contract.harness import Harness, next_event, nothing_left, sign_on, until_ended


@pytest.mark.parametrize("reason", [Refusal.ELSEWHERE, Refusal.SUSPENDED, Refusal.BUSY, None])
async def test_the_service_ends_a_session_in_order(
    harness: Harness, reason: Refusal | None
) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with nothing_left(harness), sign_on(harness, account) as client:
        await next_event(client, ContactList)
        harness.say("juliet", "romeo", "The last word")
        harness.sign_off("romeo", reason, "closing time")
        assert (await next_event(client, MessageReceived)).text == "The last word"
        words = "closing time" if harness.ends_in_words else None
        for _ in range(2):
            with pytest.raises(SignedOff, match=words) as ended:
                await client.receive()
            assert ended.value.reason is (reason if reason in harness.endings else None)
        with pytest.raises(SignedOff):
            await client.send(SendMessage(ref="1", conversation="juliet", text="Wait!"))
        client.acknowledge("no such token")


async def test_a_second_sign_on_ends_the_first(harness: Harness) -> None:
    account = harness.account("romeo")
    async with nothing_left(harness), sign_on(harness, account) as first:
        await next_event(first, ContactList)
        async with sign_on(harness, account) as second:
            with pytest.raises(SignedOff) as ended:
                await next_event(first, MessageReceived)
            assert ended.value.reason is Refusal.ELSEWHERE
            await next_event(second, ContactList)


async def test_a_connection_that_goes_is_told_to_everybody_who_waits(harness: Harness) -> None:
    account = harness.account("romeo")
    async with nothing_left(harness), sign_on(harness, account) as client:
        await next_event(client, ContactList)
        harness.hang_up()
        with pytest.raises(ConnectionLost):
            await client.receive()
        with pytest.raises(ConnectionLost):
            await client.send(SendMessage(ref="1", conversation="romeo", text="Hello?"))


@pytest.mark.parametrize("how", ["fall_silent", "stop_reading"])
async def test_connected_but_dead_is_noticed(
    timed: Harness, autojump_clock: MockClock, how: str
) -> None:
    async with nothing_left(timed), sign_on(timed, timed.account("romeo")) as client:
        await next_event(client, ContactList)
        start = trio.current_time()
        getattr(timed, how)()
        with pytest.raises(ConnectionLost):
            await client.receive()
        assert trio.current_time() - start < 300
        timed.heal()


@pytest.mark.slow
async def test_a_quiet_session_stays_up_for_a_day(
    timed: Harness, autojump_clock: MockClock
) -> None:
    timed.account("juliet")
    async with sign_on(timed, timed.account("romeo")) as client:
        await next_event(client, ContactList)
        await trio.sleep(24 * 3600)
        timed.say("juliet", "romeo", "Good morrow")
        assert (await next_event(client, MessageReceived)).text == "Good morrow"


@pytest.mark.parametrize("how", ["fall_silent", "stop_reading"])
async def test_a_stuck_service_delays_sign_off_only_briefly(
    timed: Harness, autojump_clock: MockClock, how: str
) -> None:
    account = timed.account("romeo")
    async with nothing_left(timed):
        async with sign_on(timed, account) as client:
            await next_event(client, ContactList)
            getattr(timed, how)()
            start = trio.current_time()
        assert 0 < trio.current_time() - start <= 10
        timed.heal()


async def test_leaving_signs_off(harness: Harness) -> None:
    account, other = harness.account("romeo"), harness.account("juliet")
    harness.befriend("romeo", "juliet")
    async with sign_on(harness, other) as juliet:
        async with sign_on(harness, account):
            await next_event(juliet, PresenceChanged, lambda event: event.show is Show.ONLINE)
        assert harness.left_orderly("romeo")
        gone = await next_event(juliet, PresenceChanged)
        assert (gone.address, gone.show) == ("romeo", Show.OFFLINE)


async def test_what_is_not_acknowledged_comes_again_under_the_same_id(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        await next_event(client, ContactList)
        harness.say("juliet", "romeo", "one")
        harness.say("juliet", "romeo", "two")
        one = await next_event(client, MessageReceived)
        two = await next_event(client, MessageReceived)
        assert one.sent_at is None
        assert two.legacy_id is not None
        client.acknowledge(one.token)
    async with sign_on(harness, account) as client:
        again = await next_event(client, MessageReceived)
        assert (again.text, again.legacy_id) == ("two", two.legacy_id)
        assert again.sent_at is not None
        assert again.sent_at.utcoffset() == timedelta(0)
        client.acknowledge(again.token)
    assert harness.unacknowledged("romeo") == []
    async with sign_on(harness, account) as client:
        harness.say("juliet", "romeo", "three")
        assert (await next_event(client, MessageReceived)).text == "three"


async def test_an_acknowledgement_just_before_leaving_arrives(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    harness.say("juliet", "romeo", "while you were out")
    async with sign_on(harness, account) as client:
        client.acknowledge((await next_event(client, MessageReceived)).token)
    assert harness.unacknowledged("romeo") == []


async def test_a_cut_connection_loses_nothing_that_was_not_acknowledged(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        await next_event(client, ContactList)
        sent = [harness.say("juliet", "romeo", f"number {number}") for number in range(20)]
        first = await next_event(client, MessageReceived)
        harness.hang_up()
        _, ended = await until_ended(client)
        assert isinstance(ended, ConnectionLost)
        client.acknowledge(first.token)
    async with sign_on(harness, account) as client:
        again = [await next_event(client, MessageReceived) for _ in sent]
        assert [event.legacy_id for event in again] == sent


async def test_a_slow_reader_loses_no_value_and_holds_up_nobody(
    timed: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He who reads late gets all; when it is too much, his session ends, and it comes again."""
    monkeypatch.setattr(event_queue, "MAX_WAITING_VALUES", 1_000)  # less than a service keeps
    account = timed.account("romeo")
    timed.account("juliet")
    timed.befriend("romeo", "juliet")
    sent: list[str] = []
    async with sign_on(timed, account) as client:
        await next_event(client, ContactList)
        for number in range(300):
            timed.show("juliet", Show.AWAY if number % 2 else Show.DND, f"status {number}")
            sent += [timed.say("juliet", "romeo", f"{number}.{copy}") for copy in range(10)]
            await trio.testing.wait_all_tasks_blocked()
        events, ended = await until_ended(client)
    assert isinstance(ended, ConnectionLost)
    got = [event.legacy_id for event in events if isinstance(event, MessageReceived)]
    assert 0 < len(got) < len(sent)
    assert got == sent[: len(got)]
    assert sum(isinstance(event, PresenceChanged) for event in events) == 1
    assert timed.unacknowledged("romeo") == sent


async def test_a_cancelled_session_still_takes_its_leave(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with nothing_left(harness):
        with trio.CancelScope() as scope:
            async with sign_on(harness, account) as client:
                harness.say("juliet", "romeo", "Stay but a little")
                client.acknowledge((await next_event(client, MessageReceived)).token)
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
    assert harness.unacknowledged("romeo") == []
    assert harness.left_orderly("romeo")
