"""Serve the legacy user's page: the files of `web/`, and what they have to know of this service.

The page itself is one more client of the WebSocket front; nothing of the service goes through here.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import urlsplit

import attrs

from legacy_emu.config import Config
from legacy_emu.host import Listening
from legacy_emu.webserver import Answer, Request, serve_http

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
SETTINGS = "settings.json"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - to be told from addresses that can be connected to

# A demo on the same machine may show the page in a frame.
MAY_FRAME = "'self' http://127.0.0.1:* http://localhost:*"

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


@attrs.frozen
class _File:
    content: bytes = attrs.field(repr=False)
    media_type: str
    tag: str


class Page:
    """The page on one listener. `origins` are its own, for the fronts to know."""

    def __init__(
        self, config: Config, listening: Listening, websocket: str, now: Callable[[], datetime]
    ) -> None:
        self._listening = listening
        self._now = now
        self._websocket = config.web.websocket or websocket
        self._told = _accounts(config) if config.web.show_accounts else {}
        self._files = _read_files()
        self._hosts = _hosts(config, listening.host)
        names = LOOPBACK if listening.host in (*LOOPBACK, *ANYWHERE) else (listening.host,)
        self.origins = tuple(f"http://{_bracketed(name)}:{listening.port}" for name in names)
        self.url = f"http://{_bracketed(listening.host)}:{listening.port}/"

    async def serve(self) -> None:
        """Serve until cancelled."""
        await self._listening.serve(partial(serve_http, answer_to=self.answer))

    def answer(self, request: Request) -> Answer:
        """Return what answers one request."""
        try:
            if request.path == f"/{SETTINGS}":
                answer = self._settings(request)
            else:
                answer = self._file(request)
        except _Refused as refused:
            headers = {**_security(""), "cache-control": "no-store"}
            headers["content-type"] = "text/plain; charset=utf-8"
            answer = Answer(refused.status, headers, str(refused).encode())
        date = format_datetime(self._now(), usegmt=True)
        return attrs.evolve(answer, headers={"date": date, **answer.headers})

    def _settings(self, request: Request) -> Answer:
        told = {"websocket": self._websocket_for(request), "accounts": [], "bots": [], **self._told}
        headers = self._headers(request, "no-store") | {"content-type": "application/json"}
        return Answer(HTTPStatus.OK, headers, json.dumps(told).encode())

    def _file(self, request: Request) -> Answer:
        found = self._files.get(request.path.removeprefix("/") or INDEX)
        if found is None or not request.path.startswith("/"):
            raise _Refused(404, "Not Found")
        # A page of one version must not meet a script of another: everything is asked for again.
        headers = self._headers(request, "no-cache") | {"etag": found.tag}
        if found.tag in request.headers.get("if-none-match", ""):
            return Answer(HTTPStatus.NOT_MODIFIED, headers)
        return Answer(HTTPStatus.OK, headers | {"content-type": found.media_type}, found.content)

    def _headers(self, request: Request, caching: str) -> dict[str, str]:
        return {"cache-control": caching, **_security(_source(self._websocket_for(request)))}

    def _websocket_for(self, request: Request) -> str:
        """Return where the page finds the front: a front that listens anywhere is beside it."""
        name = self._host_of(request)
        url = urlsplit(self._websocket)
        if url.hostname not in ANYWHERE:
            return self._websocket
        return f"{url.scheme}://{name}:{url.port}{url.path}"

    def _host_of(self, request: Request) -> str:
        """Return the name this page was asked for under. Raises `_Refused`.

        A foreign name that leads to a loopback address is a foreign page's way in.
        """
        match = _HOST.fullmatch(request.headers.get("host", ""))
        if match is None or (self._hosts and match["name"].strip("[]").lower() not in self._hosts):
            raise _Refused(421, "this is not the host you asked for")
        return match["name"]


class _Refused(Exception):
    """There is another answer than what was asked for."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _accounts(config: Config) -> Mapping[str, object]:
    bots = {bot.account.casefold() for bot in config.bot}
    people = [each for each in config.account if each.address.casefold() not in bots]
    return {
        "accounts": [
            {
                "address": each.address,
                "name": each.name or each.address,
                "password": each.password,
            }
            for each in people
        ],
        "bots": [{"address": bot.account, "kind": bot.kind.value} for bot in config.bot],
    }


def _read_files() -> dict[str, _File]:
    """Read all there is to serve, once: no path a client names ever reaches the file system."""
    found: dict[str, _File] = {}
    for each in files("legacy_emu").joinpath("web").iterdir():
        media_type = TYPES.get(f".{each.name.rpartition('.')[2]}")
        if media_type is not None:
            content = each.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[each.name] = _File(content, media_type, tag)
    return found


def _hosts(config: Config, listening: str) -> frozenset[str]:
    """Return the names the page may be asked for under; empty: any."""
    if listening not in LOOPBACK:
        return frozenset()
    foreign = (urlsplit(origin).hostname or "" for origin in config.origins)
    return frozenset({*LOOPBACK, *foreign})


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _source(websocket: str) -> str:
    """Return what stands for this address in a content security policy."""
    url = urlsplit(websocket)
    # A policy cannot name an IPv6 address.
    return f"{url.scheme}:" if ":" in (url.hostname or "") else f"{url.scheme}://{url.netloc}"


def _security(websocket: str) -> dict[str, str]:
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": f"'self' {websocket}".strip(),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": MAY_FRAME,
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{key} {value}" for key, value in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
