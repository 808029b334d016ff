"""The link while it is up: what is sent and how, what is proven, what is handed on."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from xml.etree import ElementTree

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.errors import LocalProtocolError
from gateway.xmpp.component import LEFTOVERS_SECONDS, Link, LinkState, StanzaRefused
from gateway.xmpp.jid import Jid
from gateway.xmpp.namespaces import STANZA_ERRORS
from gateway.xmpp.proof import ASTRAY_SECONDS, MAX_UNPROVEN, PING_DELAY_SECONDS
from gateway.xmpp.stanza import (
    Condition,
    Iq,
    IqType,
    Message,
    MessageType,
    Presence,
    PresenceType,
    error_reply,
)
from gateway.xmpp.xml import Element
from tests.unit.xmpp.fakes import (
    ACCEPT,
    JULIET,
    OWN,
    ROMEO,
    SETTINGS,
    FakeHost,
    Peer,
    Recorder,
    error_for,
    result_for,
)


@attrs.define
class Setting:
    host: FakeHost
    link: Link
    told: Recorder
    peer: Peer


@asynccontextmanager
async def linked() -> AsyncGenerator[Setting, None]:
    """Run a link that is up."""
    host, told = FakeHost(), Recorder()
    link = Link(host, SETTINGS, told)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        peer = await host.up()
        await trio.testing.wait_all_tasks_blocked()
        yield Setting(host, link, told, peer)
        nursery.cancel_scope.cancel()


def chat(body: str, id_: str | None = None) -> Message:
    return Message(to=ROMEO, from_=JULIET, type=MessageType.CHAT, id=id_, body=body)


def presence(status: str, from_: Jid = JULIET) -> Presence:
    return Presence(to=ROMEO.bare, from_=from_, status=status)


def seen(element: ElementTree.Element) -> str | None:
    """Return the body or status, or else the type, of what the peer got."""
    found = [element.findtext(ACCEPT + name) for name in ("body", "status")]
    return next(filter(None, found), None) or element.get("type")


@pytest.mark.conformance("COMP-01", "COMP-02")
async def test_a_link_comes_up_with_the_handshake_and_says_nothing_before(
    autojump_clock: MockClock,
) -> None:
    host, told = FakeHost(), Recorder()
    link = Link(host, SETTINGS, told)
    link.send(chat("queued early"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        peer = await host.accepted()
        assert await peer.waiting() == []
        assert peer.header is not None
        assert peer.header.tag == "{http://etherx.jabber.org/streams}stream"
        assert peer.header.attrib == {"to": "aim.example"}
        before = link.status
        assert before.state is LinkState.CONNECTING
        await peer.accept()
        assert seen(await peer.next()) == "queued early"
        assert told.told == ["up"]
        assert link.status.state is LinkState.UP
        nursery.cancel_scope.cancel()


async def test_the_tasks_are_named_by_their_place(autojump_clock: MockClock) -> None:
    async with linked():
        root = trio.lowlevel.current_root_task()
        assert root is not None
        names, tasks = set(), [root]
        while tasks:
            task = tasks.pop()
            names.add(task.name)
            tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        assert {f"links/aim.example/{part}" for part in ("reader", "writer", "watch")} <= names


async def test_a_good_stanza_is_handed_on(autojump_clock: MockClock) -> None:
    async with linked() as s:
        await s.peer.send(b"<message from='romeo@montague.lit/orchard' to='JULIET@aim.example'>")
        await s.peer.send(b"<body>hi</body></message>")
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.taken == [Message(to=JULIET, from_=ROMEO, body="hi")]
        assert await s.peer.waiting() == []


@pytest.mark.conformance("CORE-02", "CORE-03", "CORE-08", "COMP-07")
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ("<iq type='get' id='1' {to_x}/>", "iq x@aim.example bad-request/modify 1"),
        ("<iq type='get' {to_g}><a xmlns='b'/></iq>", "iq aim.example bad-request/modify "),
        ("<iq type='get' id='1' {to_bad}><a/></iq>", "iq aim.example jid-malformed/modify 1"),
        (
            "<message id='1' {to_x}>{wide}</message>",
            "message x@aim.example not-acceptable/modify 1",
        ),
        ("<iq type='set' id='1' {to_g}>{deep}</iq>", "iq aim.example not-acceptable/modify 1"),
        ("<iq type='{long}' id='1' {to_g}/>", "iq aim.example bad-request/modify 1"),
        ("<iq type='set' id='{long}' {to_g}/>", "iq aim.example not-acceptable/modify "),
        ("<iq type='result' id='1' {to_g}>{wide}</iq>", None),
        ("<presence {to_g}>{wide}</presence>", None),
        ("<iq type='get' id='1' to='x@aim.example'/>", None),
        ("<iq type='get' id='1' {to_other}/>", None),
        ("<iq type='get' id='1' {to_other}><a/></iq>", None),
        ("<strange/>", None),
    ],
)
async def test_what_is_no_good_stanza_is_answered_here(
    sent: str, answer: str | None, autojump_clock: MockClock
) -> None:
    async with linked() as s:
        stanza = sent.format(
            to_x="from='a@b/c' to='x@aim.example'",
            to_g="from='a@b/c' to='aim.example'",
            to_bad="from='a@b/c' to='x y@aim.example'",
            to_other="from='a@b/c' to='x@icq.example'",
            wide="<x/>" * 6001,
            long="&lt;" * 62_000,
            deep="<x>" * 99 + "</x>" * 99,
        )
        await s.peer.send(stanza.encode())
        found = []
        for element in await s.peer.waiting():
            error = element.find(f"{ACCEPT}error")
            assert error is not None
            assert (element.get("type"), element.get("to")) == ("error", "a@b/c")
            condition = f"{error[0].tag.partition('}')[2]}/{error.get('type')}"
            name = element.tag.removeprefix(ACCEPT)
            found.append(f"{name} {element.get('from')} {condition} {element.get('id')}")
        assert found == ([] if answer is None else [answer])
        assert s.told.taken == []
        assert s.link.status.state is LinkState.UP


@pytest.mark.conformance("CORE-01", "COMP-07")
@pytest.mark.parametrize(
    "stanza",
    [
        Message(to=ROMEO, from_=Jid("x", "icq.example")),
        Message(to=ROMEO, from_=Jid("", "")),
        Message(to=Jid("", ""), from_=OWN),
        Message(to=Jid("a b", "c"), from_=OWN),
        Message(to=ROMEO, from_=Jid("a/b", "aim.example")),
        Message(to=ROMEO, from_=Jid("A", "aim.example")),
        Message(to=ROMEO, from_=JULIET, payload=(Element("a b", "urn:x"),)),
    ],
)
async def test_what_would_cost_the_link_is_refused(
    stanza: Message, autojump_clock: MockClock
) -> None:
    async with linked() as s:
        for send in (s.link.send, s.link.deliver):
            with pytest.raises(LocalProtocolError):
                send(stanza)
        with pytest.raises(LocalProtocolError):
            s.link.send_batch([presence("x"), stanza])
        assert await s.peer.waiting() == []


async def test_only_state_goes_as_state(autojump_clock: MockClock) -> None:
    async with linked() as s:
        with pytest.raises(StanzaRefused):
            s.link.send_state(Presence(to=ROMEO, from_=OWN, type=PresenceType.PROBE))


async def test_error_too_large_returns_the_body_cut(autojump_clock: MockClock) -> None:
    async with linked() as s:
        # Within the limit as it came, past it with the error beside.
        said = chat("x" * 245_600, "7")
        reply = error_reply(said, Condition.ITEM_NOT_FOUND, "nobody of that name")
        assert reply is not None
        s.link.send(attrs.evolve(reply, to=ROMEO, from_=JULIET))
        bounced = await s.peer.next()
        assert (bounced.get("id"), (seen(bounced) or "")[-3:]) == ("7", "xx…")
        assert bounced.find(f"{ACCEPT}error") is not None


@pytest.mark.conformance("COMP-07")
@pytest.mark.parametrize("character", ["x", "<", "é", "😀", "\x00"])
async def test_text_too_large_is_cut_to_fit(character: str, autojump_clock: MockClock) -> None:
    text = character * 250_000
    async with linked() as s:
        before = len(s.peer.raw)
        s.link.send(presence(text))
        found = seen(await s.peer.next()) or ""
        sent = len(s.peer.raw) - before
        assert SETTINGS.max_stanza_bytes - 8 <= sent <= SETTINGS.max_stanza_bytes
        assert found == text[: len(found) - 1].replace("\x00", "\ufffd") + "…"


async def test_longest_texts_are_cut_alike(autojump_clock: MockClock) -> None:
    def card(*texts: str) -> Element:
        children = tuple(
            Element(f"F{n}", "vcard-temp", {}, (text,)) for n, text in enumerate(texts)
        )
        return Element("vCard", "vcard-temp", {}, children)

    names = tuple(Element("item", "urn:x", {"jid": "j" * 99, "name": "&" * 20_000}) for _ in "12")
    async with linked() as s:
        s.link.send(
            Message(to=ROMEO, from_=OWN, payload=(card("a" * 99, "b" * 99_000, "ccc"), *names))
        )
        card_, *items = await s.peer.next()
        assert [len(one.text or "") for one in card_] == [99, pytest.approx(81_000, abs=1_000), 3]
        cut = [one.get("name", "") for one in items]
        assert cut[0] == cut[1] == "&" * (len(cut[0]) - 1) + "…"
        assert len(cut[0]) == pytest.approx(16_300, abs=100)


@pytest.mark.conformance("COMP-07")
async def test_what_cannot_be_cut_is_dropped_and_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    picture = Element("BINVAL", "vcard-temp", {}, ("A" * 250_000,))
    async with linked() as s:
        s.link.send(Message(to=ROMEO, from_=OWN, payload=(picture,)))
        s.link.send_state(attrs.evolve(presence("x"), payload=(picture,)))
        s.link.send_batch([presence("1"), attrs.evolve(presence("x"), payload=(picture,))])
        assert [seen(one) for one in await s.peer.waiting()] == ["1"]
        assert caplog.text.count("dropped: more than 245760 bytes") == 3
        with pytest.raises(StanzaRefused):
            s.link.deliver(Message(to=ROMEO, from_=OWN, payload=(picture,)))


@pytest.mark.conformance("COMP-07", "CORE-03")
async def test_result_too_large_becomes_an_error(autojump_clock: MockClock) -> None:
    picture = Element("BINVAL", "vcard-temp", {}, ("A" * 250_000,))
    async with linked() as s:
        s.link.send(Iq(to=ROMEO, from_=OWN, type=IqType.RESULT, id="1", payload=picture))
        found = await s.peer.next()
        assert (found.get("type"), found.get("id")) == ("error", "1")
        assert found.find(f".//{{{STANZA_ERRORS}}}resource-constraint") is not None
        assert await s.peer.waiting() == []


@pytest.mark.conformance("CORE-07")
async def test_no_forbidden_character_ever_leaves(autojump_clock: MockClock) -> None:
    async with linked() as s:
        s.link.send(chat("a\x00\ud800b\uffff<&>", "\x01"))
        found = await s.peer.next()
        assert (seen(found), found.get("id")) == ("a\ufffd\ufffdb\ufffd<&>", "\ufffd")


async def test_waiting_state_is_replaced_in_its_place_and_a_batch_keeps_its_order(
    autojump_clock: MockClock,
) -> None:
    nurse = Jid("nurse", "aim.example")
    asked = Presence(to=ROMEO.bare, from_=JULIET, type=PresenceType.SUBSCRIBED)
    async with linked() as s:
        s.link.send_state(presence("old"))
        s.link.send(chat("1"))
        s.link.send_state(presence("nurse", nurse))
        s.link.send_state(presence("new"))
        s.link.send_batch([asked, presence("in the batch", nurse)])
        s.link.send_state(presence("later", nurse))
        got = [seen(element) for element in await s.peer.waiting()]
        assert got == ["new", "1", "subscribed", "in the batch", "later"]


async def test_all_that_is_ready_goes_in_one_write(autojump_clock: MockClock) -> None:
    async with linked() as s:
        writes = []
        send_all = s.peer.ours.send_stream.send_all

        async def counted(data: bytes) -> None:
            writes.append(len(data))
            await send_all(data)

        s.peer.ours.send_all = counted  # type: ignore[method-assign, assignment]
        for number in range(100):
            s.link.send(chat(str(number)))
        assert len(await s.peer.waiting()) == 100
        assert len(writes) == 1


async def test_delivery_is_proven_by_the_answer_to_a_ping(autojump_clock: MockClock) -> None:
    async with linked() as s:
        assert [s.link.deliver(chat("1")), s.link.deliver(chat("2"))] == [1, 2]
        assert [seen(await s.peer.next()) for _ in range(2)] == ["1", "2"]
        assert await s.peer.waiting() == []  # the ping takes its time
        started = trio.current_time()
        ping = await s.peer.answer_ping()
        assert trio.current_time() - started == pytest.approx(PING_DELAY_SECONDS - 0.01)
        assert (ping.get("from"), ping.get("to")) == ("aim.example", "montague.lit")
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.told == ["up", "proven 2"]
        assert await s.peer.waiting() == []


async def test_so_many_messages_are_in_flight_and_no_more(autojump_clock: MockClock) -> None:
    async with linked() as s:
        numbers = [s.link.deliver(chat("x")) for _ in range(MAX_UNPROVEN + 1)]
        assert numbers == [*range(1, MAX_UNPROVEN + 1), None]
        got = await s.peer.waiting()
        pings = [element for element in got if element.tag == f"{ACCEPT}iq"]
        assert [got.index(ping) for ping in pings] == [50, 101, 152, 203]

        again: list[int | None] = []
        s.told.on_proven = lambda: again.append(s.link.deliver(chat("again")))
        await s.peer.send(result_for(pings[0]))
        await trio.testing.wait_all_tasks_blocked()
        assert (s.told.told, again) == (["up", "proven 50"], [201])


@pytest.mark.parametrize("condition", ["service-unavailable", "feature-not-implemented", None])
async def test_any_error_of_the_server_is_proof_enough(
    condition: str | None, autojump_clock: MockClock
) -> None:
    async with linked() as s:
        s.link.deliver(chat("1"))
        await s.peer.next()
        ping = await s.peer.next()
        await s.peer.send(error_for(ping, condition))
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.told == ["up", "proven 1"]


async def test_a_ping_that_found_no_server_proves_nothing_and_is_reported(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with linked() as s:
        s.link.deliver(chat("1"))
        await s.peer.next()
        ping = await s.peer.next()
        await s.peer.send(error_for(ping, "remote-server-not-found"))
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.told == ["up"]
        assert "correct `domain`" in (s.link.status.error or "")
        assert "correct `domain`" in caplog.text
        started = trio.current_time()
        await s.peer.answer_ping()
        assert trio.current_time() - started == pytest.approx(ASTRAY_SECONDS, abs=1)
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.told == ["up", "proven 1"]


@pytest.mark.conformance("CORE-05", "AMB-32")
async def test_a_foreign_answer_proves_nothing(autojump_clock: MockClock) -> None:
    async with linked() as s:
        s.link.deliver(chat("1"))
        await s.peer.next()
        ping = await s.peer.next()
        right = result_for(ping)
        await s.peer.send(right.replace(b"'montague.lit'", b"'romeo@montague.lit'"))
        await s.peer.send(right.replace(b"proof-", b"proof-0"))
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.told == ["up"]
        await s.peer.send(right)
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.told == ["up", "proven 1"]


@pytest.mark.conformance("COMP-03", "AMB-32")
async def test_another_gateways_answer_is_reported_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with linked() as s:
        s.link.deliver(chat("1"))
        await s.peer.next()
        right = result_for(await s.peer.next())
        strange = right.replace(b"proof-", b"proof-0")
        await s.peer.send(strange)  # may have been on its way to a gateway that has ended
        await trio.testing.wait_all_tasks_blocked()
        assert "second gateway" not in caplog.text
        await trio.sleep(LEFTOVERS_SECONDS)
        for _ in range(2):
            await s.peer.send(strange)
        await trio.testing.wait_all_tasks_blocked()
        assert "is a second gateway running" in (s.link.status.error or "")
        assert caplog.text.count("is a second gateway running") == 1
        assert s.told.told == ["up"]
        await s.peer.send(right)
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.told == ["up", "proven 1"]


async def test_other_answers_are_the_receivers(autojump_clock: MockClock) -> None:
    async with linked() as s:
        await s.peer.send(b"<iq type='result' from='montague.lit' to='aim.example' id='1'/>")
        await trio.testing.wait_all_tasks_blocked()
        server = Jid("", "montague.lit")
        assert s.told.taken == [Iq(to=OWN, from_=server, type=IqType.RESULT, id="1")]


async def test_a_late_proof_is_waited_for_while_anything_is_read(autojump_clock: MockClock) -> None:
    async with linked() as s:
        s.link.deliver(chat("1"))
        await s.peer.next()
        ping = await s.peer.next()
        for _ in range(10):
            await trio.sleep(50)
            await s.peer.send(b" ")
        assert s.told.told == ["up"]
        assert s.link.status.state is LinkState.UP
        await s.peer.send(result_for(ping))
        await trio.testing.wait_all_tasks_blocked()
        assert s.told.told == ["up", "proven 1"]


async def test_the_debug_log_shows_stanzas_but_neither_bodies_nor_secrets(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with linked() as s:
        s.link.send(chat("s3cret words"))
        await s.peer.send(
            b"<iq type='set' id='1' from='a@b/c' to='aim.example'>"
            b"<query xmlns='jabber:iq:register'><password>s3cret</password></query></iq>"
        )
        await s.peer.next()
        await trio.testing.wait_all_tasks_blocked()
    assert "received iq set from a@b/c" in caplog.text
    assert "queued message chat from juliet@aim.example" in caplog.text
    assert "s3cret" not in caplog.text + repr(SETTINGS)
