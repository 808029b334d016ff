"""A plan is drawn from its seed, shrinks to what matters, and replays from what is printed."""

import pytest

from tests.simulation.plan import Fault, Kind, Plan, chosen, literal, make_plan, parse, shrink


def test_a_seed_has_one_plan_and_seeds_differ() -> None:
    plan = make_plan(7, seconds=120, count=12)
    assert plan == make_plan(7, seconds=120, count=12)
    assert plan != make_plan(8, seconds=120, count=12)
    assert len(plan) == 12
    assert list(plan) == sorted(plan, key=lambda fault: fault.at)
    assert all(0 <= fault.at <= 120 and 0 <= fault.pick <= 1 for fault in plan)


def test_many_seeds_draw_every_kind() -> None:
    drawn = {fault.kind for seed in range(40) for fault in make_plan(seed, seconds=9, count=9)}
    assert drawn == set(Kind)


def test_what_is_printed_replays() -> None:
    plan = make_plan(7, seconds=120, count=12)
    assert parse(literal(plan)) == plan
    assert parse("[]") == ()


@pytest.mark.parametrize("text", ["", "[1]", "[(1, 'no such kind', 0)]", "__import__('os')", "7"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no plan"):
        parse(text)


@pytest.mark.parametrize("needed", [(0,), (11,), (3, 8), (0, 5, 6, 11), tuple(range(12)), ()])
def test_shrinking_leaves_what_is_needed(needed: tuple[int, ...]) -> None:
    plan = make_plan(7, seconds=120, count=12)
    runs = 0

    def fails(smaller: Plan) -> bool:
        nonlocal runs
        runs += 1
        return all(plan[index] in smaller for index in needed)

    assert shrink(plan, fails) == tuple(plan[index] for index in needed)
    assert runs <= 60


def test_a_pick_always_points_at_something() -> None:
    assert [chosen(pick, ["a", "b"]) for pick in (0.0, 0.49, 0.5, 1.0)] == ["a", "a", "b", "b"]
    assert chosen(0.5, list[Fault]()) is None
