"""A user who tries passwords of an account: the service hears of a few, and nobody else waits."""

import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from tests.fakes.stage import ORCHARD, Stage
from tests.scenarios.words import (
    BENVOLIO,
    CONSTRAINT,
    NOT_ACCEPTABLE,
    login,
    refused,
    register,
    result,
)

TYBALT = "tybalt@shakespeare.lit/street"
FREE = 3  # wrong passwords before a user has to wait
FREE_OF_ALL = 10  # wrong passwords for one account, before all have to wait


def asked(play: Stage) -> int:
    """Return how often the service was dialled."""
    return len(play.machine.network.dials)


async def guess(play: Stage, times: int) -> int:
    """Try wrong passwords for Romeo's account; returns how many the service has seen."""
    before = asked(play)
    for number in range(times):
        await play.send(register(login("romeo", f"guess {number}"), from_=TYBALT, id_=f"g{number}"))
        fault = NOT_ACCEPTABLE if number < FREE else CONSTRAINT
        await play.expect(refused(fault, id_=f"g{number}", to=TYBALT))
    return asked(play) - before


async def test_service_sees_three_wrong_passwords(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    assert await guess(play, 30) == FREE
    await trio.sleep(31)
    await play.send(register(login("romeo", "another guess"), from_=TYBALT))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1", to=TYBALT))
    await trio.sleep(31)  # twice as long, from now on
    await play.send(register(login("romeo", "montague"), from_=TYBALT))
    await play.expect(refused(CONSTRAINT, id_="r1", to=TYBALT))
    await play.nothing_more()


async def test_guessing_delays_no_other_user(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await guess(play, 30)
    await play.sign_on()
    await play.send(register(login("mercutio", "queenmab"), from_=BENVOLIO))
    await play.expect(result(id_="r1", to=BENVOLIO))


async def test_owner_changes_password_despite_guesses(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    for number in range(4):
        await trio.sleep(30)  # within what services take of logins
        other = f"tybalt{number}@shakespeare.lit/street"
        for one in range(FREE):
            await play.send(register(login("romeo", "wrong"), from_=other))
            fault = NOT_ACCEPTABLE if number * FREE + one < FREE_OF_ALL else CONSTRAINT
            await play.expect(refused(fault, id_="r1", to=other))
    legacy.set_password("Romeo", "changed")
    await play.send(register(login("romeo", "changed"), from_=ORCHARD))
    await play.expect(result(id_="r1"))
    assert play.accounts() == [("romeo", "changed")]
