"""A bug in one session ends that session alone, is told once, and the session returns."""

import logging

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.features import messages, presence
from gateway.bridge.user import User
from gateway.networks.base import MessageReceived, PresenceChanged, SendMessage, Show
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, SERVER, G, Stage

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
MERCUTIO = f"mercutio@{SERVER}"
FAULT = (
    "<error type='wait' code='500'>"
    f"<internal-server-error xmlns='{ERRORS}'/>"
    f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error>"
)


async def both_signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.register(f"{MERCUTIO}/x", "mercutio", "queenmab")
    await play.sign_on(f"{MERCUTIO}/x")


def break_once(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    """Plant a bug: an event with this text breaks the session that takes it."""
    broken: list[str] = []
    whole = messages.received

    def received(user: User, event: MessageReceived, client: object) -> bool:
        if event.text == text:
            broken.append(user.name)
            raise ZeroDivisionError("planted")
        return whole(user, event, client)  # type: ignore[arg-type]

    monkeypatch.setattr(messages, "received", received)
    return broken


@pytest.mark.conformance("NOTE-01", "CORE-06")
async def test_a_bug_is_told_once_and_nobody_else_notices(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = break_once(monkeypatch, "poison")
    await both_signed_on(play)
    romeo, mercutio = net.clients
    romeo.tell(PresenceChanged("juliet", Show.ONLINE))
    await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'/>")
    caplog.set_level(logging.ERROR)
    romeo.tell(MessageReceived(conversation="juliet", sender="juliet", text="poison", token=1))
    await play.expect(f"<presence type='unavailable' from='{JULIET}' to='{ROMEO}'/>")
    await play.expect(f"<presence type='error' from='{G}' to='{ORCHARD}'>{FAULT}</presence>")
    await play.expect(f"<message type='chat' from='{G}' to='{ROMEO}'><body>*</body></message>")
    await play.nothing_more(f"{MERCUTIO}/x")
    assert broken == [f"{G}/{ROMEO}"]
    assert "ZeroDivisionError: planted" in caplog.text
    assert net.clients == [mercutio]

    mercutio.tell(MessageReceived(conversation="juliet", sender="juliet", text="still here"))
    await play.expect(
        f"<message type='chat' from='{JULIET}' to='{MERCUTIO}'><body>still here</body></message>"
    )
    await trio.sleep(31)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()
    assert len(net.clients) == 2


@pytest.mark.conformance("CORE-03")
async def test_what_was_in_hand_or_unanswered_is_answered(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net.rules.answer = lambda command: None
    await play.register()
    await play.sign_on()
    await play.send(
        f"<message type='chat' id='m1' from='{ORCHARD}' to='{JULIET}'><body>Hi</body></message>"
    )
    await play.nothing_more()

    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(presence, "answer_probe", broken)
    await play.send(f"<presence type='probe' from='{ORCHARD}' to='{JULIET}'/>")
    await play.send(
        f"<iq type='get' id='p1' from='{ORCHARD}' to='{G}'><ping xmlns='urn:xmpp:ping'/></iq>"
    )
    await play.expect_all(
        f"<message type='error' id='m1' from='{JULIET}' to='{ORCHARD}'><body>Hi</body>"
        f"<error type='wait' code='504'><remote-server-timeout xmlns='{ERRORS}'/>"
        f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error></message>",
        f"<presence type='error' from='{G}' to='{ORCHARD}'>{FAULT}</presence>",
        f"<message type='chat' from='{G}' to='{ROMEO}'><body>*</body></message>",
        f"<iq type='result' id='p1' from='{G}' to='{ORCHARD}'/>",
    )
    await play.nothing_more()


async def test_an_iq_that_breaks_its_handler_is_answered(
    autojump_clock: MockClock,
    play: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("gateway.bridge.iqs.answer", broken)
    await play.send(
        f"<iq type='get' id='p1' from='{ORCHARD}' to='{G}'><ping xmlns='urn:xmpp:ping'/></iq>"
    )
    await play.expect(f"<iq type='error' id='p1' from='{G}' to='{ORCHARD}'>{FAULT}</iq>")


async def test_a_session_that_breaks_again_and_again_is_left_alone_until_its_user_returns(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_once(monkeypatch, "poison")
    await play.register()
    await play.sign_on()
    told = []
    for _ in range(4):
        net.clients[0].tell(MessageReceived(conversation="juliet", sender="juliet", text="poison"))
        await play.expect(f"<presence type='error' from='{G}' to='{ORCHARD}'>{FAULT}</presence>")
        told.append(await play.link.next_stanza())
        if len(told) < 4:
            await trio.sleep(700)
            await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    assert "again and again" in str(told[3][0].text)
    await trio.sleep(7_200)
    await play.nothing_more()
    assert not net.clients
    await play.send(
        f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>",
        f"<presence from='{ORCHARD}' to='{G}'/>",
    )
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ORCHARD}'/>")
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")


@pytest.mark.conformance("CORE-03")
async def test_what_was_answered_before_a_bug_is_not_answered_again(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_once(monkeypatch, "poison")
    await play.register()
    await play.sign_on()
    await play.nothing_more()  # the session has answered a ping
    net.clients[0].tell(MessageReceived(conversation="juliet", sender="juliet", text="poison"))
    await play.expect(f"<presence type='error' from='{G}' to='{ORCHARD}'>{FAULT}</presence>")
    await play.expect(f"<message type='chat' from='{G}' to='{ROMEO}'><body>*</body></message>")
    await trio.sleep(5)
    play.link.check_nothing_came()


async def test_bugs_that_lie_hours_apart_are_each_the_first(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_once(monkeypatch, "poison")
    await play.register()
    await play.sign_on()
    for _ in range(5):
        net.clients[0].tell(MessageReceived(conversation="juliet", sender="juliet", text="poison"))
        await play.expect(f"<presence type='error' from='{G}' to='{ORCHARD}'>{FAULT}</presence>")
        told = await play.link.next_stanza()
        assert "started again" in str(told[0].text)
        await trio.sleep(35)
        await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
        await trio.sleep(2 * 3_600)
        await play.nothing_more()


@pytest.mark.conformance("CORE-06")
async def test_a_stuck_session_delays_nobody(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await both_signed_on(play)
    await play.nothing_more()
    net.clients[0].stuck = trio.Event()
    text = f"<message type='chat' from='{{}}' to='{JULIET}'><body>Hi</body></message>"
    await play.send(text.format(ORCHARD), text.format(f"{MERCUTIO}/x"))
    await play.nothing_more(f"{MERCUTIO}/x")
    assert [one.text for one in net.clients[1].sent if isinstance(one, SendMessage)] == ["Hi"]


@pytest.mark.conformance("CORE-03", "CORE-06")
async def test_bug_in_taking_a_stanza_ends_one_session(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await both_signed_on(play)
    await play.nothing_more()

    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("planted")

    ask = f"<iq type='get' id='p1' from='{ORCHARD}' to='{G}'><ping xmlns='urn:xmpp:ping'/></iq>"
    with monkeypatch.context() as planted:
        planted.setattr("gateway.bridge.session.registration.is_removal", broken)
        await play.send(ask)
        found = await play.link.next_stanza()
        assert (found.get("type"), found.get("id")) == ("error", "p1")
        assert found.find(f".//{{{ERRORS}}}internal-server-error") is not None
    await play.expect(f"<presence type='error' from='{G}' to='{ORCHARD}'>{FAULT}</presence>")
    await play.expect(f"<message type='chat' from='{G}' to='{ROMEO}'><body>*</body></message>")
    await play.nothing_more(f"{MERCUTIO}/x")
    assert len(net.clients) == 1
    await trio.sleep(31)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
