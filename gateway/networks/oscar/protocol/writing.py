"""How a text is written for the one who reads it: HTML or plain, in which charsets and pieces."""

from collections.abc import Sequence

import attrs

from gateway.networks.oscar.protocol.names import plain
from gateway.networks.oscar.protocol.talk import Dialect
from gateway.networks.oscar.wire.html import looks_like_html, to_html
from gateway.networks.oscar.wire.lasting import lasting_html, lasting_parts
from gateway.networks.oscar.wire.messages import Part
from gateway.networks.oscar.wire.text import encode_text

FRAGMENT_BYTES = 8  # around the text of each fragment

Piece = tuple[Part, ...]  # one message


@attrs.frozen
class Reader:
    """What is known of somebody who is to read a text."""

    address: str
    reads_html: bool = False  # from everybody
    keeps_html: bool = False  # the service removes none from what is sent to this client
    may_be_away: bool = True  # not seen online: the service may store the message


def pieces(text: str, reader: Reader, dialect: Dialect, most: int) -> list[Piece]:
    """Return the messages of at most `most` bytes in which a text goes, at least one."""
    found: list[Piece] = []
    rest = plain(text).replace("\r\n", "\n").replace("\r", "\n")
    while rest or not found:
        end = len(rest)
        # A character has a byte at least.
        if end > most or _size(_written(rest, reader, dialect)) > most:
            end = _fitting(rest, reader, dialect, most)
        found += _messages(_written(rest[:end], reader, dialect), reader)
        rest = rest[end:]
        if rest[:1] in (" ", "\n"):
            rest = rest[1:]
    return found


def _written(text: str, reader: Reader, dialect: Dialect) -> Piece:
    """Return the fragments of a text, which are one text."""
    # What a reader would take for HTML goes as HTML, too.
    is_html = reader.reads_html or dialect.is_html(reader.address) or looks_like_html(text)
    body = to_html(text) if is_html else text
    if not dialect.strips_html or not dialect.own_is_uin or reader.keeps_html:
        return (encode_text(body),)
    kept = _is_kept_as_text(reader, dialect)
    return (lasting_html(body, kept=kept),) if is_html else lasting_parts(body, kept=kept)


def _is_kept_as_text(reader: Reader, dialect: Dialect) -> bool:
    """Say whether the service may store but the first fragment: between numbers it does."""
    return reader.may_be_away and not dialect.is_html(reader.address)


def _messages(parts: Piece, reader: Reader) -> Sequence[Piece]:
    return [(part,) for part in parts] if reader.may_be_away else [parts]


def _size(parts: Piece) -> int:
    return sum(len(part.data) + FRAGMENT_BYTES for part in parts) - FRAGMENT_BYTES


def _fitting(text: str, reader: Reader, dialect: Dialect, most: int) -> int:
    """Return how much of a text fits, preferably up to a blank."""

    def fits(size: int) -> bool:
        return _size(_written(text[:size], reader, dialect)) <= most

    low, high = 1, min(len(text), most)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    for blank in ("\n", " "):
        at = text.rfind(blank, low // 2, low + 1)
        if at > 0 and fits(at):
            return at
    return low
