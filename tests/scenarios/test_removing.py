"""Contacts are removed: by the user, by legacy users, here and elsewhere."""

import itertools

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind, Moment
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.words import (
    MERCUTIO,
    NURSE,
    TIMEOUT,
    error,
    message,
    presence,
    said,
)

BURST = {
    "unsubscribe": presence(ROMEO, JULIET, "unsubscribe"),
    "unsubscribed": presence(ROMEO, JULIET, "unsubscribed"),
    "unavailable": presence(ORCHARD, JULIET, "unavailable"),
}


async def subscribed(play: Stage, legacy: Control) -> None:
    """Romeo is signed on, and he and Juliet see each other."""
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.send(presence(ROMEO, JULIET, "subscribe"))
    await play.expect(presence(JULIET, ROMEO, "subscribed"))
    await play.expect(presence(JULIET, ROMEO))
    await play.send(presence(ROMEO, JULIET, "subscribed"))
    await play.nothing_more()


def done(legacy: Control) -> list[str]:
    kinds = ("add", "remove", "grant", "deny", "revoke", "block", "change")
    return [one.kind for one in legacy.arrived(account="romeo") if one.kind in kinds]


def listed(legacy: Control, whose: str = "Romeo") -> set[str]:
    return {one.address for one in legacy.contacts(whose)}


async def juliet_sees_nothing_of(play: Stage, legacy: Control) -> None:
    """Whatever Romeo shows now, she does not see it (GW-DEL-02)."""
    last = max((one.number for one in legacy.heard("Juliet")), default=0)
    await play.send(presence(ORCHARD, G, inside="<show>dnd</show>"))
    await play.nothing_more()
    kinds = [one.kind for one in legacy.heard("Juliet", since=last)]
    assert "PresenceShown" not in kinds
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.OFFLINE


@pytest.mark.conformance("GW-DEL-01", "GW-DEL-02", "GW-DEL-03", "AMB-22", "AMB-29")
@pytest.mark.parametrize("order", [*itertools.permutations(BURST)], ids="-".join)
async def test_a_contact_taken_off_the_roster(
    autojump_clock: MockClock, play: Stage, legacy: Control, order: tuple[str, ...]
) -> None:
    await subscribed(play, legacy)
    await play.send(*[BURST[one] for one in order])
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.nothing_more()
    assert done(legacy).count("remove") == 1
    assert listed(legacy) == {"Nurse"}
    await juliet_sees_nothing_of(play, legacy)
    legacy.set_presence("Juliet", Show.AWAY)
    await play.send(*[BURST[one] for one in order])  # the server says it again
    await play.nothing_more()
    assert done(legacy).count("remove") == 1


@pytest.mark.conformance("GW-DEL-01", "GW-DEL-03", "AMB-22")
async def test_the_subscription_alone_is_ended(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await subscribed(play, legacy)
    await play.send(BURST["unsubscribe"])
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.nothing_more()
    assert done(legacy) == ["remove"]
    await play.send(presence(ROMEO, NURSE, "unsubscribe"))  # who was not shown
    await play.nothing_more()
    assert done(legacy) == ["remove", "remove"]
    assert listed(legacy) == set()


@pytest.mark.conformance("GW-DEL-04", "GW-DEL-02")
@pytest.mark.needs("revocation")
async def test_a_contact_that_may_see_the_user_no_longer(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await subscribed(play, legacy)
    await play.send(BURST["unsubscribed"])
    await play.nothing_more()
    assert done(legacy) == ["revoke"]
    assert listed(legacy) == {"Juliet", "Nurse"}
    await juliet_sees_nothing_of(play, legacy)
    legacy.set_presence("Juliet", Show.AWAY)
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    await play.nothing_more()


@pytest.mark.conformance("GW-DEL-01")
@pytest.mark.parametrize("nobody", [MERCUTIO, f"nobody@{G}", f"{'x' * 65}@{G}"])
async def test_who_is_not_known_is_removed_in_silence(
    autojump_clock: MockClock, play: Stage, legacy: Control, nobody: str
) -> None:
    await subscribed(play, legacy)
    await play.send(*[one.replace(JULIET, nobody) for one in BURST.values()])
    await play.nothing_more()
    assert done(legacy) == []


@pytest.mark.conformance("GW-DEL-01", "GW-DEL-02")
@pytest.mark.parametrize("restart", [False, True])
async def test_a_removal_without_a_session_is_done_at_the_next(
    autojump_clock: MockClock, play: Stage, legacy: Control, restart: bool
) -> None:
    await subscribed(play, legacy)
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(JULIET, ORCHARD, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    if restart:  # its session is over, and begins anew
        await play.nothing_more()
        assert not list(play.gateway.sessions)
    await play.send(BURST["unsubscribe"], BURST["unsubscribed"])
    await play.nothing_more()
    assert done(legacy) == []
    for _ in range(2):
        await play.sign_on()
        await play.nothing_more()
        assert done(legacy) == ["remove"]
        assert listed(legacy) == {"Nurse"}
        await play.send(presence(ORCHARD, G, "unavailable"))
        await play.expect(presence(G, ORCHARD, "unavailable"))
    legacy.add_contact("Romeo", "Juliet")  # with another client, later
    await play.sign_on()
    await play.nothing_more()
    assert "Juliet" in listed(legacy)


@pytest.mark.conformance("GW-DEL-01")
async def test_a_removal_while_the_service_is_away_is_done_when_it_is_back(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await subscribed(play, legacy)
    legacy.set_fault(Kind.DROP, moment=Moment.CONNECT)
    legacy.cut("Romeo")
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.expect(presence(G, ORCHARD, "error", error(*TIMEOUT)))
    await play.send(BURST["unsubscribe"])
    await play.nothing_more()
    legacy.clear_faults()
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert listed(legacy) == {"Nurse"}


@pytest.mark.conformance("LU-DEL-01", "LU-DEL-02", "AMB-11", "AMB-23")
@pytest.mark.needs("told removals")
async def test_a_mutual_removal_is_three_stanzas_and_their_echo_is_nothing(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_policy(mutual_removal=True)
    await subscribed(play, legacy)
    legacy.remove_contact("Juliet", "Romeo")
    await play.expect(presence(JULIET, ROMEO, "unavailable"))  # the service shows her gone first
    found = [await play.link.next_stanza() for _ in range(3)]
    assert [(one.get("from"), one.get("to"), one.get("type")) for one in found] == [
        (JULIET, ROMEO, type_) for type_ in ("unsubscribe", "unsubscribed", "unavailable")
    ]
    await play.nothing_more()
    await play.send(BURST["unsubscribed"], BURST["unsubscribe"], BURST["unavailable"])
    await play.nothing_more()
    assert done(legacy) == []
    assert not legacy.kept("Romeo")


@pytest.mark.conformance("LU-DEL-01", "LU-DEL-02", "AMB-23")
@pytest.mark.needs("told removals")
async def test_a_one_sided_removal_is_one_stanza(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await subscribed(play, legacy)
    legacy.remove_contact("Juliet", "Romeo")
    await play.expect_all(
        presence(JULIET, ROMEO, "unsubscribe"), presence(JULIET, ROMEO, "unavailable")
    )
    await play.send(BURST["unsubscribed"])  # as older clients acknowledge it
    await play.nothing_more()
    assert done(legacy) == []
    await juliet_sees_nothing_of(play, legacy)


@pytest.mark.conformance("LU-DEL-01")
async def test_a_removal_by_somebody_unknown_is_silence(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.befriend("Mercutio", "Romeo")
    await play.register()
    legacy.set_policy(mutual_removal=True)
    legacy.remove_contact("Mercutio", "Romeo")
    await play.sign_on()
    await play.nothing_more()
    assert not legacy.kept("Romeo")


@pytest.mark.conformance("AMB-23", "GW-OUT-06")
@pytest.mark.needs("consent")
async def test_a_contact_taken_off_with_another_client_is_shown_no_longer(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    await subscribed(play, legacy)
    legacy.remove_contact("Romeo", "Juliet")
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.nothing_more()
    await play.send(presence(ROMEO, JULIET, "subscribe"))
    await play.nothing_more()
    assert done(legacy)[-1] == "add"
    legacy.grant("Juliet", "Romeo")
    await play.expect(presence(JULIET, ROMEO, "subscribed"))
    shown = [presence(JULIET, ROMEO)]
    if cast.tells_who_sees:
        shown.append(presence(JULIET, ROMEO, "subscribe"))
    await play.expect_all(*shown)
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-02", "LU-SEND-04")
async def test_who_is_removed_may_still_be_written_to(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await subscribed(play, legacy)
    await play.send(*BURST.values())
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.send(message("Farewell"))
    legacy.send_message("Juliet", "Romeo", "Farewell, then")
    await play.expect(said("Farewell, then"))
    await play.nothing_more()
    assert [one.fields["text"] for one in legacy.arrived(account="romeo", kind="message")] == [
        "Farewell"
    ]
