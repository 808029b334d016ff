"""XML elements as values, and the one writer that turns them into bytes.

The parser stands in `stream.py`. Whatever is handed to the writer, what comes out is well formed:
one bad character would make the server close the stream for every user.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from xml.parsers import expat

import attrs

from gateway.errors import LocalProtocolError
from gateway.xmpp import namespaces

_CACHED_NAMES = 1024
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NO_NAME = re.compile(r"[\x00-,/:-@\[-^`{-\x7f\s]")  # ASCII that cannot stand in a name
_XML_PREFIX = "xml:"

_FORBIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_SPECIAL_IN_TEXT = re.compile(f"[&<>\r{_FORBIDDEN}]")
_SPECIAL_IN_ATTRIBUTE = re.compile(f"[&<>'\"\t\n\r{_FORBIDDEN}]")
_REPLACED = re.compile(f"[{_FORBIDDEN}]")
_REFERENCES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    '"': "&quot;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}


@attrs.frozen
class Element:
    """One XML element. Namespaced attributes are named `xml:lang` or `{uri}local`."""

    name: str
    xmlns: str
    attributes: Mapping[str, str] = attrs.field(factory=dict)
    children: "tuple[Element | str, ...]" = attrs.field(default=(), repr=False)  # may hold secrets

    @property
    def text(self) -> str:
        """The character data right below this element."""
        return "".join([child for child in self.children if isinstance(child, str)])

    @property
    def elements(self) -> "tuple[Element, ...]":
        return tuple([child for child in self.children if isinstance(child, Element)])

    def child(self, name: str, xmlns: str) -> "Element | None":
        """Return the first child element of that name, if there is one."""
        for child in self.children:
            if isinstance(child, Element) and child.name == name and child.xmlns == xmlns:
                return child
        return None


def replace_forbidden(text: str) -> str:
    """Put U+FFFD for each character that XML 1.0 cannot carry."""
    return _REPLACED.sub("\ufffd", text)


def text_bytes(text: str) -> int:
    """Return how many bytes this takes as character data."""
    return len(_in_text(text).encode("utf-8"))


def attribute_bytes(value: str) -> int:
    """Return how many bytes this takes as the value of an attribute."""
    return len(_in_attribute(value).encode("utf-8"))


def to_bytes(element: Element, default_xmlns: str) -> bytes:
    """Write `element` for a place where `default_xmlns` is the default namespace.

    Raises `LocalProtocolError` for a name XML does not allow.
    """
    parts: list[str] = []
    _write(element, default_xmlns, parts)
    return "".join(parts).encode("utf-8")


def _write(element: Element, default_xmlns: str, parts: list[str]) -> None:
    name = _checked_name(element.name)
    xmlns = element.xmlns
    if xmlns == namespaces.XML:
        # This namespace cannot be made a default: the server would close the stream.
        name = _XML_PREFIX + name
        xmlns = default_xmlns
    parts.append(f"<{name}")
    if xmlns != default_xmlns:
        if xmlns == namespaces.XMLNS:
            raise LocalProtocolError(f"no element can be in the namespace {xmlns}")
        parts.append(f" xmlns='{_in_attribute(xmlns)}'")
    for key, value in element.attributes.items():
        parts.append(_attribute(key, value, len(parts)))
    if not element.children:
        parts.append("/>")
        return
    parts.append(">")
    for child in element.children:
        if isinstance(child, str):
            parts.append(_in_text(child))
        else:
            _write(child, xmlns, parts)
    parts.append(f"</{name}>")


def _attribute(key: str, value: str, number: int) -> str:
    """Write one attribute; a namespaced one brings a prefix of its own, made from `number`."""
    written = _in_attribute(value)
    if key.startswith("{"):
        uri, _, local = key[1:].rpartition("}")
        if not uri or uri in (namespaces.XML, namespaces.XMLNS) or _REPLACED.search(uri):
            raise LocalProtocolError(f"no attribute can be named {key!r}")
        prefix = f"n{number}"
        name = _checked_name(local)
        return f" xmlns:{prefix}='{_in_attribute(uri)}' {prefix}:{name}='{written}'"
    if key.startswith(_XML_PREFIX):
        return f" {_XML_PREFIX}{_checked_name(key.removeprefix(_XML_PREFIX))}='{written}'"
    if key == "xmlns":
        raise LocalProtocolError("the namespace is a field of the element, not an attribute")
    return f" {_checked_name(key)}='{written}'"


def _checked_name(name: str) -> str:
    if is_name(name):
        return name
    raise LocalProtocolError(f"{name!r} is no XML name")


def is_name(name: str) -> bool:
    """Say whether an element or attribute may have this name, which has no prefix."""
    if _PLAIN_NAME.fullmatch(name):
        return True
    return not name.isascii() and _is_name(name)


@lru_cache(maxsize=_CACHED_NAMES)
def _is_name(name: str) -> bool:
    """Ask expat, the parser of the common servers: the tables differ between editions of XML."""
    if _NO_NAME.search(name) or _REPLACED.search(name):
        return False
    parser = expat.ParserCreate("utf-8")
    seen: list[str] = []
    parser.StartElementHandler = lambda found, _attributes: seen.append(found)
    try:
        parser.Parse(f"<{name}/>".encode(), True)
    except expat.ExpatError:
        return False
    return seen == [name]


def _in_text(text: str) -> str:
    if _SPECIAL_IN_TEXT.search(text) is None:
        return text
    return _SPECIAL_IN_TEXT.sub(_referenced, text)


def _in_attribute(text: str) -> str:
    if _SPECIAL_IN_ATTRIBUTE.search(text) is None:
        return text
    return _SPECIAL_IN_ATTRIBUTE.sub(_referenced, text)


def _referenced(found: re.Match[str]) -> str:
    return _REFERENCES.get(found[0], "\ufffd")
