"""One connection of the OSCAR front: frames both ways, and what faults do to them.

The reader acts on each frame at once and never waits; all that goes to the client stands in one
queue, which one writer empties.
"""

import logging
from collections import deque
from typing import Protocol

import attrs
import trio

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import icons, rooms
from legacy_emu.faults import Connection, Kind, Moment
from legacy_emu.fronts.oscar import misbehaviour
from legacy_emu.fronts.oscar.codes import Code
from legacy_emu.fronts.oscar.likeness import TRAITS, Traits
from legacy_emu.fronts.oscar.shared import Shared
from legacy_emu.service import Service

log = logging.getLogger(__name__)

MAX_WAITING = 20_000  # frames for a client that does not read; then it is cut off
MAX_WAITING_BYTES = 64_000_000
MAX_BYTES_PER_WRITE = 64 * 1024
LAST_WORDS_SECONDS = 5
READ_BYTES = 64 * 1024


class Speaker(Protocol):
    """Who talks on a link, once its first frame has said what it is for."""

    def take(self, snac: wire.Snac) -> None:
        """Act on a SNAC, at once. Raises `RemoteProtocolError` for what ends the connection."""

    def written(self, value: str) -> None:
        """Hear that what was said for `value` is with the client."""

    def wake_at(self) -> float:
        """Return when `wake` is wanted, on Trio's clock."""

    def wake(self) -> None: ...

    def leave(self, *, orderly: bool) -> None:
        """The connection is over."""


@attrs.frozen
class _Waiting:
    data: bytes = attrs.field(repr=False)
    value: str = ""  # told to the speaker once it is written


class Link:
    def __init__(
        self, service: Service, connection: Connection, address: str, peer: str = ""
    ) -> None:
        self.service = service
        self.connection = connection
        self.address = address  # where clients are sent after the login
        self.peer = peer  # the host the client comes from
        self.shared = service.shared(Shared)
        connection.speaker = self
        self._speaker: Speaker | None = None
        self._outbox: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._more = trio.Event()
        self._over = False
        self._orderly = False
        self._writer = wire.FrameWriter(service.world.random.randrange(0x8000))

    async def run(self, stream: trio.abc.Stream) -> None:
        self.send(wire.SignOn())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, stream, name=f"{self.connection.id}/reader")
            await self._write(stream)
            nursery.cancel_scope.cancel()

    def leave(self) -> None:
        """Tell the speaker that it is over."""
        self._over = True
        if self._speaker is not None:
            self._speaker.leave(orderly=self._orderly)

    @property
    def over(self) -> bool:
        return self._over

    @property
    def traits(self) -> Traits:
        """What this front does differently from the protocol's description."""
        return TRAITS[self.service.backend.policy.oscar]

    def strikes(self, kind: Kind) -> bool:
        """Say whether a fault strikes now, counting it."""
        return self.service.faults.take(kind, self.connection) is not None

    # --- the two tasks ------------------------------------------------------------------------

    async def _read(self, stream: trio.abc.Stream) -> None:
        reader = wire.FrameReader()
        try:
            while not self._over:
                data = await stream.receive_some(READ_BYTES)
                if not data:
                    self._end()
                    return
                reader.receive_data(data)
                for frame in reader.frames():
                    self._take_frame(frame)
        except wire.RemoteProtocolError as exc:
            log.info("%s: %s", self.connection.id, exc)
            self.finish(wire.SignOff())
        except trio.BrokenResourceError:
            self._end()

    def _take_frame(self, frame: wire.Frame) -> None:
        if self._over:
            return
        connection = self.connection
        connection.frames += 1
        if self.service.faults.take(Kind.DROP, connection, Moment.FRAMES) is not None:
            self._over = True
            connection.cut()
            return
        try:
            packet = wire.decode(frame)
        except wire.RemoteProtocolError as exc:
            if frame.channel != wire.Channel.DATA or self._speaker is None:
                raise
            # The frames are intact: only this SNAC is lost.
            self.refuse_malformed(wire.decode_unread(frame.payload), exc)
            return
        match packet:
            case wire.KeepAlive():
                pass
            case wire.SignOff() | wire.FlapError():
                self._orderly = True
                self.finish(wire.SignOff())
            case wire.SignOn() if self._speaker is None:
                self._speaker = self._speaker_for(packet)
            case wire.Snac() if self._speaker is not None:
                self._speaker.take(packet)
            case _:
                raise wire.RemoteProtocolError("a sign-on comes first, and once")

    def _speaker_for(self, hello: wire.SignOn) -> Speaker | None:
        from legacy_emu.fronts.oscar.bart import Icons
        from legacy_emu.fronts.oscar.bos import Bos
        from legacy_emu.fronts.oscar.chat_nav import ChatNav
        from legacy_emu.fronts.oscar.login import BOS, Login, may_sign_on

        if hello.cookie is None:
            return Login(self, hello)
        ticket = self.shared.redeem(hello.cookie)
        if ticket is not None:
            self.connection.account = ticket.person.address
        if ticket is None or self.strikes(Kind.REFUSE_COOKIE):
            self.finish(wire.SignOff(error=misbehaviour.COOKIE_REFUSED))
            return None
        if ticket.group == BOS and not may_sign_on(self):
            return None
        match ticket.group:
            case icons.GROUP:
                return Icons(self, ticket)
            case rooms.GROUP:
                return ChatNav(self, ticket)
        return Bos(self, ticket, hello)

    async def _write(self, stream: trio.abc.Stream) -> None:
        """Write what waits, until the last word is written."""
        try:
            while self._outbox or not self._over:
                if self._outbox:
                    await self._write_some(stream)
                    continue
                self._more = trio.Event()
                wake_at = self._speaker.wake_at() if self._speaker is not None else float("inf")
                with trio.move_on_at(wake_at) as waiting:
                    await self._more.wait()
                if waiting.cancelled_caught and self._speaker is not None:
                    self._speaker.wake()
        except trio.BrokenResourceError:
            self._over = True

    async def _write_some(self, stream: trio.abc.Stream) -> None:
        batch = [self._outbox.popleft()]
        size = len(batch[0].data)
        while self._outbox and size < MAX_BYTES_PER_WRITE:
            batch.append(self._outbox.popleft())
            size += len(batch[-1].data)
        self._waiting_bytes -= size
        await stream.send_all(b"".join(each.data for each in batch))
        if self._speaker is not None:
            for each in batch:
                if each.value:
                    self._speaker.written(each.value)

    # --- what is said -------------------------------------------------------------------------

    def say(
        self,
        body: wire.Body,
        request: int = wire.SERVER_REQUEST,
        *,
        flags: int = 0,
        extension: bytes | None = None,
        value: str = "",
    ) -> None:
        """Send a SNAC. `value` is told to the speaker once it is written."""
        if self.strikes(Kind.UNKNOWN_SNACS):
            for unknown in misbehaviour.unknown_snacs():
                self.send(unknown)
        snac = wire.Snac(body, request, flags, extension)
        if self.strikes(Kind.EXTRA_TLVS):
            snac = misbehaviour.with_extra_tlvs(snac)
        self.send(snac, value)

    def refuse_malformed(self, snac: wire.Snac, why: wire.RemoteProtocolError) -> None:
        """Answer a SNAC that cannot be read with an error."""
        log.info("%s: %s", self.connection.id, why)
        group, _ = wire.number_of(snac.body)
        self.say(wire.Error(group, Code.MALFORMED), snac.request)

    def send(self, packet: wire.Packet, value: str = "") -> None:
        """Send anything. What does not fit its frame ends the connection: nobody else's fault."""
        if self._over:
            return
        if self.strikes(Kind.SEQUENCE_GAP):
            for _ in range(misbehaviour.GAP):
                self._writer.frame(wire.Channel.KEEP_ALIVE, b"")
        try:
            data = wire.encode(self._writer, packet)
        except wire.LocalProtocolError:
            log.exception("%s: cannot say this", self.connection.id)
            self.finish(wire.SignOff())
            return
        self._put(_Waiting(data, value))

    def say_raw(self, text: str) -> None:
        """Send each character as one byte."""
        if not self._over:
            self._put(_Waiting(text.encode("latin-1", "replace")))

    def finish(self, last_word: wire.SignOff | None, *, short: bool = False) -> None:
        """Say a last word, if any; what waits before it is still written."""
        if self._over:
            return
        if last_word is not None and (short or self.strikes(Kind.SHORT_SIGN_OFF)):
            frame = self._writer.frame(wire.Channel.SIGN_OFF, b"")
            self._put(_Waiting(frame[: misbehaviour.SHORT_BYTES]))
        elif last_word is not None:
            self.send(last_word)
        self._end()

    def _end(self) -> None:
        self._over = True
        self._more.set()
        self.connection.scope.deadline = trio.current_time() + LAST_WORDS_SECONDS

    def _put(self, waiting: _Waiting) -> None:
        self._outbox.append(waiting)
        self._waiting_bytes += len(waiting.data)
        self._more.set()
        if len(self._outbox) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
            log.warning("%s does not read: cut off", self.connection.id)
            self._over = True
            self.connection.cut()
