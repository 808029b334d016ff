"""The emulated legacy service as a part of the world: one object over `legacy_emu`."""

from collections.abc import Iterator
from datetime import datetime
from random import Random

import attrs
import trio

from legacy_emu.events import Listener, Look, Refusal
from legacy_emu.faults import Fault, Kind
from legacy_emu.fronts import websocket
from legacy_emu.people import Session
from legacy_emu.service import Service
from tests.simulation.host import virtual_now

PASSWORD = "secret"
PASSING = (Refusal.BUSY, Refusal.TOO_MANY_ATTEMPTS)


@attrs.frozen
class Accepted:
    """A message the service has taken."""

    id: str
    sender: str
    to: str
    text: str


@attrs.frozen
class _Place:
    """Where the service lives: its randomness, and the virtual calendar."""

    random: Random

    def now(self) -> datetime:
        return virtual_now()


class LegacyService:
    """Accounts and people are plain methods; the gateway comes in through `serve`."""

    def __init__(self, seed: int) -> None:
        self.service = Service(_Place(Random(f"{seed}/legacy")))
        self.backend = self.service.backend
        self.refused: dict[str, bool] = {}  # whose sign-on was refused in a way that does not pass

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection of a client."""
        await websocket.serve(stream, self.service)

    def create_account(self, name: str) -> None:
        self.backend.create_account(name, PASSWORD)

    def befriend(self, name: str, other: str) -> None:
        self.backend.befriend(name, other)

    def sign_on(self, name: str, listener: Listener) -> Session:
        return self.backend.sign_on(name, PASSWORD, listener)

    def send(self, sender: str, to: str, text: str) -> None:
        self.backend.send_message(sender, to, text)

    def look(self, name: str, seen_by: str) -> Look:
        return self.backend.look_of(name, seen_by)

    def is_online(self, name: str) -> bool:
        return bool(self.backend.person(name).sessions)

    def accepted(self) -> Iterator[Accepted]:
        """Yield every message taken, oldest first."""
        for entry in self.backend.record.entries(kind="message"):
            id_, fields = entry.fields["id"], entry.fields
            if id_ is not None:
                yield Accepted(str(id_), entry.account, str(fields["to"]), str(fields["text"]))

    def kept(self, name: str) -> tuple[str, ...]:
        """Return the ids of what waits for this account."""
        return self.backend.kept_ids(name)

    def kick(self, name: str) -> None:
        self.backend.kick(name)

    def refuse(self, name: str, reason: Refusal, times: int) -> None:
        """Refuse the next sign-ons of this account."""
        if reason not in PASSING:
            self.refused[name] = True
        fault = Fault(kind=Kind.REFUSE, account=name, times=times, reason=reason)
        self.service.faults.set(fault)

    def accept_everybody(self) -> None:
        self.service.faults.clear()
