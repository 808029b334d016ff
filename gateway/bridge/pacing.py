"""When to try again, and how many may try at once: backoff, the gate, the circuit breaker.

A service that fails for several users is asked by one of them at a time until it answers; the
others are told at once that it cannot be reached, and come back as soon as it can.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from gateway.bridge.allowance import Allowances, Login
from gateway.errors import ConnectionLost, RemoteProtocolError, Unreached
from gateway.host import Host
from gateway.networks.base import LoginLimit, LoginRefused, Refusal

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 300.0
STABLE_SECONDS = 60.0
FAILURES_TO_OPEN = 5  # users
MAX_TRIAL_SECONDS = 30.0  # between two trials of a service that fails
INCIDENT_SECONDS = 60.0  # losses that follow each other so closely are one incident


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


@attrs.define(eq=False)
class Passage:
    """One attempt to sign on. `asked` False: the service was not asked anything."""

    login: Login | None = None
    asked: bool = True


class Incidents:
    """What goes wrong with one service, told to the operator once and not for each user."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._users: set[Hashable] = set()
        self._began = 0.0
        self._last = float("-inf")

    def note(self, user: Hashable, why: object) -> None:
        """Note that `user` has lost the service, or could not reach it."""
        now = trio.current_time()
        if not self._users or now - self._last > INCIDENT_SECONDS:
            self._users.clear()
            self._began = now
            log.info("%s: %s lost the service: %s", self._name, user, why)
        else:
            log.debug("%s: %s lost the service, too: %s", self._name, user, why)
        self._last = now
        self._users.add(user)

    def over(self) -> None:
        """Note that the service is there for somebody."""
        if len(self._users) > 1:
            seconds = trio.current_time() - self._began
            log.info(
                "%s: the service answers again after %d seconds; %d users had lost it",
                self._name,
                seconds,
                len(self._users),
            )
        self._users.clear()


class Gate:
    """The way to one service: at most `limit` sign-ons at once, `per_second` of them a second.

    `name` is the component's, for the log. `recovered` is called when the service answers again
    after it had failed for several users.
    """

    def __init__(
        self,
        host: Host,
        limit: int,
        per_second: float,
        *,
        name: str = "",
        allowances: Allowances | None = None,
    ) -> None:
        self._host = host
        self._name = name
        self._allowances = allowances or Allowances()
        self._limiter = trio.CapacityLimiter(limit)
        self._interval_seconds = 1.0 / per_second
        self._next_start = 0.0
        self._failed: set[Hashable] = set()  # for whom, since the service last answered anybody
        self._trial: Hashable | None = None  # who asks a service that fails
        self._next_trial = float("-inf")
        self._trial_delays = Backoff(host, FIRST_DELAY_SECONDS, MAX_TRIAL_SECONDS)
        self.incidents = Incidents(name)
        self.recovered: Callable[[], None] = lambda: None

    @property
    def open(self) -> bool:
        """Say whether the service is held for working: the breaker is not tripped."""
        return len(self._failed) < FAILURES_TO_OPEN

    def waits(self, user: Hashable) -> bool:
        """Say whether a login of `user` waits until the service takes one more."""
        return self._allowances.waits(user)

    @asynccontextmanager
    async def passage(
        self, user: Hashable, limit: LoginLimit | None = None, *, trial: bool = False
    ) -> AsyncGenerator[Passage, None]:
        """Wait for a turn to ask the service for `user`; the turn lasts as long as the body.

        `limit` is what the service takes of logins; `trial`: a password is tried. What the body
        raises, or that it raises nothing, says whether the service is there. Raises `Unreached`
        when it is not, and somebody else finds out when it is.
        """
        async with AsyncExitStack() as stack:
            self._refuse_while_closed()
            passage = Passage()
            if limit is not None:
                turn = self._allowances.of(limit).turn(user, trial=trial)
                passage.login = await stack.enter_async_context(turn)
            await stack.enter_async_context(self._limiter)
            await stack.enter_async_context(self._as_trial(user))
            await self._wait_for_start()
            if passage.login is not None:
                passage.login.counts = True
            try:
                yield passage
            except Unreached:
                passage.asked = False
                self.failed(user)
                raise
            except (ConnectionLost, RemoteProtocolError):
                self.failed(user)
                raise
            except LoginRefused as exc:
                if limit is not None and exc.reason is Refusal.TOO_MANY_ATTEMPTS:
                    self._allowances.of(limit).hold(exc.retry_after or limit.seconds)
                self.answered()
                raise
            else:
                if passage.asked:
                    self.answered()
            finally:
                if passage.login is not None:
                    passage.login.counts = passage.asked

    def answered(self) -> None:
        """Note that the service answered, whatever it said."""
        was_open = self.open
        self._failed.clear()
        self._trial_delays.reset()
        self._next_trial = float("-inf")
        self.incidents.over()
        if not was_open:
            self.recovered()

    def failed(self, user: Hashable) -> None:
        """Note that the service could not be reached, or broke off a sign-on, for `user`.

        However often it fails for one of them: that alone holds up nobody else.
        """
        was_open = self.open
        self._failed.add(user)
        if not self.open:
            self._next_trial = trio.current_time() + self._trial_delays.next_delay()
        if was_open and not self.open:
            log.warning(
                "%s: the service fails for everybody; one user at a time tries it until it answers",
                self._name,
            )

    def _refuse_while_closed(self) -> None:
        if not self.open and self._trial is not None:
            raise Unreached("the service fails for everybody; another user tries it")

    @asynccontextmanager
    async def _as_trial(self, user: Hashable) -> AsyncGenerator[None, None]:
        """Be the one who asks, while the breaker is tripped."""
        self._refuse_while_closed()
        if self.open:
            yield
            return
        self._trial = user
        try:
            await trio.sleep_until(self._next_trial)
            yield
        finally:
            self._trial = None

    async def _wait_for_start(self) -> None:
        now = trio.current_time()
        start = max(now, self._next_start)
        jitter = self._host.random.uniform(0.5, 1.5)
        self._next_start = start + self._interval_seconds * jitter
        if start > now:
            await trio.sleep_until(start)
