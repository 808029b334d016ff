from collections.abc import AsyncGenerator

import pytest

from scripts.lab.xmpp_server import XmppServer
from tests.e2e.servers import PROSODY, Kind


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncGenerator[XmppServer, None]:
    """A private server without components: Prosody, or the kind a test is parametrised with."""
    kind: Kind = getattr(request, "param", PROSODY)
    kind.require()
    async with kind.prepare() as server, server.serving():
        yield server
