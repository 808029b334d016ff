"""The component link: connects, reconnects for ever, carries stanzas. Trio around the cores.

One task reads and hands what it reads to the receiver, which never waits; one writes what is ready,
many stanzas in one call; one watches the clock. What waits to be written stands in `outbox.py`, the
proof of delivery in `proof.py`, the wire in `stream.py`.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NoReturn, Protocol, assert_never

import attrs
import trio

from gateway.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError
from gateway.host import Address, Host
from gateway.xmpp import namespaces
from gateway.xmpp.endings import Cause, Ending, Retry, ending_for, shared_link
from gateway.xmpp.fitting import cut_to_fit
from gateway.xmpp.jid import InvalidJid, Jid
from gateway.xmpp.outbox import Item, Kind, Outbox
from gateway.xmpp.proof import Proof
from gateway.xmpp.stanza import (
    Condition,
    ErrorType,
    Fault,
    Iq,
    IqType,
    MalformedStanza,
    Message,
    MessageType,
    Presence,
    PresenceType,
    Stanza,
    describe,
    element_of,
    refusal,
    stanza_from,
)
from gateway.xmpp.stream import (
    ComponentStream,
    ElementIgnored,
    HandshakeAccepted,
    StanzaDropped,
    StanzaReceived,
    StreamClosed,
    StreamErrorReceived,
    StreamEvent,
    StreamOpened,
    StreamViolation,
)
from gateway.xmpp.xml import Element, to_bytes

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 30
SILENCE_SECONDS = 60  # nothing read for so long: ask
ANSWER_SECONDS = 180  # asked, and nothing read for so long: the link is dead
WRITE_STALL_SECONDS = 120
LEFTOVERS_SECONDS = 10
DRAIN_SECONDS = 4
PROVE_SECONDS = 2
CLOSE_SECONDS = 2

_READ_BYTES = 64 * 1024
_WRITE_BYTES = 64 * 1024
_NONCE_BYTES = 9
_STATE_TYPES = (PresenceType.AVAILABLE, PresenceType.UNAVAILABLE)
_TOO_LARGE = "The answer is too large for your server."
_ASTRAY = (Condition.REMOTE_SERVER_NOT_FOUND, Condition.REMOTE_SERVER_TIMEOUT)


class StanzaRefused(LocalProtocolError):
    """This stanza must not leave: the server would answer it by closing the link for everybody."""


class StanzaTooLarge(StanzaRefused):
    """This stanza is larger than the server takes, and cutting its texts is not enough."""


@attrs.frozen
class LinkSettings:
    """One component. `domain` is the server's own, `jid` ours: a bare domain."""

    jid: Jid
    domain: str
    server: Address
    secret: str = attrs.field(repr=False)
    max_stanza_bytes: int = 240 * 1024


class LinkState(StrEnum):
    CONNECTING = "connecting"
    UP = "up"
    WAITING = "waiting"
    CLOSED = "closed"


@attrs.frozen
class LinkStatus:
    """How the link is. `error` is the last fault, with its remedy; None once the link is well."""

    state: LinkState
    since: datetime
    error: str | None = None


class Receiver(Protocol):
    """Who is told what the link brings. Nothing here waits, and nothing raises."""

    def link_up(self) -> None: ...

    def link_down(self, why: str) -> None: ...

    def take(self, stanza: Stanza) -> None: ...

    def proven(self, upto: int) -> None:
        """Messages up to this number are with the server; there is room for more, too."""


class _Connection:
    """One connection from its dialling to its end."""

    def __init__(self, stream: trio.abc.Stream, core: ComponentStream) -> None:
        self.stream = stream
        self.core = core
        self.stream_id = ""  # what the handshake is still to be made of
        self.up_since: float | None = None
        self.last_read = trio.current_time()
        self.asked_at: float | None = None
        self.farewell = b""  # what is still to be said before closing
        self.sending = False  # a write has begun and not ended: nothing more can be said
        self.closing = False
        self.is_silent = False  # it answered no ping, and nothing else came
        self.is_shared = False  # another connection is given a part of what is for us
        self.ending: Ending | None = None
        self.over = trio.Event()

    def end(self, cause: Cause, text: str) -> None:
        if self.ending is None:
            self.ending = Ending(cause, text)
            self.over.set()


class Link:
    """The link of one component to its server."""

    def __init__(self, host: Host, settings: LinkSettings, receiver: Receiver) -> None:
        self._host = host
        self._settings = settings
        self._receiver = receiver
        self._own = settings.jid
        self._server_jid = Jid.parse(settings.domain)
        self._outbox = Outbox()
        self._proof = Proof(host.token_bytes(_NONCE_BYTES).hex())
        self._retry = Retry(host)
        self._connection: _Connection | None = None  # the one that is up
        self._attempt: trio.CancelScope | None = None
        self._alarm = trio.CancelScope()
        self._closing = trio.Event()
        self._moved = trio.Event()  # something was written or proven; made anew each time
        self._refused_since_up = 0
        self._running = False
        self.status = LinkStatus(LinkState.CONNECTING, host.now())

    def __str__(self) -> str:
        return str(self._own)

    # What others may ask for.

    # The texts of a stanza that is too large are cut. If that is not enough, the stanza is dropped;
    # a result is replaced by an error.

    def send(self, stanza: Stanza) -> bool:
        """Queue value. Returns whether there was room for it, and it is not too large.

        Raises `StanzaRefused` for what would cost the link and is a bug of ours.
        """
        data = self._fitting(stanza)
        return data is not None and self._put(Item(Kind.VALUE, data))

    def answer(self, answer: Stanza | None) -> None:
        """Queue the answer to a stanza, if there is one. One that cannot be written is dropped."""
        if answer is None:
            return
        try:
            self.send(answer)
        except StanzaRefused as exc:
            log.info("%s: no answer to %s: %s", self, answer.to, exc)

    def send_state(self, stanza: Presence) -> None:
        """Queue state in the place of the one it replaces. While the link is down it is dropped.

        Raises `StanzaRefused` as `send` does.
        """
        data = self._fitting(stanza)
        if stanza.type not in _STATE_TYPES:
            raise StanzaRefused(f"presence of type {stanza.type} is no state")
        if self._connection is not None and data is not None:
            self._outbox.put_state(Item(Kind.STATE, data, (stanza.from_, stanza.to)))

    def send_batch(self, stanzas: Sequence[Stanza]) -> None:
        """Queue stanzas of a prescribed order as one unit. Raises `StanzaRefused` as `send` does.

        State that waits and that the batch says anew is dropped from its old place. When the link
        is lost, `available` in a batch is dropped as all such state is; the rest is kept.
        """
        items = []
        for stanza in stanzas:
            data = self._fitting(stanza)
            if data is None:
                continue
            if not isinstance(stanza, Presence) or stanza.type not in _STATE_TYPES:
                items.append(Item(Kind.VALUE, data))
                continue
            available = stanza.type is PresenceType.AVAILABLE
            if not available or self._connection is not None:
                kind = Kind.STATE if available else Kind.VALUE
                items.append(Item(kind, data, (stanza.from_, stanza.to)))
        if not self._outbox.put_batch(items):
            self._note_full(len(items))

    def deliver(self, message: Message) -> int | None:
        """Queue a message whose arrival is to be proven; return its number.

        None when the link is down or too many are unproven: offer it again after `link_up` or
        `proven`. What is unproven when the link goes is forgotten here: its owner sends it again.
        Raises `StanzaRefused` as `send` does.
        """
        data = self._written(message)
        if self._connection is None or self._closing.is_set():
            return None
        now = trio.current_time()
        number = self._proof.track(now)
        if number is not None:
            self._outbox.put(Item(Kind.TRACKED, data))
            self._ping_when_due(now)
        return number

    async def drain_and_close(self) -> None:
        """End the link in good order, for good: write what waits, prove it, close the stream.

        Takes a few seconds at most; `run` stays, and does nothing more.
        """
        self._closing.set()
        if self._attempt is not None:
            self._attempt.cancel()
        connection = self._connection
        if connection is not None:
            with trio.move_on_after(DRAIN_SECONDS):
                await self._drain(connection)
            connection.closing = True
            self._outbox.wake()
            with trio.move_on_after(CLOSE_SECONDS):
                await connection.over.wait()
            connection.end(Cause.CLOSED, "closed by us")
        with trio.move_on_after(2 * CLOSE_SECONDS):
            while self._running and self.status.state is not LinkState.CLOSED:
                await self._moved.wait()

    async def run(self) -> NoReturn:
        """Connect, and connect again when the link is lost, for ever."""
        self._running = True
        while not self._closing.is_set():
            self._set_status(LinkState.CONNECTING, self.status.error)
            ending, up_since = await self._connect_once()
            if self._closing.is_set():
                break
            up_seconds = 0.0 if up_since is None else trio.current_time() - up_since
            delay = self._retry.delay(ending.cause, up_seconds)
            level = logging.WARNING if ending.cause is Cause.LOST else logging.ERROR
            log.log(level, "%s: %s; trying again in %.0f s", self, ending.text, delay)
            self._set_status(LinkState.WAITING, ending.text)
            with trio.move_on_after(delay):
                await self._closing.wait()
        self._set_status(LinkState.CLOSED, None)
        self._move()
        await trio.sleep_forever()

    # One connection.

    async def _connect_once(self) -> tuple[Ending, float | None]:
        """Live one connection; return how it ended and since when it was up."""
        stream = None
        with trio.CancelScope() as attempt:
            self._attempt = attempt
            try:
                stream = await self._host.dial(self._settings.server)
            except ConnectionLost as exc:
                return Ending(Cause.LOST, str(exc)), None
            finally:
                self._attempt = None
        if stream is None:
            return Ending(Cause.CLOSED, "closed by us"), None
        connection = _Connection(stream, ComponentStream(self._own.domain))
        try:
            await self._negotiate(connection)
            if connection.ending is None:
                await self._carry(connection)
        finally:
            self._take_down(connection)
            await self._close(connection)
        return connection.ending or Ending(Cause.CLOSED, "closed by us"), connection.up_since

    async def _negotiate(self, connection: _Connection) -> None:
        core = connection.core
        with trio.move_on_after(HANDSHAKE_SECONDS) as attempt:
            self._attempt = attempt
            try:
                await self._send_bytes(connection, core.opening())
                while connection.up_since is None and connection.ending is None:
                    if connection.stream_id:
                        handshake = core.handshake(connection.stream_id, self._settings.secret)
                        connection.stream_id = ""
                        await self._send_bytes(connection, handshake)
                    await self._receive(connection)
            finally:
                self._attempt = None
        if self._closing.is_set():
            connection.end(Cause.CLOSED, "closed by us")
        elif attempt.cancelled_caught:
            text = f"{self._settings.server} did not answer the handshake"
            connection.end(Cause.LOST, f"{text} within {HANDSHAKE_SECONDS} s")

    async def _carry(self, connection: _Connection) -> None:
        place = f"links/{self._own}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, connection, name=f"{place}/reader")
            nursery.start_soon(self._write, connection, name=f"{place}/writer")
            nursery.start_soon(self._watch, connection, name=f"{place}/watch")
            await connection.over.wait()
            nursery.cancel_scope.cancel()

    def _bring_up(self, connection: _Connection) -> None:
        connection.up_since = trio.current_time()
        self._connection = connection
        self._refused_since_up = 0
        log.info("%s: connected to %s", self, self._settings.server)
        self._set_status(LinkState.UP, None)
        self._receiver.link_up()

    def _take_down(self, connection: _Connection) -> None:
        if self._connection is not connection:
            return
        self._connection = None
        if connection.is_silent:
            self._note_round(trio.current_time())
            self._assume_written()
        self._outbox.link_lost()
        self._proof.forget()
        self._move()
        self._receiver.link_down(connection.ending.text if connection.ending else "stopped")

    async def _close(self, connection: _Connection) -> None:
        """Say goodbye if that can be done, and close. Bounded, for half-open links block."""
        try:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                if connection.farewell and not connection.sending:
                    await self._send_bytes(connection, connection.farewell)
                await connection.stream.aclose()
        finally:
            await trio.aclose_forcefully(connection.stream)

    # The reader.

    async def _read(self, connection: _Connection) -> None:
        while connection.ending is None:
            await self._receive(connection)

    async def _receive(self, connection: _Connection) -> None:
        """Read once, and handle all that came."""
        try:
            data = await connection.stream.receive_some(_READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            connection.farewell = b""
            connection.end(Cause.LOST, f"lost {self._settings.server}: {exc}")
            return
        if not data:
            connection.end(Cause.LOST, f"{self._settings.server} closed the connection")
            return
        connection.last_read = trio.current_time()
        if connection.asked_at is not None:
            connection.asked_at = None
            self._look_by(connection.last_read + SILENCE_SECONDS)
        connection.core.receive_data(data)
        try:
            for event in connection.core.events():
                self._handle(connection, event)
        except RemoteProtocolError as exc:
            if isinstance(exc, StreamViolation):
                error = connection.core.error(exc.condition)
                connection.farewell = error + connection.core.closing()
            connection.end(Cause.LOST, f"{self._settings.server} broke the protocol: {exc}")

    def _handle(self, connection: _Connection, event: StreamEvent) -> None:
        match event:
            case StanzaReceived(element):
                self._take(element)
            case StanzaDropped(name, attributes, why):
                self._note_dropped(event)
                if name != "presence":
                    condition = Condition.NOT_ACCEPTABLE
                    self.answer(refusal(name, attributes, condition, why, self._own))
            case StreamOpened(stream_id):
                connection.farewell = connection.core.closing()
                connection.stream_id = stream_id
            case HandshakeAccepted():
                self._bring_up(connection)
            case StreamErrorReceived(condition, text):
                server = str(self._settings.server)
                ending = ending_for(condition, text, str(self._own), server)
                connection.end(ending.cause, ending.text)
            case StreamClosed():
                cause = Cause.CLOSED if connection.closing else Cause.LOST
                connection.end(cause, f"{self._settings.server} closed the stream")
            case ElementIgnored(name, xmlns):
                log.debug("%s: ignored <%s xmlns=%r/>", self, name, xmlns)
            case _:
                assert_never(event)

    def _take(self, element: Element) -> None:
        try:
            stanza = stanza_from(element)
        except MalformedStanza as exc:
            log.debug("%s: malformed stanza: %s", self, exc)
            self.answer(exc.answer(self._own))
            return
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: received %s", self, describe(stanza))
        if stanza.to.domain != self._own.domain:
            # ejabberd may pass on what is meant for another component; an answer from its domain
            # would cost the link.
            log.debug("%s: not ours: %s", self, stanza.to)
        elif (
            isinstance(stanza, Iq)
            and stanza.type in (IqType.RESULT, IqType.ERROR)
            and Proof.has_id_of_ping(stanza.id)
        ):
            self._take_answer(stanza)
        else:
            self._receiver.take(stanza)

    def _take_answer(self, answer: Iq) -> None:
        """Take the answer to a ping of ours: any error is one, save that it never got there."""
        if answer.from_ != self._server_jid:
            return
        now = trio.current_time()
        if self._proof.is_anothers(answer.id):
            self._note_another(now)
        elif answer.error is not None and answer.error.condition in _ASTRAY:
            if self._proof.went_astray(answer.id, now):
                text = (
                    f"{self._settings.server} does not serve {self._server_jid}: correct `domain`"
                )
                log.error("%s: %s; until then no message can be proven", self, text)
                self._set_status(self.status.state, text)
        else:
            was_given_up = self._proof.is_given_up
            upto = self._proof.answered(answer.id)
            if was_given_up and not self._proof.is_given_up:
                log.info("%s: %s answers pings again", self, self._settings.server)
                self._set_status(self.status.state, None)
            if upto is not None:
                self._move()
                self._receiver.proven(upto)
        self._ping_when_due(now)

    def _note_another(self, now: float) -> None:
        """Report that this link is given what another connection asked for, once a link."""
        connection = self._connection
        if connection is None or connection.is_shared or connection.up_since is None:
            return
        if now - connection.up_since < LEFTOVERS_SECONDS:
            return  # perhaps what was still on its way to a gateway that has ended
        connection.is_shared = True
        text = shared_link(str(self._own), str(self._settings.server))
        log.error("%s: %s", self, text)
        self._set_status(self.status.state, text)

    def _note_dropped(self, dropped: StanzaDropped) -> None:
        sender = dropped.attributes.get("from")
        log.info("%s: dropped a %s from %s: %s", self, dropped.name, sender, dropped.why)

    # The writer.

    async def _write(self, connection: _Connection) -> None:
        while connection.ending is None:
            data = self._outbox.take(_WRITE_BYTES)
            if data:
                await self._send_bytes(connection, data)
                if connection.ending is None:
                    self._assume_written()
                self._move()
            elif connection.closing:
                connection.farewell = b""
                await self._send_bytes(connection, connection.core.closing())
                return
            else:
                await self._outbox.wait()

    async def _send_bytes(self, connection: _Connection, data: bytes) -> None:
        """Write to the stream. What breaks off in between leaves nothing more to be said on it."""
        connection.sending = True
        try:
            with trio.move_on_after(WRITE_STALL_SECONDS) as stall:
                await connection.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            connection.end(Cause.LOST, f"lost {self._settings.server}: {exc}")
            return
        if stall.cancelled_caught:
            text = f"{self._settings.server} took nothing for {WRITE_STALL_SECONDS} s"
            connection.end(Cause.LOST, text)
        else:
            connection.sending = False

    # The watch.

    async def _watch(self, connection: _Connection) -> None:
        """Send the pings that are due, and notice a link that is only half there."""
        while connection.ending is None:
            now = trio.current_time()
            due = self._proof.due_at
            is_due = due is not None and due <= now and not self._proof.is_given_up
            if is_due and self._proof.is_overdue(now):
                log.warning("%s: the server has not answered a ping for minutes", self)
                self._note_round(now)
                self._assume_written()
            self._ping_when_due(now)
            alarm = self._next_look(connection, now)
            due = self._proof.due_at
            with trio.CancelScope(deadline=alarm if due is None else min(alarm, due)) as scope:
                self._alarm = scope
                await trio.sleep_forever()

    def _next_look(self, connection: _Connection, now: float) -> float:
        """Ask on silence, end a dead link; return when to look again."""
        if connection.asked_at is None:
            quiet_at = connection.last_read + SILENCE_SECONDS
            if now < quiet_at:
                return quiet_at
            connection.asked_at = now
            self._ping(now)
        dead_at = connection.asked_at + ANSWER_SECONDS
        if now >= dead_at:
            connection.farewell = b""
            silent = now - connection.last_read
            connection.is_silent = True
            text = f"{self._settings.server} has been silent for {silent:.0f} s"
            connection.end(Cause.LOST, text)
        return dead_at

    def _note_round(self, now: float) -> None:
        """Note that the server has answered no ping for minutes; report it when it never does."""
        if self._proof.pass_round(now):
            text = (
                f"{self._settings.server} answers no ping to {self._server_jid}: let it answer"
                " (mod_ping), or correct `domain`; until it does, a message counts as delivered"
                " once it is written"
            )
            log.error("%s: %s", self, text)
            self._set_status(self.status.state, text)

    def _assume_written(self) -> None:
        """Count what is written as proven, once the proof is given up."""
        if self._proof.is_given_up and not len(self._outbox):
            upto = self._proof.assume()
            if upto is not None:
                self._receiver.proven(upto)

    def _ping_when_due(self, now: float) -> None:
        due = self._proof.due_at
        if due is not None and due <= now:
            self._ping(now)
            due = self._proof.due_at
        if due is not None:
            self._look_by(due)

    def _look_by(self, when: float) -> None:
        """Have the watch look by then, without waking it now."""
        self._alarm.deadline = min(self._alarm.deadline, when)

    def _ping(self, now: float) -> None:
        ping = Iq(
            to=self._server_jid,
            from_=self._own,
            type=IqType.GET,
            id=self._proof.ping(now),
            payload=Element("ping", namespaces.PING),
        )
        self._outbox.put(Item(Kind.TRACKED, self._written(ping)))

    # The rest.

    async def _drain(self, connection: _Connection) -> None:
        """Wait until all is written and proven; the proof may take a moment of its own."""
        if self._proof.unproven:
            self._ping(trio.current_time())
        while len(self._outbox) and connection.ending is None:
            await self._moved.wait()
        with trio.move_on_after(PROVE_SECONDS):
            while self._proof.unproven and connection.ending is None:
                await self._moved.wait()

    def _move(self) -> None:
        if self._closing.is_set():
            self._moved.set()
            self._moved = trio.Event()

    def _put(self, item: Item) -> bool:
        has_room = self._outbox.put(item)
        if not has_room:
            self._note_full(1)
        return has_room

    def _note_full(self, stanzas: int) -> None:
        if not self._refused_since_up:
            waiting = self._outbox.waiting_bytes
            log.warning("%s: %d bytes wait for the server: dropping the rest", self, waiting)
        self._refused_since_up += stanzas

    def _written(self, stanza: Stanza) -> bytes:
        """Write a stanza to bytes. Raises `StanzaRefused` for what must not leave."""
        if stanza.from_.domain != self._own.domain:
            raise StanzaRefused(f"from {stanza.from_}, which is not at {self._own}")
        for jid in (stanza.from_, stanza.to):
            try:
                prepared = Jid.parse(str(jid)) == jid
            except InvalidJid as exc:
                raise StanzaRefused(f"{str(jid)!r} cannot stand in a stanza: {exc}") from exc
            if not prepared:
                raise StanzaRefused(f"{str(jid)!r} is not prepared")
        element, limit = element_of(stanza), self._settings.max_stanza_bytes
        try:
            data = to_bytes(element, namespaces.COMPONENT)
        except LocalProtocolError as exc:
            raise StanzaRefused(str(exc)) from exc
        if len(data) > limit:
            if isinstance(stanza, Message) and stanza.type is MessageType.ERROR and stanza.payload:
                return self._written(attrs.evolve(stanza, payload=()))
            cut = cut_to_fit(element, namespaces.COMPONENT, excess=len(data) - limit)
            if cut is None:
                raise StanzaTooLarge(f"more than {limit} bytes: {describe(stanza)}")
            data = cut
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: queued %s", self, describe(stanza))
        return data

    def _fitting(self, stanza: Stanza) -> bytes | None:
        """Write a stanza to bytes. None: it is too large, and this is logged. Raises as above."""
        try:
            return self._written(stanza)
        except StanzaTooLarge as exc:
            log.warning("%s: dropped: %s", self, exc)
        if isinstance(stanza, Iq) and stanza.type is IqType.RESULT:
            fault = Fault(Condition.RESOURCE_CONSTRAINT, ErrorType.CANCEL, _TOO_LARGE, lang="en")
            return self._fitting(attrs.evolve(stanza, type=IqType.ERROR, payload=None, error=fault))
        return None

    def _set_status(self, state: LinkState, error: str | None) -> None:
        since = self.status.since if state is self.status.state else self._host.now()
        self.status = LinkStatus(state, since, error)
