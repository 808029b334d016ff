"""Part of every test run: knows which requirements the tests name, and which of them were shown.

A test that names what is no requirement ends the run before it starts. Beyond that a run is left
alone, unless it is asked: `--conformance-report FILE` writes down what became of each marked test;
`--hold-conformance` fails a run of all tests that has not shown a row which the page calls shown,
or not played what the page calls played on a network.

On several cores (pytest-xdist) it is the workers that know the tests: each tells the controller at
its end which there are, and the controller, who hears of every outcome, keeps the account.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.conformance import networks, page
from tests.conformance.requirements import (
    FILE,
    Case,
    Faulty,
    Requirements,
    from_json,
    load,
    to_json,
    unknown,
)
from tests.parallel import refuse

MEND = "run scripts/conformance, and commit what it writes"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption(
        "--conformance-report", type=Path, metavar="FILE", help="write what each marked test showed"
    )
    group.addoption(
        "--hold-conformance",
        action="store_true",
        help=f"fail when a row that {page.FILE} calls shown was not shown (all tests only)",
    )


def pytest_configure(config: pytest.Config) -> None:
    tests = Tests(config)
    config.pluginmanager.register(tests, "the tests that show requirements")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Account(config, tests), "the account of conformance")


class Tests:
    """Which tests name requirements, as collected here or told by a worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.cases: dict[str, Case] = {}
        self.some_left_out = False

    @pytest.hookimpl(tryfirst=True)  # before any is deselected
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            ids = [str(id_) for mark in item.iter_markers("conformance") for id_ in mark.args]
            if ids:
                path, line, _ = item.location
                name = item.nodeid.partition("::")[2].partition("[")[0]
                self.cases[item.nodeid] = Case(
                    function=f"{Path(path).as_posix()}::{name}",
                    line=(line or 0) + 1,
                    ids=tuple(dict.fromkeys(ids)),
                    network=_network(item),
                )
        if self.cases and (faults := self._faults()):
            refuse(self._config, items, str(FILE), faults)

    def _faults(self) -> str:
        try:
            return "\n".join(unknown(load(self._config.rootpath), self.cases.values()))
        except Faulty as exc:
            return str(exc)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.some_left_out = self.some_left_out or bool(items)

    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workerinput"):
            told = (list(self.cases), to_json(self.cases.values()), self.some_left_out)
            self._config.workeroutput["conformance"] = json.dumps(told)  # type: ignore[attr-defined]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker tells, if it came to its end; all of them have the same tests."""
        told = getattr(node, "workeroutput", {}).get("conformance")
        if told is not None:
            names, cases, self.some_left_out = json.loads(told)
            self.cases = dict(zip(names, from_json(cases), strict=True))


class Account:
    """What the tests of one run show."""

    def __init__(self, config: pytest.Config, tests: Tests) -> None:
        self._config = config
        self._tests = tests
        self._outcomes: dict[str, tuple[str, str]] = {}
        self._everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not any(
            config.getoption(option) for option in ("ignore", "ignore_glob", "deselect")
        )
        self._faults: list[str] = []
        self._notes: list[str] = []

    # --- what became of them ---

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before, _ = self._outcomes.get(report.nodeid, ("", ""))
        if before == "failed":
            return
        if report.failed:
            self._outcomes[report.nodeid] = ("failed", "")
        elif report.skipped:
            self._outcomes[report.nodeid] = ("skipped", _reason(report))
        elif report.when == "call":
            self._outcomes[report.nodeid] = ("passed", "")

    def _cases(self) -> list[Case]:
        cases = []
        for name, case in self._tests.cases.items():
            outcome, reason = self._outcomes.get(name, (case.outcome, case.reason))
            cases.append(attrs.evolve(case, outcome=outcome, reason=reason))
        return cases

    # --- the end ---

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        report: Path | None = self._config.getoption("conformance_report")
        if report is not None:
            report.write_text(json.dumps(to_json(self._cases())), "utf-8")
        if self._config.getoption("hold_conformance"):
            self._hold_to_account()
            if self._faults and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _hold_to_account(self) -> None:
        if not self._everything or self._tests.some_left_out:
            self._notes.append(f"{page.FILE} is held to account only when all tests are run")
            return
        try:
            requirements = load(self._config.rootpath)
            written = (self._config.rootpath / page.FILE).read_text("utf-8")
        except Faulty as exc:
            self._faults += str(exc).splitlines()
        except OSError as exc:
            self._faults.append(f"{page.FILE}: {exc.strerror}; {MEND}")
        else:
            self._compare(requirements, written)

    def _compare(self, requirements: Requirements, written: str) -> None:
        cases = self._cases()
        seen = page.results(requirements, cases)
        for id_, result in page.read(written).items():
            if result == page.SHOWN and seen.get(id_) != page.SHOWN:
                now = seen.get(id_, "no requirement any more")
                self._faults.append(f"{page.FILE} calls {id_} shown; it is {now}")
        played = networks.of(cases)
        for case in networks.broken(written, played):
            self._faults.append(f"{page.FILE} calls {case}")
        tests = page.functions(cases)
        on_page = page.current(requirements, tests, written)
        fresh = page.write(requirements, tests, on_page, networks.read(written, played))
        if page.staleness(written, fresh):
            self._notes.append(f"{page.FILE} is stale: {MEND}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._faults or self._notes:
            terminalreporter.section("conformance")
        for line in self._faults:
            terminalreporter.line(line, red=True)
        for line in self._notes:
            terminalreporter.line(line)


def _network(item: pytest.Item) -> str:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return str(getattr(params.get("cast"), "name", ""))


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}".removesuffix(": ")
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return ""
