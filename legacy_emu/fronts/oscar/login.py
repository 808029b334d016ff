"""The login: a challenge and a hash, or a roasted password; a cookie for it."""

import logging

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import login
from legacy_emu.events import Refusal, RequestRefused
from legacy_emu.faults import Kind, Moment
from legacy_emu.fronts.oscar.link import Link
from legacy_emu.fronts.oscar.looks import clean, is_uin, name_of, to_utf8
from legacy_emu.fronts.oscar.shared import Ticket
from legacy_emu.names import NameRefused, canonical
from legacy_emu.people import Person

log = logging.getLogger(__name__)

BOS = 0  # the food group of a ticket for the service proper

UNKNOWN_NAME = 0x0001
UNKNOWN_UIN = 0x0008
RATE_LIMITED = 0x001D

# Each refusal names a page that explains it. There is none: this name never resolves.
# QUIRK(Twisted 16.6): a refusal without TLV 04 raises KeyError.
EXPLANATION = "http://legacy-emu.invalid/refused"

_CODES = {
    Refusal.WRONG_CREDENTIALS: 0x0005,
    Refusal.UNKNOWN_ACCOUNT: 0x0008,
    Refusal.SUSPENDED: 0x0011,
    Refusal.FORBIDDEN: 0x001B,
    Refusal.ELSEWHERE: 0x0016,
    Refusal.TOO_MANY_ATTEMPTS: RATE_LIMITED,
    Refusal.BUSY: 0x0014,
}


class Login:
    """A login connection. A `Speaker`."""

    def __init__(self, link: Link, hello: wire.SignOn) -> None:
        self._link = link
        self._backend = link.service.backend
        self._challenge = b""
        self._asked: str | None = None
        if not self._is_within_limit(hello):
            return
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

    def _is_within_limit(self, hello: wire.SignOn) -> bool:
        """Count this login; one too many is refused at once, as the last login here was made."""
        logins, most = self._link.shared.logins, self._link.traits.logins_a_minute
        refused = most and not logins.take(self._link.peer, most)
        if refused and logins.has_hashed(self._link.peer):
            self._link.say(login.LoginReply(error=RATE_LIMITED), 0)
            self._link.finish(None)
        elif refused:
            self._link.send(wire.SignOff(error=RATE_LIMITED))
            self._link.finish(None)
        elif hello.name is None:
            logins.note_hashed(self._link.peer)
        return not refused

    # --- the two ways -------------------------------------------------------------------------

    def _challenge_for(self, name: str | None, request: int) -> None:
        try:
            self._person(name, UNKNOWN_NAME)
        except _Refused as refused:
            self._link.say(login.LoginReply(error=refused.code, url=EXPLANATION), request)
            self._link.finish(None)
            return
        self._challenge = b"%010d" % self._link.service.world.random.randrange(10**10)
        self._asked = name
        self._link.say(login.Challenge(self._challenge), request)

    def _hashed(self, query: login.LoginQuery, request: int) -> None:
        if not self._challenge:
            raise wire.RemoteProtocolError("a hash of a challenge that was not asked for")
        try:
            person = self._person(query.name, UNKNOWN_NAME)
            if self._is_dropped():
                return
            secret = to_utf8(person.password)
            right = (
                login.strong_hash(self._challenge, secret),
                login.weak_hash(self._challenge, secret),
            )
            # Which hash it is, clients are not to be trusted about.
            self._check(right=query.name == self._asked and query.hash in right)
        except _Refused as refused:
            reply = login.LoginReply(name=query.name, error=refused.code, url=EXPLANATION)
        else:
            reply = login.LoginReply(
                name=name_of(person),
                address=self._link.address or None,
                cookie=self._cookie(person, query.several, query.client),
                tls=0,
            )
        self._link.say(reply, request)
        self._link.finish(wire.SignOff())

    def _roasted(self, hello: wire.SignOn) -> None:
        unknown = UNKNOWN_UIN if is_uin(hello.name or "") else UNKNOWN_NAME
        try:
            person = self._person(hello.name, unknown)
            if self._is_dropped():
                return
            self._check(right=login.roast(hello.roasted or b"") == to_utf8(person.password))
        except _Refused as refused:
            answer = wire.SignOff(name=hello.name, error=refused.code, url=EXPLANATION)
        else:
            answer = wire.SignOff(
                name=name_of(person),
                address=self._link.address or None,
                cookie=self._cookie(person, hello.several, hello.client),
                tls=0,
            )
        # Not by `finish`: the short sign-off is for those who are signed on.
        self._link.send(answer)
        self._link.finish(None)

    # --- helpers ------------------------------------------------------------------------------

    def _person(self, name: str | None, unknown: int) -> Person:
        """Return whose login this is, or raise `_Refused` with the code `unknown`."""
        try:
            self._link.connection.account = canonical(name or "")
            return self._backend.person(name or "")
        except (NameRefused, RequestRefused) as exc:
            raise _Refused(unknown) from exc

    def _is_dropped(self) -> bool:
        connection = self._link.connection
        if self._link.service.faults.take(Kind.DROP, connection, Moment.SIGN_ON) is None:
            return False
        connection.cut()
        return True

    def _check(self, *, right: bool) -> None:
        """Raise `_Refused` when a fault wants it, or the password is not right."""
        refusal = self._link.service.faults.take(Kind.REFUSE, self._link.connection)
        if refusal is not None:
            raise _Refused(_CODES[refusal.reason])
        if not right:
            raise _Refused(_CODES[Refusal.WRONG_CREDENTIALS])

    def _cookie(self, person: Person, several: int | None, client: str | None) -> bytes:
        log.debug("%s: %s may sign on", self._link.connection.id, person.address)
        ticket = Ticket(person, BOS, clean(client or "")[:100], several or 0)
        return self._link.shared.issue(ticket)


def may_sign_on(link: Link) -> bool:
    """Let a cookie's owner in, unless a fault strikes; a client may come long after its login."""
    faults, connection = link.service.faults, link.connection
    if faults.take(Kind.DROP, connection, Moment.SIGN_ON) is not None:
        connection.cut()
        return False
    if (refusal := faults.take(Kind.REFUSE, connection)) is not None:
        link.finish(wire.SignOff(error=_CODES[refusal.reason]))
        return False
    return True


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code:#06x}")
        self.code = code
