"""Contacts are added: by the user, by legacy users, and what becomes of each request."""

import pytest
import trio
from trio.testing import MockClock

from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Presence, PresenceType
from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.awaits import watching
from tests.scenarios.casts import Cast
from tests.scenarios.conftest import Raise
from tests.scenarios.words import (
    CONSTRAINT,
    FORBIDDEN,
    ITEM_NOT_FOUND,
    MERCUTIO,
    NURSE,
    error,
    presence,
    register,
    result,
)

MAX_AWAITS, LEAST_AWAITS = 500, 40


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


def relation(legacy: Control, other: str) -> str:
    """Say in words what stands between Romeo and another, as Romeo has it."""
    for one in legacy.contacts("Romeo"):
        if one.address == other:
            words = ("sees", "seen_by", "asked", "asking")
            return " ".join(word for word in words if getattr(one, word))
    return "not listed"


def requests(legacy: Control, since: int = 0) -> list[tuple[str, object]]:
    """Return the changes of lists that Romeo asked for."""
    kinds = ("add", "remove", "grant", "deny", "revoke", "block", "change")
    found = legacy.arrived(since, account="romeo")
    return [(one.kind, one.fields["contact"]) for one in found if one.kind in kinds]


@pytest.mark.conformance("GW-ADD-01", "GW-ADD-02", "GW-ADD-03", "GW-IN-04")
@pytest.mark.needs("consent")
async def test_a_contact_is_asked_and_grants(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    legacy.set_presence("Mercutio", Show.CHAT, "queen Mab")
    await signed_on(play)
    await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
    await play.nothing_more()
    assert requests(legacy) == [("add", "mercutio")]
    assert relation(legacy, "Mercutio") == "asked"
    legacy.grant("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await play.expect(
        presence(MERCUTIO, ROMEO, inside="<show>chat</show><status>queen Mab</status>")
    )
    if cast.tells_who_sees:
        await play.expect(presence(MERCUTIO, ROMEO, "subscribe"))
    await play.nothing_more()
    legacy.add_contact("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribe", cast.request_nick("Mercutio")))
    await play.send(presence(ROMEO, MERCUTIO, "subscribed"))
    await play.nothing_more()
    assert relation(legacy, "Mercutio") == "sees seen_by"
    assert legacy.look("Romeo", seen_by="Mercutio").show is Show.ONLINE
    assert requests(legacy) == [("add", "mercutio"), ("grant", "mercutio")]


@pytest.mark.conformance("GW-ADD-02")
@pytest.mark.parametrize("online", [True, False])
async def test_a_service_without_consent_grants_at_once(
    autojump_clock: MockClock, play: Stage, legacy: Control, online: bool, cast: Cast
) -> None:
    legacy.set_policy(consent=False)
    if online:
        legacy.set_presence("Mercutio", Show.ONLINE)
    await signed_on(play)
    await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
    await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    if online:
        await play.expect(presence(MERCUTIO, ROMEO))
    if cast.tells_who_sees:
        await play.expect(presence(MERCUTIO, ROMEO, "subscribe"))
    await play.nothing_more()


@pytest.mark.conformance("GW-ADD-04", "LU-DEL-02")
@pytest.mark.needs("consent")
async def test_a_contact_is_asked_and_declines(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Mercutio", Show.ONLINE)
    await signed_on(play)
    await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
    await play.nothing_more()
    legacy.deny("Mercutio", "Romeo", "a plague")
    await play.expect(presence(MERCUTIO, ROMEO, "unsubscribed"))
    await play.send(presence(ROMEO, MERCUTIO, "unsubscribe"))  # as servers answer
    await play.nothing_more()
    await play.send(presence(ORCHARD, MERCUTIO, "probe"))
    await play.expect(presence(MERCUTIO, ORCHARD, "unsubscribed"))
    await play.nothing_more()


@pytest.mark.conformance("GW-ADD-05", "AMB-19")
@pytest.mark.parametrize("nobody", ["nobody", "x" * 65])
async def test_nobody_of_that_name(
    autojump_clock: MockClock, play: Stage, legacy: Control, nobody: str
) -> None:
    await signed_on(play)
    contact = f"{nobody}@{G}"
    await play.send(presence(ROMEO, contact, "subscribe"))
    await play.expect(presence(contact, ROMEO, "error", error(*ITEM_NOT_FOUND)))
    await play.expect(presence(contact, ROMEO, "unsubscribed"))
    await play.nothing_more()
    assert {one.address for one in legacy.contacts("Romeo")} == {"Juliet", "Nurse"}


@pytest.mark.conformance("GW-ADD-05")
async def test_a_list_that_is_full_and_a_contact_that_is_oneself(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_policy(max_contacts=2)
    await signed_on(play)
    for contact, fault in ((MERCUTIO, CONSTRAINT), (f"romeo@{G}", FORBIDDEN)):
        await play.send(presence(ROMEO, contact, "subscribe"))
        await play.expect(presence(contact, ROMEO, "error", error(*fault)))
        await play.expect(presence(contact, ROMEO, "unsubscribed"))
    await play.nothing_more()


@pytest.mark.conformance("GW-ADD-06", "LU-ADD-04", "GW-ROST-03", "AMB-13")
async def test_who_is_on_the_list_already_is_granted_at_once(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()
    for _ in range(2):
        await play.send(presence(ROMEO, JULIET, "subscribe"))
        await play.expect(presence(JULIET, ROMEO, "subscribed"))
        await play.expect(presence(JULIET, ROMEO))
        await play.nothing_more()
    await play.send(presence(ROMEO, NURSE, "subscribe"))
    await play.expect(presence(NURSE, ROMEO, "subscribed"))
    await play.send(presence(ROMEO, NURSE, "subscribed"))
    await play.nothing_more()
    assert requests(legacy) == []


@pytest.mark.conformance("GW-ADD-01")
@pytest.mark.needs("consent")
async def test_a_wish_without_a_session_is_kept_until_there_is_one(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, cast: Cast
) -> None:
    async with curtain() as play:
        await play.register()
        await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
        await play.send(presence(ROMEO, JULIET, "subscribe"))
        await play.nothing_more()
    async with curtain() as play:
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        await play.sign_on()
        await play.expect(presence(JULIET, ROMEO, "subscribed"))
        await play.nothing_more()
        assert requests(legacy) == [("add", "mercutio")]
    legacy.set_presence("Mercutio", Show.ONLINE)
    legacy.grant("Mercutio", "Romeo")
    async with curtain() as play:
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        await play.sign_on()
        await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
        await play.expect(presence(MERCUTIO, ROMEO))
        if cast.tells_who_sees:
            await play.expect(presence(MERCUTIO, ROMEO, "subscribe"))
        await play.nothing_more()
        assert requests(legacy) == [("add", "mercutio")]
        assert not legacy.kept("Romeo")


@pytest.mark.conformance("LU-ADD-01", "LU-ADD-02", "LU-ADD-03", "NICK-01")
@pytest.mark.needs("consent")
async def test_a_legacy_user_asks_and_is_granted(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    await signed_on(play)
    legacy.sign_on("Mercutio")
    legacy.add_contact("Mercutio", "Romeo", reason="the masque")
    nick = cast.request_nick("Mercutio")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribe", f"<status>the masque</status>{nick}"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Mercutio").show is Show.OFFLINE
    await play.send(presence(ROMEO, MERCUTIO, "subscribed"))
    await play.nothing_more()
    assert requests(legacy) == [("grant", "mercutio")]
    assert legacy.look("Romeo", seen_by="Mercutio").show is Show.ONLINE
    assert not legacy.kept("Romeo")


@pytest.mark.conformance("LU-ADD-04", "GW-ADD-02", "LU-ADD-03")
@pytest.mark.needs("consent")
async def test_both_ask_each_other(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    legacy.set_presence("Mercutio", Show.DND)
    await signed_on(play)
    legacy.add_contact("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribe", cast.request_nick("Mercutio")))
    await play.send(presence(ROMEO, MERCUTIO, "subscribed"), presence(ROMEO, MERCUTIO, "subscribe"))
    await play.nothing_more()
    legacy.grant("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await play.expect(presence(MERCUTIO, ROMEO, inside="<show>dnd</show>"))
    await play.nothing_more()  # no request back: he sees Romeo already
    assert relation(legacy, "Mercutio") == "sees seen_by"


@pytest.mark.conformance("LU-ADD-05", "GW-DEL-02")
@pytest.mark.needs("consent")
async def test_a_legacy_user_asks_and_is_refused(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    await signed_on(play)
    legacy.sign_on("Mercutio")
    legacy.add_contact("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribe", cast.request_nick("Mercutio")))
    await play.send(presence(ROMEO, MERCUTIO, "unsubscribed"))
    await play.nothing_more()
    assert requests(legacy) == [("deny", "mercutio")]
    await play.send(presence(ORCHARD, G, inside="<show>away</show>"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Mercutio").show is Show.OFFLINE
    assert not [one for one in legacy.heard("Mercutio") if one.kind == "PresenceShown"]


@pytest.mark.conformance("LU-ADD-01", "GW-REG-04")
@pytest.mark.parametrize("answer", ["subscribed", "unsubscribed"])
@pytest.mark.needs("consent")
async def test_a_request_is_repeated_at_each_sign_on_until_it_is_answered(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, answer: str, cast: Cast
) -> None:
    nick = cast.request_nick("Mercutio")
    request = presence(MERCUTIO, ROMEO, "subscribe", f"<status>the masque</status>{nick}")
    async with curtain() as play:
        await play.register()
        legacy.add_contact("Mercutio", "Romeo", reason="the masque")
        for _ in range(2):
            await play.sign_on()
            await play.expect(request)
            await play.nothing_more()
            assert not legacy.kept("Romeo")  # it is with us now
            await play.send(presence(ORCHARD, G, "unavailable"))
            await play.expect(presence(G, ORCHARD, "unavailable"))
            await play.nothing_more()
    async with curtain() as play:
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        await play.sign_on()
        await play.expect(request)
        await play.send(presence(ROMEO, MERCUTIO, answer))
        await play.nothing_more()
        await play.send(presence(ORCHARD, G, "unavailable"))
        await play.expect(presence(G, ORCHARD, "unavailable"))
        await play.sign_on()
        await play.nothing_more()
        granted = [("grant" if answer == "subscribed" else "deny", "mercutio")]
        assert requests(legacy) == granted


@pytest.mark.conformance("LU-ADD-01", "LU-ADD-03", "LU-ADD-05")
@pytest.mark.parametrize(("answer", "done"), [("subscribed", "grant"), ("unsubscribed", "deny")])
@pytest.mark.needs("consent")
async def test_an_answer_without_a_session_is_asked_for_again(
    autojump_clock: MockClock, play: Stage, legacy: Control, answer: str, done: str, cast: Cast
) -> None:
    await signed_on(play)
    legacy.add_contact("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribe", cast.request_nick("Mercutio")))
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.send(presence(ROMEO, MERCUTIO, answer))
    await play.nothing_more()
    await play.sign_on()
    await play.expect(presence(MERCUTIO, ROMEO, "subscribe", cast.request_nick("Mercutio")))
    await play.send(presence(ROMEO, MERCUTIO, answer))  # servers do, for who is approved already
    await play.nothing_more()
    assert requests(legacy) == [(done, "mercutio")]


@pytest.mark.conformance("AMB-16", "GW-DEL-01", "CORE-02")
async def test_another_spelling_is_no_second_contact_and_its_going_takes_nobody_along(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    spelled = f"ju\\20liet@{G}"
    await play.send(presence(ROMEO, spelled, "subscribe"))
    fault = await play.expect(presence(spelled, ROMEO, "error", error(*ITEM_NOT_FOUND)))
    assert JULIET in str(fault[0][1].text)
    await play.expect(presence(spelled, ROMEO, "unsubscribed"))
    await play.send(
        presence(ROMEO, spelled, "unsubscribe"), presence(ROMEO, spelled, "unsubscribed")
    )
    await play.nothing_more()
    assert requests(legacy) == []
    assert relation(legacy, "Juliet") == "sees seen_by"


@pytest.mark.conformance("GW-ADD-01")
@pytest.mark.needs("consent")
@pytest.mark.needs("told withdrawals")
async def test_what_the_service_knows_of_a_contact_is_kept_when_he_is_asked_again(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.revoke("Nurse", "Romeo")
    legacy.change_contact("Romeo", "Nurse", "Angelica", ("Verona",))
    await signed_on(play)
    await play.send(presence(ROMEO, NURSE, "subscribe", "<status>good nurse</status>"))
    await play.nothing_more()
    [asked] = legacy.arrived(account="romeo", kind="add")
    assert asked.fields["name"] == "Angelica"
    assert asked.fields["groups"] == ["Verona"]
    assert asked.fields["reason"] == "good nurse"
    await play.send(presence(ROMEO, NURSE, "subscribe"))  # he is asked already
    await play.nothing_more()
    assert len(legacy.arrived(account="romeo", kind="add")) == 1


@pytest.mark.conformance("GW-ROST-03", "LU-ADD-02")
async def test_nobody_is_granted_what_he_has_not_asked_for(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    """The user asks with another client of the service: that is no business of his roster."""
    await signed_on(play)
    legacy.add_contact("Romeo", "Mercutio")
    legacy.grant("Mercutio", "Romeo")
    legacy.add_contact("Romeo", "Nurse")
    await play.nothing_more()


@pytest.mark.conformance("GW-ADD-01")
async def test_a_wish_survives_the_connection_that_was_to_carry_it(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    await signed_on(play)
    legacy.set_fault(Kind.STALL_READING, account="Romeo")
    await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
    await play.nothing_more()
    legacy.cut("Romeo")
    legacy.clear_faults()
    await play.expect(presence(G, ROMEO))
    if "consent" in cast.lacks:
        await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await play.nothing_more()
    assert requests(legacy) == [("add", "mercutio")]


@pytest.mark.slow
@pytest.mark.conformance("GW-ADD-01", "GW-ADD-06", "CORE-06")
@pytest.mark.needs("consent")
@pytest.mark.needs("told withdrawals")
async def test_the_user_subscribes_at_each_await_of_his_sign_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    """Whether the list has come or not: who is on it keeps his name, and is not added anew."""
    [router] = play.gateway.routers
    wishes = [
        Presence(from_=Jid.parse(ROMEO), to=play.jid(one), type=PresenceType.SUBSCRIBE)
        for one in (JULIET, NURSE)
    ]

    def subscribe() -> None:
        for wish in wishes:
            router.take(wish)

    legacy.revoke("Nurse", "Romeo")
    legacy.change_contact("Romeo", "Nurse", "Angelica", ("Verona",))
    for k in range(MAX_AWAITS):
        await play.register()
        since = legacy.last_arrived()
        with watching(k, subscribe) as at:
            await play.send(presence(ORCHARD, G))
            await trio.sleep(10)
        if not at.has_acted:
            break
        await play.expect_all(presence(G, ROMEO), presence(JULIET, ROMEO, "subscribed"))
        await play.nothing_more()
        [added] = legacy.arrived(since, account="romeo", kind="add")
        assert (added.fields["name"], added.fields["groups"]) == ("Angelica", ["Verona"]), k
        legacy.deny("Nurse", "Romeo")
        await play.expect(presence(NURSE, ROMEO, "unsubscribed"))
        await play.send(register("<remove/>"))
        await play.expect(result(id_="r1"))
        for jid in (JULIET, G):
            for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
                await play.expect(presence(jid, ROMEO, type_))
    assert LEAST_AWAITS < k < MAX_AWAITS - 1
