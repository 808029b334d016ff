"""To act at a chosen await of a sign-on or a sign-off, and to count what tasks do."""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

import trio
from trio.lowlevel import Task
from trio.testing import MockClock

from tests.fakes.stage import ROMEO, G

CONNECTION = f"sessions/{G}/{ROMEO}/from the network"

Act = Callable[[], object]


class At(trio.abc.Instrument):
    """Acts when the connection's tasks have come to their k-th await, before anything else runs.

    With `alone` the awaits of the driver's tasks are not counted.
    """

    def __init__(self, k: int, act: Act, *, alone: bool = False) -> None:
        self._left = k
        self._act = act
        self._alone = alone
        self.has_acted = False

    def after_task_step(self, task: Task) -> None:
        if self.has_acted or not self._counts(task):
            return
        if self._left == 0:
            self.has_acted = True
            self._act()
        self._left -= 1

    def _counts(self, task: Task) -> bool:
        if self._alone:
            return task.name == CONNECTION
        above: Task | None = task
        while above is not None and above.name != CONNECTION:
            above = None if above.parent_nursery is None else above.parent_nursery.parent_task
        return above is not None


@contextmanager
def watching(k: int, act: Act, *, alone: bool = False) -> Generator[At, None, None]:
    at = At(k, act, alone=alone)
    trio.lowlevel.add_instrument(at)
    try:
        yield at
    finally:
        trio.lowlevel.remove_instrument(at)


class Steps(trio.abc.Instrument):
    """Counts the steps of each task, by its name."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def before_task_step(self, task: Task) -> None:
        self.of[task.name] += 1


@contextmanager
def counting_steps(clock: MockClock) -> Generator[Steps, None, None]:
    """Count steps; time passes by itself, too, for with a task that spins it never would jump."""
    steps = Steps()
    clock.rate = 10.0
    trio.lowlevel.add_instrument(steps)
    try:
        yield steps
    finally:
        trio.lowlevel.remove_instrument(steps)
        clock.rate = 0.0
