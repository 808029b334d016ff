"""People's own words about themselves: AIM's profiles, ICQ's details and search."""

from gateway.errors import RemoteProtocolError
from gateway.networks import base
from gateway.networks.oscar.protocol.names import plain
from gateway.networks.oscar.protocol.talk import Dialect
from gateway.networks.oscar.wire import decode_block, encode_block, icq, people
from gateway.networks.oscar.wire.html import from_html
from gateway.networks.oscar.wire.text import decode_mime

MAX_FOUND = 100


def aim_profile(address: str, reply: people.InfoReply) -> base.Profile:
    fields = {}
    name = plain(reply.user.name)
    if name != address:
        fields["nick"] = name
    about = plain(from_html(decode_mime(reply.profile_type, reply.profile or b""))).strip()
    if about:
        fields["about"] = about
    return base.Profile(address, fields)


class IcqAnswers:
    """The replies to one question, until the last of them is here."""

    def __init__(self, address: str, dialect: Dialect) -> None:
        self._address = address
        self._dialect = dialect
        self._fields: dict[str, str] = {}
        self._found: list[base.Profile] = []
        self.failed = False
        self.finished = False

    def take(self, envelope: icq.Envelope, *, more: bool) -> None:
        """Take one reply. Raises `RemoteProtocolError`."""
        if envelope.command != icq.Command.META_REPLY:
            raise RemoteProtocolError(f"command {envelope.command:#06x} answers a question")
        reply = decode_block(icq.MetaReply, envelope.data)
        if reply.result != icq.MetaResult.OK:
            self.failed = self.finished = True
            return
        match reply.subtype:
            case icq.Meta.BASIC_INFO:
                self._basic(decode_block(icq.BasicInfo, reply.data))
            case icq.Meta.SHORT_INFO:
                self._short(decode_block(icq.ShortInfo, reply.data))
            case icq.Meta.NOTES:
                self._say("about", decode_block(icq.Notes, reply.data).text)
            case icq.Meta.FOUND | icq.Meta.LAST_FOUND:
                self._add(icq.decode_found(reply.data))
        last = (icq.Meta.AFFILIATIONS, icq.Meta.LAST_FOUND, icq.Meta.SHORT_INFO)
        self.finished = reply.subtype in last or not more

    @property
    def profile(self) -> base.Profile | None:
        return base.Profile(self._address, dict(self._fields)) if self._fields else None

    @property
    def has_any(self) -> bool:
        return bool(self._fields or self._found)

    @property
    def found(self) -> tuple[base.Profile, ...]:
        return tuple(self._found)

    def _basic(self, info: icq.BasicInfo) -> None:
        self._name(info)
        for field in ("city", "phone"):
            self._say(field, getattr(info, field))

    def _short(self, info: icq.ShortInfo) -> None:
        self._name(info)

    def _name(self, info: icq.BasicInfo | icq.ShortInfo | icq.Found) -> None:
        self._fields.update(_names(info, self._dialect))

    def _add(self, found: icq.Found) -> None:
        if len(self._found) < MAX_FOUND:
            self._found.append(base.Profile(str(found.uin), _names(found, self._dialect)))

    def _say(self, field: str, data: bytes) -> None:
        if text := self._dialect.loose(data).strip():
            self._fields[field] = text


def _names(info: icq.BasicInfo | icq.ShortInfo | icq.Found, dialect: Dialect) -> dict[str, str]:
    first, last = dialect.loose(info.first).strip(), dialect.loose(info.last).strip()
    fields = {
        "nick": dialect.loose(info.nick).strip(),
        "name": f"{first} {last}".strip(),
        "email": dialect.loose(info.email).strip(),
    }
    return {field: text for field, text in fields.items() if text}


def question(subtype: icq.Meta, uin: str) -> bytes:
    """Return the data of a meta query about a number."""
    return encode_block(icq.MetaQuery(subtype, encode_block(icq.ForUin(int(uin)))))
