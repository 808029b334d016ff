"""What the service kept while the user was away: what came of it, and when it may be deleted.

An ICQ number asks by 15/02 003C. Messages and authorisations come, then 0042; 003E deletes all that
is kept for the account, so it goes out once each of them is safe here. 04/10 deletes what it
fetches by itself; it is the other way where a service cannot answer 003C.
"""

from collections import Counter, deque
from collections.abc import Iterator
from enum import Enum

from gateway.networks import base
from gateway.networks.oscar.protocol.moment import Moment
from gateway.networks.oscar.protocol.values import LIVE, Value

MAX_KEPT = 10_000
MAX_OFFERED = 100  # authorisations that are told and not yet safe; the rest waits here
MAX_ADDERS = 10  # who has added the user: so many are told by name
CUT_SECONDS = 300  # an end later than that has other reasons than the question


class Way(Enum):
    """How an ICQ number asks for what was kept."""

    ICQ = "15/02 003C"
    ICBM = "04/10"
    NONE = "none of these"  # the account is no number, or the service can answer neither


class Stored:
    """What was kept for the user: deleted at the service once all of it is safe here."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self._query: int | None = None  # the request that asks for it
        self._written_at: float | None = None
        self._is_coming = False
        self._unsafe: set[object] = set()
        self._alike: Counter[str] = Counter()
        self._came = False
        self._too_many = False
        self._offered: set[object] = set()
        self._held: deque[base.ContactRequest | base.RequestAnswered] = deque()
        self._last: dict[tuple[str, str], object] = {}  # decisions: the last word of each
        self._adders = 0
        self._unreadable = 0
        self.count = 0  # what came since it was asked for
        self.is_complete = False
        self.was_cut = False  # the service ended the session instead of an answer

    # --- the question and its answer ----------------------------------------------------------

    def ask(self, request: int) -> None:
        """Note that `request` asks for what is kept."""
        self._query = request
        self._is_coming = True

    def written(self, request: int, at: Moment) -> None:
        if request == self._query and self._written_at is None:
            self._written_at = at.seconds

    def expire(self, at: Moment) -> None:
        """Wait no longer for an end that does not come. Without it nothing is deleted."""
        if self._written_at is not None and at.seconds - self._written_at >= CUT_SECONDS:
            self._is_coming = False

    def complete(self) -> Iterator[base.Notice]:
        """Take the end of it; tell what was not told one by one."""
        if self.is_complete:
            return
        self.is_complete = True
        self._is_coming = False
        self._last.clear()
        if (more := self._adders - MAX_ADDERS) > 0:
            yield base.Notice(f"And {more} others have you on their contact lists now.")
        if self._unreadable:
            yield base.Notice(f"Stored messages that cannot be read: {self._unreadable}.")

    def ended(self, at: Moment) -> None:
        """Note that the service has ended the session."""
        self.expire(at)
        self.was_cut = self._is_coming and self._written_at is not None

    # --- what came ----------------------------------------------------------------------------

    def keep(self, legacy_id: str, *, named: bool = False) -> str:
        """Note a message, and return its id: the second of two that are alike has another.

        `named`: by its sender, so that two alike are the same one. When too many wait to be safe,
        nothing is deleted: all come again.
        """
        self._note()
        if not named and (legacy_id in self._alike or len(self._alike) < MAX_KEPT):
            self._alike[legacy_id] += 1
            if (number := self._alike[legacy_id]) > 1:
                legacy_id = f"{legacy_id}-{number}"
        self._wait_for(legacy_id)
        return legacy_id

    def keep_unnamed(self) -> None:
        """Note a message that is told without a sender, and safe with that."""
        self._note()

    def unreadable(self) -> None:
        """Note a message that cannot be shown. It need not come again."""
        self._note()
        self._unreadable += 1

    def decision(self) -> Value:
        """Note an authorisation. What comes before the deletion waits to be safe, live or kept."""
        if self._query is None or (self.is_complete and not self._came):
            return LIVE
        self._note()
        return Value(("decision", self.count))

    def is_repeated(self, address: str, kind: str, said: object) -> bool:
        """Say whether the last that is kept of somebody says the same already."""
        key = (address, kind)
        if not self._is_coming or (key not in self._last and len(self._last) >= MAX_KEPT):
            return False
        if key in self._last and self._last[key] == said:
            return True
        self._last[key] = said
        return False

    def may_tell_adder(self) -> bool:
        """Say whether somebody who has added the user is told by name."""
        if not self._is_coming:
            return True
        self._adders += 1
        return self._adders <= MAX_ADDERS

    def offer(
        self, event: base.ContactRequest | base.RequestAnswered
    ) -> Iterator[base.LegacyEvent]:
        """Tell an authorisation, or hold it until earlier ones are safe."""
        if event.token is None:
            yield event
            return
        self._wait_for(event.token)
        if len(self._offered) < MAX_OFFERED:
            self._offered.add(event.token)
            yield event
        elif not self._too_many:
            self._held.append(event)

    def _note(self) -> None:
        self._came = True
        self.count += 1

    def _wait_for(self, token: object) -> None:
        if len(self._unsafe) >= MAX_KEPT:
            self._too_many = True
        else:
            self._unsafe.add(token)

    # --- until it may be deleted --------------------------------------------------------------

    def drop(self, token: object) -> None:
        """Note that something need not be waited for: it is told, or is told already."""
        self._unsafe.discard(token)

    def acknowledge(self, token: object) -> Iterator[base.LegacyEvent]:
        """Note that something is safe. Yields what was held until then."""
        self.drop(token)
        if token in self._offered:
            self._offered.discard(token)
            if self._held:
                yield from self.offer(self._held.popleft())

    def may_be_deleted(self) -> bool:
        """Say, once, that everything is safe."""
        if not self.is_complete or self._unsafe or self._too_many or not self._came:
            return False
        self._alike.clear()
        self._came = False
        return True
