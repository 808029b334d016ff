"""Something happens at each single await of a sign-on, and of a sign-off.

The connection task of a session is watched, and the driver's tasks below it; when they have come
to their k-th await, the user leaves, unregisters, returns, or the service or the daemon goes.
Whatever k is: no connection and no task is left that should not be, nobody is shown who is gone,
and each message has been handed over or returned, once.
"""

from xml.etree import ElementTree as ET

import pytest
import trio
from trio.testing import MockClock

from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Iq, IqType, Presence, PresenceType
from gateway.xmpp.xml import Element
from legacy_emu.control import Control
from legacy_emu.events import Show
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.fakes.xmpp_server import Unexpected
from tests.scenarios.awaits import Act, watching
from tests.scenarios.conftest import Raise
from tests.scenarios.places import LEGACY_PLACE
from tests.scenarios.words import REGISTER, message, presence

SETTLE_SECONDS = 15
MAX_AWAITS = 500
LEAST_AWAITS, LEAST_AWAITS_ALONE = 40, 8  # fewer: nobody was watched


# --- what may happen --------------------------------------------------------------------------


def leaves(play: Stage) -> Act:
    return _says(play, PresenceType.UNAVAILABLE)


def returns(play: Stage) -> Act:
    return _says(play, PresenceType.AVAILABLE)


def _says(play: Stage, type_: PresenceType) -> Act:
    [router] = play.gateway.routers
    stanza = Presence(from_=Jid.parse(ORCHARD), to=Jid.parse(G), type=type_)
    return lambda: router.take(stanza)


def unregisters(play: Stage) -> Act:
    [router] = play.gateway.routers
    query = Element("query", REGISTER, {}, (Element("remove", REGISTER),))
    iq = Iq(from_=Jid.parse(ORCHARD), to=Jid.parse(G), type=IqType.SET, id="remove", payload=query)
    return lambda: router.take(iq)


# --- what must hold then ----------------------------------------------------------------------


class Heard:
    """What the XMPP side was told until it was quiet, added up."""

    def __init__(self) -> None:
        self.available: set[str] = set()  # who was shown available last
        self.returned: list[str] = []
        self.answers: list[str] = []

    async def listen(self, play: Stage) -> None:
        """Take what comes, until nothing has come for a while or the link is over."""
        quiet = False
        while not quiet:
            with trio.move_on_after(SETTLE_SECONDS) as patience:
                try:
                    self._take(await play.link.next_stanza())
                except Unexpected:
                    assert play.link.ended.is_set()
                    return
            quiet = patience.cancelled_caught

    def _take(self, stanza: ET.Element) -> None:
        kind, type_, from_ = stanza.tag.rpartition("}")[2], stanza.get("type"), stanza.get("from")
        assert from_ is not None
        if kind == "presence" and type_ is None:
            self.available.add(from_)
        elif kind == "presence" and type_ == "unavailable":
            self.available.discard(from_)
        elif kind == "message" and type_ == "error":
            self.returned.append(str(stanza.get("id")))
        elif kind == "iq":
            self.answers.append(f"{stanza.get('id')} {type_}")
        else:
            assert (kind, type_) in (
                ("presence", "unsubscribe"),
                ("presence", "unsubscribed"),
                ("presence", "error"),
            ), ET.tostring(stanza)


def tasks() -> list[str]:
    """Return the tasks of Romeo's session, and what runs below them."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found: list[str] = []
    waiting = [(root, False)]
    while waiting:
        task, below = waiting.pop()
        below = below or task.name.startswith(f"sessions/{G}/{ROMEO}")
        if below:
            found.append(task.name)
        waiting += [(child, below) for one in task.child_nurseries for child in one.child_tasks]
    return found


def nothing_is_left(play: Stage, legacy: Control) -> None:
    assert legacy.connections() == []
    assert play.machine.network.alive_at(LEGACY_PLACE) == []
    assert tasks() == []
    assert not list(play.gateway.sessions)
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.OFFLINE


def is_settled(id_: str, heard: Heard, legacy: Control, since: int) -> None:
    """The message was handed over once, or its sender was told once."""
    arrived = [
        one for one in legacy.arrived(since, kind="message") if one.fields["refused"] is None
    ]
    assert len(arrived) <= 1
    assert heard.returned == ([] if arrived else [id_]) or heard.returned == [id_]


def is_signed_on(legacy: Control) -> None:
    assert len(legacy.connections()) == 1
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE


async def comes(play: Stage, k: int = 0) -> None:
    await play.send(presence(ORCHARD, G), message("Hi", id_=f"m{k}"))


async def goes(play: Stage, k: int = 0) -> None:
    await play.send(message("Bye", id_=f"m{k}"), presence(ORCHARD, G, "unavailable"))


async def _registered(play: Stage, legacy: Control) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()


async def _signed_on(play: Stage) -> None:
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()


# --- the sign-on ------------------------------------------------------------------------------


@pytest.mark.needs("many sign-ons")
@pytest.mark.conformance("GW-OUT-02", "AMB-09", "GW-SEND-05")
async def test_the_user_leaves_at_each_await_of_his_sign_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await _registered(play, legacy)
    for k in range(MAX_AWAITS):
        since, heard = legacy.last_arrived(), Heard()
        with watching(k, leaves(play)) as at:
            await comes(play, k)
            await heard.listen(play)
        if not at.has_acted:
            break
        assert heard.available == set(), k
        is_settled(f"m{k}", heard, legacy, since)
        nothing_is_left(play, legacy)
    assert LEAST_AWAITS < k < MAX_AWAITS - 1


@pytest.mark.slow
@pytest.mark.needs("many sign-ons")
@pytest.mark.conformance("AMB-27", "GW-UNREG-01", "GW-UNREG-06", "GW-SEND-05")
async def test_the_user_unregisters_at_each_await_of_his_sign_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    for k in range(MAX_AWAITS):
        await _registered(play, legacy)
        since, heard = legacy.last_arrived(), Heard()
        with watching(k, unregisters(play)) as at:
            await comes(play, k)
            await heard.listen(play)
        if not at.has_acted:
            break
        assert heard.answers == ["remove result"]
        assert heard.available == set(), k
        is_settled(f"m{k}", heard, legacy, since)
        nothing_is_left(play, legacy)
        assert not play.gateway.store.accounts(G)
    assert LEAST_AWAITS < k < MAX_AWAITS - 1


@pytest.mark.needs("many sign-ons")
@pytest.mark.conformance("GW-OUT-06", "GW-IN-08", "GW-SEND-05")
async def test_the_service_is_lost_at_each_await_of_a_sign_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await _registered(play, legacy)
    for k in range(MAX_AWAITS):
        since, heard = legacy.last_arrived(), Heard()
        with watching(k, legacy.cut) as at:
            await comes(play, k)
            await heard.listen(play)
        if not at.has_acted:
            break
        assert heard.available == {G, JULIET}, k
        is_settled(f"m{k}", heard, legacy, since)
        is_signed_on(legacy)
        await goes(play)
        await heard.listen(play)
        assert heard.available == set()
        nothing_is_left(play, legacy)
    assert LEAST_AWAITS < k < MAX_AWAITS - 1


@pytest.mark.conformance("GW-LIFE-03", "GW-SEND-05")
async def test_the_daemon_is_stopped_at_each_await_of_a_sign_on(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await _registered(play, legacy)
    for k in range(MAX_AWAITS):
        since, heard = legacy.last_arrived(), Heard()
        async with curtain() as play:
            await play.expect(presence(G, ROMEO))
            await play.expect(presence(G, ROMEO, "probe"))
            with watching(k, play.gateway.stop, alone=True) as at:
                await comes(play, k)
                await heard.listen(play)
            if not at.has_acted:
                break
            assert play.link.ended.is_set()
        assert heard.available == set(), k
        is_settled(f"m{k}", heard, legacy, since)
        assert legacy.connections() == []
    assert LEAST_AWAITS_ALONE < k < MAX_AWAITS - 1


# --- the sign-off -----------------------------------------------------------------------------


@pytest.mark.needs("many sign-ons")
@pytest.mark.conformance("GW-OUT-02", "GW-IN-01", "GW-SEND-05")
async def test_the_user_returns_at_each_await_of_his_sign_off(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await _registered(play, legacy)
    for k in range(MAX_AWAITS):
        await _signed_on(play)
        since, heard = legacy.last_arrived(), Heard()
        with watching(k, returns(play)) as at:
            await goes(play, k)
            await heard.listen(play)
        if not at.has_acted:
            break
        assert heard.available == {G, JULIET}, k
        is_settled(f"m{k}", heard, legacy, since)
        is_signed_on(legacy)
        await goes(play)
        await heard.listen(play)
        assert heard.available == set()
        nothing_is_left(play, legacy)
    assert LEAST_AWAITS_ALONE < k < MAX_AWAITS - 1


@pytest.mark.needs("many sign-ons")
@pytest.mark.conformance("AMB-27", "GW-UNREG-06", "GW-SEND-05")
async def test_the_user_unregisters_at_each_await_of_his_sign_off(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    for k in range(MAX_AWAITS):
        await _registered(play, legacy)
        await _signed_on(play)
        since, heard = legacy.last_arrived(), Heard()
        with watching(k, unregisters(play)) as at:
            await goes(play, k)
            await heard.listen(play)
        if not at.has_acted:
            break
        assert heard.answers == ["remove result"]
        assert heard.available == set(), k
        is_settled(f"m{k}", heard, legacy, since)
        nothing_is_left(play, legacy)
        assert not play.gateway.store.accounts(G)
    assert LEAST_AWAITS_ALONE < k < MAX_AWAITS - 1


@pytest.mark.needs("many sign-ons")
@pytest.mark.conformance("GW-OUT-02", "GW-SEND-05")
async def test_the_service_is_lost_at_each_await_of_a_sign_off(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await _registered(play, legacy)
    for k in range(MAX_AWAITS):
        await _signed_on(play)
        since, heard = legacy.last_arrived(), Heard()
        with watching(k, legacy.cut) as at:
            await goes(play, k)
            await heard.listen(play)
        if not at.has_acted:
            break
        assert heard.available == set(), k
        is_settled(f"m{k}", heard, legacy, since)
        nothing_is_left(play, legacy)
    assert LEAST_AWAITS_ALONE < k < MAX_AWAITS - 1
