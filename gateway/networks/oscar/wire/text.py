"""Texts as they travel: charsets, MIME types, and what a message's parts say."""

import re

from gateway.networks.oscar.wire.messages import Part

ASCII = 0x0000
UTF16 = 0x0002
LATIN1 = 0x0003
UTF8 = 0x000D

DEFAULT_CODE_PAGE = "cp1252"

_CHARSET = re.compile(rb'charset\s*=\s*"?([^"; ]+)', re.IGNORECASE)


def encode_text(text: str) -> Part:
    """Write a text so that every client can read it."""
    if text.isascii():
        return Part(ASCII, 0, text.encode())
    return Part(UTF16, 0, encode_utf16(text))


def decode_part(part: Part, code_page: str = DEFAULT_CODE_PAGE) -> str:
    """Read one part; what is no text in its charset becomes replacement characters."""
    if part.charset == UTF16:
        text = part.data[: len(part.data) // 2 * 2].decode("utf-16-be", "replace")
    elif part.charset == LATIN1:
        text = part.data.decode(code_page, "replace")
    elif part.charset == UTF8:
        text = _utf8_or(part.data, "latin-1")
    else:
        text = _utf8_or(part.data, code_page if part.charset == ASCII else DEFAULT_CODE_PAGE)
    return text.removesuffix("\0")


def decode_parts_text(parts: tuple[Part, ...], code_page: str = DEFAULT_CODE_PAGE) -> str:
    return "".join(decode_part(part, code_page) for part in parts)


def decode_loose(data: bytes, code_page: str = DEFAULT_CODE_PAGE) -> str:
    """Read what says nothing of its charset: UTF-8 if it can be, else the code page.

    Open OSCAR Server hands out stored UTF-16 so, too, before v0.24.
    """
    if _looks_like_utf16(data):
        return data.decode("utf-16-be", "replace")
    return _utf8_or(data, code_page).removesuffix("\0")


def encode_mime(text: str) -> tuple[bytes, bytes]:
    """Return MIME type and bytes of a profile or an away text."""
    if text.isascii():
        return b'text/aolrtf; charset="us-ascii"', text.encode()
    return b'text/aolrtf; charset="unicode-2-0"', encode_utf16(text)


def encode_without_mime(text: str, *, is_html: bool) -> tuple[bytes, bytes]:
    """Write a text for a service that tells everybody that it is ASCII."""
    if is_html:
        ascii_only = encode_utf8(text).decode().encode("ascii", "xmlcharrefreplace")
        return b'text/aolrtf; charset="us-ascii"', ascii_only
    return b'text/aolrtf; charset="utf-8"', encode_utf8(text)


def decode_mime(kind: bytes | None, data: bytes) -> str:
    """Read a profile or an away text by its MIME type.

    One server says us-ascii whatever was sent, so that UTF-8 and UTF-16 are tried there, too.
    """
    found = _CHARSET.search(kind or b"")
    charset = found[1].lower() if found else b""
    if charset == b"unicode-2-0" or _looks_like_utf16(data):
        text = data[: len(data) // 2 * 2].decode("utf-16-be", "replace")
    elif charset == b"iso-8859-1":
        text = data.decode(DEFAULT_CODE_PAGE, "replace")
    else:
        text = _utf8_or(data, DEFAULT_CODE_PAGE)
    return text.removesuffix("\0")


def _looks_like_utf16(data: bytes) -> bool:
    if data.startswith(b"<"):  # HTML of one byte a character, whatever else is in it
        return False
    return len(data) % 2 == 0 and b"\0" in data.rstrip(b"\0")[::2]


def _utf8_or(data: bytes, code_page: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(code_page, "replace")


def encode_utf8(text: str) -> bytes:
    """Write UTF-8; half a surrogate pair becomes a replacement character."""
    return encode_utf16(text).decode("utf-16-be").encode()


def encode_utf16(text: str) -> bytes:
    """Write UTF-16; half a surrogate pair becomes a replacement character."""
    half = text.encode("utf-16-be", "surrogatepass")
    return half.decode("utf-16-be", "replace").encode("utf-16-be")
