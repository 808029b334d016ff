"""The emulator's one door to the outside: the clock, randomness, sockets."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from random import Random  # noqa: TID251 - this is the door
from typing import Protocol

import attrs
import trio

from legacy_emu.fence import fenced

log = logging.getLogger(__name__)

ACCEPT_AGAIN_SECONDS = 1.0


class World(Protocol):
    """What a service needs to live: a calendar, and randomness for ids and faults."""

    @property
    def random(self) -> Random: ...

    def now(self) -> datetime:
        """Return the date and time, in UTC."""


@attrs.frozen
class Listening:
    """One listener that is up, with its real port."""

    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]
    host: str
    port: int

    async def serve(self, handler: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        """Accept for ever, one task a connection; `handler` owns its stream and closes it.

        What `handler` raises ends its connection. What accepting raises, as without a free file
        descriptor, delays the next connection.
        """
        async with trio.open_nursery() as nursery:
            for listener in self.listeners:
                nursery.start_soon(self._accept, listener, handler, nursery)

    async def _accept(
        self,
        listener: trio.abc.Listener[trio.abc.Stream],
        handler: Callable[[trio.abc.Stream], Awaitable[None]],
        connections: trio.Nursery,
    ) -> None:
        name = f"{self.host}:{self.port}"
        is_short = False  # logged once, not once a second
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as exc:
                    if not is_short:
                        log.warning("%s: cannot accept connections: %s; trying again", name, exc)
                    is_short = True
                    await trio.sleep(ACCEPT_AGAIN_SECONDS)
                else:
                    is_short = False
                    connections.start_soon(_run_handler, name, handler, stream)


async def _run_handler(
    name: str, handler: Callable[[trio.abc.Stream], Awaitable[None]], stream: trio.abc.Stream
) -> None:
    try:
        await fenced(f"a connection to {name}", partial(handler, stream))
    finally:
        await trio.aclose_forcefully(stream)


class RealWorld:
    """The world of an emulator that runs for real."""

    def __init__(self) -> None:
        self.random = Random()  # noqa: S311 - ids of an emulator guard nothing

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the door


async def listen(host: str, port: int) -> Listening:
    """Bind and listen; port 0 takes a free one. Raises `OSError`."""
    listeners = await trio.open_tcp_listeners(port, host=host)  # noqa: TID251 - this is the door
    return Listening(listeners, host, listeners[0].socket.getsockname()[1])


async def dial(host: str, port: int) -> trio.abc.Stream:
    """Connect. Raises `OSError`."""
    return await trio.open_tcp_stream(host, port)  # noqa: TID251 - this is the door
