"""The daemon's Unix socket: `balcony tasks` and `balcony users` ask here (mode 0600).

One JSON object on a line is a request, one JSON object on a line its answer; then the connection is
closed. Only the daemon's own user can connect.
"""

import json
import logging
from pathlib import Path
from typing import Any

import trio

from gateway.app import Gateway
from gateway.errors import BalconyError
from gateway.host import Address, Host

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
TALK_SECONDS = 10.0


class ControlError(BalconyError):
    """The daemon cannot be asked, or refused; the message says what to do."""


async def serve(host: Host, path: Path, gateway: Gateway) -> None:
    """Answer requests on `path`, for ever."""
    listening = await host.listen(Address(path=str(path)))

    async def talk(stream: trio.abc.Stream) -> None:
        with trio.move_on_after(TALK_SECONDS):
            async with stream:
                try:
                    answer = _answer(gateway, await _read_line(stream, MAX_REQUEST_BYTES))
                    await stream.send_all(json.dumps(answer).encode() + b"\n")
                except trio.BrokenResourceError as exc:
                    log.debug("control: whoever asked is gone: %s", exc)

    await listening.serve(talk)


async def ask(host: Host, path: Path, command: str) -> Any:
    """Ask the daemon at `path`. Raises `ControlError`."""
    try:
        with trio.fail_after(TALK_SECONDS):
            async with await host.dial(Address(path=str(path))) as stream:
                await stream.send_all(json.dumps({"command": command}).encode() + b"\n")
                answer = json.loads(await _read_line(stream, MAX_ANSWER_BYTES))
    except (BalconyError, trio.BrokenResourceError, trio.TooSlowError, ValueError) as exc:
        raise ControlError(
            f"no daemon answers at {path}: is `balcony run` running? ({exc})"
        ) from exc
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer["result"]


def task_tree(task: trio.lowlevel.Task) -> dict[str, Any]:
    """Return the live tree below `task`: names and children, sorted by name."""
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return {
        "name": task.name,
        "children": sorted((task_tree(child) for child in children), key=lambda one: one["name"]),
    }


def _answer(gateway: Gateway, request: bytes) -> dict[str, Any]:
    try:
        command = json.loads(request)["command"]
    except (ValueError, KeyError, TypeError):
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


async def _read_line(stream: trio.abc.Stream, limit: int) -> bytes:
    received = bytearray()
    while b"\n" not in received:
        if len(received) > limit:
            raise ValueError(f"more than {limit} bytes without an end of line")
        data = await stream.receive_some()
        if not data:
            raise ValueError("the connection ended in the middle of a line")
        received += data
    return bytes(received).split(b"\n", 1)[0]
