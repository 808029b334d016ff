"""A driver that raises in any call of ours ends its session alone."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.networks.base import Account, Contact, MessageReceived, PresenceChanged, Show
from tests.fakes.network import FakeClient, FakeNetwork, FakeSettings
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, SERVER, G, Stage, stage

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
MERCUTIO = f"mercutio@{SERVER}"
FAULT = (
    "<error type='wait' code='500'>"
    f"<internal-server-error xmlns='{ERRORS}'/>"
    f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error>"
)
TOLD = f"<presence type='error' from='{G}' to='{ORCHARD}'>{FAULT}</presence>"
ALSO_TOLD = f"<message type='chat' from='{G}' to='{ROMEO}'><body>*</body></message>"
CHAT = (
    f"<message type='chat' id='m1' from='{ORCHARD}' to='{{to}}'><body>Hi</body>"
    "<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
)
TYPING = (
    f"<message type='chat' from='{ORCHARD}' to='{JULIET}'>"
    "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
)


def broken(*_: object) -> Any:
    raise ZeroDivisionError("planted")


def said(text: str, token: object = None) -> MessageReceived:
    return MessageReceived(
        conversation="juliet", sender="juliet", text=text, token=token, legacy_id=text
    )


async def both_signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.register(f"{MERCUTIO}/x", "mercutio", "queenmab")
    await play.sign_on(f"{MERCUTIO}/x")
    await play.nothing_more()


async def mercutio_is_well(play: Stage, client: FakeClient) -> None:
    client.tell(said("still here"))
    await play.expect(
        f"<message type='chat' from='{JULIET}' to='{MERCUTIO}'><body>still here</body></message>"
    )
    await play.nothing_more(f"{MERCUTIO}/x")


async def test_raising_acknowledge_at_proof_ends_one_session(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    await both_signed_on(play)
    romeo, mercutio = net.clients
    monkeypatch.setattr(romeo, "acknowledge", broken)
    romeo.tell(said("one", 1), said("two", 2))
    for text in ("one", "two"):
        await play.expect(
            f"<message type='chat' from='{JULIET}' to='{ROMEO}'><body>{text}</body></message>"
        )
    await play.expect(TOLD)
    await play.expect(ALSO_TOLD)
    await mercutio_is_well(play, mercutio)
    assert net.clients == [mercutio]
    assert caplog.text.count("ZeroDivisionError: planted") == 1
    await trio.sleep(31)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    net.clients[1].tell(said("one", 1), said("two", 2), said("three", 3))
    await play.expect(
        f"<message type='chat' from='{JULIET}' to='{ROMEO}'><body>three</body></message>"
    )
    await play.nothing_more()
    assert net.clients[1].acknowledged == [1, 2, 3]
    assert play.gateway.store.journal(G) == []


async def test_raising_acknowledge_in_the_journal_ends_one_session(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await both_signed_on(play)
    romeo, mercutio = net.clients
    monkeypatch.setattr(romeo, "acknowledge", broken)
    play.link.answer_pings = False
    romeo.tell(said("late", 1))
    await play.expect(
        f"<message type='chat' from='{JULIET}' to='{ROMEO}'><body>late</body></message>"
    )
    assert (await play.link.next_stanza()).find("{urn:xmpp:ping}ping") is not None
    await play.expect(TOLD)
    await play.expect(ALSO_TOLD)
    play.link.answer_pings = True
    mercutio.tell(said("still here", 2))
    await trio.sleep(1)
    assert mercutio.acknowledged == [2]
    assert net.clients == [mercutio]


async def test_raising_acknowledge_at_shutdown_stops_nothing(
    autojump_clock: MockClock,
    tmp_path: Path,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage(tmp_path, net, FakeSettings()) as play:
        await both_signed_on(play)
        romeo, mercutio = net.clients
        monkeypatch.setattr(romeo, "acknowledge", broken)
        play.link.answer_pings = False
        romeo.tell(said("at the end", 1))
        mercutio.tell(said("at the end", 2))
        await trio.testing.wait_all_tasks_blocked()
        play.gateway.stop()
    assert mercutio.acknowledged == [2]
    assert play.link.closed_in_order
    async with stage(tmp_path, net, FakeSettings()) as play:
        found = [await play.link.next_stanza() for _ in range(2)]
        assert {one.get("to") for one in found if one.tag.endswith("}message")} == {ROMEO, MERCUTIO}


class Raises:
    """Stands for an attribute that raises when it is read."""

    def __get__(self, *_: object) -> Any:
        broken()


def leave_badly(net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = net.sign_on

    @asynccontextmanager
    async def sign_on(
        self: FakeNetwork, account: Account, ask: Any
    ) -> AsyncGenerator[FakeClient, None]:
        async with whole(self, account, ask) as client:
            try:
                yield client
            finally:
                if account.address == "romeo":
                    broken()

    monkeypatch.setattr(net, "sign_on", sign_on)


@pytest.mark.parametrize("call", ["receive", "send", "capabilities"])
async def test_raising_client_ends_one_session(
    call: str,
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await both_signed_on(play)
    romeo, mercutio = net.clients
    if call == "receive":
        romeo.tell(ZeroDivisionError("planted"))
    elif call == "send":
        monkeypatch.setattr(romeo, "send", broken)
        await play.send(CHAT.format(to=JULIET))
        found = await play.link.next_stanza()
        assert (found.get("type"), found.get("id")) == ("error", "m1")
    else:
        monkeypatch.setattr(FakeClient, "capabilities", Raises(), raising=False)
        del romeo.capabilities
        await play.send(TYPING)
    await play.expect(TOLD)
    await play.expect(ALSO_TOLD)
    await mercutio_is_well(play, mercutio)
    assert net.clients == [mercutio]
    monkeypatch.undo()
    await trio.sleep(31)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()


@pytest.mark.parametrize("call", ["canonical", "login_limit", "leaving"])
async def test_raising_network_ends_one_session(
    call: str,
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as planted:
        if call == "leaving":
            leave_badly(net, planted)
        await both_signed_on(play)
        mercutio = net.clients[1]
        if call == "canonical":
            whole = net.canonical
            planted.setattr(
                net,
                "canonical",
                staticmethod(lambda text: whole(text) if text != "x" else broken()),
            )
            play.gateway.domains[0].addresses._canonical = net.canonical
            await play.send(CHAT.format(to=f"x@{G}"))
            found = await play.link.next_stanza()
            assert (found.get("type"), found.get("id")) == ("error", "m1")
        elif call == "login_limit":
            planted.setattr(net, "login_limit", broken)
            net.clients[0].end()
        else:
            net.clients[0].end()
        await play.expect(TOLD)
        await play.expect(ALSO_TOLD)
    await mercutio_is_well(play, mercutio)
    await trio.sleep(31)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()


async def test_raising_check_refuses_one_registration(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await play.register(f"{MERCUTIO}/x", "mercutio", "queenmab")
    await play.sign_on(f"{MERCUTIO}/x")
    monkeypatch.setattr(net, "check", broken)
    await play.send(
        f"<iq type='set' id='r1' from='{ORCHARD}' to='{G}'><query xmlns='jabber:iq:register'>"
        "<username>romeo</username><password>montague</password></query></iq>"
    )
    await play.expect(f"<iq type='error' id='r1' from='{G}' to='{ORCHARD}'>{FAULT}</iq>")
    await mercutio_is_well(play, net.clients[0])


async def test_raising_canonical_at_roll_call_spares_others(
    autojump_clock: MockClock,
    tmp_path: Path,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a crash of the daemon, contacts of users without a session are shown unavailable."""
    net.contacts[:] = [Contact("juliet")]
    async with stage(tmp_path, net, FakeSettings()) as play:
        await both_signed_on(play)
        for client in net.clients:
            client.tell(PresenceChanged("juliet", Show.ONLINE))
        await play.expect_all(
            *(f"<presence from='{JULIET}' to='{user}'/>" for user in (ROMEO, MERCUTIO))
        )
        await play.nothing_more()
        monkeypatch.setattr(play.gateway.store, "end_run", lambda _component: None)
    whole, calls = net.canonical, 0

    def canonical(text: str) -> str:
        nonlocal calls
        calls += text == "juliet"
        return broken() if calls == 1 else whole(text)

    monkeypatch.setattr(net, "canonical", staticmethod(canonical))
    async with stage(tmp_path, net, FakeSettings()) as play:
        for _ in range(4):
            found = await play.link.next_stanza()
            if found.get("from") == JULIET:
                break
        assert found.get("type") == "unavailable"
        await trio.sleep(60)
        await play.sign_on(f"{MERCUTIO}/x")
