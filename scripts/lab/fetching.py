"""Third-party programs for the lab: fetched once, into this user's cache, and never installed."""

import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

FETCH_SECONDS = 120
STEP_SECONDS = 50


class FetchFailed(Exception):
    """A step on the way to a program failed; the message says which."""


async def cached(name: str, make: Callable[[Path], Awaitable[Path]]) -> Path:
    """Return the folder `name` of the cache. `make` makes it in a scratch folder, once.

    Raises `FetchFailed`, also when `make` takes longer than `FETCH_SECONDS`.
    """
    folder = cache() / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as scratch:
        made = None
        with trio.move_on_after(FETCH_SECONDS):
            made = await make(Path(scratch))
        if made is None:
            raise FetchFailed(f"it took more than {FETCH_SECONDS} s")
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have been quicker
                raise
    return folder


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "balcony"


async def output_of(*command: str | Path, folder: Path | None = None, **environment: str) -> str:
    """Run a command to its end and return its output. Raises `FetchFailed`."""
    with trio.move_on_after(STEP_SECONDS):
        try:
            done = await trio.run_process(
                [str(part) for part in command],
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
            )
        except OSError as exc:
            raise FetchFailed(f"{command[0]}: {exc}") from exc
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            raise FetchFailed(f"{command[0]}: {' '.join(output[-500:].split())}")
        return output
    raise FetchFailed(f"{command[0]} took more than {STEP_SECONDS} s")
