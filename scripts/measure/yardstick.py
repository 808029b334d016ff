"""The least that a Trio component with legacy connections can do: not a gateway, a yardstick.

    python -m scripts.measure.yardstick XMPP_PORT LEGACY_PORT CONTACTS

Each stanza is handled in the task that reads the link. Each user has a TCP connection, a task that
reads it and one that writes it. What has gathered is written in one send. A message is acknowledged
(XEP-0184) and goes to the legacy side; what comes from there goes to the user. There is no store,
no roster, no error handling and no bound.
"""

import hashlib
import sys
from collections.abc import Callable
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import trio

from scripts.measure.names import GATEWAY, SECRET

READ_BYTES = 65536
OPENING = (
    f"<stream:stream xmlns='jabber:component:accept' to='{GATEWAY}'"
    " xmlns:stream='http://etherx.jabber.org/streams'>"
)


class Element:
    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name, self.attributes = name, attributes
        self.text = ""
        self.children: list[Element] = []

    def child(self, name: str) -> "Element | None":
        for child in self.children:
            if child.name == name:
                return child
        return None


class Parser:
    """A stream's bytes in, its stanzas out."""

    def __init__(self) -> None:
        self.stream_id: str | None = None
        self._open: list[Element] = []
        self._stanzas: list[Element] = []
        self._expat = expat.ParserCreate(namespace_separator=" ")
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._characters

    def feed(self, data: bytes | bytearray) -> list[Element]:
        self._expat.Parse(bytes(data), False)
        stanzas, self._stanzas = self._stanzas, []
        return stanzas

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes)
        if not self._open:
            self.stream_id = attributes.get("id")
        elif len(self._open) > 1:
            self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, name: str) -> None:
        element = self._open.pop()
        if len(self._open) == 1:
            self._stanzas.append(element)

    def _characters(self, text: str) -> None:
        self._open[-1].text += text


class Writer:
    """Gathers what is to be sent on a stream; `run` sends it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._waiting: list[str] = []
        self._wake = trio.Event()

    def write(self, text: str) -> None:
        if not self._waiting:
            self._wake.set()
        self._waiting.append(text)

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            waiting, self._waiting = self._waiting, []
            self._wake = trio.Event()
            await self._stream.send_all("".join(waiting).encode())


class Session:
    """One user: a legacy connection, and what is known of the contacts."""

    _messages = 0

    def __init__(self, user: str, write: Callable[[str], None]) -> None:
        self._user = quoteattr(user)
        self._write = write
        self._shows: dict[str, str] = {}

    async def run(self, legacy_port: int, contacts: int) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", legacy_port)
        self._legacy = Writer(stream)
        for number in range(contacts):
            self._show(f"c{number}", "online")
        self._write(f"<presence from='{GATEWAY}' to={self._user}><show>chat</show></presence>")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._legacy.run)
            rest = b""
            while data := await stream.receive_some(READ_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._handle_line(line)
            nursery.cancel_scope.cancel()

    def handle_message(self, message: Element) -> None:
        attributes = message.attributes
        body = message.child("jabber:component:accept body")
        assert body is not None
        if message.child("urn:xmpp:receipts request") is not None:
            self._write(
                f"<message type='chat' from={quoteattr(attributes['to'])}"
                f" to={quoteattr(attributes['from'])}><received xmlns='urn:xmpp:receipts'"
                f" id={quoteattr(attributes['id'])}/></message>"
            )
        self._legacy.write(f"m\t{attributes['to'].partition('@')[0]}\t{body.text}\n")

    def _handle_line(self, line: bytes) -> None:
        kind, contact, text = line.decode().split("\t")
        if kind == "p":
            self._show(contact, text)
            return
        Session._messages += 1
        self._write(
            f"<message type='chat' from={quoteattr(f'{contact}@{GATEWAY}')} to={self._user}"
            f" id='e{self._messages}'><body>{escape(text)}</body>"
            "<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
        )

    def _show(self, contact: str, show: str) -> None:
        self._shows[contact] = show
        inner = "" if show == "online" else f"<show>{escape(show)}</show>"
        from_ = quoteattr(f"{contact}@{GATEWAY}")
        self._write(f"<presence from={from_} to={self._user}>{inner}</presence>")


async def main(xmpp_port: int, legacy_port: int, contacts: int) -> None:
    """Serve the component link until the server closes it."""
    stream = await trio.open_tcp_stream("127.0.0.1", xmpp_port)
    await stream.send_all(OPENING.encode())
    parser = Parser()
    while parser.stream_id is None:
        parser.feed(await stream.receive_some(READ_BYTES))
    digest = hashlib.sha1((parser.stream_id + SECRET).encode(), usedforsecurity=False).hexdigest()
    await stream.send_all(f"<handshake>{digest}</handshake>".encode())
    link = Writer(stream)
    sessions: dict[str, Session] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        while data := await stream.receive_some(READ_BYTES):
            for stanza in parser.feed(data):
                user = stanza.attributes.get("from", "").partition("/")[0]
                if stanza.name == "jabber:component:accept message":
                    sessions[user].handle_message(stanza)
                elif stanza.name == "jabber:component:accept presence" and user not in sessions:
                    session = sessions[user] = Session(user, link.write)
                    nursery.start_soon(session.run, legacy_port, contacts)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
