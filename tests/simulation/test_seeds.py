"""Twenty worlds that hold, at every check. `scripts/simulate` runs others, as many as wanted."""

import pytest

from tests.simulation.plan import literal, parse
from tests.simulation.world import simulate

SEEDS = 20


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_a_world_holds(seed: int) -> None:
    outcome = simulate(seed)
    replay = f'scripts/simulate --seed {seed} --plan "{literal(outcome.plan)}"'
    assert not outcome.violations, "\n".join((*outcome.violations, replay))
    assert outcome.messages > 50, "a world in which nothing happens proves nothing"


PINNED = (  # what once failed
    (5000291, "[(45.934, 'xmpp-restart', 0.9339), (63.805, 'xmpp-stall', 0.0396)]"),
    (1187, "[(98.633, 'store-fails', 0.7934), (103.393, 'crash-before', 0.4849)]"),
)


@pytest.mark.parametrize(("seed", "plan"), PINNED)
def test_world_that_once_failed_holds(seed: int, plan: str) -> None:
    assert simulate(seed, parse(plan)).violations == ()
