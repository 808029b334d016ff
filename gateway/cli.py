"""The commands of `balcony`: thin. Exit codes: 0 fine, 1 failure, 2 usage or configuration."""

import gc
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
from gateway.config import FILE_NAME, Config, find_config, load, sample_config
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

UNBROKEN_COLUMNS = 10_000
READY = "balcony: ready"  # for whoever started us: every link is up
YOUNG_OBJECTS = 50_000  # more than were freed, until the garbage collector looks at them


def _console(columns: int | None = None) -> Console:
    """Make a console that breaks no path into lines, and reads no markup in what it shows."""
    return Console(width=columns, highlight=False, markup=False, emoji=False, soft_wrap=True)


out = _console()


@app.command()
def init(
    directory: Annotated[
        Path, typer.Argument(help="Where to put balcony.toml and the key.")
    ] = Path(),
    network: Annotated[
        str, typer.Option(help="The network to begin with. Default: emu, the emulated service's.")
    ] = "",
) -> None:
    """Write a commented configuration to start from, and the key that seals credentials."""
    config, key = directory / FILE_NAME, directory / "balcony.key"
    text = sample_config()
    if network:
        text = sample_config(jid=f"{network}.example.net", network=network)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if config.exists():
            raise ConfigurationError(f"{config} is there already; it was left alone")
        if not key.exists():
            Sealer.create_key_file(key)
            out.print(f"wrote {key}\n  keep a copy: without it no stored password can be read")
        config.touch(mode=0o600, exist_ok=False)  # it may hold a component's secret
        config.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"cannot write to {directory}: {exc.strerror}") from exc
    out.print(f"wrote {config}\n  edit it, then: balcony check --config {config}")


@app.command()
def check(config: ConfigOption = None) -> None:
    """Read the configuration and say what is wrong with it, or what it would do."""
    settings = _load(config)
    host = RealHost()
    Sealer.from_file(host, settings.store.key_file)
    for component in settings.components:
        service = component.network_class(host, component.service).service_name
        out.print(
            f"{component.jid}: network {component.network} at {service},"
            f" XMPP server {component.server}"
        )
    for warning in settings.warnings:
        out.print(f"warning: {warning}")
    out.print("the configuration can be used")


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    settings = _load(config)
    _set_up_logging(settings.log_level)
    log.info("balcony %s: %s", __version__, ", ".join(one.jid for one in settings.components))
    for warning in settings.warnings:
        log.warning("%s", warning)
    host = RealHost()
    beside: list[tuple[str, Beside]] = [
        ("control", partial(control.serve, host, settings.control)),
        ("signals", _signals),
        ("readiness", _say_ready),
    ]
    _spare_the_collector()
    trio.run(partial(daemon, host, settings, beside=beside))


@app.command()
def tasks(config: ConfigOption = None) -> None:
    """Show the running daemon's tree of tasks."""
    tree: dict[str, Any] = _ask(config, "tasks")
    root = Tree(tree["name"])
    _grow(root, tree)
    out.print(root)


@app.command()
def users(config: ConfigOption = None) -> None:
    """Show who is registered with the running daemon, and how their sessions stand."""
    rows: list[dict[str, str]] = _ask(config, "users")
    if not rows:
        out.print("nobody is registered")
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("component", "user", "account", "state"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["component"], row["user"], row["account"], row["state"])
    # In a terminal a long name goes on in the next line; for a program it stays in its own.
    console = out if out.is_terminal else _console(UNBROKEN_COLUMNS)
    console.print(table, soft_wrap=False)


@app.command()
def version() -> None:
    """Show the version."""
    out.print(__version__)


def main() -> None:
    """Run a command; what went wrong is a line on stderr for each error, and an exit code."""
    errors: list[BaseException] = []
    interrupted = False
    try:
        app(prog_name="balcony")
    except* BalconyError as group:
        errors = _leaves(group)
    except* KeyboardInterrupt:
        interrupted = True  # what is raised right here becomes a group on some versions of Python
    for error in errors:
        print(f"balcony: {error}", file=sys.stderr)  # noqa: T201
    if interrupted:
        sys.exit(1)
    if errors:
        sys.exit(2 if any(isinstance(one, ConfigurationError) for one in errors) else 1)


def _leaves(group: BaseException) -> list[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        return [leaf for one in group.exceptions for leaf in _leaves(one)]
    return [group]


def _load(path: Path | None) -> Config:
    return load(find_config(path, os.environ), env=os.environ)


def _set_up_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if level == "info":
        # Alembic tells of each start; what an operator acts on is a warning.
        logging.getLogger("alembic").setLevel(logging.WARNING)


def _ask(path: Path | None, command: str) -> Any:
    return trio.run(control.ask, RealHost(), _load(path).control, command)


def _grow(branch: Tree, task: dict[str, Any]) -> None:
    for child in task["children"]:
        label = child["name"].removeprefix(f"{task['name']}/")
        _grow(branch.add(label), child)


def _spare_the_collector() -> None:
    """Have the cyclic garbage collector look at less, and less often.

    Each full pass walks what all sessions consist of: half of a message's cost at a thousand users.
    What is loaded by now stays, so it is left out. The young objects of a busy moment, some tens of
    thousands, set off no pass; garbage in cycles waits for the next one, so there may be as much.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 5, 5)


async def _signals(gateway: Gateway) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        async for number in received:
            if number == signal.SIGHUP:
                log.warning("SIGHUP: nothing can be reloaded yet; restart to change the settings")
                continue
            log.info("%s: ending in order", signal.Signals(number).name)
            gateway.stop()


async def _say_ready(gateway: Gateway) -> None:
    """Say once that every link is up, for whoever started us."""
    for router in gateway.routers:
        await router.has_been_up.wait()
    print(READY, flush=True)  # noqa: T201
