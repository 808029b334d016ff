"""`scripts/mutate` on a tree of three files: what it says, and that it touches only copies."""

import os
from pathlib import Path
from textwrap import dedent

import pytest
import trio

from scripts.lab.processes import REPOSITORY
from scripts.mutate import (
    CannotJudge,
    Ignored,
    Place,
    Telling,
    files_of_tests,
    load_ignored,
    places,
    try_all,
)

SOURCE = """
def seen(one: int) -> bool:
    return one > 1


def unseen(one: int) -> bool:
    return one > 1
"""
TEST = """
    from gateway.bridge.a import seen

    def test_seen():
        assert seen(2)
        assert not seen(1)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for package in ("gateway", "gateway/bridge"):
        write(root / package / "__init__.py", "")
    write(root / "gateway/bridge/a.py", SOURCE)
    write(root / "gateway/xmpp/namespaces.py", 'A = "a"\n')
    write(root / "tests/unit/bridge/test_a.py", TEST)
    write(root / "tests/unit/xmpp/test_left_out.py", "assert False\n")
    write(root / "pytest.ini", "[pytest]\nmarkers = servers\n    slow\n")
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), "utf-8")


def contents(root: Path) -> dict[Path, tuple[bytes, int]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def all_places(root: Path) -> list[Place]:
    return places(root, 1, 100, None, [])


@pytest.mark.slow
async def test_each_breakage_is_tried_in_a_copy_and_reported(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(tree)
    todo = all_places(tree)
    tell = Telling(len(todo))
    await try_all(tree, todo, tmp_path / "copies", 1, tell)
    assert [str(one) for one in tell.survivors] == [
        f"gateway/bridge/a.py:7 {one.breakage.kind}" for one in todo if one.breakage.line == 7
    ]
    said = capsys.readouterr().out
    assert "the tree as it is passes" in said
    assert "tests/unit/bridge/test_a.py::test_seen" in said
    assert "\n    -    return one > 1\n" in said
    assert contents(tree) == before


async def test_a_tree_whose_tests_fail_cannot_be_judged(tree: Path, tmp_path: Path) -> None:
    write(tree / "tests/test_b.py", "def test_b():\n    assert False\n")
    with pytest.RaisesGroup(pytest.RaisesExc(CannotJudge, match=r"tests/test_b.py::test_b")):
        await try_all(tree, all_places(tree), tmp_path / "copies", 1, Telling(2))


async def test_whoever_interrupts_leaves_the_tree_alone_and_no_process(
    tree: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    hanging = f"""
        import os, pathlib, time

        def test_b():
            pathlib.Path({str(pipe)!r}).write_text(str(os.getpid()))
            time.sleep(1000)
    """
    write(tree / "tests/unit/bridge/test_a.py", hanging)
    before = contents(tree)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(try_all, tree, all_places(tree), tmp_path / "copies", 1, Telling(2))
        with trio.fail_after(60):
            async with await trio.open_file(pipe) as told:  # waits for whoever writes
                number = int(await told.read())
        nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert contents(tree) == before


def test_the_likely_tests_come_first_and_those_of_other_parts_do_not_run(tree: Path) -> None:
    for path in ("tests/test_b.py", "tests/scenarios/test_c.py", "tests/unit/bridge/test_d.py"):
        write(tree / path, "")
    assert files_of_tests(tree) == [
        "tests/unit/bridge/test_a.py",
        "tests/unit/bridge/test_d.py",
        "tests/scenarios/test_c.py",
        "tests/test_b.py",
    ]
    assert files_of_tests(tree, "gateway/bridge/features/c.py")[0] == "tests/scenarios/test_c.py"


def test_only_the_part_asked_for_is_broken(tree: Path) -> None:
    write(tree / "gateway/bridge/features/b.py", "def f():\n    return a\n")
    assert {one.path for one in places(tree, 1, 100, "gateway/bridge/features", [])} == {
        "gateway/bridge/features/b.py"
    }
    assert places(tree, 1, 100, "gateway/bridge/feat", []) == []
    assert len(places(tree, 1, 1, None, [])) == 1


def test_what_is_ignored_is_found_by_its_text_wherever_it_stands(tree: Path) -> None:
    ignored = load_ignored(
        '[[ignored]]\nkind = "off by one"\ntext = "return one > 1"\nreason = "so"\n'
    )
    assert ignored == [Ignored("off by one", "return one > 1", "so")]
    kinds = {
        one.breakage.kind for seed in range(20) for one in places(tree, seed, 9, None, ignored)
    }
    assert "off by one" not in kinds
    assert "wrong comparison" in kinds


def test_each_thing_ignored_has_its_reason() -> None:
    ignored = load_ignored((REPOSITORY / "scripts/mutate_ignored.toml").read_text("utf-8"))
    assert all(one.reason for one in ignored)
