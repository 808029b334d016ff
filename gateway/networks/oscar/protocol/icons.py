"""The connection that pictures come from: a short sign-on, then one question after the other."""

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks import base
from gateway.networks.oscar.protocol.rates import RateLimits
from gateway.networks.oscar.wire import (
    Body,
    Error,
    FlapError,
    Packet,
    SignOff,
    SignOn,
    Snac,
    general,
    icons,
)
from gateway.networks.oscar.wire.people import BartId

_TYPES = (
    (b"GIF8", "image/gif"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"BM", "image/bmp"),
)
QUERY = 0x04  # the subtype of a question for a picture
_VERSIONS = (general.Version(0x01, 3), general.Version(icons.GROUP, 1))


class IconSession:
    """Packets in, packets out; `ready` once it may be asked, `answered` once it has answered."""

    def __init__(self, cookie: bytes) -> None:
        self._cookie = cookie
        self._number = 0
        self._asked = 0  # the number of the question that waits for its answer
        self._greeted = False
        self._limits = RateLimits()
        self.outgoing: list[Packet] = []
        self.ready = False
        self.answered = False
        self.avatar: base.Avatar | None = None

    def wait(self, now: float) -> float:
        """Return how many seconds the service wants one to wait before the next question."""
        return self._limits.wait(self._class, now)

    def ask(self, address: str, icon: BartId, now: float) -> None:
        self._limits.sent(self._class, now)
        self.answered = False
        self.avatar = None
        self._say(icons.IconQuery(address, (icon,)))
        self._asked = self._number

    @property
    def _class(self) -> int:
        return self._limits.class_of(icons.GROUP, QUERY)

    def receive(self, packet: Packet, now: float) -> None:
        """Take a packet. Raises `ConnectionLost` and `RemoteProtocolError`."""
        match packet:
            case SignOn() if self._greeted:
                raise RemoteProtocolError("a second sign-on frame came")
            case SignOn():
                self._greeted = True
                self.outgoing.append(SignOn(cookie=self._cookie))
            case SignOff():
                raise ConnectionLost("the service for pictures hung up")
            case FlapError():
                raise RemoteProtocolError("the service for pictures reports a FLAP error")
            case Snac(body=general.HostOnline()):
                self._say(general.ClientVersions(_VERSIONS))
            case Snac(body=general.HostVersions()):
                self._say(general.RateQuery())
            case Snac(body=general.RateChange() as change):
                self._limits.change(change, now)
            case Snac(body=general.RateParameters() as rates) if not self.ready:
                self._limits.learn(rates, now)
                self._say(general.RateSubscribe(tuple(one.id for one in rates.classes)))
                self._enter()
            case Snac(body=Error(group=0x01)) if not self.ready:  # no rates: none to keep
                self._enter()
            case Snac(body=icons.IconReply(image=image), request=self._asked):
                self.answered = True
                self.avatar = base.Avatar(image, media_type(image)) if image else None
            case Snac(body=Error(), request=self._asked):
                self.answered = True

    def _enter(self) -> None:
        self.ready = True
        self._say(general.ClientOnline(tuple(general.Tool(v.group, v.version) for v in _VERSIONS)))

    def _say(self, body: Body) -> None:
        self._number += 1
        self.outgoing.append(Snac(body, self._number))


def media_type(image: bytes) -> str:
    """Say what kind of picture this is, by how it begins."""
    for start, kind in _TYPES:
        if image.startswith(start):
            return kind
    return "application/octet-stream"
