"""Many users at a service that takes ten logins a minute: nobody is kept off by the others.

The service is the emulated one with the limit of Open OSCAR Server; the users are registered by the
store, as after a restart.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.host import RealHost
from gateway.networks.oscar import Aim
from gateway.networks.oscar.settings import AimSettings
from gateway.store.sealing import Sealer
from gateway.store.store import Store
from legacy_emu.control import Control
from legacy_emu.events import Refusal
from legacy_emu.faults import Fault, Kind, Moment
from legacy_emu.fronts import oscar
from legacy_emu.policy import Likeness, Policy
from legacy_emu.service import Service
from tests.fakes.stage import LOOPBACK, SERVER, G, Stage, make_config, stage
from tests.scenarios.places import LEGACY_PLACE
from tests.scenarios.words import login, presence, register
from tests.simulation.host import Machine, virtual_now
from tests.simulation.network import SimListener, SimNetwork
from tests.simulation.trace import Trace

pytestmark = pytest.mark.slow

SETTINGS = AimSettings(
    host=LEGACY_PLACE.host, port=LEGACY_PLACE.port, tls="off", preset="open-oscar-server"
)
ATTACK_SECONDS = 0.1  # between an answer and the next attempt


@attrs.frozen
class Place:
    random: Random = attrs.field(factory=lambda: Random("limit"))  # noqa: S311 - not for secrets

    def now(self) -> datetime:
        return virtual_now()


class Legacy:
    """The service, which can go away and come back."""

    def __init__(self, machine: Machine, nursery: trio.Nursery) -> None:
        self.service = Service(Place(), Policy(oscar=Likeness.OPEN_OSCAR_SERVER))
        self.control = Control(self.service)
        self._network = machine.network
        self._nursery = nursery
        self._listener: SimListener | None = None

    def start(self) -> None:
        self._listener = self._network.bind(LEGACY_PLACE)

        async def serve(stream: trio.abc.Stream) -> None:
            await oscar.serve(stream, self.service)

        self._nursery.start_soon(self._listener.serve, serve)

    def stop(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for connection in self._network.alive_at(LEGACY_PLACE):
            connection.cut()

    def online(self) -> int:
        return sum(1 for account in self.control.accounts() if account["sessions"])

    async def until_online(self, count: int) -> None:
        """Wait until so many accounts are signed on."""
        while True:
            since = self.control.last_arrived()
            if self.online() >= count:
                return
            await self.control.wait_arrived(since, kind="sign_on")


class Audience:
    """What the users' clients show: who is signed on, and what attackers were answered."""

    def __init__(self, play: Stage) -> None:
        self._play = play
        self.signed_on: set[str] = set()  # bare JIDs to which the gateway is available
        self.attempts = 0
        self._answered: dict[str, trio.Event] = {}

    async def watch(self) -> None:
        while True:
            self._note(stanza := await self._play.link.next_stanza())
            answered = self._answered.get(str(stanza.get("to")))
            if stanza.tag.endswith("iq") and answered is not None:
                answered.set()

    async def attack(self, attacker: str) -> None:
        """Try one wrong password after the other, for ever."""
        while True:
            self.attempts += 1
            await self.register(attacker, "user0", f"guess{self.attempts}")
            await trio.sleep(ATTACK_SECONDS)

    async def register(self, jid: str, name: str, password: str) -> None:
        """Register, and wait for the answer, whatever it is."""
        answered = self._answered[jid] = trio.Event()
        await self._play.send(register(login(name, password), from_=jid))
        await answered.wait()

    def _note(self, stanza: ET.Element) -> None:
        if stanza.tag.endswith("presence") and stanza.get("from") == G:
            user = str(stanza.get("to")).partition("/")[0]
            if stanza.get("type") is None:
                self.signed_on.add(user)
            elif stanza.get("type") in ("unavailable", "error"):
                self.signed_on.discard(user)


@attrs.frozen
class House:
    play: Stage
    legacy: Legacy
    audience: Audience
    users: list[str]

    async def until_all_are_online(self) -> None:
        """Wait until all users are signed on, and their clients have been told."""
        await self.legacy.until_online(len(self.users))
        await trio.sleep(1)  # simulated: the news travels
        assert set(self.users) <= self.audience.signed_on

    async def all_come(self) -> None:
        await self.play.send(*(presence(f"{user}/orchard", G) for user in self.users))


@asynccontextmanager
async def house(folder: Path, registered: int, strangers: int = 0) -> AsyncGenerator[House, None]:
    machine = Machine(1, SimNetwork(1, Trace(), LOOPBACK))
    users = [f"user{number}@{SERVER}" for number in range(registered)]
    config, host = make_config(folder, Aim, SETTINGS).store, RealHost()
    store = Store.open(host, config.url, Sealer.from_file(host, config.key_file), [G])
    for user in users:
        store.save_account(G, user, user.partition("@")[0], "pw", {})
    store.close()
    async with trio.open_nursery() as nursery:
        legacy = Legacy(machine, nursery)
        for number in range(registered + strangers):
            legacy.control.create_account(f"user{number}", "pw")
        legacy.start()
        async with (
            stage(folder, Aim, SETTINGS, machine) as play,
            trio.open_nursery() as watching,
        ):
            audience = Audience(play)
            watching.start_soon(audience.watch)
            yield House(play, legacy, audience, users)
            watching.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


@pytest.mark.conformance("GW-IN-08")
async def test_hundred_users_return_within_twelve_minutes(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(tmp_path, registered=100) as it:
        with trio.fail_after(15 * 60):
            await it.all_come()
            await it.until_all_are_online()
        await trio.sleep(300)
        with caplog.at_level(logging.INFO, "gateway"):
            it.legacy.stop()
            await trio.sleep(60)
            assert it.audience.signed_on == set()
            assert it.legacy.online() == 0
            it.legacy.start()
            back = trio.current_time()
            with trio.fail_after(12 * 60):
                await it.until_all_are_online()
            assert trio.current_time() - back > 8 * 60  # the limit held
            await trio.sleep(600)
        lines = [record.getMessage() for record in caplog.records]
        others = [line for line in lines if not line.endswith(": signed on")]
        assert len(others) == 5, "\n".join(others)
        assert "the service fails for everybody" in others[1]
        assert "answers again" in others[2]
        assert "logins wait: it takes 10" in others[3]
        assert "no login waits any more" in others[4]


@pytest.mark.conformance("GW-IN-08")
async def test_users_return_right_after_an_outage(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path, registered=3) as it:
        await it.all_come()
        await it.until_all_are_online()
        await trio.sleep(300)
        it.legacy.stop()
        await trio.sleep(30)
        it.legacy.start()
        with trio.fail_after(40):
            await it.until_all_are_online()


@pytest.mark.parametrize("attackers", [1, 30])
async def test_wrong_passwords_keep_nobody_off(
    autojump_clock: MockClock, tmp_path: Path, attackers: int
) -> None:
    async with house(tmp_path, registered=3) as it, trio.open_nursery() as nursery:
        for number in range(attackers):
            nursery.start_soon(it.audience.attack, f"tybalt{number}@{SERVER}/x")
        await trio.sleep(30)
        await it.all_come()
        with trio.fail_after(120):
            await it.until_all_are_online()
        assert it.audience.attempts > 30
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=Kind.REFUSE, reason=Refusal.TOO_MANY_ATTEMPTS),
        Fault(kind=Kind.DROP, moment=Moment.SIGN_ON),
        Fault(kind=Kind.STALL_ANSWERS),
    ],
    ids=["001D", "closes", "says nothing"],
)
async def test_foreign_limiter_is_outlasted(
    autojump_clock: MockClock, tmp_path: Path, fault: Fault
) -> None:
    """Something else uses up the logins for five minutes; then all users are signed on."""
    async with house(tmp_path, registered=12) as it:
        name = it.legacy.service.faults.set(fault)
        await it.all_come()
        await trio.sleep(300)
        assert it.legacy.online() == 0
        it.legacy.service.faults.clear(name)
        with trio.fail_after(360):
            await it.until_all_are_online()


async def test_eight_users_register_within_a_minute(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path, registered=0, strangers=8) as it:
        users = [f"user{number}@{SERVER}" for number in range(8)]

        async def begin(user: str) -> None:
            await it.audience.register(f"{user}/orchard", user.partition("@")[0], "pw")
            await it.play.send(presence(f"{user}/orchard", G))

        async with trio.open_nursery() as nursery:
            for user in users:
                nursery.start_soon(begin, user)
        with trio.fail_after(30):
            await it.legacy.until_online(len(users))
