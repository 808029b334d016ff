"""AIM and ICQ, which are one protocol (OSCAR) under two names."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import ClassVar

import attrs
import trio

from gateway.host import Host
from gateway.networks.base import (
    Account,
    Ask,
    Capabilities,
    Description,
    Field,
    LegacyClient,
    LoginRefused,
    Refusal,
)
from gateway.networks.oscar.client import OscarClient, Pace, Place, linked, ticket_for
from gateway.networks.oscar.pictures import Pictures
from gateway.networks.oscar.protocol import (
    Login,
    Session,
    Traits,
    canonical_contact,
    canonical_screen_name,
    canonical_uin,
)
from gateway.networks.oscar.settings import (
    AimSettings,
    IcqSettings,
    Preset,
    Server,
    Settings,
    address_of,
    preset_of,
    redirected,
)

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


class LoginBudget:
    """How many logins a service takes from one address before it refuses them all for a while."""

    def __init__(self, preset: Preset) -> None:
        self._burst = preset.login_burst
        self._seconds = 60 / preset.logins_a_minute if preset.logins_a_minute else 0.0
        self._used = 0.0
        self._last = float("-inf")

    def spend(self) -> None:
        """Take one. Raises `LoginRefused`, with the time to wait, when there is none left."""
        if not self._burst or not self._seconds:
            return
        now = trio.current_time()
        self._used = max(0.0, self._used - (now - self._last) / self._seconds)
        self._last = now
        if self._used > self._burst - 1:
            wait = (self._used - self._burst + 1) * self._seconds
            raise LoginRefused(Refusal.BUSY, "Too many users sign on at once; yours waits.", wait)
        self._used += 1


@attrs.frozen(eq=False)
class Service:
    """One server, ready to be used; many users may be on it."""

    server: Server
    preset: Preset
    place: Place
    traits: Traits
    budget: LoginBudget


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
            budget=LoginBudget(preset),
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
                redirect=lambda told, tls: redirected(server, told, tls),
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

    async def check(self, account: Account, ask: Ask) -> bool:
        del ask  # this service asks nothing
        service = self._service_of(account)
        service.budget.spend()
        await ticket_for(service.place, self._login(account, service), self._deadline())
        return True  # the cookie is never used, so that nobody was signed on

    @asynccontextmanager
    async def sign_on(self, account: Account, ask: Ask) -> AsyncGenerator[LegacyClient, None]:
        del ask
        service = self._service_of(account)
        service.budget.spend()
        deadline = self._deadline()
        ticket = await ticket_for(service.place, self._login(account, service), deadline)
        address = service.place.redirect(ticket.address, ticket.tls)
        own_address = self.canonical(account.address)
        nonce = self._host.token_bytes(4)
        session = Session(ticket.name, own_address, ticket.cookie, service.traits, nonce)
        async with linked(service.place, address, session, deadline) as link:
            yield OscarClient(own_address, link, session)

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
