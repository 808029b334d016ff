"""A world with its gateway that stands while many tests use it, one after the other.

Starting a world takes seconds. Each test plays its scene with people of its own, new to all sides,
so what others did before is nothing to it. What ends the gateway or the server takes a world of its
own instead. The world is held up by a thread, because each test has an event loop of its own.
"""

import math
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

import attrs
import trio

from legacy_emu.control_client import open_control
from scripts.lab.jabber import Jabber
from scripts.lab.legacy_user import LegacyUser
from scripts.lab.processes import Running
from scripts.lab.xmpp_server import User
from tests.e2e.servers import Kind
from tests.e2e.world import (
    GATEWAY,
    PROBLEMS,
    TEST_SECONDS,
    Service,
    World,
    a_message,
    a_world,
    add,
    available,
    register,
)

UP_SECONDS = 120
DEBUG = '[log]\nlevel = "debug"'


@attrs.frozen
class Scene:
    """What one test has: the world, and people who are new to it. `who` is a role: `romeo`."""

    kind: Kind
    world: World
    gateway: Running
    _number: int
    _log_before: int

    def name(self, who: str) -> str:
        """The legacy address, and the name of the Jabber account."""
        return f"{who}{self._number}"

    def jid(self, who: str) -> str:
        """The address of a legacy user, as Jabber users see it."""
        return f"{self.name(who)}@{GATEWAY}"

    def password(self, who: str) -> str:
        """The password of a legacy account."""
        return f"{self.name(who)}-pw"

    async def create(self, *people: str) -> None:
        """Make legacy accounts; each is asked before somebody is let see it."""
        for who in people:
            await self.call("create_account", who, password=self.password(who))

    async def befriend(self, who: str, whom: str) -> None:
        await self.world.service.call("befriend", first=self.name(who), second=self.name(whom))

    async def call(self, action: str, who: str, **arguments: object) -> Any:
        """Carry out an action of the service that concerns one account."""
        return await self.world.service.call(action, address=self.name(who), **arguments)

    @asynccontextmanager
    async def legacy(self, who: str) -> AsyncGenerator[LegacyUser, None]:
        """Sign a legacy user on."""
        async with self.world.service.user(self.name(who), self.password(who)) as user:
            yield user

    async def account(self, who: str) -> User:
        return await self.world.account(self.name(who))

    async def register(self, jabber: Jabber, who: str) -> None:
        """Register a legacy account with the gateway, and have both in each other's rosters."""
        await register(jabber, self.password(who), name=self.name(who))

    async def count(self, who: str, kind: str) -> int:
        """Return how often this account did something of this kind at the service."""
        return await self.world.service.count(self.name(who), kind)

    async def state(self, who: str) -> str:
        """Return what `balcony users` shows of this user: his state, or nothing."""
        jid = f"{self.name(who)}@{self.world.server.domain}"
        return (await self.world.states()).get(jid, "")

    def log(self) -> str:
        """Return what the gateway has logged since the scene began."""
        return self.gateway.output()[self._log_before :]


@attrs.frozen
class Duet:
    """Romeo, at his Jabber client, and juliet, on the legacy service, see each other."""

    scene: Scene
    user: User
    romeo: Jabber
    juliet: LegacyUser

    @property
    def juliets(self) -> str:
        """Juliet's address, as romeo sees it."""
        return self.scene.jid("juliet")


class Standing:
    """A world that is up. One test at a time plays in it."""

    def __init__(self, kind: Kind, world: World, gateway: Running) -> None:
        self._kind = kind
        self._world = world
        self._gateway = gateway
        self._numbers = count(1)

    @asynccontextmanager
    async def scene(self) -> AsyncGenerator[Scene, None]:
        """The world for one test, bounded in time. The gateway's log must show no bug."""
        emulator = self._world.service.emulator
        with trio.fail_after(TEST_SECONDS):
            async with open_control(emulator.control) as control:
                world = attrs.evolve(self._world, services=[Service(emulator, control)])
                before = len(self._gateway.output())
                scene = Scene(self._kind, world, self._gateway, next(self._numbers), before)
                yield scene
        self._gateway.check_alive()
        assert not any(problem in scene.log() for problem in PROBLEMS), scene.log()

    @asynccontextmanager
    async def duet(self) -> AsyncGenerator[Duet, None]:
        """A scene with the two in it; what came so far is forgotten."""
        async with self.scene() as scene:
            await scene.create("romeo", "juliet", "mercutio")
            await scene.befriend("romeo", "juliet")
            await scene.befriend("romeo", "mercutio")
            user = await scene.account("romeo")
            async with (
                scene.legacy("juliet") as juliet,
                scene.legacy("mercutio"),
                scene.world.client(user) as romeo,
            ):
                await settle_in(scene, romeo)
                yield Duet(scene, user, romeo, juliet)


async def settle_in(scene: Scene, romeo: Jabber) -> None:
    """Have romeo registered, signed on and friends with juliet; forget what came of that."""
    both = (scene.jid("juliet"), scene.jid("mercutio"))
    await romeo.presence()
    await scene.register(romeo, "romeo")
    if not scene.kind.sets_rosters:
        await add(romeo, scene.jid("juliet"))
    for jid in both:  # the list is here, and is being shown
        await romeo.expect(available(jid))
    if scene.kind.sets_rosters:
        for jid in both:
            await romeo.expect(in_roster(jid, "both"))
        for jid in both:  # again: before, nobody looked at them
            await romeo.expect(available(jid))
    await romeo.nothing_more(a_message)
    romeo.forget()


def in_roster(jid: str, subscription: str) -> str:
    """Fits what the server says when this contact's place in the user's roster changes."""
    return f"iq[@type='set']/roster:query/roster:item[@jid='{jid}'][@subscription='{subscription}']"


@contextmanager
def standing_world(kind: Kind) -> Generator[Standing, None, None]:
    """Hold a world up, its gateway at log level debug; leaving ends it. Raises what breaks it."""
    told: Future[tuple[Standing, trio.lowlevel.TrioToken, trio.Event]] = Future()

    async def hold() -> None:
        async with (
            a_world(kind=kind, settings=DEBUG, seconds=math.inf) as world,
            world.gateway().running() as gateway,
        ):
            leave = trio.Event()
            standing = Standing(kind, world, gateway)
            told.set_result((standing, trio.lowlevel.current_trio_token(), leave))
            await leave.wait()

    def run() -> None:
        try:
            trio.run(hold)
        except BaseException as exc:
            if told.done():
                raise
            told.set_exception(exc)

    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(run)
        standing, token, leave = told.result(UP_SECONDS)
        try:
            yield standing
        finally:
            token.run_sync_soon(leave.set)
            ended.result()
