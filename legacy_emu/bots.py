"""Users who are programs: in-process, over no wire, on the same backend as everybody."""

import contextlib
from collections import deque

import trio

from legacy_emu import events
from legacy_emu.events import RequestRefused, SignOnRefused
from legacy_emu.service import Service

MAX_UNREAD = 1_000
ELSEWHERE_SECONDS = 10  # how long a bot stays away when somebody takes its place or account


class _Inbox:
    """A bot's ear: events wait here for its task; the oldest are forgotten when it is slow."""

    def __init__(self) -> None:
        self._events: deque[events.Event] = deque(maxlen=MAX_UNREAD)
        self._more = trio.Event()

    def put(self, event: events.Event) -> None:
        self._events.append(event)
        self._more.set()

    async def take(self) -> events.Event:
        while not self._events:
            self._more = trio.Event()
            await self._more.wait()
        await trio.lowlevel.checkpoint()
        return self._events.popleft()


async def run_echo(service: Service, address: str) -> None:
    """Say back what everybody says, and let everybody in who asks."""
    await _run(service, address, echo=True)


async def run_chatter(service: Service, address: str, seconds: float) -> None:
    """Say something to each contact who is online, every `seconds` or so; echo nothing."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_chat, service, address, seconds, name=f"chatter/{address}")
        await _run(service, address, echo=False)


async def _run(service: Service, address: str, *, echo: bool) -> None:
    while True:
        with contextlib.suppress(RequestRefused, SignOnRefused):  # there is no such account now
            await _stay_signed_on(service, address, echo=echo)
        await trio.sleep(ELSEWHERE_SECONDS)


async def _stay_signed_on(service: Service, address: str, *, echo: bool) -> None:
    backend = service.backend
    person = backend.person(address)
    inbox = _Inbox()
    session = backend.sign_on(person.address, person.password, inbox, "bot")
    try:
        while not isinstance(event := await inbox.take(), events.SessionEnded):
            _answer(service, person.address, event, echo=echo)
    finally:
        backend.sign_off(session)


def _answer(service: Service, own: str, event: events.Event, *, echo: bool) -> None:
    backend = service.backend
    if isinstance(event, events.Value):
        backend.acknowledge(own, (event.id,))
    # Whoever has blocked the bot, is full or is gone gets no answer.
    with contextlib.suppress(RequestRefused):
        match event:
            case events.RequestArrived(address=address):
                backend.grant(own, address)
                backend.add_contact(own, address)
            case events.MessageArrived(sender=sender, text=text) if echo and sender != own:
                backend.send_message(own, sender, text)


async def _chat(service: Service, own: str, seconds: float) -> None:
    number = 0
    while True:
        await trio.sleep(seconds * service.world.random.uniform(0.5, 1.5))
        number += 1
        with contextlib.suppress(RequestRefused):  # there is no such account now
            for contact in service.backend.contacts(own):
                _remark(service, own, contact.address, f"Remark number {number}.")


def _remark(service: Service, own: str, contact: str, text: str) -> None:
    if service.backend.person(contact).sessions:
        with contextlib.suppress(RequestRefused):
            service.backend.send_message(own, contact, text)


def populate(service: Service, accounts: int, contacts: int, password: str) -> list[str]:
    """Make `user0`, `user1`… who each have the next `contacts` of them on their lists."""
    names = [
        service.backend.create_account(f"user{number}", password, f"User {number}").address
        for number in range(accounts)
    ]
    for at, name in enumerate(names):
        for step in range(1, min(contacts, accounts - 1) + 1):
            service.backend.befriend(name, names[(at + step) % accounts])
    return names
