"""The daemon is asked to stop in the middle of each flow, and started again.

Whoever waits for an answer has one, or the link is over; what was answered holds afterwards, and
what the user wished and was not told of is done at his next sign-on, once.
"""

import pytest
import trio
from trio.lowlevel import Task
from trio.testing import MockClock

from gateway.bridge.states import Phase
from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.clients import asks_back, chat
from tests.scenarios.conftest import Raise
from tests.scenarios.words import MERCUTIO, login, message, presence, register

END_SECONDS = 25


async def signed_on(play: Stage, legacy: Control) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()


async def signing_off(play: Stage) -> None:
    """Wait until Romeo is being signed off; nobody is told of it."""
    while not any(one.user.phase is Phase.SIGNING_OFF for one in play.gateway.sessions):  # noqa: ASYNC110
        await trio.sleep(0.0005)


class Heard:
    """What came until the link was over: answers by id, presence by who and to whom."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.returned: list[str | None] = []
        self.gone: set[str] = set()
        self.subscriptions: list[tuple[str | None, str | None]] = []

    async def until_the_end(self, play: Stage, *, stop: bool = True) -> None:
        start = trio.current_time()
        if stop:
            play.gateway.stop()
        with trio.fail_after(END_SECONDS):
            await play.link.ended.wait()
        assert trio.current_time() - start < END_SECONDS
        while play.link._arrived:
            found = await play.link.next_stanza()
            kind, type_ = found.tag.rpartition("}")[2], found.get("type")
            from_ = str(found.get("from"))
            if kind == "iq":
                assert str(found.get("id")) not in self.answers, "answered twice"
                self.answers[str(found.get("id"))] = str(type_)
            elif kind == "message":
                assert type_ == "error"
                self.returned.append(found.get("id"))
            elif type_ == "unavailable":
                self.gone.add(from_)
            elif type_ is None:
                self.gone.discard(from_)
            else:
                self.subscriptions.append((from_, type_))


async def is_greeted(play: Stage) -> None:
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(G, ROMEO, "probe"))


def accounts(play: Stage) -> list[tuple[str, str]]:
    return play.accounts()


@pytest.mark.conformance("GW-LIFE-03", "CORE-03", "CORE-10", "GW-UNREG-02")
@pytest.mark.parametrize("fault", [None, Kind.STALL_ANSWERS])
async def test_in_the_middle_of_an_unregistration(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, fault: Kind | None
) -> None:
    """Either it is done, and said so; or it is not, and its sender may try again."""
    heard = Heard()
    async with curtain() as play:
        await signed_on(play, legacy)
        if fault is not None:
            legacy.set_fault(fault)
        await play.send(register("<remove/>", id_="x1"))
        await signing_off(play)
        await heard.until_the_end(play)
    legacy.clear_faults()
    async with curtain() as play:
        answer = heard.answers["x1"]
        assert (answer, len(accounts(play))) in [("result", 0), ("error", 1)]
        if answer == "error":
            assert heard.subscriptions == []
            await is_greeted(play)
        await play.nothing_more()
    assert {G, JULIET} <= heard.gone
    assert not legacy.connections()


@pytest.mark.conformance("GW-LIFE-03", "CORE-03", "CORE-10", "GW-EDIT-02", "GW-EDIT-04")
@pytest.mark.parametrize(
    ("filled_in", "late"),
    [
        (login("romeo", "capulet"), False),
        (login("mercutio", "queenmab"), False),
        (login("mercutio", "queenmab"), True),
    ],
    ids=["password", "account", "account, signing off"],
)
async def test_in_the_middle_of_an_edit(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, filled_in: str, late: bool
) -> None:
    heard = Heard()
    async with curtain() as play:
        await signed_on(play, legacy)
        legacy.set_password("Romeo", "capulet")
        if late:
            legacy.set_fault(Kind.STALL_ANSWERS, account="Romeo")
        else:
            legacy.set_fault(Kind.STALL_ANSWERS)
        await play.send(register(filled_in))
        if late:
            await signing_off(play)
        else:
            await play.nothing_more()
        await heard.until_the_end(play)
    legacy.clear_faults()
    async with curtain() as play:
        old, new = ("romeo", "montague"), ("romeo", "capulet")
        if "mercutio" in filled_in:
            new = ("mercutio", "queenmab")
        assert (heard.answers["r1"], accounts(play)) in [("result", [new]), ("error", [old])]
        await is_greeted(play)
        await play.nothing_more()
    assert {G, JULIET} <= heard.gone
    assert not legacy.connections()


class Decided(trio.abc.Instrument):
    """Stops the daemon as soon as a registration has begun to change what is kept."""

    def __init__(self, play: Stage) -> None:
        self._play = play
        self.has_acted = False

    def after_task_step(self, task: Task) -> None:
        sessions = self._play.gateway.sessions
        if not self.has_acted and any(one._registration._decided for one in sessions):
            self.has_acted = True
            self._play.gateway.stop()


@pytest.mark.conformance("GW-LIFE-03", "CORE-03", "GW-UNREG-03", "GW-EDIT-02")
@pytest.mark.parametrize("filled_in", ["<remove/>", login("mercutio", "queenmab")])
async def test_when_it_is_decided_already(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, filled_in: str
) -> None:
    heard = Heard()
    async with curtain() as play:
        await signed_on(play, legacy)
        decided = Decided(play)
        trio.lowlevel.add_instrument(decided)
        await play.send(register(filled_in))
        await heard.until_the_end(play, stop=False)
        trio.lowlevel.remove_instrument(decided)
        assert decided.has_acted
    assert heard.answers == {"r1": "result"}
    async with curtain() as play:
        assert accounts(play) == ([] if "remove" in filled_in else [("mercutio", "queenmab")])


@pytest.mark.conformance("GW-LIFE-03", "CORE-03", "CORE-10")
async def test_in_the_middle_of_a_registration_and_of_those_that_wait_behind_it(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    heard = Heard()
    async with curtain() as play:
        legacy.set_fault(Kind.STALL_ANSWERS)
        await play.send(
            register(login("romeo", "montague")),
            register(login("mercutio", "queenmab"), id_="r2"),
            register("<username/>", id_="r3"),
        )
        await play.nothing_more()
        await heard.until_the_end(play)
    assert heard.answers == {"r1": "error", "r2": "error", "r3": "error"}
    legacy.clear_faults()
    async with curtain() as play:
        assert accounts(play) == []
        await play.nothing_more()
    assert not legacy.connections()


@pytest.mark.conformance("GW-LIFE-03", "GW-ADD-01", "GW-ADD-02", "CORE-10")
@pytest.mark.parametrize("fault", [Kind.STALL_ANSWERS, Kind.STALL_READING])
async def test_in_the_middle_of_adding_a_contact(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, fault: Kind, cast: Cast
) -> None:
    """Whether the service has heard of it or not, at the end he is added, and once."""
    heard = Heard()
    async with curtain() as play:
        await signed_on(play, legacy)
        legacy.set_fault(fault)
        await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
        await play.nothing_more()
        await heard.until_the_end(play)
    assert heard.subscriptions == []
    legacy.clear_faults()
    async with curtain() as play:
        await is_greeted(play)
        await play.send(presence(ORCHARD, G))
        await play.expect(presence(G, ROMEO))
        if "consent" in cast.lacks:
            await play.expect_all(presence(JULIET, ROMEO), presence(MERCUTIO, ROMEO, "subscribed"))
        else:
            await play.expect(presence(JULIET, ROMEO))
            await play.nothing_more()
            legacy.grant("Mercutio", "Romeo")
            await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
            await asks_back(play, cast, MERCUTIO)
        await play.nothing_more()
        assert len(legacy.arrived(account="Romeo", kind="add")) == 1


@pytest.mark.conformance("GW-LIFE-03", "GW-DEL-01", "CORE-10")
@pytest.mark.parametrize("fault", [Kind.STALL_ANSWERS, Kind.STALL_READING])
async def test_in_the_middle_of_removing_a_contact(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, fault: Kind
) -> None:
    heard = Heard()
    async with curtain() as play:
        await signed_on(play, legacy)
        legacy.set_fault(fault)
        await play.send(presence(ROMEO, JULIET, "unsubscribe"))
        await play.expect(presence(JULIET, ROMEO, "unavailable"))
        await heard.until_the_end(play)
    legacy.clear_faults()
    async with curtain() as play:
        await is_greeted(play)
        await play.send(presence(ORCHARD, G))
        await play.expect(presence(G, ROMEO))
        await trio.sleep(5)
        assert {one.address for one in legacy.contacts("Romeo")} == {"Nurse"}
        await play.nothing_more()


@pytest.mark.conformance("GW-LIFE-03", "GW-SEND-05", "AMB-31")
@pytest.mark.parametrize("fault", [Kind.STALL_ANSWERS, Kind.STALL_READING])
async def test_with_messages_held_for_a_sign_on(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, fault: Kind
) -> None:
    heard = Heard()
    async with curtain() as play:
        await play.register()
        legacy.set_fault(fault)
        sent = [message(f"{n}", id_=f"m{n}") for n in range(5)]
        await play.send(presence(ORCHARD, G), *sent, chat("<body>no id</body>"))
        await play.nothing_more()
        await heard.until_the_end(play)
    assert heard.returned == ["m0", "m1", "m2", "m3", "m4", None]
    assert G in heard.gone
    legacy.clear_faults()
    async with curtain() as play:
        await is_greeted(play)
        await play.sign_on()
        await play.nothing_more()
    assert not legacy.arrived(account="Romeo", kind="message")


@pytest.mark.conformance("GW-LIFE-03", "GW-SEND-05", "AMB-31")
@pytest.mark.parametrize("fault", [Kind.LOSE_OUTCOMES, Kind.STALL_ANSWERS, Kind.STALL_READING])
async def test_with_messages_that_nobody_has_answered_for(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, fault: Kind
) -> None:
    heard = Heard()
    async with curtain() as play:
        await signed_on(play, legacy)
        legacy.set_fault(fault)
        await play.send(message("0", id_="m0"), chat("<body>no id</body>"))
        await play.nothing_more()
        await heard.until_the_end(play)
    assert sorted(heard.returned, key=str) == [None, "m0"]
    assert {G, JULIET} <= heard.gone
    legacy.clear_faults()
    async with curtain() as play:
        await is_greeted(play)  # and nothing is told twice
        await play.nothing_more()
