"""What all ways to a roster share: items, nicks, and a contact's request to be added."""

from gateway.bridge.features.cards import card_for, note_told
from gateway.bridge.user import Card, Roster, User
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Presence, PresenceType
from gateway.xmpp.xml import Element


def roster_item(jid: Jid, shown: Card | None, attributes: dict[str, str], xmlns: str) -> Element:
    """Return an item of a roster (RFC 6121) or of an offer for one (XEP-0144)."""
    named = {"name": shown.name} if shown is not None and shown.name else {}
    groups = shown.groups if shown is not None else ()
    children = tuple(Element("group", xmlns, {}, (group,)) for group in groups)
    return Element("item", xmlns, {"jid": str(jid)} | named | attributes, children)


def nick(name: str) -> tuple[Element, ...]:
    """Return what a presence says of its sender's name (XEP-0172, NICK-01); nothing for none."""
    return (Element("nick", ns.NICK, {}, (name,)),) if name else ()


def invite(user: User, address: str) -> None:
    """Have a contact of the network's list ask the user to add it."""
    shown = card_for(user.known(address))
    note_told(user, "add", address, Roster.INVITED, shown)
    jid = user.domain.addresses.jid_of(address)
    user.domain.link.send(
        Presence(from_=jid, to=user.jid, type=PresenceType.SUBSCRIBE, payload=nick(shown.name))
    )
