"""A whole world of real processes: XMPP server, emulated services, gateway, and who uses them.

Everything runs as it would at somebody's: `balcony run` between an XMPP server and a legacy
service, over TCP. What the tests see is what a Jabber client and a legacy user see.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import attrs
import trio

from gateway.control import ask
from gateway.host import RealHost
from legacy_emu.control_client import ControlClient, open_control
from scripts.demo_casts import load_cast
from scripts.lab.jabber import Jabber, Match, Received, jabber_client
from scripts.lab.legacy_user import LegacyUser, legacy_user
from scripts.lab.processes import (
    Emulator,
    Running,
    balcony,
    running_emulator,
    running_gateway,
    scratch_folder,
)
from scripts.lab.xmpp_server import DOMAIN, Component, User, XmppServer
from tests.e2e.servers import PROSODY, Kind

TEST_SECONDS = 120  # a busy machine takes as long
GATEWAY = "emu.localhost"
JULIET = f"juliet@{GATEWAY}"
PROBLEMS = ("Traceback", "ResourceWarning", "DeprecationWarning", "never awaited")


@attrs.frozen
class Service:
    """One emulated legacy service: its process, and the channel that commands it."""

    emulator: Emulator
    control: ControlClient

    async def call(self, action: str, **arguments: object) -> Any:
        return await self.control.call(action, **arguments)

    async def count(self, account: str, kind: str) -> int:
        """Return how often this account did something of this kind."""
        return len(await self.call("arrived", account=account, kind=kind))

    @asynccontextmanager
    async def user(self, name: str, password: str = "") -> AsyncGenerator[LegacyUser, None]:
        """Sign a legacy user on, in literal JSON; the sample's people need no password here."""
        password = password or self.emulator.passwords[name]
        async with legacy_user(self.emulator.url, name, password) as user:
            yield user


@attrs.frozen
class World:
    """What stands around the gateway. Several gateways have a service each, in their order."""

    folder: Path
    server: XmppServer
    services: Sequence[Service]
    config: Path

    @property
    def service(self) -> Service:
        return self.services[0]

    def gateway(self, config: Path | None = None) -> "Gateway":
        return Gateway(config or self.config)

    async def states(self) -> dict[str, str]:
        """Return what the running gateway's `balcony users` shows of each user."""
        rows = await ask(RealHost(), self.folder / "balcony.sock", "users")
        return {row["user"]: row["state"] for row in rows}

    async def account(self, name: str) -> User:
        return await self.server.register(name)

    @asynccontextmanager
    async def client(self, user: User, resource: str = "orchard") -> AsyncGenerator[Jabber, None]:
        """A Jabber client that is logged in, has the roster, and has sent no presence."""
        async with jabber_client(user.jid.partition("@")[0]) as jabber:
            await self.log_in(jabber, user, resource)
            yield jabber

    async def log_in(self, jabber: Jabber, user: User, resource: str = "orchard") -> None:
        await jabber.login(user.jid, user.password, self.server.client_port, resource)
        await jabber.ask_roster()


class Gateway:
    """`balcony run` with one configuration, as often as wanted. Its log must show no bug."""

    def __init__(self, config: Path) -> None:
        self.config = config

    @asynccontextmanager
    async def running(self, *, ready: bool = True) -> AsyncGenerator[Running, None]:
        async with running_gateway(self.config, ready=ready) as process:
            yield process
        log = process.output()
        assert not any(problem in log for problem in PROBLEMS), log

    async def users(self) -> list[dict[str, str]]:
        """Return the rows of `balcony users`."""
        lines = (await balcony("users", "--config", self.config)).splitlines()
        if lines == ["nobody is registered"]:
            return []
        columns = lines[0].split()
        return [dict(zip(columns, line.split(), strict=True)) for line in lines[1:] if line]

    async def tasks(self) -> list[str]:
        """Return the lines of `balcony tasks`."""
        return (await balcony("tasks", "--config", self.config)).splitlines()


@asynccontextmanager
async def a_world(
    *gateways: str,
    kind: Kind = PROSODY,
    serving: bool = True,
    settings: str = "",
    network: str = "emu",
    seconds: float = TEST_SECONDS,
) -> AsyncGenerator[World, None]:
    """An XMPP server, an emulated service for each gateway, and their configuration.

    The gateway itself is started by `World.gateway`. With `serving` false the XMPP server is not
    started. `settings` are the configuration's first lines; `network` is what every gateway there
    speaks. All of it is bounded in time.
    """
    kind.require()
    names = gateways or (GATEWAY,)
    components = [Component(name) for name in names]
    with trio.fail_after(seconds), scratch_folder("e2e") as folder:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(kind.prepare(*components))
            if serving:
                await stack.enter_async_context(server.serving())
            services = []
            for name in names:
                home = folder / name
                home.mkdir()
                sample = load_cast(network).sample
                emulator = await stack.enter_async_context(running_emulator(home, sample))
                control = await stack.enter_async_context(open_control(emulator.control))
                services.append(Service(emulator, control))
            config = folder / "balcony.toml"
            world = World(folder, server, services, config)
            await write_configuration(world, config, settings, network=network)
            yield world


async def write_configuration(
    world: World,
    config: Path,
    settings: str = "",
    *,
    secret: str = "",
    jid: str = "",
    network: str = "emu",
) -> None:
    """Write a configuration for this world, and a key beside it; `secret` and `jid` may be wrong.

    `settings` come first, before any table.
    """
    await balcony("init", config.parent)
    lines = [settings, '[store]\nurl = "sqlite:///balcony.db"']
    cast = load_cast(network)
    for component, service in zip(world.server.components, world.services, strict=True):
        place = cast.service(service.emulator.fronts[cast.front])
        lines += [
            "[[component]]",
            f"jid = {json.dumps(jid or component.jid)}",
            f"domain = {json.dumps(world.server.domain)}",
            f"server = {json.dumps(world.server.address_of(component))}",
            f"secret = {json.dumps(secret or component.secret)}",
            f"network = {json.dumps(network)}",
            "[component.service]",
            *(f"{key} = {json.dumps(value)}" for key, value in place.items()),
        ]
    await trio.Path(config).write_text("\n".join(lines))


async def with_setting(world: World, key: str, value: str) -> None:
    """Add a setting to each component of this world's configuration."""
    config = trio.Path(world.config)
    text = await config.read_text()
    setting = f"{key} = {json.dumps(value)}"
    await config.write_text(text.replace("[[component]]", f"[[component]]\n{setting}"))


# --- what users do ----------------------------------------------------------------------------


def registration(name: str, password: str) -> Element:
    """The filled-in fields of jabber:iq:register."""
    query = Element("query", xmlns="jabber:iq:register")
    SubElement(query, "username").text = name
    SubElement(query, "password").text = password
    return query


async def register(
    jabber: Jabber, password: str, *, name: str = "romeo", gateway: str = GATEWAY
) -> None:
    """Register a legacy account, and have the gateway in the roster, both ways."""
    answer = await jabber.iq(gateway, registration(name, password), "set")
    assert answer.type == "result", answer.xml
    await jabber.expect(f"presence[@type='subscribe'][@from='{gateway}']")
    await jabber.presence(type_="subscribed", to=gateway)
    await jabber.presence(type_="subscribe", to=gateway)
    await jabber.expect(f"presence[@type='subscribed'][@from='{gateway}']")
    await jabber.expect(lambda came: came.kind == "message" and came.body.startswith("Welcome to"))


async def add(jabber: Jabber, contact: str = JULIET) -> None:
    """Add a contact who is on the legacy list already; it shows itself subscribed."""
    await jabber.presence(type_="subscribe", to=contact)
    await jabber.expect(f"presence[@type='subscribed'][@from='{contact}']")


def available(contact: str, show: str = "") -> Callable[[Received], bool]:
    """Fits the presence of somebody who is there."""

    def fits(came: Received) -> bool:
        return (
            came.kind == "presence"
            and not came.type
            and came.from_.partition("/")[0] == contact
            and came.show == show
        )

    return fits


def a_message(came: Received) -> bool:
    """Fits what somebody says: no offer of a contact list, nothing that the server itself sends."""
    is_said = came.kind == "message" and came.from_ != DOMAIN
    return is_said and came.find("rosterx:x") is None


def unavailable(contact: str) -> Match:
    """Fits the presence of somebody who is gone."""
    return f"presence[@type='unavailable'][@from='{contact}']"


def body(contact: str, text: str) -> Callable[[Received], bool]:
    """Fits a message of `contact` with this text."""

    def fits(came: Received) -> bool:
        return (
            came.kind == "message"
            and came.type == "chat"
            and came.from_.partition("/")[0] == contact
            and came.body == text
        )

    return fits


async def settle_in(world: World, romeo: Jabber) -> None:
    """Have romeo registered, signed on and friends with juliet, who need not be there.

    What came of that is forgotten.
    """
    await romeo.presence()
    await register(romeo, world.service.emulator.passwords["romeo"])
    await add(romeo)
    await romeo.expect(available(f"echo@{GATEWAY}"))  # the list is here, and is being shown
    await romeo.nothing_more(a_message)
    romeo.forget()


@attrs.frozen
class Play:
    """Romeo, at his Jabber client, and juliet, on the legacy service, see each other."""

    world: World
    gateway: Running
    romeo: Jabber
    juliet: LegacyUser


@asynccontextmanager
async def a_play() -> AsyncGenerator[Play, None]:
    """A world with its gateway, and the two in it; what came so far is forgotten."""
    async with (
        a_world() as world,
        world.gateway().running() as gateway,
        world.service.user("juliet") as juliet,
        world.client(await world.account("romeo")) as romeo,
    ):
        await settle_in(world, romeo)
        yield Play(world, gateway, romeo, juliet)


def processes_naming(path: Path) -> str:
    """Return the command lines of the running processes that name `path`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(line for line in found if str(path) in line)
