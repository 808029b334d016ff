"""The server's side of the bench's component link, over a pair of sockets."""

import socket
from collections.abc import Iterator

import pytest

from scripts.measure.link import Count, Link
from scripts.measure.names import BenchFailed

PING = b"<iq from='gw' to='localhost' id='p1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
PONG = b"<iq type='result' from='localhost' to='gw' id='p1'/>"
PROBE = b"<presence from='gw' to='u1@localhost' type='probe'/>"
SECONDS = 5.0


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    """The server's side, and the component's end of the connection."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(SECONDS)
    link = Link(ours)
    with theirs:
        yield link, theirs
        link.close()


@pytest.mark.parametrize("cut", range(1, 8))
def test_marker_is_counted_across_reads(cut: int) -> None:
    data = b"a</body>b</body>"
    count = Count(b"</body>")
    assert count.feed(data[:cut]) + count.feed(data[cut:]) == count.n == 2


@pytest.mark.parametrize("cut", [0, 1, 2, 20, 60, len(PING) - 1])
def test_ping_is_answered_however_it_is_cut(ends: tuple[Link, socket.socket], cut: int) -> None:
    link, component = ends
    for part in (b"<message/>" + PING[:cut], PING[cut:] + b"<message/>"):
        component.sendall(part)
        assert link.receive(SECONDS) == part
    assert component.recv(1000) == PONG
    link.close()
    assert component.recv(1000) == b""  # once


def test_other_requests_get_an_error(ends: tuple[Link, socket.socket]) -> None:
    link, component = ends
    component.sendall(b"<iq from='gw' to='u1@localhost' id='d' type='get'><query/></iq>")
    link.receive(SECONDS)
    answer = component.recv(1000)
    assert answer.startswith(b"<iq type='error' from='u1@localhost' to='gw' id='d'>")


@pytest.mark.parametrize(
    ("present", "answer"),
    [(True, b"<presence from='u1@localhost/bench' to='gw'/>"), (False, b"")],
)
def test_probes_are_answered_for_present_users(
    ends: tuple[Link, socket.socket], present: bool, answer: bytes
) -> None:
    link, component = ends
    link.users_present = present
    component.sendall(PROBE)
    link.receive(SECONDS)
    assert link.probes == 1
    link.close()
    assert component.recv(1000) == answer


def test_silence_is_no_data(ends: tuple[Link, socket.socket]) -> None:
    assert ends[0].receive(0.0) == b""


def test_closed_link_is_a_failure(ends: tuple[Link, socket.socket]) -> None:
    link, component = ends
    component.close()
    with pytest.raises(BenchFailed, match="closed the link"):
        link.receive(SECONDS)


def test_waiting_for_too_few_says_how_many(ends: tuple[Link, socket.socket]) -> None:
    link, component = ends
    component.sendall(b"<a/><a/>")
    with pytest.raises(BenchFailed, match="things: 2 of 3"):
        link.wait_for(Count(b"<a/>"), 3, 0.0, "things")
