"""Hashes of what clients can do, against the examples of XEP-0115 itself."""

import pytest

from gateway.bridge.caps import Caps, Kinds, caps_of, features_in, verification
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Presence
from gateway.xmpp.xml import Element

MAX_KINDS = 1_000
G = Jid.parse("aim.shakespeare.lit")


def identity(type_: str, name: str, lang: str = "") -> Element:
    attributes = {"category": "client", "type": type_, "name": name}
    return Element("identity", ns.DISCO_INFO, attributes | ({"xml:lang": lang} if lang else {}))


def feature(name: str) -> Element:
    return Element("feature", ns.DISCO_INFO, {"var": name})


def field(name: str, *values: str) -> Element:
    inside = tuple(Element("value", ns.DATA_FORMS, {}, (one,)) for one in values)
    return Element("field", ns.DATA_FORMS, {"var": name}, inside)


def query(*children: Element) -> Element:
    return Element("query", ns.DISCO_INFO, {}, children)


FEATURES = [
    feature(one)
    for one in (
        "http://jabber.org/protocol/caps",
        ns.DISCO_INFO,
        ns.DISCO_ITEMS,
        "http://jabber.org/protocol/muc",
    )
]
SOFTWARE = Element(
    "x",
    ns.DATA_FORMS,
    {"type": "result"},
    (
        field("os", "Mac"),
        field("FORM_TYPE", "urn:xmpp:dataforms:softwareinfo"),
        field("ip_version", "ipv6", "ipv4"),
        field("os_version", "10.5.1"),
        field("software", "Psi"),
        field("software_version", "0.11"),
    ),
)
PSI = (identity("pc", "Ψ 0.11", "el"), identity("pc", "Psi 0.11", "en"))


@pytest.mark.conformance("RIX-02")
def test_the_simple_example() -> None:
    exodus = query(identity("pc", "Exodus 0.9.1"), *reversed(FEATURES))
    assert verification(exodus) == "QgayPKawpkPSDYmwT/WM94uAlu0="


@pytest.mark.conformance("RIX-02")
def test_the_complex_example() -> None:
    assert verification(query(SOFTWARE, *FEATURES, *PSI)) == "q07IKJEyjvHSyhy//CH0CxmKi8w="


@pytest.mark.conformance("RIX-02")
@pytest.mark.parametrize(
    "wrong",
    [
        query(*FEATURES, FEATURES[0]),
        query(PSI[0], PSI[0]),
        query(Element("x", ns.DATA_FORMS, {}, (field("FORM_TYPE", "one", "other"),))),
        query(Element("x", ns.DATA_FORMS, {}, (field("os", "Mac"),))),
    ],
)
def test_ill_formed_answers_have_no_hash(wrong: Element) -> None:
    assert verification(wrong) is None


@pytest.mark.conformance("RIX-02")
def test_kinds_are_learned_from_honest_answers_alone() -> None:
    kinds, info = Kinds(), query(feature(ns.ROSTER_EXCHANGE), feature("another"))
    ver = verification(info)
    assert ver is not None
    for lie in (Caps("n", "lie", "sha-1"), Caps("n", ver, "md5")):
        kinds.learn(lie, info)
        assert kinds.features(lie) is None
    honest = Caps("n", ver, "sha-1")
    kinds.learn(honest, info)
    assert kinds.features(honest) == frozenset((ns.ROSTER_EXCHANGE,))
    assert kinds.features(Caps("n", ver, "md5")) is None
    for number in range(MAX_KINDS):
        other = query(feature(f"feature-{number}"))
        kinds.learn(Caps("n", str(verification(other)), "sha-1"), other)
    assert kinds.features(honest) is None  # the memory has an end


def test_only_caps_that_can_be_asked_for_count() -> None:
    def caps(**attributes: str) -> Caps | None:
        payload = (Element("c", ns.CAPS, attributes),)
        return caps_of(Presence(from_=G, to=G, payload=payload))

    assert caps(node="n", ver="v", hash="sha-1") == Caps("n", "v", "sha-1")
    assert caps(node="n", ver="v") is None  # the form before version 1.4
    assert caps(node="n" * 300, ver="v", hash="sha-1") is None
    assert caps_of(Presence(from_=G, to=G)) is None
    assert features_in(query(feature("else"))) == frozenset()
