"""Names and groups that no roster takes as they are: cleaned, or left out, on every way in."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from tests.fakes.stage import JULIET, ROMEO, G, Stage
from tests.scenarios.conftest import Raise
from tests.scenarios.test_own_names import changes
from tests.scenarios.test_roster import (
    INFO,
    NURSES_ITEM,
    PRIVILEGE,
    READ,
    ROSTERX,
    answer,
    asks,
    granted,
    info,
    items,
    named,
    nick,
    put,
    roster,
    sign_on_with_caps,
)
from tests.scenarios.words import presence

ODD_NAME = "\tJuliet\r\n of\x00 the\u2028Capulets "
ODD_GROUPS = ("", "  ", "\u200b", "Capulets\n", " Capulets", "Old\r\n\x1bfriends", "Old friends")
CLEAN = (JULIET, "Juliet of the Capulets", "Capulets")
SECOND = "<group>Old friends</group>"
BLANK = [" \n\t", "\u200b\u200d", "\u3164", "\u2800 \u00a0"]

pytestmark = pytest.mark.needs("any names")


def with_second(literal: str) -> str:
    return literal.replace("</group>", f"</group>{SECOND}", 1)


async def odd(play: Stage, legacy: Control, name: str = ODD_NAME) -> None:
    play.link.answer_disco = False
    legacy.change_contact("Romeo", "Juliet", name, ODD_GROUPS)
    await play.register()


@pytest.mark.conformance("PRIV-02", "GW-ROST-01")
async def test_odd_name_is_cleaned_when_written(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    inside = with_second(named(CLEAN, NURSES_ITEM))
    async with curtain() as play:
        await play.send(granted(PRIVILEGE))
        await odd(play, legacy)
        await sign_on_with_caps(play)
        await answer(play, READ, roster())
        await answer(play, asks(with_second(put(*CLEAN)), "set", ROMEO))
        await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
        await answer(play, READ, inside)
        legacy.change_contact("Romeo", "Nurse", "\n", ("\r\n",))
        await answer(play, READ, inside)
        await answer(play, asks(put(NURSES_ITEM[0], "", ""), "set", ROMEO))
        since = legacy.last_arrived()
        legacy.change_contact("Romeo", "Juliet", "Juliet of the Capulets", ODD_GROUPS[3:6])
        await trio.sleep(60)
        await play.nothing_more()
        assert len(changes(legacy, since)) == 1  # it looks the same
    async with curtain() as play:
        play.link.answer_disco = False
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        await sign_on_with_caps(play)
        await trio.sleep(60)
        await play.nothing_more()


@pytest.mark.conformance("RIX-01", "GW-ROST-02")
async def test_odd_name_is_cleaned_when_offered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await odd(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info(ROSTERX))
    await answer(play, asks(with_second(items("add", CLEAN, NURSES_ITEM)), "set"))
    legacy.change_contact("Romeo", "Juliet", "Ju\nle", ("\n",))
    await answer(play, asks(items("modify", (JULIET, "Ju le", "")), "set"))
    await play.nothing_more()


@pytest.mark.conformance("NICK-01", "GW-ROST-02")
@pytest.mark.parametrize("name", BLANK)
async def test_blank_name_is_left_out(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, name: str
) -> None:
    async with curtain(invite_contacts=True) as play:
        await odd(play, legacy, name)
        await sign_on_with_caps(play)
        await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info())
        await play.expect(presence(JULIET, ROMEO, "subscribe"))
        await play.expect(presence(NURSES_ITEM[0], ROMEO, "subscribe", nick("The Nurse")))
        await play.nothing_more()


@pytest.mark.conformance("NICK-01", "LU-ADD-01")
async def test_odd_nick_of_request_is_cleaned(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.create_account("Tybalt", "cats", "Ty\nbalt\x00")
    legacy.create_account("Paris", "count", " \n")
    await play.register()
    await play.sign_on()
    for name, shown in (("Tybalt", nick("Ty balt")), ("Paris", "")):
        legacy.sign_on(name)
        legacy.add_contact(name, "Romeo")
        await play.expect(presence(f"{name.lower()}@{G}", ROMEO, "subscribe", shown))
    await play.nothing_more()
