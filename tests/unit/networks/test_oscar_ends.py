"""How a session ends: by the service, by silence, by a cancellation."""

import contextlib
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    AddContact,
    CommandDone,
    FetchAvatar,
    MessageOutcome,
    MessageReceived,
    PresenceChanged,
    Refusal,
    SendMessage,
    SignedOff,
    Stage,
)
from tests.contract.harness import all_tasks, next_event, no_challenge, until_ended
from tests.contract.test_cancellation import cancelled_after
from tests.fakes.oscar_server import (
    COOKIE,
    Connection,
    Heard,
    h,
    im,
    tlv,
    user,
)
from tests.unit.networks.oscar_scene import (
    BART,
    Scene,
    aim,
    ask_of,
    signed_on,
)

# --- the end ----------------------------------------------------------------------------------

ENDS = [
    (tlv(9, h("0001")) + tlv(0x0B, b"closing time"), Refusal.ELSEWHERE),
    (tlv(9, h("01")) + tlv(0x0B, b"closing time"), Refusal.ELSEWHERE),
    (tlv(9, h("0002")) + tlv(0x0B, b"closing time"), Refusal.UNKNOWN_ACCOUNT),
    (tlv(0x0B, b"closing time"), None),
    (tlv(9, h("01")) + tlv(0x0B, b"https://example.org/more"), Refusal.ELSEWHERE),
    (tlv(0x0B, b"www.aol.com"), None),
    (tlv(0x0B, b"see http://example.org/"), None),
]


@pytest.mark.parametrize(("payload", "reason"), ENDS)
async def test_the_service_ends_a_session(
    autojump_clock: MockClock, payload: bytes, reason: Refusal | None
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(4, 7, im("Juliet", b"the last word"))
        await scene.server.bos.flap(4, payload)
        events, ended = await until_ended(client)
        assert isinstance(events[-1], MessageReceived)
        assert isinstance(ended, SignedOff)
        said = "closing time" if b"closing time" in payload else ""  # an address is no word
        assert (ended.reason, ended.text) == (reason, said)
        with pytest.raises(SignedOff):
            await client.send(SendMessage(ref="1", conversation="juliet", text="Wait!"))
        client.acknowledge("whatever")


async def test_a_sign_off_without_its_length_is_orderly(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.raw(h("2a 04 00 07"))
        await scene.server.bos.close()
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert ended.reason is None


async def test_a_stream_that_just_ends_is_lost(autojump_clock: MockClock) -> None:
    for last in ("", "2a 02 00", "2a 02 00 07 00"):
        async with aim() as scene, signed_on(scene) as client:
            await scene.server.bos.raw(h(last))
            await scene.server.bos.close()
            _, ended = await until_ended(client)
            assert isinstance(ended, ConnectionLost)


RATE = "0003 00000014 000013ec 00001388 00000fa0 00000bb8 00000fa0 00001770 00000000 00"


@pytest.mark.parametrize(("cleared", "reason"), [(False, Refusal.TOO_MANY_ATTEMPTS),
                                                 (True, Refusal.ELSEWHERE)])  # fmt: skip
async def test_who_was_too_fast_is_not_said_to_be_elsewhere(
    autojump_clock: MockClock, cleared: bool, reason: Refusal
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(1, 0x0A, f"0003 {RATE}")
        if cleared:
            clear = RATE.replace("00000fa0 00001770", "00001770 00001770")
            await scene.server.bos.snac(1, 0x0A, f"0004 {clear}")
        await scene.server.bos.flap(4, tlv(9, h("0001")))
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert ended.reason is reason
        assert ended.retry_after == (None if cleared else 600)


async def test_what_is_limited_waits_until_it_is_clear(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(1, 0x0A, f"0003 {RATE}")
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        await client.send(SendMessage(ref="m", conversation="juliet", text="Hi"))
        # The level is 4000 and has to be 5100 and a bit, with the pause counting for a twentieth.
        assert trio.current_time() - start == pytest.approx(28, abs=0.1)


async def test_a_pause_holds_everything_but_its_answer(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(1, 0x0B, "0004")
        assert (await scene.server.hear(1, 0x0C)).body == h("0004")
        with trio.move_on_after(20) as waited:
            await client.send(SendMessage(ref="m", conversation="juliet", text="Hi"))
        assert waited.cancelled_caught
        await scene.server.bos.snac(1, 0x0D, "")
        message = SendMessage(ref="n", conversation="juliet", text="Hi")
        assert (await ask_of(client, message, MessageOutcome)).stage is Stage.ACCEPTED
        assert len(scene.server.said(4, 6)) == 1


async def test_a_move_of_the_service_is_an_end(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.snac(1, 0x12, "0000 0005 0004 68313a31")
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert ended.reason is None


async def test_a_probe_is_answered(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene):
        await scene.server.bos.snac(1, 0x1F)
        await scene.server.hear(1, 0x20)


async def test_a_quiet_day_is_no_end_and_silence_is(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await trio.sleep(24 * 3600)
        assert len(scene.server.said(0, 5)) > 1_000
        scene.server.silent = True
        start = trio.current_time()
        with pytest.raises(ConnectionLost, match="has not answered"):
            await client.receive()
        assert trio.current_time() - start <= 150


@pytest.mark.parametrize(
    "data", ["48656c6c6f", "2a 09 0000 0000", "2a 03 0000 0000", "2a 02 0000 0003 000000",
             "2a 01 0000 0004 00000001", "2a 02 0000 000e 0003000b000000000000 05416263",
             "2a 02 0000 000e 00010003000000000000 00010002"],
)  # fmt: skip
async def test_a_service_that_breaks_the_protocol_is_told_so(
    autojump_clock: MockClock, data: str
) -> None:
    async with aim() as scene, signed_on(scene) as client:
        await scene.server.bos.raw(h(data))
        for _ in range(2):
            with pytest.raises(RemoteProtocolError):
                await client.receive()


async def test_a_service_that_does_not_read_is_given_up(autojump_clock: MockClock) -> None:
    """It asks, and does not take the answers: there is an end to how many wait."""
    async with aim() as scene, signed_on(scene) as client:
        probes = h("2a 02 0000 000a 0001001f000000000000") * 10_000
        await scene.server.bos.raw(probes)
        _, ended = await until_ended(client)
        assert isinstance(ended, ConnectionLost)


# --- cancellation -----------------------------------------------------------------------------


async def enter_and_leave(scene: Scene) -> None:
    async with scene.network.sign_on(scene.account, no_challenge):
        pass


async def check(scene: Scene) -> None:
    await scene.network.check(scene.account, no_challenge)


async def talk(scene: Scene) -> None:
    async with signed_on(scene) as client:
        await scene.server.bos.snac(4, 7, im("Juliet", b"Hi"))
        await next_event(client, MessageReceived)
        await client.send(SendMessage(ref="m", conversation="juliet", text="Hi"))
        await client.send(AddContact(ref="a", address="nurse"))
        await next_event(client, CommandDone)


async def look(scene: Scene) -> None:
    async def service(connection: Connection, heard: Heard) -> None:
        body = tlv(0x0D, h("0010")) + tlv(6, COOKIE)
        await connection.snac(1, 5, body, heard.request)

    scene.server.script[1, 4] = service
    async with signed_on(scene) as client:
        await scene.server.bos.snac(3, 0x0B, user("Juliet", tlv(1, h("0010")), tlv(0x1D, BART)))
        await next_event(client, PresenceChanged)
        await client.send(FetchAvatar(ref="a", address="juliet"))
        await scene.server.hear(0x10, 4)


async def meet_silence(scene: Scene) -> None:
    async with signed_on(scene) as client:
        scene.server.silent = True
        for number in range(5):
            await client.send(SendMessage(ref=f"{number}", conversation="juliet", text="Hi"))


async def be_cut_off(scene: Scene) -> None:
    with contextlib.suppress(ConnectionLost):
        async with signed_on(scene) as client:
            await scene.server.bos.close()
            while True:
                await client.receive()


@pytest.mark.parametrize(
    "story", [enter_and_leave, check, talk, look, meet_silence, be_cut_off],
    ids=lambda story: story.__name__,
)  # fmt: skip
async def test_a_cancellation_anywhere_leaves_nothing(
    autojump_clock: MockClock, story: Callable[[Scene], Awaitable[None]]
) -> None:
    async with aim() as scene:
        before = all_tasks()
        for steps in range(1, 2_000):
            start = trio.current_time()
            async with cancelled_after(steps) as scope:
                await story(scene)
            if scope.cancel_called:
                assert trio.current_time() - start <= 30
            scene.server.silent = False
            await trio.sleep(1)
            assert scene.server.connections == []
            assert all_tasks() == before
            if not scope.cancel_called:
                break
        assert 10 < steps < 1_999
        scene.server.heard.clear()
        await enter_and_leave(scene)  # and the service is none the worse


async def test_a_cancelled_session_still_says_goodbye(autojump_clock: MockClock) -> None:
    async with aim() as scene:
        with trio.CancelScope() as scope:
            async with signed_on(scene):
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert len(scene.server.said(0, 4)) == 1
