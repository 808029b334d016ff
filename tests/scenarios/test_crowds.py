"""Much of everything: storms of presence, long contact lists, many users beside one that is stuck.

Time is simulated; what is asserted of it is that nobody waits for anybody.
"""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from xml.etree import ElementTree as ET

import pytest
import trio
from trio.lowlevel import Task
from trio.testing import MockClock

from gateway.bridge.session import Session
from gateway.bridge.states import Phase
from gateway.xmpp.jid import Jid
from legacy_emu.control import Control
from legacy_emu.events import Look, Show
from legacy_emu.faults import Kind
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, SERVER, G, Stage
from tests.scenarios.clients import all_that_comes
from tests.scenarios.words import (
    BENVOLIO,
    NOT_ACCEPTABLE,
    REGISTRATION_REQUIRED,
    STANZAS,
    login,
    message,
    presence,
    refused,
    register,
)

STORM = 10_000
KEPT = 2_500
BENVOLIO_BARE = BENVOLIO.partition("/")[0]


def session_of(play: Stage, user: str) -> Session | None:
    return play.gateway.sessions.find(play.gateway.domains[0], Jid.parse(user))


class Most(trio.abc.Instrument):
    """Remembers the most that was ever measured between two steps of any task."""

    def __init__(self, measure: Callable[[], int]) -> None:
        self._measure = measure
        self.most = 0

    def after_task_step(self, task: Task) -> None:
        self.most = max(self.most, self._measure())


@contextmanager
def watching(measure: Callable[[], int]) -> Generator[Most, None, None]:
    instrument = Most(measure)
    trio.lowlevel.add_instrument(instrument)
    try:
        yield instrument
    finally:
        trio.lowlevel.remove_instrument(instrument)


def waiting(play: Stage, user: str) -> Callable[[], int]:
    """Return what measures how many stanzas wait for a user's session."""

    def measure() -> int:
        session = session_of(play, user)
        return len(session.user.inbox) if session is not None else 0

    return measure


async def both_signed_on(play: Stage, legacy: Control) -> None:
    legacy.befriend("Mercutio", "Juliet")
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.register(BENVOLIO, "mercutio", "queenmab")
    await play.sign_on(BENVOLIO)
    await play.expect(presence(JULIET, BENVOLIO_BARE))
    await play.nothing_more()


async def is_served_meanwhile(play: Stage, legacy: Control, storm: list[str]) -> None:
    """Somebody else, in the middle of it, waits no longer than the bytes before him take."""
    middle, start = len(storm) // 2, trio.current_time()
    await play.send(*storm[:middle], message("Hi", from_=BENVOLIO), *storm[middle:])
    [arrived] = await legacy.wait_arrived(account="mercutio", kind="message")
    assert arrived.fields["text"] == "Hi"
    assert trio.current_time() - start < 1


# --- storms -----------------------------------------------------------------------------------


@pytest.mark.conformance("CORE-06", "GW-IN-06", "AMB-10")
async def test_a_storm_of_presence_ends_in_the_last_of_it_and_holds_up_nobody(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await both_signed_on(play, legacy)
    shows = [f"<show>{show}</show>" for show in ("away", "xa", "chat", "dnd")]
    storm = [  # each with its copy for a contact, as servers make it
        presence(ORCHARD, to, inside=f"{shows[n % 4]}<status>{n}</status>")
        for n in range(STORM // 2)
        for to in (G, JULIET)
    ]
    with watching(waiting(play, ROMEO)) as inbox:
        await is_served_meanwhile(play, legacy, storm)
        await play.nothing_more()
    assert inbox.most <= 3  # one for each address, and the question whether there is more
    last = Look(Show.DND, str(STORM // 2 - 1))
    for contact in ("Juliet", "Nurse"):
        assert legacy.look("Romeo", seen_by=contact) == last
    assert len(legacy.arrived(account="romeo", kind="sign_on")) == 1


@pytest.mark.conformance("CORE-06", "GW-OUT-02", "AMB-09", "GW-IN-10")
async def test_a_storm_of_comings_and_goings_ends_in_the_last_of_them(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await both_signed_on(play, legacy)
    storm = [presence(ORCHARD, G, ("unavailable", "")[n % 2]) for n in range(STORM // 5)]
    with watching(waiting(play, ROMEO)) as inbox:
        await is_served_meanwhile(play, legacy, storm)
        last = {one.get("from"): one.get("type") for one in await all_that_comes(play)}
    assert inbox.most <= 3
    assert last == {G: None, JULIET: None}
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE
    await play.send(*storm, presence(ORCHARD, G, "unavailable"))
    last = {one.get("from"): one.get("type") for one in await all_that_comes(play)}
    assert last == {G: "unavailable", JULIET: "unavailable"}
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.OFFLINE
    assert len(legacy.connections()) == 1  # Benvolio's


@pytest.mark.conformance("CORE-06", "AMB-09", "GW-IN-10", "GW-OUT-03")
async def test_a_storm_of_resources_is_bounded_and_passes(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await both_signed_on(play, legacy)
    resources = [f"{ROMEO}/r{n}" for n in range(STORM // 5)]

    def here() -> int:
        session = session_of(play, ROMEO)
        return len(list(session.user.resources)) if session is not None else 0

    with watching(here) as counted:
        await is_served_meanwhile(play, legacy, [presence(one, G) for one in resources])
        greeted = {one.get("to") for one in await all_that_comes(play)}
        assert 50 < counted.most <= 100
        assert len(greeted) <= 100
        await play.send(*[presence(one, G, "unavailable") for one in resources])
        left = await all_that_comes(play)
    assert {one.get("to") for one in left} == greeted
    assert {one.get("type") for one in left} == {"unavailable"}
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE  # the orchard is still here
    await play.nothing_more()


@pytest.mark.conformance("CORE-06", "AMB-25", "GW-OUT-05", "GW-OUT-04")
async def test_a_storm_of_directed_presence_adds_nobody_and_is_forgotten(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await both_signed_on(play, legacy)
    anybody = [f"nobody{n}@{G}" for n in range(STORM // 5)]
    with watching(waiting(play, ROMEO)) as inbox:
        await is_served_meanwhile(play, legacy, [presence(ORCHARD, one) for one in anybody])
        await play.nothing_more()
    assert inbox.most <= STORM // 5
    await play.send(*[presence(ORCHARD, one, "unavailable") for one in anybody])
    await play.nothing_more()
    assert {one.address for one in legacy.contacts("Romeo")} == {"Juliet", "Nurse"}
    session = session_of(play, ROMEO)
    assert session is not None
    assert set(map(play.name, session.user.contacts)) == {"juliet", "nurse"}
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(JULIET, ORCHARD, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.nothing_more()


@pytest.mark.conformance("CORE-06", "GW-SEND-03", "AMB-06")
async def test_a_crowd_of_strangers_is_answered_and_leaves_nothing(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await both_signed_on(play, legacy)
    strangers = [f"stranger{n}@{SERVER}/x" for n in range(STORM // 10)]
    await is_served_meanwhile(play, legacy, [message("Hi", from_=one) for one in strangers])
    answers = await all_that_comes(play)
    assert Counter(str(one.get("to")) for one in answers) == Counter(strangers)
    condition = f".//{{{STANZAS}}}{REGISTRATION_REQUIRED[0]}"
    assert all(one.find(condition) is not None for one in answers)
    assert len(list(play.gateway.sessions)) == 2
    assert len(play.gateway.domains[0].accounts) == 2


# --- long lists -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.conformance("GW-IN-04", "GW-IN-10", "GW-IN-11", "GW-OUT-02", "CORE-09")
async def test_five_thousand_contacts_are_each_shown_once_and_answer_probes(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    names = [f"friend{n}" for n in range(4_998)]
    for name in names:
        legacy.create_account(name, "secret")
        legacy.befriend("Romeo", name, ("Verona", "Mantua"))
    here = names[::5]
    for name in here:
        legacy.set_presence(name, Show.CHAT, f"I am {name}")
    everybody = {f"{name}@{G}" for name in [*names, "juliet", "nurse"]}
    online = {f"{name}@{G}" for name in here}
    await play.register()
    start = trio.current_time()
    await play.send(presence(ORCHARD, G))
    came = await all_that_comes(play)
    assert trio.current_time() - start < 15
    assert came[0].get("from") == G
    assert Counter(str(one.get("from")) for one in came) == Counter([G, *online])
    assert {(one.get("type"), one.get("to")) for one in came} == {(None, ROMEO)}
    for resource in (ORCHARD, BALCONY):
        await play.send(*[presence(resource, one, "probe") for one in sorted(everybody)])
        came = await all_that_comes(play)
        assert {one.get("to") for one in came} == {resource}
        assert Counter(str(one.get("from")) for one in came) == Counter(everybody)
        assert {str(one.get("from")) for one in came if one.get("type") is None} == online
        assert {one.get("type") for one in came} == {None, "unavailable"}
    await play.nothing_more()
    await play.send(presence(ORCHARD, G, "unavailable"))
    came = await all_that_comes(play)
    assert came[-1].get("from") == G
    assert Counter(str(one.get("from")) for one in came) == Counter([G, *online])
    assert {(one.get("type"), one.get("to")) for one in came} == {("unavailable", ORCHARD)}
    assert not legacy.connections()


# --- one who is stuck, and others -------------------------------------------------------------


@pytest.mark.conformance("CORE-06", "GW-REG-03", "GW-IN-01", "GW-SEND-01", "GW-SEND-05")
@pytest.mark.parametrize("others", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.needs("pace")
async def test_one_session_that_is_stuck_keeps_nobody_waiting(
    autojump_clock: MockClock, play: Stage, legacy: Control, others: int
) -> None:
    """His service reads nothing any more, and all buffers on the way to it are full."""
    await play.register()
    await play.sign_on()
    legacy.set_fault(Kind.STALL_READING, account="Romeo")
    stuck = [f"s{n}" for n in range(5)]
    await play.send(*[message("x" * 60_000, id_=id_) for id_ in stuck])
    await trio.sleep(1)
    assert waiting(play, ROMEO)() > 0  # his own stanzas wait

    people = {f"user{n}@{SERVER}": f"user{n}" for n in range(others)}
    for name in people.values():
        legacy.create_account(name, "secret")
        legacy.befriend(name, "Juliet")
    returned: list[str] = []

    def note(found: ET.Element) -> None:
        if found.tag.endswith("message") and found.get("type") == "error":
            returned.append(str(found.get("id")))

    async def each_is_told(kind: str, type_: str | None) -> float:
        """Wait for such a stanza to each of the others; return how long that took."""
        start, missing = trio.current_time(), set(people)
        with trio.fail_after(5 + 2 * others / play.config.components[0].sign_on_rate):
            while missing:
                found = await play.link.next_stanza()
                bare = str(found.get("to")).partition("/")[0]
                if bare == ROMEO:
                    note(found)
                elif found.tag.endswith(kind) and found.get("type") == type_:
                    missing.remove(bare)
        return trio.current_time() - start

    await play.send(
        *[register(login(name, "secret"), from_=f"{jid}/x") for jid, name in people.items()]
    )
    await each_is_told("iq", "result")
    await play.send(*[presence(f"{jid}/x", G) for jid in people])
    await each_is_told("presence", None)
    since = legacy.last_arrived()
    await play.send(*[message("Hi", from_=f"{jid}/x") for jid in people])
    with trio.fail_after(1):
        while len(found := legacy.arrived(since, kind="message")) < others:
            await legacy.wait_arrived(legacy.last_arrived())
    assert {one.account for one in found} == set(people.values())
    legacy.sign_on("Juliet")
    for name in people.values():
        legacy.send_message("Juliet", name, "Hi")
    assert await each_is_told("message", "chat") < 1

    # What becomes of him: each of his messages is handed over, or its sender told.
    legacy.clear_faults()
    legacy.cut("Romeo")
    for one in await all_that_comes(play):
        note(one)
    assert len(returned) == len(set(returned))
    assert set(returned) <= set(stuck)
    taken = len(legacy.arrived(account="romeo", kind="message"))
    assert len(stuck) <= len(returned) + taken
    await play.nothing_more()


@pytest.mark.conformance("CORE-06", "GW-IN-08", "AMB-05")
async def test_one_whom_the_service_never_lets_in_keeps_nobody_waiting(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    """The service hangs at his sign-on, and at his alone, however often he is tried again."""
    await play.register()
    legacy.set_fault(Kind.STALL_ANSWERS, account="Romeo")
    await play.send(presence(ORCHARD, G))
    await trio.sleep(300)  # in which nobody else is tried
    await all_that_comes(play)
    romeo = session_of(play, ROMEO)
    assert romeo is not None
    while romeo.user.phase is not Phase.SIGNING_ON:  # noqa: ASYNC110 - untold
        await trio.sleep(0.1)
    start = trio.current_time()
    await play.send(register(login("mercutio", "wrong"), from_=BENVOLIO))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1", to=BENVOLIO))
    assert trio.current_time() - start < 2
    assert romeo.user.phase is Phase.SIGNING_ON


@pytest.mark.conformance("LU-SEND-03")
async def test_all_that_was_said_in_years_comes_once(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    """Some services have forgotten it once it is sent, so that it has to be taken at once."""
    await play.register()
    for number in range(KEPT):
        legacy.send_message("Juliet", "Romeo", f"no. {number}")
    await play.send(presence(ORCHARD, G))
    bodies = [one.findtext("{jabber:component:accept}body") for one in await all_that_comes(play)]
    assert [one for one in bodies if one] == [f"no. {number}" for number in range(KEPT)]
    assert not legacy.kept("Romeo")
