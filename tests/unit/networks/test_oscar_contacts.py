"""The contact list, and who has to be asked."""

import struct

import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import (
    AddContact,
    AddResult,
    Block,
    ChangeContact,
    CommandDone,
    CommandFailed,
    Contact,
    ContactChanged,
    ContactList,
    ContactRemoved,
    ContactRequest,
    Deny,
    Grant,
    Reason,
    RemoveContact,
    RequestAnswered,
    Revoke,
    Strand,
    Unblock,
)
from tests.contract.harness import next_event, no_challenge
from tests.fakes.oscar_server import (
    Connection,
    Heard,
    Script,
    h,
    item,
    name8,
    tlv,
)
from tests.unit.networks.oscar_scene import (
    ROMEO,
    SEEN,
    aim,
    ask_of,
    icq,
    signed_on,
    typed,
)

# --- the contact list -------------------------------------------------------------------------


def items_of(heard: Heard) -> list[tuple[str, int, int, int, bytes]]:
    found, at = [], 0
    while at < len(heard.body):
        [size] = struct.unpack_from(">H", heard.body, at)
        name = heard.body[at + 2 : at + 2 + size].decode()
        group, id_, cls, length = struct.unpack_from(">HHHH", heard.body, at + 2 + size)
        at += 10 + size + length
        found.append((name, group, id_, cls, heard.body[at - length : at]))
    return found


async def test_a_contact_is_added_to_a_new_group_in_a_transaction(
    autojump_clock: MockClock,
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        start = len(scene.server.heard)
        add = AddContact(ref="a", address="nurse", name="N", groups=("Capulets",))
        await client.send(add)
        contact = (await next_event(client, ContactChanged)).contact
        assert contact == Contact("nurse", "N", ("Capulets",), SEEN)
        assert await client.receive() == CommandDone("a", AddResult.GRANTED)
        await scene.server.hear(0x13, 0x12)
        heard = [one for one in scene.server.heard[start:] if one.group == 0x13]
        said = [(one.subtype, items_of(one)) for one in heard]
        assert said == [
            (0x11, []),
            (8, [("Capulets", 2, 0, 1, h("00c8 0000"))]),
            (9, [("", 0, 0, 1, h("00c8 0004 0001 0002"))]),
            (8, [("nurse", 2, 1, 0, h("0131 0001") + b"N")]),
            (9, [("Capulets", 2, 0, 1, h("00c8 0002 0001"))]),
            (0x12, []),
        ]


async def test_an_empty_list_gets_its_root(autojump_clock: MockClock) -> None:
    async with aim() as scene:
        scene.server.feedbag = []
        async with scene.network.sign_on(ROMEO, no_challenge) as client:
            assert await client.receive() == ContactList(())
            await ask_of(client, AddContact(ref="a", address="nurse"), CommandDone)
            added = [items_of(one) for one in scene.server.said(0x13, 8)]
            assert added == [
                [("Buddies", 1, 0, 1, h("00c8 0000"))],
                [("", 0, 0, 1, h("00c8 0002 0001"))],
                [("nurse", 1, 1, 0, b"")],
            ]


async def test_a_contact_changes_name_and_groups(autojump_clock: MockClock) -> None:
    note = tlv(0x013C, b"a note")
    async with aim() as scene:
        alias = tlv(0x0131, b"Jule") + note
        scene.server.feedbag[2] = item("Juliet", 1, 2, 0, alias)
        async with signed_on(scene) as client:
            change = ChangeContact(ref="c", address="juliet", name="J", groups=("A", "B"))
            await client.send(change)
            changed = (await next_event(client, ContactChanged)).contact
            assert (changed.name, changed.groups) == ("J", ("A", "B"))
            assert await client.receive() == CommandDone("c")
            gone = items_of(scene.server.said(0x13, 0x0A)[0])
            assert [one[:4] for one in gone] == [("Juliet", 1, 2, 0)]
            copies = [items_of(one)[0] for one in scene.server.said(0x13, 8)]
            assert [one for one in copies if one[3] == 0] == [
                ("Juliet", group, id_, 0, tlv(0x0131, b"J") + note)
                for group, id_ in ((2, 1), (3, 3))
            ]
            await client.send(ChangeContact(ref="d", address="juliet", name="", groups=()))
            assert (await next_event(client, ContactChanged)).contact.name == "Juliet"


async def test_a_contact_is_removed_from_all_groups(autojump_clock: MockClock) -> None:
    async with aim() as scene:
        scene.server.feedbag += [item("More", 2, 0, 1), item("JULIET", 2, 5, 0)]
        async with signed_on(scene) as client:
            await client.send(RemoveContact(ref="r", address="juliet"))
            assert await client.receive() == ContactRemoved("juliet")
            assert await client.receive() == CommandDone("r")
            assert len(scene.server.said(0x13, 0x0A)) == 2
            failed = await ask_of(client, RemoveContact(ref="s", address="juliet"), CommandFailed)
            assert failed.reason is Reason.UNKNOWN_ADDRESS


RESULTS = [
    (0x0001, Reason.UNREACHABLE),
    (0x000A, Reason.REFUSED),
    (0x000C, Reason.LIST_FULL),
    (0x0010, Reason.UNKNOWN_ADDRESS),
    (0x0011, Reason.LIST_FULL),
    (0x7777, Reason.UNKNOWN),
]


@pytest.mark.parametrize(("result", "reason"), RESULTS)
async def test_an_edit_that_is_refused_has_its_reason_and_changes_nothing(
    autojump_clock: MockClock, result: int, reason: Reason
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        scene.server.results = [result]
        failed = await ask_of(client, AddContact(ref="a", address="nurse"), CommandFailed)
        assert failed.reason is reason
        assert failed.text
        await scene.server.hear(0x13, 0x12)
        done = await ask_of(client, AddContact(ref="b", address="nurse"), CommandDone)
        assert done.result is AddResult.GRANTED


async def test_edits_wait_for_each_other_and_for_no_answer_too_long(
    autojump_clock: MockClock,
) -> None:
    async def ignore(connection: Connection, heard: Heard) -> None:
        del scene.server.script[0x13, 8]

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[0x13, 8] = ignore
        start = trio.current_time()
        await client.send(AddContact(ref="a", address="nurse"))
        await client.send(RemoveContact(ref="b", address="juliet"))
        await client.send(Block(ref="c", address="tybalt"))
        with trio.fail_after(100):
            first = await client.receive()
        assert isinstance(first, CommandFailed)
        assert (first.ref, first.reason) == ("a", Reason.UNREACHABLE)
        assert trio.current_time() - start == pytest.approx(30, abs=0.1)
        assert (await next_event(client, CommandDone)).ref == "b"
        assert (await next_event(client, CommandDone)).ref == "c"
        await scene.server.hear(0x13, 0x12, 3)
        marks = [one.subtype for one in scene.server.heard if one.group == 0x13]
        assert [one for one in marks if one in (0x11, 0x12)] == [0x11, 0x12] * 3


async def test_the_list_changes_from_elsewhere(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        bos = scene.server.bos
        await bos.snac(0x13, 0x11)
        await bos.snac(0x13, 8, item("Friends", 2, 0, 1) + item("The Nurse", 2, 7, 0))
        added = (await next_event(client, ContactChanged)).contact
        assert added == Contact("thenurse", "The Nurse", ("Friends",), SEEN)
        await bos.snac(0x13, 9, item("Foes", 2, 0, 1))
        assert (await next_event(client, ContactChanged)).contact.groups == ("Foes",)
        await bos.snac(0x13, 0x0A, item("The Nurse", 2, 7, 0))
        assert await client.receive() == ContactRemoved("thenurse")
        await bos.snac(0x13, 8, item("Juliet", 0, 9, 3))
        blocked = (await next_event(client, ContactChanged)).contact
        assert blocked.blocked
        assert blocked.subscription == {Strand.SEES}


async def test_blocking_and_no_longer(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await client.send(Block(ref="b", address="juliet"))
        assert (await next_event(client, ContactChanged)).contact.blocked
        added = [items_of(one)[0] for one in scene.server.said(0x13, 8)]
        assert added == [
            ("juliet", 0, 1, 3, b""),
            ("", 0, 3, 4, h("00ca 0001 04 00cb 0004 ffffffff")),
        ]
        await client.send(Unblock(ref="u", address="juliet"))
        assert not (await next_event(client, ContactChanged)).contact.blocked
        await ask_of(client, Unblock(ref="v", address="juliet"), CommandDone)
        await ask_of(client, Block(ref="w", address="tybalt"), CommandDone)
        assert len(scene.server.said(0x13, 8)) == 3


async def test_oneself_is_no_contact(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        failed = await ask_of(client, AddContact(ref="a", address="romeo"), CommandFailed)
        assert failed.reason is Reason.REFUSED


# --- authorisation ----------------------------------------------------------------------------


async def test_who_must_be_asked_is_asked(autojump_clock: MockClock) -> None:
    async with icq() as scene, signed_on(scene) as client:
        scene.server.results = [0x0E]
        add = AddContact(ref="a", address="10002", reason="It is I")
        await client.send(add)
        waiting = (await next_event(client, ContactChanged)).contact
        assert waiting.subscription == {Strand.ASKED, Strand.SEEN_BY}
        assert await client.receive() == CommandDone("a", AddResult.ASKED)
        asked = await scene.server.hear(0x13, 0x18)
        assert asked.body == name8("10002") + h("0007") + b"It is I" + h("0000")
        again = items_of(scene.server.said(0x13, 8)[1])[0]
        assert (again[0], again[4]) == ("10002", h("0066 0000"))
        await scene.server.bos.snac(
            0x13, 0x1B, h("0006 0001 0002 0004") + name8("10002") + h("01 0000 0000"), flags=0x8000
        )
        granted = await next_event(client, RequestAnswered)
        assert (granted.address, granted.granted) == ("10002", True)
        assert (await next_event(client, ContactChanged)).contact.subscription == SEEN
        updated = [one for heard in scene.server.said(0x13, 9) for one in items_of(heard)]
        assert ("10002", 1, again[2], 0, b"") in updated


async def test_a_refusal_is_told_once_by_whatever_way_it_comes(autojump_clock: MockClock) -> None:
    async with icq() as scene:
        scene.server.feedbag.append(item("10002", 1, 9, 0, h("0066 0000")))
        async with signed_on(scene) as client:
            body = name8("10002") + h("00 0004") + b"nope"
            await scene.server.bos.snac(0x13, 0x1B, body)
            answer = await next_event(client, RequestAnswered)
            assert (answer.granted, answer.reason) == (False, "nope")
            changed = (await next_event(client, ContactChanged)).contact
            assert changed.subscription == {Strand.SEEN_BY}
            await scene.server.bos.snac(4, 7, typed(7, b"nope"))
            await scene.server.bos.snac(4, 7, typed(1, b"sorry"))
            assert not [
                event
                for event in [await client.receive(), await client.receive()]
                if isinstance(event, RequestAnswered)
            ]
            await client.send(AddContact(ref="a", address="10002", reason="please"))
            assert (await next_event(client, CommandDone)).result is AddResult.ASKED
            await scene.server.hear(0x13, 0x18)


async def test_a_service_may_ask_by_itself(autojump_clock: MockClock) -> None:
    async def add(connection: Connection, heard: Heard) -> None:
        await connection.snac(0x13, 0x0E, "0000", heard.request)
        waiting = item("10002", 1, 1, 0, h("0066 0000"))
        await connection.snac(0x13, 9, waiting)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[0x13, 8] = add
        done = await ask_of(client, AddContact(ref="a", address="10002"), CommandDone)
        assert done.result is AddResult.ASKED


def awaiting(connection: Connection) -> bytes:
    """Add a number to the server's list, which is to be asked."""
    waiting = item("10002", 1, 1, 0, h("0066 0000"))
    connection.server.feedbag.append(waiting)
    return waiting


async def in_silence(connection: Connection, heard: Heard) -> None:
    """As Open OSCAR Server v0.24.0: only other sign-ons of the account are told."""
    awaiting(connection)
    await connection.snac(0x13, 0x0E, "0000", heard.request)


async def told_before(connection: Connection, heard: Heard) -> None:
    await connection.snac(0x13, 9, awaiting(connection))
    await connection.snac(0x13, 0x0E, "0000", heard.request)


async def told_after(connection: Connection, heard: Heard) -> None:
    await connection.snac(0x13, 0x0E, "0000", heard.request)
    await connection.snac(0x13, 9, awaiting(connection))


@pytest.mark.parametrize("add", [in_silence, told_before, told_after])
async def test_a_number_the_service_asks_counts_as_asked(
    autojump_clock: MockClock, add: Script
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[0x13, 8] = add
        done = await ask_of(client, AddContact(ref="a", address="10002"), CommandDone)
        assert done.result is AddResult.ASKED
        # The answer: the item without the attribute, and 13/1B.
        granted = item("10002", 1, 1, 0)
        await scene.server.bos.snac(0x13, 9, granted)
        changed = await next_event(client, ContactChanged, lambda one: sees(one.contact))
        assert changed.contact.address == "10002"
        await scene.server.bos.snac(0x13, 0x1B, name8("10002") + h("01 0000"))
        assert (await next_event(client, RequestAnswered)).granted


async def test_what_is_told_before_the_result_stays(autojump_clock: MockClock) -> None:
    async def add(connection: Connection, heard: Heard) -> None:
        await connection.snac(0x13, 9, item("tybalt", 1, 1, 0, h("0066 0000")))
        await connection.snac(0x13, 0x0E, "0000", heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[0x13, 8] = add
        done = await ask_of(client, AddContact(ref="a", address="tybalt"), CommandDone)
        assert done.result is AddResult.ASKED


def sees(contact: Contact) -> bool:
    return Strand.SEES in contact.subscription


@pytest.mark.parametrize("body", ["0001", None])
async def test_a_failed_look_changes_nothing(autojump_clock: MockClock, body: str | None) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        if body is not None:
            await connection.snac(0x13, 1, body, heard.request)

    async with aim(answer_seconds=3) as scene, signed_on(scene) as client:
        scene.server.script[0x13, 4] = refuse
        done = await ask_of(client, AddContact(ref="a", address="10002"), CommandDone)
        assert done.result is AddResult.GRANTED


async def test_other_additions_cost_no_look(autojump_clock: MockClock) -> None:
    for network, address in ((aim, "tybalt"), (icq, "10002")):
        async with network() as scene, signed_on(scene) as client:
            await ask_of(client, AddContact(ref="a", address=address), CommandDone)
            assert len(scene.server.said(0x13, 4)) == 1


async def test_who_asks_is_answered(autojump_clock: MockClock) -> None:
    async with icq() as scene, signed_on(scene) as client:
        body = name8("10002") + h("0002") + b"hi" + h("0000")
        await scene.server.bos.snac(0x13, 0x19, body)
        request = await next_event(client, ContactRequest)
        assert (request.address, request.reason) == ("10002", "hi")
        asks = typed(6, b"Nick\xfeA\xfeB\xfee@x\xfe0\xfelet me", "10003")
        await scene.server.bos.snac(4, 7, asks)
        request = await next_event(client, ContactRequest)
        assert (request.address, request.nick, request.reason) == ("10003", "Nick", "let me")
        await ask_of(client, Grant(ref="g", address="10002"), CommandDone)
        await ask_of(client, Deny(ref="d", address="10003", reason="no"), CommandDone)
        await ask_of(client, Revoke(ref="r", address="10002"), CommandDone)
        answers = [one.body for one in scene.server.said(0x13, 0x1A)]
        assert answers == [
            name8("10002") + h("01 0000 0000"),
            name8("10003") + h("00 0002") + b"no" + h("0000"),
        ]
        assert scene.server.said(0x13, 0x16)[0].body == name8("10002")


async def test_leave_that_is_given_unasked_is_an_answer(autojump_clock: MockClock) -> None:
    async with icq() as scene:
        scene.server.feedbag.append(item("10002", 1, 9, 0, h("0066 0000")))
        async with signed_on(scene) as client:
            body = h("0006 0001 0002 0004") + name8("10002") + h("0002") + b"ok" + h("0000")
            await scene.server.bos.snac(0x13, 0x15, body, flags=0x8000)
            answer = await next_event(client, RequestAnswered)
            assert (answer.address, answer.granted) == ("10002", True)
            changed = (await next_event(client, ContactChanged)).contact
            assert changed.subscription == SEEN  # and the mark is taken off the list
            assert items_of(scene.server.said(0x13, 9)[0]) == [("10002", 1, 9, 0, b"")]
