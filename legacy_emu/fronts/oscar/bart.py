"""Buddy icons: a connection of their own, with a cookie from the service proper."""

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import icons
from gateway.networks.oscar.wire.people import BartId, BartType
from legacy_emu.events import RequestRefused
from legacy_emu.fronts.oscar import looks
from legacy_emu.fronts.oscar.beside import Beside
from legacy_emu.people import Avatar

OK = 0
INVALID = 1
NOT_FOUND = 2
MAX_IDS = 10  # answered for one question; the rest is left out


class Icons(Beside):
    """A `Speaker`."""

    GROUP = icons.GROUP

    def serve(self, body: wire.Body, request: int) -> None:
        say = self._link.say
        match body:
            case icons.IconQuery(name=name, ids=ids):
                for each in ids[:MAX_IDS]:
                    image = self._image(name, each)
                    say(icons.IconReply(name, each if image else _NONE, image), request)
            case icons.IconsQuery(name=name, ids=ids):
                for each in ids[:MAX_IDS]:
                    image = self._image(name, each)
                    code, found = (OK, each) if image else (NOT_FOUND, _NONE)
                    say(icons.IconsReply(name, each, code, found, image), request)
            case icons.Upload(type=BartType.ICON, image=image):
                say(self._take_icon(image), request)
            case _:
                super().serve(body, request)

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
