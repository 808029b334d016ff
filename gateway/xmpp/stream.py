"""The component stream (XEP-0114) as a sans-IO core: bytes in, events out, and the bytes to send.

A stanza past the limits costs that stanza alone: it is skipped to its end and reported, for any
user can have his server pass one on. What no server may send (a DTD, a comment, broken XML, 8 MiB
without an end) ends the stream.

Three properties of expat shape this file.

- Newer versions put off a token they saw unfinished until more input comes, some without a switch
  for it. So expat is fed up to the last `>` only, and sees whole tags.
- It remembers every name it ever saw. So the parser is renewed after a while.
- Its namespace processing ends the stream for what any user can have his server pass on: a
  namespace that holds a brace (DefusedXMLParser has expat join names with one), or a `<xml:a/>`,
  which Prosody writes anew with the reserved namespace as the default. So names are resolved here,
  where a fault costs the stanza, and the refusals of DefusedXMLParser are put on a parser of ours.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import groupby
from xml.parsers import expat

import attrs
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from gateway.errors import RemoteProtocolError
from gateway.xmpp import namespaces
from gateway.xmpp.xml import Element, is_name, to_bytes

MAX_DEPTH = 64
MAX_ELEMENTS = 2000
MAX_RESULT_ELEMENTS = 6000  # a roster of 2,500 contacts, each in a group
MAX_ATTRIBUTES = 64
MAX_STANZA_BYTES = 256 * 1024
MAX_UNFINISHED_BYTES = 8 * 1024 * 1024  # what may come without an end before the stream is ended
MAX_NAMESPACE = 1_000  # characters
MAX_HEADER_BYTES = 16 * 1024
RENEW_BYTES = 1024 * 1024

_FEED_BYTES = 64 * 1024
_WITHIN_QUOTES = re.compile(
    rb"""[^'"]*(?:'[^']*'[^'"]*|"[^"]*"[^'"]*)*(?:'[^']*|"[^"]*)"""  # of an attribute, at the end
)
_WHITESPACE = b" \t\r\n"
_BEGINNINGS = b"<\xef" + _WHITESPACE  # \xef begins the mark that UTF-8 may have
_UTF_16_MARKS = b"\xff\xfe"
_KEPT_ATTRIBUTES = ("from", "to", "id", "type")
_MAX_KEPT_CHARACTERS = 4096
_STANZAS = ("message", "presence", "iq")


@attrs.frozen
class StreamOpened:
    """The server's opening tag came. An empty id: it only has a stream error to send."""

    id: str
    from_: str | None


@attrs.frozen
class HandshakeAccepted:
    """The server knows us: stanzas may flow."""


@attrs.frozen
class StanzaReceived:
    element: Element


@attrs.frozen
class StanzaDropped:
    """A stanza was past a limit. `attributes`: from, to, id and type, for an answer."""

    name: str
    attributes: Mapping[str, str]
    why: str


@attrs.frozen
class StreamErrorReceived:
    """The server ends the stream and says why; its closing tag follows, or just the end."""

    condition: str
    text: str


@attrs.frozen
class ElementIgnored:
    """The server sent something that is no stanza and that we do not know."""

    name: str
    xmlns: str


@attrs.frozen
class StreamClosed:
    """The server closed the stream in good order."""


StreamEvent = (
    StreamOpened
    | HandshakeAccepted
    | StanzaReceived
    | StanzaDropped
    | StreamErrorReceived
    | ElementIgnored
    | StreamClosed
)


class StreamViolation(RemoteProtocolError):
    """The server sent what ends the stream. `condition` is the stream error to answer with."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{condition}: {text}")
        self.condition = condition


class _State(Enum):
    OPENING = "opening"
    HANDSHAKE = "handshake"
    UP = "up"
    CLOSED = "closed"


@attrs.define
class _Open:
    """An element that has begun and not ended."""

    name: str
    xmlns: str
    attributes: dict[str, str]
    scope: dict[str, str]  # prefix: namespace; the default has the empty prefix
    children: list[Element | str] = attrs.field(factory=list)


def handshake_digest(stream_id: str, secret: str) -> str:
    """Return what proves that we know the secret (XEP-0114)."""
    return hashlib.sha1((stream_id + secret).encode()).hexdigest()  # noqa: S324 - the protocol's


class ComponentStream:
    """One stream from its opening tag to its end. Does no I/O and looks at no clock."""

    def __init__(self, domain: str, max_stanza_bytes: int = MAX_STANZA_BYTES) -> None:
        self._domain = domain
        self._max_stanza_bytes = max_stanza_bytes
        self._state = _State.OPENING
        self._events: deque[StreamEvent] = deque()
        self._violation: StreamViolation | None = None
        self._guard = DefusedXMLParser(forbid_dtd=True)
        self._header = bytearray()  # the server's opening tag, for the parser's successors
        self._held = bytearray()
        self._priming = False
        self._fed = 0
        self._depth = 0
        self._stack: list[_Open] = []
        self._root_scope: dict[str, str] = {}
        self._stanza_start = 0
        self._elements = 0
        self._dropped: StanzaDropped | None = None
        self._expat = self._new_parser()

    @property
    def is_closed(self) -> bool:
        return self._state is _State.CLOSED

    # The bytes to send.

    def opening(self) -> bytes:
        """Return our opening tag."""
        # The one tag that stays open, so the writer's element is cut before its end.
        header = Element("stream", namespaces.COMPONENT, {"to": self._domain})
        attributes = to_bytes(header, "").removeprefix(b"<stream").removesuffix(b"/>")
        stream = f" xmlns:stream='{namespaces.STREAM}'".encode()
        return b"<?xml version='1.0'?><stream:stream" + stream + attributes + b">"

    def handshake(self, stream_id: str, secret: str) -> bytes:
        """Return our answer to `StreamOpened`; nothing else may be sent before it is accepted."""
        digest = handshake_digest(stream_id, secret)
        return to_bytes(
            Element("handshake", namespaces.COMPONENT, {}, (digest,)), namespaces.COMPONENT
        )

    def closing(self) -> bytes:
        """Return our closing tag: nothing may be sent after it."""
        return b"</stream:stream>"

    def error(self, condition: str) -> bytes:
        """Return the stream error to send before the closing tag."""
        said = Element(condition, namespaces.STREAM_ERRORS)
        return b"<stream:error>" + to_bytes(said, namespaces.COMPONENT) + b"</stream:error>"

    # The bytes received.

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take what was read. `events` gives what it meant, and raises what it broke."""
        if self._violation is not None or self.is_closed:
            return
        violation = None
        try:
            for start in range(0, len(data), _FEED_BYTES):
                self._receive_piece(data[start : start + _FEED_BYTES])
        except StreamViolation as exc:
            violation = exc
        except DefusedXmlException:
            violation = StreamViolation("restricted-xml", "a DTD or an entity declaration")
        except expat.ExpatError as exc:
            violation = StreamViolation("not-well-formed", str(exc))
        if violation is not None and not self.is_closed:
            self._violation = violation
        if self._violation is not None or self.is_closed:
            self._release(self._expat)
            self._stack.clear()
            self._held.clear()

    def events(self) -> Iterator[StreamEvent]:
        """Yield what was received. Raises `StreamViolation` after what stood before it."""
        while self._events:
            yield self._events.popleft()
        if self._violation is not None:
            raise self._violation

    def _receive_piece(self, data: bytes | bytearray) -> None:
        if self._state is _State.OPENING:
            data = self._receive_header(data)
        cut = data.rfind(b">") + 1
        if cut:
            self._held += data[:cut]
            ready, self._held = bytes(self._held), bytearray(data[cut:])
            self._parse(ready)
        else:
            self._held += data
        if not self.is_closed:
            self._check_between_stanzas()
            self._check_size()

    def _receive_header(self, data: bytes | bytearray) -> bytes | bytearray:
        """Feed the opening tag alone, to know where it ends; return what stands behind it."""
        while self._state is _State.OPENING:
            cut = data.find(b">") + 1
            self._held += data[: cut or len(data)]
            data = data[cut or len(data) :]
            self._check_beginning(self._header or self._held)
            if len(self._header) + len(self._held) > MAX_HEADER_BYTES:
                raise StreamViolation("policy-violation", "the opening tag has no end")
            if not cut:
                return b""
            if _WITHIN_QUOTES.fullmatch(self._held):
                continue  # a `>` in an attribute: expat, once shown half a tag, may put it off
            ready = bytes(self._held)
            self._held.clear()
            self._header += ready
            self._parse(ready)
        return data

    def _check_beginning(self, data: bytearray) -> None:
        # UTF-16 is taken for what it is, whatever the parser was told.
        if data[0] in _UTF_16_MARKS or 0 in data[:2]:
            raise StreamViolation("unsupported-encoding", "the stream is not in UTF-8")
        if data[0] not in _BEGINNINGS:
            raise StreamViolation("not-well-formed", "this is no XML")

    def _parse(self, ready: bytes) -> None:
        self._fed += len(ready)
        self._expat.Parse(ready, False)
        if (
            self._fed > RENEW_BYTES
            and self._depth == 1
            and self._expat.CurrentByteIndex == self._fed  # depth can hide an unfinished tag
            and not self.is_closed
        ):
            self._renew()

    def _renew(self) -> None:
        self._release(self._expat)
        self._expat = self._new_parser()
        self._depth = 0
        self._priming = True
        self._expat.Parse(bytes(self._header), False)
        self._priming = False
        self._fed = len(self._header)

    def _check_between_stanzas(self) -> None:
        """Drop keepalive whitespace before it piles up; refuse what no stanza can begin with."""
        if self._depth != 1 or not self._held or self._expat.CurrentByteIndex != self._fed:
            return
        if self._held[0] in _WHITESPACE:
            self._held = self._held.lstrip(_WHITESPACE)
        if self._held and not self._held.startswith(b"<"):
            raise StreamViolation("bad-format", "text between stanzas")

    def _check_size(self) -> None:
        # Only a raw `>` in an attribute leaves expat waiting within a tag, and each one has it scan
        # the tag anew. Servers escape it.
        if self._fed - self._expat.CurrentByteIndex > self._max_stanza_bytes:
            raise StreamViolation("policy-violation", "a tag has no end")
        start = self._stanza_start if self._depth > 1 else self._fed
        unfinished = self._fed - start + len(self._held)
        if unfinished > MAX_UNFINISHED_BYTES:
            raise StreamViolation(
                "policy-violation", f"{unfinished} bytes came without the end of a stanza"
            )
        if unfinished > self._max_stanza_bytes and self._depth > 1:
            self._drop(f"it is larger than {self._max_stanza_bytes} bytes")

    # The parser.

    def _new_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        parser.XmlDeclHandler = self._on_declaration
        parser.CommentHandler = self._on_comment
        parser.ProcessingInstructionHandler = self._on_instruction
        parser.StartDoctypeDeclHandler = self._guard.defused_start_doctype_decl
        parser.EntityDeclHandler = self._guard.defused_entity_decl
        parser.UnparsedEntityDeclHandler = self._guard.defused_unparsed_entity_decl
        parser.ExternalEntityRefHandler = (
            self._guard.defused_external_entity_ref_handler  # type: ignore[assignment]
        )
        return parser

    @staticmethod
    def _release(parser: expat.XMLParserType) -> None:
        """Break the cycle of a parser and this stream, so that its memory goes at once."""
        parser.StartElementHandler = None
        parser.EndElementHandler = None
        parser.CharacterDataHandler = None
        parser.XmlDeclHandler = None
        parser.CommentHandler = None
        parser.ProcessingInstructionHandler = None
        parser.StartDoctypeDeclHandler = None
        parser.EntityDeclHandler = None
        parser.UnparsedEntityDeclHandler = None
        parser.ExternalEntityRefHandler = None

    def _on_declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
            raise StreamViolation("unsupported-encoding", f"{encoding!r}, not UTF-8")

    def _on_comment(self, _text: str) -> None:
        raise StreamViolation("restricted-xml", "a comment")

    def _on_instruction(self, _target: str, _text: str) -> None:
        raise StreamViolation("restricted-xml", "a processing instruction")

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            if not self._priming:
                self._open(name, attributes)
            return
        if self._depth == 2:
            self._elements = 0
            self._stanza_start = self._expat.CurrentByteIndex
        elif self._dropped is not None:
            return
        self._elements += 1
        scope = self._stack[-1].scope if self._stack else self._root_scope
        try:
            opened = _resolved(name, attributes, scope)
        except _BadName as exc:
            # Of a stanza's own tag, what has no prefix can be read for the answer.
            self._stack = self._stack or [_Open(name, scope.get("", ""), attributes, scope)]
            self._drop(str(exc))
            return
        self._stack.append(opened)
        if len(attributes) > MAX_ATTRIBUTES:
            self._drop(f"an element has more than {MAX_ATTRIBUTES} attributes")
        elif self._depth - 1 > MAX_DEPTH:
            self._drop(f"it is nested deeper than {MAX_DEPTH} levels")
        elif self._elements > MAX_ELEMENTS and self._elements > (most := self._most_elements()):
            self._drop(f"it has more than {most} elements")

    def _most_elements(self) -> int:
        """Return how many elements this stanza may have. An answer may be a whole roster."""
        tag = self._stack[0]
        is_answer = tag.name == "iq" and tag.attributes.get("type") == "result"
        return MAX_RESULT_ELEMENTS if is_answer else MAX_ELEMENTS

    def _on_text(self, text: str) -> None:
        if self._dropped is not None or self._priming:
            return
        if self._stack:
            self._stack[-1].children.append(text)
        elif text.strip(" \t\r\n"):
            raise StreamViolation("bad-format", "text between stanzas")

    def _on_end(self, _name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._state = _State.CLOSED
            self._events.append(StreamClosed())
            return
        size = self._expat.CurrentByteIndex - self._stanza_start
        if self._depth == 1 and size > self._max_stanza_bytes:
            self._drop(f"it is larger than {self._max_stanza_bytes} bytes")
        if self._dropped is not None:
            if self._depth == 1:
                self._end_of_dropped(self._dropped)
            return
        ended = self._stack.pop()
        children = _joined(ended.children)
        element = Element(ended.name, ended.xmlns, ended.attributes, children)
        if self._stack:
            self._stack[-1].children.append(element)
        else:
            self._take(element)

    def _drop(self, why: str) -> None:
        """Skip the rest of this stanza, and free what was read of it."""
        if self._dropped is not None:
            return
        tag = self._stack[0]
        kept = {
            key: tag.attributes[key]
            for key in _KEPT_ATTRIBUTES
            if len(tag.attributes.get(key, "")) <= _MAX_KEPT_CHARACTERS and key in tag.attributes
        }
        name = tag.name if tag.xmlns == namespaces.COMPONENT else ""
        self._dropped = StanzaDropped(name, kept, why)
        self._stack.clear()

    def _end_of_dropped(self, dropped: StanzaDropped) -> None:
        self._dropped = None
        if self._state is not _State.UP:
            raise StreamViolation("policy-violation", f"before the handshake: {dropped.why}")
        self._events.append(dropped)

    # What the elements mean.

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        try:
            root = _resolved(name, attributes, {})
        except _BadName as exc:
            raise StreamViolation("bad-namespace-prefix", str(exc)) from exc
        if (root.name, root.xmlns) != ("stream", namespaces.STREAM):
            raise StreamViolation("invalid-namespace", f"{name!r} opens no stream")
        self._root_scope = root.scope
        self._state = _State.HANDSHAKE
        self._events.append(StreamOpened(attributes.get("id", ""), attributes.get("from")))

    def _take(self, element: Element) -> None:
        if element.xmlns == namespaces.STREAM and element.name == "error":
            self._events.append(_stream_error(element))
        elif element.xmlns != namespaces.COMPONENT:
            self._events.append(ElementIgnored(element.name, element.xmlns))
        elif element.name == "handshake" and self._state is _State.HANDSHAKE:
            self._state = _State.UP
            self._events.append(HandshakeAccepted())
        elif element.name not in _STANZAS:
            self._events.append(ElementIgnored(element.name, element.xmlns))
        elif self._state is _State.UP:
            self._events.append(StanzaReceived(element))
        else:
            raise StreamViolation("not-authorized", f"<{element.name}/> before the handshake")


class _BadName(Exception):
    """A name that Namespaces in XML does not allow; XML itself may."""


def _resolved(name: str, attributes: dict[str, str], scope: dict[str, str]) -> _Open:
    """Resolve the names of one tag. Raises `_BadName`.

    A reserved namespace may be the default here, though it must not: see the module.
    """
    keys = " ".join(attributes)  # one search instead of one a key
    if "xmlns" in keys:
        scope, attributes = _declared(attributes, scope)
    if ":" in keys:
        attributes = _expanded(attributes, scope)
    if ":" in name:
        xmlns, name = _split(name, scope)
    else:
        xmlns = scope.get("", "")
    return _Open(name, xmlns, attributes, scope)


def _declared(
    attributes: dict[str, str], scope: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Take the declarations out of the attributes and into the scope."""
    scope, others = dict(scope), {}
    for key, value in attributes.items():
        if key != "xmlns" and not key.startswith("xmlns:"):
            others[key] = value
            continue
        prefix = key[6:]
        if value == namespaces.XMLNS or (prefix and not value):
            raise _BadName(f"{key!r} may not declare {value!r}")
        if len(value) > MAX_NAMESPACE:  # written out for each element, it would swell
            raise _BadName(f"the namespace that {key!r} declares has {len(value)} characters")
        scope[prefix] = value
    return scope, others


def _expanded(attributes: dict[str, str], scope: dict[str, str]) -> dict[str, str]:
    """Name the attributes that have a prefix as `Element` does."""
    expanded: dict[str, str] = {}
    for key, value in attributes.items():
        if ":" not in key:
            expanded[key] = value
            continue
        xmlns, local = _split(key, scope)
        plain = f"xml:{local}" if xmlns == namespaces.XML else f"{{{xmlns}}}{local}"
        if plain in expanded:
            raise _BadName(f"the attribute {plain!r} is there twice")
        expanded[plain] = value
    return expanded


def _split(name: str, scope: dict[str, str]) -> tuple[str, str]:
    """Return the namespace and the local part of a name with a prefix."""
    prefix, _, local = name.partition(":")
    xmlns = namespaces.XML if prefix == "xml" else scope.get(prefix, "")
    if not prefix or not xmlns:
        raise _BadName(f"the prefix of {name!r} is not bound")
    if not is_name(local):
        raise _BadName(f"{name!r} is no name with a prefix")
    return xmlns, local


def _joined(children: list[Element | str]) -> tuple[Element | str, ...]:
    """Join texts that only the feeding of the parser has split."""
    if len(children) < 2:
        return tuple(children)
    joined: list[Element | str] = []
    for is_text, run in groupby(children, lambda child: isinstance(child, str)):
        if is_text:
            joined.append("".join([text for text in run if isinstance(text, str)]))
        else:
            joined += run
    return tuple(joined)


def _stream_error(element: Element) -> StreamErrorReceived:
    condition, text = "undefined-condition", ""
    for child in element.elements:
        if child.xmlns != namespaces.STREAM_ERRORS:
            continue
        if child.name == "text":
            text = child.text
        else:
            condition = child.name
    return StreamErrorReceived(condition, text)
