"""The login: a challenge and a hash, or a roasted password; a cookie for it."""

import logging

import attrs

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import login
from legacy_emu.events import Refusal, RequestRefused, SignOnRefused
from legacy_emu.faults import Kind, Moment
from legacy_emu.fronts.oscar.link import Link
from legacy_emu.fronts.oscar.looks import is_uin, name_of
from legacy_emu.fronts.oscar.shared import Ticket
from legacy_emu.names import NameRefused, canonical
from legacy_emu.people import Person

log = logging.getLogger(__name__)

BOS = 0  # the food group of a ticket for the service proper

UNKNOWN_NAME = 0x0001
UNKNOWN_UIN = 0x0008

_CODES = {
    Refusal.WRONG_CREDENTIALS: 0x0005,
    Refusal.SUSPENDED: 0x0011,
    Refusal.FORBIDDEN: 0x0022,
    Refusal.ELSEWHERE: 0x0016,
    Refusal.TOO_MANY_ATTEMPTS: 0x001D,
    Refusal.BUSY: 0x0014,
}


class Login:
    """A login connection. A `Speaker`."""

    def __init__(self, link: Link, hello: wire.SignOn) -> None:
        self._link = link
        self._backend = link.service.backend
        self._challenge = b""
        self._asked: str | None = None
        if hello.name is not None:
            self._roasted(hello)

    def take(self, snac: wire.Snac) -> None:
        match snac.body:
            case login.ChallengeQuery(name=name):
                self._challenge_for(name, snac.request)
            case login.LoginQuery() as query:
                self._hashed(query, snac.request)
            case body:
                raise wire.RemoteProtocolError(f"{type(body).__name__} during the login")

    def written(self, value: str) -> None:
        pass

    def wake_at(self) -> float:
        return float("inf")

    def wake(self) -> None:
        pass

    def leave(self, *, orderly: bool) -> None:
        pass

    # --- the two ways -------------------------------------------------------------------------

    def _challenge_for(self, name: str | None, request: int) -> None:
        try:
            self._person(name)
        except SignOnRefused:
            self._link.say(login.LoginReply(error=UNKNOWN_NAME), request)
            self._link.finish(None)
            return
        self._challenge = b"%010d" % self._link.service.world.random.randrange(10**10)
        self._asked = name
        self._link.say(login.Challenge(self._challenge), request)

    def _hashed(self, query: login.LoginQuery, request: int) -> None:
        if not self._challenge:
            raise wire.RemoteProtocolError("a hash of a challenge that was not asked for")
        several, client = query.several or 0, query.client or ""
        try:
            if query.name != self._asked:
                raise SignOnRefused(Refusal.WRONG_CREDENTIALS)
            person = self._person(query.name)
            if self._is_dropped():
                return
            self._check_refusals()
            secret = person.password.encode()
            right = (
                login.strong_hash(self._challenge, secret),
                login.weak_hash(self._challenge, secret),
            )
            if query.hash not in right:  # clients are not to be trusted about which it is
                raise SignOnRefused(Refusal.WRONG_CREDENTIALS)
        except SignOnRefused as exc:
            reply = login.LoginReply(name=query.name, error=_code(exc.reason, UNKNOWN_NAME))
        else:
            reply = login.LoginReply(
                name=name_of(person),
                address=self._link.address or None,
                cookie=self._cookie(person, several, client),
                tls=0,
            )
        self._link.say(reply, request)
        self._link.finish(wire.SignOff())

    def _roasted(self, hello: wire.SignOn) -> None:
        several, client = hello.several or 0, hello.client or ""
        unknown = UNKNOWN_UIN if is_uin(hello.name or "") else UNKNOWN_NAME
        try:
            person = self._person(hello.name)
            if self._is_dropped():
                return
            self._check_refusals()
            if login.roast(hello.roasted or b"") != person.password.encode():
                raise SignOnRefused(Refusal.WRONG_CREDENTIALS)
        except SignOnRefused as exc:
            answer = wire.SignOff(name=hello.name, error=_code(exc.reason, unknown))
        else:
            answer = wire.SignOff(
                name=name_of(person),
                address=self._link.address or None,
                cookie=self._cookie(person, several, client),
                tls=0,
            )
        # Not by `finish`: the short sign-off is for those who are signed on.
        self._link.send(answer)
        self._link.finish(None)

    # --- helpers ------------------------------------------------------------------------------

    def _person(self, name: str | None) -> Person:
        try:
            self._link.connection.account = canonical(name or "")
            return self._backend.person(name or "")
        except (NameRefused, RequestRefused) as exc:
            raise SignOnRefused(Refusal.UNKNOWN_ACCOUNT, str(exc)) from exc

    def _is_dropped(self) -> bool:
        connection = self._link.connection
        if self._link.service.faults.take(Kind.DROP, connection, Moment.SIGN_ON) is None:
            return False
        connection.cut()
        return True

    def _check_refusals(self) -> None:
        refusal = self._link.service.faults.take(Kind.REFUSE, self._link.connection)
        if refusal is not None:
            raise SignOnRefused(refusal.reason, refusal.text, refusal.retry_after)

    def _cookie(self, person: Person, several: int, client: str) -> bytes:
        log.debug("%s: %s may sign on", self._link.connection.id, person.address)
        ticket = Ticket(person, BOS, client[:100], several)
        return self._link.shared.issue(attrs.evolve(ticket))


def _code(reason: Refusal, unknown: int) -> int:
    return _CODES.get(reason, unknown)
