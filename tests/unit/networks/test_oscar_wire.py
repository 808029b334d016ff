"""The wire of AIM and ICQ: literal bytes both ways, and bytes that are nothing of the kind.

The literal bytes are those of the protocol's written-down examples, whose layouts were exchanged
with clients that know nothing of this code.
"""

import contextlib
import typing
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LocalProtocolError, RemoteProtocolError
from gateway.networks.oscar.wire import (
    Error,
    FlapError,
    Frame,
    FrameReader,
    FrameWriter,
    KeepAlive,
    Packet,
    SignOff,
    SignOn,
    Snac,
    Tlv,
    Tlvs,
    Unknown,
    decode,
    decode_block,
    decode_snac,
    encode,
    encode_block,
    encode_snac,
    feedbag,
    general,
    icons,
    icq,
    known_bodies,
    login,
    messages,
    people,
    rooms,
)
from gateway.networks.oscar.wire import fields as f

COOKIE = bytes(range(8))
CHALLENGE, PASSWORD = b"6150427895", b"secret12"
STRONG = bytes.fromhex("06e121244b165dc61ec4a7fcb82c33c8")
IM = b"11223344"
ICON = people.BartId(1, 1, bytes(range(16)))
BOB = feedbag.Item("bob", 1, 2, 0, Tlvs((Tlv(0x0131, "Zo\u00eb".encode()),)))


def order(*ids: int) -> Tlvs:
    return Tlvs((Tlv(feedbag.Attribute.ORDER, feedbag.encode_order(ids)),))


def said(packet: messages.Send | messages.Receive) -> list[tuple[int, bytes]]:
    assert packet.text is not None
    return [(part.charset, part.data) for part in messages.decode_parts(packet.text)]


VECTORS: list[tuple[str, str, int, Packet]] = [
    ("sign-on", "2a 01 12 34 00 04 00 00 00 01", 0x1234, SignOn()),
    (
        "sign-on with cookie",
        "2a 01 12 35 00 10 00 00 00 01 00 06 00 08 00 01 02 03 04 05 06 07",
        0x1235,
        SignOn(cookie=COOKIE),
    ),
    (
        "17/06",
        """2a 02 12 35 00 1b 00 17 00 06 00 00 00 00 00 01 00 01 00 05 61 6c 69 63 65 00 4b 00 00
        00 5a 00 00""",
        0x1235,
        Snac(login.ChallengeQuery("alice", strong=True, secur_id=True), 1),
    ),
    (
        "17/07",
        "2a 02 00 64 00 16 00 17 00 07 00 00 00 00 00 01 00 0a 36 31 35 30 34 32 37 38 39 35",
        0x64,
        Snac(login.Challenge(CHALLENGE), 1),
    ),
    (
        "17/02",
        """2a 02 12 36 00 68 00 17 00 02 00 00 00 00 00 02 00 01 00 05 61 6c 69 63 65 00 25 00 10
        06 e1 21 24 4b 16 5d c6 1e c4 a7 fc b8 2c 33 c8 00 4c 00 00 00 03 00 02 67 77 00 16 00 02
        01 09 00 17 00 02 00 05 00 18 00 02 00 01 00 19 00 02 00 00 00 1a 00 02 0b dc 00 14 00 04
        00 00 06 11 00 0f 00 02 65 6e 00 0e 00 02 75 73 00 4a 00 01 01""",
        0x1236,
        Snac(
            login.LoginQuery(
                name="alice",
                hash=STRONG,
                strong=True,
                client="gw",
                client_id=0x109,
                major=5,
                minor=1,
                point=0,
                build=0x0BDC,
                distribution=0x611,
                language="en",
                country="us",
                several=1,
            ),
            2,
        ),
    ),
    (
        "17/03 with a cookie",
        """2a 02 00 65 00 31 00 17 00 03 00 00 00 00 00 02 00 01 00 05 61 6c 69 63 65 00 05 00 0e
        31 32 37 2e 30 2e 30 2e 31 3a 35 31 39 30 00 06 00 08 00 01 02 03 04 05 06 07""",
        0x65,
        Snac(login.LoginReply(name="alice", address="127.0.0.1:5190", cookie=COOKIE), 2),
    ),
    (
        "17/03 with an error",
        """2a 02 00 65 00 19 00 17 00 03 00 00 00 00 00 02 00 01 00 05 61 6c 69 63 65 00 08 00 02
        00 05""",
        0x65,
        Snac(login.LoginReply(name="alice", error=5), 2),
    ),
    (
        "17/03 with an error and a URL",
        """2a 02 00 65 00 27 00 17 00 03 00 00 00 00 00 02 00 01 00 05 61 6c 69 63 65 00 08 00 02
        00 05 00 04 00 0a 68 74 74 70 3a 2f 2f 78 2e 79""",
        0x65,
        Snac(login.LoginReply(name="alice", error=5, url="http://x.y"), 2),
    ),
    (
        "channel 4 with an error and a URL",
        """2a 04 00 65 00 1d 00 01 00 05 31 30 30 30 31 00 08 00 02 00 05 00 04 00 0a 68 74 74 70
        3a 2f 2f 78 2e 79""",
        0x65,
        SignOff(name="10001", error=5, url="http://x.y"),
    ),
    (
        "roasted sign-on",
        """2a 01 12 34 00 25 00 00 00 01 00 01 00 05 31 30 30 30 31 00 02 00 08 80 43 e2 b6 5c f2
        ea a0 00 03 00 02 67 77 00 16 00 02 01 0a""",
        0x1234,
        SignOn(name="10001", roasted=login.roast(PASSWORD), client="gw", client_id=0x10A),
    ),
    (
        "13/06",
        """2a 02 00 70 00 4d 00 13 00 06 00 00 00 00 00 09 00 00 03 00 00 00 00 00 00 00 01 00 06
        00 c8 00 02 00 01 00 07 42 75 64 64 69 65 73 00 01 00 00 00 01 00 06 00 c8 00 02 00 02 00
        03 62 6f 62 00 01 00 02 00 00 00 08 01 31 00 04 5a 6f c3 ab 65 00 00 00""",
        0x70,
        Snac(
            feedbag.Feedbag(
                0,
                (
                    feedbag.Item("", 0, 0, 1, order(1)),
                    feedbag.Item("Buddies", 1, 0, 1, order(2)),
                    BOB,
                ),
                0x65000000,
            ),
            9,
        ),
    ),
    (
        "04/06 in ASCII",
        """2a 02 12 40 00 41 00 04 00 06 00 00 00 00 00 20 31 31 32 32 33 33 34 34 00 01 03 62 6f
        62 00 02 00 1d 05 01 00 04 01 01 01 02 01 01 00 11 00 00 00 00 48 69 20 3c 62 3e 42 6f 62
        3c 2f 62 3e 00 03 00 00 00 06 00 00""",
        0x1240,
        Snac(
            messages.Send(
                cookie=IM,
                channel=1,
                to="bob",
                text=messages.encode_parts((messages.Part(0, 0, b"Hi <b>Bob</b>"),)),
                ask_ack=True,
                store=True,
            ),
            0x20,
        ),
    ),
    (
        "04/06 in UTF-16",
        """2a 02 12 41 00 38 00 04 00 06 00 00 00 00 00 21 31 31 32 32 33 33 34 34 00 01 03 62 6f
        62 00 02 00 18 05 01 00 04 01 01 01 02 01 01 00 0c 00 02 00 00 00 5a 00 6f 00 eb 27 13 00
        03 00 00""",
        0x1241,
        Snac(
            messages.Send(
                cookie=IM,
                channel=1,
                to="bob",
                text=messages.encode_parts(
                    (messages.Part(2, 0, b"\x00Z\x00o\x00\xeb\x27\x13"),)
                ),
                ask_ack=True,
            ),
            0x21,
        ),
    ),
    (
        "04/07",
        """2a 02 00 80 00 6e 00 04 00 07 00 00 80 00 00 00 31 31 32 32 33 33 34 34 00 01 03 42 6f
        62 00 00 00 04 00 01 00 02 00 10 00 06 00 04 00 00 00 00 00 0f 00 04 00 00 00 3c 00 03 00
        04 65 00 00 00 00 02 00 2c 05 01 00 04 01 01 01 02 01 01 00 20 00 00 00 00 3c 48 54 4d 4c
        3e 3c 42 4f 44 59 3e 79 6f 3c 2f 42 4f 44 59 3e 3c 2f 48 54 4d 4c 3e 00 0b 00 00""",
        0x80,
        Snac(
            messages.Receive(
                cookie=IM,
                channel=1,
                sender=people.UserInfo(
                    "Bob", flags=0x10, status=0, online_for=60, online_since=0x65000000
                ),
                text=messages.encode_parts(
                    (messages.Part(0, 0, b"<HTML><BODY>yo</BODY></HTML>"),)
                ),
                wants_typing=True,
            ),
            0x80000000,
        ),
    ),
    (
        "04/0C",
        "2a 02 00 81 00 18 00 04 00 0c 00 00 00 00 00 20 31 31 32 32 33 33 34 34 00 01 03 62 6f 62",
        0x81,
        Snac(messages.HostAck(IM, 1, "bob"), 0x20),
    ),
    (
        "04/01",
        "2a 02 00 81 00 0c 00 04 00 01 00 00 00 00 00 20 00 04",
        0x81,
        Snac(Error(4, 4), 0x20),
    ),
    (
        "04/14",
        """2a 02 00 82 00 1a 00 04 00 14 00 00 00 00 00 22 00 00 00 00 00 00 00 00 00 01 03 62 6f
        62 00 02""",
        0x82,
        Snac(messages.Typing(messages.NO_COOKIE, 1, "bob", messages.TypingEvent.BEGUN), 0x22),
    ),
    (
        "03/0B",
        """2a 02 00 83 00 46 00 03 00 0b 00 00 80 00 00 00 03 42 6f 62 00 00 00 05 00 01 00 02 00
        30 00 06 00 04 00 00 00 00 00 04 00 02 00 05 00 03 00 04 65 00 00 00 00 1d 00 14 00 01 01
        10 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f""",
        0x83,
        Snac(
            people.Arrived(
                (
                    people.UserInfo(
                        "Bob",
                        flags=0x30,
                        status=0,
                        idle=5,
                        online_since=0x65000000,
                        bart=(ICON,),
                    ),
                )
            ),
            0x80000000,
        ),
    ),
    (
        "03/0C",
        """2a 02 00 84 00 18 00 03 00 0c 00 00 80 00 00 00 03 62 6f 62 00 00 00 01 00 01 00 02 00
        00""",
        0x84,
        Snac(people.Departed((people.UserInfo("bob", flags=0),)), 0x80000000),
    ),
    (
        "13/19 with an extension",
        """2a 02 00 90 00 1e 00 13 00 19 80 00 00 00 00 00 00 06 00 01 00 02 00 02 05 31 30 30 30
        32 00 02 68 69 00 00""",
        0x90,
        Snac(
            feedbag.AuthorisationRequested("10002", b"hi"),
            extension=bytes.fromhex("000100020002"),
        ),
    ),
    (
        "15/02: offline messages",
        """2a 02 12 50 00 18 00 15 00 02 00 00 00 00 00 30 00 01 00 0a 08 00 11 27 00 00 3c 00 02
        00""",
        0x1250,
        Snac(icq.icq_query(icq.Envelope(10001, icq.Command.OFFLINE_QUERY, 2)), 0x30),
    ),
    (
        "15/03: an offline message",
        """2a 02 00 a0 00 31 00 15 00 03 00 01 00 00 00 30 00 01 00 23 21 00 11 27 00 00 41 00 02
        00 12 27 00 00 ea 07 07 14 0c 1e 01 00 0b 00 6f 66 66 6c 69 6e 65 20 68 69 00""",
        0xA0,
        Snac(
            icq.icq_reply(
                icq.Envelope(
                    10001,
                    icq.Command.OFFLINE_MESSAGE,
                    2,
                    encode_block(
                        icq.OfflineMessage(10002, 2026, 7, 20, 12, 30, 1, 0, b"offline hi")
                    ),
                )
            ),
            0x30,
            flags=1,
        ),
    ),
    (
        "15/03: the end of them",
        """2a 02 00 a1 00 19 00 15 00 03 00 00 00 00 00 30 00 01 00 0b 09 00 11 27 00 00 42 00 02
        00 00""",
        0xA1,
        Snac(
            icq.icq_reply(
                icq.Envelope(10001, icq.Command.OFFLINE_END, 2, encode_block(icq.OfflineEnd(0)))
            ),
            0x30,
        ),
    ),
    (
        "04/07 on channel 4",
        """2a 02 00 a2 00 36 00 04 00 07 00 00 80 00 00 00 31 31 32 32 33 33 34 34 00 04 05 31 30
        30 30 32 00 00 00 01 00 01 00 02 00 50 00 05 00 0e 12 27 00 00 01 00 06 00 68 65 6c 6c 6f
        00""",
        0xA2,
        Snac(
            messages.Receive(
                cookie=IM,
                channel=4,
                sender=people.UserInfo("10002", flags=0x50),
                data=encode_block(messages.TypedMessage(10002, 1, 0, b"hello")),
            ),
            0x80000000,
        ),
    ),
    (
        "15/02: short info",
        """2a 02 00 01 00 1e 00 15 00 02 00 00 00 00 00 31 00 01 00 10 0e 00 11 27 00 00 d0 07 03
        00 ba 04 12 27 00 00""",
        1,
        Snac(
            icq.icq_query(
                icq.Envelope(
                    10001,
                    icq.Command.META_QUERY,
                    3,
                    encode_block(
                        icq.MetaQuery(
                            icq.Meta.SHORT_INFO_QUERY, encode_block(icq.ForUin(10002))
                        )
                    ),
                )
            ),
            0x31,
        ),
    ),
    (
        "0D/02",
        "2a 02 00 04 00 0a 00 0d 00 02 00 00 00 0d 00 02",
        4,
        Snac(rooms.RightsQuery(), 0x000D0002),
    ),
    (
        "0D/08",
        """2a 02 00 05 00 34 00 0d 00 08 00 00 00 00 00 03 00 04 06 63 72 65 61 74 65 ff ff 01
        00 03 00 d3 00 06 76 65 72 6f 6e 61 00 d6 00 08 75 73 2d 61 73 63 69 69 00 d7 00 02 65
        6e""",
        5,
        Snac(
            rooms.CreateRoom(
                exchange=4,
                room="create",
                instance=0xFFFF,
                detail=1,
                name="verona",
                charset="us-ascii",
                language="en",
            ),
            3,
        ),
    ),
    (
        "0D/09",
        """2a 02 00 66 00 57 00 0d 00 09 00 00 00 0d 00 02 00 02 00 01 0a 00 03 00 44 00 04 00
        09 00 03 00 01 0a 00 02 00 02 00 10 00 04 00 02 00 64 00 c9 00 02 00 0f 00 d5 00 01 00
        00 d6 00 08 75 73 2d 61 73 63 69 69 00 d7 00 02 65 6e 00 d8 00 08 75 73 2d 61 73 63 69
        69 00 d9 00 02 65 6e""",
        0x66,
        Snac(
            rooms.RoomsReply(
                max_rooms=10,
                exchange=rooms.Exchange(
                    id=4,
                    max_rooms=10,
                    permissions=0x10,
                    max_name_bytes=100,
                    flags=0x0F,
                    may_create=0,
                    charset="us-ascii",
                    language="en",
                    second_charset="us-ascii",
                    second_language="en",
                ),
            ),
            0x000D0002,
        ),
    ),
    (
        "01/1E",
        "2a 02 00 01 00 12 00 01 00 1e 00 00 00 00 00 05 00 06 00 04 00 00 00 13",
        1,
        Snac(general.SetStatus(0x13), 5),
    ),
    (
        "02/04 away",
        """2a 02 00 01 00 34 00 02 00 04 00 00 00 00 00 06 00 03 00 1f 74 65 78 74 2f 61 6f 6c 72
        74 66 3b 20 63 68 61 72 73 65 74 3d 22 75 73 2d 61 73 63 69 69 22 00 04 00 03 62 72 62""",
        1,
        Snac(
            people.SetInfo(away_type=b'text/aolrtf; charset="us-ascii"', away=b"brb"), 6
        ),
    ),
    (
        "02/04 back",
        "2a 02 00 01 00 0e 00 02 00 04 00 00 00 00 00 07 00 04 00 00",
        1,
        Snac(people.SetInfo(away=b""), 7),
    ),
    ("keepalive", "2a 05 00 92 00 00", 0x92, KeepAlive()),
    (
        "signed on elsewhere",
        "2a 04 00 91 00 13 00 09 00 02 00 01 00 0b 00 09 68 74 74 70 3a 2f 2f 78 2f",
        0x91,
        SignOff(reason=1, text="http://x/"),
    ),
]  # fmt: skip

FEW = settings(max_examples=15)  # of each of a hundred classes

BYTES = [bytes.fromhex(text) for _, text, _, _ in VECTORS]
IDS = [name for name, _, _, _ in VECTORS]


def read_all(*chunks: bytes) -> list[Frame]:
    reader = FrameReader()
    frames: list[Frame] = []
    for chunk in chunks:
        reader.receive_data(chunk)
        frames += reader.frames()
    return frames


@pytest.mark.parametrize(("name", "text", "sequence", "packet"), VECTORS, ids=IDS)
def test_literal_bytes_mean_this_packet(
    name: str, text: str, sequence: int, packet: Packet
) -> None:
    [frame] = read_all(bytes.fromhex(text))
    assert frame.sequence == sequence
    assert decode(frame) == packet
    assert encode(FrameWriter(sequence), packet) == bytes.fromhex(text)


@pytest.mark.parametrize("data", BYTES, ids=IDS)
def test_a_frame_survives_any_split(data: bytes) -> None:
    whole = read_all(data)
    for cut in range(len(data) + 1):
        assert read_all(data[:cut], data[cut:]) == whole
    assert read_all(*(data[at : at + 1] for at in range(len(data)))) == whole


def test_frames_come_one_after_the_other_and_the_tail_waits() -> None:
    data = b"".join(BYTES)
    frames = read_all(data + b"\x2a\x02")
    assert [decode(frame) for frame in frames] == [packet for _, _, _, packet in VECTORS]


@pytest.mark.parametrize("data", BYTES, ids=IDS)
def test_a_payload_cut_short_is_read_or_refused(data: bytes) -> None:
    for end in range(6, len(data)):
        with contextlib.suppress(RemoteProtocolError):
            decode(Frame(data[1], 0, data[6:end]))


@pytest.mark.parametrize("data", BYTES, ids=IDS)
def test_a_wrong_byte_anywhere_is_read_or_refused(data: bytes) -> None:
    for at in range(len(data)):
        for wrong in (0, 1, 0x7F, 0xFF):
            garbled = data[:at] + bytes([wrong]) + data[at + 1 :]
            with contextlib.suppress(RemoteProtocolError):
                for frame in read_all(garbled):
                    decode(frame)


# --- FLAP -------------------------------------------------------------------------------------


def test_a_frame_that_does_not_start_like_one_is_refused_at_once() -> None:
    with pytest.raises(RemoteProtocolError, match="starts with 0x48, expected 0x2a"):
        read_all(b"H")
    with pytest.raises(RemoteProtocolError, match="starts with 0x00"):
        read_all(BYTES[0] + b"\0")


def test_a_frame_may_have_65535_bytes() -> None:
    payload = bytes(65_535)
    data = FrameWriter(7).frame(2, payload)
    assert read_all(data[:40_000], data[40_000:]) == [Frame(2, 7, payload)]
    with pytest.raises(LocalProtocolError):
        FrameWriter().frame(2, payload + b"\0")


def test_sequence_numbers_wrap() -> None:
    writer = FrameWriter(0xFFFE)
    frames = read_all(*(encode(writer, KeepAlive()) for _ in range(4)))
    assert [frame.sequence for frame in frames] == [0xFFFE, 0xFFFF, 0, 1]


def test_a_packet_that_cannot_be_written_takes_no_number() -> None:
    writer = FrameWriter()
    with pytest.raises(LocalProtocolError):
        encode(writer, Snac(messages.HostAck(IM, 1, "x" * 256)))
    assert read_all(encode(writer, KeepAlive()))[0].sequence == 0


@pytest.mark.parametrize(
    ("data", "frame"),
    [
        ("2a 04 00 07", Frame(4, 7, b"")),
        ("2a 04 00", None),
        ("2a 04 00 07 00", None),
        ("2a 02 00 07", None),
        ("", None),
    ],
)
def test_a_sign_off_without_its_length_is_one(data: str, frame: Frame | None) -> None:
    reader = FrameReader()
    reader.receive_data(bytes.fromhex(data))
    assert list(reader.frames()) == []
    assert reader.at_the_end() == frame
    assert reader.is_between_frames is (data == "")


@pytest.mark.parametrize("channel", [0, 6, 255])
def test_channels_that_are_not_are_refused(channel: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"channel {channel}"):
        decode(Frame(channel, 0, b""))


def test_channel_3_is_an_error_with_whatever_it_holds() -> None:
    assert decode(Frame(3, 0, b"why")) == FlapError(b"why")
    assert read_all(encode(FrameWriter(), FlapError(b"why"))) == [Frame(3, 0, b"why")]


@pytest.mark.parametrize("payload", [b"", b"\0\0\0", b"\0\0\0\1\0\6\0\x08abc"])
def test_a_sign_on_cut_short_says_where(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"FLAP channel 1: .*claim"):
        decode(Frame(1, 0, payload))


@pytest.mark.parametrize(
    ("text", "reason", "error"),
    [
        ("0009 0001 01", 1, None),
        ("0009 0002 0001", 1, None),
        ("0008 0001 18", None, 0x18),
        ("0008 0002 001d", None, 0x1D),
        ("", None, None),
    ],
)
def test_numbers_in_a_sign_off_are_read_by_their_length(
    text: str, reason: int | None, error: int | None
) -> None:
    packet = decode(Frame(4, 0, bytes.fromhex(text)))
    assert packet == SignOff(reason=reason, error=error)


# --- SNACs and blocks -------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(10))
def test_a_snac_without_a_header_is_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"a SNAC of {size} bytes"):
        decode_snac(bytes(size))


def test_an_unknown_snac_is_kept_as_it_is() -> None:
    payload = bytes.fromhex("4242 0099 0001 00000007") + b"whatever"
    assert decode_snac(payload) == Snac(Unknown(0x4242, 0x99, b"whatever"), 7, 1)
    assert encode_snac(decode_snac(payload)) == payload


def test_the_extension_is_skipped_in_any_food_group() -> None:
    payload = bytes.fromhex("0001 0020 8001 00000007 0006 000100020002")
    assert decode_snac(payload) == Snac(
        general.ProbeAck(), 7, 1, extension=bytes.fromhex("000100020002")
    )
    assert encode_snac(decode_snac(payload)) == payload
    with pytest.raises(RemoteProtocolError, match="0x01/0x20: 6 bytes are claimed, 2 remain"):
        decode_snac(payload[:14])


def test_an_error_may_say_more() -> None:
    payload = bytes.fromhex("0004 0001 0000 00000007 0004 0008 0002 000e 001b 0002 6e6f")
    assert decode_snac(payload) == Snac(Error(4, 4, subcode=14, text="no"), 7)
    assert encode_snac(decode_snac(payload)) == payload


def test_an_error_of_a_food_group_nobody_knows_is_unknown_too() -> None:
    payload = bytes.fromhex("7a7a 0001 0000 00000007")
    assert decode_snac(payload) == Snac(Unknown(0x7A7A, 1), 7)


def test_unknown_tlvs_are_passed_over_and_the_first_of_a_type_counts() -> None:
    data = bytes.fromhex("7777 0003 616263 0008 0002 0005 0008 0002 0009")
    assert decode_block(login.LoginReply, data) == login.LoginReply(error=5)


@pytest.mark.parametrize(
    ("cls", "text", "said"),
    [
        (login.LoginReply, "0008 0004 0005", "TLV 0x0008 claims 4 bytes, 2 remain"),
        (login.LoginReply, "0008 00", "2 bytes are claimed, 1 remain"),
        (login.LoginReply, "0008 0009 000000000000000000", "a number of 9 bytes"),
        (people.Arrived, "03 426f", "3 bytes are claimed, 2 remain"),
        (people.Arrived, "03 426f62 0000 0002 0001 0002 0010", "2 bytes are claimed, 0 remain"),
        (general.SetStatus, "001d 0004 0001 0110", "16 bytes are claimed, 0 remain"),
        (feedbag.Feedbag, "00 ffff", "2 bytes are claimed, 0 remain"),
        (feedbag.AddItems, "0000 0001 0002 0000 0006 0131 0004", "6 bytes are claimed, 4 remain"),
        (feedbag.AddItems, "0000 0001 0002 0000 0004 0131 0004 aaaaaaaa",
         "TLV 0x0131 claims 4 bytes, 0 remain"),
        (icq.OfflineMessage, "12270000 ea07 07 14 0c 1e 01 00 0b00 6f66", "11 bytes are claimed"),
    ],
)  # fmt: skip
def test_lengths_that_lie_are_held_against_what_encloses_them(
    cls: type, text: str, said: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=said):
        decode_block(cls, bytes.fromhex(text))


RATE = general.RateClass(3, 20, 5100, 5000, 4000, 3000, 6000, 6000)
RATE_TEXT = "0003 00000014 000013ec 00001388 00000fa0 00000bb8 00001770 00001770"


@pytest.mark.parametrize(
    ("text", "rate"),
    [(RATE_TEXT, RATE), (f"{RATE_TEXT} 00000007 00", attrs.evolve(RATE, since_last=7, dropping=0))],
)
def test_rate_records_come_in_two_sizes(text: str, rate: general.RateClass) -> None:
    parameters = general.RateParameters(
        ((rate,), (general.RateMembers(3, (general.Version(4, 6), general.Version(2, 5))),))
    )
    data = bytes.fromhex(f"0001 {text} 0003 0002 0004 0006 0002 0005")
    assert decode_block(general.RateParameters, data) == parameters
    assert encode_block(parameters) == data
    change = general.RateChange(2, rate)
    assert decode_block(general.RateChange, bytes.fromhex(f"0002 {text}")) == change
    assert encode_block(change) == bytes.fromhex(f"0002 {text}")


def test_old_clients_name_their_tools_in_half_the_bytes() -> None:
    long = general.ClientOnline((general.Tool(1, 3, 0x110, 0x629),))
    assert decode_block(general.ClientOnline, bytes.fromhex("0001 0003 0110 0629")) == long
    short = general.ClientOnline((general.Tool(1, 3),))
    assert decode_block(general.ClientOnline, bytes.fromhex("0001 0003")) == short


@pytest.mark.parametrize(("text", "count"), [("65000000 05", 5), ("65000000 0105", 0x105)])
def test_an_unmodified_feedbag_is_counted_in_one_byte_or_two(text: str, count: int) -> None:
    got = decode_block(feedbag.FeedbagNotModified, bytes.fromhex(text))
    assert got == feedbag.FeedbagNotModified(0x65000000, count)


@pytest.mark.parametrize("tail", ["", "0000", "0000ffff"])
def test_what_stands_behind_an_authorisation_is_not_asked_for(tail: str) -> None:
    data = bytes.fromhex("05 3130303032 01 0002 6f6b" + tail)
    assert decode_block(feedbag.Authorised, data) == feedbag.Authorised("10002", 1, b"ok")


def test_what_is_no_utf_8_in_a_name_is_sent_back_as_it_came() -> None:
    data = bytes.fromhex("0003 62ff62 0001 0002 0000 0000")
    item = decode_block(feedbag.Item, data)
    assert item.name == "b\udcffb"
    assert encode_block(item) == data


def test_attributes_are_replaced_in_their_place() -> None:
    tlvs = Tlvs((Tlv(1, b"a"), Tlv(2, b"b"), Tlv(1, b"c"), Tlv(3, b"d")))
    assert tlvs.first(1) == b"a"
    assert tlvs.first(9) is None
    assert tlvs.with_value(1, b"x") == Tlvs((Tlv(1, b"x"), Tlv(2, b"b"), Tlv(3, b"d")))
    assert tlvs.with_value(9, b"y").items[-1] == Tlv(9, b"y")
    assert tlvs.with_value(2, None).first(2) is None


@pytest.mark.parametrize(
    "value",
    [
        messages.HostAck(IM, 0x10000, "bob"),
        messages.HostAck(b"short", 1, "bob"),
        messages.HostAck(IM, 1, "half \ud800"),
        login.LoginReply(error=0x10000),
        general.RateChange(1, attrs.evolve(RATE, max=1 << 32)),
        feedbag.AddItems((feedbag.Item("x" * 70_000, 0, 0, 0),)),
    ],
)
def test_values_that_fit_no_field_are_our_own_fault(value: object) -> None:
    with pytest.raises(LocalProtocolError):
        encode_block(value)


def test_a_request_number_that_fits_no_field_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError):
        encode_snac(Snac(general.Probe(), 1 << 32))


# --- hashes -----------------------------------------------------------------------------------


def test_passwords_are_hidden_in_three_ways() -> None:
    assert login.strong_hash(CHALLENGE, PASSWORD) == STRONG
    weak = bytes.fromhex("b5cdc97877a6ccc735afa24c3d942eb4")
    assert login.weak_hash(CHALLENGE, PASSWORD) == weak
    assert login.roast(PASSWORD) == bytes.fromhex("8043e2b65cf2eaa0")
    assert login.roast(b"secret") == bytes.fromhex("8043e2b65cf2")
    assert login.roast(login.roast(bytes(range(100)))) == bytes(range(100))


def test_no_secret_is_to_be_seen_in_a_packet() -> None:
    secrets = [
        SignOn(name="a", roasted=b"hush", cookie=b"hush"),
        SignOff(cookie=b"hush"),
        Snac(login.LoginQuery(hash=b"hush")),
        Snac(login.LoginReply(cookie=b"hush")),
        Snac(general.ServiceReply(cookie=b"hush")),
        Snac(messages.Send(cookie=IM, channel=1, to="b", text=b"hush", data=b"hush")),
        Snac(
            messages.Receive(
                cookie=IM, channel=1, sender=people.UserInfo("b"), text=b"hush", data=b"hush"
            )
        ),
        messages.Part(0, 0, b"hush"),
        messages.TypedMessage(1, 1, 0, b"hush"),
        Frame(2, 0, b"hush"),
    ]
    assert "hush" not in repr(secrets)


# --- what messages hold -----------------------------------------------------------------------


def test_the_text_of_a_message_is_found_among_its_fragments() -> None:
    data = bytes.fromhex(
        "05 01 0000  07 07 0002 ffff  01 01 0005 0000 0000 61  01 01 0006 0002 000b 0062"
    )
    assert messages.decode_parts(data) == (
        messages.Part(0, 0, b"a"),
        messages.Part(2, 0x0B, b"\0b"),
    )
    with pytest.raises(RemoteProtocolError):
        messages.decode_parts(data[:-1])
    with pytest.raises(RemoteProtocolError):
        messages.decode_parts(bytes.fromhex("01 01 0003 0000 00"))


def test_a_rendezvous_may_hold_a_message() -> None:
    relayed = messages.RelayedMessage(1, 0, b"hi", messages.UTF8_GUID)
    data = encode_block(
        messages.Rendezvous(0, IM, people.SERVER_RELAY, relayed=messages.encode_relayed(relayed))
    )
    found = messages.decode_rendezvous(data)
    assert found.relayed is not None
    assert messages.decode_relayed(found.relayed) == relayed
    plain = attrs.evolve(relayed, format=b"")
    assert messages.decode_relayed(messages.encode_relayed(plain)) == plain


def test_a_person_is_found_by_his_number() -> None:
    found = icq.Found(10002, b"bob", b"Bob", b"B", b"b@x", 1, 0, 2, 30)
    assert icq.decode_found(icq.encode_found(found)) == found


def test_an_envelope_may_be_missing() -> None:
    with pytest.raises(RemoteProtocolError):
        icq.decode_envelope(icq.IcqReply())


def test_icons_travel_with_their_ids() -> None:
    asked = icons.IconQuery("bob", (ICON,))
    data = bytes.fromhex("03 626f62 01 0001 01 10") + ICON.data
    assert encode_block(asked) == data
    assert decode_block(icons.IconQuery, data) == asked
    reply = icons.IconReply("bob", ICON, b"GIF89a")
    data = bytes.fromhex("03 626f62 0001 01 10") + ICON.data + b"\0\6GIF89a"
    assert encode_block(reply) == data
    assert decode_block(icons.IconReply, data) == reply


def test_a_status_text_travels_beside_the_icon() -> None:
    text = people.status_text_id("brb \u2713")
    assert (text.type, text.flags, text.data) == (2, 4, b"\0\7brb \xe2\x9c\x93\0\0")
    assert people.status_text_of((ICON, text)) == "brb \u2713"
    assert people.status_text_of((ICON, people.status_text_id(""))) == ""
    assert people.icon_of((text, ICON)) == ICON
    assert people.icon_of((people.BartId(1, 0, people.NO_ICON), text)) is None


# --- random -----------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    for channel in range(1, 6):
        with contextlib.suppress(RemoteProtocolError):
            decode(Frame(channel, 0, data))
    for read in (
        messages.decode_parts,
        messages.decode_typed,
        messages.decode_rendezvous,
        messages.decode_relayed,
        icq.decode_found,
    ):
        with contextlib.suppress(RemoteProtocolError):
            read(data)


@pytest.mark.parametrize("cls", known_bodies(), ids=lambda cls: cls.__name__)
@FEW
@given(data=st.binary(max_size=120))
def test_random_bodies_raise_nothing_else(cls: type, data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode_block(cls, data)


@given(st.lists(st.binary(max_size=30)))
def test_random_streams_raise_nothing_else(chunks: list[bytes]) -> None:
    with contextlib.suppress(RemoteProtocolError):
        read_all(*(b"*" + chunk for chunk in chunks))


def some(codec: Any) -> st.SearchStrategy[Any]:  # noqa: C901 - one row a codec
    """Return values that a field of this codec can hold."""
    match codec:
        case f._Number(format=form):
            return st.integers(0, (1 << 8 * {"B": 1, "H": 2, "I": 4}[form[1]]) - 1)
        case f._ByLength(size=size):
            return st.integers(0, (1 << 8 * size) - 1)
        case f._Fixed(size=size):
            return st.binary(min_size=size, max_size=size)
        case f._Counted() | f._Terminated() | f._Rest():
            return st.binary(max_size=20)
        case f._Text():
            return st.text(max_size=20)
        case f._Flag():
            return st.just(True)
        case f.Block(cls=cls):
            return blocks(cls)
        case f.ToEnd(of=of) | f.Repeated(of=of):
            return st.lists(some(of), max_size=3).map(tuple)
        case f.Lenient(of=of) | f.Tolerant(of=of):
            return some(of)
        case f.TlvList():
            return st.lists(blocks(Tlv), max_size=3).map(lambda each: Tlvs(tuple(each)))
        case feedbag._Count():
            return st.integers(0, 0xFFFF)
        case feedbag._Import():
            return st.booleans()
        case general._Tools():
            return st.lists(blocks(general.Tool), max_size=3).map(tuple)
        case general._OneRate() | general._Rates():
            word = st.integers(0, 0xFFFFFFFF)
            ids = st.integers(0, 0xFFFF)
            rate = st.builds(general.RateClass, ids, *[word] * 7)
            if isinstance(codec, general._OneRate):
                return rate
            return st.lists(rate, max_size=3).map(lambda each: (tuple(each), ()))
    raise AssertionError(codec)


def blocks(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    values: dict[str, st.SearchStrategy[Any]] = {}
    for field in attrs.fields(cls):
        codec = hints[field.name].__metadata__[-1]
        if isinstance(codec, f.in_tlv):
            absent = st.just(field.default)
            values[field.name] = absent | some(codec.of)
        else:
            values[field.name] = some(codec)
    return st.builds(cls, **values)


@pytest.mark.parametrize(
    "cls",
    [*known_bodies(), SignOn, SignOff, messages.Rendezvous, icq.BasicInfo, icq.ShortInfo],
    ids=lambda cls: cls.__name__,
)
@FEW
@given(data=st.data())
def test_what_is_written_is_read_again(cls: type, data: st.DataObject) -> None:
    value = data.draw(blocks(cls))
    assert decode_block(cls, encode_block(value)) == value


def test_every_field_has_a_codec() -> None:
    """A class that nothing reads or writes would show its mistake at the worst time."""
    for cls in known_bodies():
        hints = typing.get_type_hints(cls, include_extras=True)
        for field in attrs.fields(typing.cast(Any, cls)):
            assert typing.get_origin(hints[field.name]) is Annotated
