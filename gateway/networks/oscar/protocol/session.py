"""One session as a state machine: packets in, events out; commands in, packets out.

Does no I/O and looks at no clock: whoever calls says what time it is. `requests.outbox` is what is
to be sent; `written` is called for each packet that was. The parts have files of their own:
`entering` signs on, `roster` and `edits` are the contact list, `presence` is presence, `talk` and
`mail` are messages, `lookups` and `directory` people.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import attrs

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks import base
from gateway.networks.base import InvalidAddress, LoginRefused, Reason, Refusal, SignedOff, Stage
from gateway.networks.oscar.protocol import edits, talk
from gateway.networks.oscar.protocol.directory import for_person, for_uin
from gateway.networks.oscar.protocol.entering import ICQ, Entering, Step
from gateway.networks.oscar.protocol.login import refusal
from gateway.networks.oscar.protocol.lookups import Lookups
from gateway.networks.oscar.protocol.mail import Mail
from gateway.networks.oscar.protocol.moment import Moment
from gateway.networks.oscar.protocol.names import canonical_uin, cut, is_uin, plain
from gateway.networks.oscar.protocol.outbox import Outgoing
from gateway.networks.oscar.protocol.presence import OwnPresence, Presences
from gateway.networks.oscar.protocol.refusing import lacks, refuse
from gateway.networks.oscar.protocol.requests import Requests
from gateway.networks.oscar.protocol.roster import Roster
from gateway.networks.oscar.protocol.stored import Stored, Way
from gateway.networks.oscar.protocol.traits import OfflineStore, Traits
from gateway.networks.oscar.protocol.unread import Unread
from gateway.networks.oscar.protocol.values import LIVE, Value
from gateway.networks.oscar.wire import (
    MORE,
    Body,
    Error,
    FlapError,
    Packet,
    SignOff,
    SignOn,
    Snac,
    decode_block,
    feedbag,
    general,
    icq,
    messages,
    people,
)

MAX_UNANSWERED = 1_000
MAX_WAITING_ICONS = 200
MAX_DECISIONS = 1_000
MAX_EARLY_STATES = 20_000  # before the user is shown
MAX_EARLY_VALUES = 10_000  # as many as services keep
MAX_UNUSABLE = 10  # names of one SNAC that are told to be so
ELSEWHERE, DELETED = 0x0001, 0x0002  # why a session ended
SYSTEM_SENDER = "OOS System Msg"
UNKNOWN_TIME = datetime(1997, 1, 1, tzinfo=UTC)  # it was kept, and nobody knows since when

_TYPING = {
    int(messages.TypingEvent.FINISHED): base.TypingState.IDLE,
    int(messages.TypingEvent.PAUSED): base.TypingState.PAUSED,
    int(messages.TypingEvent.BEGUN): base.TypingState.COMPOSING,
    int(messages.TypingEvent.CLOSED): base.TypingState.IDLE,
}
_TYPING_SENT = {
    base.TypingState.IDLE: messages.TypingEvent.FINISHED,
    base.TypingState.PAUSED: messages.TypingEvent.PAUSED,
    base.TypingState.COMPOSING: messages.TypingEvent.BEGUN,
}
_MISSED = {1: "too large", 2: "too fast", 3: "warned too often", 4: "warned too often"}


@attrs.frozen
class IconWanted:
    """An icon somebody asked for, to be fetched by a connection of its own."""

    ref: str
    address: str
    id: people.BartId


class Session:
    """The client's side of one session. `nonce` is random: no two sessions share one.

    `way`: how an ICQ number asks for what was kept. `notice` is told once the user is shown.
    """

    def __init__(
        self,
        name: str,
        own_address: str,
        cookie: bytes,
        traits: Traits,
        nonce: bytes,
        *,
        way: Way = Way.ICQ,
        notice: str = "",
    ) -> None:
        own_is_uin = is_uin(own_address)
        dialect = talk.Dialect(
            own_is_uin, traits.code_page, traits.strips_html, traits.has_utf8_directory
        )
        self._traits = traits
        self._own_address = own_address
        self._dialect = dialect
        self._early: list[base.LegacyEvent] = [base.Notice(notice)] if notice else []
        self._early_values = 0
        self._has_list = False
        self._roster = Roster(traits.canonical)
        self._edits = edits.Edits(self._roster)
        self._presences = Presences()
        self._own = OwnPresence(html=not own_is_uin, forgets_mime=traits.forgets_mime)
        may_ask = own_is_uin and traits.offline is not OfflineStore.ICBM
        self.stored = Stored(way if may_ask else Way.NONE)
        self._cookies = talk.Cookies()
        self._asks_icq = may_ask and way is Way.ICQ
        self._asks_icbm = not may_ask or way is Way.ICBM or traits.offline is OfflineStore.BOTH
        self._decisions: dict[tuple[str, str], str] = {}
        self.requests = Requests(traits.answer_seconds)
        self._entering = Entering(self.requests, cookie, several=traits.several, learn=self._learn)
        keeps = self._kept if traits.refuses_kept and own_is_uin else None
        self._mail = Mail(self.requests, dialect, own_address, nonce, self._presences, keeps)
        self._unread = Unread()
        self._lookups = Lookups(self.requests, self._presences, dialect, own_address, nonce)
        self.icons: list[IconWanted] = []
        self.services: dict[int, general.ServiceReply | None] = {}  # None: refused
        self.display_name = name

    # --- what is asked of it ------------------------------------------------------------------

    @property
    def is_online(self) -> bool:
        return self._has_list

    @property
    def capabilities(self) -> base.Capabilities:
        """What this service can do; known once the session is online."""
        offered = self._traits.offered
        if not self._entering.has_feedbag:
            offered = attrs.evolve(offered, groups=False, block=False)
        if ICQ not in self._entering.groups:
            offered = attrs.evolve(offered, search=False)
        return offered

    def expire(self, at: Moment) -> list[base.LegacyEvent]:
        """Give up on what was not answered in time."""
        self.stored.expire(at)
        return self._told(self.requests.expire(at))

    def written(self, outgoing: Outgoing, at: Moment) -> tuple[base.LegacyEvent, ...]:
        if isinstance(outgoing.packet, Snac):
            self.stored.written(outgoing.packet.request, at)
        return self.requests.written(outgoing, at)

    def ping(self, at: Moment) -> bool:
        """Ask something the service has to answer; False: that would have to wait by its limits."""
        number = self.requests.number()
        question = Snac(general.OwnInfoQuery(), number)
        if not self.requests.outbox.may_go_now(question, at.seconds):
            return False
        self.requests.put(question)
        return True

    def ask_service(self, group: int) -> None:
        """Ask where another service is; `services` has the answer."""
        self.services.pop(group, None)

        def answer(snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
            found = snac.body if isinstance(snac.body, general.ServiceReply) else None
            self.services[group] = found
            return iter(())

        def expire() -> Iterator[base.LegacyEvent]:
            self.services[group] = None
            return iter(())

        self.requests.ask(general.ServiceQuery(group), answer, expire)

    def acknowledge(self, token: object) -> list[base.LegacyEvent]:
        """Note that a value is safe. What the service keeps is deleted once all of it is."""
        told = self._told(self.stored.acknowledge(token))
        self._delete_stored()
        return told

    def ended(self, reason: Exception, at: Moment) -> None:
        """Note that the service, or what it said, has ended the session."""
        if not isinstance(reason, SignedOff) or reason.reason is None:
            self.stored.ended(at)

    def cancelled(self, ref: str) -> list[base.LegacyEvent]:
        """Forget a command whose sender gave up before it was written."""
        is_written = not self.requests.outbox.holds(ref)
        self._mail.cancelled(ref)
        return self._told(self._edits.abandon(ref, is_written=is_written))

    # --- what comes ---------------------------------------------------------------------------

    def receive(self, packet: Packet, at: Moment) -> list[base.LegacyEvent]:
        """Take one packet and return the events it means.

        Raises `RemoteProtocolError`, `ConnectionLost`, `LoginRefused` and `SignedOff`.
        """
        match packet:
            case SignOn():
                self._entering.greeted()
            case FlapError():
                raise RemoteProtocolError("the service reports a FLAP error")
            case SignOff():
                raise self._ended(packet)
            case Snac(body=icq.IcqReply() as reply):
                return self._told(self._icq_reply(reply, more=bool(packet.flags & MORE)))
            case Snac():
                answered = self.requests.answered(packet, at)
                return self._told(self._push(packet, at) if answered is None else answered)
        return []

    def _told(self, events: Iterator[base.LegacyEvent]) -> list[base.LegacyEvent]:
        """Return events; before the user is shown they wait, and the contact list goes first."""
        told = list(events)
        self._send_edits()
        for event in told:
            if isinstance(event, base.ContactRemoved):
                self._presences.forget(event.address)
        if self._has_list:
            return told
        self._hold(told)
        if self._entering.step is not Step.DONE:
            return []
        self._has_list = True  # what was kept comes behind the list
        if self._asks_icbm:
            number = self.requests.number()
            self.requests.put(Snac(messages.OfflineQuery(), number))
            if not self._asks_icq:
                self.stored.ask(number)
        if self._asks_icq:
            self.stored.ask(self._say_icq(icq.Command.OFFLINE_QUERY))
        early, self._early = self._early, []
        return [self._roster.whole(), *early]

    def _hold(self, events: list[base.LegacyEvent]) -> None:
        self._early += events
        self._early_values += sum(not isinstance(one, base.PresenceChanged) for one in events)
        states = len(self._early) - self._early_values
        if self._early_values > MAX_EARLY_VALUES or states > MAX_EARLY_STATES:
            raise ConnectionLost("the service sends faster than it signs the user on")

    def _learn(self, body: Body) -> None:
        """Take what the sign-on brings to light."""
        match body:
            case general.OwnInfo(users=(user, *_)):
                self.display_name = plain(user.name) or self.display_name
            case people.LocateRights(max_profile=int() as most) if most:
                self._own.max_text_bytes = max(100, min(most, talk.MOST_BYTES))
            case messages.Parameters(max_length=told):
                most = self._traits.message_bytes or min(told, talk.MOST_BYTES)
                self._mail.max_bytes = max(most, talk.LEAST_BYTES)
            case feedbag.Feedbag(items=items):
                self._hold(self._roster.put(items)[:MAX_UNUSABLE])

    def _ended(self, packet: SignOff) -> Exception:
        """Say why the service ended the session."""
        retry_seconds = self._traits.retry_seconds
        if packet.error is not None:
            refused = refusal(packet.error, retry_seconds)
            if not self._has_list:
                return refused
            return SignedOff(refused.reason, refused.text, refused.retry_after)
        text = _words(packet.text)
        reason: Refusal | None = None
        retry_after = None
        if packet.reason == ELSEWHERE:
            reason = Refusal.ELSEWHERE
            if self.requests.outbox.limits.is_pressed:  # some say the same to who is too fast
                reason, retry_after = Refusal.TOO_MANY_ATTEMPTS, retry_seconds
        elif packet.reason == DELETED:
            reason = Refusal.UNKNOWN_ACCOUNT
        if self._has_list:
            return SignedOff(reason, text, retry_after)
        if reason is None:
            return ConnectionLost(f"the service ended the sign-on {text}".rstrip())
        return LoginRefused(reason, text, retry_after)

    def _push(  # noqa: C901 - one case for each
        self, snac: Snac, at: Moment
    ) -> Iterator[base.LegacyEvent]:
        """Take what the service says unasked."""
        match snac.body:
            case general.HostOnline(groups=groups):
                self._entering.host_online(groups)
            case general.HostVersions():
                self._entering.host_versions()
            case general.RateChange() as change:
                self.requests.outbox.limits.change(change, at.seconds)
                if change.code == general.RateCode.LIMITED:
                    yield base.UnknownEvent("the service limits what we send")
            case general.Pause(groups=groups):
                self.requests.say_first(general.PauseAck(groups))
                self.requests.outbox.pause(at.seconds)
            case general.Resume():
                self.requests.outbox.resume()
            case general.Migrate():
                raise self._ended(SignOff(text="the service moves its users elsewhere"))
            case general.Probe():
                self.requests.say(general.ProbeAck())
            case general.OwnInfo() as info:
                self._learn(info)
            case people.Arrived(users=users):
                for user in users:
                    yield from self._named(user.name, _then(self._arrived, user, at))
            case people.Departed(users=users):
                for user in users:
                    yield from self._named(user.name, self._departed)
            case messages.Receive() as message:
                yield from self._received(message, at)
            case messages.Typing(name=name, event=event):
                yield from self._named(name, _then(_typing, event))
            case messages.HostAck(cookie=cookie):
                yield from self._mail.accepted(cookie)
            case messages.ClientError(cookie=cookie, name=name, reason=1 | 2):
                yield from self._named(name, _then(self._mail.refused_by_client, cookie))
            case messages.MissedMessages(missed=missed):
                for one in missed:
                    why = _MISSED.get(one.reason, f"code {one.reason}")
                    name = plain(one.sender.name)
                    yield base.Notice(f"{one.count} messages from {name} were lost: {why}.")
            case Error(group=group, code=code):
                yield base.UnknownEvent(f"an error of food group {group:#04x}: {code:#04x}")
            case _:
                yield from self._list_push(snac.body)

    def _list_push(self, body: Body) -> Iterator[base.LegacyEvent]:
        """Take what concerns the contact list, changed elsewhere, and authorisations."""
        match body:
            case feedbag.AddItems(items=items) | feedbag.UpdateItems(items=items):
                yield from self._roster.put(items)[:MAX_UNUSABLE]
                yield from self._list_changes()
            case feedbag.DeleteItems(items=items):
                self._roster.remove(items)
                yield from self._list_changes()
            case feedbag.AuthorisationRequested(name=name, reason=reason):
                yield from self._decision(name, talk.Asked(reason=self._dialect.loose(reason)))
            case feedbag.Authorised(name=name, granted=granted, reason=reason):
                said = self._dialect.loose(reason)
                yield from self._decision(name, talk.Answered(granted != 0, said))
            case feedbag.Preauthorised(name=name):
                yield from self._decision(name, talk.Answered(granted=True))
            case feedbag.YouWereAdded(name=name):
                yield from self._decision(name, talk.Added())
            case (
                feedbag.BeginEdit()
                | feedbag.EndEdit()
                | general.Motd()
                | general.OwnBart()
                | people.StatsInterval()
            ):
                pass
            case messages.OfflineDone():
                if not self._asks_icq:
                    yield from self.stored.complete()
            case _:
                yield base.UnknownEvent(f"{body}"[:200])

    def _named(
        self, name: str, tell: Callable[[str], Iterator[base.LegacyEvent]]
    ) -> Iterator[base.LegacyEvent]:
        """Tell something of somebody; a name nobody can have costs that event alone."""
        try:
            address = self._traits.canonical(name)
        except InvalidAddress as exc:
            yield base.UnknownEvent(f"something of somebody with an unusable name: {exc}")
        else:
            yield from tell(address)

    def _arrived(
        self, address: str, user: people.UserInfo, at: Moment
    ) -> Iterator[base.LegacyEvent]:
        yield self._presences.arrived(address, user, at)
        if self._presences.lacks_text(address):
            self._lookups.fetch_away_text(address)

    def _departed(self, address: str) -> Iterator[base.LegacyEvent]:
        yield self._presences.departed(address)

    def _list_changes(self) -> Iterator[base.LegacyEvent]:
        if self._has_list:
            yield from self._roster.changes()

    # --- what others say ----------------------------------------------------------------------

    def _received(self, message: messages.Receive, at: Moment) -> Iterator[base.LegacyEvent]:
        sender = message.sender.name
        meaning: talk.Meaning
        try:
            # What cannot be read must not end the session: a stored message would come again.
            meaning = talk.read(message, self._dialect)
            cancel = talk.wants_cancel(message)
        except RemoteProtocolError as exc:
            yield base.UnknownEvent(f"a message that cannot be read: {exc}")
            meaning, cancel = talk.Unreadable(), None
        if sender == SYSTEM_SENDER:
            if isinstance(meaning, talk.Text):
                yield base.Notice(meaning.text)
            return
        if cancel is not None:
            cookie, channel = message.cookie, message.channel
            answer = messages.Send(cookie=cookie, channel=channel, to=sender, data=cancel)
            self.requests.say_at_leisure(answer)
        try:
            address = self._traits.canonical(sender)
        except InvalidAddress:
            yield from self._unread.from_nobody(sender, meaning)
            return
        value = self._value_of(address, message, at)
        yield from self._meant(address, meaning, "message", value)

    def _value_of(self, address: str, message: messages.Receive, at: Moment) -> Value:
        sent_at = talk.utc(message.sent_at)
        name = self._cookies.name(address, message, sent_at or at.utc)
        if sent_at is None:
            return Value(legacy_id=name)
        parts = (address, message.cookie, message.sent_at, message.text, message.data)
        legacy_id = name or talk.fingerprint(*parts)
        token = None
        if self._asks_icq:
            token = legacy_id = self.stored.keep(legacy_id, named=name is not None)
        return Value(token, legacy_id, sent_at)

    def _decision(self, name: str, meaning: talk.Meaning) -> Iterator[base.LegacyEvent]:
        value = self.stored.decision() if self._asks_icq else LIVE
        try:
            address = self._traits.canonical(name)
        except InvalidAddress:
            self.stored.drop(value.token)
            yield from self._unread.from_nobody(name, meaning)
            return
        yield from self._meant(address, meaning, "list", value)

    def _meant(
        self,
        address: str,
        meaning: talk.Meaning,
        route: str,
        value: Value,
    ) -> Iterator[base.LegacyEvent]:
        """Tell what somebody said or did. Decisions come by two routes on some services."""
        is_decision = isinstance(meaning, talk.Asked | talk.Answered | talk.Added)
        if is_decision and self._is_kept_twice(address, meaning):
            self.stored.drop(value.token)
            return
        if is_decision and self._is_told(address, type(meaning).__name__, route):
            meaning = talk.Nothing("the same again")
        match meaning:
            case talk.Text(text=text):
                yield value.message(address, text)
            case talk.Asked(nick=nick, reason=reason):
                yield from self.stored.offer(value.request(address, nick, reason))
            case talk.Answered(granted=granted, reason=reason):
                yield from self.stored.offer(value.answer(address, granted, reason))
                yield from self._decided(address, granted=granted)
            case talk.Added() | talk.Told() | talk.Nothing():
                self.stored.drop(value.token)
                if not isinstance(meaning, talk.Added) or self.stored.may_tell_adder():
                    yield _remark(address, meaning)
            case talk.Unreadable():
                self.stored.drop(value.token)
                yield from self._unread.from_somebody(address)

    def _is_kept_twice(self, address: str, meaning: talk.Meaning) -> bool:
        said = meaning.granted if isinstance(meaning, talk.Answered) else True
        return self.stored.is_repeated(address, type(meaning).__name__, said)

    def _is_told(self, address: str, kind: str, route: str) -> bool:
        """Say whether the same came by the other route already."""
        other = self._decisions.get((address, kind))
        if other is not None and other != route:
            del self._decisions[address, kind]
            return True
        if len(self._decisions) >= MAX_DECISIONS:
            self._decisions.pop(next(iter(self._decisions)))
        self._decisions[address, kind] = route
        return False

    def _decided(self, address: str, *, granted: bool) -> Iterator[base.LegacyEvent]:
        if not granted:
            self._roster.refuse(address)
            yield from self._list_changes()
        elif self._roster.awaits_authorisation(address):
            yield from self._edits.start("", edits.authorised(self._roster, address))

    # --- what comes in ICQ's envelope ---------------------------------------------------------

    def _icq_reply(self, reply: icq.IcqReply, *, more: bool) -> Iterator[base.LegacyEvent]:
        try:
            envelope = icq.decode_envelope(reply)
            match envelope.command:
                case icq.Command.META_REPLY:
                    answered = self._lookups.answered(envelope, more=more)
                    if answered is None:
                        yield base.UnknownEvent("an answer that nobody waits for")
                    else:
                        yield from answered
                case icq.Command.OFFLINE_MESSAGE:
                    yield from self._offline(envelope.data)
                case icq.Command.OFFLINE_END:
                    yield from self.stored.complete()
                    self._delete_stored()
                    end = decode_block(icq.OfflineEnd, envelope.data)
                    if end.dropped:
                        yield base.Notice(f"{end.dropped} messages were lost while you were away.")
                case _:
                    yield base.UnknownEvent(f"an ICQ reply of command {envelope.command:#06x}")
        except RemoteProtocolError as exc:
            yield base.UnknownEvent(f"an ICQ reply that cannot be read: {exc}")

    def _offline(self, data: bytes) -> Iterator[base.LegacyEvent]:
        try:
            message = decode_block(icq.OfflineMessage, data)
        except RemoteProtocolError:
            self.stored.unreadable()
            raise
        day = (message.year, message.month, message.day)
        try:
            sent_at = datetime(*day, message.hour, message.minute, tzinfo=UTC)
        except ValueError:
            sent_at = UNKNOWN_TIME
        name = str(message.uin)
        meaning = talk.read_typed(message.kind, message.text, self._dialect)
        if isinstance(meaning, talk.Text):
            meaning = talk.Text(self._dialect.readable(meaning.text, name))
        parts = (message.uin, sent_at, message.kind, message.text)

        def tell(address: str) -> Iterator[base.LegacyEvent]:
            token = self.stored.keep(talk.fingerprint(*parts))
            yield from self._meant(address, meaning, "message", Value(token, token, sent_at))

        try:
            address = self._traits.canonical(name)
        except InvalidAddress:  # 0 stands for an AIM name on some services
            yield from self._from_unusable(message.uin, meaning)
        else:
            yield from tell(address)

    def _from_unusable(self, uin: int, meaning: talk.Meaning) -> Iterator[base.LegacyEvent]:
        """Tell what was kept of somebody who cannot be answered."""
        if isinstance(meaning, talk.Text):
            self.stored.keep_unnamed()
            who = str(uin) if uin else "Somebody whom the service does not name"
            yield base.Notice(f"{who} wrote: {meaning.text}")
        else:
            self.stored.unreadable()

    def _delete_stored(self) -> None:
        if self.stored.may_be_deleted():
            self._say_icq(icq.Command.OFFLINE_DELETE)

    def _say_icq(self, command: icq.Command) -> int:
        number = self.requests.number()
        self.requests.put(Snac(self._lookups.envelope(command, number), number))
        return number

    # --- what goes ----------------------------------------------------------------------------

    def command(self, command: base.LegacyCommand, at: Moment) -> list[base.LegacyEvent]:
        """Carry out a command: what it takes is in the outbox, what is known already returned."""
        if (missing := lacks(self.capabilities, command)) is not None:
            return [refuse(command, Reason.UNSUPPORTED, f"this service has no {missing}")]
        if len(self.requests) >= MAX_UNANSWERED:
            text = "Too much waits for the service's answer."
            return [refuse(command, Reason.RATE_LIMITED, text)]
        return self._told(self._carry_out(command, at))

    def _carry_out(self, command: base.LegacyCommand, at: Moment) -> Iterator[base.LegacyEvent]:
        ref = command.ref
        match command:
            case base.SendMessage():
                yield from self._mail.send(command)
            case base.SetTyping(conversation=to, state=state):
                event = _TYPING_SENT[state]
                self.requests.finish(ref, messages.Typing(messages.NO_COOKIE, 1, to, event))
            case base.SetPresence():
                *bodies, last = self._own.change(command, at)
                for body in bodies:
                    self.requests.say(body)
                self.requests.finish(ref, last)
            case base.Grant(address=address):
                self.requests.finish(ref, feedbag.Authorise(address, 1))
            case base.Deny(address=address, reason=reason):
                said = cut(reason, edits.MAX_REASON_BYTES).encode()
                self.requests.finish(ref, feedbag.Authorise(address, 0, said))
            case base.Revoke(address=address):
                self.requests.finish(ref, feedbag.RemoveMe(address))
            case base.FetchProfile(address=address):
                if is_uin(address) and ICQ in self._entering.groups:
                    self._lookups.ask_details(ref, address)
                else:
                    yield from self._lookups.fetch_profile(ref, address, at)
            case base.FetchAvatar(address=address):
                yield from self._fetch_avatar(ref, address)
            case base.Search(fields=fields):
                yield from self._search(ref, fields)
            case _:
                yield from self._edit(command)

    def _kept(self, address: str) -> Stage:
        """Say how far a message came that was refused because somebody is not there."""
        if self._presences.is_online(address):
            return Stage.FAILED  # he is, and does not want it
        is_seen = address in self._roster and not self._roster.awaits_authorisation(address)
        return Stage.ACCEPTED if is_seen else Stage.UNKNOWN

    def _fetch_avatar(self, ref: str, address: str) -> Iterator[base.LegacyEvent]:
        icon = self._presences.icon(address)
        if icon is None:
            yield base.CommandDone(ref, None)
        elif len(self.icons) >= MAX_WAITING_ICONS:
            text = "Too many pictures are waited for."
            yield base.CommandFailed(ref, Reason.RATE_LIMITED, text)
        else:
            self.icons.append(IconWanted(ref, address, icon))

    def _search(self, ref: str, fields: Mapping[str, str]) -> Iterator[base.LegacyEvent]:
        query = for_person(fields, self._dialect)
        if uin := fields.get("address") or fields.get("uin"):
            query = None
            with suppress(InvalidAddress):
                query = for_uin(icq.Meta.SEARCH_BY_UIN, canonical_uin(uin))
        if query is None:  # that is nobody
            yield base.CommandDone(ref, ())
        else:
            self._lookups.search(ref, query)

    def _edit(self, command: base.LegacyCommand) -> Iterator[base.LegacyEvent]:
        """Change the contact list."""
        edit: edits.Edit
        match command:
            case base.AddContact(address=address) if address == self._own_address:
                yield refuse(command, Reason.REFUSED, "This is your own address.")
                return
            case _ if not self._entering.has_feedbag:
                yield from self._without_list(command)
                return
            case base.AddContact(address=address):
                looks = not self._dialect.own_is_uin and is_uin(address)
                edit = edits.add(self._roster, command, self._shown_as(address), looks=looks)
            case base.ChangeContact():
                edit = edits.change(self._roster, command)
            case base.RemoveContact(address=address):
                edit = edits.remove(self._roster, address)
            case base.Block(address=address):
                edit = edits.block(self._roster, address, self._shown_as(address))
            case base.Unblock(address=address):
                edit = edits.unblock(self._roster, address)
            case _:
                raise AssertionError(f"{type(command).__name__} is handled elsewhere")
        yield from self._edits.start(command.ref, edit)

    def _without_list(self, command: base.LegacyCommand) -> Iterator[base.LegacyEvent]:
        """Watch somebody for this session: a service without feedbag remembers nobody."""
        match command:
            case base.AddContact(ref=ref, address=address):
                self.requests.finish(ref, people.Watch((address,)), base.AddResult.GRANTED)
            case base.RemoveContact(ref=ref, address=address):
                self.requests.finish(ref, people.Unwatch((address,)))
            case _:
                yield refuse(command, Reason.UNSUPPORTED, "this service has no contact list")

    def _shown_as(self, address: str) -> str:
        return self._presences.display_name(address) or address

    def _send_edits(self) -> None:
        """Send what changes of the list are waiting for."""
        bodies, self._edits.outgoing = self._edits.outgoing, []
        for body in bodies:
            if isinstance(body, edits.Last):
                self.requests.put(Snac(body.body, self.requests.number()), body.ref, (body.answer,))
            elif isinstance(body, edits.Step):
                self.requests.ask(body, self._edited, self._edit_expired, self._edits.ref)
            elif isinstance(body, edits.Look):
                query = feedbag.FeedbagQuery()
                self.requests.ask(query, self._list_seen, self._nothing_seen, self._edits.ref)
            else:
                self.requests.say(body)

    def _edited(self, snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
        match snac.body:
            case feedbag.EditResults(results=results):
                yield from self._edits.results(results)
            case Error() as error:
                yield from self._edits.give_up(*talk.reason_of(error))
            case _:
                text = "The service's answer makes no sense."
                yield from self._edits.give_up(Reason.UNKNOWN, text)

    def _list_seen(self, snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
        items = snac.body.items if isinstance(snac.body, feedbag.Feedbag) else ()
        yield from self._edits.seen(items, more=bool(snac.flags & MORE))

    def _nothing_seen(self) -> Iterator[base.LegacyEvent]:
        yield from self._edits.seen((), more=False)

    def _edit_expired(self) -> Iterator[base.LegacyEvent]:
        yield from self._edits.give_up(Reason.UNREACHABLE, "The service did not answer.")


def _then(
    tell: Callable[..., Iterator[base.LegacyEvent]], *rest: object
) -> Callable[[str], Iterator[base.LegacyEvent]]:
    """Give a function of an address the rest of what it takes."""
    return lambda address: tell(address, *rest)


def _words(text: str | None) -> str:
    """Return what a sign-off says to a person: on many services that is an address for more."""
    said = plain(text or "").strip()
    return said if " " in said and "://" not in said else ""


def _typing(address: str, event: int) -> Iterator[base.LegacyEvent]:
    if event in _TYPING:
        yield base.Typing(address, address, _TYPING[event])
    else:
        yield base.UnknownEvent(f"typing of kind {event}")


def _remark(address: str, meaning: talk.Added | talk.Told | talk.Nothing) -> base.LegacyEvent:
    match meaning:
        case talk.Added():
            return base.Notice(f"{address} has you on the contact list now.")
        case talk.Told(text=text):
            return base.Notice(text)
        case talk.Nothing(why=why):
            return base.UnknownEvent(why)
