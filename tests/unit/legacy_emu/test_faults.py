"""Each fault does what it says, to whom it says, for as long as it says."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import ConnectionClosed

from legacy_emu.control import Control
from legacy_emu.events import Refusal
from legacy_emu.faults import Connection, Fault, Faults, FaultyStream, Kind, Moment
from tests.unit.legacy_emu.conftest import Connect, FixedWorld


def test_a_fault_strikes_whom_it_names() -> None:
    faults = Faults()
    romeo, juliet = Connection(1, "websocket"), Connection(2, "websocket")
    romeo.account, juliet.account = "romeo", "juliet"
    faults.set(Fault(kind=Kind.DELAY, account="romeo", seconds=2))
    by_connection = faults.set(Fault(kind=Kind.SPLIT, connection="c2"))
    assert faults.find(Kind.DELAY, romeo) is not None
    assert faults.find(Kind.DELAY, juliet) is None
    assert faults.find(Kind.SPLIT, romeo) is None
    assert faults.find(Kind.SPLIT, juliet) is not None
    assert (faults.clear(by_connection), faults.clear(by_connection)) == (1, 0)
    assert faults.find(Kind.SPLIT, juliet) is None
    assert (faults.clear(), faults.all()) == (1, {})


def test_a_counted_fault_wears_off() -> None:
    faults, connection = Faults(), Connection(1, "websocket")
    faults.set(Fault(kind=Kind.REFUSE, times=2))
    struck = [faults.take(Kind.REFUSE, connection) is not None for _ in range(4)]
    assert struck == [True, True, False, False]


async def test_refusals_are_told_and_counted(control: Control, connect: Connect) -> None:
    control.set_fault(Kind.REFUSE, reason=Refusal.SUSPENDED, text="go away", retry_after=9, times=1)
    async with connect() as romeo:
        await romeo.send("sign_on", account="romeo", password="romeo-pw")
        refused = await romeo.next()
        assert (refused["type"], refused["reason"]) == ("refused", "suspended")
        assert (refused["text"], refused["retry_after"]) == ("go away", 9)
    async with connect() as romeo:
        await romeo.sign_on("romeo")


async def test_answers_stall_until_healed(control: Control, connect: Connect) -> None:
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        name = control.set_fault(Kind.STALL_ANSWERS, account="romeo")
        await romeo.send("send_message", ref="1", to="juliet", text="Hello")
        assert await control.wait_arrived(kind="message")  # it is read and acted upon
        await romeo.send("ping", id="1")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0) as nothing:
            await romeo.next()
        assert nothing.cancelled_caught
        control.clear_faults(name)
        assert (await romeo.next())["type"] == "outcome"
        assert (await romeo.next())["type"] == "pong"


async def test_reading_stalls_until_healed(control: Control, connect: Connect) -> None:
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        control.set_fault(Kind.STALL_READING)
        await romeo.send("send_message", ref="1", to="juliet", text="Hello")
        await trio.testing.wait_all_tasks_blocked()
        assert control.arrived(kind="message") == []
        control.clear_faults()
        assert (await romeo.next())["type"] == "outcome"
        assert len(control.arrived(kind="message")) == 1


async def test_a_connection_drops_after_so_many_frames(control: Control, connect: Connect) -> None:
    control.set_fault(Kind.DROP, moment=Moment.FRAMES, after_frames=3)
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        await romeo.send("ping", id="1")
        assert (await romeo.next())["id"] == "1"
        await romeo.send("ping", id="2")
        with pytest.raises(ConnectionClosed):
            await romeo.next()
    [_, end] = control.arrived()
    assert (end.kind, end.fields["orderly"]) == ("sign_off", False)


async def test_lost_acknowledgements_and_outcomes_never_come(
    control: Control, connect: Connect
) -> None:
    async with connect() as juliet:
        await juliet.sign_on("juliet")
        control.set_fault(Kind.LOSE_ACKS, times=1)
        control.set_fault(Kind.LOSE_OUTCOMES, times=1)
        number = control.send_message("romeo", "juliet", "Hello")
        await juliet.expect("message")
        await juliet.send("ack", ids=[number])
        await juliet.send("send_message", ref="1", to="romeo", text="Good night")
        await juliet.send("send_message", ref="2", to="romeo", text="Good night")
        assert (await juliet.next())["ref"] == "2"
        assert control.kept("juliet") == (number,)
        await juliet.send("ack", ids=[number])
        await juliet.send("ping", id="1")
        await juliet.expect("pong")
        assert control.kept("juliet") == ()


async def test_a_rate_limit_lets_so_many_through(
    control: Control, connect: Connect, autojump_clock: MockClock
) -> None:
    control.set_fault(Kind.RATE_LIMIT, per_second=0.5, burst=2)
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        stages = []
        for number in range(4):
            await romeo.send("send_message", ref=str(number), to="juliet", text="x")
            stages.append((await romeo.next())["reason"])
        assert stages == [None, None, "rate_limited", "rate_limited"]
        await trio.sleep(2)
        await romeo.send("send_message", ref="later", to="juliet", text="x")
        assert (await romeo.next())["reason"] is None


async def test_kick_cut_replay_and_raw_words(control: Control, connect: Connect) -> None:
    number = control.send_message("juliet", "romeo", "Hello")
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        await romeo.expect("message")
        assert control.replay("romeo") == 1
        assert (await romeo.next())["id"] == number
        control.say_raw("not a frame", address="romeo")
        assert await romeo.socket.get_message() == "not a frame"
        assert control.kick("romeo", Refusal.SUSPENDED, "enough", 60) == 1
        over = await romeo.next()
        assert (over["type"], over["reason"], over["retry_after"]) == (
            "signed_off",
            "suspended",
            60,
        )
    async with connect() as romeo:
        await romeo.sign_on("romeo")
        assert control.cut("juliet") == 0
        assert control.cut("romeo") == 1
        await trio.testing.wait_all_tasks_blocked()
        assert control.connections() == []


async def test_bytes_are_split_delayed_and_garbled(autojump_clock: MockClock) -> None:
    faults, connection = Faults(), Connection(1, "websocket")
    ours, theirs = memory_stream_pair()
    stream = FaultyStream(theirs, connection, faults, FixedWorld())
    pieces: list[bytes] = []

    async def send_and_receive(data: bytes) -> bytes:
        pieces.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            while sum(map(len, pieces)) < len(data):
                pieces.append(bytes(await ours.receive_some()))
        return b"".join(pieces)

    whole = faults.set(Fault(kind=Kind.SPLIT))
    assert await send_and_receive(b"0123456789") == b"0123456789"
    assert len(pieces) > 1
    faults.clear(whole)
    faults.set(Fault(kind=Kind.DELAY, seconds=3, times=1))
    assert await send_and_receive(b"0123") == b"0123"
    assert trio.current_time() == 3
    faults.set(Fault(kind=Kind.GARBLE, times=1))
    garbled = await send_and_receive(b"0" * 50)
    assert sum((byte ^ ord("0")).bit_count() for byte in garbled) == 1
    assert await send_and_receive(b"0" * 50) == b"0" * 50
