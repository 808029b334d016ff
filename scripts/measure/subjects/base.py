"""What the bench asks of a subject."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from scripts.measure.link import Link
from scripts.measure.names import CONTACTS, GATEWAY, user_jid
from scripts.measure.process import Process, interruptions_held, module_command

# What phone clients send: about 60 characters, a chat state, a receipt asked for.
BODY = "Shall we meet at the harbour at seven, or is it too late?"


@attrs.frozen
class Place:
    """Where and for whom a subject is started."""

    folder: Path  # empty at the beginning; for this subject alone
    port: int  # of the bench, where components connect
    users: int


@attrs.frozen
class Template:
    """A message without its number, which is its id and ends its body."""

    head: bytes
    body: bytes
    tail: bytes

    def numbered(self, number: bytes) -> bytes:
        return b"".join((self.head, number, self.body, number, self.tail))


class Subject(ABC):
    """One component and the legacy service beneath it, both processes of their own.

    `process` alone is charged. Stopping it stops both.
    """

    name: str
    quiet_seconds: float = 0.5
    """After so long without a stanza it has finished what it was doing."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._process: Process | None = None
        self._peer: Process | None = None
        place.folder.mkdir(parents=True, exist_ok=True)

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    @property
    def peer(self) -> Process:
        assert self._peer is not None
        return self._peer

    @abstractmethod
    def prepare(self) -> None:
        """Make what the start needs, in `place.folder`."""

    @abstractmethod
    def command(self, legacy_port: int) -> list[str]:
        """Return the command of the process that is charged."""

    @abstractmethod
    def peer_module(self) -> str:
        """Return the name of the module in `peers`."""

    @property
    @abstractmethod
    def online_marker(self) -> bytes:
        """Return what comes once for each user, when they are online and see their contacts."""

    def start(self) -> None:
        """Start both processes. Raises `BenchFailed`."""
        if self._peer is None:
            command = module_command(f"scripts.measure.peers.{self.peer_module()}", str(CONTACTS))
            log = self.place.folder / "peer.log"
            with interruptions_held():
                self._peer = Process(f"peer of {self.name}", command, log, pipes=True)
            self._legacy_port = int(self._peer.read_line().split()[-1])
        log = self.place.folder / f"{self.name}.log"
        command = self.command(self._legacy_port)
        with interruptions_held():
            self._process = Process(self.name, command, log)

    def stop(self) -> None:
        """End both processes, the subject first."""
        for one in (self._process, self._peer):
            if one is not None:
                one.stop()

    def greet(self, link: Link) -> None:
        """Take what the component says when its link comes up. Raises `BenchFailed`."""
        link.settle(self.quiet_seconds)

    @contextmanager
    def sampled(self, part: str) -> Iterator[None]:
        """Sample where its time goes inside, where that is asked for and possible."""
        yield

    def change_presence(self, users: int) -> None:
        """Have all contacts of `users` users change their presence."""
        self.peer.write_line(f"change {users}")

    def sign_on(self, user: int) -> bytes:
        return f"<presence from='{user_jid(user)}/bench' to='{GATEWAY}'/>".encode()

    def contact(self, number: int) -> str:
        return f"c{number % CONTACTS}@{GATEWAY}"

    def message(self, user: int) -> Template:
        head = f"<message type='chat' from='{user_jid(user)}/bench' to='{self.contact(user)}' id='m"
        tail = (
            "</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
            "<request xmlns='urn:xmpp:receipts'/></message>"
        )
        return Template(head.encode(), f"'><body>{BODY} ".encode(), tail.encode())
