"""What one user has to do with his contacts is nobody else's, and his password is nobody's."""

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Refusal, Show
from legacy_emu.faults import Kind
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import (
    BENVOLIO,
    CONFLICT,
    NOT_ACCEPTABLE,
    NURSE,
    TIMEOUT,
    UNAVAILABLE,
    error,
    form,
    iq,
    login,
    message,
    presence,
    refused,
    register,
    result,
    said,
)

OTHER = BENVOLIO.partition("/")[0]
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
FIRST, SECOND, WRONG = "pw-montague-1", "pw-montague-2", "pw-capulet-3"


async def both_signed_on(play: Stage, legacy: Control) -> None:
    """Juliet is on the lists of both, the Nurse on Romeo's alone."""
    legacy.befriend("Mercutio", "Juliet")
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.register(BENVOLIO, "mercutio", "queenmab")
    await play.sign_on(BENVOLIO)
    await play.expect(presence(JULIET, OTHER))
    await play.nothing_more(BENVOLIO)


@pytest.mark.conformance("GW-SEC-05", "GW-IN-04", "GW-IN-11", "DISCO-03")
@pytest.mark.needs("per-contact presence")
async def test_what_a_contact_shows_to_one_user_is_not_shown_to_another(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await both_signed_on(play, legacy)
    away = "<show>away</show><status>for Romeo</status>"
    legacy.set_presence("Juliet", Show.AWAY, "for Romeo", only_for=("Romeo",))
    await play.expect(presence(JULIET, ROMEO, inside=away))
    await play.nothing_more()
    await play.send(presence(BENVOLIO, JULIET, "probe"))
    await play.expect(presence(JULIET, BENVOLIO))
    await play.send(presence(ORCHARD, JULIET, "probe"))
    await play.expect(presence(JULIET, ORCHARD, inside=away))
    legacy.block("Juliet", "Mercutio")
    await play.expect(presence(JULIET, OTHER, "unavailable"))
    await play.nothing_more()
    legacy.set_presence("Nurse", Show.DND)
    await play.expect(presence(NURSE, ROMEO, inside="<show>dnd</show>"))
    await play.nothing_more(BENVOLIO)
    await play.send(presence(BENVOLIO, NURSE, "probe"))
    await play.expect(presence(NURSE, BENVOLIO, "unsubscribed"))
    await play.send(iq("get", INFO, from_=BENVOLIO, to=NURSE))
    await play.expect(refused(UNAVAILABLE, from_=NURSE, to=BENVOLIO, text=False))
    await play.nothing_more(BENVOLIO)


@pytest.mark.conformance("GW-SEC-05", "GW-DEL-01", "GW-IN-06")
async def test_what_one_user_does_with_a_contact_is_nothing_to_another(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await both_signed_on(play, legacy)
    await play.send(presence(BENVOLIO, G, inside="<show>xa</show><status>plague</status>"))
    await play.nothing_more(BENVOLIO)
    assert legacy.look("Mercutio", seen_by="Juliet").show is Show.XA
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE
    await play.send(presence(OTHER, JULIET, "unsubscribe"), presence(OTHER, JULIET, "unsubscribed"))
    await play.expect(presence(JULIET, OTHER, "unavailable"))
    await play.nothing_more(BENVOLIO)
    assert not legacy.arrived(account="Romeo", kind="remove")
    legacy.set_presence("Juliet", Show.CHAT)
    await play.expect(presence(JULIET, ROMEO, inside="<show>chat</show>"))
    legacy.send_message("Juliet", "Romeo", "O Romeo")
    await play.expect(said("O Romeo"))
    await play.nothing_more()
    await play.send(presence(BENVOLIO, G, "unavailable"))
    await play.expect(presence(G, BENVOLIO, "unavailable"))
    await play.send(message("still here"))
    await play.nothing_more()
    assert len(legacy.arrived(account="Romeo", kind="message")) == 1
    assert not legacy.arrived(account="Mercutio", kind="message")
    assert [one.account for one in legacy.arrived(kind="sign_off")] == ["mercutio"]


@pytest.mark.conformance("GW-SEC-04", "REG7-09", "AMB-01", "AMB-02")
async def test_nothing_that_is_said_holds_a_password(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_password("Romeo", FIRST)
    await play.send(register(login("romeo", WRONG)))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1"))
    await play.register(password=FIRST)
    await play.sign_on()
    await play.send(iq("get", "<query xmlns='jabber:iq:register'/>"))
    await play.link.next_stanza()
    await play.send(register(form(("username", "romeo"), ("password", WRONG)), id_="r2"))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r2"))
    legacy.set_fault(Kind.REFUSE, reason=Refusal.BUSY, text="No.", times=1)
    await play.send(register(login("romeo", SECOND), id_="r3"))
    await play.expect(refused(TIMEOUT, id_="r3"))
    legacy.set_password("Romeo", SECOND)
    await play.send(register(login("romeo", SECOND), id_="r4"))
    await play.expect(result(id_="r4"))
    await play.expect(presence(G, ROMEO))
    await play.send(iq("get", INFO))
    await play.link.next_stanza()
    legacy.kick("Romeo", Refusal.ELSEWHERE)
    await play.expect(presence(G, ORCHARD, "error", error(*CONFLICT)))
    await play.expect(presence(G, ROMEO, "unavailable"))
    await play.expect(said("*", from_=G))
    await play.nothing_more()
    came = [line for line in play.link.transcript if line.startswith("came")]
    assert len(came) > 12
    [account] = play.gateway.store.accounts(G)
    assert account.secret == SECOND
    told = [*came, repr(account), repr(play.config), repr(play.config.components)]
    told += [repr(one) for session in play.gateway.sessions for one in (session, session.user)]
    for secret in (FIRST, SECOND, WRONG, play.config.components[0].secret):
        assert not [line for line in told if secret in line], secret
