"""What becomes of a message of the user: handed over, or its sender told (GW-SEND)."""

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost
from gateway.networks.base import (
    LegacyCommand,
    LegacyEvent,
    MessageOutcome,
    MessageReceived,
    Reason,
    Refusal,
    SendMessage,
    SetTyping,
    Stage,
    Typing,
    TypingState,
)
from tests.fakes.network import FakeNetwork, obedient
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G
from tests.fakes.stage import Stage as Play

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def message(id_: str, body: str = "Hi", to: str = JULIET, sender: str = ORCHARD) -> str:
    return (
        f"<message type='chat' id='{id_}' from='{sender}' to='{to}'><body>{body}</body></message>"
    )


def bounced(
    id_: str, condition: str, type_: str, code: str, body: str = "Hi", *, text: bool = True,
    to: str = JULIET, sender: str = ORCHARD,
) -> str:  # fmt: skip
    words = f"<text xmlns='{ERRORS}' xml:lang='en'>*</text>" if text else ""
    return (
        f"<message type='error' id='{id_}' from='{to}' to='{sender}'><body>{body}</body>"
        f"<error type='{type_}' code='{code}'><{condition} xmlns='{ERRORS}'/>{words}</error>"
        "</message>"
    )


TIMEOUT = ("remote-server-timeout", "wait", "504")


def texts(net: type[FakeNetwork]) -> list[str]:
    return [
        one.text for client in net.clients for one in client.sent if isinstance(one, SendMessage)
    ]


@pytest.mark.conformance("GW-SEND-03", "GW-SEND-07", "GW-SEND-08")
async def test_what_goes_nowhere_is_refused(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.send(message("m1"))
    await play.expect(bounced("m1", "registration-required", "auth", "407"))
    await play.register()
    await play.sign_on()
    await play.send(message("m2").replace("'chat'", "'groupchat'"))
    await play.expect(bounced("m2", "service-unavailable", "cancel", "503", text=False))
    await play.send(message("m3", to=G))
    await play.expect(bounced("m3", "service-unavailable", "cancel", "503", to=G, text=False))
    await play.nothing_more()
    assert not texts(net)


@pytest.mark.conformance("GW-SEND-02")
async def test_an_address_that_cannot_be_is_refused(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    nobody = f"{'x' * 65}@{G}"
    await play.send(message("m1", to=nobody))
    await play.expect(bounced("m1", "item-not-found", "cancel", "404", to=nobody))
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-06", "AMB-24", "CORE-04")
async def test_what_has_no_body_or_is_an_error_is_never_answered(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.send(
        f"<message type='chat' from='{ORCHARD}' to='{JULIET}'>"
        "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        message("m1").replace("'chat'", "'error'"),
        message("m2").replace("'chat'", "'headline'"),
        f"<iq type='result' id='x' from='{ORCHARD}' to='{G}'/>",
        f"<iq type='error' id='y' from='{ORCHARD}' to='{G}'/>",
    )
    await play.nothing_more()
    await play.register()
    await play.send(message("m3").replace("'chat'", "'error'"))
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-02", "GW-SEND-04", "GW-SEND-09")
@pytest.mark.parametrize(
    ("reason", "condition", "type_", "code"),
    [
        (Reason.UNKNOWN_ADDRESS, "item-not-found", "cancel", "404"),
        (Reason.OFFLINE_NOT_STORED, "service-unavailable", "cancel", "503"),
        (Reason.TOO_LONG, "not-acceptable", "modify", "406"),
        (Reason.RATE_LIMITED, "resource-constraint", "wait", "500"),
        (Reason.BLOCKED, "forbidden", "auth", "403"),
        (Reason.NOT_AUTHORISED, "forbidden", "auth", "403"),
        (Reason.REFUSED, "forbidden", "auth", "403"),
        (Reason.LIST_FULL, "resource-constraint", "wait", "500"),
        (Reason.UNREACHABLE, *TIMEOUT),
        (Reason.UNSUPPORTED, "feature-not-implemented", "cancel", "501"),
        (Reason.UNKNOWN, "undefined-condition", "cancel", "500"),
    ],
)
async def test_every_reason_of_the_network_reaches_the_sender(
    autojump_clock: MockClock,
    play: Play,
    net: type[FakeNetwork],
    reason: Reason,
    condition: str,
    type_: str,
    code: str,
) -> None:
    def refuse(command: LegacyCommand) -> LegacyEvent | None:
        if isinstance(command, SendMessage):
            return MessageOutcome(command.ref, Stage.FAILED, reason=reason)
        return None

    net.rules.answer = refuse
    await play.register()
    await play.sign_on()
    await play.send(message("m1"))
    await play.expect(bounced("m1", condition, type_, code))
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-05", "AMB-20")
async def test_without_a_session_a_message_is_returned_and_signs_nobody_on(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.send(message("m1"))
    await play.expect(bounced("m1", *TIMEOUT))
    await play.nothing_more()
    assert not net.clients


@pytest.mark.conformance("AMB-20", "GW-IN-07")
async def test_after_refused_credentials_a_message_says_so(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.passwords["romeo"] = "changed"
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    await play.expect(
        f"<presence type='error' from='{G}' to='{ORCHARD}'><error type='auth' code='401'>"
        f"<not-authorized xmlns='{ERRORS}'/>"
        f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error></presence>"
    )
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ROMEO}'/>")
    await play.expect(f"<message type='chat' from='{G}' to='{ROMEO}'><body>*</body></message>")
    await play.send(message("m1"))
    await play.expect(bounced("m1", "not-authorized", "auth", "401"))
    await trio.sleep(3600)
    await play.nothing_more()
    net.passwords["romeo"] = "montague"


@pytest.mark.conformance("GW-SEND-05", "AMB-31")
async def test_messages_are_held_in_order_while_the_user_is_signed_on(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.failures.append(ConnectionLost("not now"))
    await play.send(
        f"<presence from='{ORCHARD}' to='{G}'/>", message("m1", "one"), message("m2", "two")
    )
    await play.expect(
        f"<presence type='error' from='{G}' to='{ORCHARD}'><error type='wait' code='504'>"
        f"<remote-server-timeout xmlns='{ERRORS}'/>"
        f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error>"
        "</presence>"
    )
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()
    assert texts(net) == ["one", "two"]


@pytest.mark.conformance("GW-SEND-05")
async def test_a_message_is_not_held_for_ever(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.silent.append(True)
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>", message("m1"))
    await trio.sleep(29)
    await play.nothing_more()
    await trio.sleep(1)
    await play.expect(bounced("m1", *TIMEOUT))
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-05")
async def test_no_more_than_fifty_are_held(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.silent.append(True)
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    await play.send(*[message(f"m{number}") for number in range(51)])
    await play.expect(bounced("m50", "resource-constraint", "wait", "500"))
    await play.nothing_more()


async def test_what_was_handed_over_and_not_answered_may_have_arrived(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    net.rules.answer = lambda command: None
    await play.register()
    await play.sign_on()
    await play.send(message("m1"))
    await play.nothing_more()
    await trio.sleep(60)
    error = await play.expect(bounced("m1", *TIMEOUT))
    assert "may" in str(error.find(f".//{{{ERRORS}}}text").text) or "not known" in str(  # type: ignore[union-attr]
        error.find(f".//{{{ERRORS}}}text").text  # type: ignore[union-attr]
    )
    await play.nothing_more()


async def test_a_lost_connection_returns_what_is_unanswered_once_and_sends_it_never_again(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    net.rules.answer = lambda command: None
    await play.register()
    await play.sign_on()
    await play.send(message("m1", "once"))
    await play.nothing_more()
    net.rules.answer = obedient
    net.clients[0].tell(ConnectionLost("the cable"))
    await play.expect(bounced("m1", *TIMEOUT, "once"))
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()
    assert not texts(net)


async def test_a_stuck_write_is_told_when_the_connection_goes(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()
    net.clients[0].stuck = trio.Event()
    await play.send(message("m1"))
    await trio.sleep(1)
    net.clients[0].end()
    await play.expect(bounced("m1", *TIMEOUT))
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()


async def test_leaving_returns_what_is_held_and_unanswered(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    net.rules.answer = lambda command: None
    await play.register()
    await play.sign_on()
    await play.send(message("m1"), f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>")
    await play.expect(bounced("m1", *TIMEOUT))
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ORCHARD}'/>")
    await play.nothing_more()


async def test_a_goodbye_sent_just_before_leaving_arrives(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()
    [client] = net.clients
    await play.send(
        message("m1", "Farewell"), f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>"
    )
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ORCHARD}'/>")
    await play.nothing_more()
    assert [one.text for one in client.sent if isinstance(one, SendMessage)] == ["Farewell"]


async def test_a_flood_is_refused_and_loses_nobodys_order(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()
    net.clients[0].stuck = trio.Event()
    await play.send(*[message(f"m{number}", str(number)) for number in range(220)])
    refused = set()
    for _ in range(220 - 200):
        found = await play.link.next_stanza()
        assert found.find(f".//{{{ERRORS}}}resource-constraint") is not None
        refused.add(found.get("id"))
    net.clients[0].stuck.set()
    await play.nothing_more()
    arrived = [int(text) for text in texts(net)]
    assert arrived == sorted(arrived)
    assert len(arrived) + len(refused) == 220


@pytest.mark.conformance("CHAT-01")
async def test_typing_passes_both_ways_to_clients_that_show_theirs(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()
    [client] = net.clients
    client.tell(Typing("juliet", "juliet", TypingState.COMPOSING))
    await play.nothing_more()  # romeo's client has not shown that it knows chat states
    await play.send(
        f"<message type='chat' from='{ORCHARD}' to='{JULIET}'>"
        "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    await play.nothing_more()
    assert [one.state for one in client.sent if isinstance(one, SetTyping)] == [
        TypingState.COMPOSING
    ]
    client.tell(Typing("juliet", "juliet", TypingState.COMPOSING))
    client.tell(Typing("juliet", "juliet", TypingState.COMPOSING))
    await play.expect(
        f"<message type='chat' from='{JULIET}' to='{ROMEO}'>"
        "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    client.tell(MessageReceived(conversation="juliet", sender="juliet", text="Ay me"))
    await play.expect(
        f"<message type='chat' id='*' from='{JULIET}' to='{ROMEO}'><body>Ay me</body>"
        "<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    await play.nothing_more()


@pytest.mark.conformance("CORE-07", "LU-SEND-04")
async def test_any_text_of_a_stranger_arrives_as_legal_xml(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    net.clients[0].tell(
        MessageReceived(conversation="stranger", sender="stranger", text="a\x00b\ud800<&>\x1b]]>")
    )
    found = await play.expect(
        f"<message type='chat' id='*' from='stranger@{G}' to='{ROMEO}'><body>*</body></message>"
    )
    assert found[0].text == "a\ufffdb\ufffd<&>\ufffd]]>"
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-09", "COMP-07")
async def test_a_huge_text_arrives_in_pieces_and_in_order(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    text = "".join(chr(0x27 + number % 50) for number in range(100_000))
    net.clients[0].tell(
        MessageReceived(
            conversation="juliet", sender="juliet", text=text, token=7, legacy_id="long"
        )
    )
    found = [await play.link.next_stanza() for _ in range(4)]
    assert "".join(str(one[0].text) for one in found) == text
    assert len({one.get("id") for one in found}) == 4
    await play.nothing_more()
    assert net.clients[0].acknowledged == [7]


async def test_a_network_that_repeats_itself_is_heard_once(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    [client] = net.clients
    for token in (1, 2):
        client.tell(
            MessageReceived(
                conversation="juliet", sender="juliet", text="Hi", token=token, legacy_id="same"
            )
        )
    await play.expect(
        f"<message type='chat' id='*' from='{JULIET}' to='{ROMEO}'><body>Hi</body></message>"
    )
    await play.nothing_more()
    assert client.acknowledged[-1] == 2


@pytest.mark.conformance("GW-IN-09")
@pytest.mark.parametrize(
    ("refusal", "condition", "type_", "code"),
    [
        (Refusal.SUSPENDED, "forbidden", "auth", "403"),
        (Refusal.FORBIDDEN, "forbidden", "auth", "403"),
        (Refusal.ELSEWHERE, "conflict", "cancel", "409"),
    ],
)
async def test_a_kick_is_told_by_presence_and_once_by_message(
    autojump_clock: MockClock,
    play: Play,
    net: type[FakeNetwork],
    refusal: Refusal,
    condition: str,
    type_: str,
    code: str,
) -> None:
    await play.register()
    await play.sign_on()
    net.clients[0].end(refusal)
    await play.expect(
        f"<presence type='error' from='{G}' to='{ORCHARD}'><error type='{type_}' code='{code}'>"
        f"<{condition} xmlns='{ERRORS}'/>"
        f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error></presence>"
    )
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ROMEO}'/>")
    await play.expect(f"<message type='chat' from='{G}' to='{ROMEO}'><body>*</body></message>")
    await trio.sleep(3600)
    await play.nothing_more()
    assert not net.clients
