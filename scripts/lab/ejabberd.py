"""A private ejabberd for the end-to-end tests, as `prosody.py` is a private Prosody.

Debian's `ejabberdctl` insists on root or its own user, and starts a port mapper that outlives it.
Neither is needed for one server: here the Erlang machine is started directly, without a node name,
by whoever runs the test. The message archive is off, as in Debian's own configuration: in Mnesia it
is so slow that a lively conversation falls behind by minutes.
"""

import json
import secrets
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import trio

from scripts.lab.processes import ProcessFailed, Running, running, scratch_folder
from scripts.lab.xmpp_server import (
    DOMAIN,
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
DEBIAN_PACKAGE = "ejabberd"

_CONFIGURATION = """\
hosts: ["{domain}"]
loglevel: info
auth_method: internal
auth_password_format: scram
include_config_file: {gateways}
listen:
  -
    port: {client_port}
    ip: "{host}"
    module: ejabberd_c2s
    max_stanza_size: 262144
    shaper: none
    access: all
  -
    port: {command_port}
    ip: "{host}"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
api_permissions:
  accounts:
    who:
      ip: "{host}/32"
    what: [register]
s2s_access: none
modules:
  mod_admin_extra: {{}}
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_roster: {{versioning: true}}
  mod_stream_mgmt: {{}}
  mod_vcard: {{search: false}}
  mod_version: {{}}
"""


class Ejabberd:
    """One private ejabberd (`XmppServer`). Each component has a port of its own."""

    name = "ejabberd"
    host = HOST
    domain = DOMAIN

    def __init__(
        self,
        folder: Path,
        ports: tuple[int, ...],
        *components: Component,
        privileged: bool = False,
    ) -> None:
        if privileged and len(components) > 1:
            raise ValueError("the privileges of several gateways stand in one place, not in two")
        self.folder = folder
        self.components = components
        self.client_port, self._command_port, *component_ports = ports
        self._component_ports = {
            component.jid: port for component, port in zip(components, component_ports, strict=True)
        }
        self.log = folder / "ejabberd.log"
        self._privileged = privileged
        self._configuration = folder / "ejabberd.yml"

    def address_of(self, component: Component) -> str:
        return f"{self.host}:{self._component_ports[component.jid]}"

    def write_configuration(self) -> None:
        for name in ("db", "logs"):
            (self.folder / name).mkdir()
        files = []
        for component in self.components:
            file = self.folder / f"{component.jid}.yml"
            file.write_text(self._operators_file(component), "utf-8")
            file.chmod(0o600)
            files.append(str(file))
        text = _CONFIGURATION.format(
            domain=self.domain,
            host=self.host,
            client_port=self.client_port,
            command_port=self._command_port,
            gateways=json.dumps(files),
        )
        self._configuration.write_text(text, "utf-8")

    def _operators_file(self, component: Component) -> str:
        name = "ejabberd-privileged.yml" if self._privileged else "ejabberd.yml"
        values = {
            f'"{EXAMPLE_GATEWAY}"': json.dumps(component.jid),
            f'"{EXAMPLE_SECRET}"': json.dumps(component.secret),
            "port: 5347": f"port: {self._component_ports[component.jid]}",
        }
        return operators_file(name, values)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Running, None]:
        command = [find_program("erl", DEBIAN_PACKAGE), "-noinput", "-boot", "start_clean"]
        command += ["+S", "2", "-mnesia", "dir", json.dumps(str(self.folder / "db"))]
        command += ["-s", "ejabberd"]
        environment = {
            "EJABBERD_CONFIG_PATH": str(self._configuration),
            "EJABBERD_LOG_PATH": str(self.folder / "logs" / "ejabberd.log"),
            "ERL_CRASH_DUMP": str(self.folder / "logs" / "crash.dump"),
            "ERL_LIBS": str(_libraries()),
            "HOME": str(self.folder),
        }
        async with running("ejabberd", command, self.log, environment=environment) as server:
            ports = (self.client_port, self._command_port, *self._component_ports.values())
            for port in ports:
                await server.wait_port(port)
            yield server

    async def register(self, name: str, password: str = "") -> User:
        user = User(f"{name}@{self.domain}", password or secrets.token_urlsafe(12))
        order = {"user": name, "host": self.domain, "password": user.password}
        with trio.fail_after(REGISTER_SECONDS):
            await trio.to_thread.run_sync(self._order, "register", order, abandon_on_cancel=True)
        return user

    def _order(self, command: str, arguments: Mapping[str, str]) -> None:
        request = urllib.request.Request(
            f"http://{self.host}:{self._command_port}/api/{command}",
            json.dumps(arguments).encode(),
            {"Content-Type": "application/json"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=REGISTER_SECONDS):
                pass
        except OSError as exc:
            raise ProcessFailed(f"ejabberd does not {command}: {exc}") from exc


@asynccontextmanager
async def prepared_ejabberd(
    *components: Component, folder: Path | None = None, privileged: bool = False
) -> AsyncGenerator[Ejabberd, None]:
    """Prepare a private ejabberd without starting it: see `prepared_prosody`."""
    place = scratch_folder("ejabberd") if folder is None else nullcontext(folder)
    with place as home, reserved_ports(2 + len(components)) as ports:
        ejabberd = Ejabberd(home, tuple(ports), *components, privileged=privileged)
        ejabberd.write_configuration()
        yield ejabberd


def is_installed() -> bool:
    return look_up("erl") is not None and _found_libraries() is not None


def _libraries() -> Path:
    found = _found_libraries()
    if found is None:
        raise ProcessFailed(f"ejabberd is not installed: apt-get install {DEBIAN_PACKAGE}")
    return found


def _found_libraries() -> Path | None:
    """Return the folder that has ejabberd and what it needs; Debian names it by architecture."""
    for pattern in ("usr/lib/*/ejabberd-*", "usr/lib/ejabberd-*", "usr/lib/erlang/lib/ejabberd-*"):
        for found in sorted(Path("/").glob(pattern)):
            if (found / "ebin" / "ejabberd.app").exists():
                return found.parent
    return None
