"""The emulator as it runs: a listener for each front, the control channel, the bots."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio

from legacy_emu import bots, control, fronts
from legacy_emu.config import BotKind, Config, ConfigError, address
from legacy_emu.control import Control
from legacy_emu.events import RequestRefused
from legacy_emu.host import Listening, World, listen
from legacy_emu.names import NameRefused
from legacy_emu.service import Service

if TYPE_CHECKING:
    from legacy_emu.page import Page  # an extra: loaded only when somebody wants the page

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
            page = await _listen_for_page(config, urls.get("websocket", ""))
            # Its own origins are for the fronts alone: no page ever rules the service.
            service.origins = (*config.origins, *page.origins)
            urls["web"] = page.url
            nursery.start_soon(page.serve, name="web")
        for bot in config.bot:
            name = f"bot/{bot.account}"
            if bot.kind is BotKind.ECHO:
                nursery.start_soon(bots.run_echo, service, bot.account, name=name)
            else:
                nursery.start_soon(bots.run_chatter, service, bot.account, bot.seconds, name=name)
        task_status.started(Running(service, controls, urls))


def _serving(serve: fronts.Serve, service: Service) -> Handler:
    async def handle(stream: trio.abc.Stream) -> None:
        await serve(stream, service)

    return handle


async def _listen_for_page(config: Config, websocket: str) -> "Page":
    try:
        from legacy_emu.page import Page
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"web.listen: the page needs the package {exc.name}:"
            " pip install 'balcony-gateway[http]', or leave the page out"
        ) from exc
    return Page(config, await _listen("web", config.web.listen), websocket)


async def _listen(name: str, where: str) -> Listening:
    host, port = address(where, name)
    try:
        return await listen(host, port)
    except OSError as exc:
        raise CannotListen(f"cannot listen for {name} on {where}: {exc.strerror or exc}") from exc
