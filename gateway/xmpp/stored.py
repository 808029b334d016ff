"""Reads one element back from the bytes it was kept in (the journal's payload)."""

from xml.etree.ElementTree import Element as ParsedElement
from xml.etree.ElementTree import ParseError

from defusedxml import ElementTree as SafeElementTree
from defusedxml.common import DefusedXmlException

from gateway.errors import StoreError
from gateway.xmpp import namespaces as ns
from gateway.xmpp.xml import Element

_XML_ATTRIBUTE = f"{{{ns.XML}}}"


def element_from_bytes(data: bytes, default_xmlns: str) -> Element:
    """Parse what `to_bytes(element, default_xmlns)` wrote. Raises `StoreError`."""
    wrapped = b"<kept xmlns='" + default_xmlns.encode() + b"'>" + data + b"</kept>"
    try:
        root = SafeElementTree.fromstring(wrapped, forbid_dtd=True)
    except (ParseError, DefusedXmlException) as exc:
        raise StoreError(f"a kept stanza is not readable: {exc}") from exc
    if len(root) != 1:
        raise StoreError(f"a kept stanza has {len(root)} elements, expected 1")
    return _element(root[0])


def _element(parsed: ParsedElement) -> Element:
    xmlns, _, name = parsed.tag[1:].rpartition("}")
    attributes = {
        "xml:" + key.removeprefix(_XML_ATTRIBUTE) if key.startswith(_XML_ATTRIBUTE) else key: value
        for key, value in parsed.attrib.items()
    }
    children: list[Element | str] = [parsed.text] if parsed.text else []
    for child in parsed:
        children.append(_element(child))
        if child.tail:
            children.append(child.tail)
    return Element(name, xmlns, attributes, tuple(children))
