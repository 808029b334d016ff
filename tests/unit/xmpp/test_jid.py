import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.xmpp.jid import (
    InvalidJid,
    Jid,
    escape,
    is_alias,
    localpart_for,
    nodeprep,
    stable_alias,
    unescape,
)

REFERENCE_PAIRS = [
    ("space cadet", r"space\20cadet"),
    ('call me "ishmael"', r"call\20me\20\22ishmael\22"),
    ("at&t guy", r"at\26t\20guy"),
    ("d'artagnan", r"d\27artagnan"),
    ("/.fanboy", r"\2f.fanboy"),
    ("::foo::", r"\3a\3afoo\3a\3a"),
    ("<foo>", r"\3cfoo\3e"),
    ("user@host", r"user\40host"),
    (r"c:\net", r"c\3a\net"),
    (r"c:\\net", r"c\3a\\net"),
    (r"c:\cool stuff", r"c\3a\cool\20stuff"),
    (r"c:\5commas", r"c\3a\5c5commas"),
    (r"\3and\2is\5cool", r"\5c3and\2is\5c5cool"),
]


@pytest.mark.conformance("ESC-01", "ESC-04")
@pytest.mark.parametrize(("name", "localpart"), REFERENCE_PAIRS)
def test_the_reference_pairs_of_escaping_hold_both_ways(name: str, localpart: str) -> None:
    assert escape(name) == localpart
    assert unescape(localpart) == name


@pytest.mark.conformance("ESC-02")
@pytest.mark.parametrize("text", [r"\2F", r"\41", r"\2p", "\\4", "\\", r"\5C", r"\5d"])
def test_what_is_no_escape_is_literal(text: str) -> None:
    assert unescape(text) == text
    assert escape(text) == text


@pytest.mark.conformance("ESC-02")
def test_unescaping_is_one_pass() -> None:
    assert unescape(r"\5c20") == r"\20"
    assert unescape(r"\5c5c20") == r"\5c20"


@settings(derandomize=True)
@given(st.text(alphabet=st.one_of(st.sampled_from("\\25cC0234567efaE @/:&'\"<>"), st.characters())))
@example(r"\5c\20")
def test_unescape_undoes_escape(name: str) -> None:
    assert unescape(escape(name)) == name


@pytest.mark.conformance("AMB-17", "ESC-03")
def test_case_is_mapped_before_escaping() -> None:
    assert localpart_for(r"C:\2F") == r"c\3a\5c2f"
    assert unescape(r"c\3a\5c2f") == r"c:\2f"


@pytest.mark.conformance("ESC-03")
@pytest.mark.parametrize("name", ["", " romeo", "romeo ", " "])
def test_no_localpart_begins_or_ends_in_an_escaped_space(name: str) -> None:
    assert localpart_for(name) is None


@pytest.mark.conformance("CORE-08")
@pytest.mark.parametrize(
    "name",
    [
        "straße",
        "καλος",
        "ﬁona",
        "\uff41bc",
        "a\u00a0b",
        "a\x07b",
        "a\ud800",
        "אa",
        "☃",
        "x" * 1024,
        "é" * 512,
    ],
)
def test_a_name_that_some_server_would_change_or_refuse_has_no_localpart(name: str) -> None:
    assert localpart_for(name) is None


@pytest.mark.conformance("CORE-08", "AMB-16")
@pytest.mark.parametrize(
    ("name", "localpart"),
    [
        ("Juliet", "juliet"),
        ("É", "é"),
        ("e\u0301", "é"),
        ("Жук", "жук"),
        ("אבג", "אבג"),
        ("123", "123"),
    ],
)
def test_an_ordinary_name_keeps_its_letters(name: str, localpart: str) -> None:
    assert localpart_for(name) == localpart


@pytest.mark.conformance("CORE-08", "GW-ADDR-04")
@settings(derandomize=True)
@given(st.text(min_size=1, max_size=40))
@example("\u1f80")
def test_a_localpart_is_left_alone_by_every_profile_and_gives_its_name_back(name: str) -> None:
    localpart = localpart_for(name)
    if localpart is None:
        return
    assert nodeprep(localpart) == localpart
    assert Jid.parse(f"{localpart}@g.example").local == localpart
    assert unescape(localpart) == unicodedata.normalize("NFC", name.lower())
    assert localpart_for(unescape(localpart)) == localpart


@pytest.mark.conformance("AMB-17")
def test_an_alias_is_stable_legal_and_never_a_name() -> None:
    alias = stable_alias("straße")
    assert alias == "alias-pb7uo4dbhu4cjs6itnwv3kikci7edmd3"
    assert alias != stable_alias("strasse")
    assert is_alias(alias)
    assert Jid.parse(f"{alias}@g.example").local == alias == nodeprep(alias)
    assert localpart_for(alias) is None
    assert localpart_for(alias.upper()) is None
    assert not is_alias("alias-romeo")
    assert stable_alias("\ud800")


@pytest.mark.conformance("CORE-08")
@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("Romeo@Montague.LIT/Orchard", "romeo@montague.lit/Orchard"),
        ("montague.lit", "montague.lit"),
        ("montague.lit.", "montague.lit"),
        ("montague.lit/a@b/c", "montague.lit/a@b/c"),
        ("JOSÉ@xn--bcher-kva.example/Ä", "josé@bücher.example/Ä"),
        ("a@BÜCHER.example", "a@bücher.example"),
        ("a@127.0.0.1", "a@127.0.0.1"),
        ("a@[::1]", "a@[::1]"),
        ("\uff41@b.example/r\u00a0s", "a@b.example/r s"),
        # Only Nodeprep takes a symbol.
        ("i☃u@b.example", "i☃u@b.example"),
        # Unicode 15, newer than our tables: OpaqueString refuses it, clients send it.
        ("a@b.example/\U0001fae8", "a@b.example/\U0001fae8"),
    ],
)
def test_a_jid_is_prepared(text: str, prepared: str) -> None:
    assert str(Jid.parse(text)) == prepared


@pytest.mark.conformance("CORE-08")
@pytest.mark.parametrize(
    "text",
    [
        "", "@", "@b", "a@", "a@/r", "/r", "a@b/", "a b@c", 'a"@c', "a:@c", "a@b@c", "a@b c",
        "a@-b",
        "a@b..c", "a@.b", "a@[::1", "a@[fe80::1%25eth0]", "a@b_\x00", "a\x00@b", "a@b/\x07",
        "a@b/\ud800",
        "a" * 1024 + "@b", "é" * 512 + "@b", "a@b/" + "r" * 1024, "a@" + "b" * 64, "a@xn--0",
        "a" * 4000, "a\ufe6b@b", "a\uff20@b",
    ],
)  # fmt: skip
def test_what_is_no_jid_is_refused(text: str) -> None:
    with pytest.raises(InvalidJid):
        Jid.parse(text)


@settings(derandomize=True)
@given(st.text(max_size=60))
@example("\u1d2c@b/\u1d2c")
@example("\u13a0@b")
def test_preparing_twice_changes_nothing(text: str) -> None:
    for candidate in (text, f"{text}@b.example/x", f"a@b.example/{text}", f"a@{text}"):
        try:
            jid = Jid.parse(candidate)
        except InvalidJid:
            continue
        assert Jid.parse(str(jid)) == jid


def test_a_bare_jid_has_no_resource() -> None:
    full = Jid("romeo", "montague.lit", "orchard")
    assert full.bare == Jid("romeo", "montague.lit")
    assert not full.is_bare
    assert full.bare.is_bare
    assert full.bare.bare is not full
    assert {full: 1}[Jid.parse("romeo@montague.lit/orchard")] == 1
