"""What the contract suite needs of a network: its service started, and hands on the other end.

A new network writes one `Harness`, in a module here with the name of its folder; every test then
runs against it. Names are screen names in canonical spelling; nothing here is named after one
network.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

import trio
import trio.testing

from gateway.errors import BalconyError
from gateway.networks.base import (
    Account,
    Answer,
    Challenge,
    LegacyClient,
    LegacyCommand,
    LegacyEvent,
    Network,
    Refusal,
    Show,
    SignedOff,
    TypingState,
)

PATIENCE_SECONDS = 10
LOOK_AGAIN_SECONDS = 0.01

E = TypeVar("E")

MakeHarness = Callable[[], AbstractAsyncContextManager["Harness"]]


class Harness(Protocol):
    """One service with one network that is configured for it, and what can be done to both."""

    @property
    def network(self) -> Network: ...

    @property
    def cannot(self) -> Mapping[str, str]:
        """What the network's protocol has no way to promise: patterns of tests, each with why."""

    @property
    def repeats(self) -> bool:
        """Say whether what was not acknowledged comes again, under the id it had."""

    @property
    def endings(self) -> Collection[Refusal]:
        """Return the reasons the network has words for when it ends a session."""

    @property
    def ends_in_words(self) -> bool:
        """Say whether the service's own words come with the end of a session."""

    def told(self, reason: Refusal, retry_after: float | None) -> tuple[Refusal, float | None]:
        """Return what the network can say of a refused sign-on."""

    # --- its people ---------------------------------------------------------------------------

    def account(self, name: str) -> Account:
        """Make an account that nobody uses, and return its credentials."""

    def befriend(self, first: str, second: str) -> None:
        """Let two see each other, each on the other's list."""

    def show(self, name: str, show: Show, text: str = "") -> None:
        """Let somebody sign on, if he is not, and show himself so."""

    def say(self, sender: str, to: str, text: str) -> str:
        """Let somebody send a message; returns its id on the network."""

    def type(self, sender: str, to: str, state: TypingState) -> None: ...

    def ask(self, asker: str, to: str, reason: str) -> None:
        """Let somebody ask to see somebody."""

    def grant(self, name: str, asker: str) -> None: ...

    def deny(self, name: str, asker: str, reason: str) -> None: ...

    def remove(self, name: str, contact: str) -> None:
        """Let somebody take a contact off his list."""

    def texts_to(self, name: str) -> list[str]:
        """Return the texts that have reached the service for `name`, in order."""

    def unacknowledged(self, name: str) -> list[str]:
        """Return the ids the service would repeat to `name`, oldest first."""

    def left_orderly(self, name: str) -> bool:
        """Say whether the last session of `name` ended by its own sign-off."""

    # --- its bad days -------------------------------------------------------------------------

    def refuse(self, reason: Refusal, retry_after: float | None = None) -> None:
        """Refuse the next sign-on or check."""

    def sign_off(self, name: str, reason: Refusal | None, text: str) -> None:
        """End somebody's session, in order."""

    def hang_up(self) -> None:
        """Close all connections, without a word."""

    def hang_up_at_connect(self) -> None: ...

    def hang_up_at_sign_on(self) -> None: ...

    def fall_silent(self) -> None:
        """Send nothing any more, on any connection, until `heal`."""

    def stop_reading(self) -> None: ...

    def garble(self) -> None:
        """Break the protocol towards everybody who is connected."""

    def heal(self) -> None: ...

    def connections(self) -> int:
        """Return how many connections the service has."""


async def no_challenge(challenge: Challenge) -> Answer:
    raise AssertionError(f"nobody is here to answer {challenge.text!r}")


def sign_on(harness: Harness, account: Account) -> AbstractAsyncContextManager[LegacyClient]:
    return harness.network.sign_on(account, no_challenge)


async def next_event(
    client: LegacyClient, kind: type[E], wanted: Callable[[E], bool] = lambda _: True
) -> E:
    """Return the next event of this kind that is wanted; what comes before it is dropped."""
    seen: list[LegacyEvent] = []
    with trio.move_on_after(PATIENCE_SECONDS):
        while True:
            event = await client.receive()
            if isinstance(event, kind) and wanted(event):
                return event
            seen.append(event)
    raise AssertionError(f"no {kind.__name__} came, but {seen}")


async def ask_of(client: LegacyClient, command: LegacyCommand, kind: type[E]) -> E:
    """Send a command and return the answer of this kind that names it."""
    with trio.fail_after(PATIENCE_SECONDS):
        await client.send(command)
    return await next_event(
        client, kind, lambda answer: getattr(answer, "ref", None) == command.ref
    )


async def until_ended(client: LegacyClient) -> tuple[list[LegacyEvent], Exception]:
    """Take events until the session ends; returns them, and what `receive` raised."""
    seen: list[LegacyEvent] = []
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            try:
                seen.append(await client.receive())
            except (BalconyError, SignedOff) as exc:
                return seen, exc


def all_tasks() -> list[str]:
    """Return the names of all tasks of this run but trio's own."""

    def below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from below(child)

    root = trio.lowlevel.current_root_task()
    assert root is not None
    return sorted(task.name for task in below(root))


@asynccontextmanager
async def nothing_left(harness: Harness) -> AsyncGenerator[None, None]:
    """Check that the body leaves no connection and no task."""
    await trio.testing.wait_all_tasks_blocked()
    before, tasks = harness.connections(), all_tasks()
    yield
    with trio.move_on_after(PATIENCE_SECONDS):
        # The service cleans up in its own time, which a simulated clock gives to sleepers alone.
        while harness.connections() != before or all_tasks() != tasks:  # noqa: ASYNC110
            await trio.sleep(LOOK_AGAIN_SECONDS)
    assert harness.connections() == before, "a connection is left"
    assert all_tasks() == tasks, f"left: {set(all_tasks()) - set(tasks)}"
