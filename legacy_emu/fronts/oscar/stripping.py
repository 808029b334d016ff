"""What Open OSCAR Server makes of the bytes that an ICQ number sends: it removes HTML from them.

The rules are those of an HTML tokenizer that is run over the raw bytes of each text fragment,
whatever its charset: tags and comments vanish, `<br>` becomes a line feed, character references
become UTF-8. Measured at v0.24.0; `tests/unit/legacy_emu/test_oscar_stripping.py` has the table.
"""

import re
from html.entities import html5

from gateway.networks.oscar.wire import messages
from gateway.networks.oscar.wire.text import UTF16

_OPENING = re.compile(rb"<[A-Za-z/!?]")
_NAME_END = re.compile(rb"[ \n\r\t\f/>]")
_KEY_END = re.compile(rb"[= \n\r\t\f/>]")
_VALUE_END = re.compile(rb"[ \n\r\t\f>]")
_SPACE = re.compile(rb"[ \n\r\t\f]*")
_COMMENT_END = re.compile(rb"-*>|.*?--!?>", re.DOTALL)
_LINE_END = re.compile(rb"\r\n?")
_REFERENCE = re.compile(rb"&(?:#[xX][0-9A-Fa-f]*;?|#[0-9]+;?|[0-9A-Za-z]+;?)")

# Elements whose content is text, and those of them in which even references are.
_LITERAL = frozenset(
    [b"iframe", b"noembed", b"noframes", b"noscript", b"plaintext", b"script", b"style", b"xmp"]
)
_RAW = _LITERAL | {b"textarea", b"title"}
_SHORTEST_NUMBER = 4  # bytes of a numeric reference that is taken for one
_LONGEST_LOOSE_NAME = 6  # of a reference without its semicolon
_TOO_LONG = frozenset(["nGt;", "nLt;"])  # names that the tokenizer's table lacks
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def strip_message(data: bytes) -> bytes:
    """Strip each text fragment of TLV 2. What is malformed stays as it is."""
    out, at = bytearray(), 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
        if len(data) < at + 4 or len(data) < end:
            return data
        kind, version, content = data[at], data[at + 1], data[at + 4 : end]
        if kind == messages.TEXT_FRAGMENT and len(content) >= 4:
            content = content[:4] + strip(content[4:])
        if len(content) > 0xFFFF:  # what NUL bytes become is longer
            return data
        out += bytes((kind, version)) + len(content).to_bytes(2, "big") + content
        at = end
    return bytes(out)


def stored_text(data: bytes, *, decodes: bool) -> bytes | None:
    """Return what a stored message of a number says: its first text fragment. None: nothing.

    UTF-16 becomes UTF-8 if the server `decodes`: halves of surrogate pairs are lost, NULs dropped.
    """
    parts, is_whole = messages.read_parts(data)
    if not parts or not is_whole:
        return None
    first = parts[0]
    if not decodes or first.charset != UTF16:
        return first.data
    units = (first.data[at : at + 2] for at in range(0, len(first.data) - 1, 2))
    return b"".join(_unit(each) for each in units)


def _unit(data: bytes) -> bytes:
    return data.decode("utf-16-be", "replace").replace("\0", "").encode()


def strip(data: bytes) -> bytes:
    """Return what is left of a text. A comment inside a script is not told from the script."""
    out, at, inside = bytearray(), 0, b""
    while at < len(data):
        if inside:
            end = _end_of_raw(data, at, inside)
            text = _with_line_feeds(data[at:end]).replace(b"\0", _REPLACEMENT)
            out += text if inside in _LITERAL else _without_references(text)
            at, inside = end, b""
            continue
        opening = _OPENING.search(data, at)
        start = opening.start() if opening is not None else len(data)
        if data.startswith(b"</", start) and start + 2 == len(data):
            start = len(data)  # at the end this is text
        out += _without_references(_with_line_feeds(data[at:start]))
        at, name = _skip_markup(data, start)
        if name == b"br":
            out += b"\n"
        inside = name if name in _RAW else b""
    return bytes(out)


def _skip_markup(data: bytes, start: int) -> tuple[int, bytes]:
    """Return where markup ends, and the name if it is a start tag. Unterminated, it ends last."""
    nothing = len(data), b""
    if data.startswith(b"<!--", start):
        found = _COMMENT_END.match(data, start + 4)
        return nothing if found is None else (found.end(), b"")
    first = data[start + 1 : start + 2]
    is_closing = first == b"/"
    at = start + 1 + is_closing
    if not data[at : at + 1].isalpha():
        end = data.find(b">", at)
        return nothing if end < 0 else (end + 1, b"")
    name_end = _NAME_END.search(data, at)
    end = -1 if name_end is None else _end_of_tag(data, name_end.start())
    if name_end is None or end < 0:
        return nothing
    return end, b"" if is_closing else data[at : name_end.start()].lower()


def _end_of_tag(data: bytes, at: int) -> int:
    """Return where a tag ends whose name ends at `at`; -1: it does not."""
    while True:
        at = _skip_space(data, at)
        if at >= len(data) or data[at] == ord(">"):
            return at + 1 if at < len(data) else -1
        key_end = _KEY_END.search(data, at + (data[at] == ord("=")))
        at = len(data) if key_end is None else _skip_space(data, key_end.start())
        following = data[at : at + 1]
        if following == b"/":
            at += 1
        elif following == b"=":
            at = _end_of_value(data, _skip_space(data, at + 1))
        if at < 0:
            return -1


def _end_of_value(data: bytes, at: int) -> int:
    quote = data[at : at + 1]
    if quote in (b"'", b'"') and quote:
        end = data.find(quote, at + 1)
        return -1 if end < 0 else end + 1
    found = _VALUE_END.search(data, at)
    return -1 if found is None else found.start()


def _skip_space(data: bytes, at: int) -> int:
    found = _SPACE.match(data, at)
    return at if found is None else found.end()


def _end_of_raw(data: bytes, at: int, name: bytes) -> int:
    found = re.compile(rb"</" + name + rb"[ \n\r\t\f/>]", re.IGNORECASE).search(data, at)
    return len(data) if found is None or name == b"plaintext" else found.start()


def _with_line_feeds(data: bytes) -> bytes:
    return _LINE_END.sub(b"\n", data)


def _without_references(data: bytes) -> bytes:
    return _REFERENCE.sub(lambda found: _referred_to(found[0]), data)


def _referred_to(reference: bytes) -> bytes:
    if reference.startswith(b"&#"):
        return _character(reference) if len(reference) >= _SHORTEST_NUMBER else reference
    name = reference[1:].decode("ascii")
    if name in html5 and name not in _TOO_LONG:
        return html5[name].encode()
    for size in range(min(len(name) - 1, _LONGEST_LOOSE_NAME), 1, -1):
        if name[:size] in html5:
            return html5[name[:size]].encode() + name[size:].encode()
    return reference


def _character(reference: bytes) -> bytes:
    """Return the character of a numeric reference. The number wraps at 32 bits."""
    digits = reference[2:].removesuffix(b";").decode("ascii")
    base = 16 if digits[0] in "xX" else 10
    number = 0
    for digit in digits.lstrip("xX"):
        number = (number * base + int(digit, base)) & 0xFFFFFFFF
    if 0x80 <= number <= 0x9F:
        try:
            return bytes((number,)).decode("cp1252").encode()
        except UnicodeDecodeError:
            return chr(number).encode()
    if number == 0 or 0xD800 <= number <= 0xDFFF or number > 0x10FFFF:
        return _REPLACEMENT
    return chr(number).encode()
