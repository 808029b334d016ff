"""Every network there is plays, and what a scenario needs has a name."""

from gateway.networks import NETWORKS
from tests.scenarios.casts import ABILITIES, casts


def test_each_network_has_a_cast() -> None:
    played = {cast.network_name for cast in casts()}
    assert played == set(NETWORKS)


def test_an_ability_is_one_that_some_network_lacks() -> None:
    lacking = {ability for cast in casts() for ability in cast.lacks}
    assert lacking <= ABILITIES.keys()
    if len(NETWORKS) > 1:
        assert lacking == ABILITIES.keys()
