"""The fence around each session: the only place in the program that catches broadly.

A bug, ours or a driver's, ends one session and nothing else. `fenced` stands around the whole life
of a session. `guarded` stands around what other tasks call for a session: the link's reader, the
roll call, the journal.
"""

import logging
from collections.abc import Awaitable, Callable

from gateway.networks.base import Capabilities, LegacyClient, LegacyCommand, LegacyEvent

log = logging.getLogger(__name__)


class Broken(Exception):
    """Ends a session because of a bug that another task has met and logged."""


async def fenced(name: str, life: Callable[[], Awaitable[None]]) -> bool:
    """Live a life, and log the bug that ends it. Returns whether it ended without one."""
    whole = False
    try:
        await life()
        whole = True
    except* Broken:
        pass
    except* Exception:  # Cancelled is a BaseException, and passes
        log.exception("%s: ended by a bug", name)
    return whole


def guarded(name: str, call: Callable[[], None], broken: Callable[[], None]) -> bool:
    """Make a call for the session `name`. If it raises: log it, call `broken`, return False."""
    try:
        call()
    except Exception:
        log.exception("%s: a call for this session failed by a bug", name)
        broken()
        return False
    return True


class GuardedClient:
    """A driver's client whose `acknowledge` may be called from any task.

    What it raises ends the session by `broken`, and does not reach the caller. The driver is told
    of no further token then.
    """

    def __init__(self, name: str, client: LegacyClient, broken: Callable[[], None]) -> None:
        self._name = name
        self._client = client
        self._broken = broken
        self._works = True

    @property
    def own_address(self) -> str:
        return self._client.own_address

    @property
    def display_name(self) -> str:
        return self._client.display_name

    @property
    def capabilities(self) -> Capabilities:
        return self._client.capabilities

    async def receive(self) -> LegacyEvent:
        return await self._client.receive()

    async def send(self, command: LegacyCommand) -> None:
        await self._client.send(command)

    def acknowledge(self, token: object) -> None:
        if self._works:
            call = self._client.acknowledge
            self._works = guarded(self._name, lambda: call(token), self._broken)
