"""The emulated legacy service (`legacy_emu`) as a network: for demos, tests, and as the model."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import ClassVar

import attrs

from gateway.host import Address, Host
from gateway.networks.base import (
    Account,
    Ask,
    Capabilities,
    Description,
    Field,
    LegacyClient,
    LoginLimit,
)
from gateway.networks.emu import protocol
from gateway.networks.emu.client import EmuClient, Pace, linked

CAPABILITIES = Capabilities(
    per_contact_presence=True,
    deny=True,
    typing=True,
    receipts=True,
    edits=True,
    read=True,
    profile=True,
    avatar=True,
    search=True,
    block=True,
    nudge=True,
    groups=True,
    offline_messages=True,
    several_sign_ons=True,
)


def _seconds(_: object, field: "attrs.Attribute[float]", value: float) -> None:
    if not 0 < value < 86_400:
        raise ValueError(f"{field.name} is {value}, expected a number of seconds above 0")


def _port(_: object, field: "attrs.Attribute[int]", value: int) -> None:
    if not 0 < value < 65_536:
        raise ValueError(f"{field.name} is {value}, expected a number from 1 to 65535")


def _on_or_off(_: object, field: "attrs.Attribute[str]", value: str) -> None:
    if value not in ("on", "off"):
        raise ValueError(f'{field.name} is {value!r}, expected "on" or "off"')


@attrs.frozen(kw_only=True)
class Settings:
    """What `[component.service]` holds. `tls` has no default: cleartext must be written down."""

    host: str
    port: int = attrs.field(validator=_port)
    tls: str = attrs.field(validator=_on_or_off)
    sign_on_seconds: float = attrs.field(default=30.0, validator=_seconds)
    sign_off_seconds: float = attrs.field(default=5.0, validator=_seconds)
    ping_seconds: float = attrs.field(default=30.0, validator=_seconds)
    pong_seconds: float = attrs.field(default=30.0, validator=_seconds)


class EmuNetwork:
    """One emulated service."""

    Settings: ClassVar[type] = Settings
    description: Description = Description(
        kind="emu",
        title="Emulated service",
        prompt="Screen name",
        prompt_description="The screen name of the person you look for; spaces and case are free.",
        instructions="Your screen name and password on the emulated service.",
        fields=(
            Field(name="username", label="Screen name"),
            Field(name="password", label="Password", secret=True),
        ),
        capabilities=CAPABILITIES,
        sample={"host": "127.0.0.1", "port": 4000, "tls": "off"},
    )

    def __init__(self, host: Host, settings: object) -> None:
        if not isinstance(settings, Settings):
            raise TypeError(f"{type(settings).__name__} given, expected EmuNetwork.Settings")
        self._host = host
        self._address = Address(settings.host, settings.port, tls=settings.tls == "on")
        self._pace = Pace(
            sign_on=settings.sign_on_seconds,
            sign_off=settings.sign_off_seconds,
            ping=settings.ping_seconds,
            pong=settings.pong_seconds,
        )

    @staticmethod
    def canonical(text: str) -> str:
        return protocol.canonical(text)

    @property
    def service_name(self) -> str:
        return str(self._address)

    def login_limit(self, account: Account) -> LoginLimit | None:
        del account  # this service takes any number
        return None

    async def check(self, account: Account, ask: Ask) -> bool:
        del ask  # this service asks nothing
        session = protocol.Session(CAPABILITIES)
        async with linked(self._host, self._address, session, session.check(account), self._pace):
            return session.checked

    @asynccontextmanager
    async def sign_on(self, account: Account, ask: Ask) -> AsyncGenerator[LegacyClient, None]:
        del ask
        session = protocol.Session(CAPABILITIES)
        async with linked(
            self._host, self._address, session, session.sign_on(account), self._pace
        ) as link:
            assert session.signed_on is not None
            yield EmuClient(
                own_address=protocol.canonical(account.address),
                display_name=session.signed_on.name,
                capabilities=session.signed_on.capabilities,
                link=link,
                session=session,
            )
