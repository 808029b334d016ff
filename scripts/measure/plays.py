"""The measurements of one subject that is up: each returns its figures.

No XML is parsed in a measured loop. All waits are bounded; what does not come raises `BenchFailed`.
"""

import itertools
import re
import time
from collections.abc import Iterator, Mapping

from scripts.measure.link import Count, Link
from scripts.measure.names import CONTACTS, BenchFailed
from scripts.measure.subjects.base import Subject, Template

WINDOW = 256  # messages in flight over all users
WINDOW_PER_USER = 20  # no user has more than that in flight
MESSAGES_A_SECOND = 100
PRESENCE_USERS = 1000  # at most so many in one round of presence changes
STALLED_SECONDS = 30
LIMIT_SECONDS = 300  # for any loop, beyond the time it was given

_ECHO = b"</body>"
_ERROR = b"type='error'"
_ECHOED_NUMBER = re.compile(rb" (\d+)</body>")
_LONGEST_TAIL = 200  # bytes that may hold the beginning of one

Figures = Mapping[str, float]


class Clocks:
    """The CPU time of all who take part, from when this is made."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._began = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        process, peer = self._subject.process, self._subject.peer
        main = process.main_thread_seconds()
        return process.cpu_seconds(), main, peer.cpu_seconds(), time.process_time()

    def read(self) -> tuple[float, float, float, float]:
        """Return the seconds of: the subject, its main thread alone, its peer, this bench."""
        subject, main, peer, bench = (
            now - before for now, before in zip(self._now(), self._began, strict=True)
        )
        return subject, main, peer, bench


class Play:
    """Measures one subject over one open link."""

    def __init__(self, subject: Subject, link: Link) -> None:
        self._subject = subject
        self._link = link
        self._users = subject.place.users
        self._numbers = itertools.count(1)
        self._messages = [subject.message(user) for user in range(self._users)]

    @property
    def _cpu_seconds(self) -> float:
        return self._subject.process.cpu_seconds()

    def sign_on(self) -> Figures:
        """Sign all users on at once: until all are online, and the CPU until all is quiet."""
        memory, cpu = self._subject.process.memory_kib(), self._cpu_seconds
        presences = b"".join(map(self._subject.sign_on, range(self._users)))
        seconds = self.wait_online(presences, "sign-on")
        cpu = self._cpu_seconds - cpu
        return {
            "sign_on_cpu_ms": cpu * 1e3 / self._users,
            "sign_on_seconds": seconds,
            "memory_before_mib": memory / 1024,
            "memory_kib": (self._subject.process.memory_kib() - memory) / self._users,
        }

    def come_back(self) -> Figures:
        """Answer for users who are present when the gateway asks after its restart."""
        cpu = self._cpu_seconds
        self._link.users_present = True
        seconds = self.wait_online(b"", "coming back")
        cpu = self._cpu_seconds - cpu
        return {"restart_cpu_ms": cpu * 1e3 / self._users, "restart_seconds": seconds}

    def wait_online(self, presences: bytes, what: str) -> float:
        """Send `presences` and return the seconds until all are online. Ends when all is quiet."""
        online, began = Count(self._subject.online_marker), time.perf_counter()
        self._link.send(presences)
        limit = LIMIT_SECONDS + self._users / 5
        self._link.wait_for(online, self._users, limit, what)
        seconds = time.perf_counter() - began
        self._link.settle(self._subject.quiet_seconds)
        return seconds

    def idle(self, seconds: float) -> Figures:
        """Do nothing while all are signed on."""
        cpu, began = self._cpu_seconds, time.perf_counter()
        self._listen(seconds)
        elapsed = time.perf_counter() - began
        return {"idle_cpu_s": (self._cpu_seconds - cpu) * 60 / elapsed}

    def warm_up(self, seconds: float) -> None:
        """Have each user say something, and all talk for so long."""
        self._exchange(WINDOW, seconds, at_least=self._users)

    def echo(self, seconds: float) -> Figures:
        """Keep `WINDOW` messages in flight: each one that returns is followed by the next."""
        clocks, began = Clocks(self._subject), time.perf_counter()
        echoed = self._exchange(WINDOW, seconds)
        elapsed = time.perf_counter() - began
        cpu, main, peer, bench = (one * 1e6 / echoed for one in clocks.read())
        self._link.settle(0.2)
        return {
            "echo_cpu_us": cpu,
            "echo_threads_us": max(cpu - main, 0.0),
            "echo_per_second": echoed / elapsed,
            "echo_peer_us": peer,
            "echo_bench_us": bench,
        }

    def echo_alone(self, seconds: float) -> Figures:
        """Keep one message in flight."""
        cpu = self._cpu_seconds
        echoed = self._exchange(1, seconds)
        cpu = self._cpu_seconds - cpu
        self._link.settle(0.2)
        return {"alone_cpu_us": cpu * 1e6 / echoed}

    def latency(self, seconds: float) -> Figures:
        """Send messages at a steady pace, without waiting for their return."""
        link, wanted = self._link, max(int(seconds * MESSAGES_A_SECOND), 1)
        sent_at: dict[int, float] = {}
        taken: list[float] = []
        tail = b""
        cpu, began = self._cpu_seconds, time.perf_counter()
        end = began + seconds + STALLED_SECONDS
        sent = 0
        while len(taken) < wanted and (now := time.perf_counter()) < end:
            due = began + sent / MESSAGES_A_SECOND
            if sent < wanted and now >= due:
                number = next(self._numbers)
                sent_at[number] = now
                link.send(self._messages[sent % self._users].numbered(b"%d" % number))
                sent += 1
                continue
            data = tail + link.receive(due - now if sent < wanted else 0.2)
            now, read = time.perf_counter(), 0
            for found in _ECHOED_NUMBER.finditer(data):
                read = found.end()
                if (when := sent_at.pop(int(found[1]), None)) is not None:
                    taken.append(now - when)
            tail = data[max(read, len(data) - _LONGEST_TAIL) :]
        if len(taken) < wanted:
            raise BenchFailed(f"latency: {len(taken)} of {wanted} messages came back")
        cpu = self._cpu_seconds - cpu
        link.settle(0.2)
        taken.sort()
        return {
            "latency_p50_ms": _percentile(taken, 50) * 1e3,
            "latency_p99_ms": _percentile(taken, 99) * 1e3,
            "latency_cpu_us": cpu * 1e6 / wanted,
        }

    def presence(self, seconds: float) -> Figures:
        """Have all contacts change their presence, round after round: none overtakes another."""
        users = min(self._users, PRESENCE_USERS)
        changes, wanted = Count(b"<presence"), 0
        cpu, end = self._cpu_seconds, time.perf_counter() + seconds
        while not wanted or time.perf_counter() < end:
            wanted += users * CONTACTS
            self._subject.change_presence(users)
            self._link.wait_for(changes, wanted, LIMIT_SECONDS, "presence changes")
        return {"presence_cpu_us": (self._cpu_seconds - cpu) * 1e6 / wanted}

    def _listen(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._link.receive(left)

    def _exchange(self, window: int, seconds: float, *, at_least: int = 0) -> int:
        """Keep `window` messages in flight for so long, then wait for the last; return how many.

        It goes on until `at_least` have returned. A refused message raises `BenchFailed`.
        """
        link, window = self._link, min(window, WINDOW_PER_USER * self._users)
        echoes, errors = Count(_ECHO), Count(_ERROR)
        rotation = itertools.cycle(self._messages)
        end = time.perf_counter() + seconds
        limit = end + LIMIT_SECONDS
        link.send(self._next(rotation, window))
        sent = window
        while echoes.n < sent:
            data = link.receive(STALLED_SECONDS)
            if not data or errors.feed(data) or time.perf_counter() > limit:
                raise BenchFailed(f"echo: {echoes.n} of {sent} came back, {errors.n} errors")
            returned = echoes.feed(data)
            if returned and (time.perf_counter() < end or echoes.n < at_least):
                link.send(self._next(rotation, returned))
                sent += returned
        return sent

    def _next(self, rotation: Iterator[Template], many: int) -> bytes:
        return b"".join([next(rotation).numbered(b"%d" % next(self._numbers)) for _ in range(many)])


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]
