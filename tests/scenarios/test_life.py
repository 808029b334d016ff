"""The gateway starts, stops, crashes and loses its link, with users signed on."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind, Moment
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.conftest import Raise
from tests.scenarios.places import LEGACY_PLACE
from tests.scenarios.words import (
    BENVOLIO,
    NOT_AUTHORIZED,
    NURSE,
    TIMEOUT,
    bounced,
    error,
    login,
    message,
    presence,
    refused,
    register,
    said,
)

BENVOLIO_BARE = BENVOLIO.partition("/")[0]
DELAYED = f"<delay xmlns='urn:xmpp:delay' from='{G}' stamp='*'/>"


async def signed_on(play: Stage, legacy: Control) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()


async def is_greeted(play: Stage, *users: str) -> None:
    """Every registered user hears of the gateway, and is asked whether he is there."""
    for user in users or (ROMEO,):
        await play.expect(presence(G, user))
        await play.expect(presence(G, user, "probe"))


async def is_shown_everything(play: Stage, resource: str) -> None:
    """Who answers after an outage may have left and returned meanwhile, unseen."""
    await play.expect(presence(G, resource))
    await play.expect(presence(JULIET, resource))


@pytest.mark.conformance("GW-LIFE-01", "GW-LIFE-02", "GW-LIFE-03", "AMB-14", "CORE-10")
async def test_the_end_and_the_next_beginning(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await signed_on(play, legacy)
        await play.register(BENVOLIO, "mercutio", "queenmab")
        play.gateway.stop()
        await play.expect(presence(JULIET, ROMEO, "unavailable"))
        await play.expect_all(
            presence(G, ROMEO, "unavailable"), presence(G, BENVOLIO_BARE, "unavailable")
        )
        with trio.fail_after(15):
            await play.link.ended.wait()
        play.link.check_nothing_came()
        assert legacy.arrived(account="romeo")[-1].kind == "sign_off"
    since = legacy.last_arrived()
    async with curtain() as play:
        await is_greeted(play, ROMEO, BENVOLIO_BARE)
        await play.nothing_more()
        await trio.sleep(60)
        assert not legacy.arrived(since, account="romeo")  # nobody is signed on unasked
        await play.send(presence(ORCHARD, G, inside="<show>away</show>"))
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(JULIET, ROMEO))
        await play.nothing_more()
        assert legacy.look("Romeo", seen_by="Juliet").show is Show.AWAY


@pytest.mark.conformance("GW-LIFE-01", "AMB-07", "GW-IN-07")
async def test_who_is_refused_after_the_beginning_is_shown_the_gateway_no_longer(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await play.register()
    legacy.set_password("Romeo", "changed")
    async with curtain() as play:
        await is_greeted(play)
        await play.send(presence(ORCHARD, G))
        await play.expect(presence(G, ORCHARD, "error", error(*NOT_AUTHORIZED)))
        await play.expect(presence(G, ROMEO, "unavailable"))
        await play.expect(said("*", from_=G))
        await play.nothing_more()


@pytest.mark.conformance("GW-LIFE-03", "GW-SEND-05")
async def test_what_is_unanswered_at_the_end_comes_back(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    legacy.set_fault(Kind.LOSE_OUTCOMES)
    await play.send(message("may have arrived"))
    await play.nothing_more()
    play.gateway.stop()
    found = [await play.link.next_stanza() for _ in range(3)]
    assert sorted((str(one.get("type")), str(one.get("from"))) for one in found) == [
        ("error", JULIET),
        ("unavailable", G),
        ("unavailable", JULIET),
    ]


@pytest.mark.conformance("GW-LIFE-03")
@pytest.mark.parametrize("fault", [Kind.STALL_ANSWERS, Kind.STALL_READING])
async def test_a_service_that_hangs_does_not_hold_up_the_end(
    autojump_clock: MockClock, play: Stage, legacy: Control, fault: Kind
) -> None:
    await signed_on(play, legacy)
    legacy.set_fault(fault)
    start = trio.current_time()
    play.gateway.stop()
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.expect(presence(G, ROMEO, "unavailable"))
    await play.link.ended.wait()
    assert trio.current_time() - start < 25


@pytest.mark.conformance("GW-LIFE-03", "CORE-03")
async def test_a_registration_that_is_being_verified_at_the_end_is_answered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_fault(Kind.STALL_ANSWERS)
    await play.send(register(login("romeo", "montague")))
    await play.nothing_more()
    play.gateway.stop()
    came = await play.link.next_stanza()
    assert (came.get("id"), came.get("type"), came.get("to")) == ("r1", "error", ORCHARD)


@pytest.mark.conformance("GW-LIFE-01", "COMP-05")
async def test_after_a_crash_nobody_is_shown_who_is_gone_and_nothing_is_lost(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    with trio.CancelScope() as life:
        async with curtain() as play:
            await signed_on(play, legacy)
            play.link.answer_pings = False
            legacy.send_message("Juliet", "Romeo", "unproven")
            came = await play.expect(said("unproven"))
            legacy.set_fault(Kind.LOSE_OUTCOMES)
            await play.send(message("unanswered"))
            await trio.sleep(1)
            play.host.kill()
            life.cancel()
            await trio.lowlevel.checkpoint()
    legacy.clear_faults()
    await trio.sleep(60)  # the service notices, too
    legacy.sign_off("Juliet")
    async with curtain() as play:
        again = await play.expect(said("unproven", beside=DELAYED))
        assert again.get("id") == came.get("id")
        fault = bounced(TIMEOUT, "unanswered")
        await play.expect(fault.replace("<error", f"{DELAYED}<error", 1))
        await play.expect_all(
            presence(JULIET, ROMEO, "unavailable"),
            presence(G, ROMEO),
            presence(G, ROMEO, "probe"),
        )
        await play.sign_on()
        await play.nothing_more()
        assert not legacy.kept("Romeo")


@pytest.mark.conformance("COMP-05", "AMB-14", "AMB-31")
async def test_the_link_is_lost_and_returns(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Nurse", Show.DND)
    await play.register()
    await play.sign_on()
    await play.expect(presence(NURSE, ROMEO, inside="<show>dnd</show>"))
    await play.nothing_more()
    await play.link.cut()
    await trio.sleep(0.01)
    legacy.send_message("Juliet", "Romeo", "meanwhile")
    legacy.set_presence("Juliet", Show.ONLINE)
    legacy.sign_off("Nurse")
    play.link = await play.server.connection()
    await play.expect_all(
        said("meanwhile", beside=DELAYED),
        presence(JULIET, ROMEO),
        presence(NURSE, ROMEO, "unavailable"),
        presence(G, ROMEO),
        presence(G, ROMEO, "probe"),
    )
    await play.send(presence(ORCHARD, G))
    await is_shown_everything(play, ORCHARD)
    await trio.sleep(60)
    await play.nothing_more()
    assert len(legacy.arrived(account="romeo", kind="sign_on")) == 1
    assert len(legacy.connections()) == 1
    assert not legacy.kept("Romeo")


@pytest.mark.conformance("COMP-05", "AMB-14")
async def test_who_left_while_the_link_was_away_is_signed_off(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    await play.send(presence(BALCONY, G))
    await play.expect(presence(G, BALCONY))
    await play.expect(presence(JULIET, BALCONY))
    await play.link.cut()
    play.link = await play.server.connection()
    await play.expect_all(presence(JULIET, ROMEO), presence(G, ROMEO), presence(G, ROMEO, "probe"))
    await play.send(presence(BALCONY, G))  # and the orchard is silent
    await is_shown_everything(play, BALCONY)
    await trio.sleep(31)
    await play.expect(presence(JULIET, ORCHARD, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.nothing_more(BALCONY)
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE


@pytest.mark.conformance("GW-LIFE-01", "GW-IN-08")
async def test_a_beginning_with_the_service_down(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await play.register()
    legacy.set_fault(Kind.DROP, moment=Moment.CONNECT)
    async with curtain() as play:
        await is_greeted(play)
        await play.send(presence(ORCHARD, G))
        await play.expect(presence(G, ORCHARD, "error", error(*TIMEOUT)))
        legacy.clear_faults()
        await play.expect(presence(G, ROMEO))
        await play.nothing_more()
        assert len(play.machine.network.alive_at(LEGACY_PLACE)) == 1


@pytest.mark.conformance("GW-LIFE-03", "CORE-03")
async def test_who_asks_while_the_gateway_ends_is_answered_or_the_link_is_over(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    legacy.set_fault(Kind.STALL_ANSWERS)
    play.gateway.stop()
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.send(register(login("romeo", "montague")), message("too late"))
    await play.expect_all(
        refused(TIMEOUT, id_="r1"), bounced(TIMEOUT, "too late"), presence(G, ROMEO, "unavailable")
    )
