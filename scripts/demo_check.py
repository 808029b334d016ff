"""Go through the demo's page as a visitor would, with a headless Chromium: `scripts/demo --check`.

Each step waits until the page shows what it should, and is printed with the time it took. It fails
when a step does, when a browser's console shows an error, or when anything is asked for that is not
on this machine.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    FrameLocator,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from scripts.demo_casts import Cast, load_cast
from scripts.demo_web import TYBALT_SAYS

PATIENCE_SECONDS = 30.0  # for whatever the page has to show
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 780}
HERE = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

REQUEST = "converse-roster .requesting-xmpp-contact"
ROMEO_SAYS = "If I profane with my unworthiest hand this holy shrine ..."
JULIET_SAYS = "Good pilgrim, you do wrong your hand too much."


class Wrong(Exception):
    """The page did not do what it should."""


class Watch:
    """What may not happen on any page of the demo."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def over(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.wrong.append(f"script: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(HERE):
            self.wrong.append(f"asked for {request.url}")


@contextmanager
def step(what: str) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    except (AssertionError, Error, Wrong) as exc:
        print(f"{what} ... no\n{exc}", flush=True)
        raise Wrong(what) from exc
    print(f"{what} ... ok ({time.monotonic() - start:.1f} s)", flush=True)


class Visit:
    """One visitor's look at the page."""

    def __init__(
        self, browser: Browser, url: str, cast: Cast, watch: Watch, shots: Path | None
    ) -> None:
        self._cast = cast
        self._browser = browser
        self._url = url
        self._watch = watch
        self._shots = shots

    def context(self, *, dark: bool = False, phone: bool = False) -> BrowserContext:
        context = self._browser.new_context(
            viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(PATIENCE_SECONDS * 1_000)
        self._watch.over(context)
        return context

    def open(self, context: BrowserContext) -> Page:
        page = context.new_page()
        page.goto(self._url)
        return page

    def shoot(self, page: Page, name: str) -> None:
        if self._shots is not None:
            page.screenshot(path=self._shots / f"{name}.png")

    # --- both panes, from the first look to the recovery ---

    def conversation(self) -> None:
        with self.context() as context:
            page = self.open(context)
            romeo = page.frame_locator("#romeo iframe")
            juliet = page.frame_locator("#juliet iframe")
            her, echo = self._cast.name("juliet"), self._cast.name("echo")
            with step("romeo is signed in, and sees his contacts"):
                expect(contact(romeo, her)).to_be_visible()
            with step("juliet is signed on, with romeo's chat open"):
                expect(juliet.locator(".chat.current")).to_contain_text("Romeo")
            with step("romeo sees juliet go away, and come back"):
                act(page, "away")
                expect(contact(romeo, her, "away")).to_be_visible()
                expect(juliet.locator("#own-status select")).to_have_value("away")
                act(page, "back")
                expect(contact(romeo, her, "online")).to_be_visible()
            with step("juliet sees romeo writing, then what he wrote"):
                box = romeo.locator("textarea.chat-textarea")
                box.press_sequentially(ROMEO_SAYS[:20], delay=30)
                expect(juliet.locator(".chat.current p.typing")).to_contain_text("typing")
                box.fill(ROMEO_SAYS)
                box.press("Enter")
                expect(juliet.locator(".chat.current .line").last).to_contain_text(ROMEO_SAYS)
            with step("romeo sees juliet writing, then what she wrote"):
                box = juliet.locator(".chat.current textarea")
                box.press_sequentially(JULIET_SAYS[:20], delay=30)
                expect(romeo.get_by_text("typing").first).to_be_visible()
                box.fill(JULIET_SAYS)
                box.press("Enter")
                expect(romeo.locator(".chat-msg__text").last).to_contain_text(JULIET_SAYS)
            self.shoot(page, "desktop-light")
            if "ask" in self._cast.acts:
                with step("romeo accepts a request from the legacy service"):
                    act(page, "ask")
                    expect(romeo.locator(REQUEST)).to_contain_text(self._cast.name("tybalt"))
                    self.shoot(page, "request")
                    accept(romeo)
                    expect(contact(romeo, self._cast.name("tybalt"))).to_be_visible()
            if "stranger" in self._cast.acts:
                with step("a stranger writes to romeo"):
                    act(page, "stranger")
                    contact(romeo, self._cast.address("tybalt")).click()
                    expect(romeo.locator(".chat-msg__text").last).to_contain_text(TYBALT_SAYS)
                    self.shoot(page, "stranger")
            with step("juliet is thrown out, and comes back by herself"):
                act(page, "kick")
                expect(contact(romeo, her, "offline")).to_be_visible()
                expect(contact(romeo, her, "online")).to_be_visible()
            with step("romeo's legacy connection is cut, and comes back by itself"):
                act(page, "cut")
                expect(contact(romeo, echo, "offline")).to_be_visible()
                expect(contact(romeo, echo, "online")).to_be_visible()

    # --- a newcomer, who has only his client's commands ---

    def registration(self, right_password: str) -> None:
        with self.context() as context:
            page = context.new_page()
            with step("mercutio, a newcomer, finds the gateway's commands in his client"):
                page.goto(f"{self._url}converse.html?user=mercutio")
                page.wait_for_function("() => window.demo?.connection.connected()")
                page.locator(".controlbox-heading__btn").first.click()
                page.locator("#commands-tab").click()
                tab = page.locator("#commands-tabpanel")
                tab.locator("input[name=jid]").fill(self._cast.gateway)
                tab.locator("input[type=submit]").click()
                tab.locator("[data-command-node='jabber:iq:register']").click()
            with step("he registers, at the second try"):
                tries = (("wrong", "refused"), (right_password, "You are registered"))
                for password, said in tries:
                    tab.locator("input[name=username]").fill(self._cast.account("mercutio"))
                    tab.locator("input[name=password]").fill(password)
                    tab.locator("[data-action=complete]").click()
                    expect(tab).to_contain_text(said)
                self.shoot(page, "registered")
                page.locator(".modal.show [data-bs-dismiss=modal]").first.click()
            with step("he accepts the gateway, and his contacts come"):
                accept(page)
                expect(contact(page, "Romeo")).to_be_visible()
            self.shoot(page, "newcomer")

    # --- how it looks ---

    def looks(self) -> None:
        for name, dark, phone in (
            ("desktop-dark", True, False),
            ("phone-light", False, True),
            ("phone-dark", True, True),
        ):
            with self.context(dark=dark, phone=phone) as context, step(f"how it looks: {name}"):
                page = self.open(context)
                box = page.frame_locator("#romeo iframe").locator("textarea.chat-textarea")
                expect(box).to_be_visible()
                self.shoot(page, name)
                if phone:
                    page.get_by_role("button", name="Juliet", exact=True).click()
                    juliet = page.frame_locator("#juliet iframe")
                    expect(juliet.locator(".chat.current")).to_be_visible()
                    self.shoot(page, f"{name}-juliet")
                wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                if wide > 0:
                    raise Wrong(f"the page is {wide} pixels wider than its window")


def act(page: Page, name: str) -> None:
    button = page.locator(f"[data-act={name}]")
    button.click()
    expect(button).to_have_attribute("aria-disabled", "false")


def contact(client: Page | FrameLocator, name: str, status: str = "") -> Locator:
    """Find somebody in the contact list of Converse.js, with this presence if one is given."""
    shown = f"[data-status='{status}']" if status else ""
    return client.locator(f"converse-roster .list-item{shown}", has_text=name).first


def accept(client: Page | FrameLocator) -> None:
    """Accept the first request in the contact list of Converse.js, and add the contact."""
    request = client.locator(REQUEST).first
    request.locator("button.dropdown-toggle").click()
    request.locator(".accept-xmpp-request").click()
    client.locator(".modal.show .btn-primary").click()
    expect(client.locator(".modal.show")).to_have_count(0)


def find_browser() -> str | None:
    """Return the path of a Chromium; None: Playwright has one of its own."""
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def main(
    url: Annotated[str, typer.Argument(help="Where the demo's page is.")],
    network: Annotated[str, typer.Option(help="What the gateway speaks.")],
    password: Annotated[str, typer.Option(help="Mercutio's, on the legacy service.")],
    screenshots: Annotated[Path | None, typer.Option(help="Keep pictures in this folder.")] = None,
) -> None:
    """Go through the demo's page; exit code 0 only if all of it was seen."""
    if screenshots is not None:
        screenshots.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_SECONDS * 1_000)
    watch = Watch()
    try:
        with sync_playwright() as playwright:
            with step("a browser starts"):
                browser = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
            visit = Visit(browser, url, load_cast(network), watch, screenshots)
            visit.conversation()
            visit.registration(password)
            visit.looks()
            browser.close()
            with step("no error in a console, and nothing asked for from elsewhere"):
                if watch.wrong:
                    raise Wrong("\n".join(watch.wrong))
    except Wrong:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
