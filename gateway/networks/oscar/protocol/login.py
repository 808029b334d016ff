"""The login connection: a name and a password for a cookie, and an address to take it to."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import LoginRefused, Refusal
from gateway.networks.oscar.protocol.names import is_uin, plain
from gateway.networks.oscar.wire import (
    Error,
    FlapError,
    Packet,
    SignOff,
    SignOn,
    Snac,
    login,
)

Variant = Literal["md5", "md5-old", "roasted"]

MAX_SECRET_BYTES = 1_000
MAX_COOKIE_BYTES = 8_000  # they have 256, and have to fit a frame of ours
ICQ_SECRET_LENGTH = 8  # what old services kept of a password

ONLY_ONE, SEVERAL = 3, 1  # both say that we could be on several times

_CLIENT = "Balcony"
_REFUSALS: Mapping[int, tuple[Refusal, str]] = {
    0x01: (Refusal.WRONG_CREDENTIALS, "The service does not know this name, or the password."),
    0x04: (Refusal.WRONG_CREDENTIALS, "The password is wrong."),
    0x05: (Refusal.WRONG_CREDENTIALS, "The password is wrong."),
    0x06: (Refusal.FORBIDDEN, "The service does not understand this gateway."),
    0x07: (Refusal.WRONG_CREDENTIALS, "The service does not accept this account."),
    0x08: (Refusal.UNKNOWN_ACCOUNT, "There is no such account, or no longer."),
    0x09: (Refusal.SUSPENDED, "The account has expired."),
    0x11: (Refusal.SUSPENDED, "The account is suspended."),
    0x16: (Refusal.TOO_MANY_ATTEMPTS, "The service has too many connections from this gateway."),
    0x17: (Refusal.TOO_MANY_ATTEMPTS, "The service has too many connections from this gateway."),
    0x18: (Refusal.TOO_MANY_ATTEMPTS, "The service says that sign-ons come too fast."),
    0x19: (Refusal.BUSY, "Others have warned this account too often; the service makes it wait."),
    0x1B: (Refusal.FORBIDDEN, "The service wants a newer client."),
    0x1C: (Refusal.FORBIDDEN, "The service wants a newer client."),
    0x1D: (Refusal.TOO_MANY_ATTEMPTS, "The service says that sign-ons come too fast."),
    0x20: (Refusal.WRONG_CREDENTIALS, "The service wants a SecurID code."),
    0x22: (Refusal.SUSPENDED, "The account is suspended: its owner is too young."),
}


@attrs.frozen
class Ticket:
    """What a login gives. `address` is as the service wrote it, or empty; `tls` as in TLV 0x8E."""

    name: str
    cookie: bytes = attrs.field(repr=False)
    address: str = ""
    tls: int = 0


def refusal(code: int, retry_seconds: float) -> LoginRefused:
    """Return what a code in TLV 0x08 means; a temporary one is tried again, in its time."""
    reason, text = _REFUSALS.get(code, (Refusal.BUSY, "The service has trouble of its own."))
    wait = retry_seconds if reason is Refusal.TOO_MANY_ATTEMPTS else None
    return LoginRefused(reason, f"{text} (code {code:#04x})", wait)


class Login:
    """One login: packets in, packets out, and in the end `ticket`."""

    def __init__(
        self,
        name: str,
        secret: str,
        *,
        variant: Variant,
        several: bool,
        cut_secret: bool,
        retry_seconds: float,
    ) -> None:
        if cut_secret:
            secret = secret[:ICQ_SECRET_LENGTH]
        self._name = name
        self._secret = plain(secret).encode()
        if len(self._secret) > MAX_SECRET_BYTES:
            raise LoginRefused(Refusal.WRONG_CREDENTIALS, "No password is as long as this one.")
        self._variant = variant
        self._several = SEVERAL if several else ONLY_ONE
        self._retry_seconds = retry_seconds
        self.greeted = False
        self._challenged = variant == "roasted"  # there is nothing to be answered then
        self._requests = 0
        self.outgoing: list[Packet] = []
        self.ticket: Ticket | None = None

    def receive(self, packet: Packet) -> None:
        """Take a packet. Raises `LoginRefused`, `ConnectionLost` and `RemoteProtocolError`."""
        match packet:
            case SignOn() if not self.greeted:
                self.greeted = True
                self._greet()
            case Snac(body=login.Challenge(key=key)) if self.greeted and not self._challenged:
                self._challenged = True
                self._answer(key)
            case Snac(body=login.LoginReply() as result):
                self._take(result)
            case SignOff(cookie=None, error=None):
                raise ConnectionLost("the service ended the login without a word")
            case SignOff():
                self._take(packet)
            case Snac(body=Error(code=code)):
                raise RemoteProtocolError(f"the service answered the login with error {code:#04x}")
            case FlapError() | SignOn():
                raise RemoteProtocolError(f"{type(packet).__name__} in the middle of a login")

    def _greet(self) -> None:
        if self._variant == "roasted":
            self.outgoing.append(
                SignOn(name=self._name, roasted=login.roast(self._secret), **self._client())
            )
        else:
            self.outgoing += [SignOn(), self._request(login.ChallengeQuery(self._name, True, True))]

    def _answer(self, key: bytes) -> None:
        strong = self._variant == "md5"
        made = login.strong_hash if strong else login.weak_hash
        query = login.LoginQuery(
            name=self._name, hash=made(key, self._secret), strong=strong, **self._client()
        )
        self.outgoing.append(self._request(query))

    def _client(self) -> dict[str, Any]:
        icq = is_uin(self._name)
        return {
            "client": _CLIENT,
            "client_id": login.ICQ_CLIENT if icq else login.AIM_CLIENT,
            "major": 5,
            "minor": 1,
            "point": 0,
            "build": 0x0BDC,
            "distribution": 0x00000055 if icq else 0x000000D2,
            "language": "en",
            "country": "us",
            "several": self._several,
        }

    def _request(self, body: login.ChallengeQuery | login.LoginQuery) -> Snac:
        self._requests += 1
        return Snac(body, self._requests)

    def _take(self, result: login.LoginReply | SignOff) -> None:
        if result.cookie is not None:
            if len(result.cookie) > MAX_COOKIE_BYTES:
                raise RemoteProtocolError(f"a cookie of {len(result.cookie)} bytes")
            self.ticket = Ticket(
                plain(result.name or self._name),
                result.cookie,
                plain(result.address or ""),
                result.tls or 0,
            )
        elif result.error is not None:
            raise refusal(result.error, self._retry_seconds)
        else:
            raise RemoteProtocolError("a login was answered with neither a cookie nor an error")
