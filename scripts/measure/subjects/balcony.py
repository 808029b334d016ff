"""Balcony itself: `balcony run` with a real configuration file and its SQLite store on disk.

The users are registered through the gateway (`jabber:iq:register`), once for each network and
number of users; each run has a copy of the store. A sign-on is a registered user's presence to the
gateway. What follows within seconds is charged, too: the gateway asks the client what it can do,
offers the contact list and keeps what it offered.
"""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from scripts.measure.link import Count, Link
from scripts.measure.names import CONTACTS, DOMAIN, GATEWAY, SECRET, BenchFailed, user_jid
from scripts.measure.process import START_SECONDS, module_command, wait_until
from scripts.measure.subjects.base import Place, Subject

REGISTERED_AT_ONCE = 100
REGISTER_SECONDS = 30  # for so many
GREETED_A_SECOND = 50  # at the least, after START_SECONDS
GREETING_QUIET_SECONDS = 0.5
STOP_SECONDS = 60
LINK_SECONDS = 60

# Sign-ons begin at once: the pace that spares a service is not what is measured.
_CONFIGURATION = """\
[store]
url = "sqlite:///balcony.db"
key_file = "balcony.key"

[[component]]
jid = "{gateway}"
domain = "{domain}"
server = "127.0.0.1:{port}"
secret = "{secret}"
network = "{network}"
sign_on_limit = 1000
sign_on_rate = 100000

[component.service]
host = "127.0.0.1"
port = {legacy_port}
tls = "off"
"""


class Balcony(Subject):
    peers: ClassVar[Mapping[str, str]] = {"emu": "emu", "aim": "oscar"}

    def __init__(self, place: Place, network: str) -> None:
        super().__init__(place)
        self.network = self.name = network
        self.samples: Path | None = None
        """The folder for samples; None: it is not sampled."""
        # It offers contacts after a second of silence, and its garbage collector may take long.
        self.quiet_seconds = 1.5 + place.users / 1000

    @property
    def configuration(self) -> Path:
        return self.place.folder / "balcony.toml"

    @property
    def online_marker(self) -> bytes:
        return f"from='c{CONTACTS - 1}@{GATEWAY}'".encode()

    def peer_module(self) -> str:
        return self.peers[self.network]

    def command(self, legacy_port: int) -> list[str]:
        text = _CONFIGURATION.format(
            gateway=GATEWAY,
            domain=DOMAIN,
            port=self.place.port,
            secret=SECRET,
            network=self.network,
            legacy_port=legacy_port,
        )
        self.configuration.write_text(text, "utf-8")
        arguments = ("gateway", "run", "--config", self.configuration)
        if self.samples is None:
            return module_command(*arguments)
        return module_command("scripts.measure.sampler", self._sample_file, *arguments)

    @property
    def _sample_file(self) -> Path:
        return self.place.folder / "samples"

    @contextmanager
    def sampled(self, part: str) -> Iterator[None]:
        if self.samples is None:
            yield
            return
        self.process.send_signal(signal.SIGUSR1)
        yield
        self.process.send_signal(signal.SIGUSR2)
        wait_until(self._sample_file.exists, "the samples")
        self._sample_file.rename(self.samples / f"{self.name}-{self.place.users}-{part}.stacks")

    def prepare(self) -> None:
        """Make a folder with key and configuration."""
        command = module_command("gateway", "init", self.place.folder, "--network", self.network)
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=START_SECONDS)
        except subprocess.SubprocessError as exc:
            raise BenchFailed(f"balcony init failed: {exc}") from exc

    def greet(self, link: Link) -> None:
        """Wait until the registered users have been told and probed, at the gateway's pace."""
        end = time.perf_counter() + START_SECONDS + self.place.users / GREETED_A_SECOND
        while link.probes < self.place.users and time.perf_counter() < end:
            link.receive(0.2)
        link.settle(GREETING_QUIET_SECONDS)

    def end_in_order(self, link: Link) -> None:
        """End it by SIGTERM while the link is up, as in an upgrade: all users are signed out."""
        self.process.stop_while(lambda: link.receive(0.2), STOP_SECONDS)
        link.close()

    def complaints(self) -> list[str]:
        """Return the lines of its log that tell of an error."""
        text = self.process.log.read_text("utf-8", "replace") if self._process else ""
        return [one for one in text.splitlines() if " ERROR " in one or "Traceback" in one]

    def register_all(self, listener: socket.socket, said: Callable[[str], None]) -> None:
        """Register all users through the running gateway, then end it in order."""
        users, began = self.place.users, time.perf_counter()
        self.start()
        link = Link.accept(listener, self.process.check_alive, LINK_SECONDS)
        try:
            results, errors = Count(b"type='result'"), Count(b"type='error'")
            for first in range(0, users, REGISTERED_AT_ONCE):
                batch = range(first, min(first + REGISTERED_AT_ONCE, users))
                link.send(b"".join(map(_registration, batch)))
                end = time.perf_counter() + REGISTER_SECONDS
                while results.n < batch.stop:
                    data = link.receive(0.2)
                    results.feed(data)
                    if errors.feed(data) or time.perf_counter() > end:
                        raise BenchFailed(f"registered {results.n} of {users}, {errors.n} refused")
            link.settle(GREETING_QUIET_SECONDS)
            self.end_in_order(link)
        finally:
            link.close()
        said(f"{self.name}: {users} users registered in {time.perf_counter() - began:.1f} s")


def _registration(user: int) -> bytes:
    return (
        f"<iq type='set' from='{user_jid(user)}/bench' to='{GATEWAY}' id='register{user}'>"
        f"<query xmlns='jabber:iq:register'><username>u{user}</username>"
        "<password>secret</password></query></iq>"
    ).encode()


def copy_store(prepared: Path, folder: Path) -> None:
    """Copy key and store of a gateway that has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (prepared / "balcony.key", *prepared.glob("balcony.db*")):
        shutil.copy2(path, folder)
