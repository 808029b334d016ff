"""Ways to the user's roster that fail halfway: what was done counts, the rest comes later."""

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import StoreError
from legacy_emu.control import Control
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.test_roster import (
    INFO,
    PRIVILEGE,
    READ,
    ROSTERX,
    answer,
    asks,
    granted,
    grown_up,
    info,
    put,
    roster,
    sign_on_privileged,
    sign_on_with_caps,
)
from tests.scenarios.words import NURSE, error, iq, presence, register, result

BROKEN = error("internal-server-error", "cancel", "500", text=False)


async def in_the_roster(play: Stage, legacy: Control) -> None:
    """Both contacts are in the user's roster, where the gateway put them."""
    await sign_on_privileged(play, legacy)
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "both")))
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "both")))
    await play.nothing_more()


@pytest.mark.conformance("AMB-08", "GW-UNREG-05", "PRIV-02")
async def test_unregistering_with_a_server_that_removes_all(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await in_the_roster(play, legacy)
    await play.send(register("<remove/>"))
    await play.expect(result(id_="r1"))
    await answer(play, asks(put(JULIET, "", "", "remove"), "set", ROMEO))
    await answer(play, asks(put(NURSE, "", "", "remove"), "set", ROMEO))
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await play.nothing_more()


@pytest.mark.conformance("AMB-08", "GW-UNREG-05")
async def test_unregistering_with_a_server_that_is_silent_takes_twenty_seconds_more(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await in_the_roster(play, legacy)
    await play.send(register("<remove/>"))
    await play.expect(result(id_="r1"))
    before = trio.current_time()
    await play.expect(asks(put(JULIET, "", "", "remove"), "set", ROMEO))
    await trio.sleep(15)
    for contact in (JULIET, NURSE, G):
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(contact, ROMEO, type_))
    assert trio.current_time() - before < 21
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_refused_change_is_tried_again(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    both = roster((JULIET, "both"), (NURSE, "both"))
    await in_the_roster(play, legacy)
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    await answer(play, READ, both)
    await answer(play, asks(put(NURSE, "Angelica", ""), "set", ROMEO))
    legacy.change_contact("Romeo", "Juliet", "Jule")
    await answer(play, READ, both)
    await answer(play, asks(put(JULIET, "Jule", ""), "set", ROMEO), BROKEN, "error")
    await play.nothing_more()
    legacy.remove_contact("Romeo", "Nurse")
    await answer(play, READ, both)
    await answer(play, asks(put(NURSE, "", "", "remove"), "set", ROMEO), BROKEN, "error")
    legacy.change_contact("Romeo", "Juliet", "Julia")
    await answer(play, READ, both)
    await answer(play, asks(put(JULIET, "Julia", ""), "set", ROMEO))
    await trio.sleep(60)
    await answer(play, READ, both)
    await answer(play, asks(put(NURSE, "", "", "remove"), "set", ROMEO))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "GW-SEC-05")
async def test_nonsense_in_a_roster_is_nobodys(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await in_the_roster(play, legacy)
    for jid in ("", "@", f"@{G}", G, f"{JULIET}/balcony", "juliet@elsewhere.lit"):
        await play.send(iq("set", put(jid, "", "", "remove"), from_=ROMEO))
        await play.expect(result(to=ROMEO))
    await play.nothing_more()
    assert {"juliet", "nurse"} <= {one.address.lower() for one in legacy.contacts("Romeo")}


@pytest.mark.conformance("RIX-02", "RIX-03")
async def test_a_client_that_fails_is_left_alone_with_the_rest_of_a_list(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    for number in range(100):
        legacy.create_account(f"guest{number}", "masked")
        legacy.befriend("Romeo", f"guest{number}", mutual=False)
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info(ROSTERX))
    offer = await play.link.next_stanza()
    await play.send(iq("error", BROKEN, id_=str(offer.get("id"))))
    await trio.sleep(60)
    await play.nothing_more()


@pytest.mark.conformance("PRIV-01", "PRIV-02", "AMB-13")
async def test_a_privilege_that_comes_later_is_used_from_then_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info())
    await play.nothing_more()
    await play.send(granted(PRIVILEGE))
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "both")))
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "both")))
    await play.nothing_more()


@pytest.mark.conformance("GW-ROST-04", "PRIV-02")
async def test_a_change_that_is_taken_back_meanwhile_is_none(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await in_the_roster(play, legacy)
    legacy.change_contact("Romeo", "Juliet", "Jule")
    question = await play.expect(READ)
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    await trio.sleep(5)
    legacy.change_contact("Romeo", "Nurse", "The Nurse")
    await trio.sleep(5)
    both = roster((JULIET, "both"), (NURSE, "both"))
    await play.send(iq("result", both, id_=str(question.get("id")), from_=ROMEO))
    await answer(play, asks(put(JULIET, "Jule", ""), "set", ROMEO))
    await trio.sleep(60)
    await play.nothing_more()


async def test_a_preference_that_cannot_be_stored_harms_nobody(
    autojump_clock: MockClock,
    play: Stage,
    legacy: Control,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(play.gateway.store, "save_preferences", failing)
    await in_the_roster(play, legacy)
    await trio.sleep(60)
    await play.nothing_more(ORCHARD)
    assert "not stored how the roster is reached" in caplog.text
    assert "ended by a bug" not in caplog.text
