"""The OSCAR front in literal bytes: logging in, signing on, talking, who is cut off."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Look, Refusal, Show, TypingState
from legacy_emu.fronts import load_front, url
from legacy_emu.host import dial as dial_socket
from legacy_emu.host import listen
from legacy_emu.service import Service
from tests.unit.legacy_emu.conftest import Connect as WebConnect
from tests.unit.legacy_emu.oscar_client import (
    SALT,
    Connect,
    OscarWire,
    SignOn,
    connecting,
    im,
    item,
    log_in,
    md5,
    s8,
    s16,
    sign_on,
    signing_on,
    tlv,
    tlvs,
)

HELLO = (1, b"\0\0\0\1")
EXPLAINED = tlv(4, "http://legacy-emu.invalid/refused")  # in every refusal of a login


@pytest.fixture
def dial(service: Service) -> Connect:
    service.addresses["oscar"] = "127.0.0.1:4190"
    return connecting(service)


@pytest.fixture
def on(service: Service) -> SignOn:
    return signing_on(service)


@pytest.fixture
def icq(control: Control) -> Control:
    for name in ("10001", "10002"):
        control.create_account(name, f"{name}-pw", f"nick {name}")
    return control


# --- logging in -------------------------------------------------------------------------------


async def test_a_login_by_challenge_in_literal_bytes(control: Control, dial: Connect) -> None:
    control.create_account("alice", "secret12")
    async with dial() as alice:
        assert await alice.next_frame() == HELLO
        await alice.send_bytes("2a 01 12 34 00 04 00 00 00 01")
        await alice.send_bytes(
            "2a 02 12 35 00 1b 00 17 00 06 00 00 00 00 00 01"
            "00 01 00 05 61 6c 69 63 65 00 4b 00 00 00 5a 00 00"
        )
        answer = await alice.next()
        assert (answer.number, answer.request) == ("17/07", 1)
        challenge = answer.data[2:]
        assert (answer.data[:2], len(challenge)) == (b"\0\x0a", 10)
        digest = md5(challenge + md5(b"secret12") + SALT)
        await alice.send_bytes(
            bytes.fromhex("2a 02 12 36 00 68 00 17 00 02 00 00 00 00 00 02")
            + bytes.fromhex("00 01 00 05 61 6c 69 63 65 00 25 00 10")
            + digest
            + bytes.fromhex(
                "00 4c 00 00 00 03 00 02 67 77 00 16 00 02 01 09 00 17 00 02 00 05 00 18 00 02 00"
                "01 00 19 00 02 00 00 00 1a 00 02 0b dc 00 14 00 04 00 00 06 11 00 0f 00 02 65 6e"
                "00 0e 00 02 75 73 00 4a 00 01 01"
            )
        )
        reply = await alice.next()
        assert (reply.number, reply.request) == ("17/03", 2)
        found = tlvs(reply.data)
        assert (found[1], found[5], len(found[6])) == (b"alice", b"127.0.0.1:4190", 256)
        assert await alice.next_frame() == (4, b"")
        await alice.expect_end()


async def test_the_old_hash_is_right_too(control: Control, dial: Connect) -> None:
    del control
    async with dial() as romeo:
        await romeo.next_frame()
        await romeo.send_frame(1, b"\0\0\0\1")
        await romeo.send("17/06", tlv(1, "Ro meo"), 1)
        challenge = (await romeo.next()).data[2:]
        digest = md5(challenge + b"romeo-pw" + SALT)
        await romeo.send("17/02", tlv(1, "Ro meo") + tlv(0x25, digest), 2)
        found = tlvs((await romeo.next()).data)
        assert (found[1], 6 in found, 8 in found) == (b"romeo", True, False)


async def test_a_wrong_password_and_an_unknown_name(control: Control, dial: Connect) -> None:
    del control
    async with dial() as romeo:
        await romeo.next_frame()
        await romeo.send_frame(1, b"\0\0\0\1")
        await romeo.send("17/06", tlv(1, "romeo"), 1)
        await romeo.next()
        await romeo.send("17/02", tlv(1, "romeo") + tlv(0x25, bytes(16)), 2)
        refused = await romeo.next()
        assert refused.data == tlv(1, "romeo") + bytes.fromhex("0008 0002 0005") + EXPLAINED
    async with dial() as nobody:
        await nobody.next_frame()
        await nobody.send_frame(1, b"\0\0\0\1")
        await nobody.send("17/06", tlv(1, "paris"), 1)
        refused = await nobody.next()
        assert refused.number == "17/03"
        assert refused.data == bytes.fromhex("0008 0002 0001") + EXPLAINED
        await nobody.expect_end()


async def test_a_roasted_login_in_literal_bytes(control: Control, dial: Connect) -> None:
    control.create_account("10001", "secret12")
    roasted = bytes.fromhex(
        "2a 01 12 34 00 25 00 00 00 01 00 01 00 05 31 30 30 30 31 00 02 00 08"
        "80 43 e2 b6 5c f2 ea a0 00 03 00 02 67 77 00 16 00 02 01 0a"
    )
    async with dial() as icq:
        assert await icq.next_frame() == HELLO
        await icq.send_bytes(roasted)
        channel, payload = await icq.next_frame()
        found = tlvs(payload)
        assert (channel, found[1], len(found[6])) == (4, b"10001", 256)
        await icq.expect_end()
    async with dial() as bos:
        await sign_on(bos, found[6])
    for name, password, code in [
        (b"10001", b"wrong", b"\0\5"),
        (b"10009", b"wrong", b"\0\x08"),
        (b"paris", b"wrong", b"\0\1"),
    ]:
        async with dial() as wrong:
            await wrong.next_frame()
            await wrong.send_frame(1, b"\0\0\0\1" + tlv(1, name) + tlv(2, password))
            channel, payload = await wrong.next_frame()
            assert (channel, payload) == (4, tlv(1, name) + tlv(8, code) + EXPLAINED)


async def test_a_cookie_is_good_once_and_not_for_long(
    control: Control, dial: Connect, autojump_clock: MockClock
) -> None:
    del control
    async with dial() as login:
        cookie = await log_in(login, "romeo", "romeo-pw")
    async with dial() as bos:
        await sign_on(bos, cookie)
    async with dial() as login:
        late = await log_in(login, "romeo", "romeo-pw")
    await trio.sleep(61)
    for bad in (cookie, late, b"made up"):
        async with dial() as bos:
            await bos.next_frame()
            await bos.send_frame(1, b"\0\0\0\1" + tlv(6, bad))
            assert await bos.next_frame() == (4, bytes.fromhex("0008 0002 0018"))
            await bos.expect_end()


# --- signing on -------------------------------------------------------------------------------


async def test_each_step_of_the_sign_on(control: Control, dial: Connect) -> None:
    control.befriend("romeo", "juliet", ("Capulets",))
    control.set_presence("juliet", Show.ONLINE)
    async with dial() as login:
        cookie = await log_in(login, "romeo", "romeo-pw")
    async with dial() as romeo:
        assert await romeo.next_frame() == HELLO
        await romeo.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
        groups = await romeo.next()
        assert (groups.number, groups.data.hex(" ", 2)) == (
            "01/03",
            "0001 0002 0003 0004 0009 000b 0013 0015",
        )
        await romeo.send("01/17", "0001 0003 0013 0004 7a7a 0001", 1)
        versions = await romeo.next()
        assert (versions.number, versions.data.hex(" ", 2)) == ("01/18", "0001 0003 0013 0004")
        assert (await romeo.next()).number == "01/13"

        await romeo.send("01/06", request=2)
        rates = await romeo.next()
        assert (rates.number, rates.data[:2]) == ("01/07", b"\0\5")
        assert rates.data[2 + 2 * 35 :].startswith(
            bytes.fromhex("0003 00000014 000013ec 00001388 00000fa0 00000bb8 00001770 00001770")
        )
        await romeo.send("01/08", "0001 0002 0003 0004 0005")
        await romeo.send("01/0e", request=3)
        own = await romeo.next()
        assert (own.number, own.data[:6]) == ("01/0f", b"\x05romeo")

        for number, reply in [
            ("02/02", "02/03"),
            ("03/02", "03/03"),
            ("04/04", "04/05"),
            ("09/02", "09/03"),
            ("13/02", "13/03"),
        ]:
            await romeo.send(number, request=9)
            answer = await romeo.next()
            assert (answer.number, answer.request) == (reply, 9)
            if reply == "04/05":
                assert answer.data.hex() == "00050000010b1f4003e703e700000000"
        await romeo.send("13/04", request=10)
        feedbag = (await romeo.next()).data
        assert feedbag[:-4] == bytes.fromhex(
            "00 0003"
            "0000 0000 0000 0001 0006 00c8 0002 0001"  # the root: group 1
            "0008 43617075 6c657473 0001 0000 0001 0006 00c8 0002 0001"  # Capulets: item 1
            "0006 6a756c69 6574 0001 0001 0000 0000"  # juliet
        )
        await romeo.send("04/02", "0000 0000010b 1f40 03e7 03e7 00000000")
        await romeo.send("02/04", tlv(5, bytes(16)))
        await romeo.send("13/07")
        assert await romeo.barrier() == []
        assert control.accounts()[0]["sessions"] == 0  # only half of what it takes
        await romeo.send("01/02", "0001 0003 0110 0629 0004 0001 0110 0629")
        arrived = await romeo.next()
        assert (arrived.number, arrived.data[:7]) == ("03/0b", b"\x06juliet")
        assert (await romeo.next()).number == "0b/02"
        assert control.accounts()[0]["sessions"] == 1
        await romeo.send_frame(5)
        assert await romeo.barrier() == []
        await romeo.send_frame(4)
        assert await romeo.next_frame() == (4, b"")
        await romeo.expect_end()
    assert control.arrived(kind="sign_off")[0].fields["orderly"] is True


async def test_icq_clients_say_that_they_are_online_first(icq: Control, dial: Connect) -> None:
    async with dial() as login:
        cookie = await log_in(login, "10001", "10001-pw")
    async with dial() as bos:
        await bos.next_frame()
        await bos.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
        await bos.send("13/04", request=1)
        await bos.send("01/02", "0001 0003 0110 0629")
        await bos.barrier()
        assert icq.arrived() == []
        await bos.send("13/07")
        await bos.barrier()
        assert [each.kind for each in icq.arrived()] == ["sign_on"]


async def test_an_old_client_without_list_and_versions(
    control: Control, dial: Connect, service: Service
) -> None:
    """It sends 4 bytes for each group, and understands rate records of 30 bytes."""
    control.befriend("romeo", "juliet")
    control.set_presence("juliet", Show.ONLINE)
    async with dial() as login:
        cookie = await log_in(login, "romeo", "romeo-pw", several=0)
    async with dial() as old:
        await old.next_frame()
        await old.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
        await old.send("01/06", request=1)
        rates = (await old.expect("01/07")).data
        assert rates[2 + 30 : 4 + 30] == b"\0\2"
        await old.send("01/02", "0001 0003 0002 0001 0003 0001 0004 0001")
        await old.expect("0b/02")
        assert [each.number for each in await old.barrier()] == []
        await old.send("03/04", s8("Juliet") + s8("nobody at all"))
        assert [(each.number, each.data[:7]) for each in await old.barrier()] == [
            ("03/0b", b"\x06juliet"),
            ("03/0a", b"\x0dnobody"),
        ]
        control.send_message("juliet", "romeo", "1 < 2 & you?")
        said = await old.expect("04/07")
        assert b"<HTML><BODY>1 &lt; 2 &amp; you?</BODY></HTML>" in said.data
        control.kick("romeo", Refusal.ELSEWHERE)
        channel, payload = await old.next_frame()
        assert (channel, payload[:2], len(payload)) == (0, b"\x2a\x04", 4)


async def test_another_sign_on_ends_the_first(control: Control, on: SignOn) -> None:
    async with on("romeo") as first, on("romeo") as second:
        channel, payload = await first.next_frame()
        assert (channel, payload[:6].hex()) == (4, "000900020001")
        await first.expect_end()
        await second.barrier()
        control.kick("romeo", None, "good bye")
        channel, payload = await second.next_frame()
        assert (channel, payload) == (4, tlv(0x0B, "good bye"))


@pytest.mark.parametrize(
    ("first", "second", "together"), [(1, 1, True), (0, 1, False), (1, 3, False)]
)
async def test_several_sign_ons_are_for_clients_that_want_them(
    control: Control, on: SignOn, first: int, second: int, together: bool
) -> None:
    control.set_policy(several_sign_ons=True)
    async with on("romeo", several=first) as one, on("romeo", several=second) as two:
        await two.barrier()
        assert control.accounts()[0]["sessions"] == 1 + together
        if together:
            control.send_message("juliet", "romeo", "Hello")
            for each in (one, two):
                assert b"Hello" in (await each.expect("04/07")).data


# --- talking ----------------------------------------------------------------------------------


async def test_a_message_in_literal_bytes(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo, on("juliet") as juliet:
        await romeo.send_bytes(
            "2a 02 12 40 00 44 00 04 00 06 00 00 00 00 00 20 31 31 32 32 33 33 34 34 00 01 06"
            "6a 75 6c 69 65 74 00 02 00 1d 05 01 00 04 01 01 01 02 01 01 00 11 00 00 00 00 48"
            "69 20 3c 62 3e 42 6f 62 3c 2f 62 3e 00 03 00 00 00 06 00 00"
        )
        ack = await romeo.next()
        assert (ack.number, ack.request) == ("04/0c", 0x20)
        assert ack.data.hex(" ") == "31 31 32 32 33 33 34 34 00 01 06 6a 75 6c 69 65 74"
        heard = await juliet.next()
        assert (heard.number, heard.request) == ("04/07", 0x80000000)
        assert heard.data[8:20] == b"\0\1\5romeo\0\0\0\4"
        assert heard.data.endswith(
            bytes.fromhex("0002 0030 0501 0004 01010102 0101 0024 0000 0000")
            + b"<HTML><BODY>Hi Bob</BODY></HTML>"
            + bytes.fromhex("000b 0000")
        )
        await juliet.barrier()
        assert control.kept("juliet") == ()  # what is written counts as acknowledged


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("0002 0000 005a 006f 00eb 2713", "Zo\u00eb\u2713"),
        ("0003 0000 5a6f eb", "Zo\u00eb"),
        ("000d 0000 5a6f c3ab", "Zo\u00eb"),
        ("0000 ffff 5a6f c3ab", "Zo\u00eb"),
        ("0000 0000 5a6f eb", "Zo\u00eb"),
        ("0002 0000 d83d de00 00", "\U0001f600"),
        ("0000 0000" + b"a<br>b &amp; <b>c".hex(), "a\nb & c"),
    ],
)
async def test_every_charset_is_read(control: Control, on: SignOn, part: str, said: str) -> None:
    text = bytes.fromhex(part)
    async with on("romeo") as romeo:
        data = bytes.fromhex("0501 0000 0101") + len(text).to_bytes(2, "big") + text
        await romeo.send("04/06", bytes(8) + b"\0\1" + s8("juliet") + tlv(2, data) + tlv(6, b""))
        assert await romeo.barrier() == []  # it did not ask for the acknowledgement
    assert [each.fields["text"] for each in control.arrived(kind="message")] == [said]


async def test_more_than_ascii_goes_in_utf_16(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        control.send_message("juliet", "romeo", "Zo\u00eb \U0001f600\nbye")
        heard = await romeo.expect("04/07")
    written = "<HTML><BODY>Zo\u00eb \U0001f600<BR>bye</BODY></HTML>".encode("utf-16-be")
    assert bytes.fromhex("0002 0000") + written in heard.data


async def test_a_long_message_comes_in_pieces(control: Control, on: SignOn) -> None:
    said = "word " * 5000
    async with on("romeo") as romeo:
        control.send_message("juliet", "romeo", said)
        pieces = [each for each in await romeo.barrier() if each.number == "04/07"]
        assert len(pieces) > 2
        assert all(len(each.data) < 8192 for each in pieces)
        texts = [each.data.partition(b"<BODY>")[2].partition(b"</BODY>")[0] for each in pieces]
        assert b" ".join(texts).split() == said.encode().split()
        await romeo.barrier()
    assert control.kept("romeo") == ()


async def test_an_aim_client_and_the_web_page_talk(
    control: Control, on: SignOn, connect: WebConnect
) -> None:
    control.befriend("romeo", "juliet")
    async with on("juliet") as juliet, connect() as romeo:
        await romeo.sign_on("romeo")
        await romeo.expect("presence")
        assert (await juliet.expect("03/0b")).data[:6] == b"\x05romeo"
        await juliet.send("04/06", im("Romeo", "<HTML>Wherefore <i>art</i> thou?</HTML>"), 1)
        heard = await romeo.next()
        assert (heard["type"], heard["text"]) == ("message", "Wherefore art thou?")
        await romeo.send("send_message", ref="1", to="juliet", text="<here>")
        assert b"<HTML><BODY>&lt;here&gt;</BODY></HTML>" in (await juliet.expect("04/07")).data
        assert (await romeo.expect("outcome"))["stage"] == "accepted"
        assert (await romeo.expect("outcome"))["stage"] == "delivered"
        await juliet.send("02/04", tlv(3, 'text/aolrtf; charset="us-ascii"') + tlv(4, "<b>brb</b>"))
        seen = await romeo.expect("presence")
        assert (seen["show"], seen["text"]) == ("away", "brb")


async def test_icq_numbers_talk_in_plain_text(icq: Control, on: SignOn) -> None:
    async with on("10001") as one, on("10002") as two:
        await one.send("04/06", im("10002", "1 < 2 <b>"), 1)
        assert b"\x01\x06\x01\x01\x00\x0d\x00\x00\x00\x001 < 2 <b>" in (await two.next()).data
        # Channel 4: number, kind, flags, text.
        typed = bytes.fromhex("11270000 01 00 0600 68656c6c6f 00")
        await one.send("04/06", bytes(8) + b"\0\4" + s8("10002") + tlv(5, typed) + tlv(3, b""), 2)
        assert b"\0\0\0\0hello" in (await two.next()).data
        # Channel 2: a request for server relay.
        relay = (
            bytes.fromhex("0000") + bytes(8) + bytes.fromhex("094613494c7f11d18222444553540000")
        ) + tlv(
            0x2711,
            bytes.fromhex("0200 0800 0000 01 00 0000 0100 0700") + b"relay!\0" + bytes(8),
        )
        await one.send("04/06", bytes(8) + b"\0\2" + s8("10002") + tlv(5, relay) + tlv(6, b""), 3)
        assert b"\0\0\0\0relay!" in (await two.next()).data
    assert [each.fields["text"] for each in icq.arrived(kind="message")] == [
        "1 < 2 <b>",
        "hello",
        "relay!",
    ]


async def test_icq_clients_that_say_so_get_html(icq: Control, on: SignOn) -> None:
    async with on("10001") as one, on("10002") as two:
        # What libpurple says of itself and writes, to ICQ numbers too.
        await two.send("02/04", tlv(5, bytes.fromhex("0138ca7b769a491588f213fc00979ea8")))
        await two.barrier()
        await one.send("04/06", im("10002", "<HTML><BODY>1 &lt; 2 &lt;b&gt; &amp;c.</BODY></HTML>"))
        assert b"<HTML><BODY>1 &lt; 2 &lt;b&gt; &amp;c.</BODY></HTML>" in (await two.next()).data
        await two.send("04/06", im("10001", "<HTML><BODY>&lt;b&gt;?</BODY></HTML>"))
        assert (await one.expect("04/07")).data.endswith(
            b"\0\0\0\0<b>?" + bytes.fromhex("000b 0000")
        )
    assert [each.fields["text"] for each in icq.arrived(kind="message")] == [
        "1 < 2 <b> &c.",
        "<b>?",
    ]


async def test_what_cannot_be_delivered_is_refused_by_its_code(
    control: Control, on: SignOn
) -> None:
    control.set_policy(max_text_bytes=100, max_kept=1)
    control.send_message("juliet", "tybalt", "the one that fits")
    control.block("juliet", "romeo")
    control.sign_on("juliet")
    async with on("romeo") as romeo:
        for to, text, extra, expected in [
            ("paris", "x", "0006 0000", "0014"),
            ("tybalt", "x", "0003 0000", "0004"),  # not to be stored
            ("tybalt", "x", "0006 0000", "0004 0008 0002 000f"),  # too much waits
            ("juliet", "x", "0006 0000", "0004"),
            ("romeo", "x" * 200, "0006 0000", "000b"),
        ]:
            await romeo.send("04/06", im(to, text, extra=extra), 7)
            refused = await romeo.next()
            assert (refused.number, refused.request) == ("04/01", 7)
            assert refused.data == bytes.fromhex(expected), to
        # A rendezvous nobody takes, and a channel there is not.
        data = bytes(2 + 8 + 16)
        for channel in (b"\0\2", b"\0\3"):
            await romeo.send("04/06", bytes(8) + channel + s8("tybalt") + tlv(5, data), 8)
            assert (await romeo.next()).data == b"\0\x09"


async def test_typing_goes_both_ways(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo, on("juliet") as juliet:
        for event in ("0002", "0001", "0000"):
            await romeo.send("04/14", bytes(8) + b"\0\1" + s8("Juliet") + bytes.fromhex(event))
            seen = await juliet.next()
            assert seen.number == "04/14"
            assert seen.data == bytes(8) + b"\0\1\5romeo" + bytes.fromhex(event)
        await romeo.send("04/14", bytes(8) + b"\0\1" + s8("nobody") + b"\0\2")
        control.typing("juliet", "romeo", TypingState.COMPOSING)
        assert (await romeo.next()).data[-2:] == b"\0\2"


async def test_stored_messages_come_when_they_are_asked_for(control: Control, on: SignOn) -> None:
    control.send_message("juliet", "romeo", "while you slept")
    async with on("romeo") as romeo:
        assert await romeo.barrier() == []
        await romeo.send("04/10", request=5)
        stored, done = await romeo.next(), await romeo.next()
        assert (stored.number, done.number, done.request) == ("04/07", "04/17", 5)
        assert b"while you slept" in stored.data
        assert bytes.fromhex("0016 0004") in stored.data
        await romeo.send("04/10", request=6)
        assert (await romeo.next()).number == "04/17"
    assert control.kept("romeo") == ()


async def test_stored_messages_of_icq_numbers_in_literal_bytes(icq: Control, on: SignOn) -> None:
    icq.send_message("10002", "10001", "offline hi")
    icq.send_message("juliet", "10001", "from AIM")
    query = "0001 000a 0800 11270000 3c00 0200"
    async with on("10001") as one:
        await one.send("15/02", query, 0x30)
        aim, stored, end = [await one.next() for _ in range(3)]
        assert (aim.number, b"from AIM" in aim.data) == ("04/07", True)
        assert (stored.number, stored.flags, stored.request) == ("15/03", 1, 0x30)
        assert stored.data[:14] == bytes.fromhex("0001 0023 2100 11270000 4100 0200")
        assert stored.data[14:22] == bytes.fromhex("12270000 ea07 04 01")
        assert stored.data[24:] == bytes.fromhex("01 00 0b00") + b"offline hi\0"
        assert (end.flags, end.data.hex()) == (0, "0001000b0900112700004200020000")
        await one.send("15/02", "0001 000a 0800 11270000 3e00 0300")
        await one.send("15/02", query, 0x31)
        assert [each.data[10:12] for each in await one.barrier()] == [b"\x42\x00"]
    assert icq.kept("10001") == ()


async def test_a_notice_comes_from_the_system(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        control.notice("romeo", "The moon is inconstant")
        notice = await romeo.expect("04/07")
        assert notice.data[10:25] == b"\x0eOOS System Msg"
        assert b"The moon is inconstant" in notice.data


# --- presence ---------------------------------------------------------------------------------


async def test_presence_is_the_complete_state(control: Control, on: SignOn) -> None:
    control.befriend("romeo", "juliet")
    async with on("romeo") as romeo:
        for show, flags, status in [
            (Show.ONLINE, "0010", "00000000"),
            (Show.AWAY, "0030", "00000001"),
            (Show.XA, "0030", "00000005"),
            (Show.DND, "0030", "00000013"),
            (Show.CHAT, "0010", "00000020"),
        ]:
            control.set_presence("juliet", show)
            arrived = await romeo.next()
            assert arrived.number == "03/0b"
            assert bytes.fromhex(f"0001 0002 {flags} 0006 0004 {status}") in arrived.data
        control.set_presence("juliet", Show.ONLINE, "dreaming")
        assert (
            bytes.fromhex("001d 0010 0002 04 0c 0008") + b"dreaming\0\0"
            in (await romeo.next()).data
        )
        control.set_presence("juliet", Show.INVISIBLE)
        gone = await romeo.next()
        assert gone.number == "03/0c"
        assert gone.data == bytes.fromhex("06 6a756c696574 0000 0001 0001 0002 0000")
        control.sign_off("juliet")
        assert await romeo.barrier() == []


async def test_icq_numbers_show_why_they_are_away(icq: Control, on: SignOn) -> None:
    icq.befriend("10001", "10002")
    icq.sign_on("10002")
    async with on("10001") as one:
        await one.barrier()
        icq.set_presence("10002", Show.AWAY, "dreaming")
        shown = await one.expect("03/0b")
        assert bytes.fromhex("0006 0004 00000001") in shown.data
        # libpurple fetches no away text as ICQ client, and shows this one.
        assert bytes.fromhex("001d 0010 0002 04 0c 0008") + b"dreaming\0\0" in shown.data


async def test_status_and_idle_in_literal_bytes(control: Control, on: SignOn) -> None:
    control.befriend("romeo", "juliet")
    async with on("romeo") as romeo:
        for status, show in [
            ("00000013", Show.DND),
            ("00000011", Show.DND),
            ("00000005", Show.XA),
            ("00000001", Show.AWAY),
            ("10000020", Show.CHAT),
            ("00002001", Show.AWAY),
            ("00003000", Show.ONLINE),
            ("00000100", Show.OFFLINE),
            ("00000000", Show.ONLINE),
        ]:
            await romeo.send("01/1e", "0006 0004" + status, 5)
            own = await romeo.next()
            assert (own.number, own.request) == ("01/0f", 5)
            assert control.look("romeo", "juliet").show is show
        await romeo.send("01/1e", "001d 0010 0002 04 0c 0008 647265616d696e67 0000", 6)
        await romeo.send("01/11", "00000258")
        await romeo.barrier()
        look = control.look("romeo", "juliet")
        assert (look.show, look.text, look.idle_since is not None) == (
            Show.ONLINE,
            "dreaming",
            True,
        )
        await romeo.send("01/11", "00000000")
        await romeo.send("01/1e", "001d 0008 0002 00 00 0009 00 00", 7)
        await romeo.barrier()
        assert control.look("romeo", "juliet") == Look(Show.ONLINE)


async def test_idle_is_told_in_minutes(control: Control, service: Service, on: SignOn) -> None:
    control.befriend("romeo", "juliet")
    async with on("romeo") as romeo, on("juliet") as juliet:
        await romeo.expect("03/0b")
        await juliet.send("01/11", (600).to_bytes(4, "big"))
        assert bytes.fromhex("0004 0002 000a") in (await romeo.next()).data


async def test_away_texts_and_profiles_are_fetched(control: Control, on: SignOn) -> None:
    control.befriend("romeo", "juliet")
    async with on("juliet") as juliet, on("romeo") as romeo:
        await juliet.send_bytes(
            "2a 02 00 01 00 34 00 02 00 04 00 00 00 00 00 06 00 03 00 1f 74 65 78 74 2f 61 6f"
            "6c 72 74 66 3b 20 63 68 61 72 73 65 74 3d 22 75 73 2d 61 73 63 69 69 22 00 04 00"
            "03 62 72 62"
        )
        await juliet.send("02/04", tlv(2, "<b>I am fair</b>") + tlv(5, b"capabilities ok!"))
        await juliet.barrier()
        await romeo.send("02/05", b"\0\7" + s8("Juliet"), 8)
        info = await romeo.expect("02/06")
        assert info.request == 8
        kind = tlv(3, 'text/aolrtf; charset="us-ascii"')
        assert kind + tlv(4, "<HTML><BODY>brb</BODY></HTML>") in info.data
        assert tlv(2, "<b>I am fair</b>") in info.data
        assert info.data.endswith(tlv(5, b"capabilities ok!"))
        await juliet.send_bytes("2a 02 00 01 00 0e 00 02 00 04 00 00 00 00 00 07 00 04 00 00")
        await juliet.barrier()
        assert control.look("juliet", "romeo") == Look(Show.ONLINE)
        await romeo.send("02/15", b"\0\0\0\2" + s8("juliet"), 9)
        assert b"brb" not in (await romeo.expect("02/06")).data
        await romeo.send("02/05", b"\0\2" + s8("tybalt"), 10)
        refused = await romeo.next()
        assert (refused.number, refused.data) == ("02/01", b"\0\4")


# --- icons ------------------------------------------------------------------------------------


async def test_an_icon_is_shown_and_fetched(
    control: Control, service: Service, dial: Connect, on: SignOn
) -> None:
    control.befriend("romeo", "juliet")
    control.set_presence("juliet", Show.ONLINE)
    picture = b"\x89PNG picture"
    digest = md5(picture)
    async with on("romeo") as romeo:
        control.set_avatar("juliet", "iVBORyBwaWN0dXJl")  # as base64
        assert bytes.fromhex("001d 0014 0001 01 10") + digest in (await romeo.next()).data
        await romeo.send("01/04", "0018", 4)
        assert (await romeo.next()).data == b"\0\5"
        await romeo.send("01/04", "0010", 5)
        offer = await romeo.next()
        found = tlvs(offer.data)
        assert (offer.number, found[0x0D], found[5]) == ("01/05", b"\0\x10", b"127.0.0.1:4190")
        async with dial() as icons:
            await icons.next_frame()
            await icons.send_frame(1, b"\0\0\0\1" + tlv(6, found[6]))
            assert (await icons.next()).data.hex() == "00010010"
            await icons.send("01/17", "0001 0003 0010 0001", 1)
            assert (await icons.next()).number == "01/18"
            await icons.send("01/06", request=2)
            assert (await icons.next()).number == "01/07"
            await icons.send("01/02", "0001 0003 0110 0629 0010 0001 0110 0629")
            bart = bytes.fromhex("0001 01 10") + digest
            await icons.send("10/04", s8("juliet") + b"\1" + bart, 3)
            reply = await icons.next()
            assert (reply.number, reply.request) == ("10/05", 3)
            size = len(picture).to_bytes(2, "big")
            assert reply.data == s8("juliet") + bart + size + picture
            await icons.send("10/06", s8("juliet") + b"\1" + bart, 4)
            reply = await icons.next()
            assert reply.data == s8("juliet") + bart + b"\0" + bart + size + picture
            await icons.send("10/06", s8("tybalt") + b"\1" + bart, 5)
            assert (await icons.next()).data.endswith(
                bytes.fromhex("02 0001 00 05 0201d20472 0000")
            )


async def test_an_icon_is_uploaded_when_it_is_not_known(
    control: Control, service: Service, dial: Connect, on: SignOn
) -> None:
    del control
    picture = b"GIF89a picture"
    digest = md5(picture)
    async with on("romeo") as romeo:
        icon = s16("1") + bytes.fromhex("0000 0005 0014") + b"\0\x1a"
        icon += tlv(0xD5, b"\0\x10" + digest) + bytes.fromhex("0131 0000")
        await romeo.send("13/08", icon, 3)
        result, asked = await romeo.next(), await romeo.next()
        assert (result.data, asked.number) == (b"\0\0", "01/21")
        assert asked.data == bytes.fromhex("0001 41 10") + digest
        await romeo.send("01/04", "0010", 5)
        cookie = tlvs((await romeo.next()).data)[6]
        async with dial() as icons:
            await icons.next_frame()
            await icons.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
            await icons.next()
            await icons.send("10/02", b"\0\1" + len(picture).to_bytes(2, "big") + picture, 1)
            taken = await icons.next()
            assert taken.number == "10/03"
            assert taken.data == bytes.fromhex("00 0001 01 10") + digest
    person = service.backend.person("romeo")
    assert person.avatar is not None
    assert (person.avatar.data, person.avatar.media_type) == (picture, "image/gif")


# --- chat navigation --------------------------------------------------------------------------


async def test_chat_navigation_knows_no_rooms(control: Control, dial: Connect, on: SignOn) -> None:
    del control
    async with on("romeo") as romeo:
        await romeo.send("01/04", "000d", 5)
        offer = await romeo.next()
        found = tlvs(offer.data)
        assert (offer.number, offer.request) == ("01/05", 5)
        assert (found[0x0D], found[5], len(found[6])) == (b"\0\x0d", b"127.0.0.1:4190", 256)
        async with dial() as rooms:
            await rooms.next_frame()
            await rooms.send_frame(1, b"\0\0\0\1" + tlv(6, found[6]))
            greeting = await rooms.next()
            assert (greeting.number, greeting.data.hex()) == ("01/03", "0001000d")
            await rooms.send("01/17", "0001 0003 000d 0001", 1)
            versions = await rooms.next()
            assert (versions.number, versions.data.hex()) == ("01/18", "00010003000d0001")
            await rooms.send("01/06", request=2)
            assert (await rooms.next()).number == "01/07"
            await rooms.send("01/08", "0001 0002 0003 0004 0005")
            await rooms.send("0d/02", request=3)
            rights = await rooms.next()
            assert (rights.number, rights.request) == ("0d/09", 3)
            assert rights.data == bytes.fromhex(
                "0002 0001 0a"  # rooms at once
                "0003 0044 0004 0009"  # exchange 4
                "0003 0001 0a 0002 0002 0010 0004 0002 0064 00c9 0002 000f"
                "00d5 0001 00"  # nothing may be created
                "00d6 0008 75732d6173636969 00d7 0002 656e"
                "00d8 0008 75732d6173636969 00d9 0002 656e"
            )
            await rooms.send("01/02", "0001 0003 0110 0629 000d 0001 0110 0629")
            await rooms.send("0d/03", "0004", 4)
            exchange = await rooms.next()
            assert (exchange.number, exchange.request, exchange.data) == ("0d/09", 4, rights.data)
            for number, data, code in [
                ("0d/03", "0005", b"\0\x08"),
                ("0d/04", "0004 06 766572 6f6e61 0000 02", b"\0\x14"),
                ("0d/08", "0004 06 637265617465 ffff 01 0001 00d3 0006 7665726f6e61", b"\0\x0d"),
                ("0d/07", "", b"\0\1"),
            ]:
                await rooms.send(number, data, 5)
                refused = await rooms.next()
                assert (refused.number, refused.request) == ("0d/01", 5)
                assert refused.data == code


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "00",
        "2a 09 00 00 00 00",
        "2a 02 00 00 00 03 00 04 00",
        "2a 01 00 00 00 04 00 00 00 01",
        "2a 03 00 00 00 00",
    ],
)
async def test_who_breaks_the_protocol_loses_his_connection_and_nobody_else_does(
    control: Control, on: SignOn, data: str
) -> None:
    async with on("romeo") as romeo, on("juliet") as juliet:
        await juliet.send_bytes(data)
        assert await juliet.next_frame() == (4, b"")
        await juliet.expect_end()
        assert await romeo.barrier() == []
    assert [each.account for each in control.arrived(kind="sign_off")] == ["juliet", "romeo"]


@pytest.mark.parametrize(
    ("number", "data"),
    [
        ("04/06", "00"),
        ("02/04", "00 01"),
        ("15/02", "00 01 00 02 ff ff"),
        ("15/02", ""),
        ("13/08", "00 40"),
    ],
)
async def test_malformed_body_costs_its_snac(
    control: Control, on: SignOn, number: str, data: str
) -> None:
    async with on("juliet") as juliet:
        await juliet.send(number, data, 7)
        error = await juliet.next()
        assert (error.number, error.request, error.data) == (f"{number[:2]}/01", 7, b"\0\x0e")
        assert await juliet.barrier() == []


def fragment(kind: int, data: bytes, claimed: int | None = None) -> bytes:
    size = len(data) if claimed is None else claimed
    return bytes([kind, 1]) + size.to_bytes(2, "big") + data


FEATURES = fragment(5, b"\1\1\1\2")
HEART = bytes.fromhex("0002 0000") + "I \u2665 thee".encode("utf-16-be")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (FEATURES + fragment(1, HEART, len(HEART) + 40), "I \u2665 thee"),
        # As aimpyfly and node-oscar count it: characters.
        (FEATURES + fragment(1, HEART, 4 + (len(HEART) - 4) // 2), "I \u2665 thee"),
        (fragment(1, bytes(4) + b"one ") + fragment(1, bytes(4) + b"two", 99), "one two"),
        (fragment(1, bytes(4) + b"one") + fragment(5, b"", 0xFFFF), "one"),
        (fragment(1, bytes(4) + b"one") + b"\1\1", "one"),
        (fragment(1, b"\0") + fragment(1, bytes(4) + b"two"), "two"),
    ],
    ids=range(6),
)
async def test_faulty_fragments_are_read_in_part(
    control: Control, on: SignOn, text: bytes, read: str
) -> None:
    async with on("romeo") as romeo:
        message = b"11223344\0\1" + s8("juliet") + tlv(2, text) + tlv(3, b"") + tlv(6, b"")
        await romeo.send("04/06", message, 5)
        assert (await romeo.next()).number == "04/0c"
        [arrived] = control.arrived(kind="message")
        assert arrived.fields["text"] == read


@pytest.mark.parametrize(
    "text", [b"", b"\1", FEATURES, fragment(1, b"\0\0\0"), fragment(1, b"", 9), b"\xff" * 40]
)
async def test_message_without_readable_text_is_refused(
    control: Control, on: SignOn, text: bytes
) -> None:
    async with on("romeo") as romeo:
        await romeo.send("04/06", b"11223344\0\1" + s8("juliet") + tlv(2, text), 5)
        error = await romeo.next()
        assert (error.number, error.request, error.data) == ("04/01", 5, b"\0\x0e")
        assert await romeo.barrier() == []
    assert control.arrived(kind="message") == []


async def test_one_question_gets_a_few_pictures(
    control: Control, on: SignOn, dial: Connect
) -> None:
    async with on("romeo") as romeo:
        await romeo.send("01/04", b"\0\x10", 1)
        cookie = tlvs((await romeo.expect("01/05")).data)[6]
        async with dial() as pictures:
            await pictures.next_frame()
            await pictures.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
            await pictures.expect("01/03")
            ids = bytes.fromhex("0001 01 10" + "00" * 16) * 3_000
            await pictures.send("10/06", s8("juliet") + b"\xff" + ids, 2)
            await pictures.send("01/06", b"", 3)
            await pictures.expect("01/07")
            assert 0 < len([each for each in pictures.passed if each.number == "10/07"]) <= 10


@pytest.mark.parametrize("channel", [2, 4, 5])
async def test_a_sign_on_comes_first(dial: Connect, channel: int) -> None:
    async with dial() as nobody:
        await nobody.next_frame()
        await nobody.send_frame(channel, bytes.fromhex("0017 0006 0000 00000001") * (channel == 2))
        if channel == 5:
            await nobody.send_frame(2, bytes.fromhex("0017 0006 0000 00000001"))
        assert await nobody.next_frame() == (4, b"")
        await nobody.expect_end()


async def test_an_unknown_snac_is_answered_and_forgiven(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        for number in ("7a/02", "04/7a", "03/0c", "0b/03", "13/17"):
            await romeo.send(number, request=9)
        await romeo.send("04/01", "0001", 9)  # an error, which wants no answer
        for group in ("7a", "04", "03", "0b", "13"):
            refused = await romeo.next()
            assert (refused.number, refused.request, refused.data) == (f"{group}/01", 9, b"\0\1")
        assert await romeo.barrier() == []


async def test_a_gap_in_the_sequence_is_forgiven(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        await romeo.send_bytes("2a 05 ff ff 00 00 2a 05 00 00 00 00 2a 05 77 77 00 00")
        assert await romeo.barrier() == []


async def test_names_that_do_not_fit_are_no_ones_trouble(control: Control, on: SignOn) -> None:
    """Other fronts take names and texts that OSCAR has no room for."""
    long = "\N{DESERET SMALL LETTER LONG I}" * 64
    control.create_account(long, "pw", "\ud800 name")
    control.create_account("paris " + " " * 150 + "x", "pw")
    for name in (long, "paris x"):
        control.befriend("romeo", name, ("group \ud800",))
        control.set_presence(name, Show.AWAY, "half \ud800 a pair")
    async with on("romeo") as romeo:
        control.send_message(long, "romeo", "half \ud800 a pair")
        control.send_message("parisx", "romeo", "half \ud800 a pair")
        control.change_contact("romeo", "parisx", "alias \ud800")
        control.typing(long, "romeo", TypingState.COMPOSING)
        await romeo.send("02/05", b"\0\3" + s8("parisx"), 1)
        numbers = [each.number for each in await romeo.barrier()]
        assert {"04/07", "13/09", "02/06"} <= set(numbers)
        await romeo.barrier()
    assert control.kept("romeo") == ()


async def test_a_deleted_account_is_signed_off(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        control.send_message("juliet", "romeo", "Fly!")
        control.delete_account("romeo")
        await romeo.expect("04/07")
        channel, payload = await romeo.next_frame()
        assert (channel, tlvs(payload)[9]) == (4, b"\0\2")


async def test_an_account_deleted_while_it_signs_on(control: Control, dial: Connect) -> None:
    async with dial() as login:
        cookie = await log_in(login, "romeo", "romeo-pw")
    async with dial() as romeo:
        await romeo.next_frame()
        await romeo.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
        await romeo.next()
        control.delete_account("romeo")
        await romeo.send("13/04", request=1)
        channel, payload = await romeo.next_frame()
        assert (channel, tlvs(payload)[9]) == (4, b"\0\2")


async def test_real_sockets_send_clients_back_where_they_came_to(
    service: Service, control: Control
) -> None:
    del control
    serve = load_front("oscar")
    roasted = bytes(
        byte ^ key for byte, key in zip(b"romeo-pw", bytes.fromhex("F32681C43986DB92"), strict=True)
    )

    async def handle(stream: trio.abc.Stream) -> None:
        await serve(stream, service)

    listening = await listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening.serve, handle)
        async with await dial_socket("127.0.0.1", listening.port) as stream:
            romeo = OscarWire(stream)
            await romeo.next_frame()
            await romeo.send_frame(1, b"\0\0\0\1" + tlv(1, "romeo") + tlv(2, roasted))
            _, payload = await romeo.next_frame()
            assert tlvs(payload)[5] == f"127.0.0.1:{listening.port}".encode()
            await romeo.expect_end()
        nursery.cancel_scope.cancel()
    assert url("oscar", "127.0.0.1", 4190) == "127.0.0.1:4190"


@pytest.mark.parametrize("seed", range(60))
async def test_garbled_bytes_end_one_connection_at_the_most(
    control: Control, service: Service, dial: Connect, autojump_clock: MockClock, seed: int
) -> None:
    """A whole session, each byte of which may be wrong: the service lives on."""
    chance = service.world.random
    chance.seed(seed)
    async with dial() as login:
        cookie = await log_in(login, "romeo", "romeo-pw")
    frames = [
        (1, b"\0\0\0\1" + tlv(6, cookie)),
        *(
            (2, bytes.fromhex(header.replace("/", "00")) + bytes(4) + body)
            for header, body in (
                ("00 01/17 0000", b"\0\1\0\3"),
                ("00 13/04 0000", b""),
                ("00 13/07 0000", b""),
                ("00 01/1e 0000", tlv(6, b"\0\0\0\1") + tlv(0x1D, b"\0\2\4\5\0\1x\0\0")),
                ("00 01/02 0000", bytes.fromhex("0001 0003 0110 0629")),
                ("00 02/04 0000", tlv(3, 'text/aolrtf; charset="utf-8"') + tlv(4, "away")),
                ("00 04/06 0000", im("juliet", "<b>x</b>")),
                (
                    "00 04/06 0000",
                    bytes(8) + b"\0\4" + s8("juliet") + tlv(5, bytes(4) + b"\1\0\2\0x\0"),
                ),
                ("00 04/14 0000", bytes(8) + b"\0\1" + s8("juliet") + b"\0\2"),
                ("00 13/11 0000", b""),
                ("00 13/08 0000", item("Pals", 1, 0, 1) + item("juliet", 1, 1, 0)),
                ("00 13/18 0000", s8("tybalt") + s16("x")),
                ("00 13/0a 0000", item("juliet", 1, 1, 0)),
                ("00 13/12 0000", b""),
                ("00 15/02 0000", bytes.fromhex("00010010 0e00 11270000 d007 0300 ba04 12270000")),
                ("00 02/05 0000", b"\0\7" + s8("juliet")),
                ("00 10/04 0000", s8("juliet") + b"\1\0\1\1\0"),
            )
        ),
    ]
    data = bytearray()
    for channel, payload in frames:
        data += bytes([0x2A, channel, 0, 0]) + len(payload).to_bytes(2, "big") + payload
    first = len(frames[0][1]) + 6
    for _ in range(chance.randrange(1, 12)):
        data[chance.randrange(first, len(data))] = chance.choice((0, 1, 2, 0x7F, 0x80, 0xFF))
    async with dial() as romeo:
        await romeo.send_bytes(bytes(data))
        await romeo.send_frame(4)
        with trio.move_on_after(1):
            while (await romeo.next_frame())[0]:
                pass
    assert control.connections() == []
