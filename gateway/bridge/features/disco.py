"""Service discovery (XEP-0030; DISCO-01…04, GW-DISC-01, GW-ADDR-05).

Features are listed only where they are served; a contact says nothing to strangers, so that nobody
learns who exists.
"""

from gateway.bridge.features import commands
from gateway.bridge.states import Phase
from gateway.bridge.user import User
from gateway.networks.base import Capabilities, InvalidAddress
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import Condition, Iq, StanzaError, result_of
from gateway.xmpp.xml import Element

JID_ESCAPING = "jid\\20escaping"  # XEP-0106

GATEWAY_FEATURES = (
    ns.DISCO_INFO,
    ns.DISCO_ITEMS,
    ns.GATEWAY,
    ns.REGISTER,
    ns.SEARCH,
    ns.COMMANDS,
    ns.VERSION,
    ns.PING,
    ns.TIME,
    ns.ROSTER_EXCHANGE,
    ns.VCARD,
    JID_ESCAPING,
)


def info(user: User, iq: Iq) -> Iq:
    """Answer what the gateway, or a contact, is and can do."""
    if _is_command_list(iq):
        return _info(iq, [("automation", "command-list", "")], (ns.DISCO_INFO,))
    if not iq.to.local and (name := commands.named(user, _node(iq))) is not None:  # CMD-01
        features = (ns.DISCO_INFO, ns.COMMANDS, ns.DATA_FORMS)
        return _info(iq, [("automation", "command-node", name)], features)
    if _node(iq) is not None:
        raise StanzaError(Condition.ITEM_NOT_FOUND)
    if not iq.to.local:
        description = user.domain.network.description
        identities = [("gateway", description.kind, description.title)]
        return _info(iq, identities, _gateway_features(user))
    return _contact_info(user, iq)


def _gateway_features(user: User) -> tuple[str, ...]:
    config = user.domain.config
    closed = config.registration == "closed" and not config.registration_url
    left_out = {ns.REGISTER} if closed and user.account is None else set()
    if not user.domain.network.description.capabilities.search:
        left_out.add(ns.SEARCH)
    return tuple(one for one in GATEWAY_FEATURES if one not in left_out)


def items(user: User, iq: Iq) -> Iq:
    """Answer with the commands; otherwise nothing: contacts are nobody's business (DISCO-02)."""
    if _is_command_list(iq):
        return commands.items(user, iq)
    if _node(iq) is not None:
        raise StanzaError(Condition.ITEM_NOT_FOUND)
    if iq.to.local:
        _contact_info(user, iq)  # the same refusal for contacts that are not to be known
    return result_of(iq, Element("query", ns.DISCO_ITEMS))


def agents(user: User, iq: Iq) -> Iq:
    """Answer the discovery of old: there is one agent, the gateway itself (GW-DISC-02, AMB-21)."""
    if iq.to.local:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    description = user.domain.network.description
    said = [
        Element("name", ns.AGENTS, {}, (description.title,)),
        Element("service", ns.AGENTS, {}, (description.kind,)),
        *(Element(name, ns.AGENTS) for name in ("transport", "register")),
    ]
    agent = Element("agent", ns.AGENTS, {"jid": str(user.domain.jid)}, tuple(said))
    return result_of(iq, Element("query", ns.AGENTS, {}, (agent,)))


def _contact_info(user: User, iq: Iq) -> Iq:
    if user.account is None or not is_known(user, iq):
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    capabilities = user.domain.network.description.capabilities
    if user.phase is Phase.ONLINE and user.client is not None:
        capabilities = user.client.capabilities
    identities = [("account", "registered", ""), ("client", "pc", "")]
    return _info(iq, identities, contact_features(capabilities))


def contact_features(capabilities: Capabilities) -> tuple[str, ...]:
    typing = (ns.CHAT_STATES,) if capabilities.typing else ()
    return (ns.DISCO_INFO, *typing, ns.PING, ns.VCARD)


def is_known(user: User, iq: Iq) -> bool:
    """Say whether the stanza is for a contact on the user's list."""
    try:
        return user.domain.addresses.address_of(iq.to) in user.contacts
    except InvalidAddress:
        return False


def _node(iq: Iq) -> str | None:
    return iq.payload.attributes.get("node") if iq.payload is not None else None


def _is_command_list(iq: Iq) -> bool:
    return _node(iq) == ns.COMMANDS and not iq.to.local


def _info(iq: Iq, identities: list[tuple[str, str, str]], features: tuple[str, ...]) -> Iq:
    found = [
        Element(
            "identity",
            ns.DISCO_INFO,
            {"category": category, "type": type_} | ({"name": name} if name else {}),
        )
        for category, type_, name in identities
    ]
    found += [Element("feature", ns.DISCO_INFO, {"var": feature}) for feature in features]
    node = _node(iq)
    attributes = {"node": node} if node is not None else {}  # DISCO-04
    return result_of(iq, Element("query", ns.DISCO_INFO, attributes, tuple(found)))
