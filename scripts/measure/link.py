"""The XMPP server's side of one component link (XEP-0114), made to cost little.

There is no XML parser here. Stanzas that go out were built before; what comes in is counted by
markers in the bytes. Only requests to the server are looked at: pings and others are answered, and
presence probes once `users_present` is set.
"""

import re
import select
import socket
import time
from collections.abc import Callable

from scripts.measure.names import GATEWAY, BenchFailed

READ_BYTES = 1 << 18
LOOK_AGAIN_SECONDS = 0.2

_OPENING = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept'"
    f" xmlns:stream='http://etherx.jabber.org/streams' from='{GATEWAY}' id='bench'>"
).encode()
_STREAM = re.compile(rb"<stream:stream\b[^>]*>")
_HANDSHAKE = re.compile(rb"<handshake\b[^>]*>[^<]*</handshake>")
_REQUEST = re.compile(
    rb"<iq\b([^>]*?)(?:/>|>(.*?)</iq>)|<(presence)\b([^>]*\btype=['\"]probe['\"][^>]*)>", re.DOTALL
)
_ATTRIBUTE = re.compile(rb"\b(id|type|from|to)=['\"]([^'\"]*)['\"]")
_NOT_FOUND = (
    b"<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
)


class Count:
    """How often a marker has come, also across the borders of reads."""

    def __init__(self, marker: bytes) -> None:
        self.n = 0
        self._marker = marker
        self._kept = len(marker) - 1
        self._tail = b""

    def feed(self, data: bytes) -> int:
        """Count in what came next; return how many there are in it."""
        data = self._tail + data
        found = data.count(self._marker)
        self.n += found
        self._tail = data[-self._kept :]
        return found


class Link:
    """One open link. Made by `accept`; closing it ends the stream."""

    def __init__(self, sock: socket.socket) -> None:
        self.users_present = False
        self.probes = 0
        self._socket = sock
        self._out = b""
        self._rest = b""  # the beginning of a request that is not whole yet

    @classmethod
    def accept(cls, listener: socket.socket, alive: Callable[[], None], seconds: float) -> "Link":
        """Wait for the component and shake hands; any secret is right.

        `alive` raises when the component's process has ended. Raises `BenchFailed`.
        """
        sock = _accepted(listener, alive, seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(seconds)
        try:
            for awaited, answer in ((_STREAM, _OPENING), (_HANDSHAKE, b"<handshake/>")):
                received = b""
                while not awaited.search(received):
                    data = sock.recv(READ_BYTES)
                    if not data:
                        raise BenchFailed("the component closed the link before it was open")
                    received += data
                sock.sendall(answer)
        except (OSError, BenchFailed) as exc:
            sock.close()
            raise BenchFailed(f"no handshake: {exc}") from exc
        sock.setblocking(False)
        return cls(sock)

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send what the socket takes now; `receive` sends the rest."""
        self._out += data
        self._flush()

    def receive(self, seconds: float) -> bytes:
        """Return what came within `seconds`; empty when nothing did. Answers requests in it.

        Raises `BenchFailed` when the component has closed the link.
        """
        writers = [self._socket] if self._out else []
        readable, writable, _ = select.select([self._socket], writers, [], max(seconds, 0.0))
        if writable:
            self._flush()
        if not readable:
            return b""
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as exc:
            raise BenchFailed(f"the link was lost: {exc}") from exc
        if not data:
            raise BenchFailed("the component closed the link")
        self._answer(data)
        return data

    def wait_for(self, count: Count, wanted: int, seconds: float, what: str) -> None:
        """Receive until `count` has reached `wanted`. Raises `BenchFailed` after `seconds`."""
        end = time.perf_counter() + seconds
        while count.n < wanted:
            count.feed(self.receive(LOOK_AGAIN_SECONDS))
            if time.perf_counter() > end:
                raise BenchFailed(f"{what}: {count.n} of {wanted} after {seconds:.0f} s")

    def settle(self, quiet_seconds: float) -> None:
        """Receive until nothing has come for so long, or for twenty times as long in all."""
        end = time.perf_counter() + 20 * quiet_seconds
        while self.receive(quiet_seconds) and time.perf_counter() < end:
            pass

    def _flush(self) -> None:
        if not self._out:
            return
        try:
            self._out = self._out[self._socket.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError as exc:
            raise BenchFailed(f"the link was lost: {exc}") from exc

    def _answer(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        answers = []
        looked_at = 0
        if b"<iq" in data or b"probe" in data:
            for found in _REQUEST.finditer(data):
                looked_at = found.end()
                answers.append(self._answer_probe(found[4]) if found[3] else _answer_iq(found))
        self._rest = data[_unfinished(data, looked_at) :]
        if answers:
            self.send(b"".join(answers))

    def _answer_probe(self, head: bytes) -> bytes:
        self.probes += 1
        if not self.users_present:
            return b""
        one = dict(_ATTRIBUTE.findall(head))
        return b"<presence from='%b/bench' to='%b'/>" % (one[b"to"], one[b"from"])


def _accepted(listener: socket.socket, alive: Callable[[], None], seconds: float) -> socket.socket:
    listener.settimeout(LOOK_AGAIN_SECONDS)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        alive()
        try:
            return listener.accept()[0]
        except TimeoutError:
            pass
    raise BenchFailed(f"no component connected within {seconds:g} s")


def _answer_iq(found: re.Match[bytes]) -> bytes:
    one = dict(_ATTRIBUTE.findall(found[1]))
    if one.get(b"type") not in (b"get", b"set"):
        return b""
    head = b"from='%b' to='%b' id='%b'" % (
        one.get(b"to", b""),
        one.get(b"from", b""),
        one.get(b"id", b""),
    )
    if b"urn:xmpp:ping" in (found[2] or b""):
        return b"<iq type='result' %b/>" % head
    return b"<iq type='error' %b>%b</iq>" % (head, _NOT_FOUND)


def _unfinished(data: bytes, start: int) -> int:
    """Return where a request begins that is not whole yet; the end when there is none."""
    at = data.rfind(b"<iq", start)
    if at < 0:
        at = data.rfind(b"<", start)
        if at < 0 or data.find(b">", at) >= 0:
            return len(data)
    return at
