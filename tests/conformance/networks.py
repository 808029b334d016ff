"""Which requirements are shown on which network: the last section of the page.

A case knows its network by the parameter `cast` of its test. What is kept of a run is how many
cases of each test function were not played on each network, and why: that much can be read from
the page again. Which cases there are follows from the tree.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from tests.conformance import cells
from tests.conformance.requirements import FIRST, Case

TITLE = "By network"
INTRODUCTION = """\
Tests that have a network to play on are played on each of these. A row is shown when they pass on
the first; what another has no way to play takes nothing from that, and is named here.
"""
COUNTS = ("| Network | Cases played | Rows shown | In part | Not at all |", "|---|---|---|---|---|")
REASONS = ("| Networks | Why not | Rows | Tests |", "|---|---|---|---|")

_COUNT = re.compile(r"(?P<name>\S+)(?: \((?P<count>\d+) of \d+\))?")

Place = tuple[str, str]  # network, test function


@attrs.frozen
class Standing:
    """What one network shows of the rows whose tests have a network to play on."""

    played: int
    cases: int
    shown: tuple[str, ...]
    in_part: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def summary(self) -> str:
        rows = f"{len(self.shown)} shown, {len(self.in_part)} in part, {len(self.missing)} not"
        return f"{self.played}/{self.cases} cases, rows {rows}"


@attrs.frozen
class Networks:
    """The cases that have a network, and which of them were not played."""

    cases: Mapping[Place, int]
    rows: Mapping[str, tuple[str, ...]]  # by test function
    left_out: Mapping[Place, Mapping[str, int]]  # why -> how many cases

    @property
    def names(self) -> list[str]:
        found = dict.fromkeys(network for network, _ in self.cases)
        return sorted(found, key=lambda name: name != FIRST)

    def standing(self, network: str) -> Standing:
        there = {function: n for (name, function), n in self.cases.items() if name == network}
        played = {
            function: n - sum(self.left_out.get((network, function), {}).values())
            for function, n in there.items()
        }
        of_row: defaultdict[str, list[str]] = defaultdict(list)
        for function in there:
            for id_ in self.rows[function]:
                of_row[id_].append(function)
        shown = {id_ for id_, them in of_row.items() if all(played[f] == there[f] for f in them)}
        missing = {id_ for id_, them in of_row.items() if not any(played[f] for f in them)}
        return Standing(
            played=sum(played.values()),
            cases=sum(there.values()),
            shown=tuple(id_ for id_ in of_row if id_ in shown),
            in_part=tuple(id_ for id_ in of_row if id_ not in shown | missing),
            missing=tuple(id_ for id_ in of_row if id_ in missing),
        )

    def with_run(self, ran: "Networks") -> "Networks":
        """Return this with what another run says of the functions that it has run."""
        left_out = {place: why for place, why in self.left_out.items() if place not in ran.cases}
        return attrs.evolve(self, left_out={**left_out, **ran.left_out})


def of(cases: Iterable[Case]) -> Networks:
    """Return what a run says of the cases it has collected."""
    there: Counter[Place] = Counter()
    rows: defaultdict[str, dict[str, None]] = defaultdict(dict)
    left_out: defaultdict[Place, Counter[str]] = defaultdict(Counter)
    for case in cases:
        if case.network:
            place = (case.network, case.function)
            there[place] += 1
            rows[case.function].update(dict.fromkeys(case.ids))
            if case.outcome not in ("passed", "failed"):
                left_out[place][" ".join((case.reason or case.outcome).split())] += 1
    return Networks(there, {function: tuple(ids) for function, ids in rows.items()}, left_out)


def failed_on(case: Case) -> str:
    """Name a test, and the network unless it is the first."""
    return f"{cells.name(case.function)}{f' on {case.network}' if is_other(case) else ''}"


def is_other(case: Case) -> bool:
    """Say whether a case is played on a network that is not the first."""
    return case.network not in ("", FIRST)


# --- the section ------------------------------------------------------------------------------


def write(networks: Networks, ids: Iterable[str]) -> list[str]:
    """Return the section's lines, rows in the order of `ids`; none without networks."""
    if not networks.names:
        return []
    order = {id_: number for number, id_ in enumerate(ids)}
    lines = ["", f"## {TITLE}", "", *INTRODUCTION.splitlines(), "", *COUNTS]
    for name in networks.names:
        one = networks.standing(name)
        lines.append(
            cells.row(
                name,
                f"{one.played} of {one.cases}",
                str(len(one.shown)),
                _ids(one.in_part, order),
                _ids(one.missing, order),
            )
        )
    if networks.left_out:
        lines += ["", *REASONS]
        lines += [
            cells.row(", ".join(names), cells.text(why), _ids(rows, order), tests)
            for names, why, rows, tests in _reasons(networks)
        ]
    return lines


def _ids(ids: Iterable[str], order: Mapping[str, int]) -> str:
    return ", ".join(sorted(set(ids), key=lambda id_: order.get(id_, -1)))


def _reasons(networks: Networks) -> Iterator[tuple[list[str], str, list[str], str]]:
    """Return why cases were not played, once for all networks of which the same is to be said."""
    places = list(networks.rows)
    tests: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for function in sorted(places, key=cells.path):
        for network in networks.names:
            there = networks.cases.get((network, function), 0)
            for why, count in networks.left_out.get((network, function), {}).items():
                tests[why, network][function] = "" if count == there else f" ({count} of {there})"
    merged: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for why, network in sorted(tests, key=lambda each: (each[0], networks.names.index(each[1]))):
        merged[why, cells.links(tests[why, network])].append(network)
    for (why, linked), names in merged.items():
        rows = [id_ for function in tests[why, names[0]] for id_ in networks.rows[function]]
        yield names, why, rows, linked


def read(page: str, tree: Networks) -> Networks:
    """Return the networks of the tree, with what the page says was not played on them."""
    functions = {(cells.path(each), cells.name(each)): each for each in tree.rows}
    left_out: defaultdict[Place, Counter[str]] = defaultdict(Counter)
    for names, why, _, tests in _table(page, REASONS):
        for path, said in cells.unlinked(tests):
            found = _COUNT.fullmatch(said)
            function = functions.get((path, found["name"]), "") if found else ""
            for network in names.split(", "):
                there = tree.cases.get((network, function), 0)
                if found and there:
                    count = min(int(found["count"] or there), there)
                    left_out[network, function][cells.untext(why)] += count
    return attrs.evolve(tree, left_out=left_out)


def section(page: str) -> str:
    """Return this section of a page."""
    return page.partition(f"## {TITLE}\n")[2]


def counted(page: str) -> dict[str, int]:
    """Return how many cases the page knows of, by network."""
    return {row[0]: int(row[1].split()[-1]) for row in _table(page, COUNTS)}


def _table(page: str, head: tuple[str, str]) -> Iterator[list[str]]:
    _, _, rest = page.partition("\n".join(head) + "\n")
    for line in rest.splitlines():
        if not line.startswith("| "):
            return
        yield cells.of(line)


def broken(page: str, now: Networks) -> list[str]:
    """Say which cases the page says are played on a network, and were not in this run."""
    networks, before = counted(page), read(page, now).left_out
    rows = page.removesuffix(section(page)).splitlines()
    tests = {
        test
        for line in rows
        if line.startswith("| ")
        for cell in cells.of(line)
        for test in cells.unlinked(cell)
    }
    said = []
    for place, whys in now.left_out.items():
        network, function = place
        known = (cells.path(function), cells.name(function)) in tests
        if network == FIRST or network not in networks or not known:
            continue  # of the first its rows tell; what is new has been promised by nobody
        if sum(whys.values()) > sum(before.get(place, {}).values()):
            said.append(f"{cells.name(function)} played on {network}; now: {'; '.join(whys)}")
    return said
