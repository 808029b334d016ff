"""What the operator may have otherwise: closed doors, one owner, contacts with a resource."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show, TypingState
from legacy_emu.faults import Kind
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, SERVER, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.conftest import Raise
from tests.scenarios.words import (
    CONFLICT,
    NOT_ACCEPTABLE,
    NURSE,
    REGISTER,
    UNAVAILABLE,
    iq,
    login,
    message,
    presence,
    refused,
    register,
    result,
    said,
)

ASK = f"<query xmlns='{REGISTER}'/>"
INFO = "http://jabber.org/protocol/disco#info"
OTHER = f"paris@{SERVER}/hall"
PAGE = "https://example.net/register?a=1&amp;b=2"


async def features(play: Stage, who: str) -> set[str | None]:
    await play.send(iq("get", f"<query xmlns='{INFO}'/>", from_=who))
    came = await play.link.next_stanza()
    return {one.get("var") for one in came[0] if one.tag == f"{{{INFO}}}feature"}


@pytest.mark.conformance("REG7-08", "DISCO-01", "CORE-10")
async def test_where_registration_is_closed_nobody_comes_in(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain(registration="closed") as play:
        await play.send(iq("get", ASK))
        await play.expect(refused(UNAVAILABLE))
        await play.send(register(login("Romeo", "montague")))
        await play.expect(refused(UNAVAILABLE, id_="r1"))
        assert REGISTER not in await features(play, ORCHARD)
        await play.nothing_more()
    assert not legacy.arrived()


@pytest.mark.conformance("REG7-08")
async def test_a_page_may_say_how_to_register(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain(registration="closed", registration_url=PAGE.replace("&amp;", "&")) as play:
        await play.send(iq("get", ASK))
        oob = f"<x xmlns='jabber:x:oob'><url>{PAGE}</url></x>"
        words = f"<instructions>To register, go to {PAGE}</instructions>"
        await play.expect(result(f"<query xmlns='{REGISTER}'>{words}{oob}</query>"))
        await play.send(register(login("Romeo", "montague")))
        await play.expect(refused(UNAVAILABLE, id_="r1"))
        assert REGISTER in await features(play, ORCHARD)
        await play.nothing_more()


@pytest.mark.conformance("REG7-08", "GW-EDIT-02")
async def test_who_is_in_when_the_door_closes_may_change_and_leave(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await play.register()
    async with curtain(registration="closed") as play:
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        legacy.set_password("Romeo", "new")
        await play.send(register(login("Romeo", "new")))
        await play.expect(result(id_="r1"))
        assert REGISTER in await features(play, ORCHARD)
        await play.send(register("<remove/>", id_="r2"))
        await play.expect(result(id_="r2"))
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(G, ROMEO, type_))
        await play.send(register(login("Romeo", "new"), id_="r3"))
        await play.expect(refused(UNAVAILABLE, id_="r3"))
        await play.nothing_more()


@pytest.mark.conformance("AMB-30", "REG7-08", "CORE-10")
async def test_an_account_may_have_one_owner(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain(one_owner=True) as play:
        await play.register()
        await play.register(OTHER, "mercutio", "queenmab")
        await play.send(register(login("romeo", "guessed"), from_=OTHER))
        await play.expect(refused(NOT_ACCEPTABLE, id_="r1", to=OTHER))  # not a word of Romeo
        for fields in (login("ROMEO", "montague"), login(" ro meo ", "montague")):
            await play.send(register(fields, from_=OTHER))
            await play.expect(refused(CONFLICT, id_="r1", to=OTHER))
        await play.send(register(login("romeo", "montague"), from_=BALCONY))  # his own
        await play.expect(result(id_="r1", to=BALCONY))
        await play.send(register("<remove/>"))
        await play.expect(result(id_="r1"))
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(G, ROMEO, type_))
        await play.send(register(login("romeo", "montague"), id_="r4", from_=OTHER))
        await play.expect(result(id_="r4", to=OTHER))
        await play.nothing_more()


@pytest.mark.conformance("AMB-30")
async def test_two_who_come_at_once_do_not_both_own_it(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain(one_owner=True) as play:
        fault = legacy.set_fault(Kind.STALL_ANSWERS)
        await play.send(register(login("Romeo", "montague")))
        await trio.sleep(1)
        await play.send(register(login("Romeo", "montague"), from_=OTHER))
        await trio.sleep(1)
        legacy.clear_faults(fault)
        found = [await play.link.next_stanza() for _ in range(3)]
        answers = sorted(str(one.get("type")) for one in found if one.tag.endswith("iq"))
        assert answers == ["error", "result"]
        assert len(play.gateway.domains[0].accounts) == 1
        await play.nothing_more()


@pytest.mark.conformance("AMB-26", "GW-IN-05", "LU-SEND-02", "AMB-11")
async def test_contacts_may_have_a_resource(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, cast: Cast
) -> None:
    juliet, nurse = f"{JULIET}/legacy", f"{NURSE}/legacy"
    legacy.set_presence("Juliet", Show.AWAY)
    async with curtain(contact_resource="legacy") as play:
        await play.register()
        await play.sign_on()
        away = "<show>away</show>"
        await play.expect(presence(juliet, ROMEO, inside=away))
        await play.send(presence(BALCONY, G))
        await play.expect(presence(G, BALCONY))
        await play.expect(presence(juliet, BALCONY, inside=away))
        await play.send(presence(ROMEO, JULIET, "subscribe"))  # subscriptions stay bare
        await play.expect(presence(JULIET, ROMEO, "subscribed"))
        await play.expect(presence(juliet, ROMEO, inside=away))
        await play.send(presence(ORCHARD, JULIET, "probe"), presence(ORCHARD, NURSE, "probe"))
        await play.expect(presence(juliet, ORCHARD, inside=away))
        await play.expect(presence(nurse, ORCHARD, "unavailable"))
        active = "<active xmlns='http://jabber.org/protocol/chatstates'/>"
        await play.send(message("Hi", to=juliet).replace("</body>", f"</body>{active}"))
        await play.nothing_more()
        legacy.typing("Juliet", "Romeo", TypingState.COMPOSING)
        composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        await play.expect(
            f"<message type='chat' from='{juliet}' to='{ROMEO}'>{composing}</message>"
        )
        legacy.send_message("Juliet", "Romeo", "Good pilgrim")
        await play.expect(said("Good pilgrim", from_=juliet, beside=active))
        await play.send(iq("get", f"<query xmlns='{INFO}'/>", to=juliet))
        came = await play.link.next_stanza()
        assert (came.get("type"), came.get("from")) == ("result", juliet)
        legacy.sign_off("Juliet")
        await play.expect(presence(juliet, ROMEO, "unavailable"))
        legacy.set_presence("Juliet", Show.ONLINE)
        await play.expect(presence(juliet, ROMEO))
        legacy.set_policy(mutual_removal=True)
        legacy.remove_contact("Juliet", "Romeo")
        await play.expect(presence(juliet, ROMEO, "unavailable"))  # the service says this first
        if "told removals" in cast.lacks:
            return
        await play.expect(presence(JULIET, ROMEO, "unsubscribe"))
        await play.expect(presence(JULIET, ROMEO, "unsubscribed"))
        await play.expect(presence(juliet, ROMEO, "unavailable"))
        await play.nothing_more()
