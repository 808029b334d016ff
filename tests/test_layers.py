"""Imports point one way, and the outside world has one door: docs/architecture.md, checked."""

import ast
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("gateway", "legacy_emu", "scripts", "tests")

# part -> the other parts it may import. A part is a module or folder directly below its package.
BELOW = frozenset({"gateway.errors", "gateway.host"})
SETTINGS = BELOW | {"gateway.strict"}
MIDDLE = SETTINGS | {"gateway.xmpp", "gateway.networks", "gateway.store", "gateway.config"}
MAY_IMPORT: dict[str, frozenset[str]] = {
    "gateway.errors": frozenset(),
    "gateway.host": frozenset({"gateway.errors"}),
    "gateway.strict": BELOW,
    "gateway.xmpp": BELOW,
    "gateway.networks": SETTINGS,
    "gateway.store": BELOW,
    "gateway.config": SETTINGS | {"gateway.xmpp", "gateway.networks", "gateway.store"},
    "gateway.bridge": MIDDLE,
    "gateway.app": MIDDLE | {"gateway.bridge"},
    "gateway.control": MIDDLE | {"gateway.app"},
    "gateway.http": MIDDLE | {"gateway.app"},
    "gateway.cli": MIDDLE | {"gateway.app", "gateway.bridge", "gateway.control", "gateway.http"},
    "gateway.__main__": frozenset({"gateway.cli"}),
}
OF_THE_PACKAGE = "gateway.__version__"

# Cores that do no I/O and look at no clock: bytes or values in, bytes or values out.
SANS_IO = (
    "gateway.networks.*.wire",
    "gateway.networks.*.wire.*",
    "gateway.networks.*.protocol",
    "gateway.networks.*.protocol.*",
    "gateway.xmpp.jid",
    "gateway.xmpp.xml",
    "gateway.xmpp.stanza",
    "gateway.xmpp.stream",
    "gateway.bridge.states",
    "gateway.bridge.translate",
    "legacy_emu.backend",
)
DOES_IO = ("trio", "trio_websocket", "asyncio", "socket", "ssl", "sqlalchemy")

NETWORK = re.compile(r"gateway\.networks\.(\w+)")
WIRE = re.compile(r"gateway\.networks\.\w+\.wire\b")  # a module or a package
WORD = re.compile(r"[a-z]+")


def modules(*packages: str) -> Iterator[tuple[str, Path]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(module: str, source: str, *, is_package: bool) -> Iterator[str]:
    """Yield the dotted name of everything `source` imports, wherever the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + is_package]
                base = ".".join([*above, base] if base else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def points_back(module: str, target: str) -> bool:
    """Say whether `module` must not import `target`."""
    if target.partition(".")[0] not in OURS:
        return any(fnmatchcase(module, core) for core in SANS_IO) and _within(target, *DOES_IO)
    if module.startswith("scripts"):
        return _within(target, "tests")
    if module.startswith("legacy_emu"):
        return not (WIRE.match(target) or _within(target, "legacy_emu"))
    if not _within(target, "gateway"):
        return True
    return target != OF_THE_PACKAGE and not _is_below(module, target)


def _is_below(module: str, target: str) -> bool:
    part, other = _part(module), _part(target)
    if part == "gateway.networks":
        if codec := WIRE.match(module):  # what the emulator shares: it may bring nothing along
            return _within(target, "gateway.errors", codec[0])
        shared = {f"gateway.networks.{name}" for name in shared_by_networks()}
        own = NETWORK.match(module)
        return _within(target, *shared, own[0] if own else "", *MAY_IMPORT[part])
    if part == "gateway.bridge" and (named := NETWORK.match(target)):
        # The table and the interface are for the bridge, a network's own folder is not.
        table = target == named[0] and named[1] not in network_folders() | shared_by_networks()
        return table or named[1] == "base"
    return other == part or other in MAY_IMPORT.get(part, frozenset())


def network_folders() -> frozenset[str]:
    return frozenset(
        path.name for path in (ROOT / "gateway" / "networks").iterdir() if path.is_dir()
    ) - {"__pycache__"}


def shared_by_networks() -> frozenset[str]:
    files = (ROOT / "gateway" / "networks").glob("*.py")
    return frozenset(path.stem for path in files) - {"__init__"}


def _part(dotted: str) -> str:
    return ".".join(dotted.split(".")[:2])


def _within(dotted: str, *names: str) -> bool:
    return any(name and (dotted == name or dotted.startswith(f"{name}.")) for name in names)


def faults(module: str, source: str, *, is_package: bool = False) -> list[str]:
    return [
        f"{module} imports {target}"
        for target in imports(module, source, is_package=is_package)
        if points_back(module, target)
    ]


def named_networks(source: str, networks: frozenset[str]) -> list[str]:
    """Return the networks that names and texts of the code, docstrings aside, speak of."""
    tree = ast.parse(source)
    spoken: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text):
                spoken.append(text)
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text):
                spoken.append(text)
            case ast.Constant(value=str(text)):
                spoken.append(text)
            case _:
                pass
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node, clean=False)
            if doc is not None:
                spoken.remove(doc)
    words = {word for text in spoken for word in WORD.findall(text.lower())}
    return sorted(words & networks)


def test_every_import_points_down() -> None:
    found = [
        fault
        for module, path in modules("gateway", "legacy_emu", "scripts")
        for fault in faults(module, path.read_text("utf-8"), is_package=path.name == "__init__.py")
    ]
    assert found == []


def test_every_part_of_the_gateway_has_its_place() -> None:
    parts = {_part(module) for module, _ in modules("gateway")} - {"gateway"}
    assert parts <= MAY_IMPORT.keys()


def test_the_bridge_names_no_network() -> None:
    networks = network_folders() | {"aim", "icq", "msn", "yahoo", "oscar", "msnp", "ymsg"}
    found = {
        module: named
        for module, path in modules("gateway/bridge")
        if (named := named_networks(path.read_text("utf-8"), networks))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gateway.errors", "import gateway.host"),
        ("gateway.host", "from gateway.xmpp.jid import Jid"),
        ("gateway.xmpp.stanza", "from gateway.networks.base import Show"),
        ("gateway.xmpp.component", "from gateway import bridge"),
        ("gateway.xmpp.component", "from gateway.store import store"),
        ("gateway.xmpp.component", "import gateway"),
        ("gateway.networks.emu.client", "from gateway.xmpp.jid import Jid"),
        ("gateway.networks.emu.client", "from gateway.networks.oscar import wire"),
        ("gateway.networks.emu.client", "from ..oscar.wire import Snac"),
        ("gateway.networks.emu.client", "from gateway.networks import NETWORKS"),
        ("gateway.networks.emu.client", "import gateway.networks.emulator"),
        ("gateway.networks.emu.wire", "from gateway.networks.base import Show"),
        ("gateway.networks.emu.wire.text", "from gateway.networks.base import Show"),
        ("gateway.networks.emu.wire.text", "import trio"),
        ("gateway.networks.emu.protocol", "import trio"),
        ("gateway.networks.emu.protocol.session", "import trio"),
        ("gateway.networks.base", "import gateway.store"),
        ("gateway.networks.base", "from gateway.networks.emu import EmuNetwork"),
        ("gateway.store.store", "from gateway.bridge.states import State"),
        ("gateway.store.store", "def late() -> None:\n    from gateway.xmpp import jid"),
        ("gateway.config", "from gateway.bridge import router"),
        ("gateway.bridge.router", "from gateway.app import daemon"),
        ("gateway.bridge.router", "from gateway.cli import main"),
        ("gateway.bridge.session", "from gateway.networks.emu.client import EmuClient"),
        ("gateway.bridge.session", "from gateway.networks import emu"),
        ("gateway.bridge.session", "if TYPE_CHECKING:\n    import legacy_emu.backend"),
        ("gateway.bridge.states", "from trio import sleep"),
        ("gateway.app", "from tests.fakes import network"),
        ("gateway.control", "from gateway.bridge import router"),
        ("legacy_emu.server", "from gateway.networks.base import Show"),
        ("legacy_emu.server", "from gateway.host import Host"),
        ("legacy_emu.server", "import gateway.networks.emu.client"),
        ("legacy_emu.server", "import scripts.lab"),
        ("legacy_emu.backend", "import trio"),
        ("scripts.demo", "from tests.e2e import servers"),
    ],
)
def test_an_import_that_points_back_is_found(module: str, source: str) -> None:
    assert len(faults(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gateway.xmpp.component", "import trio\nfrom gateway.errors import ConnectionLost"),
        ("gateway.networks.emu.client", "from gateway.networks.emu import wire"),
        ("gateway.networks.emu.client", "from .wire import Frame\nfrom ..base import Show"),
        ("gateway.networks.emu.wire", "from gateway.errors import RemoteProtocolError"),
        ("gateway.networks.emu.wire.text", "from gateway.networks.emu.wire.frames import Frame"),
        ("gateway.bridge.disco", "from gateway import __version__"),
        ("gateway.bridge.session", "from gateway.networks.base import Show"),
        ("gateway.bridge.session", "from gateway.networks import load_network"),
        ("gateway.app", "from gateway.bridge import router\nfrom gateway.store import store"),
        ("legacy_emu.fronts.websocket", "from gateway.networks.emu.wire import Login"),
        ("legacy_emu.fronts.websocket", "from gateway.networks.emu import wire"),
        ("legacy_emu.fronts.websocket", "from legacy_emu import backend\nfrom . import oscar"),
        ("scripts.demo", "import trio\nfrom scripts.lab import prosody\nimport gateway.cli"),
    ],
)
def test_an_import_that_points_down_is_fine(module: str, source: str) -> None:
    assert faults(module, source) == []


def test_relative_imports_in_a_package_count_from_the_package() -> None:
    assert list(imports("gateway.xmpp", "from .jid import Jid", is_package=True)) == [
        "gateway.xmpp.jid.Jid"
    ]
    assert list(imports("gateway.xmpp.stanza", "from . import jid", is_package=False)) == [
        "gateway.xmpp.jid"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "if network == 'oscar': ...",
        "def oscar_address(text): ...",
        "answer = client.oscar",
        "text = 'Your Oscar account'",
    ],
)
def test_a_network_named_in_code_is_found(source: str) -> None:
    assert named_networks(f'"""Not even oscar here."""\n{source}', frozenset({"oscar"})) == [
        "oscar"
    ]


def test_a_network_named_in_a_docstring_or_inside_a_word_is_not_meant() -> None:
    source = '"""As on oscar."""\ndef f():\n    """Like oscar."""\n    return "oscars"'
    assert named_networks(source, frozenset({"oscar"})) == []


# --- the one door: ruff enforces it; here, that ruff is told to

BANNED = {
    "time",
    "random",
    "secrets",
    "socket",
    "threading",
    "os.urandom",
    "uuid.uuid1",
    "uuid.uuid4",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "trio.to_thread",
    "trio.socket",
    "trio.open_tcp_stream",
    "trio.open_tcp_listeners",
    "trio.serve_tcp",
    "trio.open_unix_socket",
}
DOORS = {
    "gateway/host.py",
    "gateway/cli.py",
    "legacy_emu/host.py",
    "scripts/**",
}


def test_the_lint_rule_keeps_the_outside_world_behind_one_door() -> None:
    lint: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lint = lint["tool"]["ruff"]["lint"]
    assert lint["flake8-tidy-imports"]["banned-api"].keys() >= BANNED
    assert "TID" in lint["select"]
    assert not any("TID251".startswith(rule) for rule in lint["ignore"])
    open_doors = {
        where
        for where, rules in lint["per-file-ignores"].items()
        if not where.startswith("tests/") and any("TID251".startswith(rule) for rule in rules)
    }
    assert open_doors <= DOORS


def test_no_module_opens_a_door_of_its_own() -> None:
    found = [
        module
        for module, path in modules("gateway", "legacy_emu")
        if str(path.relative_to(ROOT)) not in DOORS
        and re.search(r"noqa(?!:)|noqa:[^#\n]*TID", path.read_text("utf-8"))
    ]
    assert found == []
