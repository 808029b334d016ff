"""The emulated service's OSCAR front with clients that nobody here wrote.

libpurple is the AIM and ICQ client most people still have, in Pidgin and elsewhere. It keeps to the
rates that the service announces: a fourth message or profile at once would wait for seconds, so
nobody here says that much.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from legacy_emu.control_client import ControlClient, open_control
from scripts.lab import purple
from scripts.lab.legacy_user import LegacyUser, legacy_user
from scripts.lab.processes import Emulator, running_emulator, scratch_folder
from scripts.lab.purple import PATIENCE_SECONDS, Bee, PlugInMissing, bitlbee
from tests.e2e import transcripts
from tests.e2e.servers import give_up, require_bitlbee
from tests.e2e.world import a_world, add, available, body, register, unavailable

pytestmark = [pytest.mark.servers, pytest.mark.slow]

EDITS = 3  # that follow each other
LOGGED_IN = "Logged in"
SAID = "Zo\u00eb <3 & \u2713 \U0001f600"


@attrs.frozen
class Side:
    """Who sits at the client, and who is the contact: on the list, and at the page."""

    protocol: str
    sample: str
    name: str
    contact: str  # as the service writes it
    nick: str  # what BitlBee calls the contact
    called: str  # the name that the list has for the contact
    groups: Mapping[str, set[str]]  # of nicks

    def __str__(self) -> str:
        return self.protocol


AIM = Side(
    protocol="aim",
    sample="sample.toml",
    name="juliet",
    contact="Romeo",
    nick="Romeo",
    called="Romeo",
    groups={"Secret": {"Romeo"}, "House": {"CapuletNurse"}, "Buddies": {"FriarLaurence"}},
)
ICQ = Side(
    protocol="icq",
    sample="sample_icq.toml",
    name="15951603",
    contact="15951601",
    nick="_15951601",
    called="Romeo",
    groups={"Secret": {"_15951601"}, "House": {"_15951604"}, "Buddies": {"_15951608"}},
)
both = pytest.mark.parametrize("side", [AIM, ICQ], ids=str)


@attrs.frozen
class Sitting:
    """Somebody sits at BitlBee, and has no account there yet."""

    side: Side
    bee: Bee
    emulator: Emulator
    control: ControlClient
    numbers: "count[int]" = attrs.field(factory=count)

    async def sign_on(self) -> None:
        side = self.side
        since = await self.since()
        address = self.emulator.fronts["oscar"]
        came = await self.bee.sign_on(side.protocol, side.name, self.password(), address)
        assert came == LOGGED_IN
        await self.arrived("sign_on", since)  # libpurple says so before it is

    async def sign_on_again(self) -> None:
        since = await self.since()
        assert await self.bee.sign_on_again(self.side.protocol) == LOGGED_IN
        await self.arrived("sign_on", since)

    def password(self) -> str:
        return self.emulator.passwords[self.side.name]

    def contact(self) -> AbstractAsyncContextManager[LegacyUser]:
        """The contact is at the page."""
        return self.at_page(self.side.contact)

    def at_page(self, name: str) -> AbstractAsyncContextManager[LegacyUser]:
        return legacy_user(self.emulator.url, name, self.emulator.passwords[name.lower()])

    async def since(self) -> int:
        last: int = await self.control.call("last_arrived")
        return last

    async def arrived(
        self, kind: str, since: int = 0, fits: Callable[[dict[str, Any]], bool] = bool
    ) -> dict[str, Any]:
        """Wait until the client has told the service so, and return the first that fits."""
        with trio.move_on_after(PATIENCE_SECONDS):
            while True:
                found = await self.control.wait_arrived(since, self.side.name, kind)
                for entry in found:
                    if fits(entry["fields"]):
                        fields: dict[str, Any] = entry["fields"]
                        return fields
                since = found[-1]["number"]
        raise self.bee.not_heard(f"the service was not told of {kind!r}")

    async def settle(self) -> None:
        """Wait until the client's edits are acknowledged, and what it does of that, too.

        It deletes, adds, and changes groups, each once the one before is acknowledged. libpurple
        does not send what is undone before it was acknowledged, or dies. The contact must be there.
        What was heard so far, and nobody asked for, is forgotten.
        """
        bee, side = self.bee, self.side
        async with bee.aside():
            for _ in range(EDITS + 1):
                # The client has read all that the service wrote before.
                said = f"settled {next(self.numbers)}"
                await self.control.call(
                    "send_message", sender=side.contact, to=side.name, text=said
                )
                await bee.hear(said)
                # And the service what the client wrote.
                since = await self.since()
                await bee.say(f"PRIVMSG {side.nick} :\x01TYPING 2\x01")
                await self.arrived("typing", since, lambda fields: fields["state"] == "paused")
        bee.forget()


@pytest.fixture
async def sitting(
    side: Side, plug_ins: Path, request: pytest.FixtureRequest
) -> AsyncGenerator[Sitting, None]:
    with scratch_folder("emulator") as folder:
        async with (
            running_emulator(folder, side.sample) as emulator,
            open_control(emulator.control) as control,
            a_bee(request, plug_ins) as bee,
        ):
            yield Sitting(side, bee, emulator, control)


@pytest.fixture(scope="module")
def plug_ins() -> Path:
    """The folder with libpurple's plug-in."""
    require_bitlbee()
    try:
        return trio.run(purple.plug_ins)
    except PlugInMissing as exc:
        give_up(str(exc))


@asynccontextmanager
async def a_bee(request: pytest.FixtureRequest, plug_ins: Path) -> AsyncGenerator[Bee, None]:
    """Somebody at BitlBee; what is said is printed in the end."""
    with scratch_folder("bitlbee") as home:
        async with bitlbee(home, plug_ins) as bee:
            try:
                yield bee
            finally:
                transcripts.keep(request.node, bee.client, bee.transcript)


@pytest.fixture
async def at_home(sitting: Sitting) -> Sitting:
    """He has signed on, of which another test tells."""
    async with sitting.bee.aside():
        await sitting.sign_on()
    return sitting


@both
async def test_libpurple_signs_on_and_has_the_list(sitting: Sitting) -> None:
    bee, side = sitting.bee, sitting.side
    refused = await bee.sign_on(
        side.protocol, side.name, "wrong-pw", sitting.emulator.fronts["oscar"]
    )
    assert refused == "Incorrect password"
    bee.forget()
    async with bee.aside():
        password = sitting.password()
        await bee.command(f"account {side.protocol} set password {password}", secret=password)
        await bee.hear("Setting changed successfully")
    await sitting.sign_on_again()
    async with bee.aside():
        for group in side.groups:
            await bee.say(f"JOIN &{group}")
            await bee.command(f"channel &{group} set show_users online+,away,offline")
            await bee.hear("show_users = ")
    bee.forget()
    await bee.say(*(f"NAMES &{group}" for group in side.groups))
    for group, nicks in side.groups.items():
        line = await bee.hear(f" 353 somebody = &{group} :")
        assert set(line.rpartition(":")[2].split()) == {*nicks, "@root", "@somebody"}
    await bee.say(f"WHOIS {side.nick}")
    await bee.hear(f" 311 somebody {side.nick} {side.contact} {side.protocol} * :{side.called}")


@both
async def test_libpurple_shows_and_is_shown(at_home: Sitting) -> None:
    bee, side = at_home.bee, at_home.side
    async with at_home.contact() as contact:
        await bee.hear(f":{side.nick}!", "JOIN :&bitlbee")
        await bee.hear(f"&bitlbee +v {side.nick}")
        await contact.expect("presence", address=side.name, show="online")
        await contact.command("set_presence", show="away", text="asleep & dreaming \u2713")
        await bee.hear(f"&bitlbee -v {side.nick}")
        await bee.command(f"info {side.nick}")
        await bee.hear("Status: Away: asleep & dreaming \u2713")
        await contact.command("set_presence", show="online")
        await bee.hear(f"&bitlbee +v {side.nick}")
        await bee.say("AWAY :be right back, Zo\u00eb")
        await contact.expect(
            "presence", address=side.name, show="away", text="be right back, Zo\u00eb"
        )
        await bee.say("AWAY")
        await contact.expect("presence", address=side.name, show="online", text="")
    await bee.hear(f":{side.nick}!", "QUIT")


@both
async def test_libpurple_chats(sitting: Sitting) -> None:
    bee, side, control = sitting.bee, sitting.side, sitting.control
    await control.call(
        "send_message", sender=side.contact, to=side.name, text=f"while you slept: {SAID}"
    )
    async with bee.aside():
        await sitting.sign_on()
    await bee.hear(f":{side.nick}!", f"PRIVMSG somebody :while you slept: {SAID}")
    await sitting.arrived("ack")
    assert await control.call("kept", address=side.name) == []
    async with sitting.contact() as contact:
        await bee.hear(f"&bitlbee +v {side.nick}")
        await bee.say(f"PRIVMSG {side.nick} :{SAID} <hi> &amp;c.")
        await contact.expect("message", sender=side.name, text=f"{SAID} <hi> &amp;c.")
        await contact.command("send_message", to=side.name, text=f"{SAID} <hi> &amp;c.\nline two")
        await bee.hear(f":{side.nick}!", f"PRIVMSG somebody :{SAID} <hi> &amp;c.")
        await bee.hear(f":{side.nick}!", "PRIVMSG somebody :line two")
        await contact.command("set_typing", to=side.name, state="composing")
        await bee.hear(f":{side.nick}!", "\x01TYPING 1\x01")
        await bee.say(f"PRIVMSG {side.nick} :\x01TYPING 1\x01")
        await contact.expect("typing", sender=side.name, state="composing")
    await bee.hear(f":{side.nick}!", "QUIT")
    await bee.say(f"PRIVMSG {side.nick} :{SAID}, when you wake up")
    async with sitting.contact() as contact:
        await contact.expect("message", sender=side.name, text=f"{SAID}, when you wake up")


@pytest.mark.parametrize("side", [AIM], ids=str)
async def test_libpurple_edits_its_list(at_home: Sitting) -> None:
    bee, side, control = at_home.bee, at_home.side, at_home.control
    async with (
        at_home.contact(),
        at_home.at_page("Capulet Nurse") as nurse,
    ):
        await nurse.expect("presence", address=side.name, show="online")
        await bee.hear(f":{side.nick}!", "JOIN")
        await at_home.settle()
        await bee.command("add aim Mercutio")
        added = await at_home.arrived("add")
        assert (added["contact"], added["groups"]) == ("mercutio", ["Buddies"])
        await at_home.settle()
        await control.call("sign_on", address="mercutio")
        await bee.hear(":Mercutio!", "JOIN")
        await bee.command("remove Mercutio")
        assert (await at_home.arrived("remove"))["contact"] == "mercutio"
        await at_home.settle()
        await bee.command("block CapuletNurse")
        await nurse.expect("presence", address=side.name, show="offline")
        await at_home.settle()
        await bee.command("allow CapuletNurse")
        await nurse.expect("presence", address=side.name, show="online")
        await at_home.settle()
        # Somebody adds a contact for her on another client.
        await control.call("befriend", first=side.name, second="echo", mutual=False)
        await bee.hear(":Echo!", "JOIN")
        await at_home.settle()


@pytest.mark.parametrize("side", [ICQ], ids=str)
async def test_libpurple_asks_and_is_asked(at_home: Sitting) -> None:
    bee, side, stranger = at_home.bee, at_home.side, "15951606"
    async with at_home.contact(), at_home.at_page(stranger) as benvolio:
        await bee.hear(f":{side.nick}!", "JOIN")
        await bee.command(f"add icq {stranger}")
        asked = await benvolio.expect("contact_request", address=side.name)
        assert asked["reason"]
        await at_home.settle()
        await benvolio.command("deny", address=side.name, reason="not <now>")
        await bee.hear(f"The user {stranger} (Benvolio) has denied your request")
        await bee.hear("not <now>")
        await at_home.settle()
        await bee.command(f"remove _{stranger}")
        await bee.hear("removed from contact list")
        await at_home.settle()
        await bee.command(f"add icq {stranger}")
        await benvolio.expect("contact_request", address=side.name)
        await at_home.settle()
        await benvolio.command("grant", address=side.name)
        await bee.hear(f":_{stranger}!", "JOIN")
        await benvolio.command("add_contact", address=side.name, reason="let me see you, Zo\u00eb")
        await bee.hear(f"({stranger}) wants to add you", "let me see you, Zo\u00eb")
        await bee.command("yes")
        await benvolio.expect("request_answered", address=side.name, granted=True)
        await at_home.settle()


@both
async def test_libpurple_hears_why_it_was_signed_off(at_home: Sitting) -> None:
    bee, side = at_home.bee, at_home.side
    async with at_home.at_page(side.name):
        await bee.hear("Error: You have signed on from another location")
        await at_home.sign_on_again()
    await at_home.control.call("cut", address=side.name)
    await bee.hear("Error: Server closed the connection")


async def test_libpurple_chats_through_the_gateway(
    plug_ins: Path, request: pytest.FixtureRequest
) -> None:
    gateway = "aim.localhost"
    juliets = f"juliet@{gateway}"
    async with (
        a_world(gateway, network="aim") as world,
        world.gateway().running(),
        a_bee(request, plug_ins) as bee,
        world.client(await world.account("romeo")) as romeo,
    ):
        emulator = world.service.emulator
        await romeo.presence()
        await register(romeo, emulator.passwords["romeo"], gateway=gateway)
        await add(romeo, juliets)
        sitting = Sitting(AIM, bee, emulator, world.service.control)
        async with bee.aside():
            await sitting.sign_on()
        await romeo.expect(available(juliets))
        await bee.hear(":Romeo!", "JOIN")

        await romeo.message(juliets, f"{SAID} <hi> &amp;c.\nline two")
        await bee.hear(":Romeo!", f"PRIVMSG somebody :{SAID} <hi> &amp;c.")
        await bee.hear(":Romeo!", "PRIVMSG somebody :line two")
        await romeo.message(juliets, chat_state="composing")
        await bee.hear(":Romeo!", "\x01TYPING 1\x01")
        await bee.say("PRIVMSG Romeo :\x01TYPING 1\x01", f"PRIVMSG Romeo :{SAID} <hi> &amp;c.")
        await romeo.expect(lambda came: came.chat_state == "composing")
        await romeo.expect(body(juliets, f"{SAID} <hi> &amp;c."))

        await romeo.presence("away", "asleep & dreaming \u2713")
        await bee.hear("&bitlbee -v Romeo")
        await bee.command("info Romeo")
        await bee.hear("Status: Away: asleep & dreaming \u2713")
        await bee.say("AWAY :be right back, Zo\u00eb")
        away = await romeo.expect(available(juliets, "away"))
        assert away.status in ("", "be right back, Zo\u00eb")  # it may be fetched a little later
        if not away.status:
            away = await romeo.expect(available(juliets, "away"))
        assert away.status == "be right back, Zo\u00eb"
        await bee.command("account aim off")
        await romeo.expect(unavailable(juliets))
