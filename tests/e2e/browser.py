"""People with a browser: Chromium, headless, on the emulator's page.

Playwright's synchronous interface has an event loop of its own in the test's thread; the emulator
runs on Trio in another. A page that complains on its console, or asks anybody but this machine,
fails its test.
"""

import shutil
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from legacy_emu import config, server
from legacy_emu.config import Config
from legacy_emu.host import RealWorld
from legacy_emu.server import Running
from legacy_emu.strict import arguments
from tests.e2e.servers import skip_or_fail

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
DEBIAN_PACKAGE = "chromium-headless-shell"
PATIENCE_MS = 20_000
AXE = files("axe_playwright_python").joinpath("axe.min.js")

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}

expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def chromium() -> Generator[Browser, None, None]:
    """Run Chromium: the system's, or the one that `playwright install` has fetched."""
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, PROGRAMS)), None)
        try:
            browser = playwright.chromium.launch(executable_path=found)
        except Error:
            if found is not None:
                raise
            skip_or_fail(DEBIAN_PACKAGE)
        yield browser
        browser.close()


# --- the service


@attrs.frozen
class Emulator:
    """An emulator in a thread of its own."""

    running: Running
    token: trio.lowlevel.TrioToken

    @property
    def page(self) -> str:
        return self.running.urls["web"]

    def act(self, action: str, **given: object) -> Any:
        """Carry out an action of the control channel."""
        method = getattr(self.running.control, action)
        call = partial(method, **arguments(method, given))

        async def carry_out() -> Any:
            result = call()
            return await result if isinstance(result, Awaitable) else result

        return trio.from_thread.run(carry_out, trio_token=self.token)


def sample() -> Config:
    """Return the sample's configuration, on free ports."""
    found = config.read(Path(config.__file__).with_name("sample.toml"))
    free = "127.0.0.1:0"
    web = attrs.evolve(found.web, listen=free)
    return attrs.evolve(found, fronts={"websocket": free}, control=free, web=web)


@contextmanager
def emulator(settings: Config | None = None) -> Generator[Emulator, None, None]:
    """Run an emulator; leaving ends it."""
    started: Queue[tuple[Emulator, trio.CancelScope] | BaseException] = Queue()

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            running = await nursery.start(server.run, settings or sample(), RealWorld())
            token = trio.lowlevel.current_trio_token()
            started.put((Emulator(running, token), nursery.cancel_scope))

    def live() -> None:
        try:
            trio.run(run)
        except BaseException as exc:
            started.put(exc)
            raise

    thread = threading.Thread(target=live, name="emulator")
    thread.start()
    outcome = started.get(timeout=60)
    if isinstance(outcome, BaseException):
        raise outcome
    emulated, scope = outcome
    try:
        yield emulated
    finally:
        emulated.token.run_sync_soon(scope.cancel)
        thread.join(timeout=60)
    assert not thread.is_alive()


# --- the people


class Visitor:
    """Somebody with the page open."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.problems: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._request)
        self._url = url

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1":
            self.problems.append(f"asked for {request.url}")

    def visit(self, rest: str = "") -> None:
        self.page.goto(self._url + rest)

    # --- entrance

    def fill_in(self, account: str, password: str) -> None:
        self.page.get_by_label("Screen name").first.fill(account)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign on", exact=True).click()

    def sign_on(self, account: str, password: str = "") -> None:
        self.visit()
        self.fill_in(account, password or f"{account.split()[-1].lower()}-pw")
        expect(self.link).to_have_text("Connected")
        expect(self.page.get_by_role("tree")).to_be_visible()

    @property
    def word(self) -> Locator:
        """What the entrance says."""
        return self.page.locator("#sign-on-word")

    @property
    def link(self) -> Locator:
        """What the bar says of the connection."""
        return self.page.locator("#link-text")

    # --- desk

    def buddy(self, name: str) -> Locator:
        return self.page.get_by_role("treeitem", name=name).and_(self.page.locator(".buddy"))

    def chat(self, name: str) -> "Chat":
        return Chat(self.page.get_by_role("region", name=f"Chat with {name}"))

    def open(self, name: str) -> "Chat":
        self.buddy(name).click()
        return self.chat(name)

    @property
    def cards(self) -> Locator:
        return self.page.get_by_role("region", name="Requests and news")

    @property
    def focused(self) -> Locator:
        return self.page.locator(":focus")

    def choose(self, item: str) -> None:
        """Choose from the menu that is open."""
        self.page.get_by_role("menuitem", name=item).click()

    # --- looking at it

    def violations(self) -> list[str]:
        """Return what axe finds serious or critical in the page as it is."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def sideways(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@attrs.frozen
class Chat:
    """One chat window."""

    window: Locator

    @property
    def input(self) -> Locator:
        return self.window.get_by_role("textbox")

    @property
    def log(self) -> Locator:
        return self.window.get_by_role("log")

    @property
    def typing(self) -> Locator:
        return self.window.locator(".typing")

    def line(self, text: str) -> Locator:
        return self.log.locator(".line").filter(has_text=text)

    def say(self, text: str) -> Locator:
        self.input.fill(text)
        self.input.press("Enter")
        return self.line(text)


Visit = Callable[..., Visitor]


@contextmanager
def visitors(browser: Browser, emulated: Emulator) -> Generator[Visit, None, None]:
    """Yield what makes a visitor; in the end, none of them had anything to complain of."""
    contexts: list[BrowserContext] = []
    made: list[Visitor] = []

    def visit(**options: Any) -> Visitor:
        context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        contexts.append(context)
        made.append(Visitor(context, emulated.page))
        return made[-1]

    try:
        yield visit
        assert [problem for visitor in made for problem in visitor.problems] == []
    finally:
        for context in contexts:
            context.close()
