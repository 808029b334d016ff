"""Small questions any entity answers: ping, version, time (PING-01, VER-01, TIME-01)."""

from gateway import __version__
from gateway.bridge.features.disco import is_known
from gateway.bridge.translate import stamp
from gateway.bridge.user import User
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import Condition, Iq, StanzaError, result_of
from gateway.xmpp.xml import Element


def ping(user: User, iq: Iq) -> Iq:
    if iq.to.local and (user.account is None or not is_known(user, iq)):
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    return result_of(iq)


def version(user: User, iq: Iq) -> Iq:
    _only_gateway(iq)
    name = Element("name", ns.VERSION, {}, ("Balcony",))
    number = Element("version", ns.VERSION, {}, (__version__,))
    return result_of(iq, Element("query", ns.VERSION, {}, (name, number)))


def time(user: User, iq: Iq) -> Iq:
    _only_gateway(iq)
    offset = Element("tzo", ns.TIME, {}, ("+00:00",))
    utc = Element("utc", ns.TIME, {}, (stamp(user.domain.host.now()),))
    return result_of(iq, Element("time", ns.TIME, {}, (offset, utc)))


def _only_gateway(iq: Iq) -> None:
    if iq.to.local:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
