"""Twenty worlds that hold, at every check. `scripts/simulate` runs others, as many as wanted."""

import pytest

from tests.simulation.plan import literal
from tests.simulation.world import simulate

SEEDS = 20


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_a_world_holds(seed: int) -> None:
    outcome = simulate(seed)
    replay = f'scripts/simulate --seed {seed} --plan "{literal(outcome.plan)}"'
    assert not outcome.violations, "\n".join((*outcome.violations, replay))
    assert outcome.messages > 50, "a world in which nothing happens proves nothing"
