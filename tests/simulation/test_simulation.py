"""The simulation itself: one seed is one run, it finds the bugs planted, and it shrinks them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import main
from tests.simulation.bugs import PLANTS
from tests.simulation.plan import Fault, Kind, Plan, literal, shrink
from tests.simulation.world import Scale, simulate

ROOT = Path(__file__).parents[2]
SHORT = Scale(users=2, contacts=2, faults=6, trouble_seconds=40.0, settle_seconds=300.0)
SEEDS_FOR_A_PLANT = 30


@pytest.mark.slow
def test_one_seed_is_one_run_in_any_process() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation", "--seed", "3"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    digests = []
    for process in processes:
        printed, _ = process.communicate(timeout=60)
        digests.append(printed.partition("digest ")[2].split()[0])
    assert digests[0] == digests[1] == simulate(3).digest


def test_seeds_differ_and_so_do_plans() -> None:
    one = simulate(1, scale=SHORT)
    assert one == simulate(1, scale=SHORT)
    assert one.digest != simulate(2, scale=SHORT).digest
    assert one.digest != simulate(1, one.plan[1:], scale=SHORT).digest


@pytest.mark.slow
def test_each_kind_of_fault_can_be_lived_through() -> None:
    for number, kind in enumerate(Kind):
        outcome = simulate(number, (Fault(20.0, kind, 0.4),), scale=SHORT)
        assert outcome.violations == (), kind


@pytest.mark.slow
@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_a_planted_bug_is_found_and_shrunk(plant: str) -> None:
    def fails(plan: Plan) -> bool:
        return bool(simulate(seed, plan, scale=SHORT, planted=PLANTS[plant]()).violations)

    for seed in range(1, SEEDS_FOR_A_PLANT + 1):
        outcome = simulate(seed, scale=SHORT, planted=PLANTS[plant]())
        if outcome.violations:
            break
    else:
        pytest.fail(f"{plant} was not found by {SEEDS_FOR_A_PLANT} seeds")
    smaller = shrink(outcome.plan, fails)
    assert len(smaller) <= SHORT.faults // 2, literal(smaller)
    assert fails(smaller)
    assert not simulate(seed, smaller, scale=SHORT).violations, (
        "it is the bug that fails, not the plan"
    )


@pytest.mark.slow
def test_a_failing_seed_prints_what_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seed", "1", "--plant", "presence-not-withdrawn"]
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    plan = printed.rpartition('--plan "')[2].partition('"')[0]
    assert f'--seed 1 --plant presence-not-withdrawn --plan "{plan}"' in printed
    assert main([*arguments, "--plan", plan]) == 1
    shown = capsys.readouterr().out
    digest = printed.rpartition("digest ")[2].split()[0]
    assert f"digest {digest}" in shown
