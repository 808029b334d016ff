"""Measure what the gateway costs, beside biboumi and a bare Trio component: `scripts/bench`."""

import argparse
import json
import os
import platform
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import attrs

from scripts.lab.processes import scratch_folder
from scripts.measure import figures
from scripts.measure.cycle import Cycles, Lengths
from scripts.measure.figures import FIGURES, PARTS, Run
from scripts.measure.names import BenchFailed
from scripts.measure.process import ENDING_SIGNALS
from scripts.measure.profile import fold, parts_table
from scripts.measure.subjects import GATEWAYS, SUBJECTS, YARDSTICKS
from scripts.measure.subjects.biboumi import is_installed

MOST_USERS = 10_000
MOST_CYCLES = 50
MOST_SECONDS = 600.0

# The part of a cycle that is sampled: the figure that says what it cost, and its unit.
SAMPLED = {
    "echo": ("echo_cpu_us", "µs a message, 256 in flight"),
    "sign-on": ("sign_on_cpu_ms", "ms a sign-on"),
    "restart": ("restart_cpu_ms", "ms a user after a restart"),
    "presence": ("presence_cpu_us", "µs a presence change"),
}


def main(arguments: Sequence[str]) -> int:
    """Return 0 when all was measured, 1 when something failed, 2 when nothing can be measured."""
    options = _parser().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        _say("this measures by Linux's clocks and /proc: it runs on Linux only")
        return 2
    _raise_limit_of_files()
    for number in ENDING_SIGNALS:
        signal.signal(number, _interrupted)
    try:
        if options.write is not None:  # that it cannot be written is said now, not in an hour
            block = FIGURES if options.profile is None else PARTS
            figures.replace_sections(options.write.read_text("utf-8"), block, {})
        with scratch_folder("bench") as folder:
            return _measure(options, folder)
    except (BenchFailed, OSError) as exc:
        _say(str(exc))
        return 1
    except KeyboardInterrupt:
        _say("interrupted; all that was started has ended")
        return 1


def _measure(options: argparse.Namespace, folder: Path) -> int:
    subjects, machine = _subjects(options), _machine()
    runs: list[Run] = []
    for users in options.users:
        mine = _measure_users(options, folder / str(users), users, subjects)
        runs += mine
        if not mine:
            continue
        text = _section(mine, machine)
        print(text, flush=True)
        block = FIGURES
        if options.profile is not None:
            _report_parts(options.profile, mine)
            echo = _parts(options.profile, mine, "echo")
            block, text = PARTS, figures.section(users, 1, machine, echo)
        if options.write is not None:
            figures.write_into(options.write, block, {users: text})
        if options.json is not None:
            options.json.write_text(_json(runs, machine), "utf-8")
    wanted = len(subjects) * options.cycles * len(options.users)
    return 0 if len(runs) == wanted else 1


def _measure_users(
    options: argparse.Namespace, folder: Path, users: int, subjects: Sequence[str]
) -> list[Run]:
    """Run all cycles with so many users; those that fail are told of and left out."""
    lengths = Lengths.fitting(users, options.seconds, options.idle_seconds)
    cycles = Cycles(folder, users, lengths, _say)
    runs = []
    for cycle in range(options.cycles):
        for name in subjects:
            _say(f"{users} users, cycle {cycle + 1} of {options.cycles}: {name}")
            try:
                found = cycles.run(name, options.profile)
            except BenchFailed as exc:
                _say(f"{name} FAILED: {exc}")
            else:
                runs.append(Run(users, cycle, name, found))
    return runs


def _subjects(options: argparse.Namespace) -> list[str]:
    """Return what to measure, in the table's order."""
    wanted = options.only or list(SUBJECTS)
    if options.profile is not None:
        options.profile = options.profile.resolve()
        options.profile.mkdir(parents=True, exist_ok=True)
        options.cycles = 1  # samples of a second would replace those of the first
        wanted = [name for name in wanted if name in GATEWAYS]
    if "biboumi" in wanted and not is_installed():
        _say("biboumi is not installed: its column is left out (apt-get install biboumi)")
        wanted = [name for name in wanted if name != "biboumi"]
    if not wanted:
        raise BenchFailed("there is nothing to measure")
    return [name for name in SUBJECTS if name in wanted]


def _section(runs: Sequence[Run], machine: str) -> str:
    cycles = len({run.cycle for run in runs})
    table = figures.table(runs, GATEWAYS, YARDSTICKS)
    return figures.section(runs[0].users, cycles, machine, table)


def _machine() -> str:
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    plural = "core" if cores == 1 else "cores"
    return f"{cores} {plural}, Python {platform.python_version()}, load {load:.1f} at the start"


def _json(runs: Sequence[Run], machine: str) -> str:
    both = {
        str(users): {
            name: figures.medians([run for run in runs if run.users == users], name)
            for name in dict.fromkeys(run.subject for run in runs if run.users == users)
        }
        for users in dict.fromkeys(run.users for run in runs)
    }
    everything = {"machine": machine, "runs": [attrs.asdict(run) for run in runs], "medians": both}
    return json.dumps(everything, indent=1) + "\n"


def _parts(folder: Path, runs: Sequence[Run], part: str) -> str:
    """Return what each part of the gateway costs in one part of a cycle; empty when not sampled."""
    key, unit = SAMPLED[part]
    folded, costs = {}, {}
    for run in runs:
        file = folder / f"{run.subject}-{run.users}-{part}.stacks"
        if file.exists():
            folded[run.subject] = fold(file.read_text("utf-8").splitlines())
            costs[run.subject] = run.figures[key]
    return parts_table(folded, costs, unit) if folded else ""


def _report_parts(folder: Path, runs: Sequence[Run]) -> None:
    """Print where the time went, and leave it beside the stacks."""
    tables = [_parts(folder, runs, part) for part in SAMPLED]
    text = "\n".join([f"### {runs[0].users:,} users\n", *filter(None, tables)])
    print(text, flush=True)
    (folder / f"parts-{runs[0].users}.md").write_text(text, "utf-8")


def _raise_limit_of_files() -> None:
    """Let ourselves and what we start have as many connections as the system permits."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    """End what was started, once: a second signal must not interrupt that."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--users",
        type=_numbers,
        default=[100],
        metavar="N[,N...]",
        help="how many users, one table for each number (default: 100)",
    )
    parser.add_argument("--cycles", type=_cycles, default=1, help="of all subjects, in turn")
    parser.add_argument(
        "--only",
        action="append",
        choices=list(SUBJECTS),
        help="measure this subject; may be given more than once",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        help="of each measurement (default: 3, or a hundred-and-twenty-fifth of the users)",
    )
    parser.add_argument("--idle-seconds", type=_seconds, help="of idling (default: 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="replace the tables of this document"
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="DIR",
        help="sample the gateway in one cycle; leave stacks and the costs of its parts there",
    )
    return parser


def _numbers(text: str) -> list[int]:
    found = [int(each) for each in text.split(",")]
    if not all(1 <= each <= MOST_USERS for each in found):
        raise argparse.ArgumentTypeError(f"from 1 to {MOST_USERS} users can be measured")
    return sorted(set(found))


def _cycles(text: str) -> int:
    if not 1 <= int(text) <= MOST_CYCLES:
        raise argparse.ArgumentTypeError(f"from 1 to {MOST_CYCLES} cycles are possible")
    return int(text)


def _seconds(text: str) -> float:
    if not 0 < float(text) <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"more than 0 and at most {MOST_SECONDS:g} s are possible")
    return float(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
