"""The whole daemon on a stage: a played XMPP server on one side, a legacy service on the other.

Everything runs in one process over a simulated network on a simulated clock, so a scenario can let
minutes pass at no cost. What the XMPP side says and hears is literal stanzas.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import trio

from gateway.app import Gateway, daemon
from gateway.config import Access, ComponentConfig, Config, StoreConfig
from gateway.host import Address
from gateway.networks.base import Description, Network
from gateway.store.sealing import Sealer
from gateway.xmpp.jid import Jid
from tests.fakes.interpreter import Interpreter
from tests.fakes.xmpp_server import Connection, XmppServer
from tests.simulation.host import Machine, SimHost
from tests.simulation.network import Quality, SimNetwork
from tests.simulation.trace import Trace

G = "aim.shakespeare.lit"
SERVER = "shakespeare.lit"
XMPP_PLACE = Address("xmpp", 5347)
ROMEO, JULIET = "romeo@shakespeare.lit", f"juliet@{G}"
ORCHARD, BALCONY = f"{ROMEO}/orchard", f"{ROMEO}/balcony"
LOOPBACK = Quality(latency=0.0005, jitter=0.0005)
QUIET_SECONDS = 0.5  # how long nothing has to come for a scenario to call it nothing


@attrs.define(eq=False)
class Stage:
    """What a scenario acts on."""

    machine: Machine
    config: Config
    server: XmppServer
    gateway: Gateway
    link: Connection
    host: SimHost

    @property
    def description(self) -> Description:
        """Return what the network says of itself."""
        [component] = self.config.components
        return component.network_class.description

    def jid(self, of: str) -> Jid:
        """Return a JID of the script as it is to the gateway."""
        return Jid.parse(self.link.interpreter.to_network(f"'{of}'").strip("'"))

    def name(self, address: str) -> str:
        """Return what the script calls a legacy address."""
        return self.link.interpreter.from_network(address)

    def accounts(self) -> list[tuple[str, str]]:
        """Return what is kept of all who are registered: their legacy names, and passwords."""
        found = self.gateway.store.accounts(G)
        return [(self.name(one.address), one.secret) for one in found]

    async def send(self, *literals: str) -> None:
        await self.link.send("".join(literals))

    async def expect(self, literal: str) -> ET.Element:
        return await self.link.expect(literal)

    async def expect_all(self, *literals: str) -> None:
        await self.link.expect_all(*literals)

    async def nothing_more(self, user: str = ORCHARD) -> None:
        """Nothing is on its way to the XMPP server, nor comes for a while."""
        await self.link.nothing_more(user, G)
        await trio.sleep(QUIET_SECONDS)
        self.link.check_nothing_came()

    async def register(
        self, user: str = ORCHARD, name: str = "romeo", password: str = "montague"
    ) -> None:
        """Register as a client would, and accept the gateway's subscription."""
        bare = user.partition("/")[0]
        await self.send(
            f"<iq type='set' id='reg' from='{user}' to='{G}'><query xmlns='jabber:iq:register'>"
            f"<username>{name}</username><password>{password}</password></query></iq>"
        )
        await self.expect(f"<iq type='result' id='reg' from='{G}' to='{user}'/>")
        await self.expect(f"<presence type='subscribe' from='{G}' to='{bare}'/>")
        await self.send(
            f"<presence type='subscribed' from='{bare}' to='{G}'/>",
            f"<presence type='subscribe' from='{bare}' to='{G}'/>",
        )
        await self.expect(f"<presence type='subscribed' from='{G}' to='{bare}'/>")
        await self.expect(f"<presence from='{G}' to='{bare}'/>")

    async def sign_on(self, user: str = ORCHARD) -> None:
        """Send presence and wait for the gateway's (GW-IN-02)."""
        await self.send(f"<presence from='{user}' to='{G}'/>")
        await self.expect(f"<presence from='{G}' to='{user.partition('/')[0]}'/>")


def make_config(folder: Path, network: type[Network], service: object, **more: Any) -> Config:
    """Return a configuration of one component, as `config.load` would; `more` keys of it."""
    key_file = folder / "balcony.key"
    if not key_file.exists():
        Sealer.create_key_file(key_file)
    component = ComponentConfig(
        jid=G,
        domain=SERVER,
        server=XMPP_PLACE,
        secret="s3cret",
        network="fake",
        network_class=network,
        service=service,
        **({"allow": (SERVER,)} | more),
    )
    return Config(
        store=StoreConfig(f"sqlite:///{folder / 'balcony.db'}", key_file),
        components=(component,),
        access=Access(),
        control=folder / "balcony.sock",
        http=None,
        log_level="debug",
        warnings=(),
    )


@asynccontextmanager
async def stage(
    folder: Path,
    network: type[Network],
    service: object,
    machine: Machine | None = None,
    interpreter: Interpreter | None = None,
    **more: Any,
) -> AsyncGenerator[Stage, None]:
    """Raise the curtain: the daemon runs and its link is up. At the end it is stopped in order."""
    machine = machine or Machine(1, SimNetwork(1, Trace(), LOOPBACK))
    config = make_config(folder, network, service, **more)
    server = XmppServer(SERVER, "s3cret", 0, interpreter)
    host = SimHost(machine)
    async with trio.open_nursery() as nursery:
        listener = machine.network.bind(XMPP_PLACE)
        nursery.start_soon(listener.serve, server.handle)
        gateway = await start_daemon(nursery, host, config)
        link = await server.connection()
        yield Stage(machine, config, server, gateway, link, host)
        gateway.stop()
        with trio.fail_after(60):
            await server.newest.ended.wait()
        nursery.cancel_scope.cancel()


async def start_daemon(nursery: trio.Nursery, host: SimHost, config: Config) -> Gateway:
    """Start one incarnation of the daemon in `nursery`."""
    started: list[Gateway] = []
    up = trio.Event()

    async def note(gateway: Gateway) -> None:
        started.append(gateway)
        up.set()
        await trio.sleep_forever()

    async def life(host: SimHost) -> None:
        await daemon(host, config, beside=[("note", note)])

    nursery.start_soon(host.run, life, name="the daemon")
    with trio.fail_after(10):
        await up.wait()
    host.store_suffers = True
    return started[0]
