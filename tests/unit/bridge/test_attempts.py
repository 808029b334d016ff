"""Delays after wrong passwords, by user and by legacy account."""

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.attempts import FORGOTTEN_SECONDS, MAX_KEPT, Attempts, in_words


async def guess(attempts: Attempts, user: str, address: str) -> bool:
    """Try a wrong password, if that is allowed now; returns whether it was."""
    await trio.lowlevel.checkpoint()
    if attempts.wait_seconds(user, address) > 0:
        return False
    attempts.failed(user, address)
    return True


async def test_third_wrong_password_costs_time(autojump_clock: MockClock) -> None:
    attempts = Attempts()
    assert [await guess(attempts, "tybalt", "romeo") for _ in range(5)] == [True] * 3 + [False] * 2
    assert attempts.wait_seconds("tybalt", "romeo") == 30.0
    await trio.sleep(30)
    assert await guess(attempts, "tybalt", "romeo")
    assert attempts.wait_seconds("tybalt", "romeo") == 60.0


async def test_guesses_of_a_day_are_few(autojump_clock: MockClock) -> None:
    attempts, guesses = Attempts(), 0
    while trio.current_time() < 86_400:
        guesses += await guess(attempts, "tybalt", f"name{guesses}")
        await trio.sleep(10)
    assert guesses < 35


async def test_right_password_forgives_the_user(autojump_clock: MockClock) -> None:
    attempts = Attempts()
    for _ in range(2):
        attempts.failed("romeo", "romeo")
    attempts.passed("romeo", "romeo")
    attempts.failed("romeo", "romeo")
    assert attempts.wait_seconds("romeo", "romeo") == 0.0


async def test_own_account_forgives_no_other_guesses(autojump_clock: MockClock) -> None:
    attempts = Attempts()
    for _ in range(3):
        attempts.failed("tybalt", "romeo")
        attempts.passed("tybalt", "tybalt")
    assert attempts.wait_seconds("tybalt", "romeo") == 30.0


async def test_own_failure_first_hides_no_guesses(autojump_clock: MockClock) -> None:
    attempts = Attempts()
    attempts.failed("tybalt", "tybalt")
    for _ in range(2):
        attempts.failed("tybalt", "romeo")
        attempts.passed("tybalt", "tybalt")
    assert attempts.wait_seconds("tybalt", "romeo") == 30.0


async def test_many_users_cannot_guess_one_account(autojump_clock: MockClock) -> None:
    attempts = Attempts()
    allowed = [await guess(attempts, f"user{number}", "romeo") for number in range(50)]
    assert sum(allowed) == 10
    assert attempts.wait_seconds("another", "juliet") == 0.0


async def test_owner_does_not_wait_for_guesses(autojump_clock: MockClock) -> None:
    attempts = Attempts()
    for number in range(1_000):
        attempts.failed(f"user{number}", "romeo")
    assert attempts.wait_seconds("romeo", "romeo", owns=True) == 0.0
    assert attempts.wait_seconds("benvolio", "romeo") == 300.0


async def test_failures_are_forgotten_after_a_day(autojump_clock: MockClock) -> None:
    attempts = Attempts()
    for _ in range(2):
        attempts.failed("romeo", "romeo")
    await trio.sleep(FORGOTTEN_SECONDS + 1)
    attempts.failed("romeo", "romeo")
    assert attempts.wait_seconds("romeo", "romeo") == 0.0


async def test_what_is_kept_is_bounded(autojump_clock: MockClock) -> None:
    attempts = Attempts()
    for _ in range(3):
        attempts.failed("first", "romeo")
    for number in range(MAX_KEPT):
        attempts.failed(f"user{number}", f"name{number}")
    assert attempts.wait_seconds("first", "another") == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "2 seconds"), (29.1, "30 seconds"), (60, "60 seconds"), (61, "2 minutes")],
)
def test_wait_is_rounded_up(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
