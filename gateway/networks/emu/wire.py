"""The emulated service's wire: JSON objects in WebSocket text frames, both directions.

One object is one frame, and its string `type` says which. Both ends use this file: the driver
decodes what servers send, the emulator's front what clients send. Bytes come in, frozen frames go
out; there is no I/O here and no meaning either. Hostile input raises `RemoteProtocolError` and
nothing else. `docs/emulator.md` has the table of all frames.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from gateway.errors import LocalProtocolError
from gateway.errors import RemoteProtocolError as RemoteProtocolError  # for the front, too

MAX_FRAME_BYTES = 256 * 1024

_SURROGATE = re.compile("[\ud800-\udfff]")

F = TypeVar("F")


@attrs.frozen
class Unknown:
    """A frame of a type this version does not know: to be left alone, not an error."""

    type: str


# --- the client's frames ----------------------------------------------------------------------


@attrs.frozen
class Check:
    """Are these credentials right? Signs nobody on."""

    account: str
    password: str = attrs.field(repr=False)


@attrs.frozen
class SignOn:
    account: str
    password: str = attrs.field(repr=False)
    client: str = ""


@attrs.frozen
class SignOff:
    pass


@attrs.frozen
class Ack:
    """These values are safe with the client: the server need not repeat them."""

    ids: tuple[str, ...]


@attrs.frozen
class SendMessage:
    ref: str
    to: str
    text: str = attrs.field(repr=False)
    replaces: str | None = None


@attrs.frozen
class SetPresence:
    ref: str
    show: str
    text: str = ""
    idle_since: datetime | None = None
    only_for: tuple[str, ...] = ()


@attrs.frozen
class SetTyping:
    ref: str
    to: str
    state: str


@attrs.frozen
class AddContact:
    ref: str
    address: str
    name: str = ""
    groups: tuple[str, ...] = ()
    reason: str = ""


@attrs.frozen
class ChangeContact:
    ref: str
    address: str
    name: str
    groups: tuple[str, ...] = ()


@attrs.frozen
class RemoveContact:
    ref: str
    address: str


@attrs.frozen
class Grant:
    ref: str
    address: str


@attrs.frozen
class Deny:
    ref: str
    address: str
    reason: str = ""


@attrs.frozen
class Revoke:
    ref: str
    address: str


@attrs.frozen
class Block:
    ref: str
    address: str


@attrs.frozen
class Unblock:
    ref: str
    address: str


@attrs.frozen
class Nudge:
    ref: str
    to: str


@attrs.frozen
class MarkRead:
    ref: str
    to: str
    upto: str


@attrs.frozen
class FetchProfile:
    ref: str
    address: str


@attrs.frozen
class FetchAvatar:
    ref: str
    address: str


@attrs.frozen
class Search:
    ref: str
    fields: Mapping[str, str]


@attrs.frozen
class Ping:
    """Answered by a `Pong` with the same id, in order with everything else."""

    id: str


ClientFrame = (
    Check
    | SignOn
    | SignOff
    | Ack
    | SendMessage
    | SetPresence
    | SetTyping
    | AddContact
    | ChangeContact
    | RemoveContact
    | Grant
    | Deny
    | Revoke
    | Block
    | Unblock
    | Nudge
    | MarkRead
    | FetchProfile
    | FetchAvatar
    | Search
    | Ping
    | Unknown
)

# --- the server's frames ----------------------------------------------------------------------


@attrs.frozen
class Checked:
    """The credentials are right."""


@attrs.frozen
class Refused:
    """The answer to `Check` or `SignOn` is no. `retry_after` is in seconds."""

    reason: str
    text: str = ""
    retry_after: float | None = None


@attrs.frozen
class SignedOn:
    account: str  # as its owner likes to see it written
    name: str
    capabilities: tuple[str, ...] = ()


@attrs.frozen
class SignedOff:
    """The session is over; `reason` None: nobody is to blame. `retry_after` is in seconds."""

    reason: str | None = None
    text: str = ""
    retry_after: float | None = None


@attrs.frozen
class Contact:
    """One contact, and the four strands between him and the account."""

    address: str
    name: str = ""
    groups: tuple[str, ...] = ()
    sees: bool = False
    seen_by: bool = False
    asked: bool = False
    asking: bool = False
    blocked: bool = False


@attrs.frozen
class ContactList:
    """A part of the contact list; the part with `complete` is the last one."""

    contacts: tuple[Contact, ...]
    complete: bool = True


@attrs.frozen
class ContactChanged:
    contact: Contact


@attrs.frozen
class ContactRemoved:
    address: str


@attrs.frozen
class Presence:
    address: str
    show: str
    text: str = ""
    idle_since: datetime | None = None


@attrs.frozen
class Typing:
    conversation: str
    sender: str
    state: str


@attrs.frozen
class Message:
    """A message; `sent_at` None: it is live. Repeated with the same id until acknowledged."""

    id: str
    conversation: str
    sender: str
    text: str = attrs.field(repr=False)
    sent_at: datetime | None = None
    outgoing: bool = False
    replaces: str | None = None


@attrs.frozen
class ContactRequest:
    id: str
    address: str
    name: str = ""
    reason: str = ""
    sent_at: datetime | None = None


@attrs.frozen
class RequestAnswered:
    id: str
    address: str
    granted: bool
    reason: str = ""
    sent_at: datetime | None = None


@attrs.frozen
class RemovedByContact:
    id: str
    address: str
    mutual: bool = False
    sent_at: datetime | None = None


@attrs.frozen
class Nudged:
    id: str
    conversation: str
    sender: str
    sent_at: datetime | None = None


@attrs.frozen
class ReadUpTo:
    id: str
    conversation: str
    upto: str
    sent_at: datetime | None = None


@attrs.frozen
class Outcome:
    """How far the message `ref` came: accepted, delivered or failed. `id` is its id here."""

    ref: str
    stage: str
    id: str | None = None
    reason: str | None = None
    text: str = ""


@attrs.frozen
class Profile:
    address: str
    fields: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Done:
    """Command `ref` was carried out: with a word for an answer, with profiles, with a picture.

    The picture is in base64; empty: there is none.
    """

    ref: str
    result: str = ""
    profiles: tuple[Profile, ...] = ()
    avatar: str = attrs.field(default="", repr=False)
    avatar_type: str = ""


@attrs.frozen
class Failed:
    ref: str
    reason: str
    text: str = ""


@attrs.frozen
class Notice:
    """A text of the service itself to its user."""

    text: str


@attrs.frozen
class Pong:
    id: str


ServerFrame = (
    Checked
    | Refused
    | SignedOn
    | SignedOff
    | ContactList
    | ContactChanged
    | ContactRemoved
    | Presence
    | Typing
    | Message
    | ContactRequest
    | RequestAnswered
    | RemovedByContact
    | Nudged
    | ReadUpTo
    | Outcome
    | Done
    | Failed
    | Notice
    | Pong
    | Unknown
)

CLIENT_FRAMES: Mapping[str, type[ClientFrame]] = {
    "check": Check,
    "sign_on": SignOn,
    "sign_off": SignOff,
    "ack": Ack,
    "send_message": SendMessage,
    "set_presence": SetPresence,
    "set_typing": SetTyping,
    "add_contact": AddContact,
    "change_contact": ChangeContact,
    "remove_contact": RemoveContact,
    "grant": Grant,
    "deny": Deny,
    "revoke": Revoke,
    "block": Block,
    "unblock": Unblock,
    "nudge": Nudge,
    "mark_read": MarkRead,
    "fetch_profile": FetchProfile,
    "fetch_avatar": FetchAvatar,
    "search": Search,
    "ping": Ping,
}

SERVER_FRAMES: Mapping[str, type[ServerFrame]] = {
    "checked": Checked,
    "refused": Refused,
    "signed_on": SignedOn,
    "signed_off": SignedOff,
    "contact_list": ContactList,
    "contact_changed": ContactChanged,
    "contact_removed": ContactRemoved,
    "presence": Presence,
    "typing": Typing,
    "message": Message,
    "contact_request": ContactRequest,
    "request_answered": RequestAnswered,
    "removed_by_contact": RemovedByContact,
    "nudged": Nudged,
    "read_up_to": ReadUpTo,
    "outcome": Outcome,
    "done": Done,
    "failed": Failed,
    "notice": Notice,
    "pong": Pong,
}

_TAGS: Mapping[type, str] = {
    cls: tag for table in (CLIENT_FRAMES, SERVER_FRAMES) for tag, cls in table.items()
}


# --- the codec --------------------------------------------------------------------------------


class FrameTooLarge(LocalProtocolError):
    """A frame that no peer would take; raised before anything is sent."""


def encode(frame: ClientFrame | ServerFrame) -> str:
    """Return the text of `frame`. Raises `FrameTooLarge`."""
    if isinstance(frame, Unknown):
        raise LocalProtocolError(f"a frame of unknown type {frame.type!r} cannot be sent")
    fields: dict[str, Any] = _CONVERTER.unstructure(frame)
    text = json.dumps({"type": _TAGS[type(frame)]} | fields, ensure_ascii=False)
    # Half a surrogate pair has no UTF-8 form, but JSON can spell it.
    text = _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    if (size := len(text.encode())) > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"this frame has {size} bytes, at most {MAX_FRAME_BYTES} are allowed")
    return text


def decode_client(data: str | bytes) -> ClientFrame:
    """Return what a client sent. Raises `RemoteProtocolError`."""
    tag, fields = _open(data)
    cls = CLIENT_FRAMES.get(tag)
    return Unknown(tag) if cls is None else _structure(tag, fields, cls)


def decode_server(data: str | bytes) -> ServerFrame:
    """Return what a server sent. Raises `RemoteProtocolError`.

    A text may hold half surrogate pairs, which JSON can spell.
    """
    tag, fields = _open(data)
    cls = SERVER_FRAMES.get(tag)
    return Unknown(tag) if cls is None else _structure(tag, fields, cls)


def _open(data: str | bytes) -> tuple[str, dict[str, Any]]:
    if isinstance(data, bytes):
        raise RemoteProtocolError(f"a binary frame of {len(data)} bytes, expected text")
    # Encoding is the dear half of measuring; nothing is longer in characters than in bytes.
    if len(data) > MAX_FRAME_BYTES or len(data.encode("utf-8", "replace")) > MAX_FRAME_BYTES:
        raise RemoteProtocolError(f"a frame of more than {MAX_FRAME_BYTES} bytes")
    try:
        found = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise RemoteProtocolError(f"a frame that is not JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise RemoteProtocolError(f"a frame holds {type(found).__name__}, expected an object")
    tag = found.get("type")
    if not isinstance(tag, str):
        raise RemoteProtocolError(f"a frame's type is {type(tag).__name__}, expected a string")
    return tag, found


def _structure(tag: str, fields: dict[str, Any], cls: type[F]) -> F:
    try:
        return _CONVERTER.structure(fields, cls)
    except KeyError as exc:
        raise RemoteProtocolError(f"a frame {tag} lacks {exc}") from exc
    except (ValueError, TypeError, OverflowError) as exc:
        raise RemoteProtocolError(f"a frame {tag} is wrong: {exc}") from exc


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _exactly(wanted: type) -> Any:
    def structure(value: object, _: object) -> object:
        # bool is an int to isinstance, and cattrs by itself would make "5190" a number.
        if type(value) is not wanted:
            raise TypeError(f"{_short(value)} where {wanted.__name__} is expected")
        return value

    return structure


def _number(value: object, _: object) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{_short(value)} where a number is expected")
    assert isinstance(value, int | float)
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{_short(value)} where a number of seconds is expected")
    return number


def _moment(value: object, _: object) -> datetime:
    if type(value) is not str:
        raise TypeError(f"{_short(value)} where a time is expected")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"the time {_short(value)} has no time zone")
    return moment.astimezone(UTC)


def _short(value: object) -> str:
    """Name a value in an error without repeating what may be secret or long."""
    return type(value).__name__


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    for wanted in (str, int, bool):
        converter.register_structure_hook(wanted, _exactly(wanted))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(datetime, _moment)
    converter.register_unstructure_hook(datetime, lambda moment: moment.isoformat())

    def objects(cls: type) -> Any:
        inner: Any = make_dict_structure_fn(cls, converter)

        def structure(value: object, _: object) -> Any:
            if not isinstance(value, dict):
                raise TypeError(f"{_short(value)} where an object is expected")
            return inner(value, cls)

        return structure

    def lists(of: Any) -> Any:
        item = of.__args__[0]

        def structure(value: object, _: object) -> Any:
            if not isinstance(value, list):
                raise TypeError(f"{_short(value)} where a list is expected")
            return tuple(converter.structure(each, item) for each in value)

        return structure

    def texts(value: object, _: object) -> Mapping[str, str]:
        if not isinstance(value, dict) or not all(type(each) is str for each in value.values()):
            raise TypeError(f"{_short(value)} where an object of strings is expected")
        return value

    converter.register_structure_hook_factory(attrs.has, objects)
    converter.register_structure_hook_factory(
        lambda of: getattr(of, "__origin__", None) is tuple, lists
    )
    converter.register_structure_hook_func(lambda of: of == Mapping[str, str], texts)
    return converter


_CONVERTER = _make_converter()
