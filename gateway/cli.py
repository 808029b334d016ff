"""The commands of `balcony`: thin. Exit codes: 0 fine, 1 failure, 2 usage or configuration."""

import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import trio
import typer
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from gateway import __version__, control
from gateway.app import Beside, Gateway, daemon
from gateway.config import Config, find_config, load, sample_config
from gateway.errors import BalconyError, ConfigurationError
from gateway.host import RealHost
from gateway.store.sealing import Sealer

log = logging.getLogger("gateway")

app = typer.Typer(
    help="Balcony: an XMPP gateway to revived legacy instant messengers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file. Default: $BALCONY_CONFIG, ./balcony.toml, "
        "/etc/balcony/balcony.toml.",
    ),
]
out = Console(highlight=False)


@app.command()
def init(
    directory: Annotated[
        Path, typer.Argument(help="Where to put balcony.toml and the key.")
    ] = Path(),
) -> None:
    """Write a commented configuration to start from, and the key that seals credentials."""
    directory.mkdir(parents=True, exist_ok=True)
    config, key = directory / "balcony.toml", directory / "balcony.key"
    if config.exists():
        raise ConfigurationError(f"{config} is there already; it was left alone")
    if not key.exists():
        Sealer.create_key_file(key)
        out.print(f"wrote {key} (keep it: without it no stored password can be read)")
    config.write_text(sample_config(), encoding="utf-8")
    config.chmod(0o600)  # it may hold a component secret
    out.print(f"wrote {config}: edit it, then `balcony check --config {config}`")


@app.command()
def check(config: ConfigOption = None) -> None:
    """Read the configuration and say what is wrong with it, or what it would do."""
    settings = _load(config)
    Sealer.from_file(RealHost(), settings.store.key_file)
    for component in settings.components:
        out.print(f"{component.jid}: {component.network}, XMPP server at {component.server}")
    out.print("the configuration is fine")


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    settings = _load(config)
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for warning in settings.warnings:
        log.warning("%s", warning)
    host = RealHost()
    beside: list[tuple[str, Beside]] = [
        ("control", partial(control.serve, host, settings.control)),
        ("signals", _signals),
        ("readiness", _say_ready),
    ]
    trio.run(partial(daemon, host, settings, beside=beside))


@app.command()
def tasks(config: ConfigOption = None) -> None:
    """Show the running daemon's tree of tasks."""
    tree = _ask(config, "tasks")
    root = Tree(tree["name"])
    _grow(root, tree)
    out.print(root)


@app.command()
def users(config: ConfigOption = None) -> None:
    """Show who is registered with the running daemon, and how their sessions stand."""
    table = Table("component", "user", "account", "state")
    for row in _ask(config, "users"):
        table.add_row(row["component"], row["user"], row["account"], row["state"])
    out.print(table)


@app.command()
def version() -> None:
    """Show the version."""
    out.print(__version__)


def main() -> None:
    """Run a command; what went wrong is one line on stderr and an exit code."""
    try:
        app(standalone_mode=True)
    except* ConfigurationError as group:
        _fail(group, 2)
    except* BalconyError as group:
        _fail(group, 1)
    except* KeyboardInterrupt:
        sys.exit(1)


def _fail(group: BaseExceptionGroup[Any], code: int) -> None:
    for one in _leaves(group):
        print(f"balcony: {one}", file=sys.stderr)  # noqa: T201
    sys.exit(code)


def _leaves(group: BaseException) -> list[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        return [leaf for one in group.exceptions for leaf in _leaves(one)]
    return [group]


def _load(path: Path | None) -> Config:
    return load(find_config(path, os.environ), env=os.environ)


def _ask(path: Path | None, command: str) -> Any:
    return trio.run(control.ask, RealHost(), _load(path).control, command)


def _grow(branch: Tree, task: dict[str, Any]) -> None:
    for child in task["children"]:
        label = child["name"].removeprefix(f"{task['name']}/")
        _grow(branch.add(label), child)


async def _signals(gateway: Gateway) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        async for number in received:
            log.info("%s: ending in order", signal.Signals(number).name)
            gateway.stop()


async def _say_ready(gateway: Gateway) -> None:
    """Say once that every link is up, for whoever started us."""
    for router in gateway.routers:
        await router.has_been_up.wait()
    print("balcony: ready", flush=True)  # noqa: T201
