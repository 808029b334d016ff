"""The trace of a run: every scheduler step and every segment, with its virtual time, hashed."""

import hashlib

import trio


class Trace(trio.abc.Instrument):
    """Hashes what happens, in order. Given to `trio.run` as an instrument, it sees the scheduler.

    Two runs with one digest did the same things at the same virtual times.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.steps = 0

    def note(self, *what: object) -> None:
        """Add one fact. Values only: an object's default `repr` holds its address."""
        self._hash.update(f"{trio.current_time()!r} {what!r}\n".encode())

    def note_bytes(self, where: str, data: bytes) -> None:
        self.note(where, len(data), hashlib.blake2b(data, digest_size=8).hexdigest())

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        self._hash.update(task.name.encode())

    def digest(self) -> str:
        return self._hash.hexdigest()
