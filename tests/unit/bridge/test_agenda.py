"""Deadlines by name."""

import trio
from trio.testing import MockClock

from gateway.bridge.agenda import Agenda


async def test_what_is_due_is_done_once(autojump_clock: MockClock) -> None:
    done, woken = list[str](), list[float]()
    agenda = Agenda(lambda: woken.append(trio.current_time()))
    assert agenda.next_at == float("inf")
    agenda.set("late", 5, lambda: done.append("late"))
    agenda.set("soon", 1, lambda: done.append("soon"))
    agenda.set("moved", 1, lambda: done.append("never"))
    agenda.set("moved", 3, lambda: done.append("moved"))
    agenda.set("off", 1, lambda: done.append("never"))
    assert len(woken) == 5
    assert agenda.cancel("off")
    assert not agenda.cancel("off")
    start = trio.current_time()
    assert agenda.next_at == start + 1
    agenda.run_due()
    assert not done
    await trio.sleep(1)
    agenda.run_due()
    assert done == ["soon"]
    assert "soon" not in agenda
    assert "moved" in agenda
    await trio.sleep(10)
    agenda.run_due()
    agenda.run_due()
    assert done == ["soon", "late", "moved"]
    assert agenda.next_at == float("inf")


async def test_what_is_done_may_change_what_is_to_be_done(autojump_clock: MockClock) -> None:
    done = list[str]()
    agenda = Agenda(lambda: None)

    def first() -> None:
        done.append("first")
        agenda.cancel("second")
        agenda.set("third", 1, lambda: done.append("third"))

    agenda.set("first", 1, first)
    agenda.set("second", 1, lambda: done.append("second"))
    await trio.sleep(1)
    agenda.run_due()
    assert done == ["first"]
    await trio.sleep(1)
    agenda.run_due()
    assert done == ["first", "third"]
