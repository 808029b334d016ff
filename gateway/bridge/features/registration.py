"""Registration with the gateway by jabber:iq:register (GW-REG, GW-EDIT, GW-UNREG, REG7).

A user's submissions are worked off one after the other by a task of his session; `<remove/>` ends
the one that is running (AMB-27). Nothing is stored before the network has accepted it.
"""

import logging
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Protocol

import attrs
import trio

from gateway.bridge import texts
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
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import (
    Condition,
    ErrorType,
    Iq,
    Presence,
    PresenceType,
    Stanza,
    StanzaError,
    error_reply,
    result_of,
)
from gateway.xmpp.xml import Element

log = logging.getLogger(__name__)

VERIFY_SECONDS = 45.0  # below the usual 60 s of clients (AMB-05)
MAX_WAITING = 5
FORM_TYPES = frozenset((ns.REGISTER, f"{ns.REGISTER}:changepassword"))
CANCELLATION = f"{ns.REGISTER}:cancel"  # it would be asked for at a removal, which asks nothing


class Life(Protocol):
    """What registration asks of the session it belongs to."""

    def edited(self) -> None:
        """Other credentials are on record: sign on with them."""

    async def retire(self) -> None:
        """Sign off for good and wait, within bounds, until the network has seen it."""

    async def try_out(self, account: Account) -> None:
        """Sign on beside what there is; the connection is kept for a while. Raises as `sign_on`."""

    async def drop_trial(self) -> None:
        """Sign off what `try_out` kept, and wait, within bounds, until the network has seen it."""


# --- the question -----------------------------------------------------------------------------


def form(user: User, iq: Iq) -> Iq:
    """Answer a register get: what is to be filled in (GW-REG-01, GW-EDIT-01)."""
    _only_gateway(iq)
    _allowed(user)
    if _is_closed(user):
        return result_of(iq, _way_to_register(user))
    description = user.domain.network.description
    registered = user.account is not None
    fields = [_element("registered")] if registered else []
    fields.append(_element("instructions", description.instructions))
    known = {"username": user.account.address} if user.account is not None else {}
    extra = [field for field in description.fields if field.name.startswith("x-")]
    if not any(field.required for field in extra):  # REG7-02
        plain = [field for field in description.fields if field not in extra]
        fields += [_element(field.name, known.get(field.name, "")) for field in plain]
    fields.append(_data_form(description.title, description.instructions, user, known))
    return result_of(iq, Element("query", ns.REGISTER, {}, tuple(fields)))


def _data_form(title: str, instructions: str, user: User, known: Mapping[str, str]) -> Element:
    children = [
        Element("title", ns.DATA_FORMS, {}, (title,)),
        Element("instructions", ns.DATA_FORMS, {}, (instructions,)),
        _form_field("FORM_TYPE", "hidden", "", ns.REGISTER, required=False),
    ]
    for field in user.domain.network.description.fields:
        # A password on record is never shown, and may be left empty to keep it (AMB-01).
        required = field.required and not (field.secret and user.account is not None)
        type_ = "text-private" if field.secret else "text-single"
        value = known.get(field.name, "")
        children.append(_form_field(field.name, type_, field.label, value, required=required))
    return Element("x", ns.DATA_FORMS, {"type": "form"}, tuple(children))


def _form_field(name: str, type_: str, label: str, value: str, *, required: bool) -> Element:
    children = [Element("required", ns.DATA_FORMS)] if required else []
    if value:
        children.append(Element("value", ns.DATA_FORMS, {}, (value,)))
    attributes = {"var": name, "type": type_} | ({"label": label} if label else {})
    return Element("field", ns.DATA_FORMS, attributes, tuple(children))


# --- the answer -------------------------------------------------------------------------------


@attrs.frozen
class Submission:
    """One register set, understood: `values` None means remove."""

    iq: Iq
    values: Mapping[str, str] | None = attrs.field(repr=False)


def is_removal(iq: Iq) -> bool:
    """Say whether a register set asks for removal and nothing else."""
    query = iq.payload
    return (
        query is not None
        and len(query.elements) == 1
        and query.child("remove", ns.REGISTER) is not None
        and not iq.to.local
    )


def understand(user: User, iq: Iq) -> Submission | None:
    """Read a register set. None: a form that was cancelled. Raises `StanzaError`."""
    _only_gateway(iq)
    assert iq.payload is not None
    query = iq.payload
    if query.child("remove", ns.REGISTER) is not None:
        if len(query.elements) > 1:  # REG7-04
            raise StanzaError(Condition.BAD_REQUEST)
        return Submission(iq, None)  # of what, if anything, is seen when its turn comes
    _allowed(user)
    if _is_closed(user):
        raise StanzaError(Condition.SERVICE_UNAVAILABLE, texts.REGISTRATION_CLOSED)
    submitted = query.child("x", ns.DATA_FORMS)
    if submitted is None:
        values = {one.name: one.text for one in query.elements if one.xmlns == ns.REGISTER}
        return Submission(iq, values)
    if submitted.attributes.get("type") == "cancel":  # REG7-03
        return None
    if submitted.attributes.get("type") != "submit":
        raise StanzaError(Condition.BAD_REQUEST, "This is not a submitted form.")
    values = _form_values(submitted)
    form_type = values.pop("FORM_TYPE", ns.REGISTER)
    if form_type == CANCELLATION:  # REG7-07
        raise StanzaError(Condition.UNEXPECTED_REQUEST, "Nobody has asked for this form.")
    if form_type not in FORM_TYPES:
        raise StanzaError(Condition.BAD_REQUEST, "This form belongs to something else.")
    return Submission(iq, values)


def _form_values(submitted: Element) -> dict[str, str]:
    values = {}
    for field in submitted.elements:
        value = field.child("value", ns.DATA_FORMS)
        if field.name == "field" and value is not None and "var" in field.attributes:
            values[field.attributes["var"]] = value.text
    return values


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
            self._answer(error_reply(submission.iq, exc.condition, exc.text, type=exc.type))
        except StoreError as exc:
            await self._life.drop_trial()
            log.error("%s: a registration is not stored: %s", self._user.name, exc)
            self._answer(_failed(submission.iq, texts.NOT_STORED))
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
            self._user.domain.link.answer(_failed(submission.iq, text))

    def give_way(self) -> None:
        """A removal is here: what is being set, or waits to be, is refused (AMB-27)."""
        if self._verifying is not None:
            self._verifying.cancel()
        for waiting in [one for one in self._waiting if one.values is not None]:
            self._waiting.remove(waiting)
            reply = error_reply(waiting.iq, Condition.NOT_ACCEPTABLE, texts.REGISTRATION_CANCELLED)
            self._user.domain.link.answer(reply)

    async def _set(self, values: Mapping[str, str]) -> None:
        user = self._user
        wanted = self._wanted(values)
        with _claimed(user, wanted.address):
            await self._set_to(wanted)

    async def _set_to(self, wanted: Account) -> None:
        user, old = self._user, self._user.account
        same = old is not None and (old.address, old.secret) == (wanted.address, wanted.secret)
        if not same:
            await self._verify(wanted)
        moved = old is not None and old.address != wanted.address
        if moved:  # GW-EDIT-04: the old account's contacts are no longer his
            await contacts.load(user)
            await self._life.retire()
        self._decided = True
        if moved:
            await contacts.cancel_all(user)
        await self._store(wanted, moved=moved)
        self._succeed()
        if old is None:  # GW-REG-05
            user.ask(user.domain.jid, PresenceType.SUBSCRIBE)
        if not same:
            log.info("%s: registered as %s", user.name, wanted.address)
            self._life.edited()

    def _wanted(self, values: Mapping[str, str]) -> Account:
        """Check what was filled in and return the account it describes. Raises `StanzaError`."""
        user, old = self._user, self._user.account
        fields = user.domain.network.description.fields
        given = {field.name: values.get(field.name, "") for field in fields}
        try:
            address = user.domain.network.canonical(given["username"])
        except InvalidAddress as exc:
            if given["username"].strip():
                raise StanzaError(Condition.NOT_ACCEPTABLE, bounded(str(exc))) from exc
            address = ""
        keeps = old is not None and address == old.address
        if keeps and old is not None and not given["password"]:  # AMB-01
            given["password"] = old.secret
        missing = [field for field in fields if field.required and not _filled(field, given)]
        if missing:  # REG7-01, AMB-03
            names = ", ".join(field.label for field in missing)
            raise StanzaError(Condition.NOT_ACCEPTABLE, texts.FIELDS_MISSING.format(fields=names))
        extra = {name: text for name, text in given.items() if name not in ("username", "password")}
        return Account(address=address, secret=given["password"], fields=extra)

    async def _verify(self, account: Account) -> None:
        """Have the network check the account (GW-REG-03). Raises `StanzaError`."""
        user = self._user
        timed_out = user.text(texts.VERIFICATION_TIMEOUT)
        with trio.move_on_after(VERIFY_SECONDS) as scope:
            deadline = scope.deadline
            self._verifying = scope
            try:
                if not await self._check(account):
                    await self._life.try_out(account)
            except LoginRefused as exc:
                raise self._refused(exc) from exc
            except (ConnectionLost, RemoteProtocolError) as exc:
                log.info("%s: cannot verify: %s", user.name, exc)
                text = user.text(texts.UNREACHABLE)
                raise StanzaError(
                    Condition.REMOTE_SERVER_TIMEOUT, text, type=ErrorType.WAIT
                ) from exc
            finally:
                self._verifying = None
        if scope.cancelled_caught:
            if trio.current_time() >= deadline:
                raise StanzaError(Condition.REMOTE_SERVER_TIMEOUT, timed_out, type=ErrorType.WAIT)
            raise StanzaError(Condition.NOT_ACCEPTABLE, texts.REGISTRATION_CANCELLED)

    async def _check(self, account: Account) -> bool:
        """Have the network check the account without a sign-on, if it can. Raises as `check`."""
        gate = self._user.domain.gate
        async with gate.passage():
            try:
                checked = await self._user.domain.network.check(account, no_dialogue)
            except LoginRefused:
                gate.answered()
                raise
            except (ConnectionLost, RemoteProtocolError):
                gate.failed()
                raise
        if checked:
            gate.answered()
        return checked

    def _refused(self, refused: LoginRefused) -> StanzaError:
        text = self._user.text(texts.REGISTRATION_REFUSED[refused.reason])
        if refused.reason is Refusal.BUSY:
            return StanzaError(Condition.REMOTE_SERVER_TIMEOUT, text, type=ErrorType.WAIT)
        if refused.reason is Refusal.TOO_MANY_ATTEMPTS:
            return StanzaError(Condition.RESOURCE_CONSTRAINT, text, type=ErrorType.WAIT)
        return StanzaError(Condition.NOT_ACCEPTABLE, text)  # GW-REG-07, GW-EDIT-03

    async def _store(self, wanted: Account, *, moved: bool) -> None:
        user = self._user
        store, component, jid = user.domain.store, str(user.domain.jid), str(user.jid)
        if moved and user.account is not None:
            self._forget(user.account.account_id)
        user.account = user.domain.accounts[user.jid] = await user.domain.host.run_blocking(
            lambda: store.save_account(
                component, jid, wanted.address, wanted.secret, wanted.fields, anew=moved
            )
        )

    async def _remove(self) -> None:
        """Unregister, in the order of GW-UNREG-01…06."""
        user = self._user
        if user.account is None:
            raise StanzaError(Condition.REGISTRATION_REQUIRED, texts.NOT_REGISTERED)
        await contacts.load(user)
        await self._life.drop_trial()
        await self._life.retire()
        self._decided = True
        user.resources.clear()
        account_id, store = user.account.account_id, user.domain.store
        self._forget(account_id)
        await user.domain.host.run_blocking(lambda: store.remove_account(account_id))
        user.domain.accounts.pop(user.jid, None)
        user.account = None
        self._succeed()
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

    def _succeed(self) -> None:
        if self._owed is not None:
            self._answer(result_of(self._owed.iq))

    def _answer(self, reply: Stanza | None) -> None:
        """Answer what is being worked off, unless it has been answered already."""
        if self._owed is not None:
            self._user.domain.link.answer(reply)
        self._owed = None


async def no_dialogue(challenge: Challenge) -> Answer:
    """Refuse a question of the network: there is nobody to put it to."""
    raise LoginRefused(Refusal.FORBIDDEN, challenge.text)


async def renew(user: User, secret: str) -> None:
    """Keep the credentials the network has renewed."""
    account, store = user.account, user.domain.store
    if account is None:
        return
    renewed = await user.domain.host.run_blocking(lambda: store.renew_secret(account, secret))
    if renewed and user.account is account:
        user.account = user.domain.accounts[user.jid] = attrs.evolve(account, secret=secret)


# --- the gateway in the user's roster ---------------------------------------------------------


def subscription(user: User, stanza: Presence) -> None:
    """Take a subscription stanza of the user for the gateway itself (GW-REG-06)."""
    if stanza.type is PresenceType.SUBSCRIBE:
        user.ask(user.domain.jid, PresenceType.SUBSCRIBED)
        user.show(Presence(from_=user.domain.jid, to=user.jid))


# --- small things -----------------------------------------------------------------------------


def _failed(iq: Iq, text: str) -> Stanza | None:
    return error_reply(iq, Condition.INTERNAL_SERVER_ERROR, text, type=ErrorType.WAIT)


def _filled(field: Field, given: Mapping[str, str]) -> bool:
    return bool(given[field.name].strip())


def _allowed(user: User) -> None:
    if not user.domain.allows(user.jid):  # REG7-08
        raise StanzaError(Condition.FORBIDDEN, texts.OPERATOR_POLICY)


def _is_closed(user: User) -> bool:
    return user.account is None and user.domain.config.registration == "closed"


def _way_to_register(user: User) -> Element:
    """Say where people register, if it is not here (REG7-08). Raises `StanzaError`."""
    url = user.domain.config.registration_url
    if not url:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE, texts.REGISTRATION_CLOSED)
    oob = Element("x", ns.OOB, {}, (Element("url", ns.OOB, {}, (url,)),))
    instructions = _element("instructions", texts.REGISTER_ELSEWHERE.format(url=url))
    return Element("query", ns.REGISTER, {}, (instructions, oob))


@contextmanager
def _claimed(user: User, address: str) -> Generator[None, None, None]:
    """Keep an account for this user while he registers it, where each has one owner (AMB-30).

    Raises `StanzaError` when it is somebody else's.
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


def _only_gateway(iq: Iq) -> None:
    if iq.to.local:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)


def _element(name: str, text: str = "") -> Element:
    return Element(name, ns.REGISTER, {}, (text,) if text else ())
