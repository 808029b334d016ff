"""The processes that the bench starts: their CPU, their memory, and their end. Linux only."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.lab.processes import REPOSITORY, tail
from scripts.measure.names import BenchFailed

START_SECONDS = 30
STOP_SECONDS = 10
KILL_SECONDS = 5
LOOK_AGAIN_SECONDS = 0.02
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_CPUCLOCK_SCHED = 2  # see clock_getcpuclockid(3)


def module_command(module: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs `module` with this interpreter."""
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]


@contextmanager
def interruptions_held() -> Iterator[None]:
    """Hold back the signals that end the bench until a process that is started is on record."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _let_through() -> None:
    """Undo `interruptions_held` in the process that was started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


class Process:
    """A started process. Its output is added to `log`; it is in a session of its own."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, *, pipes: bool = False
    ) -> None:
        self.name = name
        self.log = log
        pipe = subprocess.PIPE if pipes else None
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or output,
                stderr=output,
                cwd=log.parent,
                env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(REPOSITORY)},
                start_new_session=True,
                preexec_fn=_let_through,
            )
        # The kernel's clock of the process counts threads that have ended, too, in nanoseconds.
        # /proc/PID/task/*/schedstat forgets those, and /proc/PID/stat counts in hundredths.
        self._clock = (~self.pid << 3) | _CPUCLOCK_SCHED

    @property
    def pid(self) -> int:
        return self._popen.pid

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far, user and system."""
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # a kernel that shows no other process's clock
            self.check_alive()
            fields = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def main_thread_seconds(self) -> float:
        """Return the CPU time of its main thread so far; of all, where the kernel does not say."""
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text("ascii")
        except FileNotFoundError:
            return self.cpu_seconds()
        return int(text.split()[0]) / 1e9

    def memory_kib(self) -> int:
        """Return its resident set."""
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8", "replace")
        return int(status.partition("VmRSS:")[2].split()[0])

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def check_alive(self) -> None:
        """Raise `BenchFailed` when it has ended."""
        if not self.is_alive():
            code = self._popen.returncode
            raise BenchFailed(f"{self.name} ended with {code}\n{tail(self.log, 10)}")

    def read_line(self) -> str:
        """Return the next line of its output, which it writes in one go. Raises `BenchFailed`."""
        assert self._popen.stdout is not None
        readable, _, _ = select.select([self._popen.stdout], [], [], START_SECONDS)
        line: bytes = self._popen.stdout.readline() if readable else b""
        if not line.endswith(b"\n"):
            self._wait(LOOK_AGAIN_SECONDS)
            self.check_alive()
            raise BenchFailed(f"{self.name} wrote no line within {START_SECONDS} s")
        return line.decode()

    def write_line(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{line}\n".encode())
        self._popen.stdin.flush()

    def send_signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def stop(self) -> None:
        """End it by SIGTERM, or by SIGKILL when that does not help. Twice is harmless."""
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            if self.is_alive():
                self.send_signal(number)
                self._wait(seconds)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def stop_while(self, step: Callable[[], object], seconds: float) -> None:
        """Send SIGTERM and call `step` until it has ended. Raises `BenchFailed`.

        `step` may raise `BenchFailed` itself; that it does tells nothing.
        """
        self.send_signal(signal.SIGTERM)
        end = time.monotonic() + seconds
        with contextlib.suppress(BenchFailed):
            while self.is_alive() and time.monotonic() < end:
                step()
        self._wait(max(end - time.monotonic(), 0))
        if self.is_alive():
            raise BenchFailed(f"{self.name} did not end within {seconds:g} s of SIGTERM")

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Look again and again until `condition` holds. Raises `BenchFailed` after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise BenchFailed(f"{what}: not within {seconds:g} s")
        time.sleep(LOOK_AGAIN_SECONDS)
