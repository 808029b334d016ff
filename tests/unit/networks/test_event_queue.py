"""The queue between a driver's reader and the bridge: bounded, ordered, state in place."""

import pytest
import trio
import trio.testing

from gateway.errors import ConnectionLost
from gateway.networks.base import (
    Contact,
    ContactChanged,
    ContactList,
    ContactRemoved,
    LegacyEvent,
    Notice,
    PresenceChanged,
    Show,
    Typing,
    TypingState,
    UnknownEvent,
)
from gateway.networks.event_queue import (
    MAX_WAITING_STATES,
    MAX_WAITING_UNKNOWN,
    MAX_WAITING_VALUES,
    EventQueue,
)


def presence(address: str, show: Show = Show.ONLINE) -> PresenceChanged:
    return PresenceChanged(address, show)


async def taken(queue: EventQueue, count: int) -> list[LegacyEvent]:
    return [await queue.take() for _ in range(count)]


async def test_state_that_waits_is_replaced_where_it_stands() -> None:
    queue = EventQueue()
    for event in (
        presence("juliet"),
        Notice("one"),
        Typing("juliet", "juliet", TypingState.COMPOSING),
        presence("nurse"),
        presence("juliet", Show.AWAY),
        Typing("juliet", "juliet", TypingState.PAUSED),
        Notice("two"),
    ):
        queue.put(event)
    assert await taken(queue, 5) == [
        presence("juliet", Show.AWAY),
        Notice("one"),
        Typing("juliet", "juliet", TypingState.PAUSED),
        presence("nurse"),
        Notice("two"),
    ]


async def test_state_that_was_taken_is_not_replaced() -> None:
    queue = EventQueue()
    queue.put(presence("juliet"))
    assert await queue.take() == presence("juliet")
    queue.put(presence("juliet", Show.AWAY))
    assert await queue.take() == presence("juliet", Show.AWAY)


async def test_a_whole_list_is_not_overtaken_by_what_came_before() -> None:
    queue = EventQueue()
    before, after = (
        ContactChanged(Contact("juliet", "J")),
        ContactChanged(Contact("juliet", "Jule")),
    )
    whole = ContactList((Contact("juliet"),))
    for event in (before, whole, after):
        queue.put(event)
    assert await taken(queue, 3) == [before, whole, after]


async def test_who_is_removed_has_no_presence_any_more() -> None:
    queue = EventQueue()
    for event in (presence("juliet"), ContactRemoved("juliet"), Notice("end")):
        queue.put(event)
    assert await taken(queue, 2) == [ContactRemoved("juliet"), Notice("end")]


@pytest.mark.parametrize("limit", [MAX_WAITING_VALUES, MAX_WAITING_STATES])
async def test_too_much_ends_the_queue_after_what_fitted(limit: int) -> None:
    queue = EventQueue()
    values = limit == MAX_WAITING_VALUES
    for number in range(limit + 10):
        queue.put(Notice(str(number)) if values else presence(str(number)))
    got = await taken(queue, limit)
    assert got[-1] == (Notice(str(limit - 1)) if values else presence(str(limit - 1)))
    for _ in range(2):
        with pytest.raises(ConnectionLost):
            await queue.take()


async def test_taking_makes_room() -> None:
    queue = EventQueue()
    for number in range(3 * MAX_WAITING_VALUES):
        queue.put(Notice(str(number)))
        assert await queue.take() == Notice(str(number))
    assert queue.ended is None


async def test_the_first_end_is_the_one_that_counts_and_wakes_who_waits() -> None:
    queue = EventQueue()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(ConnectionLost, match="first"):
                await queue.take()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        queue.end(ConnectionLost("first"))
        queue.end(ConnectionLost("second"))
    queue.put(Notice("too late"))
    with pytest.raises(ConnectionLost, match="first"):
        await queue.take()


async def test_what_nobody_acts_on_does_not_crowd_out_what_somebody_does() -> None:
    queue = EventQueue()
    for _ in range(2):
        for _ in range(MAX_WAITING_VALUES + 1):
            queue.put(UnknownEvent("x"))
        queue.put(Notice("one"))
        assert queue.ended is None
        events = await taken(queue, MAX_WAITING_UNKNOWN + 1)
        assert events[-1] == Notice("one")
