import subprocess
import sys
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RemoteProtocolError
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stream import (
    MAX_STANZA_BYTES,
    RENEW_BYTES,
    ComponentStream,
    ElementIgnored,
    HandshakeAccepted,
    StanzaDropped,
    StanzaReceived,
    StreamClosed,
    StreamErrorReceived,
    StreamEvent,
    StreamOpened,
    StreamViolation,
    handshake_digest,
)
from gateway.xmpp.xml import Element

HEADER = (
    b"<?xml version='1.0' encoding='UTF-8'?>"
    b"<stream:stream xmlns='jabber:component:accept' "
    b"xmlns:stream='http://etherx.jabber.org/streams' id='3&amp;a>b' from='aim.example'>"
)
UP = HEADER + b"<handshake/>"
TAG = {"from": "romeo@montague.lit/r", "to": "x@aim.example", "id": "7", "type": "chat"}
OPEN = b"<message from='romeo@montague.lit/r' to='x@aim.example' id='7' type='chat' a='b'>"
NEXT = b"<presence from='a@b' to='aim.example'/>"
AFTER = StanzaReceived(Element("presence", ns.COMPONENT, {"from": "a@b", "to": "aim.example"}))


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def fed(*parts: bytes) -> list[StreamEvent]:
    """Feed a fresh stream and return all its events."""
    stream = ComponentStream("aim.example")
    found: list[StreamEvent] = []
    for part in parts:
        stream.receive_data(part)
        found += stream.events()
    return found


def violation(*parts: bytes) -> tuple[str, list[StreamEvent]]:
    """Feed a fresh stream that must break; return the condition, and the events before it."""
    stream = ComponentStream("aim.example")
    found: list[StreamEvent] = []
    try:
        for part in parts:
            stream.receive_data(part)
            found += stream.events()
    except StreamViolation as exc:
        return exc.condition, found
    pytest.fail("nothing was refused")


@pytest.mark.conformance("COMP-01")
def test_the_opening_tag_names_the_component_and_no_version() -> None:
    assert ComponentStream("aim.example").opening() == (
        b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
        b"xmlns='jabber:component:accept' to='aim.example'>"
    )


@pytest.mark.conformance("COMP-02")
def test_the_handshake_is_the_hash_of_id_and_secret() -> None:
    # printf '3&a>bs3crét' | sha1sum
    digest = "e3e4c9810f1cba22d5e32137feac547042679738"
    assert handshake_digest("3&a>b", "s3crét") == digest
    stream = ComponentStream("aim.example")
    assert stream.handshake("3&a>b", "s3crét") == f"<handshake>{digest}</handshake>".encode()


def test_the_last_words_are_these() -> None:
    stream = ComponentStream("aim.example")
    assert stream.closing() == b"</stream:stream>"
    assert stream.error("conflict") == (
        b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    )


WHOLE = (
    UP
    + " \n<message from='ä@b' to='x@aim.example' xml:lang='de' q:w='1' xmlns:q='urn:q'>"
    "<body>a > b &amp; \U0001f600<![CDATA[<>]]> c</body>"
    "<x xmlns='urn:x' y='>'>\n<y/></x></message>\n"
    "<strange xmlns='urn:s'/><stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
    "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>new one</text></stream:error>"
    "</stream:stream>".encode()
)
EVENTS: list[StreamEvent] = [
    StreamOpened("3&a>b", "aim.example"),
    HandshakeAccepted(),
    StanzaReceived(
        Element(
            "message",
            ns.COMPONENT,
            {"from": "ä@b", "to": "x@aim.example", "xml:lang": "de", "{urn:q}w": "1"},
            (
                Element("body", ns.COMPONENT, {}, ("a > b & \U0001f600<> c",)),
                Element("x", "urn:x", {"y": ">"}, ("\n", Element("y", "urn:x"))),
            ),
        )
    ),
    ElementIgnored("strange", "urn:s"),
    StreamErrorReceived("conflict", "new one"),
    StreamClosed(),
]


@pytest.mark.parametrize("cut", range(len(WHOLE) + 1))
def test_a_stream_survives_any_split(cut: int) -> None:
    assert fed(WHOLE[:cut], WHOLE[cut:]) == EVENTS


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
def test_a_stream_survives_any_chunks(size: int) -> None:
    assert fed(*pieces(WHOLE, size)) == EVENTS


def test_each_stanza_comes_with_its_last_byte() -> None:
    stream = ComponentStream("aim.example")
    stream.receive_data(UP)
    list(stream.events())
    stanza = OPEN + b"<body>hi</body></message>"
    for byte in pieces(stanza[:-1], 1):
        stream.receive_data(byte)
    assert list(stream.events()) == []
    stream.receive_data(stanza[-1:])
    assert len(list(stream.events())) == 1


def test_what_follows_the_closing_tag_is_not_read() -> None:
    assert fed(UP + b"</stream:stream>", b"<garbage")[-1] == StreamClosed()
    assert fed(UP + b"</stream:stream><garbage><!-- -->")[-1] == StreamClosed()


@pytest.mark.conformance("COMP-07")
@pytest.mark.parametrize(
    ("stanza", "why"),
    [
        (OPEN + b"<x>" * 1000 + b"</x>" * 1000 + b"</message>", "nested"),
        (OPEN + b"<q:a/></message>", "not bound"),
        (OPEN + b"<xmlns:a/></message>", "not bound"),
        (OPEN + b"<a q:b=''/></message>", "not bound"),
        (OPEN + b"<:a/></message>", "not bound"),
        (OPEN + b"<a xmlns:q='u' xmlns:r='u' q:b='' r:b=''/></message>", "twice"),
        (OPEN + b"<q:a:b xmlns:q='u'/></message>", "no name"),
        (OPEN + b"<q:1 xmlns:q='u'/></message>", "no name"),
        (OPEN + b"<xml:1/></message>", "no name"),
        (OPEN + b"<q: xmlns:q='u'/></message>", "no name"),
        (OPEN + b"<a xmlns:q=''/></message>", "may not declare"),
        (OPEN + b"<a xmlns='http://www.w3.org/2000/xmlns/'/></message>", "may not declare"),
        (OPEN + b"<x/>" * 10_000 + b"</message>", "elements"),
        (OPEN + b"<body>" + b"x" * 300 * 1024 + b"</body></message>", "larger"),
        (OPEN + b"<body>" + b"&apos;" * 200 * 1024 + b"</body></message>", "larger"),
        (OPEN + b"<x y='" + b"z" * 300 * 1024 + b"'/></message>", "larger"),
        (
            OPEN + b"<x " + b" ".join(b"a%d='1'" % n for n in range(65)) + b"/></message>",
            "attributes",
        ),
    ],
)
@pytest.mark.parametrize("size", [1448, 10_000_000])
def test_a_stanza_past_the_limits_costs_itself_only(stanza: bytes, why: str, size: int) -> None:
    found = fed(*pieces(UP + NEXT + stanza + NEXT, size))
    assert found[2] == found[4] == AFTER
    assert len(found) == 5
    dropped = found[3]
    assert isinstance(dropped, StanzaDropped)
    assert (dropped.name, dropped.attributes) == ("message", TAG)
    assert why in dropped.why


@pytest.mark.conformance("COMP-07")
def test_a_stanza_just_within_the_limits_passes() -> None:
    stanza = (
        OPEN
        + b"<x>" * 63
        + b"</x>" * 63
        + b"<y/>" * (2000 - 64 - 1)
        + b"<z " + b" ".join(b"a%d='1'" % n for n in range(64)) + b"/>"
        + b"x" * 200_000
        + b"</message>"
    )  # fmt: skip
    assert isinstance(fed(UP + stanza)[-1], StanzaReceived)
    assert isinstance(fed(UP + stanza.replace(b"<y/>", b"<y/><y/>", 1))[-1], StanzaDropped)
    deeper = stanza.replace(b"<x>", b"<x><x>", 1).replace(b"</x>", b"</x></x>", 1)
    assert isinstance(fed(UP + deeper.replace(b"<y/>", b"", 1))[-1], StanzaDropped)


@pytest.mark.conformance("COMP-07")
@pytest.mark.parametrize(("type_", "most"), [("set", 2_000), ("result", 6_000)])
def test_answer_may_have_more_elements(type_: str, most: int) -> None:
    stanza = f"<iq from='a@b' to='c' type='{type_}' id='1'><q>{'<i/>' * (most - 2)}</q></iq>"
    assert isinstance(fed(UP + stanza.encode())[-1], StanzaReceived)
    more = stanza.replace("<i/>", "<i/><i/>", 1)
    assert isinstance(fed(UP + more.encode())[-1], StanzaDropped)


def test_names_are_resolved_where_they_stand() -> None:
    inside = (
        b"<a xmlns='u:1' xmlns:q='u:2' q:k='1' k='2'><q:b/><c xmlns='' xmlns:q='u:3'><q:d/></c>"
        b"<q:e/></a><xml:f xml:lang='en'/><g xmlns='http://www.w3.org/XML/1998/namespace'/><h/>"
    )
    received, after = fed(UP + OPEN + inside + b"</message>" + NEXT)[2:]
    assert after == AFTER
    assert isinstance(received, StanzaReceived)
    assert received.element.elements == (
        Element(
            "a",
            "u:1",
            {"{u:2}k": "1", "k": "2"},
            (
                Element("b", "u:2"),
                Element("c", "", {}, (Element("d", "u:3"),)),
                Element("e", "u:2"),
            ),
        ),
        Element("f", ns.XML, {"xml:lang": "en"}),
        Element("g", ns.XML),
        Element("h", ns.COMPONENT),
    )


def test_a_stanza_whose_own_tag_has_a_bad_name_costs_itself_only() -> None:
    tag = OPEN.replace(b" a='b'", b" q:a='b'")
    dropped, after = fed(UP + tag + b"</message>" + NEXT)[2:]
    assert isinstance(dropped, StanzaDropped)
    assert (dropped.name, dropped.attributes) == ("message", TAG)
    assert after == AFTER
    assert violation(HEADER.replace(b"xmlns:stream", b"xmlns:other"))[0] == "bad-namespace-prefix"


def test_a_dropped_stanza_keeps_only_attributes_of_use_and_sane_length() -> None:
    tag = b"<iq from='a@b' id='" + b"i" * 5000 + b"' x='y'>" + b"<x/>" * 2001 + b"</iq>"
    dropped = fed(UP + tag)[-1]
    assert isinstance(dropped, StanzaDropped)
    assert dropped.attributes == {"from": "a@b"}


@pytest.mark.conformance("COMP-07")
@pytest.mark.parametrize("uri", [b"}", b"http://x/{}", b"\xc2\x80", b"&#9;", b" ", b"%"])
def test_a_users_strange_namespace_does_not_end_the_stream(uri: bytes) -> None:
    stanza = OPEN + b"<x xmlns='" + uri + b"' xmlns:p='" + uri + b"1' p:a='b'/><xml:y/></message>"
    found = fed(UP + stanza + NEXT)
    assert found[-1] == AFTER
    assert isinstance(found[-2], StanzaReceived)
    x, y = found[-2].element.elements
    text = uri.decode().replace("&#9;", "\t")
    assert (x.name, x.xmlns, x.attributes) == ("x", text, {f"{{{text}1}}a": "b"})
    assert (y.name, y.xmlns) == ("y", ns.XML)


LAUGHS = b"<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]>"


@pytest.mark.conformance("COMP-07")
@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (LAUGHS + HEADER.partition(b"?>")[2], "restricted-xml"),
        (b"<!DOCTYPE x SYSTEM 'http://x/y'>" + HEADER.partition(b"?>")[2], "restricted-xml"),
        (HEADER.replace(b"UTF-8", b"UTF-16"), "unsupported-encoding"),
        (HEADER.replace(b"UTF-8", b"ISO-8859-1"), "unsupported-encoding"),
        (HEADER.decode().encode("utf-16"), "unsupported-encoding"),
        (HEADER.decode().encode("utf-16-be"), "unsupported-encoding"),
        (HEADER.decode().encode("utf-16-le"), "unsupported-encoding"),
        (b"<stream xmlns='jabber:component:accept'>", "invalid-namespace"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n<html>", "not-well-formed"),
        (b"<" + b"a" * 20_000, "policy-violation"),
        (b"<stream:stream a='" + b">" * 20_000, "policy-violation"),
        (HEADER + NEXT, "not-authorized"),
        (HEADER + OPEN + b"<x/>" * 2001 + b"</message>", "policy-violation"),
        (UP + LAUGHS, "not-well-formed"),
        (UP + OPEN + b"<!-- x -->", "restricted-xml"),
        (UP + b"<!-- x -->", "restricted-xml"),
        (UP + b"<?php x?>", "restricted-xml"),
        (UP + OPEN + b"&a;</message>", "not-well-formed"),
        (UP + OPEN + b"&#0;</message>", "not-well-formed"),
        (UP + OPEN + b"\xff</message>", "not-well-formed"),
        (UP + OPEN + b"\xed\xa0\x80</message>", "not-well-formed"),
        (UP + OPEN + b"\x00</message>", "not-well-formed"),
        (UP + OPEN + b"</presence>", "not-well-formed"),
        (UP + OPEN + b"<a b='1' b='2'/>", "not-well-formed"),
        (UP + HEADER, "not-well-formed"),
        (UP + b"text", "bad-format"),
        (UP + b" text " + NEXT, "bad-format"),
        (UP + NEXT + b"text<a/>", "bad-format"),
    ],
)
@pytest.mark.parametrize("size", [1, 1448, 100_000_000])
def test_what_no_server_may_send_ends_the_stream(data: bytes, condition: str, size: int) -> None:
    found, _before = violation(*pieces(data, size))
    assert found == condition


@pytest.mark.conformance("COMP-07")
@pytest.mark.parametrize(
    "data",
    [
        b"<body>" + b"x" * 9_000_000,
        b"<body>" + b"<x/>" * 2_200_000,
        b"<body y='" + b"x" * 20_000_000,
        b"<body y='" + b">" * 20_000_000,
    ],
)
def test_what_never_ends_ends_the_stream(data: bytes) -> None:
    condition, _before = violation(UP, OPEN, *pieces(data, 65_536))
    assert condition == "policy-violation"


def test_what_stood_before_the_fault_is_still_handed_over() -> None:
    condition, before = violation(UP + NEXT + b"<a></b>" + NEXT)
    assert condition == "not-well-formed"
    assert before == [StreamOpened("3&a>b", "aim.example"), HandshakeAccepted(), AFTER]


def test_a_broken_stream_reads_no_more() -> None:
    stream = ComponentStream("aim.example")
    for _ in range(2):
        stream.receive_data(UP + b"<a></b>")
        with pytest.raises(StreamViolation):
            list(stream.events())


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [HEADER, UP, OPEN, NEXT, b"</message>", b"<", b">", b"<!", b"\xff", b"&"]
            ),
            st.integers(0, len(WHOLE)).map(lambda cut: WHOLE[:cut]),
        ),
        max_size=12,
    )
)
def test_garbage_raises_remote_protocol_errors_only(parts: list[bytes]) -> None:
    stream = ComponentStream("aim.example")
    for part in parts:
        stream.receive_data(part)
        try:
            list(stream.events())
        except RemoteProtocolError:
            return


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.integers(1, 200))
def test_one_changed_byte_raises_remote_protocol_errors_only(at: int, byte: int, size: int) -> None:
    stream = ComponentStream("aim.example")
    try:
        for part in pieces(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :], size):
            stream.receive_data(part)
            list(stream.events())
    except RemoteProtocolError:
        pass
    stream.receive_data(b"more")


def test_the_parser_is_renewed_without_a_trace() -> None:
    """Each kind of end of a read meets a renewal; every stanza comes out whole."""
    stanza = OPEN + b"<body>" + b"x" * 50_000 + b"</body><y z='>'/></message> "
    count = 3 * RENEW_BYTES // len(stanza)
    for size in (len(stanza), 997, 70_001):
        found = fed(UP, *pieces(stanza * count, size), NEXT)
        assert found[-1] == AFTER
        assert len(found) == count + 3
        assert set(map(type, found[2:])) == {StanzaReceived}


def test_a_renewal_waits_for_a_tag_that_only_seems_to_have_ended() -> None:
    stream = ComponentStream("aim.example")
    stream.receive_data(UP)
    for size in [100_000] * 10 + [RENEW_BYTES - len(UP) - 10 * 100_000 - 10]:
        stream.receive_data(OPEN + b"x" * (size - len(OPEN) - 10) + b"</message>")
    assert len(list(stream.events())) == 13
    stanza = b"<presence from='a' to='>b'/>"
    cut = stanza.index(b">") + 1
    stream.receive_data(stanza[:cut])  # past the mark
    stream.receive_data(stanza[cut:] + NEXT)
    found = list(stream.events())
    assert len(found) == 2
    assert found[-1] == AFTER


@pytest.mark.conformance("COMP-07")
def test_a_stanza_that_grows_too_large_is_freed_before_its_end() -> None:
    stream = ComponentStream("aim.example")
    stream.receive_data(UP + OPEN)
    tracemalloc.start()
    try:
        for _ in range(100):
            stream.receive_data(b"<x>" + b"y" * 65_000 + b"</x>")
        held, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1024 * 1024


GROWTH = """
import gc, resource
from gateway.xmpp.stream import ComponentStream
from tests.unit.xmpp.test_stream import OPEN, UP

def feed(number):
    for n in range(100):
        names = [f"<n{number}-{n}-{m} a{number}-{n}-{m}=''/>" for m in range(40)]
        stream.receive_data(OPEN + "".join(names).encode() + b"</message>")
    assert len(list(stream.events())) >= 100

stream = ComponentStream("aim.example")
stream.receive_data(UP)
gc.disable()
for number in range(8):
    feed(number)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for number in range(8, 38):
    feed(number)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.conformance("COMP-07")
def test_memory_stays_flat_when_every_name_is_new() -> None:
    """expat remembers all names; measured in a process of its own, with the collector off."""
    found = subprocess.run(
        [sys.executable, "-c", GROWTH], capture_output=True, check=True, text=True
    )
    assert int(found.stdout) < 4 * 1024  # KiB


def test_an_endless_keepalive_takes_no_memory() -> None:
    stream = ComponentStream("aim.example")
    stream.receive_data(UP)
    for _ in range(200):
        stream.receive_data(b" \n" * 32_768)
    stream.receive_data(NEXT)
    assert list(stream.events())[-1] == AFTER


def test_the_limit_stands_above_what_we_send_ourselves() -> None:
    assert MAX_STANZA_BYTES > 240 * 1024
