"""Whose turn it is to log in, where a service takes only so many logins."""

import logging
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.allowance import Allowance, Allowances
from gateway.networks.base import LoginLimit

LIMIT = LoginLimit("oscar.example:5190", 10, 60.0)
Log = list[tuple[str, float]]


async def log_in(
    allowance: Allowance,
    log: Log,
    user: str,
    *,
    trial: bool = False,
    counts: bool = True,
    seconds: float = 0.0,
) -> None:
    async with allowance.turn(user, trial=trial) as login:
        login.counts = counts
        log.append((user, trio.current_time()))
        await trio.sleep(seconds)


def per_window(log: Log, seconds: float) -> int:
    """Return the most logins that began within any time of this length."""
    times = [at for _, at in log]
    return max(sum(at <= other < at + seconds for other in times) for at in times)


async def test_window_never_holds_more_logins(autojump_clock: MockClock) -> None:
    allowance, log = Allowance(LIMIT), Log()
    async with trio.open_nursery() as nursery:
        for number in range(45):
            nursery.start_soon(log_in, allowance, log, f"user{number}")
            await trio.sleep(number % 3)
    assert len(log) == 45
    assert per_window(log, 60.0) == 10
    assert log[-1][1] < 5 * 60


async def test_login_counts_from_its_end(autojump_clock: MockClock) -> None:
    allowance, log = Allowance(LoginLimit("x", 1, 60.0)), Log()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(log_in, allowance, log, "romeo", seconds=20.0))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(log_in, allowance, log, "juliet")
    assert log == [("romeo", 0.0), ("juliet", 80.0)]


async def test_login_that_reached_nobody_is_free(autojump_clock: MockClock) -> None:
    allowance, log = Allowance(LIMIT), Log()
    for number in range(100):
        await log_in(allowance, log, f"user{number}", counts=False)
    assert trio.current_time() == 0.0


async def test_sign_ons_go_before_trials(autojump_clock: MockClock) -> None:
    allowance, log = Allowance(LoginLimit("x", 2, 60.0)), Log()
    async with trio.open_nursery() as nursery:
        for number in range(2):
            nursery.start_soon(log_in, allowance, log, f"first{number}")
        await trio.testing.wait_all_tasks_blocked()
        for number in range(4):
            nursery.start_soon(partial(log_in, allowance, log, f"stranger{number}", trial=True))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(log_in, allowance, log, "romeo")
        nursery.start_soon(log_in, allowance, log, "juliet")
    assert {user for user, at in log if at == 60.0} == {"romeo", "juliet"}


async def test_trials_leave_logins_to_sign_ons(autojump_clock: MockClock) -> None:
    allowance, log = Allowance(LIMIT), Log()
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(partial(log_in, allowance, log, f"stranger{number}", trial=True))
        await trio.sleep(1)
        assert len(log) == 8
        for number in range(2):
            await log_in(allowance, log, f"user{number}")
        assert trio.current_time() == 1.0


async def test_flapping_user_leaves_logins_to_others(autojump_clock: MockClock) -> None:
    allowance, log = Allowance(LIMIT), Log()

    async def flap() -> None:
        for _ in range(20):
            await log_in(allowance, log, "flapper")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flap)
        await trio.sleep(1)
        for number in range(5):
            await log_in(allowance, log, f"user{number}")
        assert trio.current_time() == 1.0
    flaps = [(user, at) for user, at in log if user == "flapper"]
    assert per_window(flaps, 60.0) == 5


async def test_user_with_fewer_logins_goes_first(autojump_clock: MockClock) -> None:
    allowance, log = Allowance(LoginLimit("x", 4, 60.0)), Log()
    await log_in(allowance, log, "nurse")
    await trio.sleep(10)
    for user in ("romeo", "mercutio", "tybalt"):
        await log_in(allowance, log, user)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log_in, allowance, log, "romeo")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(log_in, allowance, log, "juliet")
    assert log[-2:] == [("juliet", 60.0), ("romeo", 70.0)]


async def test_hold_stops_all_logins(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    allowance, log = Allowance(LIMIT), Log()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            allowance.hold(90.0)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(log_in, allowance, log, f"user{number}")
    assert [at for _, at in log] == [90.0] * 3
    [record] = caplog.records
    assert "lower logins_a_minute" in record.getMessage()


async def test_user_who_gives_up_frees_the_turn(autojump_clock: MockClock) -> None:
    allowance, log = Allowance(LoginLimit("x", 1, 60.0)), Log()
    await log_in(allowance, log, "first")
    async with trio.open_nursery() as nursery:
        for number in range(5):  # each of them is the first who waits, and then leaves
            with trio.move_on_after(5):
                await log_in(allowance, log, f"gone{number}")
        nursery.start_soon(log_in, allowance, log, "romeo")
    assert log == [("first", 0.0), ("romeo", 60.0)]
    assert not allowance.waits("gone0")


async def test_waiting_is_logged_at_both_ends(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    allowance, log = Allowance(LIMIT), Log()
    with caplog.at_level(logging.INFO):
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(log_in, allowance, log, f"user{number}")
    assert [record.getMessage() for record in caplog.records] == [
        "oscar.example:5190: 90 logins wait: it takes 10 in 60 seconds from this host",
        "oscar.example:5190: no login waits any more: 90 had to, the longest for 540 seconds",
    ]


async def test_networks_of_one_service_share_it(autojump_clock: MockClock) -> None:
    allowances, log = Allowances(), Log()
    wide, narrow = LoginLimit("x", 10, 60.0), LoginLimit("x", 2, 60.0)
    for limit in (wide, narrow, wide):
        await log_in(allowances.of(limit), log, f"user{len(log)}")
    assert [at for _, at in log] == [0.0, 0.0, 60.0]
