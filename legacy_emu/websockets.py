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


async def serve_websocket(
    stream: trio.abc.Stream,
    talk: Callable[[WebSocketConnection], Awaitable[None]],
    *,
    max_bytes: int,
    origins: tuple[str, ...] = (),
) -> None:
    """Let `talk` talk to whoever is at the other end, until either has enough.

    A web page may connect only when its origin is one of `origins`. The stream is closed.
    """
    try:
        async with trio.open_nursery() as library:
            socket = await _shake_hands(library, stream, max_bytes, origins)
            if socket is not None:
                await talk(socket)
                with trio.move_on_after(CLOSE_SECONDS):  # who is cut off gets no close frame
                    await socket.aclose()
            library.cancel_scope.cancel()
    except* (ConnectionClosed, HandshakeError, wsproto.utilities.ProtocolError) as group:
        log.debug("a WebSocket ended: %s", group.exceptions)
    except* (trio.BrokenResourceError, trio.ClosedResourceError) as group:
        log.debug("a connection ended: %s", group.exceptions)
    finally:
        await trio.aclose_forcefully(stream)


async def _shake_hands(
    library: trio.Nursery, stream: trio.abc.Stream, max_bytes: int, origins: tuple[str, ...]
) -> WebSocketConnection | None:
    """Return the open WebSocket, or None when there is none to be had."""
    with trio.move_on_after(HANDSHAKE_SECONDS):
        request = await wrap_server_stream(library, stream, max_message_size=max_bytes)
        for name, value in request.headers:
            if name.lower() == b"origin" and value.decode("latin-1") not in origins:
                log.warning("refused a WebSocket of the foreign web page %r", value)
                await request.reject(403, body=b"foreign origin")
                return None
        return await request.accept()
    return None
