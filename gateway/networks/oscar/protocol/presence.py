"""Who is how: what the service says of people, and what it is told of the user."""

from collections.abc import Mapping
from datetime import timedelta

import attrs

from gateway.networks import base
from gateway.networks.base import Show
from gateway.networks.oscar.protocol.moment import Moment
from gateway.networks.oscar.protocol.names import cut, plain
from gateway.networks.oscar.protocol.writing import Reader
from gateway.networks.oscar.wire import Body, general, people
from gateway.networks.oscar.wire.html import from_html, to_html
from gateway.networks.oscar.wire.people import BartId, Status, UserFlag
from gateway.networks.oscar.wire.text import encode_mime, encode_without_mime

MAX_PRESENCES = 20_000
MAX_AWAY_LENGTH = 8_000  # what is put in for a name can make a text very long
MAX_STATUS_BYTES = 200  # a BART id holds 255, and numbers beside the text
DEFAULT_AWAY = "Away"
MAX_IDLE = 0xFFFF  # minutes
LUNCH = 0x2001

_SHOWN: tuple[tuple[Status, Show], ...] = (  # in this order: clients set combinations
    (Status.DO_NOT_DISTURB, Show.DND),
    (Status.OCCUPIED, Show.DND),
    (Status.NOT_AVAILABLE, Show.XA),
    (Status.AWAY, Show.AWAY),
    (Status.FREE_FOR_CHAT, Show.CHAT),
)

_SENT: Mapping[Show, int] = {
    Show.ONLINE: 0x0000,
    Show.CHAT: 0x0020,
    Show.AWAY: 0x0001,
    Show.XA: 0x0005,
    Show.DND: 0x0013,
    Show.INVISIBLE: 0x0100,
    Show.OFFLINE: 0x0100,
}
_AWAY = (Show.AWAY, Show.XA, Show.DND)


@attrs.define
class _Person:
    info: people.UserInfo
    away_text: str = ""
    reader: Reader = attrs.field(kw_only=True)


class Presences:
    """What is known of everybody who is online."""

    def __init__(self) -> None:
        self._people: dict[str, _Person] = {}

    def arrived(self, address: str, info: people.UserInfo, at: Moment) -> base.PresenceChanged:
        """Take somebody's complete state."""
        capabilities = info.capabilities or ()
        reader = Reader(
            address,
            reads_html=people.takes_html(capabilities),
            keeps_html=people.TAKES_HTML in capabilities,
            may_be_away=False,
        )
        info = attrs.evolve(info, capabilities=None, direct=None, bart=_shown_bart(info))
        person = self._people.get(address)
        if person is None:
            person = _Person(info, reader=reader)
            if len(self._people) < MAX_PRESENCES:
                self._people[address] = person
        person.info, person.reader = info, reader
        if not is_away(info):
            person.away_text = ""
        return _told(address, person, at)

    def departed(self, address: str) -> base.PresenceChanged:
        self.forget(address)
        return base.PresenceChanged(address, Show.OFFLINE)

    def forget(self, address: str) -> None:
        self._people.pop(address, None)

    def away_text(self, address: str, text: str, at: Moment) -> base.PresenceChanged | None:
        """Take a fetched away text; None: it is nothing new, or no longer so."""
        person = self._people.get(address)
        if person is None or not is_away(person.info) or person.away_text == text:
            return None
        person.away_text = text
        return _told(address, person, at)

    def lacks_text(self, address: str) -> bool:
        """Say whether there is an away text to be fetched."""
        person = self._people.get(address)
        return (
            person is not None
            and is_away(person.info)
            and not people.status_text_of(person.info.bart or ())
        )

    def icon(self, address: str) -> BartId | None:
        person = self._people.get(address)
        return None if person is None else people.icon_of(person.info.bart or ())

    def display_name(self, address: str) -> str:
        person = self._people.get(address)
        return plain(person.info.name) if person is not None else ""

    def reader(self, address: str) -> Reader:
        """Return what is known of somebody's client; of who is not seen, nothing."""
        person = self._people.get(address)
        return Reader(address) if person is None else person.reader

    def is_online(self, address: str) -> bool:
        return address in self._people


def _shown_bart(info: people.UserInfo) -> tuple[BartId, ...]:
    """Return what is shown of somebody's BART ids: of each kind the first."""
    kept: dict[int, BartId] = {}
    for each in info.bart or ():
        if each.type in (people.BartType.ICON, people.BartType.STATUS_TEXT):
            kept.setdefault(each.type, each)
    return tuple(kept.values())


def is_away(info: people.UserInfo) -> bool:
    return bool((info.flags or 0) & UserFlag.AWAY)


def show_of(info: people.UserInfo) -> Show:
    status = (info.status or 0) & 0xFFFF
    if status == LUNCH:
        return Show.AWAY
    # Later moods lie above the bits that mean something.
    for bit, show in _SHOWN:
        if status & 0x0FFF & bit:
            return show
    return Show.AWAY if is_away(info) else Show.ONLINE


def _told(address: str, person: _Person, at: Moment) -> base.PresenceChanged:
    info = person.info
    bart = info.bart or ()
    icon = people.icon_of(bart)
    text = people.status_text_of(bart) or person.away_text
    return base.PresenceChanged(
        address,
        show_of(info),
        text=plain(text),
        idle_since=at.utc - timedelta(minutes=min(info.idle, MAX_IDLE)) if info.idle else None,
        avatar_hash=icon.data.hex() if icon is not None else None,
    )


def read_away_text(text: str, *, is_html: bool, reader: str) -> str:
    """Make an away text readable, the reader's name put in."""
    shown = from_html(text) if is_html else text
    return plain(shown[:MAX_AWAY_LENGTH].replace("%n", reader))[:MAX_AWAY_LENGTH]


class OwnPresence:
    """How the user is shown, and what it takes to show him otherwise."""

    def __init__(self, *, html: bool, forgets_mime: bool = False) -> None:
        self._html = html
        self._forgets_mime = forgets_mime
        self._away: str | None = None  # the text, where he is away
        self._idle = False
        self.max_text_bytes = 1_000

    def change(self, command: base.SetPresence, at: Moment) -> list[Body]:
        bodies: list[Body] = []
        away = None
        if command.show in _AWAY:
            away = command.text or DEFAULT_AWAY
        text = cut(command.text, MAX_STATUS_BYTES)
        bart = (people.status_text_id(text), BartId(people.BartType.STATUS_LINK))
        bodies.append(general.SetStatus(_SENT[command.show], bart=bart))
        if away != self._away:
            self._away = away
            # Whoever sees both steps is to see no other state in between: away is what remains of
            # the old one, or what the new one is already.
            bodies.insert(1 if away is not None else 0, self._set_away(away))
        idle = command.idle_since is not None
        if idle or self._idle:
            bodies.append(general.SetIdle(_idle_seconds(command, at)))
            self._idle = idle
        return bodies

    def _set_away(self, text: str | None) -> people.SetInfo:
        if text is None:
            return people.SetInfo(away=b"")
        most = self.max_text_bytes
        while True:
            written = cut(text, most)
            kind, data = self._encode(to_html(written) if self._html else written)
            if len(data) <= self.max_text_bytes or most < 16:
                return people.SetInfo(away_type=kind, away=data)
            most = most * 2 // 3

    def _encode(self, text: str) -> tuple[bytes, bytes]:
        if self._forgets_mime:
            return encode_without_mime(text, is_html=self._html)
        return encode_mime(text)


def _idle_seconds(command: base.SetPresence, at: Moment) -> int:
    if command.idle_since is None:
        return 0
    seconds = int((at.utc - command.idle_since).total_seconds())
    return min(max(1, seconds), 0x7FFFFFFF)
