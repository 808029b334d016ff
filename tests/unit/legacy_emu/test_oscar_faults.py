"""The faults on the OSCAR front: those of all fronts, and its own."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Refusal, Show
from legacy_emu.faults import Kind, Moment
from legacy_emu.service import Service
from tests.unit.legacy_emu.oscar_client import (
    OscarWire,
    SignOn,
    connecting,
    im,
    log_in,
    s8,
    sign_on,
    signing_on,
    tlv,
    tlvs,
)

EXTRA = tlv(0x7A7A, "nobody knows me")


@pytest.fixture
def on(service: Service) -> SignOn:
    return signing_on(service)


async def challenged(wire: OscarWire, name: str) -> None:
    await wire.next_frame()
    await wire.send_frame(1, b"\0\0\0\1")
    await wire.send("17/06", tlv(1, name), 1)
    await wire.next()
    await wire.send("17/02", tlv(1, name) + tlv(0x25, bytes(16)), 2)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Refusal.WRONG_CREDENTIALS, 0x05),
        (Refusal.UNKNOWN_ACCOUNT, 0x08),
        (Refusal.SUSPENDED, 0x11),
        (Refusal.FORBIDDEN, 0x1B),
        (Refusal.ELSEWHERE, 0x16),
        (Refusal.TOO_MANY_ATTEMPTS, 0x1D),
        (Refusal.BUSY, 0x14),
    ],
)
async def test_each_refusal_has_its_code(
    control: Control, service: Service, reason: Refusal, code: int
) -> None:
    control.set_fault(Kind.REFUSE, account="romeo", reason=reason)
    async with connecting(service)() as romeo:
        await challenged(romeo, "romeo")
        assert tlvs((await romeo.next()).data)[8] == code.to_bytes(2, "big")
    async with connecting(service)() as romeo:
        await romeo.next_frame()
        await romeo.send_frame(1, b"\0\0\0\1" + tlv(1, "romeo"))
        _, payload = await romeo.next_frame()
        assert tlvs(payload)[8] == code.to_bytes(2, "big")


@pytest.mark.parametrize("moment", [Moment.CONNECT, Moment.SIGN_ON])
async def test_a_connection_is_dropped(control: Control, service: Service, moment: Moment) -> None:
    control.set_fault(Kind.DROP, moment=moment)
    async with connecting(service)() as romeo:
        if moment is Moment.SIGN_ON:
            await challenged(romeo, "romeo")
        await romeo.expect_end()
    assert control.connections() == []


async def test_a_connection_drops_after_so_many_frames(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        frames = next(each for each in control.connections() if each["account"] == "romeo")
        count = frames["frames"]
        control.set_fault(Kind.DROP, moment=Moment.FRAMES, after_frames=count + 2)
        assert await romeo.barrier() == []
        await romeo.send("01/1f", request=1)
        await romeo.expect_end()


async def test_lost_acknowledgements_and_outcomes(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        control.set_fault(Kind.LOSE_ACKS, times=1)
        control.set_fault(Kind.LOSE_OUTCOMES, times=2)
        number = control.send_message("juliet", "romeo", "Hello")
        await romeo.expect("04/07")
        await romeo.barrier()
        assert control.kept("romeo") == (number,)  # it comes again
        await romeo.send("04/06", im("juliet", "one"), 1)
        await romeo.send("04/06", im("nobody", "two"), 2)
        await romeo.send("04/06", im("juliet", "three"), 3)
        assert [(each.number, each.request) for each in await romeo.barrier()] == [("04/0c", 3)]
    async with on("romeo") as romeo:
        await romeo.send("04/10", request=1)
        assert b"Hello" in (await romeo.expect("04/07")).data


async def test_more_than_the_limit_fails(
    control: Control, on: SignOn, autojump_clock: MockClock
) -> None:
    control.set_fault(Kind.RATE_LIMIT, per_second=0.5, burst=2)
    async with on("romeo") as romeo:
        for number in range(3):
            await romeo.send("04/06", im("juliet", "x"), number)
        answers = [(each.number, each.data[:2]) for each in await romeo.barrier()]
        assert [number for number, _ in answers] == ["04/0c", "04/0c", "04/01"]
        assert answers[-1][1] == b"\0\2"


async def test_what_is_said_raw_is_bytes(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        control.say_raw("\x2a\x05\x00\x00\x00\x01\xff", "romeo")
        assert await romeo.next_frame() == (5, b"\xff")
        control.cut("romeo")
        await romeo.expect_end()


async def test_what_was_acknowledged_is_repeated(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        control.send_message("juliet", "romeo", "Hello")
        first = await romeo.expect("04/07")
        await romeo.barrier()
        assert control.replay("romeo") == 1
        second = await romeo.expect("04/07")
        assert second.data[:8] == first.data[:8]
        assert bytes.fromhex("0016 0004") in second.data


async def test_a_client_that_does_not_read_is_cut_off(
    control: Control, service: Service, on: SignOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("legacy_emu.fronts.oscar.link.MAX_WAITING", 100)
    async with on("romeo") as romeo:
        for _ in range(101):
            service.backend.notice("romeo", "x")
        await romeo.expect_end()
    assert [each.kind for each in control.arrived()][-1] == "sign_off"


# --- its own ----------------------------------------------------------------------------------


async def test_a_gap_in_the_sequence(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        await romeo.barrier()
        control.set_fault(Kind.SEQUENCE_GAP, times=1)
        await romeo.barrier()
        await romeo.barrier()
        one, two, three = romeo.sequences[-3:]
    assert ((two - one) % 0x10000, (three - two) % 0x10000) == (8, 1)
    steps = {
        (after - before) % 0x10000
        for before, after in zip(romeo.sequences, romeo.sequences[1:], strict=False)
    }
    assert steps == {1, 8}


async def test_a_sign_off_in_four_bytes(control: Control, on: SignOn) -> None:
    control.set_fault(Kind.SHORT_SIGN_OFF, account="romeo")
    async with on("romeo") as romeo:
        await romeo.barrier()
        control.kick("romeo", Refusal.ELSEWHERE)
        channel, left = await romeo.next_frame()
        sequence = (romeo.sequences[-1] + 1) & 0xFFFF
        assert (channel, left) == (0, b"\x2a\4" + sequence.to_bytes(2, "big"))


async def test_snacs_nobody_knows(control: Control, on: SignOn) -> None:
    async with on("romeo") as romeo:
        control.set_fault(Kind.UNKNOWN_SNACS, times=1)
        assert [each.number for each in await romeo.barrier()] == ["7a/01", "04/7a"]
        assert await romeo.barrier() == []


async def test_tlvs_nobody_knows(control: Control, service: Service) -> None:
    control.befriend("romeo", "juliet")
    control.set_presence("juliet", Show.ONLINE)
    control.set_fault(Kind.EXTRA_TLVS)
    connect = connecting(service)
    async with connect() as login:
        cookie = await log_in(login, "romeo", "romeo-pw")
    async with connect() as romeo:
        items = await sign_on(romeo, cookie)
        assert items.count(EXTRA) == 3
        control.set_presence("juliet", Show.AWAY, "out")
        arrived = (await romeo.expect("03/0b")).data
        assert arrived[:11] == s8("juliet") + bytes.fromhex("0000 0005")
        assert arrived.endswith(EXTRA)
        await romeo.send("02/05", b"\0\2" + s8("juliet"), 1)
        assert (await romeo.next()).data.endswith(EXTRA)
        control.send_message("juliet", "romeo", "Hello")
        assert (await romeo.next()).data.endswith(EXTRA)
        await romeo.send("04/06", im("nobody", "x"), 1)
        assert (await romeo.next()).data == bytes.fromhex("0014") + EXTRA


async def test_a_cookie_is_refused(control: Control, service: Service) -> None:
    connect = connecting(service)
    async with connect() as login:
        cookie = await log_in(login, "romeo", "romeo-pw")
    control.set_fault(Kind.REFUSE_COOKIE, account="romeo", times=1)
    async with connect() as romeo:
        await romeo.next_frame()
        await romeo.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
        assert await romeo.next_frame() == (4, bytes.fromhex("0008 0002 0018"))
        await romeo.expect_end()
    async with connect() as login:
        again = await log_in(login, "romeo", "romeo-pw")
    async with connect() as romeo:
        await sign_on(romeo, again)


async def test_rates_are_enforced_as_they_are_announced(
    control: Control, on: SignOn, autojump_clock: MockClock
) -> None:
    """The 4th message in one go is too close, the 8th is dropped without a word."""
    control.set_fault(Kind.ENFORCE_RATES, account="romeo")
    async with on("romeo") as romeo:
        for number in range(9):
            await romeo.send("04/06", im("juliet", str(number)), number)
        came = await romeo.barrier()
        assert [each.number for each in came] == [
            *["04/0c"] * 3,
            "01/0a",
            *["04/0c"] * 4,
            "01/0a",
        ]
        changes = [each.data for each in came if each.number == "01/0a"]
        assert [each[:4] for each in changes] == [b"\0\2\0\3", b"\0\3\0\3"]
        assert [len(each) for each in changes] == [37, 37]
        assert len(control.arrived(kind="message")) == 7

        await trio.sleep(60)
        cleared = await romeo.next()
        assert cleared.data[:4] == b"\0\4\0\3"
        await romeo.send("04/06", im("juliet", "x"), 9)
        assert (await romeo.next()).number == "04/0c"


async def test_who_goes_on_over_the_limit_is_cut_off(
    control: Control, on: SignOn, autojump_clock: MockClock
) -> None:
    control.set_fault(Kind.ENFORCE_RATES)
    async with on("romeo") as romeo:
        for number in range(14):
            await romeo.send("04/06", im("juliet", "x"), number)
        while (frame := await romeo.next_frame())[0] == 2:
            pass
        assert frame == (4, bytes.fromhex("0009 0002 0001"))
    assert len(control.arrived(kind="message")) == 7
