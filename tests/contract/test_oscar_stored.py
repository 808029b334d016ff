"""What Open OSCAR Server stores, as the driver meets it in the emulated service's likenesses."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost
from gateway.networks.base import (
    Account,
    AddContact,
    AddResult,
    CommandDone,
    ContactList,
    ContactRequest,
    LegacyEvent,
    MessageReceived,
    Notice,
    RequestAnswered,
    Strand,
)
from gateway.networks.oscar.fetching import OTHER_WAY
from legacy_emu.faults import Kind, Moment
from legacy_emu.policy import Likeness, Policy
from tests.contract.harness import ask_of, next_event, sign_on, until_ended
from tests.contract.oscar import AimHarness, icq_in_memory, in_memory

LIKENESSES = [Likeness.OPEN_OSCAR_SERVER, Likeness.OPEN_OSCAR_SERVER_0_23]
ROMEO = Account("10001", "10001-pw")
PRESET = "open-oscar-server"


@asynccontextmanager
async def likeness(
    like: Likeness = Likeness.OPEN_OSCAR_SERVER,
) -> AsyncGenerator[AimHarness, None]:
    async with icq_in_memory(Policy(oscar=like)) as icq:
        for number in ("10001", "10002", "10003"):
            icq.control.create_account(number, f"{number}-pw", f"nick {number}")
        async with sign_on(icq, ROMEO):  # who sees the number by now is no news
            pass
        yield icq


async def stay(icq: AimHarness, *, acknowledges: bool = True) -> tuple[list[LegacyEvent], bool]:
    """Sign on and off; return what was told, and whether the session lasted."""
    told: list[LegacyEvent] = []
    try:
        async with sign_on(icq, ROMEO) as client:
            with trio.move_on_after(20):
                while True:
                    told.append(await client.receive())
                    token = getattr(told[-1], "token", None)
                    if acknowledges and token is not None:
                        client.acknowledge(token)
    except ConnectionLost:
        return told, False
    return told, True


def of(told: list[LegacyEvent], *kinds: type[LegacyEvent]) -> list[LegacyEvent]:
    return [one for one in told if isinstance(one, kinds)]


VALUES = (ContactRequest, RequestAnswered, MessageReceived, Notice)


@pytest.mark.parametrize("like", LIKENESSES)
async def test_what_was_missed_comes_until_safe(autojump_clock: MockClock, like: Likeness) -> None:
    async with likeness(like) as icq:
        icq.control.add_contact("10002", "10001", reason="please")
        icq.control.add_contact("10001", "10003")
        icq.control.deny("10003", "10001", "no")
        icq.control.befriend("10003", "10001")
        icq.say("10002", "10001", "Hi")
        for _ in range(2):
            told, lasted = await stay(icq, acknowledges=False)
            kinds = sorted(type(one).__name__ for one in of(told, *VALUES))
            assert kinds == ["ContactRequest", "MessageReceived", "Notice", "RequestAnswered"]
            assert lasted
        await stay(icq)
        told, _ = await stay(icq)
        assert of(told, *VALUES) == []
        assert icq.unacknowledged("10001") == []


async def test_a_refused_request_is_not_asked_again(autojump_clock: MockClock) -> None:
    async with likeness() as icq:
        icq.control.add_contact("10002", "10001", reason="please")
        assert len(of((await stay(icq))[0], ContactRequest)) == 1
        icq.control.deny("10001", "10002", "no")
        assert of((await stay(icq))[0], ContactRequest) == []


@pytest.mark.parametrize("like", LIKENESSES)
async def test_a_poisoned_store_costs_two_sessions(
    autojump_clock: MockClock, like: Likeness
) -> None:
    async with likeness(like) as icq:
        icq.control.set_fault(Kind.POISON, account="10001")
        icq.say("10002", "10001", "Hi")
        for _ in range(2):
            assert (await stay(icq))[1] is False
        told, lasted = await stay(icq)
        assert lasted
        assert [one.text for one in told if isinstance(one, Notice)] == [OTHER_WAY]
        assert of((await stay(icq))[0], *VALUES) == []
        assert icq.control.faults() == {}


async def test_a_service_that_dies_at_each_frame(autojump_clock: MockClock) -> None:
    """Wherever that is, the session ends in order; and what was stored is told in the end."""
    async with likeness(Likeness.PLAIN) as icq:
        icq.control.set_policy(oscar=Likeness.OPEN_OSCAR_SERVER)
        icq.control.add_contact("10002", "10001", reason="please")
        for frames in range(2, 30):
            icq.control.set_fault(Kind.DROP, moment=Moment.FRAMES, after_frames=frames)
            with trio.move_on_after(60):
                await stay(icq, acknowledges=False)
            icq.control.clear_faults()
            await trio.sleep(600)
        for _ in range(4):
            told, lasted = await stay(icq)
            if of(told, ContactRequest):
                break
        assert lasted


async def test_a_number_added_by_a_name_is_asked(autojump_clock: MockClock) -> None:
    async with in_memory(Policy(oscar=Likeness.OPEN_OSCAR_SERVER), preset=PRESET) as aim:
        account = aim.account("romeo")
        aim.control.create_account("10002", "10002-pw")
        async with sign_on(aim, account) as client:
            done = await ask_of(client, AddContact(ref="a", address="10002"), CommandDone)
            assert done.result is AddResult.ASKED
            aim.control.grant("10002", "romeo")
            assert (await next_event(client, RequestAnswered)).granted
        async with sign_on(aim, account) as client:
            [contact] = (await next_event(client, ContactList)).contacts
            assert Strand.SEES in contact.subscription


async def test_a_kick_says_no_address(autojump_clock: MockClock) -> None:
    async with likeness() as icq, sign_on(icq, ROMEO) as client:
        icq.control.kick("10001", text="closing time")
        _, ended = await until_ended(client)
        assert getattr(ended, "text", None) == ""
