"""Bugs to plant in the daemon, one at a time: the simulation has to find each of them."""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from unittest.mock import patch

from gateway.bridge.features import presence
from gateway.bridge.journal import Entry, Journal
from gateway.bridge.pacing import Backoff
from gateway.bridge.user import User


@contextmanager
def acknowledge_too_early() -> Generator[None, None, None]:
    """Tell the network that a message is safe as soon as it is known, and not once it is."""
    original = Journal.note

    def note(self: Journal, entry: Entry) -> None:
        entry.acknowledge()
        original(self, entry)

    with patch.object(Journal, "note", note):
        yield


@contextmanager
def retry_without_delay() -> Generator[None, None, None]:
    """Sign on again at once, and again, for as long as the service is away."""

    def next_delay(
        self: Backoff, *, stayed_seconds: float = 0.0, at_least: float | None = None
    ) -> float:
        return 0.0

    with patch.object(Backoff, "next_delay", next_delay):
        yield


@contextmanager
def presence_not_withdrawn() -> Generator[None, None, None]:
    """Leave contacts as they were when the network is gone."""

    def withdraw(user: User) -> None:
        user.shown.clear()

    with patch.object(presence, "withdraw", withdraw):
        yield


PLANTS: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "acknowledge-too-early": acknowledge_too_early,
    "retry-without-delay": retry_without_delay,
    "presence-not-withdrawn": presence_not_withdrawn,
}
