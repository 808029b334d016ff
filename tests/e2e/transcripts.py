"""Part of every test run: what foreign clients said and heard is printed at its end.

A test gives its transcript to `keep`; it travels with the test's report, so that it arrives from
wherever the test was run.
"""

from collections.abc import Iterable

import pytest

COLUMNS = 100
_PROPERTY = "interop"


def keep(item: pytest.Item, client: str, lines: Iterable[str]) -> None:
    """Have these lines printed when all tests have run, under the client's name."""
    title = f"-- {item.name.removeprefix('test_')}"
    item.user_properties.append((_PROPERTY, [client, title, *_folded(lines)]))


def _folded(lines: Iterable[str]) -> Iterable[str]:
    """Put what one side says without a pause on one line, as far as it fits."""
    folded = ""
    for line in lines:
        way, _, said = line.partition(" ")
        longer = f"{folded} | {said}"
        if folded.startswith(way) and len(longer) <= COLUMNS:
            folded = longer
        else:
            if folded:
                yield folded
            folded = line
    yield folded


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    last = ""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "call":
                continue
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    client, *lines = value
                    if client != last:
                        terminalreporter.section(f"interop: {client}")
                    last = client
                    for line in lines:
                        terminalreporter.line(line)
