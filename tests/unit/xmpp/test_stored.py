"""What the journal keeps can be read back, whatever came in."""

import pytest

from gateway.errors import StoreError
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stored import element_from_bytes
from gateway.xmpp.xml import Element, to_bytes


@pytest.mark.parametrize(
    "element",
    [
        Element("message", ns.COMPONENT, {"to": "a@b", "xml:lang": "de"}, ("x < y & z",)),
        Element("message", ns.COMPONENT, {}, (Element("x", "}"), Element("a", ns.XML), "tail")),
        Element("message", ns.COMPONENT, {"{urn:x}y": "'\"\n"}, (">" * 1_000_000,)),
    ],
)
def test_what_is_kept_is_read_back(element: Element) -> None:
    assert element_from_bytes(to_bytes(element, ns.COMPONENT)) == element


@pytest.mark.parametrize("data", [b"", b"<message/><message/>", b"<message", b"<a></b>", b"\xff"])
def test_what_is_damaged_is_an_error_of_the_store(data: bytes) -> None:
    with pytest.raises(StoreError):
        element_from_bytes(data)
