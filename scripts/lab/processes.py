"""Real processes beside the gateway: started, waited for, and ended with nothing left behind.

The demo and the end-to-end tests use the same ones. What is started runs in a session of its own,
so that Ctrl-C reaches only us, and we end it in order.
"""

import os
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import trio

from legacy_emu.fronts import FRONTS

START_SECONDS = 30
STOP_SECONDS = 10
KILL_SECONDS = 5
LOOK_AGAIN_SECONDS = 0.02
TAIL_LINES = 40

REPOSITORY = Path(__file__).resolve().parents[2]


class ProcessFailed(AssertionError):
    """A process ended early, or did not come up in time; the message ends in its log's tail."""


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, for a person."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"


@contextmanager
def scratch_folder(name: str) -> Generator[Path, None, None]:
    """Give a private folder that is removed at the end; its path is short, as sockets need."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True) as path:
        yield Path(path).resolve()


@attrs.frozen
class Running:
    """A process that was started; its output, both kinds, is added to `log`."""

    name: str
    process: trio.Process
    log: Path
    _log_before: int = 0  # bytes that others had written there

    def output(self) -> str:
        """Return what this process has written so far."""
        return self.log.read_bytes()[self._log_before :].decode("utf-8", "replace")

    def log_tail(self) -> str:
        return tail(self.log)

    def check_alive(self) -> None:
        """Raise `ProcessFailed` when it has ended."""
        if self.process.poll() is not None:
            raise ProcessFailed(
                f"{self.name} ended with {self.process.returncode}\n{self.log_tail()}"
            )

    async def wait_line(self, start: str) -> str:
        """Wait until it has written a whole line beginning with `start`, and return that line.

        Raises `ProcessFailed` when the process ends first, or within `START_SECONDS`.
        """
        return await self._wait_for(repr(start), lambda line: line.startswith(start))

    async def wait_said(self, part: str) -> str:
        """Wait until it has written a whole line with `part` in it. Raises as `wait_line`."""
        return await self._wait_for(f"with {part!r}", lambda line: part in line)

    async def _wait_for(self, what: str, fits: Callable[[str], bool]) -> str:
        with trio.move_on_after(START_SECONDS):
            while True:
                alive = self.process.poll() is None
                text = self.output()
                for line in text[: text.rfind("\n") + 1].splitlines():
                    if fits(line):
                        return line
                if not alive:
                    self.check_alive()
                await trio.sleep(LOOK_AGAIN_SECONDS)
        raise ProcessFailed(
            f"{self.name} wrote no line {what} in {START_SECONDS} s\n{self.log_tail()}"
        )

    async def wait_port(self, port: int) -> None:
        """Wait until `port` on 127.0.0.1 accepts connections. Raises as `wait_line`."""
        with trio.move_on_after(START_SECONDS):
            while True:
                self.check_alive()
                try:
                    stream = await trio.open_tcp_stream("127.0.0.1", port)
                except OSError:
                    await trio.sleep(LOOK_AGAIN_SECONDS)
                else:
                    await stream.aclose()
                    return
        raise ProcessFailed(
            f"{self.name} did not listen on {port} in {START_SECONDS} s\n{self.log_tail()}"
        )

    async def stop(self) -> int:
        """End it by SIGTERM, or by force when that does not help, and return its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """End it at once, as kill -9 does, and return its exit code."""
        return await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> int:
        for number, seconds in ((how, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            if self.process.poll() is None:
                self.process.send_signal(number)
            with trio.move_on_after(seconds, shield=True):
                return await self.process.wait()
        raise ProcessFailed(f"{self.name} (process {self.process.pid}) cannot be ended")


@asynccontextmanager
async def running(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
) -> AsyncGenerator[Running, None]:
    """Start a process; leaving ends it. Output is added to `log`, or goes to `stdout`."""
    with log.open("ab") as output:
        before = output.tell()
        process = await trio.lowlevel.open_process(
            [str(part) for part in command],
            stdin=stdin,
            stdout=output if stdout is None else stdout,
            stderr=output,
            cwd=log.parent,
            env={**os.environ, "PYTHONUTF8": "1", **(environment or {})},
            start_new_session=True,
        )
    started = Running(name, process, log, before)
    try:
        yield started
    finally:
        await started.stop()


def python_module(module: str, *arguments: str | Path) -> list[str | Path]:
    """Return the command that runs `module` with the interpreter we run on."""
    return [sys.executable, "-P", "-m", module, *arguments]


@asynccontextmanager
async def running_gateway(config: Path, *, ready: bool = True) -> AsyncGenerator[Running, None]:
    """Run `balcony run`; its log is beside the configuration. Inside, its links are up.

    Not `ready`: it has been started, no more.
    """
    log = config.with_suffix(".log")
    command = python_module("gateway", "run", "--config", config)
    async with running("balcony", command, log) as gateway:
        if ready:
            await gateway.wait_line("balcony: ready")
        yield gateway


@attrs.frozen
class Emulator:
    """An emulated legacy service that is up, and the accounts it has from the start."""

    running: Running
    fronts: Mapping[str, str]  # the address of each, as its clients take it
    control: str  # URL of the control channel
    page: str  # URL of the page for legacy users
    passwords: Mapping[str, str] = attrs.field(repr=False)  # by lower-case name

    @property
    def url(self) -> str:
        """The URL of the WebSocket front."""
        return self.fronts["websocket"]

    @property
    def service(self) -> dict[str, str | int | float | bool]:
        """The `[component.service]` that leads a gateway here."""
        where = urlsplit(self.url)
        return {"host": where.hostname or "", "port": where.port or 0, "tls": "off"}


@asynccontextmanager
async def running_emulator(
    folder: Path, sample: str = "sample.toml"
) -> AsyncGenerator[Emulator, None]:
    """Run the emulated service with a sample's people, on free ports; its log is in `folder`.

    All fronts there are listen.
    """
    config = REPOSITORY / "legacy_emu" / sample
    people = tomllib.loads(config.read_text("utf-8"))["account"]
    free = "127.0.0.1:0"
    flags = [part for name in FRONTS for part in ("--front", f"{name}={free}")]
    flags += ["--control", free, "--web", free]
    command = python_module("legacy_emu", "run", "--config", config, *flags)
    async with running("legacy-emu", command, folder / "emulator.log") as emulator:
        urls = {
            name: (await emulator.wait_line(f"listening {name} ")).split()[-1]
            for name in (*FRONTS, "control", "web")
        }
        await emulator.wait_line("ready")
        passwords = {one["address"].lower(): one["password"] for one in people}
        fronts = {name: urls[name] for name in FRONTS}
        yield Emulator(emulator, fronts, urls["control"], urls["web"], passwords)


async def balcony(*arguments: str | Path) -> str:
    """Run a `balcony` command to its end and return its output. Raises `ProcessFailed`."""
    command = [str(part) for part in python_module("gateway", *arguments)]
    with trio.fail_after(START_SECONDS):
        done = await trio.run_process(
            command, capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise ProcessFailed(f"balcony {arguments[0]} ended with {done.returncode}\n{output}")
    return output
