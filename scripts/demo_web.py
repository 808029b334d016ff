"""Serve the demo's page: two panes, and buttons that make things happen on the legacy service.

It listens on a free loopback port, and serves files of `demo_page/` and Converse.js's own; the
panes speak to the XMPP server and the legacy service by themselves.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import attrs
import trio
from hypercorn import Config
from hypercorn.trio import serve as serve_http
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from legacy_emu.control_client import ControlClient
from scripts.demo_casts import Cast

PAGE = Path(__file__).with_name("demo_page")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}

TYBALT_SAYS = "Romeo, the love I bear thee can afford no better term than this: thou art a villain."

Act = Callable[[ControlClient, Cast], Awaitable[str]]


@attrs.frozen
class Places:
    """Where the panes find what they need."""

    accounts: Mapping[str, tuple[str, str]] = attrs.field(repr=False)  # JIDs and passwords
    contact: str
    gateway: str
    websocket: str  # of the XMPP server
    juliet: str = attrs.field(repr=False)  # the legacy user's page, with what signs her on
    network: str  # for people: what the gateway speaks there


async def away(control: ControlClient, cast: Cast) -> str:
    juliet = cast.address("juliet")
    await control.call("set_presence", address=juliet, show="away", text="on the balcony")
    return "Juliet is away: romeo sees it, with her words."


async def back(control: ControlClient, cast: Cast) -> str:
    await control.call("set_presence", address=cast.address("juliet"), show="online")
    return "Juliet is back."


async def ask(control: ControlClient, cast: Cast) -> str:
    tybalt, romeo = cast.address("tybalt"), cast.address("romeo")
    reason = "A gentleman who loves to hear himself talk."
    await control.call("add_contact", address=tybalt, contact=romeo, reason=reason)
    return "Tybalt asks to be romeo's contact: romeo's client asks him what to do."


async def stranger(control: ControlClient, cast: Cast) -> str:
    tybalt, romeo = cast.address("tybalt"), cast.address("romeo")
    await control.call("sign_on", address=tybalt)
    await control.call("send_message", sender=tybalt, to=romeo, text=TYBALT_SAYS)
    return "Tybalt writes, who is not on romeo's list: he comes up in romeo's client all the same."


async def kick(control: ControlClient, cast: Cast) -> str:
    await control.call("kick", address=cast.address("juliet"), retry_after=4)
    return "Juliet was thrown out: romeo sees her go. Her page signs on again by itself."


async def cut(control: ControlClient, cast: Cast) -> str:
    await control.call("cut", address=cast.address("romeo"))
    return "The gateway lost romeo's connection to the legacy service, and signs him on again."


ACTS: Mapping[str, tuple[str, Act]] = {
    "away": ("Juliet goes away", away),
    "back": ("She comes back", back),
    "ask": ("Tybalt asks to be a contact", ask),
    "stranger": ("Tybalt, a stranger, writes", stranger),
    "kick": ("Throw Juliet out", kick),
    "cut": ("Cut romeo's legacy connection", cut),
}


class DemoPage:
    """The page's server. `serve` runs it; its address is given to `task_status`."""

    def __init__(self, places: Places, converse: Path, control: ControlClient, cast: Cast) -> None:
        self._places = places
        self._cast = cast
        self._converse = converse
        self._control = control
        self._origin = ""

    async def serve(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        config = Config()
        config.bind = ["127.0.0.1:0"]
        config.accesslog = None
        config.errorlog = logging.getLogger("hypercorn")
        config.include_server_header = False
        async with trio.open_nursery() as nursery:
            [self._origin] = await nursery.start(serve_http, self._app(), config)
            task_status.started(f"{self._origin}/")

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/stage.json", self._stage),
                Route("/act/{name}", self._act, methods=["POST"]),
                Mount("/dist", StaticFiles(directory=self._converse)),
                Route("/{name:path}", self._file),
            ]
        )

    async def _stage(self, request: Request) -> Response:
        self._check_host(request)
        who = request.query_params.get("user", "romeo")
        if who not in self._places.accounts:
            raise HTTPException(404)
        jid, password = self._places.accounts[who]
        told = {
            "jid": jid,
            "password": password,
            "contact": self._places.contact if who == "romeo" else "",
            "gateway": self._places.gateway,
            "websocket": self._places.websocket,
            "juliet": self._places.juliet,
            "network": self._places.network,
            "acts": [{"name": name, "title": ACTS[name][0]} for name in self._cast.acts],
        }
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    async def _act(self, request: Request) -> Response:
        self._check_host(request)
        if request.headers.get("origin") != self._origin:
            raise HTTPException(403, "only the demo's own page may do this")
        name = request.path_params["name"]
        if name not in self._cast.acts:
            raise HTTPException(404)
        _, act = ACTS[name]
        return JSONResponse({"said": await act(self._control, self._cast)})

    async def _file(self, request: Request) -> Response:
        self._check_host(request)
        name = request.path_params["name"] or "index.html"
        files = {path.name: path for path in PAGE.iterdir() if path.suffix in TYPES}
        if name not in files:
            raise HTTPException(404)
        headers = {
            "Content-Type": TYPES[files[name].suffix],
            "Content-Security-Policy": self._policy(name),
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return Response(await trio.Path(files[name]).read_bytes(), headers=headers)

    def _policy(self, name: str) -> str:
        if name == "converse.html":  # it makes styles and blobs of its own
            return (
                f"default-src 'self'; connect-src 'self' {self._places.websocket}; "
                "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
                "script-src 'self' 'wasm-unsafe-eval'; frame-ancestors 'self'"
            )
        juliet = self._places.juliet.partition("#")[0]
        return (
            f"default-src 'self'; img-src 'self' data:; frame-src 'self' {juliet}; "
            "frame-ancestors 'none'"
        )

    def _check_host(self, request: Request) -> None:
        """Refuse who came by another name: a foreign page's way to a loopback address."""
        if f"http://{request.headers.get('host')}" != self._origin:
            raise HTTPException(421, "this is not the host you asked for")
