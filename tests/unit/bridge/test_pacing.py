"""When to try again, and how many at once."""

import logging
import math
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.pacing import Backoff, Gate
from gateway.errors import ConnectionLost, Unreached
from gateway.networks.base import LoginRefused, Refusal
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
    async with gate.passage("romeo"):
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


async def try_service(gate: Gate, user: str, error: Exception | None = None) -> str:
    """Ask the service for `user`; `error` is what it answers with. Returns what came of it."""
    try:
        async with gate.passage(user):
            await trio.sleep(1)
            if error is not None:
                raise error
    except Unreached as exc:
        return f"not asked: {exc}"
    except (ConnectionLost, LoginRefused):
        return "failed"
    return "answered"


async def fail_for_everybody(gate: Gate) -> None:
    for number in range(FAILURES_TO_OPEN):
        assert gate.open
        for _ in range(2):
            gate.failed(f"user{number}")
    assert not gate.open


async def test_failing_service_is_tried_by_one_user(
    autojump_clock: MockClock, host: SimHost
) -> None:
    gate = Gate(host, limit=100, per_second=math.inf)
    await fail_for_everybody(gate)
    results: list[str] = []

    async def ask(user: str) -> None:
        results.append(await try_service(gate, user))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(ask, f"user{number}")
    assert sorted(one.partition(":")[0] for one in results) == [
        "answered",
        "not asked",
        "not asked",
    ]
    assert gate.open


async def test_trials_of_failing_service_are_spaced(
    autojump_clock: MockClock, host: SimHost
) -> None:
    gate = Gate(host, limit=100, per_second=math.inf)
    await fail_for_everybody(gate)
    times: list[float] = []
    for _ in range(10):
        await try_service(gate, "romeo", ConnectionLost("down"))
        times.append(trio.current_time())
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[0] < 4
    assert 10 < gaps[-1] <= 31


async def test_refused_users_do_not_delay_trials(autojump_clock: MockClock, host: SimHost) -> None:
    gate = Gate(host, limit=100, per_second=math.inf)
    await fail_for_everybody(gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(try_service, gate, "romeo")
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(100):
            assert (await try_service(gate, "juliet")).startswith("not asked")
    assert trio.current_time() < 3
    assert gate.open


async def test_recovery_is_told_once(autojump_clock: MockClock, host: SimHost) -> None:
    gate, recovered = Gate(host, limit=100, per_second=math.inf), list[float]()
    gate.recovered = lambda: recovered.append(trio.current_time())
    await try_service(gate, "romeo")
    await fail_for_everybody(gate)
    assert recovered == []
    await try_service(gate, "romeo", LoginRefused(Refusal.WRONG_CREDENTIALS))
    await try_service(gate, "romeo")
    assert len(recovered) == 1


async def test_incident_is_logged_in_one_line(
    autojump_clock: MockClock, host: SimHost, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(host, limit=100, per_second=math.inf, name="aim.example.net")
    with caplog.at_level(logging.INFO):
        for number in range(100):
            gate.incidents.note(f"user{number}", "connection reset")
            await trio.sleep(0.5)
        gate.answered()
        gate.answered()
    assert [record.getMessage() for record in caplog.records] == [
        "aim.example.net: user0 lost the service: connection reset",
        "aim.example.net: the service answers again after 50 seconds; 100 users had lost it",
    ]
