"""Food group 10: buddy icons, on a connection of their own."""

from typing import Annotated

import attrs

from gateway.networks.oscar.wire.fields import (
    U8,
    U8_FIELD,
    U16,
    Block,
    Bytes16,
    Name8,
    Repeated,
)
from gateway.networks.oscar.wire.people import BartId
from gateway.networks.oscar.wire.snac import Body, snac

GROUP = 0x0010

_BART = Block(BartId)


@snac(0x10, 0x02)
@attrs.frozen
class Upload(Body):
    type: U16
    image: Bytes16 = attrs.field(repr=False)


@snac(0x10, 0x03)
@attrs.frozen
class Uploaded(Body):
    code: U8
    id: Annotated[BartId, _BART]


@snac(0x10, 0x04)
@attrs.frozen
class IconQuery(Body):
    name: Name8
    ids: Annotated[tuple[BartId, ...], Repeated(U8_FIELD, _BART)]


@snac(0x10, 0x05)
@attrs.frozen
class IconReply(Body):
    name: Name8
    id: Annotated[BartId, _BART]
    image: Bytes16 = attrs.field(repr=False)


@snac(0x10, 0x06)
@attrs.frozen
class IconsQuery(Body):
    name: Name8
    ids: Annotated[tuple[BartId, ...], Repeated(U8_FIELD, _BART)]


@snac(0x10, 0x07)
@attrs.frozen
class IconsReply(Body):
    """`code` 0: `image` is what `asked` was; `found` says what it is."""

    name: Name8
    asked: Annotated[BartId, _BART]
    code: U8
    found: Annotated[BartId, _BART]
    image: Bytes16 = attrs.field(repr=False)
