"""The task tree: who runs, and who supervises whom (docs/architecture.md).

`daemon` is the whole product as one async function over a `Host`: production gives it the real one
and puts signals and the control socket beside it, simulation gives it a simulated world.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from gateway.bridge import texts
from gateway.bridge.addresses import Addresses
from gateway.bridge.allowance import Allowances
from gateway.bridge.deliveries import Deliveries
from gateway.bridge.domain import Domain
from gateway.bridge.journal import FROM_USER, TO_USER, Entry, Journal
from gateway.bridge.pacing import Gate
from gateway.bridge.privileges import Privileges
from gateway.bridge.router import Router
from gateway.bridge.sessions import Sessions
from gateway.config import ComponentConfig, Config
from gateway.errors import RemoteProtocolError, StoreError
from gateway.host import Host
from gateway.store.sealing import Sealer
from gateway.store.store import JournalRow, Store
from gateway.xmpp.component import Link, LinkSettings, LinkState
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import (
    Condition,
    ErrorType,
    Message,
    Presence,
    PresenceType,
    error_reply,
    stanza_from,
)
from gateway.xmpp.stored import element_from_bytes

log = logging.getLogger(__name__)

CLOSE_SECONDS = 8.0


@attrs.define(eq=False)
class Gateway:
    """The running daemon, for those who look at it or stop it."""

    config: Config
    store: Store
    journal: Journal
    sessions: Sessions
    allowances: Allowances = attrs.field(factory=Allowances)
    domains: list[Domain] = attrs.field(factory=list)
    routers: list[Router] = attrs.field(factory=list)
    _stopping: trio.Event = attrs.field(factory=trio.Event)

    def stop(self) -> None:
        """Ask for the orderly end. Waits for nothing."""
        self._stopping.set()

    async def wait_until_stopping(self) -> None:
        await self._stopping.wait()


Beside = Callable[[Gateway], Awaitable[None]]


async def daemon(
    host: Host,
    config: Config,
    *,
    beside: Sequence[tuple[str, Beside]] = (),
    task_status: trio.TaskStatus[Gateway] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the gateway until it is asked to stop, then end in order, bounded in time.

    `beside` are tasks, with their names, that live as long as it does. Raises `StoreError` and
    `ConfigurationError` when it cannot start.
    """
    sealer = Sealer.from_file(host, config.store.key_file)
    components = [component.jid for component in config.components]
    store = await host.run_blocking(lambda: Store.open(host, config.store.url, sealer, components))
    try:
        gateway = Gateway(config, store, Journal(host, store), Sessions())
        for component in config.components:
            await _add_domain(host, gateway, component)
        await _run(gateway, beside, task_status)
    finally:
        store.close()


async def _run(
    gateway: Gateway,
    beside: Sequence[tuple[str, Beside]],
    task_status: trio.TaskStatus[Gateway],
) -> None:
    trio.lowlevel.current_task().name = "app"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.journal.run, name="journal")
        await nursery.start(gateway.sessions.run, name="sessions")
        nursery.start_soon(_links, gateway, name="links")
        for name, task in beside:
            nursery.start_soon(task, gateway, name=name)
        task_status.started(gateway)
        await gateway.wait_until_stopping()
        await _end(gateway)
        nursery.cancel_scope.cancel()


async def _links(gateway: Gateway) -> None:
    async with trio.open_nursery() as nursery:
        for domain, router in zip(gateway.domains, gateway.routers, strict=True):
            nursery.start_soon(_link, domain, router, name=f"links/{domain.jid}")


async def _link(domain: Domain, router: Router) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(router.call_the_roll, name=f"links/{domain.jid}/roll call")
        await domain.link.run()


async def _end(gateway: Gateway) -> None:
    """Sign everybody off, say goodbye to every registered user, close the links (GW-LIFE-03)."""
    log.info("shutting down")
    for domain in gateway.domains:
        domain.closing = True
    await gateway.sessions.end_all()
    with trio.move_on_after(CLOSE_SECONDS):
        async with trio.open_nursery() as nursery:
            for domain in gateway.domains:
                for user in domain.accounts:
                    domain.link.send_state(
                        Presence(from_=domain.jid, to=user, type=PresenceType.UNAVAILABLE)
                    )
                nursery.start_soon(_close, gateway, domain, name=f"links/{domain.jid}/closing")
    await gateway.journal.flush()


async def _close(gateway: Gateway, domain: Domain) -> None:
    """Close a link in order; if it was up, everybody has been told that we are gone."""
    was_up = domain.link.status.state is LinkState.UP
    await domain.link.drain_and_close()
    if was_up and not domain.crashed:
        component, store = str(domain.jid), gateway.store
        await domain.host.run_blocking(lambda: store.end_run(component))


async def _add_domain(host: Host, gateway: Gateway, config: ComponentConfig) -> None:
    store, journal = gateway.store, gateway.journal
    accounts = await host.run_blocking(lambda: store.accounts(config.jid))
    aliases = await host.run_blocking(lambda: store.aliases(config.jid))
    rows = await host.run_blocking(lambda: store.journal(config.jid))
    crashed = await host.run_blocking(lambda: store.begin_run(config.jid))
    jid = Jid.parse(config.jid)
    network = config.network_class(host, config.service)
    addresses = Addresses(jid, network.canonical, aliases, journal)
    settings = LinkSettings(
        jid=jid,
        domain=config.domain,
        server=config.server,
        secret=config.secret,
        max_stanza_bytes=config.max_stanza_bytes,
    )
    router = Router(gateway.sessions)
    link = Link(host, settings, router)
    domain = Domain(
        host=host,
        config=config,
        jid=jid,
        network=network,
        store=store,
        journal=journal,
        addresses=addresses,
        link=link,
        deliveries=Deliveries(host, jid, link, journal),
        gate=Gate(
            host,
            config.sign_on_limit,
            config.sign_on_rate,
            name=f"{jid} ({network.service_name})",
            allowances=gateway.allowances,
        ),
        privileges=Privileges({config.domain, *config.allow}),
        accounts={Jid.parse(account.jid): account for account in accounts},
        started=trio.current_time(),
        crashed=crashed,
    )
    domain.gate.recovered = router.service_recovered
    router.serve(domain)
    gateway.domains.append(domain)
    gateway.routers.append(router)
    for row in rows:
        _bring_back(domain, row)


def _bring_back(domain: Domain, row: JournalRow) -> None:
    """Deliver what the journal held for users, and tell of their own messages in it (design §6)."""
    try:
        stanza = stanza_from(element_from_bytes(row.payload))
    except (StoreError, RemoteProtocolError) as exc:
        log.error("journal row %d is left alone, it cannot be read: %s", row.row_id, exc)
        return
    if not isinstance(stanza, Message):
        log.error("journal row %d is left alone, it holds no message", row.row_id)
        return
    if row.direction == FROM_USER:
        condition, type_ = Condition.REMOTE_SERVER_TIMEOUT, ErrorType.WAIT
        error = error_reply(stanza, condition, texts.MAY_HAVE_ARRIVED, type=type_)
        assert isinstance(error, Message)
        stanza = error
    entry = Entry(
        account_id=row.account_id,
        direction=TO_USER,
        message=stanza,
        at=row.at,
        born=trio.current_time(),
        legacy_id=row.legacy_id,
        row=row.row_id,
    )
    domain.deliveries.keep(entry)
