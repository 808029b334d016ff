"""The cells of the page's tables: written, and read again."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

_LINK = re.compile(r"\[[^\]]+\]\(\.\./(?P<path>[^)]+)\): (?P<names>.*)")


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def of(line: str) -> list[str]:
    """Return the cells of a line of a table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def text(said: str) -> str:
    return " ".join(said.split()).replace("|", "\\|").replace("<", "&lt;")


def untext(cell: str) -> str:
    return cell.replace("\\|", "|").replace("&lt;", "<")


def links(tests: Mapping[str, str]) -> str:
    """Link to each test's file, once, and name the tests, each with what is to stand behind it."""
    by_file: defaultdict[str, list[str]] = defaultdict(list)
    for test, more in tests.items():
        by_file[path(test)].append(f"{name(test)}{more}")
    return "<br>".join(
        f"[{path.removeprefix('tests/')}](../{path}): {', '.join(names)}"
        for path, names in by_file.items()
    )


def unlinked(cell: str) -> Iterator[tuple[str, str]]:
    """Return the path and the name of each test in such a cell, with what is behind the name."""
    for part in cell.split("<br>"):
        if link := _LINK.fullmatch(part):
            for each in link["names"].split(", "):
                yield link["path"], each


def name(test: str) -> str:
    *classes, function = test.split("::")[1:]
    return ".".join([*classes, function.removeprefix("test_")])


def path(test: str) -> str:
    return test.partition("::")[0]
