"""One queue a user: value counted and bounded, state replaced in its place."""

import trio
from trio.testing import wait_all_tasks_blocked

from gateway.bridge.inbox import Inbox

MAX_VALUE, MAX_STATE = 200, 10_000


def drain(inbox: Inbox[str]) -> list[str]:
    found = []
    while (item := inbox.get_nowait()) is not None:
        found.append(item)
    return found


def test_state_keeps_its_place_and_is_replaced_there() -> None:
    inbox: Inbox[str] = Inbox()
    inbox.put("hello")
    inbox.put_state("presence", "away")
    inbox.put("there")
    inbox.put_state("presence", "here")
    assert drain(inbox) == ["hello", "here", "there"]


def test_a_leaving_overtakes_nothing_that_was_received_before_it() -> None:
    inbox: Inbox[str] = Inbox()
    inbox.put_state("presence", "here")
    inbox.put("goodbye")
    inbox.put_last_state("presence", "gone")
    assert drain(inbox) == ["goodbye", "gone"]


def test_value_is_bounded_and_has_room_again_once_taken() -> None:
    inbox: Inbox[str] = Inbox()
    assert all(inbox.put(str(number)) for number in range(MAX_VALUE))
    assert not inbox.put("one too many")
    assert inbox.put_state("presence", "here")
    inbox.put_own("ours")
    inbox.get_nowait()
    assert inbox.put("fits")
    assert drain(inbox)[-3:] == ["here", "ours", "fits"]


def test_state_is_bounded_too() -> None:
    inbox: Inbox[str] = Inbox()
    for number in range(MAX_STATE):
        assert inbox.put_state(number, "here")
    assert not inbox.put_state("another", "here")
    assert inbox.put_state(0, "away")


async def test_waiting_ends_when_something_comes_or_something_changes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    inbox: Inbox[str] = Inbox()
    woken = []

    async def wait() -> None:
        await inbox.wait()
        woken.append(len(inbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        inbox.put("hello")
    inbox.get_nowait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        inbox.wake()
    assert woken == [1, 0]
