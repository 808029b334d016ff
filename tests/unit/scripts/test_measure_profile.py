"""The bench's folding of sampled stacks into parts."""

from collections import Counter
from pathlib import Path

import pytest

from scripts.measure.profile import REST, fold, part_of, parts_table

PACKAGE = Path(__file__).resolve().parents[3] / "gateway"
LOOP = "trio/_core/_run.py:unrolled_run"


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        (["gateway/xmpp/component.py:Link._read", "gateway/xmpp/stream.py:feed"], "XML"),
        (["gateway/bridge/session.py:live", "gateway/bridge/features/messages.py:f"], "feature"),
        (["gateway/networks/emu/client.py:send", "json/encoder.py:encode"], "codec: JSON, cattrs"),
        (["gateway/networks/oscar/client.py:send", "logging/__init__.py:debug"], "driver"),
        (["gateway/networks/oscar/wire/flap.py:read"], "codec: wire"),
        ([LOOP, "trio/_socket.py:send"], "sockets"),
        ([LOOP], "Trio"),
        (["runpy.py:run_module"], REST),
    ],
)
def test_stack_belongs_to_its_innermost_known_frame(frames: list[str], part: str) -> None:
    assert part_of(frames) == part


def test_fold_adds_up_weights() -> None:
    lines = [f"{LOOP} 10", f"x.py:f;{LOOP} 5", "(gc) 7", "(other threads) 3", ""]
    assert fold(lines) == Counter({"Trio": 15, "gc": 7, "other threads": 3})


def test_parts_add_up_to_the_cost() -> None:
    folded = {"emu": Counter({"Trio": 30, "gc": 10}), "aim": Counter({"gc": 1})}
    assert parts_table(folded, {"emu": 200.0, "aim": 90.0}, "µs").splitlines() == [
        "| µs | emu | aim |",
        "|---|---:|---:|",
        "| Trio | 150 | - |",
        "| gc | 50.0 | 90.0 |",
        "| all | 200 | 90.0 |",
    ]


def test_every_module_of_the_gateway_has_a_part() -> None:
    frames = [f"{path.relative_to(PACKAGE.parent)}:f" for path in PACKAGE.rglob("*.py")]
    assert REST not in {part_of([frame]) for frame in frames}
