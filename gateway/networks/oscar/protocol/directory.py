"""People's own words about themselves: AIM's profiles, ICQ's details and search."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date

from gateway.networks import base
from gateway.networks.oscar.protocol.names import FIRST_UIN, plain
from gateway.networks.oscar.protocol.talk import Dialect
from gateway.networks.oscar.wire import decode_block, encode_block, icq, people
from gateway.networks.oscar.wire.html import from_html
from gateway.networks.oscar.wire.text import decode_mime

MAX_FOUND = 100
MAX_SEARCHED = 60  # characters of what is looked for


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
    """The replies to one question, until the last of them is here.

    That it is the last, some services say by a flag, and some by its kind alone.
    """

    def __init__(self, dialect: Dialect, known: Mapping[str, str] | None = None) -> None:
        self._dialect = dialect
        self._found: dict[str, base.Profile] = {}
        self._flagged = False
        self.fields: dict[str, str] = dict(known or {})
        self.finished = False

    def take(self, envelope: icq.Envelope, *, more: bool) -> None:
        """Take one reply. Raises `RemoteProtocolError`."""
        self._flagged |= more
        reply = decode_block(icq.MetaReply, envelope.data)
        ends = reply.subtype in _LAST or (self._flagged and not more)
        if reply.result != icq.MetaResult.OK:
            self.finished = ends or not self.has_any
            return
        match reply.subtype:
            case icq.Meta.BASIC_INFO:
                self._basic(decode_block(icq.BasicInfo, reply.data))
            case icq.Meta.MORE_INFO:
                self._more(decode_block(icq.MoreInfo, reply.data))
            case icq.Meta.SHORT_INFO:
                self._name(decode_block(icq.ShortInfo, reply.data))
            case icq.Meta.NOTES:
                self._say("about", decode_block(icq.Notes, reply.data).text)
            case icq.Meta.FOUND | icq.Meta.LAST_FOUND:
                self._add(icq.decode_found(reply.data))
        self.finished = ends

    @property
    def has_any(self) -> bool:
        return bool(self.fields or self._found)

    @property
    def found(self) -> tuple[base.Profile, ...]:
        return tuple(self._found.values())

    def _basic(self, info: icq.BasicInfo) -> None:
        self._name(info)
        for field in ("city", "phone"):
            self._say(field, getattr(info, field))

    def _more(self, info: icq.MoreInfo) -> None:
        self._say("url", info.homepage)
        with suppress(ValueError):  # most have none
            born = date(info.birth_year, info.birth_month, info.birth_day)
            self.fields["birthday"] = born.isoformat()

    def _name(self, info: icq.BasicInfo | icq.ShortInfo | icq.Found) -> None:
        self.fields.update(_names(info, self._dialect))

    def _add(self, found: icq.Found) -> None:
        """Add somebody; some services say that there is nobody by a number that nobody has."""
        if found.uin >= FIRST_UIN and len(self._found) < MAX_FOUND:
            address = str(found.uin)
            self._found[address] = base.Profile(address, _names(found, self._dialect))

    def _say(self, field: str, data: bytes) -> None:
        if text := self._dialect.loose(data).strip():
            self.fields[field] = text


_LAST = (icq.Meta.AFFILIATIONS, icq.Meta.LAST_FOUND, icq.Meta.SHORT_INFO)


def _names(info: icq.BasicInfo | icq.ShortInfo | icq.Found, dialect: Dialect) -> dict[str, str]:
    first, last = dialect.loose(info.first).strip(), dialect.loose(info.last).strip()
    fields = {
        "nick": dialect.loose(info.nick).strip(),
        "name": f"{first} {last}".strip(),
        "email": dialect.loose(info.email).strip(),
    }
    return {field: text for field, text in fields.items() if text}


def for_uin(subtype: icq.Meta, uin: str) -> bytes:
    """Return the data of a meta query about a number."""
    return encode_block(icq.MetaQuery(subtype, encode_block(icq.ForUin(int(uin)))))


def for_person(fields: Mapping[str, str], dialect: Dialect) -> bytes | None:
    """Return the data of a meta query for whoever is described so; None: nothing is said.

    An e-mail address says most. A whole name begins with the first one.
    """

    def written(field: str) -> bytes:
        return dialect.searched(fields.get(field, "").strip()[:MAX_SEARCHED])

    if email := written("email"):
        data = encode_block(icq.ForEmail(email))
        return encode_block(icq.MetaQuery(icq.Meta.SEARCH_BY_EMAIL, data))
    whole, _, rest = fields.get("name", "").strip().partition(" ")
    fields = {"first": whole, "last": rest, **fields}
    name = icq.ForName(written("first"), written("last"), written("nick"))
    if name == icq.ForName(b"", b"", b""):
        return None
    return encode_block(icq.MetaQuery(icq.Meta.SEARCH_BY_NAME, encode_block(name)))
