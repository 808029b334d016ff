"""The emulator's one door to the outside: the clock, randomness, sockets."""

import socket  # noqa: TID251 - this is the door
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from random import Random  # noqa: TID251 - this is the door
from typing import Protocol

import attrs
import trio


class World(Protocol):
    """What a service needs to live: a calendar, and randomness for ids and faults."""

    @property
    def random(self) -> Random: ...

    def now(self) -> datetime:
        """Return the date and time, in UTC."""


@attrs.frozen
class Listening:
    """One listener that is up, with its real port."""

    listeners: Sequence[trio.SocketListener]
    host: str
    port: int

    async def serve(self, handler: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        """Accept for ever, one task a connection; `handler` owns its stream and closes it."""
        await trio.serve_listeners(handler, list(self.listeners))

    def hand_over(self) -> Iterator[socket.socket]:
        """Give the sockets to a server that accepts for itself, and closes them."""
        for listener in self.listeners:
            yield socket.socket(fileno=listener.socket.detach())


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
