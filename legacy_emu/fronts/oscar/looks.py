"""How people look on OSCAR: names, status bits, user info blocks; and back."""

import hashlib
from datetime import datetime

from gateway.networks.oscar.wire import html, people, text
from gateway.networks.oscar.wire.people import BartId, BartType, Status, UserFlag, UserInfo
from legacy_emu.events import Look, Show
from legacy_emu.people import Avatar, Person

MAX_NAME_BYTES = 255
MAX_UIN = 0xFFFFFFFF
MAX_ICON_BYTES = 60_000  # the rest of a frame is for what stands around it
MAX_STATUS_TEXT_BYTES = 240
ICON_FLAGS = 1
ICON_WANTED = 0x40  # flags of an icon the service does not have

_NO_DIRECT_CONNECTION = bytes(37)  # some ICQ clients overlook who has no such block

_STATUS = {
    Show.CHAT: Status.FREE_FOR_CHAT,
    Show.AWAY: Status.AWAY,
    Show.XA: Status.NOT_AVAILABLE | Status.AWAY,
    Show.DND: Status.DO_NOT_DISTURB | Status.OCCUPIED | Status.AWAY,
    Show.INVISIBLE: Status.INVISIBLE,
}
_IS_AWAY = (Show.AWAY, Show.XA, Show.DND)


def is_uin(name: str) -> bool:
    """Say whether an account's name is an ICQ number."""
    return name.isascii() and name.isdecimal() and len(name) < 11 and 0 < int(name) <= MAX_UIN


def can_be_named(person: Person) -> bool:
    """Say whether OSCAR can name this account; other fronts take longer names."""
    return len(person.address.encode()) <= MAX_NAME_BYTES


def name_of(person: Person) -> str:
    """Return the name as its owner writes it, or as it is compared when that is too long."""
    fits = len(person.display.encode()) <= MAX_NAME_BYTES
    return person.display if fits else person.address


def clean(some: str) -> str:
    """Return a text without halves of surrogate pairs, which UTF-8 does not have."""
    return some.encode("utf-8", "replace").decode()


def to_utf8(some: str) -> bytes:
    return some.encode("utf-8", "replace")


def show_of(status: int) -> Show:
    """Return what a status word says, by the first of its bits that counts."""
    for bit, show in (
        (Status.INVISIBLE, Show.INVISIBLE),
        (Status.DO_NOT_DISTURB, Show.DND),
        (Status.OCCUPIED, Show.DND),
        (Status.NOT_AVAILABLE, Show.XA),
        (Status.AWAY, Show.AWAY),
        (Status.FREE_FOR_CHAT, Show.CHAT),
    ):
        if status & bit:
            return show
    return Show.ONLINE


def user_info(
    person: Person, look: Look, now: datetime, capabilities: tuple[bytes, ...] = ()
) -> UserInfo:
    """Return somebody's user info block, with everything others may see of him."""
    uin = is_uin(person.address)
    flags = UserFlag.AIM | (UserFlag.ICQ if uin else 0)
    if look.show in _IS_AWAY:
        flags |= UserFlag.AWAY
    bart = [icon_id(person.avatar)] if shows_icon(person.avatar) else []
    # ICQ clients fetch no away text: they take this for it.
    if look.text and (uin or look.show not in _IS_AWAY):
        bart.append(people.status_text_id(_short(look.text)))
    since = min((session.since for session in person.sessions), default=None)
    return UserInfo(
        name=name_of(person),
        flags=flags,
        status=int(_STATUS.get(look.show, 0)),
        online_for=_seconds(since, now),
        idle=_minutes(look.idle_since, now),
        online_since=None if since is None else int(since.timestamp()),
        direct=_NO_DIRECT_CONNECTION if uin else None,
        capabilities=capabilities or None,
        bart=tuple(bart) or None,
    )


def gone_info(person: Person) -> UserInfo:
    return UserInfo(name=name_of(person), flags=0)


def away_text(look: Look) -> str:
    """Return what a client is told that fetches somebody's away text."""
    return look.text if look.show in _IS_AWAY else ""


def _short(some: str) -> str:
    return to_utf8(some)[:MAX_STATUS_TEXT_BYTES].decode("utf-8", "ignore")


def _seconds(since: datetime | None, now: datetime) -> int | None:
    if since is None:
        return None
    return min(max(0, int((now - since).total_seconds())), 0xFFFFFFFF)


def _minutes(since: datetime | None, now: datetime) -> int | None:
    seconds = _seconds(since, now)
    return None if seconds is None else min(max(1, seconds // 60), 0xFFFF)


# --- pictures ---------------------------------------------------------------------------------


def shows_icon(avatar: Avatar | None) -> bool:
    return avatar is not None and len(avatar.data) <= MAX_ICON_BYTES


def icon_id(avatar: Avatar | None, flags: int = ICON_FLAGS) -> BartId:
    if avatar is None or not shows_icon(avatar):
        return BartId(BartType.ICON, 0, people.NO_ICON)
    return BartId(BartType.ICON, flags, icon_hash(avatar.data))


def icon_hash(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()  # the protocol's, not our choice


def media_type(data: bytes) -> str:
    """Return what an uploaded picture is; it is not said."""
    for start, kind in ((b"\x89PNG", "png"), (b"GIF8", "gif"), (b"BM", "bmp")):
        if data.startswith(start):
            return f"image/{kind}"
    return "image/jpeg"


# --- texts that are shown ---------------------------------------------------------------------


def shown_text(uin: bool, kind: bytes | None, data: bytes) -> str:
    """Return what a profile or an away text says: HTML, but from an ICQ number often not."""
    raw = text.decode_mime(kind, data)
    if uin and not raw.lstrip().startswith("<"):
        return raw
    return html.from_html(raw)
