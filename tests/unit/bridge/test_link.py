"""The XMPP link, or the daemon, goes and returns: what users see (COMP-05, GW-LIFE)."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import MessageReceived, PresenceChanged, SendMessage, Show
from gateway.store.store import JournalEntry
from tests.fakes.network import FakeNetwork, FakeSettings
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage, stage
from tests.simulation.host import Machine
from tests.simulation.network import SimNetwork
from tests.simulation.trace import Trace

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
HI = f"<message type='chat' id='*' from='{JULIET}' to='{ROMEO}'><body>{{}}</body></message>"
HI_LATE = (
    f"<message type='chat' id='*' from='{JULIET}' to='{ROMEO}'><body>{{}}</body>"
    f"<delay xmlns='urn:xmpp:delay' from='{G}' stamp='*'/></message>"
)
STILL_HERE = (
    f"<presence from='{ORCHARD}' to='{G}'>"
    "<delay xmlns='urn:xmpp:delay' stamp='2031-03-14T15:09:26Z'/></presence>"
)


def said(text: str, token: int) -> MessageReceived:
    return MessageReceived(
        conversation="juliet", sender="juliet", text=text, token=token, legacy_id=f"id-{token}"
    )


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()


async def reconnected(play: Stage) -> None:
    """Let the gateway come back, and take its greeting."""
    play.link = await play.server.connection()


async def test_an_unproven_message_is_not_acknowledged_until_it_is_in_the_journal(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    play.link.answer_pings = False
    net.clients[0].tell(said("Hi", 1))
    await play.expect(HI.format("Hi"))
    assert net.clients[0].acknowledged == []
    await trio.sleep(0.5)
    assert net.clients[0].acknowledged == [1]


async def mute_link(play: Stage) -> None:
    """Let the gateway come back to a server that answers no ping."""
    with trio.fail_after(600):
        play.link = await play.server._connections.receive()
    play.link.answer_pings = False
    await play.send(STILL_HERE)


async def bodies(play: Stage, seconds: float) -> list[str]:
    """Return the bodies of the messages that come within `seconds`."""
    await trio.sleep(seconds)
    came = [await play.link.next_stanza() for _ in range(len(play.link._arrived))]
    return [body for one in came if (body := one.findtext("{jabber:component:accept}body"))]


async def test_server_without_ping_gets_messages_thrice(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await signed_on(play)
    play.link.answer_pings = False
    net.clients[0].tell(said("Hi", 1))
    assert await bodies(play, 5) == ["Hi"]
    for _ in range(2):
        await mute_link(play)
        assert await bodies(play, 5) == ["Hi"]
    for _ in range(2):
        await mute_link(play)
        assert await bodies(play, 5) == []
    net.clients[0].tell(said("Later", 2))
    assert await bodies(play, 5) == ["Later"]
    await mute_link(play)
    assert await bodies(play, 5) == []
    assert caplog.text.count("answers no ping to shakespeare.lit") == 1
    assert play.gateway.store.journal(G) == []
    assert net.clients[0].acknowledged == [1, 2]


async def test_busy_link_without_ping_answers_goes_on(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    play.link.answer_pings = False
    sent = [str(number) for number in range(250)]
    for number, text in enumerate(sent):
        net.clients[0].tell(said(text, number))
    came = []
    for _ in range(24):
        await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
        came += await bodies(play, 50)
    assert came == sent
    play.link.answer_pings = True
    assert await bodies(play, 400) == []
    play.link.answer_pings = False  # it counts again: what is not proven is repeated
    net.clients[0].tell(said("Hi", 1_000))
    assert await bodies(play, 5) == ["Hi"]
    await play.link.cut()
    await mute_link(play)
    assert await bodies(play, 5) == ["Hi"]


async def test_what_a_cut_left_unproven_is_sent_again_under_its_id_and_as_delayed(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.clients[0].tell(said("one", 1))
    first = await play.expect(HI.format("one"))
    await trio.sleep(1)  # proven
    play.link.answer_pings = False
    net.clients[0].tell(said("two", 2))
    second = await play.expect(HI.format("two"))
    await play.link.cut()
    await trio.sleep(0.01)
    net.clients[0].tell(said("three", 3))
    await reconnected(play)
    again = await play.link.expect(HI_LATE.format("two"))
    await play.link.expect(HI_LATE.format("three"))
    assert again.get("id") == second.get("id") != first.get("id")
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
    await play.send(STILL_HERE)
    await play.nothing_more()
    assert net.clients[0].acknowledged == [1, 2, 3]


@pytest.mark.conformance("COMP-05", "AMB-14")
async def test_sessions_survive_a_short_outage_and_what_changed_is_shown(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    [client] = net.clients
    client.tell(PresenceChanged("juliet", Show.ONLINE), PresenceChanged("nurse", Show.DND))
    await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'/>")
    await play.expect(f"<presence from='nurse@{G}' to='{ROMEO}'><show>dnd</show></presence>")
    await play.link.cut()
    await trio.sleep(0.01)
    client.tell(PresenceChanged("juliet", Show.OFFLINE), PresenceChanged("nurse", Show.AWAY))
    await reconnected(play)
    await play.expect_all(
        f"<presence type='unavailable' from='{JULIET}' to='{ROMEO}'/>",
        f"<presence from='nurse@{G}' to='{ROMEO}'><show>away</show></presence>",
        f"<presence from='{G}' to='{ROMEO}'/>",
        f"<presence type='probe' from='{G}' to='{ROMEO}'/>",
    )
    await play.send(STILL_HERE)
    await trio.sleep(60)
    await play.nothing_more()
    assert net.clients == [client]


@pytest.mark.conformance("COMP-05", "AMB-14")
async def test_who_does_not_answer_the_probe_after_an_outage_is_signed_off(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    await play.link.cut()
    await reconnected(play)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
    await trio.sleep(40)
    assert not net.clients


async def test_a_long_outage_signs_off_and_leaves_no_ghosts(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.clients[0].tell(PresenceChanged("juliet", Show.ONLINE))
    await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'/>")
    play.server.refusing = True
    await play.link.cut()
    await trio.sleep(899)
    assert net.clients
    await trio.sleep(2)
    assert not net.clients
    play.server.refusing = False
    await trio.sleep(130)
    await reconnected(play)
    await play.expect_all(
        f"<presence type='unavailable' from='{JULIET}' to='{ROMEO}'/>",
        f"<presence from='{G}' to='{ROMEO}'/>",
        f"<presence type='probe' from='{G}' to='{ROMEO}'/>",
    )


@asynccontextmanager
async def again(folder: Path, net: type[FakeNetwork]) -> AsyncGenerator[Stage, None]:
    """Start a daemon on the store that is in `folder`."""
    machine = Machine(2, SimNetwork(2, Trace()))
    async with stage(folder, net, FakeSettings(), machine) as it:
        yield it


@pytest.mark.conformance("GW-LIFE-01", "GW-LIFE-02", "GW-LIFE-03")
async def test_shutdown_and_startup_tell_every_user(
    autojump_clock: MockClock, tmp_path: Path, net: type[FakeNetwork]
) -> None:
    async with again(tmp_path, net) as play:
        await signed_on(play)
        [client] = net.clients
        client.tell(PresenceChanged("juliet", Show.ONLINE))
        await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'/>")
        play.gateway.stop()
        await play.expect(f"<presence type='unavailable' from='{JULIET}' to='{ROMEO}'/>")
        await play.expect(f"<presence type='unavailable' from='{G}' to='{ROMEO}'/>")
        await play.link.ended.wait()
        assert not net.clients
    async with again(tmp_path, net) as play:
        await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
        await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
        await play.nothing_more()
        assert not net.clients
        await play.sign_on()
        assert net.clients


@pytest.mark.conformance("GW-LIFE-03")
async def test_shutdown_returns_what_is_unanswered(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play)
    net.rules.answer = lambda command: None
    await play.send(
        f"<message type='chat' id='m1' from='{ORCHARD}' to='{JULIET}'><body>Hi</body></message>"
    )
    await play.nothing_more()
    play.gateway.stop()
    await play.expect(
        f"<message type='error' id='m1' from='{JULIET}' to='{ORCHARD}'><body>Hi</body>"
        f"<error type='wait' code='504'><remote-server-timeout xmlns='{ERRORS}'/>"
        f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error></message>"
    )
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ROMEO}'/>")


async def test_what_the_journal_holds_is_delivered_and_returned_after_a_crash(
    autojump_clock: MockClock, tmp_path: Path, net: type[FakeNetwork]
) -> None:
    ids = []
    with trio.CancelScope() as life:
        async with again(tmp_path, net) as play:
            await signed_on(play)
            play.link.answer_pings = False
            net.rules.answer = lambda command: None
            net.clients[0].tell(said("kept", 1))
            ids.append((await play.expect(HI.format("kept"))).get("id"))
            await play.send(
                f"<message type='chat' id='m1' from='{ORCHARD}' to='{JULIET}'>"
                "<body>mine</body></message>"
            )
            await trio.sleep(1)
            assert net.clients[0].acknowledged == [1]
            play.host.kill()
            life.cancel()
            await trio.lowlevel.checkpoint()
    net.clients.clear()
    async with again(tmp_path, net) as play:
        kept = await play.expect(HI_LATE.format("kept"))
        await play.expect(
            f"<message type='error' id='m1' from='{JULIET}' to='{ORCHARD}'><body>mine</body>"
            f"<delay xmlns='urn:xmpp:delay' from='{G}' stamp='*'/>"
            f"<error type='wait' code='504'><remote-server-timeout xmlns='{ERRORS}'/>"
            f"<text xmlns='{ERRORS}' xml:lang='en'>*</text></error></message>"
        )
        assert [kept.get("id")] == ids
        await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
        await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
        await play.sign_on()
        net.clients[0].tell(
            attrs.evolve(said("kept", 1), token=9)
        )  # the network has not heard of its acknowledgement
        await play.nothing_more()
        assert net.clients[0].acknowledged == [9]
    async with again(tmp_path, net) as play:
        await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
        await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
        await play.nothing_more()


async def test_a_healthy_message_never_touches_the_disk(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await signed_on(play)
    await play.nothing_more()
    written: list[object] = []
    commit = play.gateway.store.commit_journal

    def committed(
        add: Sequence[JournalEntry], remove: Sequence[int], seen: Sequence[tuple[int, str]]
    ) -> list[int]:
        written.extend(add)
        return commit(add, remove, seen)

    monkeypatch.setattr(play.gateway.store, "commit_journal", committed)
    for number in range(60):
        net.clients[0].tell(said(str(number), number))
        await play.expect(HI.format(number))
        await play.send(
            f"<message type='chat' from='{ORCHARD}' to='{JULIET}'><body>{number}</body></message>"
        )
    await trio.sleep(60)
    await play.nothing_more()
    assert [one.text for one in net.clients[0].sent if isinstance(one, SendMessage)] == [
        str(number) for number in range(60)
    ]
    assert not written


@pytest.mark.conformance("GW-IN-07")
async def test_after_an_outage_a_refused_user_is_tried_once_more(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.passwords["romeo"] = "changed"
    await play.send(f"<presence from='{ORCHARD}' to='{G}'/>")
    for _ in range(3):  # error, unavailable, message
        await play.link.next_stanza()
    await play.nothing_more()
    net.passwords["romeo"] = "montague"
    await play.link.cut()
    await reconnected(play)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
    await play.send(STILL_HERE)
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    assert net.clients
    await play.send(STILL_HERE)
    await play.nothing_more()


async def test_contacts_that_a_crash_left_shown_are_hidden_at_the_next_start(
    autojump_clock: MockClock, tmp_path: Path, net: type[FakeNetwork]
) -> None:
    with trio.CancelScope() as life:
        async with again(tmp_path, net) as play:
            await signed_on(play)
            net.clients[0].tell(PresenceChanged("juliet", Show.ONLINE))
            await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'/>")
            await play.nothing_more()
            play.host.kill()
            life.cancel()
            await trio.lowlevel.checkpoint()
    net.clients.clear()
    async with again(tmp_path, net) as play:
        await play.expect(f"<presence type='unavailable' from='{JULIET}' to='{ROMEO}'/>")
        await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
        await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
        await play.nothing_more()
    async with again(tmp_path, net) as play:  # after an orderly end there is nothing to mend
        await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
        await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
        await play.nothing_more()
