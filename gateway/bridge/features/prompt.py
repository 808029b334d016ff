"""Address prompts: a legacy name goes in, a JID comes out (jabber:iq:gateway, GW-PROMPT)."""

from urllib.parse import unquote

from gateway.bridge.translate import bounded
from gateway.bridge.user import User
from gateway.networks.base import InvalidAddress
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import InvalidJid, Jid
from gateway.xmpp.stanza import Condition, Iq, StanzaError, result_of
from gateway.xmpp.xml import Element


def ask(user: User, iq: Iq) -> Iq:
    """Answer what to ask the user for (GW-PROMPT-01: `desc` before `prompt`)."""
    _only_gateway(iq)
    description = user.domain.network.description
    desc = Element("desc", ns.GATEWAY, {}, (description.prompt_description,))
    prompt = Element("prompt", ns.GATEWAY, {}, (description.prompt,))
    return result_of(iq, Element("query", ns.GATEWAY, {}, (desc, prompt)))


def translate(user: User, iq: Iq) -> Iq:
    """Answer with the JID of the name the user gave (GW-PROMPT-03, -04, -06, -07)."""
    _only_gateway(iq)
    prompt = iq.payload.child("prompt", ns.GATEWAY) if iq.payload is not None else None
    if prompt is None or not prompt.text.strip():
        raise StanzaError(Condition.NOT_ACCEPTABLE, "There is no name to look up.")
    jid = _pasted(user, prompt.text.strip()) or _made(user, prompt.text)
    if len(str(jid).encode()) > 1023:
        raise StanzaError(Condition.NOT_ACCEPTABLE, "This name is too long.")
    found = Element("jid", ns.GATEWAY, {}, (str(jid),))
    return result_of(iq, Element("query", ns.GATEWAY, {}, (found,)))


def _pasted(user: User, text: str) -> Jid | None:
    """Return the JID itself when the user gave one of ours, or its URI, instead of a name."""
    scheme, _, path = text.partition(":")
    if scheme.lower() == "xmpp":  # RFC 5122; a name may look like one, but not like one of ours
        text = unquote(path.partition("?")[0])
    try:
        jid = Jid.parse(text)
    except InvalidJid:
        return None
    return jid.bare if jid.local and jid.domain == user.domain.jid.domain else None


def _made(user: User, name: str) -> Jid:
    try:
        address = user.domain.network.canonical(name)
    except InvalidAddress as exc:
        raise StanzaError(Condition.NOT_ACCEPTABLE, bounded(str(exc))) from exc
    return user.domain.addresses.jid_of(address, keep=user.account is not None)


def _only_gateway(iq: Iq) -> None:
    if iq.to.local:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
