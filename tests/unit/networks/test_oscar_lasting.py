"""Texts that a service which removes HTML from bytes must leave as they are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.networks.oscar.protocol.talk import Dialect
from gateway.networks.oscar.protocol.writing import Reader, pieces
from gateway.networks.oscar.wire import messages
from gateway.networks.oscar.wire.html import from_html, to_html
from gateway.networks.oscar.wire.lasting import lasting_html, lasting_parts
from gateway.networks.oscar.wire.text import decode_loose, decode_parts_text
from legacy_emu.fronts.oscar.stripping import stored_text, strip

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
NOODLES = "\u0d28\u0d42\u0d21\u0d3f\u0d7d\u0d38\u0d4d"  # Malayalam: each letter has a 0D byte

LASTING = [
    ("plain", [0]),
    ("1 < 2 & 3 <3", [0]),
    ("<b>", [2]),
    ("</3", [2]),
    ("<?php", [2]),
    ("AT&T", [2]),
    ("caf\xe9", [2]),
    ("\u0447\u0442\u043e <b>?", [2]),
    ("ne\u010dekal", [0x0D]),  # the half of a letter is a carriage return
    ("\u0d0a\u0d15", [0x0D]),  # two halves are the end of a line
    ("\u3c61", [0x0D]),  # the two halves are the beginning of a tag
    ("<\u4e2d\u6587>", [0x0D]),  # less-than, and half a letter that is a letter
    ("<b>ne\u010dekal</b>", [2, 0x0D, 0]),  # cut between < and /: each is harmless alone
    (f"<b>{FAMILY}</b> \u010d", [2, 0x0D, 0x0D]),
    ("Q&A \U0001f469\u200d\U0001f4bb", [2, 0x0D]),
    (f"{NOODLES} &amp; {NOODLES}", [0x0D, 0x0D]),
    ("", [0]),
]


@pytest.mark.parametrize(("text", "charsets"), LASTING)
def test_fragments_keep_text_from_the_stripper(text: str, charsets: list[int]) -> None:
    parts = lasting_parts(text)
    assert [part.charset for part in parts] == charsets
    assert read(parts) == text


KEPT = [
    ("caf\xe9", [0x0D]),
    ("<b>caf\xe9", [2]),
    ("<b>\U0001f600", [2, 0x0D]),
    ("\U0001f600", [0x0D]),
]


@pytest.mark.parametrize(("text", "charsets"), KEPT)
def test_stored_texts_prefer_utf_8(text: str, charsets: list[int]) -> None:
    parts = lasting_parts(text, kept=True)
    assert [part.charset for part in parts] == charsets
    assert read(parts) == text


def stored(part: messages.Part) -> str:
    """Return what comes of a message that the service has stored."""
    data = stored_text(messages.encode_parts((part,)), decodes=True)
    assert data is not None
    return decode_loose(data)


def read(parts: tuple[messages.Part, ...]) -> str:
    stripped = tuple(messages.Part(part.charset, 0, strip(part.data)) for part in parts)
    return decode_parts_text(stripped)


NUISANCES = ["<", "&", "<b>", "&amp;", "\u010d", "\u200d", "\u3c61", "\u2626\u6100", "\u0d15",
             "\U0001f40d", "\U0001f30d", "a", "/", "!", "#", " "]  # fmt: skip


texts = st.lists(
    st.one_of(st.sampled_from(NUISANCES), st.characters(exclude_categories=["Cs", "Cc"]))
).map("".join)


@given(texts, st.booleans())
def test_any_plain_text_lasts(text: str, kept: bool) -> None:
    parts = lasting_parts(text, kept=kept)
    assert read(parts) == text
    if kept:
        assert "".join(map(stored, parts)) == text


@given(texts, st.booleans())
def test_any_html_lasts(text: str, kept: bool) -> None:
    part = lasting_html(to_html(text), kept=kept)
    assert from_html(read((part,))) == text
    if kept:
        assert from_html(stored(part)) == text


def test_half_a_surrogate_pair_lasts_replaced() -> None:
    assert read(lasting_parts("<b>\ud83d\u010d")) == "<b>\N{REPLACEMENT CHARACTER}\u010d"


STRIPPED = Dialect(own_is_uin=True, code_page="cp1252", strips_html=True)
UNKNOWN, SEEN = Reader("10002"), Reader("10002", may_be_away=False)
TAKES = Reader("10002", reads_html=True, keeps_html=True, may_be_away=False)
PURPLE = Reader("10002", reads_html=True, may_be_away=False)
NAME = Reader("juliet", may_be_away=False)


@pytest.mark.parametrize(
    ("reader", "charsets"),
    [
        (SEEN, [[2, 0x0D]]),  # one message
        (UNKNOWN, [[2], [0x0D]]),  # stored, only the first fragment of each is left
        (TAKES, [[2]]),
        (PURPLE, [[2]]),
        (NAME, [[2]]),
    ],
)
def test_the_reader_decides_how_text_goes(reader: Any, charsets: list[list[int]]) -> None:
    found = pieces("<b>\u010d", reader, STRIPPED, 1000)
    assert [[part.charset for part in piece] for piece in found] == charsets


def test_html_of_a_person_goes_as_html() -> None:
    said = "<html>&amp;</html>"
    [[part]] = pieces(said, SEEN, STRIPPED, 1000)
    assert from_html(read((part,))) == said
