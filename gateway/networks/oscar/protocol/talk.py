"""Messages: what their bytes say, and what becomes of those that are sent."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256

import attrs

from gateway.networks import base
from gateway.networks.base import Reason, Stage
from gateway.networks.oscar.protocol.names import is_uin, plain
from gateway.networks.oscar.wire import Error, encode_block, messages
from gateway.networks.oscar.wire.html import from_html, looks_like_html
from gateway.networks.oscar.wire.messages import FIELD_END, TypedKind
from gateway.networks.oscar.wire.people import SERVER_RELAY
from gateway.networks.oscar.wire.text import decode_loose, decode_parts_text

LEAST_BYTES = 1_000  # of a text, whatever the service says it takes
MOST_BYTES = 8_000
MAX_COOKIES = 1_000
SAME_SECONDS = 600  # for so long a cookie names its message
MAX_PIECES = 12  # at a message in five seconds that is a minute

_REASONS: Mapping[int, tuple[Reason, str]] = {
    0x02: (Reason.RATE_LIMITED, "The service says that this was too fast."),
    0x03: (Reason.RATE_LIMITED, "The service says that this was too fast."),
    0x04: (Reason.OFFLINE_NOT_STORED, "The contact is not there, and nothing is kept for him."),
    0x05: (Reason.UNREACHABLE, "The service cannot do this at present."),
    0x08: (Reason.UNSUPPORTED, "The service cannot do this."),
    0x09: (Reason.UNSUPPORTED, "The contact's client cannot take this."),
    0x0A: (Reason.REFUSED, "The contact's client refused this."),
    0x0B: (Reason.TOO_LONG, "This is too long for the service."),
    0x0D: (Reason.REFUSED, "The service does not allow this."),
    0x0E: (Reason.REFUSED, "The service does not understand this."),
    0x0F: (Reason.NOT_AUTHORISED, "The service does not allow this."),
    0x10: (Reason.BLOCKED, "You have blocked this contact."),
    0x11: (Reason.REFUSED, "You have been warned too often."),
    0x12: (Reason.REFUSED, "The contact has been warned too often."),
    0x13: (Reason.UNREACHABLE, "The contact is not there at present."),
    0x14: (Reason.UNKNOWN_ADDRESS, "There is nobody of this name."),
    0x15: (Reason.LIST_FULL, "The list is full."),
    0x17: (Reason.UNREACHABLE, "The service is too busy."),
    0x18: (Reason.UNREACHABLE, "The service cannot do this at present."),
    0x1A: (Reason.UNREACHABLE, "The service took too long."),
    0x1C: (Reason.UNREACHABLE, "The service has failed."),
}
MAILBOX_FULL = 0x0F
NO_OFFLINE = 0x0E


def reason_of(error: Error) -> tuple[Reason, str]:
    """Return what an error SNAC means."""
    if error.code == 0x04 and error.subcode == MAILBOX_FULL:
        return Reason.LIST_FULL, "No more messages are kept for this contact."
    if error.code == 0x04 and error.subcode == NO_OFFLINE:
        return Reason.OFFLINE_NOT_STORED, "The contact takes messages only while he is there."
    unknown = (Reason.UNKNOWN, "The service refused this.")
    reason, text = _REASONS.get(error.code, unknown)
    said = plain(error.text) if error.text else f"{text} (code {error.code:#04x})"
    return reason, said


# --- what is read -----------------------------------------------------------------------------


@attrs.frozen
class Text:
    """A message somebody wrote."""

    text: str = attrs.field(repr=False)


@attrs.frozen
class Told:
    """Something the service says, or somebody who is no contact."""

    text: str


@attrs.frozen
class Asked:
    """Somebody asks to add the user."""

    nick: str = ""
    reason: str = ""


@attrs.frozen
class Answered:
    granted: bool
    reason: str = ""


@attrs.frozen
class Added:
    """Somebody has the user on his list now."""


@attrs.frozen
class Nothing:
    """Nothing for a person."""

    why: str


@attrs.frozen
class Unreadable:
    """Something for a person that cannot be read."""


Meaning = Text | Told | Asked | Answered | Added | Nothing | Unreadable


@attrs.frozen
class Dialect:
    """How this account's texts are to be read and written."""

    own_is_uin: bool
    code_page: str
    strips_html: bool  # the service removes what looks like HTML from what numbers send
    has_utf8_directory: bool = False

    def is_html(self, other: str) -> bool:
        return not (self.own_is_uin and is_uin(other))

    def readable(self, raw: str, other: str) -> str:
        if self.is_html(other) or looks_like_html(raw):
            raw = from_html(raw)
        return plain(raw)

    def loose(self, data: bytes) -> str:
        return plain(decode_loose(data, self.code_page))

    def searched(self, text: str) -> bytes:
        """Return a text as the directory has it."""
        charset = "utf-8" if self.has_utf8_directory else self.code_page
        return plain(text).encode(charset, "replace")


def read(message: messages.Receive, dialect: Dialect) -> Meaning:
    """Return what a message means, as far as it can be read. Raises `RemoteProtocolError`."""
    if message.channel == messages.PLAIN and message.text is not None:
        parts, is_whole = messages.read_parts(message.text)
        raw = decode_parts_text(parts, dialect.code_page)
        if text := dialect.readable(raw, message.sender.name):
            return Text(text)
        return Nothing("a message without text") if is_whole else Unreadable()
    if message.channel == messages.TYPED and message.data is not None:
        typed = messages.decode_typed(message.data)
        return read_typed(typed.kind, typed.text, dialect)
    if message.channel == messages.RENDEZVOUS and message.data is not None:
        return _read_rendezvous(messages.decode_rendezvous(message.data), dialect)
    return Nothing(f"a message on channel {message.channel} without content")


def read_typed(kind: int, data: bytes, dialect: Dialect) -> Meaning:
    """Return what a message on channel 4 means, or one that was kept."""
    text = dialect.loose(data)
    fields = [dialect.loose(each) for each in data.split(FIELD_END)]
    match kind:
        case TypedKind.PLAIN:
            return Text(text.replace("\r\n", "\n")) if text else Nothing("a message without text")
        case TypedKind.URL:
            return Text(" ".join(each for each in fields if each))
        case TypedKind.AUTHORISATION_REQUEST:
            nick = fields[0] if len(fields) > 1 else ""
            return Asked(nick, fields[-1])
        case TypedKind.AUTHORISATION_DENIED:
            return Answered(granted=False, reason=text)
        case TypedKind.AUTHORISATION_GRANTED:
            return Answered(granted=True)
        case TypedKind.ADDED:
            return Added()
        case TypedKind.SERVER | TypedKind.PAGER | TypedKind.EMAIL:
            return Told("\n".join(each for each in fields if each))
        case TypedKind.CONTACTS:
            pairs = zip(fields[1::2], fields[2::2], strict=False)
            return Text("\n".join(f"{nick} ({uin})" for uin, nick in pairs))
    return Nothing(f"a message of kind {kind:#04x}")


def _read_rendezvous(rendezvous: messages.Rendezvous, dialect: Dialect) -> Meaning:
    kind = rendezvous.kind
    if kind != messages.RendezvousKind.REQUEST or rendezvous.capability != SERVER_RELAY:
        return Nothing(f"a rendezvous of kind {kind}")
    if rendezvous.relayed is None:
        return Nothing("a relayed message without content")
    relayed = messages.decode_relayed(rendezvous.relayed)
    if relayed.kind != TypedKind.PLAIN or relayed.format.upper() == messages.RTF_GUID:
        return Nothing(f"a relayed message of kind {relayed.kind:#04x}")
    text = dialect.loose(relayed.text).replace("\r\n", "\n")
    return Text(text) if text else Nothing("a relayed message without text")


def wants_cancel(message: messages.Receive) -> bytes | None:
    """Return the answer to a request for what we cannot do: a chat, a file."""
    if message.channel != messages.RENDEZVOUS or message.data is None:
        return None
    asked = messages.decode_rendezvous(message.data)
    if asked.kind != messages.RendezvousKind.REQUEST or asked.capability == SERVER_RELAY:
        return None
    cancel = messages.RendezvousKind.CANCEL
    return encode_block(messages.Rendezvous(cancel, asked.cookie, asked.capability, reason=1))


def utc(seconds: int | None) -> datetime | None:
    """Return a time of the wire; one that cannot be is none."""
    if not seconds or seconds > 0xFFFFFFFF:
        return None
    return datetime.fromtimestamp(seconds, UTC)


class Cookies:
    """Names messages by their cookies, the same name when one comes again.

    Cookies are made by the sender's client, and not all take care that they differ: a name holds
    for some minutes only, and none is given by cookies that were seen on different messages, or
    twice on live ones, which no service repeats to one session: somebody may say the same twice.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, bytes], str] = OrderedDict()
        self._live: dict[tuple[str, bytes], None] = {}
        self._careless: dict[str, None] = {}

    def name(self, sender: str, message: messages.Receive, at: datetime) -> str | None:
        """Return a name for a message of this time, or None if its cookie is worth nothing."""
        cookie = message.cookie
        said = fingerprint(sender, cookie, message.text, message.data)
        is_live = message.sent_at is None
        if self._seen.setdefault((sender, cookie), said) != said or (
            is_live and (sender, cookie) in self._live
        ):
            self._careless[sender] = None
        if is_live:
            self._live[sender, cookie] = None
        if len(self._live) > MAX_COOKIES:
            del self._live[next(iter(self._live))]
        if len(self._seen) > MAX_COOKIES:
            self._seen.popitem(last=False)
        if len(self._careless) > MAX_COOKIES:
            del self._careless[next(iter(self._careless))]
        if sender in self._careless or len(set(cookie)) < 2:
            return None
        return fingerprint(said, int(at.timestamp()) // SAME_SECONDS)


def fingerprint(*parts: object) -> str:
    """Return an id for what comes without one, the same when it comes again."""
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


# --- what is sent -----------------------------------------------------------------------------


@attrs.define(eq=False)
class Sending:
    """A message under way, in one or several pieces."""

    ref: str
    to: str
    first: bytes  # the cookie of its first piece
    text: str = attrs.field(repr=False)
    waiting: set[bytes] = attrs.field(factory=set)
    accepted: int = 0
    retried: bool = False


class Sendings:
    """Messages that wait for their outcome; each has one."""

    def __init__(self) -> None:
        self._by_cookie: OrderedDict[bytes, Sending] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_cookie)

    def add(self, sending: Sending, cookies: list[bytes]) -> None:
        sending.waiting.update(cookies)
        for cookie in cookies:
            self._by_cookie[cookie] = sending

    def find(self, cookie: bytes) -> Sending | None:
        return self._by_cookie.get(cookie)

    def accepted(self, cookie: bytes) -> Iterator[base.MessageOutcome]:
        sending = self._by_cookie.pop(cookie, None)
        if sending is None:
            return
        sending.waiting.discard(cookie)
        sending.accepted += 1
        if not sending.waiting:
            yield base.MessageOutcome(sending.ref, Stage.ACCEPTED, sending.first.hex())

    def failed(self, cookie: bytes, reason: Reason, text: str) -> Iterator[base.MessageOutcome]:
        sending = self.forget(cookie)
        if sending is not None:
            if sending.accepted:
                text = f"{text} The beginning of the message has arrived."
            yield base.MessageOutcome(sending.ref, Stage.FAILED, reason=reason, text=text)

    def unknown(self, cookie: bytes) -> Iterator[base.MessageOutcome]:
        sending = self.forget(cookie)
        if sending is not None:
            yield base.MessageOutcome(sending.ref, Stage.UNKNOWN)

    def forget(self, cookie: bytes) -> Sending | None:
        """Wait no longer for a message, whole as it is."""
        sending = self._by_cookie.get(cookie)
        if sending is not None:
            for each in sending.waiting:
                del self._by_cookie[each]
            sending.waiting.clear()
        return sending

    def forget_ref(self, ref: str) -> None:
        for cookie in [one for one, sending in self._by_cookie.items() if sending.ref == ref]:
            self._by_cookie.pop(cookie, None)
