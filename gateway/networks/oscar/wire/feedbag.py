"""Food group 13: the feedbag, which is the contact list on the server, and ICQ's authorisations."""

from enum import IntEnum
from typing import Annotated, Any

import attrs

from gateway.networks.oscar.wire.fields import (
    NUMBER16,
    NUMBERS,
    U8,
    U16,
    U16_FIELD,
    U32,
    Block,
    Bytes16,
    Extent,
    Name8,
    Name16,
    Numbers,
    Reader,
    Repeated,
    TlvList,
    Tlvs,
    ToEnd,
    in_tlv,
)
from gateway.networks.oscar.wire.snac import Body, snac


class ItemClass(IntEnum):
    BUDDY = 0x0000
    GROUP = 0x0001
    PERMIT = 0x0002
    DENY = 0x0003
    PRIVACY = 0x0004
    PREFERENCES = 0x0005
    IGNORE = 0x000E
    LAST_UPDATE = 0x000F
    NON_ICQ = 0x0010
    IMPORTED = 0x0013
    ICON = 0x0014


class Attribute(IntEnum):
    """TLVs of an item."""

    AWAITING = 0x0066  # authorisation
    ORDER = 0x00C8
    PREFERENCES = 0x00C9
    PRIVACY_MODE = 0x00CA
    PRIVACY_MASK = 0x00CB
    ICON = 0x00D5
    VALID_PREFERENCES = 0x00D6
    ALIAS = 0x0131
    NOTE = 0x013C


class PrivacyMode(IntEnum):
    ALLOW_ALL = 1
    BLOCK_ALL = 2
    PERMIT_LISTED = 3
    BLOCK_LISTED = 4
    ALLOW_BUDDIES = 5


class Result(IntEnum):
    """What became of one item of an edit."""

    OK = 0x0000
    DATABASE_ERROR = 0x0001
    NOT_FOUND = 0x0002
    EXISTS = 0x0003
    UNAVAILABLE = 0x0005
    BAD_REQUEST = 0x000A
    DATABASE_TIMEOUT = 0x000B
    CLASS_FULL = 0x000C
    NOT_EXECUTED = 0x000D
    NEEDS_AUTHORISATION = 0x000E
    BAD_NAME = 0x0010
    LIST_FULL = 0x0011
    TIMED_OUT = 0x001A


TYPING_PREFERENCE = 1 << 0x16  # in 0x00C9: others may see when one types

_NO_TLVS = Tlvs()


@attrs.frozen
class Item:
    """One item; group, item id and class together name it."""

    name: Name16
    group: U16
    id: U16
    cls: U16
    attributes: Annotated[Tlvs, TlvList(Extent.SIZED)] = _NO_TLVS


_ITEMS = ToEnd(Block(Item))
ITEMS = Annotated[tuple[Item, ...], _ITEMS]


def encode_order(ids: tuple[int, ...]) -> bytes:
    """Return the value of `Attribute.ORDER`."""
    out = bytearray()
    NUMBERS.write(out, ids)
    return bytes(out)


def decode_order(value: bytes) -> tuple[int, ...]:
    """Read the value of `Attribute.ORDER`; half a number at its end is passed over."""
    ids: tuple[int, ...] = NUMBERS.read(Reader(value[: len(value) // 2 * 2]))
    return ids


@snac(0x13, 0x02)
@attrs.frozen
class FeedbagRightsQuery(Body):
    flags: Annotated[int | None, in_tlv(0x0B, NUMBER16)] = None


@snac(0x13, 0x03)
@attrs.frozen
class FeedbagRights(Body):
    """Limits; those in `max_items` stand by item class."""

    max_items: Annotated[tuple[int, ...] | None, in_tlv(0x04, NUMBERS)] = None
    max_attributes: Annotated[int | None, in_tlv(0x03, NUMBER16)] = None
    max_client_items: Annotated[int | None, in_tlv(0x05, NUMBER16)] = None
    max_name: Annotated[int | None, in_tlv(0x06, NUMBER16)] = None
    max_per_group: Annotated[int | None, in_tlv(0x0C, NUMBER16)] = None


@snac(0x13, 0x04)
@attrs.frozen
class FeedbagQuery(Body):
    pass


@snac(0x13, 0x05)
@attrs.frozen
class FeedbagQueryIfModified(Body):
    time: U32
    count: U16


@snac(0x13, 0x06)
@attrs.frozen
class Feedbag(Body):
    """The list, or a piece of it: then the SNAC's flag `MORE` is set, and `time` is 0."""

    version: U8
    items: Annotated[tuple[Item, ...], Repeated(U16_FIELD, Block(Item))]
    time: U32


@snac(0x13, 0x07)
@attrs.frozen
class FeedbagUse(Body):
    """From now on the server watches the buddies on it."""


@snac(0x13, 0x08)
@attrs.frozen
class AddItems(Body):
    items: ITEMS


@snac(0x13, 0x09)
@attrs.frozen
class UpdateItems(Body):
    items: ITEMS


@snac(0x13, 0x0A)
@attrs.frozen
class DeleteItems(Body):
    items: ITEMS


@snac(0x13, 0x0E)
@attrs.frozen
class EditResults(Body):
    """A `Result` for each item, in their order."""

    results: Numbers


@attrs.frozen
class _Count:
    """A u16, which one server shortens to a u8."""

    def read(self, reader: Reader) -> Any:
        return int.from_bytes(reader.take(min(2, max(1, len(reader)))), "big")

    def write(self, out: bytearray, value: Any) -> None:
        U16_FIELD.write(out, value)


@snac(0x13, 0x0F)
@attrs.frozen
class FeedbagNotModified(Body):
    time: U32
    count: Annotated[int, _Count()]


@attrs.frozen
class _Import:
    def read(self, reader: Reader) -> Any:
        return reader.rest() == b"\0\1\0\0"

    def write(self, out: bytearray, value: Any) -> None:
        out += b"\0\1\0\0" if value else b""


@snac(0x13, 0x11)
@attrs.frozen
class BeginEdit(Body):
    """The start of a transaction; one that imports needs no authorisations, on old servers."""

    imports: Annotated[bool, _Import()] = False


@snac(0x13, 0x12)
@attrs.frozen
class EndEdit(Body):
    pass


# --- authorisation ----------------------------------------------------------------------------

_TRAILER = b"\0\0"


@snac(0x13, 0x14, _TRAILER)
@attrs.frozen
class Preauthorise(Body):
    name: Name8
    text: Bytes16 = b""


@snac(0x13, 0x15, _TRAILER)
@attrs.frozen
class Preauthorised(Body):
    name: Name8
    text: Bytes16 = b""


@snac(0x13, 0x16)
@attrs.frozen
class RemoveMe(Body):
    """Take me off that one's list."""

    name: Name8


@snac(0x13, 0x18, _TRAILER)
@attrs.frozen
class RequestAuthorisation(Body):
    name: Name8
    reason: Bytes16 = b""


@snac(0x13, 0x19, _TRAILER)
@attrs.frozen
class AuthorisationRequested(Body):
    name: Name8
    reason: Bytes16 = b""


@snac(0x13, 0x1A, _TRAILER)
@attrs.frozen
class Authorise(Body):
    name: Name8
    granted: U8
    reason: Bytes16 = b""


@snac(0x13, 0x1B, _TRAILER)
@attrs.frozen
class Authorised(Body):
    name: Name8
    granted: U8
    reason: Bytes16 = b""


@snac(0x13, 0x1C, _TRAILER)
@attrs.frozen
class YouWereAdded(Body):
    name: Name8
