"""Random texts between numbers and names: they arrive as sent, or the sender is told.

Both sides are our driver, and in between is the emulator, plain or like Open OSCAR Server; one
reader more is a client of literal bytes without capabilities. What is not kept is documented: line
ends are LF, those at the end of HTML are nothing, halves of surrogate pairs become U+FFFD.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random  # noqa: TID251 - each case has a seed of its own
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import (
    Account,
    ContactList,
    LegacyClient,
    MessageOutcome,
    MessageReceived,
    SendMessage,
    Stage,
)
from gateway.networks.oscar import Aim, Icq
from gateway.networks.oscar.protocol.talk import Dialect
from gateway.networks.oscar.settings import AimSettings, IcqSettings
from gateway.networks.oscar.wire import messages
from gateway.networks.oscar.wire.text import decode_parts_text
from legacy_emu.control import Control
from legacy_emu.fronts.oscar import rates
from legacy_emu.host import RealWorld
from legacy_emu.policy import Likeness, Policy
from legacy_emu.service import Service
from tests.contract.harness import ask_of, next_event, no_challenge
from tests.contract.oscar import OscarHost
from tests.unit.legacy_emu.oscar_client import OscarWire, signing_on, tlvs

PEOPLE = ("10001", "10002", "romeo", "juliet")
RAW = "10003"  # a client without capabilities
PAIRS = (("10001", "10002"), ("romeo", "10002"), ("10001", "juliet"), ("romeo", "juliet"),
         ("10001", RAW), ("romeo", RAW))  # fmt: skip
MARKUP = ("<b>", "</b>", "<br>", "<html>", "</html>", "<HTML><BODY>", "<!--", "-->", "<", ">", "&",
          "&amp;", "&lt;b&gt;", "&#60;", "&nbsp;", "AT&T")  # fmt: skip
PLAIN = ("\n", "\r\n", "\r", "  ", " ", "a", "Z", "/", "!", "#", ";", ".")
LETTERS = ("\u010d", "\u0d0d", "\u200d", "\u0d28\u0d42\u0d21\u0d3f", "\u3c61", "\u2626\u6100",
           "e\u0301", "\u05e9\u05dc\u05d5\u05dd", "\u0434\u0430", "\xe9", "\xa0", "\ufeff",
           "\u2028", "\x85", "\U0001f40d", "\U0001f468\u200d\U0001f469", "\U00010d0d", "\ud83d",
           "\udc0d", "\ufffd")  # fmt: skip


def random_texts(seed: int, count: int) -> Iterator[str]:
    random = Random(seed)  # noqa: S311 - not for secrets
    for _ in range(count):
        text = "".join(_piece(random) for _ in range(random.randint(1, 12)))
        yield text if as_read(text) else "."


def _piece(random: Random) -> str:
    if random.random() < 0.75:
        return random.choice(random.choice((MARKUP, PLAIN, LETTERS)))
    most = random.choice((0x7F, 0x7FF, 0xFFFF, 0x10FFFF))
    found = chr(random.randint(0x20, most))
    return found if found.isprintable() else " "


def as_read(text: str) -> str:
    """Return what is documented to arrive of a text."""
    text = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


@attrs.define
class Cast:
    networks: tuple[Icq, Aim]
    clients: dict[str, LegacyClient]
    raw: OscarWire

    @asynccontextmanager
    async def signed_on(self, name: str) -> AsyncGenerator[LegacyClient, None]:
        network = self.networks[0] if name.isdigit() else self.networks[1]
        async with network.sign_on(Account(name, f"{name}-pw"), no_challenge) as client:
            await next_event(client, ContactList)
            yield client


@asynccontextmanager
async def on_stage(
    likeness: Likeness, online: tuple[str, ...] = PEOPLE
) -> AsyncGenerator[Cast, None]:
    service = Service(RealWorld(), Policy(oscar=likeness))
    service.addresses["oscar"] = "oscar.example:5190"
    control = Control(service)
    for name in (*PEOPLE, RAW):
        control.create_account(name, f"{name}-pw", consent=False)
    for first in PEOPLE:
        for second in (*PEOPLE, RAW):
            if first != second:
                control.befriend(first, second)
    given: dict[str, Any] = {"host": "oscar.example", "tls": "off", "preset": likeness.value}
    with pytest.MonkeyPatch.context() as patch:
        classes = [(number, 10_000, 30, 20, 10, 5, 6_000) for number in range(1, 6)]
        patch.setattr(rates, "_CLASSES", tuple(classes))
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            host = OscarHost(nursery, service)
            networks = Icq(host, IcqSettings(**given)), Aim(host, AimSettings(**given))
            raw = await stack.enter_async_context(signing_on(service)(RAW))
            cast = Cast(networks, {}, raw)
            for name in online:
                cast.clients[name] = await stack.enter_async_context(cast.signed_on(name))
            await trio.testing.wait_all_tasks_blocked()
            yield cast
            await stack.aclose()
            nursery.cancel_scope.cancel()


async def said_by(client: LegacyClient, to: str, text: str) -> Stage:
    message = SendMessage(ref="m", conversation=to, text=text)
    return (await ask_of(client, message, MessageOutcome)).stage


async def carry(cast: Cast, sender: str, to: str, text: str) -> str | None:
    """Send a text and return what arrives; None: the sender is told that it failed."""
    if await said_by(cast.clients[sender], to, text) is Stage.FAILED:
        return None
    got = ""
    while len(got) < len(as_read(text)):
        got += (await next_event(cast.clients[to], MessageReceived)).text
    return got


async def carry_to_raw(cast: Cast, sender: str, to: str, text: str) -> str | None:
    """Send a text to the client of literal bytes; read it as an ICQ client of today does."""
    if await said_by(cast.clients[sender], to, text) is Stage.FAILED:
        return None
    dialect = Dialect(own_is_uin=True, code_page="cp1252", strips_html=False)
    got = ""
    while len(got) < len(as_read(text)):
        data = (await cast.raw.expect("04/07")).data
        parts = messages.decode_parts(_tlv_2(data))
        got += dialect.readable(decode_parts_text(parts), sender)
    return got


def _tlv_2(received: bytes) -> bytes:
    at = 10 + 1 + received[10] + 2
    count, at = int.from_bytes(received[at : at + 2], "big"), at + 2
    for _ in range(count):
        at += 4 + int.from_bytes(received[at + 2 : at + 4], "big")
    return tlvs(received[at:])[2]


LIKENESSES = (Likeness.PLAIN, Likeness.OPEN_OSCAR_SERVER)


async def check(likeness: Likeness, seed: int, count: int) -> None:
    failed = 0
    async with on_stage(likeness) as cast:
        for number, text in enumerate(random_texts(seed, count)):
            sender, to = PAIRS[number % len(PAIRS)]
            got = await (carry_to_raw if to == RAW else carry)(cast, sender, to, text)
            failed += got is None
            if got is not None:
                assert as_read(got) == as_read(text), (number, text)
    assert failed < count // 100


@pytest.mark.parametrize("likeness", LIKENESSES)
async def test_random_texts_arrive_as_sent(autojump_clock: MockClock, likeness: Likeness) -> None:
    await check(likeness, 1, 120)


@pytest.mark.slow
@pytest.mark.parametrize("likeness", LIKENESSES)
@pytest.mark.parametrize("seed", range(5))
async def test_many_random_texts_arrive_as_sent(
    autojump_clock: MockClock, likeness: Likeness, seed: int
) -> None:
    await check(likeness, 100 + seed, 1_000)


STORED = ("plain", "caf\xe9", "<b>caf\xe9", "\U0001f600", "<b>\U0001f600", "AT&T \u010d")


@pytest.mark.parametrize("likeness", [*LIKENESSES, Likeness.OPEN_OSCAR_SERVER_0_23])
async def test_stored_texts_arrive_as_sent(autojump_clock: MockClock, likeness: Likeness) -> None:
    async with on_stage(likeness, online=("10001",)) as cast:
        for text in STORED:
            assert await said_by(cast.clients["10001"], "10002", text) is Stage.ACCEPTED
        async with cast.signed_on("10002") as client:
            got = ""
            while len(got) < len("".join(STORED)):
                message = await next_event(client, MessageReceived)
                assert message.sender == "10001"
                assert message.sent_at is not None
                got += message.text
    assert got == "".join(STORED)


@pytest.mark.parametrize("likeness", LIKENESSES)
async def test_stored_texts_of_names_reach_numbers(
    autojump_clock: MockClock, likeness: Likeness
) -> None:
    async with on_stage(likeness, online=("romeo",)) as cast:
        for text in STORED:
            assert await said_by(cast.clients["romeo"], "10002", text) is Stage.ACCEPTED
        async with cast.signed_on("10002") as client:
            got = [await next_event(client, MessageReceived) for _ in STORED]
    assert [(one.sender, one.text) for one in got] == [("romeo", text) for text in STORED]
