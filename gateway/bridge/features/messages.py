"""Messages and typing, both ways (GW-SEND, LU-SEND, CHAT-01, docs/delivery.md).

A message of the user ends in exactly one of: handed over, or an error to the resource that sent it.
While he is being signed on, or briefly lost, it is held, within bounds. What may have been sent
already is never sent again: its sender is told that it may have arrived.
"""

import logging

import attrs
import trio

from gateway.bridge import texts
from gateway.bridge.journal import Entry
from gateway.bridge.states import Phase
from gateway.bridge.translate import (
    REASON_CONDITIONS,
    REFUSAL_CONDITIONS,
    bounded,
    chat_state,
    chat_state_of,
    pieces,
    stanza_id,
)
from gateway.bridge.user import MAX_CHATS, Pending, User
from gateway.networks.base import (
    InvalidAddress,
    LegacyClient,
    MessageOutcome,
    MessageReceived,
    Reason,
    SendMessage,
    SetTyping,
    Stage,
    Typing,
    TypingState,
)
from gateway.xmpp import namespaces as ns
from gateway.xmpp.component import LinkState
from gateway.xmpp.stanza import Condition, ErrorType, Message, MessageType, error_reply
from gateway.xmpp.xml import Element

log = logging.getLogger(__name__)

HOLD_SECONDS = 30.0
HOLD_MESSAGES = 50
OUTCOME_SECONDS = 60.0  # a network that has not answered for a message by then will not

_HOLDING = frozenset((Phase.SIGNING_ON, Phase.WAITING))
_REPORTED = frozenset((MessageType.NORMAL, MessageType.CHAT))


def is_value(message: Message) -> bool:
    """Say whether a message of a user must be handed over or answered (GW-SEND-06)."""
    return message.body is not None and message.type in _REPORTED


# --- from the user ----------------------------------------------------------------------------


async def from_user(user: User, message: Message, entry: Entry | None) -> None:
    """Carry a message of the user to the network, or tell him why not."""
    if message.type is MessageType.GROUPCHAT:  # GW-SEND-07
        refuse(user, message, entry, Condition.SERVICE_UNAVAILABLE, ErrorType.CANCEL)
    elif message.type in _REPORTED and message.body is None:
        await _typing_from_user(user, message)
    elif is_value(message):
        await _body_from_user(user, message, entry)


async def _body_from_user(user: User, message: Message, entry: Entry | None) -> None:
    assert message.body is not None
    if not message.to.local:  # GW-SEND-08: nobody reads what is said to the gateway itself
        return refuse(user, message, entry, Condition.SERVICE_UNAVAILABLE, ErrorType.CANCEL)
    if user.account is None or entry is None:
        text = texts.NOT_REGISTERED
        return refuse(user, message, entry, Condition.REGISTRATION_REQUIRED, ErrorType.AUTH, text)
    try:
        address = user.domain.addresses.address_of(message.to)
    except InvalidAddress as exc:
        return refuse(user, message, entry, Condition.ITEM_NOT_FOUND, ErrorType.CANCEL, str(exc))
    _note_chat_states(user, address, message)
    pending = Pending(message, address, entry, user.domain.new_id(), float("inf"))
    if user.phase is Phase.ONLINE and user.client is not None:
        await _hand_over(user, pending)
    elif user.phase in _HOLDING or user.phase is Phase.ONLINE or _is_coming_back(user):
        _hold(user, pending)
    elif user.phase is Phase.REFUSED and user.refused is not None:  # AMB-20
        condition, type_ = REFUSAL_CONDITIONS[user.refused]
        fail(user, pending, condition, type_, user.text(texts.REFUSALS[user.refused]))
    else:
        fail(
            user,
            pending,
            Condition.REMOTE_SERVER_TIMEOUT,
            ErrorType.WAIT,
            user.text(texts.SIGNED_OUT),
        )
    return None


def _is_coming_back(user: User) -> bool:
    """Say whether the user is signed off only to be signed on again: his registration changed."""
    return user.phase is Phase.SIGNING_OFF and user.state.present


def _hold(user: User, pending: Pending) -> None:
    if len(user.held) >= HOLD_MESSAGES:
        text = user.text(texts.TOO_MUCH)
        return fail(user, pending, Condition.RESOURCE_CONSTRAINT, ErrorType.WAIT, text)
    pending.until = trio.current_time() + HOLD_SECONDS
    user.held.append(pending)
    return None


async def release(user: User) -> None:
    """Hand over what was held while the user was being signed on, in order."""
    while user.held and user.client is not None:
        await _hand_over(user, user.held.popleft())


async def _hand_over(user: User, pending: Pending) -> None:
    assert pending.message.body is not None
    pending.until = trio.current_time() + OUTCOME_SECONDS
    user.pending[pending.ref] = pending
    sent = await user.send(
        SendMessage(ref=pending.ref, conversation=pending.address, text=pending.message.body)
    )
    if not sent and user.pending.pop(pending.ref, None) is not None:
        _may_have_arrived(user, pending)


async def _typing_from_user(user: User, message: Message) -> None:
    state = chat_state_of(message)
    if state is None or not message.to.local or user.client is None:
        return
    if not user.client.capabilities.typing:
        return
    try:
        address = user.domain.addresses.address_of(message.to)
    except InvalidAddress:
        return
    _remember_chat(user, address)
    await user.send(SetTyping(ref=user.domain.new_id(), conversation=address, state=state))


def _note_chat_states(user: User, address: str, message: Message) -> None:
    if chat_state_of(message) is not None:
        _remember_chat(user, address)
    else:
        user.chat_states.discard(address)


def _remember_chat(user: User, address: str) -> None:
    if len(user.chat_states) < MAX_CHATS:
        user.chat_states.add(address)


def outcome(user: User, event: MessageOutcome) -> None:
    """Settle the message that the network answers for."""
    pending = user.pending.get(event.ref)
    if pending is None:
        return
    match event.stage:
        case Stage.WRITTEN | Stage.ACCEPTED | Stage.DELIVERED:
            del user.pending[event.ref]
            user.domain.journal.settle(pending.entry)
        case Stage.FAILED:
            del user.pending[event.ref]
            reason = event.reason or Reason.UNKNOWN
            condition, type_ = REASON_CONDITIONS[reason]
            text = bounded(event.text) or user.text(texts.FAILED[reason])
            fail(user, pending, condition, type_, text)
        case Stage.UNKNOWN:
            del user.pending[event.ref]
            _may_have_arrived(user, pending)


def connection_lost(user: User) -> None:
    """Tell of what was handed to a connection that is gone: nobody knows whether it arrived."""
    pending, user.pending = user.pending, {}
    for one in pending.values():
        _may_have_arrived(user, one)


def bounce(user: User, text: str, condition: Condition) -> None:
    """Settle all that is held or pending: this session will not do it any more."""
    connection_lost(user)
    return_held(user, text, condition)


def return_held(
    user: User, text: str, condition: Condition = Condition.REMOTE_SERVER_TIMEOUT
) -> None:
    """Return what was never handed to the network."""
    while user.held:
        fail(user, user.held.popleft(), condition, ErrorType.WAIT, user.text(text))


def deadline(user: User) -> float:
    """Return when `expire` has something to do next (trio time)."""
    oldest_held = user.held[0].until if user.held else float("inf")
    oldest_pending = next(iter(user.pending.values())).until if user.pending else float("inf")
    return min(oldest_held, oldest_pending)


def expire(user: User, now: float) -> None:
    """Tell of messages that were held, or unanswered, for too long."""
    while user.held and user.held[0].until <= now:
        text = user.text(texts.NOT_IN_TIME)
        fail(user, user.held.popleft(), Condition.REMOTE_SERVER_TIMEOUT, ErrorType.WAIT, text)
    while user.pending:
        ref, pending = next(iter(user.pending.items()))
        if pending.until > now:
            return
        del user.pending[ref]
        _may_have_arrived(user, pending)


def _may_have_arrived(user: User, pending: Pending) -> None:
    text = texts.MAY_HAVE_ARRIVED
    fail(user, pending, Condition.REMOTE_SERVER_TIMEOUT, ErrorType.WAIT, text)


def fail(user: User, pending: Pending, condition: Condition, type_: ErrorType, text: str) -> None:
    refuse(user, pending.message, pending.entry, condition, type_, text)


def refuse(
    user: User,
    message: Message,
    entry: Entry | None,
    condition: Condition,
    type_: ErrorType,
    text: str = "",
) -> None:
    """Answer a message by an error, with its id and body, to the resource that sent it."""
    error = error_reply(message, condition, text, type=type_)
    assert isinstance(error, Message)
    # The body goes back, so that its writer sees what failed; what rides beside it can be anything.
    error = attrs.evolve(error, payload=())
    if entry is None or user.account is None:
        user.domain.link.answer(error)
    else:
        user.domain.deliveries.keep(user.domain.journal.turn(entry, error))


# --- from the network -------------------------------------------------------------------------


def received(user: User, event: MessageReceived, client: LegacyClient) -> bool:
    """Deliver a message of the network. Returns False when there is no room for it."""
    assert user.account is not None
    account_id, deliveries = user.account.account_id, user.domain.deliveries
    if event.outgoing:  # CARB-02: it was sent as the user, which a component must not forge
        client.acknowledge(event.token)
        return True
    if event.legacy_id is not None and event.legacy_id in user.seen:
        deliveries.repeated(account_id, event.legacy_id, client, event.token)
        return True
    if not deliveries.room_for(account_id):
        return False
    if event.legacy_id is not None:
        user.see(event.legacy_id)
        id_ = stanza_id(user.domain.jid, user.jid, event.legacy_id)
    else:
        id_ = user.domain.new_id()
    payload: tuple[Element, ...] = ()
    if event.conversation in user.chat_states:
        payload = (Element("active", ns.CHAT_STATES),)
    message = Message(
        from_=user.domain.contact_jid(event.conversation),
        to=user.jid,
        type=MessageType.CHAT,
        id=id_,
        payload=payload,
    )
    user.typing.pop(event.conversation, None)  # a message ends the typing before it
    *first, last = pieces(event.text, user.domain.config.max_stanza_bytes)
    for number, text in enumerate(first):
        piece = attrs.evolve(message, id=f"{id_}-{number}", body=text)
        deliveries.post(account_id, piece, sent_at=event.sent_at)
    deliveries.post(
        account_id,
        attrs.evolve(message, body=last),
        client=client,
        token=event.token,
        legacy_id=event.legacy_id,
        sent_at=event.sent_at,
    )
    return True


def typing(user: User, event: Typing) -> None:
    """Show the typing of a contact, to clients that show theirs (CHAT-01)."""
    address = event.conversation
    if address not in user.chat_states or user.domain.link.status.state is not LinkState.UP:
        return
    if user.typing.get(address, TypingState.IDLE) is event.state:
        return
    user.typing[address] = event.state
    from_ = user.domain.contact_jid(address)
    user.domain.link.send(chat_state(event.state, from_, user.jid))
