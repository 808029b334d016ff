"""The requirements of `requirements.toml`, and the tests that name them."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import cattrs

FILE = Path("tests/conformance/requirements.toml")
TIERS = (1, 2, 3)
FIRST = "emu"  # the network on which a row has to be shown

_ID = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")
_REASONS = ("not_done", "partly")
_KEYS = frozenset({"spec", "tier", "level", "text", *_REASONS})


class Faulty(Exception):
    """What is written cannot be used. Says where, a line for each fault."""

    def __init__(self, faults: Iterable[str]) -> None:
        super().__init__("\n".join(faults))


@attrs.frozen(kw_only=True)
class Requirement:
    """One row. Without a tier it is a decision, which no total counts."""

    id: str
    text: str
    spec: str
    level: str
    tier: int | None = attrs.field(default=None)
    not_done: str | None = None
    partly: str | None = None  # what is missing of it; tests show the rest


@attrs.frozen
class Section:
    title: str
    requirements: tuple[Requirement, ...]


@attrs.frozen
class Requirements:
    sections: tuple[Section, ...]

    def __iter__(self) -> Iterator[Requirement]:
        for section in self.sections:
            yield from section.requirements

    @property
    def by_id(self) -> dict[str, Requirement]:
        return {requirement.id: requirement for requirement in self}


@attrs.frozen(kw_only=True)
class Case:
    """One case of a test that carries the marker, and what became of it in this run.

    A test with parameters has several. One that is played on a network knows its name, and one that
    is skipped says why, so that a row may be shown on one network and excused on another.
    """

    function: str  # "tests/unit/test_jid.py::test_a_jid"
    line: int
    ids: tuple[str, ...]
    outcome: str = "not run"  # or passed, failed, skipped
    reason: str = ""
    network: str = ""


def load(root: Path) -> Requirements:
    """Read the requirements below `root`. Raises Faulty, which names the rows at fault."""
    try:
        written = tomllib.loads((root / FILE).read_text("utf-8"))
    except OSError as exc:
        raise Faulty([f"{FILE}: {exc.strerror}"]) from exc
    except tomllib.TOMLDecodeError as exc:
        raise Faulty([f"{FILE}: {exc}"]) from exc
    faults: list[str] = []
    sections = tuple(_section(section, faults) for section in written.get("section", ()))
    places: dict[str, str] = {}
    for section in sections:
        for requirement in section.requirements:
            first = places.setdefault(requirement.id, section.title)
            if first != section.title:
                faults.append(f'{requirement.id} is in "{first}" and in "{section.title}"')
    if faults:
        raise Faulty(f"{FILE}: {fault}" for fault in faults)
    return Requirements(sections)


def _section(written: dict[str, Any], faults: list[str]) -> Section:
    written = dict(written)
    title, rows = written.pop("title", ""), written.pop("rows", {})
    if not title:
        faults.append("a section has no title")
    found = []
    for id_, row in rows.items():
        values = written | row
        missing = {"spec", "level", "text"} - {key for key, value in values.items() if value}
        if not _ID.fullmatch(id_):
            faults.append(f'{id_} in "{title}" is no name of a requirement')
        elif unknown := values.keys() - _KEYS:
            faults.append(f"{id_} has {_listed(unknown)}, which means nothing")
        elif missing:
            faults.append(f"{id_} has no {_listed(missing)}")
        elif values.get("tier", 1) not in TIERS:
            faults.append(f"{id_} is of tier {values['tier']}, expected 1, 2 or 3")
        elif any(values.get(reason, "-").strip() == "" for reason in _REASONS):
            faults.append(f"{id_} is not done, but does not say why")
        else:
            found.append(Requirement(id=id_, **values))
    return Section(title, tuple(found))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def unknown(requirements: Requirements, cases: Iterable[Case]) -> list[str]:
    """Say which tests name what is no requirement."""
    by_id = requirements.by_id
    return _named(cases, lambda id_: id_ not in by_id, f"names {{}}, which is not in {FILE}")


def contradicted(requirements: Requirements, cases: Iterable[Case]) -> list[str]:
    """Say which tests show what is said not to be done."""
    undone = {row.id for row in requirements if row.not_done is not None}
    return _named(cases, undone.__contains__, f"shows {{}}, which {FILE} says is not done")


def _named(cases: Iterable[Case], wrong: Callable[[str], bool], what: str) -> list[str]:
    found: dict[str, None] = {}
    for case in cases:
        path, _, name = case.function.partition("::")
        for id_ in filter(wrong, case.ids):
            found[f"{path}:{case.line}: {name} {what.format(id_)}"] = None
    return list(found)


def to_json(cases: Iterable[Case]) -> list[dict[str, Any]]:
    return [attrs.asdict(case) for case in cases]


def from_json(written: Any) -> tuple[Case, ...]:
    return cattrs.structure(written, tuple[Case, ...])
