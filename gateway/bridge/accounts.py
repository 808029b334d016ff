"""A user's registration, whoever asks for it: tried on the network, kept, changed, removed.

What a user submits is worked off one after the other by a task of his session; a removal ends the
one that is running (AMB-27). Nothing is stored before the network has accepted it. How it is asked
for, and how it is answered, is the features' business.
"""

import logging
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import attrs
import trio

from gateway.bridge import texts
from gateway.bridge.attempts import in_words
from gateway.bridge.features import contacts
from gateway.bridge.translate import bounded
from gateway.bridge.user import User
from gateway.errors import ConnectionLost, RemoteProtocolError, StoreError
from gateway.networks.base import (
    Account,
    Answer,
    Challenge,
    Field,
    InvalidAddress,
    LoginRefused,
    Refusal,
)
from gateway.store.values import StoredAccount
from gateway.xmpp.stanza import (
    Condition,
    ErrorType,
    PresenceType,
    StanzaError,
)

log = logging.getLogger(__name__)

VERIFY_SECONDS = 45.0  # below the usual 60 s of clients (AMB-05)
MAX_WAITING = 5

TellOutcome = Callable[[StanzaError | None], None]


@attrs.frozen
class Submission:
    """What a user submitted; `values` None: his registration is to be removed.

    `tell` is called once with what became of it; None: it is done.
    """

    values: Mapping[str, str] | None = attrs.field(repr=False)
    tell: TellOutcome = attrs.field(repr=False)


class Life(Protocol):
    """What registration asks of the session it belongs to."""

    def edited(self) -> None:
        """Other credentials are on record: sign on with them."""

    def hold_events(self) -> AbstractContextManager[None]:
        """Take no events of the network inside: it is being decided whose they are."""

    async def retire(self) -> None:
        """Sign off for good and wait, within bounds, until the network has seen it.

        The account is not on record any more: what the network still tells of it is nobody's.
        """

    async def try_out(self, account: Account) -> None:
        """Sign on beside what there is; the connection is kept for a while. Raises as `sign_on`."""

    async def drop_trial(self) -> None:
        """Sign off what `try_out` kept, and wait, within bounds, until the network has seen it."""


class Registration:
    """The submissions of one user, in order. `run` is a task while there are any."""

    def __init__(self, user: User, life: Life) -> None:
        self._user = user
        self._life = life
        self._waiting: deque[Submission] = deque()
        self._work = trio.CancelScope()  # around what is being worked off
        self._verifying: trio.CancelScope | None = None
        self._decided = False  # what is being worked off has begun to change what is kept
        self._owed: Submission | None = None  # what is being worked off, until it is answered
        self._queued = False  # what is being worked off waits for its turn to ask the network
        self.running = False

    def submit(self, submission: Submission) -> bool:
        """Take a submission. Returns whether `run` has to be started. Raises `StanzaError`."""
        if submission.values is None:
            self.give_way()
        elif len(self._waiting) >= MAX_WAITING:
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, "Too many registrations at once.")
        self._waiting.append(submission)
        start = not self.running
        self.running = True
        return start

    async def run(self) -> None:
        """Work off what waits, then end."""
        while self._waiting:
            submission = self._owed = self._waiting.popleft()
            with trio.CancelScope() as self._work:
                await self._work_off(submission)
        self.running = False
        self._user.inbox.wake()

    async def _work_off(self, submission: Submission) -> None:
        try:
            if submission.values is None:
                await self._remove()
            else:
                await self._set(submission.values)
        except StanzaError as exc:
            await self._life.drop_trial()
            self._tell(exc)
        except StoreError as exc:
            await self._life.drop_trial()
            log.error("%s: a registration is not stored: %s", self._user.name, exc)
            self._tell(_failed(texts.NOT_STORED))
        finally:
            self._decided = False

    def abandon(self, text: str) -> None:
        """Answer all that runs or waits with an error: nobody will work it off.

        What is decided is not undone any more: it goes on, and is answered as it ends.
        """
        owed = list(self._waiting)
        self._waiting.clear()
        if self._owed is not None and not self._decided:
            owed.insert(0, self._owed)
            self._owed = None
            self._work.cancel()
        for submission in owed:
            submission.tell(_failed(text))

    def give_way(self) -> None:
        """A removal is here: what is being set, or waits to be, is refused (AMB-27)."""
        if self._verifying is not None:
            self._verifying.cancel()
        for waiting in [one for one in self._waiting if one.values is not None]:
            self._waiting.remove(waiting)
            waiting.tell(StanzaError(Condition.NOT_ACCEPTABLE, texts.REGISTRATION_CANCELLED))

    async def _set(self, values: Mapping[str, str]) -> None:
        user, old = self._user, self._user.account
        wanted = self._wanted(values)
        same = old is not None and wanted == Account(old.address, old.secret, old.fields)
        if not same:
            await self._verify(wanted)
        with _claimed(user, wanted.address):
            await self._take_over(wanted)
        self._tell(None)
        if old is None:  # GW-REG-05
            user.ask(user.domain.jid, PresenceType.SUBSCRIBE)
            user.note(texts.WELCOME)
        if not same:
            log.info("%s: registered as %s", user.name, wanted.address)
            self._life.edited()

    async def _take_over(self, wanted: Account) -> None:
        """Put an account that the network accepted on record, in the place of the old one.

        The record is changed first: if that fails, nothing else has happened.
        """
        user, old = self._user, self._user.account
        moved = old is not None and not self._is_same(old.address, old.fields, wanted)
        if moved:  # GW-EDIT-04: the contacts of the old account go
            await contacts.load(user)
        self._decided = True
        with self._life.hold_events():
            stored = await self._store(wanted, moved=moved)
        if moved and old is not None:
            user.unsaved.clear()
            await self._life.retire()
            self._forget(old.account_id)
            await contacts.cancel_all(user)
        user.account = user.domain.accounts[user.jid] = stored

    def _wanted(self, values: Mapping[str, str]) -> Account:
        """Check what was filled in and return the account it describes. Raises `StanzaError`."""
        user, old = self._user, self._user.account
        network = user.domain.network
        fields = network.description.fields
        own = (one.canonical for one in fields if one.name == "username" and one.canonical)
        canonical = next(own, network.canonical)
        name = values.get("username", "")
        try:
            address = canonical(name)
        except InvalidAddress as exc:
            if name.strip():
                raise StanzaError(Condition.NOT_ACCEPTABLE, bounded(str(exc))) from exc
            address = ""
        kept: Mapping[str, str] = {}
        if old is not None and address == old.address:
            kept = {**old.fields, "password": old.secret}
        given = {field.name: _filled_in(field, values, kept) for field in fields}
        # Something on record that nobody is asked for any more: a choice of servers that is gone.
        is_gone = any(text and name not in given for name, text in kept.items())
        if kept and (is_gone or not self._is_same(address, kept, Account(address, "", given))):
            # What is on record is another account's, its password above all.
            given = {field.name: _filled_in(field, values, {}) for field in fields}
        missing = [field for field in fields if field.required and not _filled(field, given)]
        if missing:  # REG7-01, AMB-03
            names = ", ".join(field.label for field in missing)
            raise StanzaError(Condition.NOT_ACCEPTABLE, texts.FIELDS_MISSING.format(fields=names))
        extra = {name: text for name, text in given.items() if name not in ("username", "password")}
        return Account(address=address, secret=given["password"], fields=extra)

    def _is_same(self, address: str, fields: Mapping[str, str], other: Account) -> bool:
        """Say whether an account of this address, with these fields, is the other one."""
        named = (
            one.name for one in self._user.domain.network.description.fields if one.names_account
        )
        return address == other.address and all(
            fields.get(name, "") == other.fields.get(name, "") for name in named
        )

    async def _verify(self, account: Account) -> None:
        """Have the network check the account (GW-REG-03). Raises `StanzaError`."""
        user = self._user
        timed_out = user.text(texts.VERIFICATION_TIMEOUT)
        attempts = user.domain.attempts
        owns = user.account is not None and user.account.address == account.address
        if (wait := attempts.wait_seconds(user.jid, account.address, owns=owns)) > 0:
            text = user.text(texts.TOO_MANY_PASSWORDS).format(wait=in_words(wait))
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, text)
        with trio.move_on_after(VERIFY_SECONDS) as scope:
            deadline = scope.deadline
            self._verifying = scope
            try:
                if not await self._check(account):
                    await self._life.try_out(account)
            except LoginRefused as exc:
                if exc.reason in (Refusal.WRONG_CREDENTIALS, Refusal.UNKNOWN_ACCOUNT):
                    attempts.failed(user.jid, account.address)
                raise self._refused(exc) from exc
            except (ConnectionLost, RemoteProtocolError) as exc:
                log.info("%s: cannot verify: %s", user.name, exc)
                text = user.text(texts.UNREACHABLE)
                raise StanzaError(Condition.REMOTE_SERVER_TIMEOUT, text) from exc
            else:
                attempts.passed(user.jid, account.address)
            finally:
                self._verifying = None
        if scope.cancelled_caught:
            if trio.current_time() >= deadline and self._queued:
                text = user.text(texts.QUEUE_TIMEOUT)
                raise StanzaError(Condition.RESOURCE_CONSTRAINT, text)
            if trio.current_time() >= deadline:
                raise StanzaError(Condition.REMOTE_SERVER_TIMEOUT, timed_out)
            raise StanzaError(Condition.NOT_ACCEPTABLE, texts.REGISTRATION_CANCELLED)

    async def _check(self, account: Account) -> bool:
        """Have the network check the account without a sign-on, if it can. Raises as `check`."""
        domain = self._user.domain
        limit = domain.network.login_limit(account)
        self._queued = True
        async with domain.gate.passage(self._user.jid, limit, trial=True) as passage:
            self._queued = False
            passage.asked = await domain.network.check(account, no_dialogue)
        return passage.asked

    def _refused(self, refused: LoginRefused) -> StanzaError:
        text = self._user.text(texts.REGISTRATION_REFUSED[refused.reason])
        if refused.reason is Refusal.BUSY:
            return StanzaError(Condition.REMOTE_SERVER_TIMEOUT, text)
        if refused.reason is Refusal.TOO_MANY_ATTEMPTS:
            return StanzaError(Condition.RESOURCE_CONSTRAINT, text)
        if refused.reason is Refusal.MISCONFIGURED:
            return StanzaError(Condition.SERVICE_UNAVAILABLE, text)
        return StanzaError(Condition.NOT_ACCEPTABLE, text)  # GW-REG-07, GW-EDIT-03

    async def _store(self, wanted: Account, *, moved: bool) -> StoredAccount:
        """Raises `StoreError`; then nothing is changed."""
        user = self._user
        store, component, jid = user.domain.store, str(user.domain.jid), str(user.jid)
        return await user.domain.host.run_blocking(
            lambda: store.save_account(
                component, jid, wanted.address, wanted.secret, wanted.fields, anew=moved
            )
        )

    async def _remove(self) -> None:
        """Unregister, in the order of GW-UNREG-01…06; from the record first."""
        user = self._user
        if user.account is None:
            raise StanzaError(Condition.REGISTRATION_REQUIRED, texts.NOT_REGISTERED)
        account_id, store = user.account.account_id, user.domain.store
        self._decided = True
        try:
            await contacts.load(user)
            with self._life.hold_events():
                await user.domain.host.run_blocking(lambda: store.remove_account(account_id))
        except StoreError:
            user.stay()
            raise
        user.domain.accounts.pop(user.jid, None)
        user.unsaved.clear()
        await self._life.drop_trial()
        await self._life.retire()
        user.resources.clear()
        self._forget(account_id)
        user.account = None
        self._tell(None)
        await contacts.cancel_all(user)
        user.ask(
            user.domain.jid,
            PresenceType.UNSUBSCRIBE,
            PresenceType.UNSUBSCRIBED,
            PresenceType.UNAVAILABLE,
        )
        log.info("%s: unregistered", user.name)

    def _forget(self, account_id: int) -> None:
        self._user.domain.deliveries.forget(account_id)
        self._user.domain.journal.forget(account_id)
        self._user.seen.clear()

    def _tell(self, error: StanzaError | None) -> None:
        """Tell what became of what is being worked off, unless that has been told already."""
        owed, self._owed = self._owed, None
        if owed is not None:
            owed.tell(error)


async def no_dialogue(challenge: Challenge) -> Answer:
    """Refuse a question of the network: there is nobody to put it to."""
    raise LoginRefused(Refusal.FORBIDDEN, challenge.text)


async def renew(user: User, secret: str) -> None:
    """Keep the credentials the network has renewed."""
    account, store = user.account, user.domain.store
    assert account is not None
    renewed = await user.domain.host.run_blocking(lambda: store.renew_secret(account, secret))
    if renewed and user.account is account:
        user.account = user.domain.accounts[user.jid] = attrs.evolve(account, secret=secret)


# --- small things -----------------------------------------------------------------------------


def _failed(text: str) -> StanzaError:
    return StanzaError(Condition.INTERNAL_SERVER_ERROR, text, type=ErrorType.WAIT)


def _filled_in(field: Field, values: Mapping[str, str], kept: Mapping[str, str]) -> str:
    """Return what a field is to hold: as filled in, or as on record (AMB-01). Raises.

    What plain registration has no field for is not submitted with it, and secrets are never shown.
    """
    text = values.get(field.name)
    if text is None or (field.secret and not text):
        text = kept.get(field.name, "")
    if text and field.options and text not in field.options:
        choices = ", ".join(field.options)
        said = texts.NO_SUCH_CHOICE.format(field=field.label, choices=choices)
        raise StanzaError(Condition.NOT_ACCEPTABLE, said)
    return "" if text == field.default else text


def _filled(field: Field, given: Mapping[str, str]) -> bool:
    return bool(given[field.name].strip())


@contextmanager
def _claimed(user: User, address: str) -> Generator[None, None, None]:
    """Keep an account for this user while it is put on record, if each has one owner (AMB-30).

    Raises `StanzaError` when it is somebody else's: only who knows the password learns so.
    """
    domain = user.domain
    if not domain.config.one_owner:
        yield
        return
    others = [account.address for jid, account in domain.accounts.items() if jid != user.jid]
    if address in domain.claimed or address in others:
        raise StanzaError(Condition.CONFLICT, user.text(texts.OWNED))
    domain.claimed.add(address)
    try:
        yield
    finally:
        domain.claimed.discard(address)
