"""Show which requirements the tests show: `scripts/conformance`, which prepares what this needs."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.conformance import networks, page
from tests.conformance.networks import Networks
from tests.conformance.requirements import (
    FILE,
    Case,
    Faulty,
    Requirements,
    contradicted,
    from_json,
    load,
)

ROOT = Path(__file__).resolve().parents[2]
TAIL_LINES = 40
MEND = "to mend it, run scripts/conformance and commit what it writes (--changed is quicker)"

MEND_ROW = f"in {FILE}, take `not_done` out, or make it `partly` where something is missing"


def main(
    *,
    summary: Annotated[
        bool, typer.Option("--summary", help="Only say whether the page holds; run no test.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what needs servers.")] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Run only what rows need that are new or changed.")
    ] = False,
    options: Annotated[
        list[str] | None, typer.Argument(help="What pytest is given to run tests, after --.")
    ] = None,
    root: Annotated[Path, typer.Option(hidden=True)] = ROOT,
) -> None:
    """Run the tests that show requirements, and write docs/conformance.md.

    Exits with 1 when one of them fails. With --summary it prints a line of totals, and exits
    with 0 only if tier 1 is whole and the page is not stale.
    """
    try:
        requirements = load(root)
        if summary:
            held = summarise(root, requirements)
        elif changed:
            held = renew(root, requirements, *options or ())
        else:
            held = record(root, requirements, *options or (), quick=quick)
    except Faulty as exc:
        tell(*str(exc).splitlines())
        held = False
    raise typer.Exit(0 if held else 1)


def summarise(root: Path, requirements: Requirements) -> bool:
    """Print the totals of the page. Returns whether it is whole in tier 1, and up to date."""
    written, cases = read(root), collect(root, requirements)
    tests, played = page.functions(cases), networks.read(written, networks.of(cases))
    results = page.current(requirements, tests, written)
    stale = page.staleness(written, page.write(requirements, tests, results, played))
    tell_totals(requirements, results, played)
    missing = tell_missing(requirements, results)
    if stale:
        tell(f"{page.FILE} is stale:" if written else f"there is no {page.FILE}:", *stale, MEND)
    return not missing and not stale


def record(root: Path, requirements: Requirements, *options: str, quick: bool) -> bool:
    """Run the tests and write the page. Returns whether none of them failed."""
    wanted = "conformance and not servers" if quick else "conformance"
    cases = run(root, "-q", "-m", wanted, *options)
    refuse_contradictions(requirements, cases)
    results = page.results(requirements, cases)
    write(root, requirements, page.functions(cases), results, networks.of(cases))
    return all(case.outcome != "failed" for case in cases)


def renew(root: Path, requirements: Requirements, *options: str) -> bool:
    """Run the tests of rows that are new, changed or not shown; the others stay as they are."""
    written, cases = read(root), collect(root, requirements)
    tests, played = page.functions(cases), networks.read(written, networks.of(cases))
    results = page.current(requirements, tests, written)
    due = {*page.changed(written, page.write(requirements, tests, results, played))}
    due |= {id_ for id_, result in results.items() if result != page.SHOWN}
    if not networks.counted(written).keys() >= {*played.names}:
        due |= {id_ for ids in played.rows.values() for id_ in ids}
    wanted = dict.fromkeys(test for id_ in tests if id_ in due for test in tests[id_])
    ran = run(root, "-q", *options, *wanted) if wanted else ()
    seen = page.results(requirements, ran)
    results |= {id_: seen[id_] for id_ in tests if id_ in due}
    write(root, requirements, tests, results, played.with_run(networks.of(ran)))
    return all(case.outcome != "failed" for case in ran)


def collect(root: Path, requirements: Requirements) -> tuple[Case, ...]:
    cases = run(root, "--collect-only", "-qq", shown=False)
    refuse_contradictions(requirements, cases)
    return cases


def refuse_contradictions(requirements: Requirements, cases: tuple[Case, ...]) -> None:
    if faults := contradicted(requirements, cases):
        raise Faulty([*faults, MEND_ROW])


def read(root: Path) -> str:
    try:
        return (root / page.FILE).read_text("utf-8")
    except FileNotFoundError:
        return ""


def write(
    root: Path,
    requirements: Requirements,
    tests: dict[str, list[str]],
    results: dict[str, str],
    played: Networks,
) -> None:
    """Write the page, and say what is on it."""
    try:
        text = page.write(requirements, tests, results, played)
        (root / page.FILE).write_text(text, "utf-8")
    except OSError as exc:
        raise Faulty([f"{page.FILE}: {exc.strerror}"]) from exc
    tell_totals(requirements, results, played)
    tell_missing(requirements, results)


def run(root: Path, *options: str, shown: bool = True) -> tuple[Case, ...]:
    """Run pytest in `root`. Returns what it says of each marked test."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--conformance-report", report, *options],
            cwd=root,
            check=False,
            stdout=None if shown else subprocess.PIPE,
            stderr=None if shown else subprocess.PIPE,
            text=True,
        )
        worked = done.returncode == 0 or (shown and done.returncode == 1)
        if not worked or not report.exists():
            said = [] if shown else (done.stderr or done.stdout).strip().splitlines()
            raise Faulty([*said[-TAIL_LINES:], f"pytest ended with {done.returncode}"])
        return from_json(json.loads(report.read_text("utf-8")))


def tell_totals(requirements: Requirements, results: dict[str, str], played: Networks) -> None:
    sys.stdout.write(f"{page.totals(requirements, results).summary}\n")
    for name in played.names:
        sys.stdout.write(f"{name} {played.standing(name).summary}\n")


def tell_missing(requirements: Requirements, results: dict[str, str]) -> bool:
    """Say which rows of tier 1 are not shown. Returns whether there are any."""
    missing = [row.id for row in requirements if row.tier == 1 and results[row.id] != page.SHOWN]
    if missing:
        tell("tier 1 is not whole:")
        tell(*(f"  {id_} {results[id_] or 'not on the page'}" for id_ in missing))
    return bool(missing)


def tell(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    typer.run(main)
