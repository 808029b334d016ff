"""Races at the edges: what changes while it is written, messages around a removal."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.journal import FROM_USER, TO_USER, Entry, Journal
from gateway.errors import StoreError
from gateway.networks.base import CredentialsRenewed, RequestAnswered
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, Message, MessageType, error_reply
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
REMOVE = (
    f"<iq type='set' id='rm' from='{ORCHARD}' to='{G}'>"
    "<query xmlns='jabber:iq:register'><remove/></query></iq>"
)
COMMIT_SECONDS = 1.0


def message(id_: str) -> str:
    return (
        f"<message type='chat' id='{id_}' from='{ORCHARD}' to='{JULIET}'><body>Hi</body></message>"
    )


def account_id(play: Stage) -> int:
    return play.gateway.domains[0].accounts[Jid.parse(ROMEO)].account_id


def entry(play: Stage, direction: str = TO_USER) -> Entry:
    from_, to = Jid.parse(JULIET), Jid.parse(ROMEO)
    if direction == FROM_USER:
        from_, to = Jid.parse(ORCHARD), Jid.parse(JULIET)
    return Entry(
        account_id=account_id(play),
        direction=direction,
        message=Message(to=to, from_=from_, type=MessageType.CHAT, id="x", body="Hi"),
        at=play.host.now(),
        born=trio.current_time(),
    )


@asynccontextmanager
async def writing(
    play: Stage, monkeypatch: pytest.MonkeyPatch, *entries: Entry
) -> AsyncGenerator[Journal, None]:
    """A journal in the middle of its slow commit of `entries`; at the end it has done its work."""
    whole = play.host.run_blocking

    async def run_blocking(call: Callable[[], Any]) -> Any:
        result = await whole(call)
        await trio.sleep(COMMIT_SECONDS)  # committed, and we have not heard of it yet
        return result

    monkeypatch.setattr(play.host, "run_blocking", run_blocking)
    journal = Journal(play.host, play.gateway.store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        for one in entries:
            journal.note(one)
        await trio.sleep(COMMIT_SECONDS / 2)
        assert play.gateway.store.journal(G)
        yield journal
        await trio.sleep(10 * COMMIT_SECONDS)
        nursery.cancel_scope.cancel()


async def test_what_is_settled_while_it_is_written_leaves_no_row(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register()
    one = entry(play)
    async with writing(play, monkeypatch, one) as journal:
        journal.settle(one)
    assert play.gateway.store.journal(G) == []


async def test_what_fails_while_it_is_written_leaves_the_row_of_its_error_alone(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register()
    one = entry(play, FROM_USER)
    async with writing(play, monkeypatch, one) as journal:
        error = error_reply(one.message, Condition.REMOTE_SERVER_TIMEOUT)
        assert isinstance(error, Message)
        journal.note(journal.turn(one, error))
    [row] = play.gateway.store.journal(G)
    assert (row.direction, row.stanza_id) == (TO_USER, "x")


async def test_what_fails_after_it_was_written_keeps_its_row_until_the_error_is_settled(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register()
    one = entry(play, FROM_USER)
    async with writing(play, monkeypatch, one) as journal:
        await trio.sleep(COMMIT_SECONDS)
        error = error_reply(one.message, Condition.REMOTE_SERVER_TIMEOUT)
        assert isinstance(error, Message)
        turned = journal.turn(one, error)
        journal.note(turned)
        await trio.sleep(5 * COMMIT_SECONDS)
        assert len(play.gateway.store.journal(G)) == 1
        journal.settle(turned)
    assert play.gateway.store.journal(G) == []


async def test_an_event_is_acknowledged_once_though_it_is_proven_while_it_is_written(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await play.register()
    await play.sign_on()
    one = entry(play)
    one.client, one.token, one.legacy_id = net.clients[0], 1, "id-1"
    async with writing(play, monkeypatch, one) as journal:
        assert net.clients[0].acknowledged == []
        journal.settle(one)
        assert net.clients[0].acknowledged == [1]
    assert net.clients[0].acknowledged == [1]
    assert play.gateway.store.seen(account_id(play)) == ["id-1"]


async def test_an_event_is_acknowledged_once_though_it_is_written_and_then_proven(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await play.register()
    await play.sign_on()
    one = entry(play)
    one.client, one.token = net.clients[0], 1
    async with writing(play, monkeypatch, one) as journal:
        await trio.sleep(COMMIT_SECONDS)
        assert net.clients[0].acknowledged == [1]
        journal.settle(one)
    assert net.clients[0].acknowledged == [1]
    assert play.gateway.store.journal(G) == []


async def test_what_was_written_of_an_account_that_is_removed_goes_with_it(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register()
    one, late = entry(play), entry(play)
    number = one.account_id
    async with writing(play, monkeypatch, one) as journal:
        journal.forget(number)
        play.gateway.store.remove_account(number)
        journal.note(late)  # nobody has told it yet
    assert play.gateway.store.journal(G) == []
    assert late.row is None


async def test_a_journal_that_cannot_be_written_tries_again_and_drops_nothing(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register()
    journal = Journal(play.host, play.gateway.store)

    def failing(*_: object) -> list[int]:
        raise StoreError("the disk is full")

    async with trio.open_nursery() as nursery:
        with monkeypatch.context() as away:
            away.setattr(play.gateway.store, "commit_journal", failing)
            nursery.start_soon(journal.run)
            journal.note(entry(play))
            await trio.sleep(60)
        assert play.gateway.store.journal(G) == []
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert len(play.gateway.store.journal(G)) == 1


@pytest.mark.conformance("GW-UNREG-01", "AMB-27")
async def test_messages_around_a_removal_are_each_answered_once(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    net.rules.answer = lambda command: None
    await play.send(message("m1"), REMOVE, message("m2"))
    answered: list[str] = []
    while len(answered) < 2:
        one = await play.link.next_stanza()
        if one.tag.endswith("}message"):
            assert one.get("type") == "error"
            answered.append(one.get("id", ""))
    assert sorted(answered) == ["m1", "m2"]
    await trio.sleep(90)
    assert not play.gateway.store.accounts(G)
    assert not list(play.gateway.sessions)
    assert not net.clients


@pytest.mark.conformance("GW-ADD-02")
async def test_what_a_contact_answered_is_saved_though_nothing_else_happens(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    net.rules.answer = lambda command: None
    await play.send(f"<presence type='subscribe' from='{ROMEO}' to='mercutio@{G}'/>")
    await trio.sleep(1)
    net.clients[0].tell(RequestAnswered(address="mercutio", granted=True))
    await play.expect(f"<presence type='subscribed' from='mercutio@{G}' to='{ROMEO}'/>")
    await trio.sleep(1)
    found = {one.address: one.state for one in play.gateway.store.contacts(account_id(play))}
    assert found == {"mercutio": "accepted"}


async def test_renewed_credentials_are_used_at_the_next_sign_on(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    net.passwords["romeo"] = "renewed"
    net.clients[0].tell(CredentialsRenewed("renewed"))
    await trio.sleep(1)
    [stored] = play.gateway.store.accounts(G)
    assert stored.secret == "renewed"
    net.clients[0].end()
    await trio.sleep(10)
    assert [one.secret for one in net.attempts] == ["montague", "montague", "renewed"]
    assert net.clients
