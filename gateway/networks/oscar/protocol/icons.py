"""The connection that pictures come from: a short sign-on, then one question after the other."""

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks import base
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
_VERSIONS = (general.Version(0x01, 3), general.Version(icons.GROUP, 1))


class IconSession:
    """Packets in, packets out; `ready` once it may be asked, `answered` once it has answered."""

    def __init__(self, cookie: bytes) -> None:
        self._cookie = cookie
        self._number = 0
        self.outgoing: list[Packet] = []
        self.ready = False
        self.answered = False
        self.avatar: base.Avatar | None = None

    def ask(self, address: str, icon: BartId) -> None:
        self.answered = False
        self.avatar = None
        self._say(icons.IconQuery(address, (icon,)))

    def receive(self, packet: Packet) -> None:
        """Take a packet. Raises `ConnectionLost` and `RemoteProtocolError`."""
        match packet:
            case SignOn():
                self.outgoing.append(SignOn(cookie=self._cookie))
            case SignOff():
                raise ConnectionLost("the service for pictures hung up")
            case FlapError():
                raise RemoteProtocolError("the service for pictures reports a FLAP error")
            case Snac(body=general.HostOnline()):
                self._say(general.ClientVersions(_VERSIONS))
            case Snac(body=general.HostVersions()):
                self._say(general.RateQuery())
            case Snac(body=general.RateParameters() as rates):
                self._say(general.RateSubscribe(tuple(one.id for one in rates.classes)))
                self._enter()
            case Snac(body=Error(group=0x01)) if not self.ready:  # no rates: none to keep
                self._enter()
            case Snac(body=icons.IconReply(image=image)):
                self.answered = True
                self.avatar = base.Avatar(image, media_type(image)) if image else None
            case Snac(body=Error()):
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
