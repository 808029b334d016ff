"""Run a module and sample where its main thread spends its CPU time. Standard library only.

    python -m scripts.measure.sampler FILE MODULE [ARGUMENT ...]

SIGUSR1 begins, SIGUSR2 ends and writes FILE: a line for each stack, its frames from the outermost
on, separated by `;`, then its microseconds. A sample weighs what the thread has used since the last
one. Other threads and the garbage collector are lines of their own: `(other threads)`, `(gc)`.
"""

import gc
import os
import runpy
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

INTERVAL_SECONDS = 0.004  # of the process's CPU time; many kernels count no finer
OTHER_THREADS, COLLECTOR = "(other threads)", "(gc)"


class Sampler:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._stacks: Counter[tuple[CodeType, ...]] = Counter()
        self._beside: Counter[str] = Counter()
        self._main = self._all = self._collecting = 0

    def install(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        self._stacks.clear()
        self._beside.clear()
        self._main, self._all = time.thread_time_ns(), time.process_time_ns()
        gc.callbacks.append(self._collect)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)

    def _end(self, _number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        gc.callbacks.remove(self._collect)
        self._sample(signal.SIGPROF, frame)
        lines = [
            f"{';'.join(map(_frame_name, stack))} {weight // 1000}"
            for stack, weight in self._stacks.items()
        ]
        lines += [f"{name} {weight // 1000}" for name, weight in self._beside.items()]
        new = self._file.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n", "utf-8")
        new.rename(self._file)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        if self._collecting:  # it came within `_collect`, which takes this time
            return
        main, every = time.thread_time_ns(), time.process_time_ns()
        weight, beside = main - self._main, (every - self._all) - (main - self._main)
        self._main, self._all = main, every
        stack = []
        while frame is not None:
            stack.append(frame.f_code)
            frame = frame.f_back
        self._stacks[tuple(reversed(stack))] += weight
        self._beside[OTHER_THREADS] += max(beside, 0)

    def _collect(self, phase: str, _info: dict[str, int]) -> None:
        """Take the collector's time out of the stack, and the thread, that set it off."""
        now = time.thread_time_ns()
        if phase == "start":
            self._collecting = now
        elif self._collecting:
            spent, self._collecting = now - self._collecting, 0
            self._beside[COLLECTOR] += spent
            self._all += spent
            if threading.get_ident() == threading.main_thread().ident:
                self._main += spent


def _frame_name(code: CodeType) -> str:
    """Name a frame by its file, from the package on, and its function."""
    path = code.co_filename
    for start in sorted(sys.path, key=len, reverse=True):
        if start and path.startswith(start + os.sep):
            path = path[len(start) + 1 :]
            break
    return f"{path}:{code.co_qualname}".replace(";", ",").replace(" ", "_")


if __name__ == "__main__":
    Sampler(Path(sys.argv[1])).install()
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
