"""Presence for single contacts: a copy of what all are shown, or something of its own (AMB-10)."""

import itertools

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.features import presence as presence_feature
from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.policy import CAPABILITIES
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, G, Stage
from tests.scenarios.words import MERCUTIO, NURSE, presence

DND, AWAY = "<show>dnd</show>", "<show>away</show>"
WITHOUT = tuple(word for word in CAPABILITIES if word != "per_contact_presence")


def looks(legacy: Control) -> list[tuple[str, list[str]]]:
    """Return how the network was told to show Romeo, and to whom alone, after his sign-on."""
    found = [
        (str(one.fields["show"]), list(map(str, one.fields["only_for"])))  # type: ignore[call-overload]
        for one in legacy.arrived(account="romeo", kind="presence")
    ]
    begins: tuple[str, list[str]] = ("online", [])
    return [look for before, look in itertools.pairwise([begins, *found]) if look != before]


def seen(legacy: Control) -> tuple[Show, Show]:
    """Return how Juliet and the Nurse see Romeo."""
    return (
        legacy.look("Romeo", seen_by="Juliet").show,
        legacy.look("Romeo", seen_by="Nurse").show,
    )


async def settled(play: Stage) -> None:
    await play.nothing_more()
    await trio.sleep(1)


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await settled(play)


@pytest.mark.conformance("GW-OUT-04", "AMB-10")
@pytest.mark.needs("per-contact presence")
async def test_a_goodbye_to_one_contact_is_passed_to_it_alone(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(presence(ORCHARD, JULIET, "unavailable"))
    await settled(play)
    assert seen(legacy) == (Show.OFFLINE, Show.ONLINE)
    assert looks(legacy) == [("offline", ["juliet"])]
    await play.send(presence(ORCHARD, G, inside=AWAY))  # the server leaves her out now
    await settled(play)
    assert seen(legacy) == (Show.OFFLINE, Show.AWAY)
    await play.send(presence(ORCHARD, JULIET, inside=AWAY))  # until he shows himself again
    await settled(play)
    assert seen(legacy) == (Show.AWAY, Show.AWAY)
    await play.send(presence(ORCHARD, G, inside=DND))
    await settled(play)
    assert seen(legacy) == (Show.DND, Show.DND)


@pytest.mark.conformance("GW-OUT-04", "GW-IN-06", "AMB-10")
async def test_where_the_network_has_one_status_it_stays_as_it_is(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_policy(capabilities=WITHOUT)
    await signed_on(play)
    await play.send(presence(ORCHARD, JULIET, "unavailable"))
    await play.send(presence(ORCHARD, NURSE, inside=DND))
    await settled(play)
    assert looks(legacy) == []
    assert seen(legacy) == (Show.ONLINE, Show.ONLINE)


@pytest.mark.conformance("AMB-10", "GW-IN-06")
@pytest.mark.parametrize("first", [True, False])
async def test_copies_to_contacts_cause_no_further_updates(
    autojump_clock: MockClock, play: Stage, legacy: Control, first: bool
) -> None:
    await signed_on(play)
    copies = [presence(ORCHARD, one, inside=AWAY) for one in (JULIET, NURSE, MERCUTIO)]
    to_gateway = presence(ORCHARD, G, inside=AWAY)
    for one in [to_gateway, *copies] if first else [*copies, to_gateway]:
        await play.send(one)
        await trio.sleep(0.05)
    await settled(play)
    assert looks(legacy) == [("away", [])]


@pytest.mark.conformance("AMB-10", "GW-OUT-03")
async def test_copies_of_a_resource_that_does_not_count_change_nothing(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    low = f"{DND}<priority>-1</priority>"
    await play.send(*(presence(BALCONY, one, inside=low) for one in (JULIET, G, NURSE)))
    await play.expect(presence(G, BALCONY))
    await settled(play)
    await play.send(*(presence(BALCONY, one, "unavailable") for one in (JULIET, NURSE, G)))
    await play.expect(presence(G, BALCONY, "unavailable"))
    await settled(play)
    assert looks(legacy) == []


@pytest.mark.conformance("GW-OUT-03", "AMB-10")
@pytest.mark.needs("per-contact presence")
async def test_what_a_resource_showed_to_one_contact_goes_with_it(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(presence(BALCONY, G, inside="<priority>-1</priority>"))
    await play.expect(presence(G, BALCONY))
    await play.send(presence(BALCONY, JULIET, inside=DND))
    await settled(play)
    assert seen(legacy) == (Show.DND, Show.ONLINE)
    await play.send(presence(BALCONY, G, "unavailable"))
    await play.expect(presence(G, BALCONY, "unavailable"))
    await settled(play)
    assert seen(legacy) == (Show.ONLINE, Show.ONLINE)


@pytest.mark.conformance("AMB-25", "GW-IN-01")
@pytest.mark.needs("per-contact presence")
async def test_what_was_said_to_one_contact_before_the_sign_on_is_not_lost(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.send(presence(ORCHARD, G), presence(ORCHARD, JULIET, inside=DND))
    await play.expect(presence(G, "romeo@shakespeare.lit"))
    await settled(play)
    assert seen(legacy) == (Show.DND, Show.ONLINE)


@pytest.mark.conformance("AMB-25")
@pytest.mark.parametrize(
    "able", [pytest.param(True, marks=pytest.mark.needs("per-contact presence")), False]
)
async def test_presence_for_somebody_who_is_no_contact_adds_nobody(
    autojump_clock: MockClock, play: Stage, legacy: Control, able: bool
) -> None:
    if not able:
        legacy.set_policy(capabilities=WITHOUT)
    await signed_on(play)
    await play.send(presence(ORCHARD, MERCUTIO, inside=DND))
    await settled(play)
    assert looks(legacy) == ([("dnd", ["mercutio"])] if able else [])
    assert not [one for one in legacy.arrived(account="romeo") if one.kind == "add"]
    assert "Mercutio" not in {one.address for one in legacy.contacts("Romeo")}


@pytest.mark.conformance("AMB-25")
@pytest.mark.needs("per-contact presence")
async def test_there_is_an_end_to_single_contacts(
    autojump_clock: MockClock, play: Stage, legacy: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_feature, "MAX_DIRECTED", 3)
    await signed_on(play)
    for number in range(6):
        legacy.create_account(f"guest{number}", "masked")
        await play.send(presence(ORCHARD, f"guest{number}@{G}", inside=DND))
    await settled(play)
    [session] = list(play.gateway.sessions)
    assert len(session.user.directed) == 3
    await play.send(presence(ORCHARD, G, inside=AWAY))
    await settled(play)
    assert len(looks(legacy)) == 6 + 1 + 3  # and those are told again
