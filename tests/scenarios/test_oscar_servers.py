"""A user chooses their AIM server when they register, and another one later."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from random import Random

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.host import Address
from gateway.networks.oscar import Aim
from gateway.networks.oscar.settings import AimServer, AimSettings
from legacy_emu.control import Control
from legacy_emu.fronts import oscar
from legacy_emu.service import Service
from tests.fakes.stage import LOOPBACK, ORCHARD, ROMEO, G, Stage, stage
from tests.scenarios.words import (
    NOT_ACCEPTABLE,
    REGISTER,
    form,
    iq,
    login,
    presence,
    refused,
    register,
    result,
)
from tests.simulation.host import Machine, virtual_now
from tests.simulation.network import SimNetwork
from tests.simulation.trace import Trace

SETTINGS = AimSettings(
    name="Usual",
    host="usual",
    tls="off",
    server=(AimServer(name="Other", host="other", tls="off", preset="open-oscar-server"),),
)
INSTRUCTIONS = "Your screen name and password on the AIM service."
QUESTION = (
    f"<query xmlns='{REGISTER}'><instructions>{INSTRUCTIONS}</instructions>"
    "<username/><password/><x xmlns='jabber:x:data' type='form'>"
    f"<title>AOL Instant Messenger</title><instructions>{INSTRUCTIONS}</instructions>"
    f"<field var='FORM_TYPE' type='hidden'><value>{REGISTER}</value></field>"
    "<field var='username' type='text-single' label='Screen name'><required/></field>"
    "<field var='password' type='text-private' label='Password'><required/></field>"
    "<field var='x-server' type='list-single' label='Server'><value>Usual</value>"
    "<option><value>Usual</value></option><option><value>Other</value></option></field>"
    "</x></query>"
)


@attrs.frozen
class Place:
    random: Random = attrs.field(factory=lambda: Random("servers"))  # noqa: S311 - not for secrets

    def now(self) -> datetime:
        return virtual_now()


def serving(service: Service) -> Callable[[trio.abc.Stream], Awaitable[None]]:
    async def serve(stream: trio.abc.Stream) -> None:
        await oscar.serve(stream, service)

    return serve


@asynccontextmanager
async def two_servers(folder: Path) -> AsyncGenerator[tuple[Stage, Control, Control], None]:
    """The daemon, and two services; Romeo is known at both, by other passwords."""
    machine = Machine(1, SimNetwork(1, Trace(), LOOPBACK))
    services = {name: Service(Place()) for name in ("usual", "other")}
    usual, other = (Control(service) for service in services.values())
    usual.create_account("Romeo", "montague")
    other.create_account("Romeo", "banished")
    async with trio.open_nursery() as nursery:
        for name, service in services.items():
            service.addresses["oscar"] = f"{name}:5190"
            place = machine.network.bind(Address(name, 5190))
            nursery.start_soon(place.serve, serving(service))
        async with stage(folder, Aim, SETTINGS, machine) as play:
            yield play, usual, other
        nursery.cancel_scope.cancel()


def sign_ons(control: Control) -> int:
    return len(control.arrived(account="romeo", kind="sign_on"))


@pytest.mark.conformance("REG7-02", "GW-EDIT-04", "AMB-03")
async def test_a_user_chooses_a_server_and_then_another(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with two_servers(tmp_path) as (play, usual, other):
        await play.send(iq("get", f"<query xmlns='{REGISTER}'/>"))
        await play.expect(result(QUESTION))
        there = ("username", "romeo"), ("password", "banished"), ("x-server", "Other")
        await play.send(register(form(*there)))
        await play.expect(result(id_="r1"))
        await play.expect(presence(G, ROMEO, "subscribe"))
        await play.send(presence(ROMEO, G, "subscribed"), presence(ORCHARD, G))
        await play.expect(presence(G, ROMEO))
        assert (sign_ons(usual), sign_ons(other)) == (0, 1)
        # The password of one server is not tried on the other.
        await play.send(register(form(("username", "romeo"), ("x-server", "Usual"))))
        await play.expect(refused(NOT_ACCEPTABLE, id_="r1"))
        await play.send(register(form(*there[:2], ("x-server", "Usual"))))
        await play.expect(refused(NOT_ACCEPTABLE, id_="r1"))
        assert (sign_ons(usual), sign_ons(other)) == (0, 1)
        await play.send(register(login("romeo", "banished")))  # says nothing of servers
        await play.expect(result(id_="r1"))
        assert (sign_ons(usual), sign_ons(other)) == (0, 1)
        await play.send(register(form(there[0], ("password", "montague"), ("x-server", "Usual"))))
        await play.expect(result(id_="r1"))
        await play.expect(presence(G, ROMEO))
        await play.nothing_more()
        assert (sign_ons(usual), sign_ons(other)) == (1, 1)
