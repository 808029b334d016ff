"""The bench's arithmetic and its tables."""

import pytest

from scripts.measure.figures import (
    FIGURES,
    PARTS,
    Run,
    marks,
    medians,
    number,
    ratio,
    replace_sections,
    section,
    table,
)
from scripts.measure.names import BenchFailed

BEGIN, END = marks(FIGURES)

RUNS = [
    Run(10, 0, "emu", {"echo_cpu_us": 400.0, "memory_kib": 90.0}),
    Run(10, 0, "biboumi", {"echo_cpu_us": 40.0}),
    Run(10, 1, "emu", {"echo_cpu_us": 300.0}),
    Run(10, 1, "biboumi", {"echo_cpu_us": 100.0}),
    Run(10, 2, "emu", {"echo_cpu_us": 900.0}),
    Run(10, 2, "biboumi", {"echo_cpu_us": 180.0}),
    Run(10, 3, "biboumi", {"echo_cpu_us": 1.0}),
]


def test_medians_are_over_the_cycles_of_a_subject() -> None:
    assert medians(RUNS, "emu") == {"echo_cpu_us": 400.0, "memory_kib": 90.0}
    assert medians(RUNS, "biboumi") == {"echo_cpu_us": 70.0}
    assert medians(RUNS, "aim") == {}


def test_ratio_is_the_median_of_each_cycles_ratio() -> None:
    assert ratio(RUNS, "echo_cpu_us", "emu", "biboumi") == 5.0  # of 10, 3 and 5


@pytest.mark.parametrize(
    ("key", "yardstick"), [("memory_kib", "biboumi"), ("echo_cpu_us", "yardstick")]
)
def test_ratio_needs_both_in_one_cycle(key: str, yardstick: str) -> None:
    assert ratio(RUNS, key, "emu", yardstick) is None


def test_ratio_leaves_out_a_divisor_of_zero() -> None:
    runs = [Run(10, 0, "emu", {"idle": 1.0}), Run(10, 0, "biboumi", {"idle": 0.0})]
    assert ratio(runs, "idle", "emu", "biboumi") is None


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "-"),
        (0.0, "0"),
        (-0.0001, "0"),
        (0.0456, "0.046"),
        (0.456, "0.46"),
        (4.56, "4.56"),
        (45.678, "45.7"),
        (4567.8, "4,568"),
    ],
)
def test_number_has_as_many_digits_as_matter(value: float | None, written: str) -> None:
    assert number(value) == written


def test_table_has_medians_and_ratios() -> None:
    assert table(RUNS, ["emu", "aim"], ["biboumi", "yardstick"]).splitlines() == [
        "|  | emu | biboumi | emu / biboumi |",
        "| --- | ---: | ---: | ---: |",
        "| message echoed, 256 in flight: CPU µs | 400 | 70.0 | 5.00x |",
        "| memory: KiB a session | 90.0 | - |  |",
    ]


def test_section_says_how_often_and_where() -> None:
    assert section(1000, 4, "2 cores", "the table\n") == (
        "### 1,000 users\n\n4 cycles; 2 cores.\n\nthe table\n"
    )
    assert "\n1 cycle; 2 cores.\n" in section(10, 1, "2 cores", "")


def test_sections_are_replaced_by_number_of_users() -> None:
    before = f"head\n{BEGIN}\n\n### 10 users\n\nold\n\n### 1,000 users\n\nkept\n\n{END}\ntail\n"
    new = {10: "### 10 users\n\nnew\n", 100: "### 100 users\n\nadded\n"}
    after = replace_sections(before, FIGURES, new)
    assert after == (
        f"head\n{BEGIN}\n\n### 10 users\n\nnew\n\n### 100 users\n\nadded\n\n"
        f"### 1,000 users\n\nkept\n\n{END}\ntail\n"
    )
    assert replace_sections(after, FIGURES, new) == after


def test_empty_block_takes_the_first_table() -> None:
    after = replace_sections(f"{BEGIN}\n{END}\n", FIGURES, {10: "### 10 users\n\nnew\n"})
    assert after == f"{BEGIN}\n\n### 10 users\n\nnew\n\n{END}\n"


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END}\n{BEGIN}", "\n".join(marks(PARTS))])
def test_document_without_block_is_refused(document: str) -> None:
    with pytest.raises(BenchFailed, match="no place for the tables"):
        replace_sections(document, FIGURES, {})
