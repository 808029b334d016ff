"""Medians and ratios of what was measured, as a Markdown table."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from scripts.measure.names import BenchFailed

FIGURES, PARTS = "figures", "parts"  # the blocks of a document that are replaced
NOTHING = "-"
_SECTION = re.compile(r"^### ([\d,]+) users$", re.MULTILINE)


@attrs.frozen
class Row:
    """One figure: its key, what the table calls it, and whether less of it is better."""

    key: str
    label: str
    has_ratio: bool = True


ROWS = (
    Row("echo_cpu_us", "message echoed, 256 in flight: CPU µs"),
    Row("echo_threads_us", "of that beside the main thread: µs", has_ratio=False),
    Row("echo_per_second", "messages a second, 256 in flight", has_ratio=False),
    Row("alone_cpu_us", "message echoed, one in flight: CPU µs"),
    Row("latency_p50_ms", "100 messages a second: p50 ms"),
    Row("latency_p99_ms", "100 messages a second: p99 ms"),
    Row("latency_cpu_us", "100 messages a second: CPU µs each"),
    Row("presence_cpu_us", "presence change: CPU µs"),
    Row("sign_on_cpu_ms", "sign-on: CPU ms a user"),
    Row("sign_on_seconds", "sign-on of all at once: seconds"),
    Row("restart_cpu_ms", "back after a restart: CPU ms a user"),
    Row("restart_seconds", "all back after a restart: seconds"),
    Row("memory_kib", "memory: KiB a session"),
    Row("memory_before_mib", "memory without sessions: MiB", has_ratio=False),
    Row("idle_cpu_s", "idle, all signed on: CPU s a minute", has_ratio=False),
    Row("echo_bench_us", "the bench itself: CPU µs a message", has_ratio=False),
    Row("echo_peer_us", "the legacy service: CPU µs a message", has_ratio=False),
)


@attrs.frozen
class Run:
    """What one cycle of one subject gave."""

    users: int
    cycle: int
    subject: str
    figures: Mapping[str, float]


def medians(runs: Iterable[Run], subject: str) -> dict[str, float]:
    """Return the median over the cycles of each figure that `subject` has."""
    values: dict[str, list[float]] = {}
    for run in runs:
        if run.subject == subject:
            for key, value in run.figures.items():
                values.setdefault(key, []).append(value)
    return {key: statistics.median(each) for key, each in values.items()}


def ratio(runs: Sequence[Run], key: str, subject: str, yardstick: str) -> float | None:
    """Return the median of the cycles' own ratios; None when no cycle has both."""
    by_cycle = {(run.subject, run.cycle): run.figures[key] for run in runs if key in run.figures}
    ratios = [
        value / base
        for (name, cycle), value in by_cycle.items()
        if name == subject and (base := by_cycle.get((yardstick, cycle)))
    ]
    return statistics.median(ratios) if ratios else None


def number(value: float | None) -> str:
    """Write a figure with as many digits as say something."""
    if value is None:
        return NOTHING
    if abs(value) < 0.0005:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def table(runs: Sequence[Run], compared: Sequence[str], yardsticks: Sequence[str]) -> str:
    """Return one table: the medians of each subject, and `compared` over `yardsticks`.

    The runs are those of one number of users. Rows and columns that nothing was measured for are
    left out.
    """
    subjects = list(dict.fromkeys(run.subject for run in runs))
    middle = {subject: medians(runs, subject) for subject in subjects}
    pairs = [
        (one, other) for other in yardsticks for one in compared if {one, other} <= middle.keys()
    ]
    head = ["", *subjects, *(f"{one} / {other}" for one, other in pairs)]
    lines = [_line(head), _line(["---", *("---:" for _ in head[1:])])]
    for row in ROWS:
        if not any(row.key in each for each in middle.values()):
            continue
        cells = [number(middle[subject].get(row.key)) for subject in subjects]
        ratios = [ratio(runs, row.key, *pair) if row.has_ratio else None for pair in pairs]
        lines.append(_line([row.label, *cells, *map(_times, ratios)]))
    return "\n".join(lines) + "\n"


def _times(value: float | None) -> str:
    return "" if value is None else f"{number(value)}x"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def section(users: int, cycles: int, machine: str, table_: str) -> str:
    """Return a table under its heading, with what it was measured on."""
    plural = "cycle" if cycles == 1 else "cycles"
    return f"### {users:,} users\n\n{cycles} {plural}; {machine}.\n\n{table_}"


def marks(block: str) -> tuple[str, str]:
    """Return the lines between which a document has a block."""
    return f"<!-- scripts/bench --write: {block} -->", f"<!-- end of {block} -->"


def replace_sections(text: str, block: str, new: Mapping[int, str]) -> str:
    """Replace the sections of a document's block that were measured; keep the others.

    There is one for each number of users. Raises `BenchFailed` when the document has no such block.
    """
    first, last = marks(block)
    head, begin, rest = text.partition(first)
    inside, end, tail = rest.partition(last)
    if not begin or not end:
        raise BenchFailed(f"there is no place for the tables: put {first} and {last} there")
    parts = _SECTION.split(inside)[1:]
    sections = {
        int(users.replace(",", "")): f"### {users} users{body}"
        for users, body in zip(parts[::2], parts[1::2], strict=True)
    }
    sections |= new
    inner = "\n\n".join(sections[users].strip() for users in sorted(sections))
    return f"{head}{begin}\n\n{inner}\n\n{end}{tail}"


def write_into(document: Path, block: str, new: Mapping[int, str]) -> None:
    """Replace the sections in the file `document`. Raises `BenchFailed`."""
    text = document.read_text("utf-8")
    document.write_text(replace_sections(text, block, new), "utf-8")
