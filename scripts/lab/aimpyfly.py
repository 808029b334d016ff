"""aimpyfly, a small AIM client of 2024 for Python. Its user is `drivers/aimpyfly_client.py`."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.lab.driven import Driven, digest, driven, install
from scripts.lab.fetching import cached

VERSION = "0.1.1"

# It asks for Python 3.12, and runs on 3.11. It also asks for the asyncio of Python 3.3: left out.
_PINS = f"""\
aimpyfly=={VERSION} \
--hash=sha256:34bddc94995cdd87613bac0bbe3b647da27dfd22672b27f341dffbefcb22fc50
colorama==0.4.6 \
--hash=sha256:4f1d9991f5acc0ca119f9d443620b77f9d6b33703e51011c16baf57afb285fc6
"""


async def packages() -> Path:
    """Return the folder with aimpyfly; it is fetched once. Raises `FetchFailed`."""

    async def make(scratch: Path) -> Path:
        return await install(scratch, sys.executable, _PINS, "--ignore-requires-python")

    return await cached(f"aimpyfly-{VERSION}-{digest(_PINS)}", make)


@asynccontextmanager
async def aimpyfly_client(package_folder: Path, folder: Path) -> AsyncGenerator[Driven, None]:
    """Run the client, not signed on yet. Its log is in `folder`."""
    name = f"aimpyfly {VERSION}"
    async with driven(name, sys.executable, "aimpyfly_client.py", package_folder, folder) as client:
        yield client
