"""Looking for people in the network's directory (jabber:iq:search), where it has one."""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.faults import Kind
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.words import (
    BENVOLIO,
    MERCUTIO,
    NOT_ACCEPTABLE,
    REGISTRATION_REQUIRED,
    TIMEOUT,
    UNAVAILABLE,
    form,
    iq,
    presence,
    refused,
    result,
)

SEARCH = "jabber:iq:search"
ASK = f"<query xmlns='{SEARCH}'/>"
ADDRESS = "x-address"


def look_for(inside: str, *, id_: str = "s1", from_: str = ORCHARD) -> str:
    return iq("set", f"<query xmlns='{SEARCH}'>{inside}</query>", id_=id_, from_=from_)


def found(*people: str) -> str:
    return result(f"<query xmlns='{SEARCH}'>{''.join(people)}</query>", id_="s1")


def item(jid: str, first: str = "", last: str = "", nick: str = "", email: str = "") -> str:
    return (
        f"<item jid='{jid}'><first>{first}</first><last>{last}</last><nick>{nick}</nick>"
        f"<email>{email}</email></item>"
    )


async def signed_on(play: Stage, legacy: Control) -> None:
    known = {"nick": "Tibbles", "first": "Tybalt", "last": "Capulet", "email": "t@capulet.lit"}
    legacy.create_account("Tybalt", "catling", "Tybalt Capulet", known)
    await play.register()
    await play.sign_on()
    await play.nothing_more()


@pytest.mark.needs("search")
@pytest.mark.conformance("FIND-01")
async def test_what_can_be_looked_for(autojump_clock: MockClock, play: Stage) -> None:
    await play.register()
    await play.send(iq("get", ASK))
    words = f"Fill in one or more fields to look for people on {play.description.title}."
    labels = {
        ADDRESS: play.description.fields[0].label,
        "nick": "Nick",
        "first": "First name",
        "last": "Last name",
        "email": "E-mail address",
    }
    fields = "".join(
        f"<field var='{name}' type='text-single' label='{label}'/>"
        for name, label in labels.items()
    )
    await play.expect(
        result(
            f"<query xmlns='{SEARCH}'><instructions>{words}</instructions>"
            "<nick/><first/><last/><email/>"
            f"<x xmlns='jabber:x:data' type='form'><title>{play.description.title}</title>"
            f"<instructions>{words}</instructions>"
            f"<field var='FORM_TYPE' type='hidden'><value>{SEARCH}</value></field>{fields}</x>"
            "</query>"
        )
    )
    await play.nothing_more()


@pytest.mark.needs("search")
@pytest.mark.conformance("FIND-01", "AMB-16")
@pytest.mark.parametrize(
    "by", ["<nick>tibb</nick>", "<email>t@capulet.lit</email>", "<nick>Tibbles</nick><first/>"]
)
async def test_somebody_is_found_and_added(
    autojump_clock: MockClock, play: Stage, legacy: Control, by: str
) -> None:
    legacy.set_policy(consent=False)
    await signed_on(play, legacy)
    await play.send(look_for(by))
    tybalt = f"tybalt@{G}"
    await play.expect(found(item(tybalt, "Tybalt", "Capulet", "Tibbles", "t@capulet.lit")))
    await play.send(presence(ROMEO, tybalt, "subscribe"))
    await play.expect(presence(tybalt, ROMEO, "subscribed"))


@pytest.mark.needs("search")
@pytest.mark.conformance("FIND-01")
async def test_a_form_is_answered_by_a_form(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    await play.send(look_for(form(("FORM_TYPE", SEARCH), (ADDRESS, "tybalt"), ("nick", " "))))
    answer = await play.link.next_stanza()
    assert (answer.get("type"), answer.get("id")) == ("result", "s1")
    assert list(rows(answer)) == [
        {
            "jid": f"tybalt@{G}",
            ADDRESS: "tybalt",
            "nick": "Tibbles",
            "first": "Tybalt",
            "last": "Capulet",
            "email": "t@capulet.lit",
        }
    ]
    reported = answer.findall(".//{jabber:x:data}reported/{jabber:x:data}field")
    assert [one.get("var") for one in reported] == list(next(rows(answer)))
    await play.send(look_for(form(("nick", "x"), type_="cancel")))
    await play.expect(result(id_="s1"))
    await play.nothing_more()


def rows(answer: ET.Element) -> Iterator[dict[str | None, str | None]]:
    for row in answer.iter("{jabber:x:data}item"):
        yield {one.get("var"): one.findtext("{jabber:x:data}value") for one in row}


@pytest.mark.needs("search")
@pytest.mark.conformance("FIND-01")
async def test_nobody_is_found(autojump_clock: MockClock, play: Stage, legacy: Control) -> None:
    await signed_on(play, legacy)
    await play.send(look_for("<nick>Rosaline</nick>"))
    await play.expect(found())
    await play.send(look_for(form((ADDRESS, "no address &amp; no number"))))
    answer = await play.link.next_stanza()
    assert list(rows(answer)) == []
    await play.nothing_more()


@pytest.mark.needs("search")
@pytest.mark.conformance("FIND-01", "CORE-03")
async def test_what_cannot_be_looked_for(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    for question in (iq("get", ASK, id_="s1", from_=BENVOLIO), look_for("", from_=BENVOLIO)):
        await play.send(question)
        await play.expect(refused(REGISTRATION_REQUIRED, id_="s1", to=BENVOLIO))
    await play.register()
    await play.send(look_for("<nick>Tybalt</nick>"))  # and nobody is signed on
    await play.expect(refused(TIMEOUT, id_="s1"))
    await play.sign_on()
    for nothing in ("", "<nick> </nick>", "<shoe>7</shoe>", form(("shoe", "7"))):
        await play.send(look_for(nothing))
        await play.expect(refused(NOT_ACCEPTABLE, id_="s1"))
    await play.send(look_for(f"<nick>{'x' * 201}</nick>"))
    await play.expect(refused(NOT_ACCEPTABLE, id_="s1"))
    for contact in (JULIET, MERCUTIO):
        await play.send(iq("get", ASK, to=contact))
        await play.expect(refused(UNAVAILABLE, from_=contact, text=False))
    await play.nothing_more()


@pytest.mark.needs("search")
@pytest.mark.conformance("FIND-01", "CORE-03")
@pytest.mark.parametrize("how", ["silence", "cut", "leaving"])
async def test_a_search_without_an_answer_is_answered(
    autojump_clock: MockClock, play: Stage, legacy: Control, how: str
) -> None:
    await signed_on(play, legacy)
    legacy.set_fault(Kind.STALL_READING, account="Romeo")
    await play.send(look_for("<nick>Tybalt</nick>"))
    await trio.sleep(1)
    play.link.check_nothing_came()
    if how == "silence":
        await trio.sleep(40)
    elif how == "cut":
        legacy.cut("Romeo")
    else:
        await play.send(presence(ORCHARD, G, "unavailable"))
    with trio.fail_after(10):
        answer = await play.link.next_stanza()
        while not answer.tag.endswith("}iq"):
            answer = await play.link.next_stanza()
    assert (answer.get("type"), answer.get("id")) == ("error", "s1")
    assert answer.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}remote-server-timeout") is not None


@pytest.mark.conformance("FIND-01", "GW-DISC-01")
async def test_a_directory_is_offered_where_there_is_one(
    autojump_clock: MockClock, play: Stage, cast: Cast
) -> None:
    await play.register()
    await play.sign_on()
    await play.send(iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"))
    about = await play.link.next_stanza()
    listed = {
        one.get("var") for one in about.iter("{http://jabber.org/protocol/disco#info}feature")
    }
    await play.send(iq("get", ASK), look_for("<nick>Tybalt</nick>"))
    if "search" in cast.lacks:
        assert SEARCH not in listed
        await play.expect(refused(UNAVAILABLE, text=False))
        await play.expect(refused(UNAVAILABLE, id_="s1", text=False))
    else:
        assert SEARCH in listed
        assert (await play.link.next_stanza()).get("type") == "result"
        await play.expect(found())
    await play.nothing_more()
