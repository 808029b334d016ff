"""The user leaves: when that ends his session, who is told, and in which order."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind, Moment
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import (
    NURSE,
    TIMEOUT,
    UNAVAILABLE,
    bounced,
    error,
    message,
    presence,
    said,
)

GARDEN = f"{ROMEO}/garden"


async def signed_on(play: Stage, legacy: Control) -> None:
    """Romeo is here with one resource, and sees Juliet."""
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))


async def comes(play: Stage, resource: str) -> None:
    await play.send(presence(resource, G))
    await play.expect(presence(G, resource))
    await play.expect(presence(JULIET, resource))


async def is_told(play: Stage, resource: str) -> None:
    """Who leaves hears the contacts go, and then the gateway (GW-OUT-02)."""
    await play.expect(presence(JULIET, resource, "unavailable"))
    await play.expect(presence(G, resource, "unavailable"))


def is_online(legacy: Control) -> bool:
    return legacy.look("Romeo", seen_by="Juliet").show is not Show.OFFLINE


@pytest.mark.conformance("GW-OUT-01", "GW-OUT-02", "GW-OUT-03", "AMB-09")
async def test_the_last_resource_ends_the_session(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    await comes(play, BALCONY)
    await comes(play, GARDEN)
    await play.send(presence(ORCHARD, G, "unavailable"))
    await is_told(play, ORCHARD)
    await play.nothing_more(BALCONY)
    legacy.send_message("Juliet", "Romeo", "still there?")
    await play.expect(said("still there?"))
    await play.send(presence(GARDEN, G, "unavailable"))
    await is_told(play, GARDEN)
    await play.nothing_more(BALCONY)
    assert is_online(legacy)
    await play.send(presence(BALCONY, G, "unavailable"))
    await is_told(play, BALCONY)
    assert not is_online(legacy)
    await play.nothing_more()
    await trio.sleep(2)
    assert not legacy.connections()
    assert [one.kind for one in legacy.arrived(account="romeo")][-1] == "sign_off"


@pytest.mark.conformance("GW-OUT-04", "AMB-09", "AMB-29")
async def test_a_goodbye_to_one_contact_is_none_to_the_others(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    await play.send(presence(ORCHARD, JULIET), presence(ORCHARD, NURSE))
    since = legacy.last_arrived()
    await play.send(presence(ORCHARD, JULIET, "unavailable"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Nurse").show is Show.ONLINE
    await play.send(presence(ORCHARD, NURSE, "unavailable"))
    await play.nothing_more()
    assert legacy.connections()
    assert [one.kind for one in legacy.arrived(since) if one.kind == "sign_off"] == []


@pytest.mark.conformance("GW-OUT-05", "AMB-09", "AMB-25")
async def test_who_came_to_contacts_alone_leaves_with_the_last_of_them(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.send(presence(ORCHARD, JULIET), presence(ORCHARD, NURSE))
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO))
    await play.send(presence(ORCHARD, JULIET, "unavailable"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Nurse").show is Show.ONLINE
    await play.send(presence(ORCHARD, NURSE, "unavailable"))
    await is_told(play, ORCHARD)
    await play.nothing_more()
    assert not is_online(legacy)


@pytest.mark.conformance("AMB-09", "AMB-28")
async def test_what_comes_from_the_bare_jid_is_no_leaving(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    for to in (G, JULIET):
        await play.send(presence(ROMEO, to, "unavailable"))
    await play.nothing_more()
    await play.send(presence(BALCONY, G, "unavailable"))  # who never came
    await play.nothing_more()
    assert is_online(legacy)


@pytest.mark.conformance("AMB-09")
async def test_who_bounces_presence_is_gone(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    await play.send(presence(ORCHARD, JULIET, "error", error(*UNAVAILABLE)))
    await is_told(play, ORCHARD)
    await play.nothing_more()
    assert not is_online(legacy)


@pytest.mark.conformance("GW-OUT-02")
async def test_leaving_and_returning_at_once_is_a_new_session(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    await play.nothing_more()
    for _ in range(3):
        await play.send(presence(ORCHARD, G, "unavailable"), presence(ORCHARD, G))
        await is_told(play, ORCHARD)
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(JULIET, ROMEO))
        await play.nothing_more()
    assert is_online(legacy)
    assert len(legacy.connections()) == 1
    await play.send(presence(ORCHARD, G, "unavailable"))
    await is_told(play, ORCHARD)
    await play.nothing_more()


@pytest.mark.conformance("GW-OUT-02", "GW-IN-04")
async def test_who_has_gone_meanwhile_is_not_shown_to_who_returns(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    await play.nothing_more()
    legacy.set_fault(Kind.DROP, moment=Moment.CONNECT, times=1)
    await play.send(presence(ORCHARD, G, "unavailable"), presence(ORCHARD, G))
    await is_told(play, ORCHARD)
    legacy.sign_off("Juliet")
    await play.expect(presence(G, ORCHARD, "error", error(*TIMEOUT)))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    await play.send(presence(ORCHARD, JULIET, "probe"))
    await play.expect(presence(JULIET, ORCHARD, "unavailable"))
    await play.nothing_more()


@pytest.mark.conformance("GW-OUT-02", "GW-SEND-01")
async def test_a_goodbye_sent_just_before_leaving_arrives(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    await play.send(message("Farewell"), presence(ORCHARD, G, "unavailable"))
    await is_told(play, ORCHARD)
    await play.nothing_more()
    assert [one.fields["text"] for one in legacy.arrived(kind="message")] == ["Farewell"]


@pytest.mark.conformance("GW-OUT-02", "GW-SEND-05")
@pytest.mark.parametrize("fault", [Kind.STALL_ANSWERS, Kind.STALL_READING])
async def test_a_service_that_hangs_delays_leaving_briefly(
    autojump_clock: MockClock, play: Stage, legacy: Control, fault: Kind
) -> None:
    await signed_on(play, legacy)
    await play.nothing_more()
    legacy.set_fault(fault)
    start = trio.current_time()
    await play.send(message("Farewell"), presence(ORCHARD, G, "unavailable"))
    await play.expect(bounced(TIMEOUT, "Farewell"))
    await is_told(play, ORCHARD)
    assert trio.current_time() - start < 15
    legacy.clear_faults()
    await play.nothing_more()
    await trio.sleep(5)
    assert not legacy.connections()


@pytest.mark.conformance("GW-OUT-02")
async def test_leaving_while_being_signed_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    legacy.set_fault(Kind.STALL_ANSWERS)
    await play.send(presence(ORCHARD, G), message("held"))
    await play.nothing_more()
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(bounced(TIMEOUT, "held"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    legacy.clear_faults()
    await trio.sleep(60)
    await play.nothing_more()
    assert not legacy.connections()
    assert not is_online(legacy)


@pytest.mark.conformance("AMB-15")
@pytest.mark.parametrize("type_", ["unsubscribe", "unsubscribed"])
async def test_who_takes_the_gateway_off_his_roster_is_signed_off_and_stays_registered(
    autojump_clock: MockClock, play: Stage, legacy: Control, type_: str
) -> None:
    await signed_on(play, legacy)
    await play.send(presence(ROMEO, G, type_))
    await is_told(play, ROMEO)
    await play.nothing_more()
    assert not is_online(legacy)
    assert play.gateway.store.accounts(G)
    await play.send(presence(ROMEO, G, "subscribe"))
    await play.expect(presence(G, ROMEO, "subscribed"))
    await play.expect(presence(G, ROMEO))
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()
