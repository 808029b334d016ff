"""Break the bridge and see who notices: `scripts/mutate`, which prepares what this needs.

A seed chooses places in `gateway/bridge`. Each is broken by itself, in a private copy of this
checkout, and the quick tests run against the copy until one fails: that one noticed. A breakage
that no test notices has survived, and asks for a test, or for the code to go.

The same seed breaks the same places of the same tree, and most of them still when the tree has
changed elsewhere. What is in `scripts/mutate_ignored.toml` cannot be noticed, for the reason there.
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from textwrap import indent
from typing import Annotated

import attrs
import trio
import typer

from scripts.lab.processes import REPOSITORY, scratch_folder
from scripts.mutate_source import Breakage, chosen, constants, enumerations

TARGET = "gateway/bridge"
IGNORED = "scripts/mutate_ignored.toml"
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", "__pycache__", ".hypothesis", ".coverage*", "*.egg-info"
)

# Who is likely to notice comes first: tests named as what is broken, then these. Left out are the
# tests that import nothing of the bridge: those of the parts beneath it, of the emulator, and of
# these scripts.
FIRST = ("tests/unit/bridge/", "tests/scenarios/", "tests/simulation/")
LEFT_OUT = (
    "tests/contract/",
    "tests/e2e/",
    "tests/unit/legacy_emu/",
    "tests/unit/networks/",
    "tests/unit/scripts/",
    "tests/unit/store/",
    "tests/unit/xmpp/",
)
SLOW_ONES = ("test_cancellation.py",)  # of their folder, they come last
MARKS = "not servers and not slow"

HANG_SECONDS = 60  # a test that takes so long has noticed
RUN_SECONDS = 900  # so has a run of all of them
MAX_MEMORY_BYTES = 4 << 30  # what a breakage that never stops may take
SAID = re.compile(r"^(FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
BEGAN = re.compile(r"^(tests/\S+::.+?)(?: (?:PASSED|SKIPPED|XFAIL)\b.*)?$", re.MULTILINE)


class CannotJudge(Exception):
    """The tests fail on the tree as it is: whether they notice a breakage says nothing."""


@attrs.frozen
class Place:
    """A breakage of one file, which is part of one seed."""

    seed: int
    path: str
    breakage: Breakage
    source: str = attrs.field(repr=False)  # of the file, whole

    def __str__(self) -> str:
        return f"{self.path}:{self.breakage.line} {self.breakage.kind}"

    def diff(self) -> str:
        return indent(self.breakage.diff(self.source), "    ")


@attrs.frozen
class Ignored:
    """A breakage that changes nothing. It is found by its line's text, so that it may move."""

    kind: str
    text: str
    reason: str
    replacement: str | None = None  # None: whatever the replacement is

    def fits(self, breakage: Breakage) -> bool:
        return (self.kind, self.text) == (breakage.kind, breakage.text) and (
            self.replacement in (None, breakage.replacement)
        )


def load_ignored(text: str) -> list[Ignored]:
    return [Ignored(**one) for one in tomllib.loads(text).get("ignored", [])]


def places(
    root: Path, seed: int, count: int, only: str | None, ignored: Sequence[Ignored]
) -> list[Place]:
    """Return what this seed breaks in the tree at `root`."""
    sources = {
        str(path.relative_to(root)): path.read_text("utf-8")
        for path in sorted((root / "gateway").rglob("*.py"))
    }
    names: dict[str, Sequence[str]] = dict(enumerations(sources.values()))
    names["ns"] = constants(sources["gateway/xmpp/namespaces.py"])
    targets = {
        path: source
        for path, source in sources.items()
        if path.startswith(f"{TARGET}/") and not path.endswith("/texts.py")
        if only is None or path == only or path.startswith(f"{only.rstrip('/')}/")
    }
    drawn = chosen(targets, names, seed, lambda one: any(it.fits(one) for it in ignored))
    first = zip(drawn, range(count), strict=False)
    return [Place(seed, path, one, targets[path]) for (path, one), _ in first]


def files_of_tests(root: Path, broken: str | None = None) -> list[str]:
    """Return the files of tests to run when `broken` is; the likely ones come first."""
    name = f"test_{Path(broken).stem}" if broken is not None else " "

    def rank(path: str) -> tuple[bool, int, bool, str]:
        first = [number for number, folder in enumerate(FIRST) if path.startswith(folder)]
        place = first[0] if first else len(FIRST)
        return (not Path(path).name.startswith(name), place, path.endswith(SLOW_ONES), path)

    paths = [str(path.relative_to(root)) for path in (root / "tests").rglob("test_*.py")]
    return sorted((path for path in paths if not path.startswith(LEFT_OUT)), key=rank)


# --- running ----------------------------------------------------------------------------------


@attrs.frozen
class Verdict:
    """Who noticed a breakage: None, nobody."""

    noticed_by: str | None
    seconds: float


class Room:
    """A private copy of the tree, in which one breakage after the other is tried."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._folder = folder
        shutil.copytree(root, folder, ignore=NOT_COPIED, symlinks=True)
        self._changes = 0

    async def try_(self, place: Place | None) -> Verdict:
        """Run the tests with this breakage, or with none."""
        began = trio.current_time()
        if place is None:
            return Verdict(await self._run_tests(), trio.current_time() - began)
        path = self._folder / place.path
        self._write(path, place.breakage.apply(place.source))
        try:
            return Verdict(await self._run_tests(place.path), trio.current_time() - began)
        finally:
            self._write(path, place.source)

    def _write(self, path: Path, source: str) -> None:
        path.write_text(source, "utf-8")
        self._changes += 1
        os.utime(path, (self._changes, self._changes))  # else Python may take an old .pyc for it

    async def _run_tests(self, broken: str | None = None) -> str | None:
        tests = files_of_tests(self._folder, broken)
        log = self._folder.with_suffix(".log")
        command = [sys.executable, "-m", "pytest", "-v", "-x", "--tb=no", "--no-header", "-rfE"]
        command += ["-p", "no:cacheprovider", "-o", f"faulthandler_timeout={HANG_SECONDS}"]
        async with _running([*command, "-m", MARKS, *tests], self._folder, log) as process:
            with trio.move_on_after(RUN_SECONDS):
                await process.wait()
        said = log.read_text("utf-8", "replace")
        if process.returncode == 0:
            return None
        if failed := SAID.search(said):
            return failed[2]
        begun = BEGAN.findall(said)
        return f"{begun[-1]} (it ended the run, or hung)" if begun else "the start of the tests"


@asynccontextmanager
async def _running(
    command: Sequence[str], folder: Path, log: Path
) -> AsyncGenerator[trio.Process, None]:
    """Run the tests; leaving ends them, with all that they have started."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST")}
    # The environment's own installation leads to the checkout: the copy has to come before it.
    environment |= {"PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    with log.open("wb") as output:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
            preexec_fn=_bound_memory,
        )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


# --- telling ----------------------------------------------------------------------------------


class Telling:
    """What is said on the terminal, a paragraph for each breakage that has been tried."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.tried = 0
        self.survivors: list[Place] = []

    def verdict(self, place: Place, verdict: Verdict) -> None:
        self.tried += 1
        if verdict.noticed_by is None:
            self.survivors.append(place)
        word = "noticed" if verdict.noticed_by else "SURVIVED"
        print(
            f"{self.tried}/{self._total} seed {place.seed}: {word} in {verdict.seconds:.0f} s: "
            f"{place}"
        )
        print(place.diff())
        print(f"    {verdict.noticed_by or 'by no test'}\n", flush=True)

    def end(self) -> None:
        print(f"{self.tried} breakages, {len(self.survivors)} survived")
        for place in self.survivors:
            print(f"  seed {place.seed}: {place}")


async def try_all(
    root: Path, todo: Iterable[Place], folder: Path, jobs: int, tell: Telling
) -> None:
    """Try the tree as it is, and all breakages, in as many rooms at once as there are `jobs`.

    Raises `CannotJudge`.
    """
    waiting: list[Place | None] = [None, *todo]

    async def work(number: int) -> None:
        room = Room(root, folder / f"room{number}")
        while waiting:
            place = waiting.pop(0)
            verdict = await room.try_(place)
            if place is not None:
                tell.verdict(place, verdict)
            elif verdict.noticed_by is not None:
                raise CannotJudge(f"the tests fail on the tree as it is: {verdict.noticed_by}")
            else:
                print(f"the tree as it is passes, in {verdict.seconds:.0f} s\n", flush=True)

    async with trio.open_nursery() as nursery:
        for number in range(jobs):
            nursery.start_soon(work, number)


def main(
    seed: Annotated[list[int], typer.Option(help="What chooses the places. May be repeated.")],
    count: Annotated[int, typer.Option(min=1, help="How many places a seed chooses.")] = 10,
    only: Annotated[str | None, typer.Option(help=f"A path: break this part of {TARGET}.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many to try at once.")] = 2,
    *,
    show: Annotated[bool, typer.Option("--show", help="Only show the breakages.")] = False,
) -> None:
    """Break gateway/bridge in places a seed chooses, and see whether the quick tests notice.

    Each is broken by itself in a copy of this checkout. Exit code 0: each was noticed. 1: some
    survived. 2: the tests fail on the tree as it is, or there is nothing to break.
    """
    ignored = load_ignored((REPOSITORY / IGNORED).read_text("utf-8"))
    todo = [one for each in seed for one in places(REPOSITORY, each, count, only, ignored)]
    if not todo:
        print(f"nothing to break in {only or TARGET}", file=sys.stderr)
        raise typer.Exit(2)
    if show:
        for place in todo:
            print(f"seed {place.seed}: {place}\n{place.diff()}\n")
        return
    tell = Telling(len(todo))
    status = trio.run(_run, todo, jobs, tell)
    tell.end()
    raise typer.Exit(status or bool(tell.survivors))


async def _run(todo: Sequence[Place], jobs: int, tell: Telling) -> int:
    """Try them until all are tried, or a signal comes. Returns 0, or what went wrong."""
    status = 0
    with (
        scratch_folder("mutate") as folder,
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
    ):
        try:
            async with trio.open_nursery() as nursery:

                async def stop() -> None:
                    nonlocal status
                    async for number in signals:
                        status = 128 + number
                        nursery.cancel_scope.cancel()

                nursery.start_soon(stop)
                await try_all(REPOSITORY, todo, folder, jobs, tell)
                nursery.cancel_scope.cancel()
        except* CannotJudge as group:
            print(*group.exceptions, file=sys.stderr)
            status = 2
    return status


if __name__ == "__main__":
    typer.run(main)
