"""What was asked of the service and is not answered yet, and how packets get on their way."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count

import attrs

from gateway.errors import ConnectionLost
from gateway.networks import base
from gateway.networks.oscar.protocol.moment import Moment
from gateway.networks.oscar.protocol.outbox import Outbox, Outgoing
from gateway.networks.oscar.wire import (
    MORE,
    Body,
    Error,
    Packet,
    Snac,
    feedbag,
    general,
    group_of,
    icq,
    messages,
    people,
)

Answer = Callable[[Snac, Moment], Iterator[base.LegacyEvent]]
Expire = Callable[[], Iterator[base.LegacyEvent]]

# What answers what, beside an error of the same food group. A service may number what it says
# unasked as it likes, even as we do.
_ANSWERS: Mapping[type[Body], type[Body]] = {
    general.RateQuery: general.RateParameters,
    general.OwnInfoQuery: general.OwnInfo,
    general.ServiceQuery: general.ServiceReply,
    people.LocateRightsQuery: people.LocateRights,
    people.BuddyRightsQuery: people.BuddyRights,
    people.PermitRightsQuery: people.PermitRights,
    people.InfoQuery: people.InfoReply,
    messages.ParametersQuery: messages.Parameters,
    messages.Send: messages.HostAck,
    feedbag.FeedbagRightsQuery: feedbag.FeedbagRights,
    feedbag.FeedbagQuery: feedbag.Feedbag,
    feedbag.AddItems: feedbag.EditResults,
    feedbag.UpdateItems: feedbag.EditResults,
    feedbag.DeleteItems: feedbag.EditResults,
    icq.IcqQuery: icq.IcqReply,
}


@attrs.define(eq=False)
class _Request:
    kind: type[Body]
    answer: Answer
    expire: Expire
    deadline: float | None  # None: from when it was written

    def is_answered_by(self, body: Body) -> bool:
        if isinstance(body, Error):
            return body.group == group_of(self.kind)
        return isinstance(body, _ANSWERS[self.kind])


class Requests:
    """The packets of one connection: those that go, and those that an answer is due for."""

    def __init__(self, answer_seconds: float) -> None:
        self.outbox = Outbox()
        self._answer_seconds = answer_seconds
        self._numbers = count(1)
        self._pending: dict[int, _Request] = {}

    def __len__(self) -> int:
        return len(self._pending)

    # --- what goes ----------------------------------------------------------------------------

    def number(self) -> int:
        """Return a number nobody waits for; 0 and the high half are not ours."""
        while True:
            number = next(self._numbers) & 0x7FFFFFFF
            if number and number not in self._pending:
                return number

    def put(self, packet: Packet, ref: str = "", events: tuple[base.LegacyEvent, ...] = ()) -> None:
        self.outbox.put(Outgoing(packet, ref, events))

    def say(self, body: Body) -> None:
        """Send what is not answered, or whose answer nobody waits for."""
        self.put(Snac(body, self.number()))

    def say_first(self, body: Body) -> None:
        """Send something ahead of all that waits."""
        self.outbox.put(Outgoing(Snac(body, self.number()), is_urgent=True))

    def say_at_leisure(self, body: Body) -> None:
        """Send something when there is room to spare, unless too much waits for that."""
        if self.outbox.may_spare:
            self.outbox.put_spare(Outgoing(Snac(body, self.number())))

    def finish(self, ref: str, body: Body, result: object = None) -> None:
        """Send what a command comes to: it is done when that is written."""
        self.put(Snac(body, self.number()), ref, (base.CommandDone(ref, result),))

    def ask(self, body: Body, answer: Answer, expire: Expire, ref: str = "") -> None:
        """Send what has to be answered in time."""
        self.put(Snac(body, self.expect(type(body), answer, expire)), ref)

    def ask_at_leisure(self, body: Body, answer: Answer, expire: Expire) -> tuple[int, Outgoing]:
        """Send something when there is room to spare, and wait for its answer then."""
        number = self.expect(type(body), answer, expire)
        outgoing = Outgoing(Snac(body, number))
        self.outbox.put_spare(outgoing)
        return number, outgoing

    def expect(self, kind: type[Body], answer: Answer, expire: Expire) -> int:
        """Return the number of a request that its owner sends himself."""
        number = self.number()
        self._pending[number] = _Request(kind, answer, expire, None)
        return number

    def hurry(self, number: int, at: Moment) -> None:
        """Have a request expire even if it is not written."""
        request = self._pending.get(number)
        if request is not None and request.deadline is None:
            request.deadline = at.seconds + self._answer_seconds

    def drop(self, ref: str) -> None:
        """Forget what of a command is not written."""
        for outgoing in self.outbox.drop(ref):
            if isinstance(outgoing.packet, Snac):
                self._pending.pop(outgoing.packet.request, None)

    def awaits(self, number: int) -> bool:
        return number in self._pending

    def forget(self, number: int) -> None:
        self._pending.pop(number, None)

    def written(self, outgoing: Outgoing, at: Moment) -> tuple[base.LegacyEvent, ...]:
        """Note that a packet has left: the time of its answer runs."""
        if isinstance(outgoing.packet, Snac):
            self.hurry(outgoing.packet.request, at)
        return outgoing.events

    # --- what comes ---------------------------------------------------------------------------

    def answered(self, snac: Snac, at: Moment) -> Iterator[base.LegacyEvent] | None:
        """Give an answer to whoever waits for it; None: nobody does."""
        request = self._pending.get(snac.request)
        if request is None or not request.is_answered_by(snac.body):
            return None
        if not snac.flags & MORE:
            del self._pending[snac.request]
        return request.answer(snac, at)

    def deadline(self) -> float:
        """Return when `expire` has something to do next."""
        waits = [one.deadline for one in self._pending.values() if one.deadline is not None]
        return min([*waits, self.outbox.paused_until])

    def expire(self, at: Moment) -> Iterator[base.LegacyEvent]:
        """Give up on what was not answered in time. Raises `ConnectionLost` after a long pause."""
        if self.outbox.paused_until <= at.seconds:
            raise ConnectionLost("the service has paused for too long")
        for number, request in list(self._pending.items()):
            if request.deadline is not None and request.deadline <= at.seconds:
                self._pending.pop(number, None)
                yield from request.expire()


def nothing() -> Iterator[base.LegacyEvent]:
    return iter(())
