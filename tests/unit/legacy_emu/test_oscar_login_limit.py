"""The OSCAR front counts logins as Open OSCAR Server does: ten in a minute from the first."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.policy import Likeness
from legacy_emu.service import Service
from tests.unit.legacy_emu.oscar_client import Connect, OscarWire, connecting, tlv

HASHED, ROASTED = b"\0\0\0\1", b"\0\0\0\1" + tlv(1, "romeo") + tlv(2, b"wrong")
TOO_FAST = bytes.fromhex("0008 0002 001d")


@pytest.fixture
def dial(service: Service, control: Control) -> Connect:
    control.set_policy(oscar=Likeness.OPEN_OSCAR_SERVER)
    return connecting(service)


async def begin(wire: OscarWire, hello: bytes) -> None:
    await wire.next_frame()
    await wire.send_frame(1, hello)


async def use_up(dial: Connect, hello: bytes) -> None:
    for _ in range(10):
        async with dial() as wire:
            await begin(wire, hello)
            await trio.testing.wait_all_tasks_blocked()


async def test_eleventh_hashed_login_is_refused_at_once(dial: Connect) -> None:
    await use_up(dial, HASHED)
    async with dial() as wire:
        await begin(wire, HASHED)
        refused = await wire.next()
        assert (refused.number, refused.request, refused.data) == ("17/03", 0, TOO_FAST)
        await wire.expect_end()


async def test_eleventh_roasted_login_is_refused_on_channel_four(dial: Connect) -> None:
    await use_up(dial, ROASTED)
    async with dial() as wire:
        await begin(wire, ROASTED)
        assert await wire.next_frame() == (4, TOO_FAST)
        await wire.expect_end()


async def test_login_minute_counts_from_the_first(dial: Connect, autojump_clock: MockClock) -> None:
    await use_up(dial, HASHED)
    await trio.sleep(59)
    async with dial() as wire:
        await begin(wire, HASHED)
        assert (await wire.next()).number == "17/03"
    await trio.sleep(1)
    async with dial() as wire:
        await begin(wire, HASHED)
        await wire.send("17/06", tlv(1, "romeo"), 1)
        assert (await wire.next()).number == "17/07"


async def test_plain_front_counts_no_logins(dial: Connect, control: Control) -> None:
    control.set_policy(oscar=Likeness.PLAIN)
    await use_up(dial, HASHED)
    async with dial() as wire:
        await begin(wire, HASHED)
        await wire.send("17/06", tlv(1, "romeo"), 1)
        assert (await wire.next()).number == "17/07"
