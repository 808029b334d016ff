"""The daemon's Unix socket: `balcony tasks` and `balcony users` ask here (mode 0600).

One JSON object on a line is a request, one JSON object on a line its answer; then the connection is
closed. Only the daemon's own user can connect. Whatever is said there, the daemon goes on.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

from gateway.app import Gateway
from gateway.errors import BalconyError, ConfigurationError, ConnectionLost
from gateway.host import Address, Host

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
TALK_SECONDS = 10.0
_LIBRARIES = ("trio.", "trio_websocket.")  # what trio calls a task that was given no name


class ControlError(BalconyError):
    """The daemon cannot be asked, or refused; the message says what to do."""


async def serve(host: Host, path: Path, gateway: Gateway) -> None:
    """Answer requests on `path`, for ever. Raises `ConfigurationError` when it cannot be used."""
    try:
        listening = await host.listen(Address(path=str(path)))
    except OSError as exc:
        remedy = "its directory must exist, and balcony's user must be allowed to write there"
        if isinstance(exc, FileExistsError):
            remedy = "choose another path"
        raise ConfigurationError(
            f"control: cannot listen on {path}: {exc.strerror}; {remedy}"
        ) from exc

    async def talk(stream: trio.abc.Stream) -> None:
        with trio.move_on_after(TALK_SECONDS):
            async with stream:
                try:
                    request = await _read_line(stream, MAX_REQUEST_BYTES)
                    await stream.send_all(_to_line(_answer(gateway, request)))
                except (ControlError, trio.BrokenResourceError) as exc:
                    log.debug("control: whoever asked is gone: %s", exc)

    await listening.serve(talk)


async def ask(host: Host, path: Path, command: str) -> Any:
    """Ask the daemon at `path`. Raises `ControlError`."""
    try:
        with trio.fail_after(TALK_SECONDS):
            async with await host.dial(Address(path=str(path))) as stream:
                await stream.send_all(_to_line({"command": command}))
                answer = json.loads(await _read_line(stream, MAX_ANSWER_BYTES))
    except ConnectionLost as exc:
        raise ControlError(_unreachable(path, exc)) from exc
    except trio.TooSlowError as exc:
        raise ControlError(
            f"the daemon at {path} did not answer within {TALK_SECONDS:.0f} s: look into its log"
        ) from exc
    except (ControlError, trio.BrokenResourceError, ValueError) as exc:
        raise ControlError(
            f"the daemon at {path} gave no answer that can be read: {exc}; it may be stopping"
        ) from exc
    match answer:
        case {"result": result}:
            return result
        case {"error": str(error)}:
            raise ControlError(f"the daemon at {path} refused: {error}")
    raise ControlError(f"what answers at {path} is no balcony daemon")


def _unreachable(path: Path, exc: ConnectionLost) -> str:
    if isinstance(exc.__cause__, PermissionError):
        return f"{path} belongs to another user: run this as the one whom the daemon runs as"
    return f"no daemon runs with this configuration (nobody listens at {path}): start `balcony run`"


def task_tree(task: trio.lowlevel.Task) -> dict[str, Any]:
    """Return the live tree below `task`: names and children, sorted by name.

    Tasks that a library started for itself are left out; what runs below them is not.
    """
    trees = [task_tree(child) for child in _children(task)]
    return {"name": task.name, "children": sorted(trees, key=lambda one: str(one["name"]))}


def _children(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            if child.name.startswith(_LIBRARIES):
                yield from _children(child)
            else:
                yield child


def _answer(gateway: Gateway, request: bytes) -> dict[str, Any]:
    try:
        command = json.loads(request)["command"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"error": "a request is a JSON object with a 'command'"}
    if command == "tasks":
        return {"result": task_tree(_app_task())}
    if command == "users":
        return {"result": _users(gateway)}
    return {"error": f"unknown command {command!r}; there are: tasks, users"}


def _app_task() -> trio.lowlevel.Task:
    task = trio.lowlevel.current_task()
    while task.name != "app" and task.parent_nursery is not None:
        task = task.parent_nursery.parent_task
    return task


def _users(gateway: Gateway) -> list[dict[str, Any]]:
    return [
        {
            "component": str(domain.jid),
            "user": str(jid),
            "account": account.address,
            "state": session.user.phase if session else "offline",
        }
        for domain in gateway.domains
        for jid, account in sorted(domain.accounts.items(), key=lambda item: str(item[0]))
        for session in [gateway.sessions.find(domain, jid)]
    ]


def _to_line(what: dict[str, Any]) -> bytes:
    return json.dumps(what).encode() + b"\n"


async def _read_line(stream: trio.abc.Stream, limit: int) -> bytes:
    received = bytearray()
    while b"\n" not in received:
        if len(received) > limit:
            raise ControlError(f"more than {limit} bytes without an end of line")
        data = await stream.receive_some()
        if not data:
            raise ControlError("the connection ended in the middle of a line")
        received += data
    return bytes(received).split(b"\n", 1)[0]
