"""A service in simulated circumstances, and a client of it in literal JSON."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream

from legacy_emu.control import Control
from legacy_emu.fronts.websocket import serve
from legacy_emu.host import RealWorld
from legacy_emu.service import Service

PATIENCE_SECONDS = 5


class FixedWorld(RealWorld):
    """A world in which nothing is left to chance."""

    def __init__(self) -> None:
        super().__init__()
        self.random.seed(7)
        self._now = datetime(2026, 4, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


@pytest.fixture
def service() -> Service:
    return Service(FixedWorld())


@pytest.fixture
def control(service: Service) -> Control:
    made = Control(service)
    for name in ("romeo", "juliet", "tybalt"):
        made.create_account(name, f"{name}-pw")
    return made


class Wire:
    """One connection to the front."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    async def send(self, type_: str, **fields: object) -> None:
        await self.socket.send_message(json.dumps({"type": type_, **fields}))

    async def next(self) -> dict[str, Any]:
        with trio.fail_after(PATIENCE_SECONDS):
            frame: dict[str, Any] = json.loads(await self.socket.get_message())
        return frame

    async def expect(self, type_: str) -> dict[str, Any]:
        """Return the next frame of this type; what comes before it is dropped."""
        while (frame := await self.next())["type"] != type_:
            pass
        return frame

    async def sign_on(self, name: str) -> None:
        await self.send("sign_on", account=name, password=f"{name}-pw")
        assert (await self.next())["type"] == "signed_on"
        assert (await self.next())["type"] == "contact_list"


Connect = Callable[[], AbstractAsyncContextManager[Wire]]


@pytest.fixture
def connect(service: Service) -> Connect:
    """Return what connects to the front; leaving cuts the connection."""

    @asynccontextmanager
    async def connected() -> AsyncGenerator[Wire, None]:
        ours, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, service)
            with trio.fail_after(PATIENCE_SECONDS):
                socket = await wrap_client_stream(nursery, cast(Any, ours), "emu", "/")
            yield Wire(socket)
            nursery.cancel_scope.cancel()

    return connected
