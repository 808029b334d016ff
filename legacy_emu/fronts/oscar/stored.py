"""What is stored for an ICQ number besides messages, where the likeness does that.

Requests, answers, additions, and messages that the service itself cannot read stay until the client
deletes them by 003E, or fetches everything by 04/10; each 003C shows them again.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import feedbag, icq, messages
from gateway.networks.oscar.wire.messages import FIELD_END, TypedKind
from legacy_emu.events import AnswerArrived, RequestArrived
from legacy_emu.faults import Kind
from legacy_emu.fronts.oscar.looks import is_uin, name_of, to_utf8
from legacy_emu.people import Person

if TYPE_CHECKING:
    from legacy_emu.fronts.oscar.bos import Bos

MAX_STORED = 1_000  # of each kind, for one account
Asking = RequestArrived | AnswerArrived


@attrs.frozen
class Unreadable:
    """A message on channel 1 whose text cannot be read."""

    sender: str
    cookie: bytes
    text: bytes = attrs.field(repr=False)
    sent_at: datetime


@attrs.define
class Kept:
    """What is stored for one account."""

    asking: dict[str, Asking] = attrs.field(factory=dict)  # by id
    adders: dict[str, datetime] = attrs.field(factory=dict)
    unreadable: list[Unreadable] = attrs.field(factory=list)


class Stored:
    """What is stored for the account of one connection."""

    def __init__(self, bos: "Bos") -> None:
        self._bos = bos
        self._traits = bos.link.traits

    @property
    def _kept(self) -> Kept:
        return self._bos.account.kept

    # --- what is stored -----------------------------------------------------------------------

    def takes(self, value: Asking) -> bool:
        """Store a request or an answer that came while the number was away."""
        if not self._stores or value.sent_at is None:
            return False
        if len(self._kept.asking) < MAX_STORED:
            self._kept.asking[value.id] = value
        return True

    def takes_adder(self, address: str) -> bool:
        """Store that somebody has added the number while it was away."""
        if self._stores and len(self._kept.adders) < MAX_STORED:
            self._kept.adders.setdefault(address, self._bos.service.world.now())
        return self._stores

    def takes_unreadable(self, other: Person, message: messages.Send) -> bool:
        """Store a message for a number that is away, if its text cannot be read."""
        kept = self._bos.link.shared.account(other).kept.unreadable
        if not self._traits.chokes_on_stored or other.sessions or not message.store:
            return False
        if not (self._bos.is_icq and is_uin(other.address)) or message.channel != messages.PLAIN:
            return False
        if _is_readable(message.text or b""):
            return False
        if len(kept) < MAX_STORED:
            now = self._bos.service.world.now()
            kept.append(Unreadable(self._bos.own, message.cookie, message.text or b"", now))
        return True

    @property
    def _stores(self) -> bool:
        return self._traits.stores_authorisations and self._bos.is_icq

    # --- what is said -------------------------------------------------------------------------

    def say(self) -> Iterator[icq.OfflineMessage]:
        """Say the authorisations. Yields those that go as messages of ICQ's."""
        as_snacs = self._traits.forwards_authorisations and self._bos.uses_list
        for value in self._kept.asking.values():
            other = self._bos.find(value.address)
            if other is not None and as_snacs:
                self._say_snac(other, value)
            elif other is not None:
                yield _offline(other, value.sent_at, *_typed(other, value))
        for address, at in self._kept.adders.items():
            other = self._bos.find(address)
            if other is not None and as_snacs:
                self._bos.say(feedbag.YouWereAdded(name_of(other)), extended=True)
            elif other is not None:
                yield _offline(other, at, TypedKind.ADDED, (name_of(other), "", "", ""))

    def _say_snac(self, other: Person, value: Asking) -> None:
        name, reason = name_of(other), to_utf8(value.reason)
        if isinstance(value, RequestArrived):
            self._bos.say(feedbag.AuthorisationRequested(name, reason), extended=True)
        else:
            self._bos.say(feedbag.Authorised(name, int(value.granted), reason), extended=True)

    def chokes(self) -> bool:
        """Say whether something is stored that the service cannot read."""
        return bool(self._kept.unreadable) or self._bos.link.strikes(Kind.POISON)

    def say_all(self) -> None:
        """Say everything as it came, and delete it."""
        for value in self._kept.asking.values():
            if (other := self._bos.find(value.address)) is not None:
                kind, fields = _typed(other, value)
                self._bos.icbm.say_typed(other, kind, fields, "")
        for address in self._kept.adders:
            if (other := self._bos.find(address)) is not None:
                fields = (name_of(other), "", "", "")
                self._bos.icbm.say_typed(other, TypedKind.ADDED, fields, "")
        for each in self._kept.unreadable:
            if (other := self._bos.find(each.sender)) is not None:
                received = messages.Receive(
                    cookie=each.cookie,
                    channel=messages.PLAIN,
                    sender=self._bos.info_of(other, self._bos.look_at(other)),
                    text=each.text,
                    store=True,
                    sent_at=int(each.sent_at.timestamp()),
                )
                self._bos.say(received)
        self.delete()

    def delete(self) -> None:
        if self._kept.asking:
            self._bos.acknowledge(*self._kept.asking)
        self._bos.account.kept = Kept()
        self._bos.service.faults.heal(Kind.POISON, self._bos.link.connection)


def _is_readable(text: bytes) -> bool:
    try:
        return bool(messages.decode_parts(text))
    except wire.RemoteProtocolError:
        return False


def _typed(other: Person, value: Asking) -> tuple[int, tuple[str, ...]]:
    if isinstance(value, RequestArrived):
        fields = (name_of(other), "", "", "", "1", value.reason)
        return TypedKind.AUTHORISATION_REQUEST, fields
    if value.granted:
        return TypedKind.AUTHORISATION_GRANTED, ("",)
    return TypedKind.AUTHORISATION_DENIED, (value.reason,)


def _offline(
    other: Person, at: datetime | None, kind: int, fields: tuple[str, ...]
) -> icq.OfflineMessage:
    assert at is not None, "it waited"
    at = at.astimezone(UTC)
    return icq.OfflineMessage(
        uin=int(other.address) if is_uin(other.address) else 0,
        year=at.year,
        month=at.month,
        day=at.day,
        hour=at.hour,
        minute=at.minute,
        kind=kind,
        text=FIELD_END.join(to_utf8(each)[:1_000] for each in fields),
    )
