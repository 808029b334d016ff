"""Who is here, and what their resources add up to."""

import pytest

from gateway.bridge.resources import GATEWAY, Resources, Status
from gateway.networks.base import Show

MAX_RESOURCES = 100
AWAY, DND, HERE = Status(Show.AWAY, "tea"), Status(Show.DND), Status()


def test_a_resource_is_new_once() -> None:
    resources = Resources()
    assert resources.available("orchard", GATEWAY, HERE, 0)
    assert not resources.available("orchard", GATEWAY, AWAY, 0)
    assert list(resources) == ["orchard"]


@pytest.mark.conformance("AMB-09", "GW-OUT-05")
def test_a_resource_known_only_to_contacts_goes_when_the_last_one_loses_sight_of_it() -> None:
    resources = Resources()
    resources.available("orchard", "juliet", HERE, 0)
    resources.available("orchard", "nurse", HERE, 0)
    assert not resources.unavailable("orchard", "juliet")
    assert resources.unavailable("orchard", "nurse")
    assert not resources


@pytest.mark.conformance("AMB-09", "GW-OUT-01")
def test_telling_the_gateway_goodbye_ends_a_resource_whatever_contacts_see() -> None:
    resources = Resources()
    resources.available("orchard", GATEWAY, HERE, 0)
    resources.available("orchard", "juliet", HERE, 0)
    assert resources.unavailable("orchard", GATEWAY)
    assert not resources


def test_an_unknown_resource_cannot_leave() -> None:
    assert not Resources().unavailable("orchard", GATEWAY)


@pytest.mark.conformance("AMB-10")
def test_the_highest_priority_speaks_for_the_account_and_the_latest_among_equals() -> None:
    resources = Resources()
    resources.available("orchard", GATEWAY, AWAY, 5)
    resources.available("balcony", GATEWAY, DND, 1)
    assert resources.status == AWAY
    resources.available("balcony", GATEWAY, DND, 5)
    assert resources.status == DND
    resources.unavailable("balcony", GATEWAY)
    assert resources.status == AWAY
    resources.unavailable("orchard", GATEWAY)
    assert resources.status.show is Show.OFFLINE


@pytest.mark.conformance("AMB-10")
def test_what_a_contact_is_told_counts_only_for_a_resource_that_never_told_the_gateway() -> None:
    resources = Resources()
    resources.available("orchard", "juliet", AWAY, 0)
    assert resources.status == AWAY
    resources.available("orchard", GATEWAY, HERE, 0)
    resources.available("orchard", "juliet", DND, 0)
    assert resources.status == HERE


def test_a_negative_priority_counts_as_here() -> None:
    resources = Resources()
    resources.available("orchard", GATEWAY, HERE, -1)
    assert resources
    assert resources.status == HERE


def test_after_an_outage_only_what_is_heard_of_again_is_trusted() -> None:
    resources = Resources()
    resources.available("orchard", GATEWAY, HERE, 0)
    resources.available("balcony", GATEWAY, HERE, 0)
    resources.doubt()
    resources.available("balcony", GATEWAY, HERE, 0)
    assert resources.doubtful() == ["orchard"]


def test_resources_are_bounded() -> None:
    resources = Resources()
    for number in range(MAX_RESOURCES + 10):
        resources.available(str(number), GATEWAY, HERE, 0)
    assert len(list(resources)) == MAX_RESOURCES
