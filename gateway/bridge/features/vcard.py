"""Business cards of contacts and of the gateway (vcard-temp, XEP-0054; VCARD-01).

What the network knows of a contact is fetched when somebody asks for it; where it knows nothing,
the name on the contact list is a card, too. Who asks to be a contact has one already: on some
networks he is a number, and his card alone says who that is.
"""

import base64
import logging
from collections.abc import Iterator, Mapping

import attrs

from gateway.bridge.features import contacts
from gateway.bridge.features.disco import is_known
from gateway.bridge.translate import bounded
from gateway.bridge.user import User
from gateway.errors import StoreError
from gateway.networks.base import (
    Avatar,
    CommandAnswer,
    CommandDone,
    FetchAvatar,
    FetchProfile,
    InvalidAddress,
    Profile,
)
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import Condition, Iq, StanzaError, error_reply, result_of
from gateway.xmpp.xml import Element

log = logging.getLogger(__name__)

FETCH_SECONDS = 20.0
MAX_FETCHING = 100  # cards of one user under way

# A profile's field, and where it stands in a card.
_FIELDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("nick", ("NICKNAME",)),
    ("birthday", ("BDAY",)),
    ("city", ("ADR", "LOCALITY")),
    ("country", ("ADR", "CTRY")),
    ("phone", ("TEL", "NUMBER")),
    ("email", ("EMAIL", "USERID")),
    ("url", ("URL",)),
    ("about", ("DESC",)),
)


@attrs.define(eq=False)
class _Fetching:
    """One card on its way: the question, and what is known by now."""

    iq: Iq
    name: str  # on the contact list
    waiting: set[str] = attrs.field(factory=set)
    profile: Profile | None = None
    avatar: Avatar | None = None


async def get(user: User, iq: Iq) -> None:
    """Answer with a card: at once, or when the network has said what it knows."""
    if not iq.to.local:
        title = user.domain.title
        card = Element("vCard", ns.VCARD, {}, (_text("FN", title), _text("NICKNAME", title)))
        user.domain.link.answer(result_of(iq, card))
        return
    if user.account is None or not (is_known(user, iq) or await _has_asked(user, iq)):
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    address = user.domain.addresses.address_of(iq.to)
    known = user.contacts.get(address)
    listed = known.listed if known is not None else None
    fetching = _Fetching(iq, listed.name if listed is not None else "")
    able = user.client.capabilities if user.client is not None else None
    commands: list[FetchProfile | FetchAvatar] = []
    if able is not None and able.profile:
        commands.append(FetchProfile(ref=user.domain.new_id(), address=address))
    if able is not None and able.avatar:
        commands.append(FetchAvatar(ref=user.domain.new_id(), address=address))
    if commands and len(user.awaited) + len(commands) > MAX_FETCHING:
        raise StanzaError(Condition.RESOURCE_CONSTRAINT)
    fetching.waiting = {command.ref for command in commands}
    for command in commands:
        user.await_answer(command.ref, lambda answer: _take(user, fetching, answer))
    for command in commands:
        if not await user.send(command):
            user.answered(command.ref)
    if not commands:
        _finish(user, fetching)
    elif fetching.waiting:
        user.later.set(fetching, FETCH_SECONDS, lambda: _give_up(user, fetching))


async def _has_asked(user: User, iq: Iq) -> bool:
    try:
        address = user.domain.addresses.address_of(iq.to)
    except InvalidAddress:
        return False
    try:
        return await contacts.has_asked(user, address)
    except StoreError as exc:
        log.warning("%s: cannot say who has asked: %s", user.name, exc)
        return False


def refuse(user: User, iq: Iq) -> Iq:
    """Refuse to change a card: nobody's is the asker's own."""
    raise StanzaError(Condition.NOT_ALLOWED)


def _take(user: User, fetching: _Fetching, answer: CommandAnswer) -> None:
    fetching.waiting.discard(answer.ref)
    if isinstance(answer, CommandDone):
        if isinstance(answer.result, Profile):
            fetching.profile = answer.result
        elif isinstance(answer.result, Avatar):
            fetching.avatar = answer.result
    if not fetching.waiting:
        user.later.cancel(fetching)
        _finish(user, fetching)


def _give_up(user: User, fetching: _Fetching) -> None:
    for ref in list(fetching.waiting):
        user.answered(ref)


def _finish(user: User, fetching: _Fetching) -> None:
    """Answer with what is known."""
    fields = dict(fetching.profile.fields) if fetching.profile is not None else {}
    name = fetching.name or fields.get("name", "")
    children = list(_names(name, fields)) + list(_details(fields))
    if fetching.avatar is not None:
        children += _photo(fetching.avatar, user.domain.config.max_stanza_bytes // 2)
    if children:
        reply = result_of(fetching.iq, Element("vCard", ns.VCARD, {}, tuple(children)))
        user.domain.link.answer(reply)
    else:  # the same as for somebody unknown
        user.domain.link.answer(error_reply(fetching.iq, Condition.SERVICE_UNAVAILABLE))


def _names(name: str, fields: Mapping[str, str]) -> Iterator[Element]:
    if full := fields.get("name") or name:
        yield _text("FN", full)
    if name and not fields.get("nick"):
        yield _text("NICKNAME", name)


def _details(fields: Mapping[str, str]) -> Iterator[Element]:
    found: dict[str, list[Element]] = {}
    for field, (place, *inner) in _FIELDS:
        if text := fields.get(field, "").strip():
            element = _text(inner[0], text) if inner else _text(place, text)
            found.setdefault(place, []).append(element)
    for place, elements in found.items():
        if elements[0].name == place:
            yield elements[0]
        else:
            yield Element(place, ns.VCARD, {}, tuple(elements))


def _photo(avatar: Avatar, most_bytes: int) -> list[Element]:
    """Return the picture, unless it is too large for a stanza."""
    data = base64.b64encode(avatar.data).decode()
    if not data or len(data) > most_bytes:
        return []
    kind = [_text("TYPE", avatar.media_type)] if avatar.media_type else []
    return [Element("PHOTO", ns.VCARD, {}, (*kind, _text("BINVAL", data, cut=False)))]


def _text(name: str, text: str, *, cut: bool = True) -> Element:
    return Element(name, ns.VCARD, {}, (bounded(text) if cut else text,))
