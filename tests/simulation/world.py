"""One world: the daemon, an XMPP server and a legacy service over a network, under one seed.

First everything is set up in peace; then traffic and faults; then every fault ends and things
settle; then the judge looks. `simulate` is the whole of it. What lives in the world is moved by
`traffic.py` and harmed by `harm.py`; what must hold at the end is in `judge.py`.
"""

import logging
import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from random import Random

import attrs
import trio
from trio.testing import MockClock

from gateway.app import Gateway, daemon
from gateway.config import Access, ComponentConfig, Config, StoreConfig
from gateway.host import Address
from gateway.networks.emu import EmuNetwork, Settings
from gateway.store.sealing import Sealer
from tests.simulation import judge
from tests.simulation.harm import Harm
from tests.simulation.host import Machine, SimHost
from tests.simulation.legacy import LegacyService
from tests.simulation.network import Connection, SimListener, SimNetwork
from tests.simulation.pinned import pinned
from tests.simulation.plan import Plan, make_plan
from tests.simulation.trace import Trace
from tests.simulation.traffic import Contact, Traffic, UserOfGateway
from tests.simulation.xmpp_server import Conflict, Traits, XmppServer
from tests.simulation.xmpp_users import register_form

DOMAIN = "example.net"
GATEWAY = "aim.example.net"
SECRET = "s3cret"
XMPP = Address("xmpp", 5347)
LEGACY = Address("legacy", 4000)

SET_UP_SECONDS = 120
STOP_SECONDS = 60
RESTART_SECONDS = 3.0  # at most, between a crash and the next start
STATE_FOLDER = Path("/dev/shm")  # noqa: S108 - a temporary directory is made in it


@attrs.frozen
class Scale:
    """How large a world is, and how long it lasts, in virtual seconds."""

    users: int = 3
    contacts: int = 4
    faults: int = 12
    trouble_seconds: float = 120.0
    settle_seconds: float = 600.0


@attrs.frozen
class Outcome:
    """What came of one seed. No violations: all is well."""

    seed: int
    plan: Plan
    digest: str
    steps: int
    virtual_seconds: float
    messages: int
    violations: tuple[str, ...]
    transcript: tuple[str, ...] = ()


class World:
    """Everything there is, for one run."""

    def __init__(self, seed: int, plan: Plan, scale: Scale, folder: Path) -> None:
        self.seed = seed
        self.plan = plan
        self.scale = scale
        self.trace = Trace()
        self.violations: list[str] = []
        self.network = SimNetwork(seed, self.trace)
        self.machine = Machine(seed, self.network)
        self.xmpp = XmppServer(DOMAIN, {GATEWAY: SECRET}, seed, _traits(seed))
        self.legacy = LegacyService(seed)
        self.users = [
            UserOfGateway(self.xmpp.add_user(f"user{number}"), f"u{number}", GATEWAY)
            for number in range(scale.users)
        ]
        self.contacts = [Contact(self.legacy, f"c{number}") for number in range(scale.contacts)]
        self.traffic = Traffic(self)
        self.harm = Harm(self)
        self.hosts: list[SimHost] = []
        self.gateway: Gateway | None = None
        self._config = _config(folder)
        self._servers: trio.Nursery | None = None
        self._stopping = False
        self._living: dict[SimHost, None] = {}  # whose last task has not ended
        self._all_over = trio.Event()
        self._random = Random(f"{seed}/world")
        self._xmpp_listener: SimListener | None = None
        self._legacy_listener: SimListener | None = None

    @property
    def host(self) -> SimHost:
        """The incarnation that lives, or lived last."""
        return self.hosts[-1]

    def complain(self, what: str) -> None:
        self.violations.append(what)

    def xmpp_links(self) -> list[Connection]:
        return self.network.alive_at(XMPP)

    def legacy_links(self) -> list[Connection]:
        return self.network.alive_at(LEGACY)

    # --- the run ------------------------------------------------------------------------------

    async def main(self) -> None:
        try:
            async with trio.open_nursery() as servers:
                self._servers = servers
                self.start_xmpp()
                self.start_legacy()
                servers.start_soon(self._keep_a_gateway, name="gateway's keeper")
                with trio.fail_after(SET_UP_SECONDS):
                    await self._set_up()
                async with trio.open_nursery() as trouble:
                    trouble.start_soon(self.traffic.run, name="traffic")
                    trouble.start_soon(self.harm.run, self.plan, name="harm")
                await self._heal()
                await trio.sleep(self.scale.settle_seconds)
                judge.settled(self)
                await self._stop()
                judge.stopped(self)
                servers.cancel_scope.cancel()
        except trio.TooSlowError:
            self.complain("the set-up, in peace, did not end in time")
        self.trace.note("end", self.violations)

    async def _set_up(self) -> None:
        """Make accounts, register everybody, subscribe everybody to everybody."""
        names = [user.legacy_name for user in self.users] + [one.name for one in self.contacts]
        for name in names:
            self.legacy.create_account(name)
        for user in self.users:
            for name in names:
                if name != user.legacy_name:
                    self.legacy.befriend(user.legacy_name, name)
                    self.legacy.befriend(name, user.legacy_name)
        for contact in self.contacts:
            contact.sign_on()
        await self.xmpp.has_had_link.wait()
        for user in self.users:
            await self._register(user)
            for name in names:
                if name != user.legacy_name:
                    user.xmpp.subscribe(f"{name}@{GATEWAY}")
        await trio.sleep(5)

    async def _register(self, user: UserOfGateway) -> None:
        user.xmpp.login()
        form = register_form({"username": user.legacy_name, "password": "secret"})
        asked = user.xmpp.send_iq(GATEWAY, "set", form)
        await asked.answered.wait()
        if asked.bounced:
            self.complain(f"{user.xmpp.jid}: registration refused")

    async def _heal(self) -> None:
        """End every fault, and bring everybody to where he is to be at the end."""
        self.harm.heal()
        self.network.heal()
        await self.traffic.come_to_rest()

    async def _stop(self) -> None:
        """End the daemon in order. It is bounded in time, and leaves no task."""
        self._stopping = True
        if self.gateway is not None:
            self.gateway.stop()
        with trio.move_on_after(STOP_SECONDS) as scope:
            if self._living:
                await self._all_over.wait()
        if scope.cancelled_caught:
            names = [host.name for host in self._living]
            self.complain(f"{names} have tasks left {STOP_SECONDS} s after the end")

    # --- servers and the daemon ---------------------------------------------------------------

    def start_xmpp(self) -> None:
        if self._xmpp_listener is None and self._servers is not None:
            self._xmpp_listener = self.network.bind(XMPP)
            self._servers.start_soon(self._xmpp_listener.serve, self.xmpp.serve, name="xmpp server")

    def stop_xmpp(self) -> None:
        """Shut the XMPP server down: links ended, clients gone, nobody accepts."""
        if self._xmpp_listener is not None:
            self._xmpp_listener.close()
            self._xmpp_listener = None
        self.xmpp.shut_down()

    def start_legacy(self) -> None:
        if self._legacy_listener is None and self._servers is not None:
            self._legacy_listener = self.network.bind(LEGACY)
            self._servers.start_soon(
                self._legacy_listener.serve, self.legacy.serve, name="legacy service"
            )

    def stop_legacy(self) -> None:
        """Let the legacy service vanish: connections reset, nobody accepts."""
        if self._legacy_listener is not None:
            self._legacy_listener.close()
            self._legacy_listener = None
        for link in self.network.alive_at(LEGACY):
            link.cut()

    async def _keep_a_gateway(self) -> None:
        """Run the daemon, and start it again after each crash, without waiting for the old one."""
        assert self._servers is not None
        while not self._stopping:
            host = SimHost(self.machine)
            self.hosts.append(host)
            self._servers.start_soon(self._live, host, name=host.name)
            await host.died.wait()
            self.gateway = None
            await trio.sleep(self._random.random() * RESTART_SECONDS)

    async def _live(self, host: SimHost) -> None:
        self._living[host] = None
        try:
            await host.run(self._daemon)
            if not (host.dead or self._stopping):
                self.complain(f"{host.name} ended by itself")
        except* Exception as group:
            self.complain(f"{host.name} ended by a bug: {group.exceptions!r}")
        finally:
            del self._living[host]
            if self._stopping and not self._living:
                self._all_over.set()

    async def _daemon(self, host: SimHost) -> None:
        async with trio.open_nursery() as nursery:
            gateway = await nursery.start(partial(daemon, host, self._config))
            host.store_suffers = True
            if host is self.host:
                self.gateway = gateway


def _traits(seed: int) -> Traits:
    random = Random(f"{seed}/traits")
    return Traits(
        conflict=random.choice(list(Conflict)),
        knows_ping=random.random() < 0.8,
        answers_for_the_absent=random.random() < 0.5,
        probes_on_approval=random.random() < 0.5,
    )


def _config(folder: Path) -> Config:
    key_file = folder / "balcony.key"
    Sealer.create_key_file(key_file)
    component = ComponentConfig(
        jid=GATEWAY,
        domain=DOMAIN,
        server=XMPP,
        secret=SECRET,
        network="emu",
        network_class=EmuNetwork,
        service=Settings(host=LEGACY.host, port=LEGACY.port, tls="off"),
        allow=(DOMAIN,),
    )
    return Config(
        store=StoreConfig(f"sqlite:///{folder / 'balcony.db'}", key_file),
        components=(component,),
        access=Access(),
        control=folder / "balcony.sock",
        http=None,
        log_level="warning",
        warnings=(),
    )


class _Bugs(logging.Handler):
    """Hears what the daemon logs as a bug: an error with its traceback."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._world.complain(f"bug: {record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def _listening_for_bugs(world: World, *, aloud: bool) -> Generator[None, None, None]:
    """Hear the bugs the daemon logs; all else it logs is in the way, unless wanted."""
    handler, log = _Bugs(world), logging.getLogger("gateway")
    propagated = log.propagate
    log.addHandler(handler)
    log.propagate = aloud
    try:
        yield
    finally:
        log.propagate = propagated
        log.removeHandler(handler)


def simulate(
    seed: int,
    plan: Plan | None = None,
    *,
    scale: Scale | None = None,
    planted: AbstractContextManager[object] | None = None,
    transcript: bool = False,
    aloud: bool = False,
) -> Outcome:
    """Live one world from beginning to end. To be called from a plain function.

    With `transcript` every stanza is kept, with `aloud` the daemon's log goes where logs go.
    """
    scale = scale or Scale()
    if plan is None:
        plan = make_plan(seed, seconds=scale.trouble_seconds, count=scale.faults)
    folder = STATE_FOLDER if STATE_FOLDER.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="balcony-simulation-", dir=folder) as temporary:
        world = World(seed, plan, scale, Path(temporary))
        if transcript:
            world.xmpp.transcript = []
        clock = MockClock(autojump_threshold=0)
        with planted or nullcontext(), _listening_for_bugs(world, aloud=aloud), pinned(seed):
            trio.run(world.main, clock=clock, instruments=[world.trace])
    return Outcome(
        seed=seed,
        plan=plan,
        digest=world.trace.digest(),
        steps=world.trace.steps,
        virtual_seconds=clock.current_time(),
        messages=world.traffic.messages,
        violations=tuple(world.violations),
        transcript=tuple(world.xmpp.transcript or ()),
    )
