"""Addresses and JIDs, each way, for any name and for networks of any habit (GW-ADDR-04)."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.bridge.addresses import Addresses
from gateway.networks.base import InvalidAddress
from gateway.networks.emu import EmuNetwork
from gateway.xmpp.jid import Jid, nodeprep
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import ORCHARD, G, Stage

GATEWAY = Jid("", G)


class Noted:
    """What a journal remembers of aliases."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}

    def note_alias(self, _component: str, local: str, address: str) -> None:
        self.aliases[local] = address


def digits(text: str) -> str:
    number = text.replace("-", "").replace(" ", "")
    if not number.isascii() or not number.isdigit():
        raise InvalidAddress(f"{text!r} is no number")
    return number


def as_it_is(text: str) -> str:
    if not text:
        raise InvalidAddress("nothing is no name")
    return text


HABITS = {"screen names": EmuNetwork.canonical, "numbers": digits, "anything": as_it_is}
NAMES = st.text(
    alphabet=st.one_of(st.sampled_from("\\25cC0234567efaE @/:&'\"<>%-123"), st.characters()),
    max_size=40,
)


def addresses(canonical: Callable[[str], str], noted: Noted) -> Addresses:
    journal: Any = noted
    return Addresses(GATEWAY, canonical, noted.aliases, journal)


@pytest.mark.conformance("GW-ADDR-04", "AMB-16", "AMB-17", "ESC-05")
@pytest.mark.parametrize("habit", HABITS)
@settings(derandomize=True)
@given(name=NAMES)
@example(name="Capulet Nurse")
@example(name="stra\u00dfe")
@example(name="alias-pb7uo4dbhu4cjs6itnwv3kikci7edmd3")
@example(name="\\5c\\20")
@example(name="\ud800")
def test_every_address_has_one_jid_and_can_be_had_back_from_it(habit: str, name: str) -> None:
    canonical = HABITS[habit]
    try:
        address = canonical(name)
    except InvalidAddress:
        return
    noted = Noted()
    here = addresses(canonical, noted)
    jid = here.jid_of(address)
    assert (jid.domain, jid.resource) == (G, "")
    assert Jid.parse(str(jid)) == jid
    assert nodeprep(jid.local) == jid.local
    assert here.address_of(jid) == address
    later = addresses(canonical, noted)  # as after a restart
    assert later.jid_of(address) == jid
    assert later.address_of(jid) == address
    assert addresses(canonical, Noted()).jid_of(address) == jid  # and with another store


@pytest.mark.conformance("GW-ADDR-04", "AMB-16")
@settings(derandomize=True)
@given(names=st.lists(NAMES, min_size=2, max_size=2))
@example(names=["straße", "strasse"])
@example(names=["a@b", "a\\40b"])
@example(names=["friar%church.lit", "friar@church.lit"])
def test_two_addresses_never_share_a_jid(names: list[str]) -> None:
    here = addresses(as_it_is, Noted())
    jids = {here.jid_of(name) for name in names if name}
    assert len(jids) == len({name for name in names if name})


class Talkative(FakeNetwork):
    """A network whose names may be longer than a JID."""

    passwords: ClassVar[dict[str, str]] = {}

    @staticmethod
    def canonical(text: str) -> str:
        if not text.strip():
            raise InvalidAddress("nothing is no name")
        return text.strip().lower()


@pytest.fixture
def net() -> type[FakeNetwork]:
    return Talkative


@pytest.mark.conformance("GW-PROMPT-03", "GW-PROMPT-04")
@pytest.mark.parametrize("name", ["x" * 1023, "x" * 1024, "\u00e9" * 600, "@" * 400, "x" * 20_000])
async def test_however_long_a_name_is_the_answer_is_a_jid_or_a_refusal(
    autojump_clock: MockClock, play: Stage, name: str
) -> None:
    await play.send(
        f"<iq type='set' id='i1' from='{ORCHARD}' to='{G}'><query xmlns='jabber:iq:gateway'>"
        f"<prompt>{name}</prompt></query></iq>"
    )
    answer = await play.link.next_stanza()
    if answer.get("type") == "error":
        assert answer[0][0].tag == "{urn:ietf:params:xml:ns:xmpp-stanzas}not-acceptable"
    else:
        [jid] = answer[0]
        assert Jid.parse(str(jid.text)).is_bare
        assert len(str(jid.text).encode()) <= 1023
    await play.nothing_more()
