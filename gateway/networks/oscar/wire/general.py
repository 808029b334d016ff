"""Food group 01: versions, rates, the account's own state, and the way to other services."""

import struct
from enum import IntEnum
from typing import Annotated, Any

import attrs

from gateway.errors import LocalProtocolError, RemoteProtocolError
from gateway.networks.oscar.wire.fields import (
    BYTES,
    FLAG,
    NUMBER8,
    NUMBER16,
    NUMBER32,
    TEXT,
    U16,
    U16_FIELD,
    U32,
    Block,
    Codec,
    Numbers,
    Reader,
    Repeated,
    ToEnd,
    in_tlv,
)
from gateway.networks.oscar.wire.people import BART_IDS, USERS, BartId
from gateway.networks.oscar.wire.snac import Body, snac


class RateCode(IntEnum):
    CHANGED = 1
    ALERT = 2
    LIMITED = 3
    CLEAR = 4


@attrs.frozen
class Version:
    group: U16
    version: U16


@attrs.frozen
class Tool:
    """A food group and what implements it."""

    group: U16
    version: U16
    tool: U16 = 0
    tool_version: U16 = 0


@attrs.frozen
class _Tools:
    """Some old clients say no more than `Version` of each."""

    def read(self, reader: Reader) -> Any:
        if len(reader) % 8 == 0:
            return ToEnd(Block(Tool)).read(reader)
        return tuple(Tool(each.group, each.version) for each in _VERSIONS.read(reader))

    def write(self, out: bytearray, value: Any) -> None:
        ToEnd(Block(Tool)).write(out, value)


_VERSIONS = ToEnd(Block(Version))


@snac(0x01, 0x02)
@attrs.frozen
class ClientOnline(Body):
    tools: Annotated[tuple[Tool, ...], _Tools()] = ()


@snac(0x01, 0x03)
@attrs.frozen
class HostOnline(Body):
    groups: Numbers


@snac(0x01, 0x04)
@attrs.frozen
class ServiceQuery(Body):
    """Where is the service for this food group?"""

    group: U16
    tls: Annotated[bool, in_tlv(0x8C, FLAG)] = False


@snac(0x01, 0x05)
@attrs.frozen(kw_only=True)
class ServiceReply(Body):
    group: Annotated[int | None, in_tlv(0x0D, NUMBER16)] = None
    address: Annotated[str | None, in_tlv(0x05, TEXT)] = None
    cookie: Annotated[bytes | None, in_tlv(0x06, BYTES)] = attrs.field(default=None, repr=False)
    tls: Annotated[int | None, in_tlv(0x8E, NUMBER8)] = None
    certificate: Annotated[str | None, in_tlv(0x8D, TEXT)] = None


# --- rates ------------------------------------------------------------------------------------


@attrs.frozen
class RateClass:
    """One rate class. `since_last` and `dropping` are there from version 2 of the group on."""

    id: int
    window: int
    clear: int
    alert: int
    limit: int
    disconnect: int
    current: int
    max: int
    since_last: int | None = None
    dropping: int | None = None


_SHORT_RATE = struct.Struct(">H7I")
_LONG_RATE = struct.Struct(">H7IIB")


def _rate_class(data: bytes) -> RateClass:
    layout = _LONG_RATE if len(data) == _LONG_RATE.size else _SHORT_RATE
    return RateClass(*layout.unpack(data))


def _rate_record(rate: RateClass) -> bytes:
    try:
        if rate.since_last is None:
            return _SHORT_RATE.pack(*attrs.astuple(rate)[:8])
        return _LONG_RATE.pack(*attrs.astuple(rate)[:9], rate.dropping or 0)
    except struct.error as exc:
        raise LocalProtocolError(f"{rate} does not fit its fields: {exc}") from exc


@attrs.frozen
class RateMembers:
    """The SNACs that count for one class."""

    id: U16
    members: Annotated[tuple[Version, ...], Repeated(U16_FIELD, Block(Version))]


@attrs.frozen
class _Rates:
    """The classes and their members: the size of a record shows by what follows it."""

    def read(self, reader: Reader) -> Any:
        data = reader.rest()
        for size in (_LONG_RATE.size, _SHORT_RATE.size):
            try:
                return self._read(Reader(data), size)
            except RemoteProtocolError as exc:
                reason = exc
        raise reason

    def _read(self, reader: Reader, size: int) -> Any:
        count = U16_FIELD.read(reader)
        classes = [_rate_class(reader.take(size)) for _ in range(count)]
        members = ToEnd(Block(RateMembers)).read(reader)
        ids = {each.id for each in classes}
        if not {each.id for each in members} <= ids:
            raise RemoteProtocolError("a rate class has members and no record")
        return tuple(classes), members

    def write(self, out: bytearray, value: Any) -> None:
        classes, members = value
        U16_FIELD.write(out, len(classes))
        for each in classes:
            out += _rate_record(each)
        ToEnd(Block(RateMembers)).write(out, members)


RATES: Codec = _Rates()


@attrs.frozen
class _OneRate:
    def read(self, reader: Reader) -> Any:
        size = _LONG_RATE.size if len(reader) >= _LONG_RATE.size else _SHORT_RATE.size
        return _rate_class(reader.take(size))

    def write(self, out: bytearray, value: Any) -> None:
        out += _rate_record(value)


@snac(0x01, 0x06)
@attrs.frozen
class RateQuery(Body):
    pass


@snac(0x01, 0x07)
@attrs.frozen
class RateParameters(Body):
    """All rate classes, and which SNACs count for which: members are group and subtype pairs."""

    rates: Annotated[tuple[tuple[RateClass, ...], tuple[RateMembers, ...]], RATES]

    @property
    def classes(self) -> tuple[RateClass, ...]:
        return self.rates[0]

    @property
    def members(self) -> tuple[RateMembers, ...]:
        return self.rates[1]


@snac(0x01, 0x08)
@attrs.frozen
class RateSubscribe(Body):
    ids: Numbers


@snac(0x01, 0x0A)
@attrs.frozen
class RateChange(Body):
    code: U16
    rate: Annotated[RateClass, _OneRate()]


# --- pauses and moves -------------------------------------------------------------------------


@snac(0x01, 0x0B)
@attrs.frozen
class Pause(Body):
    groups: Numbers = ()


@snac(0x01, 0x0C)
@attrs.frozen
class PauseAck(Body):
    groups: Numbers = ()


@snac(0x01, 0x0D)
@attrs.frozen
class Resume(Body):
    groups: Numbers = ()


@snac(0x01, 0x12)
@attrs.frozen
class Migrate(Body):
    """Go elsewhere with this cookie, and begin anew."""

    groups: Annotated[tuple[int, ...], Repeated(U16_FIELD, U16_FIELD)] = ()
    address: Annotated[str | None, in_tlv(0x05, TEXT)] = None
    cookie: Annotated[bytes | None, in_tlv(0x06, BYTES)] = attrs.field(default=None, repr=False)


# --- the account itself -----------------------------------------------------------------------


@snac(0x01, 0x0E)
@attrs.frozen
class OwnInfoQuery(Body):
    pass


@snac(0x01, 0x0F)
@attrs.frozen
class OwnInfo(Body):
    """The account as others see it; a block each for several sign-ons, its own first."""

    users: USERS


@snac(0x01, 0x10)
@attrs.frozen
class Warned(Body):
    level: U16
    by: USERS = ()


@snac(0x01, 0x11)
@attrs.frozen
class SetIdle(Body):
    """Idle for so many seconds by now; 0: no longer."""

    seconds: U32


@snac(0x01, 0x13)
@attrs.frozen
class Motd(Body):
    type: U16
    text: Annotated[str | None, in_tlv(0x0B, TEXT)] = None


@snac(0x01, 0x14)
@attrs.frozen
class SetPrivacyFlags(Body):
    flags: U32


@snac(0x01, 0x16)
@attrs.frozen
class NoOperation(Body):
    pass


@snac(0x01, 0x17)
@attrs.frozen
class ClientVersions(Body):
    versions: Annotated[tuple[Version, ...], _VERSIONS] = ()


@snac(0x01, 0x18)
@attrs.frozen
class HostVersions(Body):
    versions: Annotated[tuple[Version, ...], _VERSIONS] = ()


@snac(0x01, 0x1E)
@attrs.frozen
class SetStatus(Body):
    status: Annotated[int | None, in_tlv(0x06, NUMBER32)] = None
    direct: Annotated[bytes | None, in_tlv(0x0C, BYTES)] = None
    bart: Annotated[tuple[BartId, ...] | None, in_tlv(0x1D, BART_IDS)] = None


@snac(0x01, 0x1F)
@attrs.frozen
class Probe(Body):
    pass


@snac(0x01, 0x20)
@attrs.frozen
class ProbeAck(Body):
    pass


@snac(0x01, 0x21)
@attrs.frozen
class OwnBart(Body):
    """What the server holds of the account's own icon."""

    ids: Annotated[tuple[BartId, ...], BART_IDS] = ()
