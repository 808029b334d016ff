"""The emulated service's OSCAR front with two client libraries: Twisted's, and aimpyfly.

Twisted's client speaks the protocol of 2002, and the roasted login as an ICQ client. aimpyfly does
little: it announces no versions, asks for no list, and reads no presence.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from scripts.lab import aimpyfly, twisted_oscar
from scripts.lab.aimpyfly import aimpyfly_client
from scripts.lab.driven import Driven
from scripts.lab.fetching import FetchFailed
from scripts.lab.legacy_user import LegacyUser, legacy_user
from scripts.lab.processes import Emulator, running_emulator, scratch_folder
from scripts.lab.twisted_oscar import twisted_client
from tests.e2e import transcripts
from tests.e2e.servers import give_up

pytestmark = [pytest.mark.servers, pytest.mark.slow]

EXPLANATION = "http://legacy-emu.invalid/refused"
DENIED = 0x0D
NOT_LOGGED_ON = 0x04


@attrs.frozen
class Side:
    """A user at the client, and a contact at the page, whom the user has on the list."""

    kind: str
    sample: str
    name: str
    contact: str  # as the service writes it
    roasted: bool  # Twisted's login; aimpyfly knows no other

    def __str__(self) -> str:
        return self.kind


AIM = Side("aim", "sample.toml", "juliet", "Romeo", roasted=False)
ICQ = Side("icq", "sample_icq.toml", "15951603", "15951601", roasted=True)
both = pytest.mark.parametrize("side", [AIM, ICQ], ids=str)
aim_only = pytest.mark.parametrize("side", [AIM], ids=str)


@attrs.frozen
class Sitting:
    """A user sits at the client, not signed on yet."""

    side: Side
    client: Driven
    emulator: Emulator

    async def sign_on(self, password: str = "", **fields: object) -> None:
        """Begin to sign on, with the right password unless another one is given."""
        await self.client.sign_on(
            self.emulator.fronts["oscar"],
            self.side.name,
            password or self.emulator.passwords[self.side.name],
            **fields,
        )

    def contact(self) -> AbstractAsyncContextManager[LegacyUser]:
        """The contact is at the page."""
        name = self.side.contact
        return legacy_user(self.emulator.url, name, self.emulator.passwords[name.lower()])


@asynccontextmanager
async def a_sitting(
    request: pytest.FixtureRequest,
    side: Side,
    emulator: Emulator,
    running: AbstractAsyncContextManager[Driven],
) -> AsyncGenerator[Sitting, None]:
    """What is said is printed in the end. No test leaves a traceback in the client's log."""
    async with running as client:
        try:
            yield Sitting(side, client, emulator)
            client.check_log()
        finally:
            transcripts.keep(request.node, client.client, client.transcript)


@pytest.fixture
async def emulator(side: Side) -> AsyncGenerator[Emulator, None]:
    with scratch_folder("emulator") as folder:
        async with running_emulator(folder, side.sample) as emulator:
            yield emulator


# --- Twisted ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def python27() -> str:
    """Skip where there is none, even with REQUIRE_SERVERS: Debian 12 has no Python 2.7."""
    python = trio.run(twisted_oscar.find_python)
    if python is None:
        pytest.skip(f"Twisted's client needs Python 2.7 with pip: set {twisted_oscar.VARIABLE}")
    return python


@pytest.fixture(scope="module")
def twisted_packages(python27: str) -> Path:
    try:
        return trio.run(twisted_oscar.packages, python27)
    except FetchFailed as exc:
        give_up(f"Twisted {twisted_oscar.VERSION} cannot be installed with {python27}: {exc}")


@pytest.fixture
async def at_twisted(
    request: pytest.FixtureRequest,
    side: Side,
    emulator: Emulator,
    python27: str,
    twisted_packages: Path,
) -> AsyncGenerator[Sitting, None]:
    with scratch_folder("twisted") as folder:
        running = twisted_client(python27, twisted_packages, folder)
        async with a_sitting(request, side, emulator, running) as sitting:
            yield sitting


@both
async def test_twisted_is_told_why_it_is_refused(at_twisted: Sitting) -> None:
    client, side = at_twisted.client, at_twisted.side
    await at_twisted.sign_on("wrong-pw", roasted=side.roasted)
    await client.told("refused", text="Invalid Username or Password.", url=EXPLANATION)
    await at_twisted.sign_on(roasted=side.roasted)
    await client.told("signed_on")


@both
async def test_twisted_has_the_list(at_twisted: Sitting) -> None:
    client, side = at_twisted.client, at_twisted.side
    await at_twisted.sign_on(roasted=side.roasted)
    own = await client.told("own_info")
    assert own["name"].lower() == side.name
    told = await client.told("list")
    groups = {name: members for name, members in told["groups"].items() if members}
    nurse, friar = ("Capulet Nurse", "Friar Laurence") if side is AIM else ("15951604", "15951608")
    assert groups == {"Secret": [side.contact], "House": [nurse], "Buddies": [friar]}
    names = {side.contact: "Romeo", nurse: "Nurse", friar: "Friar Laurence"}
    assert told["names"] == ({} if side is AIM else names)
    assert told["denied"] == []
    await client.told("signed_on")


@both
async def test_twisted_shows_and_is_shown(at_twisted: Sitting) -> None:
    client, side = at_twisted.client, at_twisted.side
    await at_twisted.sign_on(roasted=side.roasted)
    await client.told("signed_on")
    async with at_twisted.contact() as contact:
        await client.told("shown", name=side.contact, away=False)
        await contact.expect("presence", address=side.name, show="online")
        await contact.command("set_presence", show="away", text="asleep & dreaming")
        await client.told("shown", name=side.contact, away=True)
        await client.do("ask_away", name=side.contact)
        await client.told("away_text", text="asleep & dreaming")
        await client.do("away", text="be right back")
        await contact.expect("presence", address=side.name, show="away", text="be right back")
        await client.do("away", text="")
        await contact.expect("presence", address=side.name, show="online", text="")
        await contact.command("set_presence", show="online")
        await client.told("shown", name=side.contact, away=False)
    await client.told("gone", name=side.contact)


@both
async def test_twisted_chats(at_twisted: Sitting) -> None:
    client, side = at_twisted.client, at_twisted.side
    await at_twisted.sign_on(roasted=side.roasted)
    await client.told("signed_on")
    async with at_twisted.contact() as contact:
        await client.told("shown", name=side.contact)
        for text in ("Hi <3 & bye", "Zo\u00eb \u2713 \U0001f600"):
            await contact.command("send_message", to=side.name, text=text)
            await client.told("message", sender=side.contact, text=text)
        for text in ("Hi <3 & bye", "Zo\u00eb, line one\nline two"):
            await client.do("send", to=side.contact, text=text)
            await client.told("sent", to=side.contact)
            await contact.expect("message", sender=side.name, text=text)
        await client.do("sign_off")
        await contact.expect("presence", address=side.name, show="offline")


@aim_only
async def test_twisted_is_told_of_undelivered_messages(at_twisted: Sitting) -> None:
    client = at_twisted.client
    await at_twisted.sign_on()
    await client.told("signed_on")
    await client.do("send", to=at_twisted.side.contact, text="Are you there?")
    await client.told("not_sent", code=NOT_LOGGED_ON)


@aim_only
async def test_twisted_creates_no_chat_room(at_twisted: Sitting) -> None:
    client = at_twisted.client
    await at_twisted.sign_on()
    await client.told("signed_on")
    for _ in range(2):  # the second time, chat navigation is connected
        await client.do("create_room", name="Verona")
        await client.told("no_room", code=DENIED)


# --- aimpyfly ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aimpyfly_packages() -> Path:
    try:
        return trio.run(aimpyfly.packages)
    except FetchFailed as exc:
        give_up(f"aimpyfly {aimpyfly.VERSION} cannot be installed: {exc}")


@pytest.fixture
async def at_aimpyfly(
    request: pytest.FixtureRequest, side: Side, emulator: Emulator, aimpyfly_packages: Path
) -> AsyncGenerator[Sitting, None]:
    with scratch_folder("aimpyfly") as folder:
        running = aimpyfly_client(aimpyfly_packages, folder)
        async with a_sitting(request, side, emulator, running) as sitting:
            yield sitting


@both
async def test_aimpyfly_is_told_why_it_is_refused(at_aimpyfly: Sitting) -> None:
    client = at_aimpyfly.client
    await at_aimpyfly.sign_on("wrong-pw")
    await client.told("log", level="error", text="Error Code: 5")
    await client.told("log", level="error", text=f"Error URL: {EXPLANATION}")
    await client.told("refused")


@both
async def test_aimpyfly_chats(at_aimpyfly: Sitting) -> None:
    client, side = at_aimpyfly.client, at_aimpyfly.side
    async with at_aimpyfly.contact() as contact:
        await at_aimpyfly.sign_on()
        await client.told("signed_on")
        await contact.expect("presence", address=side.name, show="online")
        # ASCII: aimpyfly counts characters where bytes are to be counted.
        await client.do("send", to=side.contact, text="Hi, Romeo")
        await contact.expect("message", sender=side.name, text="Hi, Romeo")
        await contact.command("send_message", to=side.name, text="Hi, Juliet")
        if side is AIM:
            await client.told("message", sender=side.contact, text="Hi, Juliet")
        else:  # numbers write plain text to each other, and it reads HTML alone
            await client.told(
                "log", level="warning", text="No HTML content found in the incoming data"
            )
