"""Presence of the gateway and of contacts, as the user's clients see it (GW-IN, GW-OUT, AMB-11).

What everybody may see goes to the user's bare JID and his server spreads it; what one resource is
owed (it is new, it asked, it left) goes to that full JID.
"""

from gateway.bridge import texts
from gateway.bridge.resources import MAX_DIRECTED, OFFLINE, Status
from gateway.bridge.states import Phase
from gateway.bridge.translate import bounded, contact_presence, unavailable
from gateway.bridge.user import Known, Roster, User
from gateway.networks.base import InvalidAddress, PresenceChanged, SetPresence, Show, Strand
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, ErrorType, Fault, Presence, PresenceType

DIRECTED_SECONDS = 0.3  # how long copies of a presence may take to come


def greet(user: User) -> None:
    """Say that the user is signed on (GW-IN-02). What the last sign-on saw counts no more."""
    user.has_list = False
    for known in user.contacts.values():
        known.presence = None
    user.show(gateway_presence(user, user.jid))


def greet_resource(user: User, resource: Jid) -> None:
    """Show a further resource what the others see already (GW-IN-10)."""
    user.coming.pop(resource.resource, None)
    user.show(gateway_presence(user, resource))
    for presence in user.shown.values():
        user.show(_to(presence, resource))


def contact_changed(user: User, event: PresenceChanged) -> None:
    """Show the new presence of a contact to whoever is subscribed to it."""
    if not user.has_room_for(event.address):
        return
    known = user.known(event.address)
    known.presence = event
    show_contact(user, event.address, known)


def show_contact(user: User, address: str, known: Known) -> None:
    """Bring what the user is shown of a contact in line with what is known of it."""
    event = known.presence
    if event is None or not is_subscribed(known):
        hide_contact(user, address)
        return
    if event.show in (Show.OFFLINE, Show.INVISIBLE):
        hide_contact(user, address, event.text)
        return
    presence = contact_presence(event, user.domain.contact_jid(address), user.jid)
    if user.shown.get(address) == presence:
        return
    user.shown[address] = presence
    if known.roster is Roster.NONE:
        user.remember(address, Roster.SHOWN)
    user.show(presence)


def hide_contact(user: User, address: str, text: str = "") -> None:
    """Show a contact unavailable, once."""
    presence = user.shown.pop(address, None)
    if presence is not None:
        user.show(unavailable(presence.from_, user.jid, bounded(text) or None))


def withdraw(user: User) -> None:
    """Show every contact unavailable to everybody: the network is gone (GW-OUT-06)."""
    for address in list(user.shown):
        hide_contact(user, address)
    for known in user.contacts.values():
        known.presence = None


def farewell(user: User, leaving: list[Jid]) -> None:
    """Show contacts and gateway unavailable to those who left, in this order (GW-OUT-02)."""
    for one in leaving:
        for presence in user.shown.values():
            user.show(unavailable(presence.from_, one))
        user.show(unavailable(user.domain.jid, one))


def show_again(user: User) -> None:
    """Show all there is once more: what a lost link still held is nobody's (COMP-05).

    That goes for those who are offline, too: the link may have died unnoticed before they left.
    """
    for address in _ever_shown(user):
        user.show(user.shown.get(address) or _gone(user, address))


def leave_word(user: User) -> None:
    """Have the link say, when it returns, that everybody is unavailable: we will not be there."""
    user.domain.link.send_batch([_gone(user, address) for address in _ever_shown(user)])
    user.shown.clear()


def _ever_shown(user: User) -> list[str]:
    return [
        address
        for address, known in user.contacts.items()
        if known.roster in (Roster.SHOWN, Roster.ACCEPTED)
    ]


def _gone(user: User, address: str) -> Presence:
    return unavailable(user.domain.contact_jid(address), user.jid)


async def announce_status(user: User) -> None:
    """Show the user on the network as his resources add up (GW-IN-06, AMB-10)."""
    status = user.resources.status
    if status.show is Show.OFFLINE or user.client is None or status == user.announced:
        return
    user.announced = status
    await _set_presence(user, status)
    for address, (_, own) in user.directed.items():  # to all means to those, too
        await _set_presence(user, own, address)


async def announce_directed(user: User) -> None:
    """Show single contacts what they alone were shown, where the network can (GW-OUT-04, AMB-25).

    A server copies each presence to all contacts who may see it; what is no such copy was directed.
    """
    client = user.client
    if client is None:
        return  # said when there is one
    said, user.directing = user.directing, {}
    for address, (resource, _) in user.directed.items():
        if resource not in user.resources:
            said.setdefault(address, (resource, OFFLINE))
    if not client.capabilities.per_contact_presence:
        return
    for address, (resource, status) in said.items():
        told = user.resources.told_status(resource)
        is_copy = resource not in user.resources or status == (told or user.resources.status)
        wanted = user.resources.status if is_copy else status
        _, shown = user.directed.pop(address, ("", user.announced))
        if wanted != user.announced and len(user.directed) < MAX_DIRECTED:
            user.directed[address] = (resource, wanted)
        if wanted != shown:
            await _set_presence(user, wanted, address)


async def _set_presence(user: User, status: Status, *only_for: str) -> None:
    ref = user.domain.new_id()
    since = status.idle_since
    if since is not None:  # the user's clock may be ahead of ours
        since = min(since, user.domain.host.now())
    command = SetPresence(
        ref=ref, show=status.show, text=status.text, idle_since=since, only_for=only_for
    )
    await user.send(command)


def answer_probe(user: User, probe: Presence) -> None:
    """Answer as the contacts' server, to whoever asked (GW-IN-11, AMB-06)."""
    if user.account is None:
        refusal = Presence(from_=probe.to.bare, to=probe.from_, type=PresenceType.UNSUBSCRIBED)
        user.domain.link.send(refusal)
    elif not probe.to.local:
        online = user.phase is Phase.ONLINE
        user.show(
            gateway_presence(user, probe.from_)
            if online
            else unavailable(user.domain.jid, probe.from_)
        )
    else:
        _answer_contact_probe(user, probe)


def _answer_contact_probe(user: User, probe: Presence) -> None:
    contact = probe.to.bare
    try:
        address = user.domain.addresses.address_of(contact)
    except InvalidAddress:
        address = ""
    known = user.contacts.get(address)
    if user.phase is not Phase.ONLINE:
        user.show(unavailable(user.domain.speaker(contact), probe.from_))
    elif address in user.shown:
        user.show(_to(user.shown[address], probe.from_))
    elif known is not None and is_subscribed(known):
        user.show(unavailable(user.domain.speaker(contact), probe.from_))
    else:
        user.domain.link.send(
            Presence(from_=contact, to=probe.from_, type=PresenceType.UNSUBSCRIBED)
        )


def is_subscribed(known: Known) -> bool:
    """Say whether the user may see this contact: the network says so, or his roster has it."""
    if known.roster in (Roster.REFUSED, Roster.DECLINED):  # whatever the network says yet
        return False
    listed = known.listed is not None and Strand.SEES in known.listed.subscription
    return listed or known.roster is Roster.ACCEPTED


def answer_stranger(user: User, stanza: Presence) -> None:
    """Answer somebody who is not registered (AMB-06): the same for each contact, there or not."""
    if stanza.type is PresenceType.SUBSCRIBE:
        _refuse_stranger(user, stanza)
        refusal = Presence(from_=stanza.to.bare, to=user.jid, type=PresenceType.UNSUBSCRIBED)
        user.domain.link.send(refusal)
        return
    to_gateway = stanza.type is PresenceType.AVAILABLE and not stanza.to.local
    if to_gateway and user.domain.strangers.is_new(stanza.from_):
        _refuse_stranger(user, stanza)


def _refuse_stranger(user: User, presence: Presence) -> None:
    """Tell somebody without a registration so (AMB-06)."""
    fault = Fault(
        condition=Condition.REGISTRATION_REQUIRED,
        type=ErrorType.AUTH,
        text=user.text(texts.NOT_REGISTERED),
        lang=texts.LANG,
    )
    user.domain.link.send(
        Presence(
            from_=presence.to,
            to=presence.from_,
            id=presence.id,
            type=PresenceType.ERROR,
            error=fault,
        )
    )


def gateway_presence(user: User, to: Jid) -> Presence:
    return Presence(from_=user.domain.jid, to=to)


def _to(presence: Presence, to: Jid) -> Presence:
    """The same presence, to somebody else."""
    return Presence(
        from_=presence.from_,
        to=to,
        show=presence.show,
        status=presence.status,
        payload=presence.payload,
    )
