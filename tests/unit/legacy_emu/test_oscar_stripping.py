"""What Open OSCAR Server removes from the messages of numbers, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.networks.oscar.wire import messages
from legacy_emu.fronts.oscar.stripping import stored_text, strip, strip_message

# Measured at Open OSCAR Server v0.24.0 and v0.23.0, in charset 0; the charset changes nothing.
MEASURED = [
    (b"plain", b"plain"),
    (b"if a<b then c>d &amp; <b>x</b>", b"if ad & x"),
    (b"1 < 2 & 3 <3", b"1 < 2 & 3 <3"),
    (b"a<br>b<BR/>c", b"a\nb\nc"),
    (b"a\r\nb\rc\nd", b"a\nb\nc\nd"),
    (b"\x01\r \r", b"\x01\n \n"),
    (b"\x00<\x00b\x00>", b"\x00<\x00b\x00>"),
    (b"<a\x00>x", b"x"),
    (b"left <b open", b"left "),
    (b"<a href='x>y'>z</a>", b"z"),
    (b"x</", b"x</"),
    (b"x</>y", b"xy"),
    (b"a<!-- b -->c<!-->d<!-- e --!>f<!-- g", b"acdf"),
    (b"a<?b>c<!DOCTYPE d>e<!f", b"ace"),
    (b"<title>a&lt;b<i></title>c", b"a<b<i>c"),
    (b"<script>a&lt;b<i></script>c", b"a&lt;b<i>c"),
    (b"<xmp>\x00</xmp>\x00", b"\xef\xbf\xbd\x00"),
    (b"<plaintext>a</plaintext>", b"a</plaintext>"),
    (
        b"&eacute;&eacute&notin;&notit;&ngt;&nGt;&bogus;",
        b"\xc3\xa9\xc3\xa9\xe2\x88\x89\xc2\xacit;\xe2\x89\xaf&nGt;&bogus;",
    ),
    (
        b"&#65;&#x41;&#5&#5;&#x;&#;&#128;&#xD800;&#x110000;",
        b"AA&#5\x05\xef\xbf\xbd&#;\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd",
    ),
    (b"caf\xe9 &#233; \xff", b"caf\xe9 \xc3\xa9 \xff"),
    (b"AT&T R&D Q&A", b"AT&T R&D Q&A"),
]


@pytest.mark.parametrize(("sent", "left"), MEASURED)
def test_html_is_removed_as_measured(sent: bytes, left: bytes) -> None:
    assert strip(sent) == left


@given(st.lists(st.sampled_from([each for row in MEASURED for each in row])).map(b"".join))
def test_anything_may_be_stripped(data: bytes) -> None:
    strip(data)


@pytest.mark.parametrize(
    ("fragments", "left"),
    [
        ("0501 0001 01 0101 0007 0000 0000 3c623e", "0501 0001 01 0101 0004 0000 0000"),
        ("0101 0006 0002 0000 010d 0101 0005 0000 0000 26", None),
        ("0101 0009 0000 0000 3c623e", "as it is"),  # two bytes are missing
        ("0101 0003 0000 00", "as it is"),  # too short for a text
    ],
)
def test_each_fragment_is_stripped_alone(fragments: str, left: str | None) -> None:
    data = bytes.fromhex(fragments)
    expected = {
        None: data.replace(b"\x01\x0d", b"\x01\x0a"),
        "as it is": data,
    }
    wanted = expected[left] if left in expected else bytes.fromhex(left or "")
    assert strip_message(data) == wanted


def test_texts_that_grow_too_long_stay() -> None:
    data = messages.encode_parts((messages.Part(0, 0, b"<xmp>" + bytes(30_000)),))
    assert strip_message(data) == data


@pytest.mark.parametrize(
    ("charset", "said", "decoded", "raw"),
    [
        (0, b"caf\xe9", b"caf\xe9", b"caf\xe9"),
        (0x0D, b"\xc4\x8d", b"\xc4\x8d", b"\xc4\x8d"),
        (2, b"\x01\x0d\0\0\0a", b"\xc4\x8da", b"\x01\x0d\0\0\0a"),
        (2, b"\xd8\x3d\xde\0", b"\xef\xbf\xbd\xef\xbf\xbd", b"\xd8\x3d\xde\0"),
    ],
)
def test_the_first_fragment_is_stored(
    charset: int, said: bytes, decoded: bytes, raw: bytes
) -> None:
    parts = (messages.Part(charset, 0, said), messages.Part(0, 0, b" and more"))
    data = messages.encode_parts(parts)
    assert stored_text(data, decodes=True) == decoded
    assert stored_text(data, decodes=False) == raw
    assert stored_text(data[:-1], decodes=True) is None
    assert stored_text(b"", decodes=True) is None
