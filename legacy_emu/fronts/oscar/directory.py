"""Food group 15: what ICQ clients ask of the service about others, and their offline messages."""

import struct
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import TYPE_CHECKING

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import icq, text
from gateway.networks.oscar.wire.icq import (
    Command,
    Envelope,
    Meta,
    MetaQuery,
    MetaReply,
    MetaResult,
)
from gateway.networks.oscar.wire.messages import TypedKind
from legacy_emu.events import MessageArrived
from legacy_emu.fronts.oscar import stripping
from legacy_emu.fronts.oscar.looks import is_uin, to_utf8
from legacy_emu.people import Person

if TYPE_CHECKING:
    from legacy_emu.fronts.oscar.bos import Bos

MUST_ASK_TLV = 0x02F8
MAX_OFFLINE_BYTES = 7_000
MAX_LINE_BYTES = 500


class Directory:
    def __init__(self, bos: "Bos") -> None:
        self._bos = bos
        self._told: list[MessageArrived] = []  # offline messages the client has not deleted

    def take(self, query: icq.IcqQuery, request: int) -> None:
        envelope = icq.decode_envelope(query)
        match envelope.command:
            case Command.OFFLINE_QUERY:
                self._say_what_waited(envelope, request)
            case Command.OFFLINE_DELETE:
                told, self._told = self._told, []
                for each in told:
                    self._bos.link.shared.raws.forget(each.id)
                self._bos.acknowledge(*(each.id for each in told))
                self._bos.stored.delete()
            case Command.META_QUERY:
                self._meta(envelope, request)
            case _:
                reply = MetaReply(envelope.command, MetaResult.FAILED)
                self._say_meta(envelope, request, reply)

    # --- offline messages ---------------------------------------------------------------------

    def _say_what_waited(self, envelope: Envelope, request: int) -> None:
        """Say the messages of ICQ numbers here, and those of AIM names as messages are said."""
        bos = self._bos
        waited, bos.icbm.waiting = bos.icbm.waiting, []
        for message in waited:
            is_fit = is_uin(message.sender) or not bos.link.traits.names_stored
            if is_fit and len(to_utf8(message.text)) <= MAX_OFFLINE_BYTES:
                self._told.append(message)
            else:
                bos.icbm.say_message(message)
        messages = (_offline(each, self._text_of(each)) for each in self._told)
        for stored in (*bos.stored.say(), *messages):
            data = wire.encode_block(stored)
            self._say(envelope, request, Command.OFFLINE_MESSAGE, data, flags=wire.MORE)
        if bos.stored.chokes():
            bos.link.finish(None)
            return
        end = wire.encode_block(icq.OfflineEnd())
        self._say(envelope, request, Command.OFFLINE_END, end)

    def _text_of(self, message: MessageArrived) -> bytes:
        link = self._bos.link
        raw = link.shared.raws.find(message.id)
        left = None
        if raw is not None and raw.text is not None:
            left = stripping.stored_text(raw.text, decodes=link.traits.decodes_stored)
        return to_utf8(message.text) if left is None else left

    # --- information --------------------------------------------------------------------------

    def _meta(self, envelope: Envelope, request: int) -> None:
        query = wire.decode_block(MetaQuery, envelope.data)
        match query.subtype:
            case Meta.SHORT_INFO_QUERY if self._bos.is_able("profile"):
                self._short_info(envelope, request, self._asked(query))
            case Meta.FULL_INFO_QUERY | Meta.FULL_INFO_QUERY_OLD if self._bos.is_able("profile"):
                self._full_info(envelope, request, self._asked(query))
            case subtype if subtype in _SEARCHES and self._bos.is_able("search"):
                self._search(envelope, request, _SEARCHES[subtype](query.data))
            case Meta.SET_PERMISSIONS:
                permissions = wire.decode_block(icq.Permissions, query.data)
                self._bos.person.consent = permissions.must_ask == 1
                self._ok(envelope, request, Meta.PERMISSIONS_SET)
            case Meta.SET_INFO:
                must_ask = _le_tlvs(query.data).get(MUST_ASK_TLV)
                if must_ask:
                    self._bos.person.consent = must_ask[0] == 0
                self._ok(envelope, request, Meta.INFO_SET)
            case _:
                self._say_meta(envelope, request, MetaReply(query.subtype, MetaResult.FAILED))

    def _asked(self, query: MetaQuery) -> Person | None:
        return self._bos.find(str(wire.decode_block(icq.ForUin, query.data).uin))

    def _short_info(self, envelope: Envelope, request: int, person: Person | None) -> None:
        if person is None:
            failed = MetaReply(Meta.SHORT_INFO, MetaResult.NOT_FOUND)
            self._say_meta(envelope, request, failed)
            return
        known = _Known(self._bos, person)
        info = icq.ShortInfo(known.nick, known["first"], known["last"], known["email"], known.open)
        self._ok(envelope, request, Meta.SHORT_INFO, wire.encode_block(info))

    def _full_info(self, envelope: Envelope, request: int, person: Person | None) -> None:
        if person is None:
            failed = MetaReply(Meta.BASIC_INFO, MetaResult.NOT_FOUND)
            self._say_meta(envelope, request, failed)
            return
        known = _Known(self._bos, person)
        info = icq.BasicInfo(
            nick=known.nick,
            first=known["first"],
            last=known["last"],
            email=known["email"],
            city=known["city"],
            state=known["state"],
            phone=known["phone"],
            fax=known["fax"],
            street=known["street"],
            cell=known["cell"],
            zip=known["zip"],
            open=known.open,
        )
        self._ok(envelope, request, Meta.BASIC_INFO, wire.encode_block(info), flags=wire.MORE)
        notes = wire.encode_block(icq.Notes(known["about"]))
        self._ok(envelope, request, Meta.NOTES, notes, flags=wire.MORE)
        self._ok(envelope, request, Meta.AFFILIATIONS, b"\0\0")  # none, now or in the past

    def _search(self, envelope: Envelope, request: int, wanted: Mapping[str, str]) -> None:
        """Say who is all of what is wanted, as far as he is a number."""
        hits = self._bos.backend.search(self._bos.own, wanted)
        people = [self._bos.find(address) for address, _ in hits if is_uin(address)]
        found = [person for person in people if person is not None]
        if "address" in wanted:
            found = [person for person in found if person.address == wanted["address"]]
        if not found:
            failed = MetaReply(Meta.LAST_FOUND, MetaResult.NOT_FOUND)
            self._say_meta(envelope, request, failed)
        for person in found:
            known = _Known(self._bos, person)
            names = known["first"], known["last"], known["email"]
            uin = int(person.address)
            record = icq.Found(uin, known.nick, *names, known.open, known.online)
            is_last = person is found[-1]
            subtype, flags = (Meta.LAST_FOUND, 0) if is_last else (Meta.FOUND, wire.MORE)
            self._ok(envelope, request, subtype, icq.encode_found(record), flags)

    # --- to say it ----------------------------------------------------------------------------

    def _ok(
        self, envelope: Envelope, request: int, subtype: int, data: bytes = b"", flags: int = 0
    ) -> None:
        self._say_meta(envelope, request, MetaReply(subtype, MetaResult.OK, data), flags)

    def _say_meta(self, envelope: Envelope, request: int, reply: MetaReply, flags: int = 0) -> None:
        self._say(envelope, request, Command.META_REPLY, wire.encode_block(reply), flags=flags)

    def _say(
        self, envelope: Envelope, request: int, command: int, data: bytes, *, flags: int = 0
    ) -> None:
        answer = Envelope(envelope.uin, command, envelope.sequence, data)
        self._bos.say(icq.icq_reply(answer), request, flags=flags)


class _Known:
    """What one may know of somebody, in ICQ's terms."""

    def __init__(self, bos: "Bos", person: Person) -> None:
        _, self._fields = bos.backend.profile(bos.own, person.address)
        self.nick = to_utf8(self._fields.get("nick") or person.name)[:MAX_LINE_BYTES]
        self.open = int(not bos.asks(person))
        self.online = int(bool(person.sessions))

    def __getitem__(self, field: str) -> bytes:
        return to_utf8(self._fields.get(field, ""))[:MAX_LINE_BYTES]


def _offline(message: MessageArrived, said: bytes) -> icq.OfflineMessage:
    assert message.sent_at is not None, "it waited"
    at = message.sent_at.astimezone(UTC)
    return icq.OfflineMessage(
        uin=int(message.sender) if is_uin(message.sender) else 0,
        year=at.year,
        month=at.month,
        day=at.day,
        hour=at.hour,
        minute=at.minute,
        kind=TypedKind.PLAIN,
        text=said,
    )


# --- what is searched by ----------------------------------------------------------------------


def _by_uin(data: bytes) -> Mapping[str, str]:
    return {"address": str(wire.decode_block(icq.ForUin, data).uin)}


def _by_uin_tlv(data: bytes) -> Mapping[str, str]:
    return {"address": str(wire.decode_block(icq.ForUinTlv, data).uin)}


def _by_name(data: bytes) -> Mapping[str, str]:
    wanted = wire.decode_block(icq.ForName, data)
    return {
        "first": text.decode_loose(wanted.first),
        "last": text.decode_loose(wanted.last),
        "nick": text.decode_loose(wanted.nick),
    }


def _by_email(data: bytes) -> Mapping[str, str]:
    return {"email": text.decode_loose(wire.decode_block(icq.ForEmail, data).email)}


def _by_tlvs(data: bytes) -> Mapping[str, str]:
    """Read what white pages are asked for; what the service does not know of does not count."""
    wanted = {}
    for kind, value in _le_tlvs(data).items():
        if kind in _TLVS:
            wanted[_TLVS[kind]] = text.decode_loose(value[2:].removesuffix(b"\0"))
    return wanted


_TLVS = {0x0140: "first", 0x014A: "last", 0x0154: "nick", 0x015E: "email", 0x0190: "city"}
_SEARCHES: Mapping[int, Callable[[bytes], Mapping[str, str]]] = {
    Meta.SEARCH_BY_UIN: _by_uin,
    Meta.SEARCH_BY_UIN_TLV: _by_uin_tlv,
    Meta.SEARCH_BY_NAME: _by_name,
    Meta.SEARCH_BY_EMAIL: _by_email,
    Meta.SEARCH_BY_EMAIL_TLV: _by_tlvs,
    Meta.WHITE_PAGES: _by_tlvs,
}


def _le_tlvs(data: bytes) -> dict[int, bytes]:
    """Read ICQ's own little-endian TLVs, as far as they go."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        found.setdefault(kind, data[at + 4 : at + 4 + size])
        at += 4 + size
    return found
