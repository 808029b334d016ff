"""Rate classes: what clients are told of them, and what comes of not heeding them."""

from enum import Enum

import attrs

from gateway.networks.oscar.wire.general import (
    RateClass,
    RateCode,
    RateMembers,
    RateParameters,
    Version,
)

# id, window, clear, alert, limit, disconnect, max: what one server of today has
_CLASSES = (
    (1, 80, 2500, 2000, 1500, 800, 6000),
    (2, 80, 3000, 2000, 1500, 1000, 6000),
    (3, 20, 5100, 5000, 4000, 3000, 6000),
    (4, 20, 5500, 5300, 4200, 3000, 8000),
    (5, 10, 5500, 5300, 4200, 3000, 8000),
)
_MEMBERS = {
    2: ((0x03, 0x04), (0x03, 0x05), (0x09, 0x05), (0x09, 0x06), (0x09, 0x07), (0x09, 0x08)),
    3: ((0x02, 0x05), (0x04, 0x06)),
    4: ((0x0F, 0x02),),
    5: ((0x0F, 0x04),),
    1: (
        *((0x01, each) for each in (2, 4, 6, 8, 0x0E, 0x11, 0x14, 0x16, 0x17, 0x1E, 0x1F)),
        *((0x02, each) for each in (2, 4, 0x15)),
        (0x03, 0x02),
        *((0x04, each) for each in (2, 4, 0x0B, 0x10, 0x14)),
        (0x09, 0x02),
        *((0x0D, each) for each in (2, 3, 4, 8)),
        *((0x10, each) for each in (2, 4, 6)),
        *((0x13, each) for each in (2, 4, 5, 7, 8, 9, 0x0A, 0x11, 0x12, 0x14, 0x16, 0x18, 0x1A)),
        (0x15, 0x02),
    ),
}
_CLASS_OF = {member: number for number, members in _MEMBERS.items() for member in members}


class Verdict(Enum):
    FINE = "fine"
    DROPPED = "dropped"
    TOO_MUCH = "too much"  # the connection is closed


@attrs.define
class _Level:
    value: float
    since: float
    code: RateCode = RateCode.CLEAR


class Rates:
    """The levels of one connection. Times are seconds."""

    def __init__(self, now: float) -> None:
        self.long = False  # records have the two fields of later versions
        self._levels = {each[0]: _Level(each[6], now) for each in _CLASSES}

    def parameters(self) -> RateParameters:
        classes = tuple(self._record(each[0]) for each in _CLASSES)
        members = tuple(
            RateMembers(number, tuple(Version(*each) for each in _MEMBERS[number]))
            for number in sorted(_MEMBERS)
        )
        return RateParameters((classes, members))

    def count(
        self, snac: tuple[int, int], now: float
    ) -> tuple[Verdict, list[tuple[RateCode, RateClass]]]:
        """Count a SNAC of the client: what becomes of it, and what the client is told."""
        number = _CLASS_OF.get(snac, 1)
        _, window, clear, alert, limit, disconnect, top = _CLASSES[number - 1]
        level = self._levels[number]
        passed = (now - level.since) * 1000
        level.value = min(top, (level.value * (window - 1) + passed) / window)
        level.since = now
        code = level.code
        if level.value < disconnect:
            return Verdict.TOO_MUCH, []
        if level.value < limit or (code is RateCode.LIMITED and level.value < clear):
            code = RateCode.LIMITED
        elif level.value < alert:
            code = RateCode.ALERT
        elif level.value >= clear:
            code = RateCode.CLEAR
        told = [] if code is level.code else [(code, number)]
        level.code = code
        verdict = Verdict.DROPPED if code is RateCode.LIMITED else Verdict.FINE
        return verdict, [(each, self._record(of)) for each, of in told]

    def clear_at(self) -> float:
        """Return when the next class that is limited would be clear again."""
        return min(
            (
                self._clears(number)
                for number, level in self._levels.items()
                if level.code is RateCode.LIMITED
            ),
            default=float("inf"),
        )

    def cleared(self, now: float) -> list[tuple[RateCode, RateClass]]:
        """Return what to say of the classes that are clear by now."""
        told = []
        for number, level in self._levels.items():
            if level.code is RateCode.LIMITED and self._clears(number) <= now:
                level.code = RateCode.CLEAR
                told.append((RateCode.CLEAR, self._record(number)))
        return told

    def _clears(self, number: int) -> float:
        _, window, clear, *_ = _CLASSES[number - 1]
        level = self._levels[number]
        return level.since + (clear * window - level.value * (window - 1)) / 1000

    def _record(self, number: int) -> RateClass:
        _, window, clear, alert, limit, disconnect, top = _CLASSES[number - 1]
        level = self._levels[number]
        extra = (0, int(level.code is RateCode.LIMITED)) if self.long else (None, None)
        return RateClass(
            number, window, clear, alert, limit, disconnect, int(level.value), top, *extra
        )
