"""A private Prosody for the demo and the end-to-end tests.

It lives in a folder of its own, on 127.0.0.1, on free ports, and touches no other server of the
machine. It speaks no TLS: clients and components are on this machine.
"""

import os
import secrets
import shutil
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

import attrs
import trio

from scripts.lab.processes import ProcessFailed, Running, running, scratch_folder

DOMAIN = "localhost"
REGISTER_SECONDS = 10
DEBIAN_PACKAGE = "prosody"

_CONFIGURATION = """\
{run_as_root}pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}/data"
interfaces = {{ "127.0.0.1" }}; local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {client_port} }}; component_ports = {{ {component_port} }}
s2s_ports = {{ }}; http_ports = {{ }}; https_ports = {{ }}
authentication = "internal_hashed"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
modules_enabled = {{
  "roster", "saslauth", "disco", "carbons", "pep", "private", "blocklist", "vcard4",
  "vcard_legacy", "version", "time", "ping", "mam", "smacks", "csi_simple", "posix",
}}
modules_disabled = {{ "s2s" }}
archive_expires_after = "never"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
VirtualHost "{domain}"
"""

_COMPONENT = """\
Component "{jid}"
  component_secret = "{secret}"
"""


@attrs.frozen
class Component:
    """A component the server lets in: a gateway."""

    jid: str
    secret: str = attrs.field(factory=secrets.token_hex, repr=False)


@attrs.frozen
class User:
    jid: str
    password: str = attrs.field(repr=False)


class Prosody:
    """One private Prosody. It can be stopped and started again, on the same ports and data."""

    host = "127.0.0.1"
    domain = DOMAIN

    def __init__(self, folder: Path, ports: tuple[int, int], *components: Component) -> None:
        self.folder = folder
        self.components = components
        self.client_port, self.component_port = ports
        self.log = folder / "prosody.log"
        self._configuration = folder / "prosody.cfg.lua"

    @property
    def component_address(self) -> str:
        """Where components connect, as a `[[component]]` names it."""
        return f"{self.host}:{self.component_port}"

    def write_configuration(self) -> None:
        (self.folder / "data").mkdir()
        text = _CONFIGURATION.format(
            # As root it would otherwise refuse, and hang rather than end.
            run_as_root="run_as_root = true\n" if os.geteuid() == 0 else "",
            folder=self.folder,
            client_port=self.client_port,
            component_port=self.component_port,
            domain=self.domain,
        )
        for component in self.components:
            text += _COMPONENT.format(jid=component.jid, secret=component.secret)
        self._configuration.write_text(text, "utf-8")
        self._configuration.chmod(0o600)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Running, None]:
        """Run it; inside, it accepts clients and components."""
        command = [_find("prosody"), "--config", str(self._configuration), "-F"]
        async with running("prosody", command, self.log) as server:
            await server.wait_port(self.client_port)
            if self.components:  # else it does not listen there
                await server.wait_port(self.component_port)
            yield server

    async def register(self, name: str, password: str = "") -> User:
        """Make the account `name`; without a password it gets a random one."""
        user = User(f"{name}@{self.domain}", password or secrets.token_urlsafe(12))
        command = [_find("prosodyctl"), "--config", str(self._configuration)]
        command += ["register", name, self.domain, user.password]
        with trio.fail_after(REGISTER_SECONDS):
            done = await trio.run_process(
                command, capture_stdout=True, capture_stderr=True, check=False, cwd=self.folder
            )
        if done.returncode:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
            raise ProcessFailed(f"prosodyctl register ended with {done.returncode}: {said}")
        return user


@asynccontextmanager
async def private_prosody(
    *components: Component, folder: Path | None = None
) -> AsyncGenerator[Prosody, None]:
    """Start a private Prosody that lets `components` in; leaving ends it and removes its files.

    With `folder`, which is to be empty, its files go there and stay.
    """
    async with prepared_prosody(*components, folder=folder) as prosody, prosody.serving():
        yield prosody


@asynccontextmanager
async def prepared_prosody(
    *components: Component, folder: Path | None = None
) -> AsyncGenerator[Prosody, None]:
    """Prepare a private Prosody without starting it: `Prosody.serving` does, as often as wanted."""
    place = scratch_folder("prosody") if folder is None else nullcontext(folder)
    with place as home, reserved_ports(2) as ports:
        prosody = Prosody(home, (ports[0], ports[1]), *components)
        prosody.write_configuration()
        yield prosody


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
            holder.bind(("127.0.0.1", 0))
        yield [holder.getsockname()[1] for holder in held]
    finally:
        for holder in held:
            holder.close()


def is_installed() -> bool:
    return _look_up("prosody") is not None and _look_up("prosodyctl") is not None


def _find(program: str) -> str:
    found = _look_up(program)
    if found is None:
        raise ProcessFailed(f"{program} is not installed: apt-get install {DEBIAN_PACKAGE}")
    return found


def _look_up(program: str) -> str | None:
    # An ordinary user's PATH may leave out where Debian puts servers.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
