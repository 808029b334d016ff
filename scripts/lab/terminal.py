"""A program in a terminal of its own: typed to, and read from its screen, as people do.

The terminal is tmux, run in the foreground on a socket of its own, so that it ends with us and
touches no tmux of anybody's.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from scripts.lab.jabber import PATIENCE_SECONDS, NotSeen
from scripts.lab.processes import START_SECONDS, ProcessFailed, Running, running
from scripts.lab.xmpp_server import find_program, look_up

DEBIAN_PACKAGE = "tmux"
COLUMNS, LINES = 140, 50
LOOK_AGAIN_SECONDS = 0.1


class Terminal:
    """One program on its screen. Failures show the screen."""

    def __init__(self, name: str, tmux: Sequence[str]) -> None:
        self.name = name
        self._tmux = tmux
        self._past: list[str] = []

    async def listens(self) -> bool:
        """Say whether the terminal can be used yet."""
        try:
            await self._command("show-options", "-s", "exit-empty")
        except ProcessFailed:
            return False
        return True

    async def run(self, command: Sequence[str]) -> None:
        """Start the program on its screen."""
        size = ("-x", str(COLUMNS), "-y", str(LINES))
        await self._command("new-session", "-d", "-s", self.name, *size, *command)

    async def type(self, text: str) -> None:
        """Type a text, without Enter."""
        self._past.append(text)
        await self._command("send-keys", "-t", self.name, "-l", text)

    async def enter(self, text: str = "") -> None:
        """Type a text, and Enter."""
        if text:
            await self.type(text)
        await self._command("send-keys", "-t", self.name, "Enter")

    async def screen(self) -> str:
        """Return what the screen shows."""
        return await self._command("capture-pane", "-p", "-t", self.name)

    async def see(
        self, wanted: str | Callable[[str], bool], seconds: float = PATIENCE_SECONDS
    ) -> str:
        """Wait until the screen shows `wanted`, and return the screen. Raises `NotSeen`."""
        fits = (lambda screen: wanted in screen) if isinstance(wanted, str) else wanted
        screen = ""
        with trio.move_on_after(seconds):
            while True:
                screen = await self.screen()
                if fits(screen):
                    return screen
                await trio.sleep(LOOK_AGAIN_SECONDS)
        what = repr(wanted) if isinstance(wanted, str) else wanted.__name__
        raise NotSeen(
            f"{self.name}: {what} was not on the screen in {seconds} s\n{screen.rstrip()}\n"
            + "\n".join(("what was typed:", *self._past))
        )

    async def _command(self, *arguments: str) -> str:
        done = await trio.run_process(
            [*self._tmux, *arguments], capture_stdout=True, capture_stderr=True, check=False
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise ProcessFailed(f"{self.name}: tmux {arguments[0]}: {said}")
        return done.stdout.decode("utf-8", "replace")


@asynccontextmanager
async def terminal(
    name: str, command: Sequence[str], home: Path, *, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Terminal, None]:
    """Run `command` on a screen, with `home` as its home; leaving ends it."""
    tmux = [find_program("tmux", DEBIAN_PACKAGE), "-S", str(home / "tmux"), "-f", "/dev/null"]
    settings = {
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color",
        "SHELL": "/bin/sh",
        **(environment or {}),
    }
    async with running("tmux", [*tmux, "-D"], home / "tmux.log", environment=settings) as server:
        screen = Terminal(name, [*tmux, "-N"])  # never one that starts a server by itself
        await _wait_listening(server, screen)
        await screen.run(command)
        yield screen


async def _wait_listening(server: Running, screen: Terminal) -> None:
    with trio.move_on_after(START_SECONDS):
        while not await screen.listens():
            server.check_alive()
            await trio.sleep(LOOK_AGAIN_SECONDS)
        return
    raise ProcessFailed(f"tmux does not answer\n{server.log_tail()}")


def is_installed() -> bool:
    return look_up("tmux") is not None
