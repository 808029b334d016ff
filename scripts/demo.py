"""Show the gateway at work: `scripts/demo`, which prepares what this needs.

A private Prosody, the emulated legacy service and the gateway are started, each a process of its
own; romeo registers with the gateway. Then a page shows the two who talk: romeo with Converse.js,
juliet with the legacy service's own page. With `--no-browser` they are played in the terminal, and
all stays up for any XMPP client to join. With `--check` it ends by itself: exit code 0 only if each
side saw all it should see. `--network` says what the gateway speaks to the legacy service;
`demo_casts/` has what differs.
"""

import functools
import math
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement

import attrs
import trio
import trio_websocket
import typer
from rich.console import Console

from gateway.config import sample_config
from legacy_emu.control_client import ControlClient, open_control
from scripts.demo_casts import Cast, load_cast
from scripts.demo_web import DemoPage, Places
from scripts.lab.jabber import Jabber, NotSeen, jabber_client
from scripts.lab.legacy_user import LegacyUser, legacy_user
from scripts.lab.processes import (
    REPOSITORY,
    Emulator,
    ProcessFailed,
    balcony,
    python_module,
    running,
    running_emulator,
    running_gateway,
    scratch_folder,
    tail,
)
from scripts.lab.prosody import Prosody, private_prosody
from scripts.lab.xmpp_server import Component, User

CHECK_SECONDS = 240
TAIL_LINES = 15
READING_SECONDS = 1.0  # between lines, for whoever watches

CONTACT_RESOURCE = 'contact_resource = "legacy"\n'

ROMEO_IS, JULIET_IS = "in the orchard", "on the balcony"
ROMEO_SAYS = "If I profane with my unworthiest hand this holy shrine ..."
JULIET_SAYS = "Good pilgrim, you do wrong your hand too much."


@attrs.frozen
class Check:
    """What a browser is to do with the page."""

    screenshots: Path | None


class Telling:
    """What is said on the terminal. It remembers the step that is under way."""

    def __init__(self, *, hurry: bool) -> None:
        self._console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
        self._hurry = hurry
        self.step_now = ""
        self.played = False  # every step worked
        self._failed = False

    @property
    def worked(self) -> bool:
        return self.played and not self._failed

    def line(self, text: str = "") -> None:
        self._console.print(text)

    def heading(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold")

    @contextmanager
    def step(self, what: str) -> Generator[None, None, None]:
        """Say what is being done, and then that it is."""
        self.step_now = what
        self._console.print(f"  {what} ... ", end="")
        try:
            yield
        except BaseException:
            self._console.print("no", style="red")
            raise
        self._console.print("ok", style="green")

    async def seen(self, who: str, what: str) -> None:
        """Show a line of the conversation, as `who` sees it."""
        style = "cyan" if who == "romeo" else "magenta"
        self._console.print(f"  {who + ' sees':<12} ", style=style, end="")
        self.line(what)
        if not self._hurry:
            await trio.sleep(READING_SECONDS)

    def failure(self, group: BaseExceptionGroup[Exception], folder: Path) -> None:
        """Say which step failed, why, and what the programs said last."""
        self._failed = True
        self.heading(f"This did not work: {self.step_now}")
        for error in _leaves(group):
            self.line(str(error) or type(error).__name__)
        for log in sorted(folder.rglob("*.log")):
            self.heading(f"The end of {log.name}")
            self.line(tail(log, TAIL_LINES))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


@attrs.frozen
class World:
    """The servers that run, and who is to play."""

    folder: Path
    cast: Cast
    prosody: Prosody
    emulator: Emulator
    control: ControlClient

    def password(self, who: str) -> str:
        """Return somebody's password on the legacy service."""
        return self.emulator.passwords[self.cast.account(who).lower()]


@asynccontextmanager
async def the_world(
    tell: Telling, folder: Path, cast: Cast, *, for_browsers: bool = False
) -> AsyncGenerator[World, None]:
    """Start all servers, in order; leaving ends them in the opposite order."""
    component = Component(cast.gateway)
    async with AsyncExitStack() as stack:
        with tell.step("start a private XMPP server (Prosody)"):
            home = folder / "prosody"
            home.mkdir()
            prosody = await stack.enter_async_context(
                private_prosody(
                    component, folder=home, privileged=for_browsers, for_browsers=for_browsers
                )
            )
        with tell.step("start the emulated legacy service"):
            emulator = await stack.enter_async_context(running_emulator(folder, cast.sample))
            control = await stack.enter_async_context(open_control(emulator.control))
        with tell.step(f"start the gateway between them, for {cast.network}"):
            config = folder / "balcony.toml"
            await balcony("init", folder)
            text = sample_config(
                jid=cast.gateway,
                domain=prosody.domain,
                server=prosody.address_of(component),
                secret=component.secret,
                network=cast.network,
                service=cast.service(emulator.fronts[cast.front]),
            )
            if for_browsers:  # Converse.js takes no notice of a goodbye from a bare JID
                text = text.replace(
                    "[component.service]", f"{CONTACT_RESOURCE}\n[component.service]", 1
                )
            config.write_text(text, "utf-8")
            config.chmod(0o600)
            await stack.enter_async_context(running_gateway(config))
        yield World(folder, cast, prosody, emulator, control)


@attrs.frozen
class Stage:
    """The two who talk in the terminal, and where."""

    world: World
    romeo_account: User
    romeo: Jabber
    juliet: LegacyUser


@asynccontextmanager
async def the_stage(tell: Telling, folder: Path, cast: Cast) -> AsyncGenerator[Stage, None]:
    """Have romeo and juliet signed on, each with a client of their own."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(the_world(tell, folder, cast))
        with tell.step("juliet signs on to the legacy service"):
            juliet = await stack.enter_async_context(
                legacy_user(world.emulator.url, cast.account("juliet"), world.password("juliet"))
            )
        with tell.step("romeo logs in to the XMPP server"):
            romeo_account = await world.prosody.register("romeo")
            romeo = await stack.enter_async_context(logged_in(world, romeo_account))
        yield Stage(world, romeo_account, romeo, juliet)


@asynccontextmanager
async def logged_in(world: World, account: User) -> AsyncGenerator[Jabber, None]:
    async with jabber_client("romeo") as romeo:
        await romeo.login(account.jid, account.password, world.prosody.client_port, "demo")
        await romeo.ask_roster()
        await romeo.presence()
        yield romeo


# --- the play


async def register(tell: Telling, world: World, romeo: Jabber) -> None:
    """Romeo registers with the gateway, which then signs him on."""
    gateway = world.cast.gateway
    with tell.step("romeo asks the gateway what it wants to know"):
        form = await romeo.iq(gateway, '<query xmlns="jabber:iq:register"/>')
        if form.find("register:query/register:username") is None:
            raise NotSeen(f"the gateway offers no registration: {form.xml}")
    with tell.step("romeo registers with his legacy account"):
        filled_in = registration(world.cast.account("romeo"), world.password("romeo"))
        answer = await romeo.iq(gateway, filled_in, "set")
        if answer.type != "result":
            raise NotSeen(f"the gateway refused: {answer.xml}")
    with tell.step("romeo lets the gateway see him, and sees the gateway"):
        await romeo.expect(f"presence[@type='subscribe'][@from='{gateway}']")
        await romeo.presence(type_="subscribed", to=gateway)
        await romeo.presence(type_="subscribe", to=gateway)
        await romeo.expect(f"presence[@type='subscribed'][@from='{gateway}']")
        await romeo.expect(lambda it: it.kind == "presence" and it.from_ == gateway and not it.type)


async def look_at_the_wire(tell: Telling, world: World) -> None:
    """See that the gateway's session is on the cast's front of the service, and nowhere else."""
    cast = world.cast
    with tell.step(f"the service hears {cast.protocol} from the gateway, and nothing else"):
        rows = await world.control.call("connections")
        his = [row for row in rows if row["account"] == cast.address("romeo")]
        if not his or any(row["front"] != cast.front or not row["frames"] for row in his):
            raise NotSeen(f"expected romeo on the front {cast.front}, found {his}")
    frames = sum(row["frames"] for row in his)
    where = world.emulator.fronts[cast.front]
    tell.line(
        f"    network {cast.network}, protocol {cast.protocol}: romeo is signed on as"
        f" {cast.account('romeo')} at {where}, which had {frames} frames from him"
    )


async def add_juliet(tell: Telling, world: World, romeo: Jabber) -> None:
    juliet = world.cast.jid("juliet")
    with tell.step("romeo adds juliet to his contacts"):
        await romeo.presence(type_="subscribe", to=juliet)
        await romeo.expect(f"presence[@type='subscribed'][@from='{juliet}']")
        await romeo.presence(type_="subscribed", to=juliet)


def registration(name: str, password: str) -> Element:
    """The filled-in form of jabber:iq:register."""
    query = Element("query", xmlns="jabber:iq:register")
    SubElement(query, "username").text = name
    SubElement(query, "password").text = password
    return query


async def converse(tell: Telling, stage: Stage) -> None:
    """Show presence, typing and a message, each both ways. Raises `NotSeen`."""
    romeo, juliet, cast = stage.romeo, stage.juliet, stage.world.cast
    his, hers = cast.address("romeo"), cast.jid("juliet")

    # Where texts are fetched, she is away before it is known why.
    tell.step_now = "romeo sees juliet's presence"
    await juliet.command("set_presence", show="away", text=JULIET_IS)
    came = await romeo.expect(
        lambda it: (
            it.kind == "presence" and (it.from_, it.show, it.status) == (hers, "away", JULIET_IS)
        )
    )
    await tell.seen("romeo", f"juliet is {came.show}: {came.status}")

    tell.step_now = "juliet sees romeo's presence"
    await romeo.presence(cast.romeo_is, ROMEO_IS)
    seen = await juliet.expect("presence", address=his, show=cast.romeo_is, text=ROMEO_IS)
    await tell.seen("juliet", f"romeo is {seen['show']}: {seen['text']}")

    tell.step_now = "juliet sees romeo typing"
    await romeo.message(hers, chat_state="composing")
    await juliet.expect("typing", sender=his, state="composing")
    await tell.seen("juliet", "romeo is typing")

    tell.step_now = "juliet sees romeo's message"
    await romeo.message(hers, ROMEO_SAYS, chat_state="active")
    said = await juliet.expect("message", sender=his, text=ROMEO_SAYS)
    await tell.seen("juliet", f"romeo says: {said['text']}")

    # A client that has shown no chat states of its own is sent none (XEP-0085): now romeo's has.
    tell.step_now = "romeo sees juliet typing"
    await juliet.command("set_typing", to=his, state="composing")
    await romeo.expect(f"message[@from='{hers}']/states:composing")
    await tell.seen("romeo", "juliet is typing")

    tell.step_now = "romeo sees juliet's message"
    await juliet.command("send_message", to=his, text=JULIET_SAYS)
    came = await romeo.expect(
        lambda it: it.kind == "message" and it.from_ == hers and it.body == JULIET_SAYS
    )
    await tell.seen("romeo", f"juliet says: {came.body}")


# --- and then


async def stay(tell: Telling, stage: Stage) -> None:
    """Keep everything up for whoever wants to join; juliet answers what is said to her."""
    world, romeo = stage.world, stage.romeo_account
    prosody, emulator, cast = world.prosody, world.emulator, world.cast
    tell.heading("All of it stays up. Join with any XMPP client that can do without TLS:")
    tell.line(f"  account      {romeo.jid}")
    tell.line(f"  password     {romeo.password}")
    tell.line(f"  server       {prosody.host}, port {prosody.client_port}, no encryption")
    tell.line(f"  the gateway  {cast.gateway}  (romeo is registered)")
    tell.line(f"  a contact    {cast.jid('juliet')}  (she answers)")
    tell.line("On the legacy service:")
    tell.line(f"  page         {emulator.page}")
    for name, address in emulator.fronts.items():
        tell.line(f"  {name:<12} {address}")
    for name, password in emulator.passwords.items():
        tell.line(f"  account      {name}, password {password}")
    tell.line(f"Logs and configuration: {stage.world.folder}")
    tell.heading("Ctrl-C ends it and removes everything.")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_answer, stage.juliet, name="demo/juliet answers")
        nursery.start_soon(_watch_romeo, tell, stage.romeo, name="demo/romeo listens")


async def _answer(juliet: LegacyUser) -> None:
    while True:
        frame = await juliet.receive()
        if frame["type"] == "contact_request":
            await juliet.send("grant", ref=f"grant-{frame['id']}", address=frame["address"])
        elif frame["type"] == "message" and not frame.get("outgoing"):
            number, whom = frame["id"], frame["sender"]
            await juliet.send("set_typing", ref=f"typing-{number}", to=whom, state="composing")
            await trio.sleep(READING_SECONDS)
            text = f"You said: {frame['text']}"
            await juliet.send("send_message", ref=f"answer-{number}", to=whom, text=text)


async def _watch_romeo(tell: Telling, romeo: Jabber) -> None:
    while True:
        came = await romeo.expect("message/body", seconds=math.inf)
        await tell.seen("romeo", f"{came.from_} says: {came.body}")
        romeo.forget()


async def perform(tell: Telling, folder: Path, cast: Cast, *, stays: bool) -> None:
    """Play it all in the terminal. Raises one of `FAILURES` when a step does not work."""
    tell.heading("Setting the stage")
    async with the_stage(tell, folder, cast) as stage:
        tell.heading("Romeo, on Jabber, registers with the gateway")
        await register(tell, stage.world, stage.romeo)
        await add_juliet(tell, stage.world, stage.romeo)
        tell.heading("They talk: romeo on Jabber, juliet on the legacy service")
        await converse(tell, stage)
        await look_at_the_wire(tell, stage.world)
        tell.played = True
        if stays:
            await stay(tell, stage)


# --- in a browser


async def show(
    tell: Telling, folder: Path, cast: Cast, converse_js: Path, *, check: Check | None
) -> None:
    """Serve the page with the two panes. Raises one of `FAILURES`."""
    tell.heading("Setting the stage")
    async with the_world(tell, folder, cast, for_browsers=True) as world:
        tell.heading("Romeo, on Jabber, registers with the gateway")
        romeo = await world.prosody.register("romeo")
        hers = cast.jid("juliet")
        async with logged_in(world, romeo) as client:
            await register(tell, world, client)
            with tell.step("his legacy contacts come into his contact list"):
                await client.expect(
                    f"iq/roster:query/roster:item[@jid='{hers}'][@subscription='both']"
                )
            await look_at_the_wire(tell, world)
        mercutio = await world.prosody.register("mercutio")
        signs_on = {
            "account": cast.account("juliet"),
            "password": world.password("juliet"),
            "with": cast.account("romeo"),
        }
        places = Places(
            accounts={
                "romeo": (romeo.jid, romeo.password),
                "mercutio": (mercutio.jid, mercutio.password),
            },
            contact=hers,
            gateway=cast.gateway,
            websocket=world.prosody.websocket,
            juliet=f"{world.emulator.page}#{urlencode(signs_on)}",
            network=f"network {cast.network}, by {cast.protocol}",
        )
        async with trio.open_nursery() as nursery:
            page = DemoPage(places, converse_js, world.control, cast)
            with tell.step("serve the page"):
                url = await nursery.start(page.serve)
            if check is not None:
                tell.heading("A browser looks at it")
                await check_page(tell, world, url, check)
                await look_at_the_wire(tell, world)
                tell.played = True
            else:
                tell.played = True
                tell.heading(f"Open {url}")
                tell.line("Romeo is on the left, with Converse.js; juliet on the right.")
                tell.line(f"Logs and configuration: {folder}")
                tell.heading("Ctrl-C ends it and removes everything.")
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()


async def check_page(tell: Telling, world: World, url: str, check: Check) -> None:
    """Have a headless browser go through all of it, a process of its own; its steps are shown."""
    command = python_module("scripts.demo_check", url, "--network", world.cast.network)
    command += ["--password", world.password("mercutio")]
    if check.screenshots is not None:
        command += ["--screenshots", check.screenshots]
    tell.step_now = "the page in a browser"
    log = world.folder / "browser.log"
    async with running("browser", command, log, environment={"PYTHONPATH": str(REPOSITORY)}) as it:
        code = await it.process.wait()
    for line in log.read_text("utf-8", "replace").splitlines():
        tell.line(f"  {line}")
    if code:
        raise ProcessFailed(f"the browser's check ended with {code}")


FAILURES = (
    ProcessFailed,
    NotSeen,
    trio.TooSlowError,
    trio_websocket.ConnectionClosed,
    trio_websocket.HandshakeError,
    OSError,
)


async def demo(run: Callable[[Telling, Path], Awaitable[None]], *, check: bool) -> int:
    """Run it all and return the exit code. SIGINT, SIGTERM and SIGHUP end it in order."""
    tell = Telling(hurry=check)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_signal, signals, nursery.cancel_scope)
            with scratch_folder("balcony-demo") as folder:
                try:
                    with trio.fail_after(CHECK_SECONDS if check else math.inf):
                        await run(tell, folder)
                except* FAILURES as group:
                    tell.failure(group, folder)
            nursery.cancel_scope.cancel()
    tell.heading("Everything worked." if tell.worked else "Ended.")
    return 0 if tell.worked else 1


async def _cancel_on_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


def _cast(network: str) -> Cast:
    try:
        return load_cast(network)
    except LookupError as exc:
        raise typer.BadParameter(str(exc)) from exc


def main(
    network: Annotated[
        Cast, typer.Option(parser=_cast, metavar="NAME", help="What the gateway speaks there.")
    ] = "emu",  # type: ignore[assignment] # it is parsed, too
    check: Annotated[
        bool, typer.Option("--check", help="End by itself; exit code 0 only if all of it worked.")
    ] = False,
    browser: Annotated[
        bool, typer.Option(help="Serve a page with two panes, or play it in the terminal.")
    ] = True,
    screenshots: Annotated[
        Path | None, typer.Option(help="With --check: keep what the browser saw in this folder.")
    ] = None,
    converse: Annotated[
        Path | None, typer.Option(help="The published files of Converse.js.", hidden=True)
    ] = None,
) -> None:
    """Show the gateway at work between a Jabber user and a legacy user."""
    if browser and converse is None:
        raise typer.BadParameter("the page needs Converse.js: run scripts/demo, which fetches it")

    async def run(tell: Telling, folder: Path) -> None:
        if converse is not None and browser:
            kept = screenshots.absolute() if screenshots is not None else None
            await show(tell, folder, network, converse, check=Check(kept) if check else None)
        else:
            await perform(tell, folder, network, stays=not check)

    sys.exit(trio.run(functools.partial(demo, run, check=check)))


if __name__ == "__main__":
    typer.run(main)
