"""What was said while the user, the network or the link was away, and what becomes of it then."""

from datetime import UTC, datetime

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.bridge import router
from gateway.bridge.features import contacts
from gateway.bridge.user import User
from gateway.errors import ConnectionLost
from gateway.networks.base import (
    ContactRemoved,
    ContactRequest,
    Deny,
    Grant,
    LoginRefused,
    MessageReceived,
    Refusal,
    RemoveContact,
    SetPresence,
    Show,
)
from gateway.xmpp.jid import Jid
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, SERVER, G, Stage

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
MERCUTIO = f"mercutio@{G}"
ASKS = f"<presence type='subscribe' from='{MERCUTIO}' to='{ROMEO}'/>"


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


@pytest.mark.conformance("LU-ADD-01", "LU-ADD-05", "LU-ADD-03")
@pytest.mark.parametrize("answer", ["unsubscribed", "subscribed"])
async def test_an_answer_while_the_network_is_away_is_asked_for_again(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], answer: str
) -> None:
    await signed_on(play)
    net.clients[0].tell(ContactRequest(address="mercutio", token=1))
    await play.expect(ASKS)
    net.silent.append(True)
    net.clients[0].end()
    await trio.sleep(1)
    said = f"<presence type='{answer}' from='{ROMEO}' to='{MERCUTIO}'/>"
    await play.send(said)
    await play.nothing_more()
    net.silent.clear()
    await play.send(f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>")
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ORCHARD}'/>")
    await play.sign_on()
    await play.expect(ASKS)
    await play.send(said)
    await play.nothing_more()
    [client] = net.clients
    assert [type(one) for one in client.sent if isinstance(one, Grant | Deny)] == [
        Deny if answer == "unsubscribed" else Grant
    ]


@pytest.mark.conformance("LU-ADD-01", "LU-ADD-05")
async def test_a_refusal_that_did_not_get_through_is_asked_for_again(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [client] = net.clients
    client.tell(ContactRequest(address="mercutio", token=1))
    await play.expect(ASKS)
    client.stuck = trio.Event()
    await play.send(f"<presence type='unsubscribed' from='{ROMEO}' to='{MERCUTIO}'/>")
    await trio.sleep(1)
    client.end()
    await trio.sleep(5)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.expect(ASKS)
    await play.nothing_more()


@pytest.mark.conformance("GW-DEL-01")
async def test_a_removal_that_the_network_did_itself_is_owed_no_longer(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [client] = net.clients
    client.stuck = trio.Event()
    await play.send(f"<presence type='unsubscribe' from='{ROMEO}' to='{JULIET}'/>")
    await trio.sleep(1)
    client.tell(ContactRemoved("juliet"))
    await trio.sleep(1)
    [session] = play.gateway.sessions
    assert session.user.contacts["juliet"].roster.value == ""
    client.stuck.set()


@pytest.mark.conformance("GW-DEL-01")
async def test_a_contact_is_removed_once_however_often_it_is_said(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.rules.answer = lambda command: None
    await play.send(f"<presence type='unsubscribe' from='{ROMEO}' to='{JULIET}'/>" * 3)
    await play.nothing_more()
    assert len([one for one in net.clients[0].sent if isinstance(one, RemoveContact)]) == 1


@pytest.mark.conformance("LU-ADD-01", "AMB-27")
async def test_a_request_that_is_handled_when_the_account_is_gone_is_nobodys(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [client], [domain] = net.clients, play.gateway.domains
    nobody = User(domain, Jid.parse(f"tybalt@{SERVER}"), None)
    await contacts.requested(nobody, ContactRequest(address="mercutio", token=1), client)
    await play.nothing_more()
    assert client.acknowledged == []


@pytest.mark.conformance("DELAY-01", "COMP-05")
async def test_what_is_late_twice_is_stamped_once_with_the_time_it_was_said(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    play.link.answer_pings = False
    said_at = datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC)
    net.clients[0].tell(
        MessageReceived(conversation="juliet", sender="juliet", text="Hi", sent_at=said_at)
    )
    late = (
        f"<message type='chat' id='*' from='{JULIET}' to='{ROMEO}'><body>Hi</body>"
        f"<delay xmlns='urn:xmpp:delay' from='{G}' stamp='1969-07-21T02:56:15Z'/></message>"
    )
    first = await play.expect(late)
    await play.link.cut()
    play.link = await play.server.connection()
    again = await play.link.next_stanza()
    while not again.tag.endswith("}message"):
        again = await play.link.next_stanza()
    assert again.get("id") == first.get("id")
    assert [one.get("stamp") for one in again if one.tag == "{urn:xmpp:delay}delay"] == [
        "1969-07-21T02:56:15Z"
    ]


@pytest.mark.conformance("GW-LIFE-01", "COMP-05")
async def test_a_roll_call_that_a_lost_link_breaks_off_begins_anew(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tybalt = f"tybalt@{SERVER}"
    await play.register()
    await play.register(f"{tybalt}/street", "mercutio", "queenmab")
    monkeypatch.setattr(router, "USERS_PER_SECOND", 0.2)
    await play.link.cut()
    play.link = await play.server.connection()
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
    await play.link.cut()
    play.link = await play.server.connection()
    for user in (ROMEO, tybalt):
        await play.expect(f"<presence from='{G}' to='{user}'/>")
        await play.expect(f"<presence type='probe' from='{G}' to='{user}'/>")
    await trio.sleep(60)
    play.link.check_nothing_came()


@pytest.mark.conformance("GW-LIFE-01", "GW-UNREG-06")
async def test_after_a_crash_who_unregisters_before_his_turn_is_not_called(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register(f"tybalt@{SERVER}/street", "mercutio", "queenmab")
    await play.register()
    monkeypatch.setattr(router, "USERS_PER_SECOND", 0.2)
    play.gateway.domains[0].crashed = True
    await play.link.cut()
    play.link = await play.server.connection()
    for kind in ("", " type='probe'"):
        await play.expect(f"<presence{kind} from='{G}' to='tybalt@{SERVER}'/>")
    await play.send(
        f"<iq type='set' id='rm' from='{ORCHARD}' to='{G}'><query xmlns='jabber:iq:register'>"
        "<remove/></query></iq>"
    )
    await play.expect(f"<iq type='result' id='rm' from='{G}' to='{ORCHARD}'/>")
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(f"<presence type='{type_}' from='{G}' to='{ROMEO}'/>")
    await trio.sleep(60)
    await play.nothing_more()


@pytest.mark.conformance("GW-IN-07", "GW-EDIT-02", "GW-SEC-03")
async def test_a_password_that_cannot_be_read_any_more_has_to_be_given_again(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    await trio.sleep(120)
    assert not list(play.gateway.sessions)
    [domain] = play.gateway.domains
    romeo = Jid.parse(ROMEO)
    domain.accounts[romeo] = attrs.evolve(domain.accounts[romeo], secret="", broken=True)
    tried = len(net.attempts)
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    await play.expect(
        f"<presence type='error' from='{G}' to='{ORCHARD}'><error type='auth' code='401'>"
        f"<not-authorized xmlns='{ERRORS}'/><text xmlns='{ERRORS}' xml:lang='en'>*</text></error>"
        "</presence>"
    )
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ROMEO}'/>")
    note = await play.expect(
        f"<message type='chat' id='*' from='{G}' to='{ROMEO}'><body>*</body></message>"
    )
    assert "cannot be read any more" in note.findtext("{jabber:component:accept}body", "")
    await play.nothing_more()
    assert len(net.attempts) == tried
    await play.send(
        f"<iq type='set' id='r1' from='{ORCHARD}' to='{G}'><query xmlns='jabber:iq:register'>"
        "<username>romeo</username><password>montague</password></query></iq>"
    )
    await play.expect(f"<iq type='result' id='r1' from='{G}' to='{ORCHARD}'/>")
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()
    assert net.clients


async def test_even_somebody_without_an_account_can_be_told_something(
    autojump_clock: MockClock, play: Stage
) -> None:
    [domain] = play.gateway.domains
    User(domain, Jid.parse(ROMEO), None).say("Well met.")
    await play.expect(
        f"<message type='chat' id='*' from='{G}' to='{ROMEO}'><body>Well met.</body></message>"
    )


@pytest.mark.conformance("GW-IN-06", "AMB-10", "GW-OUT-06")
async def test_a_network_that_comes_back_is_told_the_status_again(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    await play.send(
        f"<presence from='{ORCHARD}' to='{G}'><show>dnd</show><status>duel</status></presence>"
    )
    await play.nothing_more()
    for _ in range(2):
        [client] = net.clients
        told = [one for one in client.sent if isinstance(one, SetPresence)]
        assert [(one.show, one.text) for one in told][-1] == (Show.DND, "duel")
        client.end()
        await trio.sleep(5)
        await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
        await play.nothing_more()


TIMEOUT = (
    f"<error type='wait' code='504'><remote-server-timeout xmlns='{ERRORS}'/>"
    f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error>"
)


@pytest.mark.conformance("GW-IN-08", "AMB-07")
async def test_who_returns_while_the_network_is_away_is_told_again(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.failures.extend(ConnectionLost("gone") for _ in range(100))
    balcony = f"{ROMEO}/balcony"
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    await play.expect(f"<presence type='error' from='{G}' to='{ORCHARD}'>{TIMEOUT}</presence>")
    for _ in range(2):
        await play.send(f"<presence from='{balcony}' to='{G}'/>")
        await play.expect(f"<presence type='error' from='{G}' to='{balcony}'>{TIMEOUT}</presence>")
        await play.send(f"<presence type='unavailable' from='{balcony}' to='{G}'/>")
        await play.expect(f"<presence type='unavailable' from='{G}' to='{balcony}'/>")
    await play.nothing_more()


@pytest.mark.conformance("GW-IN-08", "GW-IN-09")
async def test_the_latest_reason_of_a_loss_is_what_counts(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.failures.append(LoginRefused(Refusal.TOO_MANY_ATTEMPTS))
    net.failures.extend(ConnectionLost("gone") for _ in range(100))
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    await play.expect(
        f"<presence type='error' from='{G}' to='{ORCHARD}'><error type='wait' code='500'>"
        f"<resource-constraint xmlns='{ERRORS}'/><text xmlns='{ERRORS}' xml:lang='en'>*</text>"
        "</error></presence>"
    )
    await trio.sleep(5)
    await play.send(f"<presence from='{ROMEO}/balcony' to='{G}'/>")
    await play.expect(
        f"<presence type='error' from='{G}' to='{ROMEO}/balcony'>{TIMEOUT}</presence>"
    )
