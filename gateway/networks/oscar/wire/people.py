"""Who is there and how: the user info block, and food groups 02 (locate), 03 (buddy), 09, 0B."""

from enum import IntEnum, IntFlag
from typing import Annotated, ClassVar

import attrs

from gateway.networks.oscar.wire.fields import (
    BYTES,
    GUID,
    NUMBER8,
    NUMBER16,
    NUMBER32,
    U8,
    U16,
    U32,
    Block,
    Bytes8,
    Bytes16,
    Extent,
    Name8,
    Names,
    Rest,
    ToEnd,
    Tolerant,
    encode_block,
    in_tlv,
)
from gateway.networks.oscar.wire.snac import Body, snac


class UserFlag(IntFlag):
    UNCONFIRMED = 0x0001
    ADMINISTRATOR = 0x0002
    AOL = 0x0004
    AIM = 0x0010
    AWAY = 0x0020
    ICQ = 0x0040
    MOBILE = 0x0080
    BOT = 0x0400


class Status(IntFlag):
    """The bits of the status; what a client shows is told by the first that is set, top down."""

    INVISIBLE = 0x0100
    DO_NOT_DISTURB = 0x0002
    OCCUPIED = 0x0010
    NOT_AVAILABLE = 0x0004
    AWAY = 0x0001
    FREE_FOR_CHAT = 0x0020


def capability(guid: str) -> bytes:
    """Return the 16 bytes of a capability written as `0946134D-4C7F-11D1-8222-444553540000`."""
    return bytes.fromhex(guid.replace("-", ""))


INTEROPERATE = capability("0946134D-4C7F-11D1-8222-444553540000")
UTF8 = capability("0946134E-4C7F-11D1-8222-444553540000")
ICONS = capability("09461346-4C7F-11D1-8222-444553540000")
SERVER_RELAY = capability("09461349-4C7F-11D1-8222-444553540000")
TAKES_HTML = capability("09460002-4C7F-11D1-8222-444553540000")
TAKES_ICQ_HTML = capability("0138CA7B-769A-4915-88F2-13FC00979EA8")
ICQ_TYPING = capability("563FC809-0B6F-41BD-9F79-422609DFA2F3")


def takes_html(capabilities: tuple[bytes, ...]) -> bool:
    """Say whether a client reads HTML from everybody; those of ICQ that do take all for HTML."""
    return TAKES_HTML in capabilities or TAKES_ICQ_HTML in capabilities


# --- BART ids ---------------------------------------------------------------------------------


class BartType(IntEnum):
    ICON = 0x0001
    STATUS_TEXT = 0x0002
    STATUS_LINK = 0x0009


NO_ICON = bytes.fromhex("0201d20472")


@attrs.frozen
class BartId:
    type: U16
    flags: U8 = 0
    data: Bytes8 = b""


@attrs.frozen
class _StatusText:
    text: Bytes16
    encodings: U16 = 0


def status_text_id(text: str) -> BartId:
    """Return the BART id that carries a status text; an empty one clears it."""
    if not text:
        return BartId(BartType.STATUS_TEXT)
    return BartId(BartType.STATUS_TEXT, 4, encode_block(_StatusText(text.encode())))


def status_text_of(ids: tuple[BartId, ...]) -> str:
    """Return the status text among `ids`, or nothing."""
    for each in ids:
        if each.type == BartType.STATUS_TEXT and len(each.data) >= 2:
            size = int.from_bytes(each.data[:2], "big")
            return each.data[2 : 2 + size].decode("utf-8", "replace")
    return ""


def icon_of(ids: tuple[BartId, ...]) -> BartId | None:
    """Return the id of the buddy icon among `ids`, unless it says that there is none."""
    for each in ids:
        if each.type == BartType.ICON and each.data and each.data != NO_ICON:
            return each
    return None


BART_IDS = ToEnd(Block(BartId))
GUIDS = ToEnd(GUID)


# --- the user info block ----------------------------------------------------------------------


@attrs.frozen
class UserInfo:
    """Somebody as the server shows him: his complete state. Times are seconds, `idle` minutes."""

    TLVS: ClassVar[Extent] = Extent.COUNTED

    name: Name8
    warning: U16 = 0
    flags: Annotated[int | None, in_tlv(0x01, NUMBER16)] = None
    status: Annotated[int | None, in_tlv(0x06, NUMBER32)] = None
    online_for: Annotated[int | None, in_tlv(0x0F, NUMBER32)] = None
    idle: Annotated[int | None, in_tlv(0x04, NUMBER16)] = None
    online_since: Annotated[int | None, in_tlv(0x03, NUMBER32)] = None
    member_since: Annotated[int | None, in_tlv(0x05, NUMBER32)] = None
    direct: Annotated[bytes | None, in_tlv(0x0C, BYTES)] = None
    capabilities: Annotated[tuple[bytes, ...] | None, in_tlv(0x0D, Tolerant(GUIDS))] = None
    instance: Annotated[int | None, in_tlv(0x14, NUMBER8)] = None
    bart: Annotated[tuple[BartId, ...] | None, in_tlv(0x1D, Tolerant(BART_IDS))] = None


USER_INFO = Block(UserInfo)
USERS = Annotated[tuple[UserInfo, ...], ToEnd(USER_INFO)]


# --- 02: locate -------------------------------------------------------------------------------


class Ask(IntFlag):
    PROFILE = 1
    AWAY = 2
    CAPABILITIES = 4


@snac(0x02, 0x02)
@attrs.frozen
class LocateRightsQuery(Body):
    pass


@snac(0x02, 0x03)
@attrs.frozen
class LocateRights(Body):
    max_profile: Annotated[int | None, in_tlv(0x01, NUMBER16)] = None
    max_capabilities: Annotated[int | None, in_tlv(0x02, NUMBER16)] = None
    max_emails: Annotated[int | None, in_tlv(0x03, NUMBER16)] = None
    max_certificate: Annotated[int | None, in_tlv(0x04, NUMBER16)] = None
    max_short_capabilities: Annotated[int | None, in_tlv(0x05, NUMBER16)] = None


@snac(0x02, 0x04)
@attrs.frozen(kw_only=True)
class SetInfo(Body):
    """What others may read of one. What is None stays; an empty `away` says that one is back."""

    profile_type: Annotated[bytes | None, in_tlv(0x01, BYTES)] = None
    profile: Annotated[bytes | None, in_tlv(0x02, BYTES)] = None
    away_type: Annotated[bytes | None, in_tlv(0x03, BYTES)] = None
    away: Annotated[bytes | None, in_tlv(0x04, BYTES)] = None
    capabilities: Annotated[tuple[bytes, ...] | None, in_tlv(0x05, GUIDS)] = None
    keep: Annotated[int | None, in_tlv(0x0C, NUMBER8)] = None


@snac(0x02, 0x05)
@attrs.frozen
class InfoQuery(Body):
    what: U16
    name: Name8


@snac(0x02, 0x15)
@attrs.frozen
class LongInfoQuery(Body):
    what: U32
    name: Name8


@snac(0x02, 0x06)
@attrs.frozen
class InfoReply(Body):
    user: Annotated[UserInfo, USER_INFO]
    profile_type: Annotated[bytes | None, in_tlv(0x01, BYTES)] = None
    profile: Annotated[bytes | None, in_tlv(0x02, BYTES)] = None
    away_type: Annotated[bytes | None, in_tlv(0x03, BYTES)] = None
    away: Annotated[bytes | None, in_tlv(0x04, BYTES)] = None
    capabilities: Annotated[tuple[bytes, ...] | None, in_tlv(0x05, Tolerant(GUIDS))] = None


# --- 03: buddies ------------------------------------------------------------------------------


@snac(0x03, 0x02)
@attrs.frozen
class BuddyRightsQuery(Body):
    flags: Annotated[int | None, in_tlv(0x05, NUMBER16)] = None


@snac(0x03, 0x03)
@attrs.frozen
class BuddyRights(Body):
    max_buddies: Annotated[int | None, in_tlv(0x01, NUMBER16)] = None
    max_watchers: Annotated[int | None, in_tlv(0x02, NUMBER16)] = None
    max_notifications: Annotated[int | None, in_tlv(0x03, NUMBER16)] = None
    max_temporary: Annotated[int | None, in_tlv(0x04, NUMBER16)] = None


@snac(0x03, 0x04)
@attrs.frozen
class Watch(Body):
    """Watch these, too, who are not in the feedbag."""

    names: Names = ()


@snac(0x03, 0x05)
@attrs.frozen
class Unwatch(Body):
    names: Names = ()


@snac(0x03, 0x0A)
@attrs.frozen
class NotWatched(Body):
    """Names the server refuses to watch."""

    names: Names = ()


@snac(0x03, 0x0B)
@attrs.frozen
class Arrived(Body):
    """Somebody is online, so: it takes the place of what was known of him."""

    users: USERS


@snac(0x03, 0x0C)
@attrs.frozen
class Departed(Body):
    users: USERS


# --- 09: permit and deny ----------------------------------------------------------------------


@snac(0x09, 0x02)
@attrs.frozen
class PermitRightsQuery(Body):
    pass


@snac(0x09, 0x03)
@attrs.frozen
class PermitRights(Body):
    max_permits: Annotated[int | None, in_tlv(0x01, NUMBER16)] = None
    max_denies: Annotated[int | None, in_tlv(0x02, NUMBER16)] = None
    max_temporary: Annotated[int | None, in_tlv(0x03, NUMBER16)] = None


# --- 0B: statistics ---------------------------------------------------------------------------


@snac(0x0B, 0x02)
@attrs.frozen
class StatsInterval(Body):
    """How often to send statistics; nobody does."""

    data: Rest = b""
