"""How a run on several cores shares out the tests: over a small tree of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = "--import-mode=importlib -p no:cacheprovider"
markers = ["servers", "slow"]
"""
NOTES = """
import os, pytest
from pathlib import Path

@pytest.fixture(autouse=True)
def note(request):
    with Path("told").open("a") as told:
        told.write(f"{os.environ['PYTEST_XDIST_WORKER']} {request.node.name}\\n")
"""
SERVERS = """
import pytest
pytestmark = [pytest.mark.servers, pytest.mark.slow]

@pytest.mark.parametrize("number", range(9))
def test_{}(number):
    pass
"""
OTHERS = """
import pytest

@pytest.mark.parametrize("number", range(30))
def test_quick(number):
    pass

@pytest.mark.slow
def test_slow():
    pass
"""
WORKERS = ("-p", "xdist.plugin", "-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for file, text in {
        "pyproject.toml": SETTINGS,
        "tests/conftest.py": NOTES,
        "tests/e2e/test_a.py": SERVERS.format("a"),
        "tests/unit/test_b.py": OTHERS,
        "tests/unit/xmpp/test_server_link.py": SERVERS.format("c"),
    }.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def run(tree: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[int, str]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_PLUGINS", "tests.parallel")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "alone")
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def told(tree: Path) -> list[tuple[str, str]]:
    lines = (tree / "told").read_text("utf-8").splitlines()
    return [(worker, name) for worker, _, name in (line.partition(" ") for line in lines)]


def test_what_needs_servers_is_played_first_and_by_one_worker(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tree, monkeypatch, *WORKERS)[0] == 0
    ran = told(tree)
    assert len(ran) == 9 + 9 + 30 + 1
    worker = next(worker for worker, name in ran if name == "test_a[0]")
    with_servers = [f"test_{letter}[{number}]" for letter in "ac" for number in range(9)]
    assert [name for one, name in ran if one == worker][: len(with_servers)] == with_servers
    assert next(name for one, name in ran if one != worker) == "test_slow"


def test_without_workers_the_order_is_that_of_the_files(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tree, monkeypatch)[0] == 0
    numbers = [("a", range(9)), ("quick", range(30)), ("slow", [""]), ("c", range(9))]
    names = [f"test_{name}[{number}]" for name, each in numbers for number in each]
    assert [name for _, name in told(tree)] == [name.removesuffix("[]") for name in names]


@pytest.mark.parametrize("way", [(), WORKERS], ids=["alone", "workers"])
def test_what_needs_servers_and_is_not_known_to_is_pointed_at(
    tree: Path, monkeypatch: pytest.MonkeyPatch, way: tuple[str, ...]
) -> None:
    (tree / "tests/unit/test_b.py").write_text(SERVERS.format("d"), "utf-8")
    code, said = run(tree, monkeypatch, *way)
    assert code != 0
    assert "tests/unit/test_b.py needs servers: tests/parallel.py has to know" in said
    assert "Traceback" not in said
    assert not (tree / "told").exists()
