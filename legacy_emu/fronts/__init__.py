"""The table of fronts: a wire protocol each, loaded only when somebody listens for it."""

from collections.abc import Awaitable, Callable
from importlib import import_module

import trio

from legacy_emu.service import Service

Serve = Callable[[trio.abc.Stream, Service], Awaitable[None]]

# name -> (module, how an address is written for its clients, the usual port)
FRONTS = {
    "oscar": ("legacy_emu.fronts.oscar", "{host}:{port}", 4190),
    "websocket": ("legacy_emu.fronts.websocket", "ws://{host}:{port}/", 4000),
}


class UnknownFront(LookupError):
    """There is no front of this name; the message lists those there are."""


def load_front(name: str) -> Serve:
    """Return the `serve` of front `name`. Raises `UnknownFront`."""
    if name not in FRONTS:
        raise UnknownFront(f"unknown front {name!r}; there are: {', '.join(sorted(FRONTS))}")
    serve: Serve = import_module(FRONTS[name][0]).serve
    return serve


def url(name: str, host: str, port: int) -> str:
    """Return the address of a front, as its clients take it."""
    return FRONTS[name][1].format(host=_bracketed(host), port=port)


def usual_places(host: str) -> dict[str, str]:
    """Return `host:port` for every front there is."""
    return {name: f"{_bracketed(host)}:{port}" for name, (_, _, port) in FRONTS.items()}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
