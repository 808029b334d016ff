"""Contact list and subscriptions, both ways (GW-ADD, GW-DEL, LU-ADD, LU-DEL, GW-ROST-03).

The gateway is the server of its contacts: who asked whom is kept by the network, what passed with
the user's roster in the store. A contact is never announced by a `subscribed` nobody asked for.
"""

import logging

from gateway.bridge import texts
from gateway.bridge.features import presence
from gateway.bridge.states import Phase
from gateway.bridge.translate import REASON_CONDITIONS, bounded
from gateway.bridge.user import Known, Roster, User
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
    Link,
    Reason,
    RemoveContact,
    RemovedByContact,
    RequestAnswered,
    Revoke,
)
from gateway.store.store import StoredRequest
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, ErrorType, Fault, Presence, PresenceType
from gateway.xmpp.xml import Element

log = logging.getLogger(__name__)


# --- what the user does -----------------------------------------------------------------------


async def from_user(user: User, stanza: Presence) -> None:
    """Carry a subscription stanza of the user for one contact to the network."""
    try:
        address = user.domain.addresses.address_of(stanza.to)
    except InvalidAddress:
        if stanza.type is PresenceType.SUBSCRIBE:
            _refuse(user, stanza.to.bare, Condition.ITEM_NOT_FOUND, ErrorType.CANCEL, "")
        return
    match stanza.type:
        case PresenceType.SUBSCRIBE:
            await _subscribe(user, address, stanza)
        case PresenceType.SUBSCRIBED:
            await _subscribed(user, address)
        case PresenceType.UNSUBSCRIBE:
            await _unsubscribe(user, address)
        case PresenceType.UNSUBSCRIBED:
            await _unsubscribed(user, address)


async def _subscribe(user: User, address: str, stanza: Presence) -> None:
    known = user.known(address)
    if presence.is_subscribed(known):  # GW-ADD-06
        _accepted(user, address, known)
        return
    user.remember(address, Roster.ASKED)
    if user.client is not None:
        await _ask(user, address, _nick_of(stanza))
    # else it is kept, and asked at the next sign-on (GW-ADD-01)


async def ask_what_waits(user: User) -> None:
    """Ask, after sign-on, what the user asked for while he was not signed on."""
    for address, known in list(user.contacts.items()):
        if known.roster is not Roster.ASKED:
            continue
        if presence.is_subscribed(known):
            _accepted(user, address, known)
        elif known.listed is None or Link.ASKED not in known.listed.subscription:
            await _ask(user, address, "")


async def _ask(user: User, address: str, name: str) -> None:
    ref = user.domain.new_id()
    user.adding[ref] = address
    await user.send(AddContact(ref=ref, address=address, name=name))


async def _subscribed(user: User, address: str) -> None:
    await _forget_request(user, address)
    if user.client is None:
        return
    listed = user.known(address).listed
    if listed is None or Link.SEEN_BY not in listed.subscription:  # LU-ADD-03, GW-ADD-03
        await user.send(Grant(ref=user.domain.new_id(), address=address))


async def _unsubscribe(user: User, address: str) -> None:
    known = user.contacts.get(address)
    if known is None:
        return  # GW-DEL-01: unknown contact, silence
    presence.hide_contact(user, address)  # GW-DEL-03
    was_there = known.listed is not None or known.roster in (Roster.ASKED, Roster.ACCEPTED)
    user.remember(address, Roster.REFUSED)
    known.listed = known.presence = None
    if was_there:
        await user.send(RemoveContact(ref=user.domain.new_id(), address=address))


async def _unsubscribed(user: User, address: str) -> None:
    await _forget_request(user, address)
    known = user.contacts.get(address)
    if known is None or known.listed is None or user.client is None:
        return
    if Link.ASKING in known.listed.subscription:  # LU-ADD-05
        await user.send(Deny(ref=user.domain.new_id(), address=address))
    elif Link.SEEN_BY in known.listed.subscription and user.client.capabilities.deny:
        await user.send(Revoke(ref=user.domain.new_id(), address=address))  # GW-DEL-04


# --- what the network tells -------------------------------------------------------------------


def listed(user: User, event: ContactList) -> None:
    """Take over the contact list. What is no longer on a complete one is shown no more."""
    now = {contact.address: contact for contact in event.contacts}
    if event.complete:
        for address, known in user.contacts.items():
            if address not in now and known.listed is not None:
                known.listed = None
                presence.show_contact(user, address, known)
    for contact in event.contacts:
        changed(user, ContactChanged(contact))


def changed(user: User, event: ContactChanged) -> None:
    contact = event.contact
    known = user.known(contact.address)
    known.listed = contact
    presence.show_contact(user, contact.address, known)
    if known.roster is Roster.ASKED and Link.SEES in contact.subscription:
        _accepted(user, contact.address, known)


def removed(user: User, event: ContactRemoved) -> None:
    known = user.contacts.get(event.address)
    if known is not None:
        known.listed = None
        presence.show_contact(user, event.address, known)


def added(user: User, done: CommandDone) -> None:
    """Take the network's answer to `AddContact` (GW-ADD-02)."""
    address = user.adding.pop(done.ref)
    if done.result is AddResult.GRANTED:
        _accepted(user, address, user.known(address), ask_back=True)


def not_added(user: User, failed: CommandFailed) -> None:
    """Tell the user that this contact cannot be had (GW-ADD-05)."""
    address = user.adding.pop(failed.ref)
    condition, type_ = REASON_CONDITIONS[failed.reason]
    text = bounded(failed.text) or user.text(texts.FAILED[failed.reason])
    user.remember(address, Roster.REFUSED)
    if failed.reason is Reason.UNKNOWN_ADDRESS:
        user.contacts.pop(address, None)
    _refuse(user, user.domain.addresses.jid_of(address), condition, type_, text)


def answered(user: User, event: RequestAnswered) -> None:
    """Take a contact's answer to what the user asked (GW-ADD-02, GW-ADD-04)."""
    known = user.known(event.address)
    if event.granted:
        _accepted(user, event.address, known, ask_back=True)
    elif known.roster is Roster.ASKED:
        user.remember(event.address, Roster.REFUSED)
        user.ask(user.domain.addresses.jid_of(event.address), PresenceType.UNSUBSCRIBED)


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
    ask_user(user, request)


def ask_user(user: User, request: StoredRequest) -> None:
    """Send one waiting request to the user; it is repeated at each sign-on until answered."""
    payload: tuple[Element, ...] = ()
    if request.nick:  # NICK-01
        payload = (Element("nick", ns.NICK, {}, (bounded(request.nick),)),)
    user.domain.link.send(
        Presence(
            from_=user.domain.addresses.jid_of(request.address),
            to=user.jid,
            type=PresenceType.SUBSCRIBE,
            status=bounded(request.reason) or None,
            payload=payload,
        )
    )


def dropped(user: User, event: RemovedByContact, client: LegacyClient) -> None:
    """Tell the user that a contact removed him (LU-DEL-01, AMB-11, AMB-23)."""
    if event.token is not None:
        client.acknowledge(event.token)
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
            user.known(contact.address).roster = Roster(contact.state)
    user.seen = dict.fromkeys(seen) | user.seen


# --- both -------------------------------------------------------------------------------------


def cancel_all(user: User) -> None:
    """End every subscription between the user and contacts: his account is going (AMB-08)."""
    for address, known in user.contacts.items():
        if known.roster is Roster.ACCEPTED or address in user.shown:
            user.ask(
                user.domain.addresses.jid_of(address),
                PresenceType.UNSUBSCRIBE,
                PresenceType.UNSUBSCRIBED,
                PresenceType.UNAVAILABLE,
            )
    user.shown.clear()
    user.contacts.clear()
    user.unsaved.clear()


def _accepted(user: User, address: str, known: Known, *, ask_back: bool = False) -> None:
    """Tell the user that he is subscribed, and show the contact (order of GW-ADD-02)."""
    jid = user.domain.addresses.jid_of(address)
    seen_by = known.listed is not None and Link.SEEN_BY in known.listed.subscription
    user.remember(address, Roster.ACCEPTED)
    user.ask(jid, PresenceType.SUBSCRIBED)
    if user.phase is Phase.ONLINE:
        presence.show_contact(user, address, known)
    if ask_back and not seen_by:
        user.ask(jid, PresenceType.SUBSCRIBE)


def _refuse(user: User, contact: Jid, condition: Condition, type_: ErrorType, text: str) -> None:
    fault = Fault(condition=condition, type=type_, text=text)
    error = Presence(from_=contact, to=user.jid, type=PresenceType.ERROR, error=fault)
    refusal = Presence(from_=contact, to=user.jid, type=PresenceType.UNSUBSCRIBED)
    user.domain.link.send_batch([error, refusal])


def _nick_of(stanza: Presence) -> str:
    for element in stanza.payload:
        if element.name == "nick" and element.xmlns == ns.NICK:
            return element.text
    return ""


async def _forget_request(user: User, address: str) -> None:
    if user.account is not None:
        store, account_id = user.domain.store, user.account.account_id
        await user.domain.host.run_blocking(lambda: store.remove_request(account_id, address))
