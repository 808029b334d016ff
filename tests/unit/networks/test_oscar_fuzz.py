"""Recorded sign-ons with bytes changed, frames lost, repeated and moved: only orderly ends.

`FUZZ_CASES` sets how many; some hundreds are enough to see that nothing is broken, and it takes
20,000 to look for what is.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random  # noqa: TID251 - each case has a seed of its own

import attrs
import pytest

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    AddContact,
    Block,
    ChangeContact,
    FetchProfile,
    LegacyCommand,
    LegacyEvent,
    LoginRefused,
    RemoveContact,
    SendMessage,
    SetPresence,
    Show,
    SignedOff,
    Unblock,
)
from gateway.networks.oscar.protocol import IconSession, Login, Session, Variant
from gateway.networks.oscar.wire import (
    FrameReader,
    FrameWriter,
    Packet,
    SignOn,
    decode,
    encode,
    people,
)
from tests.fakes.oscar_server import (
    BUDDIES,
    CHALLENGE,
    COOKIE,
    GROUPS,
    JULIET,
    RATES,
    ROOT,
    h,
    im,
    item,
    name8,
    tlv,
    user,
)
from tests.unit.networks.oscar_scene import envelope, typed
from tests.unit.networks.test_oscar_cores import NOON, new_session

CASES = int(os.environ.get("FUZZ_CASES", "300"))
ENDS = (RemoteProtocolError, ConnectionLost, LoginRefused, SignedOff)
MOST_EVENTS = 2_000  # of one frame: a frame has 65,535 bytes
MOST_WAITING = 5_000


def frame(channel: int, payload: bytes) -> bytes:
    return bytes([0x2A, channel, 0, 0]) + len(payload).to_bytes(2, "big") + payload


def snac(group: int, subtype: int, body: bytes | str, request: int = 0x80000000,
         flags: int = 0) -> bytes:  # fmt: skip
    numbers = b"".join(each.to_bytes(2, "big") for each in (group, subtype, flags))
    data = h(body) if isinstance(body, str) else body
    return frame(2, numbers + request.to_bytes(4, "big") + data)


# --- what is recorded -------------------------------------------------------------------------

LIST = h("00 0003") + h(ROOT) + h(BUDDIES) + h(JULIET) + h("65000000")
DETAILS = h("c800 0a") + b"\5\0nick\0" * 4 + b"\1\0\0" * 7 + bytes(8)
OFFLINE = h("12270000 ea07 07 14 0c 1e 01 00 0300 6869 00")
RENDEZVOUS = b"12345678" + h("0002") + user("Tybalt") + tlv(5, h("0000") + bytes(24))

# The service's side of a session. The numbers of its answers are those of our questions.
SESSION = [
    frame(1, h("00000001")),
    snac(1, 3, GROUPS),
    snac(1, 0x18, "0001 0003 0013 0004", 1),
    snac(1, 0x13, h("0004") + tlv(0x0B, b"Welcome")),
    snac(1, 7, RATES, 2),
    snac(1, 0x0F, user("Ro Meo", tlv(1, h("0010"))), 4),
    snac(2, 3, "0001 0002 03e8", 5),
    snac(3, 3, "0001 0002 03e8", 6),
    snac(4, 5, "0005 00000003 0200 03e7 03e7 00000000", 7),
    snac(9, 3, "0001 0002 00c8", 8),
    snac(0x13, 3, "0004 0006 003d 003d 003d", 9),
    snac(0x13, 6, LIST, 10, 1),
    snac(0x13, 6, LIST, 10),
    snac(1, 0x0F, user("Ro Meo", tlv(1, h("0010"))), 17),
    snac(3, 0x0B, user("Juliet", tlv(1, h("0030")), tlv(4, h("0005")), tlv(6, h("00010020")),
                       tlv(0x0D, bytes(32)), tlv(0x1D, h("0001 01 10") + bytes(16)))),
    snac(2, 6, user("Juliet", tlv(1, h("0030"))) + tlv(3, b'charset="utf-8"') + tlv(4, b"out")),
    snac(4, 7, im("Juliet", b"<HTML><BODY>Hi &amp; <B>so</B></BODY></HTML>", tlv(0x0B, b""))),
    snac(4, 7, im("Juliet", "Zo\xeb".encode("utf-16-be"), tlv(0x16, h("65000000")), charset=2)),
    snac(4, 7, typed(1, b"hello")),
    snac(4, 7, typed(6, b"nick\xfefirst\xfelast\xfemail\xfe0\xfereason")),
    snac(4, 7, typed(0x13, b"1\xfe10003\xfenick\xfe")),
    snac(4, 7, RENDEZVOUS),
    snac(4, 0x14, bytes(8) + h("0001") + name8("juliet") + h("0002")),
    snac(4, 0x0A, h("0001") + user("Juliet") + h("0003 0002")),
    snac(4, 0x0C, b"12345678" + h("0001") + name8("juliet"), 21),
    snac(4, 0x01, h("0004") + tlv(8, h("000f")), 22),
    snac(4, 0x0B, b"12345678" + h("0001") + name8("juliet") + h("0001")),
    snac(0x13, 0x0E, "0000", 23),
    snac(0x13, 0x0E, "000e", 24),
    snac(0x13, 0x11, ""),
    snac(0x13, 0x08, item("nurse", 1, 9, 0, tlv(0x66, b"")) + item("x", 0, 3, 3)),
    snac(0x13, 0x09, item("Friends", 1, 0, 1, tlv(0xC8, h("0002 0009")))),
    snac(0x13, 0x0A, item("nurse", 1, 9, 0)),
    snac(0x13, 0x12, ""),
    snac(0x13, 0x19, h("0006 0001 0002 0002") + name8("10002") + h("0002 6869 0000"), 0, 0x8000),
    snac(0x13, 0x1B, name8("juliet") + h("01 0002 6869 0000")),
    snac(0x13, 0x1C, name8("10002")),
    snac(0x15, 3, envelope(0x41, 2, OFFLINE), 19, 1),
    snac(0x15, 3, envelope(0x42, 2, b"\0"), 19),
    snac(0x15, 3, envelope(0x7DA, 25, DETAILS), 25, 1),
    snac(1, 0x0A, h("0003") + h(RATES.split("\n")[1])),
    snac(1, 0x0B, "0004"),
    snac(1, 0x0D, "0004"),
    snac(1, 0x1F, ""),
    snac(1, 5, tlv(0x0D, h("0010")) + tlv(5, b"h:1") + tlv(6, COOKIE), 26),
    snac(3, 0x0C, user("juliet")),
    frame(5, b""),
    frame(4, tlv(9, h("0001")) + tlv(0x0B, b"elsewhere")),
]  # fmt: skip
LOGIN = [
    frame(1, h("00000001")),
    snac(0x17, 7, len(CHALLENGE).to_bytes(2, "big") + CHALLENGE, 1),
    snac(0x17, 3, tlv(1, b"Romeo") + tlv(5, b"oscar.example:5190") + tlv(6, COOKIE), 2),
    frame(4, tlv(1, b"Romeo") + tlv(8, h("0018"))),
]
ICONS = [
    frame(1, h("00000001")),
    snac(1, 3, "0001 0010"),
    snac(1, 0x18, "0001 0003"),
    snac(1, 7, RATES),
    snac(0x10, 5, name8("juliet") + h("0001 01 01 aa 0006") + b"GIF89a", 5),
    snac(0x10, 1, "0005", 5),
    snac(1, 0x0A, h("0003") + h(RATES.split("\n")[1])),
    frame(4, b""),
]
COMMANDS: list[LegacyCommand] = [
    SendMessage(ref="m", conversation="juliet", text="Hi <there> \N{PILE OF POO}" * 3),
    SendMessage(ref="n", conversation="10002", text="Hi"),
    AddContact(ref="a", address="nurse", name="N", groups=("A", "B"), reason="why"),
    AddContact(ref="b", address="juliet"),
    ChangeContact(ref="c", address="juliet", name="J", groups=("Friends",)),
    RemoveContact(ref="r", address="juliet"),
    Block(ref="k", address="juliet"),
    Unblock(ref="u", address="juliet"),
    FetchProfile(ref="p", address="10002"),
    SetPresence(ref="s", show=Show.AWAY, text="out"),
]


# --- what is done to it -----------------------------------------------------------------------


def mutated(frames: list[bytes], random: Random) -> Iterator[bytes]:
    """Yield frames with one thing or several wrong."""
    frames = list(frames)
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        at = random.randrange(len(frames))
        data = bytearray(frames[at])
        match random.randrange(9):
            case 0:
                del frames[at]
            case 1:
                frames.insert(at, frames[random.randrange(len(frames))])
            case 2:
                data[random.randrange(6, max(7, len(data))) % len(data)] ^= 1 << random.randrange(8)
                frames[at] = bytes(data)
            case 3:
                place = random.randrange(6, max(7, len(data)))
                data[place : place + 2] = random.choice((b"\xff\xff", b"\0\0", b"\x7f\xff", b""))
                frames[at] = framed(data)
            case 4:
                frames[at] = framed(data[: random.randrange(6, max(7, len(data)))])
            case 5:
                frames[at] = framed(data + random.randbytes(random.choice((1, 2, 40, 5_000))))
            case 6 if len(data) > 16:  # the number of another question
                data[12:16] = random.randrange(40).to_bytes(4, "big")
                frames[at] = bytes(data)
            case 7 if len(data) > 16:  # more is to come, or an extension
                data[10:12] = random.choice((b"\0\1", b"\x80\0", b"\x80\1"))
                frames[at] = bytes(data)
            case 8:
                frames[at:at] = [frames[at]] * random.choice((2, 10, 300))
        if not frames:
            return
    yield from frames


def framed(data: bytearray) -> bytes:
    """Give a frame the length it has."""
    return bytes(data[:4]) + (len(data) - 6).to_bytes(2, "big") + bytes(data[6:])


def packets(frames: Iterator[bytes], random: Random) -> Iterator[Packet]:
    reader = FrameReader()
    for each in frames:
        cut = random.randrange(len(each) + 1)
        for part in (each[:cut], each[cut:]):
            reader.receive_data(part)
            for one in reader.frames():
                yield decode(one)
    last = reader.at_the_end()
    if last is not None:
        yield decode(last)


# --- who has to bear it -----------------------------------------------------------------------


def bear_session(frames: list[bytes], random: Random, reached: set[str]) -> None:
    made = new_session(random.choice(("romeo", "10001")))
    writer, now = FrameWriter(0), NOON
    for packet in packets(mutated(frames, random), random):
        now = attrs.evolve(now, seconds=now.seconds + random.choice((0, 0, 0.5, 40)),
                           utc=now.utc + timedelta(seconds=1))  # fmt: skip
        events = made.receive(packet, now)
        if made.is_online and random.random() < 0.3:
            events += made.command(random.choice(COMMANDS), now)
        events += made.expire(now)
        check(events, made)
        reached.update(type(event).__name__ for event in events)
        for _ in range(50):
            outgoing = made.requests.outbox.take(now.seconds)
            if outgoing is None:
                break
            encode(writer, outgoing.packet)
            check(list(made.written(outgoing, now)), made)
        assert made.requests.outbox.wait(now.seconds) >= 0
        for event in events:
            made.acknowledge(getattr(event, "token", None))


def check(events: list[LegacyEvent], made: Session) -> None:
    assert len(events) <= MOST_EVENTS
    for event in events:
        f"{event}".encode()  # plain text, without half surrogate pairs
        assert not isinstance(getattr(event, "result", None), str)
    assert len(made.requests.outbox) <= MOST_WAITING
    assert len(made.requests) <= 1_100


def bear_login(frames: list[bytes], random: Random, reached: set[str]) -> None:
    variants: tuple[Variant, ...] = ("md5", "md5-old", "roasted")
    variant = random.choice(variants)
    made = Login("romeo", "montague", variant=variant, several=True, cut_secret=False,
                 retry_seconds=60.0)  # fmt: skip
    writer = FrameWriter(0)
    for packet in packets(mutated(frames, random), random):
        made.receive(packet)
        for each in made.outgoing:
            encode(writer, each)
        assert len(made.outgoing) <= 3
        if made.ticket is not None:
            f"{made.ticket}".encode()
            encode(writer, SignOn(cookie=made.ticket.cookie, several=1))
            reached.add("Ticket")
            return


def bear_icons(frames: list[bytes], random: Random, reached: set[str]) -> None:
    made = IconSession(COOKIE)
    writer, answers, now = FrameWriter(0), 0, 0.0
    for packet in packets(mutated(frames, random), random):
        now += random.random()
        made.receive(packet, now)
        if made.avatar is not None:
            reached.add("Avatar")
        if made.ready and (made.answered or not answers):
            made.ask("juliet", people.BartId(1, 1, b"\xaa"), now)
            answers += 1
        assert 0 <= made.wait(now) <= 300
        assert len(made.outgoing) <= 4
        for each in made.outgoing:
            encode(writer, each)
        made.outgoing.clear()


Bear = Callable[[list[bytes], Random, set[str]], None]
SEEN = {"ContactList", "MessageReceived", "PresenceChanged", "ContactRequest", "MessageOutcome",
        "ContactChanged", "CommandDone", "CommandFailed", "Typing", "Notice"}  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "bear", "seen"),
    [
        (SESSION, bear_session, SEEN),
        (LOGIN, bear_login, {"Ticket"}),
        (ICONS, bear_icons, {"Avatar"}),
    ],
    ids=["session", "login", "pictures"],
)
def test_whatever_a_service_says_the_end_is_an_orderly_one(
    frames: list[bytes], bear: Bear, seen: set[str]
) -> None:
    reached: set[str] = set()
    for seed in range(CASES):
        with contextlib.suppress(*ENDS):
            bear(frames, Random(seed), reached)  # noqa: S311
    assert reached >= seen  # or the record is not what a client understands
