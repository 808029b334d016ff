from collections.abc import AsyncGenerator

import pytest

from scripts.lab.prosody import Prosody, private_prosody
from tests.e2e.servers import require_prosody


@pytest.fixture
async def prosody() -> AsyncGenerator[Prosody, None]:
    """A private Prosody without components; with components use `private_prosody` itself."""
    require_prosody()
    async with private_prosody() as server:
        yield server
