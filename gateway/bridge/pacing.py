"""When to try again, and how many may try at once: backoff, the gate, the circuit breaker.

A service that fails for everybody is asked by one session at a time until it answers one of them;
the others wait.
"""

from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager

import trio

from gateway.host import Host

FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 300.0
STABLE_SECONDS = 60.0
FAILURES_TO_OPEN = 5  # users


class Backoff:
    """Growing delays with jitter; back to the first after a connection that held a while."""

    def __init__(
        self,
        host: Host,
        first_seconds: float = FIRST_DELAY_SECONDS,
        most_seconds: float = MAX_DELAY_SECONDS,
    ) -> None:
        self._host = host
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._tries = 0

    def next_delay(self, *, stayed_seconds: float = 0.0, at_least: float | None = None) -> float:
        """Return the seconds to wait before the next try; `at_least` is what the service asked."""
        if stayed_seconds >= STABLE_SECONDS:
            self._tries = 0
        delay = min(self._first_seconds * 2.0**self._tries, self._most_seconds)
        self._tries = min(self._tries + 1, 30)
        delay *= self._host.random.uniform(0.5, 1.0)
        return max(delay, at_least or 0.0)

    def reset(self) -> None:
        self._tries = 0


class Gate:
    """The way to one service: at most `limit` sign-ons at once, `per_second` of them a second."""

    def __init__(self, host: Host, limit: int, per_second: float) -> None:
        self._host = host
        self._limiter = trio.CapacityLimiter(limit)
        self._trial = trio.CapacityLimiter(1)
        self._interval_seconds = 1.0 / per_second
        self._next_start = 0.0
        self._failed: set[Hashable] = set()  # for whom, since the service last answered anybody

    @property
    def open(self) -> bool:
        """Say whether the service is held for working: the breaker is not tripped."""
        return len(self._failed) < FAILURES_TO_OPEN

    @asynccontextmanager
    async def passage(self) -> AsyncGenerator[None, None]:
        """Wait for a turn to sign on; the turn lasts as long as the body."""
        async with self._limiter:
            if self.open:
                await self._wait_for_start()
                yield
            else:
                async with self._trial:
                    await self._wait_for_start()
                    yield

    def answered(self) -> None:
        """Note that the service answered, whatever it said."""
        self._failed.clear()

    def failed(self, user: Hashable) -> None:
        """Note that the service could not be reached, or broke off a sign-on, for `user`.

        However often it fails for one of them: that alone holds up nobody else.
        """
        self._failed.add(user)

    async def _wait_for_start(self) -> None:
        now = trio.current_time()
        start = max(now, self._next_start)
        jitter = self._host.random.uniform(0.5, 1.5)
        self._next_start = start + self._interval_seconds * jitter
        if start > now:
            await trio.sleep_until(start)
