"""Hostile users and services, a failing store, bad moments: nobody notices, nothing is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.journal import TO_USER, Entry, Journal
from gateway.bridge.session import LINGER_SECONDS
from gateway.errors import StoreError
from gateway.networks.base import (
    ContactRequest,
    CredentialsRenewed,
    LoginRefused,
    MessageReceived,
    Notice,
    PresenceChanged,
    Refusal,
    RequestAnswered,
    SendMessage,
    Show,
    Typing,
    TypingState,
)
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Iq, IqType, Message, MessageType
from gateway.xmpp.xml import Element
from tests.fakes import stage as stages
from tests.fakes.network import FakeNetwork, FakeSettings
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, SERVER, G, Stage, stage

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
COMPOSING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
MERCUTIO = f"mercutio@{SERVER}"
REMOVE = (
    f"<iq type='set' id='rm' from='{ORCHARD}' to='{G}'>"
    "<query xmlns='jabber:iq:register'><remove/></query></iq>"
)


def message(id_: str, body: str = "Hi", extra: str = "") -> str:
    return (
        f"<message type='chat' id='{id_}' from='{ORCHARD}' to='{JULIET}'>"
        f"<body>{body}</body>{extra}</message>"
    )


def register_set(id_: str = "reg", name: str = "romeo", password: str = "montague") -> str:
    return (
        f"<iq type='set' id='{id_}' from='{ORCHARD}' to='{G}'><query xmlns='jabber:iq:register'>"
        f"<username>{name}</username><password>{password}</password></query></iq>"
    )


def said(text: str, token: object = None, legacy_id: str | None = None) -> MessageReceived:
    return MessageReceived(
        conversation="juliet", sender="juliet", text=text, token=token, legacy_id=legacy_id
    )


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()


async def came(play: Stage, seconds: float = 1.0) -> list[str]:
    """Everything that comes within `seconds`, as 'name type from id'."""
    await trio.sleep(seconds)
    found = []
    while play.link._arrived:
        one = await play.link.next_stanza()
        name = one.tag.partition("}")[2]
        found.append(f"{name} {one.get('type', '-')} {one.get('from')} {one.get('id')}")
    return found


def slow_store(play: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    whole = play.host.run_blocking
    lock = trio.Lock()

    async def run_blocking(call: Callable[[], Any]) -> Any:
        async with lock:
            await trio.sleep(seconds)
            return await whole(call)

    monkeypatch.setattr(play.host, "run_blocking", run_blocking)


def failing(*_: object, **__: object) -> Any:
    raise StoreError("the disk is full")


def sized(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    whole = stages.make_config

    def make_config(*args: Any) -> Any:
        config = whole(*args)
        [component] = config.components
        return attrs.evolve(config, components=(attrs.evolve(component, max_stanza_bytes=limit),))

    monkeypatch.setattr(stages, "make_config", make_config)


# --- everybody down ---------------------------------------------------------------------------


async def test_a_long_legacy_message_with_a_small_stanza_limit_harms_nobody(
    autojump_clock: MockClock,
    tmp_path: Path,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sized(monkeypatch, 10_000)
    async with stage(tmp_path, net, FakeSettings()) as play:
        await signed_on(play)
        await play.register(f"{MERCUTIO}/x", "mercutio", "queenmab")
        await play.sign_on(f"{MERCUTIO}/x")
        net.clients[1].tell(said("first"))
        await play.link.next_stanza()
        net.clients[0].tell(said("x" * 20_000))  # before the ping for `first` is answered
        await trio.sleep(5)
        await play.send(
            f"<iq type='get' id='p1' from='x@{SERVER}/r' to='{G}'>"
            "<ping xmlns='urn:xmpp:ping'/></iq>"
        )
        assert any(one.endswith(" p1") for one in await came(play, 5))


async def test_one_iq_of_a_stranger_with_a_small_stanza_limit_harms_nobody(
    autojump_clock: MockClock,
    tmp_path: Path,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sized(monkeypatch, 10_000)
    async with stage(tmp_path, net, FakeSettings()) as play:
        quotes = "&apos;" * 1000
        await play.send(
            f"<iq type='nonsense' id='{quotes}' from='x@evil.example/{quotes}' to='{G}/{quotes}'/>"
        )
        await play.nothing_more()


async def test_namespaces_do_not_swell_a_stanza_beyond_measure(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    from gateway.xmpp import component, xml

    whole = xml.to_bytes

    def to_bytes(element: Element, xmlns: str) -> bytes:
        data = whole(element, xmlns)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(component, "to_bytes", to_bytes)
    uri = "u" * 20_000
    one = message("m1", extra="<a:x/>" * 1900).replace("<message", f"<message xmlns:a='{uri}'")
    await play.send(one)
    await play.link.next_stanza()
    assert max(sizes) < 4 * len(one)


@pytest.mark.parametrize("kind", ["many elements", "namespaces"])
async def test_whatever_a_user_sent_the_daemon_starts_again(
    autojump_clock: MockClock, tmp_path: Path, net: type[FakeNetwork], kind: str
) -> None:
    if kind == "many elements":
        one = message("m1", extra="<x xmlns='u'/>" * 1997)
    else:
        one = message("m1", extra="<a:x/>" * 1900).replace(
            "<message", f"<message xmlns:a='{'u' * 20_000}'"
        )
    with trio.CancelScope() as life:
        async with stage(tmp_path, net, FakeSettings()) as play:
            await signed_on(play)
            play.link.answer_pings = False
            if kind == "many elements":  # refused: the error is unproven, and late
                await play.send(f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>")
            else:  # never answered by the network: late
                net.rules.answer = lambda command: None
            await play.send(one)
            await trio.sleep(5)
            play.host.kill()
            life.cancel()
            await trio.lowlevel.checkpoint()
    net.clients.clear()
    async with stage(tmp_path, net, FakeSettings()) as play:
        found = await came(play, 5)
        assert any(one.startswith("presence probe") for one in found)


# --- what vanishes ----------------------------------------------------------------------------


async def test_a_stanza_at_the_moment_a_session_ends_is_answered(
    autojump_clock: MockClock, play: Stage
) -> None:
    router = play.gateway.routers[0]
    ping = Element("ping", "urn:xmpp:ping")
    for number in range(200):
        router.take(
            Iq(
                to=Jid.parse(G),
                from_=Jid.parse(ORCHARD),
                type=IqType.GET,
                id=str(number),
                payload=ping,
            )
        )
        await trio.lowlevel.checkpoint()
    found = await came(play, 5)
    answered = {one.split()[-1] for one in found}
    assert len(answered) == 200, f"{200 - len(answered)} of 200 iqs were never answered"


async def test_an_edit_is_answered_when_the_store_fails(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play.gateway.store, "save_account", failing)
    await play.send(register_set())
    found = await came(play, 60)
    assert [one for one in found if one.startswith("iq ")] == [f"iq error {G} reg"]


async def test_a_registration_is_answered_when_the_session_breaks(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_on(play)
    net.silent.append(True)
    await play.send(register_set("reg2", "romy"))
    await trio.sleep(1)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("gateway.bridge.features.messages.received", broken)
    net.clients[0].tell(said("boom"))
    found = await came(play, 120)
    assert any(one.startswith("iq error") and one.endswith("reg2") for one in found), found


async def test_a_registration_is_answered_at_shutdown(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.silent.append(True)
    await play.send(register_set())
    await trio.sleep(1)
    play.gateway.stop()
    found = await came(play, 25)
    assert any(one.startswith("iq error") and one.endswith(" reg") for one in found), found


async def test_a_removal_that_finds_the_queue_full_leaves_the_session_whole(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [client] = net.clients
    stuck = client.stuck = trio.Event()
    await play.send(*(message(f"f{n}") for n in range(201)), REMOVE)
    await trio.sleep(5)
    client.stuck = None
    stuck.set()
    found = await came(play, 5)
    if any(one.startswith("iq result") for one in found):
        return  # the removal was carried out: as good
    await play.send(message("after", "still there?"))
    await trio.sleep(40)
    assert "still there?" in [one.text for one in client.sent if isinstance(one, SendMessage)]


async def test_contacts_are_kept_when_the_store_fails_once(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_on(play)
    store = play.gateway.store
    whole = store.save_contacts
    times: list[int] = []

    def once(*args: Any) -> None:
        times.append(1)
        if len(times) == 1:
            failing()
        whole(*args)

    monkeypatch.setattr(store, "save_contacts", once)
    net.rules.answer = lambda command: None
    await play.send(f"<presence type='subscribe' from='{ROMEO}' to='mercutio@{G}'/>")
    await trio.sleep(120)
    account = play.gateway.domains[0].accounts[Jid.parse(ROMEO)]
    assert [one.address for one in store.contacts(account.account_id)] == ["mercutio"]


async def test_a_message_stuck_in_a_slow_connection_is_told_after_a_minute(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.clients[0].stuck = trio.Event()
    await play.send(message("m1"))
    found = await came(play, 70)
    assert found == [f"message error {JULIET} m1"]


async def test_a_user_who_leaves_a_stuck_connection_is_signed_off(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.clients[0].stuck = trio.Event()
    await play.send(message("m1"), f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>")
    await trio.sleep(120)
    assert not net.clients


@pytest.mark.conformance("GW-UNREG-01")
async def test_what_is_being_written_when_the_user_unregisters_is_still_written(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [client] = net.clients
    stuck = client.stuck = trio.Event()
    await play.send(message("m1"), message("m2"), REMOVE)
    await trio.sleep(LINGER_SECONDS / 2)
    client.stuck = None
    stuck.set()
    found = await came(play)
    assert found[0] == f"iq result {G} rm", found
    assert not [one for one in found if one.startswith("message")]
    assert len([one for one in client.sent if isinstance(one, SendMessage)]) == 2


@pytest.mark.conformance("GW-UNREG-01")
async def test_who_unregisters_does_not_wait_for_a_service_that_takes_nothing(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.clients[0].stuck = trio.Event()
    await play.send(*(message(f"m{n}") for n in range(20)), REMOVE)
    found = await came(play, LINGER_SECONDS + 1)
    assert found[-1].startswith("presence unavailable")
    errors = [one for one in found if one.startswith("message")]
    assert errors == [f"message error {JULIET} m{n}" for n in range(20)]


async def test_who_fails_to_unregister_goes_on_as_before(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_on(play)
    [client] = net.clients
    with monkeypatch.context() as away:
        away.setattr(play.gateway.store, "contacts", failing)
        await play.send(REMOVE)
        assert any(one.startswith("iq error") for one in await came(play))
    await trio.sleep(2 * LINGER_SECONDS)
    await play.send(message("m1"))
    assert not await came(play)
    assert len([one for one in client.sent if isinstance(one, SendMessage)]) == 1


async def test_who_fails_to_unregister_in_a_hurry_goes_on_as_before(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_on(play)
    [client] = net.clients
    stuck = client.stuck = trio.Event()
    with monkeypatch.context() as away:
        away.setattr(play.gateway.store, "contacts", failing)
        await play.send(message("m1"), REMOVE)
        found = await came(play, LINGER_SECONDS + 1)
        assert found == [f"message error {JULIET} m1", f"iq error {G} rm"]
    client.stuck = None
    stuck.set()
    await play.send(message("m2"))
    assert not await came(play)
    assert len([one for one in client.sent if isinstance(one, SendMessage)]) == 1


@pytest.mark.parametrize(
    "odd",
    [
        REMOVE.replace("type='set'", "type='get'"),
        REMOVE.replace("<query xmlns='jabber:iq:register'>", "<query xmlns='x'>").replace(
            "<remove/>", "<remove xmlns='jabber:iq:register'/>"
        ),
    ],
)
async def test_what_only_looks_like_a_removal_ends_nothing(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], odd: str
) -> None:
    await signed_on(play)
    [client] = net.clients
    await play.send(odd)
    await came(play, 2 * LINGER_SECONDS)
    await play.send(message("m1"))
    assert not await came(play)
    assert len([one for one in client.sent if isinstance(one, SendMessage)]) == 1


async def test_an_edit_of_the_name_that_the_store_fails_in_changes_nothing(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_on(play)
    store = play.gateway.store
    monkeypatch.setattr(store, "save_account", failing)
    await play.send(register_set("reg2", "romy"))
    await trio.sleep(60)
    assert [one.address for one in store.accounts(G)] == ["romeo"]


async def test_aliases_survive_a_store_that_fails_once(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_on(play)
    store = play.gateway.store
    whole = store.commit_journal
    times: list[int] = []

    def once(*args: Any) -> list[int]:
        times.append(1)
        if len(times) == 1:
            failing()
        return whole(*args)

    monkeypatch.setattr(store, "commit_journal", once)
    monkeypatch.setattr(store, "save_alias", failing)
    net.clients[0].tell(attrs.evolve(said("Hi", 1, "id-1"), conversation="\u00df", sender="\u00df"))
    await trio.sleep(12)
    monkeypatch.undo()
    await trio.sleep(60)
    net.clients[0].tell(said("Hi", 2, "id-2"))
    await trio.sleep(60)
    assert list(store.aliases(G).values()) == ["\u00df"]


async def test_an_alias_the_user_was_shown_is_saved_without_other_work(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.clients[0].tell(ContactRequest(address="\u00df", token=1))
    await came(play, 60)
    assert list(play.gateway.store.aliases(G).values()) == ["\u00df"]


# --- twice ------------------------------------------------------------------------------------


async def test_a_replay_to_a_new_session_is_not_delivered_twice(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.clients[0].tell(said("Hi", 1, "id-1"))
    await play.link.next_stanza()
    await trio.sleep(1)  # proven
    await play.send(f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>")
    await trio.sleep(1)
    await came(play, 1)
    await play.sign_on()
    net.clients[0].tell(said("Hi", 2, "id-1"))
    assert not await came(play, 2)


async def test_a_flush_beside_a_running_commit_writes_nothing_twice(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register()
    account = play.gateway.domains[0].accounts[Jid.parse(ROMEO)]
    store = play.gateway.store
    journal = Journal(play.host, store)
    slow_store(play, monkeypatch, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        journal.note(
            Entry(
                account_id=account.account_id,
                direction=TO_USER,
                message=Message(
                    to=Jid.parse(ROMEO), from_=Jid.parse(JULIET), type=MessageType.CHAT, id="x"
                ),
                at=play.host.now(),
                born=trio.current_time(),
            )
        )
        await trio.sleep(0.5)  # the commit is under way
        await journal.flush()
        nursery.cancel_scope.cancel()
    assert len(store.journal(G)) == 1


# --- sessions ---------------------------------------------------------------------------------


async def test_a_resource_that_comes_during_a_removal_signs_nobody_on(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.rules.answer = lambda command: None
    await play.send(message("m1"))
    await trio.sleep(0.5)
    await play.send(REMOVE)
    await trio.sleep(0.5)  # the sign-off lingers for the answer to m1
    await play.send(f"<presence from='{BALCONY}' to='{G}'/>")
    await trio.sleep(60)
    assert not net.clients
    assert not list(play.gateway.sessions)


@pytest.mark.parametrize("before", [2])
async def test_renewed_credentials_do_not_bring_back_a_removed_account(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
    before: int,
) -> None:
    """The session is busy with answers to requests when the account is being removed."""
    await signed_on(play)
    await trio.sleep(1)
    slow_store(play, monkeypatch, 1)
    [client] = net.clients
    answers = [f"<presence type='subscribed' from='{ROMEO}' to='nurse@{G}'/>"] * before
    await play.send(REMOVE, *answers)
    await trio.sleep(0.1)
    client.tell(CredentialsRenewed("new"))
    await trio.sleep(30)
    assert play.gateway.store.accounts(G) == []
    assert not play.gateway.domains[0].accounts


async def test_a_long_refusal_is_told_and_is_no_crash(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], caplog: pytest.LogCaptureFixture
) -> None:
    await play.register()
    net.failures.append(LoginRefused(Refusal.SUSPENDED, "x" * 250_000))
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    found = await came(play, 5)
    assert "ended by a bug" not in caplog.text
    assert any(one.startswith("presence error") for one in found)


async def test_too_many_attempts_is_told_as_such(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    """GW-IN-09."""
    await play.register()
    net.failures.append(LoginRefused(Refusal.TOO_MANY_ATTEMPTS, retry_after=600))
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    error = await play.link.next_stanza()
    assert error.find(f".//{{{ERRORS}}}resource-constraint") is not None


async def test_a_wrong_configuration_is_told_once_and_waits(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.failures += [LoginRefused(Refusal.MISCONFIGURED)] * 10
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    error = await play.link.next_stanza()
    assert error.find(f".//{{{ERRORS}}}service-unavailable") is not None
    text = error.find(f".//{{{ERRORS}}}text")
    assert text is not None
    assert "this gateway's configuration" in str(text.text)
    told = [one.split()[0] for one in await came(play, 3_600)]
    assert told == ["presence", "message"]
    assert len(net.failures) == 9


async def test_a_long_name_that_is_refused_is_no_crash(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await play.send(
        f"<iq type='set' id='p1' from='{ORCHARD}' to='{G}'><query xmlns='jabber:iq:gateway'>"
        f"<prompt>{'&amp;' * 50_000}</prompt></query></iq>"
    )
    error = await play.link.next_stanza()
    assert error.find(f".//{{{ERRORS}}}not-acceptable") is not None
    assert "ended by a bug" not in caplog.text


async def test_an_unregistered_user_is_not_greeted_by_the_roll_call(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register(f"{MERCUTIO}/x", "mercutio", "queenmab")
    await play.register()
    monkeypatch.setattr("gateway.bridge.router.USERS_PER_SECOND", 0.2)
    await play.link.cut()
    play.link = await play.server.connection()
    await trio.sleep(1)
    await play.send(REMOVE)
    await trio.sleep(1)
    await came(play, 1)
    later = await came(play, 10)
    assert not later


# --- growth -----------------------------------------------------------------------------------


async def test_typing_while_the_link_is_away_is_not_queued(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    await play.send(message("m1", extra=COMPOSING))
    await trio.sleep(1)
    await play.link.cut()
    await trio.sleep(0.1)
    for _ in range(50):
        net.clients[0].tell(Typing("juliet", "juliet", TypingState.COMPOSING))
        net.clients[0].tell(Typing("juliet", "juliet", TypingState.IDLE))
    play.link = await play.server.connection()
    found = await came(play, 2)
    assert sum(one.startswith("message chat") for one in found) <= 1


async def test_notices_are_bounded_while_the_link_is_away(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    play.server.refusing = True
    await play.link.cut()
    await trio.sleep(0.1)
    net.clients[0].tell(*(Notice(str(n)) for n in range(5_000)))
    await trio.sleep(30)
    waiting = len(play.gateway.domains[0].deliveries._waiting)
    play.server.refusing = False
    play.link = await play.server.connection()
    await came(play, 30)
    assert waiting <= 1_100


async def test_contact_requests_are_bounded_while_the_store_is_slow(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_on(play)
    slow_store(play, monkeypatch, 1)
    net.clients[0].tell(*(ContactRequest(address=f"x{n}") for n in range(20_000)))
    await trio.sleep(5)
    [session] = play.gateway.sessions
    assert len(session.user.inbox) <= 2_000
    monkeypatch.undo()
    session.user.inbox._items.clear()


async def test_leavings_are_bounded_while_a_session_is_stuck(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    from gateway.xmpp.stanza import Presence, PresenceType

    await signed_on(play)
    net.clients[0].stuck = trio.Event()
    await play.send(message("m1"))
    await trio.sleep(1)
    router = play.gateway.routers[0]
    for number in range(20_000):
        router.take(
            Presence(
                to=Jid.parse(f"c{number}@{G}"),
                from_=Jid.parse(ORCHARD),
                type=PresenceType.UNAVAILABLE,
            )
        )
    [session] = play.gateway.sessions
    assert len(session.user.inbox) <= 10_500
    net.clients[0].end()


async def test_strangers_do_not_fill_the_table_of_aliases(
    autojump_clock: MockClock, play: Stage
) -> None:
    for number in range(50):
        await play.send(
            f"<iq type='set' id='p{number}' from='x@evil.example/r' to='{G}'>"
            f"<query xmlns='jabber:iq:gateway'><prompt>\u00df{number}</prompt></query></iq>"
        )
        await play.link.next_stanza()
    assert len(play.gateway.domains[0].addresses._addresses) == 0


# --- conformance ------------------------------------------------------------------------------


async def test_a_crash_while_the_link_is_away_leaves_no_ghosts(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_on(play)
    net.clients[0].tell(PresenceChanged("juliet", Show.ONLINE))
    await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'/>")
    await play.link.cut()
    await trio.sleep(0.1)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("gateway.bridge.features.messages.received", broken)
    net.clients[0].tell(said("boom"))
    play.link = await play.server.connection()
    found = await came(play, 5)
    assert f"presence unavailable {JULIET} None" in found


async def test_a_removed_user_hears_nothing_from_contacts_after_an_outage(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    play.link.answer_pings = False
    net.clients[0].tell(said("Hi", 1, "id-1"))
    await trio.sleep(1)
    await play.send(REMOVE)
    await came(play, 2)
    await play.link.cut()
    play.link = await play.server.connection()
    assert not await came(play, 2)


# --- more -------------------------------------------------------------------------------------


async def test_a_store_that_fails_in_the_roll_call_harms_nobody(
    autojump_clock: MockClock,
    tmp_path: Path,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first start after a crash, with a store that cannot be read for a moment."""
    with trio.CancelScope() as life:
        async with stage(tmp_path, net, FakeSettings()) as play:
            await signed_on(play)
            await trio.sleep(1)
            play.host.kill()
            life.cancel()
            await trio.lowlevel.checkpoint()
    net.clients.clear()
    from gateway.store.store import Store

    monkeypatch.setattr(Store, "contacts", failing)
    async with stage(tmp_path, net, FakeSettings()) as play:
        await trio.sleep(1)
        await play.send(
            f"<iq type='get' id='p1' from='{ORCHARD}' to='{G}'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
        found = await came(play, 5)
        assert any(one.endswith(" p1") for one in found)


async def test_users_return_by_themselves_after_the_store_was_away_for_half_an_hour(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    await play.register()
    with monkeypatch.context() as away:
        away.setattr(play.gateway.store, "contacts", failing)
        await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
        await trio.sleep(1800)
    await trio.sleep(3600)
    assert net.clients


async def test_an_answer_of_a_contact_is_not_acknowledged_before_it_is_safe(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed right after: the network will not repeat what it holds for acknowledged."""
    await signed_on(play)
    net.rules.answer = lambda command: None
    await play.send(f"<presence type='subscribe' from='{ROMEO}' to='mercutio@{G}'/>")
    await trio.sleep(1)
    slow_store(play, monkeypatch, 1)
    await play.link.cut()
    await trio.sleep(0.01)
    net.clients[0].tell(RequestAnswered(address="mercutio", granted=True, token="t"))
    await trio.sleep(0.5)
    account = play.gateway.domains[0].accounts[Jid.parse(ROMEO)]
    stored = {one.address: one.state for one in play.gateway.store.contacts(account.account_id)}
    acknowledged = "t" in net.clients[0].acknowledged
    play.link = await play.server.connection()
    assert not acknowledged or stored == {"mercutio": "accepted"}
