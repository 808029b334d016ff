"""Texts of AIM and ICQ: charsets, and the HTML of 1997."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.networks.oscar.wire import messages
from gateway.networks.oscar.wire.html import from_html, looks_like_html, to_html
from gateway.networks.oscar.wire.text import (
    decode_loose,
    decode_mime,
    decode_part,
    decode_parts_text,
    encode_mime,
    encode_text,
)

HTML = [
    ("<HTML><BODY>yo</BODY></HTML>", "yo"),
    ('<HTML><BODY BGCOLOR="#ffffff"><FONT LANG="0">a &lt;b&gt; c</FONT></BODY></HTML>', "a <b> c"),
    ("<b><i>left open", "left open"),
    ("one<br>two<BR/>three<Br />four", "one\ntwo\nthree\nfour"),
    ("<p>one</p><p>two</p>", "one\ntwo"),
    ("<div>a</div>b<hr>c", "a\nb\nc"),
    ("raw\r\nlines stay\rso\nlong", "raw\nlines stay\nso\nlong"),
    ("raw\r\nlines<br>join", "raw lines\njoin"),
    ("1 < 2 & 3 > 2, <3", "1 < 2 & 3 > 2, <3"),
    ("<!-- not\nseen -->seen<!-- nor this", "seen"),
    ("<style>p { }</style>a<SCRIPT>if (1<2) {}</SCRIPT>b<head><title>t</title></head>c", "abc"),
    ('<a href="http://x.example/">x.example</a>', "x.example"),
    ('<A HREF="http://x.example/a?b&amp;c">click</A> me', "click (http://x.example/a?b&c) me"),
    ("<a href='http://x.example'></a>", "http://x.example"),
    ("<a href=http://x.example>here", "here (http://x.example)"),
    ('<a href="mailto:a@x.example">a@x.example</a>', "a@x.example"),
    ("<a name=top>top</a>", "top"),
    ('<img src="x" alt=":-)"> <img src="y">', ":-) "),
    ("&eacute;&#233;&#xe9;&nbsp;&bogus;&amp", "\xe9\xe9\xe9 &bogus;&"),
    ("a&nbsp;&#160;&#xA0;b\xa0c", "a   b\xa0c"),
    ("&#xd800;&#0;&#99999999999999;", "\ufffd\ufffd\ufffd"),
    ("a tag that <b never ends", "a tag that <b never ends"),
    ("<>", "<>"),
    ("trailing<br><br>\n", "trailing"),
    ("", ""),
]


@pytest.mark.parametrize(("source", "text"), HTML)
def test_html_is_read_as_a_person_reads_it(source: str, text: str) -> None:
    assert from_html(source) == text


TEXTS = [
    ("yo", "<HTML><BODY>yo</BODY></HTML>"),
    ("<b> & \"c\" 'd'", "<HTML><BODY>&lt;b&gt; &amp; &quot;c&quot; 'd'</BODY></HTML>"),
    ("a\nb\r\nc\rd", "<HTML><BODY>a<BR>b<BR>c<BR>d</BODY></HTML>"),
    ("a   b  c", "<HTML><BODY>a &nbsp; b &nbsp;c</BODY></HTML>"),
]


@pytest.mark.parametrize(("text", "written"), TEXTS)
def test_text_is_written_as_html(text: str, written: str) -> None:
    assert to_html(text) == written


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_html_comes_back_as_it_was_written(text: str) -> None:
    assert from_html(to_html(text)) == text


@given(st.text())
def test_any_text_is_read_as_html_somehow(source: str) -> None:
    from_html(source)


@pytest.mark.parametrize(
    "piece",
    ["<", "<a", "<a ", "<!--", "<br>", "<a href=", "<a href='", '<a href="x">', "&", "&#", "&#9",
     "a ", "\r", "<head>", "<img alt=x>", "aaaaaaaaaaaa", "<a b=>"],
)  # fmt: skip
def test_no_text_takes_long(piece: str) -> None:
    """What a stranger sends costs work in proportion to its length."""
    before = os.times().user
    from_html(piece * (60_000 // len(piece)))
    assert os.times().user - before < 1


@pytest.mark.parametrize(
    ("text", "is_html"),
    [
        (" \n<HTML lang=x>a</Html> ", True),
        ("<html>\n</html>", True),
        ("<html> is how a page begins", False),
        ("<htmlx></html>", False),
        ("<b></html>", False),
        ("see <html></html>", False),
        ("</html>", False),
    ],
)
def test_wrapped_text_is_taken_for_html(text: str, is_html: bool) -> None:
    assert looks_like_html(text) is is_html


# --- charsets ---------------------------------------------------------------------------------

PARTS = [
    (0x0000, b"plain", "plain"),
    (0x0000, b"caf\xc3\xa9", "caf\xe9"),
    (0x0000, b"caf\xe9", "caf\xe9"),
    (0x0000, b"ends\0", "ends"),
    (0x0002, b"\0Z\0o\0\xeb\x27\x13", "Zo\xeb\u2713"),
    (0x0002, b"\xd8\x3d\xde\x02", "\U0001f602"),
    (0x0002, b"\0a\0", "a"),
    (0x0002, b"\xd8\x3d\0a", "\ufffda"),
    (0x0003, b"\x93caf\xe9\x94", "\u201ccaf\xe9\u201d"),
    (0x000D, b"caf\xc3\xa9", "caf\xe9"),
    (0x000D, b"caf\xe9", "caf\xe9"),
    (0x0007, b"caf\xe9 \x80", "caf\xe9 \u20ac"),
]


@pytest.mark.parametrize(("charset", "data", "text"), PARTS)
def test_each_charset_is_read(charset: int, data: bytes, text: str) -> None:
    assert decode_part(messages.Part(charset, 0, data)) == text


def test_the_code_page_is_the_accounts() -> None:
    hello = "\u043f\u0440\u0438\u0432\u0435\u0442"
    data = hello.encode("cp1251")
    for charset in (0x0000, 0x0003):
        assert decode_part(messages.Part(charset, 0, data), "cp1251") == hello
    assert decode_loose(data + b"\0", "cp1251") == hello
    assert decode_loose(hello.encode(), "cp1251") == hello
    assert decode_loose(f"<b> {hello}".encode("utf-16-be"), "cp1251") == f"<b> {hello}"


def test_parts_are_one_text() -> None:
    assert decode_parts_text((messages.Part(0, 0, b"a"), messages.Part(2, 0, b"\0b"))) == "ab"


def test_the_smallest_charset_that_does_is_written() -> None:
    assert encode_text("plain") == messages.Part(0, 0, b"plain")
    assert encode_text("caf\xe9") == messages.Part(2, 0, b"\0c\0a\0f\0\xe9")


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").removesuffix("\0")
    assert decode_part(encode_text(text)) == clean


def test_half_a_surrogate_pair_is_replaced() -> None:
    part = encode_text("half \ud83d of it")
    assert decode_part(part) == "half \N{REPLACEMENT CHARACTER} of it"
    assert decode_mime(*encode_mime("\udc00")) == "\N{REPLACEMENT CHARACTER}"


MIME = [
    (b'text/aolrtf; charset="us-ascii"', b"brb", "brb"),
    (b'text/aolrtf; charset="us-ascii"', b"caf\xc3\xa9", "caf\xe9"),
    (b'text/aolrtf; charset="us-ascii"', b"caf\xe9", "caf\xe9"),
    (b'text/x-aolrtf; charset="utf-8"', b"caf\xc3\xa9", "caf\xe9"),
    (b'text/aolrtf; charset="unicode-2-0"', b"\0b\0\xe9", "b\xe9"),
    (b"text/aolrtf; charset=iso-8859-1", b"\x80 caf\xe9", "\u20ac caf\xe9"),
    (b"nonsense", b"caf\xc3\xa9", "caf\xe9"),
    (None, b"brb\0", "brb"),
    (b'text/aolrtf; charset="us-ascii"', "caf\xe9".encode("utf-16-be"), "caf\xe9"),
    (None, "<b>\u2713</b>".encode("utf-16-be"), "<b>\u2713</b>"),
    (b'text/aolrtf; charset="us-ascii"', b"ends\0\0", "ends\0"),
    (b'text/aolrtf; charset="us-ascii"', b"<B>\0\x1b[31m</B>", "<B>\0\x1b[31m</B>"),
]


@pytest.mark.parametrize(("kind", "data", "text"), MIME)
def test_a_mime_type_says_the_charset(kind: bytes | None, data: bytes, text: str) -> None:
    assert decode_mime(kind, data) == text


@pytest.mark.parametrize("text", ["brb", "caf\xe9 \u2713"])
def test_a_profile_comes_back_as_it_was_written(text: str) -> None:
    assert decode_mime(*encode_mime(text)) == text
