"""Which messages the server has proven to have taken: bookkeeping for the ping. Does no I/O.

A component stream knows no acknowledgements, but a server reads it in order. So after some messages
a ping goes out (XEP-0199); whatever answers it, a result or an error, proves that what was written
before it was taken over. Only `remote-server-*` proves nothing: the ping went astray, for the
`domain` it was sent to is not the server's own.

The ping goes from the gateway to the server's domain. That comes back on this connection as long as
it is the only one for its domain, which the lock on the store sees to. Some servers (ejabberd) let
a second gateway in all the same and spread the answers over both connections: a foreign one proves
nothing here, save that there is another, and the ping is repeated after a while.

Some servers answer no ping at all. After some rounds without any answer, over all links, the proof
is given up: what is written counts as proven, until a ping is answered.
"""

from collections import deque

import attrs

MAX_UNPROVEN = 200
MAX_PINGS = 4
MESSAGES_PER_PING = 50
PING_DELAY_SECONDS = 0.02  # so that the answer is here before the journal (0.05) writes
# A server that writes to its archive before it reads on may take minutes.
PATIENCE_SECONDS = 300.0
ROUNDS = 3  # without any answer, then the proof is given up
ROUND_SECONDS = 200.0  # at least: less than a silent link lives
ASTRAY_SECONDS = 60.0  # before trying again where the ping found no server

_PREFIX = "proof-"


@attrs.frozen
class _Ping:
    number: int
    upto: int
    sent_at: float


class Proof:
    """The numbers of tracked messages, and the pings that prove them.

    Numbers grow over the link's whole life. `nonce` is unguessable: nobody else makes such an id.
    """

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._link = 0
        self._last = 0  # the last message tracked
        self._covered = 0  # the last one before the newest ping
        self._proven = 0
        self._uncovered_since = 0.0
        self._pings: deque[_Ping] = deque()
        self._ping_number = 0
        self._not_before = 0.0
        self._rounds = 0  # without any answer
        self._round_until = float("-inf")

    @property
    def is_given_up(self) -> bool:
        return self._rounds >= ROUNDS

    def pass_round(self, now: float) -> bool:
        """Note that no ping was answered for long. Returns whether this gives up the proof."""
        if now < self._round_until:
            return False  # several pings of one round
        self._round_until = now + ROUND_SECONDS
        self._rounds += 1
        return self._rounds == ROUNDS

    def assume(self) -> int | None:
        """Count all as proven; return up to which number, if that is news."""
        if self._proven == self._last:
            return None
        self._proven = self._covered = self._last
        return self._last

    @property
    def unproven(self) -> int:
        """How many tracked messages wait for their proof."""
        return self._last - self._proven

    def forget(self) -> None:
        """Forget what was on its way: a new stream proves nothing about an old one."""
        self._link += 1
        self._proven = self._covered = self._last
        self._pings.clear()
        self._not_before = 0.0

    def track(self, now: float) -> int | None:
        """Number a message that is queued now. None when too many are unproven."""
        if self.unproven >= MAX_UNPROVEN:
            return None
        if self._covered == self._last:
            self._uncovered_since = now
        self._last += 1
        return self._last

    @property
    def due_at(self) -> float | None:
        """When the next ping is to be queued; None while nothing asks for one."""
        if self._proven == self._last and not self.is_given_up:
            return None
        if self._covered == self._last:
            due = self._pings[-1].sent_at + PATIENCE_SECONDS if self._pings else 0.0
        elif len(self._pings) >= MAX_PINGS:
            due = self._pings[0].sent_at + PATIENCE_SECONDS
        elif self._last - self._covered >= MESSAGES_PER_PING:
            due = self._uncovered_since
        else:
            due = self._uncovered_since + PING_DELAY_SECONDS
        return max(due, self._not_before)

    def is_overdue(self, now: float) -> bool:
        """Say whether a ping has waited for its answer longer than a busy server takes."""
        return bool(self._pings) and now - self._pings[0].sent_at >= PATIENCE_SECONDS

    def ping(self, now: float) -> str:
        """Return the id of a ping that is queued now, behind all messages tracked so far."""
        while len(self._pings) >= MAX_PINGS:
            self._pings.popleft()  # a late answer to it still counts: the id says what it covers
        self._ping_number += 1
        self._covered = self._last
        self._pings.append(_Ping(self._ping_number, self._covered, now))
        return f"{self._id_prefix}{self._covered}-{self._ping_number}"

    @staticmethod
    def has_id_of_ping(id_: str) -> bool:
        """Say whether the id is that of a ping of this kind: ours, an older link's or another's."""
        return id_.startswith(_PREFIX)

    def is_anothers(self, id_: str) -> bool:
        """Say whether a ping of this kind was neither this link's nor an older one's of ours."""
        return self.has_id_of_ping(id_) and not id_.startswith(f"{_PREFIX}{self._nonce}-")

    def answered(self, id_: str) -> int | None:
        """Take an answer; return the number up to which all is proven now, if that is news."""
        found = self._read(id_)
        if found is None:
            return None
        upto, number = found
        self._settle(number)
        self._rounds = 0
        if upto <= self._proven:
            return None
        self._proven = upto
        return upto

    def went_astray(self, id_: str, now: float) -> bool:
        """Take an answer that proves nothing; say whether it was to a ping of this link."""
        found = self._read(id_)
        if found is None:
            return False
        self._settle(found[1])
        self._not_before = now + ASTRAY_SECONDS
        return True

    @property
    def _id_prefix(self) -> str:
        return f"{_PREFIX}{self._nonce}-{self._link}-"

    def _read(self, id_: str) -> tuple[int, int] | None:
        """Return the last message covered and the ping's number, when the ping is this link's."""
        if not id_.startswith(self._id_prefix):
            return None
        upto, _, number = id_.removeprefix(self._id_prefix).partition("-")
        try:
            found = int(upto), int(number)
        except ValueError:
            return None
        return found if found[0] <= self._covered and found[1] <= self._ping_number else None

    def _settle(self, number: int) -> None:
        while self._pings and self._pings[0].number <= number:
            self._pings.popleft()
