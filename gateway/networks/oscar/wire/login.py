"""Login: food group 17 (BUCP), and what hides the password in each kind of login."""

import hashlib
from itertools import cycle
from typing import Annotated

import attrs

from gateway.networks.oscar.wire.fields import (
    BYTES,
    FLAG,
    NUMBER8,
    NUMBER16,
    NUMBER32,
    TEXT,
    Bytes16,
    in_tlv,
)
from gateway.networks.oscar.wire.snac import Body, snac

AIM_CLIENT = 0x0109
ICQ_CLIENT = 0x010A

_SALT = b"AOL Instant Messenger (SM)"
_ROAST = bytes.fromhex("F3 26 81 C4 39 86 DB 92 71 A3 B9 E6 53 7A 95 7C")


def strong_hash(challenge: bytes, password: bytes) -> bytes:
    """Return what TLV 0x25 holds when 0x4C stands beside it."""
    return _md5(challenge + _md5(password) + _SALT)


def weak_hash(challenge: bytes, password: bytes) -> bytes:
    """Return what TLV 0x25 holds without 0x4C, as old clients send it."""
    return _md5(challenge + password + _SALT)


def roast(password: bytes) -> bytes:
    """Hide a password, or uncover it: the operation is its own inverse."""
    return bytes(byte ^ key for byte, key in zip(password, cycle(_ROAST), strict=False))


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()  # the protocol's, not our choice


@snac(0x17, 0x06)
@attrs.frozen
class ChallengeQuery(Body):
    name: Annotated[str | None, in_tlv(0x01, TEXT)] = None
    strong: Annotated[bool, in_tlv(0x4B, FLAG)] = False
    secur_id: Annotated[bool, in_tlv(0x5A, FLAG)] = False


@snac(0x17, 0x07)
@attrs.frozen
class Challenge(Body):
    key: Bytes16


@snac(0x17, 0x02)
@attrs.frozen(kw_only=True)
class LoginQuery(Body):
    name: Annotated[str | None, in_tlv(0x01, TEXT)] = None
    hash: Annotated[bytes | None, in_tlv(0x25, BYTES)] = attrs.field(default=None, repr=False)
    strong: Annotated[bool, in_tlv(0x4C, FLAG)] = False
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


@snac(0x17, 0x03)
@attrs.frozen(kw_only=True)
class LoginReply(Body):
    """A `cookie` and the `address` to take it to, or an `error`; the same stands in a `SignOff`."""

    name: Annotated[str | None, in_tlv(0x01, TEXT)] = None
    address: Annotated[str | None, in_tlv(0x05, TEXT)] = None
    cookie: Annotated[bytes | None, in_tlv(0x06, BYTES)] = attrs.field(default=None, repr=False)
    error: Annotated[int | None, in_tlv(0x08, NUMBER16)] = None
    url: Annotated[str | None, in_tlv(0x04, TEXT)] = None
    email: Annotated[str | None, in_tlv(0x11, TEXT)] = None
    registration: Annotated[int | None, in_tlv(0x13, NUMBER16)] = None
    tls: Annotated[int | None, in_tlv(0x8E, NUMBER8)] = None
    certificate: Annotated[str | None, in_tlv(0x8D, TEXT)] = None
