"""Messages: food group 04, and the values that the backend keeps until they are acknowledged."""

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import feedbag, html, messages, people
from gateway.networks.oscar.wire.people import UserInfo
from legacy_emu import events
from legacy_emu.events import Reason, RequestRefused, TypingState
from legacy_emu.faults import Bucket, Kind
from legacy_emu.fronts.oscar import looks, stripping, talk
from legacy_emu.fronts.oscar.codes import Code
from legacy_emu.fronts.oscar.looks import clean, is_uin, name_of
from legacy_emu.fronts.oscar.shared import Raw
from legacy_emu.people import Person, Session

if TYPE_CHECKING:
    from legacy_emu.fronts.oscar.bos import Bos

SYSTEM_NAME = "OOS System Msg"  # whose messages are the service's own
PARAMETERS = messages.Parameters(
    slots=5,
    flags=0x0000010B,
    max_length=8000,
    max_sender_warning=999,
    max_receiver_warning=999,
    min_interval=0,
)

_CODES = {
    Reason.UNKNOWN_ADDRESS: Code.NO_MATCH,
    Reason.OFFLINE_NOT_STORED: Code.NOT_LOGGED_ON,
    Reason.TOO_LONG: Code.TOO_BIG,
    Reason.RATE_LIMITED: Code.RATE,
    Reason.BLOCKED: Code.NOT_LOGGED_ON,  # nobody is told that he is blocked
    Reason.UNSUPPORTED: Code.UNSUPPORTED,
}


class Icbm:
    def __init__(self, bos: "Bos") -> None:
        self._bos = bos
        self._bucket = Bucket()
        self._unwritten: dict[str, int] = {}  # value -> pieces
        self.waiting: list[events.MessageArrived] = []  # until the client asks for them
        self._wants_all = False  # it has asked

    def written(self, value: str) -> None:
        """Take what is with the client for acknowledged: OSCAR's clients say nothing of it."""
        left = self._unwritten.get(value, 1) - 1
        if left:
            self._unwritten[value] = left
            return
        self._unwritten.pop(value, None)
        self._bos.link.shared.raws.forget(value)
        self._bos.acknowledge(value)

    # --- 04: messages -------------------------------------------------------------------------

    def take(self, snac: wire.Snac) -> None:
        match snac.body:
            case messages.ParametersQuery():
                self._bos.say(PARAMETERS, snac.request)
            case messages.SetParameters() | messages.ClientError():
                pass
            case messages.Send() as message:
                self._take_message(snac, message)
            case messages.Typing(name=name, event=event):
                self._take_typing(name, event)
            case messages.OfflineQuery():
                self._say_what_waited()
                self._bos.stored.say_all()
                self._bos.say(messages.OfflineDone(), snac.request)
            case _:
                self._bos.unknown(snac)

    def _take_message(self, snac: wire.Snac, message: messages.Send) -> None:
        if self._bos.session is None:
            self._bos.refuse(snac, Code.DENIED)
            return
        limit = self._bos.service.faults.find(Kind.RATE_LIMIT, self._bos.link.connection)
        try:
            if limit is not None and not self._bucket.take(limit.per_second, limit.burst):
                raise RequestRefused(Reason.RATE_LIMITED, limit.text)
            self._carry_message(message, self._bos.session)
        except RequestRefused as exc:
            if self._bos.link.strikes(Kind.LOSE_OUTCOMES):
                return
            if exc.reason is Reason.REFUSED:
                self._bos.refuse(snac, Code.NOT_LOGGED_ON, Code.INBOX_FULL)
            else:
                self._bos.refuse(snac, self._code_of(exc.reason))
        except talk.Unreadable:
            self._bos.refuse(snac, Code.CLIENT_CANNOT)
        except _BlockedByYou:
            self._bos.refuse(snac, Code.BLOCKED_BY_YOU)
        else:
            if message.ask_ack and not self._bos.link.strikes(Kind.LOSE_OUTCOMES):
                ack = messages.HostAck(message.cookie, message.channel, message.to)
                self._bos.say(ack, snac.request)

    def _code_of(self, reason: Reason) -> int:
        if reason is Reason.UNKNOWN_ADDRESS and self._bos.link.traits.hides_unknown:
            return Code.NOT_LOGGED_ON
        return _CODES.get(reason, Code.DENIED)

    def _carry_message(self, message: messages.Send, session: Session) -> None:
        other = self._bos.backend.person(message.to)
        traits, raws = self._bos.link.traits, self._bos.link.shared.raws
        if self._bos.stored.takes_unreadable(other, message):
            self._say_stored()
            return
        raw: Raw | None = None
        if message.channel == messages.TYPED:
            typed = messages.decode_typed(message.data or b"")
            if self._bos.edits.take_typed(other.address, typed):
                return
            said = talk.typed_text(typed)
        elif message.channel == messages.PLAIN and traits.passes_on:
            said = talk.readable_somehow(message, self._bos.own, other.address)
            raw = Raw(message.cookie, message.text)
        else:
            said = talk.readable(message, self._bos.own, other.address)
        self._check_likeness(other)
        if not message.store and not other.sessions:
            raise RequestRefused(Reason.OFFLINE_NOT_STORED, f"{other.display} is offline")
        is_stored = not other.sessions
        with raws.passing(raw):
            value = self._bos.backend.send_message(
                self._bos.own, other.address, said, session=session
            )
        if is_stored:
            raws.keep(value, raw)
        if is_stored:
            self._say_stored()

    def _say_stored(self) -> None:
        """Refuse a message that is stored, where the server does so."""
        if self._bos.is_icq and not self._bos.link.traits.acknowledges_stored:
            raise RequestRefused(Reason.OFFLINE_NOT_STORED, "it is kept, whatever this says")

    def _check_likeness(self, other: Person) -> None:
        """Refuse what a server refuses that the front is like."""
        traits = self._bos.link.traits
        relation = self._bos.person.relations.get(other.address)
        if traits.hides_unknown and relation is not None and relation.blocked:
            raise _BlockedByYou
        if not traits.stored_of_one or other.sessions:
            return
        waiting = (kept.value for kept in other.kept.values())
        mine = [each for each in waiting if _is_message_of(each, self._bos.own)]
        if len(mine) >= traits.stored_of_one:
            raise RequestRefused(Reason.REFUSED, f"too much waits for {other.display} already")

    def _take_typing(self, name: str, event: int) -> None:
        if self._bos.session is None or not self._bos.is_able("typing"):
            return
        with suppress(RequestRefused):  # it is not answered
            self._bos.backend.typing(self._bos.own, name, _TYPING.get(event, TypingState.IDLE))

    def say_typing(self, sender: Person, state: TypingState) -> None:
        event = _TYPING_EVENTS[state]
        self._bos.say(messages.Typing(messages.NO_COOKIE, messages.PLAIN, name_of(sender), event))

    def _say_what_waited(self) -> None:
        self._wants_all = True
        waited, self.waiting = self.waiting, []
        for message in waited:
            self.say_message(message)

    def say_message(self, message: events.MessageArrived) -> None:
        """Say a message on channel 1, in pieces when it is long."""
        sender = self._bos.find(message.sender)
        if sender is None:  # deleted in the meantime, or nobody OSCAR could name
            self._bos.acknowledge(message.id)
            return
        raw = self._bos.link.shared.raws.find(message.id)
        if raw is not None:
            self._pass_on(message, sender, raw)
            return
        # What a client would take for HTML goes as HTML.
        as_html = self._takes_html(sender.address) or html.looks_like_html(message.text)
        parts = list(talk.parts(clean(message.text), as_html=as_html))
        self._unwritten[message.id] = len(parts)
        for number, part in enumerate(parts):
            received = messages.Receive(
                cookie=_cookie(message.id, number),
                channel=messages.PLAIN,
                sender=self._bos.info_of(sender, self._bos.look_at(sender)),
                text=part,
                wants_typing=True,
                store=message.sent_at is not None,
                sent_at=None if message.sent_at is None else int(message.sent_at.timestamp()),
            )
            self._bos.say(received, value=message.id)

    def _pass_on(self, message: events.MessageArrived, sender: Person, raw: Raw) -> None:
        """Say what another client wrote, as it wrote it, or what is left of that."""
        said, is_live = raw.text, message.sent_at is None
        keeps_html = people.TAKES_HTML in self._bos.account.capabilities
        if said is not None and is_live and is_uin(sender.address) and not keeps_html:
            said = stripping.strip_message(said)
        info = self._bos.info_of(sender, self._bos.look_at(sender))
        received = messages.Receive(
            cookie=raw.cookie,
            channel=messages.PLAIN,
            sender=info if is_live else UserInfo(sender.address),
            text=said,
            wants_typing=is_live,
            store=not is_live,
            sent_at=None if message.sent_at is None else int(message.sent_at.timestamp()),
        )
        self._bos.say(received, value=message.id)

    def _takes_html(self, sender: str) -> bool:
        plain = talk.is_plain(sender, self._bos.own)
        return not plain or people.takes_html(self._bos.account.capabilities)

    def say_typed(self, sender: Person, kind: int, fields: tuple[str, ...], value: str) -> None:
        """Say something on channel 4, as old ICQ clients have it."""
        number = int(sender.address) if is_uin(sender.address) else 0
        joined = messages.FIELD_END.join(looks.to_utf8(each)[:1000] for each in fields)
        block = wire.encode_block(messages.TypedMessage(number, kind, 0, joined))
        received = messages.Receive(
            cookie=_cookie(value, 0),
            channel=messages.TYPED,
            sender=self._bos.info_of(sender, self._bos.look_at(sender)),
            data=block,
        )
        self._bos.say(received, value=value)

    def put_value(self, value: events.Value) -> None:
        match value:
            case events.MessageArrived(outgoing=False):
                if self._bos.session is None and not self._wants_all:
                    self.waiting.append(value)
                else:
                    self.say_message(value)
            case events.MessageArrived():
                pass  # own messages from elsewhere are not shown
            case events.RequestArrived() | events.AnswerArrived():
                if isinstance(value, events.RequestArrived):
                    self._bos.account.askers.add(value.address)
                if not self._bos.stored.takes(value):
                    self._say_asking(value)
            case _:
                self._bos.acknowledge(value.id)  # nudges, removals, read marks: OSCAR has none

    def _say_asking(self, value: events.RequestArrived | events.AnswerArrived) -> None:
        other = self._bos.find(value.address)
        if other is None:
            self._bos.acknowledge(value.id)
            return
        kind = messages.TypedKind
        match value:
            case events.RequestArrived(reason=reason) if not self._bos.uses_list:
                fields = (name_of(other), "", "", "", "1", reason)
                self.say_typed(other, kind.AUTHORISATION_REQUEST, fields, value.id)
            case events.RequestArrived(reason=reason):
                asked = feedbag.AuthorisationRequested(name_of(other), looks.to_utf8(reason))
                self._bos.say(asked, extended=True, value=value.id)
            case events.AnswerArrived(granted=granted, reason=reason) if not self._bos.uses_list:
                answer = kind.AUTHORISATION_GRANTED if granted else kind.AUTHORISATION_DENIED
                self.say_typed(other, answer, (reason,), value.id)
            case events.AnswerArrived(granted=granted, reason=reason):
                answered = feedbag.Authorised(name_of(other), int(granted), looks.to_utf8(reason))
                self._bos.say(answered, extended=True, value=value.id)

    def say_notice(self, said: str) -> None:
        for number, part in enumerate(talk.parts(clean(said), as_html=True)):
            self._bos.say(
                messages.Receive(
                    cookie=_cookie("notice", number),
                    channel=messages.PLAIN,
                    sender=UserInfo(SYSTEM_NAME, flags=people.UserFlag.AIM),
                    text=part,
                )
            )


class _BlockedByYou(Exception):
    """The user has blocked the one they write to."""


def _is_message_of(value: object, sender: str) -> bool:
    return isinstance(value, events.MessageArrived) and value.sender == sender


_TYPING: dict[int, TypingState] = {
    messages.TypingEvent.BEGUN: TypingState.COMPOSING,
    messages.TypingEvent.PAUSED: TypingState.PAUSED,
}
_TYPING_EVENTS = {
    TypingState.COMPOSING: messages.TypingEvent.BEGUN,
    TypingState.PAUSED: messages.TypingEvent.PAUSED,
    TypingState.IDLE: messages.TypingEvent.FINISHED,
}


def _cookie(value: str, number: int) -> bytes:
    """Return what names a message: the same each time it is said."""
    return hashlib.sha256(f"{value}/{number}".encode()).digest()[:8]
