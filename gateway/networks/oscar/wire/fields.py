"""How the fields of OSCAR's blocks lie in bytes, said once for reading and writing.

A block is a frozen attrs class whose annotations name a codec for each field: `channel: U16`. The
fields come one after the other; those in a TLV (`in_tlv`) come last, together, in one list that is
counted, sized, or fills what is left. All numbers are big-endian but those marked `Le`.

Lengths are held against what encloses them, TLVs nobody asks for are passed over, and the first of
several of one type counts. Bytes that are no such block raise `RemoteProtocolError`; values that
fit no such block raise `LocalProtocolError`.
"""

import struct
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

import attrs

from gateway.errors import LocalProtocolError, RemoteProtocolError

T = TypeVar("T")


class Reader:
    """Bytes, and how far they have been read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __len__(self) -> int:
        """Return how many bytes are left."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > len(self):
            raise RemoteProtocolError(f"{count} bytes are claimed, {len(self)} remain")
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        return self.take(len(self))


class Codec(Protocol):
    """One kind of field."""

    def read(self, reader: Reader) -> Any: ...

    def write(self, out: bytearray, value: Any) -> None: ...


# --- plain fields -----------------------------------------------------------------------------


@attrs.frozen
class _Number:
    format: str

    def read(self, reader: Reader) -> Any:
        return struct.unpack(self.format, reader.take(struct.calcsize(self.format)))[0]

    def write(self, out: bytearray, value: Any) -> None:
        try:
            out += struct.pack(self.format, value)
        except struct.error as exc:
            raise LocalProtocolError(f"{value!r} does not fit its field: {exc}") from exc


@attrs.frozen
class _Fixed:
    """So many bytes."""

    size: int

    def read(self, reader: Reader) -> Any:
        return reader.take(self.size)

    def write(self, out: bytearray, value: Any) -> None:
        if len(value) != self.size:
            raise LocalProtocolError(f"{len(value)} bytes for a field of {self.size}")
        out += value


@attrs.frozen
class _Counted:
    """A length, and so many bytes."""

    length: _Number

    def read(self, reader: Reader) -> Any:
        return reader.take(self.length.read(reader))

    def write(self, out: bytearray, value: Any) -> None:
        self.length.write(out, len(value))
        out += value


@attrs.frozen
class _Terminated:
    """A little-endian length which counts the NUL that ends the bytes, too."""

    def read(self, reader: Reader) -> Any:
        return _without_nul(reader.take(_LE16.read(reader)))

    def write(self, out: bytearray, value: Any) -> None:
        _LE16.write(out, len(value) + 1)
        out += value + b"\0"


@attrs.frozen
class _Rest:
    """Whatever is left."""

    def read(self, reader: Reader) -> Any:
        return reader.rest()

    def write(self, out: bytearray, value: Any) -> None:
        out += value


@attrs.frozen
class _Text:
    """UTF-8, whose faulty bytes survive as half surrogate pairs: what is written is what was read.

    Names and item names are so: they have to be sent back to the byte.
    """

    of: Codec

    def read(self, reader: Reader) -> Any:
        return self.of.read(reader).decode("utf-8", "surrogateescape")

    def write(self, out: bytearray, value: Any) -> None:
        try:
            data = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as exc:
            raise LocalProtocolError(f"a text holds half a surrogate pair: {exc}") from exc
        self.of.write(out, data)


@attrs.frozen
class _ByLength:
    """A number in a TLV: read as long as it is, written with `size` bytes."""

    size: int

    def read(self, reader: Reader) -> Any:
        if len(reader) > 8:
            raise RemoteProtocolError(f"a number of {len(reader)} bytes")
        return int.from_bytes(reader.rest(), "big")

    def write(self, out: bytearray, value: Any) -> None:
        try:
            out += value.to_bytes(self.size, "big")
        except OverflowError as exc:
            raise LocalProtocolError(f"{value!r} does not fit {self.size} bytes") from exc


@attrs.frozen
class _Flag:
    """True by being there."""

    def read(self, reader: Reader) -> Any:
        return True

    def write(self, out: bytearray, value: Any) -> None:
        pass


@attrs.frozen
class Block:
    """A nested block."""

    cls: type

    def read(self, reader: Reader) -> Any:
        return read_block(self.cls, reader)

    def write(self, out: bytearray, value: Any) -> None:
        write_block(out, value)


@attrs.frozen
class ToEnd:
    """One after the other, until nothing is left."""

    of: Codec

    def read(self, reader: Reader) -> Any:
        found = []
        while len(reader):
            before = len(reader)
            found.append(self.of.read(reader))
            assert len(reader) < before, "an element without bytes would have no end"
        return tuple(found)

    def write(self, out: bytearray, value: Any) -> None:
        for each in value:
            self.of.write(out, each)


@attrs.frozen
class Tolerant:
    """A field whose content services pass on from others, unseen: faulty, it costs itself alone.

    Of several elements those before the fault count; of anything else nothing is left.
    """

    of: Codec

    def read(self, reader: Reader) -> Any:
        if not isinstance(self.of, ToEnd):
            try:
                return self.of.read(reader)
            except RemoteProtocolError:
                return None
        found = []
        while len(reader):
            try:
                found.append(self.of.of.read(reader))
            except RemoteProtocolError:
                break
        return tuple(found)

    def write(self, out: bytearray, value: Any) -> None:
        self.of.write(out, value)


@attrs.frozen
class Repeated:
    """A number, and so many of them."""

    count: Codec
    of: Codec

    def read(self, reader: Reader) -> Any:
        found = []
        for _ in range(self.count.read(reader)):
            before = len(reader)
            found.append(self.of.read(reader))
            assert len(reader) < before, "an element without bytes would be free to claim"
        return tuple(found)

    def write(self, out: bytearray, value: Any) -> None:
        self.count.write(out, len(value))
        for each in value:
            self.of.write(out, each)


@attrs.frozen
class Lenient:
    """A field that older and newer servers leave out: then it is `absent`. It is always written."""

    of: Codec
    absent: Any

    def read(self, reader: Reader) -> Any:
        return self.of.read(reader) if len(reader) else self.absent

    def write(self, out: bytearray, value: Any) -> None:
        self.of.write(out, value)


_U8 = _Number(">B")
_U16 = _Number(">H")
_U32 = _Number(">I")
_LE16 = _Number("<H")
_LE32 = _Number("<I")

GUID: Codec = _Fixed(16)

U8 = Annotated[int, _U8]
U16 = Annotated[int, _U16]
U32 = Annotated[int, _U32]
Le16 = Annotated[int, _LE16]
Le32 = Annotated[int, _LE32]
Cookie = Annotated[bytes, _Fixed(8)]
Guid = Annotated[bytes, GUID]
Bytes8 = Annotated[bytes, _Counted(_U8)]
Bytes16 = Annotated[bytes, _Counted(_U16)]
LeBytes16 = Annotated[bytes, _Counted(_LE16)]
Terminated = Annotated[bytes, _Terminated()]
Rest = Annotated[bytes, _Rest()]
Name8 = Annotated[str, _Text(_Counted(_U8))]
Name16 = Annotated[str, _Text(_Counted(_U16))]
Numbers = Annotated[tuple[int, ...], ToEnd(_U16)]
Names = Annotated[tuple[str, ...], ToEnd(_Text(_Counted(_U8)))]

U8_FIELD: Codec = _U8
U16_FIELD: Codec = _U16
NUMBER8: Codec = _ByLength(1)
NUMBER16: Codec = _ByLength(2)
NUMBER32: Codec = _ByLength(4)
TEXT: Codec = _Text(_Rest())
BYTES: Codec = _Rest()
FLAG: Codec = _Flag()
NUMBERS: Codec = ToEnd(_U16)


# --- TLVs -------------------------------------------------------------------------------------


@attrs.frozen
class Tlv:
    type: U16
    value: Bytes16


@attrs.frozen
class Tlvs:
    """TLVs as they came, for lists whose unknown ones must survive."""

    items: tuple[Tlv, ...] = ()

    def first(self, wanted: int) -> bytes | None:
        return next((each.value for each in self.items if each.type == wanted), None)

    def with_value(self, type_: int, value: bytes | None) -> "Tlvs":
        """Return a list in which `type_` stands once, with `value`; or, for None, not at all."""
        kept = [each for each in self.items if each.type != type_]
        if value is None:
            return Tlvs(tuple(kept))
        places = [place for place, each in enumerate(self.items) if each.type == type_]
        kept.insert(places[0] if places else len(kept), Tlv(type_, value))
        return Tlvs(tuple(kept))


class Extent(Enum):
    """How one knows where a list of TLVs ends."""

    REST = "with what encloses it"
    COUNTED = "after as many as the number before it says"
    SIZED = "after as many bytes as the number before it says"


@attrs.frozen
class TlvList:
    """A list of TLVs, kept as it is."""

    extent: Extent

    def read(self, reader: Reader) -> Any:
        return Tlvs(tuple(read_tlvs(reader, self.extent)))

    def write(self, out: bytearray, value: Any) -> None:
        write_tlvs(out, [(each.type, each.value) for each in value.items], self.extent)


def read_tlvs(reader: Reader, extent: Extent) -> Iterator[Tlv]:
    if extent is Extent.COUNTED:
        for _ in range(_U16.read(reader)):
            yield _read_tlv(reader)
    else:
        if extent is Extent.SIZED:
            reader = Reader(reader.take(_U16.read(reader)))
        while len(reader):
            yield _read_tlv(reader)


def write_tlvs(out: bytearray, tlvs: list[tuple[int, bytes]], extent: Extent) -> None:
    block = bytearray()
    for type_, value in tlvs:
        _U16.write(block, type_)
        _U16.write(block, len(value))
        block += value
    if extent is Extent.COUNTED:
        _U16.write(out, len(tlvs))
    elif extent is Extent.SIZED:
        _U16.write(out, len(block))
    out += block


def _read_tlv(reader: Reader) -> Tlv:
    type_ = _U16.read(reader)
    length = _U16.read(reader)
    if length > len(reader):
        raise RemoteProtocolError(f"TLV {type_:#06x} claims {length} bytes, {len(reader)} remain")
    return Tlv(type_, reader.take(length))


@attrs.frozen
class in_tlv:  # noqa: N801 - reads as a word in annotations
    """A field that stands in the TLV `type`; absent, it has its default."""

    type: int
    of: Codec


# --- blocks -----------------------------------------------------------------------------------


class HasTlvs(Protocol):
    """A block may say how its list of TLVs ends; by itself, it fills what is left."""

    TLVS: ClassVar[Extent]


@attrs.frozen
class _Layout:
    plain: tuple[tuple[str, Codec], ...]
    tlvs: tuple[tuple[str, int, Codec], ...]
    extent: Extent


_LAYOUTS: dict[type, _Layout] = {}


def _layout(cls: type) -> _Layout:
    if cls not in _LAYOUTS:
        _LAYOUTS[cls] = _worked_out(cls)
    return _LAYOUTS[cls]


def _worked_out(cls: type) -> _Layout:
    hints = typing.get_type_hints(cls, include_extras=True)
    plain: list[tuple[str, Codec]] = []
    tlvs: list[tuple[str, int, Codec]] = []
    for field in attrs.fields(cls):
        codec = hints[field.name].__metadata__[-1]
        if isinstance(codec, in_tlv):
            tlvs.append((field.name, codec.type, codec.of))
        else:
            assert not tlvs, f"{cls.__name__}.{field.name} stands behind the TLVs"
            plain.append((field.name, codec))
    return _Layout(tuple(plain), tuple(tlvs), getattr(cls, "TLVS", Extent.REST))


def read_block(cls: type[T], reader: Reader) -> T:
    layout = _layout(cls)
    values: dict[str, Any] = {name: codec.read(reader) for name, codec in layout.plain}
    if layout.tlvs:
        found: dict[int, bytes] = {}
        for tlv in read_tlvs(reader, layout.extent):
            found.setdefault(tlv.type, tlv.value)
        for name, type_, codec in layout.tlvs:
            if (value := found.get(type_)) is not None:
                values[name] = codec.read(Reader(value))
    return cls(**values)


def write_block(out: bytearray, value: Any) -> None:
    layout = _layout(type(value))
    for name, codec in layout.plain:
        codec.write(out, getattr(value, name))
    if layout.tlvs:
        tlvs: list[tuple[int, bytes]] = []
        for name, type_, codec in layout.tlvs:
            held = getattr(value, name)
            if held is not None and held is not False:
                inside = bytearray()
                codec.write(inside, held)
                tlvs.append((type_, bytes(inside)))
        write_tlvs(out, tlvs, layout.extent)


def decode_block(cls: type[T], data: bytes) -> T:
    """Read one `cls`; bytes behind it are left alone: newer servers may add some."""
    return read_block(cls, Reader(data))


def encode_block(value: Any) -> bytes:
    out = bytearray()
    write_block(out, value)
    return bytes(out)


def _without_nul(data: bytes) -> bytes:
    return data[:-1] if data.endswith(b"\0") else data
