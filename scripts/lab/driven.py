"""Clients of the OSCAR front that are libraries: a script of `drivers` runs each in a process.

The script takes commands on its input and prints what the client tells its user, both as JSON
lines: `{"do": "send", "to": "romeo", "text": "Hi"}` and `{"event": "message", …}`. What the library
logs stands in the log of the process.
"""

import hashlib
import json
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from scripts.lab.fetching import output_of
from scripts.lab.processes import Running, running

PATIENCE_SECONDS = 20  # one of the clients pauses for 5 s while it signs on
MAX_READ_BYTES = 65536
SHOWN_COLUMNS = 100
DRIVERS = Path(__file__).parent / "drivers"

Told = dict[str, Any]


class NotTold(AssertionError):
    """The client did not tell what was waited for; the message ends in the conversation."""


class Driven:
    """A client in a process. One task at a time may read."""

    def __init__(self, client: str, process: Running) -> None:
        self.client = client
        """What it is, with its version."""
        self.transcript: list[str] = []
        """The conversation as people read it, without passwords."""
        self._process = process
        self._waiting: list[Told] = []
        self._unfinished = b""

    async def do(self, command: str, **fields: object) -> None:
        """Give the client a command."""
        shown = {key: each for key, each in fields.items() if key != "password"}
        self._note(">>>", command, shown)
        line = json.dumps({"do": command, **fields}) + "\n"
        assert self._process.process.stdin is not None
        await self._process.process.stdin.send_all(line.encode())

    async def told(self, event: str, **fields: object) -> Told:
        """Wait for an event with these fields and take it. Raises `NotTold`."""
        wanted = {"event": event, **fields}
        seen = 0
        with trio.move_on_after(PATIENCE_SECONDS):
            while True:
                for place, one in enumerate(self._waiting[seen:], seen):
                    if wanted.items() <= one.items():
                        return self._waiting.pop(place)
                seen = len(self._waiting)
                await self._read()
        raise self._not_told(f"was not told {wanted}")

    async def sign_on(self, address: str, name: str, password: str, **fields: object) -> None:
        """Begin to sign on at `address`, a host and a port."""
        host, _, port = address.rpartition(":")
        await self.do("sign_on", host=host, port=int(port), name=name, password=password, **fields)

    def check_log(self) -> None:
        """Raise `NotTold` when the library has logged a traceback."""
        if "Traceback" in self._process.output():
            raise self._not_told("a traceback in the log")

    async def _read(self) -> None:
        assert self._process.process.stdout is not None
        data = await self._process.process.stdout.receive_some(MAX_READ_BYTES)
        if not data:
            raise self._not_told("the process has ended")
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            one: Told = json.loads(line)
            self._note("<<<", one["event"], {k: each for k, each in one.items() if k != "event"})
            self._waiting.append(one)

    def _note(self, way: str, what: str, fields: Told) -> None:
        said = " ".join(f"{key}={each}" for key, each in fields.items())
        self.transcript.append(f"{way} {what} {said}".rstrip()[:SHOWN_COLUMNS])

    def _not_told(self, what: str) -> NotTold:
        return NotTold("\n".join((what, *self.transcript[-60:], self._process.log_tail())))


@asynccontextmanager
async def driven(
    client: str, python: str, driver: str, packages: Path, folder: Path
) -> AsyncGenerator[Driven, None]:
    """Run a script of `drivers` with the library in `packages`; its log is in `folder`."""
    command = (python, "-B", DRIVERS / driver, packages)
    pipe = subprocess.PIPE
    async with running(client, command, folder / "log", stdin=pipe, stdout=pipe) as process:
        assert process.process.stdin is not None
        assert process.process.stdout is not None
        async with process.process.stdin, process.process.stdout:
            yield Driven(client, process)


async def install(
    scratch: Path, python: str, pins: str, *options: str, beside: Path | None = None
) -> Path:
    """Install the packages of `pins`, lines with hashes, and return their folder.

    It is a new one in `scratch`, or `beside`, whose packages may be needed to build these. Raises
    `FetchFailed`.
    """
    folder = beside or scratch / "made"
    file = scratch / "pins.txt"
    file.write_text(pins, "ascii")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps")
    where = ("--require-hashes", "--target", folder, "--requirement", file)
    await output_of(
        *pip, *options, *where, PYTHONPATH=str(folder), PIP_NO_PYTHON_VERSION_WARNING="1"
    )
    return folder


def digest(*parts: str) -> str:
    """Return a short name for what a folder of the cache was made from."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
