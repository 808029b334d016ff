"""Logins that a service takes from this host: whose turn it is.

Some services refuse all logins of an address for a while after too many of them, and all users of
this gateway share one address. So logins wait here, in the daemon, where they cost the service
nothing: users who are registered before those who try a password, users who have signed on less
often before those who come and go. Trials of passwords leave a fifth of the logins to sign-ons.
"""

import logging
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager

import attrs
import trio

from gateway.networks.base import LoginLimit

log = logging.getLogger(__name__)

RESERVED_SHARE = 5  # of so many logins trials leave one
USER_SHARE = 2  # of so many logins one user gets one


@attrs.define(eq=False)
class Login:
    """One login, from its turn until the service has forgotten it."""

    user: Hashable
    trial: bool
    until: float = float("inf")  # under way: the service may count it at any time
    counts: bool = False  # the service may have heard of it


@attrs.define(eq=False)
class _Waiter:
    user: Hashable
    trial: bool
    since: float
    login: Login | None = None
    news: trio.Event = attrs.field(factory=trio.Event)


class Allowance:
    """The logins of one service."""

    def __init__(self, limit: LoginLimit) -> None:
        self.limit = limit
        self._waiting: dict[_Waiter, None] = {}  # in the order they came
        self._logins: list[Login] = []  # under way, or not yet forgotten by the service
        self._held_until = float("-inf")
        self._noted = False  # that logins wait
        self._waited = 0  # logins, since none did
        self._longest = 0.0  # in seconds

    @asynccontextmanager
    async def turn(self, user: Hashable, *, trial: bool) -> AsyncGenerator[Login, None]:
        """Wait until `user` may log in; the body is the login.

        A login that `counts` as the body ends takes its place for `seconds` from then on.
        """
        waiter = _Waiter(user, trial, trio.current_time())
        self._waiting[waiter] = None
        try:
            yield await self._wait(waiter)
        finally:
            self._waiting.pop(waiter, None)
            if waiter.login is not None:
                self._end(waiter.login)
            self._admit()

    def waits(self, user: Hashable) -> bool:
        """Say whether a login of `user` waits for its turn."""
        return any(one.user == user for one in self._waiting)

    def hold(self, seconds: float) -> None:
        """Start no login for so long: the service refuses all that come from this host."""
        now = trio.current_time()
        if self._held_until <= now:
            log.warning(
                "%s refuses logins from this host as too many: the next one is in %d seconds. "
                "If nobody else uses this address, lower logins_a_minute",
                self.limit.service,
                seconds,
            )
        self._held_until = max(self._held_until, now + seconds)

    async def _wait(self, waiter: _Waiter) -> Login:
        self._admit()
        self._waited += waiter.login is None
        while waiter.login is None:
            waiter.news = trio.Event()
            # The first who waits watches the clock for all of them.
            is_first = next(iter(self._waiting)) is waiter
            with trio.move_on_at(self._next_change() if is_first else float("inf")):
                await waiter.news.wait()
            self._admit()
        return waiter.login

    def _admit(self) -> None:
        """Give out the turns there are, and have the first who still waits look at the clock."""
        now = trio.current_time()
        self._logins = [one for one in self._logins if one.until > now]
        while now >= self._held_until and (waiter := self._next()) is not None:
            del self._waiting[waiter]
            waiter.login = Login(waiter.user, waiter.trial)
            self._logins.append(waiter.login)
            waiter.news.set()
            self._longest = max(self._longest, now - waiter.since)
        if self._waiting:
            next(iter(self._waiting)).news.set()
        if self._waiting and self._is_used_up():
            self._note_waiting()
        elif not self._waiting:
            self._note_empty()

    def _is_used_up(self) -> bool:
        """Say whether it is the service that has no login left, and not one that is slow."""
        held = trio.current_time() < self._held_until
        return held or sum(one.until < float("inf") for one in self._logins) >= self.limit.logins

    def _next(self) -> _Waiter | None:
        """Return whose turn it is, if anybody's."""
        most = self.limit.logins
        if len(self._logins) >= most:
            return None
        trials = sum(one.trial for one in self._logins)
        counts: dict[Hashable, int] = {}
        for login in self._logins:
            counts[login.user] = counts.get(login.user, 0) + 1
        best: tuple[bool, int] | None = None
        found = None
        for waiter in self._waiting:
            count = counts.get(waiter.user, 0)
            if count >= max(1, most // USER_SHARE):
                continue
            if waiter.trial and trials >= max(1, most - max(1, most // RESERVED_SHARE)):
                continue
            rank = (waiter.trial, count)
            if best is None or rank < best:
                best, found = rank, waiter
        return found

    def _end(self, login: Login) -> None:
        if login.counts:
            login.until = trio.current_time() + self.limit.seconds
        else:
            self._logins.remove(login)

    def _next_change(self) -> float:
        """Return when the next login is forgotten, or the hold is over."""
        now = trio.current_time()
        if self._held_until > now:
            return self._held_until
        return min((one.until for one in self._logins), default=float("inf"))

    # --- what the operator reads: one line as it begins, one as it ends ---

    def _note_waiting(self) -> None:
        if self._noted:
            return
        self._noted = True
        log.info(
            "%s: %d logins wait: it takes %d in %d seconds from this host",
            self.limit.service,
            len(self._waiting),
            self.limit.logins,
            self.limit.seconds,
        )

    def _note_empty(self) -> None:
        if self._noted:
            log.info(
                "%s: no login waits any more: %d had to, the longest for %d seconds",
                self.limit.service,
                self._waited,
                self._longest,
            )
        self._noted, self._waited, self._longest = False, 0, 0.0


class Allowances:
    """The allowance of each service; gateways to one service share it."""

    def __init__(self) -> None:
        self._by_service: dict[str, Allowance] = {}

    def of(self, limit: LoginLimit) -> Allowance:
        """Return the allowance of a service; of two limits the smaller one holds."""
        found = self._by_service.setdefault(limit.service, Allowance(limit))
        if limit.logins < found.limit.logins:
            found.limit = limit
        return found

    def waits(self, user: Hashable) -> bool:
        return any(one.waits(user) for one in self._by_service.values())
