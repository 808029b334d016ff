"""One user on one network: his session, one task subtree.

The session's own task takes what the user sends, in order; a child task holds the connection and
takes what the network sends, in order. The state machine decides what happens next; the features
say it. A bug anywhere in here ends this session alone: see `fence.py`.
"""

import logging
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import Enum

import attrs
import trio

from gateway.bridge import accounts, iqs, texts
from gateway.bridge.accounts import Registration
from gateway.bridge.caps import caps_of
from gateway.bridge.connection import Connection, Flooded
from gateway.bridge.features import (
    cards,
    commands,
    contacts,
    messages,
    presence,
    registration,
    roster,
)
from gateway.bridge.fence import Broken
from gateway.bridge.inbox import MAX_OWN
from gateway.bridge.journal import FROM_USER, Entry
from gateway.bridge.notices import NOTE_SECONDS, Notices
from gateway.bridge.pacing import Backoff
from gateway.bridge.resources import GATEWAY, MAX_DIRECTED, OFFLINE
from gateway.bridge.states import Action, Input, Phase, State, step
from gateway.bridge.translate import bounded, status_of
from gateway.bridge.user import FromNetwork, FromUser, User
from gateway.errors import StoreError
from gateway.networks.base import (
    Account,
    ContactRequest,
    CredentialsRenewed,
    InvalidAddress,
    LegacyClient,
    LoginRefused,
    Refusal,
    RemovedByContact,
    RequestAnswered,
    SignedOff,
)
from gateway.xmpp import namespaces as ns
from gateway.xmpp.component import LinkState
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import (
    Condition,
    ErrorType,
    Iq,
    IqType,
    Message,
    Presence,
    PresenceType,
    Stanza,
    StanzaError,
    error_reply,
    result_of,
)

log = logging.getLogger(__name__)

STORE_RETRY_SECONDS = 5.0  # after the store has failed
LINGER_SECONDS = 3.0  # how long a sign-off waits for the network to answer for messages
_QUEUED = "note of a queue"
RETIRE_SECONDS = 10.0  # how long an unregistration waits for the network to see the user go
_SUBSCRIPTIONS = frozenset(
    (
        PresenceType.SUBSCRIBE,
        PresenceType.SUBSCRIBED,
        PresenceType.UNSUBSCRIBE,
        PresenceType.UNSUBSCRIBED,
    )
)


class Chore(Enum):
    """What others ask of a session's task."""

    GREET = "greet"  # the user is signed on
    SHOW_DIRECTED = "show directed"  # single contacts are to be shown something of their own
    DROP_DOUBTFUL = "drop doubtful"  # who did not answer the probe after an outage is gone
    GIVE_UP = "give up"  # the XMPP link has been away for too long: everybody is gone
    ASK_REQUESTS = "ask requests"  # those of contacts, which the store keeps
    TRY_STORE = "try store"  # what it has failed to take is tried again
    SIGN_ON_AGAIN = "sign on again"  # the legacy service answers again
    END = "end"  # the daemon is shutting down


class Session:
    """The session of one user. `take` waits for nothing; `live` is its task."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.in_hand: FromUser | None = None  # for whoever has to clean up after us
        self._nursery: trio.Nursery | None = None
        self._connection: Connection | None = None
        self._trial: Connection | None = None  # one that tried credentials, and is kept
        self._backoff = Backoff(user.domain.host)
        self._signed_on_at = 0.0
        self._retry_after: float | None = None
        self._timer_at = float("inf")
        self._may_hurry = False  # the timer is ours, and not what the service asked for
        self._linger_until = float("inf")
        self._due: dict[Chore, None] = {}
        self._unstored: deque[FromNetwork] = deque()  # events the store has yet to take, in order
        self._is_held = False  # what is in the inbox waits for a registration to be decided
        self._save_at = 0.0  # not before: the store has failed
        self._is_broken = False  # another task has met a bug
        self._retiring = False  # the account is being removed: nobody comes or goes
        self._notices = Notices(user)
        self._registration = Registration(user, self)
        self._sync = roster.Sync(user, self._start_sync)
        self._commands = commands.Commands(user, self)
        self._logged_out = False  # by a command, though a resource is here

    @property
    def name(self) -> str:
        return self.user.name

    # --- what comes in: waits for nothing ---

    def take(self, stanza: Stanza) -> None:
        """Queue a stanza of the user, in order, or refuse it when there is no room."""
        match stanza:
            case Presence(type=PresenceType.AVAILABLE | PresenceType.PROBE):
                key = ("presence", stanza.type, str(stanza.from_), str(stanza.to))
                self.user.inbox.put_state(key, FromUser(stanza))
            case Presence(type=PresenceType.UNAVAILABLE):
                # It makes up for a coming that still waits, but a coming after it does not make up
                # for it: whoever returns has to be shown everything anew.
                from_to = (str(stanza.from_), str(stanza.to))
                waited = self.user.inbox.drop_state(("presence", PresenceType.AVAILABLE, *from_to))
                leaving = ("presence", PresenceType.UNAVAILABLE, *from_to)
                if waited or not stanza.to.local:
                    self.user.inbox.put_last_state(leaving, FromUser(stanza))
                else:
                    self.user.inbox.put_state(leaving, FromUser(stanza))
            case Message() if messages.is_value(stanza):
                self._take_message(stanza)
            case Message():
                typing = ("typing", str(stanza.from_), str(stanza.to))
                self.user.inbox.put_state(typing, FromUser(stanza))
            case Iq(type=IqType.RESULT | IqType.ERROR):
                self.user.requests.take(stanza)
            case Iq() if registration.is_removal(stanza):
                if self._take_value(stanza):
                    self._registration.give_way()
                    self.user.hurry(LINGER_SECONDS)  # the service may be one that takes nothing
            case _:
                self._take_value(stanza)

    def _take_message(self, message: Message) -> None:
        entry = None
        if self.user.account is not None:
            entry = Entry(
                account_id=self.user.account.account_id,
                direction=FROM_USER,
                message=attrs.evolve(message, payload=()),  # what an error for it needs
                at=self.user.domain.host.now(),
                born=trio.current_time(),
            )
        if self.user.inbox.put(FromUser(message, entry)):
            if entry is not None:
                self.user.domain.journal.note(entry)
            return
        text = self.user.text(texts.TOO_MUCH)
        messages.refuse(
            self.user, message, entry, Condition.RESOURCE_CONSTRAINT, ErrorType.WAIT, text
        )

    def _take_value(self, stanza: Stanza) -> bool:
        if self.user.inbox.put(FromUser(stanza)):
            return True
        text = self.user.text(texts.TOO_MUCH)
        error = error_reply(stanza, Condition.RESOURCE_CONSTRAINT, text)
        self.user.domain.link.answer(error)
        return False

    def do(self, chore: Chore) -> None:
        """Have the session's own task do this, before it takes the next stanza."""
        self._due[chore] = None
        self.user.inbox.wake()

    def broken(self) -> None:
        """End as by a bug of our own, now that another task has met one. Waits for nothing."""
        self._is_broken = True
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def sync_roster(self) -> None:
        """Bring the contact list into the user's roster, once it has been quiet for a moment."""
        self.user.later.set("roster", roster.SETTLE_SECONDS, self._start_sync)

    def stop_sync(self) -> None:
        """The link is down: nobody can answer, and nobody would see."""
        self._sync.stop()

    def _start_sync(self) -> None:
        is_up = self.user.domain.link.status.state is LinkState.UP
        if is_up and self._nursery is not None and self._sync.start():
            self._nursery.start_soon(self._sync.run, name=f"sessions/{self.name}/roster")

    # --- the life ---

    async def live(self) -> None:
        """Live until nothing is left to do. Raises whatever is a bug."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if self._is_broken:  # before it began
                raise Broken
            if self.user.phase is Phase.CRASHED:
                self._timer_at = trio.current_time() + (self._retry_after or 0.0)
            while not self._over():
                await self._wait()
                self._check_deadlines()
                while self._due:
                    chore = next(iter(self._due))
                    del self._due[chore]
                    await self._do(chore)
                if (item := self._next_item()) is not None:
                    await self._handle(item)
                    self._is_held = False  # there may be more
                await cards.carry_over(self.user)
                await self._save()
        if self._is_broken:
            raise Broken

    def abandon_registration(self, text: str) -> None:
        """Answer the register requests that nobody will work off any more."""
        self._registration.abandon(text)

    def crashed(self, delay: float | None) -> None:
        """Begin as the successor of a session that crashed: try in `delay` s, or not at all."""
        phase = Phase.REFUSED if delay is None else Phase.CRASHED
        if self.user.resources:
            self.user.state = State(phase, present=True)
        self._retry_after = delay

    def _over(self) -> bool:
        user = self.user
        return (
            user.phase is Phase.OFFLINE
            and not user.state.connected
            and not user.resources
            and not len(user.inbox)
            and self._trial is None
            and not self._registration.running
            and not self._sync.running
            and not len(self._commands)
            and not self._due
            and not self._unstored
            and (user.account is None or not user.unsaved)
            and not user.held
        )

    def _next_item(self) -> FromUser | FromNetwork | None:
        """Take what is to be handled next.

        While a registration is decided, all that depends on it waits, in its order (CORE-06). What
        is about registrations goes to the queue of these; the gateway itself answers at once.
        """
        if not self._registration.running:
            self._is_held = False
            return self.user.inbox.get_nowait()
        item = self.user.inbox.get_first(_needs_no_decision)
        self._is_held = item is None and len(self.user.inbox) > 0
        return item

    async def _wait(self) -> None:
        if self._due or (len(self.user.inbox) and not self._is_held):
            return
        own = min(self._timer_at, self._linger_until, self.user.later.next_at)
        with trio.move_on_at(min(own, messages.deadline(self.user))):
            await self.user.inbox.wait(held=self._is_held)

    def _check_deadlines(self) -> None:
        now = trio.current_time()
        messages.expire(self.user, now)
        self.user.later.run_due()
        if now >= self._timer_at:
            self._timer_at = float("inf")
            self._step(Input.TIMER)
        lingering = self._linger_until < float("inf")
        if lingering and (now >= self._linger_until or not self.user.pending):
            self._hang_up()

    async def _do(self, chore: Chore) -> None:
        match chore:
            case Chore.GREET:
                await self._greet()
            case Chore.SHOW_DIRECTED:
                await presence.announce_directed(self.user)
            case Chore.DROP_DOUBTFUL:
                for resource in self.user.resources.doubtful():
                    self.user.resources.remove(resource)
                    self._resource_left(resource)
            case Chore.GIVE_UP:
                presence.leave_word(self.user)
                self.user.resources.clear()
                self._step(Input.ABSENT)
            case Chore.ASK_REQUESTS:
                await self._ask_requests()
            case Chore.TRY_STORE:
                await self._try_store()
            case Chore.SIGN_ON_AGAIN:
                if self._may_hurry:
                    self._timer_at = min(self._timer_at, trio.current_time())
            case Chore.END:
                self._say_goodbye()

    def _say_goodbye(self) -> None:
        presence.withdraw(self.user)  # GW-LIFE-03; the gateway itself follows for everybody
        self._registration.abandon(texts.SHUTTING_DOWN)
        if self._trial is not None:
            self._trial.scope.cancel()
        self.user.resources.clear()
        self.user.leaving = []
        self._step(Input.ABSENT)

    # --- the user's stanzas ---

    async def _handle(self, item: FromUser | FromNetwork) -> None:
        if isinstance(item, FromNetwork):
            if len(self._unstored) >= MAX_OWN:
                raise StoreError("the store has failed for too long")
            self._unstored.append(item)
            if len(self._unstored) == 1:
                await self._try_store()
            return
        self.in_hand = item
        match item.stanza:
            case Presence():
                await self._presence(item.stanza)
            case Message():
                await messages.from_user(self.user, item.stanza, item.entry)
            case Iq():
                await self._iq(item.stanza)
        self.in_hand = None

    async def _iq(self, iq: Iq) -> None:
        try:
            starter = iqs.starter(iq)
            if starter is not None:
                await starter(self.user, iq)
                return
            if iqs.is_command(iq):
                self._commands.take(iq)
                return
            if not iqs.is_registration(iq):
                self.user.domain.link.send(iqs.answer(self.user, iq))
                return
            submission = registration.understand(self.user, iq)
            if submission is None:
                self.user.domain.link.send(result_of(iq))
            else:
                self.submit(submission)
        except StanzaError as exc:
            error = error_reply(
                iq, exc.condition, exc.text, type=exc.type, application=exc.application
            )
            self.user.domain.link.answer(error)

    def submit(self, submission: accounts.Submission) -> None:
        if self._registration.submit(submission):
            assert self._nursery is not None
            name = f"sessions/{self.name}/registration"
            self._nursery.start_soon(self._registration.run, name=name)

    async def _presence(self, stanza: Presence) -> None:
        user, type_ = self.user, stanza.type
        if type_ is PresenceType.PROBE:
            presence.answer_probe(user, stanza)
        elif user.account is None:
            presence.answer_stranger(user, stanza)
        elif type_ in _SUBSCRIPTIONS:
            await self._subscription(stanza)
        elif stanza.from_.resource:  # from the bare JID it says nothing of any resource
            await self._availability(stanza)

    async def _subscription(self, stanza: Presence) -> None:
        if stanza.to.local:
            await contacts.from_user(self.user, stanza)
            return
        registration.subscription(self.user, stanza)
        if stanza.type in (PresenceType.UNSUBSCRIBE, PresenceType.UNSUBSCRIBED):  # AMB-15
            self.user.resources.clear()
            self.user.leaving = [self.user.jid]
            self._step(Input.ABSENT)

    async def _availability(self, stanza: Presence) -> None:
        user, resource = self.user, stanza.from_.resource
        to = self._target(stanza.to)
        if to is None or user.domain.closing or self._retiring:
            return
        if stanza.type is PresenceType.AVAILABLE:
            doubtful = resource in user.resources.doubtful()
            answer = any(one.xmlns == ns.DELAY for one in stanza.payload)  # to a probe of ours
            new = user.resources.available(
                resource, to, status_of(stanza), stanza.priority, answer=answer
            )
            if user.resources.note_caps(resource, caps_of(stanza)) or new:
                self.sync_roster()
            if new:
                user.note_coming(stanza)
                self._resource_came(resource)
            elif doubtful and user.phase is Phase.REFUSED:
                user.note_coming(stanza)
                # He may have come anew while the link was away: one more try after each outage.
                self._step(Input.PRESENT)
        elif stanza.type is PresenceType.ERROR:  # AMB-09: whoever bounces it is gone
            if user.resources.remove(resource):
                self._resource_left(resource)
        elif user.resources.unavailable(resource, to):
            self._resource_left(resource)
        if to != GATEWAY:
            self._directed(resource, to, stanza)
        await presence.announce_status(user)

    def _directed(self, resource: str, contact: str, stanza: Presence) -> None:
        """Keep what one contact was shown: a copy of what all are, or something of its own."""
        status = status_of(stanza) if stanza.type is PresenceType.AVAILABLE else OFFLINE
        if len(self.user.directing) < MAX_DIRECTED:
            self.user.directing[contact] = (resource, status)
            self._show_directed_soon()

    def _show_directed_soon(self) -> None:
        """Once it is known whether all are shown the same: the order of copies is anybody's."""
        self.user.later.set(
            "directed", presence.DIRECTED_SECONDS, lambda: self.do(Chore.SHOW_DIRECTED)
        )

    def _target(self, to: Jid) -> str | None:
        if not to.local:
            return GATEWAY
        try:
            return self.user.domain.addresses.address_of(to)
        except InvalidAddress:
            return None

    def _resource_came(self, resource: str) -> None:
        full = self.user.full(resource)
        if self.user.phase is Phase.ONLINE:
            presence.greet_resource(self.user, full)
        else:
            self._notices.tell_newcomer(full)
        if not self._logged_out:
            self._step(Input.PRESENT)

    def _resource_left(self, resource: str) -> None:
        full = self.user.full(resource)
        self._notices.forget_resource(resource)
        self.user.coming.pop(resource, None)
        if self.user.directed:
            self._show_directed_soon()
        if self.user.resources or self._logged_out:  # GW-OUT-03
            presence.farewell(self.user, [full])
            if not self.user.resources:
                self._logged_out = False  # who comes anew is signed on
        else:
            self.user.leaving.append(full)
            self._step(Input.ABSENT)

    # --- the state machine's actions ---

    def _step(self, given: Input) -> None:
        before = self.user.state
        self.user.state, actions = step(before, given)
        if self.user.state.phase is not before.phase:
            log.debug("%s: %s -> %s", self.name, before.phase, self.user.state.phase)
        for action in actions:
            self._actions[action](self)
        self.user.inbox.wake()

    def _connect(self) -> None:
        self._timer_at = float("inf")
        self.user.later.set(_QUEUED, NOTE_SECONDS, self._say_queued)
        trial, account = self._trial, self._credentials()
        if trial is not None and trial.account == account and not trial.over.is_set():
            self._trial = None
            self._connection = trial
            trial.want()
            return  # while a trial of other credentials goes on for whoever began it
        self._connection = self._start(Connection(self.user, account, self))

    def _start(self, connection: Connection) -> Connection:
        assert self._nursery is not None
        self._nursery.start_soon(connection.run, name=f"sessions/{self.name}/from the network")
        return connection

    def _credentials(self) -> Account:
        account = self.user.account
        assert account is not None
        return Account(account.address, account.secret, account.fields)

    def _disconnect(self) -> None:
        """Sign off; what was just handed over has a moment to be answered for."""
        if self.user.pending:
            self._linger_until = trio.current_time() + LINGER_SECONDS
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        self._linger_until = float("inf")
        if self._connection is not None:
            self._connection.scope.cancel()

    def _say_queued(self) -> None:
        """Tell the user why nothing happens, if their login waits for its turn."""
        if self.user.phase is Phase.SIGNING_ON and self.user.domain.gate.waits(self.user.jid):
            self.user.note(texts.QUEUED)

    def _set_timer(self) -> None:
        stayed = trio.current_time() - self._signed_on_at if self._signed_on_at else 0.0
        delay = self._backoff.next_delay(stayed_seconds=stayed, at_least=self._retry_after)
        self._may_hurry = self._retry_after is None
        self._retry_after = None
        self._signed_on_at = 0.0
        self._timer_at = trio.current_time() + delay
        log.debug("%s: signing on again in %.1f s", self.name, delay)

    def _say_greeting(self) -> None:
        self._signed_on_at = trio.current_time()
        self._notices.returned()
        self.user.announced = None
        self.user.coming.clear()
        self.user.directed.clear()
        self._due[Chore.GREET] = None
        presence.greet(self.user)
        log.info("%s: signed on", self.name)

    def _withdraw(self) -> None:
        presence.withdraw(self.user)

    def _bounce(self) -> None:
        messages.return_held(self.user, texts.NOT_IN_TIME)

    def _say_lost(self) -> None:
        """Tell of a service that cannot be reached: once, by presence (GW-IN-08)."""
        self._notices.tell_lost([self.user.full(resource) for resource in self.user.resources])

    def _say_refused(self) -> None:
        self._notices.tell_refused()

    def _farewell(self) -> None:
        leaving, self.user.leaving = self.user.leaving, []
        presence.farewell(self.user, leaving)
        told = {one.resource for one in leaving}
        if leaving and any(resource not in told for resource in self.user.resources):
            # A resource that has come meanwhile saw what was shown to all.
            presence.withdraw(self.user)
        if leaving:
            self.user.shown.clear()
        self._timer_at = float("inf")
        self._notices.returned()

    _actions: dict[Action, Callable[["Session"], None]] = {  # noqa: RUF012 - never changed
        Action.CONNECT: _connect,
        Action.DISCONNECT: _disconnect,
        Action.SET_TIMER: _set_timer,
        Action.GREET: _say_greeting,
        Action.WITHDRAW: _withdraw,
        Action.BOUNCE: _bounce,
        Action.SAY_LOST: _say_lost,
        Action.SAY_REFUSED: _say_refused,
        Action.FAREWELL: _farewell,
    }

    # --- what the connection tells ---

    def signed_on(self, client: LegacyClient) -> None:
        self.user.client = client
        self._step(Input.SIGNED_ON)

    def list_changed(self) -> None:
        self.sync_roster()

    def ended(self, connection: Connection, how: BaseException | None) -> None:
        if connection is self._trial:  # nobody has come for it
            self._trial = None
            self.user.inbox.wake()
        if connection is not self._connection:
            return
        match how:
            case LoginRefused():
                self._not_let_in(how.reason, how.text, how.retry_after)
            case SignedOff(reason=Refusal() as reason):
                self._not_let_in(reason, how.text, how.retry_after)
            case SignedOff():
                self._lost(str(how), how.retry_after)
            case Flooded():
                self._lost("more is waiting for the user than can be held", NOTE_SECONDS)
                self.user.note(texts.FLOODED)
            case StoreError():
                self._store_failed(how)
            case BaseException():
                self._lost(str(how), None)
        self._linger_until = float("inf")
        self.client_gone()
        self._step(Input.ENDED)

    def client_gone(self) -> None:
        self._sync.stop()
        self.user.disconnected()
        self.user.adding.clear()
        self.user.removing.clear()
        self.user.granted.clear()
        self.user.to_carry.clear()
        for ref in list(self.user.awaited):
            self.user.answered(ref)
        messages.connection_lost(self.user)

    def _lost(self, why: str, retry_after: float | None) -> None:
        self.user.domain.gate.incidents.note(self.user.jid, why)
        self._retry_after = retry_after
        self._notices.begin_loss()
        self._step(Input.LOST)

    def _store_failed(self, why: StoreError) -> None:
        """Come back when the store may work again; the legacy service has nothing to do with it."""
        log.warning("%s: not signed on, tried again: %s", self.name, why)
        self._retry_after = STORE_RETRY_SECONDS
        self._notices.begin_store_failure()
        self._step(Input.LOST)

    def _not_let_in(self, reason: Refusal, said: str, retry_after: float | None) -> None:
        if reason is Refusal.ELSEWHERE and self._trial is not None:
            return  # a sign-on of ours took its place: it ends as if it were lost
        log.info("%s: refused: %s", self.name, reason)
        if reason.passes:
            self._retry_after = retry_after
            self._notices.begin_loss(reason)
            self._step(Input.LOST)
            return
        self.user.refused = reason
        self._notices.note_refusal(bounded(said))
        self._step(Input.REFUSED)

    async def _try_store(self) -> None:
        """Handle the events that need the store, in order. One that fails is tried again."""
        while self._unstored:
            try:
                await self._handle_waiting_event(self._unstored[0])
            except StoreError as exc:
                log.warning("%s: not stored, tried again: %s", self.name, exc)
                self._later(Chore.TRY_STORE)
                return
            self._unstored.popleft()

    def _later(self, chore: Chore) -> None:
        """Do this when the store may work again."""
        self.user.later.set(chore, STORE_RETRY_SECONDS, lambda: self.do(chore))

    async def _handle_waiting_event(self, item: FromNetwork) -> None:
        user = self.user
        match item.event:
            case ContactRequest():
                await contacts.requested(user, item.event, item.client)
            case CredentialsRenewed(secret) if item.client is user.client:
                await accounts.renew(user, secret)
            case RequestAnswered():
                contacts.answered(user, item.event)
                await self._save()
                item.client.acknowledge(item.event.token)
            case RemovedByContact():
                contacts.dropped(user, item.event)
                await self._save()
                item.client.acknowledge(item.event.token)

    # --- what the session keeps and brings back ---

    async def _greet(self) -> None:
        """Say to the network what it has to know first, then what was waiting for it."""
        await presence.announce_status(self.user)
        await presence.announce_directed(self.user)
        await messages.release(self.user)
        await self._ask_requests()

    async def _ask_requests(self) -> None:
        """Put the requests of contacts to the user that have no answer yet."""
        if self.user.account is None or self.user.phase is not Phase.ONLINE:
            return
        store, account_id = self.user.domain.store, self.user.account.account_id
        try:
            requests = await self.user.domain.host.run_blocking(lambda: store.requests(account_id))
        except StoreError as exc:
            log.warning("%s: requests are not read, tried again: %s", self.name, exc)
            self._later(Chore.ASK_REQUESTS)
            return
        for request in requests:
            contacts.ask_user(self.user, request)

    async def _save(self) -> None:
        user = self.user
        if not user.unsaved or user.account is None or trio.current_time() < self._save_at:
            return
        unsaved, account_id = user.unsaved, user.account.account_id
        (keep, drop), store = user.take_unsaved(), user.domain.store
        try:
            if keep:
                await user.domain.host.run_blocking(lambda: store.save_contacts(account_id, keep))
            if drop:
                await user.domain.host.run_blocking(lambda: store.remove_contacts(account_id, drop))
        except StoreError as exc:
            user.unsaved = unsaved | user.unsaved
            self._save_at = trio.current_time() + STORE_RETRY_SECONDS
            user.later.set("save", STORE_RETRY_SECONDS, user.inbox.wake)
            log.warning("%s: contacts are not saved, tried again: %s", self.name, exc)

    # --- what commands ask ---

    def log_in(self) -> str:
        user = self.user
        self._logged_out = False
        if user.phase is Phase.ONLINE:
            return user.text(texts.SIGNED_ON_ALREADY)
        if not user.resources:
            return user.text(texts.COME_FIRST)
        self._backoff.reset()
        self._step(Input.TIMER)
        self._step(Input.PRESENT)
        return user.text(texts.SIGNING_ON)

    def log_out(self) -> str:
        user = self.user
        if user.phase is Phase.OFFLINE:
            return user.text(texts.SIGNED_OFF)
        self._logged_out = bool(user.resources)
        user.leaving = [user.jid]
        self._step(Input.ABSENT)
        return user.text(texts.SIGNED_OFF)

    def describe(self) -> str:
        user = self.user
        assert user.account is not None
        listed = sum(known.listed is not None for known in user.contacts.values())
        return user.text(texts.STANDS[user.phase]).replace("{name}", user.account.address) + (
            f" {listed} contacts, {len(user.shown)} online." if user.phase is Phase.ONLINE else ""
        )

    def offer_again(self) -> str:
        if self.user.phase is not Phase.ONLINE:
            return self.user.text(texts.NOT_SIGNED_ON)
        self._sync.forget()
        self.sync_roster()
        return self.user.text(texts.OFFERING)

    # --- what registration asks ---

    def edited(self) -> None:
        self._logged_out = False
        self._backoff.reset()
        self._step(Input.EDITED)
        if self.user.resources and self.user.phase is Phase.OFFLINE:
            self._step(Input.PRESENT)

    @contextmanager
    def hold_events(self) -> Generator[None, None, None]:
        connection = self._connection
        if connection is not None:
            connection.hold()
        try:
            yield
        finally:
            if connection is not None:
                connection.resume()

    async def retire(self) -> None:
        self.user.leaving = []
        self._retiring = True
        if self._connection is not None:
            self._connection.disown()
        try:
            self._step(Input.ABSENT)
            with trio.move_on_after(RETIRE_SECONDS):
                while self.user.state.connected and self._connection is not None:
                    await self._connection.over.wait()
        finally:
            self._retiring = False

    async def try_out(self, account: Account) -> None:
        await self.drop_trial()
        trial = self._trial = self._start(Connection(self.user, account, self, wanted=False))
        try:
            await trial.tried.wait()
        except trio.Cancelled:
            trial.scope.cancel()
            raise
        if trial.failure is not None:
            raise trial.failure

    async def drop_trial(self) -> None:
        if self._trial is not None:
            self._trial.scope.cancel()
            with trio.move_on_after(RETIRE_SECONDS):
                await self._trial.over.wait()


def _needs_no_decision(item: FromUser | FromNetwork, is_next: bool) -> bool:
    """Say whether an item can be handled while a registration is decided."""
    if not isinstance(item, FromUser) or not isinstance(item.stanza, Iq):
        return False
    if iqs.is_about_gateway(item.stanza):
        return True
    return is_next and iqs.concerns_registration(item.stanza)
