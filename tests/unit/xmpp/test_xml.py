from xml.etree import ElementTree
from xml.parsers import expat

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import LocalProtocolError
from gateway.xmpp import namespaces
from gateway.xmpp.stream import ComponentStream, StanzaReceived
from gateway.xmpp.xml import Element, replace_forbidden, to_bytes

HEADER = (
    b"<stream:stream xmlns='jabber:component:accept' "
    b"xmlns:stream='http://etherx.jabber.org/streams' id='1' from='g'><handshake/>"
)


def parsed(data: bytes) -> Element:
    """Read one stanza back with the stream's own parser, after a stricter one, as servers have."""
    expat.ParserCreate("utf-8", "\x01").Parse(HEADER + data, False)
    stream = ComponentStream("g")
    stream.receive_data(HEADER + data)
    found = [event.element for event in stream.events() if isinstance(event, StanzaReceived)]
    assert len(found) == 1
    return found[0]


def canonical(element: Element) -> Element:
    """Say what a parser must see: forbidden characters replaced, texts joined, none empty."""
    children: list[Element | str] = []
    for child in element.children:
        if isinstance(child, Element):
            children.append(canonical(child))
        elif child and children and isinstance(children[-1], str):
            children[-1] += replace_forbidden(child)
        elif child:
            children.append(replace_forbidden(child))
    attributes = {key: replace_forbidden(value) for key, value in element.attributes.items()}
    return Element(element.name, replace_forbidden(element.xmlns), attributes, tuple(children))


texts = st.text(
    alphabet=st.one_of(
        st.characters(), st.sampled_from("\x00\x1f\ud800\udfff\ufffe\uffff&<>'\"]\r\n\t")
    ),
    max_size=20,
)
names = st.sampled_from(["x", "body", "stanza-id", "a.b", "_", "é", "名"])
keys = st.one_of(
    names.filter(lambda name: name != "xmlns"),
    st.sampled_from(["xml:lang", "{urn:a}b", "{urn:a}c", "{}}x}b", "{'&\t}b"]),
)
spaces = st.one_of(
    st.sampled_from(
        ["urn:a", namespaces.COMPONENT, namespaces.CLIENT, namespaces.XML, "}", "", "\x01"]
    ),
    texts,
).filter(lambda xmlns: xmlns != namespaces.XMLNS)
elements = st.recursive(
    st.builds(Element, names, spaces, st.dictionaries(keys, texts, max_size=4)),
    lambda children: st.builds(
        Element,
        names,
        spaces,
        st.dictionaries(keys, texts, max_size=4),
        st.lists(st.one_of(texts, children), max_size=4).map(tuple),
    ),
    max_leaves=8,
)


@pytest.mark.conformance("CORE-07")
@settings(derandomize=True, deadline=None)
@given(elements)
@example(Element("foo", namespaces.XML, {"xml:lang": "en"}, (Element("b", "urn:b"),)))
def test_the_parser_reads_what_the_writer_wrote(element: Element) -> None:
    stanza = Element("message", namespaces.COMPONENT, {}, (element, "tail", element))
    assert parsed(to_bytes(stanza, namespaces.COMPONENT)) == canonical(stanza)


@pytest.mark.conformance("CORE-07")
@pytest.mark.parametrize("bad", ["\x00", "\x08", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_a_forbidden_character_is_replaced(bad: str) -> None:
    element = Element("body", "", {"a": f"1{bad}2"}, (f"3{bad}4",))
    root = ElementTree.fromstring(to_bytes(element, ""))  # noqa: S314 - our own bytes
    assert (root.get("a"), root.text) == ("1\ufffd2", "3\ufffd4")


def test_white_space_survives_in_attributes_and_carriage_returns_in_text() -> None:
    element = Element("message", namespaces.COMPONENT, {"id": "a\t\n\r b"}, ("x\r\ny",))
    assert parsed(to_bytes(element, namespaces.COMPONENT)) == element


def test_the_bytes_are_these() -> None:
    element = Element(
        "message",
        namespaces.COMPONENT,
        {"to": "a'b", "xml:lang": "en"},
        (
            Element("body", namespaces.COMPONENT, {}, ("1 < 2 & 3",)),
            Element("x", "urn:x", {"{urn:y}k": '"'}, (Element("y", "urn:x"),)),
            Element("z", namespaces.COMPONENT),
        ),
    )
    assert to_bytes(element, namespaces.COMPONENT) == (
        b"<message to='a&apos;b' xml:lang='en'><body>1 &lt; 2 &amp; 3</body>"
        b"<x xmlns='urn:x' xmlns:n10='urn:y' n10:k='&quot;'><y/></x><z/></message>"
    )


@pytest.mark.parametrize(
    "element",
    [
        Element("a b", ""),
        Element("a/><b", ""),
        Element("", ""),
        Element("1a", ""),
        Element("a:b", ""),
        Element("é b='1'", ""),
        Element("é/><b", ""),
        Element("é>", ""),
        Element("a\n", ""),
        Element("\u037e", ""),
        Element("\ud800", ""),
        Element("a", namespaces.XMLNS),
        Element("a", "", {"xmlns": "urn:x"}),
        Element("a", "", {"xmlns:b": "urn:x"}),
        Element("a", "", {"b c": "1"}),
        Element("a", "", {"{}b": "1"}),
        Element("a", "", {"{urn:a}": "1"}),
        Element("a", "", {"{b": "1"}),
        Element("a", "", {"xml:": "1"}),
        Element("a", "", {"xml:a:b": "1"}),
        Element("a", "", {"{\x00}b": "1"}),
        Element("a", "", {f"{{{namespaces.XML}}}lang": "1"}),
        Element("a", "", {f"{{{namespaces.XMLNS}}}x": "1"}),
    ],
)
def test_a_name_that_xml_does_not_allow_is_never_written(element: Element) -> None:
    with pytest.raises(LocalProtocolError):
        to_bytes(Element("message", "", {}, (element,)), "")


def test_an_element_says_what_is_in_it() -> None:
    inner = Element("b", "urn:b", {}, ("no",))
    element = Element("a", "urn:a", {}, ("1", inner, "2"))
    assert element.text == "12"
    assert element.elements == (inner,)
    assert element.child("b", "urn:b") is inner
    assert element.child("b", "urn:a") is None
    assert "no" not in repr(inner)
