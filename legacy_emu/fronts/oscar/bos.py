"""The service proper: one sign-on of one account.

Somebody is signed on once his client has said that it is online and, if it keeps its list here,
that it uses the list. What the client says of contacts is carried out in `edits`, ICQ's envelope in
`directory`.
"""

from datetime import datetime, timedelta

import attrs
import trio

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import feedbag, general, html, icq, messages, people, text
from gateway.networks.oscar.wire.people import Ask, UserInfo
from legacy_emu import events
from legacy_emu.events import OFFLINE, Look, Refusal, RequestRefused, Show
from legacy_emu.faults import Kind
from legacy_emu.fronts.oscar import looks
from legacy_emu.fronts.oscar.codes import Code
from legacy_emu.fronts.oscar.directory import Directory
from legacy_emu.fronts.oscar.edits import Edits
from legacy_emu.fronts.oscar.feedbag import Change, batches
from legacy_emu.fronts.oscar.icbm import Icbm
from legacy_emu.fronts.oscar.link import Link
from legacy_emu.fronts.oscar.looks import clean, is_uin, name_of
from legacy_emu.fronts.oscar.rates import Rates, Verdict
from legacy_emu.fronts.oscar.shared import Ticket
from legacy_emu.fronts.oscar.stored import Stored
from legacy_emu.people import Person, Session

GROUPS = (0x01, 0x02, 0x03, 0x04, 0x09, 0x0B, 0x13, 0x15)
VERSIONS = {0x01: 3, 0x13: 4}  # all others: 1
MAX_LIST_BYTES = 7_000  # of feedbag items in one SNAC
MAX_PROFILE_LENGTH = 4_096
MAX_NAMES = 1_000  # watched, beside the list
NORMAL_MOTD = 4

SIGNED_ON_ELSEWHERE = 0x0001
ACCOUNT_DELETED = 0x0002


class Bos:
    def __init__(self, link: Link, ticket: Ticket, hello: wire.SignOn) -> None:
        self.link = link
        self.service = link.service
        self.backend = link.service.backend
        self.person = ticket.person
        self.account = link.shared.account(ticket.person)
        self.own = ticket.person.address
        self.is_icq = is_uin(self.own)
        self.session: Session | None = None
        self.several = hello.several if hello.several is not None else ticket.several
        self._client = ticket.client
        self._rates = Rates(trio.current_time())
        self.edits = Edits(self)
        self.icbm = Icbm(self)
        self.stored = Stored(self)
        self._directory = Directory(self)
        self.knows_list = False  # it has asked for the list, and is told of changes
        self.uses_list = False
        self._online = False
        self._watched: set[str] = set()  # beside those on the list
        self._shown: dict[str, Look] = {}
        self._held: list[tuple[wire.Body, bool, str]] | None = None
        self._status = 0
        self._status_text = ""
        self._away = ""
        self._idle_since: datetime | None = None
        self.account.connections.append(self)
        self.say(general.HostOnline(GROUPS))

    # --- the link -----------------------------------------------------------------------------

    def say(
        self,
        body: wire.Body,
        request: int = wire.SERVER_REQUEST,
        *,
        flags: int = 0,
        extended: bool = False,
        value: str = "",
    ) -> None:
        """Say something unasked, or in answer to `request`."""
        if self._held is not None and request == wire.SERVER_REQUEST:
            self._held.append((body, extended, value))
            return
        extension = wire.EXTENSION if extended else None
        self.link.say(body, request, flags=flags, extension=extension, value=value)

    def hold(self) -> None:
        """Keep back what is said unasked, until `release`: an answer goes first."""
        self._held = []

    @property
    def is_held(self) -> bool:
        return self._held is not None

    def release(self) -> None:
        held, self._held = self._held or [], None
        for body, extended, value in held:
            self.say(body, extended=extended, value=value)

    def refuse(self, snac: wire.Snac, code: int, subcode: int | None = None) -> None:
        group, _ = wire.number_of(snac.body)
        self.link.say(wire.Error(group, code, subcode), snac.request)

    def written(self, value: str) -> None:
        self.icbm.written(value)

    def acknowledge(self, *values: str) -> None:
        if self._is_there() and not self.link.strikes(Kind.LOSE_ACKS):
            self.backend.acknowledge(self.own, values)

    def wake_at(self) -> float:
        return self._rates.clear_at()

    def wake(self) -> None:
        for code, record in self._rates.cleared(trio.current_time()):
            self.say(general.RateChange(code, record))

    def leave(self, *, orderly: bool) -> None:
        if self in self.account.connections:
            self.account.connections.remove(self)
            self.edits.finish()
        if self.session is not None:
            self.backend.sign_off(self.session, orderly=orderly)

    def _is_there(self) -> bool:
        """Say whether the account has not been deleted."""
        return self.find(self.own) is self.person

    def take(self, snac: wire.Snac) -> None:
        if not self._is_there():
            self.over(events.SessionEnded(Refusal.UNKNOWN_ACCOUNT))
            return
        if not self._is_within_rates(snac):
            return
        try:
            self._take(snac)
        except wire.RemoteProtocolError as exc:  # out of a block within the SNAC
            self.link.refuse_malformed(snac, exc)

    def _take(self, snac: wire.Snac) -> None:
        match wire.number_of(snac.body)[0]:
            case 0x01:
                self._general(snac)
            case 0x02 | 0x03 | 0x09:
                self._people(snac)
            case 0x04:
                self.icbm.take(snac)
            case 0x13:
                self._feedbag(snac)
            case _:
                self._rest(snac)

    def _is_within_rates(self, snac: wire.Snac) -> bool:
        faults, connection = self.service.faults, self.link.connection
        if faults.find(Kind.ENFORCE_RATES, connection) is None:
            return True
        verdict, told = self._rates.count(wire.number_of(snac.body), trio.current_time())
        for code, record in told:
            self.say(general.RateChange(code, record))
        if verdict is Verdict.TOO_MUCH:
            self.over(events.SessionEnded(Refusal.ELSEWHERE))  # as one server says it
        return verdict is Verdict.FINE

    def unknown(self, snac: wire.Snac) -> None:
        if not isinstance(snac.body, wire.Error):
            self.refuse(snac, Code.UNKNOWN_SNAC)

    # --- 01: signing on, and how one shows oneself --------------------------------------------

    def _general(self, snac: wire.Snac) -> None:
        request = snac.request
        match snac.body:
            case general.ClientVersions(versions=versions):
                ours = tuple(
                    general.Version(each.group, VERSIONS.get(each.group, 1))
                    for each in versions
                    if each.group in GROUPS
                )
                self._rates.long = any(each.group == 1 and each.version > 1 for each in versions)
                self.say(general.HostVersions(ours), request)
                self.say(general.Motd(NORMAL_MOTD))
            case general.RateQuery():
                self.say(self._rates.parameters(), request)
            case general.OwnInfoQuery():
                self.say(general.OwnInfo((self._own_info(),)), request)
            case general.ServiceQuery(group=group):
                self._offer_service(snac, group)
            case general.ClientOnline():
                self._online = True
                self._sign_on()
            case general.SetIdle(seconds=seconds):
                now = self.service.world.now()
                self._idle_since = now - timedelta(seconds=seconds) if seconds else None
                self._show_myself()
            case general.SetStatus() as wanted:
                if wanted.status is not None:
                    self._status = wanted.status
                if wanted.bart is not None:
                    self._status_text = people.status_text_of(wanted.bart)
                self._show_myself()
                self.say(general.OwnInfo((self._own_info(),)), request)
            case general.Probe():
                self.say(general.ProbeAck(), request)
            case (
                general.RateSubscribe()
                | general.SetPrivacyFlags()
                | general.NoOperation()
                | general.PauseAck()
                | general.ProbeAck()
            ):
                pass
            case _:
                self.unknown(snac)

    def _offer_service(self, snac: wire.Snac, group: int) -> None:
        pictures = group == wire.icons.GROUP and self.is_able("avatar")
        if not pictures and group != wire.rooms.GROUP:
            self.refuse(snac, Code.UNAVAILABLE)
            return
        cookie = self.link.shared.issue(Ticket(self.person, group))
        address = self.link.address or None
        reply = general.ServiceReply(group=group, address=address, cookie=cookie, tls=0)
        self.say(reply, snac.request)

    def _sign_on(self) -> None:
        """Sign on, once the client is ready. Clients without a list here never say that."""
        if self.session is not None or not self._online or self.link.over:
            return
        if self.knows_list and not self.uses_list:
            return
        others = [each for each in self.account.connections if each.session is not None]
        if self.several != 1 or any(each.several != 1 for each in others):
            self.backend.kick(self.own, Refusal.ELSEWHERE, "signed on somewhere else")
        self.session = self.backend.sign_on(
            self.own, self.person.password, self, self._client, self._look()
        )
        self._remember_adders()
        self.say(people.StatsInterval(b"\x04\xb0"))

    def _look(self) -> Look:
        show = looks.show_of(self._status)
        if show is Show.ONLINE and self._away:
            show = Show.AWAY
        away = self._away if show is not Show.INVISIBLE else ""
        return Look(show, away or self._status_text, self._idle_since)

    def _show_myself(self) -> None:
        if self.session is None or self._look() == self.session.look:
            return
        try:
            self.backend.set_presence(self.session, self._look())
        except RequestRefused:  # the text is too long
            self._away = self._status_text = ""

    def _own_info(self) -> UserInfo:
        return looks.user_info(
            self.person, self._look(), self.service.world.now(), self.account.capabilities
        )

    # --- 02, 03, 09: others -------------------------------------------------------------------

    def _people(self, snac: wire.Snac) -> None:
        request = snac.request
        match snac.body:
            case people.LocateRightsQuery():
                self.say(people.LocateRights(MAX_PROFILE_LENGTH, 128, 10, 4096, 128), request)
            case people.BuddyRightsQuery():
                self.say(
                    people.BuddyRights(self.backend.policy.max_contacts, 1000, 512, 160), request
                )
            case people.PermitRightsQuery():
                self.say(people.PermitRights(1000, 1000, 1000), request)
            case people.SetInfo() as info:
                self._describe_myself(info)
            case (
                people.InfoQuery(what=what, name=name) | people.LongInfoQuery(what=what, name=name)
            ):
                self._describe(snac, Ask(what & 7), name)
            case people.Watch(names=names):
                self._watch(names)
            case people.Unwatch(names=names):
                for name in names:
                    person = self.find(name)
                    if person is not None:
                        self._watched.discard(person.address)
            case _:
                self.unknown(snac)

    def _describe_myself(self, info: people.SetInfo) -> None:
        if info.capabilities is not None:
            self.account.capabilities = info.capabilities[:128]
        if info.profile is not None:
            said = text.decode_mime(info.profile_type, info.profile)
            self.account.profile = said[:MAX_PROFILE_LENGTH]
            about = looks.shown_text(self.is_icq, info.profile_type, info.profile)
            self.person.profile["about"] = about[:1000]
        if info.away is not None:
            self._away = looks.shown_text(self.is_icq, info.away_type, info.away)
            if info.away and not self._away:
                self._away = "Away"
            self._show_myself()

    def _describe(self, snac: wire.Snac, what: Ask, name: str) -> None:
        person = self.find(name)
        look = OFFLINE if person is None else self.look_at(person)
        if person is None or look == OFFLINE:
            self.refuse(snac, Code.NOT_LOGGED_ON)
            return
        account = self.link.shared.account(person)
        reply = people.InfoReply(self.info_of(person, look))
        if what & Ask.PROFILE and self.is_able("profile"):
            kind, data = text.encode_mime(account.profile or self._profile(person))
            reply = attrs.evolve(reply, profile_type=kind, profile=data)
        away = looks.away_text(look)
        if what & Ask.AWAY and away:
            written = away if is_uin(person.address) else html.to_html(away)
            kind, data = text.encode_mime(written)
            reply = attrs.evolve(reply, away_type=kind, away=data)
        if what & Ask.CAPABILITIES:
            reply = attrs.evolve(reply, capabilities=account.capabilities)
        self.say(reply, snac.request)

    def _profile(self, person: Person) -> str:
        _, fields = self.backend.profile(self.own, person.address)
        return html.to_html("\n".join(f"{key}: {clean(each)}" for key, each in fields.items()))

    def look_at(self, person: Person) -> Look:
        if person is self.person:
            return self._look()
        return self.backend.look_of(person.address, self.own)

    def info_of(self, person: Person, look: Look) -> UserInfo:
        account = self.link.shared.account(person)
        return looks.user_info(person, look, self.service.world.now(), account.capabilities)

    def _watch(self, names: tuple[str, ...]) -> None:
        refused = []
        for name in names:
            person = self.find(name)
            if person is None or len(self._watched) >= MAX_NAMES:
                refused.append(name)
                continue
            self._watched.add(person.address)
            self.show(person)
        if refused:
            self.say(people.NotWatched(tuple(refused)))

    def asks(self, person: Person) -> bool:
        """Say whether `person` is asked before being added; AIM names only if they insist."""
        if person.consent is not None or not is_uin(person.address):
            return bool(person.consent)
        by_likeness = self.link.traits.numbers_ask
        return self.backend.policy.consent if by_likeness is None else by_likeness

    def find(self, name: str) -> Person | None:
        """Return the account of this name that OSCAR can name."""
        try:
            person = self.backend.person(name)
        except RequestRefused:
            return None
        return person if looks.can_be_named(person) else None

    def show(self, person: Person) -> None:
        """Let the client see somebody as he is, if it wants to and has not."""
        self._show(person, self.look_at(person))

    def _show(self, person: Person, look: Look, *, again: bool = False) -> None:
        address = person.address
        if not self._wants(address):
            self._shown.pop(address, None)
        elif look == OFFLINE:
            if self._shown.pop(address, None) is not None:
                self.say(people.Departed((looks.gone_info(person),)))
        elif again or self._shown.get(address) != look:
            self._shown[address] = look
            self.say(people.Arrived((self.info_of(person, look),)))

    def _wants(self, address: str) -> bool:
        relation = self.person.relations.get(address)
        listed = relation is not None and relation.listed
        return address in self._watched or (self.uses_list and listed)

    # --- 13: the list -------------------------------------------------------------------------

    def _feedbag(self, snac: wire.Snac) -> None:
        request, bag = snac.request, self.account.feedbag
        match snac.body:
            case feedbag.FeedbagRightsQuery():
                limit = min(self.backend.policy.max_contacts, 0xFFFF)
                sizes = tuple(limit if cls < 5 else 200 for cls in range(0x1E))
                self.say(feedbag.FeedbagRights(sizes, 200, 1000, 100, limit), request)
            case feedbag.FeedbagQuery():
                self._say_list(request)
            case feedbag.FeedbagQueryIfModified(time=time, count=count):
                self.follow()
                if bag.time and (time, count) == (bag.time, len(bag.items)):
                    self.knows_list = True
                    self.say(feedbag.FeedbagNotModified(time, count), request)
                else:
                    self._say_list(request)
            case feedbag.FeedbagUse():
                self.uses_list = True
                self._sign_on()
                for address in list(self.person.relations) if self.session else ():
                    self.show(self.backend.person(address))
            case _:
                if not self.edits.take(snac):
                    self.unknown(snac)

    def _say_list(self, request: int) -> None:
        self.follow()
        self.knows_list = True
        bag = self.account.feedbag
        changes = (Change(feedbag.AddItems, each) for each in bag.items)
        pieces = [each.items for each in batches(changes, MAX_LIST_BYTES)]
        for piece in pieces[:-1]:
            self.say(feedbag.Feedbag(0, piece, 0), request, flags=wire.MORE)
        self.say(feedbag.Feedbag(0, pieces[-1], bag.time), request)

    def follow(self) -> None:
        """Bring the list into accord with the backend, and tell everybody who has it."""
        unsettled = {each for other in self.account.connections for each in other.edits.unsettled}
        self.push(self.account.feedbag.follow(unsettled), to_me=True)

    def _follow_soon(self) -> None:
        """Follow now; in the middle of an edit, which may be of a thousand, at its end."""
        if not any(each.is_held for each in self.account.connections):
            self.follow()

    def push(self, changes: list[Change], *, to_me: bool = False) -> None:
        """Tell the connections that know the list what has changed."""
        bag = self.account.feedbag
        if changes or not bag.time:
            bag.time = max(bag.time + 1, int(self.service.world.now().timestamp()))
        if not changes:
            return
        for each in self.account.connections:
            if each.knows_list and (to_me or each is not self):
                each.say(feedbag.BeginEdit())
                for body in batches(changes, MAX_LIST_BYTES):
                    each.say(body)
                each.say(feedbag.EndEdit())

    # --- 15, and what is not known ------------------------------------------------------------

    def _rest(self, snac: wire.Snac) -> None:
        match snac.body:
            case icq.IcqQuery() as query:
                self._directory.take(query, snac.request)
            case _:
                self.unknown(snac)

    def is_able(self, capability: str) -> bool:
        return capability in self.backend.policy.capabilities

    # --- what the backend says ----------------------------------------------------------------

    def put(self, event: events.Event) -> None:
        if self.link.over:
            return
        match event:
            case events.SessionEnded():
                self.over(event)
            case events.ListSent() | events.ContactChanged() | events.ContactRemoved():
                self._follow_soon()
                self._notice_adder(event)
            case events.PresenceShown(address=address, look=look):
                if (person := self.find(address)) is not None:
                    self._show(person, look)
            case events.AvatarChanged(address=address):
                person = self.find(address)
                if person is not None and address in self._shown:
                    self._show(person, self._shown[address], again=True)
            case events.TypingShown(sender=sender, state=state):
                if (person := self.find(sender)) is not None:
                    self.icbm.say_typing(person, state)
            case events.NoticeShown(text=said):
                self.icbm.say_notice(said)
            case events.Value():
                self.icbm.put_value(event)
            case _:
                pass  # what became of a message: that was said at once, or is not said at all

    def _remember_adders(self) -> None:
        """Tell an ICQ number who has added it while it was away."""
        relations = self.person.relations
        adders = {each for each, relation in relations.items() if relation.seen_by}
        known = adders if self.account.adders is None else self.account.adders
        new = sorted(adders - known - self.account.askers)
        self.account.adders = adders
        for address in new if self.is_icq else ():
            if self.stored.takes_adder(address):
                continue
            if (person := self.find(address)) is not None:
                fields = (name_of(person), "", "", "")
                self.icbm.say_typed(person, messages.TypedKind.ADDED, fields, "")

    def _notice_adder(self, event: events.Event) -> None:
        """Tell an ICQ number that somebody has added it, if it was not asked."""
        if not isinstance(event, events.ContactChanged) or self.account.adders is None:
            return
        person = self.find(event.contact.address)
        if person is None:
            return
        known = self.account.adders
        is_new = person.address not in known and person.address not in self.account.askers
        if self.is_icq and event.contact.seen_by and is_new and self.session is not None:
            self.say(feedbag.YouWereAdded(name_of(person)), extended=True)
        (known.add if event.contact.seen_by else known.discard)(person.address)
        asking = self.account.askers
        (asking.add if event.contact.asking else asking.discard)(person.address)

    def over(self, event: events.SessionEnded) -> None:
        """End this connection; clients that know of no other sign-ons are told in 4 bytes."""
        reasons = {Refusal.ELSEWHERE: SIGNED_ON_ELSEWHERE, Refusal.UNKNOWN_ACCOUNT: ACCOUNT_DELETED}
        reason = None if event.reason is None else reasons.get(event.reason)
        said = self.link.traits.more_at or clean(event.text)[:200] or None
        self.link.finish(wire.SignOff(reason=reason, text=said), short=not self.several)
