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
from gateway.networks.oscar.protocol import (
    Login,
    Session,
    Traits,
    canonical_screen_name,
    canonical_uin,
)
from gateway.networks.oscar.settings import (
    AimSettings,
    IcqSettings,
    Preset,
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


class Oscar:
    """What both networks do."""

    Settings: ClassVar[type] = Settings
    description: Description

    def __init__(self, host: Host, settings: object) -> None:
        if not isinstance(settings, self.Settings) or not isinstance(settings, Settings):
            raise TypeError(f"{type(settings).__name__} given, expected {self.Settings.__name__}")
        preset = preset_of(settings)
        self._host = host
        self._settings = settings
        self._preset = preset
        self._budget = LoginBudget(preset)
        self._capabilities = attrs.evolve(
            self.description.capabilities, several_sign_ons=settings.several_sign_ons
        )
        self._traits = Traits(
            canonical=self.canonical,
            offered=self._capabilities,
            several=settings.several_sign_ons,
            code_page=settings.code_page,
            strips_html=preset.strips_html,
            offline=preset.offline,
            message_bytes=preset.message_bytes,
            answer_seconds=settings.answer_seconds,
            retry_seconds=preset.retry_seconds,
        )
        self._place = Place(
            host=host,
            address=address_of(settings),
            pace=Pace(
                sign_on=settings.sign_on_seconds,
                sign_off=settings.sign_off_seconds,
                ping=settings.ping_seconds,
                pong=settings.pong_seconds,
            ),
            redirect=lambda told, tls: redirected(settings, told, tls),
            max_avatar_bytes=settings.max_avatar_bytes,
        )

    @staticmethod
    def canonical(text: str) -> str:
        raise NotImplementedError

    @property
    def service_name(self) -> str:
        return str(self._place.address)

    async def check(self, account: Account, ask: Ask) -> bool:
        del ask  # this service asks nothing
        self._budget.spend()
        await ticket_for(self._place, self._login(account), self._deadline())
        return True  # the cookie is never used, so that nobody was signed on

    @asynccontextmanager
    async def sign_on(self, account: Account, ask: Ask) -> AsyncGenerator[LegacyClient, None]:
        del ask
        self._budget.spend()
        deadline = self._deadline()
        ticket = await ticket_for(self._place, self._login(account), deadline)
        address = redirected(self._settings, ticket.address, ticket.tls)
        own_address = self.canonical(account.address)
        nonce = self._host.token_bytes(4)
        session = Session(ticket.name, own_address, ticket.cookie, self._traits, nonce)
        async with linked(self._place, address, session, deadline) as link:
            yield OscarClient(own_address, link, session)

    def _deadline(self) -> float:
        return trio.current_time() + self._settings.sign_on_seconds

    def _login(self, account: Account) -> Login:
        return Login(
            account.address,
            account.secret,
            variant=self._preset.login,
            several=self._settings.several_sign_ons,
            cut_secret=isinstance(self._settings, IcqSettings) and self._settings.cut_password,
            retry_seconds=self._preset.retry_seconds,
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
            Field(name="username", label="ICQ number"),
            Field(name="password", label="Password", secret=True),
        ),
        capabilities=ICQ_CAPABILITIES,
    )

    @staticmethod
    def canonical(text: str) -> str:
        return canonical_uin(text)
