"""Contract: a session can be cancelled anywhere, and leaves nothing behind.

The cancellation is injected after the k-th step of any task, for k = 0, 1, 2… until the whole
story has run to its end without it.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.errors import ConnectionLost
from gateway.networks.base import (
    Account,
    ContactList,
    LoginRefused,
    MessageReceived,
    Refusal,
    SendMessage,
)
from tests.contract.harness import Harness, next_event, no_challenge, nothing_left, sign_on

MAX_STEPS = 2_000
LEAST_STEPS = 10  # a story that is over sooner has told nothing
LEAVING_SECONDS = 15

Story = Callable[[Harness, Account], Awaitable[None]]


class CancelAfter(trio.abc.Instrument):
    """Cancel `scope` after so many steps of tasks."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._left = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


@asynccontextmanager
async def cancelled_after(steps: int) -> AsyncGenerator[trio.CancelScope, None]:
    with trio.CancelScope() as scope:
        instrument = CancelAfter(scope, steps)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield scope
        finally:
            trio.lowlevel.remove_instrument(instrument)


async def sign_on_and_off(harness: Harness, account: Account) -> None:
    async with sign_on(harness, account):
        pass


async def check(harness: Harness, account: Account) -> None:
    await harness.network.check(account, no_challenge)


async def talk(harness: Harness, account: Account) -> None:
    async with sign_on(harness, account) as client:
        await next_event(client, ContactList)
        await client.send(SendMessage(ref="1", conversation="romeo", text="to myself"))
        client.acknowledge((await next_event(client, MessageReceived)).token)


async def meet_silence(harness: Harness, account: Account) -> None:
    async with sign_on(harness, account) as client:
        await next_event(client, ContactList)
        harness.fall_silent()
        await client.send(SendMessage(ref="1", conversation="nobody", text="Hello?"))


async def meet_deafness(harness: Harness, account: Account) -> None:
    async with sign_on(harness, account) as client:
        await next_event(client, ContactList)
        harness.stop_reading()
        await client.send(SendMessage(ref="1", conversation="nobody", text="Hello?"))


async def be_refused(harness: Harness, account: Account) -> None:
    harness.refuse(Refusal.BUSY)
    with contextlib.suppress(LoginRefused):
        await sign_on_and_off(harness, account)


async def be_cut_off(harness: Harness, account: Account) -> None:
    with contextlib.suppress(ConnectionLost):
        async with sign_on(harness, account) as client:
            harness.hang_up()
            await client.send(SendMessage(ref="1", conversation="nobody", text="Hello?"))
            while True:
                await client.receive()


STORIES: list[Story] = [
    sign_on_and_off,
    check,
    talk,
    meet_silence,
    meet_deafness,
    be_refused,
    be_cut_off,
]


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES)
async def test_a_cancellation_anywhere_leaves_nothing(
    timed: Harness, autojump_clock: MockClock, story: Story
) -> None:
    account = timed.account("romeo")
    for steps in range(1, MAX_STEPS):
        start = trio.current_time()
        async with nothing_left(timed):
            async with cancelled_after(steps) as scope:
                await story(timed, account)
            assert trio.current_time() - start <= LEAVING_SECONDS
            timed.heal()
        if not scope.cancel_called:
            break
    else:
        pytest.fail(f"the story has not ended in {MAX_STEPS} steps")
    assert steps > LEAST_STEPS
    async with sign_on(timed, account) as client:  # and the service is none the worse
        await next_event(client, ContactList)
