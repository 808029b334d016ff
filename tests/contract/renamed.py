"""A network whose accounts have other names than the tests give them: numbers, say."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs

from gateway.networks.base import (
    Account,
    Ask,
    Capabilities,
    Description,
    LegacyClient,
    LegacyCommand,
    LegacyEvent,
    LoginLimit,
    Network,
)

T = TypeVar("T")

# The fields of events, commands and what is in them that name accounts.
NAMING = ("address", "conversation", "sender", "only_for", "contact", "contacts", "result")


class RenamedNetwork:
    """Passes everything on to `network` and back, with `names` in place of what they stand for."""

    # It is a network in all but this: what belongs to the class of one is here the instance's.
    def __init__(self, network: Network, names: Mapping[str, str]) -> None:
        self.Settings = network.Settings
        self._network = network
        self._there = names
        self._here = {there: here for here, there in names.items()}

    @property
    def description(self) -> Description:
        return self._network.description

    @property
    def service_name(self) -> str:
        return self._network.service_name

    def canonical(self, text: str) -> str:
        found = self._network.canonical(self._there.get(text, text))
        return self._here.get(found, found)

    def login_limit(self, account: Account) -> LoginLimit | None:
        return self._network.login_limit(renamed(account, self._there))

    async def check(self, account: Account, ask: Ask) -> bool:
        return await self._network.check(renamed(account, self._there), ask)

    @asynccontextmanager
    async def sign_on(self, account: Account, ask: Ask) -> AsyncGenerator[LegacyClient, None]:
        async with self._network.sign_on(renamed(account, self._there), ask) as client:
            yield RenamedClient(client, self._there, self._here)


@attrs.frozen
class RenamedClient:
    _client: LegacyClient
    _there: Mapping[str, str]
    _here: Mapping[str, str]

    @property
    def own_address(self) -> str:
        return self._here.get(self._client.own_address, self._client.own_address)

    @property
    def display_name(self) -> str:
        return self._client.display_name

    @property
    def capabilities(self) -> Capabilities:
        return self._client.capabilities

    async def receive(self) -> LegacyEvent:
        return renamed(await self._client.receive(), self._here)

    async def send(self, command: LegacyCommand) -> None:
        await self._client.send(renamed(command, self._there))

    def acknowledge(self, token: object) -> None:
        self._client.acknowledge(token)


def renamed(value: T, names: Mapping[str, str]) -> T:
    """Return `value` with the accounts in it renamed."""
    changed: object = value
    if isinstance(value, str):
        changed = names.get(value, value)
    elif isinstance(value, tuple):
        changed = tuple(renamed(each, names) for each in value)
    elif attrs.has(type(value)):
        fields = [one.name for one in attrs.fields(type(value)) if one.name in NAMING]  # type: ignore[arg-type]
        changes = {name: renamed(getattr(value, name), names) for name in fields}
        changed = attrs.evolve(value, **changes)  # type: ignore[misc]
    return changed  # type: ignore[return-value]
