"""AIM and ICQ, which are one protocol (OSCAR) under two names."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import ClassVar

import attrs
import trio

from gateway.errors import ConnectionLost
from gateway.host import Address, Host
from gateway.networks.base import (
    Account,
    Ask,
    Capabilities,
    Description,
    Field,
    LegacyClient,
    LoginLimit,
    LoginRefused,
    Refusal,
)
from gateway.networks.oscar.client import OscarClient, Pace, Place, linked, ticket_for
from gateway.networks.oscar.fetching import Fetching
from gateway.networks.oscar.pictures import Pictures
from gateway.networks.oscar.protocol import (
    Login,
    Session,
    Ticket,
    Traits,
    canonical_contact,
    canonical_screen_name,
    canonical_uin,
)
from gateway.networks.oscar.settings import (
    AimSettings,
    IcqSettings,
    NotAllowed,
    Preset,
    Server,
    Settings,
    address_of,
    preset_of,
    redirected,
)

log = logging.getLogger(__name__)

AIM_CAPABILITIES = Capabilities(
    typing=True,
    profile=True,
    avatar=True,
    block=True,
    groups=True,
    offline_messages=True,
    several_sign_ons=True,
)
ICQ_CAPABILITIES = attrs.evolve(AIM_CAPABILITIES, deny=True, search=True)
SERVER_FIELD = "x-server"
MAX_TOLD = 20  # addresses of a service that the operator is told of
LOGIN_SECONDS = 62.0  # a minute, and what the clocks of two machines may differ in it
TICKET_SECONDS = 45.0  # cookies are good for a minute
MAX_TICKETS = 1_000


class Tickets:
    """What logins gave that only tried a password, until somebody signs on with it.

    Trying a password and signing on then is one login for the service, and not two.
    """

    def __init__(self) -> None:
        self._tickets: dict[str, tuple[float, Account, Ticket]] = {}  # by address

    def keep(self, account: Account, ticket: Ticket) -> None:
        now = trio.current_time()
        kept = ((key, one) for key, one in self._tickets.items() if one[0] > now)
        self._tickets = dict([*kept][-MAX_TICKETS + 1 :])
        self._tickets[account.address] = (now + TICKET_SECONDS, account, ticket)

    def holds(self, account: Account) -> bool:
        """Say whether there is a ticket that `take` would give."""
        until, owner, _ = self._tickets.get(account.address, (float("-inf"), None, None))
        return until > trio.current_time() and owner == account

    def take(self, account: Account) -> Ticket | None:
        """Return a ticket for these credentials; each is good for one sign-on."""
        if not self.holds(account):
            return None
        _, _, ticket = self._tickets.pop(account.address)
        return ticket


class Redirects:
    """Where a service sends us; its operator is told once of each address that is not allowed."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._told: set[str] = set()

    def follow(self, told: str, tls: int) -> Address:
        """Return the address. Raises as `redirected`."""
        try:
            return redirected(self._server, told, tls)
        except NotAllowed as exc:
            if str(exc) not in self._told and len(self._told) < MAX_TOLD:
                self._told.add(str(exc))
                log.error("%s", exc)
            raise


@attrs.frozen(eq=False)
class Service:
    """One server, ready to be used; many users may be on it."""

    server: Server
    preset: Preset
    place: Place
    traits: Traits
    tickets: Tickets = attrs.field(factory=Tickets)
    fetching: Fetching = attrs.field(factory=Fetching)


class Oscar:
    """What both networks do."""

    Settings: ClassVar[type] = Settings
    description: Description

    def __init__(self, host: Host, settings: object) -> None:
        if not isinstance(settings, self.Settings) or not isinstance(settings, Settings):
            raise TypeError(f"{type(settings).__name__} given, expected {self.Settings.__name__}")
        self._host = host
        self._settings = settings
        self._usual = self._service(settings)
        self._others = {one.title: self._service(one) for one in settings.others}
        if self._others:
            chosen = Field(
                name=SERVER_FIELD,
                label="Server",
                required=False,
                options=(settings.title, *self._others),
                default=settings.title,
                names_account=True,
            )
            self.description = attrs.evolve(
                self.description, fields=(*self.description.fields, chosen)
            )

    def _service(self, server: Server) -> Service:
        settings, preset = self._settings, preset_of(server)
        return Service(
            server=server,
            preset=preset,
            traits=Traits(
                canonical=self.canonical,
                offered=attrs.evolve(
                    self.description.capabilities, several_sign_ons=settings.several_sign_ons
                ),
                several=settings.several_sign_ons,
                code_page=server.code_page,
                strips_html=preset.strips_html,
                has_utf8_directory=preset.has_utf8_directory,
                refuses_kept=preset.refuses_kept,
                forgets_mime=preset.forgets_mime,
                offline=preset.offline,
                message_bytes=preset.message_bytes,
                answer_seconds=settings.answer_seconds,
                retry_seconds=preset.retry_seconds,
            ),
            place=Place(
                host=self._host,
                address=address_of(server),
                pace=Pace(
                    sign_on=settings.sign_on_seconds,
                    sign_off=settings.sign_off_seconds,
                    ping=settings.ping_seconds,
                    pong=settings.pong_seconds,
                ),
                redirect=Redirects(server).follow,
                max_avatar_bytes=settings.max_avatar_bytes,
                pictures=Pictures(settings.avatar_cache_bytes),
            ),
        )

    @staticmethod
    def canonical(text: str) -> str:
        raise NotImplementedError

    @property
    def service_name(self) -> str:
        services = (self._usual, *self._others.values())
        return ", ".join(str(one.place.address) for one in services)

    def login_limit(self, account: Account) -> LoginLimit | None:
        try:
            service = self._service_of(account)
        except LoginRefused:
            return None
        most = service.preset.logins_a_minute
        if not most or service.tickets.holds(account):
            return None
        return LoginLimit(str(service.place.address), most, LOGIN_SECONDS)

    async def check(self, account: Account, ask: Ask) -> bool:
        del ask  # this service asks nothing
        service = self._service_of(account)
        login = self._login(account, service)
        ticket = await ticket_for(service.place, login, self._deadline())
        _session_address(service, ticket)
        service.tickets.keep(account, ticket)
        return True  # no connection has used the cookie: the account is not signed on

    @asynccontextmanager
    async def sign_on(self, account: Account, ask: Ask) -> AsyncGenerator[LegacyClient, None]:
        del ask
        service = self._service_of(account)
        deadline = self._deadline()
        kept = ticket = service.tickets.take(account)
        if ticket is None:
            ticket = await ticket_for(service.place, self._login(account, service), deadline)
        address = _session_address(service, ticket)
        own_address = self.canonical(account.address)
        nonce = self._host.token_bytes(4)
        way, notice = service.fetching.way(own_address, trio.current_time())
        session = Session(
            ticket.name,
            own_address,
            ticket.cookie,
            service.traits,
            nonce,
            way=way,
            notice=notice,
        )
        entered = False
        try:
            async with linked(service.place, address, session, deadline) as link:
                entered = True
                yield OscarClient(own_address, link, session)
        except LoginRefused as exc:
            if kept is None or entered or not exc.reason.passes:
                raise
            # The service may have forgotten its cookie: another login will tell.
            raise ConnectionLost(f"{address} does not take the cookie any more") from exc
        finally:
            now, was_online = trio.current_time(), session.is_online
            service.fetching.note(own_address, session.stored, now, was_online=was_online)

    def _service_of(self, account: Account) -> Service:
        """Return the server an account is on. Raises `LoginRefused` if it is offered no longer."""
        chosen = account.fields.get(SERVER_FIELD, "")
        if chosen in ("", self._usual.server.title):
            return self._usual
        if (found := self._others.get(chosen)) is None:
            said = f"The server {chosen!r} is offered no longer: register again and choose another."
            raise LoginRefused(Refusal.FORBIDDEN, said)
        return found

    def _deadline(self) -> float:
        return trio.current_time() + self._settings.sign_on_seconds

    def _login(self, account: Account, service: Service) -> Login:
        return Login(
            account.address,
            account.secret,
            variant=service.preset.login,
            several=self._settings.several_sign_ons,
            cut_secret=service.server.cuts_passwords,
            retry_seconds=service.preset.retry_seconds,
        )


def _session_address(service: Service, ticket: Ticket) -> Address:
    """Return where the session is. Raises `LoginRefused` where the operator does not allow that."""
    try:
        return service.place.redirect(ticket.address, ticket.tls)
    except NotAllowed as exc:
        raise LoginRefused(Refusal.MISCONFIGURED) from exc


class Aim(Oscar):
    """AIM, and what revives it."""

    Settings: ClassVar[type] = AimSettings
    description: Description = Description(
        kind="aim",
        title="AOL Instant Messenger",
        prompt="Contact ID",
        prompt_description="AOL Screen Name",
        instructions="Your screen name and password on the AIM service.",
        fields=(
            Field(name="username", label="Screen name"),
            Field(name="password", label="Password", secret=True),
        ),
        capabilities=AIM_CAPABILITIES,
        sample={"preset": "open-oscar-server", "host": "oscar.example.org", "tls": "off"},
    )

    @staticmethod
    def canonical(text: str) -> str:
        return canonical_screen_name(text)


class Icq(Oscar):
    """ICQ, and what revives it."""

    Settings: ClassVar[type] = IcqSettings
    description: Description = Description(
        kind="icq",
        title="ICQ",
        prompt="Contact ID",
        prompt_description="ICQ Number",
        instructions="Your ICQ number and password.",
        fields=(
            Field(name="username", label="ICQ number", canonical=canonical_uin),
            Field(name="password", label="Password", secret=True),
        ),
        capabilities=ICQ_CAPABILITIES,
        sample={"preset": "open-oscar-server", "host": "oscar.example.org", "tls": "off"},
    )

    @staticmethod
    def canonical(text: str) -> str:
        return canonical_contact(text)
