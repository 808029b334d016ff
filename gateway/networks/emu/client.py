"""Carry one session of the emulated service: dial, WebSocket, the tasks, and the way out.

The tasks of a link run behind a shield of their own, so that a session which is cancelled can
still say goodbye; the shield falls when the `async with` of `linked` is left, and everything that
waits in between has a deadline.
"""

import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import trio
import wsproto.utilities
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.host import Address, Host
from gateway.networks import base
from gateway.networks.base import LoginRefused, SignedOff
from gateway.networks.emu import wire
from gateway.networks.emu.protocol import Session
from gateway.networks.event_queue import EventQueue
from gateway.networks.ways import in_time, leaves, without_nursery

log = logging.getLogger(__name__)

CLOSE_SECONDS = 2  # the closing handshake: waits for ever on a half-open connection

TOO_BIG = 1009  # RFC 6455, 7.4.1


@attrs.frozen
class Pace:
    """The deadlines of one session, in seconds."""

    sign_on: float
    sign_off: float
    ping: float
    pong: float


@attrs.define(eq=False)
class _Outgoing:
    """A frame on its way out, and whether it has left."""

    text: str
    written: trio.Event = attrs.field(factory=trio.Event)


class _Watched(trio.abc.Stream):
    """A stream that tells when it has ended: the WebSocket library does not, while it opens."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.ended = trio.Event()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        if not data:
            self.ended.set()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self.ended.set()
        await self._stream.aclose()


class Link:
    """One connection: its tasks, what came, and what waits to go."""

    def __init__(
        self, stream: trio.abc.Stream, host: Address, session: Session, pace: Pace
    ) -> None:
        self._stream = _Watched(stream)
        self._host = host
        self._session = session
        self._pace = pace
        self._background = trio.CancelScope(shield=True)
        self._pumps = trio.CancelScope()
        self._outbox: deque[_Outgoing] = deque()
        self._to_write = trio.Event()
        self._ponged = trio.Event()
        self.events = EventQueue()
        self.entered = trio.Event()  # signed on, checked, or ended
        self.over = trio.Event()

    # --- for the client -----------------------------------------------------------------------

    async def send(self, text: str) -> None:
        """Wait until `text` is written. Raises what ended the link."""
        await trio.lowlevel.checkpoint_if_cancelled()
        outgoing = self._post(text)
        try:
            await outgoing.written.wait()
        except trio.Cancelled:
            if outgoing in self._outbox:
                self._outbox.remove(outgoing)
            raise
        if self.events.ended is not None and outgoing in self._outbox:
            raise self.events.ended

    def flush_acknowledged(self) -> None:
        self._to_write.set()

    async def farewell(self) -> None:
        """Sign off, and wait until the service has let us go. The caller bounds it in time."""
        if not self.over.is_set():
            self._post(wire.encode(wire.SignOff()))
            await self.over.wait()

    def close(self) -> None:
        """Let all tasks end now."""
        self._background.cancel()

    def end(self, reason: Exception) -> None:
        """End the link: `reason` is what `receive` and `send` raise from now on."""
        self.events.end(reason)
        self.over.set()
        self.entered.set()
        self._pumps.cancel()
        for outgoing in self._outbox:
            outgoing.written.set()

    # --- the tasks ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the WebSocket and carry both ways, until `end` or `close`."""
        try:
            with self._background:
                await self._carry()
        except* HandshakeError as group:
            self.end(RemoteProtocolError(f"{self._host} is no WebSocket service: {_first(group)}"))
        except* wsproto.utilities.ProtocolError as group:
            self.end(RemoteProtocolError(f"{self._host} broke WebSocket: {_first(group)}"))
        finally:
            self.end(ConnectionLost(f"the connection with {self._host} is closed"))
            await trio.aclose_forcefully(self._stream)

    async def _carry(self) -> None:
        async with trio.open_nursery() as library:
            socket = await self._shake_hands(library)
            if socket is None:
                self.end(ConnectionLost(f"{self._host} closed the connection while it opened"))
            else:
                with self._pumps:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._read, socket, name="reader")
                        nursery.start_soon(self._write, socket, name="writer")
                        nursery.start_soon(self._keep_alive, name="keepalive")
                if not isinstance(self.events.ended, ConnectionLost):
                    with trio.move_on_after(CLOSE_SECONDS):
                        await socket.aclose()
            library.cancel_scope.cancel()

    async def _shake_hands(self, library: trio.Nursery) -> WebSocketConnection | None:
        """Return the open WebSocket, or None when the peer hung up."""
        socket: WebSocketConnection | None = None
        async with trio.open_nursery() as race:

            async def open_it() -> None:
                nonlocal socket
                socket = await wrap_client_stream(
                    library,
                    cast(Any, self._stream),  # any stream does, whatever the signature says
                    str(self._host),
                    "/",
                    max_message_size=wire.MAX_FRAME_BYTES,
                )
                race.cancel_scope.cancel()

            race.start_soon(open_it, name="handshake")
            await self._stream.ended.wait()
            race.cancel_scope.cancel()
        return socket

    async def _read(self, socket: WebSocketConnection) -> None:
        """Take what comes; wait for nobody (the queue is bounded, and its overflow is our end)."""
        try:
            while not self.over.is_set():
                for event in self._session.receive(await socket.get_message()):
                    if isinstance(event, base.UnknownEvent):
                        log.debug("%s sent %s", self._host, event.what)
                    self.events.put(event)
                self._note_progress()
                if self.events.ended is not None:  # it overflowed
                    self.end(self.events.ended)
        except ConnectionClosed as closed:
            self.end(self._lost(closed))
        except (RemoteProtocolError, LoginRefused, SignedOff) as reason:
            self.end(reason)

    def _note_progress(self) -> None:
        if self._session.signed_on is not None or self._session.checked:
            self.entered.set()
        if self._session.has_acknowledged:
            self._to_write.set()
        self._ponged.set()

    def _lost(self, closed: ConnectionClosed) -> Exception:
        if closed.reason is not None and closed.reason.code == TOO_BIG:
            return RemoteProtocolError(f"a frame of more than {wire.MAX_FRAME_BYTES} bytes")
        return ConnectionLost(f"{self._host} closed the connection")

    async def _write(self, socket: WebSocketConnection) -> None:
        """Write what waits, in order. A peer that does not read is found out by `keepalive`."""
        try:
            while True:
                while (ack := self._session.take_acknowledged()) is not None:
                    await socket.send_message(wire.encode(ack))
                if self._outbox:
                    outgoing = self._outbox.popleft()
                    try:
                        await socket.send_message(outgoing.text)
                    finally:  # whatever became of it: nobody is to wait for it any longer
                        outgoing.written.set()
                else:
                    self._to_write = trio.Event()
                    await self._to_write.wait()
        except ConnectionClosed:
            # The reader knows better why: it may still have frames to read.
            await trio.sleep_forever()

    async def _keep_alive(self) -> None:
        number = 0
        while True:
            await trio.sleep(self._pace.ping)
            number += 1
            self._post(wire.encode(wire.Ping(str(number))))
            with trio.move_on_after(self._pace.pong):
                while self._session.last_pong != str(number):
                    self._ponged = trio.Event()
                    await self._ponged.wait()
                continue
            self.end(
                ConnectionLost(f"{self._host} has not answered a ping for {self._pace.pong} s")
            )

    def _post(self, text: str) -> _Outgoing:
        outgoing = _Outgoing(text)
        self._outbox.append(outgoing)
        if self.over.is_set():
            outgoing.written.set()
        self._to_write.set()
        return outgoing


@attrs.frozen
class EmuClient:
    """One account signed on."""

    own_address: str
    display_name: str
    capabilities: base.Capabilities
    _link: Link
    _session: Session

    async def receive(self) -> base.LegacyEvent:
        return await self._link.events.take()

    async def send(self, command: base.LegacyCommand) -> None:
        if self._link.events.ended is not None:
            await trio.lowlevel.checkpoint()
            raise self._link.events.ended
        frame, refused = self._session.command(command)
        if frame is None:
            await trio.lowlevel.checkpoint()
        else:
            try:
                text = wire.encode(frame)
            except wire.FrameTooLarge:
                refused = self._session.too_large(command)
                await trio.lowlevel.checkpoint()
            else:
                await self._link.send(text)
        if refused is not None:
            self._link.events.put(refused)

    def acknowledge(self, token: object) -> None:
        self._session.acknowledge(token)
        self._link.flush_acknowledged()


@asynccontextmanager
async def linked(
    host: Host, address: Address, session: Session, hello: wire.ClientFrame, pace: Pace
) -> AsyncGenerator[Link, None]:
    """Connect and say `hello`; inside, the service has said yes.

    Raises `LoginRefused`, `ConnectionLost`, `RemoteProtocolError`; exceptions of the body pass
    through as they are. No task and no connection is left afterwards.
    """
    try:
        greeting = wire.encode(hello)
    except wire.FrameTooLarge as exc:
        raise LoginRefused(base.Refusal.WRONG_CREDENTIALS, str(exc)) from exc
    deadline = trio.current_time() + pace.sign_on
    with in_time(deadline, address):
        stream = await host.dial(address)
    link = Link(stream, address, session, pace)
    body_error: BaseException | None = None
    group: BaseExceptionGroup[BaseException] | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run, name="link")
            try:
                with in_time(deadline, address):
                    await link.send(greeting)
                    await link.entered.wait()
                if session.signed_on is None and not session.checked:
                    assert link.events.ended is not None
                    raise link.events.ended
                yield link
            except BaseException as exc:
                body_error = exc
                raise
            finally:
                with trio.move_on_after(pace.sign_off, shield=True):
                    await link.farewell()
                link.close()
    except BaseExceptionGroup as caught:
        group = caught
    # Outside of the handler, so that no exception gets a context it did not have.
    if group is not None:
        raise without_nursery(group, body_error)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first plain exception of `group`."""
    return next(leaves(group))
