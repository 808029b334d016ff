"""A server of literal bytes, and AIM or ICQ signed on there, on a simulated clock."""

import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import pytest
import trio

from gateway.networks.base import (
    Account,
    ContactList,
    LegacyClient,
    LegacyCommand,
    Strand,
)
from gateway.networks.oscar import Aim, Icq
from gateway.networks.oscar.settings import AimSettings, IcqSettings
from tests.contract import harness
from tests.contract.harness import no_challenge
from tests.fakes.oscar_server import (
    OscarServer,
    h,
    oscar_server,
    tlv,
    user,
)

ROMEO = Account("romeo", "montague")
NUMBER = Account("10001", "montague")
E = TypeVar("E")
SEEN = frozenset((Strand.SEES, Strand.SEEN_BY))


@attrs.define
class Scene:
    """A server, and the network that is configured for it."""

    server: OscarServer
    network: Aim | Icq
    account: Account


@asynccontextmanager
async def aim(**settings: object) -> AsyncGenerator[Scene, None]:
    async with oscar_server() as (server, host):
        given: dict[str, object] = {"host": "oscar.example", "tls": "off", **settings}
        yield Scene(server, Aim(host, AimSettings(**given)), ROMEO)  # type: ignore[arg-type]


@asynccontextmanager
async def icq(**settings: object) -> AsyncGenerator[Scene, None]:
    async with oscar_server() as (server, host):
        given: dict[str, object] = {"host": "oscar.example", "tls": "off", **settings}
        yield Scene(server, Icq(host, IcqSettings(**given)), NUMBER)  # type: ignore[arg-type]


@asynccontextmanager
async def signed_on(scene: Scene) -> AsyncGenerator[LegacyClient, None]:
    async with scene.network.sign_on(scene.account, no_challenge) as client:
        assert isinstance(await client.receive(), ContactList)
        await scene.server.hear(1, 2)
        yield client


async def ask_of(client: LegacyClient, command: LegacyCommand, kind: type[E]) -> E:
    """Send a command; return its answer, when the server has read it, too."""
    answer = await harness.ask_of(client, command, kind)
    await trio.testing.wait_all_tasks_blocked()
    return answer


def typed(kind: int, text: bytes, sender: str = "10002") -> bytes:
    data = struct.pack("<IBBH", int(sender), kind, 0, len(text) + 1) + text + b"\0"
    return b"12345678" + h("0004") + user(sender) + tlv(5, data)


def envelope(command: int, sequence: int, data: bytes) -> bytes:
    inner = struct.pack("<IHH", 10001, command, sequence) + data
    return tlv(1, struct.pack("<H", len(inner)) + inner)


def kept(text: bytes) -> bytes:
    head = struct.pack("<IHBBBBBBH", 10002, 2026, 7, 20, 12, 30, 1, 0, len(text) + 1)
    return head + text + b"\0"


def lz(text: bytes) -> bytes:
    return struct.pack("<H", len(text) + 1) + text + b"\0"


ICON = bytes(range(16))
BART = h("0001 01 10") + ICON


async def enter(scene: Scene, account: Account) -> None:
    async with scene.network.sign_on(account, no_challenge):
        pytest.fail("signed on")
