"""Questions about people: away texts and profiles, ICQ's details, and search.

Away texts and profiles count for the same rate class as messages. So they wait until there is room
to spare, and one question serves all who ask.
"""

from collections.abc import Callable, Iterator

import attrs

from gateway.errors import RemoteProtocolError
from gateway.networks import base
from gateway.networks.base import Reason
from gateway.networks.oscar.protocol.directory import IcqAnswers, aim_profile, for_uin
from gateway.networks.oscar.protocol.moment import Moment
from gateway.networks.oscar.protocol.names import is_uin
from gateway.networks.oscar.protocol.outbox import Outgoing
from gateway.networks.oscar.protocol.presence import Presences, is_away, read_away_text
from gateway.networks.oscar.protocol.requests import Requests
from gateway.networks.oscar.protocol.talk import Dialect, reason_of
from gateway.networks.oscar.wire import Body, Error, Snac, icq, people
from gateway.networks.oscar.wire.text import decode_mime

MAX_WAITING = 200

NO_ANSWER = "The service did not answer."
NOT_KNOWN = "The service knows nothing of this person, or he is not online."


@attrs.define(eq=False)
class _LookUp:
    refs: list[str] = attrs.field(factory=list)
    number: int = 0
    outgoing: Outgoing | None = None


@attrs.frozen(eq=False)
class _Question:
    number: int  # of its SNAC
    answers: IcqAnswers
    result: Callable[[], Iterator[base.LegacyEvent]]


class Lookups:
    """Questions about people that wait for an answer. `nonce` tells them from other sign-ons'."""

    def __init__(
        self,
        requests: Requests,
        presences: Presences,
        dialect: Dialect,
        own_address: str,
        nonce: bytes,
    ) -> None:
        self._requests = requests
        self._presences = presences
        self._dialect = dialect
        self._own_address = own_address
        self._first = int.from_bytes(nonce[:2], "big")
        self._waiting: dict[str, _LookUp] = {}
        self._questions: dict[int, _Question] = {}  # by their numbers in ICQ's envelope

    # --- what the service has of everybody ----------------------------------------------------

    def fetch_away_text(self, address: str) -> None:
        """Fetch what somebody says of being away; where too many are waited for, not at all."""
        self._look_up(address)

    def fetch_profile(self, ref: str, address: str, at: Moment) -> list[base.LegacyEvent]:
        waiting = self._look_up(address)
        if waiting is None:
            text = "Too many profiles are waited for."
            return [base.CommandFailed(ref, Reason.RATE_LIMITED, text)]
        waiting.refs.append(ref)
        self._requests.hurry(waiting.number, at)
        return []

    def _look_up(self, address: str) -> _LookUp | None:
        if address in self._waiting:
            return self._waiting[address]
        if len(self._waiting) >= MAX_WAITING:
            return None
        waiting = self._waiting[address] = _LookUp()

        def answer(snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
            self._waiting.pop(address, None)
            return self._looked_up(waiting.refs, address, snac.body, at)

        def expire() -> Iterator[base.LegacyEvent]:
            self._waiting.pop(address, None)
            if waiting.outgoing is not None:
                waiting.outgoing.dropped = True
            return _failed(waiting.refs, Reason.UNREACHABLE, NO_ANSWER)

        query = people.InfoQuery(people.Ask.PROFILE | people.Ask.AWAY, address)
        waiting.number, waiting.outgoing = self._requests.ask_at_leisure(query, answer, expire)
        return waiting

    def _looked_up(
        self, refs: list[str], address: str, body: Body, at: Moment
    ) -> Iterator[base.LegacyEvent]:
        if not isinstance(body, people.InfoReply):
            yield from _failed(refs, Reason.UNKNOWN_ADDRESS, NOT_KNOWN)
            return
        profile = aim_profile(address, body)
        for ref in refs:
            yield base.CommandDone(ref, profile)
        text = ""
        if body.away and is_away(body.user):
            away = decode_mime(body.away_type, body.away)
            html = not is_uin(address) or away.lstrip().startswith("<")
            text = read_away_text(away, is_html=html, reader=self._own_address)
        changed = self._presences.away_text(address, text, at)
        if changed is not None:
            yield changed

    # --- what ICQ has of numbers --------------------------------------------------------------

    def ask_details(self, ref: str, uin: str) -> None:
        """Ask for all that is known of a number, once it is known that there is such a number.

        Open OSCAR Server hangs up on who asks for the details of one that is not.
        """
        answers = IcqAnswers(self._dialect)

        def found() -> Iterator[base.LegacyEvent]:
            for profile in answers.found:
                if profile.address == uin:
                    self._ask_more(ref, profile)
                    return
            yield base.CommandFailed(ref, Reason.UNKNOWN_ADDRESS, NOT_KNOWN)

        self._ask(ref, for_uin(icq.Meta.SEARCH_BY_UIN, uin), answers, found)

    def _ask_more(self, ref: str, profile: base.Profile) -> None:
        answers = IcqAnswers(self._dialect, profile.fields)

        def result() -> Iterator[base.LegacyEvent]:
            yield base.CommandDone(ref, base.Profile(profile.address, answers.fields))

        self._ask(ref, for_uin(icq.Meta.FULL_INFO_QUERY, profile.address), answers, result)

    def search(self, ref: str, query: bytes) -> None:
        answers = IcqAnswers(self._dialect)

        def result() -> Iterator[base.LegacyEvent]:
            yield base.CommandDone(ref, answers.found)

        self._ask(ref, query, answers, result)

    def _ask(
        self,
        ref: str,
        query: bytes,
        answers: IcqAnswers,
        result: Callable[[], Iterator[base.LegacyEvent]],
    ) -> None:
        def refused(snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
            self._questions.pop(sequence, None)
            if isinstance(snac.body, Error):
                yield base.CommandFailed(ref, *reason_of(snac.body))
            else:
                yield base.CommandFailed(ref, Reason.UNKNOWN, NO_ANSWER)

        def expire() -> Iterator[base.LegacyEvent]:
            self._questions.pop(sequence, None)
            if answers.has_any:
                yield from result()
            else:
                yield base.CommandFailed(ref, Reason.UNREACHABLE, NO_ANSWER)

        number = self._requests.expect(icq.IcqQuery, refused, expire)
        sequence = self._sequence(number)
        # Those whose sender gave up before they were written are nobody's any more.
        if len(self._questions) >= MAX_WAITING:
            kept = (
                each for each in self._questions.items() if self._requests.awaits(each[1].number)
            )
            self._questions = dict(kept)
        self._questions[sequence] = _Question(number, answers, result)
        self._requests.put(Snac(self.envelope(icq.Command.META_QUERY, number, query), number), ref)

    def answered(self, envelope: icq.Envelope, *, more: bool) -> Iterator[base.LegacyEvent] | None:
        """Take a meta reply; None: nobody has asked.

        It is the sequence number that names the question: some services repeat nothing else.
        """
        question = self._questions.get(envelope.sequence)
        return None if question is None else self._take(question, envelope, more=more)

    def _take(
        self, question: _Question, envelope: icq.Envelope, *, more: bool
    ) -> Iterator[base.LegacyEvent]:
        try:
            question.answers.take(envelope, more=more)
        except RemoteProtocolError as exc:
            yield base.UnknownEvent(f"details that cannot be read: {exc}")
        if question.answers.finished:
            del self._questions[envelope.sequence]
            self._requests.forget(question.number)
            yield from question.result()

    def envelope(self, command: icq.Command, number: int, data: bytes = b"") -> icq.IcqQuery:
        """Put an ICQ command into its envelope; who is no number himself says 0."""
        uin = int(self._own_address) if self._dialect.own_is_uin else 0
        return icq.icq_query(icq.Envelope(uin, command, self._sequence(number), data))

    def _sequence(self, number: int) -> int:
        """Return the number inside the envelope. Answers may go to the other sign-ons, too."""
        return (number + self._first) & 0xFFFF


def _failed(refs: list[str], reason: Reason, text: str) -> Iterator[base.LegacyEvent]:
    for ref in refs:
        yield base.CommandFailed(ref, reason, text)
