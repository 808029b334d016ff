"""SNACs: the envelope, the table of bodies, and the error every food group has."""

import struct
from collections.abc import Callable
from typing import Annotated, TypeVar

import attrs

from gateway.errors import LocalProtocolError, RemoteProtocolError
from gateway.networks.oscar.wire.fields import (
    NUMBER16,
    TEXT,
    U16,
    Reader,
    encode_block,
    in_tlv,
    read_block,
)

ERROR = 0x01  # the subtype, in every food group

MORE = 0x0001  # further answers to the same request follow
EXTENDED = 0x8000  # a block with its length stands before the body

SERVER_REQUEST = 0x80000000  # the id of what a server says unasked
EXTENSION = bytes.fromhex("0001 0002 0002")  # the usual one: TLV 1, version 2 of the food group

_HEADER = struct.Struct(">HHHI")

C = TypeVar("C", bound=type)


class Body:
    """What a SNAC holds; `snac` gives each its food group and subtype."""

    __slots__ = ()


@attrs.frozen
class Unknown(Body):
    """A SNAC this codec does not know: servers answer it with an error, clients leave it alone."""

    group: int
    subtype: int
    data: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class Error(Body):
    """The answer of `group` to a request it did not carry out; of unknown groups it is unknown."""

    group: int
    code: int
    subcode: int | None = None
    url: str | None = None
    text: str | None = None


@attrs.frozen
class _ErrorBlock:
    code: U16
    subcode: Annotated[int | None, in_tlv(0x08, NUMBER16)] = None
    url: Annotated[str | None, in_tlv(0x04, TEXT)] = None
    text: Annotated[str | None, in_tlv(0x1B, TEXT)] = None


@attrs.frozen
class Snac:
    """One SNAC. `flags` leaves out `EXTENDED`, which `extension` says by not being None."""

    body: Body
    request: int = 0
    flags: int = 0
    extension: bytes | None = None


@attrs.frozen
class _Kind:
    cls: type[Body]
    group: int
    subtype: int
    trailer: bytes


_BY_NUMBER: dict[tuple[int, int], _Kind] = {}
_BY_CLASS: dict[type, _Kind] = {}


def snac(group: int, subtype: int, trailer: bytes = b"") -> Callable[[C], C]:
    """Enter a class into the table; `trailer` is written behind it, and not asked for."""

    def enter(cls: C) -> C:
        kind = _Kind(cls, group, subtype, trailer)
        assert (group, subtype) not in _BY_NUMBER
        _BY_NUMBER[group, subtype] = _BY_CLASS[cls] = kind
        return cls

    return enter


def known_bodies() -> list[type[Body]]:
    return [kind.cls for kind in _BY_NUMBER.values()]


def number_of(body: Body) -> tuple[int, int]:
    """Return food group and subtype."""
    match body:
        case Unknown():
            return body.group, body.subtype
        case Error():
            return body.group, ERROR
    kind = _BY_CLASS[type(body)]
    return kind.group, kind.subtype


def group_of(kind: type[Body]) -> int:
    """Return the food group of a kind of body that is known."""
    return _BY_CLASS[kind].group


def decode_snac(payload: bytes) -> Snac:
    """Read what stands in a frame of channel 2. Raises `RemoteProtocolError`."""
    if len(payload) < _HEADER.size:
        raise RemoteProtocolError(f"a SNAC of {len(payload)} bytes, expected {_HEADER.size}")
    group, subtype, flags, request = _HEADER.unpack_from(payload)
    reader = Reader(payload[_HEADER.size :])
    try:
        extension = None
        if flags & EXTENDED:
            extension = reader.take(int.from_bytes(reader.take(2), "big"))
        body = _read_body(group, subtype, reader)
    except RemoteProtocolError as exc:
        raise RemoteProtocolError(f"SNAC {group:#04x}/{subtype:#04x}: {exc}") from exc
    return Snac(body, request, flags & ~EXTENDED, extension)


def decode_unread(payload: bytes) -> Snac:
    """Read the header alone, for an answer to a SNAC whose body is malformed.

    Raises `RemoteProtocolError`.
    """
    if len(payload) < _HEADER.size:
        raise RemoteProtocolError(f"a SNAC of {len(payload)} bytes, expected {_HEADER.size}")
    group, subtype, flags, request = _HEADER.unpack_from(payload)
    return Snac(Unknown(group, subtype, payload[_HEADER.size :]), request, flags & ~EXTENDED)


def _read_body(group: int, subtype: int, reader: Reader) -> Body:
    if subtype == ERROR and any(known == group for known, _ in _BY_NUMBER):
        error = read_block(_ErrorBlock, reader)
        return Error(group, error.code, error.subcode, error.url, error.text)
    kind = _BY_NUMBER.get((group, subtype))
    if kind is None:
        return Unknown(group, subtype, reader.rest())
    return read_block(kind.cls, reader)


def encode_snac(snac: Snac) -> bytes:
    """Write what stands in a frame of channel 2. Raises `LocalProtocolError`."""
    body = snac.body
    group, subtype = number_of(body)
    flags = snac.flags & ~EXTENDED
    extension = b""
    if snac.extension is not None:
        flags |= EXTENDED
        extension = len(snac.extension).to_bytes(2, "big") + snac.extension
    try:
        header = _HEADER.pack(group, subtype, flags, snac.request)
    except struct.error as exc:
        raise LocalProtocolError(f"{group}/{subtype}, request {snac.request}: {exc}") from exc
    return header + extension + _written(body)


def _written(body: Body) -> bytes:
    match body:
        case Unknown():
            return body.data
        case Error():
            return encode_block(_ErrorBlock(body.code, body.subcode, body.url, body.text))
    return encode_block(body) + _BY_CLASS[type(body)].trailer
