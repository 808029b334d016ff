"""Wrong passwords: how long a user has to wait before they may try another one.

The delays grow with each wrong password, for the user who tries and for the legacy account. An
attempt that is refused here does not reach the service, so it uses up no login that others need.
"""

import math
from collections.abc import Hashable

import attrs
import trio

USER_FREE = 3  # the wrong password of a user from which on they wait
USER_FIRST_SECONDS = 30.0
USER_MAX_SECONDS = 3_600.0
ACCOUNT_FREE = 10  # the same for a legacy account, by all users together
ACCOUNT_FIRST_SECONDS = 30.0
ACCOUNT_MAX_SECONDS = 300.0  # short: its owner has to wait as well, before they register
FORGOTTEN_SECONDS = 86_400.0
MAX_KEPT = 10_000  # users, and as many accounts


@attrs.define
class _Failures:
    about: Hashable  # what all of them concern; None: several
    count: int = 0
    last: float = 0.0
    until: float = 0.0


class _Counter:
    """Failures by key, and the growing time that each key waits."""

    def __init__(self, free: int, first_seconds: float, most_seconds: float) -> None:
        self._free = free
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._by_key: dict[Hashable, _Failures] = {}

    def wait_seconds(self, key: Hashable) -> float:
        found = self._by_key.get(key)
        return 0.0 if found is None else max(0.0, found.until - trio.current_time())

    def failed(self, key: Hashable, about: Hashable) -> None:
        now = trio.current_time()
        found = self._by_key.pop(key, None)
        if found is None or now - found.last > FORGOTTEN_SECONDS:
            found = _Failures(about)
        if found.about != about:
            found.about = None
        self._by_key[key] = found  # the newest is the last
        found.count += 1
        found.last = now
        if found.count >= self._free:
            doublings = min(found.count - self._free, 30)
            found.until = now + min(self._first_seconds * 2**doublings, self._most_seconds)
        if len(self._by_key) > MAX_KEPT:
            del self._by_key[next(iter(self._by_key))]

    def passed(self, key: Hashable, about: Hashable) -> None:
        """Forget the failures of `key` if they concern nothing else."""
        found = self._by_key.get(key)
        if found is not None and found.about == about:
            del self._by_key[key]


class Attempts:
    """Wrong passwords that users of one component have tried."""

    def __init__(self) -> None:
        self._users = _Counter(USER_FREE, USER_FIRST_SECONDS, USER_MAX_SECONDS)
        self._accounts = _Counter(ACCOUNT_FREE, ACCOUNT_FIRST_SECONDS, ACCOUNT_MAX_SECONDS)

    def wait_seconds(self, user: Hashable, address: str, *, owns: bool = False) -> float:
        """Return how long `user` has to wait before a password for `address` is tried.

        A user who `owns` the account, being registered with it, waits for their own failures only.
        """
        own = self._users.wait_seconds(user)
        return own if owns else max(own, self._accounts.wait_seconds(address))

    def failed(self, user: Hashable, address: str) -> None:
        self._users.failed(user, address)
        self._accounts.failed(address, address)

    def passed(self, user: Hashable, address: str) -> None:
        """Note that a password was right.

        Failures with other accounts stay: a user who owns one account could guess at another. Those
        of the account stay as well: somebody else may have made them.
        """
        self._users.passed(user, address)


def in_words(seconds: float) -> str:
    """Return a time to wait, rounded up."""
    if seconds <= 60:
        return f"{max(2, math.ceil(seconds))} seconds"
    return f"{math.ceil(seconds / 60)} minutes"
