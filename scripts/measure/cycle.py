"""One cycle: one subject is started, measured and ended."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from scripts.measure.link import Link
from scripts.measure.names import BenchFailed
from scripts.measure.plays import Figures, Play
from scripts.measure.subjects import SUBJECTS
from scripts.measure.subjects.balcony import Balcony, copy_store
from scripts.measure.subjects.base import Place, Subject

LINK_SECONDS = 60
USERS_A_SECOND = 125  # how the length of a measurement grows with the users
SHORTEST_SECONDS = 3.0
IDLE_SECONDS = 60.0  # drivers look after their connections once in 30 or 60 s


@attrs.frozen
class Lengths:
    """How long each measurement takes, in seconds."""

    each: float
    idle: float

    @classmethod
    def fitting(cls, users: int, each: float | None, idle: float | None) -> "Lengths":
        """Take what was asked for, or what lets each of so many users speak a few times."""
        usual = max(SHORTEST_SECONDS, users / USERS_A_SECOND)
        return cls(usual if each is None else each, IDLE_SECONDS if idle is None else idle)


class Cycles:
    """Runs cycles of any subject with the same number of users, in `folder`.

    The stores of the gateways are made once, and copied for each cycle.
    """

    def __init__(
        self, folder: Path, users: int, lengths: Lengths, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._users = users
        self._lengths = lengths
        self._say = say
        self._runs = 0
        self._idled: set[str] = set()
        self._stores: dict[str, Path] = {}

    def run(self, name: str, samples: Path | None = None) -> Figures:
        """Return the figures of one cycle of the subject `name`. Raises `BenchFailed`.

        With `samples`, a gateway is sampled; the samples of each part are left in that folder.
        """
        self._runs += 1
        with self._subject(name, self._folder / f"{self._runs}-{name}") as (subject, listener):
            if isinstance(subject, Balcony):
                copy_store(self._prepared(name), subject.place.folder)
                subject.samples = samples
            else:
                subject.prepare()
            figures = {**self._first_run(subject, listener)}
            if isinstance(subject, Balcony):
                figures |= self._second_run(subject, listener)
                self._complain(subject)
            return figures

    def _first_run(self, subject: Subject, listener: socket.socket) -> Figures:
        subject.start()
        with _linked(subject, listener) as link:
            subject.greet(link)
            play, seconds = Play(subject, link), self._lengths.each
            with subject.sampled("sign-on"):
                figures = {**play.sign_on()}
            if subject.name not in self._idled:  # it takes long and hardly varies
                figures |= play.idle(self._lengths.idle)
                self._idled.add(subject.name)
            play.warm_up(seconds / 3)
            with subject.sampled("echo"):
                figures |= play.echo(seconds)
            figures |= play.echo_alone(seconds)
            figures |= play.latency(seconds)
            with subject.sampled("presence"):
                figures |= play.presence(seconds)
            if isinstance(subject, Balcony):
                subject.end_in_order(link)
        return figures

    def _second_run(self, subject: Balcony, listener: socket.socket) -> Figures:
        subject.start()
        with _linked(subject, listener) as link:
            with subject.sampled("restart"):
                figures = Play(subject, link).come_back()
            subject.end_in_order(link)
        return figures

    def _prepared(self, name: str) -> Path:
        """Return a folder with a store in which all users are registered."""
        if name not in self._stores:
            folder = self._folder / f"{self._runs}-{name}-store"
            with self._subject(name, folder) as (subject, listener):
                assert isinstance(subject, Balcony)
                subject.prepare()
                subject.register_all(listener, self._say)
                self._complain(subject)
            self._stores[name] = folder
        return self._stores[name]

    @contextmanager
    def _subject(self, name: str, folder: Path) -> Iterator[tuple[Subject, socket.socket]]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            place = Place(folder, listener.getsockname()[1], self._users)
            subject = SUBJECTS[name](place)
            try:
                yield subject, listener
            finally:
                subject.stop()

    def _complain(self, subject: Balcony) -> None:
        if complaints := subject.complaints():
            many = len(complaints)
            self._say(f"{subject.name}: {many} errors in its log, the first: {complaints[0]}")


@contextmanager
def _linked(subject: Subject, listener: socket.socket) -> Iterator[Link]:
    link = Link.accept(listener, subject.process.check_alive, LINK_SECONDS)
    try:
        yield link
    except BenchFailed:
        subject.process.check_alive()  # that it has ended is the better message
        raise
    finally:
        link.close()
