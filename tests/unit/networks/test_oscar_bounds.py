"""How much AIM and ICQ take: large lists, floods, and what has no end; pictures at their pace."""

import struct

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    AddContact,
    Avatar,
    ChangeContact,
    CommandDone,
    CommandFailed,
    Contact,
    ContactChanged,
    ContactList,
    ContactRemoved,
    FetchAvatar,
    FetchProfile,
    LegacyClient,
    LegacyEvent,
    MessageReceived,
    PresenceChanged,
    Reason,
    SignedOff,
)
from gateway.networks.event_queue import MAX_WAITING_VALUES
from gateway.networks.oscar.protocol.icons import IconSession
from gateway.networks.oscar.protocol.roster import Roster
from gateway.networks.oscar.wire import (
    MORE,
    Packet,
    SignOn,
    Snac,
    feedbag,
    general,
    icons,
    people,
)
from gateway.networks.oscar.wire.feedbag import Item, ItemClass
from tests.contract.harness import next_event, no_challenge, until_ended
from tests.fakes.oscar_server import COOKIE, Connection, Heard, h, im, item, tlv, user
from tests.unit.networks.oscar_scene import Scene, aim, ask_of, envelope, icq, signed_on
from tests.unit.networks.test_oscar_cores import NOON, session


class Counting(Roster):
    """A list that counts how often it looks at somebody on it."""

    looks = 0

    def contact(self, address: str) -> Contact:
        self.looks += 1
        return super().contact(address)


# --- large lists ------------------------------------------------------------------------------


def long_list(count: int) -> list[bytes]:
    groups = [item(f"Group {number}", number, 0, 1) for number in range(1, 21)]
    return [
        item("", 0, 0, 1),
        *groups,
        *(
            item(f"Buddy {number}", number % 20 + 1, number + 1, 0, tlv(0x131, b"Alias"))
            for number in range(count)
        ),
    ]


def pieces(items: list[bytes], size: int = 500) -> list[list[bytes]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


async def give(connection: Connection, heard: Heard, items: list[bytes]) -> None:
    """Answer with a list in as many pieces as it takes."""
    *first, last = pieces(items)
    for piece in first:
        body = h("00") + struct.pack(">H", len(piece)) + b"".join(piece) + bytes(4)
        await connection.snac(0x13, 6, body, heard.request, flags=1)
    body = h("00") + struct.pack(">H", len(last)) + b"".join(last) + h("65000000")
    await connection.snac(0x13, 6, body, heard.request)


@pytest.mark.parametrize("count", [1_000, pytest.param(5_000, marks=pytest.mark.slow)])
async def test_a_long_list_takes_its_time_and_no_more(
    autojump_clock: MockClock, count: int
) -> None:
    """All come online one by one, and then each is changed and removed from elsewhere."""
    items = long_list(count)
    buddies = items[-count:]

    async def answer(connection: Connection, heard: Heard) -> None:
        await give(connection, heard, items)

    async with aim() as scene:
        scene.server.script[0x13, 4] = answer
        async with scene.network.sign_on(scene.account, no_challenge) as client:
            listed = await client.receive()
            assert isinstance(listed, ContactList)
            assert len(listed.contacts) == count
            roster = client._session._roster  # type: ignore[attr-defined]
            roster.__class__ = Counting
            bos = scene.server.bos
            for number in range(count):
                await bos.snac(3, 0x0B, user(f"buddy{number}", tlv(1, h("0010"))))
            await taken(client, PresenceChanged, count)
            for number in range(count):
                group = number % 20 + 1
                other = item(f"Buddy {number}", group, number + 1, 0, tlv(0x131, b"Other"))
                await bos.snac(0x13, 9, other)
            await taken(client, ContactChanged, count)
            for each in buddies:
                await bos.snac(0x13, 0x0A, each)
            await taken(client, ContactRemoved, count)
            assert roster.looks == count  # and not its square


async def taken(client: LegacyClient, kind: type, count: int) -> None:
    for _ in range(count):
        assert isinstance(await client.receive(), kind)


def test_a_contact_in_ever_so_many_places_is_in_a_hundred() -> None:
    roster = Roster(str.lower)
    everywhere = [Item("Juliet", number, number, ItemClass.BUDDY) for number in range(1, 1_000)]
    groups = [Item(f"G{one.group}", one.group, 0, ItemClass.GROUP) for one in everywhere]
    roster.put([*groups, *everywhere])
    assert len(roster.contact("juliet").groups) == 100
    roster.remove(everywhere)
    assert "juliet" not in roster


async def test_a_list_has_an_end(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for piece in pieces(long_list(20_100)):
            await scene.server.bos.snac(0x13, 8, b"".join(piece))
        _, ended = await until_ended(client)
        assert isinstance(ended, RemoteProtocolError)


@pytest.mark.parametrize("kind", ["buddy", "group"])
async def test_what_the_service_has_made_too_large_cannot_be_changed(
    autojump_clock: MockClock, kind: str
) -> None:
    """It would not fit a frame, and the session would be at its end for it."""
    async with aim() as scene, signed_on(scene) as client:
        if kind == "buddy":
            large = item("Juliet", 1, 2, 0, tlv(0x7777, bytes(65_000)))
        else:
            large = item("Buddies", 1, 0, 1, tlv(0xC8, b"\1\2" * 32_600))
        await scene.server.bos.snac(0x13, 9, large)
        await trio.testing.wait_all_tasks_blocked()
        groups = () if kind == "buddy" else ("Buddies", "Friends")
        change = ChangeContact(ref="c", address="juliet", name="J", groups=groups)
        failing = kind == "buddy"
        if failing:
            failed = await ask_of(client, change, CommandFailed)
            assert failed.reason is Reason.LIST_FULL
        else:
            away = ChangeContact(ref="c", address="juliet", name="J", groups=("Friends",))
            failed = await ask_of(client, away, CommandFailed)
            assert failed.reason is Reason.LIST_FULL
        await scene.server.bos.snac(4, 7, im("Juliet", b"Hi"))
        assert (await next_event(client, MessageReceived)).text == "Hi"


# --- floods -----------------------------------------------------------------------------------


async def test_a_flood_of_messages_ends_the_session_of_a_slow_reader(
    autojump_clock: MockClock,
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        bos = scene.server.bos
        for number in range(MAX_WAITING_VALUES + 500):
            await bos.snac(4, 7, im("Juliet", b"%d" % number))
        events, ended = await until_ended(client)
        assert isinstance(ended, ConnectionLost)
        texts = [one.text for one in events if isinstance(one, MessageReceived)]
        assert texts == [f"{number}" for number in range(MAX_WAITING_VALUES)]


async def test_a_flood_of_what_nobody_knows_ends_nothing(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        for _ in range(1_500):
            await scene.server.bos.snac(0x7A, 0x7A, bytes(10))
        await scene.server.bos.snac(3, 0x0B, b"".join(user("\x01") for _ in range(5_000)))
        await scene.server.bos.snac(4, 7, im("Juliet", b"Hi"))
        assert (await next_event(client, MessageReceived)).text == "Hi"


async def test_state_that_nobody_takes_is_bounded(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        bos = scene.server.bos
        for many in range(21):
            users = [user(f"b{many}.{number}") for number in range(1_000)]
            await bos.snac(3, 0x0B, b"".join(users))
        events, ended = await until_ended(client)
        assert isinstance(ended, ConnectionLost)
        assert sum(isinstance(one, PresenceChanged) for one in events) < 20_500


def test_sessions_remember_no_more_than_they_have_to() -> None:
    """What a service says for days, of people it makes up."""
    made = session("10001")
    fat = {"capabilities": (bytes(16),) * 1_000, "direct": bytes(10_000)}
    for many in range(21):
        names = [f"{100_000 + 1_000 * many + number}" for number in range(1_000)]
        users = tuple(people.UserInfo(name, **fat) for name in names)  # type: ignore[arg-type]
        made.receive(Snac(people.Arrived(users)), NOON)
    for number in range(2_000):
        address = f"{100_000 + number}"
        for body in (
            feedbag.Authorised(address, 0),
            feedbag.AuthorisationRequested(address),
            feedbag.YouWereAdded(address),
        ):
            made.receive(Snac(body), NOON)
    known = made._presences._people.values()
    assert len(known) == 20_000
    assert {(one.info.capabilities, one.info.direct) for one in known} == {(None, None)}
    assert len(made._decisions) <= 1_000
    assert made._roster._refused == set()
    assert len(made._roster._touched) <= 1
    assert len(made.requests) <= 1_000


async def test_kept_messages_without_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are told as they come, and not deleted: who knows what is still to come."""
    monkeypatch.setattr("gateway.networks.oscar.protocol.stored.MAX_KEPT", 100)

    async def endless(connection: Connection, heard: Heard) -> None:
        for number in range(150):
            text = b"%d" % number
            data = struct.pack("<IHBBBBBBH", 10002, 2026, 7, 20, 12, 30, 1, 0, len(text) + 1)
            body = envelope(0x41, 2, data + text + b"\0")
            await connection.snac(0x15, 3, body, heard.request, flags=1)
        await connection.snac(0x15, 3, envelope(0x42, 2, b"\0"), heard.request)

    async with icq() as scene:
        scene.server.script[0x15, 2] = endless
        async with signed_on(scene) as client:
            for _ in range(150):
                event = await next_event(client, MessageReceived)
                client.acknowledge(event.token)
            asked = [one.body[10:12] for one in scene.server.said(0x15, 2)]
            assert asked == [h("3c00")]  # and no 3e00
            stored = client._session.stored  # type: ignore[attr-defined]
            assert len(stored._alike) == 100


# --- one byte at a time -----------------------------------------------------------------------


async def test_a_service_that_says_everything_byte_by_byte(autojump_clock: MockClock) -> None:
    raw = Connection.raw

    async def dribble(self: Connection, data: bytes) -> None:
        for place in range(len(data)):
            await raw(self, data[place : place + 1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "raw", dribble)
        async with aim() as scene, signed_on(scene) as client:
            await scene.server.bos.snac(4, 7, im("Juliet", b"Hi"))
            assert (await next_event(client, MessageReceived)).text == "Hi"
            await scene.server.bos.flap(4, b"")
            _, ended = await until_ended(client)
            assert isinstance(ended, SignedOff)


# --- pictures ---------------------------------------------------------------------------------

ICONS = [h("0001 01 10") + bytes([number]) * 16 for number in range(4)]
GIF = b"GIF89a"


async def with_icons(scene: Scene, client: LegacyClient, count: int) -> None:
    async def service(connection: Connection, heard: Heard) -> None:
        body = tlv(0x0D, h("0010")) + tlv(5, b"oscar.example:5190") + tlv(6, COOKIE)
        await connection.snac(1, 5, body, heard.request)

    scene.server.script[1, 4] = service
    for number in range(count):
        bart = ICONS[number % 4]
        await scene.server.bos.snac(3, 0x0B, user(f"b{number}", tlv(0x1D, bart)))
    for _ in range(count):
        await next_event(client, PresenceChanged)


async def test_a_picture_that_comes_twice_is_not_the_next_ones(autojump_clock: MockClock) -> None:
    async def twice(connection: Connection, heard: Heard) -> None:
        name, bart = heard.body[: heard.body[0] + 1], heard.body[-20:]
        image = GIF + bart[-1:]
        body = name + bart + struct.pack(">H", len(image)) + image
        for _ in range(2):
            await connection.snac(0x10, 5, body, heard.request)
            await connection.snac(0x10, 1, "0005", heard.request - 1)

    async with aim() as scene, signed_on(scene) as client:
        await with_icons(scene, client, 3)
        scene.server.script[0x10, 4] = twice
        for number in range(3):
            await client.send(FetchAvatar(ref=f"{number}", address=f"b{number}"))
        for number in range(3):
            done = await next_event(client, CommandDone)
            assert done == CommandDone(f"{number}", Avatar(GIF + bytes([number]), "image/gif"))


async def test_pictures_keep_the_rates_of_their_service(autojump_clock: MockClock) -> None:
    """150 at once: the service would hang up at about the hundredth."""
    level, last = 6000.0, 0.0
    lowest = level

    async def picture(connection: Connection, heard: Heard) -> None:
        nonlocal level, last, lowest
        level = min(6000.0, (level * 79 + (heard.at - last) * 1000) / 80)
        lowest, last = min(lowest, level), heard.at
        name, bart = heard.body[: heard.body[0] + 1], heard.body[-20:]
        await connection.snac(0x10, 5, name + bart + h("0006") + GIF, heard.request)

    async with aim() as scene, signed_on(scene) as client:
        await with_icons(scene, client, 150)
        scene.server.script[0x10, 4] = picture
        rates = """0001 0001 00000050 000009c4 000007d0 000005dc 00000320 00001770 00001770
        00000000 00 0001 0001 0010 0004"""
        bos = scene.server.usual(1, 6)

        async def limits(connection: Connection, heard: Heard) -> None:
            if connection is scene.server.connections[0]:
                await bos(connection, heard)
            else:
                await connection.snac(1, 7, rates, heard.request)

        scene.server.script[1, 6] = limits
        for number in range(150):
            await client.send(FetchAvatar(ref=f"{number}", address=f"b{number}"))
        with trio.fail_after(1_000):
            done = 0
            while done < 150:
                event = await client.receive()
                assert not isinstance(event, CommandFailed)
                done += isinstance(event, CommandDone)
    assert lowest > 2000


async def test_the_service_for_pictures_may_not_be_anywhere(autojump_clock: MockClock) -> None:
    told = [b"evil.example:5190", b"127.0.0.1", b"[::1]:5190", b"oscar.example:0",
            b" oscar.example", b"oscar.example\0", b"oscar.example:000019999"]  # fmt: skip

    async def elsewhere(connection: Connection, heard: Heard) -> None:
        body = tlv(0x0D, h("0010")) + tlv(5, told.pop()) + tlv(6, COOKIE)
        await connection.snac(1, 5, body, heard.request)

    async with aim() as scene, signed_on(scene) as client:
        await with_icons(scene, client, 1)
        dialled = len(scene.server.dialled)
        scene.server.script[1, 4] = elsewhere
        while told:
            failed = await ask_of(client, FetchAvatar(ref="a", address="b0"), CommandFailed)
            assert failed.reason is Reason.UNREACHABLE
        assert len(scene.server.dialled) == dialled


@pytest.mark.parametrize("step", [(0, 1), (1, 0x17), (1, 6), (0x10, 4)])
@pytest.mark.parametrize("how", ["silent", "closed", "garbage", "endless"])
async def test_a_service_for_pictures_that_stops_costs_its_pictures_alone(
    autojump_clock: MockClock, step: tuple[int, int], how: str
) -> None:
    async def stop(connection: Connection, heard: Heard) -> None:
        if connection.stream is scene.server.connections[0].stream:
            await usual(connection, heard)
        elif how == "closed":
            await connection.close()
        elif how == "garbage":
            await connection.raw(b"HTTP/1.1 200 OK")
        while how == "endless" and not connection.is_over:
            await connection.flap(5, b"")
            await trio.sleep(1)

    async with aim() as scene, signed_on(scene) as client:
        await with_icons(scene, client, 2)
        usual = scene.server.usual(*step)
        scene.server.script[step] = stop
        for number in range(2):
            await client.send(FetchAvatar(ref=f"{number}", address=f"b{number}"))
        with trio.fail_after(150):
            for _ in range(2):
                while not isinstance(event := await client.receive(), CommandFailed):
                    pass
                assert event.reason is Reason.UNREACHABLE
        await trio.sleep(2)
        assert len(scene.server.connections) == 1
        await scene.server.bos.snac(4, 7, im("Juliet", b"Hi"))
        assert (await next_event(client, MessageReceived)).text == "Hi"


def test_a_service_for_pictures_may_say_anything_at_any_time() -> None:
    visit = IconSession(b"cookie")
    said: list[Packet] = [
        SignOn(),
        Snac(general.HostOnline((1, 0x10))),
        Snac(icons.IconReply("x", people.BartId(1), b"GIF8"), 0),
        *[Snac(general.RateParameters(((), ())), flags=MORE)] * 100,
    ]
    for packet in said:
        visit.receive(packet, 0.0)
    assert visit.ready
    assert len(visit.outgoing) < 10
    assert visit.wait(0.0) == 0.0
    with pytest.raises(RemoteProtocolError):
        visit.receive(SignOn(), 0.0)


def test_questions_that_were_given_up_are_forgotten() -> None:
    made = session("10001")
    for number in range(1_000):
        made.command(FetchProfile(ref=f"{number}", address="10002"), NOON)
        made.cancelled(f"{number}")
    assert len(made._lookups._questions) <= 200
    assert len(made.requests) < 10


def test_a_change_that_is_given_up_while_it_is_written_is_not_answered_by_the_next() -> None:
    made = session("romeo")

    def answer_all() -> list[LegacyEvent]:
        told: list[LegacyEvent] = []
        while (outgoing := made.requests.outbox.take(1e6)) is not None:
            assert isinstance(outgoing.packet, Snac)
            if isinstance(outgoing.packet.body, feedbag.AddItems | feedbag.UpdateItems):
                results = feedbag.EditResults((0,))
                told += made.receive(Snac(results, outgoing.packet.request), NOON)
        return told

    answer_all()
    made.command(AddContact(ref="a", address="nurse"), NOON)
    begin, step = made.requests.outbox.take(1e6), made.requests.outbox.take(1e6)
    assert begin is not None
    assert step is not None
    assert isinstance(step.packet, Snac)
    made.cancelled("a")
    assert not made.command(AddContact(ref="b", address="tybalt"), NOON)
    made.receive(Snac(feedbag.EditResults((0,)), step.packet.request), NOON)
    told = answer_all()
    assert [one.ref for one in told if isinstance(one, CommandDone)] == ["b"]
    assert "nurse" in made._roster
    assert "tybalt" in made._roster
