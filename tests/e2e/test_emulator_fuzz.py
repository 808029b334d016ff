"""One emulator bears thousands of hostile inputs, and then serves as before.

`FUZZ_INPUTS` says how many, and another `FUZZ_SEED` sends others. With `pytest -s` it prints what
was sent, and what the process held before and after.
"""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, cast

import attrs
import pytest
import trio
from trio_websocket import wrap_client_stream

from legacy_emu.control_client import open_control
from legacy_emu.fronts import FRONTS
from scripts.lab.processes import Emulator, running_emulator, scratch_folder
from tests.e2e import hostile
from tests.e2e.hostile import Attack, Tally, place, throw

INPUTS = int(os.environ.get("FUZZ_INPUTS", "50000"))
SEED = os.environ.get("FUZZ_SEED", "1")
AT_ONCE = 6
RUN_SECONDS = 60 + INPUTS / 50
SETTLE_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.1
MAX_GROWTH_MIB = 150
MAX_DESCRIPTORS = 20  # of an emulator without clients
FURTHER = [name for name in FRONTS if name != "websocket"]

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@attrs.frozen
class Size:
    """What a process holds."""

    memory_mib: float
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> "Size":
        process = Path("/proc") / str(pid)
        pages = int((process / "statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return cls(memory, len(list((process / "fd").iterdir())))


def further(part: str) -> list[Any]:
    """Return what the modules of the further fronts have under this name."""
    return [getattr(import_module(f"tests.e2e.hostile_{name}"), part) for name in FURTHER]


async def prepare(emulator: Emulator) -> None:
    """Make the attackers' accounts: enough of them, so that few end each other's sessions."""
    async with open_control(emulator.control) as control:
        for name in hostile.ACCOUNTS:
            await control.call("create_account", address=name, password=hostile.PASSWORD)
            for other in ("romeo", "echo"):
                await control.call("befriend", first=name, second=other)


async def attack(emulator: Emulator, inputs: int) -> Tally:
    """Send so many inputs, several connections at once."""
    table: dict[str, tuple[int, Attack]] = dict(hostile.ATTACKS)
    for each in further("ATTACKS"):
        table |= each
    names, shares = list(table), [share for share, _ in table.values()]
    tally, numbers = Tally(), count()

    async def keep_attacking() -> None:
        while tally.total < inputs:
            random = Random(f"{SEED}/{next(numbers)}")  # noqa: S311
            [name] = random.choices(names, shares)
            sent = await table[name][1](emulator, random)
            tally.inputs[name] = tally.inputs.get(name, 0) + sent
            emulator.running.check_alive()

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(keep_attacking)
    return tally


async def settle(emulator: Emulator, descriptors: int) -> Size:
    """Undo what the control channel was told, and wait until the connections are over.

    Raises `trio.TooSlowError` when more than so many descriptors stay open.
    """
    async with open_control(emulator.control) as control:
        await control.call("clear_faults")
        with trio.fail_after(SETTLE_SECONDS):
            while True:
                size = Size.of(emulator.running.process.pid)
                if not await control.call("connections") and size.descriptors <= descriptors:
                    return size
                await trio.sleep(LOOK_AGAIN_SECONDS)


async def serve_honest_clients(emulator: Emulator) -> None:
    """Raise when the page, the control channel or a front does not do what it is for."""
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert (await throw(emulator.page, request, "half-close")).startswith(b"HTTP/1.1 200 ")
    async with open_control(emulator.control) as control:
        accounts = await control.call("accounts")
    assert {"romeo", "juliet"} <= {each["address"] for each in accounts}
    async with signed_on(emulator, "romeo") as romeo:
        for receive in further("receive"):
            await exchange(emulator, romeo, receive)
        said = {"type": "send_message", "ref": "1", "to": "echo", "text": "anyone there?"}
        await romeo.send_message(json.dumps(said))
        await expect(romeo, "message", "anyone there?")


async def exchange(emulator: Emulator, romeo: Any, receive: Any) -> None:
    """Let Romeo write to Juliet, who is on another front, and her write back."""
    ready, came = trio.Event(), b""

    async def be_juliet() -> None:
        nonlocal came
        came = await receive(emulator, "juliet", ready)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(be_juliet)
        await ready.wait()
        said = {"type": "send_message", "ref": "1", "to": "juliet", "text": "good night"}
        await romeo.send_message(json.dumps(said))
        await expect(romeo, "message", "and good night")
    assert b"good night" in came


async def expect(client: Any, type_: str, text: str) -> None:
    while True:
        frame = json.loads(await client.get_message())
        if (frame["type"], frame.get("text")) == (type_, text):
            return


@asynccontextmanager
async def signed_on(emulator: Emulator, account: str) -> AsyncGenerator[Any, None]:
    """Be on the WebSocket front as an honest client."""
    stream = await trio.open_tcp_stream(*place(emulator.url))
    async with trio.open_nursery() as nursery:
        client = await wrap_client_stream(nursery, cast(Any, stream), "emu", "/")
        hello = {"type": "sign_on", "account": account, "password": emulator.passwords[account]}
        await client.send_message(json.dumps(hello))
        assert json.loads(await client.get_message())["type"] == "signed_on"
        yield client
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(stream)


async def test_emulator_serves_after_hostile_inputs() -> None:
    with scratch_folder("fuzz") as folder:
        async with running_emulator(folder) as emulator:
            with trio.fail_after(SETTLE_SECONDS):
                await serve_honest_clients(emulator)
            await prepare(emulator)
            before = await settle(emulator, MAX_DESCRIPTORS)
            started = trio.current_time()
            with trio.fail_after(RUN_SECONDS):
                tally = await attack(emulator, INPUTS)
            seconds = trio.current_time() - started
            after = await settle(emulator, before.descriptors)
            with trio.fail_after(SETTLE_SECONDS):
                await serve_honest_clients(emulator)
            emulator.running.check_alive()
            print(f"{tally.total} inputs in {seconds:.0f} s: {tally.inputs}; {before} {after}")
            # No fault needed the fence.
            assert "Traceback" not in emulator.running.output(), emulator.running.log_tail()
            assert after.memory_mib < before.memory_mib + MAX_GROWTH_MIB
            assert await emulator.running.stop() == 0
