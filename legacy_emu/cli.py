"""`legacy-emu run`: the emulated legacy service on the command line."""

import logging
import signal
from pathlib import Path
from typing import Annotated

import attrs
import trio
import typer

from legacy_emu import config as configuration
from legacy_emu import server
from legacy_emu.config import AccountConfig, Config, ConfigError
from legacy_emu.host import RealWorld
from legacy_emu.server import CannotListen

EXIT_FAILURE = 1
EXIT_USAGE = 2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="An emulated legacy instant messaging service.",
)


@app.callback()
def commands() -> None:
    """Keep `run` a command of its own: there will be more."""


@app.command()
def run(
    config: Annotated[Path | None, typer.Option(help="A TOML file; flags add to it.")] = None,
    front: Annotated[
        list[str] | None, typer.Option(help="NAME=HOST:PORT, as websocket=127.0.0.1:0.")
    ] = None,
    control: Annotated[str, typer.Option(help="HOST:PORT of the control channel.")] = "",
    web: Annotated[str, typer.Option(help="HOST:PORT of the page for legacy users.")] = "",
    accounts: Annotated[
        list[str] | None, typer.Option("--account", "--accounts", help="NAME:PASSWORD.")
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log what goes on.")] = False,
) -> None:
    """Run the service until SIGTERM or SIGINT.

    Prints `listening NAME URL` for each listener, then `ready`.
    """
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING)
    try:
        found = configuration.read(config) if config is not None else Config()
        trio.run(_run, _with_flags(found, front or [], control, web, accounts or []))
    except ConfigError as exc:
        typer.echo(f"legacy-emu: {exc}", err=True)
        raise typer.Exit(EXIT_USAGE) from exc
    except CannotListen as exc:
        typer.echo(f"legacy-emu: {exc}", err=True)
        raise typer.Exit(EXIT_FAILURE) from exc


def _with_flags(
    config: Config, fronts: list[str], control: str, web: str, accounts: list[str]
) -> Config:
    named = dict(config.fronts)
    for text in fronts:
        name, separator, where = text.partition("=")
        if not separator:
            raise ConfigError(f"--front: {text!r} found, expected NAME=HOST:PORT")
        named[name] = where
    made = []
    for text in accounts:
        name, separator, password = text.partition(":")
        if not separator or not name or not password:
            raise ConfigError("--account: NAME:PASSWORD is expected")
        made.append(AccountConfig(name, password))
    return configuration.check(
        attrs.evolve(
            config,
            fronts=named,
            control=control or config.control,
            web=attrs.evolve(config.web, listen=web or config.web.listen),
            account=(*config.account, *made),
        )
    )


async def _run(config: Config) -> None:
    failed: BaseException | None = None
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        try:
            async with trio.open_nursery() as nursery:
                running = await nursery.start(server.run, config, RealWorld())
                for name, url in running.urls.items():
                    typer.echo(f"listening {name} {url}")
                typer.echo("ready")
                async for _ in signals:
                    nursery.cancel_scope.cancel()
        except* (ConfigError, CannotListen) as group:
            failed = _first(group)  # raised right here it would be a group on some Pythons
    if failed is not None:
        raise failed


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def main() -> None:
    """Run the console script."""
    app()
