"""One sign-on of a user, from dialling to its end, and what the network sends meanwhile.

A sign-on that only tries credentials is kept for a while once it succeeds: nothing is taken from
the network until the session wants it, so that nothing which waits there is lost, and nothing comes
before the user is shown signed on (GW-REG-04).
"""

import logging
from contextlib import AsyncExitStack
from typing import Protocol

import trio

from gateway.bridge import texts
from gateway.bridge.accounts import no_dialogue
from gateway.bridge.features import contacts, messages, presence
from gateway.bridge.fence import GuardedClient
from gateway.bridge.inbox import MAX_OWN
from gateway.bridge.translate import bounded
from gateway.bridge.user import FromNetwork, User
from gateway.errors import BalconyError, ConnectionLost, RemoteProtocolError, StoreError
from gateway.networks.base import (
    Account,
    CommandDone,
    CommandFailed,
    ContactChanged,
    ContactList,
    ContactRemoved,
    ContactRequest,
    CredentialsRenewed,
    LegacyClient,
    LegacyEvent,
    LoginRefused,
    MessageOutcome,
    MessageReceived,
    Notice,
    NudgeReceived,
    PresenceChanged,
    ReadUpTo,
    Refusal,
    RemovedByContact,
    RequestAnswered,
    SignedOff,
    Typing,
    UnknownEvent,
)

log = logging.getLogger(__name__)

KEPT_SECONDS = 60.0  # how long a sign-on that tried credentials waits for the user
DELIVER_SECONDS = 2.0  # how long one that nobody wanted is listened to before it goes


_OUTCOMES = (MessageOutcome, CommandDone, CommandFailed)


class Flooded(Exception):
    """The user's messages cannot all be held: the connection has to pause."""


class Owner(Protocol):
    """The session, as its connection sees it."""

    def signed_on(self, client: LegacyClient) -> None:
        """The network took us in; events follow."""

    def list_changed(self) -> None:
        """The contact list is another."""

    def client_gone(self) -> None:
        """Nothing can be sent any more."""

    def broken(self) -> None:
        """The driver has raised in another task than the session's."""

    def ended(self, connection: "Connection", how: BaseException | None) -> None:
        """The connection is over: by what was raised, or by our own wish."""


class Connection:
    """One connection, as a task: `run`. With `wanted` it is taken at once, else when `want` says.

    `tried` is set when the network has answered to the credentials; `failure` is what it said then,
    if it was no.
    """

    def __init__(self, user: User, account: Account, owner: Owner, *, wanted: bool = True) -> None:
        self._user = user
        self._owner = owner
        self._wanted = trio.Event()
        if wanted:
            self._wanted.set()
        self.account = account
        self._held = trio.Event()  # not set: what comes waits
        self._held.set()
        self._disowned = False  # the account is gone: what comes is nobody's
        self.scope = trio.CancelScope()
        self.tried = trio.Event()
        self.failure: BalconyError | None = None
        self.over = trio.Event()

    @property
    def is_wanted(self) -> bool:
        return self._wanted.is_set()

    def want(self) -> None:
        """Take over: from now on this is the session's connection."""
        self._wanted.set()

    def hold(self) -> None:
        """Take no more events until `resume`: whose they are is being decided."""
        if self._held.is_set():
            self._held = trio.Event()

    def resume(self) -> None:
        self._held.set()

    def disown(self) -> None:
        """Take nothing any more but the outcomes of commands: the account is another user's."""
        self._disowned = True
        self._held.set()

    async def run(self) -> None:
        """Sign on, take what the network sends until it ends, and report how it ended."""
        how: BaseException | None = None
        with self.scope:
            try:
                await self._sign_on_and_listen()
            except (
                LoginRefused,
                SignedOff,
                ConnectionLost,
                RemoteProtocolError,
                StoreError,
                Flooded,
            ) as exc:
                how = exc
                if not self.tried.is_set() and isinstance(exc, BalconyError):
                    self.failure = exc
        self.tried.set()
        self._owner.ended(self, how)
        self.over.set()

    async def _sign_on_and_listen(self) -> None:
        kept = not self.is_wanted
        if not kept:
            await self._prepare()
        async with AsyncExitStack() as stack:
            client = await self._sign_on(stack)
            self.tried.set()
            if kept:
                with trio.move_on_after(KEPT_SECONDS):
                    await self._wanted.wait()
                if self._user.account is None:
                    return
                await self._prepare()
            if not self.is_wanted:
                await self._empty(client)
                return
            self._owner.signed_on(client)
            try:
                while True:
                    event = await client.receive()
                    if not self._held.is_set():  # to wait is a checkpoint, also for what is set
                        await self._held.wait()
                    if not self._disowned or isinstance(event, _OUTCOMES):
                        self._event(event, client)
            except (SignedOff, ConnectionLost, RemoteProtocolError, Flooded):
                self._owner.client_gone()
                presence.withdraw(self._user)
                raise

    async def _prepare(self) -> None:
        """Bring back what is known of the account on record. Raises `LoginRefused`."""
        assert self._user.account is not None
        if self._user.account.broken:
            raise LoginRefused(Refusal.WRONG_CREDENTIALS, texts.UNREADABLE)
        await contacts.load(self._user)

    async def _sign_on(self, stack: AsyncExitStack) -> LegacyClient:
        domain = self._user.domain
        limit, trial = domain.network.login_limit(self.account), not self.is_wanted
        async with domain.gate.passage(self._user.jid, limit, trial=trial):
            sign_on = domain.network.sign_on(self.account, no_dialogue)
            client = await stack.enter_async_context(sign_on)
        return GuardedClient(self._user.name, client, self._broken)

    def _broken(self) -> None:
        if not self.over.is_set():  # later, no session depends on it any more
            self._owner.broken()

    async def _empty(self, client: LegacyClient) -> None:
        """Deliver what waited on the network, for it may be sent once only; nobody came for it."""
        with trio.move_on_after(DELIVER_SECONDS):
            while True:
                event = await client.receive()
                if isinstance(event, MessageReceived | ContactRequest):
                    self._event(event, client)

    def _event(  # noqa: C901 - one case for each event
        self, event: LegacyEvent, client: LegacyClient
    ) -> None:
        """Carry one event on. Waits for nothing: a driver's reader never waits for XMPP."""
        user = self._user
        match event:
            case MessageReceived():
                if not messages.received(user, event, client):
                    raise Flooded
            case MessageOutcome():
                messages.outcome(user, event)
                if not user.pending:
                    user.inbox.wake()  # a sign-off may be waiting for this
            case PresenceChanged():
                presence.contact_changed(user, event)
                contacts.presence_came(user, event.address)
            case Typing():
                messages.typing(user, event)
            case ContactList():
                contacts.listed(user, event)
                self._owner.list_changed()
            case ContactChanged():
                contacts.changed(user, event)
                self._owner.list_changed()
            case ContactRemoved():
                contacts.removed(user, event)
                self._owner.list_changed()
            case CommandDone() | CommandFailed() if user.answered(event.ref, event):
                pass
            case CommandDone() if event.ref in user.adding:
                contacts.added(user, event)
            case CommandFailed() if event.ref in user.adding:
                contacts.not_added(user, event)
            case CommandDone() | CommandFailed() if event.ref in user.removing:
                contacts.taken_off(user, event)
            case ContactRequest() | CredentialsRenewed() | RequestAnswered() | RemovedByContact():
                if len(user.inbox) > MAX_OWN:
                    raise Flooded
                user.inbox.put_own(FromNetwork(event, client))
            case Notice():
                if user.account and user.domain.deliveries.room_for_notice(user.account.account_id):
                    user.notice(bounded(event.text))
            case ReadUpTo() | NudgeReceived():
                client.acknowledge(event.token)
            case CommandDone():
                pass
            case CommandFailed() | UnknownEvent():
                log.info("%s: %s", user.name, event)
