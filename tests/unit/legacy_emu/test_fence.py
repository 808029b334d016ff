"""A fault in one connection, in one bot, or in accepting ends nothing else."""

import errno
import os

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from legacy_emu import bots, server
from legacy_emu.config import AccountConfig, BotConfig, Config
from legacy_emu.control import Control
from legacy_emu.events import MessageArrived
from legacy_emu.fence import fenced
from legacy_emu.host import Listening, RealWorld
from legacy_emu.service import Service


async def fail() -> None:
    raise RuntimeError("a bug")


async def test_fence_logs_a_bug_and_returns(caplog: pytest.LogCaptureFixture) -> None:
    async def in_a_nursery() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()

    await fenced("one", fail)
    await fenced("another", in_a_nursery)
    assert [record.getMessage() for record in caplog.records] == [
        "one: ended by a bug",
        "another: ended by a bug",
    ]
    assert all(record.exc_info for record in caplog.records)


async def test_fence_lets_a_cancellation_pass() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await fenced("one", trio.sleep_forever)
        pytest.fail("the cancellation was swallowed")
    assert scope.cancelled_caught


@attrs.define
class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Gives what it was made with, exceptions too, and then waits."""

    coming: list[trio.abc.Stream | Exception]

    async def accept(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not self.coming:
            await trio.sleep_forever()
        found = self.coming.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def listening(*coming: trio.abc.Stream | Exception) -> Listening:
    return Listening([Listener(list(coming))], "emu.example", 4000)


async def echo(stream: trio.abc.Stream) -> None:
    data = await stream.receive_some()
    if data == b"fail":
        raise RuntimeError("a bug")
    await stream.send_all(data)


async def test_handler_fault_ends_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    first, second = trio.testing.memory_stream_pair(), trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening(first[1], second[1]).serve, echo)
        with trio.fail_after(5):
            await first[0].send_all(b"fail")
            assert await first[0].receive_some() == b""
            await second[0].send_all(b"hello")
            assert await second[0].receive_some() == b"hello"
        nursery.cancel_scope.cancel()
    assert "a connection to emu.example:4000: ended by a bug" in caplog.text


async def test_accepting_goes_on_after_errors(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [OSError(code, os.strerror(code)) for code in (errno.EMFILE, errno.EINVAL)]
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening(*errors, theirs).serve, echo)
        await ours.send_all(b"hello")
        with trio.fail_after(60):
            assert await ours.receive_some() == b"hello"
        nursery.cancel_scope.cancel()
    assert caplog.text.count("cannot accept connections") == 1


# --- bots -------------------------------------------------------------------------------------


def said_to(control: Control, name: str) -> list[str]:
    return [
        heard.event.text for heard in control.heard(name) if isinstance(heard.event, MessageArrived)
    ]


@pytest.mark.parametrize("run", ["run_echo", "run_chatter"])
async def test_bot_waits_for_its_deleted_account(
    service: Service, control: Control, autojump_clock: MockClock, run: str
) -> None:
    arguments = [10.0] if run == "run_chatter" else []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(getattr(bots, run), service, "juliet", *arguments)
        await trio.testing.wait_all_tasks_blocked()
        control.send_message("romeo", "juliet", "the last thing it hears")
        control.delete_account("juliet")
        await trio.sleep(60)
        control.create_account("juliet", "another-pw")
        await trio.sleep(60)
        assert service.backend.person("juliet").sessions
        nursery.cancel_scope.cancel()


async def test_bot_ended_by_a_bug_returns(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[str] = []

    async def run_echo(service: Service, address: str) -> None:
        runs.append(address)
        await fail()

    monkeypatch.setattr(bots, "run_echo", run_echo)
    config = Config(account=(AccountConfig("Echo", "pw"),), bot=(BotConfig("Echo"),))
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run, config, RealWorld())
        await trio.sleep(2.5 * bots.ELSEWHERE_SECONDS)
        nursery.cancel_scope.cancel()
    assert runs == ["Echo"] * 3
    assert "bot/Echo: ended by a bug" in caplog.text
