"""Food group 04: messages, in three formats, their outcome, and typing."""

from enum import IntEnum
from typing import Annotated

import attrs

from gateway.networks.oscar.wire.fields import (
    BYTES,
    FLAG,
    NUMBER16,
    NUMBER32,
    U8,
    U16,
    U32,
    Block,
    Bytes16,
    Cookie,
    Guid,
    Le16,
    Le32,
    LeBytes16,
    Name8,
    Reader,
    Rest,
    Terminated,
    ToEnd,
    Tolerant,
    decode_block,
    encode_block,
    in_tlv,
)
from gateway.networks.oscar.wire.people import USER_INFO, UserInfo
from gateway.networks.oscar.wire.snac import Body, snac

PLAIN = 1  # the channels
RENDEZVOUS = 2
TYPED = 4

NO_COOKIE = bytes(8)


@snac(0x04, 0x02)
@attrs.frozen
class SetParameters(Body):
    """What this client takes; channel 0 is all of them."""

    channel: U16 = 0
    flags: U32 = 0x0000010B
    max_length: U16 = 8000
    max_sender_warning: U16 = 999
    max_receiver_warning: U16 = 999
    min_interval: U32 = 0


@snac(0x04, 0x04)
@attrs.frozen
class ParametersQuery(Body):
    pass


@snac(0x04, 0x05)
@attrs.frozen
class Parameters(Body):
    slots: U16
    flags: U32
    max_length: U16
    max_sender_warning: U16
    max_receiver_warning: U16
    min_interval: U32


@snac(0x04, 0x06)
@attrs.frozen(kw_only=True)
class Send(Body):
    """A message to somebody: `text` on channel 1 (`decode_parts`), `data` on the others."""

    cookie: Cookie
    channel: U16
    to: Name8
    text: Annotated[bytes | None, in_tlv(0x02, BYTES)] = attrs.field(default=None, repr=False)
    data: Annotated[bytes | None, in_tlv(0x05, BYTES)] = attrs.field(default=None, repr=False)
    ask_ack: Annotated[bool, in_tlv(0x03, FLAG)] = False
    automatic: Annotated[bool, in_tlv(0x04, FLAG)] = False
    store: Annotated[bool, in_tlv(0x06, FLAG)] = False
    wants_typing: Annotated[bool, in_tlv(0x0B, FLAG)] = False


@snac(0x04, 0x07)
@attrs.frozen(kw_only=True)
class Receive(Body):
    """A message from somebody; `sent_at`, in seconds, is when it was stored."""

    cookie: Cookie
    channel: U16
    sender: Annotated[UserInfo, USER_INFO]
    text: Annotated[bytes | None, in_tlv(0x02, BYTES)] = attrs.field(default=None, repr=False)
    data: Annotated[bytes | None, in_tlv(0x05, BYTES)] = attrs.field(default=None, repr=False)
    automatic: Annotated[bool, in_tlv(0x04, FLAG)] = False
    store: Annotated[bool, in_tlv(0x06, FLAG)] = False
    wants_typing: Annotated[bool, in_tlv(0x0B, FLAG)] = False
    sent_at: Annotated[int | None, in_tlv(0x16, Tolerant(NUMBER32))] = None


@attrs.frozen
class Missed:
    channel: U16
    sender: Annotated[UserInfo, USER_INFO]
    count: U16
    reason: U16


@snac(0x04, 0x0A)
@attrs.frozen
class MissedMessages(Body):
    missed: Annotated[tuple[Missed, ...], ToEnd(Block(Missed))]


@snac(0x04, 0x0B)
@attrs.frozen
class ClientError(Body):
    """The other's client says what it makes of a message."""

    cookie: Cookie
    channel: U16
    name: Name8
    reason: U16
    data: Rest = b""


@snac(0x04, 0x0C)
@attrs.frozen
class HostAck(Body):
    """The server has taken a message over."""

    cookie: Cookie
    channel: U16
    to: Name8


@snac(0x04, 0x10)
@attrs.frozen
class OfflineQuery(Body):
    pass


@snac(0x04, 0x17)
@attrs.frozen
class OfflineDone(Body):
    pass


class TypingEvent(IntEnum):
    FINISHED = 0
    PAUSED = 1
    BEGUN = 2
    CLOSED = 0x0F


@snac(0x04, 0x14)
@attrs.frozen
class Typing(Body):
    """Typing, either way: `name` is the other one."""

    cookie: Cookie
    channel: U16
    name: Name8
    event: U16


# --- channel 1 --------------------------------------------------------------------------------

_FEATURES = 5
TEXT_FRAGMENT = 1

AIM_FEATURES = b"\1\1\1\2"
ICQ_FEATURES = b"\1\6"


@attrs.frozen
class _Fragment:
    id: U8
    version: U8
    data: Bytes16


@attrs.frozen
class Part:
    """One piece of a text; `text.decode_part` makes it readable."""

    charset: U16
    language: U16 = 0
    data: Rest = attrs.field(default=b"", repr=False)


def decode_parts(data: bytes) -> tuple[Part, ...]:
    """Read the text parts of a message on channel 1; other fragments are passed over."""
    fragments = ToEnd(Block(_Fragment)).read(Reader(data))
    return tuple(decode_block(Part, each.data) for each in fragments if each.id == TEXT_FRAGMENT)


def read_parts(data: bytes) -> tuple[tuple[Part, ...], bool]:
    """Read what can be read of the text parts; say whether that was all.

    A fragment that claims more bytes than there are has those that there are. A text that claims
    too few goes on to the end.
    """
    parts: list[Part] = []
    at, is_whole = 0, True
    while at < len(data):
        head, start = data[at : at + 4], at + 4
        end = start + int.from_bytes(head[2:], "big")
        is_whole &= end <= len(data) and len(head) == 4
        if head[0] == TEXT_FRAGMENT:
            # QUIRK(aimpyfly, node-oscar): they count the characters of a text in UTF-8.
            if not _may_be_head(data[end : end + 2]):
                end, is_whole = len(data), False
            if len(data[start:end]) >= 4:
                parts.append(decode_block(Part, data[start:end]))
            else:
                is_whole = False
        at = end
    return tuple(parts), is_whole


def _may_be_head(data: bytes) -> bool:
    """Say whether a fragment may begin so, or nothing follows: of all known, the version is 1."""
    return data[1:] == b"\1" if len(data) > 1 else data in (b"", b"\1", b"\5")


def encode_parts(parts: tuple[Part, ...], features: bytes = AIM_FEATURES) -> bytes:
    fragments = [_Fragment(_FEATURES, 1, features)]
    fragments += [_Fragment(TEXT_FRAGMENT, 1, encode_block(part)) for part in parts]
    return b"".join(encode_block(each) for each in fragments)


# --- channel 4 --------------------------------------------------------------------------------


class TypedKind(IntEnum):
    PLAIN = 0x01
    URL = 0x04
    AUTHORISATION_REQUEST = 0x06
    AUTHORISATION_DENIED = 0x07
    AUTHORISATION_GRANTED = 0x08
    SERVER = 0x09
    ADDED = 0x0C
    PAGER = 0x0D
    EMAIL = 0x0E
    CONTACTS = 0x13


FIELD_END = b"\xfe"  # between the fields of such a text


@attrs.frozen
class TypedMessage:
    """A message on channel 4, in TLV 5. `uin` may be 0 or wrong."""

    uin: Le32
    kind: U8
    flags: U8 = 0
    text: Terminated = attrs.field(default=b"", repr=False)


def decode_typed(data: bytes) -> TypedMessage:
    return decode_block(TypedMessage, data)


# --- channel 2 --------------------------------------------------------------------------------


class RendezvousKind(IntEnum):
    REQUEST = 0
    CANCEL = 1
    ACCEPT = 2


@attrs.frozen
class Rendezvous:
    """A message on channel 2, in TLV 5."""

    kind: U16
    cookie: Cookie
    capability: Guid
    reason: Annotated[int | None, in_tlv(0x0B, NUMBER16)] = None
    relayed: Annotated[bytes | None, in_tlv(0x2711, BYTES)] = attrs.field(default=None, repr=False)


def decode_rendezvous(data: bytes) -> Rendezvous:
    return decode_block(Rendezvous, data)


UTF8_GUID = b"{0946134E-4C7F-11D1-8222-444553540000}"
RTF_GUID = b"{97B12751-243C-4334-AD22-D6ABF73F1492}"


@attrs.frozen
class _RelayedHead:
    first: LeBytes16
    second: LeBytes16
    kind: U8
    flags: U8
    status: Le16
    priority: Le16
    text: Terminated = attrs.field(repr=False)
    rest: Rest = b""


@attrs.frozen
class RelayedMessage:
    """A message that went by server relay; `format` is a GUID in braces, or empty."""

    kind: int
    flags: int
    text: bytes = attrs.field(repr=False)
    format: bytes = b""


def decode_relayed(data: bytes) -> RelayedMessage:
    """Read TLV 0x2711 of a `Rendezvous` with the capability `SERVER_RELAY`."""
    head = decode_block(_RelayedHead, data)
    behind = head.rest[8:]  # two colours
    size = int.from_bytes(behind[:4], "little")
    return RelayedMessage(head.kind, head.flags, head.text, behind[4 : 4 + size])


def encode_relayed(message: RelayedMessage) -> bytes:
    rest = b"\0\0\0\0\xff\xff\xff\0"
    if message.format:
        rest += len(message.format).to_bytes(4, "little") + message.format
    # Version 8 of the ICQ protocol and no plug-in; the second block is a counter.
    first = b"\x08\0" + bytes(16) + b"\0\0" + b"\3\0\0\0" + b"\0" + b"\0\0"
    second = bytes(14)
    return encode_block(
        _RelayedHead(first, second, message.kind, message.flags, 0, 1, message.text, rest)
    )
