"""What the gateway and its contacts say of themselves: discovery and the small questions."""

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import (
    BAD_REQUEST,
    BENVOLIO,
    ITEM_NOT_FOUND,
    STRANGER,
    UNAVAILABLE,
    iq,
    presence,
    refused,
    result,
)

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
ASK_INFO, ASK_ITEMS = f"<query xmlns='{INFO}'/>", f"<query xmlns='{ITEMS}'/>"
PING = "<ping xmlns='urn:xmpp:ping'/>"
GATEWAY_INFO = (
    f"<query xmlns='{INFO}'>"
    "<identity category='gateway' type='{kind}' name='{title}'/>"
    f"<feature var='{INFO}'/>"
    f"<feature var='{ITEMS}'/>"
    "<feature var='jabber:iq:gateway'/>"
    "<feature var='jabber:iq:register'/>"
    "<feature var='jabber:iq:search'/>"
    "<feature var='http://jabber.org/protocol/commands'/>"
    "<feature var='jabber:iq:version'/>"
    "<feature var='urn:xmpp:ping'/>"
    "<feature var='urn:xmpp:time'/>"
    "<feature var='http://jabber.org/protocol/rosterx'/>"
    "<feature var='vcard-temp'/>"
    "<feature var='jid\\20escaping'/>"
    "</query>"
)
CONTACT_INFO = (
    f"<query xmlns='{INFO}'>"
    "<identity category='account' type='registered'/><identity category='client' type='pc'/>"
    f"<feature var='{INFO}'/>"
    "<feature var='http://jabber.org/protocol/chatstates'/>"
    "<feature var='urn:xmpp:ping'/>"
    "<feature var='vcard-temp'/>"
    "</query>"
)


def info_of(play: Stage) -> str:
    info = GATEWAY_INFO.format(kind=play.description.kind, title=play.description.title)
    if not play.description.capabilities.search:
        info = info.replace("<feature var='jabber:iq:search'/>", "")
    return info


@pytest.mark.conformance("GW-DISC-01", "DISCO-01", "GW-ADDR-05", "ESC-04")
@pytest.mark.parametrize("asker", [ORCHARD, ROMEO, BENVOLIO, STRANGER])
async def test_anybody_may_ask_what_the_gateway_is(
    autojump_clock: MockClock, play: Stage, asker: str
) -> None:
    await play.send(iq("get", ASK_INFO, from_=asker))
    await play.expect(result(info_of(play), to=asker))
    await play.nothing_more(asker)


@pytest.mark.conformance("DISCO-02", "DISCO-04", "CORE-02", "GW-ADDR-02")
async def test_the_gateway_lists_nobody_and_knows_no_nodes(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.send(
        iq("get", ASK_ITEMS, id_="1"),
        iq("get", f"<query xmlns='{ITEMS}' node='balcony'/>", id_="2"),
        iq("get", f"<query xmlns='{INFO}' node='balcony'/>", id_="3"),
        iq("get", ASK_INFO, id_="4", to=f"{G}/aloft"),
    )
    await play.expect(result(ASK_ITEMS, id_="1"))
    await play.expect(refused(ITEM_NOT_FOUND, id_="2", text=False))
    await play.expect(refused(ITEM_NOT_FOUND, id_="3", text=False))
    await play.expect(result(info_of(play), id_="4", from_=f"{G}/aloft"))
    await play.nothing_more()


@pytest.mark.conformance("DISCO-03", "PING-01", "AMB-19")
async def test_contacts_are_known_to_their_user_alone(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.sign_on()
    nobody = f"nobody@{G}"
    await play.send(
        iq("get", ASK_INFO, id_="1", to=JULIET),
        iq("get", ASK_ITEMS, id_="2", to=JULIET),
        iq("get", PING, id_="3", to=JULIET),
    )
    await play.expect(result(CONTACT_INFO, id_="1", from_=JULIET))
    await play.expect(result(ASK_ITEMS, id_="2", from_=JULIET))
    await play.expect(result(id_="3", from_=JULIET))
    for number, question in enumerate([ASK_INFO, ASK_ITEMS, PING]):
        for asker, contact in [(ORCHARD, nobody), (BENVOLIO, JULIET), (BENVOLIO, nobody)]:
            await play.send(iq("get", question, id_=f"n{number}", from_=asker, to=contact))
            await play.expect(
                refused(UNAVAILABLE, id_=f"n{number}", from_=contact, to=asker, text=False)
            )
    await play.nothing_more()


@pytest.mark.conformance("DISCO-03")
@pytest.mark.needs("capabilities")
async def test_a_contact_offers_only_what_the_service_can(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_policy(capabilities=("deny",))
    await play.register()
    await play.sign_on()
    await play.send(iq("get", ASK_INFO, to=JULIET))
    without = CONTACT_INFO.replace("<feature var='http://jabber.org/protocol/chatstates'/>", "")
    await play.expect(result(without, from_=JULIET))
    await play.nothing_more()


@pytest.mark.conformance("PING-01", "VER-01", "TIME-01")
async def test_the_small_questions(autojump_clock: MockClock, play: Stage) -> None:
    version = "<query xmlns='jabber:iq:version'>{}</query>"
    time = "<time xmlns='urn:xmpp:time'>{}</time>"
    await play.send(
        iq("get", PING, id_="1"),
        iq("get", version.format(""), id_="2"),
        iq("get", time.format(""), id_="3"),
        iq("get", version.format(""), id_="4", to=JULIET),
        iq("get", time.format(""), id_="5", to=JULIET),
    )
    await play.expect(result(id_="1"))
    await play.expect(result(version.format("<name>Balcony</name><version>*</version>"), id_="2"))
    told = await play.expect(result(time.format("<tzo>+00:00</tzo><utc>*</utc>"), id_="3"))
    assert str(told[0][1].text).startswith("2031-03-14T15:09:2")
    assert str(told[0][1].text).endswith("Z")
    await play.expect(refused(UNAVAILABLE, id_="4", from_=JULIET, text=False))
    await play.expect(refused(UNAVAILABLE, id_="5", from_=JULIET, text=False))
    await play.nothing_more()


@pytest.mark.conformance("CORE-03", "CORE-04")
async def test_every_question_is_answered_once_and_answers_never(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.send(
        iq("get", "<query xmlns='urn:example:unheard-of'/>", id_="1"),
        iq("set", "<query xmlns='urn:example:unheard-of'/>", id_="2", to=JULIET),
        iq("set", "<query xmlns='jabber:iq:roster'/>", id_="3"),
        iq("result", "", id_="4"),
        iq("error", "", id_="5"),
    )
    await play.expect(refused(UNAVAILABLE, id_="1", text=False))
    await play.expect(refused(UNAVAILABLE, id_="2", from_=JULIET, text=False))
    await play.expect(refused(UNAVAILABLE, id_="3", text=False))
    await play.nothing_more()
    await play.send(iq("get", "", id_="6"), iq("get", PING + PING, id_="7"))
    await play.expect(refused(BAD_REQUEST, id_="6"))
    await play.expect(refused(BAD_REQUEST, id_="7"))
    await play.nothing_more()


@pytest.mark.conformance("DISCO-03")
async def test_contacts_are_known_as_soon_as_their_user_is_signed_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.send(iq("get", ASK_INFO, to=JULIET))
    await play.expect(refused(UNAVAILABLE, from_=JULIET, text=False))
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.send(iq("get", ASK_INFO, to=JULIET))
    await play.expect(result(CONTACT_INFO, from_=JULIET))
    await play.nothing_more()
