"""Carries out a fault plan on a world, and ends every fault again.

What a fault does beyond its kind (to whom, how badly, for how long) comes from its own numbers
alone, so that dropping one fault from a plan leaves the others what they were.
"""

from random import Random
from typing import TYPE_CHECKING

import trio

from legacy_emu.events import Refusal
from tests.simulation.host import CrashPoint
from tests.simulation.network import Connection
from tests.simulation.plan import Fault, Kind, Plan, chosen

if TYPE_CHECKING:
    from tests.simulation.world import World

LONGEST_STALL = 90.0
LONGEST_DELAY = 3.0
LONGEST_OUTAGE = 40.0
LONGEST_STORE_TROUBLE = 30.0

_CRASH_POINTS = {
    Kind.CRASH_BEFORE: CrashPoint.BEFORE,
    Kind.CRASH_BETWEEN: CrashPoint.BETWEEN,
    Kind.CRASH_AFTER: CrashPoint.AFTER,
}
_LASTING_REFUSALS = (Refusal.WRONG_CREDENTIALS, Refusal.SUSPENDED, Refusal.FORBIDDEN)
_PASSING_REFUSALS = (Refusal.BUSY, Refusal.TOO_MANY_ATTEMPTS)


class Harm:
    """What goes wrong in one world."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def run(self, plan: Plan) -> None:
        """Let each fault strike at its time, and end after the last."""
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for fault in plan:
                nursery.start_soon(self._strike_at, began + fault.at, fault, name=fault.kind)

    def heal(self) -> None:
        """Bring up what is down; links are healed by the network itself."""
        self._world.start_xmpp()
        self._world.start_legacy()
        self._world.legacy.accept_everybody()
        self._world.machine.store.heal()

    async def _strike_at(self, when: float, fault: Fault) -> None:
        await trio.sleep_until(when)
        self._world.trace.note("fault", str(fault.kind), fault.pick)
        random = Random(f"{fault.pick}/{fault.kind}")
        match str(fault.kind).partition("-"):
            case ["xmpp", _, what] if what != "restart":
                self._harm_link(self._world.xmpp_links(), fault, what, random)
            case ["store", _, what]:
                self._harm_store(what, random)
            case ["legacy", _, what] if what != "down":
                self._harm_link(self._world.legacy_links(), fault, what, random)
            case _:
                await self._harm_server(fault, random)

    def _harm_link(self, links: list[Connection], fault: Fault, what: str, random: Random) -> None:
        link = chosen(fault.pick, links)
        if link is None:
            return
        match what:
            case "cut":
                link.cut()
            case "stall":
                link.stall(random.random() * LONGEST_STALL)
            case "half-open":
                link.half_open()
            case "split":
                link.split()
            case "delay":
                link.delay(random.random() * LONGEST_DELAY)
            case _:
                raise AssertionError(fault)

    def _harm_store(self, what: str, random: Random) -> None:
        store = self._world.machine.store
        match what:
            case "fails":
                store.fail(random.random() * LONGEST_STORE_TROUBLE)
            case "fails-once":
                store.fail_once(random.randint(1, 3))
            case "slow":
                store.slow_down(random.random() * LONGEST_STORE_TROUBLE)
            case "locked":
                store.lock(random.random() * LONGEST_STORE_TROUBLE)
            case _:
                raise AssertionError(what)

    async def _harm_server(self, fault: Fault, random: Random) -> None:
        world = self._world
        match fault.kind:
            case Kind.XMPP_RESTART:
                world.stop_xmpp()
                await trio.sleep(random.random() * LONGEST_OUTAGE)
                world.start_xmpp()
            case Kind.LEGACY_DOWN:
                world.stop_legacy()
                await trio.sleep(random.random() * LONGEST_OUTAGE)
                world.start_legacy()
            case Kind.KICK | Kind.REFUSE | Kind.BUSY:
                user = chosen(fault.pick, world.users)
                assert user is not None
                if fault.kind is Kind.REFUSE:
                    world.legacy.refuse(user.legacy_name, random.choice(_LASTING_REFUSALS), 1)
                if fault.kind is Kind.BUSY:
                    reason, times = random.choice(_PASSING_REFUSALS), random.randint(1, 3)
                    world.legacy.refuse(user.legacy_name, reason, times)
                world.legacy.kick(user.legacy_name)
            case Kind.CRASH:
                world.host.kill()
            case _:
                world.host.crash_soon(_CRASH_POINTS[fault.kind])
