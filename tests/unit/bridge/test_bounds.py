"""What is bounded, and what those are told who meet a bound."""

import re

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.domain import Strangers
from gateway.bridge.texts import FLOODED
from gateway.errors import StoreError
from gateway.networks.base import (
    LegacyCommand,
    LegacyEvent,
    MessageOutcome,
    MessageReceived,
    Reason,
    SendMessage,
    Stage,
)
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Message, MessageType
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G
from tests.fakes.stage import Stage as Play

MAX_REQUESTS, MAX_MESSAGES = 200, 1_000  # that wait for one user
MAX_IDS = 1_000
MAX_STRANGERS = 10_000
BODY = "{jabber:component:accept}body"
ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
REMOVE = (
    f"<iq type='set' id='rm' from='{ORCHARD}' to='{G}'>"
    "<query xmlns='jabber:iq:register'><remove/></query></iq>"
)


async def signed_on(play: Play) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


def message(id_: str, body: str = "Hi") -> str:
    return (
        f"<message type='chat' id='{id_}' from='{ORCHARD}' to='{JULIET}'>"
        f"<body>{body}</body></message>"
    )


def ping(id_: str) -> str:
    return f"<iq type='get' id='{id_}' from='{ORCHARD}' to='{G}'><ping xmlns='urn:xmpp:ping'/></iq>"


def refusing(command: LegacyCommand) -> LegacyEvent | None:
    """Answer as a network that takes no message."""
    if isinstance(command, SendMessage):
        return MessageOutcome(command.ref, Stage.FAILED, reason=Reason.REFUSED)
    return None


@pytest.mark.conformance("CORE-03", "CORE-06")
async def test_requests_that_find_no_room_are_answered_at_once(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    stuck = net.clients[0].stuck = trio.Event()
    await play.send(message("m1"))
    await trio.sleep(1)
    await play.send(*[ping(f"p{number}") for number in range(MAX_REQUESTS + 3)])
    for number in range(MAX_REQUESTS, MAX_REQUESTS + 3):
        found = await play.expect(
            f"<iq type='error' id='p{number}' from='{G}' to='{ORCHARD}'>"
            f"<error type='wait' code='500'><resource-constraint xmlns='{ERRORS}'/>"
            f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error></iq>"
        )
        assert "Fakenet" in found.findtext(f".//{{{ERRORS}}}text", "")
    await trio.sleep(1)
    play.link.check_nothing_came()
    stuck.set()
    for number in range(MAX_REQUESTS):
        await play.expect(f"<iq type='result' id='p{number}' from='{G}' to='{ORCHARD}'/>")
    await play.nothing_more()


async def test_a_connection_that_brings_more_than_can_be_held_pauses_and_loses_nothing(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.bridge.deliveries.MAX_WAITING", MAX_MESSAGES)
    await signed_on(play)
    play.server.refusing = True
    await play.link.cut()
    await trio.sleep(1)
    [client] = net.clients
    said = [
        MessageReceived(
            conversation="juliet", sender="juliet", text=str(n), token=n, legacy_id=f"j{n}"
        )
        for n in range(MAX_MESSAGES + 5)
    ]
    client.tell(*said)
    await trio.sleep(10)
    assert net.clients == []  # signed off, and not at once on again
    assert client.acknowledged == list(range(MAX_MESSAGES))  # they are in the journal
    play.server.refusing = False
    play.link = await play.server.connection()
    texts: list[str] = []
    with trio.move_on_after(300):
        while len(texts) < MAX_MESSAGES + 1:
            found = await play.link.next_stanza()
            if found.tag.endswith("}message"):
                texts.append(found.findtext(BODY, ""))
    assert texts[:-1] == [str(n) for n in range(MAX_MESSAGES)]
    assert texts[-1] == FLOODED.format(title="Fakenet")
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    while not net.clients:
        await play.link.next_stanza()
    net.clients[0].tell(*said[-7:])  # as a network repeats what was not acknowledged
    again: list[str | None] = []
    while len(again) < 5:
        found = await play.link.next_stanza()
        if found.tag.endswith("}message"):
            again.append(found.findtext(BODY))
    assert again == [str(n) for n in range(MAX_MESSAGES, MAX_MESSAGES + 5)]
    await trio.sleep(1)
    assert net.clients[0].acknowledged == list(range(MAX_MESSAGES - 2, MAX_MESSAGES + 5))


async def test_of_the_ids_that_were_heard_the_newest_are_remembered(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [session] = play.gateway.sessions
    for number in range(MAX_IDS + 1):
        session.user.see(f"j{number}")
    assert len(session.user.seen) == MAX_IDS
    net.clients[0].tell(
        *[
            MessageReceived(
                conversation="juliet", sender="juliet", text=text, token=text, legacy_id=text
            )
            for text in ("j1", f"j{MAX_IDS}", "j0")
        ]
    )
    found = await play.link.next_stanza()
    assert found.findtext(BODY) == "j0"
    await play.nothing_more()


@pytest.mark.conformance("AMB-06")
def test_of_the_strangers_that_were_told_the_latest_are_remembered() -> None:
    strangers = Strangers()
    told = [Jid(f"stranger{number}", "elsewhere.lit", "x") for number in range(MAX_STRANGERS + 1)]
    assert all(strangers.is_new(one) for one in told)
    assert not strangers.is_new(told[1])
    assert not strangers.is_new(told[-1])
    assert strangers.is_new(told[0])
    strangers.forget(told[0])
    assert strangers.is_new(told[0])


@pytest.mark.conformance("COMP-07")
async def test_message_that_swells_is_refused_with_cut_body(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.rules.answer = refusing
    await play.send(message("m1", ">" * 200_000), message("m2"))
    for id_, body in (("m1", r">{60000,}…"), ("m2", "Hi")):
        found = await play.link.next_stanza()
        assert (found.get("type"), found.get("id")) == ("error", id_)
        assert found.find(f".//{{{ERRORS}}}forbidden") is not None
        assert re.fullmatch(body, found.findtext(BODY, ""))
    await play.nothing_more()


@pytest.mark.conformance("CORE-01")
async def test_a_message_that_must_not_leave_holds_up_no_other(
    autojump_clock: MockClock, play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    await signed_on(play)
    [domain] = play.gateway.domains
    [account] = domain.accounts.values()
    for sender in (Jid("tybalt", "elsewhere.lit", ""), Jid("juliet", G, "")):
        domain.deliveries.post(
            account.account_id,
            Message(from_=sender, to=Jid.parse(ROMEO), id="m1", body="Hi", type=MessageType.CHAT),
        )
    await play.expect(
        f"<message type='chat' id='m1' from='{JULIET}' to='{ROMEO}'><body>Hi</body></message>"
    )
    await play.nothing_more()
    assert "a message is dropped" in caplog.text
    assert play.gateway.store.journal(G) == []


@pytest.mark.conformance("AMB-27", "GW-UNREG-01")
async def test_errors_that_wait_for_the_link_still_come_when_the_account_is_removed(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.rules.answer = refusing
    play.link.answer_pings = False
    for part in range(3):  # more than may be unproven at once
        await play.send(*[message(f"m{part}-{number}") for number in range(100)])
        await trio.sleep(0.1)
    await play.send(REMOVE)
    came: list[str] = []
    with trio.move_on_after(5):
        while True:
            found = await play.link.next_stanza()
            if found.tag.endswith("}message"):
                assert found.get("type") == "error"
                came.append(found.get("id", ""))
    assert sorted(came) == sorted(f"m{part}-{n}" for part in range(3) for n in range(100))
    play.link.answer_pings = True


async def test_a_journal_that_cannot_be_written_is_tried_again_at_a_pace(
    autojump_clock: MockClock,
    play: Play,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await signed_on(play)
    tried: list[float] = []

    def failing(*_: object) -> list[int]:
        tried.append(trio.current_time())
        raise StoreError("the disk is full")

    with monkeypatch.context() as away:
        away.setattr(play.gateway.store, "commit_journal", failing)
        play.link.answer_pings = False
        net.clients[0].tell(MessageReceived(conversation="juliet", sender="juliet", text="Hi"))
        await play.link.next_stanza()
        await trio.sleep(20)
    play.link.answer_pings = True
    assert 3 <= len(tried) <= 5


@pytest.mark.conformance("LU-ADD-03")
async def test_whom_the_user_has_just_let_in_is_remembered_within_bounds(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    await play.send(
        *(f"<presence type='subscribed' from='{ROMEO}' to='guest{n}@{G}'/>" for n in range(150))
    )
    await play.nothing_more()
    [session] = play.gateway.sessions
    assert list(session.user.granted) == [f"guest{n}" for n in range(50, 150)]
