"""The gateway comes and goes with many users: each is told, in order, and nobody is overrun."""

import itertools
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.host import RealHost
from gateway.store.sealing import Sealer
from gateway.store.store import Store
from legacy_emu.control import Control
from legacy_emu.events import Show
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, SERVER, G, Stage, make_config
from tests.scenarios.casts import Cast
from tests.scenarios.conftest import Raise
from tests.scenarios.words import BENVOLIO, NURSE, login, presence, register, result

BENVOLIO_BARE = BENVOLIO.partition("/")[0]
MANY = 500


def registered(folder: Path, cast: Cast, *users: str) -> None:
    """Have these users registered already, each with an account of his own."""
    host, store = RealHost(), make_config(folder, cast.network, cast.settings).store
    with closing(Store.open(host, store.url, Sealer.from_file(host, store.key_file), [G])) as kept:
        for user in users:
            kept.save_account(G, user, user.partition("@")[0], "secret", {})


async def told(play: Stage, count: int) -> list[tuple[str, str, str]]:
    """Return what the next stanzas are: from, to and type."""
    found = [await play.link.next_stanza() for _ in range(count)]
    return [(str(one.get("from")), str(one.get("to")), one.get("type", "")) for one in found]


@pytest.mark.conformance("GW-LIFE-01", "GW-LIFE-02", "AMB-11")
async def test_many_users_are_told_and_probed_one_after_the_other(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, tmp_path: Path, cast: Cast
) -> None:
    users = [f"user{number}@{SERVER}" for number in range(MANY)]
    registered(tmp_path, cast, *users)
    async with curtain() as play:
        began = trio.current_time()
        found = await told(play, 2 * MANY)
        took = trio.current_time() - began
        await play.nothing_more()
    expected = itertools.chain.from_iterable(((G, user, ""), (G, user, "probe")) for user in users)
    assert sorted(found) == sorted(expected)
    for available, probe in zip(found[::2], found[1::2], strict=True):
        assert available[1] == probe[1]  # he hears of the gateway, and is asked at once
        assert (available[2], probe[2]) == ("", "probe")
    assert 1 < took < 10  # paced, and yet soon
    assert not legacy.arrived(kind="sign_on")


@pytest.mark.conformance("GW-LIFE-03", "AMB-11", "GW-OUT-02")
async def test_at_the_end_every_registered_user_is_told_whether_signed_on_or_not(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.befriend("Mercutio", "Nurse")
    legacy.set_presence("Juliet", Show.ONLINE)
    legacy.set_presence("Nurse", Show.AWAY)
    away = "<show>away</show>"
    await play.register()
    await play.sign_on()
    await play.expect_all(presence(JULIET, ROMEO), presence(NURSE, ROMEO, inside=away))
    await play.send(presence(BALCONY, G))
    await play.expect(presence(G, BALCONY))
    await play.expect_all(presence(JULIET, BALCONY), presence(NURSE, BALCONY, inside=away))
    await play.register(BENVOLIO, "mercutio", "queenmab")
    await play.sign_on(BENVOLIO)
    await play.expect(presence(NURSE, BENVOLIO_BARE, inside=away))
    tybalt = f"tybalt@{SERVER}"  # registered, never here
    legacy.create_account("Tybalt", "king of cats")
    await play.send(register(login("tybalt", "king of cats"), from_=f"{tybalt}/street"))
    await play.expect(result(id_="r1", to=f"{tybalt}/street"))
    await play.expect(presence(G, tybalt, "subscribe"))
    await play.nothing_more()

    play.gateway.stop()
    found = await told(play, 6)
    assert sorted(found) == sorted(
        [
            (JULIET, ROMEO, "unavailable"),
            (NURSE, ROMEO, "unavailable"),
            (G, ROMEO, "unavailable"),
            (NURSE, BENVOLIO_BARE, "unavailable"),
            (G, BENVOLIO_BARE, "unavailable"),
            (G, tybalt, "unavailable"),
        ]
    )
    for user in (ROMEO, BENVOLIO_BARE):  # the gateway goes after its contacts
        assert [one[0] for one in found if one[1] == user][-1] == G
    with trio.fail_after(15):
        await play.link.ended.wait()
    play.link.check_nothing_came()
    assert play.link.closed_in_order
    assert len(legacy.arrived(kind="sign_off")) == 2
    assert not legacy.connections()


@pytest.mark.conformance("GW-LIFE-03")
async def test_a_server_that_does_not_answer_does_not_hold_up_the_end(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.sign_on(ORCHARD)
    await play.nothing_more()
    play.link.answer_pings = False
    began = trio.current_time()
    play.gateway.stop()
    await play.expect(presence(G, ROMEO, "unavailable"))
    await play.link.ended.wait()
    assert trio.current_time() - began < 30
    assert legacy.arrived(kind="sign_off")
