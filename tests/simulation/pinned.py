"""Everything that would make two runs of one seed differ, held still.

The only file that touches private names of trio and wsproto. The digest test (one seed, two
processes) tells when an upgrade has moved one of them.
"""

import gc
import os
import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import trio._core._run
import wsproto.frame_protocol
import wsproto.utilities

# As modules of any content: the names below are private, and typed as constants or not at all.
_trio_run: Any = trio._core._run
_wsproto_modules: tuple[Any, ...] = (wsproto.frame_protocol, wsproto.utilities)


class _SeededOs:
    """Stands in for the module `os` where only `urandom` is used."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def urandom(self, count: int) -> bytes:
        return self._random.randbytes(count)


@contextmanager
def pinned(seed: int) -> Generator[None, None, None]:
    """Pin the scheduler, random numbers and the garbage collector; put all of it back after.

    Goes around `trio.run`, in a plain function: pytest-trio and hypothesis turn the same knobs
    before an async test starts.
    """
    deterministic = _trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    scheduler_state = _trio_run._r.getstate()
    random_state = random.getstate()
    collecting = gc.isenabled()
    try:
        _trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # sorts each batch before shuffling it
        _trio_run._r.seed(f"{seed}/scheduler")
        random.seed(f"{seed}/global")  # trio-websocket's ping payloads
        for module in _wsproto_modules:
            module.os = _SeededOs(f"{seed}/{module.__name__}")  # masks and keys
        gc.collect()
        gc.disable()
        yield
    finally:
        if collecting:
            gc.enable()
        for module in _wsproto_modules:
            module.os = os
        random.setstate(random_state)
        _trio_run._r.setstate(scheduler_state)
        _trio_run._ALLOW_DETERMINISTIC_SCHEDULING = deterministic
