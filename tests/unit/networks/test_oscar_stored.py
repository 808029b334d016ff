"""What the service kept for an ICQ number: each thing is told once, and then deleted there."""

import struct
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    ContactRequest,
    LegacyClient,
    LegacyEvent,
    MessageReceived,
    Notice,
    RequestAnswered,
    SignedOff,
)
from gateway.networks.oscar.fetching import DAY, MANY, MAX_ACCOUNTS, NO_WAY, OTHER_WAY, Fetching
from gateway.networks.oscar.protocol.stored import Stored, Way
from tests.contract.harness import next_event
from tests.fakes.oscar_server import Connection, Heard, Script, h, im, name8, tlv
from tests.unit.networks.oscar_scene import Scene, envelope, icq, kept, signed_on

VERSION = h("0006 0001 0002 0002")  # what stands before an authorisation of the list
PRESET = "open-oscar-server"
Snac = tuple[int, int, int, bytes]  # group, subtype, flags, body

QUERY, DELETE = h("3c00"), h("3e00")


def text16(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def asked(name: str, reason: bytes = b"please") -> Snac:
    return 0x13, 0x19, 0x8000, VERSION + name8(name) + text16(reason)


def answered(name: str, granted: int, reason: bytes = b"") -> Snac:
    return 0x13, 0x1B, 0x8000, VERSION + name8(name) + bytes([granted]) + text16(reason)


def welcome(name: str) -> Snac:
    return 0x13, 0x15, 0, name8(name) + text16(b"") + h("0000")


def added(name: str) -> Snac:
    return 0x13, 0x1C, 0x8000, h("0006 0001 0002 0004") + name8(name)


def message(text: bytes, kind: int = 1, uin: int = 10_002) -> Snac:
    head = struct.pack("<IHBBBBBBH", uin, 2026, 7, 20, 12, 30, kind, 0, len(text) + 1)
    return 0x15, 3, 1, envelope(0x41, 2, head + text + b"\0")


class Keeper:
    """A service that keeps things for 10001 until it is told to delete them."""

    def __init__(self, things: Iterable[Snac]) -> None:
        self.things = list(things)
        self.commands: list[bytes] = []
        self.ends = True  # it says when that was all

    async def __call__(self, connection: Connection, heard: Heard) -> None:
        command = heard.body[10:12]
        self.commands.append(command)
        if command == QUERY:
            for group, subtype, flags, body in self.things:
                request = heard.request if group == 0x15 else 0
                await connection.snac(group, subtype, body, request, flags=flags)
            if self.ends:
                await connection.snac(0x15, 3, envelope(0x42, 2, b"\0"), heard.request)
        elif command == DELETE:
            self.things.clear()


@asynccontextmanager
async def kept_for(*things: Snac) -> AsyncGenerator[tuple[Scene, Keeper], None]:
    async with icq(preset=PRESET) as scene:
        keeper = Keeper(things)
        scene.server.script[0x15, 2] = keeper
        scene.server.feedbag = scene.server.feedbag[:2]  # the list is empty
        yield scene, keeper


async def all_of(client: LegacyClient) -> list[LegacyEvent]:
    """Return what has been told by now."""
    found: list[LegacyEvent] = []
    await wait_all_tasks_blocked()
    while True:
        with trio.move_on_after(0.001):
            found.append(await client.receive())
            continue
        return found


def acknowledge(client: LegacyClient, events: Iterable[LegacyEvent]) -> None:
    for event in events:
        if (token := getattr(event, "token", None)) is not None:
            client.acknowledge(token)


# --- authorisations are deleted, once they are safe ---------------------------------------------

ONE = [
    (asked("10002"), ContactRequest),
    (answered("10002", 1), RequestAnswered),
    (answered("10002", 0, b"no"), RequestAnswered),
    (welcome("10002"), RequestAnswered),
    (message(b"Ju\xfe\xfe\xfe\xfe1\xfeplease", 6), ContactRequest),
    (message(b"no", 7), RequestAnswered),
    (message(b"", 8), RequestAnswered),
]


@pytest.mark.parametrize(("thing", "kind"), ONE)
async def test_a_kept_authorisation_is_deleted_once_safe(
    autojump_clock: MockClock, thing: Snac, kind: type[ContactRequest | RequestAnswered]
) -> None:
    async with kept_for(thing) as (scene, keeper):
        async with signed_on(scene) as client:
            event = await next_event(client, kind)
            assert event.address == "10002"
            assert event.token is not None
            await wait_all_tasks_blocked()
            assert keeper.commands == [QUERY]
            client.acknowledge(event.token)
            await wait_all_tasks_blocked()
            assert keeper.commands == [QUERY, DELETE]
        async with signed_on(scene) as client:
            assert await all_of(client) == []


@pytest.mark.parametrize("thing", [added("10002"), message(b"Ju\xfe\xfe\xfe\xfe", 0x0C)])
async def test_who_added_the_user_is_told_once(autojump_clock: MockClock, thing: Snac) -> None:
    async with kept_for(thing) as (scene, keeper), signed_on(scene) as client:
        assert "10002 has you" in (await next_event(client, Notice)).text
        await wait_all_tasks_blocked()
        assert keeper.commands == [QUERY, DELETE]


async def test_nothing_kept_means_nothing_to_delete(autojump_clock: MockClock) -> None:
    async with kept_for() as (scene, keeper), signed_on(scene) as client:
        await wait_all_tasks_blocked()
        await scene.server.bos.snac(*_pushed(asked("10002")))
        assert (await next_event(client, ContactRequest)).token is None
        await wait_all_tasks_blocked()
        assert keeper.commands == [QUERY]


def _pushed(thing: Snac) -> tuple[int, int, bytes, int, int]:
    group, subtype, flags, body = thing
    return group, subtype, body, 0, flags


async def test_live_events_before_the_deletion_are_waited_for(autojump_clock: MockClock) -> None:
    async with kept_for(message(b"Hi")) as (scene, keeper), signed_on(scene) as client:
        hi = await next_event(client, MessageReceived)
        await scene.server.bos.snac(*_pushed(asked("10003")))
        live = await next_event(client, ContactRequest)
        client.acknowledge(hi.token)
        await wait_all_tasks_blocked()
        assert keeper.commands == [QUERY]
        client.acknowledge(live.token)
        await wait_all_tasks_blocked()
        assert keeper.commands == [QUERY, DELETE]


async def test_without_an_end_nothing_is_deleted(autojump_clock: MockClock) -> None:
    async with kept_for(asked("10002"), message(b"Hi")) as (scene, keeper):
        keeper.ends = False
        async with signed_on(scene) as client:
            acknowledge(client, await all_of(client))
            await trio.sleep(1_000)
            assert keeper.commands == [QUERY]
            # After that time the same request is a new one.
            await scene.server.bos.snac(*_pushed(asked("10002")))
            assert (await next_event(client, ContactRequest)).address == "10002"


# --- repeated, too many, unreadable -------------------------------------------------------------


async def test_the_same_kept_ten_times_is_told_once(autojump_clock: MockClock) -> None:
    things = [asked("10002", b"%d" % number) for number in range(10)]
    things += [answered("10003", 0), answered("10003", 1), answered("10003", 0)] * 3
    things += [added("10004")] * 10
    async with kept_for(*things) as (scene, keeper), signed_on(scene) as client:
        told = await all_of(client)
        requests = [one for one in told if isinstance(one, ContactRequest)]
        answers = [one.granted for one in told if isinstance(one, RequestAnswered)]
        assert (len(requests), len(notices(told))) == (1, 1)
        assert answers == [False, True, False, True, False, True, False]
        acknowledge(client, told)
        await wait_all_tasks_blocked()
        assert keeper.commands == [QUERY, DELETE]


async def test_requests_come_a_hundred_at_a_time(autojump_clock: MockClock) -> None:
    things = [asked(str(20_000 + number)) for number in range(2_500)]
    async with kept_for(*things) as (scene, keeper), signed_on(scene) as client:
        told: list[str] = []
        while batch := [one for one in await all_of(client) if isinstance(one, ContactRequest)]:
            assert len(batch) <= 100
            assert keeper.commands == [QUERY]
            told += [one.address for one in batch]
            acknowledge(client, batch)
        assert told == [str(20_000 + number) for number in range(2_500)]
        assert keeper.commands == [QUERY, DELETE]


async def test_thousands_of_additions_are_few_notices(autojump_clock: MockClock) -> None:
    things = [added(str(20_000 + number)) for number in range(2_500)]
    async with kept_for(*things) as (scene, keeper), signed_on(scene) as client:
        texts = notices(await all_of(client))
        assert len(texts) == 11
        assert texts[-1] == "And 2490 others have you on their contact lists now."
        assert keeper.commands == [QUERY, DELETE]


MALFORMED: list[Snac] = [
    (0x15, 3, 1, envelope(0x41, 2, b"\x12\x27\0\0")),
    (0x15, 3, 1, envelope(0x41, 2, kept(b"Hi")[:-4])),
    (0x15, 3, 1, envelope(0x41, 2, b"")),
]


@pytest.mark.parametrize("thing", MALFORMED)
async def test_what_cannot_be_read_is_said_and_deleted(
    autojump_clock: MockClock, thing: Snac
) -> None:
    things = (thing, message(b"Hi"), thing)
    async with kept_for(*things) as (scene, keeper), signed_on(scene) as client:
        told = await all_of(client)
        assert [one.text for one in told if isinstance(one, MessageReceived)] == ["Hi"]
        assert notices(told) == ["Stored messages that cannot be read: 2."]
        acknowledge(client, told)
        await wait_all_tasks_blocked()
        assert keeper.commands == [QUERY, DELETE]


async def test_a_sender_without_a_number_is_told(autojump_clock: MockClock) -> None:
    """Before v0.24.0 Open OSCAR Server writes 0 for the sender, where that is an AIM name."""
    things = (message(b"Hi", uin=0), message(b"no", 7, uin=0), message(b"Ho", uin=7))
    async with kept_for(*things) as (scene, keeper), signed_on(scene) as client:
        texts = notices(await all_of(client))
        assert texts == [
            "Somebody whom the service does not name wrote: Hi",
            "7 wrote: Ho",
            "Stored messages that cannot be read: 1.",
        ]
        assert keeper.commands == [QUERY, DELETE]


UNUSABLE = [asked("no/name"), asked(""), message(b"Hi", 0xEE), message(b"Hi", uin=7)]


@pytest.mark.parametrize("thing", UNUSABLE)
async def test_unusable_kept_things_end_nothing(autojump_clock: MockClock, thing: Snac) -> None:
    things = (thing, asked("10009"), thing)
    async with kept_for(*things) as (scene, keeper), signed_on(scene) as client:
        told = await all_of(client)
        assert [one.address for one in told if isinstance(one, ContactRequest)] == ["10009"]
        acknowledge(client, told)
        await wait_all_tasks_blocked()
        assert keeper.commands == [QUERY, DELETE]


# --- a service that cannot answer the question ------------------------------------------------


async def close(connection: Connection, heard: Heard) -> None:
    await connection.close()


async def sign_off(connection: Connection, heard: Heard) -> None:
    await connection.flap(4, b"")
    await connection.close()


async def garbage(connection: Connection, heard: Heard) -> None:
    await connection.raw(b"no frame starts like this")


async def half_a_frame(connection: Connection, heard: Heard) -> None:
    await connection.raw(h("2a 02 0001 0100 0015"))
    await connection.close()


async def malformed(connection: Connection, heard: Heard) -> None:
    group, subtype, flags, body = asked("10002")
    await connection.snac(group, subtype, body[:12], 0, flags=flags)


async def hang(connection: Connection, heard: Heard) -> None:
    await trio.sleep_forever()


CUTS = [close, sign_off, garbage, half_a_frame, malformed, hang]


class Poisoned:
    """A service that keeps something that it cannot hand over by 003C."""

    def __init__(self, cut: Script) -> None:
        self.cut = cut
        self.by_icq = self.by_icbm = self.known = 0
        self.is_poisoned = self.answers = True

    async def icq(self, connection: Connection, heard: Heard) -> None:
        if heard.body[10:12] != QUERY:
            return
        self.by_icq += 1
        for _ in range(self.known):
            await connection.snac(0x15, 3, message(b"Hi")[3], heard.request, flags=1)
        if self.is_poisoned:
            await self.cut(connection, heard)
        else:
            await connection.snac(0x15, 3, envelope(0x42, 2, b"\0"), heard.request)

    async def icbm(self, connection: Connection, heard: Heard) -> None:
        self.by_icbm += 1
        if not self.answers:
            await self.cut(connection, heard)
            return
        at = tlv(0x16, h("65000000"))
        await connection.snac(4, 7, im("10002", b"kept", at))
        await connection.snac(4, 0x17, b"", heard.request)
        self.is_poisoned = False


@asynccontextmanager
async def poisoned(cut: Script = close) -> AsyncGenerator[tuple[Scene, Poisoned], None]:
    async with icq(preset=PRESET) as scene:
        service = Poisoned(cut)
        scene.server.script[0x15, 2] = service.icq
        scene.server.script[4, 0x10] = service.icbm
        scene.server.feedbag = scene.server.feedbag[:2]
        yield scene, service


async def stay(scene: Scene, seconds: float = 400) -> tuple[list[LegacyEvent], bool]:
    """Sign on for so long; return what was told, and whether the session lasted."""
    told: list[LegacyEvent] = []
    lasted = True
    try:
        async with signed_on(scene) as client:
            with trio.move_on_after(seconds):
                while True:
                    told.append(await client.receive())
    except (ConnectionLost, RemoteProtocolError, SignedOff):
        lasted = False
    return told, lasted


def notices(told: list[LegacyEvent]) -> list[str]:
    return [one.text for one in told if isinstance(one, Notice)]


@pytest.mark.parametrize("cut", CUTS)
async def test_a_poisoned_store_is_fetched_another_way(
    autojump_clock: MockClock, cut: Script
) -> None:
    async with poisoned(cut) as (scene, service):
        for _ in range(2):
            assert await stay(scene) == ([], False)
        assert (service.by_icq, service.by_icbm) == (2, 0)
        told, lasted = await stay(scene)
        assert lasted
        assert [one.text for one in told if isinstance(one, MessageReceived)] == ["kept"]
        assert notices(told) == [OTHER_WAY]
        assert (service.by_icq, service.by_icbm) == (2, 1)
        assert await stay(scene) == ([], True)  # as ever
        assert (service.by_icq, service.by_icbm) == (3, 1)


@pytest.mark.parametrize("cut", CUTS)
async def test_a_store_that_cannot_be_fetched_is_left(
    autojump_clock: MockClock, cut: Script
) -> None:
    async with poisoned(cut) as (scene, service):
        service.answers = False
        for _ in range(3):
            assert (await stay(scene))[1] is False
        told, lasted = await stay(scene)
        assert (notices(told), lasted) == ([NO_WAY], True)
        assert await stay(scene) == ([], True)  # said once
        assert (service.by_icq, service.by_icbm) == (2, 1)
        await trio.sleep(DAY)
        assert await stay(scene) == ([], False)
        assert service.by_icq == 3
        assert await stay(scene) == (told, True)
        assert (service.by_icq, service.by_icbm) == (3, 1)
        service.is_poisoned = False
        await trio.sleep(DAY)
        for calls in (4, 5):
            assert await stay(scene) == ([], True)
            assert service.by_icq == calls


async def test_very_many_kept_are_not_fetched_and_deleted(autojump_clock: MockClock) -> None:
    """A service whose queue is too short ends the session; 04/10 would lose what does not fit."""
    async with poisoned() as (scene, service):
        service.known = MANY
        for _ in range(2):
            assert (await stay(scene))[1] is False
        told, lasted = await stay(scene)
        assert (notices(told), lasted) == ([NO_WAY], True)
        assert (service.by_icq, service.by_icbm) == (2, 0)


async def test_other_ends_do_not_count(autojump_clock: MockClock) -> None:
    """One of another sign-on, one much later, one after the answer, and the user's own."""
    async with poisoned(hang) as (scene, service):

        async def kick(connection: Connection, heard: Heard) -> None:
            await connection.flap(4, tlv(9, h("0001")))

        async def leave(connection: Connection, heard: Heard) -> None:
            connection.server.script[1, 0x0E] = connection.server.usual(1, 0x0E)

        service.cut = kick
        for _ in range(3):
            assert await stay(scene) == ([], False)
        service.cut = leave
        for _ in range(3):
            assert await stay(scene, seconds=10) == ([], True)
        assert (service.by_icq, service.by_icbm) == (6, 0)
        service.cut = close
        assert await stay(scene) == ([], False)
        service.is_poisoned = False
        assert await stay(scene) == ([], True)
        service.is_poisoned = True
        assert await stay(scene) == ([], False)
        assert (service.by_icq, service.by_icbm) == (9, 0)


async def test_memory_of_ends_is_bounded() -> None:
    fetching = Fetching()
    for number in range(MAX_ACCOUNTS + 500):
        stored = Stored(Way.ICQ)
        stored.was_cut = True
        for _ in range(2):
            fetching.note(str(number), stored, 0.0, was_online=True)
    assert fetching.way("0", 1.0) == (Way.ICQ, "")
    assert fetching.way(str(MAX_ACCOUNTS + 499), 1.0) == (Way.ICBM, OTHER_WAY)
    assert len(fetching._troubles) == MAX_ACCOUNTS
