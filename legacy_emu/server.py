"""The emulator as it runs: a listener for each front, the control channel, the bots."""

from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio

from legacy_emu import bots, control, fronts
from legacy_emu.config import BotConfig, BotKind, Config, ConfigError, address
from legacy_emu.control import Control
from legacy_emu.events import RequestRefused
from legacy_emu.fence import fenced
from legacy_emu.host import Listening, World, listen
from legacy_emu.names import NameRefused
from legacy_emu.page import Page
from legacy_emu.service import Service

Handler = Callable[[trio.abc.Stream], Awaitable[None]]


class CannotListen(Exception):
    """A listener did not come up; the message says which, where and why."""


@attrs.frozen
class Running:
    """An emulator that is up. `urls` has each front by its name, `control` and `web`."""

    service: Service
    control: Control
    urls: dict[str, str]


def build(config: Config, world: World) -> Service:
    """Make the service that `config` describes. Raises `ConfigError`."""
    service = Service(world, config.policy, config.origins)
    backend = service.backend
    try:
        for account in config.account:
            backend.create_account(
                account.address,
                account.password,
                account.name,
                account.profile,
                consent=account.consent,
            )
        for account in config.account:
            for contact in account.contacts:
                backend.befriend(account.address, contact.address, contact.groups, contact.name)
        if config.crowd is not None:
            crowd = config.crowd
            bots.populate(service, crowd.accounts, crowd.contacts, crowd.password)
        for bot in config.bot:
            backend.person(bot.account)
    except (NameRefused, RequestRefused) as exc:
        raise ConfigError(str(exc)) from exc
    return service


async def run(
    config: Config,
    world: World,
    *,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run until cancelled. Raises `ConfigError` and `CannotListen` before it has started."""
    service = build(config, world)
    async with trio.open_nursery() as nursery:
        urls: dict[str, str] = {}
        for name, where in config.fronts.items():
            listening = await _listen(name, where)
            urls[name] = fronts.url(name, listening.host, listening.port)
            service.addresses[name] = f"{listening.host}:{listening.port}"
            serve = _serving(fronts.load_front(name), service)
            nursery.start_soon(listening.serve, serve, name=f"front/{name}")
        controls = Control(service)
        if config.control:
            listening = await _listen("control", config.control)
            urls["control"] = fronts.url("websocket", listening.host, listening.port)
            serve_control = partial(control.serve, control=controls, origins=config.origins)
            nursery.start_soon(listening.serve, serve_control, name="control")
        if config.web.listen:
            listening = await _listen("web", config.web.listen)
            page = Page(config, listening, urls.get("websocket", ""), world.now)
            # Its own origins are for the fronts alone: no page ever rules the service.
            service.origins = (*config.origins, *page.origins)
            urls["web"] = page.url
            nursery.start_soon(page.serve, name="web")
        for bot in config.bot:
            nursery.start_soon(_keep, service, bot, name=f"bot/{bot.account}")
        task_status.started(Running(service, controls, urls))


async def _keep(service: Service, bot: BotConfig) -> None:
    """Run a bot for ever: one that a bug has ended comes back."""
    if bot.kind is BotKind.ECHO:
        life = partial(bots.run_echo, service, bot.account)
    else:
        life = partial(bots.run_chatter, service, bot.account, bot.seconds)
    while True:
        await fenced(f"bot/{bot.account}", life)
        await trio.sleep(bots.ELSEWHERE_SECONDS)


def _serving(serve: fronts.Serve, service: Service) -> Handler:
    async def handle(stream: trio.abc.Stream) -> None:
        await serve(stream, service)

    return handle


async def _listen(name: str, where: str) -> Listening:
    host, port = address(where, name)
    try:
        return await listen(host, port)
    except OSError as exc:
        raise CannotListen(f"cannot listen for {name} on {where}: {exc.strerror or exc}") from exc
