"""Serve one WebSocket on any stream: handshake, foreign pages, and an end within bounds."""

import logging
from collections.abc import Awaitable, Callable

import trio
import wsproto.utilities
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    wrap_server_stream,
)

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 10
CLOSE_SECONDS = 2
MAX_OVERHEAD = 8  # bytes that may come for each byte of the longest message


class WebSocket:
    """An open WebSocket. Raises `ConnectionClosed`."""

    def __init__(self, connection: WebSocketConnection, incoming: "_Incoming") -> None:
        self._connection = connection
        self._incoming = incoming

    async def get_message(self) -> str | bytes:
        message = await self._connection.get_message()
        self._incoming.bytes = 0
        return message

    async def send_message(self, text: str) -> None:
        await self._connection.send_message(text)

    async def aclose(self) -> None:
        await self._connection.aclose()


async def serve_websocket(
    stream: trio.abc.Stream,
    talk: Callable[[WebSocket], Awaitable[None]],
    *,
    max_bytes: int,
    origins: tuple[str, ...] = (),
) -> None:
    """Let `talk` talk to whoever is at the other end, until either has enough.

    A web page may connect only when its origin is one of `origins`. The stream is closed.
    """
    is_open = False
    try:
        async with trio.open_nursery() as library:
            incoming = _Incoming(stream, max_bytes * MAX_OVERHEAD)
            connection = await _shake_hands(library, incoming, max_bytes, origins)
            if connection is not None:
                is_open = True
                socket = WebSocket(connection, incoming)
                await talk(socket)
                with trio.move_on_after(CLOSE_SECONDS):  # who is cut off gets no close frame
                    await socket.aclose()
            library.cancel_scope.cancel()
    except* (ConnectionClosed, HandshakeError, wsproto.utilities.ProtocolError) as group:
        log.debug("a WebSocket ended: %s", group.exceptions)
    except* (trio.BrokenResourceError, trio.ClosedResourceError) as group:
        log.debug("a connection ended: %s", group.exceptions)
    except* UnicodeError as group:
        if is_open:
            raise
        # QUIRK(wsproto 1.3): it decodes Host as IDNA and the target as ASCII, and catches nothing.
        log.debug("no WebSocket: %s", group.exceptions)
    finally:
        await trio.aclose_forcefully(stream)


class _Incoming(trio.abc.Stream):
    """A stream that breaks when too many bytes come without a message.

    The library bounds the length of a message, and not the number of its fragments.
    """

    def __init__(self, stream: trio.abc.Stream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self.bytes = 0  # since the last message
        self.handshake = trio.CancelScope()  # the library waits for one after the end, too

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray = b""
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            if not data:
                self.handshake.cancel()
        self.bytes += len(data)
        if self.bytes > self._max_bytes:
            raise trio.BrokenResourceError(f"{self.bytes} bytes without a message")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self.handshake.cancel()
        await self._stream.aclose()


async def _shake_hands(
    library: trio.Nursery, incoming: "_Incoming", max_bytes: int, origins: tuple[str, ...]
) -> WebSocketConnection | None:
    """Return the open WebSocket, or None when there is none to be had."""
    with trio.move_on_after(HANDSHAKE_SECONDS) as incoming.handshake:
        request = await wrap_server_stream(library, incoming, max_message_size=max_bytes)
        for name, value in request.headers:
            if name.lower() == b"origin" and value.decode("latin-1") not in origins:
                log.warning("refused a WebSocket of the foreign web page %r", value)
                await request.reject(403, body=b"foreign origin")
                return None
        return await request.accept()
    return None
