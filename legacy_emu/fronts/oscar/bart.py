"""Buddy icons: a connection of their own, with a cookie from the service proper."""

import trio

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import general, icons
from gateway.networks.oscar.wire.people import BartId, BartType
from legacy_emu.events import RequestRefused
from legacy_emu.fronts.oscar import looks
from legacy_emu.fronts.oscar.link import Link
from legacy_emu.fronts.oscar.rates import Rates
from legacy_emu.fronts.oscar.shared import Ticket
from legacy_emu.people import Avatar

GROUPS = (0x01, icons.GROUP)

OK = 0
INVALID = 1
NOT_FOUND = 2


class Icons:
    """A `Speaker`."""

    def __init__(self, link: Link, ticket: Ticket) -> None:
        self._link = link
        self._backend = link.service.backend
        self._own = ticket.person.address
        self._rates = Rates(trio.current_time())
        link.say(general.HostOnline(GROUPS))

    def take(self, snac: wire.Snac) -> None:
        say, request = self._link.say, snac.request
        match snac.body:
            case general.ClientVersions(versions=versions):
                self._rates.long = any(each.group == 1 and each.version > 1 for each in versions)
                ours = tuple(general.Version(each, 3 if each == 1 else 1) for each in GROUPS)
                say(general.HostVersions(ours), request)
            case general.RateQuery():
                say(self._rates.parameters(), request)
            case general.RateSubscribe() | general.ClientOnline() | general.NoOperation():
                pass
            case icons.IconQuery(name=name, ids=ids):
                for each in ids:
                    image = self._image(name, each)
                    say(icons.IconReply(name, each if image else _NONE, image), request)
            case icons.IconsQuery(name=name, ids=ids):
                for each in ids:
                    image = self._image(name, each)
                    code, found = (OK, each) if image else (NOT_FOUND, _NONE)
                    say(icons.IconsReply(name, each, code, found, image), request)
            case icons.Upload(type=BartType.ICON, image=image):
                say(self._take_icon(image), request)
            case wire.Error():
                pass
            case body:
                say(wire.Error(wire.number_of(body)[0], 1), request)

    def written(self, value: str) -> None:
        pass

    def wake_at(self) -> float:
        return float("inf")

    def wake(self) -> None:
        pass

    def leave(self, *, orderly: bool) -> None:
        pass

    def _image(self, name: str, wanted: BartId) -> bytes:
        """Return the picture that was asked for, if it is still the one somebody has."""
        try:
            avatar = self._backend.avatar(self._own, name)
        except RequestRefused:
            return b""
        if avatar is None or not looks.shows_icon(avatar):
            return b""
        return avatar.data if looks.icon_hash(avatar.data) == wanted.data else b""

    def _take_icon(self, image: bytes) -> icons.Uploaded:
        found = BartId(BartType.ICON, looks.ICON_FLAGS, looks.icon_hash(image))
        try:
            self._backend.set_avatar(self._own, Avatar(image, looks.media_type(image)))
        except RequestRefused:
            return icons.Uploaded(INVALID, found)
        return icons.Uploaded(OK, found)


_NONE = looks.icon_id(None)
