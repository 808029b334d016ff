"""All sessions: the only place that starts one, and supervises it.

A bug in a session ends that session alone (`fence.py`). It is logged with its traceback, whoever
waits for an answer gets one, the user is told once, and the session starts again after a delay.
Other users do not notice.
"""

import logging
from collections.abc import Iterator
from functools import partial

import trio
from trio import TaskStatus

from gateway.bridge import texts
from gateway.bridge.domain import Domain
from gateway.bridge.features import messages, presence
from gateway.bridge.fence import fenced
from gateway.bridge.session import Chore, Session
from gateway.bridge.user import FromUser, User
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, ErrorType, Iq, Message, Presence, error_reply

log = logging.getLogger(__name__)

CRASH_DELAYS = (30.0, 120.0, 600.0)  # then the user has to come back anew
CRASHES_FORGOTTEN_SECONDS = 3_600.0
SHUTDOWN_SECONDS = 8.0


class Sessions:
    """The sessions of one daemon, by component and user."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[Jid, Jid], Session] = {}
        self._nursery: trio.Nursery | None = None
        self._all_over = trio.Event()

    async def run(self, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be the task that owns the sessions' tasks, for ever."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def of_domain(self, domain: Domain) -> list[Session]:
        return [one for one in self._sessions.values() if one.user.domain is domain]

    def find(self, domain: Domain, user: Jid) -> Session | None:
        return self._sessions.get((domain.jid, user))

    def get(self, domain: Domain, user: Jid) -> Session:
        """Return the session of `user`, started if there is none."""
        session = self.find(domain, user)
        if session is None:
            session = Session(User(domain, user, domain.accounts.get(user)))
            self._sessions[domain.jid, user] = session
            assert self._nursery is not None
            self._nursery.start_soon(self._supervise, session, name=f"sessions/{session.name}")
        return session

    async def end_all(self) -> None:
        """Sign everybody off, all at once and bounded in time."""
        with trio.move_on_after(SHUTDOWN_SECONDS) as scope:
            for session in self:
                session.do(Chore.END)
            while self._sessions:
                self._all_over = trio.Event()
                await self._all_over.wait()
        if scope.cancelled_caught:
            log.warning("%d sessions did not sign off in time", len(self._sessions))
            for session in self:
                session.abandon_registration(texts.SHUTTING_DOWN)
                _settle_all(session.user, texts.SHUTTING_DOWN)

    async def _supervise(self, session: Session) -> None:
        crashes: list[float] = []
        while True:
            if await fenced(session.name, session.live):
                if not len(session.user.inbox):
                    break
                continue  # something came while it was ending
            now = trio.current_time()
            crashes = [at for at in crashes if now - at < CRASHES_FORGOTTEN_SECONDS] + [now]
            delay = CRASH_DELAYS[len(crashes) - 1] if len(crashes) <= len(CRASH_DELAYS) else None
            await fenced(session.name, partial(_clean_up_after, session, for_good=delay is None))
            session = self._successor(session.user, delay)
            if len(crashes) > 1:  # whatever the next stanza is, do not spin on it
                await trio.sleep(min(2.0 ** len(crashes), CRASH_DELAYS[0]))
        del self._sessions[session.user.domain.jid, session.user.jid]
        self._all_over.set()

    def _successor(self, old: User, delay: float | None) -> Session:
        """Replace a broken session; what does not depend on it goes over."""
        user = User(
            old.domain,
            old.jid,
            old.domain.accounts.get(old.jid),
            inbox=old.inbox,
            resources=old.resources,
            unsaved=old.unsaved,
            contacts=old.contacts,
            asking=old.asking,
        )
        session = Session(user)
        session.crashed(delay)
        self._sessions[user.domain.jid, user.jid] = session
        return session


async def _clean_up_after(session: Session, *, for_good: bool) -> None:
    """Answer whoever waits for the broken session, and tell its user once."""
    user = session.user
    user.client = None
    session.abandon_registration(texts.SESSION_FAULT)
    messages.bounce(user, texts.SESSION_FAULT, Condition.INTERNAL_SERVER_ERROR)
    if session.in_hand is not None:
        _answer(user, session.in_hand, texts.SESSION_FAULT)
        if isinstance(session.in_hand.stanza, Presence):  # what every resource is told answers it
            user.note_coming(session.in_hand.stanza)
    presence.withdraw(user)
    full = [user.full(resource) for resource in user.resources]
    text = user.text(texts.CRASHED_FOR_GOOD if for_good else texts.CRASHED)
    user.presence_error(full, Condition.INTERNAL_SERVER_ERROR, ErrorType.WAIT, text)
    if full:
        user.say(text)


def _settle_all(user: User, text: str) -> None:
    """Tell of every message that nobody will handle any more."""
    messages.bounce(user, text, Condition.INTERNAL_SERVER_ERROR)
    while (item := user.inbox.get_nowait()) is not None:
        if isinstance(item, FromUser):
            _answer(user, item, text)


def _answer(user: User, item: FromUser, text: str) -> None:
    """Answer a stanza that a bug, or the end, kept from being handled (CORE-03)."""
    condition, type_ = Condition.INTERNAL_SERVER_ERROR, ErrorType.WAIT
    if isinstance(item.stanza, Message):
        if messages.is_value(item.stanza) and not (item.entry and item.entry.settled):
            messages.refuse(user, item.stanza, item.entry, condition, type_, text)
    elif isinstance(item.stanza, Iq):
        error = error_reply(item.stanza, condition, text, type=type_)
        user.domain.link.answer(error)
