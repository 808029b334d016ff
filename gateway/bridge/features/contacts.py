"""Contact list and subscriptions, both ways (GW-ADD, GW-DEL, LU-ADD, LU-DEL, GW-ROST-03).

The gateway is the server of its contacts: who asked whom is kept by the network, what passed with
the user's roster in the store. A contact is never announced by a `subscribed` nobody asked for.
"""

import logging

import attrs

from gateway.bridge import texts
from gateway.bridge.features import presence, privileged
from gateway.bridge.features.cards import carry, label, note_listed, own_or_listed
from gateway.bridge.features.items import nick
from gateway.bridge.states import Phase
from gateway.bridge.translate import REASON_CONDITIONS, bounded
from gateway.bridge.user import TOLD_NO_NAME, Card, Known, Roster, User
from gateway.errors import StoreError
from gateway.networks.base import (
    AddContact,
    AddResult,
    CommandDone,
    CommandFailed,
    ContactChanged,
    ContactList,
    ContactRemoved,
    ContactRequest,
    Deny,
    Grant,
    InvalidAddress,
    LegacyClient,
    Reason,
    RemoveContact,
    RemovedByContact,
    RequestAnswered,
    Revoke,
    Strand,
    Subscription,
)
from gateway.store.store import StoredRequest
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, ErrorType, Fault, Presence, PresenceType

log = logging.getLogger(__name__)

ASK_BACK_SECONDS = 2.0

# --- what the user does -----------------------------------------------------------------------


async def from_user(user: User, stanza: Presence) -> None:
    """Carry a subscription stanza of the user for one contact to the network."""
    contact = stanza.to.bare
    try:
        address = user.domain.addresses.address_of(contact)
        own = user.domain.addresses.jid_of(address)
        # In another spelling it is nobody: answered as the contact it would stand in the roster as
        # pending for ever, and taken off there it would take the contact along.
        why = "" if own == contact else texts.OTHER_SPELLING.format(jid=own)
    except InvalidAddress as exc:
        address, why = "", str(exc)
    if why:
        if stanza.type is PresenceType.SUBSCRIBE:
            condition = Condition.ITEM_NOT_FOUND
            _refuse(user, contact, condition, ErrorType.CANCEL, why, answers=stanza.id)
        return
    match stanza.type:
        case PresenceType.SUBSCRIBE:
            await _subscribe(user, address, stanza.status or "", stanza.id)
        case PresenceType.SUBSCRIBED:
            await _subscribed(user, address)
        case PresenceType.UNSUBSCRIBE:
            await _unsubscribe(user, address)
        case PresenceType.UNSUBSCRIBED:
            await _unsubscribed(user, address)


async def _subscribe(user: User, address: str, reason: str, id_: str | None) -> None:
    if not user.has_room_for(address):
        contact, text = user.domain.addresses.jid_of(address), user.text(texts.TOO_MANY_CONTACTS)
        _refuse(user, contact, Condition.RESOURCE_CONSTRAINT, ErrorType.WAIT, text, answers=id_)
        return
    known = user.known(address)
    listed = known.listed
    can_ask = user.client is not None and user.has_list
    if presence.is_subscribed(known) and (listed is not None or not can_ask):  # GW-ADD-06
        _accepted(user, address, known)
        return
    user.remember(address, Roster.ASKED)
    if id_ is not None:  # else it is asked again, after a sign-on
        user.asking[address] = id_
    if not can_ask or address in user.adding.values():
        return  # asked when the next list is here (GW-ADD-01), or being asked
    going = _overtaken(user.removing, address)  # whatever the list says yet
    if not going and listed is not None and Strand.ASKED in listed.subscription:
        return
    ref = user.domain.new_id()
    user.adding[ref] = address
    name, groups = own_or_listed(user, known)
    await user.send(
        AddContact(ref=ref, address=address, name=name, groups=groups, reason=bounded(reason))
    )


async def _subscribed(user: User, address: str) -> None:
    """Let a contact see the user (LU-ADD-03, GW-ADD-03).

    An answer that cannot be carried on now is not kept: the request is, and is put again at the
    next sign-on; the user's server then answers by itself what he has approved.
    """
    known = user.contacts.get(address)
    listed = known.listed if known is not None else None
    is_seen = listed is not None and Strand.SEEN_BY in listed.subscription
    # A network may take all on the list for such as see the user: who has asked does not.
    if is_seen:
        try:
            is_seen = not await has_asked(user, address)
        except StoreError as exc:  # once too often is better than never
            log.error("%s: whether %s has asked is not known: %s", user.name, address, exc)
            is_seen = False
    if not is_seen:
        user.granted.append(address)
    if is_seen or await user.send(Grant(ref=user.domain.new_id(), address=address)):
        await _forget_request(user, address)
    if known is not None and known.roster is Roster.INVITED:
        user.remember(address, Roster.OFFERED)


async def _unsubscribe(user: User, address: str) -> None:
    if _declines(user, address):
        return
    if user.client is None or not user.has_list:  # done when he is on the next list
        presence.hide_contact(user, address)
        user.remember(address, Roster.REFUSED)
        return
    known = user.contacts.get(address)
    if known is None:
        return  # GW-DEL-01: unknown contact, silence
    presence.hide_contact(user, address)  # GW-DEL-03
    listed = known.listed
    strands = listed.subscription if listed is not None else frozenset()
    is_nobody = known.roster in (Roster.NONE, Roster.SHOWN)
    if is_nobody and strands.isdisjoint((Strand.SEES, Strand.ASKED)):
        return  # an echo of his going or of his refusal (LU-DEL-02)
    if address in user.removing.values():
        return
    user.remember(address, Roster.REFUSED)  # until the network has answered
    user.asking.pop(address, None)
    known.presence = None
    if known.listed is not None:  # whether he sees the user is another matter: GW-DEL-04
        left = known.listed.subscription - {Strand.SEES, Strand.ASKED}
        known.listed = attrs.evolve(known.listed, subscription=left)
    _overtaken(user.adding, address)
    ref = user.domain.new_id()
    user.removing[ref] = address
    await user.send(RemoveContact(ref=ref, address=address))


def _overtaken(unanswered: dict[str, str], address: str) -> bool:
    """Forget what the network has yet to answer for a contact: the user has said otherwise since.

    Returns whether there was anything.
    """
    refs = [ref for ref, one in unanswered.items() if one == address]
    for ref in refs:
        del unanswered[ref]
    return bool(refs)


async def _unsubscribed(user: User, address: str) -> None:
    known = user.contacts.get(address)
    strands: Subscription = frozenset()
    if known is not None and known.listed is not None:
        strands = known.listed.subscription
    refusal: Deny | Revoke | None = None
    if address in user.granted:  # a moment ago: the list may not say so yet
        user.granted.remove(address)
        refusal = Revoke(ref=user.domain.new_id(), address=address)
    elif Strand.ASKING in strands or await has_asked(user, address):  # LU-ADD-05
        refusal = Deny(ref=user.domain.new_id(), address=address)
    elif _declines(user, address):
        return
    elif Strand.SEEN_BY in strands:  # GW-DEL-04
        refusal = Revoke(ref=user.domain.new_id(), address=address)
    if user.client is None:
        return  # as in `_subscribed`
    if refusal is not None and user.client.capabilities.deny and not await user.send(refusal):
        return
    await _forget_request(user, address)


def _declines(user: User, address: str) -> bool:
    """Say whether the user turns down a contact that we brought, and never wants to see it again.

    It was our offer, not the contact's: on the network everything stays as it is.
    """
    known = user.contacts.get(address)
    if known is None or known.roster not in (Roster.INVITED, Roster.DECLINED):
        return False
    user.remember(address, Roster.DECLINED)
    presence.hide_contact(user, address)
    return True


# --- what the network tells -------------------------------------------------------------------


def listed(user: User, event: ContactList) -> None:
    """Take over the contact list. What is no longer on a complete one is shown no more."""
    now = {contact.address for contact in event.contacts}
    if event.complete:
        for address in [one for one in user.contacts if one not in now]:
            removed(user, ContactRemoved(address))
    for contact in event.contacts:
        changed(user, ContactChanged(contact))
    if event.complete:
        user.has_list = True
        _catch_up(user)


def _catch_up(user: User) -> None:
    """Handle again what the user wished while he was not signed on, as if he said it now.

    Not before the list is here: it tells what is done already, and which name and groups a contact
    has that must not be lost.
    """
    for address, known in user.contacts.items():
        if known.roster is Roster.ASKED and address not in user.adding.values():
            wish = PresenceType.SUBSCRIBE
        elif known.roster is Roster.REFUSED:
            wish = PresenceType.UNSUBSCRIBE
        else:
            continue
        user.wishes(user.domain.addresses.jid_of(address), wish)


def changed(user: User, event: ContactChanged) -> None:
    contact = event.contact
    if not user.has_room_for(contact.address):
        log.warning("%s: the contact list is too long; the rest is left out", user.name)
        return
    known = user.known(contact.address)
    is_new, known.listed = known.listed is None, contact
    note_listed(user, contact.address, known)
    if is_new:
        carry(user, contact.address)
    if known.roster is Roster.ASKED and Strand.SEES in contact.subscription:
        _accepted(user, contact.address, known)
    else:
        presence.show_contact(user, contact.address, known)


def removed(user: User, event: ContactRemoved) -> None:
    known = user.contacts.get(event.address)
    if known is None:
        return
    known.listed = known.presence = None  # the network tells of his presence no longer
    presence.show_contact(user, event.address, known)
    if known.roster in (Roster.REFUSED, Roster.DECLINED):
        user.remember(event.address, Roster.NONE)


def taken_off(user: User, answer: CommandDone | CommandFailed) -> None:
    """Take the network's answer to `RemoveContact`; until it is here, the removal is owed."""
    address = user.removing.pop(answer.ref)
    if user.known(address).roster is Roster.REFUSED:
        user.remember(address, Roster.NONE)


def added(user: User, done: CommandDone) -> None:
    """Take the network's answer to `AddContact` (GW-ADD-02)."""
    address = user.adding.pop(done.ref)
    if done.result is AddResult.GRANTED:
        _granted(user, address)


def not_added(user: User, failed: CommandFailed) -> None:
    """Tell the user that this contact cannot be had (GW-ADD-05)."""
    address = user.adding.pop(failed.ref)
    condition, type_ = REASON_CONDITIONS[failed.reason]
    text = bounded(failed.text) or user.text(texts.FAILED[failed.reason])
    user.remember(address, Roster.NONE)
    if failed.reason is Reason.UNKNOWN_ADDRESS:
        user.contacts.pop(address, None)
    contact, id_ = user.domain.addresses.jid_of(address), user.asking.pop(address, None)
    _refuse(user, contact, condition, type_, text, answers=id_)


def answered(user: User, event: RequestAnswered) -> None:
    """Take a contact's answer to what the user asked (GW-ADD-02, GW-ADD-04)."""
    known = user.contacts.get(event.address)
    if known is None:
        return  # nobody has asked
    if event.granted:
        _granted(user, event.address)
    elif known.roster is Roster.ASKED:
        user.remember(event.address, Roster.NONE)
        user.asking.pop(event.address, None)
        user.ask(user.domain.addresses.jid_of(event.address), PresenceType.UNSUBSCRIBED)


def _granted(user: User, address: str) -> None:
    """Tell the user that he is subscribed, unless he knows; then have the contact ask in turn.

    Nothing is said to a user who has not asked, or has not asked here (GW-ROST-03).
    """
    known = user.known(address)
    if known.roster is Roster.ASKED:
        _accepted(user, address, known)
    if known.presence is not None:
        _ask_back(user, address)
    else:  # it may be on its way, and goes before
        user.later.set(("ask back", address), ASK_BACK_SECONDS, lambda: _ask_back(user, address))


def presence_came(user: User, address: str) -> None:
    """A contact's presence was shown: what was to come after it comes now (GW-ADD-02)."""
    if user.later.cancel(("ask back", address)):
        _ask_back(user, address)


def _ask_back(user: User, address: str) -> None:
    known = user.known(address)
    strands = known.listed.subscription if known.listed is not None else frozenset()
    if known.roster is Roster.ACCEPTED and strands.isdisjoint((Strand.SEEN_BY, Strand.ASKING)):
        user.ask(user.domain.addresses.jid_of(address), PresenceType.SUBSCRIBE)


async def requested(user: User, event: ContactRequest, client: LegacyClient) -> None:
    """Ask the user on behalf of a contact, once it is stored (LU-ADD-01)."""
    account = user.account
    if account is None:
        return
    now = user.domain.host.now()
    request = StoredRequest(event.address, event.nick, event.reason, event.sent_at or now)
    store, account_id = user.domain.store, account.account_id
    await user.domain.host.run_blocking(lambda: store.save_request(account_id, request))
    if event.token is not None:
        client.acknowledge(event.token)
    if event.address in user.granted:
        user.granted.remove(event.address)
    ask_user(user, request)


def ask_user(user: User, request: StoredRequest) -> None:
    """Send one waiting request to the user; it is repeated at each sign-on until answered."""
    user.domain.link.send(
        Presence(
            from_=user.domain.addresses.jid_of(request.address),
            to=user.jid,
            type=PresenceType.SUBSCRIBE,
            status=bounded(request.reason) or None,
            payload=nick(label(request.nick)),
        )
    )


def dropped(user: User, event: RemovedByContact) -> None:
    """Tell the user that a contact removed him (LU-DEL-01, AMB-11, AMB-23)."""
    known = user.contacts.get(event.address)
    if known is None:
        return
    jid = user.domain.addresses.jid_of(event.address)
    if not event.mutual:
        user.ask(jid, PresenceType.UNSUBSCRIBE)
        return
    user.shown.pop(event.address, None)
    known.listed = known.presence = None
    user.remember(event.address, Roster.NONE)
    user.ask(jid, PresenceType.UNSUBSCRIBE, PresenceType.UNSUBSCRIBED, PresenceType.UNAVAILABLE)


async def load(user: User) -> None:
    """Bring back what the store knows: contacts as the user's roster has them, ids seen."""
    assert user.account is not None
    store, account_id = user.domain.store, user.account.account_id
    stored, seen = await user.domain.host.run_blocking(
        lambda: (store.contacts(account_id), store.seen(account_id))
    )
    for contact in stored:
        if contact.address not in user.unsaved:
            known = user.known(contact.address)
            known.roster = Roster(contact.state)
            if contact.name or contact.groups:
                known.told = Card(contact.name.strip(TOLD_NO_NAME), contact.groups)
    unwritten = user.domain.journal.unwritten_seen(account_id)
    user.seen = dict.fromkeys(seen) | dict.fromkeys(unwritten) | user.seen


# --- both -------------------------------------------------------------------------------------


async def cancel_all(user: User) -> None:
    """End every subscription between the user and contacts: his account is going (AMB-08)."""
    theirs = [
        address
        for address, known in user.contacts.items()
        if known.roster in (Roster.ACCEPTED, Roster.INVITED) or address in user.shown
    ]
    known_to_roster = [  # as an item alone, which no subscription goes with
        address
        for address, known in user.contacts.items()
        if known.roster in (Roster.OFFERED, Roster.ASKED) and address not in user.shown
    ]
    left = set(await privileged.take_off(user, [*theirs, *known_to_roster]))
    for address in filter(left.__contains__, theirs):
        user.ask(
            user.domain.addresses.jid_of(address),
            PresenceType.UNSUBSCRIBE,
            PresenceType.UNSUBSCRIBED,
            PresenceType.UNAVAILABLE,
        )
    user.shown.clear()
    user.asking.clear()
    user.contacts.clear()
    user.to_carry.clear()
    user.unsaved.clear()


def _accepted(user: User, address: str, known: Known) -> None:
    """Tell the user that he is subscribed, and show the contact (order of GW-ADD-02)."""
    user.remember(address, Roster.ACCEPTED)
    user.asking.pop(address, None)
    note_listed(user, address, known)
    user.ask(user.domain.addresses.jid_of(address), PresenceType.SUBSCRIBED)
    if user.phase is Phase.ONLINE:
        user.shown.pop(address, None)  # what was shown before may not have reached him
        presence.show_contact(user, address, known)


def _refuse(
    user: User,
    contact: Jid,
    condition: Condition,
    type_: ErrorType,
    text: str,
    *,
    answers: str | None,
) -> None:
    """Refuse the subscribe with the id `answers`."""
    fault = Fault(condition=condition, type=type_, text=text, lang=texts.LANG)
    error = Presence(from_=contact, to=user.jid, id=answers, type=PresenceType.ERROR, error=fault)
    refusal = Presence(from_=contact, to=user.jid, type=PresenceType.UNSUBSCRIBED)
    user.domain.link.send_batch([error, refusal])


async def has_asked(user: User, address: str) -> bool:
    """Say whether this contact waits for the user's answer."""
    assert user.account is not None
    store, account_id = user.domain.store, user.account.account_id
    waiting = await user.domain.host.run_blocking(lambda: store.requests(account_id))
    return any(request.address == address for request in waiting)


async def _forget_request(user: User, address: str) -> None:
    if user.account is not None:
        store, account_id = user.domain.store, user.account.account_id
        try:
            await user.domain.host.run_blocking(lambda: store.remove_request(account_id, address))
        except StoreError as exc:  # it is put again at the next sign-on
            log.error("%s: what %s asked is still on record: %s", user.name, address, exc)
