"""Every harness there is. `harness` runs in real time, `timed` in simulated time: its
tests ask for `autojump_clock`, too, since pytest-trio looks for a clock there alone.
"""

from collections.abc import AsyncGenerator
from fnmatch import fnmatchcase
from functools import partial

import pytest
from trio.testing import MockClock

from legacy_emu.policy import Policy
from tests.contract import oscar
from tests.contract.emu import in_memory, on_loopback
from tests.contract.harness import Harness

HARNESSES = {
    "emu in memory": in_memory,
    "emu on loopback": on_loopback,
    "aim in memory": oscar.in_memory,
    "aim on loopback": oscar.on_loopback,
}
TIMED = {"emu in memory": in_memory, "aim in memory": oscar.in_memory}
BARE = {"emu in memory": partial(in_memory, Policy(offline_messages=False, capabilities=()))}


@pytest.fixture(params=HARNESSES)
async def harness(request: pytest.FixtureRequest) -> AsyncGenerator[Harness, None]:
    async with HARNESSES[request.param]() as made:
        _skip_what_cannot_be(request, made)
        yield made


@pytest.fixture(params=BARE)
async def bare(request: pytest.FixtureRequest) -> AsyncGenerator[Harness, None]:
    """A service that can do nothing it need not be able to do."""
    async with BARE[request.param]() as made:
        yield made


@pytest.fixture(params=TIMED)
async def timed(
    request: pytest.FixtureRequest, autojump_clock: MockClock
) -> AsyncGenerator[Harness, None]:
    async with TIMED[request.param]() as made:
        _skip_what_cannot_be(request, made)
        yield made


def _skip_what_cannot_be(request: pytest.FixtureRequest, harness: Harness) -> None:
    for pattern, why in harness.cannot.items():
        if fnmatchcase(request.node.name, pattern):
            pytest.skip(why)
