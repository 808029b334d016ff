"""What ICQ knows of numbers: details, and search by number, name and e-mail address."""

import struct
from collections.abc import Mapping

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import (
    CommandDone,
    CommandFailed,
    FetchProfile,
    MessageReceived,
    Profile,
    Reason,
    Search,
)
from tests.contract.harness import next_event
from tests.fakes.oscar_server import Connection, Heard, OscarHost, OscarServer, h, name8, tlv, user
from tests.unit.networks.oscar_scene import ask_of, icq, kept, lz, signed_on


def record(uin: int, *names: bytes) -> bytes:
    texts = b"".join(lz(one) for one in (*names, *[b""] * (4 - len(names))))
    found = struct.pack("<I", uin) + texts + h("01 0100 02 1e00")
    return struct.pack("<H", len(found)) + found


NOBODY = h("ae01 32")
BOB = h("ae01 0a") + record(10002, b"bob", b"Bob", b"Builder", b"b@x") + h("00000000")
BASIC = [b"bob", b"Bob", b"Builder", b"b@x", b"Z\xfcrich", b"", b"123", *[b""] * 4]
DETAILS = [
    h("c800 0a") + b"".join(lz(one) for one in BASIC) + h("2900 02 01 00 00 00"),
    h("dc00 0a") + h("1e00 02") + lz(b"http://b") + h("ca07 04 17 000000"),
    h("eb00 0a 00"),
    h("0e01 14"),
    h("e600 0a") + lz(b"can we fix it"),
    h("fa00 0a") + h("00 00"),
]
KNOWN = {"nick": "bob", "name": "Bob Builder", "email": "b@x"}


@attrs.define
class Directory:
    """Answers meta queries: by their data, in several parts.

    Bare is how Open OSCAR Server answers: neither the number of the SNAC comes back nor a flag.
    """

    answers: Mapping[bytes, list[bytes]]
    bare: bool = True
    asked: list[bytes] = attrs.field(factory=list)

    async def __call__(self, connection: Connection, heard: Heard) -> None:
        [command, sequence] = struct.unpack_from("<HH", heard.body, 10)
        if command != 0x07D0:
            return
        query = heard.body[14:]
        self.asked.append(query)
        answers = self.answers.get(query, [])
        for left, answer in reversed(list(enumerate(reversed(answers)))):
            body = meta(sequence, answer)
            request, flags = (0, 0) if self.bare else (heard.request, int(left > 0))
            await connection.snac(0x15, 3, body, request, flags=flags)


def meta(sequence: int, answer: bytes) -> bytes:
    inner = struct.pack("<IHH", 10001, 0x07DA, sequence) + answer
    return tlv(1, struct.pack("<H", len(inner)) + inner)


def knows(
    server: OscarServer, answers: Mapping[bytes, list[bytes]], *, bare: bool = True
) -> Directory:
    directory = Directory(answers, bare)
    server.script[0x15, 2] = directory
    return directory


BY_NUMBER, FULL = h("1f05 12270000"), h("d004 12270000")


@pytest.mark.parametrize("bare", [True, False])
async def test_details_of_a_number_are_fetched(autojump_clock: MockClock, bare: bool) -> None:
    async with icq() as scene:
        directory = knows(scene.server, {BY_NUMBER: [BOB], FULL: DETAILS}, bare=bare)
        async with signed_on(scene) as client:
            start = trio.current_time()
            done = await ask_of(client, FetchProfile(ref="p", address="10002"), CommandDone)
            assert done.result == Profile(
                "10002",
                {
                    **KNOWN,
                    "city": "Z\xfcrich",
                    "phone": "123",
                    "url": "http://b",
                    "birthday": "1994-04-23",
                    "about": "can we fix it",
                },
            )
            assert trio.current_time() - start < 1
            assert directory.asked == [BY_NUMBER, FULL]


async def test_nobody_asks_for_the_details_of_a_number_that_is_none(
    autojump_clock: MockClock,
) -> None:
    """Open OSCAR Server hangs up on who does."""
    async with icq() as scene:
        directory = knows(scene.server, {BY_NUMBER: [NOBODY]})
        async with signed_on(scene) as client:
            failed = await ask_of(client, FetchProfile(ref="p", address="10002"), CommandFailed)
            assert failed.reason is Reason.UNKNOWN_ADDRESS
            assert directory.asked == [BY_NUMBER]


async def test_what_is_known_is_told_when_the_rest_does_not_come(
    autojump_clock: MockClock,
) -> None:
    async with icq() as scene:
        scene.server.feedbag = []
        knows(scene.server, {BY_NUMBER: [BOB], FULL: DETAILS[:1]})
        async with signed_on(scene) as client:
            await client.send(FetchProfile(ref="p", address="10002"))
            with trio.fail_after(100):
                done = await client.receive()
            assert isinstance(done, CommandDone)
            assert isinstance(done.result, Profile)
            assert done.result.fields["city"] == "Z\xfcrich"


EVE = h("a401 0a") + record(10003, b"eve")
SEARCHES: list[tuple[dict[str, str], bytes]] = [
    ({"address": "10-002"}, BY_NUMBER),
    ({"uin": "10002", "nick": "bob"}, BY_NUMBER),
    ({"email": "b@x", "nick": "bob"}, h("2905") + lz(b"b@x")),
    ({"nick": "bob"}, h("1505") + lz(b"") + lz(b"") + lz(b"bob")),
    ({"name": " Bob the Builder "}, h("1505") + lz(b"Bob") + lz(b"the Builder") + lz(b"")),
    ({"first": "Bob", "last": "B\xfcilder"}, h("1505") + lz(b"Bob") + lz(b"B\xfcilder") + lz(b"")),
    ({"nick": "x" * 500}, h("1505") + lz(b"") + lz(b"") + lz(b"x" * 60)),
]


@pytest.mark.parametrize(("fields", "query"), SEARCHES)
@pytest.mark.parametrize("bare", [True, False])
async def test_people_are_searched(
    autojump_clock: MockClock, fields: dict[str, str], query: bytes, bare: bool
) -> None:
    async with icq() as scene:
        directory = knows(scene.server, {query: [EVE, BOB]}, bare=bare)
        async with signed_on(scene) as client:
            start = trio.current_time()
            done = await ask_of(client, Search(ref="s", fields=fields), CommandDone)
            assert directory.asked == [query]
            assert done.result == (Profile("10003", {"nick": "eve"}), Profile("10002", KNOWN))
            assert trio.current_time() - start < 1


EMPTY = h("ae01 0a") + record(0) + h("00000000")


@pytest.mark.parametrize("answer", [NOBODY, h("ae01 14"), EMPTY])
async def test_nobody_is_found_by_whatever_word_there_is_for_it(
    autojump_clock: MockClock, answer: bytes
) -> None:
    async with icq() as scene:
        knows(scene.server, {BY_NUMBER: [answer]})
        async with signed_on(scene) as client:
            search = Search(ref="s", fields={"address": "10002"})
            assert (await ask_of(client, search, CommandDone)).result == ()


@pytest.mark.parametrize("fields", [{}, {"nick": " "}, {"city": "Verona"}, {"address": "nobody"}])
async def test_who_looks_for_nobody_finds_nobody(
    autojump_clock: MockClock, fields: dict[str, str]
) -> None:
    """Asked for nothing, some services would answer with everybody."""
    async with icq() as scene:
        directory = knows(scene.server, {})
        async with signed_on(scene) as client:
            done = await ask_of(client, Search(ref="s", fields=fields), CommandDone)
            assert done.result == ()
            assert directory.asked == []


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"code_page": "cp1251"}, "\u042e\u043b\u0438\u044f".encode("cp1251")),
        (
            {"code_page": "cp1251", "preset": "open-oscar-server"},
            "\u042e\u043b\u0438\u044f".encode(),
        ),
    ],
)
async def test_names_are_searched_as_the_directory_has_them(
    autojump_clock: MockClock, settings: dict[str, object], written: bytes
) -> None:
    async with icq(**settings) as scene, signed_on(scene) as client:
        search = Search(ref="s", fields={"nick": "\u042e\u043b\u0438\u044f"})
        await client.send(search)
        asked = (await scene.server.hear(0x15, 2, 2)).body
        assert asked.endswith(h("1505") + lz(b"") + lz(b"") + lz(written))


async def test_screen_names_have_no_number_to_search(autojump_clock: MockClock) -> None:
    async with icq() as scene, signed_on(scene) as client:
        search = Search(ref="s", fields={"address": "juliet"})
        assert (await ask_of(client, search, CommandDone)).result == ()


async def test_a_service_without_icq_has_no_search(autojump_clock: MockClock) -> None:
    async with icq() as scene:
        scene.server.groups = "0001 0002 0003 0004 0009 0013"
        async with signed_on(scene) as client:
            assert not client.capabilities.search
            search = Search(ref="s", fields={"nick": "bob"})
            failed = await ask_of(client, search, CommandFailed)
            assert failed.reason is Reason.UNSUPPORTED


async def test_a_question_that_is_refused_has_its_reason(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(0x15, 1, "0005", heard.request)

    async with icq() as scene, signed_on(scene) as client:
        scene.server.script[0x15, 2] = refuse
        search = Search(ref="s", fields={"nick": "bob"})
        failed = await ask_of(client, search, CommandFailed)
        assert failed.reason is Reason.UNREACHABLE


async def test_answers_to_other_sign_ons_are_nobodys_answer(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server gives each answer to all sign-ons of an account; their numbers begin low."""

    async def others(connection: Connection, heard: Heard) -> None:
        for sequence in range(1, 100):
            await connection.snac(0x15, 3, meta(sequence, EVE), 0)
            await connection.snac(0x15, 3, meta(sequence, NOBODY), 0)
        [sequence] = struct.unpack_from("<H", heard.body, 12)
        await connection.snac(0x15, 3, meta(sequence, BOB), 0)

    monkeypatch.setattr(OscarHost, "token_bytes", lambda _, count: b"\x7a" * count)
    async with icq() as scene, signed_on(scene) as client:
        scene.server.script[0x15, 2] = others
        for ref in ("s", "t"):
            search = Search(ref=ref, fields={"nick": "bob"})
            done = await ask_of(client, search, CommandDone)
            assert done.result == (Profile("10002", KNOWN),)


async def test_what_was_kept_is_no_answer_to_a_question(autojump_clock: MockClock) -> None:
    async def keep(connection: Connection, heard: Heard) -> None:
        [sequence] = struct.unpack_from("<H", heard.body, 12)
        inner = struct.pack("<IHH", 10001, 0x41, sequence) + kept(b"hello")
        body = tlv(1, struct.pack("<H", len(inner)) + inner)
        await connection.snac(0x15, 3, body, heard.request, flags=1)
        await connection.snac(0x15, 3, meta(sequence, BOB), heard.request)

    async with icq() as scene, signed_on(scene) as client:
        scene.server.script[0x15, 2] = keep
        await client.send(Search(ref="s", fields={"nick": "bob"}))
        assert (await next_event(client, MessageReceived)).text == "hello"
        assert (await next_event(client, CommandDone)).result == (Profile("10002", KNOWN),)


async def test_an_aim_name_has_its_profile_on_icq_too(autojump_clock: MockClock) -> None:
    async def tell(connection: Connection, heard: Heard) -> None:
        await connection.snac(2, 6, user("10002") + tlv(2, b"not asked"), heard.request)

    async with icq() as scene:
        scene.server.groups = "0001 0002 0003 0004 0009 0013"  # no details of numbers
        scene.server.script[2, 5] = tell
        async with signed_on(scene) as client:
            done = await ask_of(client, FetchProfile(ref="p", address="10002"), CommandDone)
            assert done.result == Profile("10002", {"about": "not asked"})
            assert scene.server.said(2, 5)[0].body == h("0003") + name8("10002")
