"""Which feature answers which iq: a table, by type and payload namespace (CORE-03)."""

from collections.abc import Awaitable, Callable

from gateway.bridge.features import (
    basics,
    disco,
    privileged,
    prompt,
    registration,
    search,
    vcard,
)
from gateway.bridge.user import User
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import Condition, Iq, IqType, StanzaError

Answerer = Callable[[User, Iq], Iq]
Starter = Callable[[User, Iq], Awaitable[None]]

ANSWERERS: dict[tuple[IqType, str, str], Answerer] = {
    (IqType.GET, "query", ns.DISCO_INFO): disco.info,
    (IqType.GET, "query", ns.DISCO_ITEMS): disco.items,
    (IqType.GET, "query", ns.GATEWAY): prompt.ask,
    (IqType.SET, "query", ns.GATEWAY): prompt.translate,
    (IqType.GET, "query", ns.REGISTER): registration.ask,
    (IqType.GET, "query", ns.SEARCH): search.ask,
    (IqType.SET, "query", ns.ROSTER): privileged.pushed,
    (IqType.GET, "ping", ns.PING): basics.ping,
    (IqType.GET, "query", ns.VERSION): basics.version,
    (IqType.GET, "time", ns.TIME): basics.time,
    (IqType.GET, "query", ns.AGENTS): disco.agents,
    (IqType.SET, "vCard", ns.VCARD): vcard.refuse,
}
STARTERS: dict[tuple[IqType, str, str], Starter] = {
    (IqType.GET, "vCard", ns.VCARD): vcard.get,
    (IqType.SET, "query", ns.SEARCH): search.start,
}


REGISTERING = (ns.REGISTER, "unregister")  # nodes of commands
ALWAYS_ANSWERED = (ns.PING, ns.VERSION, ns.TIME, ns.DISCO_INFO, ns.DISCO_ITEMS)


def is_about_gateway(iq: Iq) -> bool:
    """Say whether an iq asks the gateway something that no user's state is needed for."""
    if iq.type is not IqType.GET or iq.payload is None or iq.to.local:
        return False
    return iq.payload.xmlns in ALWAYS_ANSWERED


def is_registration(iq: Iq) -> bool:
    """Say whether this iq starts work that outlives its handling: a register set."""
    return (
        iq.type is IqType.SET
        and iq.payload is not None
        and (iq.payload.name, iq.payload.xmlns) == ("query", ns.REGISTER)
    )


def concerns_registration(iq: Iq) -> bool:
    """Say whether an iq is a register set, or a step of a command that may come to one."""
    if not is_command(iq) or iq.payload is None:
        return is_registration(iq)
    asked = iq.payload.attributes
    return "sessionid" in asked or asked.get("node") in REGISTERING


def starter(iq: Iq) -> Starter | None:
    """Return what begins to answer an iq that the network has to be asked about, if it is one."""
    if iq.payload is None:
        return None
    return STARTERS.get((iq.type, iq.payload.name, iq.payload.xmlns))


def is_command(iq: Iq) -> bool:
    """Say whether this iq is a step of an ad-hoc command."""
    payload = iq.payload
    wanted = ("command", ns.COMMANDS)
    return iq.type is IqType.SET and payload is not None and (payload.name, payload.xmlns) == wanted


def answer(user: User, iq: Iq) -> Iq:
    """Return the answer to a get or set. Raises `StanzaError`, also for what nobody knows."""
    if iq.payload is not None:
        answerer = ANSWERERS.get((iq.type, iq.payload.name, iq.payload.xmlns))
        if answerer is not None:
            return answerer(user, iq)
    raise StanzaError(Condition.SERVICE_UNAVAILABLE)
