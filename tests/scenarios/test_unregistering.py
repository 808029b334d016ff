"""A user unregisters: in which order, twice, and in the middle of something else."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import (
    BENVOLIO,
    MERCUTIO,
    NOT_ACCEPTABLE,
    NURSE,
    REGISTRATION_REQUIRED,
    STRANGER,
    TIMEOUT,
    bounced,
    login,
    message,
    presence,
    refused,
    register,
    result,
    said,
)

REMOVE = register("<remove/>", id_="x1")


async def goes(play: Stage, jid: str) -> None:
    """Every subscription between the user and `jid` ends, in this order (AMB-08)."""
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(jid, ROMEO, type_))


async def nothing_is_left(play: Stage, legacy: Control) -> None:
    assert not play.gateway.store.accounts(G)
    assert not play.gateway.domains[0].accounts
    await trio.sleep(2)
    assert not legacy.connections()
    assert not [one for one in play.gateway.sessions if one.user.jid.local == "romeo"]


async def subscribe_to_juliet(play: Stage) -> None:
    await play.send(presence(ROMEO, JULIET, "subscribe"))
    await play.expect(presence(JULIET, ROMEO, "subscribed"))
    await play.expect(presence(JULIET, ROMEO))


@pytest.mark.conformance(
    "GW-UNREG-01", "GW-UNREG-02", "GW-UNREG-03", "GW-UNREG-04", "GW-UNREG-05", "GW-UNREG-06",
    "AMB-08",
)  # fmt: skip
async def test_the_order_of_leaving_for_good(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await subscribe_to_juliet(play)
    await play.send(presence(ROMEO, NURSE, "subscribe"))  # who is offline
    await play.expect(presence(NURSE, ROMEO, "subscribed"))
    await play.nothing_more()
    await play.send(REMOVE)
    await play.expect(result(id_="x1"))
    assert legacy.arrived(kind="sign_off")
    assert not play.gateway.store.accounts(G)
    await goes(play, JULIET)
    await goes(play, NURSE)
    await goes(play, G)
    await play.nothing_more()
    await nothing_is_left(play, legacy)
    assert len(legacy.arrived(kind="sign_off")) == 1
    assert not legacy.arrived(kind="remove")  # the list on the service is the user's own affair


@pytest.mark.conformance("GW-UNREG-07", "LU-DEL-02")
async def test_what_the_roster_says_afterwards_is_heard_in_silence(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.sign_on()
    await play.send(REMOVE)
    await play.expect(result(id_="x1"))
    await goes(play, G)
    for jid in (JULIET, NURSE, MERCUTIO, G):
        await play.send(
            presence(ROMEO, jid, "unsubscribe"),
            presence(ROMEO, jid, "unsubscribed"),
            presence(ORCHARD, jid, "unavailable"),
        )
    await play.nothing_more()
    await nothing_is_left(play, legacy)


@pytest.mark.conformance("GW-UNREG-08", "REG7-05")
async def test_leaving_twice(autojump_clock: MockClock, play: Stage, legacy: Control) -> None:
    await play.register()
    await play.send(REMOVE, register("<remove/>", id_="x2", from_=BALCONY))
    await play.expect(result(id_="x1"))
    await goes(play, G)
    await play.expect(refused(REGISTRATION_REQUIRED, id_="x2", to=BALCONY))
    await play.send(register("<remove/>", id_="x3"))
    await play.expect(refused(REGISTRATION_REQUIRED, id_="x3"))
    for nobody in (BENVOLIO, STRANGER):
        await play.send(register("<remove/>", id_="x4", from_=nobody))
        await play.expect(refused(REGISTRATION_REQUIRED, id_="x4", to=nobody))
    await play.nothing_more()
    await nothing_is_left(play, legacy)


@pytest.mark.conformance("GW-UNREG-01")
async def test_a_service_that_is_down_keeps_nobody_registered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.sign_on()
    legacy.set_fault(Kind.STALL_ANSWERS)
    legacy.set_fault(Kind.STALL_READING)
    start = trio.current_time()
    await play.send(REMOVE)
    await trio.sleep(5)
    await play.expect(result(id_="x1"))
    await goes(play, G)
    assert trio.current_time() - start < 15
    legacy.clear_faults()
    await play.nothing_more()
    await nothing_is_left(play, legacy)


@pytest.mark.conformance("AMB-27", "GW-UNREG-08")
async def test_leaving_while_being_verified_for_the_first_time(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_fault(Kind.STALL_ANSWERS)
    await play.send(register(login("romeo", "montague")))
    await play.nothing_more()
    await play.send(register(login("romeo", "montague"), id_="r2"), REMOVE)
    await play.expect_all(
        refused(NOT_ACCEPTABLE, id_="r1"),
        refused(NOT_ACCEPTABLE, id_="r2"),
        refused(REGISTRATION_REQUIRED, id_="x1"),
    )
    legacy.clear_faults()
    await trio.sleep(60)
    await play.nothing_more()
    await nothing_is_left(play, legacy)


@pytest.mark.conformance("AMB-27")
async def test_leaving_while_an_edit_is_being_verified(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    legacy.set_fault(Kind.STALL_ANSWERS)
    await play.send(register(login("mercutio", "queenmab")))
    await play.nothing_more()
    await play.send(register(login("mercutio", "queenmab"), id_="r2"), REMOVE)
    await play.expect_all(
        refused(NOT_ACCEPTABLE, id_="r1"),
        refused(NOT_ACCEPTABLE, id_="r2"),
        result(id_="x1"),
        *(presence(G, ROMEO, one) for one in ("unsubscribe", "unsubscribed", "unavailable")),
    )
    legacy.clear_faults()
    await trio.sleep(60)
    await play.nothing_more()
    await nothing_is_left(play, legacy)


@pytest.mark.conformance("AMB-27", "GW-UNREG-06")
async def test_leaving_while_being_signed_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    legacy.set_fault(Kind.STALL_ANSWERS)
    await play.send(presence(ORCHARD, G), message("Farewell"))
    await play.nothing_more()
    await play.send(REMOVE)
    await play.expect(bounced(TIMEOUT, "Farewell"))
    await play.expect(result(id_="x1"))
    await goes(play, G)
    legacy.clear_faults()
    await trio.sleep(60)
    await play.nothing_more()
    await nothing_is_left(play, legacy)


@pytest.mark.conformance("AMB-27", "GW-SEND-03")
async def test_messages_sent_beside_the_removal_are_each_answered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.sign_on()
    legacy.set_fault(Kind.LOSE_OUTCOMES)
    await play.send(message("before"), REMOVE, message("after", id_="m2"))
    await play.expect_all(
        bounced(TIMEOUT, "before"),
        bounced(REGISTRATION_REQUIRED, "after", id_="m2"),
        result(id_="x1"),
        *(presence(G, ROMEO, one) for one in ("unsubscribe", "unsubscribed", "unavailable")),
    )
    await play.send(message("much later", id_="m3"))
    await play.expect(bounced(REGISTRATION_REQUIRED, "much later", id_="m3"))
    await play.nothing_more()
    await nothing_is_left(play, legacy)


@pytest.mark.conformance("GW-UNREG-02", "GW-UNREG-07")
async def test_who_registers_again_begins_anew(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await subscribe_to_juliet(play)
    await play.send(REMOVE)
    await play.expect(result(id_="x1"))
    await goes(play, JULIET)
    await goes(play, G)
    legacy.send_message("Juliet", "Romeo", "O Romeo")
    await play.nothing_more()
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.expect(
        said("O Romeo", beside=f"<delay xmlns='urn:xmpp:delay' from='{G}' stamp='*'/>")
    )
    await play.nothing_more()


@pytest.mark.conformance("GW-SEC-05")
async def test_nobody_else_is_touched(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.befriend("Mercutio", "Juliet")
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    other = BENVOLIO.partition("/")[0]
    await play.register(BENVOLIO, "mercutio", "queenmab")
    await play.sign_on(BENVOLIO)
    await play.expect(presence(JULIET, other))
    await play.send(REMOVE)
    await play.expect(result(id_="x1"))
    await goes(play, JULIET)
    await goes(play, G)
    legacy.send_message("Juliet", "Mercutio", "Good morrow")
    await play.expect(said("Good morrow", to=other))
    await play.nothing_more(BENVOLIO)
    assert [one.jid for one in play.gateway.store.accounts(G)] == [other]
