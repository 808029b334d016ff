"""FLAP: the frames, and what stands in those that hold no SNAC."""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated

import attrs

from gateway.errors import LocalProtocolError, RemoteProtocolError
from gateway.networks.oscar.wire.fields import (
    BYTES,
    NUMBER8,
    NUMBER16,
    NUMBER32,
    TEXT,
    U32,
    in_tlv,
)

MARKER = 0x2A
MAX_PAYLOAD_BYTES = 0xFFFF
MAX_SENT_PAYLOAD_BYTES = 8192  # what old servers take
VERSION = 1

_HEADER = struct.Struct(">BBHH")
_TRUNCATED_BYTES = 4  # a sign-off without its length: the last some servers say to old clients


class Channel(IntEnum):
    SIGN_ON = 1
    DATA = 2
    ERROR = 3
    SIGN_OFF = 4
    KEEP_ALIVE = 5


@attrs.frozen
class Frame:
    channel: int
    sequence: int
    payload: bytes = attrs.field(repr=False)


class FrameReader:
    """Bytes in, FLAP frames out. Holds one unfinished frame at most, whatever comes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes | bytearray) -> None:
        self._buffer += data

    def frames(self) -> Iterator[Frame]:
        """Yield each whole frame received so far; keep the rest for later.

        Raises `RemoteProtocolError` when a frame does not start like one: the stream is lost.
        """
        while self._buffer:
            if self._buffer[0] != MARKER:
                raise RemoteProtocolError(
                    f"a FLAP frame starts with {self._buffer[0]:#04x}, expected {MARKER:#04x}"
                )
            if len(self._buffer) < _HEADER.size:
                return
            _, channel, sequence, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield Frame(channel, sequence, payload)

    def at_the_end(self) -> Frame | None:
        """Return the sign-off that a stream may end with in 4 bytes, without its length.

        None: it ended between two frames, or in the middle of one.
        """
        if len(self._buffer) == _TRUNCATED_BYTES and self._buffer[1] == Channel.SIGN_OFF:
            return Frame(Channel.SIGN_OFF, int.from_bytes(self._buffer[2:4], "big"), b"")
        return None

    @property
    def is_between_frames(self) -> bool:
        return not self._buffer


class FrameWriter:
    """Payloads in, bytes out: counts the frames of one direction of one connection."""

    def __init__(self, first_sequence: int = 0) -> None:
        self._sequence = first_sequence & 0xFFFF

    def frame(self, channel: int, payload: bytes) -> bytes:
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise LocalProtocolError(f"{len(payload)} bytes fit no FLAP frame")
        header = _HEADER.pack(MARKER, channel, self._sequence, len(payload))
        self._sequence = (self._sequence + 1) & 0xFFFF
        return header + payload


# --- channel 1 --------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SignOn:
    """The first frame of either side.

    The server's has nothing but the version. The client's says what it wants: with a `cookie` a
    service, with a `name` the roasted login, with neither the login by SNACs.
    """

    version: U32 = VERSION
    name: Annotated[str | None, in_tlv(0x01, TEXT)] = None
    roasted: Annotated[bytes | None, in_tlv(0x02, BYTES)] = attrs.field(default=None, repr=False)
    cookie: Annotated[bytes | None, in_tlv(0x06, BYTES)] = attrs.field(default=None, repr=False)
    client: Annotated[str | None, in_tlv(0x03, TEXT)] = None
    client_id: Annotated[int | None, in_tlv(0x16, NUMBER16)] = None
    major: Annotated[int | None, in_tlv(0x17, NUMBER16)] = None
    minor: Annotated[int | None, in_tlv(0x18, NUMBER16)] = None
    point: Annotated[int | None, in_tlv(0x19, NUMBER16)] = None
    build: Annotated[int | None, in_tlv(0x1A, NUMBER16)] = None
    distribution: Annotated[int | None, in_tlv(0x14, NUMBER32)] = None
    language: Annotated[str | None, in_tlv(0x0F, TEXT)] = None
    country: Annotated[str | None, in_tlv(0x0E, TEXT)] = None
    several: Annotated[int | None, in_tlv(0x4A, NUMBER8)] = None


# --- channel 4 --------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SignOff:
    """The end of a connection: a goodbye, the result of a roasted login, or a refusal.

    With a `cookie` the login was successful; with an `error` it was refused; `reason` says why a
    session was ended by the service.
    """

    name: Annotated[str | None, in_tlv(0x01, TEXT)] = None
    address: Annotated[str | None, in_tlv(0x05, TEXT)] = None
    cookie: Annotated[bytes | None, in_tlv(0x06, BYTES)] = attrs.field(default=None, repr=False)
    error: Annotated[int | None, in_tlv(0x08, NUMBER16)] = None
    url: Annotated[str | None, in_tlv(0x04, TEXT)] = None
    email: Annotated[str | None, in_tlv(0x11, TEXT)] = None
    registration: Annotated[int | None, in_tlv(0x13, NUMBER16)] = None
    tls: Annotated[int | None, in_tlv(0x8E, NUMBER8)] = None
    certificate: Annotated[str | None, in_tlv(0x8D, TEXT)] = None
    reason: Annotated[int | None, in_tlv(0x09, NUMBER16)] = None
    text: Annotated[str | None, in_tlv(0x0B, TEXT)] = None


# --- channels 3 and 5 -------------------------------------------------------------------------


@attrs.frozen
class FlapError:
    """Rare, undocumented, and the end."""

    data: bytes = b""


@attrs.frozen
class KeepAlive:
    """Nothing, from either side, never answered."""
