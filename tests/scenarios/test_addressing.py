"""Whatever resource of the gateway is named, the gateway is meant; and it speaks without one."""

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import (
    BENVOLIO,
    REGISTRATION_REQUIRED,
    UNAVAILABLE,
    bounced,
    error,
    iq,
    login,
    message,
    presence,
    refused,
    register,
    result,
    said,
)

ALOFT = f"{G}/aloft"
BENVOLIO_BARE = BENVOLIO.partition("/")[0]
PROMPT = "<query xmlns='jabber:iq:gateway'>{}</query>"


@pytest.mark.conformance("GW-ADDR-02", "CORE-02")
async def test_requests_to_a_resource_are_answered_from_it(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.send(register(login("romeo", "montague"), to=ALOFT))
    await play.expect(result(id_="r1", from_=ALOFT))
    await play.expect(presence(G, ROMEO, "subscribe"))
    for number, payload in enumerate(
        ("<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='jabber:iq:version'/>")
    ):
        await play.send(iq("get", payload, id_=f"q{number}", to=ALOFT))
        answer = await play.link.next_stanza()
        assert (answer.get("type"), answer.get("id")) == ("result", f"q{number}")
        assert (answer.get("from"), answer.get("to")) == (ALOFT, ORCHARD)
    await play.send(iq("set", PROMPT.format("<prompt>Juliet</prompt>"), to=ALOFT))
    await play.expect(result(PROMPT.format(f"<jid>{JULIET}</jid>"), from_=ALOFT))
    await play.send(iq("get", "<query xmlns='urn:example:unheard-of'/>", to=ALOFT))
    await play.expect(refused(UNAVAILABLE, from_=ALOFT, text=False))
    await play.send(message("Anybody up there?", to=ALOFT))
    await play.expect(bounced(UNAVAILABLE, "Anybody up there?", from_=ALOFT, text=False))
    await play.send(register("<remove/>", id_="x1", to=ALOFT))
    await play.expect(result(id_="x1", from_=ALOFT))
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await play.nothing_more()


@pytest.mark.conformance("GW-ADDR-02", "AMB-11")
async def test_presence_to_a_resource_is_presence_to_the_gateway(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(register(login("romeo", "montague")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await play.send(presence(ROMEO, ALOFT, "subscribed"), presence(ROMEO, ALOFT, "subscribe"))
    await play.expect(presence(G, ROMEO, "subscribed"))
    await play.expect(presence(G, ROMEO))
    await play.send(presence(ORCHARD, ALOFT))
    await play.expect(presence(G, ROMEO))
    await play.send(presence(ORCHARD, ALOFT, "probe"))
    await play.expect(presence(G, ORCHARD))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE
    await play.send(presence(ORCHARD, ALOFT, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.OFFLINE


@pytest.mark.conformance("GW-ADDR-02", "AMB-06", "AMB-11")
async def test_what_is_begun_with_a_stranger_comes_from_bare_jids(
    autojump_clock: MockClock, play: Stage
) -> None:
    for to in (G, JULIET):
        await play.send(presence(BENVOLIO, f"{to}/aloft", "probe"))
        await play.expect(presence(to, BENVOLIO, "unsubscribed"))
        await play.send(presence(BENVOLIO_BARE, f"{to}/aloft", "subscribe"))
        fault = error(*REGISTRATION_REQUIRED)
        await play.expect(presence(f"{to}/aloft", BENVOLIO_BARE, "error", fault))
        await play.expect(presence(to, BENVOLIO_BARE, "unsubscribed"))
    await play.nothing_more(BENVOLIO)


@pytest.mark.conformance("AMB-18", "GW-ADDR-04")
@pytest.mark.needs("any names")
async def test_a_percent_sign_is_itself_and_no_at(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    pairs = {
        "friar%church.lit": f"friar%church.lit@{G}",
        "friar@church.lit": f"friar\\40church.lit@{G}",
    }
    for name in pairs:
        legacy.create_account(name, "secret")
        legacy.befriend("Romeo", name)
    await play.register()
    await play.sign_on()
    await play.nothing_more()
    for number, (name, jid) in enumerate(pairs.items()):
        await play.send(iq("set", PROMPT.format(f"<prompt>{name}</prompt>")))
        await play.expect(result(PROMPT.format(f"<jid>{jid}</jid>")))
        legacy.send_message(name, "Romeo", "Pax")
        await play.expect(said("Pax", from_=jid))
        await play.send(message("Et tecum", id_=f"m{number}", to=jid))
        await play.nothing_more()
        sent = legacy.arrived(account="Romeo", kind="message")[-1]
        assert sent.fields["to"] == name
