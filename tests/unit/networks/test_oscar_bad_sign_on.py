"""Services that stop, lie or repeat themselves while AIM or ICQ signs on there."""

from itertools import count

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import ContactList, LoginRefused, MessageReceived
from tests.contract.harness import all_tasks, next_event, no_challenge
from tests.fakes.oscar_server import Connection, Heard, Script, h, im, tlv, user
from tests.unit.networks.oscar_scene import Scene, aim, icq, signed_on

SECONDS = 60  # the setting sign_on_seconds
SIGN_OFF_SECONDS = 5

# What a client says on its way in, and how often by then.
LOGIN = [((0, 1), 1), ((0x17, 6), 1), ((0x17, 2), 1)]
BOS = [
    *(((0, 1), 2), ((1, 0x17), 1), ((1, 6), 1), ((1, 8), 1), ((1, 0x0E), 1), ((2, 2), 1)),
    *(((3, 2), 1), ((4, 4), 1), ((9, 2), 1), ((0x13, 2), 1), ((0x13, 4), 1), ((4, 2), 1)),
    *(((2, 4), 1), ((0x13, 7), 1), ((1, 0x1E), 1), ((1, 0x11), 1), ((1, 2), 1), ((1, 0x0E), 2)),
]


async def fails(scene: Scene) -> BaseException:
    """Sign on in vain, in time, and without leaving anything."""
    await trio.testing.wait_all_tasks_blocked()
    tasks, start = all_tasks(), trio.current_time()
    with pytest.raises((ConnectionLost, LoginRefused, RemoteProtocolError)) as failed:
        async with scene.network.sign_on(scene.account, no_challenge):
            pytest.fail("signed on")
    assert trio.current_time() - start <= SECONDS + SIGN_OFF_SECONDS
    await trio.sleep(1)  # for the server, which may be at some pace of its own
    assert scene.server.connections == []
    assert all_tasks() == tasks
    return failed.value


def at(scene: Scene, step: tuple[int, int], time: int, then: Script) -> None:
    """Let the server answer `step` by `then`, when it comes for the `time`th time."""
    usual = scene.server.usual(*step)

    async def answer(connection: Connection, heard: Heard) -> None:
        if len(scene.server.said(*step)) == time:
            await then(connection, heard)
        else:
            await usual(connection, heard)

    scene.server.script[step] = answer


@pytest.mark.parametrize("how", ["silent", "closed", "half a frame", "short sign-off"])
@pytest.mark.parametrize(("step", "time"), [*LOGIN, *BOS])
async def test_a_service_that_stops_at_any_step_is_given_up(
    autojump_clock: MockClock, step: tuple[int, int], time: int, how: str
) -> None:
    async def stop(connection: Connection, heard: Heard) -> None:
        if how == "half a frame":
            await connection.raw(h("2a 02 0007 0040 0001"))
        elif how == "short sign-off":
            await connection.raw(h("2a 04 0007"))
        if how == "silent":
            scene.server.silent = True
        else:
            await connection.close()

    async with aim() as scene:
        at(scene, step, time, stop)
        assert isinstance(await fails(scene), ConnectionLost)


@pytest.mark.parametrize("greets", [False, True])
async def test_a_service_that_does_not_greet_is_given_up(
    autojump_clock: MockClock, greets: bool
) -> None:
    """Not at the login; or there, but not where that sends us."""
    async with aim() as scene:
        scene.server.greetings = int(greets)
        assert isinstance(await fails(scene), ConnectionLost)


@pytest.mark.parametrize("login", ["md5", "roasted"])
async def test_a_challenge_is_answered_once_and_where_one_was_asked_for(
    autojump_clock: MockClock, login: str
) -> None:
    """Each answer is something to guess the password by."""

    async def challenge_again(connection: Connection, heard: Heard) -> None:
        for number in range(1_000):
            body = h("0004") + number.to_bytes(4, "big")
            await connection.snac(0x17, 7, body, heard.request)

    async def ignore(connection: Connection, heard: Heard) -> None:
        pass

    async with aim(login=login) as scene:
        scene.server.script[(0x17, 6) if login == "md5" else (0, 1)] = challenge_again
        scene.server.script[0x17, 2] = ignore
        await fails(scene)
        assert len(scene.server.said(0x17, 2)) == (1 if login == "md5" else 0)


async def test_a_cookie_that_fits_no_frame_is_refused(autojump_clock: MockClock) -> None:
    async def end(connection: Connection, heard: Heard) -> None:
        await connection.flap(4, tlv(6, b"x" * 65_531))

    async with aim() as scene:
        scene.server.script[0x17, 6] = end
        assert isinstance(await fails(scene), RemoteProtocolError)


async def test_food_groups_that_are_named_very_often_count_once(
    autojump_clock: MockClock,
) -> None:
    async with aim() as scene:
        scene.server.groups = "0001 0002 0003 0004 0009 0013" * 5_000
        async with signed_on(scene):
            assert len(scene.server.said(1, 0x17)[0].body) == 4 * 6


async def test_rates_that_come_again_and_again_are_learned_once(
    autojump_clock: MockClock,
) -> None:
    async def repeat(connection: Connection, heard: Heard) -> None:
        for _ in range(2_000):
            await connection.snac(1, 7, "0000", heard.request, flags=1)

    async with aim() as scene:
        scene.server.script[1, 6] = repeat
        async with signed_on(scene):
            assert len(scene.server.said(1, 8)) == 1
            assert len(scene.server.said(0x13, 4)) == 1


async def test_a_list_without_end_is_an_error(autojump_clock: MockClock) -> None:
    async def endless(connection: Connection, heard: Heard) -> None:
        for number in count():
            if connection.is_over:
                break
            each = name_item(number % 60_000)
            await connection.snac(0x13, 6, h("00 0001") + each + bytes(4), heard.request, flags=1)

    def name_item(number: int) -> bytes:
        name = f"b{number}".encode()
        ids = (number // 30_000 + 1).to_bytes(2, "big") + (number % 30_000 + 1).to_bytes(2, "big")
        return len(name).to_bytes(2, "big") + name + ids + bytes(4)

    async with aim() as scene:
        scene.server.script[0x13, 4] = endless
        assert isinstance(await fails(scene), RemoteProtocolError)


async def test_the_same_piece_of_a_list_for_ever_is_given_up(autojump_clock: MockClock) -> None:
    item = h("0001 01 0001 0001 0000 0000")

    async def endless(connection: Connection, heard: Heard) -> None:
        while not connection.is_over:
            body = h("00 0014") + item * 20 + bytes(4)
            await connection.snac(0x13, 6, body, heard.request, flags=1)
            await trio.sleep(0.1)

    async with aim() as scene:
        scene.server.script[0x13, 4] = endless
        assert isinstance(await fails(scene), ConnectionLost)


async def test_what_floods_a_sign_on_is_bounded(autojump_clock: MockClock) -> None:
    async def flood(connection: Connection, heard: Heard) -> None:
        while not connection.is_over:
            await connection.snac(4, 7, im("Juliet", b"x" * 8_000))

    async with aim() as scene:
        scene.server.script[0x13, 4] = flood
        assert isinstance(await fails(scene), ConnectionLost)
        assert trio.current_time() < 30


async def test_names_that_nobody_can_have_do_not_end_the_sign_on(
    autojump_clock: MockClock,
) -> None:
    async with icq() as scene:
        scene.server.feedbag += [
            name + ((number + 9).to_bytes(2, "big")) + bytes(4)
            for number in range(3_000)
            for name in [h("0009 63617075 6c657440 78 0001")]
        ]
        async with scene.network.sign_on(scene.account, no_challenge) as client:
            listed = await client.receive()
            assert isinstance(listed, ContactList)
            await scene.server.hear(1, 2)
            await scene.server.bos.snac(4, 7, im("10002", b"Hi"))
            assert (await next_event(client, MessageReceived)).text == "Hi"


@pytest.mark.parametrize(
    "data",
    [
        h("2a 03 0000 0000"),
        h("2a 00 0000 0000"),
        h("2a 02 0000 0009") + bytes(9),
        h("2a 02 0000 000d 0001 0003 0000 00000000 0001 00"),
        h("2a 02 0000 000e 0017 0003 8000 00000000 ffff 0001"),
        h("2a 02 0000 000e 0017 0007 0000 00000000 ffff 0001"),
        h("2a 04 0000 0005 0008 0002 00"),
        h("2a 01 0000 0003 000000"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        h("16 03 01 00 02"),
        b"*" * 70_000,
    ],
    ids=range(11),
)
@pytest.mark.parametrize("step", [((0, 1), 1), ((0, 1), 2)], ids=["login", "BOS"])
async def test_bytes_that_are_no_packet_end_a_sign_on(
    autojump_clock: MockClock, data: bytes, step: tuple[tuple[int, int], int]
) -> None:
    async def answer(connection: Connection, heard: Heard) -> None:
        await connection.raw(data)

    async with aim() as scene:
        at(scene, *step, answer)
        assert isinstance(await fails(scene), RemoteProtocolError)


async def test_a_frame_of_65535_bytes_is_no_trouble_byte_by_byte(
    autojump_clock: MockClock,
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(0x7A, 0x7A, bytes(65_525))
        body = h("0004 0007 0000 80000000") + im("Juliet", b"x" * 65_000)
        frame = h("2a 02 0000") + len(body).to_bytes(2, "big") + body
        for place in range(100):
            await scene.server.bos.raw(frame[place : place + 1])
        await scene.server.bos.raw(frame[100:])
        assert len((await next_event(client, MessageReceived)).text) == 65_000


async def test_an_answer_counts_for_what_it_answers(autojump_clock: MockClock) -> None:
    """A service may number what it says unasked as we number our questions."""

    async def push(connection: Connection, heard: Heard) -> None:
        await connection.snac(4, 7, im("Juliet", b"Hi"), heard.request)
        await connection.snac(3, 0x0B, user("Juliet"), heard.request)
        await usual(connection, heard)

    for step in ((1, 6), (1, 0x0E), (2, 2), (4, 4), (0x13, 4)):
        async with aim() as scene:
            usual = scene.server.usual(*step)
            scene.server.script[step] = push
            async with signed_on(scene) as client:
                assert (await next_event(client, MessageReceived)).text == "Hi"
            assert trio.current_time() < 30
