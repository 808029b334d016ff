"""Texts written so that a service which removes HTML from bytes changes nothing.

Open OSCAR Server does that to what ICQ numbers send, whatever the charset: in UTF-16, too, half of
a letter may look like the beginning of a tag, or like a carriage return. It looks at each text
fragment alone, so that a text may go in several, each in a charset that suits it.
"""

import re

from gateway.networks.oscar.wire.messages import Part
from gateway.networks.oscar.wire.text import ASCII, UTF8, UTF16, encode_utf8, encode_utf16

_HARMED = re.compile(rb"<[A-Za-z/!?]|&[#A-Za-z]|\r")
_HARMED_TEXT = re.compile(r"<[A-Za-z/!?]|&[#A-Za-z]|\r")
_DOUBTFUL_BYTES = (0x0D, ord("<"), ord("&"))
_BEYOND = re.compile("[\U00010000-\U0010ffff]")


def is_harmed(data: bytes) -> bool:
    """Say whether such a service would change these bytes."""
    return _HARMED.search(data) is not None


def lasting_parts(text: str, *, kept: bool = False) -> tuple[Part, ...]:
    """Write a plain text in as few fragments as it takes, in order.

    `kept`: the service may store it. Stored, UTF-16 loses all that is beyond the first plane, so
    UTF-8 goes first; and only the first fragment of a message is left, so that each of these has
    to be a message of its own.
    """
    text = encode_utf16(text).decode("utf-16-be")  # without halves of surrogate pairs
    parts: list[Part] = []
    while text or not parts:
        size, charset = _longest(text, kept=kept)
        parts.append(_part(text[:size], charset))
        text = text[size:]
    return tuple(parts)


def _longest(text: str, *, kept: bool) -> tuple[int, int]:
    """Return how many characters may be written in one charset, and in which."""
    found = _HARMED_TEXT.search(text)
    utf8 = len(text) if found is None else found.start() + 1
    if utf8 == len(text) and (kept or text.isascii()):
        return utf8, UTF8
    utf16 = _fitting_utf16(text, kept=kept)
    return (utf16, UTF16) if utf16 >= utf8 else (utf8, UTF8)


def _fitting_utf16(text: str, *, kept: bool) -> int:
    """Return how many characters UTF-16 takes unharmed."""
    most = len(text)
    if kept and (beyond := _BEYOND.search(text)) is not None:
        most = beyond.start()
    data = encode_utf16(text[:most])
    found = _HARMED.search(data)
    if found is None:
        return most
    # The last byte of what was found belongs to the first letter that has to stay out.
    return len(data[: (found.end() - 1) // 2 * 2].decode("utf-16-be", "ignore"))


def _part(text: str, charset: int) -> Part:
    if text.isascii() and charset == UTF8:
        return Part(ASCII, 0, text.encode())
    return Part(charset, 0, encode_utf8(text) if charset == UTF8 else encode_utf16(text))


def lasting_html(html: str, *, kept: bool = False) -> Part:
    """Write HTML. Letters that could be harmed become references. `kept`: as above."""
    data = encode_utf16(html)
    if is_harmed(data) or (kept and _BEYOND.search(html)):
        html = "".join(_reference(each) if _is_doubtful(each) else each for each in html)
        data = encode_utf16(html)
    return Part(UTF16, 0, data)


def _is_doubtful(letter: str) -> bool:
    if letter.isascii():
        return letter == "\r"
    data = encode_utf16(letter)
    return len(data) > 2 or any(each in data for each in _DOUBTFUL_BYTES)


def _reference(letter: str) -> str:
    return f"&#{ord(letter)};"
