"""What waits to be written: in order within a rate class, and as fast as the class allows."""

from collections import Counter, deque

import attrs

from gateway.errors import ConnectionLost
from gateway.networks import base
from gateway.networks.oscar.protocol.rates import RateLimits
from gateway.networks.oscar.wire import Packet, Snac, number_of

MAX_WAITING = 5_000
MAX_SPARE = 300
MAX_PAUSE_SECONDS = 300
CONTROL = -1  # the class of what waits for no class, and for no pause


@attrs.define(eq=False)
class Outgoing:
    """A packet on its way out. `events` are told once it is written; then `ref` is, too."""

    packet: Packet
    ref: str = ""
    events: tuple[base.LegacyEvent, ...] = ()
    is_urgent: bool = False  # goes ahead of everything, in a pause, too
    dropped: bool = False
    number: int = 0


class Outbox:
    """Packets that wait, by rate class."""

    def __init__(self) -> None:
        self.limits = RateLimits()
        self._paused_until: float | None = None
        self._waiting: dict[int, deque[Outgoing]] = {}
        self._spare: deque[Outgoing] = deque()  # what goes when there is nothing else
        self._refs: Counter[str] = Counter()
        self._numbers = 0

    def __len__(self) -> int:
        return sum(len(each) for each in self._waiting.values())

    def put(self, outgoing: Outgoing) -> None:
        """Add a packet. Raises `ConnectionLost` when nothing has gone for far too long."""
        if len(self) >= MAX_WAITING:
            raise ConnectionLost("the service does not read what it is sent")
        self._numbers += 1
        outgoing.number = self._numbers
        queue = self._waiting.setdefault(self._class_of(outgoing), deque())
        if outgoing.is_urgent:
            outgoing.number = 0
            queue.appendleft(outgoing)
        else:
            queue.append(outgoing)
        self._refs[outgoing.ref] += 1

    def put_spare(self, outgoing: Outgoing) -> None:
        """Add a packet that may wait until its class has room to spare; its owner bounds them."""
        self._spare.append(outgoing)

    @property
    def may_spare(self) -> bool:
        return len(self._spare) < MAX_SPARE

    def pause(self, now: float) -> None:
        """Hold all SNACs; keepalives and the goodbye go all the same."""
        if self._paused_until is None:
            self._paused_until = now + MAX_PAUSE_SECONDS

    def resume(self) -> None:
        self._paused_until = None

    @property
    def paused_until(self) -> float:
        """Return when a pause has been too long; infinity: there is none."""
        return float("inf") if self._paused_until is None else self._paused_until

    @property
    def _is_paused(self) -> bool:
        return self._paused_until is not None

    def may_go_now(self, packet: Packet, now: float) -> bool:
        """Say whether a packet would not have to wait for the service's limits."""
        class_id = self._class_of(Outgoing(packet))
        return self._wait(class_id, now) <= 0 and not self._waiting.get(class_id)

    def drop(self, ref: str) -> list[Outgoing]:
        """Forget what waits for a command, and return it."""
        found = []
        for class_id, queue in self._waiting.items():
            here = [one for one in queue if one.ref == ref]
            if here:
                found += here
                self._waiting[class_id] = deque(one for one in queue if one.ref != ref)
        del self._refs[ref]
        return found

    def holds(self, ref: str) -> bool:
        """Say whether something of a command waits."""
        return ref in self._refs

    def take(self, now: float) -> Outgoing | None:
        """Return the next packet that may go now, if any; it counts as sent."""
        best: deque[Outgoing] | None = None
        for class_id, queue in self._waiting.items():
            if not queue or self._wait(class_id, now) > 0:
                continue
            if best is None or queue[0].number < best[0].number:
                best = queue
        if best is None:
            self._shorten_spare()
            if not self._spare or self._spare_wait(now) > 0:
                return None
            best = self._spare
        outgoing = best.popleft()
        if best is not self._spare:
            self._refs[outgoing.ref] -= 1
            if self._refs[outgoing.ref] <= 0:
                del self._refs[outgoing.ref]
        self.limits.sent(self._class_of(outgoing), now)
        return outgoing

    def wait(self, now: float) -> float:
        """Return in how many seconds something may go; infinity: nothing waits."""
        self._shorten_spare()
        waits = [self._wait(class_id, now) for class_id, queue in self._waiting.items() if queue]
        if self._spare:
            waits.append(self._spare_wait(now))
        return min(waits, default=float("inf"))

    def _wait(self, class_id: int, now: float) -> float:
        if class_id == CONTROL:
            return 0.0
        return float("inf") if self._is_paused else self.limits.wait(class_id, now)

    def _spare_wait(self, now: float) -> float:
        class_id = self._class_of(self._spare[0])
        if self._is_paused or self._waiting.get(class_id):
            return float("inf")
        return self.limits.wait(class_id, now, spare=True)

    def _shorten_spare(self) -> None:
        while self._spare and self._spare[0].dropped:
            self._spare.popleft()

    def _class_of(self, outgoing: Outgoing) -> int:
        if not isinstance(outgoing.packet, Snac) or outgoing.is_urgent:
            return CONTROL
        return self.limits.class_of(*number_of(outgoing.packet.body))
