"""Somebody with Profanity: a client that nobody wrote for tests, with habits of its own.

It cannot register with a gateway; another client of the same user has done that before.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest

from scripts.lab.legacy_user import LegacyUser
from scripts.lab.processes import scratch_folder
from scripts.lab.profanity import profanity
from scripts.lab.terminal import Terminal
from scripts.lab.xmpp_server import User
from tests.e2e.servers import EJABBERD, PROSODY, PROSODY_PRIVILEGED, Kind, require_profanity
from tests.e2e.world import GATEWAY, JULIET, World, a_world, add, register, with_setting

pytestmark = [pytest.mark.servers, pytest.mark.slow]

TYBALT = f"tybalt@{GATEWAY}"
NOBODY = f"nobody@{GATEWAY}"


@attrs.frozen
class Sitting:
    """Romeo sits at Profanity, not yet online; juliet is there."""

    world: World
    user: User
    screen: Terminal
    juliet: LegacyUser


@asynccontextmanager
async def a_sitting(kind: Kind, **settings: str) -> AsyncGenerator[Sitting, None]:
    require_profanity()
    async with a_world(kind=kind) as world:
        for key, value in settings.items():
            await with_setting(world, key, value)
        async with world.gateway().running(), world.service.user("juliet") as juliet:
            user = await world.account("romeo")
            async with world.client(user, "before") as before:
                await before.presence()
                await register(before, world.service.emulator.passwords["romeo"])
                if not kind.sets_rosters:
                    await add(before, JULIET)
            with scratch_folder("profanity") as home:
                async with profanity(user, world.server, home) as screen:
                    yield Sitting(world, user, screen, juliet)


@pytest.mark.parametrize("kind", [PROSODY, PROSODY_PRIVILEGED, EJABBERD], ids=str)
async def test_somebody_with_profanity(kind: Kind) -> None:
    async with a_sitting(kind) as sitting:
        screen, juliet, world = sitting.screen, sitting.juliet, sitting.world
        await screen.enter(f"/connect {sitting.user.jid}")
        await screen.see("logged in successfully")
        await screen.see(f"++ {'Juliet Capulet' if kind.sets_rosters else JULIET} is online")
        await screen.enter("/roster")
        if kind.sets_rosters:
            await screen.see(f"capuletnurse@{GATEWAY} (Nurse) - both - Capulets")
        else:
            await screen.see(f"{JULIET} - to")
        await juliet.expect("presence", address="romeo", show="online")
        await juliet.command("set_presence", show="away", text="on the balcony")
        await screen.see('is away, "on the balcony"')
        await screen.enter('/status set away "in the orchard"')
        await juliet.expect("presence", address="romeo", show="away", text="in the orchard")

        await screen.enter(f"/msg {JULIET}")
        await screen.type("Wherefore <art> & ")
        await juliet.expect("typing", sender="romeo", state="composing")
        await screen.enter("thou? ☀")
        await juliet.expect("message", sender="romeo", text="Wherefore <art> & thou? ☀")
        await juliet.command("send_message", to="romeo", text="Ay me! <❤> & more")
        await screen.see(": Ay me! <❤> & more")
        await screen.enter(f"/msg {NOBODY} Anybody?")
        await screen.see(f"Error from {NOBODY}: there is nobody called 'nobody' here")

        await screen.enter("/win 1")
        async with world.service.user("tybalt") as tybalt:
            await screen.enter(f"/sub request {TYBALT}")
            await tybalt.expect("contact_request", address="romeo")
            await tybalt.command("grant", address="romeo")
            await screen.see(f"++ {TYBALT} is online")
            await tybalt.command("add_contact", address="romeo")
            await screen.see(f"Received authorization request from {TYBALT}")
            await screen.enter(f"/sub allow {TYBALT}")
            await tybalt.expect("request_answered", address="romeo", granted=True)
            await screen.enter("/roster")
            await screen.see(f"{TYBALT} - both")
            await screen.enter(f"/roster remove {TYBALT}")
            await screen.see(f"Roster item removed: {TYBALT}")
            await world.service.control.wait_arrived(account="romeo", kind="remove")
        await screen.enter("/disconnect")
        await screen.see("logged out successfully")
        await juliet.expect("presence", address="romeo", show="offline")


async def test_profanity_shows_typing_of_contacts_that_have_a_resource() -> None:
    async with a_sitting(PROSODY, contact_resource="legacy") as sitting:
        screen, juliet = sitting.screen, sitting.juliet
        await screen.enter(f"/connect {sitting.user.jid}")
        await screen.see(f"++ {JULIET} (legacy) is online")
        await screen.enter(f"/msg {JULIET} Wherefore art thou?")
        await juliet.expect("message", text="Wherefore art thou?")
        await juliet.command("set_typing", to="romeo", state="composing")
        await screen.see("(typing...)")
        await juliet.command("send_message", to="romeo", text="Ay me!")
        await screen.see(lambda shown: "Ay me!" in shown and "(typing...)" not in shown)
