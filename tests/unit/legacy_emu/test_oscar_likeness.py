"""Messages on a front that is like Open OSCAR Server."""

import pytest

from legacy_emu.control import Control
from legacy_emu.policy import Likeness
from legacy_emu.service import Service
from tests.unit.legacy_emu.oscar_client import OscarWire, SignOn, s8, signing_on, tlv, tlvs

TAKES_HTML = bytes.fromhex("094600024c7f11d18222444553540000")
SAID = bytes.fromhex("0501 0001 01 0101 000b 0002 0000") + b"<b>\x01\x0d\0&"
STRIPPED = bytes.fromhex("0501 0001 01 0101 0008 0002 0000") + b"\x01\x0a\0&"


@pytest.fixture
def on(service: Service, control: Control) -> SignOn:
    control.set_policy(oscar=Likeness.OPEN_OSCAR_SERVER)
    for number in ("10001", "10002"):
        control.create_account(number, f"{number}-pw")
    return signing_on(service)


async def say(wire: OscarWire, to: str, fragments: bytes, request: int = 5) -> str:
    """Send TLV 2 as it is; return the number and the data of the answer."""
    text = tlv(2, fragments)
    await wire.send(
        "04/06", b"11223344\0\1" + s8(to) + text + bytes.fromhex("0003 0000 0006 0000"), request
    )
    while (answer := await wire.next()).request != request:
        pass
    return answer.number if answer.number == "04/0c" else answer.data.hex()


async def text_of(wire: OscarWire) -> bytes:
    """Return TLV 2 of the next message."""
    data = (await wire.expect("04/07")).data
    at = 10 + 1 + data[10] + 2
    count, at = int.from_bytes(data[at : at + 2], "big"), at + 2
    for _ in range(count):
        at += 4 + int.from_bytes(data[at + 2 : at + 4], "big")
    return tlvs(data[at:])[2]


@pytest.mark.parametrize(
    ("sender", "to", "capability", "left"),
    [
        ("10001", "10002", b"", STRIPPED),
        ("10001", "10002", TAKES_HTML, SAID),
        ("10001", "juliet", b"", STRIPPED),
        ("romeo", "10002", b"", SAID),
        ("romeo", "juliet", b"", SAID),
    ],
)
async def test_the_reader_decides_what_is_stripped(
    on: SignOn, sender: str, to: str, capability: bytes, left: bytes
) -> None:
    async with on(sender) as one, on(to) as two:
        await two.send("02/04", tlv(5, capability))
        await two.barrier()
        assert await say(one, to, SAID) == "04/0c"
        assert await text_of(two) == left


async def test_malformed_fragments_are_passed_on(on: SignOn, control: Control) -> None:
    fragments = bytes.fromhex("0101 0006 0000 0000") + b"ok" + bytes.fromhex("0101 0099 0000 0000")
    async with on("10001") as one, on("10002") as two:
        assert await say(one, "10002", fragments + b"bad") == "04/0c"
        assert await text_of(two) == fragments + b"bad"
    assert [each.fields["text"] for each in control.arrived(kind="message")] == ["okbad"]


async def test_names_and_numbers_get_what_was_stored(on: SignOn) -> None:
    two_fragments = SAID + bytes.fromhex("0101 0005 0000 0000") + b"!"
    async with on("10001") as number, on("romeo") as name:
        assert await say(number, "10002", two_fragments) == "04/0c"
        assert await say(name, "10002", two_fragments) == "04/0c"
    async with on("10002") as two:
        await two.send("15/02", tlv(1, bytes.fromhex("0800 12270000 3c00 0200")), 9)
        came = [await two.next() for _ in range(3)]
    [of_name] = [one for one in came if one.number == "04/07"]
    assert of_name.data.count(tlv(2, two_fragments)) == 1
    assert of_name.data[10:16] == s8("romeo")
    first, _ = [one for one in came if one.number == "15/03"]
    # A number's: the first fragment, decoded, and not stripped.
    assert first.data.endswith("\u3c62\u3e01\u0d00\0".encode())


async def test_stored_messages_of_names_bore_no_name(on: SignOn, control: Control) -> None:
    control.set_policy(oscar=Likeness.OPEN_OSCAR_SERVER_0_23)
    async with on("romeo") as name:
        await say(name, "10002", SAID)
    async with on("10002") as two:
        await two.send("15/02", tlv(1, bytes.fromhex("0800 12270000 3c00 0200")), 9)
        came = (await two.next()).data
        assert came[14:18] == bytes(4)
        assert came.endswith(SAID[-7:] + b"\0")


@pytest.mark.parametrize(
    ("likeness", "answer"),
    [(Likeness.OPEN_OSCAR_SERVER, "04/0c"), (Likeness.OPEN_OSCAR_SERVER_0_23, "0004")],
)
async def test_stored_messages_are_answered_by_version(
    on: SignOn, control: Control, likeness: Likeness, answer: str
) -> None:
    control.set_policy(oscar=likeness)
    async with on("10001") as number, on("romeo") as name:
        assert await say(number, "10002", SAID) == answer
        assert await say(name, "10002", SAID) == "04/0c"
    assert len(control.kept("10002")) == 2


async def test_ten_messages_of_one_sender_wait(on: SignOn) -> None:
    async with on("10001") as one, on("romeo") as romeo:
        for number in range(10):
            assert await say(one, "10002", SAID, number + 20) == "04/0c"
        assert await say(one, "10002", SAID) == "000400080002000f"
        assert await say(romeo, "10002", SAID) == "04/0c"
        assert await say(one, "juliet", SAID) == "04/0c"


async def test_refusals_say_little(on: SignOn, control: Control) -> None:
    control.block("10001", "tybalt")
    control.block("juliet", "10001")
    async with on("10001") as one:
        for to, answer in (("paris", "0004"), ("juliet", "0004"), ("tybalt", "0010")):
            assert await say(one, to, SAID) == answer
