"""What the private XMPP servers have in common: the demo and the tests care for nothing else.

How a gateway is let in stands in `docs/servers`, in the very files that operators copy. A server
here puts its own private surroundings around them: ports, folders and names.
"""

import os
import secrets
import shutil
import socket
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import attrs

from scripts.lab.processes import REPOSITORY, ProcessFailed, Running

DOMAIN = "localhost"
HOST = "127.0.0.1"
CONFIGURATIONS = REPOSITORY / "docs" / "servers"
EXAMPLE_DOMAIN = "example.net"
EXAMPLE_GATEWAY = f"aim.{EXAMPLE_DOMAIN}"
EXAMPLE_SECRET = "CHANGE ME"  # noqa: S105 - it stands in the documents


@attrs.frozen
class Component:
    """A component the server lets in: a gateway."""

    jid: str
    secret: str = attrs.field(factory=secrets.token_hex, repr=False)


@attrs.frozen
class User:
    jid: str
    password: str = attrs.field(repr=False)


class XmppServer(Protocol):
    """One private server. It can be stopped and started again, on the same ports and data."""

    name: str  # of the program
    host: str
    domain: str
    folder: Path
    components: tuple[Component, ...]
    client_port: int

    def address_of(self, component: Component) -> str:
        """Where this component connects, as a `[[component]]` names it."""

    def serving(self) -> AbstractAsyncContextManager[Running]:
        """Run it; inside, it accepts clients and components."""

    async def register(self, name: str, password: str = "") -> User:
        """Make an account while it runs; without a password it gets a random one."""


def operators_file(name: str, values: Mapping[str, str]) -> str:
    """Return a file of `docs/servers` with the values of here in the place of its examples.

    Raises `ValueError` when it has not got one of these examples, or when it has others.
    """
    text = (CONFIGURATIONS / name).read_text("utf-8")
    for example, value in values.items():
        if example not in text:
            raise ValueError(f"{name} has no {example} to put a value in for")
        text = text.replace(example, value)
    for line in text.splitlines():
        is_comment = line.lstrip().startswith(("#", "--"))
        if not is_comment and any(left in line for left in (EXAMPLE_DOMAIN, EXAMPLE_SECRET)):
            raise ValueError(f"{name} still has an example in it: {line.strip()}")
    return text


def find_program(program: str, package: str) -> str:
    """Return the path of `program`. Raises `ProcessFailed`, naming the Debian package."""
    found = look_up(program)
    if found is None:
        raise ProcessFailed(f"{program} is not installed: apt-get install {package}")
    return found


def look_up(program: str) -> str | None:
    # An ordinary user's PATH may leave out where Debian puts servers.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")


@contextmanager
def reserved_ports(count: int) -> Generator[list[int], None, None]:
    """Reserve free ports on 127.0.0.1 for servers that set SO_REUSEADDR, as most do.

    The sockets stay bound and do not listen: such a server may still bind the port, while nobody
    else is given it, and connecting to it is refused until the server listens.
    """
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            holder = socket.socket()
            held.append(holder)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((HOST, 0))
        yield [holder.getsockname()[1] for holder in held]
    finally:
        for holder in held:
            holder.close()
