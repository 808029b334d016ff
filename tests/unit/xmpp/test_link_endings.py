"""How links end and begin again: faults told apart, delays, what is kept and what is dropped."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from gateway.xmpp.component import (
    ANSWER_SECONDS,
    CLOSE_SECONDS,
    DRAIN_SECONDS,
    HANDSHAKE_SECONDS,
    PROVE_SECONDS,
    SILENCE_SECONDS,
    WRITE_STALL_SECONDS,
    Link,
    LinkState,
)
from gateway.xmpp.outbox import MAX_WAITING_BYTES
from gateway.xmpp.stanza import Message, Presence, PresenceType
from tests.unit.xmpp.fakes import (
    ACCEPT,
    HEADER,
    JULIET,
    OWN,
    ROMEO,
    SETTINGS,
    FakeHost,
    Recorder,
    result_for,
    stream_error,
)

AVAILABLE = Presence(to=ROMEO.bare, from_=JULIET)


@asynccontextmanager
async def running(host: FakeHost) -> AsyncGenerator[tuple[Link, Recorder], None]:
    told = Recorder()
    link = Link(host, SETTINGS, told)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        yield link, told
        nursery.cancel_scope.cancel()


def chat(body: str) -> Message:
    return Message(to=ROMEO, from_=JULIET, body=body)


@pytest.mark.conformance("COMP-03")
@pytest.mark.parametrize("before_header", [False, True])
@pytest.mark.parametrize(
    ("condition", "least", "most", "remedy"),
    [
        ("host-unknown", 300, 300, "does not know the component aim.example"),
        ("not-authorized", 300, 300, "refused the secret"),
        ("invalid-namespace", 300, 300, "port for components"),
        ("conflict", 60, 120, "second gateway"),
        ("system-shutdown", 0.5, 1, "system-shutdown"),
        ("connection-timeout", 0.5, 1, "connection-timeout"),
    ],
)
async def test_a_stream_error_says_when_to_try_again(
    condition: str,
    least: float,
    most: float,
    remedy: str,
    before_header: bool,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = FakeHost()
    async with running(host) as (link, told):
        peer = await host.accepted()
        header = HEADER.replace(b" id='3&amp;a'", b"") if before_header else HEADER
        await peer.send(header + stream_error(condition))
        await peer.read_to_the_end()
        await trio.testing.wait_all_tasks_blocked()
        assert link.status.state is LinkState.WAITING
        assert remedy in (link.status.error or "")
        assert remedy in caplog.text
        error_logged = any(record.levelno == logging.ERROR for record in caplog.records)
        assert error_logged is (least >= 60)
        await host.accepted()
        assert least <= host.dialled_at[1] - host.dialled_at[0] <= most
        assert told.told == []


@pytest.mark.conformance("COMP-04")
async def test_delays_grow_to_a_cap_and_shrink_after_a_stable_minute(
    autojump_clock: MockClock,
) -> None:
    host = FakeHost(refusing=True)
    async with running(host) as (link, _told):
        await trio.sleep(1000)
        assert len(host.dialled_at) >= 12
        gaps = [b - a for a, b in zip(host.dialled_at, host.dialled_at[1:], strict=False)]
        for number, gap in enumerate(gaps):
            whole = min(2.0**number, 120)
            assert whole / 2 <= gap <= whole
        assert len(set(gaps)) == len(gaps)  # jitter

        host.refusing = False
        peer = await host.up()
        await trio.sleep(30)
        await peer.stream.aclose()
        lost_at = trio.current_time()
        peer = await host.up()
        assert trio.current_time() - lost_at >= 60
        await trio.sleep(55)
        await peer.send(b" ")
        await trio.sleep(10)
        assert link.status.state is LinkState.UP
        assert link.status.error is None
        await peer.stream.aclose()
        lost_at = trio.current_time()
        await host.up()
        assert trio.current_time() - lost_at <= 1


async def test_a_server_that_never_answers_the_handshake_is_left(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (link, _told):
        peer = await host.accepted()
        await peer.read_to_the_end()
        assert trio.current_time() == HANDSHAKE_SECONDS
        await trio.testing.wait_all_tasks_blocked()
        assert "did not answer the handshake" in (link.status.error or "")


@pytest.mark.conformance("COMP-06")
async def test_a_closed_stream_is_closed_on_our_side_too(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (_link, told):
        peer = await host.up()
        await peer.send(b"</stream:stream>")
        await peer.read_to_the_end()
        assert peer.closed
        assert told.told == ["up", "down: 127.0.0.1:5347 closed the stream"]


async def test_broken_xml_is_answered_with_its_stream_error(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (_link, told):
        peer = await host.up()
        await peer.send(b"<!-- hello -->")
        (error,) = await peer.read_to_the_end()
        assert peer.closed
        assert error.tag == "{http://etherx.jabber.org/streams}error"
        assert error[0].tag == "{urn:ietf:params:xml:ns:xmpp-streams}restricted-xml"
        assert told.told[1].startswith("down:")


@pytest.mark.conformance("COMP-06")
async def test_a_half_open_link_is_noticed(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (link, told):
        peer = await host.up()
        up_at = trio.current_time()
        await peer.next()  # a ping that nobody answers
        assert trio.current_time() - up_at == SILENCE_SECONDS
        await peer.read_to_the_end()
        assert trio.current_time() - up_at == SILENCE_SECONDS + ANSWER_SECONDS
        await trio.testing.wait_all_tasks_blocked()
        assert "has been silent for 240 s" in (link.status.error or "")
        assert told.told[-1].startswith("down:")


async def test_a_quiet_link_is_asked_now_and_then_and_lives(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (link, told):
        peer = await host.up()
        for _ in range(20):
            await peer.answer_ping()
        assert trio.current_time() == 20 * SILENCE_SECONDS
        assert link.status.state is LinkState.UP
        assert told.told == ["up"]


async def test_a_writer_that_stands_still_ends_the_link(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (link, told):
        peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
        peer.ours.send_stream.send_all_hook = trio.sleep_forever
        link.send(chat("stuck"))
        started = trio.current_time()
        # Half of what was stuck may be out: nothing, not even a goodbye, may follow it.
        await peer.read_to_the_end()
        assert not peer.closed
        assert trio.current_time() - started == WRITE_STALL_SECONDS
        assert told.told[1] == f"down: 127.0.0.1:5347 took nothing for {WRITE_STALL_SECONDS} s"


async def test_a_lost_link_keeps_value_drops_state_and_forgets_what_was_tracked(
    autojump_clock: MockClock,
) -> None:
    host = FakeHost()
    async with running(host) as (link, told):
        peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
        assert link.deliver(chat("tracked")) == 1
        await peer.next()
        ping = await peer.next()
        await peer.stream.send_stream.aclose()
        link.send_state(AVAILABLE)
        assert link.deliver(chat("never written")) == 2
        await trio.testing.wait_all_tasks_blocked()

        assert link.deliver(chat("while down")) is None
        link.send_state(AVAILABLE)
        link.send(chat("value"))
        gone = Presence(to=ROMEO.bare, from_=JULIET, type=PresenceType.UNAVAILABLE)
        link.send_batch([AVAILABLE, gone])
        told.on_up = lambda: link.send_state(Presence(to=ROMEO.bare, from_=OWN))

        peer = await host.up()
        got = [(element.tag.removeprefix(ACCEPT), element.get("from"), element.get("type"))
               for element in await peer.waiting()]  # fmt: skip
        assert got == [
            ("message", "juliet@aim.example", None),
            ("presence", "juliet@aim.example", "unavailable"),
            ("presence", "aim.example", None),
        ]
        # The old ping is answered by nobody; were it, it would prove nothing.
        await peer.send(result_for(ping))
        assert link.deliver(chat("resent")) == 3
        assert (await peer.next()).findtext(f"{ACCEPT}body") == "resent"
        await peer.answer_ping()
        await trio.testing.wait_all_tasks_blocked()
        assert told.told[0] == "up"
        assert told.told[1].startswith("down:")
        assert told.told[2:] == ["up", "proven 3"]


async def test_what_waits_for_a_server_that_is_away_is_bounded(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    host = FakeHost(refusing=True)
    async with running(host) as (link, _told):
        body = "x" * 200_000
        count = MAX_WAITING_BYTES // len(body) + 5
        for _ in range(count):
            link.send(chat(body))
        assert caplog.text.count("dropping the rest") == 1
        host.refusing = False
        peer = await host.up()
        got = await peer.waiting()
        assert count - 8 < len(got) < count


@pytest.mark.parametrize("stage", ["dialling", "negotiating", "up", "waiting"])
async def test_cancelled_it_leaves_nothing_open(stage: str, autojump_clock: MockClock) -> None:
    host = FakeHost(silent=stage == "dialling", refusing=stage == "waiting")
    async with running(host) as (_link, told):
        peer = None
        if stage == "negotiating":
            peer = await host.accepted()
        elif stage == "up":
            peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == 0
    assert told.told == (["up", "down: stopped"] if stage == "up" else [])
    if peer is not None:
        await peer.read_to_the_end()
        assert peer.closed is (stage == "up")


async def test_cancelled_in_a_write_it_says_nothing_more(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (link, _told):
        peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
        peer.ours.send_stream.send_all_hook = trio.sleep_forever
        link.send(chat("stuck"))
        await trio.testing.wait_all_tasks_blocked()
    peer.ours.send_stream.send_all_hook = None
    await peer.read_to_the_end()
    assert not peer.closed


async def test_a_stuck_goodbye_is_cut_short(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (_link, _told):
        peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
        peer.ours.send_stream.send_all_hook = trio.sleep_forever
    assert trio.current_time() == CLOSE_SECONDS


async def test_drained_it_has_written_and_proven_all_and_stays_closed(
    autojump_clock: MockClock,
) -> None:
    host = FakeHost()
    async with running(host) as (link, told):
        peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
        link.send(chat("value"))
        assert link.deliver(chat("tracked")) == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.drain_and_close)
            assert [(await peer.next()).tag for _ in range(2)] == [f"{ACCEPT}message"] * 2
            assert link.deliver(chat("too late")) is None
            assert not peer.closed
            await peer.answer_ping()
            await peer.read_to_the_end_of_stream()
            await peer.send(b"</stream:stream>")
        assert trio.current_time() == 0
        assert told.told == ["up", "proven 1", "down: 127.0.0.1:5347 closed the stream"]
        assert link.status.state is LinkState.CLOSED
        await trio.sleep(1000)
        assert len(host.dialled_at) == 1


async def test_draining_towards_a_silent_server_is_bounded(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (link, told):
        peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
        link.deliver(chat("tracked"))
        await link.drain_and_close()
        assert trio.current_time() == PROVE_SECONDS + CLOSE_SECONDS
        await peer.read_to_the_end()
        assert peer.closed
        assert told.told == ["up", "down: closed by us"]


async def test_draining_towards_a_stuck_server_is_bounded(autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (link, _told):
        peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
        peer.ours.send_stream.send_all_hook = trio.sleep_forever
        link.send(chat("stuck"))
        await link.drain_and_close()
        assert trio.current_time() <= DRAIN_SECONDS + 3 * CLOSE_SECONDS
        assert link.status.state is LinkState.CLOSED


@pytest.mark.parametrize("stage", ["dialling", "negotiating", "waiting"])
async def test_a_link_that_is_not_up_is_closed_at_once(
    stage: str, autojump_clock: MockClock
) -> None:
    host = FakeHost(silent=stage == "dialling", refusing=stage == "waiting")
    async with running(host) as (link, told):
        await trio.testing.wait_all_tasks_blocked()
        await link.drain_and_close()
        assert trio.current_time() == 0
        assert link.status.state is LinkState.CLOSED
        await trio.sleep(1000)
        assert len(host.dialled_at) == 1
        assert told.told == []


async def test_a_link_that_never_ran_is_closed_at_once(autojump_clock: MockClock) -> None:
    link = Link(FakeHost(), SETTINGS, Recorder())
    await link.drain_and_close()
    assert trio.current_time() == 0


@pytest.mark.parametrize(
    "bad", [b"</a>", b"<message><a></b>", b"<!-- x -->", b"\xff>", b"<!DOCTYPE a>"]
)
async def test_stanzas_before_malformed_xml_count(bad: bytes, autojump_clock: MockClock) -> None:
    host = FakeHost()
    async with running(host) as (_, told):
        peer = await host.up()
        one = (
            b"<message from='romeo@montague.lit' to='juliet@aim.example'><body>%d</body></message>"
        )
        await peer.send(one % 1 + one % 2 + bad + one % 3)
        await trio.testing.wait_all_tasks_blocked()
        assert [getattr(stanza, "body", None) for stanza in told.taken] == ["1", "2"]
        assert told.told[-1].startswith("down: ")
