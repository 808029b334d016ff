"""Contract: one spelling for each address, found by `canonical` alone."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.networks import load_network, network_names
from gateway.networks.base import InvalidAddress, Network


@pytest.fixture(params=network_names(), scope="module")
def network(request: pytest.FixtureRequest) -> type[Network]:
    return load_network(request.param)


@given(text=st.text(max_size=80))
def test_a_canonical_address_is_its_own_canonical_form(network: type[Network], text: str) -> None:
    with contextlib.suppress(InvalidAddress):
        once = network.canonical(text)
        assert network.canonical(once) == once
        assert once == once.strip() != ""


@pytest.mark.parametrize("text", ["", " ", "\t\n", "a\0b", "a\x1bb", "a\nb", "\ud800", "x" * 5000])
def test_what_cannot_be_an_address_is_told_to_a_person(network: type[Network], text: str) -> None:
    with pytest.raises(InvalidAddress, match=r"\w+ \w+"):
        network.canonical(text)


def test_the_description_is_complete(network: type[Network]) -> None:
    told = network.description
    texts = (told.kind, told.title, told.prompt, told.prompt_description, told.instructions)
    assert all(text.strip() for text in texts)
    assert any(field.secret for field in told.fields)
    assert "username" in {field.name for field in told.fields}
