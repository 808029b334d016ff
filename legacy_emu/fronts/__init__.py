"""The table of fronts: a wire protocol each, loaded only when somebody listens for it."""

from collections.abc import Awaitable, Callable
from importlib import import_module

import trio

from legacy_emu.service import Service

Serve = Callable[[trio.abc.Stream, Service], Awaitable[None]]

# name -> (module, how an address is written for its clients)
FRONTS = {
    "oscar": ("legacy_emu.fronts.oscar", "{host}:{port}"),
    "websocket": ("legacy_emu.fronts.websocket", "ws://{host}:{port}/"),
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
    return FRONTS[name][1].format(host=f"[{host}]" if ":" in host else host, port=port)
