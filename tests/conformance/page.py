"""The page `docs/conformance.md`: written from the requirements and a test run, and read again.

Everything on it but the results follows from the tree. So the page is stale when the same results,
written once more, make another page.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from tests.conformance import cells, networks
from tests.conformance.networks import Networks
from tests.conformance.requirements import TIERS, Case, Requirement, Requirements

FILE = Path("docs/conformance.md")

SHOWN = "shown"
HEAD = (
    "| ID | Requirement | Source | Level | Tier | Tests | Result |",
    "|---|---|---|---|---|---|---|",
)
INTRODUCTION = """\
# Conformance

What a client proxy gateway has to do, by XEP-0100 and what it leans on; in our own words, so that
the specification counts where they differ. Each row is shown by tests that carry its ID
(`@pytest.mark.conformance`): a row without a test is not done, and one whose tests fail, are
skipped or were not run is not shown. Tier 1 is the baseline, tier 2 what users of today's gateways
expect, tier 3 nice to have. Levels are the specifications' own words; STEP is a step of a flow in
XEP-0100, taken as MUST, and "project" what this gateway promises beyond them. Decisions settle what
the specifications leave open or say in two ways; they count in no tier.

`scripts/conformance` writes this page; `scripts/conformance --summary` says whether it is up to
date; `scripts/test` fails when a row that is called shown here was not shown.
"""


@attrs.frozen
class Totals:
    """How many rows of each tier are shown, of how many. Tier None are the decisions."""

    shown: Mapping[int | None, int]
    rows: Mapping[int | None, int]

    @property
    def summary(self) -> str:
        return " ".join(f"tier{tier} {self.shown[tier]}/{self.rows[tier]}" for tier in TIERS)

    @property
    def sentence(self) -> str:
        parts = [f"tier {tier}: {self.shown[tier]} of {self.rows[tier]}" for tier in TIERS]
        parts.append(f"decisions: {self.shown[None]} of {self.rows[None]}")
        return f"Shown: {'; '.join(parts)}."


def functions(cases: Iterable[Case]) -> dict[str, list[str]]:
    """Return the tests of each row, every function once, in the order of their files."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for case in cases:
        for id_ in case.ids:
            found[id_][case.function] = None
    return {id_: sorted(names, key=cells.path) for id_, names in found.items()}


def results(requirements: Requirements, cases: Iterable[Case]) -> dict[str, str]:
    """Say of each row whether this run has shown it, and if not, why."""
    by_id: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        for id_ in case.ids:
            by_id[id_].append(case)
    return {row.id: _result(row, by_id[row.id]) for row in requirements}


def _result(row: Requirement, cases: list[Case]) -> str:
    if not cases:
        return _without_test(row)
    if failed := [case for case in cases if case.outcome == "failed"]:
        return f"failing: {', '.join(dict.fromkeys(map(networks.failed_on, failed)))}"
    missing = [case for case in cases if case.outcome != "passed"]
    if len(missing) < len(cases):
        missing = [case for case in missing if not _is_excused(case)]
    if missing:
        why = dict.fromkeys(
            f"{cells.name(case.function)} {case.outcome}"
            + (f" ({case.reason})" if case.reason else "")
            for case in missing
        )
        return cells.text(f"not shown: {'; '.join(why)}")
    return SHOWN if row.partly is None else cells.text(f"in part: {row.partly}")


def _is_excused(case: Case) -> bool:
    """Say whether a case may be skipped: the first network shows what this one has no way to."""
    return case.outcome == "skipped" and networks.is_other(case)


def _without_test(row: Requirement) -> str:
    reason = row.not_done or row.partly
    return "not shown: no test" if reason is None else cells.text(f"not done: {reason}")


def totals(requirements: Requirements, results: Mapping[str, str]) -> Totals:
    shown: dict[int | None, int] = dict.fromkeys((*TIERS, None), 0)
    rows = dict(shown)
    for row in requirements:
        rows[row.tier] += 1
        shown[row.tier] += results.get(row.id) == SHOWN
    return Totals(shown, rows)


def write(
    requirements: Requirements,
    tests: Mapping[str, list[str]],
    results: Mapping[str, str],
    played: Networks,
) -> str:
    """Return the page."""
    lines = [INTRODUCTION, f"**{totals(requirements, results).sentence}**"]
    for section in requirements.sections:
        lines += ["", f"## {section.title}", "", *HEAD]
        lines += [
            cells.row(
                row.id,
                cells.text(row.text),
                cells.text(row.spec),
                cells.text(row.level),
                "" if row.tier is None else str(row.tier),
                cells.links(dict.fromkeys(tests.get(row.id, []), "")),
                results.get(row.id, ""),
            )
            for row in section.requirements
        ]
    lines += networks.write(played, (row.id for row in requirements))
    return "\n".join([*lines, ""])


def read(page: str) -> dict[str, str]:
    """Return the results on a page."""
    return {row[0]: row[-1] for row in map(cells.of, _rows(page).values())}


def current(
    requirements: Requirements, tests: Mapping[str, list[str]], page: str
) -> dict[str, str]:
    """Return the results on the page, as far as there is something in the tree to show them."""
    on_page = read(page)
    return {
        row.id: on_page.get(row.id, "") if row.id in tests else _without_test(row)
        for row in requirements
    }


def staleness(page: str, fresh: str) -> list[str]:
    """Say what the page does not tell as it is now, a line for each row; empty when it does."""
    if page == fresh:
        return []
    old, new = _rows(page), _rows(fresh)
    said = [f"{id_} is no more" for id_ in old if id_ not in new]
    said += [
        f"{id_} or its tests have changed" if id_ in old else f"{id_} is new"
        for id_ in changed(page, fresh)
    ]
    if networks.section(page) != networks.section(fresh):
        said.append("what is played on which network has changed")
    return said or ["what stands around the rows has changed"]


def changed(page: str, fresh: str) -> list[str]:
    """Return the rows that are new, or not as they stand on the page."""
    old = _rows(page)
    return [id_ for id_, line in _rows(fresh).items() if old.get(id_) != line]


def _rows(page: str) -> dict[str, str]:
    rows = ((cells.of(line), line) for line in page.splitlines() if line.startswith("| "))
    width = len(cells.of(HEAD[0]))
    return {row[0]: line for row, line in rows if len(row) == width and row[0] != "ID"}
