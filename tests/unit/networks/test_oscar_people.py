"""How people are, and what they say of themselves."""

import hashlib
import struct
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from gateway.host import RealHost
from gateway.networks.base import (
    Avatar,
    CommandDone,
    CommandFailed,
    Deny,
    FetchAvatar,
    FetchProfile,
    LegacyClient,
    LegacyCommand,
    MarkRead,
    MessageOutcome,
    PresenceChanged,
    Profile,
    Reason,
    Revoke,
    Search,
    SendMessage,
    SendNudge,
    SetPresence,
    Show,
    Stage,
)
from gateway.networks.oscar.pictures import Pictures
from tests.contract.harness import next_event
from tests.fakes.oscar_server import (
    COOKIE,
    Connection,
    Heard,
    OscarServer,
    h,
    name8,
    tlv,
    user,
)
from tests.unit.networks.oscar_scene import (
    BART,
    aim,
    ask_of,
    signed_on,
)

# --- presence ---------------------------------------------------------------------------------

SHOWN = [
    ([tlv(1, h("0010"))], Show.ONLINE),
    ([tlv(1, h("0030"))], Show.AWAY),
    ([tlv(1, h("0010")), tlv(6, h("00000001"))], Show.AWAY),
    ([tlv(1, h("0030")), tlv(6, h("00000013"))], Show.DND),
    ([tlv(1, h("00000010")), tlv(6, h("10000011"))], Show.DND),
    ([tlv(6, h("00000005"))], Show.XA),
    ([tlv(6, h("00000020"))], Show.CHAT),
    ([tlv(6, h("00003000"))], Show.ONLINE),
    ([tlv(6, h("00002001"))], Show.AWAY),
    ([tlv(6, h("10000000"))], Show.ONLINE),
]


@pytest.mark.parametrize(("tlvs", "show"), SHOWN)
async def test_presence_is_told_as_the_bits_say(
    autojump_clock: MockClock, tlvs: list[bytes], show: Show
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(3, 0x0B, user("Ju Liet", *tlvs))
        got = await next_event(client, PresenceChanged)
        assert (got.address, got.show, got.text) == ("juliet", show, "")
        await scene.server.bos.snac(3, 0x0C, user("juliet", tlv(1, h("0000"))))
        assert await client.receive() == PresenceChanged("juliet", Show.OFFLINE)


async def test_presence_has_status_text_icon_and_idle_time(autojump_clock: MockClock) -> None:
    icon = bytes(range(16))
    text = "here \u2713".encode()
    status = struct.pack(">H", len(text)) + text + h("0000")
    bart = h("0001 01 10") + icon + h("0002 04") + bytes([len(status)]) + status
    async with aim() as scene, signed_on(scene) as client:
        now = RealHost().now()
        await scene.server.bos.snac(
            3, 0x0B, user("Juliet", tlv(1, h("0010")), tlv(4, h("0005")), tlv(0x1D, bart))
        )
        got = await next_event(client, PresenceChanged)
        assert (got.show, got.text, got.avatar_hash) == (Show.ONLINE, "here \u2713", icon.hex())
        assert got.idle_since is not None
        assert abs(now - timedelta(minutes=5) - got.idle_since) < timedelta(seconds=10)


async def test_an_away_text_is_fetched_when_there_is_room(autojump_clock: MockClock) -> None:
    async def tell(connection: Connection, heard: Heard) -> None:
        away = tlv(3, b'text/aolrtf; charset="us-ascii"') + tlv(4, b"<B>out, %n</B>")
        body = user("Juliet", tlv(1, h("0030"))) + away
        await connection.snac(2, 6, body, heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[2, 5] = tell
        await scene.server.bos.snac(3, 0x0B, user("Juliet", tlv(1, h("0030"))))
        assert (await next_event(client, PresenceChanged)).text == ""
        got = await next_event(client, PresenceChanged)
        assert (got.show, got.text) == (Show.AWAY, "out, romeo")
        assert scene.server.said(2, 5)[0].body == h("0003") + name8("juliet")
        # Many at once leave room for what the user says himself.
        for number in range(30):
            await scene.server.bos.snac(3, 0x0B, user(f"Away{number}", tlv(1, h("0030"))))
        await trio.sleep(1)
        assert len(scene.server.said(2, 5)) < 6
        start = trio.current_time()
        await client.send(SendMessage(ref="m", conversation="juliet", text="Hi"))
        assert trio.current_time() - start < 6
        await trio.sleep(400)
        assert len(scene.server.said(2, 5)) == 31


async def test_the_user_is_shown_as_he_says(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        away = SetPresence(ref="1", show=Show.DND, text="on the <balcony>")
        await ask_of(client, away, CommandDone)
        info = scene.server.said(2, 4)[-1].tlvs()
        assert info == {
            3: b'text/aolrtf; charset="us-ascii"',
            4: b"<HTML><BODY>on the &lt;balcony&gt;</BODY></HTML>",
        }
        status = scene.server.said(1, 0x1E)[-1].tlvs()
        assert status[6] == h("00000013")
        text = h("0002 04 14 0010") + b"on the <balcony>" + h("0000") + h("0009 00 00")
        assert status[0x1D] == text
        assert len(scene.server.said(1, 0x11)) == 1
        since = RealHost().now() - timedelta(minutes=10)
        await ask_of(client, SetPresence(ref="2", show=Show.ONLINE, idle_since=since), CommandDone)
        assert scene.server.said(2, 4)[-1].tlvs() == {4: b""}
        assert scene.server.said(1, 0x1E)[-1].tlvs()[6] == h("00000000")
        assert scene.server.said(1, 0x1E)[-1].tlvs()[0x1D] == h("0002 0000 0009 0000")
        [seconds] = struct.unpack(">I", scene.server.said(1, 0x11)[-1].body)
        assert 590 < seconds < 700
        await ask_of(client, SetPresence(ref="3", show=Show.INVISIBLE), CommandDone)
        assert scene.server.said(1, 0x1E)[-1].tlvs()[6] == h("00000100")
        assert scene.server.said(1, 0x11)[-1].body == h("00000000")
        await ask_of(client, SetPresence(ref="4", show=Show.AWAY), CommandDone)
        assert b"Away" in scene.server.said(2, 4)[-1].tlvs()[4]
        long = SetPresence(ref="5", show=Show.AWAY, text="\u2713" * 5_000)
        await ask_of(client, long, CommandDone)
        assert len(scene.server.said(2, 4)[-1].tlvs()[4]) <= 1_000


# --- people -----------------------------------------------------------------------------------


async def test_a_profile_is_fetched(autojump_clock: MockClock) -> None:
    async def tell(connection: Connection, heard: Heard) -> None:
        profile = tlv(1, b'text/aolrtf; charset="utf-8"') + tlv(2, "<b>Caf\xe9</b>".encode())
        await connection.snac(2, 6, user("Ju Liet", tlv(1, h("0010"))) + profile, heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[2, 5] = tell
        done = await ask_of(client, FetchProfile(ref="p", address="juliet"), CommandDone)
        assert done.result == Profile("juliet", {"nick": "Ju Liet", "about": "Caf\xe9"})
        del scene.server.script[2, 5]
        await client.send(FetchProfile(ref="q", address="juliet"))
        with trio.fail_after(100):
            failed = await client.receive()
        assert failed == CommandFailed("q", Reason.UNREACHABLE, "The service did not answer.")


async def test_nobody_is_found(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(2, 1, "0004", heard.request)

    async with aim() as scene, signed_on(scene) as client:
        scene.server.script[2, 5] = refuse
        failed = await ask_of(client, FetchProfile(ref="p", address="nobody"), CommandFailed)
        assert failed.reason is Reason.UNKNOWN_ADDRESS


def gif(letter: str, size: int = 100) -> bytes:
    return b"GIF89a" + letter.encode() * size


def digest(image: bytes) -> bytes:
    return hashlib.md5(image, usedforsecurity=False).digest()


def shows(name: str, image: bytes) -> bytes:
    """The body of a 03/0B with a picture."""
    return user(name, tlv(1, h("0010")), tlv(0x1D, h("0001 01 10") + digest(image)))


def gallery(server: OscarServer, *images: bytes) -> None:
    """Let the server give these pictures to whoever asks by their hashes."""
    known = {digest(image): image for image in images}

    async def service(connection: Connection, heard: Heard) -> None:
        assert heard.body == h("0010")
        body = tlv(0x0D, h("0010")) + tlv(5, b"oscar.example:5190") + tlv(6, COOKIE)
        await connection.snac(1, 5, body, heard.request)

    async def picture(connection: Connection, heard: Heard) -> None:
        image = known[heard.body[-16:]]
        bart = h("0001 01 10") + heard.body[-16:]
        name = heard.body[: 1 + heard.body[0]]
        assert heard.body == name + h("01") + bart
        body = name + bart + struct.pack(">H", len(image)) + image
        await connection.snac(0x10, 5, body, heard.request)

    server.script |= {(1, 4): service, (0x10, 4): picture}


async def test_a_picture_is_fetched_by_a_connection_of_its_own(autojump_clock: MockClock) -> None:
    async with aim() as scene:
        gallery(scene.server, gif("j"))
        async with signed_on(scene) as client:
            none = await ask_of(client, FetchAvatar(ref="0", address="juliet"), CommandDone)
            assert none.result is None
            await scene.server.bos.snac(3, 0x0B, shows("Juliet", gif("j")))
            await next_event(client, PresenceChanged)
            done = await ask_of(client, FetchAvatar(ref="1", address="juliet"), CommandDone)
            assert done.result == Avatar(gif("j"), "image/gif")
            await trio.testing.wait_all_tasks_blocked()
            assert len(scene.server.connections) == 1
        await trio.testing.wait_all_tasks_blocked()
        assert scene.server.connections == []


async def test_pictures_are_fetched_once_for_all_and_not_without_end(
    autojump_clock: MockClock,
) -> None:
    async with aim(max_avatar_bytes=200, avatar_cache_bytes=250) as scene:
        gallery(scene.server, gif("j"), gif("n"), gif("t"))
        async with signed_on(scene) as client:
            for name in ("Juliet", "Nurse", "Tybalt", "Capulet"):
                await scene.server.bos.snac(3, 0x0B, shows(name, gif(name[0].lower())))
                await next_event(client, PresenceChanged)
            for ref in ("1", "2", "3"):
                for name in ("juliet", "nurse"):
                    done = await ask_of(client, FetchAvatar(ref=ref, address=name), CommandDone)
                    assert done.result == Avatar(gif(name[0]), "image/gif")
            assert len(scene.server.said(0x10, 4)) == 2
            over = await ask_of(client, FetchAvatar(ref="t", address="tybalt"), CommandFailed)
            assert over.reason is Reason.RATE_LIMITED
        async with signed_on(scene) as client:  # another session: what is kept is kept for all
            for name in ("Juliet", "Tybalt"):
                await scene.server.bos.snac(3, 0x0B, shows(name, gif(name[0].lower())))
                await next_event(client, PresenceChanged)
            await ask_of(client, FetchAvatar(ref="1", address="juliet"), CommandDone)
            assert len(scene.server.said(0x10, 4)) == 2
            await ask_of(client, FetchAvatar(ref="2", address="tybalt"), CommandDone)
            assert len(scene.server.said(0x10, 4)) == 3


def test_pictures_that_were_not_asked_for_go_first() -> None:
    pictures = Pictures(250)
    a, b, c, large = gif("a"), gif("b"), gif("c"), gif("d", 300)
    for image in (a, b):
        pictures.keep(digest(image), Avatar(image))
    assert pictures.get(digest(a)) == Avatar(a)
    pictures.keep(digest(a), Avatar(a))
    pictures.keep(digest(c), Avatar(c))
    pictures.keep(digest(large), Avatar(large))
    pictures.keep(digest(b), Avatar(c))  # that is another one
    kept = [image for image in (a, b, c, large) if pictures.get(digest(image)) is not None]
    assert kept == [a, c]


async def test_no_picture_is_no_trouble(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(1, 1, "0005", heard.request)

    async def elsewhere(connection: Connection, heard: Heard) -> None:
        body = tlv(0x0D, h("0010")) + tlv(5, b"evil.example:5190") + tlv(6, COOKIE)
        await connection.snac(1, 5, body, heard.request)

    async def hang_up(connection: Connection, heard: Heard) -> None:
        scene.server.refuses = True
        body = tlv(0x0D, h("0010")) + tlv(6, COOKIE)
        await connection.snac(1, 5, body, heard.request)

    async def ignore(connection: Connection, heard: Heard) -> None:
        pass

    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(3, 0x0B, user("Juliet", tlv(1, h("0010")), tlv(0x1D, BART)))
        await next_event(client, PresenceChanged)
        for script in (refuse, elsewhere, hang_up, ignore):
            scene.server.script[1, 4] = script
            await client.send(FetchAvatar(ref="a", address="juliet"))
            with trio.fail_after(100):
                failed = await next_event_late(client)
            assert failed.reason is Reason.UNREACHABLE
        assert not any(one.host == "evil.example" for one in scene.server.dialled)


async def next_event_late(client: LegacyClient) -> CommandFailed:
    while True:
        event = await client.receive()
        if isinstance(event, CommandFailed):
            return event


UNSUPPORTED: list[LegacyCommand] = [
    MarkRead(ref="x", conversation="juliet", upto="1"),
    SendNudge(ref="x", conversation="juliet"),
    SetPresence(ref="x", show=Show.AWAY, only_for=("juliet",)),
    Deny(ref="x", address="juliet"),
    Revoke(ref="x", address="juliet"),
    Search(ref="x", fields={"address": "juliet"}),
]


@pytest.mark.parametrize("command", UNSUPPORTED, ids=lambda one: type(one).__name__)
async def test_what_aim_cannot_do_is_unsupported(
    autojump_clock: MockClock, command: LegacyCommand
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        assert (await ask_of(client, command, CommandFailed)).reason is Reason.UNSUPPORTED
        edit = SendMessage(ref="e", conversation="juliet", text="Hi", replaces="1")
        outcome = await ask_of(client, edit, MessageOutcome)
        assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.UNSUPPORTED)
