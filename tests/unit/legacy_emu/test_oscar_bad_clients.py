"""OSCAR clients that lie, flood, or say what no client says: the front outlives them."""

import contextlib
import os
import struct
from random import Random  # noqa: TID251 - each case has a seed of its own

import pytest
import trio

from gateway.networks.oscar import wire
from legacy_emu.control import Control
from legacy_emu.events import RequestRefused, Show
from legacy_emu.fronts.oscar import serve
from legacy_emu.fronts.oscar.link import Link
from legacy_emu.fronts.oscar.shared import Ticket
from legacy_emu.host import RealWorld, dial, listen
from legacy_emu.policy import Policy
from legacy_emu.service import Service
from tests.unit.legacy_emu.oscar_client import (
    OscarWire,
    SignOn,
    im,
    item,
    s8,
    signing_on,
    tlv,
)
from tests.unit.networks.test_oscar_fuzz import frame, mutated, snac

SOL_SOCKET, SO_LINGER = 1, 13  # Linux

CASES = int(os.environ.get("FUZZ_CASES", "150"))
COOKIE = bytes(range(256))


@pytest.fixture
def on(service: Service) -> SignOn:
    return signing_on(service)


async def ended(client: OscarWire) -> None:
    """Wait for the end, whatever is said before it."""
    with trio.fail_after(20):
        while (await client.next_frame())[0]:
            pass


BAD = {
    "no marker": b"GET / HTTP/1.0\r\n\r\n",
    "channel 3": bytes.fromhex("2a03 0000 0000"),
    "channel 9": bytes.fromhex("2a09 0000 0000"),
    "a snac without a header": bytes.fromhex("2a02 0000 0003 000100"),
    "a second sign-on": bytes.fromhex("2a01 0000 0004 00000001"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
async def test_bytes_that_are_no_packet_end_one_connection(
    control: Control, on: SignOn, data: bytes
) -> None:
    async with on("romeo") as romeo, on("juliet") as juliet:
        await romeo.send_bytes(data)
        await ended(romeo)
        await juliet.send("04/06", im("juliet", "I am still here"), 1)
        await juliet.expect("04/07")


LIES = {
    "a name cut short": "0002 0005 0000 00000001 0003",
    "an item that lies": "0013 0008 0000 00000001 ffff 0001",
    "an extension that lies": "0001 000e 8000 00000001 ffff",
    "a capability cut short": "0002 0004 0000 00000001 0005 0001 00",
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
async def test_snac_that_lies_is_refused(control: Control, on: SignOn, data: str) -> None:
    async with on("romeo") as romeo:
        await romeo.send_frame(2, bytes.fromhex(data))
        error = await romeo.next()
        assert (error.number[2:], error.request, error.data) == ("/01", 1, b"\0\x0e")
        assert await romeo.barrier() == []


async def test_large_frames_and_single_bytes_are_no_trouble(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        await romeo.send("7a/7a", bytes(65_525), 1)
        assert (await romeo.next()).number == "7a/01"
        probe = bytes.fromhex("2a02 0000 000a 0001 001f 0000 00000007")
        for place in range(len(probe)):
            await romeo.send_bytes(probe[place : place + 1])
        assert (await romeo.next()).request == 7


async def test_an_item_nobody_could_be_told_of_is_refused(control: Control, on: SignOn) -> None:
    """It would fit the frame it came in, and not the one that lists it."""
    async with on("romeo") as romeo:
        await romeo.send("13/08", item("x", 0, 77, 0x77, tlv(1, bytes(65_500))), 1)
        assert (await romeo.expect("13/0e")).data == b"\0\x0a"
    async with on("romeo"):
        pass


async def test_a_long_profile_does_not_cut_off_who_reads_it(control: Control, on: SignOn) -> None:
    control.befriend("romeo", "juliet")
    async with on("romeo") as romeo, on("juliet") as juliet:
        said = ("\N{PILE OF POO}" * 16_000).encode()
        await romeo.send("02/04", tlv(1, 'x; charset="utf-8"') + tlv(2, said), 1)
        await romeo.barrier()
        await juliet.send("02/05", b"\0\1" + s8("romeo"), 1)
        assert (await juliet.expect("02/06")).data
        await juliet.barrier()


async def test_who_has_much_said_to_him_and_does_not_read_is_cut_off(
    control: Control, on: SignOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("legacy_emu.fronts.oscar.link.MAX_WAITING_BYTES", 100_000)
    async with on("romeo") as romeo:
        for _ in range(60):
            control.send_message("juliet", "romeo", "x" * 5_000)
        await ended(romeo)


async def test_a_thousand_buddies_at_once(
    control: Control, service: Service, on: SignOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    canonical = service.backend.person

    def person(name: str) -> object:
        nonlocal looked
        looked += 1
        return canonical(name)

    for number in range(1_000):
        control.create_account(f"b{number}", "pw", consent=False)
    monkeypatch.setattr(service.backend, "person", person)
    async with on("romeo") as romeo:
        await romeo.send("13/08", item("Group", 1, 0, 1), 1)
        await romeo.expect("13/0e")
        many = b"".join(item(f"b{number}", 1, number + 1, 0) for number in range(1_000))
        await romeo.send("13/08", many, 2)
        with trio.fail_after(60):
            assert (await romeo.expect("13/0e")).data == bytes(2_000)
    assert looked < 20_000  # and not a million times


# --- anything ---------------------------------------------------------------------------------


def send(to: str, channel: int, data: bytes) -> bytes:
    return b"12345678" + struct.pack(">H", channel) + s8(to) + tlv(2 if channel == 1 else 5, data)


def typed(kind: int, text: bytes) -> bytes:
    return struct.pack("<IBBH", 10002, kind, 0, len(text) + 1) + text + b"\0"


def asked(command: int, data: bytes = b"") -> bytes:
    inner = struct.pack("<IHH", 10001, command, 7) + data
    return tlv(1, struct.pack("<H", len(inner)) + inner)


def meta(subtype: int, data: bytes) -> bytes:
    return asked(0x7D0, struct.pack("<H", subtype) + data)


TEXT = bytes.fromhex("0501 0003 010102 0101 0006 0000 0000 6869")
UIN = struct.pack("<I", 10002)
ICON = bytes.fromhex("0001 01 10") + bytes(16)
RELAYED = wire.messages.encode_relayed(wire.messages.RelayedMessage(1, 0, b"yo"))
RELAY = bytes(10) + wire.people.SERVER_RELAY + tlv(0x2711, RELAYED)
HELLO = frame(1, bytes.fromhex("00000001") + tlv(6, COOKIE) + tlv(0x4A, b"\1"))
ENTERING = [
    snac(1, 0x17, "0001 0003 0013 0004", 1),
    snac(1, 6, "", 2),
    snac(1, 8, "0001 0002", 3),
    snac(1, 0x0E, "", 4),
    snac(2, 2, "", 5),
    snac(13, 2, "", 6),
    snac(0x13, 4, "", 7),
    snac(0x13, 5, "00000000 0001", 8),
    snac(4, 2, "0000 0000010b 1f40 03e7 03e7 00000000", 9),
    snac(2, 4, tlv(1, 'x; charset="utf-8"') + tlv(2, "me") + tlv(4, "out") + tlv(5, bytes(32)), 10),
    snac(0x13, 7, "", 11),
    snac(1, 0x1E, tlv(6, b"\0\0\0\x20") + tlv(0x1D, ICON), 12),
    snac(1, 0x11, "0000003c", 13),
    snac(1, 2, "0001 0003 0110 0629 0004 0001 0110 0629", 14),
]
DOING = [
    snac(4, 0x10, "", 20),
    snac(0x15, 2, asked(0x3C), 21),
    snac(0x15, 2, asked(0x3E), 22),
    *(snac(0x15, 2, meta(kind, UIN), 23) for kind in (0x4BA, 0x4D0, 0x51F)),
    snac(0x15, 2, meta(0x569, struct.pack("<HH", 0x136, 4) + UIN), 24),
    snac(0x15, 2, meta(0x424, b"\1\0\0\0"), 25),
    snac(0x15, 2, meta(0xC3A, struct.pack("<HHB", 0x2F8, 1, 0)), 26),
    snac(0x15, 2, meta(0x515, b"\3\0hi\0" * 3), 27),
    *(snac(4, 6, send(to, 1, TEXT), 28) for to in ("juliet", "10002", "nobody")),
    *(snac(4, 6, send("10002", 4, typed(kind, b"a\xfeb\xfec")), 29) for kind in (1, 6, 7, 8)),
    snac(4, 6, send("juliet", 2, RELAY), 30),
    snac(4, 0x14, bytes(8) + b"\0\1" + s8("juliet") + b"\0\2", 31),
    snac(0x13, 0x11, "", 32),
    snac(0x13, 8, item("Friends", 5, 0, 1, tlv(0xC8, b"\0\x09")), 33),
    snac(0x13, 8, item("juliet", 5, 9, 0, tlv(0x131, "J")) + item("10002", 5, 10, 0), 34),
    snac(0x13, 8, item("10002", 5, 10, 0, tlv(0x66, b"")), 35),
    snac(0x13, 0x12, "", 36),
    snac(0x13, 0x18, s8("10002") + bytes.fromhex("0002 6869 0000"), 37),
    snac(0x13, 0x1A, s8("juliet") + bytes.fromhex("01 0000 0000"), 38),
    snac(0x13, 9, item("Pals", 5, 0, 1, tlv(0xC8, b"\0\x09")), 39),
    snac(0x13, 8, item("juliet", 0, 20, 3) + item("1", 0, 23, 0x14, tlv(0xD5, ICON[2:])), 40),
    *(snac(0x13, 0x0A, item("juliet", group, number, cls), 41)
      for group, number, cls in ((0, 20, 3), (5, 9, 0))),
    snac(0x13, 0x0A, item("Pals", 5, 0, 1), 42),
    snac(2, 5, b"\0\3" + s8("juliet"), 43),
    snac(3, 4, s8("juliet") + s8("nobody"), 44),
    snac(1, 4, "0010", 45),
    snac(1, 4, "000d", 48),
    snac(0x0D, 2, "", 49),
    *(snac(0x0D, 3, exchange, 50) for exchange in ("0004", "0005")),
    snac(0x0D, 4, bytes.fromhex("0004") + s8("4-0-verona") + bytes.fromhex("0000 02"), 51),
    snac(0x0D, 8, bytes.fromhex("0004") + s8("create") + bytes.fromhex("ffff 01 0000"), 52),
    snac(0x10, 4, s8("juliet") + b"\1" + ICON, 46),
    snac(0x10, 2, b"\0\1\0\3GIF", 47),
    frame(4, b""),
]  # fmt: skip
LOGIN = [
    frame(1, bytes.fromhex("00000001")),
    snac(0x17, 6, tlv(1, "romeo"), 1),
    snac(0x17, 2, tlv(1, "romeo") + tlv(0x25, bytes(16)) + tlv(3, "x"), 2),
]
ROASTED = [frame(1, bytes.fromhex("00000001") + tlv(1, "romeo") + tlv(2, "abc"))]
SERVICES = (0x10, 0x0D, 0, 0, 0, 0, 0)  # 0 is the service proper; clients take turns


def bear(frames: list[bytes], seed: int) -> str:
    """Let a client say `frames`, not all as they are; returns how far it came."""
    random = Random(seed)  # noqa: S311
    service = Service(RealWorld(), Policy(several_sign_ons=bool(seed % 2)))
    control = Control(service)
    own = "10001" if seed % 5 == 0 else "romeo"
    for name in ("romeo", "juliet", "10001", "10002"):
        control.create_account(name, "pw", consent=bool(seed % 3))
    control.befriend(own, "juliet")
    control.send_message("10002", own, "Hi")
    link = Link(service, service.connect("oscar"), "oscar.example:5190")
    group = SERVICES[seed % 7]
    link.shared._tickets[COOKIE] = Ticket(service.backend.person(own), group, "", 1, float("inf"))
    reader, said = wire.FrameReader(), 0
    with contextlib.suppress(wire.RemoteProtocolError):
        for data in mutated(frames, random):
            reader.receive_data(data)
            for one in reader.frames():
                link._take_frame(one)
            if said < 20 and random.random() < 0.2:
                said += 1
                with contextlib.suppress(RequestRefused):
                    control.send_message("juliet", own, "yo")
                control.set_presence("juliet", random.choice(list(Show)[1:]), "x")
    for waiting in list(link._outbox):
        if waiting.value and link._speaker is not None:
            link._speaker.written(waiting.value)
    far = type(link._speaker).__name__
    link.leave()
    service.disconnect(link.connection)
    return far


@pytest.mark.parametrize("frames", [[HELLO, *ENTERING, *DOING], LOGIN, ROASTED], ids=len)
async def test_whatever_a_client_says_the_end_is_an_orderly_one(frames: list[bytes]) -> None:
    reached = {bear(frames, seed) for seed in range(CASES)}
    assert reached >= ({"Bos", "Icons", "ChatNav"} if frames[0] is HELLO else {"Login"})


async def test_client_gone_before_the_greeting_leaves_nothing(service: Service) -> None:
    listening = await listen("127.0.0.1", 0)
    [listener] = listening.listeners
    client = await dial("127.0.0.1", listening.port)
    stream = await listener.accept()
    assert isinstance(client, trio.SocketStream)
    client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    await client.aclose()  # by a reset
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    await serve(stream, service)
    assert not service.connections
    await listener.aclose()
