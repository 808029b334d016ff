"""When to try again, and how many at once."""

import math
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.pacing import Backoff, Gate
from tests.simulation.host import Machine, SimHost
from tests.simulation.network import SimNetwork
from tests.simulation.trace import Trace

FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, STABLE_SECONDS = 1, 300, 60
FAILURES_TO_OPEN = 5


@pytest.fixture
def host() -> SimHost:
    return SimHost(Machine(1, SimNetwork(1, Trace())))


def test_each_failure_doubles_the_delay_up_to_a_bound(host: SimHost) -> None:
    backoff = Backoff(host)
    delays = [backoff.next_delay() for _ in range(60)]
    for number, delay in enumerate(delays):
        most = min(FIRST_DELAY_SECONDS * 2**number, MAX_DELAY_SECONDS)
        assert most / 2 <= delay <= most
    assert len(set(delays)) == len(delays)  # all of them jitter


def test_a_connection_that_held_a_while_begins_anew_and_a_short_one_does_not(host: SimHost) -> None:
    backoff = Backoff(host)
    for _ in range(10):
        backoff.next_delay()
    assert backoff.next_delay(stayed_seconds=STABLE_SECONDS - 1) > 100
    assert backoff.next_delay(stayed_seconds=STABLE_SECONDS) <= FIRST_DELAY_SECONDS
    assert backoff.next_delay() > FIRST_DELAY_SECONDS / 2
    backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() <= FIRST_DELAY_SECONDS


def test_the_service_is_given_the_time_it_asks_for(host: SimHost) -> None:
    assert Backoff(host).next_delay(at_least=77.0) == 77.0
    assert Backoff(host, 100.0, 1_000.0).next_delay(at_least=7.0) >= 50.0


async def pass_through(gate: Gate, passed: list[float], seconds: float = 0.0) -> None:
    async with gate.passage():
        passed.append(trio.current_time())
        await trio.sleep(seconds)


async def test_sign_ons_start_at_a_pace(autojump_clock: MockClock, host: SimHost) -> None:
    gate, passed = Gate(host, limit=1_000, per_second=10.0), list[float]()
    async with trio.open_nursery() as nursery:
        for _ in range(101):
            nursery.start_soon(pass_through, gate, passed)
    assert passed[0] == 0.0
    assert 9.0 < passed[-1] < 11.0
    gaps = [after - before for before, after in pairwise(passed)]
    assert min(gaps) >= 0.05 - 1e-9
    await trio.sleep(100)
    await pass_through(gate, passed)
    assert trio.current_time() == passed[-1] == passed[-2] + 100  # nobody else: no wait


async def test_no_more_than_the_limit_are_on_their_way(
    autojump_clock: MockClock, host: SimHost
) -> None:
    gate, passed = Gate(host, limit=2, per_second=math.inf), list[float]()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(pass_through, gate, passed, 10.0)
    assert passed == [0, 0, 10, 10, 20]


async def test_a_service_that_fails_for_all_is_tried_by_one_at_a_time(
    autojump_clock: MockClock, host: SimHost
) -> None:
    gate = Gate(host, limit=100, per_second=math.inf)
    for number in range(FAILURES_TO_OPEN):
        assert gate.open
        for _ in range(2):
            gate.failed(f"user{number}")
        assert gate.open == (number + 1 < FAILURES_TO_OPEN)
    gate.failed("another")
    passed: list[float] = []
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(pass_through, gate, passed, 10.0)
    assert passed == [0, 10, 20]
    gate.answered()
    assert gate.open
    passed.clear()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(pass_through, gate, passed, 10.0)
    assert passed == [30, 30, 30]
