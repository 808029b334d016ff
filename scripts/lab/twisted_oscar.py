"""The OSCAR client of Twisted 16.6. It needs Python 2.7, which Debian 12 does not have.

Its user is a program: `drivers/twisted_client.py`.
"""

import os
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from scripts.lab.driven import Driven, digest, driven, install
from scripts.lab.fetching import cached

VERSION = "16.6.0"
VARIABLE = "PYTHON27"  # names the interpreter
LOOK_SECONDS = 10

# What Twisted needs, and what its setup.py does: that has to be there first.
_NEEDED = """\
constantly==15.1.0 \
--hash=sha256:dd2fa9d6b1a51a83f0d7dd76293d734046aa176e384bf6e33b7e44880eb37c5d
incremental==17.5.0 \
--hash=sha256:717e12246dddf231a349175f48d74d93e2897244939173b01974ab6661406b9f
zope.interface==5.5.2 \
--hash=sha256:bfee1f3ff62143819499e348f5b8a7f3aa0259f9aca5e0ddae7391d059dce671
"""
_TWISTED = f"""\
Twisted=={VERSION} \
--hash=sha256:d0fe115ea7ef8cf632d05103de60356c6e992b2153d6830bdc4476f8accb1fca
"""
_IS_USABLE = "import sys, pip; sys.exit(sys.version_info[:2] != (2, 7))"


async def find_python() -> str | None:
    """Return a Python 2.7 with pip: $PYTHON27, or the first one that runs."""
    named = os.environ.get(VARIABLE)
    for candidate in (named,) if named else _candidates():
        if await _is_usable(candidate):
            return candidate
    return None


def _candidates() -> Iterator[str]:
    for folder in os.get_exec_path():
        yield str(Path(folder) / "python2.7")
    # pyenv's command on the path may be one that runs no version unless it was chosen.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(each) for each in sorted(pyenv.glob("versions/2.7*/bin/python2.7")))


async def _is_usable(python: str) -> bool:
    with trio.move_on_after(LOOK_SECONDS):
        try:
            done = await trio.run_process(
                [python, "-c", _IS_USABLE],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        except OSError:
            return False
        return done.returncode == 0
    return False


async def packages(python: str) -> Path:
    """Return the folder with Twisted, for this interpreter; fetched once. Raises `FetchFailed`."""

    async def make(scratch: Path) -> Path:
        needed = await install(scratch, python, _NEEDED, "--no-binary=zope.interface")
        return await install(scratch, python, _TWISTED, beside=needed)

    return await cached(f"twisted-{VERSION}-{digest(_NEEDED, _TWISTED, python)}", make)


@asynccontextmanager
async def twisted_client(
    python: str, package_folder: Path, folder: Path
) -> AsyncGenerator[Driven, None]:
    """Run the client, not signed on yet. Its log is in `folder`."""
    name = f"Twisted {VERSION}"
    async with driven(name, python, "twisted_client.py", package_folder, folder) as client:
        yield client
