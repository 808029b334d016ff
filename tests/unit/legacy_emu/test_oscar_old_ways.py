"""What few clients do, and what old ones did: asking on channel 4, URLs, giving leave unasked."""

import pytest

from legacy_emu.control import Control
from legacy_emu.service import Service
from tests.unit.legacy_emu.oscar_client import (
    OscarWire,
    SignOn,
    connecting,
    im,
    item,
    log_in,
    md5,
    s8,
    s16,
    signing_on,
    tlv,
)
from tests.unit.legacy_emu.test_oscar_list import AWAITING, edit, listed

GROUP = item("Pals", 1, 0, 1)


@pytest.fixture
def on(service: Service) -> SignOn:
    return signing_on(service)


@pytest.fixture
def icq(control: Control) -> Control:
    for number in ("10001", "10002"):
        control.create_account(number, f"{number}-pw", f"nick {number}")
    return control


def typed(to: str, kind: int, text: bytes, sender: int = 10001) -> bytes:
    """The body of a 04/06 on channel 4."""
    data = sender.to_bytes(4, "little") + bytes([kind, 0])
    data += (len(text) + 1).to_bytes(2, "little") + text + b"\0"
    return bytes(8) + b"\0\4" + s8(to) + tlv(5, data) + tlv(3, b"") + tlv(6, b"")


async def old_client(wire: OscarWire, cookie: bytes) -> None:
    """Sign on as a client that knows no list."""
    await wire.next_frame()
    await wire.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
    await wire.send("01/02", "0001 0003")
    await wire.expect("0b/02")


async def test_an_old_client_says_no(icq: Control, on: SignOn, service: Service) -> None:
    connect = connecting(service)
    async with connect() as login:
        cookie = await log_in(login, "10001", "10001-pw")
    async with connect() as old, on("10002") as new:
        await old_client(old, cookie)
        await edit(new, "13/08", GROUP, item("10001", 1, 1, 0, AWAITING))
        await new.send("13/18", s8("10001") + s16("hi") + b"\0\0")
        assert bytes.fromhex("12270000 06 00") in (await old.next()).data
        await old.send("04/06", typed("10002", 7, b"never"), 5)
        denied = await new.expect("13/1b")
        assert denied.data[8:] == s8("10001") + b"\0" + s16("never") + b"\0\0"
    assert icq.arrived(kind="message") == []


async def test_an_address_comes_with_what_it_is(icq: Control, on: SignOn) -> None:
    async with on("10001") as one, on("10002") as two:
        await one.send("04/06", typed("10002", 4, b"look\xfehttp://x"), 2)
        assert (await one.next()).number == "04/0c"
        assert b"\0\0\0\0look\nhttp://x" in (await two.next()).data
        await one.send("04/06", typed("10002", 4, b"\xfehttp://y"), 2)
        assert b"\0\0\0\0http://y" in (await two.next()).data
        await one.send("04/06", typed("10002", 0xE8, b""), 3)  # what he says of being away
        assert (await one.expect("04/01")).data == b"\0\x09"
        assert await two.barrier() == []


async def test_who_is_welcome_is_not_asked(icq: Control, on: SignOn) -> None:
    async with on("10001") as one, on("10002") as two:
        await one.send("13/14", s8("10002") + s16("come in") + b"\0\0")
        told = await two.next()
        assert (told.number, told.data[8:]) == ("13/15", s8("10001") + s16("come in") + b"\0\0")
        await edit(two, "13/08", GROUP)
        assert await edit(two, "13/08", item("10001", 1, 1, 0)) == "0000"
        assert (await two.expect("03/0b")).data.startswith(s8("10001"))
        assert listed(icq, "10002") == [("10001", "nick 10001", ("Pals",), True)]
        # Who has asked already is let in.
        await edit(one, "13/08", GROUP, item("10002", 1, 1, 0, AWAITING))
        await one.send("13/18", s8("10002") + s16("") + b"\0\0")
        await two.expect("13/19")
        await two.send("13/14", s8("10001") + s16("") + b"\0\0")
        assert (await one.expect("13/1b")).data[8:] == s8("10002") + b"\1" + bytes(4)
        await one.send("13/14", s8("nobody") + s16("") + b"\0\0")
        await one.send("13/16", s8("nobody"))
        await one.barrier()


async def test_taking_oneself_off_the_list_of_somebody(icq: Control, on: SignOn) -> None:
    icq.befriend("10002", "10001")
    async with on("10001") as one, on("10002") as two:
        assert [each.number for each in two.passed].count("03/0b") <= 1
        await one.send("13/16", s8("10002"))
        gone = await two.expect("03/0c")
        assert gone.data.startswith(s8("10001"))
        assert listed(icq, "10002") == [("10001", "nick 10001", (), False)]
        await two.barrier()


async def test_an_icon_is_taken_away(control: Control, on: SignOn, service: Service) -> None:
    control.befriend("romeo", "juliet")
    control.set_avatar("juliet", "iVBORyBwaWN0dXJl")
    icon = tlv(0xD5, b"\0\x10" + md5(b"\x89PNG picture"))
    async with on("romeo") as romeo, on("juliet") as juliet:
        await romeo.expect("03/0b")
        await edit(juliet, "13/08", item("1", 0, 5, 0x14, icon))
        await juliet.send("13/0a", item("1", 0, 5, 0x14, icon), 4)
        assert (await juliet.expect("13/0e")).data == b"\0\0"
        shown = await romeo.expect("03/0b")
        assert b"\0\x1d" not in shown.data
    assert service.backend.person("juliet").avatar is None


async def test_an_icon_is_exchanged_for_none(
    control: Control, on: SignOn, service: Service
) -> None:
    control.set_avatar("juliet", "iVBORyBwaWN0dXJl")
    icon = tlv(0xD5, b"\0\x10" + md5(b"\x89PNG picture"))
    none = tlv(0xD5, bytes.fromhex("0005 0201d20472"))
    async with on("juliet") as juliet:
        await edit(juliet, "13/08", item("1", 0, 5, 0x14, icon))
        assert service.backend.person("juliet").avatar is not None
        await edit(juliet, "13/09", item("1", 0, 5, 0x14, none))
    assert service.backend.person("juliet").avatar is None


async def test_an_automatic_answer_is_a_message_too(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo, on("juliet") as juliet:
        await romeo.send("04/06", im("juliet", "back soon", extra="0004 0000"))
        assert b"back soon</BODY>" in (await juliet.expect("04/07")).data
        assert await romeo.barrier() == []  # it asks for no answer
    [arrived] = control.arrived(kind="message")
    assert arrived.fields["refused"] is None
