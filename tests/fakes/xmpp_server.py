"""The XMPP server's end of a component link, played by a test in literal stanzas.

It does the handshake, answers the gateway's own pings to the server's domain, as any server does,
and its questions to users' clients, as clients do that can nothing special, and takes no notice of
its welcome; everything else a test sends and expects itself. It uses nothing of the gateway.
"""

import hashlib
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

import trio

from tests.fakes.interpreter import Interpreter
from tests.fakes.stanzas import COMPONENT, differences, parse, show

STREAM = "http://etherx.jabber.org/streams"
PING = "{urn:xmpp:ping}ping"
DISCO = "{http://jabber.org/protocol/disco#info}query"
EXPECT_SECONDS = 10
GIVE_UP_SECONDS = 3_600  # where a test sets no bound: on a simulated clock, an hour is nothing


class Unexpected(AssertionError):
    """What came is not what the test wrote down; the transcript is in the message."""


class Connection:
    """One accepted component connection after its handshake."""

    def __init__(self, stream: trio.abc.Stream, domain: str, interpreter: Interpreter) -> None:
        self._stream = stream
        self._domain = domain
        self.interpreter = interpreter
        self._parser: ET.XMLPullParser[Any] = ET.XMLPullParser(("start", "end"))
        self._depth = 0
        self._sending = trio.Lock()
        self._arrived: deque[ET.Element] = deque()
        self._news = trio.Event()
        self.transcript: list[str] = []
        self.ended = trio.Event()
        self.answer_pings = True
        self.answer_disco = True
        self.client_features = "<feature var='http://jabber.org/protocol/disco#info'/>"
        self.skip_welcome = True
        self.opened: dict[str, str] = {}
        self.received = bytearray()

    @property
    def closed_in_order(self) -> bool:
        """Whether the gateway has closed the stream, rather than the connection alone."""
        return bool(self.opened) and self._depth == 0

    async def accept(self, stream_id: str, secret: str) -> bool:
        """Do the handshake. Returns whether the secret was right."""
        while not self.opened:
            self._feed(await self._stream.receive_some())
        await self._write(
            f"<?xml version='1.0'?><stream:stream xmlns='{COMPONENT}' xmlns:stream='{STREAM}' "
            f"from='{self.opened.get('to')}' id='{stream_id}'>"
        )
        digest = hashlib.sha1((stream_id + secret).encode()).hexdigest()  # noqa: S324 - XEP-0114
        while not self._arrived:
            self._feed(await self._stream.receive_some())
        handshake = self._arrived.popleft()
        if handshake.tag != f"{{{COMPONENT}}}handshake" or handshake.text != digest:
            await self.stream_error("not-authorized")
            return False
        await self._write("<handshake/>")
        return True

    async def read(self) -> None:
        """Read until the gateway closes; to be run in a task of its own."""
        try:
            while data := await self._stream.receive_some():
                self._feed(data)
                await self._answer_pings()
                await self._answer_disco()
                self._skip_welcome()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.ended.set()
        self._news.set()

    async def send(self, literal: str) -> None:
        """Send literal stanzas as they stand."""
        self.transcript.append(f"sent {literal}")
        await self._write(literal)

    async def _write(self, text: str) -> None:
        async with self._sending:
            await self._stream.send_all(self.interpreter.to_network(text).encode())

    async def stream_error(self, condition: str) -> None:
        await self._write(
            f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
            "</stream:error></stream:stream>"
        )

    async def expect(self, literal: str) -> ET.Element:
        """Wait for the next stanza, which has to be this one (see `differences`)."""
        wanted = parse(literal)
        with trio.move_on_after(EXPECT_SECONDS) as scope:
            found = await self.next_stanza()
        if scope.cancelled_caught:
            self._fail(f"nothing came within {EXPECT_SECONDS} s; expected {literal}")
        if wrong := list(differences(wanted, found)):
            self._fail("; ".join(wrong) + f"\nexpected {literal}\ncame     {show(found)}")
        return found

    async def expect_all(self, *literals: str) -> None:
        """Wait for these stanzas in whatever order."""
        wanted = [parse(literal) for literal in literals]
        while wanted:
            with trio.move_on_after(EXPECT_SECONDS):
                found = await self.next_stanza()
                match = next((one for one in wanted if not list(differences(one, found))), None)
                if match is None:
                    missing = "\n  ".join(show(one) for one in wanted)
                    self._fail(f"came {show(found)}\nexpected one of\n  {missing}")
                wanted.remove(match)
                continue
            missing = "\n  ".join(show(one) for one in wanted)
            self._fail(f"nothing came within {EXPECT_SECONDS} s; expected\n  {missing}")

    async def next_stanza(self) -> ET.Element:
        found = await self._next()
        self.transcript.append(f"came {show(found)}")
        return found

    async def nothing_more(self, user: str, gateway: str) -> None:
        """Ping the gateway as `user`: nothing may come before the answer, nor right after it."""
        await self.send(
            f"<iq type='get' id='barrier' from='{user}' to='{gateway}'>"
            "<ping xmlns='urn:xmpp:ping'/></iq>"
        )
        await self.expect(f"<iq type='result' id='barrier' from='{gateway}' to='{user}'/>")
        self.check_nothing_came()

    def check_nothing_came(self) -> None:
        if self._arrived:
            self._fail(f"nothing more was expected, but came {show(self._arrived[0])}")

    async def cut(self) -> None:
        """Close the connection without a word."""
        await trio.aclose_forcefully(self._stream)

    def _fail(self, why: str) -> NoReturn:
        recent = "\n".join(line[:400] for line in self.transcript[-30:])
        raise Unexpected(f"{why}\n--- transcript ---\n{recent}")

    async def _next(self) -> ET.Element:
        while not self._arrived:
            if self.ended.is_set():
                self._fail("the gateway closed the stream")
            self._news = trio.Event()
            with trio.move_on_after(GIVE_UP_SECONDS) as scope:
                await self._news.wait()
            if scope.cancelled_caught:
                self._fail("nothing more came")
        return self._arrived.popleft()

    async def _answer_pings(self) -> None:
        if not self.answer_pings:
            return
        to_us = [one for one in self._arrived if one.get("to") == self._domain]
        pings = [one for one in to_us if one.find(PING) is not None]
        for one in pings:  # before a test, which reads beside us, can take one for its own
            self._arrived.remove(one)
        for one in pings:
            await self._write(
                f"<iq type='result' id='{one.get('id')}' from='{self._domain}' "
                f"to='{one.get('from')}'/>"
            )

    async def _answer_disco(self) -> None:
        for one in [one for one in self._arrived if self.answer_disco and one.get("type") == "get"]:
            if (question := one.find(DISCO)) is None:
                continue
            self._arrived.remove(one)
            node = f" node='{question.get('node')}'" if question.get("node") else ""
            await self._write(
                f"<iq type='result' id='{one.get('id')}' from='{one.get('to')}' "
                f"to='{one.get('from')}'><query xmlns='http://jabber.org/protocol/disco#info'{node}>"
                "<identity category='client' type='pc'/>"
                f"{self.client_features}</query></iq>"
            )

    def _skip_welcome(self) -> None:
        for one in [one for one in self._arrived if self.skip_welcome]:
            if (one.findtext(f"{{{COMPONENT}}}body") or "").startswith("Welcome to "):
                self._arrived.remove(one)

    def _feed(self, data: bytes | bytearray) -> None:
        if not data:
            raise trio.BrokenResourceError("closed during the handshake")
        self.received += data
        self._parser.feed(data)
        for event, element in list[Any](self._parser.read_events()):
            assert isinstance(element, ET.Element)
            if event == "start":
                self._depth += 1
                if self._depth == 1:
                    self.opened = dict(element.attrib)
                continue
            self._depth -= 1
            if self._depth == 1:
                self._arrived.append(self.interpreter.heard(element))
        self._news.set()


class XmppServer:
    """A listening port for one component."""

    def __init__(
        self, domain: str, secret: str, port: int, interpreter: Interpreter | None = None
    ) -> None:
        self.domain = domain
        self._interpreter = interpreter or Interpreter()
        self.secret = secret
        self.port = port
        self.newest: Connection
        self.refusing = False
        self._accepted, self._connections = trio.open_memory_channel[Connection](10)

    async def connection(self) -> Connection:
        """Wait for the gateway to connect, with the right secret."""
        with trio.fail_after(EXPECT_SECONDS):
            return await self._connections.receive()

    async def handle(self, stream: trio.abc.Stream) -> None:
        async with stream:
            if self.refusing:
                return
            connection = Connection(stream, self.domain, self._interpreter)
            if await connection.accept("stream-1", self.secret):
                connection.transcript.append("--- link up ---")
                self.newest = connection
                self._accepted.send_nowait(connection)
                await connection.read()


@asynccontextmanager
async def xmpp_server(domain: str, secret: str) -> AsyncGenerator[XmppServer, None]:
    """Serve one component on a free loopback port."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = XmppServer(domain, secret, listeners[0].socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, server.handle, listeners)
        yield server
        nursery.cancel_scope.cancel()
