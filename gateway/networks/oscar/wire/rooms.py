"""Food group 0D: chat navigation, which knows the chat rooms. It has a connection of its own."""

from typing import Annotated, ClassVar

import attrs

from gateway.networks.oscar.wire.fields import (
    NUMBER8,
    NUMBER16,
    TEXT,
    U8,
    U16,
    Block,
    Extent,
    Name8,
    in_tlv,
)
from gateway.networks.oscar.wire.snac import Body, snac

GROUP = 0x000D


@attrs.frozen(kw_only=True)
class Exchange:
    """A part of the service with rooms of one kind. `may_create` 0: users create none here."""

    TLVS: ClassVar[Extent] = Extent.COUNTED

    id: U16
    max_rooms: Annotated[int | None, in_tlv(0x03, NUMBER8)] = None
    permissions: Annotated[int | None, in_tlv(0x02, NUMBER16)] = None
    max_name_bytes: Annotated[int | None, in_tlv(0x04, NUMBER16)] = None
    flags: Annotated[int | None, in_tlv(0xC9, NUMBER16)] = None
    may_create: Annotated[int | None, in_tlv(0xD5, NUMBER8)] = None
    charset: Annotated[str | None, in_tlv(0xD6, TEXT)] = None
    language: Annotated[str | None, in_tlv(0xD7, TEXT)] = None
    second_charset: Annotated[str | None, in_tlv(0xD8, TEXT)] = None
    second_language: Annotated[str | None, in_tlv(0xD9, TEXT)] = None


@snac(0x0D, 0x02)
@attrs.frozen
class RightsQuery(Body):
    """What may be done here?"""


@snac(0x0D, 0x03)
@attrs.frozen
class ExchangeQuery(Body):
    exchange: U16


@snac(0x0D, 0x04)
@attrs.frozen
class RoomQuery(Body):
    exchange: U16
    room: Name8
    instance: U16
    detail: U8


@snac(0x0D, 0x08)
@attrs.frozen(kw_only=True)
class CreateRoom(Body):
    """Create a room, or find the one of this name: then `room` is `create`."""

    TLVS: ClassVar[Extent] = Extent.COUNTED

    exchange: U16
    room: Name8
    instance: U16
    detail: U8
    name: Annotated[str | None, in_tlv(0xD3, TEXT)] = None
    charset: Annotated[str | None, in_tlv(0xD6, TEXT)] = None
    language: Annotated[str | None, in_tlv(0xD7, TEXT)] = None


@snac(0x0D, 0x09)
@attrs.frozen(kw_only=True)
class RoomsReply(Body):
    """The answer to each request here. Of several exchanges, the first is read."""

    max_rooms: Annotated[int | None, in_tlv(0x02, NUMBER8)] = None
    exchange: Annotated[Exchange | None, in_tlv(0x03, Block(Exchange))] = None
