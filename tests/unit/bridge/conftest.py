"""The daemon between a played XMPP server and the fake network."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.fakes.network import FakeNetwork, FakeSettings, fake
from tests.fakes.stage import Stage, stage


@pytest.fixture
def net() -> type[FakeNetwork]:
    return fake()


@pytest.fixture
async def play(
    tmp_path: Path, net: type[FakeNetwork], autojump_clock: MockClock
) -> AsyncGenerator[Stage, None]:
    async with stage(tmp_path, net, FakeSettings()) as it:
        yield it
