"""The WebSocket front: one connection's conversation in the frames of `networks/emu/wire.py`.

The reader acts on each frame at once and never waits; all that goes to the client, answers and
events alike, stands in one queue, which one writer empties. `docs/emulator.md` has the frames.
"""

import base64
import logging
from collections import deque
from collections.abc import Iterator, Sequence

import attrs
import trio

from gateway.networks.emu import wire
from legacy_emu import events
from legacy_emu.events import Look, Reason, RequestRefused, Show, SignOnRefused, TypingState
from legacy_emu.faults import Bucket, Connection, FaultyStream, Kind, Moment
from legacy_emu.names import NameRefused, canonical
from legacy_emu.people import Session
from legacy_emu.service import Service
from legacy_emu.websockets import WebSocket, serve_websocket

log = logging.getLogger(__name__)

MAX_WAITING = 20_000  # frames for a client that does not read; then it is cut off
MAX_WAITING_LENGTH = 64_000_000  # characters of those frames
MAX_REF_LENGTH = 200
CONTACTS_PER_FRAME = 100
LAST_WORDS_SECONDS = 5


async def serve(stream: trio.abc.Stream, service: Service) -> None:
    """Serve one client on `stream`, until either has enough; the stream is closed."""
    connection = service.connect("websocket")
    conversation = Conversation(service, connection)
    try:
        with connection.scope:
            if service.faults.take(Kind.DROP, connection, Moment.CONNECT) is None:
                await serve_websocket(
                    FaultyStream(stream, connection, service.faults, service.world),
                    conversation.run,
                    max_bytes=wire.MAX_FRAME_BYTES,
                    origins=service.origins,
                )
    finally:
        conversation.leave()
        service.disconnect(connection)
        await trio.aclose_forcefully(stream)


class Conversation:
    """What one client and the service say to each other. A `Listener` of the backend."""

    def __init__(self, service: Service, connection: Connection) -> None:
        self._service = service
        self._backend = service.backend
        self._connection = connection
        connection.speaker = self
        self._session: Session | None = None
        self._outbox: deque[str] = deque()
        self._waiting_length = 0
        self._more = trio.Event()
        self._over = False
        self._bucket = Bucket()

    async def run(self, socket: WebSocket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, socket, name=f"{self._connection.id}/reader")
            await self._write(socket)
            nursery.cancel_scope.cancel()

    def leave(self) -> None:
        """Sign off whoever is signed on: his connection is gone."""
        self._over = True
        if self._session is not None:
            self._backend.sign_off(self._session)

    # --- the two tasks ------------------------------------------------------------------------

    async def _read(self, socket: WebSocket) -> None:
        faults, connection = self._service.faults, self._connection
        while not self._over:
            data = await socket.get_message()
            connection.frames += 1
            if faults.take(Kind.DROP, connection, Moment.FRAMES) is not None:
                connection.cut()
                return
            try:
                self._take(wire.decode_client(data))
            except (wire.RemoteProtocolError, _Misuse) as exc:
                self._finish(wire.SignedOff(text=str(exc)))

    async def _write(self, socket: WebSocket) -> None:
        """Write what waits, until the last word is written."""
        while self._outbox or not self._over:
            if self._outbox:
                text = self._outbox.popleft()
                self._waiting_length -= len(text)
                await socket.send_message(text)
            else:
                self._more = trio.Event()
                await self._more.wait()

    def _say(self, *frames: wire.ServerFrame) -> None:
        for frame in frames:
            self._put(wire.encode(frame))

    def say_raw(self, text: str) -> None:
        self._put(text.encode("utf-8", "replace").decode())  # halves of surrogate pairs cannot go

    def _put(self, text: str) -> None:
        if self._over:
            return
        self._outbox.append(text)
        self._waiting_length += len(text)
        self._more.set()
        if len(self._outbox) > MAX_WAITING or self._waiting_length > MAX_WAITING_LENGTH:
            log.warning("%s does not read: cut off", self._connection.id)
            self._connection.cut()

    def _finish(self, frame: wire.ServerFrame) -> None:
        """Say a last word; what waits before it is still written."""
        self._say(frame)
        self._over = True
        self._connection.scope.deadline = trio.current_time() + LAST_WORDS_SECONDS

    # --- what the client says -----------------------------------------------------------------

    def _take(self, frame: wire.ClientFrame) -> None:
        echoed: str = getattr(frame, "ref", getattr(frame, "id", ""))
        if len(echoed) > MAX_REF_LENGTH:
            raise _Misuse(f"a ref or id has at most {MAX_REF_LENGTH} characters")
        match frame:
            case wire.Ping(id=number):
                self._say(wire.Pong(number))
            case wire.Unknown(type=tag):
                log.debug("%s sent a frame of unknown type %r", self._connection.id, tag[:100])
            case wire.Check():
                self._check(frame)
            case wire.SignOn():
                self._sign_on(frame)
            case wire.SignOff():
                if self._session is not None:
                    self._backend.sign_off(self._session, orderly=True)
                self._finish(wire.SignedOff(text="good bye"))
            case _ if self._session is None:
                raise _Misuse("sign on first")
            case wire.Ack(ids=ids):
                if self._service.faults.take(Kind.LOSE_ACKS, self._connection) is None:
                    self._backend.acknowledge(self._session.person.address, ids)
            case wire.SendMessage():
                self._send_message(self._session, frame)
            case _:
                self._command(self._session, frame)

    def _check(self, frame: wire.Check) -> None:
        try:
            self._may_sign_on(frame.account, frame.password)
        except SignOnRefused as exc:
            self._say(wire.Refused(exc.reason, exc.text, exc.retry_after))
        else:
            self._say(wire.Checked())

    def _sign_on(self, frame: wire.SignOn) -> None:
        if self._session is not None:
            raise _Misuse("signed on already")
        try:
            display, name = self._may_sign_on(frame.account, frame.password)
            if self._over:
                return
            capabilities = self._backend.policy.all_capabilities
            self._say(wire.SignedOn(account=display, name=name, capabilities=capabilities))
            self._session = self._backend.sign_on(
                frame.account, frame.password, self, frame.client[:100]
            )
        except SignOnRefused as exc:
            self._finish(wire.Refused(exc.reason, exc.text, exc.retry_after))

    def _may_sign_on(self, account: str, password: str) -> tuple[str, str]:
        """Return how the account is written and called. Raises `SignOnRefused`."""
        connection, faults = self._connection, self._service.faults
        try:
            connection.account = canonical(account)
        except NameRefused as exc:
            raise SignOnRefused(events.Refusal.UNKNOWN_ACCOUNT, str(exc)) from exc
        if faults.take(Kind.DROP, connection, Moment.SIGN_ON) is not None:
            self._over = True
            connection.cut()
            return "", ""
        if (refusal := faults.take(Kind.REFUSE, connection)) is not None:
            raise SignOnRefused(refusal.reason, refusal.text, refusal.retry_after)
        person = self._backend.check(account, password)
        return person.display, person.name

    def _send_message(self, session: Session, frame: wire.SendMessage) -> None:
        limit = self._service.faults.find(Kind.RATE_LIMIT, self._connection)
        try:
            if limit is not None and not self._bucket.take(limit.per_second, limit.burst):
                raise RequestRefused(
                    Reason.RATE_LIMITED, limit.text or "too many messages; wait a little"
                )
            if frame.replaces is not None:
                self._check_able("edits")
            self._backend.send_message(
                session.person.address,
                frame.to,
                frame.text,
                replaces=frame.replaces,
                session=session,
                ref=frame.ref,
            )
        except RequestRefused as exc:
            self._outcome(
                wire.Outcome(ref=frame.ref, stage="failed", reason=exc.reason, text=exc.text)
            )

    def _outcome(self, outcome: wire.Outcome) -> None:
        if self._service.faults.take(Kind.LOSE_OUTCOMES, self._connection) is None:
            self._say(outcome)

    def _command(self, session: Session, frame: wire.ClientFrame) -> None:
        ref: str = getattr(frame, "ref", "")
        try:
            self._check_able(_NEEDS.get(type(frame), ""))
            done = self._carry_out(session, frame, ref)
            try:
                self._say(done)
            except wire.FrameTooLarge as exc:
                raise RequestRefused(Reason.TOO_LONG, "the answer is too long") from exc
        except RequestRefused as exc:
            self._say(wire.Failed(ref, exc.reason, exc.text))

    def _check_able(self, capability: str) -> None:
        if capability and capability not in self._backend.policy.capabilities:
            raise RequestRefused(Reason.UNSUPPORTED, f"this service has no {capability}")

    def _carry_out(  # noqa: C901 - one row a command
        self, session: Session, frame: wire.ClientFrame, ref: str
    ) -> wire.Done:
        backend, own = self._backend, session.person.address
        match frame:
            case wire.SetPresence():
                if frame.only_for:
                    self._check_able("per_contact_presence")
                look = Look(_show(frame.show), frame.text, frame.idle_since)
                backend.set_presence(session, look, frame.only_for)
            case wire.SetTyping(to=to, state=state):
                backend.typing(own, to, _typing(state))
            case wire.AddContact():
                granted = backend.add_contact(
                    own, frame.address, frame.name, frame.groups, frame.reason
                )
                return wire.Done(ref, "granted" if granted else "asked")
            case wire.ChangeContact():
                backend.change_contact(own, frame.address, frame.name, frame.groups)
            case wire.RemoveContact(address=address):
                backend.remove_contact(own, address)
            case wire.Grant(address=address):
                backend.grant(own, address)
            case wire.Deny(address=address, reason=reason):
                backend.deny(own, address, reason)
            case wire.Revoke(address=address):
                backend.revoke(own, address)
            case wire.Block(address=address):
                backend.set_blocked(own, address, blocked=True)
            case wire.Unblock(address=address):
                backend.set_blocked(own, address, blocked=False)
            case wire.Nudge(to=to):
                backend.nudge(own, to)
            case wire.MarkRead(to=to, upto=upto):
                backend.mark_read(own, to, upto)
            case wire.FetchProfile(address=address):
                return wire.Done(ref, profiles=(wire.Profile(*backend.profile(own, address)),))
            case wire.FetchAvatar(address=address):
                found_avatar = backend.avatar(own, address)
                if found_avatar is not None:
                    picture = base64.b64encode(found_avatar.data).decode()
                    return wire.Done(ref, avatar=picture, avatar_type=found_avatar.media_type)
            case wire.Search(fields=fields):
                found = backend.search(own, fields)
                return wire.Done(ref, profiles=tuple(wire.Profile(*each) for each in found))
        return wire.Done(ref)

    # --- what the backend says ----------------------------------------------------------------

    def put(self, event: events.Event) -> None:
        match event:
            case events.SessionEnded():
                self._finish(wire.SignedOff(event.reason, event.text, event.retry_after))
            case events.MessageAccepted(ref=ref, id=number):
                self._outcome(wire.Outcome(ref=ref, stage="accepted", id=number))
            case events.MessageDelivered(ref=ref, id=number):
                self._outcome(wire.Outcome(ref=ref, stage="delivered", id=number))
            case events.ListSent(contacts=contacts):
                self._say(*_list_frames(contacts))
            case events.AvatarChanged():
                pass  # these clients ask for pictures when they want them
            case _:
                self._say(_frame(event))


class _Misuse(Exception):
    """The client broke the rules of the conversation."""


_NEEDS = {
    wire.SetTyping: "typing",
    wire.Deny: "deny",
    wire.Block: "block",
    wire.Unblock: "block",
    wire.Nudge: "nudge",
    wire.MarkRead: "read",
    wire.FetchProfile: "profile",
    wire.FetchAvatar: "avatar",
    wire.Search: "search",
}


def _show(word: str) -> Show:
    try:
        return Show(word)
    except ValueError as exc:
        raise _Misuse(f"{word[:100]!r} is no presence") from exc


def _typing(word: str) -> TypingState:
    try:
        return TypingState(word)
    except ValueError as exc:
        raise _Misuse(f"{word[:100]!r} is no state of typing") from exc


def _list_frames(contacts: Sequence[events.Contact]) -> Iterator[wire.ContactList]:
    """Cut a contact list into frames that are small enough."""
    for at in range(0, max(len(contacts), 1), CONTACTS_PER_FRAME):
        part = tuple(_contact(each) for each in contacts[at : at + CONTACTS_PER_FRAME])
        yield from _small_enough(part, complete=at + CONTACTS_PER_FRAME >= len(contacts))


def _small_enough(
    contacts: tuple[wire.Contact, ...], *, complete: bool
) -> Iterator[wire.ContactList]:
    frame = wire.ContactList(contacts, complete)
    try:
        wire.encode(frame)
    except wire.FrameTooLarge:
        middle = len(contacts) // 2
        yield from _small_enough(contacts[:middle], complete=False)
        yield from _small_enough(contacts[middle:], complete=complete)
    else:
        yield frame


def _contact(contact: events.Contact) -> wire.Contact:
    return wire.Contact(**attrs.asdict(contact))


def _frame(event: events.Event) -> wire.ServerFrame:
    match event:
        case events.ContactChanged(contact=contact):
            return wire.ContactChanged(_contact(contact))
        case events.ContactRemoved(address=address):
            return wire.ContactRemoved(address)
        case events.PresenceShown(address=address, look=look):
            return wire.Presence(address, look.show, look.text, look.idle_since)
        case events.TypingShown(conversation=conversation, sender=sender, state=state):
            return wire.Typing(conversation, sender, state)
        case events.MessageArrived():
            return wire.Message(**attrs.asdict(event))
        case events.RequestArrived():
            return wire.ContactRequest(**attrs.asdict(event))
        case events.AnswerArrived():
            return wire.RequestAnswered(**attrs.asdict(event))
        case events.RemovalArrived():
            return wire.RemovedByContact(**attrs.asdict(event))
        case events.NudgeArrived():
            return wire.Nudged(**attrs.asdict(event))
        case events.ReadArrived():
            return wire.ReadUpTo(**attrs.asdict(event))
        case events.NoticeShown(text=text):
            return wire.Notice(text)
        case _:
            raise AssertionError(f"{type(event).__name__} is said elsewhere")
