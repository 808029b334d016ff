"""A Jabber client to drive from Trio: slixmpp in a process of its own (`jabber_process.py`).

What it receives is kept until somebody asks for it: `expect` takes the oldest stanza that fits and
leaves the others, `nothing_more` fails when any is left. Failures show the whole conversation.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import IO
from xml.etree.ElementTree import Element, SubElement, tostring

import attrs
import trio
from defusedxml.ElementTree import fromstring

from scripts.lab.processes import REPOSITORY

PATIENCE_SECONDS = 10
ANSWER_SECONDS = 30
LEAVE_SECONDS = 8
READ_BYTES = 65536

CLIENT = "jabber:client"
CHAT_STATES = "http://jabber.org/protocol/chatstates"
PING = "urn:xmpp:ping"

NAMESPACES = {
    "": CLIENT,
    "stanzas": "urn:ietf:params:xml:ns:xmpp-stanzas",
    "states": CHAT_STATES,
    "disco-info": "http://jabber.org/protocol/disco#info",
    "disco-items": "http://jabber.org/protocol/disco#items",
    "register": "jabber:iq:register",
    "roster": "jabber:iq:roster",
    "rosterx": "http://jabber.org/protocol/rosterx",
    "gateway": "jabber:iq:gateway",
    "search": "jabber:iq:search",
    "commands": "http://jabber.org/protocol/commands",
    "data": "jabber:x:data",
    "receipts": "urn:xmpp:receipts",
    "delay": "urn:xmpp:delay",
    "vcard": "vcard-temp",
    "nick": "http://jabber.org/protocol/nick",
}
"""The prefixes of paths given to `expect`; names without a prefix are the stanza's own."""


class NotSeen(AssertionError):
    """What was waited for did not come, or more came than was waited for."""


@attrs.frozen
class Received:
    """One stanza as it came."""

    xml: str
    element: Element = attrs.field(repr=False, eq=False)

    @property
    def kind(self) -> str:
        """`message`, `presence` or `iq`."""
        return self.element.tag.removeprefix(f"{{{CLIENT}}}")

    @property
    def from_(self) -> str:
        return self.element.get("from", "")

    @property
    def to(self) -> str:
        return self.element.get("to", "")

    @property
    def id(self) -> str:
        return self.element.get("id", "")

    @property
    def type(self) -> str:
        return self.element.get("type", "")

    @property
    def body(self) -> str:
        return self.text("body")

    @property
    def show(self) -> str:
        return self.text("show")

    @property
    def status(self) -> str:
        return self.text("status")

    @property
    def chat_state(self) -> str:
        """`composing`, `paused`, …, or nothing."""
        prefix = f"{{{CHAT_STATES}}}"
        states = (child.tag.removeprefix(prefix) for child in self.element if prefix in child.tag)
        return next(states, "")

    @property
    def condition(self) -> str:
        """The condition of a stanza error, as `item-not-found`, or nothing."""
        found = self.element.find("error/*", NAMESPACES)
        return "" if found is None else found.tag.rpartition("}")[2]

    def find(self, path: str) -> Element | None:
        """Find a descendant; prefixes are those of `NAMESPACES`."""
        return self.element.find(path, NAMESPACES)

    def text(self, path: str) -> str:
        """Return the text at `path`, or nothing."""
        return self.element.findtext(path, "", NAMESPACES)

    def fits(self, path: str) -> bool:
        """Say whether the stanza is at `path`: `message[@type='chat']/body`."""
        above = Element("stream")
        above.append(self.element)
        return above.find(path, NAMESPACES) is not None


Match = str | Callable[[Received], bool]
"""A path (see `Received.fits`), or a function that says yes or no."""


class Jabber:
    """One Jabber client. Several tasks may use it."""

    def __init__(self, name: str, process: trio.Process, errors: IO[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process needs pipes")
        self.name = name
        self.jid = ""  # full, once logged in
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._errors = errors
        self._numbers = count(1)
        self._unread = bytearray()
        self._reading = trio.Lock()
        self._writing = trio.Lock()
        self._lines_read = 0
        self._ended = True
        self._waiting: list[Received] = []
        self._answers: dict[int, str | ConnectionError] = {}
        self._transcript: list[str] = []

    # --- what it does

    async def login(
        self, jid: str, password: str, port: int, resource: str = "", host: str = "127.0.0.1"
    ) -> str:
        """Log in and return the full JID; no roster is asked for, no presence sent.

        Raises `ConnectionError` saying why when the server refuses.
        """
        address = f"{jid}/{resource}" if resource else jid
        self.jid = await self._order(
            do="login", jid=address, password=password, host=host, port=port
        )
        self._ended = False
        self._transcript.append(f"--- {self.jid} logged in")
        return self.jid

    async def logout(self) -> None:
        """End the stream in order."""
        await self._order(do="logout")

    async def drop(self) -> None:
        """Cut the connection, as a lost network does."""
        await self._order(do="drop")

    async def send(self, stanza: str | Element) -> None:
        """Send a stanza literally as it stands. Raises `ConnectionError` when not logged in."""
        xml = stanza if isinstance(stanza, str) else tostring(stanza, "unicode")
        self._transcript.append(f">>> {xml}")
        await self._order(do="send", xml=xml)

    async def presence(
        self, show: str = "", status: str = "", *, type_: str = "", to: str = ""
    ) -> None:
        """Send presence: to everybody, or directed, or with a type (`subscribe`…)."""
        stanza = _stanza("presence", to=to, type=type_)
        _add_text(stanza, "show", show)
        _add_text(stanza, "status", status)
        await self.send(stanza)

    async def message(self, to: str, body: str = "", *, chat_state: str = "", id_: str = "") -> str:
        """Send a chat message, a chat state, or both; return the stanza's id."""
        stanza = _stanza("message", to=to, type="chat", id=id_ or self._new_id())
        _add_text(stanza, "body", body)
        if chat_state:
            SubElement(stanza, chat_state, xmlns=CHAT_STATES)
        await self.send(stanza)
        return stanza.get("id", "")

    async def iq(self, to: str, payload: str | Element, type_: str = "get") -> Received:
        """Send a request and return its answer, a result or an error. No `to`: the own account."""
        stanza = _stanza("iq", to=to, type=type_, id=self._new_id())
        stanza.append(fromstring(payload) if isinstance(payload, str) else payload)
        await self.send(stanza)
        number = stanza.get("id")
        return await self.expect(
            lambda came: came.kind == "iq" and came.id == number and came.type in _ANSWERS
        )

    async def ask_roster(self) -> Received:
        """Ask for the roster; from then on the server sends its changes too."""
        return await self.iq("", '<query xmlns="jabber:iq:roster"/>')

    # --- what it sees

    async def expect(self, match: Match, seconds: float = PATIENCE_SECONDS) -> Received:
        """Wait for a stanza that fits and take it; the oldest that fits, the others stay.

        Raises `NotSeen` after `seconds`, or when the connection ended, with the conversation.
        """
        with trio.move_on_after(seconds):
            while True:
                for index, came in enumerate(self._waiting):
                    if _fits(came, match):
                        return self._waiting.pop(index)
                if self._ended:
                    raise NotSeen(self._story(f"{_name_of(match)} cannot come: the stream ended"))
                await self._read_more()
        raise NotSeen(self._story(f"{_name_of(match)} did not come in {seconds} s"))

    async def take_all(self, match: Match = "*", *, through: str = "") -> list[Received]:
        """Take all that came and fits, oldest first.

        A ping to `through`, by default the own server, goes first: what was sent to us before its
        answer is here when the answer is.
        """
        await self.iq(
            through or self.jid.partition("@")[2].partition("/")[0], f'<ping xmlns="{PING}"/>'
        )
        waiting, self._waiting = self._waiting, []
        taken: list[Received] = []
        for came in waiting:
            (taken if _fits(came, match) else self._waiting).append(came)
        return taken

    async def nothing_more(self, match: Match = "*", *, through: str = "") -> None:
        """Raise `NotSeen` when a stanza that fits came and nobody expected it: see `take_all`."""
        more = [came.xml for came in await self.take_all(match, through=through)]
        if more:
            raise NotSeen(self._story("more came than was expected:\n" + "\n".join(more)))

    def forget(self) -> None:
        """Drop what has come so far and was not expected."""
        self._waiting.clear()

    @property
    def transcript(self) -> str:
        """Everything sent and received, oldest first."""
        return "\n".join(self._transcript)

    # --- the process

    async def _order(self, **order: object) -> str:
        number = next(self._numbers)
        line = json.dumps({"number": number, **order}) + "\n"
        with trio.move_on_after(ANSWER_SECONDS):
            async with self._writing:
                await self._stdin.send_all(line.encode())
            while number not in self._answers:
                await self._read_more()
            answer = self._answers.pop(number)
            if isinstance(answer, ConnectionError):
                raise answer
            return answer
        raise NotSeen(self._story(f"the client process did not answer {order['do']}"))

    async def _read_more(self) -> None:
        """Wait until at least one more line was read, by this task or another."""
        before = self._lines_read
        async with self._reading:
            while self._lines_read == before:
                data = await self._stdout.receive_some(READ_BYTES)
                if not data:
                    raise NotSeen(self._story("the client process ended"))
                self._unread += data
                *lines, self._unread = self._unread.split(b"\n")
                for line in lines:
                    self._take(bytes(line))

    def _take(self, line: bytes) -> None:
        self._lines_read += 1
        told = json.loads(line)
        if "stanza" in told:
            self._transcript.append(f"<<< {told['stanza']}")
            self._waiting.append(Received(told["stanza"], fromstring(told["stanza"])))
        elif "ended" in told:
            self._ended = True
            self._transcript.append(f"--- the stream ended {told['ended']}".rstrip())
        elif "failed" in told:
            self._answers[told["failed"]] = ConnectionError(told["why"])
        else:
            self._answers[told["done"]] = told["answer"]

    def _new_id(self) -> str:
        return f"{self.name}-{next(self._numbers)}"

    def _story(self, what: str) -> str:
        self._errors.seek(0)
        errors = self._errors.read().decode("utf-8", "replace").strip()
        return "\n".join(
            (f"{self.name}: {what}", "conversation so far:", self.transcript or "(none)", errors)
        )


@asynccontextmanager
async def jabber_client(name: str = "client") -> AsyncGenerator[Jabber, None]:
    """Start a Jabber client; leaving logs it out and ends its process."""
    with tempfile.TemporaryFile() as errors:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "scripts.lab.jabber_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=REPOSITORY,
            start_new_session=True,
        )
        try:
            yield Jabber(name, process, errors)
        finally:
            await _end(process)


async def _end(process: trio.Process) -> None:
    """Close its input, which makes it log out and end; kill it when it does not."""
    with trio.move_on_after(LEAVE_SECONDS, shield=True):
        if process.stdin is not None:
            await process.stdin.aclose()
        # What it still writes must find a reader, or it never ends.
        if process.stdout is not None:
            while await process.stdout.receive_some(READ_BYTES):
                pass
        await process.wait()
    if process.poll() is None:
        process.kill()
        with trio.move_on_after(LEAVE_SECONDS, shield=True):
            await process.wait()
    if process.stdout is not None:
        await process.stdout.aclose()


_ANSWERS = ("result", "error")


def _stanza(kind: str, **attributes: str) -> Element:
    return Element(kind, {name: value for name, value in attributes.items() if value})


def _add_text(stanza: Element, name: str, text: str) -> None:
    if text:
        SubElement(stanza, name).text = text


def _fits(came: Received, match: Match) -> bool:
    return came.fits(match) if isinstance(match, str) else match(came)


def _name_of(match: Match) -> str:
    return match if isinstance(match, str) else getattr(match, "__qualname__", repr(match))
