"""A legacy network by hand: it says what a test tells it to say, and keeps what it was told."""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

import attrs
import trio

from gateway.host import Host
from gateway.networks.base import (
    Account,
    AddContact,
    AddResult,
    Ask,
    Capabilities,
    CommandDone,
    Contact,
    ContactList,
    Description,
    Field,
    InvalidAddress,
    LegacyCommand,
    LegacyEvent,
    LoginLimit,
    LoginRefused,
    MessageOutcome,
    Refusal,
    RemoveContact,
    SendMessage,
    SignedOff,
    Stage,
)


@attrs.frozen
class FakeSettings:
    pass


class FakeClient:
    """One sign-on. `tell` makes an event, `end` makes the network end it."""

    display_name = "Romeo"

    def __init__(self, network: "FakeNetwork", account: Account) -> None:
        self.network = network
        self.own_address = account.address
        self.capabilities = network.capabilities
        self.sent: list[LegacyCommand] = []
        self.acknowledged: list[object] = []
        self.stuck: trio.Event | None = None  # until it is set, nothing is written
        self._events: deque[LegacyEvent | BaseException] = deque()
        self._news = trio.Event()
        self.tell(ContactList(tuple(network.contacts)))

    def tell(self, *events: LegacyEvent | BaseException) -> None:
        self._events.extend(events)
        self._news.set()

    def end(self, reason: Refusal | None = None) -> None:
        self.tell(SignedOff(reason))

    async def receive(self) -> LegacyEvent:
        while not self._events:
            self._news = trio.Event()
            await self._news.wait()
        event = self._events.popleft()
        if isinstance(event, BaseException):
            self._events.appendleft(event)  # the end stays the end
            raise event
        return event

    async def send(self, command: LegacyCommand) -> None:
        if self.stuck is not None:
            await self.stuck.wait()
        await trio.lowlevel.checkpoint()
        self.sent.append(command)
        if (answer := self.network.rules.answer(command)) is not None:
            self.tell(answer)

    def acknowledge(self, token: object) -> None:
        if token is not None:
            self.acknowledged.append(token)


@attrs.define
class Rules:
    """How the network answers a command; a test may set another way."""

    answer: Callable[[LegacyCommand], LegacyEvent | None] = attrs.field(factory=lambda: obedient)


class FakeNetwork:
    """`accounts` is shared by all instances of a class: make a class of your own by `fake()`."""

    Settings: ClassVar[type] = FakeSettings
    description: Description = Description(
        kind="aim",
        title="Fakenet",
        prompt="Contact ID",
        prompt_description="Please enter the name of the person you would like to contact.",
        instructions="Enter your Fakenet name and password.",
        fields=(
            Field("username", "Name"),
            Field("password", "Password", secret=True),
        ),
        capabilities=Capabilities(typing=True, deny=True, groups=True),
    )
    service_name = "fakenet"
    passwords: ClassVar[dict[str, str]]
    contacts: ClassVar[list[Contact]]
    clients: ClassVar[list[FakeClient]]
    attempts: ClassVar[list[Account]]
    failures: ClassVar[deque[BaseException]]  # the next sign-ons fail so
    silent: ClassVar[list[bool]]  # not empty: nobody answers a sign-on
    waiting: ClassVar[list[LegacyEvent]]  # told to the next sign-on, and never again
    cannot_check: ClassVar[list[bool]]  # not empty: credentials are tried by signing on alone
    one_sign_on: ClassVar[list[bool]]  # not empty: a further sign-on ends the one before
    limits: ClassVar[list[LoginLimit]]  # not empty: what the service takes
    rules: ClassVar["Rules"]
    capabilities = description.capabilities

    def __init__(self, host: Host, settings: object) -> None:
        self._host = host

    @staticmethod
    def canonical(text: str) -> str:
        name = text.replace(" ", "").lower()
        if not name or len(name) > 64:
            raise InvalidAddress(f"{text!r} is no name on Fakenet")
        return name

    def login_limit(self, account: Account) -> LoginLimit | None:
        return self.limits[0] if self.limits else None

    async def check(self, account: Account, ask: Ask) -> bool:
        if self.cannot_check:
            return False
        await self._let_in(account)
        return True

    @asynccontextmanager
    async def sign_on(self, account: Account, ask: Ask) -> AsyncGenerator[FakeClient, None]:
        await self._let_in(account)
        if self.one_sign_on:
            for other in [one for one in self.clients if one.own_address == account.address]:
                other.end(Refusal.ELSEWHERE)
        client = FakeClient(self, account)
        client.tell(*self.waiting)
        self.waiting.clear()
        self.clients.append(client)
        try:
            yield client
        finally:
            self.clients.remove(client)

    async def _let_in(self, account: Account) -> None:
        await trio.lowlevel.checkpoint()
        self.attempts.append(account)
        if self.silent:
            await trio.sleep_forever()
        if self.failures:
            raise self.failures.popleft()
        if self.passwords.get(account.address) != account.secret:
            raise LoginRefused(Refusal.WRONG_CREDENTIALS)


def obedient(command: LegacyCommand) -> LegacyEvent | None:
    """Answer as a network on which all goes well."""
    match command:
        case SendMessage(ref=ref):
            return MessageOutcome(ref, Stage.ACCEPTED)
        case AddContact(ref=ref):
            return CommandDone(ref, AddResult.GRANTED)
        case RemoveContact(ref=ref):
            return CommandDone(ref)
    return None


def fake() -> type[FakeNetwork]:
    """Return a network class with a world of its own: romeo and mercutio may sign on."""

    class World(FakeNetwork):
        passwords = {"romeo": "montague", "mercutio": "queenmab", "romy": "montague"}  # noqa: RUF012
        contacts: ClassVar[list[Contact]] = [Contact("juliet", "Juliet"), Contact("nurse")]
        clients: ClassVar[list[FakeClient]] = []
        attempts: ClassVar[list[Account]] = []
        failures: ClassVar[deque[BaseException]] = deque()
        silent: ClassVar[list[bool]] = []
        waiting: ClassVar[list[LegacyEvent]] = []
        cannot_check: ClassVar[list[bool]] = []
        one_sign_on: ClassVar[list[bool]] = []
        limits: ClassVar[list[LoginLimit]] = []
        rules = Rules()

    return World
