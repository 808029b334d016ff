"""One component's traffic: stanzas to the sessions they belong to, the link's state to everybody.

The link's reader calls `take`, which waits for nothing. When the link is up, every registered user
is told and probed, at a pace (GW-LIFE-01, COMP-05); when it stays away for too long, sessions end.
"""

import logging
from functools import partial

import trio

from gateway.bridge import texts
from gateway.bridge.domain import Domain
from gateway.bridge.features import messages, presence
from gateway.bridge.fence import guarded
from gateway.bridge.session import Chore
from gateway.bridge.sessions import Sessions
from gateway.bridge.translate import unavailable
from gateway.errors import StoreError
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import (
    Condition,
    Iq,
    Message,
    Presence,
    PresenceType,
    Stanza,
    error_reply,
)

log = logging.getLogger(__name__)

PROBE_SECONDS = 30.0  # silence after a probe for so long means offline (AMB-14)
STORE_RETRY_SECONDS = 5.0
USERS_PER_SECOND = 200  # told and probed when the link comes up


class Router:
    """The receiver of one link."""

    _domain: Domain

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._up = False
        self._changed = trio.Event()
        self.has_been_up = trio.Event()

    def serve(self, domain: Domain) -> None:
        """Say whose traffic this is; before the link runs."""
        self._domain = domain

    # --- what the link tells: waits for nothing ---

    def link_up(self) -> None:
        self._up = True
        self.has_been_up.set()
        self._domain.deliveries.link_up()
        for session in self._sessions.of_domain(self._domain):
            session.user.resources.doubt()
            session.sync_roster()
        self._changed.set()

    def link_down(self, why: str) -> None:
        self._up = False
        self._domain.deliveries.link_down()
        self._domain.privileges.clear()
        for session in self._sessions.of_domain(self._domain):
            session.stop_sync()
        self._changed.set()

    def proven(self, upto: int) -> None:
        self._domain.deliveries.proven(upto)

    def take(self, stanza: Stanza) -> None:
        """Give a stanza to the session of its sender; end what is meant for nobody."""
        user = stanza.from_.bare
        if isinstance(stanza, Presence) and stanza.type is PresenceType.UNAVAILABLE:
            self._domain.strangers.forget(stanza.from_)
        if self._domain.privileges.take(stanza):
            self._sync_rosters(user.domain)
        elif not self._domain.owns(user):
            self._refuse(stanza, Condition.SERVICE_UNAVAILABLE)
        elif self._domain.closing:
            self._refuse(stanza, Condition.REMOTE_SERVER_TIMEOUT, texts.SHUTTING_DOWN)
        elif self._concerns_nobody(stanza, user):
            pass
        else:
            session = self._sessions.get(self._domain, user)
            if not guarded(session.name, partial(session.take, stanza), session.broken):
                self._refuse(stanza, Condition.INTERNAL_SERVER_ERROR, texts.SESSION_FAULT)

    def _sync_rosters(self, server: str) -> None:
        """A server says what it lets us do: there may be a better way to its users' rosters."""
        for session in self._sessions.of_domain(self._domain):
            if session.user.jid.domain == server:
                session.sync_roster()

    def _concerns_nobody(self, stanza: Stanza, user: Jid) -> bool:
        """Say whether a stanza needs no session: nothing will come of it (AMB-06, GW-UNREG-07)."""
        if self._sessions.find(self._domain, user) is not None:
            return False
        match stanza:
            case Presence(type=PresenceType.UNAVAILABLE | PresenceType.ERROR):
                return True
            case Presence(type=PresenceType.PROBE | PresenceType.SUBSCRIBE):
                return False
            case Presence(type=PresenceType.AVAILABLE):
                return not (user in self._domain.accounts or not stanza.to.local)
            case Presence():
                return user not in self._domain.accounts
            case Message():
                return not messages.is_value(stanza) and stanza.type != "groupchat"
        return False

    def _refuse(self, stanza: Stanza, condition: Condition, text: str = "") -> None:
        if isinstance(stanza, Iq) or (isinstance(stanza, Message) and messages.is_value(stanza)):
            error = error_reply(stanza, condition, text)
            self._domain.link.answer(error)

    def service_recovered(self) -> None:
        """Have the sessions that wait for the legacy service sign on now (GW-IN-08)."""
        for session in self._sessions.of_domain(self._domain):
            session.do(Chore.SIGN_ON_AGAIN)

    # --- the task ---

    async def call_the_roll(self) -> None:
        """Follow the link: greet and probe the users when it is up, give up on them when it is not.

        Runs for ever; a change of the link ends what is being done for the state before.
        """
        while True:
            changed = self._changed = trio.Event()
            if self._up:
                await self._greet(changed)
            else:
                await self._give_up(changed)
            await changed.wait()

    async def _greet(self, changed: trio.Event) -> None:
        """Tell every registered user that the gateway is here, and ask who is there."""
        gateway = self._domain.jid
        stale: list[Jid] = []  # who may still be shown contacts of the daemon before us
        for user in list(self._domain.accounts):
            if changed.is_set():
                return
            if self._domain.crashed and not await self._hide_contacts(user):
                stale.append(user)
            if user not in self._domain.accounts:  # he unregistered meanwhile
                continue
            if (session := self._sessions.find(self._domain, user)) is not None:
                guarded(session.name, partial(presence.show_again, session.user), session.broken)
            self._domain.link.send_state(Presence(from_=gateway, to=user))
            self._domain.link.send(Presence(from_=gateway, to=user, type=PresenceType.PROBE))
            await trio.sleep(1 / USERS_PER_SECOND)
        self._domain.crashed = bool(stale)
        if await _passed(changed, PROBE_SECONDS):
            for session in self._sessions.of_domain(self._domain):
                session.do(Chore.DROP_DOUBTFUL)
        while stale and not changed.is_set():
            stale = [user for user in stale if not await self._hide_contacts(user)]
            if stale:
                await _passed(changed, STORE_RETRY_SECONDS)
        self._domain.crashed = bool(stale)

    async def _hide_contacts(self, user: Jid) -> bool:
        """Show the contacts unavailable that a daemon before us left in the user's eyes.

        Returns whether that is done; False: the store has failed.
        """
        account, store = self._domain.accounts.get(user), self._domain.store
        if account is None:
            return True
        account_id = account.account_id
        try:
            contacts = await self._domain.host.run_blocking(lambda: store.contacts(account_id))
        except StoreError as exc:
            log.warning("%s/%s: contacts may look online: %s", self._domain.jid, user, exc)
            return False
        session = self._sessions.find(self._domain, user)
        shown = session.user.shown if session is not None else {}

        def hide() -> None:
            for contact in contacts:
                if contact.address not in shown:
                    jid = self._domain.contact_jid(contact.address)
                    self._domain.link.send_state(unavailable(jid, user))

        broken = session.broken if session is not None else lambda: None
        guarded(f"{self._domain.jid}/{user}", hide, broken)
        return True

    async def _give_up(self, changed: trio.Event) -> None:
        grace_seconds = self._domain.config.link_grace_seconds
        if await _passed(changed, grace_seconds):
            log.warning("%s: no link for %d s: signing off", self._domain.jid, grace_seconds)
            for session in self._sessions.of_domain(self._domain):
                session.do(Chore.GIVE_UP)


async def _passed(changed: trio.Event, seconds: float) -> bool:
    """Wait for `seconds`, or for a change. Returns whether the time passed."""
    with trio.move_on_after(seconds):
        await changed.wait()
    return not changed.is_set()
