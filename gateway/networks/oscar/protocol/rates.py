"""The service's rate limits, kept before it has to complain.

Each SNAC counts for a class, whose level is an average of the pauses between them. Below `alert`
the service warns, below `limit` it drops SNACs without a word, below `disconnect` it hangs up. So
whoever wants to send asks `wait`, and tells `sent`.
"""

import attrs

from gateway.networks.oscar.wire import general

UNLIMITED = 0  # the class of what counts for none
MARGIN = 100  # above the level where it begins to hurt, in ms
MAX_WAIT_SECONDS = 300.0


@attrs.define
class _Class:
    window: int
    clear: int
    alert: int
    most: int
    level: float
    last: float  # when something was sent, by the clock that `wait` is asked with
    limited: bool = False

    def level_after(self, now: float) -> float:
        elapsed = max(0.0, (now - self.last) * 1000)
        return min(float(self.most), (self.level * (self.window - 1) + elapsed) / self.window)


class RateLimits:
    """The rate classes of one connection."""

    def __init__(self) -> None:
        self._classes: dict[int, _Class] = {}
        self._class_of: dict[tuple[int, int], int] = {}

    def learn(self, parameters: general.RateParameters, now: float) -> None:
        for rate in parameters.classes:
            self._classes[rate.id] = _made(rate, now)
        for members in parameters.members:
            if members.id in self._classes and members.id != UNLIMITED:
                for one in members.members:
                    self._class_of[one.group, one.version] = members.id

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._classes)

    def change(self, change: general.RateChange, now: float) -> None:
        """Take what the service says of a class, its level included."""
        before = self._classes.get(change.rate.id)
        if before is None:  # nothing of ours counts for it
            return
        made = _made(change.rate, now)
        made.limited = before.limited
        if change.code == general.RateCode.LIMITED:
            made.limited = True
        elif change.code == general.RateCode.CLEAR:
            made.limited = False
        self._classes[change.rate.id] = made

    def class_of(self, group: int, subtype: int) -> int:
        return self._class_of.get((group, subtype), UNLIMITED)

    def wait(self, class_id: int, now: float, *, spare: bool = False) -> float:
        """Return how many seconds to wait; `spare`: with something left for what matters more."""
        one = self._classes.get(class_id)
        if one is None or class_id == UNLIMITED:
            return 0.0
        floor = one.alert + MARGIN
        if one.limited:
            floor = one.clear + MARGIN
        if spare:
            floor = max(floor, one.clear + MARGIN)
        floor = min(floor, one.most)
        needed = one.window * floor - one.level * (one.window - 1)
        elapsed = (now - one.last) * 1000
        return min(max(0.0, (needed - elapsed) / 1000), MAX_WAIT_SECONDS)

    def sent(self, class_id: int, now: float) -> None:
        if (one := self._classes.get(class_id)) is not None:
            one.level = one.level_after(now)
            one.last = now
            if one.level >= one.clear:
                one.limited = False

    @property
    def is_pressed(self) -> bool:
        """Say whether the service may think that we are too fast."""
        return any(one.limited or one.level < one.alert for one in self._classes.values())


def _made(rate: general.RateClass, now: float) -> _Class:
    return _Class(
        window=max(1, rate.window),
        clear=rate.clear,
        alert=rate.alert,
        most=rate.max,
        level=rate.current,
        last=now,
    )
