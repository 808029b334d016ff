"""A host whose services are in memory, a server written by hand, and a receiver that remembers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random  # noqa: TID251 - seeded
from typing import TypeVar, cast
from xml.etree.ElementTree import Element, XMLPullParser

import sqlalchemy
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair

from gateway.errors import ConnectionLost
from gateway.host import Address, FileLock, Listening
from gateway.xmpp.component import LinkSettings
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Stanza

T = TypeVar("T")
MemoryStream = trio.StapledStream[MemorySendStream, MemoryReceiveStream]

STREAM_ID = "3&a"
DIGEST = "a3400ffe2a4bd8835f83a3059571a44519167661"  # printf '3&as3cret' | sha1sum
ACCEPT = "{jabber:component:accept}"
OWN = Jid("", "aim.example")
ROMEO = Jid("romeo", "montague.lit", "orchard")
JULIET = Jid("juliet", "aim.example")
SETTINGS = LinkSettings(
    jid=OWN, domain="montague.lit", server=Address("127.0.0.1", 5347), secret="s3cret"
)
HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
    b"xmlns='jabber:component:accept' id='3&amp;a' from='aim.example'>"
)


def stream_error(condition: str) -> bytes:
    return (
        f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        "</stream:error></stream:stream>"
    ).encode()


class Peer:
    """The server's end of one connection. Reads with a parser that is not ours."""

    def __init__(self, stream: MemoryStream, ours: MemoryStream) -> None:
        self.stream = stream
        self.ours = ours  # the gateway's end, to be tampered with
        self.raw = b""
        self.header: Element | None = None
        self.closed = False
        self._parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        self._depth = 0
        self._found: list[Element] = []

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def accept(self) -> None:
        """Play the server's part until the handshake is accepted."""
        while self.header is None:
            await self._read()
        await self.send(HEADER)
        handshake = await self.next()
        assert (handshake.tag, handshake.text) == (f"{ACCEPT}handshake", DIGEST)
        await self.send(b"<handshake/>")

    async def next(self) -> Element:
        """Return the next element of the stream."""
        while not self._found:
            assert await self._read(), "the stream ended"
        return self._found.pop(0)

    async def read_to_the_end(self) -> list[Element]:
        """Read until the gateway closes; return what came."""
        while await self._read():
            pass
        return self._found

    async def read_to_the_end_of_stream(self) -> None:
        """Read until the gateway sends its closing tag."""
        while not self.closed:
            assert await self._read(), "the connection ended first"

    async def answer_ping(self) -> Element:
        """Answer the next element, which must be a ping, with a result; return the ping."""
        ping = await self.next()
        assert ping.find("{urn:xmpp:ping}ping") is not None
        await self.send(result_for(ping))
        return ping

    async def waiting(self) -> list[Element]:
        """Return what arrives within an instant: for "and nothing more came"."""
        with trio.move_on_after(0.01):
            while await self._read():
                pass
        found, self._found = self._found, []
        return found

    async def _read(self) -> bool:
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            return False
        self._feed(bytes(data))
        return bool(data)

    def _feed(self, data: bytes) -> None:
        self.raw += data
        self._parser.feed(data)
        for found in self._parser.read_events():
            event, element = cast(tuple[str, Element], found)
            if event == "start":
                self._depth += 1
                if self._depth == 1:
                    self.header = element
                continue
            self._depth -= 1
            if self._depth == 1:
                self._found.append(element)
            elif self._depth == 0:
                self.closed = True


def result_for(iq: Element) -> bytes:
    sender, to, id_ = iq.get("to"), iq.get("from"), iq.get("id")
    return f"<iq type='result' from='{sender}' to='{to}' id='{id_}'/>".encode()


def error_for(iq: Element, condition: str | None) -> bytes:
    inside = f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" if condition else ""
    start = result_for(iq).replace(b"'result'", b"'error'").removesuffix(b"/>")
    return start + f"><error type='cancel'>{inside}</error></iq>".encode()


class FakeHost:
    """The outside world: every dial is answered by a `Peer`.

    It is refused while `refusing`, and never ends when `silent`.
    """

    def __init__(self, *, refusing: bool = False, silent: bool = False) -> None:
        self.random = Random(7)  # noqa: S311 - jitter
        self.refusing = refusing
        self.silent = silent
        self.dialled_at: list[float] = []
        self._put, self._get = trio.open_memory_channel[Peer](100)

    async def accepted(self) -> Peer:
        """Wait for the next connection."""
        return await self._get.receive()

    async def up(self) -> Peer:
        """Wait for the next connection, and play it until it is up."""
        peer = await self.accepted()
        await peer.accept()
        return peer

    def now(self) -> datetime:
        return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=trio.current_time())

    def token_bytes(self, count: int) -> bytes:
        return bytes(range(count))

    async def dial(self, address: Address) -> trio.abc.Stream:
        assert address == SETTINGS.server
        self.dialled_at.append(trio.current_time())
        if self.silent:
            await trio.sleep_forever()
        if self.refusing:
            raise ConnectionLost(f"cannot connect to {address}: refused")
        ours, theirs = memory_stream_pair()
        self._put.send_nowait(Peer(theirs, ours))
        return ours

    async def listen(self, address: Address) -> Listening:
        raise NotImplementedError

    async def run_blocking(self, call: Callable[[], T]) -> T:
        raise NotImplementedError

    def open_engine(self, url: str) -> sqlalchemy.Engine:
        raise NotImplementedError

    def lock_file(self, path: Path) -> FileLock:
        raise NotImplementedError


class Recorder:
    """A receiver that remembers, in order, what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.taken: list[Stanza] = []
        self.on_up: Callable[[], None] = lambda: None
        self.on_proven: Callable[[], None] = lambda: None

    def link_up(self) -> None:
        self.told.append("up")
        self.on_up()

    def link_down(self, why: str) -> None:
        self.told.append(f"down: {why}")

    def take(self, stanza: Stanza) -> None:
        self.told.append("stanza")
        self.taken.append(stanza)

    def proven(self, upto: int) -> None:
        self.told.append(f"proven {upto}")
        self.on_proven()
