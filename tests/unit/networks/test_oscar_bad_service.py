"""Services, and people behind them, that do what they should not to a session that is up."""

import struct

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    AddContact,
    CommandDone,
    CommandFailed,
    ContactChanged,
    ContactList,
    ContactRemoved,
    FetchProfile,
    MessageOutcome,
    MessageReceived,
    PresenceChanged,
    Reason,
    Refusal,
    RemoveContact,
    SendMessage,
    Show,
    SignedOff,
    Stage,
    Unblock,
)
from tests.contract.harness import next_event, no_challenge, until_ended
from tests.fakes.oscar_server import (
    RATES,
    Connection,
    Heard,
    h,
    im,
    item,
    name8,
    tlv,
    user,
)
from tests.unit.networks.oscar_scene import aim, ask_of, signed_on

HELLO = SendMessage(ref="m", conversation="juliet", text="Hello")
LIMITED = "0003 00000014 000013ec 00001388 00000fa0 00000bb8 00000fa0 00001770 00000000 00"


def rate(window: int = 20, clear: int = 5100, alert: int = 5000, limit: int = 4000,
         disconnect: int = 3000, current: int = 6000, most: int = 6000) -> bytes:  # fmt: skip
    numbers = (window, clear, alert, limit, disconnect, current, most)
    return struct.pack(">H7IIB", 3, *numbers, 0, 0)


# --- what answers and what does not -----------------------------------------------------------


async def test_acks_for_messages_never_sent_are_nothing(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for request in (0, 1, 5, 0x7FFFFFFF, 0x80000000):
            body = b"87654321" + h("0001") + name8("juliet")
            await scene.server.bos.snac(4, 0x0C, body, request)
            await scene.server.bos.snac(4, 0x01, "0004", request)
            await scene.server.bos.snac(4, 0x0B, body + h("0001"), request)
            await scene.server.bos.snac(0x13, 0x0E, "0000", request)
        assert (await ask_of(client, HELLO, MessageOutcome)).stage is Stage.ACCEPTED


async def test_an_answer_that_comes_twice_is_one_outcome(autojump_clock: MockClock) -> None:
    async def twice(connection: Connection, heard: Heard) -> None:
        for _ in range(2):
            await scene.server.usual(4, 6)(connection, heard)
        await connection.snac(4, 1, "0004", heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = twice
        assert (await ask_of(client, HELLO, MessageOutcome)).stage is Stage.ACCEPTED
        await trio.sleep(100)
        events = []
        await scene.server.bos.snac(4, 7, im("Juliet", b"Hi"))
        while not isinstance(event := await client.receive(), MessageReceived):
            events.append(event)
        assert not any(isinstance(event, MessageOutcome) for event in events)


async def test_what_comes_under_the_number_of_a_question_is_no_answer_to_it(
    autojump_clock: MockClock,
) -> None:
    async def push(connection: Connection, heard: Heard) -> None:
        await connection.snac(4, 7, im("Juliet", b"Hi"), heard.request)
        await connection.snac(3, 0x0C, user("Juliet"), heard.request)
        await connection.snac(1, 0x01, "0005", heard.request)  # of another food group

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = push
        await client.send(HELLO)
        assert (await next_event(client, MessageReceived)).text == "Hi"
        assert (await next_event(client, PresenceChanged)).show is Show.OFFLINE
        with trio.fail_after(40):
            while not isinstance(event := await client.receive(), MessageOutcome):
                pass
        assert (event.ref, event.stage) == ("m", Stage.UNKNOWN)


async def test_nobody_but_the_recipient_says_that_a_message_failed(
    autojump_clock: MockClock,
) -> None:
    async def forge(connection: Connection, heard: Heard) -> None:
        cookie = heard.body[:8]
        await connection.snac(4, 0x0B, cookie + h("0001") + name8("Tybalt") + h("0001"))
        await scene.server.usual(4, 6)(connection, heard)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = forge
        assert (await ask_of(client, HELLO, MessageOutcome)).stage is Stage.ACCEPTED


async def test_an_edit_whose_answer_is_empty_has_failed(autojump_clock: MockClock) -> None:
    async def empty(connection: Connection, heard: Heard) -> None:
        await connection.snac(0x13, 0x0E, "", heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[0x13, 0x08] = empty
        failed = await ask_of(client, AddContact(ref="a", address="nurse"), CommandFailed)
        assert failed.reason is Reason.UNKNOWN


async def test_a_refused_sign_on_in_the_middle_of_a_session_ends_it(
    autojump_clock: MockClock,
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.flap(4, tlv(8, h("0018")))
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert (ended.reason, ended.retry_after) == (Refusal.TOO_MANY_ATTEMPTS, 600)


# --- waits, and that they end -----------------------------------------------------------------


async def test_a_pause_that_never_ends_is_a_lost_connection(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(1, 0x0B, "")
        await scene.server.hear(1, 0x0C)
        start = trio.current_time()
        with pytest.raises(ConnectionLost, match="paused"):
            await client.send(HELLO)
        assert trio.current_time() - start <= 301


async def test_pauses_that_come_again_and_again_are_one(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def go_on() -> None:
            while True:
                await scene.server.bos.snac(1, 0x0B, "")
                await trio.sleep(10)

        await scene.server.hear(1, 0x0C)
        start = trio.current_time()
        with pytest.raises(ConnectionLost, match="paused"):
            await client.send(HELLO)
        assert trio.current_time() - start <= 301
        nursery.cancel_scope.cancel()


async def test_the_goodbye_goes_in_a_pause_too(autojump_clock: MockClock) -> None:
    async with aim() as scene:
        async with signed_on(scene):
            await scene.server.bos.snac(1, 0x0B, "")
            await scene.server.hear(1, 0x0C)
            await scene.server.bos.snac(1, 0x1F)  # whose answer waits
            start = trio.current_time()
        assert len(scene.server.said(0, 4)) == 1
        assert trio.current_time() == start


async def test_he_who_sends_and_does_not_read_is_given_up(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        stream = client._link._wire._stream  # type: ignore[attr-defined]
        stream.send_stream.send_all_hook = trio.sleep_forever
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def alive() -> None:
                while True:
                    await scene.server.bos.flap(5, b"")
                    await trio.sleep(1)

            with trio.fail_after(100):
                with pytest.raises(ConnectionLost, match="does not read"):
                    await client.send(HELLO)
            nursery.cancel_scope.cancel()


async def test_who_is_limited_is_not_taken_for_dead(autojump_clock: MockClock) -> None:
    """The question whether the service is there waits for the limit as all else does."""
    low = "0001 00000050 000009c4 000007d0 000005dc 00000320 000005dc 00001770 00000000 00"
    async with aim(ping_seconds=10.0, pong_seconds=5.0) as scene, signed_on(scene) as client:
        await scene.server.bos.snac(1, 0x0A, f"0003 {low}")
        with trio.move_on_after(60) as waited:
            await client.receive()  # that it is limited
            await client.receive()
        assert waited.cancelled_caught


async def test_an_edit_that_is_given_up_does_not_hold_up_the_next(
    autojump_clock: MockClock,
) -> None:
    low = "0001 00000050 000009c4 000007d0 000005dc 00000320 000005dc 00001770 00000000 00"
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(1, 0x0A, f"0003 {low}")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(20) as waited:
            await client.send(AddContact(ref="a", address="nurse"))
        assert waited.cancelled_caught
        with trio.fail_after(1_000):
            await client.send(AddContact(ref="b", address="tybalt"))
            while not isinstance(event := await client.receive(), CommandDone):
                assert not isinstance(event, CommandFailed)
        assert event.ref == "b"
        added = b"".join(one.body for one in scene.server.said(0x13, 8))
        assert b"tybalt" in added
        assert b"nurse" not in added


@pytest.mark.parametrize(
    "numbers",
    [
        {"window": 0},
        {"alert": 9_000, "limit": 8_000},
        {"alert": 0xFFFFFFFF, "clear": 0xFFFFFFFF, "limit": 0xFFFFFFFF},
        {"most": 0},
        {"window": 0xFFFFFFFF, "current": 0xFFFFFFFF, "most": 0xFFFFFFFF},
        {"window": 1, "most": 0xFFFFFFFF, "current": 0},
    ],
)
async def test_absurd_rates_hold_nobody_for_ever(
    autojump_clock: MockClock, numbers: dict[str, int]
) -> None:
    classes, members = RATES.split("\n", 2)[:2], RATES.split("\n")[3:]

    async def absurd(connection: Connection, heard: Heard) -> None:
        body = h("".join(classes)) + rate(**numbers) + h("".join(members))
        await connection.snac(1, 7, body, heard.request)

    async with aim() as scene:
        scene.server.script[1, 6] = absurd
        async with signed_on(scene) as client:
            for number in range(3):
                start = trio.current_time()
                message = SendMessage(ref=f"{number}", conversation="juliet", text="Hi")
                await client.send(message)
                assert trio.current_time() - start <= 300


async def test_rates_of_classes_nobody_knows_are_nothing(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for number in range(100, 2_000):
            body = h("0003") + number.to_bytes(2, "big") + rate(current=0)[2:]
            await scene.server.bos.snac(1, 0x0A, body)
        start = trio.current_time()
        assert (await ask_of(client, HELLO, MessageOutcome)).stage is Stage.ACCEPTED
        assert trio.current_time() == start
        await scene.server.bos.flap(4, tlv(9, h("0001")))
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert ended.reason is Refusal.ELSEWHERE  # and not: too fast


# --- people -----------------------------------------------------------------------------------


async def test_nobody_keeps_us_busy_with_invitations(autojump_clock: MockClock) -> None:
    """Each is declined by a message, which counts for the rate of messages."""
    chat = h("748F2420 6287 11D1 8222 444553540000")
    body = b"12345678" + h("0002") + user("Tybalt") + tlv(5, h("0000") + b"12345678" + chat)
    async with aim() as scene, signed_on(scene) as client:
        for _ in range(6_000):
            await scene.server.bos.snac(4, 7, body)
        await scene.server.hear(4, 6)
        start = trio.current_time()
        outcome = await ask_of(client, HELLO, MessageOutcome)
        assert outcome.stage is Stage.ACCEPTED
        assert trio.current_time() - start < 10


@pytest.mark.parametrize(
    "broken",
    [tlv(0x16, bytes(9)), tlv(0x0B, b"?"), tlv(0x0D, b"?"), tlv(0x17, bytes(4_000))],
    ids=["time", "typing", "icon", "unknown"],
)
async def test_what_people_put_beside_a_message_harms_nobody(
    autojump_clock: MockClock, broken: bytes
) -> None:
    """Services pass on what they do not know."""
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(4, 7, im("Tybalt", b"Hi", broken))
        got = await next_event(client, MessageReceived)
        assert (got.text, got.sent_at) == ("Hi", None)


async def test_what_people_say_of_themselves_harms_nobody(autojump_clock: MockClock) -> None:
    icon = h("0001 01 10") + bytes(16)
    async with aim() as scene, signed_on(scene) as client:
        info = user("Juliet", tlv(0x0D, bytes(17)), tlv(0x1D, icon + h("0002 04 ff 00")))
        await scene.server.bos.snac(3, 0x0B, info)
        assert (await next_event(client, PresenceChanged)).avatar_hash == "00" * 16
        away = user("Juliet", tlv(1, h("0030")))
        await scene.server.bos.snac(3, 0x0B, away)
        query = await scene.server.hear(2, 5)
        text = tlv(4, b"%n" * 15_000) + tlv(5, b"?")
        await scene.server.bos.snac(2, 6, away + text, query.request)
        told = await next_event(client, PresenceChanged, lambda one: bool(one.text))
        assert len(told.text) == 8_000


async def test_a_number_that_is_none_is_a_name(autojump_clock: MockClock) -> None:
    async def unknown(connection: Connection, heard: Heard) -> None:
        await connection.snac(2, 1, "0004", heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[2, 5] = unknown
        asked = FetchProfile(ref="p", address="9" * 90)
        assert (await ask_of(client, asked, CommandFailed)).reason is Reason.UNKNOWN_ADDRESS
        assert scene.server.said(0x15, 2) == []


async def test_names_come_back_in_any_format(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for name in ("JULIET", "j u l i e t", " Ju LIET ", "juliet"):
            await scene.server.bos.snac(3, 0x0B, user(name))
            assert (await next_event(client, PresenceChanged)).address == "juliet"
            await scene.server.bos.snac(4, 7, im(name, b"Hi"))
            assert (await next_event(client, MessageReceived)).sender == "juliet"
            await scene.server.bos.snac(3, 0x0C, user(name))
            assert (await next_event(client, PresenceChanged)).show is Show.OFFLINE


TEXTS = [
    (0, b"<HTML><BODY><FONT SIZE=3><B>Hi", "Hi"),
    (0, b"<HTML><BODY>Hi<", "Hi<"),
    (0, b"Hi <a href='", "Hi <a href='"),
    (0, b"Hi<!-- Hi", "Hi"),
    (0, b"<" * 3_000, "<" * 3_000),
    (0, b"&#x110000;&#55296;&#99999999999;&bogus;", "\ufffd\ufffd\ufffd&bogus;"),
    (2, b"\xd8\x00\x00H\x00i", "\ufffdHi"),
    (2, b"Hi", "\u4869"),
    (3, "Zo\xeb".encode(), "Zo\xc3\xab"),
    (0, b"\xff\xfeZ", "\xff\xfeZ"),
    (0xFFFF, b"\x81", "\ufffd"),
    (0x0D, b"\xff", "\xff"),
]


@pytest.mark.parametrize(("charset", "data", "text"), TEXTS)
async def test_texts_that_are_not_what_they_claim_are_read_somehow(
    autojump_clock: MockClock, charset: int, data: bytes, text: str
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(4, 7, im("Juliet", data, charset=charset))
        assert (await next_event(client, MessageReceived)).text == text


# --- the list ---------------------------------------------------------------------------------


async def test_a_list_may_hold_anything(autojump_clock: MockClock) -> None:
    """Groups that are not there or there twice, items under one id, names nobody can have."""
    async with aim() as scene:
        scene.server.feedbag = [
            item("Juliet", 7, 1, 0),  # its group is not there
            item("juliet", 7, 2, 0),
            item("JULIET", 1, 3, 0),
            item("Friends", 1, 0, 1, tlv(0xC8, h("0003 0063 07"))),
            item("Friends", 2, 0, 1),
            item("Friends", 2, 9, 1),
            item("", 0, 0, 1, tlv(0xC8, h("0001 0002 0077"))),
            item("", 0, 0, 1),
            item("Nurse", 2, 3, 0, tlv(0x131, b"\xff\xfe") + tlv(0x131, b"other")),
            item("\x01", 2, 4, 0),
            item("", 2, 5, 0),
            item("juliet", 0, 6, 3),
            item("Juliet", 0, 7, 3),
            item("x" * 300, 2, 8, 0x77),
            item("", 0, 9, 4, tlv(0xCA, b"")),
        ]
        async with scene.network.sign_on(scene.account, no_challenge) as client:
            listed = await client.receive()
            assert isinstance(listed, ContactList)
            contacts = {one.address: one for one in listed.contacts}
            assert set(contacts) == {"juliet", "nurse"}
            assert contacts["juliet"].groups == ("Friends",)
            assert contacts["juliet"].blocked
            assert contacts["nurse"].name == "\ufffd\ufffd"
            await client.send(Unblock(ref="u", address="juliet"))
            changed = await next_event(client, ContactChanged)
            assert not changed.contact.blocked
            await next_event(client, CommandDone)
            assert len(scene.server.said(0x13, 0x0A)) == 2  # both items
            await ask_of(client, RemoveContact(ref="r", address="juliet"), CommandDone)
            await scene.server.bos.snac(0x13, 0x0A, item("nurse", 2, 3, 0) * 2)
            assert (await next_event(client, ContactRemoved)).address == "nurse"


@pytest.mark.parametrize("bad", [b"no FLAP frame", h("2a02 0000 0003 000400")])
async def test_packets_before_a_malformed_one_count(
    bad: bytes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        written: list[bytes] = []

        async def gather(data: bytes) -> None:
            written.append(data)

        with monkeypatch.context() as gathering:
            gathering.setattr(scene.server.bos, "raw", gather)
            for text in (b"one", b"two"):
                await scene.server.bos.snac(4, 7, im("Juliet", text))
        await scene.server.bos.raw(b"".join(written) + bad)
        events, ended = await until_ended(client)
        texts = [event.text for event in events if isinstance(event, MessageReceived)]
        assert texts == ["one", "two"]
        assert isinstance(ended, RemoteProtocolError)
