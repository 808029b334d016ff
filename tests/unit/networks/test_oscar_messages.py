"""Messages, both ways, and what was kept."""

import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import (
    CommandDone,
    ContactList,
    ContactRequest,
    MessageOutcome,
    MessageReceived,
    Notice,
    PresenceChanged,
    Reason,
    SendMessage,
    SetPresence,
    SetTyping,
    Show,
    Stage,
    Typing,
    TypingState,
)
from tests.contract.harness import next_event, no_challenge
from tests.fakes.oscar_server import (
    Connection,
    Heard,
    OscarHost,
    h,
    im,
    item,
    name8,
    tlv,
    user,
)
from tests.unit.networks.oscar_scene import (
    Scene,
    aim,
    ask_of,
    envelope,
    icq,
    kept,
    signed_on,
    typed,
)

# --- messages ---------------------------------------------------------------------------------


async def test_a_message_travels_as_html_and_is_acknowledged(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        message = SendMessage(ref="m", conversation="juliet", text="a <b>\n& c")
        outcome = await ask_of(client, message, MessageOutcome)
        assert outcome.stage is Stage.ACCEPTED
        heard = await scene.server.hear(4, 6)
        assert heard.body[8:17] == h("0001 06") + b"juliet"
        tlvs = heard.tlvs(17)
        assert outcome.legacy_id == heard.body[:8].hex()
        assert tlvs[3] == tlvs[6] == b""
        html = b"<HTML><BODY>a &lt;b&gt;<BR>&amp; c</BODY></HTML>"
        part = h("0000 0000") + html
        assert tlvs[2] == h("0501 0004 01010102 0101") + struct.pack(">H", len(part)) + part


async def test_a_message_that_is_not_ascii_travels_as_utf_16(autojump_clock: MockClock) -> None:
    async with icq() as scene, signed_on(scene) as client:
        message = SendMessage(ref="m", conversation="10002", text="Zo\xeb <b>\u2713")
        await ask_of(client, message, MessageOutcome)
        tlvs = (await scene.server.hear(4, 6)).tlvs(16)
        text = "Zo\xeb <b>\u2713".encode("utf-16-be")
        part = h("0002 0000") + text
        assert tlvs[2] == h("0501 0002 0106 0101") + struct.pack(">H", len(part)) + part


@pytest.mark.parametrize(
    ("preset", "text", "charset"),
    [("plain", "a <b>", 0), ("open-oscar-server", "a <b>", 2), ("open-oscar-server", "1 < 2", 0)],
)
async def test_what_a_server_takes_for_html_is_kept_from_it(
    autojump_clock: MockClock, preset: str, text: str, charset: int
) -> None:
    async with icq(preset=preset) as scene, signed_on(scene) as client:
        await ask_of(client, SendMessage(ref="m", conversation="10002", text=text), MessageOutcome)
        data = (await scene.server.hear(4, 6)).tlvs(16)[2]
        assert data[10:12] == charset.to_bytes(2, "big")


async def test_numbers_whose_clients_take_html_get_it(autojump_clock: MockClock) -> None:
    # libpurple says so, and takes everything for HTML.
    capability = tlv(0x0D, h("0138ca7b769a491588f213fc00979ea8"))
    message = SendMessage(ref="m", conversation="10002", text="<hi> &amp;")
    async with icq() as scene, signed_on(scene) as client:
        for shown, said in [
            (user("10002", capability), b"<HTML><BODY>&lt;hi&gt; &amp;amp;</BODY></HTML>"),
            (user("10002"), b"<hi> &amp;"),
        ]:
            await scene.server.bos.snac(3, 0x0B, shown)
            await next_event(client, PresenceChanged)
            await ask_of(client, message, MessageOutcome)
            assert scene.server.said(4, 6)[-1].tlvs(16)[2].endswith(bytes(4) + said)


async def test_readers_that_keep_html_need_no_tricks(autojump_clock: MockClock) -> None:
    capability = tlv(0x0D, h("094600024c7f11d18222444553540000"))
    message = SendMessage(ref="m", conversation="10002", text="<b>\u010d")
    async with icq(preset="open-oscar-server") as scene, signed_on(scene) as client:
        for shown, said in [
            (user("10002", capability), [h("0002 0000") + _html("&lt;b&gt;\u010d")]),
            (user("10002"), [h("0002 0000 003c 0062 003e"), h("000d 0000 c48d")]),
        ]:
            await scene.server.bos.snac(3, 0x0B, shown)
            await next_event(client, PresenceChanged)
            await ask_of(client, message, MessageOutcome)
            fragments = b"".join(h("0101") + struct.pack(">H", len(one)) + one for one in said)
            assert scene.server.said(4, 6)[-1].tlvs(16)[2] == h("0501 0002 0106") + fragments


def _html(inside: str) -> bytes:
    return f"<HTML><BODY>{inside}</BODY></HTML>".encode("utf-16-be")


async def test_a_text_in_too_many_charsets_fails(autojump_clock: MockClock) -> None:
    async with icq(preset="open-oscar-server") as scene, signed_on(scene) as client:
        message = SendMessage(ref="m", conversation="10002", text="<b>\u010d" * 20)
        outcome = await ask_of(client, message, MessageOutcome)
        assert outcome.stage is Stage.FAILED
        assert "without markup" in outcome.text
        assert scene.server.said(4, 6) == []


async def test_letters_an_old_client_lacks_are_refused(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(4, 1, "0009", heard.request)

    async with icq() as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = refuse
        message = SendMessage(ref="m", conversation="10002", text="\u0434\u0430")
        outcome = await ask_of(client, message, MessageOutcome)
        assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.UNSUPPORTED)
        assert len(scene.server.said(4, 6)) == 1


async def test_names_and_numbers_talk_on_icq(autojump_clock: MockClock) -> None:
    async with icq() as scene:
        scene.server.feedbag.append(item("Capulet Nurse", 1, 7, 0))
        async with scene.network.sign_on(scene.account, no_challenge) as client:
            listed = await next_event(client, ContactList)
            assert "capuletnurse" in [one.address for one in listed.contacts]
            await scene.server.hear(1, 2)
            await scene.server.bos.snac(4, 7, im("Capulet Nurse", b"<b>a&lt;b</b>"))
            got = await next_event(client, MessageReceived)
            assert (got.sender, got.text) == ("capuletnurse", "a<b")
            await scene.server.bos.snac(0x13, 0x19, name8("Capulet Nurse") + h("0000 0000"))
            assert (await next_event(client, ContactRequest)).address == "capuletnurse"
            message = SendMessage(ref="m", conversation=got.sender, text="a<b")
            await ask_of(client, message, MessageOutcome)
            assert b"a&lt;b" in scene.server.said(4, 6)[-1].body


async def test_a_long_message_goes_in_pieces_and_has_one_outcome(
    autojump_clock: MockClock,
) -> None:
    text = " ".join(f"word{number}" for number in range(300))
    async with aim() as scene, signed_on(scene) as client:
        message = SendMessage(ref="m", conversation="juliet", text=text)
        assert (await ask_of(client, message, MessageOutcome)).stage is Stage.ACCEPTED
        sent = scene.server.said(4, 6)
        assert len(sent) == 3
        assert len({one.body[:8] for one in sent}) == 3
        pieces = [one.tlvs(17)[2][16:] for one in sent]
        assert all(len(piece) <= 1000 for piece in pieces)
        bodies = [piece[12:-14].decode() for piece in pieces]
        assert " ".join(bodies) == text
        await trio.sleep(100)
        with trio.move_on_after(1):
            pytest.fail(f"{await client.receive()} came, too")


async def test_sending_ends_when_a_piece_is_refused(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(4, 1, "0004", heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = refuse
        with trio.fail_after(60):
            message = SendMessage(ref="m", conversation="juliet", text="word " * 2_000)
            outcome = await ask_of(client, message, MessageOutcome)
        assert outcome.stage is Stage.FAILED
        assert 0 < len(scene.server.said(4, 6)) < 10


async def test_a_message_for_ever_is_too_long(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for size in (13_000, 2_000_000):
            message = SendMessage(ref=str(size), conversation="juliet", text="x" * size)
            outcome = await ask_of(client, message, MessageOutcome)
            assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.TOO_LONG)
        assert scene.server.said(4, 6) == []


ERRORS = [
    ("0002", Reason.RATE_LIMITED),
    ("0003", Reason.RATE_LIMITED),
    ("0004", Reason.OFFLINE_NOT_STORED),
    ("0004 0008 0002 000e", Reason.OFFLINE_NOT_STORED),
    ("0004 0008 0002 000f", Reason.LIST_FULL),
    ("0005", Reason.UNREACHABLE),
    ("0009", Reason.UNSUPPORTED),
    ("000a", Reason.REFUSED),
    ("000b", Reason.TOO_LONG),
    ("000d", Reason.REFUSED),
    ("000e", Reason.REFUSED),
    ("000f", Reason.NOT_AUTHORISED),
    ("0010", Reason.BLOCKED),
    ("0011", Reason.REFUSED),
    ("0012", Reason.REFUSED),
    ("0013", Reason.UNREACHABLE),
    ("0014", Reason.UNKNOWN_ADDRESS),
    ("0017", Reason.UNREACHABLE),
    ("001a", Reason.UNREACHABLE),
    ("001c", Reason.UNREACHABLE),
    ("7777", Reason.UNKNOWN),
]


@pytest.mark.parametrize(("body", "reason"), ERRORS)
async def test_a_message_that_is_refused_has_its_reason(
    autojump_clock: MockClock, body: str, reason: Reason
) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(4, 1, body, heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = refuse
        message = SendMessage(ref="m", conversation="juliet", text="Hi")
        outcome = await ask_of(client, message, MessageOutcome)
        assert (outcome.stage, outcome.reason) == (Stage.FAILED, reason)
        assert outcome.text


async def test_an_old_client_is_written_to_in_the_old_way(autojump_clock: MockClock) -> None:
    async def refuse_once(connection: Connection, heard: Heard) -> None:
        del scene.server.script[4, 6]
        await connection.snac(4, 1, "0009", heard.request)

    async with icq(code_page="cp1251") as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = refuse_once
        message = SendMessage(ref="m", conversation="10002", text="\u0434\u0430")
        assert (await ask_of(client, message, MessageOutcome)).stage is Stage.ACCEPTED
        again = scene.server.said(4, 6)[1]
        assert again.body[8:10] == h("0004")
        assert again.tlvs(16)[5] == h("11270000 01 00 0300 e4e0 00")


async def test_silence_leaves_the_outcome_open_once(autojump_clock: MockClock) -> None:
    async def late(connection: Connection, heard: Heard) -> None:
        await trio.sleep(40)
        await connection.snac(4, 0x0C, heard.body[: 11 + heard.body[10]], heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = late
        start = trio.current_time()
        await client.send(SendMessage(ref="m", conversation="juliet", text="Hi"))
        with trio.fail_after(100):
            assert await client.receive() == MessageOutcome("m", Stage.UNKNOWN)
        assert trio.current_time() - start == pytest.approx(30, abs=0.1)
        with trio.move_on_after(100):
            pytest.fail(f"{await client.receive()} came, too")


async def test_messages_wait_for_the_rate_limit_and_none_is_dropped(
    autojump_clock: MockClock,
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for number in range(20):
            await client.send(SendMessage(ref=f"{number}", conversation="juliet", text="Hi"))
        await scene.server.hear(4, 6, 20)
        sent = [one.at for one in scene.server.said(4, 6)]
        level, last = 6000.0, sent[0] - 60
        for at in sent:  # the server's own arithmetic
            level = min(6000.0, (level * 19 + (at - last) * 1000) / 20)
            last = at
            assert level >= 5000
        assert sent[-1] - sent[0] < 100
        presence = SetPresence(ref="p", show=Show.AWAY)
        start = trio.current_time()
        await client.send(presence)  # another class: nothing to wait for
        assert trio.current_time() == start
        for number in range(20):
            outcome = await next_event(client, MessageOutcome)
            assert (outcome.ref, outcome.stage) == (f"{number}", Stage.ACCEPTED)


async def test_a_send_that_is_given_up_before_it_is_written_is_not_sent(
    autojump_clock: MockClock,
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for number in range(5):
            with trio.move_on_after(0.5):
                await client.send(SendMessage(ref=f"{number}", conversation="juliet", text="Hi"))
        await trio.sleep(60)
        sent = len(scene.server.said(4, 6))
        assert 0 < sent < 5
        outcomes = [await next_event(client, MessageOutcome) for _ in range(sent)]
        assert [one.ref for one in outcomes] == [str(number) for number in range(sent)]
        await client.send(SendMessage(ref="last", conversation="juliet", text="Hi"))
        assert (await next_event(client, MessageOutcome)).ref == "last"


READ = [
    (im("Juliet", b"<HTML><BODY>yo &amp; <b>you</b></BODY></HTML>"), "yo & you"),
    (im("Juliet", b"\0Z\0o\0\xeb", charset=2), "Zo\xeb"),
    (im("Juliet", b"caf\xe9 \x80", charset=3), "caf\xe9 \u20ac"),
    (im("Juliet", "caf\xe9".encode()), "caf\xe9"),
    (im("Juliet", b"live", tlv(6, b"")), "live"),
]


@pytest.mark.parametrize(("body", "text"), READ)
async def test_a_message_is_read_in_its_charset(
    autojump_clock: MockClock, body: bytes, text: str
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(4, 7, body)
        got = await next_event(client, MessageReceived)
        assert got.legacy_id is not None
        assert attrs.evolve(got, legacy_id=None) == MessageReceived(
            conversation="juliet", sender="juliet", text=text
        )


def relayed(text: bytes, guid: bytes = b"") -> bytes:
    tail = struct.pack("<I", len(guid)) + guid if guid else b""
    inner = h("0200 0000 0200 0000 01 00 0000 0100") + struct.pack("<H", len(text) + 1) + text
    inner += b"\0" + bytes(8) + tail
    data = h("0000") + b"87654321" + h("094613494C7F11D18222444553540000") + tlv(0x2711, inner)
    return b"87654321" + h("0002") + user("10002") + tlv(5, data)


ICQ_READ = [
    (im("10002", b"1 < 2 <b>"), "1 < 2 <b>"),
    (im("10002", b" <HTML>x<br>y</HTML>"), " x\ny"),
    (im("10002", b"<html> is a tag"), "<html> is a tag"),
    (typed(1, b"caf\xe9"), "caf\xe9"),
    (typed(4, b"look\xfehttp://x"), "look http://x"),
    (typed(0x13, b"1\xfe10003\xfeBob\xfe"), "Bob (10003)"),
    (relayed(b"relayed"), "relayed"),
    (relayed("caf\xe9".encode(), b"{0946134E-4C7F-11D1-8222-444553540000}"), "caf\xe9"),
]


@pytest.mark.parametrize(("body", "text"), ICQ_READ)
async def test_numbers_write_in_many_ways(
    autojump_clock: MockClock, body: bytes, text: str
) -> None:
    async with icq() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(4, 7, body)
        got = await next_event(client, MessageReceived)
        assert (got.sender, got.text) == ("10002", text)


GOOD = h("0101 0008 0000 0000") + b"good"
NO_TEXT = b"12345678" + h("0001") + user("Juliet")


@pytest.mark.parametrize(
    ("fragments", "text"),
    [
        (GOOD + h("0101 0044 0000 0000") + b"short", "goodshort"),
        (GOOD + h("0101 0002 0000"), "good"),
        (GOOD + h("01"), "good"),
        (h("0101 0008 000d 0000") + "caf\xe9".encode(), "caf\xe9"),  # as characters are counted
        (h("0101 0007 000d 0000") + "\u2713\u2713\u2713".encode(), "\u2713" * 3),
        (h("0501 0044 01"), None),
        (h("0101 0044 00"), None),
    ],
)
async def test_fragments_of_wrong_length_are_shown(
    autojump_clock: MockClock, fragments: bytes, text: str | None
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for _ in range(2):
            await scene.server.bos.snac(4, 7, NO_TEXT + tlv(2, fragments))
        if text is None:
            notice = Notice("A message of juliet could not be read.")
            assert await next_event(client, Notice) == notice
            await scene.server.bos.snac(4, 7, im("Juliet", b"the end"))
            while not isinstance(event := await client.receive(), MessageReceived):
                assert not isinstance(event, Notice)  # it was said once
            assert event.text == "the end"
        else:
            assert (await next_event(client, MessageReceived)).text == text


@pytest.mark.parametrize(
    "body",
    [
        NO_TEXT,
        im("Juliet", b""),
        NO_TEXT + tlv(2, h("0501 0001 01")),
        im("Juliet", b"<HTML><BODY></BODY></HTML>"),
        b"12345678" + h("0004") + user("10002") + tlv(5, h("12270000 01 00 0100 00")),
    ],
)
async def test_a_message_without_text_is_none(autojump_clock: MockClock, body: bytes) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(4, 7, body)
        await scene.server.bos.snac(4, 7, im("Juliet", b"text"))
        while not isinstance(event := await client.receive(), MessageReceived):
            assert not isinstance(event, Notice)
        assert event.text == "text"


async def test_what_cannot_be_read_costs_itself_alone(autojump_clock: MockClock) -> None:
    bad = [
        b"12345678" + h("0004") + user("Juliet") + tlv(5, b"short"),
        b"12345678" + h("0002") + user("Nurse") + tlv(5, b"short"),
    ]
    async with aim() as scene, signed_on(scene) as client:
        for body in bad:
            await scene.server.bos.snac(4, 7, body)
        for name in ("juliet", "nurse"):
            said = Notice(f"A message of {name} could not be read.")
            assert await next_event(client, Notice) == said
        await scene.server.bos.snac(0x42, 0x42, b"unheard of")
        await scene.server.bos.snac(4, 7, im("Juliet", b"good"))
        assert (await next_event(client, MessageReceived)).text == "good"


UNUSABLE = [
    ((4, 7), im("\x01\xff", b"who?"), "wrote, and cannot be answered from here: who?"),
    ((4, 7), im("", b"who?"), "Somebody without a name wrote, and cannot be answered"),
    ((0x13, 0x19), name8("?!") + h("0002") + b"hi" + h("0000"), "?! asks to add you, and"),
    ((0x13, 0x1B), name8("?!") + h("01 0000"), "?! agreed to be added."),
    ((0x13, 0x1C), name8("?!") + h("0000"), "?! has you on the contact list now."),
]


@pytest.mark.parametrize("network", [aim, icq])
@pytest.mark.parametrize(("number", "body", "said"), UNUSABLE)
async def test_unusable_names_are_told_in_notices(
    autojump_clock: MockClock,
    network: Callable[[], AbstractAsyncContextManager[Scene]],
    number: tuple[int, int],
    body: bytes,
    said: str,
) -> None:
    async with network() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(*number, body)
        assert said in (await next_event(client, Notice)).text


async def test_an_invitation_to_what_we_cannot_do_is_declined(autojump_clock: MockClock) -> None:
    chat = h("748F2420628711D18222444553540000")
    async with aim() as scene, signed_on(scene):
        data = h("0000") + b"87654321" + chat + tlv(0x0C, b"come")
        body = b"87654321" + h("0002") + user("Juliet") + tlv(5, data)
        await scene.server.bos.snac(4, 7, body)
        answer = await scene.server.hear(4, 6)
        assert answer.body[:17] == b"87654321" + h("0002") + name8("Juliet")
        assert answer.tlvs(17)[5] == h("0001") + b"87654321" + chat + h("000b 0002 0001")


NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
COOKIE = b"\1\2\3\4\5\6\7\x08"


async def ids_of(scene: Scene, *bodies: bytes) -> list[str | None]:
    """Say messages; return the ids under which they come."""
    async with signed_on(scene) as client:
        for body in bodies:
            await scene.server.bos.snac(4, 7, body)
        return [(await next_event(client, MessageReceived)).legacy_id for _ in bodies]


@pytest.mark.parametrize("network", [aim, icq])
async def test_a_message_that_comes_again_has_the_same_id(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    network: Callable[[], AbstractAsyncContextManager[Scene]],
) -> None:
    """Some services repeat as stored what they are not sure to have delivered."""
    monkeypatch.setattr(OscarHost, "now", lambda _: NOON)
    live = im("10 002", b"Hi", cookie=COOKIE)
    stored = im("10002", b"Hi", tlv(0x16, struct.pack(">I", int(NOON.timestamp()))), cookie=COOKIE)
    async with network() as scene:
        first = await ids_of(scene, live, stored, stored)
        again = await ids_of(scene, stored)
    assert first[0] is not None
    assert {*first, *again} == {first[0]}


async def test_messages_that_are_alike_are_not_the_same(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [NOON]
    monkeypatch.setattr(OscarHost, "now", lambda _: moment[0])
    hi = im("Juliet", b"Hi", cookie=COOKIE)
    async with aim() as scene:
        others = (
            im("Juliet", b"Ho", cookie=COOKIE[::-1]),
            im("Juliet", b"Hi", cookie=b"another!"),
            im("Nurse", b"Hi", cookie=COOKIE),
        )
        ids = await ids_of(scene, hi, *others)
        moment[0] += timedelta(hours=1)  # a client that begins to count anew
        ids += await ids_of(scene, hi)
        assert None not in ids
        assert len({*ids}) == 5


async def test_cookies_that_are_always_the_same_name_nothing(autojump_clock: MockClock) -> None:
    stored = tlv(0x16, h("65000000"))
    async with aim() as scene:
        for cookie in (bytes(8), b"\xff" * 8):
            hi = im("Juliet", b"Hi", cookie=cookie)
            assert await ids_of(scene, hi, hi) == [None, None]
        first, *rest = [im("Juliet", text, cookie=COOKIE) for text in (b"Hi", b"Ho", b"Ho")]
        named, *nameless = await ids_of(scene, first, *rest)
        assert named is not None
        assert nameless == [None, None]
        # Who says the same twice has said it twice.
        named, nameless_too = await ids_of(scene, *[im("Juliet", b"ok", cookie=COOKIE[::-1])] * 2)
        assert named is not None
        assert nameless_too is None
        kept = [im("Juliet", text, stored, cookie=bytes(8)) for text in (b"Hi", b"Ho")]
        assert len({*(await ids_of(scene, *kept)), None}) == 3


async def test_stored_messages_have_their_time_and_an_id(autojump_clock: MockClock) -> None:
    async def stored(connection: Connection, heard: Heard) -> None:
        for text in (b"one", b"two"):
            await connection.snac(4, 7, im("Juliet", text, tlv(0x16, h("65000000"))))
        await connection.snac(4, 0x17, b"", heard.request)

    ids = []
    async with aim() as scene:
        scene.server.script[4, 0x10] = stored
        for _ in range(2):
            async with signed_on(scene) as client:
                for text in ("one", "two"):
                    got = await next_event(client, MessageReceived)
                    when = datetime(2023, 9, 12, 6, 6, 56, tzinfo=UTC)
                    assert (got.text, got.sent_at, got.token) == (text, when, None)
                    ids.append(got.legacy_id)
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


async def test_what_icq_kept_is_deleted_once_it_is_safe(autojump_clock: MockClock) -> None:
    async def ask(connection: Connection, heard: Heard) -> None:
        command = heard.body[10:12]
        if command == h("3c00"):
            for text in (b"again", b"again", b"caf\xe9"):
                body = envelope(0x41, 2, kept(text))
                await connection.snac(0x15, 3, body, heard.request, flags=1)
            await connection.snac(0x15, 3, envelope(0x42, 2, b"\0"), heard.request)
        deletions.append(command)

    deletions: list[bytes] = []
    async with icq() as scene:
        scene.server.script[0x15, 2] = ask
        async with signed_on(scene) as client:
            first = [await next_event(client, MessageReceived) for _ in range(3)]
            client.acknowledge(first[0].token)
            client.acknowledge(first[2].token)
            client.acknowledge("no such token")
            await trio.testing.wait_all_tasks_blocked()  # the end of them has come, too
        assert deletions == [h("3c00")]
        async with signed_on(scene) as client:
            again = [await next_event(client, MessageReceived) for _ in range(3)]
            assert [one.legacy_id for one in again] == [one.legacy_id for one in first]
            assert len({one.legacy_id for one in again}) == 3
            assert [one.text for one in again] == ["again", "again", "caf\xe9"]
            assert again[0].sent_at == datetime(2026, 7, 20, 12, 30, tzinfo=UTC)
            await trio.testing.wait_all_tasks_blocked()
            for one in again:
                assert one.token is not None
                client.acknowledge(one.token)
        assert deletions == [h("3c00"), h("3c00"), h("3e00")]
        assert scene.server.said(0, 4)[-1].at == trio.current_time()


async def test_the_service_itself_speaks_in_notices(autojump_clock: MockClock) -> None:
    missed = h("0001") + user("Juliet") + h("0003 0001")
    async with icq() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(4, 7, im("OOS System Msg", b"2 locations"))
        assert await next_event(client, Notice) == Notice("2 locations")
        await scene.server.bos.snac(4, 0x0A, missed)
        assert await next_event(client, Notice) == Notice(
            "3 messages from Juliet were lost: too large."
        )
        await scene.server.bos.snac(4, 7, typed(0x09, b"Sys\xfe\xfe\xfea@b\xfenews"))
        assert await next_event(client, Notice) == Notice("Sys\na@b\nnews")
        await scene.server.bos.snac(0x13, 0x1C, name8("10002") + h("0000"))
        assert "10002" in (await next_event(client, Notice)).text


async def test_typing_goes_both_ways(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        shown = {2: TypingState.COMPOSING, 1: TypingState.PAUSED, 0: TypingState.IDLE}
        for number, state in (*shown.items(), (0x0F, TypingState.IDLE)):
            body = bytes(8) + h("0001") + name8("Juliet") + struct.pack(">H", number)
            await scene.server.bos.snac(4, 0x14, body)
            assert await client.receive() == Typing("juliet", "juliet", state)
        for number, state in shown.items():
            command = SetTyping(ref="t", conversation="juliet", state=state)
            await ask_of(client, command, CommandDone)
            body = bytes(8) + h("0001") + name8("juliet") + struct.pack(">H", number)
            assert scene.server.said(4, 0x14)[-1].body == body
