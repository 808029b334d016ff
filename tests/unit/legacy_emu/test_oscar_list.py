"""The OSCAR front's contact list in literal bytes: edits from all sides, authorisation, ICQ."""

import pytest

from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.service import Service
from tests.unit.legacy_emu.conftest import Connect as WebConnect
from tests.unit.legacy_emu.oscar_client import (
    OscarWire,
    SignOn,
    connecting,
    item,
    log_in,
    s8,
    s16,
    sign_on,
    signing_on,
    tlv,
)

AWAITING = bytes.fromhex("0066 0000")


@pytest.fixture
def on(service: Service) -> SignOn:
    return signing_on(service)


@pytest.fixture
def icq(control: Control) -> Control:
    for name in ("10001", "10002"):
        control.create_account(name, f"{name}-pw", f"nick {name}", {"city": "Verona"})
    return control


def listed(control: Control, account: str) -> list[tuple[str, str, tuple[str, ...], bool]]:
    return [(each.address, each.name, each.groups, each.sees) for each in control.contacts(account)]


async def edit(wire: OscarWire, number: str, *items: bytes) -> str:
    """Send an edit and return its results, two bytes each."""
    await wire.send(number, b"".join(items), 0x31)
    result = await wire.expect("13/0e")
    assert result.request == 0x31
    return result.data.hex(" ", 2)


# --- edits of the client ----------------------------------------------------------------------


async def test_a_client_adds_renames_moves_and_removes(control: Control, on: SignOn) -> None:
    control.set_presence("juliet", Show.ONLINE)
    async with on("romeo") as romeo:
        await romeo.send("13/11")
        # A group and a buddy in one SNAC, the buddy first: the group goes first all the same.
        zoe = tlv(0x131, "Zo\u00eb")
        added = await edit(romeo, "13/08", item("Juliet", 1, 2, 0, zoe), item("Pals", 1, 0, 1))
        assert added == "0000 0000"
        assert (await romeo.next()).number == "03/0b"  # who is online shows at once
        order = tlv(0xC8, b"\0\2")
        assert await edit(romeo, "13/09", item("Pals", 1, 0, 1, order)) == "0000"
        await romeo.send("13/12")
        assert await romeo.barrier() == []
        assert listed(control, "romeo") == [("juliet", "Zo\u00eb", ("Pals",), True)]

        await edit(romeo, "13/09", item("juliet", 1, 2, 0, tlv(0x131, "J.") + tlv(0x13C, "a note")))
        assert listed(control, "romeo") == [("juliet", "J.", ("Pals",), True)]
        await edit(romeo, "13/09", item("Friends", 1, 0, 1, order))
        assert listed(control, "romeo") == [("juliet", "J.", ("Friends",), True)]

        # To another group: taken off and added, in one transaction.
        await romeo.send("13/11")
        await edit(romeo, "13/08", item("Capulets", 2, 0, 1))
        assert await edit(romeo, "13/0a", item("juliet", 1, 2, 0)) == "0000"
        assert await edit(romeo, "13/08", item("juliet", 2, 1, 0, tlv(0x131, "J."))) == "0000"
        await romeo.send("13/12")
        await romeo.barrier()
        assert listed(control, "romeo") == [("juliet", "J.", ("Capulets",), True)]
        assert control.arrived(kind="remove") == []

        await romeo.send("13/11")
        await edit(romeo, "13/0a", item("juliet", 2, 1, 0))
        await romeo.barrier()
        assert control.arrived(kind="remove") == []
        await romeo.send("13/12")
        await romeo.barrier()
        assert listed(control, "romeo") == []
        # A group and who is in it go in one SNAC.
        await edit(romeo, "13/08", item("tybalt", 1, 3, 0))
        removed = await edit(romeo, "13/0a", item("Friends", 1, 0, 1), item("tybalt", 1, 3, 0))
        assert removed == "0000 0000"
        assert listed(control, "romeo") == []


async def test_what_cannot_be_done_has_a_code(control: Control, on: SignOn) -> None:
    control.set_policy(max_contacts=1)
    control.befriend("romeo", "juliet", ("Pals",))
    async with on("romeo") as romeo:
        for number, bad, code in [
            ("13/08", item("nobody", 1, 7, 0), "0010"),
            ("13/08", item("\u00a0", 1, 7, 0), "0010"),
            ("13/08", item("romeo", 1, 7, 0), "000a"),
            ("13/08", item("tybalt", 1, 7, 0), "000c"),
            ("13/08", item("tybalt", 9, 7, 0), "000a"),  # there is no such group
            ("13/08", item("Juliet", 1, 7, 0), "0003"),  # she is in it already
            ("13/08", item("juliet", 1, 1, 0), "0003"),
            ("13/08", item("nobody", 0, 7, 3), "0010"),
            ("13/09", item("tybalt", 1, 1, 0), "000a"),  # that is juliet's
            ("13/09", item("tybalt", 1, 9, 0), "0002"),
            ("13/0a", item("tybalt", 1, 9, 0), "0002"),
            ("13/0a", item("Pals", 1, 0, 1), "000a"),  # somebody is in it
            ("13/0a", item("", 0, 0, 1), "000a"),
        ]:
            assert await edit(romeo, number, bad) == code, bad
        await romeo.send("13/04", request=1)
        bag = (await romeo.expect("13/06")).data
        assert bag[1:3] == b"\0\3"
    assert listed(control, "romeo") == [("juliet", "juliet", ("Pals",), True)]


async def test_items_nobody_knows_are_kept_as_they_are(control: Control, on: SignOn) -> None:
    control.befriend("romeo", "juliet", ("Pals",))
    privacy = item("", 0, 4, 4, tlv(0xCA, b"\4") + tlv(0xCB, b"\xff" * 4))
    strange = item("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), 0, 5, 0x7A)
    async with on("romeo") as romeo:
        assert await edit(romeo, "13/08", privacy, strange) == "0000 0000"
        note = item("juliet", 1, 1, 0, tlv(0x13C, "a note") + tlv(0x7A7A, "?"))
        assert await edit(romeo, "13/09", note) == "0000"
    async with on("romeo") as romeo:
        await romeo.send("13/04", request=1)
        bag = (await romeo.expect("13/06")).data
        assert privacy in bag
        assert strange in bag
        assert note in bag


async def test_an_unchanged_list_is_not_sent_again(control: Control, on: SignOn) -> None:
    control.befriend("romeo", "juliet")
    async with on("romeo") as romeo:
        await romeo.send("13/04", request=1)
        bag = (await romeo.expect("13/06")).data
        known = bag[-4:] + b"\0\3"
        await romeo.send("13/05", known, 2)
        same = await romeo.next()
        assert (same.number, same.request, same.data) == ("13/0f", 2, known)
        control.befriend("romeo", "tybalt")
        await romeo.barrier()
        await romeo.send("13/05", known, 3)
        assert (await romeo.next()).number == "13/06"


async def test_a_long_list_comes_in_parts(control: Control, service: Service, on: SignOn) -> None:
    for number in range(500):
        control.create_account(f"friend {number}", "pw")
        service.backend.befriend("romeo", f"friend {number}", (f"group {number % 7}",))
    async with on("romeo") as romeo:
        await romeo.send("13/04", request=5)
        first = await romeo.next()
        assert (first.number, first.flags, first.request) == ("13/06", 1, 5)
        assert first.data[-4:] == bytes(4)
        parts = [first]
        while parts[-1].flags:
            parts.append(await romeo.next())
        assert sum(int.from_bytes(each.data[1:3], "big") for each in parts) == 508
        assert all(len(each.data) < 8192 for each in parts)
        assert parts[-1].data[-4:] != bytes(4)


async def test_blocking(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        assert await edit(romeo, "13/08", item("Tybalt", 0, 7, 3)) == "0000"
        assert [each.blocked for each in control.contacts("romeo")] == [True]
        assert await edit(romeo, "13/0a", item("Tybalt", 0, 7, 3)) == "0000"
        assert listed(control, "romeo") == []
        control.block("romeo", "tybalt")
        assert [each.number for each in await romeo.barrier()] == ["13/11", "13/08", "13/12"]
        control.unblock("romeo", "tybalt")
        pushed = await romeo.barrier()
        assert [each.number for each in pushed] == ["13/11", "13/0a", "13/12"]
        assert pushed[1].data == item("tybalt", 0, 1, 3)


# --- edits from elsewhere ---------------------------------------------------------------------


async def test_edits_of_one_client_reach_the_other(control: Control, on: SignOn) -> None:
    control.set_policy(several_sign_ons=True)
    async with on("romeo") as one, on("romeo") as two:
        pals = item("Pals", 1, 0, 1, tlv(0xC8, b"\0\2"))
        juliet = item("juliet", 1, 2, 0)
        await one.send("13/08", pals + juliet, 4)
        assert [each.number for each in await one.barrier()] == ["13/0e"]
        pushed = await two.barrier()
        assert [each.number for each in pushed] == ["13/11", "13/08", "13/12"]
        assert pushed[1].data == pals + juliet
        assert pushed[1].request == 0x80000000


async def test_edits_on_the_web_page_reach_the_client(
    control: Control, on: SignOn, connect: WebConnect
) -> None:
    control.set_policy(several_sign_ons=True)
    async with connect() as page, on("romeo") as romeo:
        await page.sign_on("romeo")
        await page.send("add_contact", ref="1", address="Juliet", name="J", groups=["A", "B"])
        pushed = await romeo.barrier()
        assert [each.number for each in pushed] == ["13/11", "13/08", "13/09", "13/12"]
        alias = tlv(0x131, "J")
        assert pushed[1].data == (
            item("A", 1, 0, 1)
            + item("juliet", 1, 1, 0, alias + AWAITING)
            + item("B", 2, 0, 1)
            + item("juliet", 2, 1, 0, alias + AWAITING)
        )
        assert pushed[2].data == (
            item("", 0, 0, 1, tlv(0xC8, b"\0\1\0\2"))
            + item("A", 1, 0, 1, tlv(0xC8, b"\0\1"))
            + item("B", 2, 0, 1, tlv(0xC8, b"\0\1"))
        )
        control.grant("juliet", "romeo")
        assert [each.number for each in await romeo.barrier()] == [
            "13/1b",
            "13/11",
            "13/09",
            "13/12",
        ]
        await page.send("change_contact", ref="2", address="Juliet", name="", groups=["B"])
        pushed = await romeo.barrier()
        numbers = ["13/11", "13/0a", "13/09", "13/0a", "13/09", "13/12"]
        assert [each.number for each in pushed] == numbers
        assert [each.data for each in pushed[1:-1]] == [
            item("juliet", 1, 1, 0, alias),
            item("juliet", 2, 1, 0),
            item("A", 1, 0, 1, tlv(0xC8, b"\0\1")),
            item("", 0, 0, 1, tlv(0xC8, b"\0\2")),
        ]
        await page.send("remove_contact", ref="3", address="Juliet")
        pushed = await romeo.barrier()
        assert pushed[1].number == "13/0a"
        assert pushed[1].data.startswith(item("juliet", 2, 1, 0))
        # And the other way round.
        await edit(romeo, "13/08", item("Pals", 1, 0, 1), item("tybalt", 1, 1, 0))
        while (changed := await page.expect("contact_changed"))["contact"]["address"] != "tybalt":
            pass
        assert changed["contact"]["groups"] == ["Pals"]


async def test_contacts_without_a_group_stay_without(control: Control, on: SignOn) -> None:
    control.befriend("romeo", "juliet")
    async with on("romeo") as romeo:
        await edit(romeo, "13/09", item("juliet", 1, 1, 0, tlv(0x131, "J")))
    assert listed(control, "romeo") == [("juliet", "J", (), True)]


async def test_a_lost_connection_ends_its_transaction(control: Control, on: SignOn) -> None:
    control.befriend("romeo", "juliet", ("Pals",))
    async with on("romeo") as romeo:
        await romeo.send("13/11")
        await edit(romeo, "13/0a", item("juliet", 1, 1, 0))
    assert control.contacts("romeo") == ()
    assert len(control.arrived(kind="remove")) == 1


# --- asking -----------------------------------------------------------------------------------


async def test_an_icq_number_is_asked_first(icq: Control, on: SignOn) -> None:
    async with on("10001") as one, on("10002") as two:
        await edit(one, "13/08", item("Pals", 1, 0, 1))
        assert await edit(one, "13/08", item("10002", 1, 5, 0)) == "000e"
        assert listed(icq, "10001") == []
        assert await edit(one, "13/08", item("10002", 1, 5, 0, AWAITING)) == "0000"
        assert listed(icq, "10001") == []  # nobody has been asked yet
        await one.send("13/18", s8("10002") + s16("hi") + b"\0\0")
        asked = await two.next()
        assert (asked.number, asked.flags) == ("13/19", 0x8000)
        assert asked.data.hex(" ") == (
            "00 06 00 01 00 02 00 02 05 31 30 30 30 31 00 02 68 69 00 00"
        )
        assert await one.barrier() == []
        await two.send("13/1a", s8("10001") + b"\1" + s16("yes") + b"\0\0")
        assert await two.barrier() == []  # he has not been added unasked
        answered = await one.next()
        assert answered.data[8:] == s8("10002") + b"\1" + bytes(4)
        pushed = await one.barrier()
        assert [each.number for each in pushed] == ["13/11", "13/09", "13/12", "03/0b"]
        assert pushed[1].data == item("10002", 1, 5, 0)  # it awaits nothing any more
        # The one that was asked is now on nobody's list but 10001's; it adds him back at once.
        await edit(two, "13/08", item("Pals", 1, 0, 1), item("10001", 1, 1, 0, AWAITING))
        await two.send("13/18", s8("10001") + s16("") + b"\0\0")
        await one.expect("13/19")
        await one.send("13/1a", s8("10002") + b"\0" + s16("no!"))
        denied = await two.expect("13/1b")
        assert denied.data[8:] == s8("10001") + b"\0" + s16("no!") + b"\0\0"


async def test_libpurple_asks_first_and_adds_then(icq: Control, on: SignOn) -> None:
    async with on("10001") as one:
        assert await edit(one, "13/08", item("Pals", 1, 0, 1)) == "0000"
        assert await edit(one, "13/08", item("10002", 1, 1, 0)) == "000e"
        await one.send("13/18", s8("10002") + s16("hi") + b"\0\0")
        assert await one.barrier() == []
        assert await edit(one, "13/08", item("10002", 1, 1, 0, AWAITING)) == "0000"
        assert await one.barrier() == []
        assert listed(icq, "10001") == [("10002", "nick 10002", ("Pals",), False)]
        # Who does not add him has him on the list all the same, from the next sign-on.
        await one.send("13/18", s8("juliet") + s16("") + b"\0\0")
    async with on("10001") as one:
        await one.send("13/04", request=1)
        assert b"\0\6juliet\0\2" in (await one.expect("13/06")).data


async def test_who_was_asked_while_he_was_away_hears_it_later(icq: Control, on: SignOn) -> None:
    icq.add_contact("10002", "10001", reason="let me in")
    async with on("10001") as one:
        [asked] = [each for each in one.passed if each.number == "13/19"]
        assert asked.data[8:] == s8("10002") + s16("let me in") + b"\0\0"
        await one.barrier()
    assert icq.kept("10001") == ()


async def test_aim_names_are_added_at_once_unless_they_insist(
    icq: Control, on: SignOn, service: Service
) -> None:
    icq.create_account("shy", "pw", consent=True)
    async with on("romeo") as romeo:
        await edit(romeo, "13/08", item("Pals", 1, 0, 1), item("tybalt", 1, 1, 0))
        assert listed(icq, "romeo") == [("tybalt", "tybalt", ("Pals",), True)]
        # An AIM account does not know how to ask: the service does it for him.
        for place, name in enumerate(("shy", "10001"), 2):
            assert await edit(romeo, "13/08", item(name, 1, place, 0)) == "0000"
            pushed = await romeo.expect("13/09")
            assert pushed.data.startswith(item(name, 1, place, 0, AWAITING))
    assert [each.asking for each in service.backend.contacts("10001")] == [True]


async def test_you_were_added(icq: Control, on: SignOn) -> None:
    icq.set_policy(consent=False)
    async with on("10001") as one, on("10002") as two:
        await edit(two, "13/08", item("Pals", 1, 0, 1), item("10001", 1, 1, 0))
        added = await one.next()
        assert added.number == "13/1c"
        assert added.data[8:] == s8("10002") + b"\0\0"
    icq.add_contact("juliet", "10001")
    async with on("10001") as one:  # it was away: now it hears it on channel 4
        [late] = [each for each in one.passed if each.number == "04/07"]
        assert late.data[8:17] == b"\0\4\6juliet"
        assert bytes.fromhex("0005 0012 00000000 0c 00 0a00") + b"juliet\xfe\xfe\xfe\0" in late.data
    async with on("10001") as one:
        assert [each for each in one.passed if each.number == "04/07"] == []


async def test_old_icq_clients_ask_on_channel_4(icq: Control, service: Service) -> None:
    """They have no list here: they are asked there, too."""
    connect = connecting(service)
    async with connect() as login:
        cookie = await log_in(login, "10001", "10001-pw")
    async with connect() as login:
        other = await log_in(login, "10002", "10002-pw")
    async with connect() as old, connect() as new:
        await sign_on(new, other)
        await old.next_frame()
        await old.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
        await old.send("01/02", "0001 0003")
        await old.expect("0b/02")

        def typed(kind: int, text: bytes) -> bytes:
            size = (len(text) + 1).to_bytes(2, "little")
            return tlv(5, bytes.fromhex("11270000") + bytes([kind, 0]) + size + text + b"\0")

        lead = bytes(8) + b"\0\4" + s8("10002")
        request = b"nick\xfe\xfe\xfe\xfe1\xfelet me in"
        await old.send("04/06", lead + typed(6, request) + tlv(3, b""), 5)
        assert (await old.next()).number == "04/0c"
        asked = await new.next()
        assert asked.data[8:] == s8("10001") + s16("let me in") + b"\0\0"
        await new.send("13/1a", s8("10001") + b"\0" + s16("no"))
        denied = await old.next()
        assert denied.number == "04/07"
        assert bytes.fromhex("12270000 07 00 0300") + b"no\0" in denied.data

        icq.add_contact("10002", "10001", reason="and I?")
        asked = await old.next()
        said = b"10002\xfe\xfe\xfe\xfe1\xfeand I?\0"
        block = bytes.fromhex("12270000 06 00") + len(said).to_bytes(2, "little") + said
        assert tlv(5, block) in asked.data
        await old.send("04/06", lead + typed(8, b""), 6)
        answered = await new.expect("13/1b")
        assert answered.data[8:] == s8("10001") + b"\1" + bytes(4)


# --- ICQ --------------------------------------------------------------------------------------


async def test_what_icq_clients_ask_about_others(icq: Control, on: SignOn) -> None:
    async with on("10001") as one:
        await one.send_bytes(
            "2a 02 00 01 00 1e 00 15 00 02 00 00 00 00 00 31 00 01 00 10 0e 00 11 27 00 00 d0"
            "07 03 00 ba 04 12 27 00 00"
        )
        info = await one.next()
        assert (info.number, info.request) == ("15/03", 0x31)
        nick = b"\x0b\0nick 10002\0"
        assert info.data[4:] == (
            len(info.data[6:]).to_bytes(2, "little")
            + bytes.fromhex("11270000 da07 0300 0401 0a")
            + nick
            + b"\1\0\0" * 3
            + b"\0\0\0"
        )
        await one.send("15/02", "0001 0010 0e00 11270000 d007 0400 b204 12270000", 0x32)
        basic, notes, last = [await one.next() for _ in range(3)]
        assert [each.flags for each in (basic, notes, last)] == [1, 1, 0]
        assert basic.data[14:17] == bytes.fromhex("c800 0a")
        assert nick in basic.data
        assert b"\x07\0Verona\0" in basic.data
        assert last.data[14:17] == bytes.fromhex("fa00 0a")

        await one.send("15/02", "0001 0010 0e00 11270000 d007 0500 1f05 12270000", 0x33)
        found = await one.next()
        assert found.data[14:17] == bytes.fromhex("ae01 0a")
        assert found.data[19:23] == bytes.fromhex("12270000")
        await one.send("15/02", "0001 0014 1200 11270000 d007 0500 6905 3601 0400 12270000", 0x33)
        assert (await one.next()).data == found.data
        for subtype, answer in [("1f05", "ae01 32"), ("ba04", "0401 32"), ("b204", "c800 32")]:
            query = f"0001 0010 0e00 11270000 d007 0600 {subtype} 63000000"
            await one.send("15/02", query, 0x34)
            assert (await one.next()).data[14:17] == bytes.fromhex(answer)
        await one.send("15/02", "0001 000c 0a00 11270000 d007 0700 7a7a", 0x35)
        assert (await one.next()).data[14:] == bytes.fromhex("7a7a 14")


def lz(text: str) -> bytes:
    return (len(text.encode()) + 1).to_bytes(2, "little") + text.encode() + b"\0"


def le_tlv(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value


@pytest.mark.parametrize(
    ("subtype", "data", "numbers"),
    [
        ("1505", lz("") + lz("") + lz("nick 1000"), ["10001", "10002"]),
        ("1505", lz("r\xf6mer") + lz("Mon") + lz(""), ["10003"]),
        ("1505", lz("R\xf6mer") + lz("Capulet") + lz(""), []),
        ("1505", lz("") + lz("") + lz(""), []),
        ("2905", lz("romeo@verona.lit"), ["10003"]),
        ("2905", lz("nobody@verona.lit"), []),
        ("7305", le_tlv(0x015E, lz("romeo@verona.lit")), ["10003"]),
        ("5f05", le_tlv(0x0140, lz("r\xf6mer")) + le_tlv(0x014A, lz("Montague")), ["10003"]),
        ("5f05", le_tlv(0x0154, lz("NICK")) + le_tlv(0x0230, b"\1"), ["10001", "10002"]),
        ("5f05", le_tlv(0x0168, bytes(4)), []),
    ],
)
async def test_icq_clients_search(
    icq: Control, on: SignOn, subtype: str, data: bytes, numbers: list[str]
) -> None:
    icq.create_account("Nick Bottom", "x", "nick 1000 and no number")
    known = {"first": "R\xf6mer", "last": "Montague", "email": "Romeo@verona.lit"}
    icq.create_account("10003", "x", "Romeo", known)
    async with on("10001") as one:
        inner = bytes.fromhex(f"11270000 d007 0500 {subtype}") + data
        sized = len(inner).to_bytes(2, "little") + inner
        await one.send("15/02", b"\0\1" + len(sized).to_bytes(2, "big") + sized, 0x33)
        for number in numbers:
            found = await one.next()
            is_last = number == numbers[-1]
            assert (found.request, found.flags) == (0x33, int(not is_last))
            assert found.data[14:17] == bytes.fromhex("ae01 0a" if is_last else "a401 0a")
            assert found.data[19:23] == int(number).to_bytes(4, "little")
        if not numbers:
            assert (await one.next()).data[14:17] == bytes.fromhex("ae01 32")


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("0001 0010 0e00 11270000 d007 0800 2404 00 01 00 00", "a000 0a"),
        ("0001 0011 0f00 11270000 d007 0800 3a0c f802 0100 01", "3f0c 0a"),
    ],
)
async def test_an_icq_number_lets_everybody_in(
    icq: Control, on: SignOn, query: str, answer: str
) -> None:
    async with on("10001") as one, on("10002") as two:
        await one.send("15/02", query, 1)
        assert (await one.next()).data[14:] == bytes.fromhex(answer)
        await edit(two, "13/08", item("Pals", 1, 0, 1), item("10001", 1, 1, 0))
    assert listed(icq, "10002") == [("10001", "nick 10001", ("Pals",), True)]
