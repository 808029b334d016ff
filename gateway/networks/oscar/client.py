"""Carry one session: the login, the connection after it, its tasks, and the way out.

The tasks of a link run behind a shield of their own, so that a session which is cancelled can
still say goodbye; the shield falls when the `async with` of `linked` is left, and everything that
waits in between has a deadline.
"""

import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import attrs
import trio

from gateway.errors import ConnectionLost, RemoteProtocolError, Unreached
from gateway.host import Address, Host
from gateway.networks import base
from gateway.networks.base import LoginRefused, Reason, SignedOff
from gateway.networks.event_queue import EventQueue
from gateway.networks.oscar.pictures import Pictures
from gateway.networks.oscar.protocol import (
    IconSession,
    IconWanted,
    Login,
    Moment,
    Outgoing,
    Session,
    Ticket,
)
from gateway.networks.oscar.wire import (
    FrameReader,
    FrameWriter,
    KeepAlive,
    Packet,
    SignOff,
    decode,
    encode,
    icons,
)
from gateway.networks.ways import in_time, without_nursery

log = logging.getLogger(__name__)

RECEIVE_BYTES = 65_536
MAX_BATCH = 50
LINGER_SECONDS = 2  # after the goodbye, for the service to close first
ICONS_SECONDS = 60  # for each step of a visit to the service for pictures


@attrs.frozen
class Pace:
    """The deadlines of one session, in seconds."""

    sign_on: float
    sign_off: float
    ping: float
    pong: float


@attrs.frozen
class Place:
    """A service, and how to use it. `redirect` says what becomes of an address it sends us to."""

    host: Host
    address: Address
    pace: Pace
    redirect: Callable[[str, int], Address]
    max_avatar_bytes: int
    pictures: Pictures


class Wire:
    """Packets over one stream. Raises `ConnectionLost` and `RemoteProtocolError`."""

    def __init__(self, stream: trio.abc.Stream, address: Address, first_sequence: int) -> None:
        self._stream = stream
        self._address = address
        self._reader = FrameReader()
        self._writer = FrameWriter(first_sequence)
        self._packets: deque[Packet] = deque()
        self._broken: RemoteProtocolError | None = None  # by what came behind good packets

    async def send(self, packets: list[Packet]) -> None:
        data = b"".join(encode(self._writer, packet) for packet in packets)
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ConnectionLost(f"{self._address} closed the connection") from exc

    async def receive(self) -> list[Packet]:
        """Wait for the next packets, one or more. A malformed one raises after those before it."""
        while True:
            if self._broken is not None:
                raise self._broken
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
                raise ConnectionLost(f"{self._address} closed the connection") from exc
            if not data:
                last = self._reader.at_the_end()
                if last is None:
                    raise ConnectionLost(f"{self._address} closed the connection")
                self._reader = FrameReader()
                return [decode(last)]
            self._reader.receive_data(data)
            packets: list[Packet] = []
            try:
                for frame in self._reader.frames():
                    packets.append(decode(frame))  # noqa: PERF401 - keeps those before a bad one
            except RemoteProtocolError as exc:
                self._broken = exc
            if packets:
                return packets

    async def receive_one(self) -> Packet:
        while not self._packets:
            self._packets.extend(await self.receive())
        return self._packets.popleft()

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)


@asynccontextmanager
async def wired(host: Host, address: Address) -> AsyncGenerator[Wire, None]:
    """Connect; nothing is left of it afterwards."""
    stream = await host.dial(address)
    wire = Wire(stream, address, _first_sequence(host))
    try:
        yield wire
    finally:
        await wire.close()


def _first_sequence(host: Host) -> int:
    return int.from_bytes(host.token_bytes(2), "big")


async def log_in(host: Host, address: Address, login: Login) -> Ticket:
    """Carry out the login. Raises `LoginRefused`, `ConnectionLost`, `RemoteProtocolError`."""
    async with wired(host, address) as wire:
        while login.ticket is None:
            login.receive(await wire.receive_one())
            if login.outgoing:
                outgoing, login.outgoing = login.outgoing, []
                await wire.send(outgoing)
        return login.ticket


class Link:
    """One connection of a session: its tasks, what came, and what waits to go."""

    def __init__(self, place: Place, address: Address, wire: Wire, session: Session) -> None:
        self._place = place
        self._host = place.host
        self._address = address
        self._wire = wire
        self._session = session
        self._pace = place.pace
        self._background = trio.CancelScope(shield=True)
        self._pumps = trio.CancelScope()
        self._to_write = trio.Event()
        self._progress = trio.Event()  # something came
        self._unwritten: dict[str, trio.Event] = {}
        self._heard = 0  # packets
        self._avatar_bytes = 0
        self._said_goodbye = trio.Event()
        self._is_leaving = False
        self.events = EventQueue()
        self.entered = trio.Event()  # signed on, or ended
        self.over = trio.Event()

    # --- for the client -----------------------------------------------------------------------

    async def send(self, command: base.LegacyCommand) -> None:
        """Wait until `command` is written. Raises what ended the link."""
        await trio.lowlevel.checkpoint_if_cancelled()
        ref, outbox = command.ref, self._session.requests.outbox
        with self._ending():
            self._tell(self._session.command(command, self._now()))
        self._to_write.set()
        if outbox.holds(ref) and not self.over.is_set():
            written = self._unwritten[ref] = trio.Event()
            try:
                await written.wait()
            except trio.Cancelled:
                with self._ending():
                    self._tell(self._session.cancelled(ref))
                self._to_write.set()
                raise
            finally:
                del self._unwritten[ref]
        else:
            await trio.lowlevel.checkpoint()
        if self.events.ended is not None and outbox.holds(ref):
            raise self.events.ended

    def acknowledge(self, token: object) -> None:
        with self._ending():
            self._tell(self._session.acknowledge(token))
        self._to_write.set()

    async def farewell(self) -> None:
        """Sign off, and wait until the service has let us go. The caller bounds it in time."""
        if self.over.is_set():
            return
        self._is_leaving = True
        with self._ending():
            self._session.requests.put(SignOff())
        self._to_write.set()
        await self._said_goodbye.wait()
        with trio.move_on_after(LINGER_SECONDS):
            await self.over.wait()

    def close(self) -> None:
        """Let all tasks end now."""
        self._background.cancel()

    def end(self, reason: Exception) -> None:
        """End the link: `reason` is what `receive` and `send` raise from now on."""
        if not (self._is_leaving or self.over.is_set()):
            self._session.ended(reason, self._now())
        self.events.end(reason)
        self.over.set()
        self.entered.set()
        self._said_goodbye.set()
        self._pumps.cancel()
        for written in self._unwritten.values():
            written.set()

    # --- the tasks ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry both ways, until `end` or `close`."""
        try:
            with self._background, self._pumps:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read, name="reader")
                    nursery.start_soon(self._write, name="writer")
                    nursery.start_soon(self._keep_alive, name="keepalive")
                    nursery.start_soon(self._fetch_icons, name="icons")
        finally:
            self.end(ConnectionLost(f"the connection with {self._address} is closed"))
            await self._wire.close()

    async def _read(self) -> None:
        """Take what comes; wait for nobody (the queue is bounded, and its overflow is our end)."""
        with self._ending():
            while not self.over.is_set():
                for packet in await self._wire.receive():
                    self._heard += 1
                    self._tell(self._session.receive(packet, self._now()))
                self._to_write.set()

    @contextmanager
    def _ending(self) -> Generator[None, None, None]:
        """End the link with what the session, or the service, has to say against it."""
        try:
            yield
        except (ConnectionLost, RemoteProtocolError, LoginRefused, SignedOff) as reason:
            self.end(reason)

    def _tell(self, events: Iterable[base.LegacyEvent]) -> None:
        for event in events:
            if isinstance(event, base.UnknownEvent):
                log.debug("%s sent %s", self._address, event.what)
            self.events.put(event)
            if isinstance(event, base.MessageOutcome) and event.ref in self._unwritten:
                self._note_outcome(event.ref)
        self._progress.set()
        if self._session.is_online:
            self.entered.set()
        if self.events.ended is not None:  # it overflowed
            self.end(self.events.ended)

    def _note_outcome(self, ref: str) -> None:
        """Let a sender go whose message failed: what was not written of it was dropped."""
        if not self._session.requests.outbox.holds(ref):
            self._unwritten[ref].set()

    async def _write(self) -> None:
        """Write what may go, in order. A peer that does not read is found out by `keepalive`."""
        while True:
            batch = self._ready()
            if batch:
                with trio.move_on_after(self._pace.pong) as writing:
                    await self._send(batch)
                if writing.cancelled_caught:  # whatever it says meanwhile
                    self.end(ConnectionLost(f"{self._address} does not read what it is sent"))
                    return
                self._note_written(batch)
                continue
            self._to_write = trio.Event()
            with trio.move_on_after(self._pause()):
                await self._to_write.wait()
            with self._ending():
                self._tell(self._session.expire(self._now()))

    async def _send(self, batch: list[Outgoing]) -> None:
        try:
            await self._wire.send([one.packet for one in batch])
        except ConnectionLost:
            # The reader knows better why: it may still have packets to read.
            await trio.sleep_forever()

    def _ready(self) -> list[Outgoing]:
        now = trio.current_time()
        batch: list[Outgoing] = []
        while len(batch) < MAX_BATCH:
            outgoing = self._session.requests.outbox.take(now)
            if outgoing is None:
                break
            batch.append(outgoing)
        return batch

    def _pause(self) -> float:
        """Return how long there is nothing to do."""
        now = trio.current_time()
        requests = self._session.requests
        # Not less than a moment: rounding must not make this loop spin.
        return max(0.001, min(requests.outbox.wait(now), requests.deadline() - now))

    def _note_written(self, batch: list[Outgoing]) -> None:
        at = self._now()
        for outgoing in batch:
            self._tell(self._session.written(outgoing, at))
            written = self._unwritten.get(outgoing.ref)
            if written is not None and not self._session.requests.outbox.holds(outgoing.ref):
                written.set()
            if isinstance(outgoing.packet, SignOff):
                self._said_goodbye.set()

    async def _keep_alive(self) -> None:
        """Ask now and then whether the service is there; anything it says will do."""
        while True:
            await trio.sleep(self._pace.ping)
            if not self._session.is_online:
                continue
            heard, is_asked = self._heard, False
            with self._ending():
                self._session.requests.put(KeepAlive())
                is_asked = self._session.ping(self._now())
            self._to_write.set()
            if not is_asked:
                continue
            with trio.move_on_after(self._pace.pong):
                while self._heard == heard:
                    await self._news()
                continue
            self.end(
                ConnectionLost(f"{self._address} has not answered for {self._pace.pong} seconds")
            )

    async def _fetch_icons(self) -> None:
        """Fetch pictures, when somebody wants some, by a connection of their own."""
        while True:
            while not self._session.icons:
                await self._news()
            if self._tell_known():
                continue
            try:
                await self._visit_icons()
            except (ConnectionLost, RemoteProtocolError) as exc:
                log.debug("%s: no pictures: %s", self._address, exc)
                wanted, self._session.icons = self._session.icons, []
                text = "The service gives no pictures at present."
                self._tell(base.CommandFailed(one.ref, Reason.UNREACHABLE, text) for one in wanted)

    def _tell_known(self) -> bool:
        """Give the first picture that is wanted, if it is kept here."""
        wanted = self._session.icons[0]
        kept = self._place.pictures.get(wanted.id.data)
        if kept is not None:
            del self._session.icons[0]
            self._tell([base.CommandDone(wanted.ref, kept)])
        return kept is not None

    async def _visit_icons(self) -> None:
        """Fetch all that is wanted. Raises `ConnectionLost` and `RemoteProtocolError`."""
        with self._ending():
            self._session.ask_service(icons.GROUP)
        self._to_write.set()
        with in_time(trio.current_time() + ICONS_SECONDS, self._address):
            while icons.GROUP not in self._session.services:
                await self._news()
        service = self._session.services[icons.GROUP]
        if service is None or service.cookie is None:
            raise ConnectionLost("the service does not say where its pictures are")
        address = self._place.redirect(service.address or "", service.tls or 0)
        visit = IconSession(service.cookie)
        async with AsyncExitStack() as stack:
            with in_time(trio.current_time() + ICONS_SECONDS, address):
                wire = await stack.enter_async_context(wired(self._host, address))
                while not visit.ready:
                    await _exchange(wire, visit)
            while self._session.icons:
                if self._tell_known():
                    continue
                wanted = self._session.icons[0]
                await trio.sleep(visit.wait(trio.current_time()))
                with in_time(trio.current_time() + ICONS_SECONDS, address):
                    avatar = await self._ask_icon(wire, visit, wanted)
                del self._session.icons[0]
                self._tell([avatar])

    async def _ask_icon(
        self, wire: Wire, visit: IconSession, wanted: IconWanted
    ) -> base.CommandDone | base.CommandFailed:
        if self._avatar_bytes >= self._place.max_avatar_bytes:
            text = "Enough pictures were fetched in this session."
            return base.CommandFailed(wanted.ref, Reason.RATE_LIMITED, text)
        visit.ask(wanted.address, wanted.id, trio.current_time())
        while not visit.answered:
            await _exchange(wire, visit)
        if visit.avatar is not None:
            self._avatar_bytes += len(visit.avatar.data)
            self._place.pictures.keep(wanted.id.data, visit.avatar)
        return base.CommandDone(wanted.ref, visit.avatar)

    async def _news(self) -> None:
        if self._progress.is_set():
            self._progress = trio.Event()
        await self._progress.wait()

    def _now(self) -> Moment:
        return Moment(trio.current_time(), self._host.now())


async def _exchange(wire: Wire, visit: IconSession) -> None:
    """Send what there is to be sent, then take one packet."""
    if visit.outgoing:
        outgoing, visit.outgoing = visit.outgoing, []
        await wire.send(outgoing)
    visit.receive(await wire.receive_one(), trio.current_time())


@attrs.frozen
class OscarClient:
    """One account signed on."""

    own_address: str
    _link: Link
    _session: Session

    @property
    def display_name(self) -> str:
        return self._session.display_name

    @property
    def capabilities(self) -> base.Capabilities:
        return self._session.capabilities

    async def receive(self) -> base.LegacyEvent:
        return await self._link.events.take()

    async def send(self, command: base.LegacyCommand) -> None:
        if self._link.events.ended is not None:
            await trio.lowlevel.checkpoint()
            raise self._link.events.ended
        await self._link.send(command)

    def acknowledge(self, token: object) -> None:
        self._link.acknowledge(token)


async def ticket_for(place: Place, login: Login, deadline: float) -> Ticket:
    """Log in by `deadline`.

    Raises `LoginRefused`, `ConnectionLost`, `RemoteProtocolError`; `Unreached` when the service has
    not greeted us, so that we have said nothing to it.
    """
    try:
        with in_time(deadline, place.address):
            return await log_in(place.host, place.address, login)
    except ConnectionLost as exc:
        if login.greeted:
            raise
        raise Unreached(str(exc)) from exc


@asynccontextmanager
async def linked(
    place: Place, address: Address, session: Session, deadline: float
) -> AsyncGenerator[Link, None]:
    """Connect with the cookie of `session`; inside, the account is signed on.

    Raises `LoginRefused`, `ConnectionLost`, `RemoteProtocolError`; exceptions of the body pass
    through as they are. No task and no connection is left afterwards.
    """
    with in_time(deadline, address):
        stream = await place.host.dial(address)
    link = Link(place, address, Wire(stream, address, _first_sequence(place.host)), session)
    body_error: BaseException | None = None
    group: BaseExceptionGroup[BaseException] | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run, name="link")
            try:
                with in_time(deadline, address):
                    await link.entered.wait()
                if not session.is_online:
                    assert link.events.ended is not None
                    raise link.events.ended
                yield link
            except BaseException as exc:
                body_error = exc
                raise
            finally:
                with trio.move_on_after(place.pace.sign_off, shield=True):
                    await link.farewell()
                link.close()
    except BaseExceptionGroup as caught:
        group = caught
    # Outside of the handler, so that no exception gets a context it did not have.
    if group is not None:
        raise without_nursery(group, body_error)
