"""`scripts/bench` on the smallest scale: every figure comes, no process stays.

No speed is asserted.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from scripts.lab.processes import (
    LOOK_AGAIN_SECONDS,
    REPOSITORY,
    Running,
    python_module,
    running,
    scratch_folder,
)
from scripts.measure.figures import FIGURES, ROWS, marks

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the bench is for Linux"),
]

BENCH_SECONDS = 150
INTERRUPT_SECONDS = 30
GATEWAYS = ("emu", "aim")
SUBJECTS = (*GATEWAYS, "yardstick")
OF_GATEWAYS = {"restart_cpu_ms", "restart_seconds"}
# Ten users may fit into memory that was there, and nothing may happen in so short a time.
MAY_BE_NOTHING = {"idle_cpu_s", "echo_threads_us", "memory_kib"}
BEGIN, END = marks(FIGURES)
SMALL = ("--users", "10", "--seconds", "0.3", "--idle-seconds", "0.3")


@asynccontextmanager
async def bench(folder: Path, *arguments: str | Path) -> AsyncGenerator[Running, None]:
    """Run the bench; its scratch folder is in `folder`."""
    command = python_module("scripts.measure", *SMALL, *arguments)
    environment = {"TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY)}
    async with running("bench", command, folder / "log", environment=environment) as started:
        yield started


def started_in(folder: Path) -> list[str]:
    """Return the commands of all processes that run in a folder below `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
            if folder in where.parents:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            pass  # it has ended, or is not ours
    return found


def cells(document: str) -> dict[str, list[str]]:
    """Return the rows of the table in a document, by their first cell."""
    lines = re.findall(r"^\|(.+)\|$", document, re.MULTILINE)
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {first: rest for first, *rest in rows}


async def test_tiny_run_gives_every_figure() -> None:
    with scratch_folder("bench-test") as folder:
        figures, document = folder / "figures.json", folder / "page.md"
        document.write_text(f"before\n{BEGIN}\n{END}\nafter\n", "utf-8")
        files = ("--json", figures, "--write", document)
        only = [part for name in SUBJECTS for part in ("--only", name)]
        async with bench(folder, *only, *files) as run:
            with trio.fail_after(BENCH_SECONDS):
                code = await run.process.wait()
            assert code == 0, run.log_tail()
            assert "FAILED" not in run.output()
            assert "errors in its log" not in run.output()
        assert started_in(folder) == []
        assert sorted(path.name for path in folder.iterdir()) == ["figures.json", "log", "page.md"]

        everything: dict[str, Any] = json.loads(figures.read_text("utf-8"))
        assert [run["subject"] for run in everything["runs"]] == list(SUBJECTS)
        for run in everything["runs"]:
            of_gateways = set() if run["subject"] in GATEWAYS else OF_GATEWAYS
            assert run["figures"].keys() == {row.key for row in ROWS} - of_gateways
            lacking = {key for key, value in run["figures"].items() if value <= 0}
            assert lacking <= MAY_BE_NOTHING
        written = document.read_text("utf-8")
        assert written.startswith(f"before\n{BEGIN}\n\n### 10 users\n\n1 cycle; ")
        assert written.endswith(f"\n\n{END}\nafter\n")
        rows = cells(written)
        assert rows[""] == [*SUBJECTS, "emu / yardstick", "aim / yardstick"]
        assert {row.label for row in ROWS} <= rows.keys()


async def test_interrupted_run_ends_what_it_started() -> None:
    with scratch_folder("bench-test") as folder:
        async with bench(folder, "--only", "emu") as run:
            with trio.fail_after(INTERRUPT_SECONDS):
                while not any(" gateway run " in command for command in started_in(folder)):
                    run.check_alive()
                    await trio.sleep(LOOK_AGAIN_SECONDS)
                run.process.send_signal(signal.SIGINT)
                assert await run.process.wait() == 1
            assert "interrupted; all that was started has ended" in run.output()
        assert started_in(folder) == []
        assert [path.name for path in folder.iterdir()] == ["log"]


def test_page_without_place_is_refused_at_once() -> None:
    with scratch_folder("bench-test") as folder:
        page = folder / "page.md"
        page.write_text("nothing here\n", "utf-8")
        command = [str(part) for part in python_module("scripts.measure", "--write", page)]
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1
        assert "there is no place for the tables" in done.stderr
