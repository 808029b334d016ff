"""Every harness there is: each folder of `gateway/networks` has a module of its name here.

It holds `HARNESSES`, and of these those that run in simulated time, `TIMED`, and `BARE`, a service
with no capabilities. `harness` runs in real time, `timed` in simulated time: its tests ask for
`autojump_clock`, too, since pytest-trio looks for a clock there alone.
"""

from collections.abc import AsyncGenerator
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import pytest
from trio.testing import MockClock

from gateway import networks
from tests.contract.harness import Harness, MakeHarness

FOLDERS = sorted(path.parent.name for path in Path(networks.__file__).parent.glob("*/__init__.py"))
MODULES = [import_module(f"tests.contract.{folder}") for folder in FOLDERS]
HARNESSES: dict[str, MakeHarness] = {}
TIMED: dict[str, MakeHarness] = {}
BARE: dict[str, MakeHarness] = {}
for module in MODULES:
    HARNESSES |= module.HARNESSES
    TIMED |= module.TIMED
    BARE |= module.BARE


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
