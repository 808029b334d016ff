"""A client of the control channel, for tests, the demo and programs that play a legacy user."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, cast
from urllib.parse import urlsplit

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from legacy_emu.host import dial

OPEN_SECONDS = 10
CLOSE_SECONDS = 2
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class ControlError(Exception):
    """The service did not do what it was told; the message is its own."""


class ControlClient:
    """One connection to a control channel. One call at a time goes over it."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._lock = trio.Lock()

    async def call(self, action: str, **arguments: object) -> Any:
        """Carry out an action and return its result as JSON has it. Raises `ControlError`."""
        request = {"id": next(self._numbers), "action": action, "arguments": arguments}
        async with self._lock:
            await self._socket.send_message(json.dumps(request))
            answer = json.loads(await self._socket.get_message())
        if "error" in answer:
            raise ControlError(f"{action}: {answer['error']}")
        return answer["result"]

    async def wait_arrived(
        self, since: int = 0, account: str = "", kind: str = ""
    ) -> list[dict[str, Any]]:
        """Wait until something of the kind arrived after `since`; for other calls, open another.

        The caller bounds it in time.
        """
        while True:
            found: list[dict[str, Any]] = await self.call(
                "wait_arrived", since=since, account=account, kind=kind
            )
            if found:
                return found


@asynccontextmanager
async def open_control(url: str) -> AsyncGenerator[ControlClient, None]:
    """Connect to the control channel at `url`, as the emulator prints it. Raises `OSError`."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ControlError(f"{url!r} is no address of a control channel")
    async with control_over(await dial(parts.hostname, parts.port)) as client:
        yield client


@asynccontextmanager
async def control_over(stream: trio.abc.Stream) -> AsyncGenerator[ControlClient, None]:
    """Talk to a control channel over `stream`, which is closed in the end."""
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(OPEN_SECONDS):
                socket = await wrap_client_stream(
                    nursery,
                    cast(Any, stream),  # any stream does, whatever the signature says
                    "control",
                    "/",
                    max_message_size=MAX_ANSWER_BYTES,
                )
            try:
                yield ControlClient(socket)
            finally:
                with trio.move_on_after(CLOSE_SECONDS, shield=True):
                    await socket.aclose()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
    finally:
        await trio.aclose_forcefully(stream)
