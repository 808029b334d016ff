"""What the connections of the OSCAR front share: cookies, feedbags, what clients left with us."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import trio

from legacy_emu.events import RequestRefused
from legacy_emu.fronts.oscar.feedbag import Feedbag
from legacy_emu.fronts.oscar.stored import Kept
from legacy_emu.people import Person
from legacy_emu.service import Service

if TYPE_CHECKING:
    from legacy_emu.fronts.oscar.bos import Bos

COOKIE_BYTES = 256  # some clients count on it
COOKIE_SECONDS = 60
MAX_COOKIES = 10_000
LOGIN_SECONDS = 60
MAX_PEERS = 1_000
MAX_RAWS = 10_000


@attrs.frozen
class Ticket:
    """What a cookie is good for: one connection of this account, to the service of `group`."""

    person: Person
    group: int
    client: str = ""
    several: int = 0  # what the client said of several sign-ons
    until: float = 0.0


@attrs.define(eq=False)
class Account:
    """What this front knows of an account beyond what the backend does."""

    person: Person
    feedbag: Feedbag
    capabilities: tuple[bytes, ...] = ()
    profile: str = ""  # HTML, as an AIM client wrote it
    adders: set[str] | None = None  # who is known to see the account
    askers: set[str] = attrs.field(factory=set)  # who has asked to, and has no answer yet
    welcome: set[str] = attrs.field(factory=set)  # who may add the account without asking
    connections: list["Bos"] = attrs.field(factory=list)
    kept: Kept = attrs.field(factory=Kept)


@attrs.define
class _Logins:
    since: float
    count: int = 0
    hashed: bool = False  # one of them was by challenge and hash


class Logins:
    """How many logins came from where, in a minute counted from the first of them."""

    def __init__(self) -> None:
        self._by_peer: dict[str, _Logins] = {}

    def take(self, peer: str, most: int) -> bool:
        """Count a login from `peer`, and say whether it is within the limit."""
        now = trio.current_time()
        found = self._by_peer.get(peer)
        if found is None or now - found.since >= LOGIN_SECONDS:
            if len(self._by_peer) >= MAX_PEERS:
                self._by_peer.pop(next(iter(self._by_peer)))
            found = self._by_peer[peer] = _Logins(now)
        found.count += 1
        return found.count <= most

    def note_hashed(self, peer: str) -> None:
        if peer in self._by_peer:
            self._by_peer[peer].hashed = True

    def has_hashed(self, peer: str) -> bool:
        return peer in self._by_peer and self._by_peer[peer].hashed


@attrs.frozen
class Raw:
    """A message as its sender's client wrote it."""

    cookie: bytes
    text: bytes | None = attrs.field(repr=False)  # TLV 2


class Raws:
    """Messages that are under way, as they came, until they are acknowledged."""

    def __init__(self) -> None:
        self._by_id: dict[str, Raw] = {}
        self._passing: Raw | None = None  # to whoever hears of a message now

    @contextmanager
    def passing(self, raw: Raw | None) -> Iterator[None]:
        self._passing = raw
        try:
            yield
        finally:
            self._passing = None

    def keep(self, message: str, raw: Raw | None) -> None:
        if raw is None:
            return
        if len(self._by_id) >= MAX_RAWS:
            del self._by_id[next(iter(self._by_id))]
        self._by_id[message] = raw

    def find(self, message: str) -> Raw | None:
        return self._by_id.get(message, self._passing)

    def forget(self, message: str) -> None:
        self._by_id.pop(message, None)


class Shared:
    def __init__(self, service: Service) -> None:
        self.logins = Logins()
        self.raws = Raws()
        self._service = service
        self._tickets: dict[bytes, Ticket] = {}
        self._accounts: dict[str, Account] = {}

    def issue(self, ticket: Ticket) -> bytes:
        """Return a cookie for one use, soon."""
        now = trio.current_time()
        if len(self._tickets) >= MAX_COOKIES:
            fresh = {key: each for key, each in self._tickets.items() if each.until > now}
            self._tickets = dict(list(fresh.items())[-MAX_COOKIES // 2 :])
        cookie = self._service.world.random.randbytes(COOKIE_BYTES)
        self._tickets[cookie] = attrs.evolve(ticket, until=now + COOKIE_SECONDS)
        return cookie

    def redeem(self, cookie: bytes) -> Ticket | None:
        ticket = self._tickets.pop(cookie, None)
        if ticket is None or ticket.until < trio.current_time():
            return None
        try:
            there = self._service.backend.person(ticket.person.address) is ticket.person
        except RequestRefused:
            there = False
        return ticket if there else None

    def account(self, person: Person) -> Account:
        found = self._accounts.get(person.address)
        if found is None or found.person is not person:  # deleted, and made anew
            found = Account(person, Feedbag(person, self._service.backend.person))
            self._accounts[person.address] = found
        return found
