"""Misbehaviour on request: which faults are set, and a stream that suffers from them.

A fault strikes every connection, or those of one account, or one connection. What strikes bytes
is done here, by `FaultyStream`; what strikes frames each front does, by asking `find` and `take`.
"""

from enum import StrEnum
from typing import Protocol

import attrs
import trio

from legacy_emu.events import Refusal
from legacy_emu.host import World


class Kind(StrEnum):
    """What goes wrong. `docs/emulator.md` has the table with what each one takes."""

    REFUSE = "refuse"
    STALL_READING = "stall_reading"
    STALL_ANSWERS = "stall_answers"
    DROP = "drop"
    DELAY = "delay"
    SPLIT = "split"
    GARBLE = "garble"
    LOSE_ACKS = "lose_acks"
    LOSE_OUTCOMES = "lose_outcomes"
    RATE_LIMIT = "rate_limit"
    ENFORCE_RATES = "enforce_rates"  # from here on: of the OSCAR front
    SEQUENCE_GAP = "sequence_gap"
    SHORT_SIGN_OFF = "short_sign_off"
    UNKNOWN_SNACS = "unknown_snacs"
    EXTRA_TLVS = "extra_tlvs"
    REFUSE_COOKIE = "refuse_cookie"
    POISON = "poison"


class Moment(StrEnum):
    """When a `drop` closes the connection."""

    CONNECT = "connect"  # before a byte is read
    SIGN_ON = "sign_on"  # instead of an answer to it
    FRAMES = "frames"  # once `after_frames` frames have come


@attrs.frozen(kw_only=True)
class Fault:
    """One fault. `account` and `connection` empty: everybody. `times` None: until cleared."""

    kind: Kind
    account: str = ""
    connection: str = ""
    times: int | None = None
    reason: Refusal = Refusal.BUSY
    text: str = ""
    retry_after: float | None = None
    moment: Moment = Moment.FRAMES
    after_frames: int = 0
    seconds: float = 1.0
    per_second: float = 1.0
    burst: int = 1


class Speaker(Protocol):
    """The front's side of a connection."""

    def say_raw(self, text: str) -> None:
        """Send `text` to the client as it is, whether the protocol has it or not."""


class Connection:
    """One client's connection, as far as faults are concerned."""

    def __init__(self, number: int, front: str) -> None:
        self.id = f"c{number}"
        self.front = front
        self.account = ""  # canonical, once it has said who it is
        self.frames = 0  # received
        self.speaker: Speaker | None = None
        self.scope = trio.CancelScope()

    def cut(self) -> None:
        """End this connection, without a word."""
        self.scope.cancel()


class Bucket:
    """A rate: so many a second, and some at once."""

    def __init__(self) -> None:
        self._used = 0.0
        self._since = trio.current_time()

    def take(self, per_second: float, burst: int) -> bool:
        """Say whether one more is within the rate."""
        now = trio.current_time()
        self._used = max(0.0, self._used - (now - self._since) * per_second)
        self._since = now
        if self._used + 1 > burst:
            return False
        self._used += 1
        return True


class Faults:
    """The faults that are set."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._number = 0
        self._changed = trio.Event()

    def set(self, fault: Fault) -> str:
        """Let `fault` strike from now on; returns the name to clear it by."""
        self._number += 1
        name = f"f{self._number}"
        self._faults[name] = fault
        self._wake()
        return name

    def clear(self, name: str = "") -> int:
        """Heal one fault, or all; returns how many."""
        names = [name] if name else list(self._faults)
        healed = [each for each in names if self._faults.pop(each, None) is not None]
        self._wake()
        return len(healed)

    def heal(self, kind: Kind, connection: Connection) -> None:
        """Heal all faults of this kind for the account of `connection`."""
        for name, fault in list(self._faults.items()):
            if fault.kind is kind and fault.account == connection.account:
                self.clear(name)

    def all(self) -> dict[str, Fault]:
        return dict(self._faults)

    def find(self, kind: Kind, connection: Connection) -> Fault | None:
        """Return the fault of this kind that strikes `connection` now."""
        name = self._find(kind, connection)
        return None if name is None else self._faults[name]

    def take(
        self, kind: Kind, connection: Connection, moment: Moment | None = None
    ) -> Fault | None:
        """Return the fault that strikes now, counting it."""
        name = self._find(kind, connection, moment)
        if name is None:
            return None
        fault = self._faults[name]
        if fault.times is not None:
            self._faults[name] = attrs.evolve(fault, times=fault.times - 1)
            if fault.times <= 1:
                del self._faults[name]
        return fault

    async def outlast(self, kind: Kind, connection: Connection) -> None:
        """Wait while a fault of this kind strikes `connection`."""
        while self._find(kind, connection) is not None:
            await self._changed.wait()

    def _find(self, kind: Kind, connection: Connection, moment: Moment | None = None) -> str | None:
        for name, fault in self._faults.items():
            if (
                fault.kind is kind
                and fault.account in ("", connection.account)
                and fault.connection in ("", connection.id)
                and (moment is None or fault.moment is moment)
                and (moment is not Moment.FRAMES or connection.frames >= fault.after_frames)
            ):
                return name
        return None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class FaultyStream(trio.abc.Stream):
    """A stream that does what the faults of its connection want."""

    def __init__(
        self, stream: trio.abc.Stream, connection: Connection, faults: Faults, world: World
    ) -> None:
        self._stream = stream
        self._connection = connection
        self._faults = faults
        self._world = world

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        connection, faults = self._connection, self._faults
        await faults.outlast(Kind.STALL_ANSWERS, connection)
        if (late := faults.take(Kind.DELAY, connection)) is not None:
            await trio.sleep(late.seconds)
        if data and faults.take(Kind.GARBLE, connection) is not None:
            data = bytearray(data)
            data[self._world.random.randrange(len(data))] ^= 1 << self._world.random.randrange(8)
        if faults.take(Kind.SPLIT, connection) is None:
            await self._stream.send_all(data)
            return
        for at in range(len(data)):
            await self._stream.send_all(bytes(data[at : at + 1]))

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await self._faults.outlast(Kind.STALL_READING, self._connection)
        data = await self._stream.receive_some(max_bytes)
        # A stall that began in the meantime holds what it caught, too.
        await self._faults.outlast(Kind.STALL_READING, self._connection)
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()
