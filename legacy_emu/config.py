"""The emulator's configuration: a TOML file or flags, both to the letter."""

import re
import tomllib
from enum import StrEnum
from pathlib import Path

import attrs

from legacy_emu.fronts import FRONTS, usual_places
from legacy_emu.policy import Policy
from legacy_emu.strict import Malformed, structure


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and what is wrong with it."""


class BotKind(StrEnum):
    ECHO = "echo"
    CHATTER = "chatter"


@attrs.frozen
class ContactConfig:
    address: str
    groups: tuple[str, ...] = ()
    name: str = ""


@attrs.frozen
class AccountConfig:
    """An account. Everybody on `contacts` is seen at once; list each other for both ways."""

    address: str
    password: str = attrs.field(repr=False)
    name: str = ""
    profile: dict[str, str] = attrs.field(factory=dict)
    consent: bool | None = None
    contacts: tuple[ContactConfig, ...] = ()


@attrs.frozen
class BotConfig:
    """A bot. A chatter waits about `seconds` between two remarks."""

    account: str
    kind: BotKind = BotKind.ECHO
    seconds: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))


@attrs.frozen
class CrowdConfig:
    """`accounts` accounts called user0, user1…, with `contacts` contacts each."""

    accounts: int
    contacts: int
    password: str = attrs.field(repr=False)


@attrs.frozen
class WebConfig:
    """The page for legacy users."""

    listen: str = ""  # host:port; empty: no page
    show_accounts: bool = False  # with their passwords, to whoever opens the page
    websocket: str = ""  # where the page finds the front, when not where the front listens


@attrs.frozen
class Config:
    listen: str = ""  # a host where all fronts listen, at their usual ports; empty: none does
    fronts: dict[str, str] = attrs.field(factory=dict)  # name -> host:port
    control: str = ""  # host:port; empty: no control channel
    origins: tuple[str, ...] = ()
    policy: Policy = attrs.field(factory=Policy)
    account: tuple[AccountConfig, ...] = ()
    bot: tuple[BotConfig, ...] = ()
    crowd: CrowdConfig | None = None
    web: WebConfig = attrs.field(factory=WebConfig)


def read(path: Path) -> Config:
    """Read a configuration file; its `fronts` are all that listen. Raises `ConfigError`."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigError(f"{path} is not TOML: {exc}") from exc
    try:
        config: Config = structure(table, Config, "")
    except Malformed as exc:
        raise ConfigError(f"{path}: {exc}") from exc
    if config.listen:
        host = config.listen.removeprefix("[").removesuffix("]")
        return attrs.evolve(config, fronts={**usual_places(host), **config.fronts})
    return config


def check(config: Config) -> Config:
    """Return `config` when the emulator can run by it. Raises `ConfigError`."""
    if not config.fronts:
        raise ConfigError("fronts: missing: name a front and where it listens")
    for name, where in config.fronts.items():
        if name not in FRONTS:
            raise ConfigError(f"fronts.{name}: unknown, expected one of {', '.join(FRONTS)}")
        address(where, f"fronts.{name}")
    if config.control:
        address(config.control, "control")
    if config.web.listen:
        _check_web(config)
    return config


# It goes into a header: nothing but an address may stand here.
_WEBSOCKET = re.compile(r"wss?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[\w./~-]*)?")


def _check_web(config: Config) -> None:
    address(config.web.listen, "web.listen")
    found = config.web.websocket
    if found and not _WEBSOCKET.fullmatch(found):
        raise ConfigError(f"web.websocket: {found!r} found, expected ws://host:port/")
    if not found and "websocket" not in config.fronts:
        raise ConfigError("web.listen: the page speaks to fronts.websocket, which is missing")


def address(text: str, key: str) -> tuple[str, int]:
    """Return host and port of `host:port`. Raises `ConfigError`, which names `key`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"{key}: {text!r} found, expected host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)
