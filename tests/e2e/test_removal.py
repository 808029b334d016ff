"""A network is taken away, and everything else still passes.

What belongs to a network is told by names alone: its folder's, and those the table has for it.
`docs/writing-a-network.md` lists it for whoever writes one. The emulated service's own network
stays: the emulator's page, the demo's Juliet and the harness of all other networks rest on it.
"""

import faulthandler
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath

import attrs
import pytest

from gateway import networks
from gateway.networks import NETWORKS
from scripts.lab.processes import REPOSITORY
from tests.test_layers import OURS, imports

STAYS = "emu"
FOLDERS = sorted(path.parent.name for path in Path(networks.__file__).parent.glob("*/__init__.py"))
TABLES = {
    "gateway/networks/__init__.py": "gateway.networks.{folder}:",
    "legacy_emu/fronts/__init__.py": "legacy_emu.fronts.{folder}",
}
MADE_BY_TOOLS = (".git", ".venv", ".cache", ".*_cache", ".hypothesis", ".coverage*", "__pycache__")
COMMANDS = {
    "format": ("ruff", "format", "--check", "."),
    "lint": ("ruff", "check", "."),
    "types": ("mypy",),
    "quick tests": ("pytest", "-q", "-n", "2", "-m", "not servers and not slow"),
}
COMMAND_SECONDS = 900
LOOK = """
import json, gateway, legacy_emu, tests
from gateway.networks import NETWORKS
from legacy_emu.fronts import FRONTS
places = [module.__file__ for module in (gateway, legacy_emu, tests)]
print(json.dumps([places, sorted(NETWORKS), sorted(FRONTS)]))
"""

pytestmark = [pytest.mark.slow]


@attrs.frozen
class Copy:
    """The tree without one network."""

    root: Path
    folder: str
    names: frozenset[str]
    removed: frozenset[str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the interpreter we run on in the copy, which comes before what is installed."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTEST_", "COVERAGE_", "REQUIRE_SERVERS"))
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env={**kept, "PYTHONPATH": str(self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )


def belongs(path: PurePath, names: frozenset[str]) -> bool:
    """Say whether a word in the name of a file or of a folder around it is one of `names`."""
    return any(names & set(re.split(r"[^a-z0-9]+", part.lower())) for part in path.parts)


def test_what_belongs_to_a_network_has_its_name() -> None:
    names = frozenset({"oscar", "aim"})
    for path in ("gateway/networks/oscar/wire/flap.py", "tests/unit/test_oscar_wire.py", "aim.md"):
        assert belongs(PurePath(path), names)
    for path in ("gateway/networks/base.py", "tests/unit/test_claims.py", "docs/maim.md"):
        assert not belongs(PurePath(path), names)


@pytest.fixture(scope="module", params=[each for each in FOLDERS if each != STAYS])
def copy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder: str = request.param
    module = TABLES["gateway/networks/__init__.py"].format(folder=folder)
    names = frozenset({folder, *(name for name, at in NETWORKS.items() if at.startswith(module))})
    root = tmp_path_factory.mktemp("without") / folder
    shutil.copytree(REPOSITORY, root, ignore=shutil.ignore_patterns(*MADE_BY_TOOLS))
    removed = frozenset(remove(root, names))
    for table, line in TABLES.items():
        text = (root / table).read_text("utf-8")
        lines = text.splitlines(keepends=True)
        rest = [each for each in lines if f'"{line.format(folder=folder)}' not in each]
        (root / table).write_text("".join(rest), "utf-8")
    return Copy(root, folder, names, removed)


def remove(root: Path, names: frozenset[str]) -> Iterator[str]:
    """Remove what belongs to a network; yields what that was."""
    for path in sorted(root.rglob("*")):
        if belongs(path.relative_to(root), names) and path.exists():
            yield path.relative_to(root).as_posix()
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_network_is_gone_with_what_has_its_name(copy: Copy) -> None:
    assert copy.removed >= {
        f"gateway/networks/{copy.folder}",
        f"tests/contract/{copy.folder}.py",
        *(f"docs/networks/{name}.md" for name in copy.names - {copy.folder}),
        *(f"scripts/demo_casts/{name}.py" for name in copy.names - {copy.folder}),
    }
    looked = copy.run("-c", LOOK)
    places, there, fronts = json.loads(looked.stdout)
    assert all(Path(place).is_relative_to(copy.root) for place in places)
    assert there == sorted(NETWORKS.keys() - copy.names)
    assert copy.folder not in fronts
    assert "websocket" in fronts


def test_nothing_imports_what_is_gone(copy: Copy) -> None:
    # Types alone do not tell: what is missing here, mypy takes from where Balcony is installed.
    gone = {one.removesuffix(".py").replace("/", ".") for one in copy.removed}
    assert f"legacy_emu.fronts.{copy.folder}" in gone
    left = [path for package in OURS for path in (copy.root / package).rglob("*.py")]
    found = [
        f"{path.relative_to(copy.root)} imports {target}"
        for path in left
        for target in imported(copy.root, path)
        if any(f"{target}.".startswith(f"{module}.") for module in gone)
    ]
    assert found == []


def imported(root: Path, path: Path) -> Iterator[str]:
    is_package = path.name == "__init__.py"
    module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    return imports(module, path.read_text("utf-8"), is_package=is_package)


@pytest.mark.parametrize("what", COMMANDS)
def test_everything_else_still_passes_without_a_network(copy: Copy, what: str) -> None:
    faulthandler.cancel_dump_traceback_later()  # it may take longer than a test that hangs
    done = copy.run("-m", *COMMANDS[what])
    assert done.returncode == 0, done.stdout[-8_000:]
