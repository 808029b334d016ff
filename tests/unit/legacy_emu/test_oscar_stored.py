"""What Open OSCAR Server stores for ICQ numbers, in literal bytes as that server was seen to send.

Seen at v0.24.0 and 31 commits, and at v0.23.0.
"""

import pytest

from legacy_emu.control import Control
from legacy_emu.faults import Kind
from legacy_emu.policy import Likeness
from legacy_emu.service import Service
from tests.unit.legacy_emu.oscar_client import (
    OscarWire,
    SignOn,
    Snac,
    im,
    item,
    s8,
    s16,
    signing_on,
    tlv,
)

QUERY, DELETE = "0001 000a 0800 11270000 3c00 0200", "0001 000a 0800 11270000 3e00 0300"
END = "0001000b0900112700004200020000"
VERSION = bytes.fromhex("0006 0001 0002 0002")
NEW, OLD = Likeness.OPEN_OSCAR_SERVER, Likeness.OPEN_OSCAR_SERVER_0_23
AWAITING = bytes.fromhex("0066 0000")


@pytest.fixture
def on(service: Service) -> SignOn:
    return signing_on(service)


@pytest.fixture
def icq(control: Control) -> Control:
    for name in ("10001", "10002", "10003"):
        control.create_account(name, f"{name}-pw", f"nick {name}")
    control.set_policy(oscar=NEW)
    return control


async def fetch(wire: OscarWire) -> list[Snac]:
    """Ask for what is stored; return what comes in front of the end."""
    await wire.send("15/02", QUERY, 0x30)
    *came, end = await wire.barrier()
    assert (end.number, end.data.hex()) == ("15/03", END)
    return came


def miss_everything(icq: Control) -> None:
    """Let 10001 miss a request, a refusal, an addition and a message."""
    icq.add_contact("10002", "10001", reason="please. let. me")
    icq.add_contact("10001", "10003")
    icq.deny("10003", "10001", "no")
    icq.befriend("juliet", "10001")
    icq.send_message("10002", "10001", "Hi")


async def test_stored_authorisations_come_until_deleted(icq: Control, on: SignOn) -> None:
    async with on("10001") as one:
        assert await fetch(one) == []  # who has added the number by now is known
    miss_everything(icq)
    for _ in range(2):
        async with on("10001") as one:
            assert await one.barrier() == []
            asked, denied, added, message = await fetch(one)
            assert (asked.number, asked.flags) == ("13/19", 0x8000)
            assert asked.data == VERSION + s8("10002") + s16("please. let. me") + b"\0\0"
            assert (denied.number, denied.flags) == ("13/1b", 0x8000)
            assert denied.data == VERSION + s8("10003") + b"\0" + s16("no") + b"\0\0"
            assert (added.number, added.flags) == ("13/1c", 0x8000)
            assert added.data == VERSION + s8("juliet") + b"\0\0"
            assert message.data[10:12] == b"\x41\0"
    icq.deny("10001", "10002")  # what is stored is stored, whatever has become of it
    async with on("10001") as one:
        assert [each.number for each in await fetch(one)] == ["13/19", "13/1b", "13/1c", "15/03"]
        await one.send("15/02", DELETE)
        assert await fetch(one) == []
    async with on("10001") as one:
        assert await fetch(one) == []
    assert icq.kept("10001") == ()


@pytest.mark.parametrize(("likeness", "uses_list"), [(OLD, True), (NEW, False)])
async def test_stored_authorisations_come_as_messages(
    icq: Control, on: SignOn, likeness: Likeness, uses_list: bool
) -> None:
    icq.set_policy(oscar=likeness)
    async with on("10001", uses_list=uses_list):
        pass
    miss_everything(icq)
    async with on("10001", uses_list=uses_list) as one:
        kinds = [(each.number, each.data[24]) for each in await fetch(one)]
        assert kinds == [("15/03", 6), ("15/03", 7), ("15/03", 0x0C), ("15/03", 1)]


async def test_fetching_by_icbm_deletes_everything(icq: Control, on: SignOn) -> None:
    async with on("10001"):
        pass
    miss_everything(icq)
    for expected in (["0001", "0004", "0004", "0004"], []):
        async with on("10001") as one:
            await one.send("04/10", request=5)
            *came, done = await one.barrier()
            assert (done.number, done.request) == ("04/17", 5)
            assert [each.data[8:10].hex() for each in came] == expected
            assert await fetch(one) == []


async def test_live_authorisations_are_not_stored(icq: Control, on: SignOn) -> None:
    async with on("10001") as one:
        icq.add_contact("10002", "10001", reason="now")
        assert (await one.next()).number == "13/19"
        assert await fetch(one) == []
    async with on("10001") as one:
        assert await fetch(one) == []


# --- what cannot be read ------------------------------------------------------------------------

BROKEN = [
    bytes.fromhex("0501 0003 010101 0101 0020") + bytes(4) + b"Hi",  # 32 bytes are claimed
    bytes.fromhex("0501 0003 010101"),  # no text
    b"",
]


async def is_cut(wire: OscarWire) -> None:
    await wire.send("15/02", QUERY, 0x30)
    while (frame := await wire.next_frame()) != (0, b""):
        assert frame[0] == 2


async def poison(on: SignOn, broken: bytes = BROKEN[0], answer: str = "04/0c") -> None:
    async with on("10002") as two:
        body = b"11223344" + b"\0\1" + s8("10001") + tlv(2, broken) + bytes.fromhex("0003 0000")
        await two.send("04/06", body + bytes.fromhex("0006 0000"), 7)
        taken = await two.expect(answer)
        assert taken.request == 7
        await two.send("04/06", im("10001", "behind it"), 8)
        await two.expect(answer)


@pytest.mark.parametrize("likeness", [OLD, NEW])
@pytest.mark.parametrize("broken", BROKEN)
async def test_an_unreadable_message_cuts_each_query(
    icq: Control, on: SignOn, likeness: Likeness, broken: bytes
) -> None:
    icq.set_policy(oscar=likeness)
    await poison(on, broken, "04/01" if likeness is OLD else "04/0c")
    for _ in range(2):
        async with on("10001") as one:
            await is_cut(one)
    async with on("10001") as one:
        await one.send("04/10", request=5)
        *came, _done = await one.barrier()
        assert any(tlv(2, broken) in each.data for each in came)
        assert any(b"behind it" in each.data for each in came)
        assert await fetch(one) == []


async def test_unreadable_messages_are_deleted_unseen(icq: Control, on: SignOn) -> None:
    await poison(on)
    async with on("10001") as one:
        await one.send("15/02", DELETE)
        assert len(await fetch(one)) == 1
        await one.send("15/02", DELETE)
    async with on("10001") as one:
        assert await fetch(one) == []


async def test_poison_is_healed_by_deleting(icq: Control, on: SignOn) -> None:
    for number, body in (("15/02", DELETE), ("04/10", "")):
        icq.set_fault(Kind.POISON, account="10001")
        icq.set_fault(Kind.POISON, account="10002")
        async with on("10001") as one:
            await is_cut(one)
        async with on("10001") as one:
            await one.send(number, body)
            assert [each for each in await fetch(one) if each.number != "04/17"] == []
        assert [each.account for each in icq.faults().values()] == ["10002"]
        icq.clear_faults()


# --- who is asked -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("likeness", "consent", "result"),
    [
        (NEW, None, "000e"),
        (NEW, False, "0000"),
        (OLD, None, "0000"),
        (OLD, True, "000e"),
    ],
)
async def test_numbers_are_asked_as_the_server_has_it(
    icq: Control, on: SignOn, likeness: Likeness, consent: bool | None, result: str
) -> None:
    icq.set_policy(oscar=likeness, consent=likeness is OLD)
    icq.create_account("10009", "pw", consent=consent)
    async with on("10001") as one:
        await one.send("13/08", item("Pals", 1, 0, 1) + item("10009", 1, 2, 0), 0x31)
        assert (await one.expect("13/0e")).data.hex() == f"0000{result}"


async def test_a_name_adding_a_number_is_not_told(icq: Control, on: SignOn) -> None:
    icq.set_policy(several_sign_ons=True)
    async with on("romeo") as romeo, on("romeo") as other, on("10001") as one:
        await romeo.send("13/08", item("Pals", 1, 0, 1) + item("10001", 1, 2, 0), 0x31)
        assert [each.number for each in await romeo.barrier()] == ["13/0e"]
        assert (await one.expect("13/19")).data.find(s8("romeo")) > 0
        pushed = b"".join(each.data for each in await other.barrier())
        assert item("10001", 1, 2, 0, AWAITING) in pushed
        await romeo.send("13/04", request=0x32)
        assert item("10001", 1, 2, 0, AWAITING) in (await romeo.expect("13/06")).data
        icq.grant("10001", "romeo")
        came = await romeo.barrier()
        assert any(item("10001", 1, 2, 0) in each.data for each in came)
        assert "13/1b" in [each.number for each in came]


async def test_a_kick_has_an_address_for_more(icq: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        icq.kick("romeo", text="closing time")
        channel, payload = await romeo.next_frame()
        assert (channel, b"https://" in payload, b"closing" in payload) == (4, True, False)
