"""Networks that can less than others, or do what others do not."""

from datetime import UTC, datetime

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import (
    Account,
    Answer,
    Ask,
    Challenge,
    MessageOutcome,
    MessageReceived,
    NudgeReceived,
    PresenceChanged,
    ReadUpTo,
    SendMessage,
    SetPresence,
    SetTyping,
    Show,
    Stage,
)
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G
from tests.fakes.stage import Stage as Play

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
COMPOSING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


async def signed_on(play: Play) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


def message(inside: str, to: str = JULIET) -> str:
    return f"<message type='chat' id='m1' from='{ORCHARD}' to='{to}'>{inside}</message>"


async def test_what_the_network_cannot_say_may_have_arrived(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.rules.answer = lambda command: (
        MessageOutcome(command.ref, Stage.UNKNOWN) if isinstance(command, SendMessage) else None
    )
    await play.send(message("<body>Hi</body>"))
    found = await play.expect(
        f"<message type='error' id='m1' from='{JULIET}' to='{ORCHARD}'><body>Hi</body>"
        f"<error type='wait' code='504'><remote-server-timeout xmlns='{ERRORS}'/>"
        f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error></message>"
    )
    assert "not known whether this message arrived" in found.findtext(f".//{{{ERRORS}}}text", "")
    await trio.sleep(90)
    await play.nothing_more()
    assert [one for one in net.clients[0].sent if isinstance(one, SendMessage)] != []


@pytest.mark.conformance("CHAT-01", "GW-SEND-06")
async def test_typing_goes_only_where_it_can_be_shown(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    await play.send(
        message(COMPOSING, f"{'x' * 70}@{G}"),  # no name on this network
        message(COMPOSING, G),
        message(COMPOSING),
    )
    await play.nothing_more()
    [client] = net.clients
    assert [one.conversation for one in client.sent if isinstance(one, SetTyping)] == ["juliet"]


@pytest.mark.conformance("CHAT-01")
async def test_a_network_without_typing_is_told_of_none(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    net.capabilities = attrs.evolve(net.capabilities, typing=False)
    await signed_on(play)
    await play.send(message(COMPOSING))
    await play.nothing_more()
    assert [one for one in net.clients[0].sent if isinstance(one, SetTyping)] == []


async def test_what_is_not_carried_on_yet_is_acknowledged_all_the_same(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [client] = net.clients
    client.tell(
        ReadUpTo(conversation="juliet", upto="id-1", token=1),
        NudgeReceived(conversation="juliet", sender="juliet", token=2),
    )
    await play.nothing_more()
    assert client.acknowledged == [1, 2]


@pytest.mark.conformance("IDLE-01")
async def test_since_when_a_contact_is_idle_is_shown(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    await play.send(f"<presence type='subscribe' from='{ROMEO}' to='{JULIET}'/>")
    await play.expect(f"<presence type='subscribed' from='{JULIET}' to='{ROMEO}'/>")
    since = datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC)
    net.clients[0].tell(PresenceChanged("juliet", Show.AWAY, "brb", idle_since=since))
    await play.expect(
        f"<presence from='{JULIET}' to='{ROMEO}'><show>away</show><status>brb</status>"
        "<idle xmlns='urn:xmpp:idle:1' since='1969-07-21T02:56:15Z'/></presence>"
    )
    net.clients[0].tell(PresenceChanged("juliet", Show.INVISIBLE, "gone"))
    await play.expect(
        f"<presence type='unavailable' from='{JULIET}' to='{ROMEO}'>"
        "<status>gone</status></presence>"
    )
    await play.nothing_more()


IDLE = "<idle xmlns='urn:xmpp:idle:1' since='{}'/>"
MOON = datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC)


@pytest.mark.conformance("IDLE-01")
@pytest.mark.parametrize(
    ("inside", "since"),
    [
        (IDLE.format("1969-07-21T02:56:15Z"), MOON),
        (IDLE.format("1969-07-20T21:56:15-05:00"), MOON),
        (IDLE.format("1969-07-21T02:56:15.123456789Z"), MOON.replace(microsecond=123_456)),
        ("", None),
        ("<idle xmlns='urn:xmpp:idle:1'/>", None),
        ("<idle xmlns='urn:xmpp:idle:2' since='1969-07-21T02:56:15Z'/>", None),
        ("<idler xmlns='urn:xmpp:idle:1' since='1969-07-21T02:56:15Z'/>", None),
        *(
            (IDLE.format(since), None)
            for since in (
                "",
                "yesterday",
                "1969-07-21T02:56:15",
                "1969-13-21T02:56:15Z",
                "1969-07-21T02:56:60Z",
                "0001-01-01T00:00:00+09:00",
                "9999-12-31T23:59:59-09:00",
                "1969-07-21T02:56:15+99:00",
                "\u0661\u0669\u0666\u0669-07-21T02:56:15Z",
                "1969-07-21T02:56:15Z" + "0" * 10_000,
            )
        ),
    ],
)
async def test_idle_time_of_the_user_is_passed_on(
    autojump_clock: MockClock,
    play: Play,
    net: type[FakeNetwork],
    inside: str,
    since: datetime | None,
) -> None:
    await signed_on(play)
    await play.send(f"<presence from='{ORCHARD}' to='{G}'><show>away</show>{inside}</presence>")
    await play.nothing_more()
    assert statuses(net)[-1] == (Show.AWAY, since)
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    await play.nothing_more()
    assert statuses(net)[-1] == (Show.ONLINE, None)


def statuses(net: type[FakeNetwork]) -> list[tuple[Show, datetime | None]]:
    sent = net.clients[0].sent
    return [(one.show, one.idle_since) for one in sent if isinstance(one, SetPresence)]


async def test_idle_time_is_that_of_the_resource_shown(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    idle, phone = IDLE.format("1969-07-21T02:56:15Z"), f"{ROMEO}/phone"
    await play.send(f"<presence from='{ORCHARD}' to='{G}'><priority>5</priority>{idle}</presence>")
    await play.send(f"<presence from='{phone}' to='{G}'><priority>1</priority></presence>")
    await trio.sleep(1)
    assert statuses(net)[-1] == (Show.ONLINE, MOON)
    await play.send(f"<presence from='{phone}' to='{G}'><priority>9</priority></presence>")
    await trio.sleep(1)
    assert statuses(net)[-1] == (Show.ONLINE, None)
    await play.send(f"<presence type='unavailable' from='{phone}' to='{G}'/>")
    await trio.sleep(1)
    assert statuses(net)[-1] == (Show.ONLINE, MOON)


async def test_idle_time_is_never_in_the_future(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    ahead = IDLE.format("9998-07-21T02:56:15Z")
    await play.send(f"<presence from='{ORCHARD}' to='{G}'>{ahead}</presence>")
    await play.nothing_more()
    _, since = statuses(net)[-1]
    assert since is not None
    assert since <= play.host.now()


@pytest.mark.conformance("AMB-17", "LU-SEND-04", "GW-ADDR-04")
async def test_a_sender_whose_name_the_network_itself_would_refuse_can_be_answered(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [client] = net.clients
    for name in ("x" * 70, "x" * 70, "Sys Op"):
        client.tell(MessageReceived(conversation=name, sender=name, text="Hi"))
    senders = []
    for _ in range(3):
        found = await play.link.next_stanza()
        senders.append(found.get("from", ""))
    assert senders[0] == senders[1] != senders[2]
    await play.send(message("<body>Who?</body>", senders[0]))
    await play.nothing_more()
    await play.send(message("<body>What?</body>", senders[2]))
    await play.nothing_more()
    sent = [one.conversation for one in client.sent if isinstance(one, SendMessage)]
    assert sent == ["x" * 70, "Sys Op"]


@pytest.mark.conformance("GW-REG-07")
async def test_a_network_that_asks_for_more_than_a_password_lets_nobody_in_yet(
    autojump_clock: MockClock,
    play: Play,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[Answer] = []

    async def check(self: FakeNetwork, account: Account, ask: Ask) -> bool:
        answers.append(await ask(Challenge("Which code?")))
        return True

    monkeypatch.setattr(net, "check", check)
    await play.send(
        f"<iq type='set' id='r1' from='{ORCHARD}' to='{G}'><query xmlns='jabber:iq:register'>"
        "<username>romeo</username><password>montague</password></query></iq>"
    )
    await play.expect(
        f"<iq type='error' id='r1' from='{G}' to='{ORCHARD}'>"
        f"<error type='modify' code='406'><not-acceptable xmlns='{ERRORS}'/>"
        f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error></iq>"
    )
    await play.nothing_more()
    assert answers == []
    assert not play.gateway.store.accounts(G)


@pytest.mark.conformance("GW-IN-11", "AMB-19")
async def test_nobody_is_at_an_address_that_cannot_be(
    autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    nobody = f"{'x' * 70}@{G}"
    await play.send(f"<presence type='probe' from='{ROMEO}' to='{nobody}'/>")
    await play.expect(f"<presence type='unsubscribed' from='{nobody}' to='{ROMEO}'/>")
    await play.nothing_more()
