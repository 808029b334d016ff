"""Food group 15: the envelope of ICQ's older protocol, little-endian inside, and what is in it."""

from enum import IntEnum
from typing import Annotated

import attrs

from gateway.errors import RemoteProtocolError
from gateway.networks.oscar.wire.fields import (
    BYTES,
    U8,
    U8_FIELD,
    Le16,
    Le32,
    LeBytes16,
    Lenient,
    Rest,
    Terminated,
    decode_block,
    encode_block,
    in_tlv,
)
from gateway.networks.oscar.wire.snac import Body, snac


class Command(IntEnum):
    OFFLINE_QUERY = 0x003C
    OFFLINE_DELETE = 0x003E
    OFFLINE_MESSAGE = 0x0041
    OFFLINE_END = 0x0042
    META_QUERY = 0x07D0
    META_REPLY = 0x07DA


class Meta(IntEnum):
    """Subtypes of meta queries, and of their replies."""

    SHORT_INFO_QUERY = 0x04BA
    FULL_INFO_QUERY = 0x04D0
    FULL_INFO_QUERY_OLD = 0x04B2
    SEARCH_BY_NAME = 0x0515
    SEARCH_BY_UIN = 0x051F
    SEARCH_BY_EMAIL = 0x0529
    WHITE_PAGES = 0x055F
    SEARCH_BY_UIN_TLV = 0x0569
    SEARCH_BY_EMAIL_TLV = 0x0573
    SET_PERMISSIONS = 0x0424
    SET_INFO = 0x0C3A

    SHORT_INFO = 0x0104
    BASIC_INFO = 0x00C8
    MORE_INFO = 0x00DC
    EMAILS = 0x00EB
    HOMEPAGE = 0x010E
    WORK_INFO = 0x00D2
    NOTES = 0x00E6
    INTERESTS = 0x00F0
    AFFILIATIONS = 0x00FA
    FOUND = 0x01A4
    LAST_FOUND = 0x01AE
    PERMISSIONS_SET = 0x00A0
    INFO_SET = 0x0C3F


class MetaResult(IntEnum):
    OK = 0x0A
    FAILED = 0x14
    NOT_ALLOWED = 0x1E
    NOT_FOUND = 0x32


@snac(0x15, 0x02)
@attrs.frozen
class IcqQuery(Body):
    """`data` holds an `Envelope`."""

    data: Annotated[bytes | None, in_tlv(0x01, BYTES)] = None


@snac(0x15, 0x03)
@attrs.frozen
class IcqReply(Body):
    """`data` holds an `Envelope`."""

    data: Annotated[bytes | None, in_tlv(0x01, BYTES)] = None


@attrs.frozen
class Envelope:
    """`uin` is the account's own, or 0; the answer to a query repeats its `sequence`."""

    uin: Le32
    command: Le16
    sequence: Le16
    data: Rest = b""


def decode_envelope(body: IcqQuery | IcqReply) -> Envelope:
    if body.data is None:
        raise RemoteProtocolError("an ICQ envelope is missing")
    return decode_block(Envelope, decode_block(_Sized, body.data).data)


def icq_query(envelope: Envelope) -> IcqQuery:
    return IcqQuery(encode_block(_Sized(encode_block(envelope))))


def icq_reply(envelope: Envelope) -> IcqReply:
    return IcqReply(encode_block(_Sized(encode_block(envelope))))


@attrs.frozen
class _Sized:
    data: LeBytes16


# --- what envelopes hold ----------------------------------------------------------------------


@attrs.frozen
class OfflineMessage:
    """The data of `OFFLINE_MESSAGE`; the time is UTC, kinds are those of `TypedKind`."""

    uin: Le32
    year: Le16
    month: U8
    day: U8
    hour: U8
    minute: U8
    kind: U8
    flags: U8 = 0
    text: Terminated = attrs.field(default=b"", repr=False)


@attrs.frozen
class OfflineEnd:
    """The data of `OFFLINE_END`."""

    dropped: Annotated[int, Lenient(U8_FIELD, 0)] = 0


@attrs.frozen
class MetaQuery:
    """The data of `META_QUERY`."""

    subtype: Le16
    data: Rest = b""


@attrs.frozen
class MetaReply:
    """The data of `META_REPLY`."""

    subtype: Le16
    result: U8
    data: Rest = b""


@attrs.frozen
class ForUin:
    """The data of `SHORT_INFO_QUERY`, `FULL_INFO_QUERY` and `SEARCH_BY_UIN`."""

    uin: Le32


@attrs.frozen(kw_only=True)
class ForUinTlv:
    """The data of `SEARCH_BY_UIN_TLV`."""

    type: Le16 = 0x0136
    length: Le16 = 4
    uin: Le32


@attrs.frozen
class ForName:
    """The data of `SEARCH_BY_NAME`; what is empty does not count."""

    first: Terminated
    last: Terminated
    nick: Terminated


@attrs.frozen
class ForEmail:
    """The data of `SEARCH_BY_EMAIL`."""

    email: Terminated


@attrs.frozen
class ShortInfo:
    """The data of `SHORT_INFO`; `open` 0: to be added, he has to be asked."""

    nick: Terminated
    first: Terminated
    last: Terminated
    email: Terminated
    open: Annotated[int, Lenient(U8_FIELD, 0)] = 0
    zero: Annotated[int, Lenient(U8_FIELD, 0)] = 0
    gender: Annotated[int, Lenient(U8_FIELD, 0)] = 0


@attrs.frozen
class BasicInfo:
    """The data of `BASIC_INFO`."""

    nick: Terminated
    first: Terminated
    last: Terminated
    email: Terminated
    city: Terminated
    state: Terminated
    phone: Terminated
    fax: Terminated
    street: Terminated
    cell: Terminated
    zip: Terminated
    country: Le16 = 0
    gmt_offset: U8 = 0
    open: U8 = 0
    web_aware: U8 = 0
    direct: U8 = 0
    hides_email: Annotated[int, Lenient(U8_FIELD, 0)] = 0


@attrs.frozen
class MoreInfo:
    """The data of `MORE_INFO`, as far as it is of use; a day that is not known is 0."""

    age: Le16
    gender: U8
    homepage: Terminated
    birth_year: Le16 = 0
    birth_month: U8 = 0
    birth_day: U8 = 0
    left: Rest = b""


@attrs.frozen
class Notes:
    """The data of `NOTES`."""

    text: Terminated


@attrs.frozen
class Permissions:
    """The data of `SET_PERMISSIONS`."""

    must_ask: U8
    web_aware: U8 = 0
    direct: U8 = 0
    zero: U8 = 0


@attrs.frozen
class _FoundRecord:
    record: LeBytes16
    left: Rest = b""


@attrs.frozen
class Found:
    """The data of `FOUND` and `LAST_FOUND`, without its length."""

    uin: Le32
    nick: Terminated
    first: Terminated
    last: Terminated
    email: Terminated
    open: U8 = 0
    online: Le16 = 0
    gender: Annotated[int, Lenient(U8_FIELD, 0)] = 0
    age: Le16 = 0


def decode_found(data: bytes) -> Found:
    return decode_block(Found, decode_block(_FoundRecord, data).record)


def encode_found(found: Found, left: int = 0) -> bytes:
    return encode_block(_FoundRecord(encode_block(found), left.to_bytes(4, "little")))
