"""A network in memory: latency, bandwidth, back-pressure, and links that fail as real ones do.

A direction is a queue of segments, each with its time of arrival; the reader waits for the head
to arrive, so a connection needs no task. Names resolve to whatever was bound to them. Nothing
here knows what the bytes mean.
"""

import bisect
import math
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random

import attrs
import trio

from gateway.host import Address
from tests.simulation.trace import Trace

RETRANSMIT_SECONDS = 900  # after so long without an acknowledgement a kernel gives a peer up
UNREACHABLE_SECONDS = 120  # and so long it keeps trying to connect
BACKLOG = 256
MAX_READ_BYTES = 65536
MAX_SPLIT_BYTES = 7


@attrs.frozen
class Quality:
    """How good a link is. `buffer_bytes` bounds what is accepted and not yet read, each way."""

    latency: float = 0.002
    jitter: float = 0.001
    bytes_per_second: float = 10_000_000
    buffer_bytes: int = 131_072


@attrs.frozen
class _Segment:
    arrives: float
    data: bytes  # empty: the end


class _Pipe:
    """One direction: what one end has sent and the other has not read."""

    def __init__(self, name: str, quality: Quality, random: Random, trace: Trace) -> None:
        self.name = name
        self.quality = quality
        self.random = random
        self.trace = trace
        self.segments: deque[_Segment] = deque()
        self.held = 0
        self.sent = 0
        self.read = 0
        self.reads: list[tuple[int, float]] = []  # (total read, when), ascending
        self.changed = trio.lowlevel.ParkingLot()
        self.ended = False
        self.stalled_until = -math.inf
        self.void_since: float | None = None  # nothing sent from then on arrives
        self.unheard_since: float | None = None  # when the first of what has vanished was sent
        self.split = False
        self.extra_delay = 0.0
        self._free_at = 0.0
        self._last_arrival = 0.0

    def room(self) -> int:
        return self.quality.buffer_bytes - self.held

    def put(self, data: bytes) -> None:
        """Take `data` (empty: the end) on its way, behind what is already under way."""
        now = trio.current_time()
        self.sent += len(data)
        self.held += len(data)
        self.trace.note_bytes(self.name, data)
        if self.void_since is not None:
            if self.unheard_since is None:
                self.unheard_since = now
        else:
            quality = self.quality
            self._free_at = max(now, self._free_at) + len(data) / quality.bytes_per_second
            travels = quality.latency + self.random.random() * quality.jitter + self.extra_delay
            self._last_arrival = max(self._last_arrival, self._free_at + travels)
            self.segments.append(_Segment(self._last_arrival, data))
        self.changed.unpark_all()

    def head_arrives(self) -> float:
        """Return when there will be something to read; never, if nothing is under way."""
        if not self.segments:
            return math.inf
        return max(self.segments[0].arrives, self.stalled_until)

    def take(self, limit: int) -> bytes:
        """Return what has arrived, up to `limit` bytes; empty at the end."""
        now = trio.current_time()
        if self.split:
            limit = min(limit, self.random.randint(1, MAX_SPLIT_BYTES))
        taken = bytearray()
        while self.segments and len(taken) < limit and self.head_arrives() <= now:
            segment = self.segments[0]
            if not segment.data:
                break
            self.segments.popleft()
            part = segment.data[: limit - len(taken)]
            taken += part
            if len(part) < len(segment.data):
                self.segments.appendleft(_Segment(segment.arrives, segment.data[len(part) :]))
        self.held -= len(taken)
        self.read += len(taken)
        if taken:
            self.reads.append((self.read, now))
            self.changed.unpark_all()
        return bytes(taken)

    def lose(self) -> None:
        """Lose what has not been read."""
        self.segments.clear()
        self.changed.unpark_all()

    def vanish(self) -> None:
        """From now on nothing arrives, neither what is under way nor what is sent."""
        now = trio.current_time()
        self.void_since = now
        arrived = [segment for segment in self.segments if segment.arrives <= now]
        if len(arrived) < len(self.segments):
            self.unheard_since = now
        self.segments = deque(arrived)
        self.changed.unpark_all()

    def gives_up_at(self) -> float:
        if self.unheard_since is None:
            return math.inf
        return self.unheard_since + RETRANSMIT_SECONDS


class SimStream(trio.abc.HalfCloseableStream):
    """One end of a connection. As strict as a real socket about two tasks doing the same thing."""

    def __init__(self, connection: "Connection", outgoing: _Pipe, incoming: _Pipe) -> None:
        self.connection = connection
        self._out = outgoing
        self._in = incoming
        self._closed = False
        self._broken_at = math.inf  # when word of a reset reaches this end
        self._sending = False
        self._receiving = False

    @property
    def sent(self) -> int:
        """How many bytes this end has sent, that is, handed to its kernel."""
        return self._out.sent

    @property
    def peer_read(self) -> int:
        """How many of them the program at the other end has read."""
        return self._out.read

    def peer_read_at(self, count: int) -> float:
        """Return when the other end had read `count` bytes; infinity if it has not."""
        index = bisect.bisect_left(self._out.reads, (count, -math.inf))
        return self._out.reads[index][1] if index < len(self._out.reads) else math.inf

    @property
    def closed(self) -> bool:
        return self._closed

    def _fails_at(self) -> float:
        return min(self._broken_at, self._out.gives_up_at())

    def _check_sendable(self) -> None:
        if self._closed or self._out.ended:
            raise trio.ClosedResourceError(f"{self._out.name}: closed at this end")
        if trio.current_time() >= self._fails_at():
            raise trio.BrokenResourceError(f"{self._out.name}: connection reset or timed out")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            rest = bytes(data)
            self._check_sendable()
            while rest:
                await self._wait_for_room()
                accepted, rest = rest[: self._out.room()], rest[self._out.room() :]
                self._accept(accepted)
        finally:
            self._sending = False

    def _accept(self, data: bytes) -> None:
        other = self.connection.other(self)
        self._out.put(data)
        self._in.changed.unpark_all()  # on a half-open link the reader now has a time to give up
        if other.closed:
            self._out.lose()  # nobody is there to read it: the answer is a reset
            round_trip = self._out.quality.latency + self._in.quality.latency
            self.break_at(trio.current_time() + round_trip)

    async def _wait_for_room(self) -> None:
        while True:
            self._check_sendable()
            if self._out.room() > 0:
                return
            with trio.move_on_at(self._fails_at()):
                await self._out.changed.park()

    async def wait_send_all_might_not_block(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            await self._wait_for_room()
        finally:
            self._sending = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving on this stream")
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        self._receiving = True
        try:
            await trio.lowlevel.checkpoint()
            while True:
                if self._closed:
                    raise trio.ClosedResourceError(f"{self._in.name}: closed at this end")
                now = trio.current_time()
                arrives = self._in.head_arrives()
                fails = self._fails_at()
                if arrives <= now and arrives <= fails:
                    return self._in.take(max_bytes or MAX_READ_BYTES)
                if fails <= now:
                    raise trio.BrokenResourceError(f"{self._in.name}: reset or timed out")
                with trio.move_on_at(min(arrives, fails)):
                    await self._in.changed.park()
        finally:
            self._receiving = False

    async def send_eof(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        await trio.lowlevel.checkpoint()
        if self._out.ended and not self._closed:
            return
        self._check_sendable()
        self._end_sending()

    def _end_sending(self) -> None:
        if not self._out.ended:
            self._out.put(b"")
            self._out.ended = True

    def close_as_kernel(self) -> None:
        """Close as a kernel does for a program that ends: what was accepted still arrives.

        With unread input the other end gets a reset behind it, otherwise an orderly end.
        """
        if self._closed:
            return
        self._closed = True
        now = trio.current_time()
        other = self.connection.other(self)
        if self._out.void_since is None and now < self._fails_at():
            arriving = self._in.segments[0].arrives if self._in.held else math.inf
            if arriving <= now:  # unread input
                last = max((segment.arrives for segment in self._out.segments), default=now)
                other.break_at(max(last, now + self._out.quality.latency))
            else:
                self._end_sending()
                other.break_at(arriving + self._out.quality.latency)  # it meets a closed socket
        self._in.lose()
        self._out.changed.unpark_all()

    async def aclose(self) -> None:
        self.close_as_kernel()
        await trio.lowlevel.checkpoint()

    def break_at(self, when: float) -> None:
        """Let word of a reset reach this end at `when`; what arrived before can still be read."""
        self._broken_at = min(self._broken_at, when)
        self._in.changed.unpark_all()
        self._out.changed.unpark_all()


class Connection:
    """Two ends and the wire between them. Faults are put on it here."""

    def __init__(
        self, name: str, address: Address, quality: Quality, random: Random, trace: Trace
    ) -> None:
        self.name = name
        self.address = address
        to_server = _Pipe(f"{name}>", quality, random, trace)
        to_client = _Pipe(f"{name}<", quality, random, trace)
        self.client = SimStream(self, to_server, to_client)
        self.server = SimStream(self, to_client, to_server)
        self._pipes = (to_server, to_client)
        self.failed_at: float | None = None  # when it was cut, from either end's point of view
        self.healthy = True  # False: half open

    def other(self, end: SimStream) -> SimStream:
        return self.server if end is self.client else self.client

    @property
    def alive(self) -> bool:
        """Say whether either end still has it open and it was not cut."""
        return self.failed_at is None and not (self.client.closed and self.server.closed)

    def cut(self) -> None:
        """Reset it: both ends fail at once, and what was not read is lost."""
        if self.failed_at is not None:
            return
        self.failed_at = trio.current_time()
        for end in (self.client, self.server):
            end.break_at(self.failed_at)
        for pipe in self._pipes:
            pipe.lose()

    def stall(self, seconds: float) -> None:
        """Deliver nothing for a while, then everything."""
        for pipe in self._pipes:
            pipe.stalled_until = trio.current_time() + seconds
            pipe.changed.unpark_all()

    def half_open(self) -> None:
        """Let everything sent vanish from now on, without a word to either end."""
        self.healthy = False
        for pipe in self._pipes:
            pipe.vanish()

    def split(self) -> None:
        """Let what arrives from now on be read in crumbs of 1 to 7 bytes."""
        for pipe in self._pipes:
            pipe.split = True

    def delay(self, seconds: float) -> None:
        """Let everything sent from now on take so much longer."""
        for pipe in self._pipes:
            pipe.extra_delay = seconds

    def heal(self) -> None:
        """End every fault; a link that is half open can only be cut."""
        if not self.healthy:
            self.cut()
        for pipe in self._pipes:
            pipe.stalled_until = -math.inf
            pipe.split = False
            pipe.extra_delay = 0.0
            pipe.changed.unpark_all()


class SimListener:
    """An address that accepts connections, until closed."""

    def __init__(self, network: "SimNetwork", address: Address) -> None:
        self.address = address
        self._network = network
        self._arrived, self._accepted = trio.open_memory_channel[SimStream](BACKLOG)

    def offer(self, stream: SimStream) -> bool:
        try:
            self._arrived.send_nowait(stream)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    def close(self) -> None:
        """Stop accepting; who is in the backlog is reset, who was accepted stays."""
        self._network.unbind(self)
        while True:
            try:
                stream = self._accepted.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                break
            stream.connection.cut()
        self._arrived.close()

    async def serve(self, handler: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        """Accept until closed, one task a connection; closes each stream after its handler."""

        async def handle(stream: SimStream) -> None:
            try:
                await handler(stream)
            finally:
                stream.close_as_kernel()

        async with trio.open_nursery() as nursery:
            async for stream in self._accepted:
                nursery.start_soon(handle, stream, name=f"serve {stream.connection.name}")


class SimNetwork:
    """Every address and connection of one world. Each draws its randomness by its own name."""

    def __init__(self, seed: int, trace: Trace, quality: Quality | None = None) -> None:
        self.trace = trace
        self.connections: list[Connection] = []
        self._seed = seed
        self._quality = quality or Quality()
        self._listeners: dict[Address, SimListener] = {}
        self._dialled: dict[str, int] = {}
        self._next_port = 20_000
        self.dials: list[tuple[float, str]] = []  # each attempt: when, and whose
        self.unreachable: dict[Address, bool] = {}  # True: packets to it vanish

    def bind(self, address: Address) -> SimListener:
        """Start accepting at `address`; port 0 takes a free one. Raises `OSError` if taken."""
        if not address.path and address.port == 0:
            self._next_port += 1
            address = attrs.evolve(address, port=self._next_port)
        if _place(address) in self._listeners:
            raise OSError(f"{address} is in use")
        listener = SimListener(self, address)
        self._listeners[_place(address)] = listener
        return listener

    def unbind(self, listener: SimListener) -> None:
        if self._listeners.get(_place(listener.address)) is listener:
            del self._listeners[_place(listener.address)]

    async def dial(self, address: Address, who: str) -> SimStream:
        """Connect, in one round trip. Raises `OSError` when nobody is there."""
        self.dials.append((trio.current_time(), who))
        number = self._dialled.get(who, 0)
        self._dialled[who] = number + 1
        name = f"{who}/{number}"
        random = Random(f"{self._seed}/link/{name}")
        if self.unreachable.get(_place(address), False):
            await trio.sleep(UNREACHABLE_SECONDS)
            raise OSError(f"{address}: no answer")
        await trio.sleep(2 * self._quality.latency + random.random() * self._quality.jitter)
        connection = Connection(name, _place(address), self._quality, random, self.trace)
        listener = self._listeners.get(_place(address))
        if listener is None or not listener.offer(connection.server):
            raise OSError(f"{address}: connection refused")
        self.connections.append(connection)
        self.trace.note("connected", name)
        return connection.client

    def alive_at(self, address: Address) -> list[Connection]:
        """Return the connections to `address` that are up, oldest first."""
        place = _place(address)
        return [link for link in self.connections if link.address == place and link.alive]

    def heal(self) -> None:
        """End every fault on every link."""
        self.unreachable.clear()
        for connection in self.connections:
            connection.heal()


def _place(address: Address) -> Address:
    """TLS is not simulated: an address is the same place with it and without."""
    return attrs.evolve(address, tls=False)
