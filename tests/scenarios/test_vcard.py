"""Business cards: of contacts, of the gateway, and for whom there is none (VCARD-01)."""

import base64

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.faults import Kind
from legacy_emu.policy import CAPABILITIES
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.conftest import Raise
from tests.scenarios.words import (
    BENVOLIO,
    CONSTRAINT,
    MERCUTIO,
    STANZAS,
    STRANGER,
    UNAVAILABLE,
    error,
    iq,
    presence,
    refused,
    result,
)

VCARD = "vcard-temp"
ASK = f"<vCard xmlns='{VCARD}'/>"
NOT_ALLOWED = ("not-allowed", "cancel", "405")
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n of a balcony").decode()
LISTED = "<FN>Juliet Capulet</FN><NICKNAME>Juliet Capulet</NICKNAME>"


def card(inside: str) -> str:
    return f"<vCard xmlns='{VCARD}'>{inside}</vCard>"


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01", "CORE-02")
@pytest.mark.parametrize("to", [JULIET, f"{JULIET}/x"])
@pytest.mark.needs("details")
async def test_a_contact_shows_what_the_network_knows(
    autojump_clock: MockClock, play: Stage, legacy: Control, to: str, cast: Cast
) -> None:
    legacy.delete_account("Juliet")
    known = {
        "nick": "Jule",
        "email": "j@capulet.lit",
        "city": "Verona",
        "country": "Italy",
        "sign": "virgo",
    }
    legacy.create_account("Juliet", "capulet", "Juliet Capulet", known)
    legacy.befriend("Romeo", "Juliet")
    legacy.set_avatar("Juliet", PICTURE, "image/png")
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.send(iq("get", ASK, id_="v&lt;1", to=to))
    shown = card(
        "<FN>Juliet Capulet</FN><NICKNAME>Jule</NICKNAME>"
        "<ADR><LOCALITY>Verona</LOCALITY><CTRY>Italy</CTRY></ADR>"
        "<EMAIL><USERID>j@capulet.lit</USERID></EMAIL>"
        f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{PICTURE}</BINVAL></PHOTO>"
    )
    if "countries" in cast.lacks:
        shown = shown.replace("<CTRY>Italy</CTRY>", "")
    await play.expect(result(shown, id_="v&lt;1", from_=to))
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01")
async def test_whoever_is_here_shows_his_picture(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_avatar("Juliet", PICTURE, "image/png")
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.send(iq("get", ASK, to=JULIET))
    found = await play.link.next_stanza()
    photo = "{vcard-temp}vCard/{vcard-temp}PHOTO/{vcard-temp}"
    assert (found.findtext(f"{photo}TYPE"), found.findtext(f"{photo}BINVAL")) == (
        "image/png",
        PICTURE,
    )
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01")
@pytest.mark.needs("capabilities")
async def test_without_profiles_the_name_on_the_list_is_a_card(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    able = tuple(word for word in CAPABILITIES if word not in ("profile", "avatar"))
    legacy.set_policy(capabilities=able)
    await signed_on(play)
    since = legacy.last_arrived()
    await play.send(iq("get", ASK, to=JULIET))
    await play.expect(result(card(LISTED), from_=JULIET))
    await play.nothing_more()
    assert not legacy.arrived(since)


@pytest.mark.conformance("VCARD-01", "AMB-19", "GW-SEC-05")
async def test_nobody_elses_card_is_shown(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    for who, whose in (
        (ORCHARD, MERCUTIO),
        (ORCHARD, f"nobody@{G}"),
        (ORCHARD, f"{'x' * 65}@{G}"),
        (BENVOLIO, JULIET),
        (STRANGER, JULIET),
    ):
        await play.send(iq("get", ASK, from_=who, to=whose))
        await play.expect(refused(UNAVAILABLE, from_=whose, to=who, text=False))
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01")
async def test_a_card_cannot_be_changed(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    for who, whose in ((ORCHARD, JULIET), (ORCHARD, MERCUTIO), (ORCHARD, G), (STRANGER, JULIET)):
        await play.send(iq("set", card("<FN>Rosaline</FN>"), from_=who, to=whose))
        await play.expect(refused(NOT_ALLOWED, from_=whose, to=who, text=False))
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01")
async def test_the_gateway_has_a_card_for_everybody(autojump_clock: MockClock, play: Stage) -> None:
    title = play.description.title
    own = card(f"<FN>{title}</FN><NICKNAME>{title}</NICKNAME>")
    for who in (ORCHARD, BENVOLIO, STRANGER):
        await play.send(iq("get", ASK, from_=who))
        await play.expect(result(own, to=who))
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01", "CORE-03")
@pytest.mark.parametrize("how", ["silence", "cut", "leaving", "removed"])
async def test_a_card_that_does_not_come_is_answered_all_the_same(
    autojump_clock: MockClock, play: Stage, legacy: Control, how: str
) -> None:
    await signed_on(play)
    legacy.set_fault(Kind.STALL_READING, account="Romeo")
    await play.send(presence(BALCONY, G), iq("get", ASK, to=JULIET))
    await play.expect(presence(G, BALCONY))
    await trio.sleep(1)
    play.link.check_nothing_came()
    if how == "silence":
        await trio.sleep(20)
    elif how == "cut":
        legacy.cut("Romeo")
    elif how == "leaving":
        await play.send(presence(ORCHARD, G, "unavailable"), presence(BALCONY, G, "unavailable"))
    else:
        legacy.kick("Romeo")
    found = await play.link.next_stanza()
    while found.tag.rpartition("}")[2] != "iq":
        found = await play.link.next_stanza()
    assert (found.get("type"), found.get("from"), found.get("to")) == ("result", JULIET, ORCHARD)


@pytest.mark.conformance("VCARD-01")
async def test_a_picture_too_large_for_a_stanza_is_left_out(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    legacy.set_avatar("Juliet", base64.b64encode(b"x" * 60_000).decode(), "image/jpeg")
    async with curtain(max_stanza_bytes=50_000) as play:
        await signed_on(play)
        await play.send(iq("get", ASK, to=JULIET))
        await play.expect(result(card(LISTED), from_=JULIET))
        await play.nothing_more()


@pytest.mark.conformance("VCARD-01", "CORE-06")
async def test_more_cards_than_can_be_fetched_are_refused_for_now(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    legacy.set_fault(Kind.STALL_ANSWERS, account="Romeo")
    await play.send(*(iq("get", ASK, id_=f"v{number}", to=JULIET) for number in range(110)))
    await trio.sleep(1)
    legacy.clear_faults()
    fetched = refused_ = 0
    for _ in range(110):
        found = await play.link.next_stanza()
        if found.get("type") == "error":
            assert found.find(f".//{{{STANZAS}}}{CONSTRAINT[0]}") is not None
            refused_ += 1
        else:
            fetched += 1
    # Each is two questions to the service, or one where it has said that there is no picture.
    assert fetched >= 50
    assert refused_ == 110 - fetched
    await play.nothing_more()


@pytest.mark.conformance("GW-DISC-02", "AMB-21", "AGT-01")
async def test_the_discovery_of_old_finds_the_gateway(
    autojump_clock: MockClock, play: Stage
) -> None:
    ask = "<query xmlns='jabber:iq:agents'/>"
    agent = (
        f"<query xmlns='jabber:iq:agents'><agent jid='{G}'><name>{play.description.title}</name>"
        f"<service>{play.description.kind}</service><transport/><register/></agent></query>"
    )
    for who in (ORCHARD, ROMEO, STRANGER):
        await play.send(iq("get", ask, from_=who))
        await play.expect(result(agent, to=who))
    await play.send(iq("get", ask, to=JULIET))
    await play.expect(refused(UNAVAILABLE, from_=JULIET, text=False))
    await play.send(iq("set", ask))
    await play.expect(
        f"<iq type='error' id='i1' from='{G}' to='{ORCHARD}'>{error(*UNAVAILABLE, text=False)}</iq>"
    )
    await play.nothing_more()
