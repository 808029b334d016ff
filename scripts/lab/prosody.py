"""A private Prosody for the demo and the end-to-end tests.

It lives in a folder of its own, on 127.0.0.1, on free ports, and touches no other server of the
machine. It speaks no TLS: clients and components are on this machine. Its configuration has the
layout of Debian's: the gateways stand in `conf.d`, as an operator would put them there.
"""

import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import trio

from scripts.lab.processes import ProcessFailed, Running, running, scratch_folder
from scripts.lab.xmpp_server import (
    DOMAIN,
    EXAMPLE_DOMAIN,
    EXAMPLE_GATEWAY,
    EXAMPLE_SECRET,
    HOST,
    Component,
    User,
    find_program,
    look_up,
    operators_file,
    reserved_ports,
)

REGISTER_SECONDS = 10
DEBIAN_PACKAGE = "prosody"
MODULES_DEBIAN_PACKAGE = "prosody-modules"
MODULES = Path("/usr/lib/prosody/modules")

_CONFIGURATION = """\
{run_as_root}pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}/data"
interfaces = {{ "{host}" }}; local_interfaces = {{ "{host}" }}
c2s_ports = {{ {client_port} }}; component_ports = {{ {component_port} }}
s2s_ports = {{ }}; http_ports = {{ {http_port} }}; https_ports = {{ }}
http_interfaces = {{ "{host}" }}; consider_websocket_secure = true
authentication = "internal_hashed"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
modules_enabled = {{
  "roster", "saslauth", "disco", "carbons", "pep", "private", "blocklist", "vcard4",
  "vcard_legacy", "version", "time", "ping", "mam", "smacks", "csi_simple", "posix",
  {websocket}
}}
modules_disabled = {{ "s2s" }}
archive_expires_after = "never"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
VirtualHost "{domain}"
Include "{folder}/conf.d/*.cfg.lua"
"""


class Prosody:
    """One private Prosody (`XmppServer`). Accounts can be made whether it runs or not."""

    name = "prosody"
    host = HOST
    domain = DOMAIN

    def __init__(
        self,
        folder: Path,
        ports: tuple[int, int],
        *components: Component,
        privileged: bool = False,
        http_port: int | None = None,
    ) -> None:
        if privileged and len(components) > 1:
            raise ValueError("the privileges of several gateways stand in one table, not in two")
        self.folder = folder
        self.components = components
        self.client_port, self.component_port = ports
        self.log = folder / "prosody.log"
        self._privileged = privileged
        self._http_port = http_port
        self._configuration = folder / "prosody.cfg.lua"

    def address_of(self, component: Component) -> str:
        """All components share one port."""
        return f"{self.host}:{self.component_port}"

    @property
    def websocket(self) -> str:
        """Where a client in a browser connects, if this server has been given a port for it."""
        return f"ws://{self.host}:{self._http_port}/xmpp-websocket"

    def write_configuration(self) -> None:
        (self.folder / "data").mkdir()
        text = _CONFIGURATION.format(
            # As root it would otherwise refuse, and hang rather than end.
            run_as_root="run_as_root = true\n" if os.geteuid() == 0 else "",
            folder=self.folder,
            host=self.host,
            client_port=self.client_port,
            component_port=self.component_port,
            domain=self.domain,
            http_port=self._http_port or "",
            websocket='"http", "websocket",' if self._http_port else "",
        )
        self._configuration.write_text(text, "utf-8")
        gateways = self.folder / "conf.d"
        gateways.mkdir(mode=0o700)
        for component in self.components:
            text = self._operators_file(component)
            (gateways / f"{component.jid}.cfg.lua").write_text(text, "utf-8")

    def _operators_file(self, component: Component) -> str:
        name = "prosody-privileged.cfg.lua" if self._privileged else "prosody.cfg.lua"
        values = {
            f'"{EXAMPLE_GATEWAY}"': f'"{component.jid}"',
            f'"{EXAMPLE_SECRET}"': f'"{component.secret}"',
        }
        if self._privileged:
            values[f'"{EXAMPLE_DOMAIN}"'] = f'"{self.domain}"'
        return operators_file(name, values)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Running, None]:
        command = [_find("prosody"), "--config", str(self._configuration), "-F"]
        async with running("prosody", command, self.log) as server:
            await server.wait_port(self.client_port)
            if self.components:  # else it does not listen there
                await server.wait_port(self.component_port)
            if self._http_port:
                await server.wait_port(self._http_port)
            yield server

    async def register(self, name: str, password: str = "") -> User:
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
    *components: Component,
    folder: Path | None = None,
    privileged: bool = False,
    for_browsers: bool = False,
) -> AsyncGenerator[Prosody, None]:
    """Start a private Prosody that lets `components` in; leaving ends it and removes its files.

    With `folder`, which is to be empty, its files go there and stay. `for_browsers`: clients may
    connect over WebSocket, too.
    """
    async with (
        prepared_prosody(
            *components, folder=folder, privileged=privileged, for_browsers=for_browsers
        ) as prosody,
        prosody.serving(),
    ):
        yield prosody


@asynccontextmanager
async def prepared_prosody(
    *components: Component,
    folder: Path | None = None,
    privileged: bool = False,
    for_browsers: bool = False,
) -> AsyncGenerator[Prosody, None]:
    """Prepare a private Prosody without starting it: `Prosody.serving` does, as often as wanted."""
    place = scratch_folder("prosody") if folder is None else nullcontext(folder)
    with place as home, reserved_ports(3) as ports:
        prosody = Prosody(
            home,
            (ports[0], ports[1]),
            *components,
            privileged=privileged,
            http_port=ports[2] if for_browsers else None,
        )
        prosody.write_configuration()
        yield prosody


def is_installed() -> bool:
    return look_up("prosody") is not None and look_up("prosodyctl") is not None


def has_privilege_module() -> bool:
    return (MODULES / "mod_privilege" / "mod_privilege.lua").exists()


def _find(program: str) -> str:
    return find_program(program, DEBIAN_PACKAGE)
