"""The control socket: what it answers, who may ask, and that nobody can hurt the daemon there."""

import json
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from gateway import control
from gateway.app import Gateway, daemon
from gateway.config import Config, load, sample_config
from gateway.control import ControlError
from gateway.errors import ConfigurationError
from gateway.host import Address, RealHost
from gateway.store.sealing import Sealer
from gateway.store.store import Store

TEST_SECONDS = 20
COMPONENT = "aim.example.net"


@pytest.fixture
async def config(tmp_path: Path) -> Config:
    """A configuration whose XMPP server is not there, and whose store holds two users."""
    host = RealHost()
    listening = await host.listen(Address("127.0.0.1", 0))
    async with trio.open_nursery() as nursery:  # to free the port again
        nursery.start_soon(listening.serve, _nobody)
        nursery.cancel_scope.cancel()
    text = sample_config(jid=COMPONENT, server=str(listening.address), secret="s3cret")
    (tmp_path / "balcony.toml").write_text(text)
    Sealer.create_key_file(tmp_path / "balcony.key")
    settings = load(tmp_path / "balcony.toml", env={})
    sealer = Sealer.from_file(host, settings.store.key_file)
    store = Store.open(host, settings.store.url, sealer, [COMPONENT])
    store.save_account(COMPONENT, "romeo@example.net", "montague", "secret", {})
    store.save_account(COMPONENT, "juliet@example.net", "capulet", "secret", {})
    store.close()
    return settings


async def _nobody(stream: trio.abc.Stream) -> None:
    await stream.aclose()


@asynccontextmanager
async def a_daemon(config: Config) -> AsyncGenerator[Gateway, None]:
    """The real daemon with its control socket; stopped in order at the end."""
    host = RealHost()
    beside = [("control", partial(control.serve, host, config.control))]
    with trio.fail_after(TEST_SECONDS):
        async with trio.open_nursery() as nursery:
            run = partial(daemon, host, config, beside=beside)
            gateway: Gateway = await nursery.start(run)
            yield gateway
            gateway.stop()


async def ask(config: Config, command: str) -> Any:
    """Ask as soon as the daemon listens."""
    await _listening(config.control)
    return await control.ask(RealHost(), config.control, command)


async def _listening(path: Path) -> None:
    while not await trio.Path(path).exists():  # noqa: ASYNC110 - a file wakes nobody
        await trio.sleep(0.001)


async def say(config: Config, data: bytes, *, hang_up: bool = False) -> bytes:
    """Say something literally and return all that is answered, until the daemon closes."""
    await _listening(config.control)
    stream = await RealHost().dial(Address(path=str(config.control)))
    async with stream:
        await stream.send_all(data)
        if hang_up:
            return b""
        answer = b""
        async for more in stream:
            answer += more
        return answer


async def test_users_are_listed_with_how_their_sessions_stand(config: Config) -> None:
    async with a_daemon(config):
        assert await ask(config, "users") == [
            {
                "component": COMPONENT,
                "user": "juliet@example.net",
                "account": "capulet",
                "state": "offline",
            },
            {
                "component": COMPONENT,
                "user": "romeo@example.net",
                "account": "montague",
                "state": "offline",
            },
        ]


async def test_the_tree_of_tasks_has_our_tasks_and_no_library_s(config: Config) -> None:
    async with a_daemon(config):
        tree = await ask(config, "tasks")
    children = {one["name"]: one["children"] for one in tree["children"]}
    assert tree["name"] == "app"
    assert list(children) == ["control", "journal", "links", "sessions"]
    assert children["control"] == []
    (link,) = children["links"]
    assert link["name"] == f"links/{COMPONENT}"
    assert [one["name"] for one in link["children"]] == [f"links/{COMPONENT}/roll call"]


async def test_what_a_library_runs_for_us_is_shown_in_its_place() -> None:
    async def ours() -> None:
        await trio.sleep_forever()

    async def library() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours, name="app/ours")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(library, name="trio_websocket._impl.Something")
        await trio.testing.wait_all_tasks_blocked()
        shown = control.task_tree(trio.lowlevel.current_task())["children"]
        assert shown == [{"name": "app/ours", "children": []}]
        nursery.cancel_scope.cancel()


async def test_only_the_owner_may_ask_and_the_socket_goes_with_the_daemon(config: Config) -> None:
    async with a_daemon(config):
        await _listening(config.control)
        assert stat.S_IMODE(config.control.stat().st_mode) == 0o600
    assert not config.control.exists()


@pytest.mark.parametrize(
    "request_",
    [b"\n", b"[]\n", b"5\n", b'{"command"\n', b"\xff\xfe\n", b"{}\n", b"[" * 60_000 + b"\n"],
    ids=["nothing", "list", "number", "cut", "bytes", "empty", "deep"],
)
async def test_what_is_no_request_is_answered_with_what_is_one(
    config: Config, request_: bytes
) -> None:
    async with a_daemon(config):
        assert "JSON object" in json.loads(await say(config, request_))["error"]
        assert len(await ask(config, "users")) == 2


@pytest.mark.parametrize("command", ["nonsense", ["users"], {}, None])
async def test_an_unknown_command_is_answered_with_those_there_are(
    config: Config, command: object
) -> None:
    async with a_daemon(config):
        answer = await say(config, json.dumps({"command": command}).encode() + b"\n")
        assert "there are: tasks, users" in json.loads(answer)["error"]
        with pytest.raises(ControlError, match=r"refused: unknown command 'x'"):
            await ask(config, "x")


async def test_whoever_hangs_up_or_never_ends_his_line_hurts_nobody(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TALK_SECONDS", 10 * TEST_SECONDS)
    async with a_daemon(config):
        await say(config, b"", hang_up=True)
        await say(config, b'{"command": "us', hang_up=True)
        await say(config, b'{"command": "users"}\n', hang_up=True)
        assert await say(config, b"x" * (control.MAX_REQUEST_BYTES + 1)) == b""
        assert len(await ask(config, "users")) == 2


async def test_whoever_says_nothing_is_left_after_a_while(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TALK_SECONDS", 0.1)
    async with a_daemon(config):
        assert await say(config, b"") == b""


async def test_a_socket_that_cannot_be_made_is_the_configurations_fault(config: Config) -> None:
    nowhere = attrs.evolve(config, control=Path("/nowhere/balcony.sock"))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with a_daemon(nowhere):
            await trio.sleep_forever()
    (error,) = _leaves(caught.value)
    assert isinstance(error, ConfigurationError)
    assert str(error) == (
        "control: cannot listen on /nowhere/balcony.sock: No such file or directory;"
        " its directory must exist, and balcony's user must be allowed to write there"
    )


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for one in group.exceptions
        for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]


# --- the one who asks -------------------------------------------------------------------------


async def test_without_a_daemon_it_says_how_to_start_one(tmp_path: Path) -> None:
    path = tmp_path / "balcony.sock"
    with pytest.raises(ControlError) as caught:
        await control.ask(RealHost(), path, "users")
    assert str(caught.value) == (
        f"no daemon runs with this configuration (nobody listens at {path}): start `balcony run`"
    )


@asynccontextmanager
async def impostor(path: Path, answer: bytes) -> AsyncGenerator[None, None]:
    """Something else that listens at the path; without an answer it keeps silent."""

    async def talk(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        if not answer:
            await trio.sleep_forever()
        await stream.send_all(answer)

    with trio.fail_after(TEST_SECONDS):
        async with trio.open_nursery() as nursery:
            listening = await RealHost().listen(Address(path=str(path)))
            nursery.start_soon(listening.serve, talk)
            yield
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400\n", b"[1]\n", b"{}\n", b"half a line", b"7\n"])
async def test_an_answer_that_makes_no_sense_is_said_to_make_none(
    tmp_path: Path, answer: bytes
) -> None:
    path = tmp_path / "balcony.sock"
    async with impostor(path, answer):
        with pytest.raises(ControlError, match=r"no answer that can be read|no balcony"):
            await control.ask(RealHost(), path, "users")


async def test_a_daemon_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TALK_SECONDS", 0.1)
    path = tmp_path / "balcony.sock"
    async with impostor(path, b""):
        with pytest.raises(ControlError, match="did not answer within"):
            await control.ask(RealHost(), path, "users")
