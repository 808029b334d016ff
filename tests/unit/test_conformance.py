"""The account of conformance, over small trees of its own with real test runs in them."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import attrs
import pytest
import typer

from tests.conformance import page
from tests.conformance.__main__ import ROOT, main
from tests.conformance.requirements import FILE, Case, Faulty, from_json, load, to_json

pytestmark = pytest.mark.slow  # most of them run pytest

SETTINGS = """
[tool.pytest.ini_options]
testpaths = ["checks"]
addopts = "--import-mode=importlib -p no:cacheprovider"
markers = ["conformance", "servers"]
"""
REQUIREMENTS = """
[[section]]
title = "Words"
spec = "XEP-0000"
tier = 1
level = "MUST"

[section.rows]
ONE-01 = { text = "One | or the other." }
ONE-02 = { tier = 2, level = "MAY", text = "Two.", not_done = "planned" }

[[section]]
title = "Decisions"
spec = "project"
level = "decision"

[section.rows]
AMB-01 = { text = "Neither." }
"""
SHOWS_IT = """
import pytest

@pytest.mark.conformance("ONE-01")
def test_it_is_so():
    pass
"""


@attrs.define
class Tree:
    """A project with requirements, tests and a page."""

    root: Path
    output: pytest.CaptureFixture[str]
    said: str = ""

    def write(self, file: str | Path, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def tests(self, text: str) -> None:
        self.write("checks/test_words.py", text)

    def run(
        self, *options: str, summary: bool = False, quick: bool = False, changed: bool = False
    ) -> tuple[int, str, str]:
        """Run the tool. Returns its exit code, its line of totals, and its errors."""
        with pytest.raises(typer.Exit) as ending:
            main(
                summary=summary,
                quick=quick,
                changed=changed,
                options=list(options),
                root=self.root,
            )
        self.said, errors = self.output.readouterr()
        lines = [line for line in self.said.splitlines() if line.startswith("tier")]
        assert len(lines) <= 1
        return ending.value.exit_code, lines[-1] if lines else "", errors

    def pytest(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=self.root,
            check=False,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    @property
    def page(self) -> str:
        return (self.root / page.FILE).read_text("utf-8")

    @property
    def results(self) -> dict[str, str]:
        return page.read(self.page)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the tool writes for the tree below."""
    root = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        fill(root, patch)
        tool = [sys.executable, "-m", "tests.conformance", "--root", str(root)]
        subprocess.run(tool, cwd=ROOT, check=True, capture_output=True)
    return (root / page.FILE).read_text("utf-8")


def fill(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PYTHONPATH", str(ROOT))
    patch.setenv("PYTEST_PLUGINS", "tests.conformance.plugin")
    patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    patch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # tests are rewritten within a second
    files: dict[str | Path, str] = {
        "pyproject.toml": SETTINGS,
        FILE: REQUIREMENTS,
        page.FILE: "",
        "checks/test_words.py": SHOWS_IT,
    }
    for file, text in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


@pytest.fixture
def tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Tree:
    fill(tmp_path, monkeypatch)
    return Tree(tmp_path, capfd)


@pytest.fixture
def recorded_tree(tree: Tree, recorded: str) -> Tree:
    tree.write(page.FILE, recorded)
    return tree


# --- the page --------------------------------------------------------------------------------


def test_a_whole_tier_is_recorded_and_holds(tree: Tree) -> None:
    assert tree.run() == (0, "tier1 1/1 tier2 0/1 tier3 0/0", "")
    assert "**Shown: tier 1: 1 of 1; tier 2: 0 of 1; tier 3: 0 of 0; decisions: 0 of 1.**" in (
        tree.page
    )
    link = "[checks/test_words.py](../checks/test_words.py): it_is_so"
    assert f"| ONE-01 | One \\| or the other. | XEP-0000 | MUST | 1 | {link} | shown |" in tree.page
    assert "| ONE-02 | Two. | XEP-0000 | MAY | 2 |  | not done: planned |" in tree.page
    assert "| AMB-01 | Neither. | project | decision |  |  | not shown: no test |" in tree.page
    assert tree.run(summary=True) == (0, "tier1 1/1 tier2 0/1 tier3 0/0", "")


def test_every_function_is_listed_once_and_every_case_counts(tree: Tree) -> None:
    tree.tests("""
import pytest

@pytest.mark.conformance("ONE-01")
@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number):
    assert number == 1

marked = pytest.param("b", marks=pytest.mark.conformance("AMB-01"))

@pytest.mark.parametrize("letter", ["a", marked])
def test_letters(letter):
    assert letter == "b"

class TestWords:
    @pytest.mark.conformance("AMB-01", "ONE-01")
    def test_words(self):
        pass
""")
    tree.write("checks/more/test_more.py", SHOWS_IT)
    code, summary, _ = tree.run()
    assert (code, summary) == (1, "tier1 0/1 tier2 0/1 tier3 0/0")
    assert (
        "[checks/more/test_more.py](../checks/more/test_more.py): it_is_so<br>"
        "[checks/test_words.py](../checks/test_words.py): numbers, TestWords.words | "
        "failing: numbers |"
    ) in tree.page
    assert "letters, TestWords.words | shown |" in tree.page


OUTCOMES = {
    "ONE-01": (
        "def test_one(): pytest.skip('no | server')",
        "not shown: one skipped (no \\| server)",
    ),
    "TWO-01": ("def test_two(): assert False", "failing: two"),
    "TWO-02": ("def test_three(nowhere): pass", "failing: three"),
    "TWO-03": ("def test_four(late): pass", "failing: four"),
    "TWO-04": (
        "@pytest.mark.skip(reason='later')\ndef test_five(): pass",
        "not shown: five skipped (later)",
    ),
    "TWO-05": (
        "@pytest.mark.xfail(reason='bug')\ndef test_six(): assert False",
        "not shown: six skipped (expected to fail: bug)",
    ),
    "TWO-06": ("def test_seven(): pass", "shown"),
}
LATE = "import pytest\n@pytest.fixture\ndef late():\n    yield\n    assert False\n"


def test_a_row_that_is_not_shown_says_why(tree: Tree) -> None:
    marked = [f"@pytest.mark.conformance('{id_}')\n{test}" for id_, (test, _) in OUTCOMES.items()]
    rows = "".join(f"{id_} = {{ text = 'T' }}\n" for id_ in OUTCOMES if id_ != "ONE-01")
    tree.write(FILE, REQUIREMENTS.replace("AMB-01", f"{rows}AMB-01"))
    tree.tests(LATE + "\n".join(marked))
    code, summary, errors = tree.run()
    assert (code, summary) == (1, "tier1 0/1 tier2 0/1 tier3 0/0")
    assert errors == f"tier 1 is not whole:\n  ONE-01 {OUTCOMES['ONE-01'][1]}\n"
    for id_, (_, result) in OUTCOMES.items():
        assert tree.results[id_] == result


def test_a_row_that_is_done_in_part_is_not_counted(tree: Tree) -> None:
    tree.write(FILE, REQUIREMENTS.replace("not_done", "partly"))
    assert tree.run()[:2] == (0, "tier1 1/1 tier2 0/1 tier3 0/0")
    assert tree.results["ONE-02"] == "not done: planned"
    tree.tests(SHOWS_IT.replace('"ONE-01"', '"ONE-01", "ONE-02"'))
    assert tree.run()[:2] == (0, "tier1 1/1 tier2 0/1 tier3 0/0")
    assert tree.results["ONE-02"] == "in part: planned"
    tree.tests(SHOWS_IT.replace('"ONE-01"', '"ONE-02"').replace("pass", "assert False"))
    assert tree.run()[:2] == (1, "tier1 0/1 tier2 0/1 tier3 0/0")
    assert tree.results["ONE-02"] == "failing: it_is_so"


def test_what_is_not_shown_fails_the_summary(tree: Tree) -> None:
    tree.tests(SHOWS_IT.replace("    pass", "    pytest.skip('no server')"))
    tree.run()
    code, summary, errors = tree.run(summary=True)
    assert (code, summary) == (1, "tier1 0/1 tier2 0/1 tier3 0/0")
    assert errors == ("tier 1 is not whole:\n  ONE-01 not shown: it_is_so skipped (no server)\n")


def test_quickly_run_is_what_needs_no_servers(tree: Tree) -> None:
    more = SHOWS_IT.replace("ONE-01", "AMB-01").replace("test_it_is_so", "test_it_is_small")
    tree.tests(SHOWS_IT.replace("def ", "@pytest.mark.servers\ndef ") + more)
    assert tree.run(quick=True)[:2] == (0, "tier1 0/1 tier2 0/1 tier3 0/0")
    assert tree.results["ONE-01"] == "not shown: it_is_so not run"
    assert tree.results["AMB-01"] == "shown"
    assert tree.run()[:2] == (0, "tier1 1/1 tier2 0/1 tier3 0/0")


def test_only_what_is_new_or_not_shown_is_run_where_that_is_asked_for(recorded_tree: Tree) -> None:
    fails = SHOWS_IT.replace("    pass", "    assert False")
    recorded_tree.tests(fails)  # and is not run: its row is as it was
    recorded_tree.write("checks/test_more.py", SHOWS_IT.replace("ONE-01", "AMB-01"))
    assert recorded_tree.run(changed=True) == (0, "tier1 1/1 tier2 0/1 tier3 0/0", "")
    assert recorded_tree.results["AMB-01"] == "shown"
    assert recorded_tree.run(summary=True)[0] == 0
    recorded_tree.tests(fails.replace("test_it_is_so", "test_it_is_not"))
    code, summary, _ = recorded_tree.run(changed=True)
    assert (code, summary) == (1, "tier1 0/1 tier2 0/1 tier3 0/0")
    assert recorded_tree.results["ONE-01"] == "failing: it_is_not"
    recorded_tree.tests(SHOWS_IT.replace("test_it_is_so", "test_it_is_not"))
    assert recorded_tree.run(changed=True)[0] == 0  # what was not shown is tried again
    assert recorded_tree.results["ONE-01"] == "shown"


# --- stale -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("checks/test_words.py", "test_it_is_so", "test_it_is_not", "ONE-01 or its tests have"),
        ("checks/test_words.py", '"ONE-01"', '"ONE-01", "AMB-01"', "AMB-01 or its tests have"),
        (FILE, "Two.", "Three.", "ONE-02 or its tests have"),
        (FILE, "planned", "never", "ONE-02 or its tests have"),
        (FILE, "AMB-01 = ", "AMB-02 = { text = 'New.' }\nAMB-01 = ", "AMB-02 is new"),
        (FILE, "AMB-01", "AMB-03", "AMB-01 is no more"),
        (FILE, "Words", "Terms", "what stands around the rows has changed"),
        (page.FILE, "1 of 1", "2 of 2", "what stands around the rows has changed"),
    ],
)
def test_a_page_of_another_tree_is_stale(
    recorded_tree: Tree, file: str | Path, before: str, after: str, said: str
) -> None:
    text = (recorded_tree.root / file).read_text("utf-8")
    assert before in text
    recorded_tree.write(file, text.replace(before, after))
    code, summary, errors = recorded_tree.run(summary=True)
    assert (code, summary[:9]) == (1, "tier1 1/1")
    assert f"{page.FILE} is stale:\n" in errors
    assert said in errors
    assert "run scripts/conformance and commit" in errors


def test_a_row_that_lost_its_test_is_shown_by_nothing(recorded_tree: Tree) -> None:
    recorded_tree.tests("def test_nothing(): pass")
    code, summary, errors = recorded_tree.run(summary=True)
    assert (code, summary) == (1, "tier1 0/1 tier2 0/1 tier3 0/0")
    assert "  ONE-01 not shown: no test\n" in errors
    assert "ONE-01 or its tests have changed" in errors


def test_a_page_that_is_not_there_is_asked_for(tree: Tree) -> None:
    (tree.root / page.FILE).unlink()
    code, summary, errors = tree.run(summary=True)
    assert (code, summary) == (1, "tier1 0/1 tier2 0/1 tier3 0/0")
    assert "  ONE-01 not on the page\n" in errors
    assert f"there is no {page.FILE}:\n" in errors


# --- faults of those who write ---------------------------------------------------------------


@pytest.mark.parametrize("summary", [False, True])
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("ONE-09", f"names ONE-09, which is not in {FILE}"),
        ("ONE-02", f"shows ONE-02, which {FILE} says is not done"),
    ],
)
def test_a_test_that_names_the_wrong_row_is_pointed_at(
    tree: Tree, row: str, said: str, *, summary: bool
) -> None:
    tree.tests(SHOWS_IT.replace("ONE-01", row))
    code, line, errors = tree.run(summary=summary)
    assert (code, "tier1" in line) == (1, False)
    assert f"checks/test_words.py:4: test_it_is_so {said}" in errors
    assert tree.page == ""


def test_a_tree_that_cannot_be_collected_says_nothing(tree: Tree) -> None:
    tree.tests("import nowhere_to_be_found")
    code, line, errors = tree.run(summary=True)
    assert (code, line) == (1, "")
    assert "nowhere_to_be_found" in errors
    assert "pytest ended with 2" in errors


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("AMB-01 =", "ONE-01 =", 'ONE-01 is in "Words" and in "Decisions"'),
        ("ONE-02 =", "ONE-01 =", "line 10"),
        ("ONE-02 =", "two =", 'two in "Words" is no name of a requirement'),
        ('text = "Two."', 'txt = "Two."', "ONE-02 has txt, which means nothing"),
        ('text = "Two."', 'text = ""', "ONE-02 has no text"),
        ("tier = 2", "tier = 4", "ONE-02 is of tier 4, expected 1, 2 or 3"),
        ('not_done = "planned"', 'not_done = ""', "ONE-02 is not done, but does not say why"),
        ('title = "Words"', "", "a section has no title"),
    ],
)
def test_a_faulty_row_is_named(tree: Tree, before: str, after: str, said: str) -> None:
    assert before in REQUIREMENTS
    tree.write(FILE, REQUIREMENTS.replace(before, after, 1))
    with pytest.raises(Faulty, match=f"^{FILE}: ") as fault:
        load(tree.root)
    assert said in str(fault.value)
    assert tree.run(summary=True) == (1, "", f"{fault.value}\n")


# --- the whole test run ----------------------------------------------------------------------


def test_a_whole_run_answers_for_what_the_page_calls_shown(recorded_tree: Tree) -> None:
    assert recorded_tree.pytest("--hold-conformance")[0] == 0
    recorded_tree.tests(SHOWS_IT.replace("    pass", "    pytest.skip('no server')"))
    code, said = recorded_tree.pytest("--hold-conformance")
    assert code == 1
    assert (
        f"{page.FILE} calls ONE-01 shown; it is not shown: it_is_so skipped (no server)\n" in said
    )
    assert recorded_tree.pytest()[0] == 0  # nobody asked


def test_a_row_that_is_no_more_is_not_shown(recorded_tree: Tree) -> None:
    recorded_tree.write(FILE, REQUIREMENTS.replace("ONE-01", "ONE-03"))
    recorded_tree.tests("def test_nothing(): pass")
    code, said = recorded_tree.pytest("--hold-conformance")
    assert code == 1
    assert "calls ONE-01 shown; it is no requirement any more\n" in said


def test_a_run_of_some_tests_answers_for_nothing(recorded_tree: Tree) -> None:
    more = "@pytest.mark.servers\ndef test_more(): pass\n"
    recorded_tree.tests(SHOWS_IT.replace("    pass", "    pytest.skip('no server')") + more)
    for some in (("checks",), ("-m", "not servers"), ("-k", "more"), ("--ignore", "elsewhere")):
        code, said = recorded_tree.pytest("--hold-conformance", *some)
        assert code == 0
        assert "held to account only when all tests are run" in said


def test_a_stale_page_is_noted_after_a_whole_run(recorded_tree: Tree) -> None:
    recorded_tree.write("checks/test_more.py", SHOWS_IT)
    code, said = recorded_tree.pytest("--hold-conformance")
    assert code == 0
    assert f"{page.FILE} is stale" in said
    (recorded_tree.root / page.FILE).unlink()
    code, said = recorded_tree.pytest("--hold-conformance")
    assert code == 1
    assert f"{page.FILE}: No such file or directory" in said


# --- by network ------------------------------------------------------------------------------

CASTS = """
from types import SimpleNamespace
import pytest

@pytest.fixture(params=[SimpleNamespace(name=name) for name in NAMES], ids=lambda one: one.name)
def cast(request):
    why = CANNOT.get((request.param.name, request.function.__name__))
    if why and "letter" not in request.fixturenames or why and request.getfixturevalue("letter"):
        pytest.skip(why)
    return request.param

@pytest.mark.conformance("ONE-01")
def test_asking(cast):
    pass

@pytest.mark.conformance("ONE-01", "AMB-01")
@pytest.mark.parametrize("letter", ["", "b", "c"])
def test_writing(cast, letter):
    assert cast.name not in FAILING
"""


def casts(cannot: dict[tuple[str, str], str], *names: str, failing: str = "") -> str:
    names = names or ("emu", "aim", "icq")
    return f"NAMES, CANNOT, FAILING = {names!r}, {cannot!r}, {failing!r}\n{CASTS}"


CANNOT = {
    ("aim", "test_asking"): "AIM asks nobody | for consent",
    ("aim", "test_writing"): "only one <letter>",
    ("icq", "test_writing"): "only one <letter>",
}
LINK = "[checks/test_words.py](../checks/test_words.py)"


def test_what_another_network_cannot_play_is_listed_and_takes_nothing_away(tree: Tree) -> None:
    tree.tests(casts(CANNOT))
    assert tree.run()[0] == 0
    assert (tree.results["ONE-01"], tree.results["AMB-01"]) == ("shown", "shown")
    section = tree.page.partition("## By network\n")[2]
    assert [line for line in section.splitlines() if line.startswith("| ")] == [
        "| Network | Cases played | Rows shown | In part | Not at all |",
        "| emu | 4 of 4 | 2 |  |  |",
        "| aim | 1 of 4 | 0 | ONE-01, AMB-01 |  |",
        "| icq | 2 of 4 | 0 | ONE-01, AMB-01 |  |",
        "| Networks | Why not | Rows | Tests |",
        f"| aim | AIM asks nobody \\| for consent | ONE-01 | {LINK}: asking |",
        f"| aim, icq | only one &lt;letter> | ONE-01, AMB-01 | {LINK}: writing (2 of 3) |",
    ]
    code, _, said = tree.run(summary=True)
    assert (code, said) == (0, "")


def test_a_network_on_which_nothing_of_a_row_is_played_does_not_show_it(tree: Tree) -> None:
    tree.tests(casts({("icq", "test_asking"): "why"}).replace('"ONE-01", "AMB-01"', '"AMB-01"'))
    assert tree.run()[0] == 0
    assert "| icq | 3 of 4 | 1 |  | ONE-01 |\n" in tree.page
    assert tree.said.splitlines()[-3:] == [
        "emu 4/4 cases, rows 2 shown, 0 in part, 0 not",
        "aim 4/4 cases, rows 2 shown, 0 in part, 0 not",
        "icq 3/4 cases, rows 1 shown, 0 in part, 1 not",
    ]


@pytest.mark.parametrize(
    ("cannot", "failing", "result"),
    [
        ({("emu", "test_asking"): "why"}, "", "not shown: asking skipped (why)"),
        ({}, "icq", "failing: writing on icq"),
        ({}, "emu", "failing: writing"),
    ],
)
def test_the_first_network_has_to_show_a_row_and_none_may_fail(
    tree: Tree, cannot: dict[tuple[str, str], str], failing: str, result: str
) -> None:
    tree.tests(casts(cannot, failing=failing))
    tree.run()
    assert tree.results["ONE-01"] == result


def test_a_row_that_no_network_plays_is_not_shown(tree: Tree) -> None:
    tree.tests(casts({("aim", "test_asking"): "why"}, "aim").replace('"ONE-01", ', ""))
    tree.run()
    assert tree.results["ONE-01"] == "not shown: asking skipped (why)"


def test_what_the_page_calls_played_is_held_to_account(tree: Tree) -> None:
    tree.tests(casts(CANNOT))
    tree.run()
    assert tree.pytest("--hold-conformance")[0] == 0
    tree.tests(casts(CANNOT | {("icq", "test_asking"): "suddenly"}))
    for way in ((), WORKERS):
        code, said = tree.pytest("--hold-conformance", *way)
        assert code == 1
        assert f"{page.FILE} calls asking played on icq; now: suddenly\n" in said
        assert "writing" not in said.partition("= conformance =")[2]
    tree.tests(casts(CANNOT | {("msn", "test_asking"): "new"}, "emu", "aim", "icq", "msn"))
    code, said = tree.pytest("--hold-conformance")
    assert (code, "is stale" in said) == (0, True)  # of that network nothing is said yet


def test_another_network_is_not_taken_for_played(tree: Tree) -> None:
    tree.tests(casts(CANNOT, "emu", "aim"))
    tree.run()
    tree.tests(casts(CANNOT))
    code, _, errors = tree.run(summary=True)
    assert (code, "what is played on which network has changed" in errors) == (1, True)
    assert tree.run(changed=True)[0] == 0
    assert "| icq | 2 of 4 | 0 | ONE-01, AMB-01 |  |\n" in tree.page
    assert tree.run(summary=True)[0] == 0


def test_only_what_was_run_again_is_told_anew(tree: Tree) -> None:
    tree.tests(casts(CANNOT))
    tree.run()
    before = tree.page
    other = casts({("icq", "test_asked"): "why"}).replace("asking", "asked").replace("ONE", "AMB")
    other = other.partition('@pytest.mark.conformance("AMB-01", "AMB-01")')[0]
    tree.write("checks/test_more.py", other.replace("AMB-01", "TWO-01"))
    tree.write(FILE, REQUIREMENTS.replace("AMB-01", "TWO-01 = { text = 'T' }\nAMB-01"))
    tree.tests(casts({}))  # and is not run
    assert tree.run(changed=True)[0] == 0
    assert "| icq | 2 of 5 | 0 | ONE-01, AMB-01 | TWO-01 |\n" in tree.page
    for line in before.partition("| Networks")[2].splitlines():
        assert line in tree.page


# --- on several cores ------------------------------------------------------------------------

WORKERS = ("-p", "xdist.plugin", "-n", "2")


def test_workers_give_the_same_account(recorded_tree: Tree) -> None:
    outcomes = [test for test, _ in OUTCOMES.values()]
    tests = [f"@pytest.mark.conformance('AMB-01')\n{test}" for test in outcomes]
    recorded_tree.write("checks/test_more.py", LATE + "\n".join(tests))
    accounts = []
    for way in ((), WORKERS):
        report = recorded_tree.root / "report.json"
        assert recorded_tree.pytest("--conformance-report", str(report), *way)[0] == 1
        accounts.append(json.loads(report.read_text("utf-8")))
    assert accounts[0] == accounts[1]
    assert len(accounts[0]) == 1 + len(OUTCOMES)


def test_workers_write_the_same_page(tree: Tree, recorded: str) -> None:
    assert tree.run(*WORKERS)[0] == 0
    assert tree.page == recorded
    tree.tests(SHOWS_IT.replace("test_it_is_so", "test_it_is_still_so"))
    assert tree.run(*WORKERS, changed=True)[0] == 0
    assert tree.page == recorded.replace("it_is_so", "it_is_still_so")


def test_workers_are_held_to_account(recorded_tree: Tree) -> None:
    code, said = recorded_tree.pytest("--hold-conformance", *WORKERS)
    assert (code, "held to account only" in said) == (0, False)
    code, said = recorded_tree.pytest("--hold-conformance", *WORKERS, "-k", "so")
    assert (code, "held to account only" in said) == (0, False)  # that is all of them
    recorded_tree.tests(SHOWS_IT.replace("    pass", "    pytest.skip('no server')"))
    code, said = recorded_tree.pytest("--hold-conformance", *WORKERS)
    assert code == 1
    assert "calls ONE-01 shown; it is not shown: it_is_so skipped (no server)\n" in said
    code, said = recorded_tree.pytest("--hold-conformance", *WORKERS, "-k", "not so")
    assert "held to account only when all tests are run" in said


def test_a_worker_that_dies_has_shown_nothing(recorded_tree: Tree) -> None:
    dies = SHOWS_IT.replace("    pass", "    import os; os._exit(1)")
    recorded_tree.tests(dies + SHOWS_IT.replace("it_is_so", "it_is_still_so"))
    code, said = recorded_tree.pytest("--hold-conformance", *WORKERS)
    assert code == 1
    assert "calls ONE-01 shown; it is failing: it_is_so\n" in said


def test_a_worker_points_at_what_names_the_wrong_row(recorded_tree: Tree) -> None:
    recorded_tree.tests(SHOWS_IT.replace("ONE-01", "ONE-09"))
    code, said = recorded_tree.pytest(*WORKERS)
    assert code != 0
    assert f"checks/test_words.py:4: test_it_is_so names ONE-09, which is not in {FILE}" in said
    assert "Traceback" not in said


# --- this project ----------------------------------------------------------------------------


def test_no_row_of_this_project_is_lost() -> None:
    tiers = Counter(row.tier for row in load(ROOT))
    assert tiers == {1: 137, 2: 25, 3: 11, None: 32}


def test_a_report_is_read_as_it_was_written() -> None:
    cases = (
        Case(function="tests/test_x.py::test_y", line=3, ids=("ONE-01", "AMB-01")),
        Case(function="a::b", line=1, ids=(), outcome="skipped", reason="no server", network="aim"),
    )
    assert from_json(to_json(cases)) == cases
