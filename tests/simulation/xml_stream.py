"""XML as the scripted server reads and writes it: its own small parser and writer.

Shares nothing with the gateway's, so that a misreading there cannot hide here.
"""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

import attrs

COMPONENT = "jabber:component:accept"
STREAM = "http://etherx.jabber.org/streams"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
DELAY = "urn:xmpp:delay"
XML = "http://www.w3.org/XML/1998/namespace"

MAX_STANZA_BYTES = 524_288


class BadXml(Exception):
    """What came is no XML stream, or holds a stanza past the limit."""


@attrs.frozen
class Opened:
    """The stream's opening tag."""

    attributes: Mapping[str, str]


@attrs.frozen
class Ended:
    """The stream's closing tag."""


class StreamParser:
    """Bytes in; the opening tag, whole stanzas, and the closing tag out."""

    def __init__(self) -> None:
        self._parser: Any = ET.XMLPullParser(events=("start", "end"))  # typed by event, at large
        self._held = bytearray()
        self._depth = 0
        self._root: ET.Element | None = None
        self._since_stanza = 0

    def feed(self, data: bytes | bytearray) -> list[Opened | ET.Element | Ended]:
        """Return what `data` completes. Raises `BadXml`; after that the stream is over."""
        # Newer expats put off a tag seen unfinished: they get whole tags only.
        self._held += data
        cut = self._held.rfind(b">") + 1
        self._since_stanza += len(data)
        if self._since_stanza > MAX_STANZA_BYTES:
            raise BadXml("a stanza above the limit")
        ready = bytes(self._held[:cut])
        del self._held[:cut]
        try:
            self._parser.feed(ready)
            return self._events()
        except ET.ParseError as exc:
            raise BadXml(str(exc)) from exc

    def _events(self) -> list[Opened | ET.Element | Ended]:
        found: list[Opened | ET.Element | Ended] = []
        for event, item in self._parser.read_events():
            if event == "start":
                self._depth += 1
                if self._depth == 1:
                    self._root = item
                    if item.tag != f"{{{STREAM}}}stream":
                        raise BadXml(f"no stream: {item.tag}")
                    found.append(Opened(dict(item.attrib)))
                continue
            self._depth -= 1
            if self._depth == 1:
                found.append(item)
                self._since_stanza = len(self._held)
                assert self._root is not None
                self._root.remove(item)
                item.tail = None
            elif self._depth == 0:
                found.append(Ended())
        return found


def element(
    name: str, namespace: str, attributes: Mapping[str, str] | None = None, *children: ET.Element
) -> ET.Element:
    made = ET.Element(f"{{{namespace}}}{name}", dict(attributes or {}))
    made.extend(children)
    return made


def text_element(name: str, namespace: str, text: str) -> ET.Element:
    made = element(name, namespace)
    made.text = text
    return made


def local_name(item: ET.Element) -> str:
    return item.tag.rpartition("}")[2]


def child(item: ET.Element, name: str, namespace: str = COMPONENT) -> ET.Element | None:
    return item.find(f"{{{namespace}}}{name}")


def to_xml(item: ET.Element, inside: str = COMPONENT) -> str:
    """Write `item` for a place where the default namespace is `inside`."""
    namespace, _, name = item.tag[1:].partition("}")
    parts = [f"<{name}"]
    if namespace != inside:
        parts.append(f" xmlns={quoteattr(namespace)}")
    for key, value in item.attrib.items():
        parts.append(f" {key.replace('{' + XML + '}', 'xml:')}={quoteattr(value)}")
    if not item.text and not len(item):
        return "".join((*parts, "/>"))
    parts.append(">")
    parts.append(escape(item.text or ""))
    for each in item:
        parts.append(to_xml(each, namespace))
        parts.append(escape(each.tail or ""))
    parts.append(f"</{name}>")
    return "".join(parts)


# --- stanzas ----------------------------------------------------------------------------------


def bare(jid: str) -> str:
    return jid.partition("/")[0]


def domain_of(jid: str) -> str:
    return bare(jid).rpartition("@")[2]


def may_be_answered(stanza: ET.Element) -> bool:
    return stanza.get("type") not in ("error", "result")


def _reply(stanza: ET.Element, kind: str, *children: ET.Element) -> ET.Element:
    attributes = {"type": kind, "from": stanza.get("to", ""), "to": stanza.get("from", "")}
    if stanza.get("id") is not None:
        attributes["id"] = stanza.get("id", "")
    return element(local_name(stanza), COMPONENT, attributes, *children)


def result(stanza: ET.Element, *children: ET.Element) -> ET.Element:
    return _reply(stanza, "result", *children)


def error_reply(stanza: ET.Element, condition: str, kind: str, text: str = "") -> ET.Element:
    error = element("error", COMPONENT, {"type": kind}, element(condition, STANZA_ERRORS))
    if text:
        error.append(text_element("text", STANZA_ERRORS, text))
    return _reply(stanza, "error", error)
