"""The user's presence signs them on: once, whatever came first, and shows them on the service."""

from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Look, Show
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.words import (
    BENVOLIO,
    MERCUTIO,
    NURSE,
    REGISTRATION_REQUIRED,
    STRANGER,
    error,
    presence,
)


def sign_ons(legacy: Control) -> int:
    return len(legacy.arrived(account="romeo", kind="sign_on"))


def looks(legacy: Control, cast: Cast) -> list[tuple[object, object]]:
    """Return how the user was told to be shown, in order; what is told twice, once."""
    looks: list[tuple[object, object]] = []
    for one in legacy.arrived(account="romeo", kind="presence"):
        text = one.fields["text"]
        look = (one.fields["show"], "" if text == cast.away_text else text)
        if not one.fields["only_for"] and look not in looks[-1:]:
            looks.append(look)
    return looks


@pytest.mark.conformance("IDLE-01")
async def test_contacts_see_since_when_the_user_is_idle(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    since = play.host.now() - timedelta(minutes=10)
    idle = f"<idle xmlns='urn:xmpp:idle:1' since='{since.isoformat()}'/>"
    for inside, is_idle in ((f"<show>away</show>{idle}", True), ("", False), (idle, True)):
        await play.send(presence(ORCHARD, G, inside=inside))
        await play.nothing_more()
        assert (legacy.look("Romeo", "Juliet").idle_since is not None) is is_idle


@pytest.mark.conformance("GW-IN-01", "GW-IN-02", "GW-IN-04", "GW-IN-05", "LU-SEND-02")
async def test_contacts_are_shown_as_they_are(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    legacy.befriend("Romeo", "Mercutio")
    legacy.set_presence("Juliet", Show.XA, "on the <balcony>")
    legacy.set_presence("Mercutio", Show.INVISIBLE)
    await play.register()
    await play.sign_on()
    for inside in cast.shown("<show>xa</show><status>on the &lt;balcony&gt;</status>"):
        await play.expect(presence(JULIET, ROMEO, inside=inside))
    await play.nothing_more()
    legacy.sign_on("Nurse")
    await play.expect(presence(NURSE, ROMEO))
    for show, said in [
        (Show.CHAT, "<show>chat</show>"),
        (Show.DND, "<show>dnd</show>"),
        (Show.AWAY, "<show>away</show>"),
        (Show.ONLINE, ""),
    ]:
        legacy.set_presence("Nurse", show)
        await play.expect(presence(NURSE, ROMEO, inside=said))
    legacy.set_presence("Mercutio", Show.ONLINE)
    await play.expect(presence(MERCUTIO, ROMEO))
    legacy.set_presence("Mercutio", Show.INVISIBLE)
    await play.expect(presence(MERCUTIO, ROMEO, "unavailable"))
    legacy.sign_off("Nurse")
    await play.expect(presence(NURSE, ROMEO, "unavailable"))
    await play.nothing_more()


@pytest.mark.conformance("GW-IN-01", "AMB-10", "AMB-25", "CORE-06")
@pytest.mark.parametrize("order", [[JULIET, NURSE, G], [G, JULIET, NURSE], [MERCUTIO, G]])
async def test_one_sign_on_whatever_comes_first(
    autojump_clock: MockClock, play: Stage, legacy: Control, order: list[str], cast: Cast
) -> None:
    await play.register()
    await play.send(*[presence(ORCHARD, to, inside="<show>dnd</show>") for to in order])
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert sign_ons(legacy) == 1
    assert looks(legacy, cast) == [("dnd", "")]
    assert {one.address for one in legacy.contacts("Romeo")} == {"Juliet", "Nurse"}


@pytest.mark.conformance("GW-IN-06", "AMB-10")
async def test_the_status_is_that_of_the_most_important_resource_and_is_told_once(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    away = "<show>away</show><status>to Mantua</status>"
    await play.register()
    await play.send(presence(ORCHARD, G, inside=away))
    await play.expect(presence(G, ROMEO))
    await play.send(presence(ORCHARD, JULIET, inside=away), presence(ORCHARD, NURSE, inside=away))
    await play.nothing_more()
    assert looks(legacy, cast) == [("away", "to Mantua")]
    assert legacy.look("Romeo", seen_by="Juliet") == Look(Show.AWAY, "to Mantua")

    await play.send(presence(BALCONY, G, inside="<show>dnd</show><priority>-1</priority>"))
    await play.expect(presence(G, BALCONY))
    await play.nothing_more()
    assert looks(legacy, cast)[1:] == []  # less important than what is shown
    await play.send(presence(BALCONY, G, inside="<show>chat</show><priority>5</priority>"))
    await play.nothing_more()
    assert looks(legacy, cast)[1:] == [("chat", "")]
    await play.send(presence(ORCHARD, G))  # of no account any more
    await play.nothing_more()
    assert looks(legacy, cast)[2:] == []
    await play.send(presence(BALCONY, G, "unavailable"))
    await play.expect(presence(G, BALCONY, "unavailable"))
    await play.nothing_more()
    assert looks(legacy, cast)[2:] == [("online", "")]


@pytest.mark.conformance("AMB-10")
async def test_what_a_contact_was_told_counts_until_the_gateway_is_told(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    await play.register()
    await play.send(presence(ORCHARD, JULIET, inside="<show>xa</show>"))
    await play.expect(presence(G, ROMEO))
    await play.send(presence(ORCHARD, NURSE, inside="<show>chat</show>"))
    await play.nothing_more()
    await play.send(presence(ORCHARD, G, inside="<show>dnd</show>"))
    await play.send(presence(ORCHARD, NURSE, inside="<show>away</show>"))
    await play.nothing_more()
    assert looks(legacy, cast) == [("xa", ""), ("chat", ""), ("dnd", "")]


@pytest.mark.conformance("GW-IN-10", "AMB-11")
async def test_a_further_resource_is_shown_everything_alone(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.AWAY)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    await play.send(presence(BALCONY, JULIET), presence(BALCONY, G))
    await play.expect(presence(G, BALCONY))
    await play.expect(presence(JULIET, BALCONY, inside="<show>away</show>"))
    await play.nothing_more()
    assert sign_ons(legacy) == 1


@pytest.mark.conformance("GW-IN-11", "GW-LIFE-04", "CORE-09", "AMB-28")
@pytest.mark.parametrize("prober", [ROMEO, ORCHARD])
async def test_probes_are_answered_to_who_asked(
    autojump_clock: MockClock, play: Stage, legacy: Control, prober: str, cast: Cast
) -> None:
    legacy.set_presence("Juliet", Show.AWAY, "ill")
    await play.register()
    probed = (G, JULIET, NURSE, MERCUTIO)
    for to in probed:
        await play.send(presence(prober, to, "probe"))
        await play.expect(presence(to, prober, "unavailable"))
    await play.nothing_more()
    await play.sign_on()
    for shown in cast.shown("<show>away</show><status>ill</status>"):
        await play.expect(presence(JULIET, ROMEO, inside=shown))
    await play.nothing_more()
    since = legacy.last_arrived()
    await play.send(*[presence(prober, to, "probe") for to in probed])
    await play.expect(presence(G, prober))
    await play.expect(presence(JULIET, prober, inside=shown))
    await play.expect(presence(NURSE, prober, "unavailable"))
    await play.expect(presence(MERCUTIO, prober, "unsubscribed"))
    await play.nothing_more()
    assert legacy.arrived(since) == []


@pytest.mark.conformance("AMB-06", "GW-IN-01")
@pytest.mark.parametrize("nobody", [BENVOLIO, STRANGER])
async def test_strangers_are_told_so_and_sign_nobody_on(
    autojump_clock: MockClock, play: Stage, legacy: Control, nobody: str
) -> None:
    bare = nobody.partition("/")[0]
    await play.send(presence(nobody, G))
    await play.expect(presence(G, nobody, "error", error(*REGISTRATION_REQUIRED)))
    await play.send(
        presence(nobody, JULIET),
        presence(nobody, JULIET, "unavailable"),
        presence(nobody, G, "unavailable"),
        presence(bare, JULIET, "subscribed"),
        presence(bare, JULIET, "unsubscribe"),
        presence(bare, G, "unsubscribed"),
        presence(nobody, G, "error", error(*REGISTRATION_REQUIRED)),
    )
    await play.nothing_more(nobody)
    for contact in (JULIET, f"nobody@{G}"):
        await play.send(presence(bare, contact, "probe"))
        await play.expect(presence(contact, bare, "unsubscribed"))
        await play.send(presence(bare, contact, "subscribe"))
        await play.expect(presence(contact, bare, "error", error(*REGISTRATION_REQUIRED)))
        await play.expect(presence(contact, bare, "unsubscribed"))
    await play.nothing_more(nobody)
    assert not legacy.arrived()
    assert not legacy.connections()


@pytest.mark.conformance("AMB-06", "GW-IN-10")
async def test_a_stranger_is_told_once_for_each_of_his_resources(
    autojump_clock: MockClock, play: Stage
) -> None:
    other = f"{BENVOLIO}2"
    fault = error(*REGISTRATION_REQUIRED)
    await play.send(presence(BENVOLIO, G))
    await play.expect(presence(G, BENVOLIO, "error", fault))
    await play.send(presence(other, G))
    await play.expect(presence(G, other, "error", fault))
    await play.send(presence(BENVOLIO, G, inside="<show>away</show>"), presence(other, G))
    await play.nothing_more(BENVOLIO)
    await play.send(presence(other, G, "unavailable"), presence(other, G))
    await play.expect(presence(G, other, "error", fault))  # he came anew
    await play.nothing_more(BENVOLIO)


@pytest.mark.conformance("GW-IN-01", "CORE-08")
@pytest.mark.needs("any names")
async def test_presence_for_what_is_no_address_is_no_sign_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.send(presence(ORCHARD, f"{'x' * 65}@{G}"))
    await play.nothing_more()
    assert sign_ons(legacy) == 0
    await play.sign_on()
    await trio.sleep(1)
    await play.nothing_more()
