"""The event loop of the light legacy services: one epoll in one process, standard library only.

A service prints `listening PORT`. It reads commands from its standard input: `change N` changes the
presence of all contacts of N signed-on users. It ends when its standard input ends.
"""

import contextlib
import os
import select
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
BACKLOG = 8192
READ_BYTES = 65536
STDIN = 0


class Peer(ABC):
    """The service's side of one connection: bytes in, bytes out."""

    finished = False  # close the connection once all is sent

    def open(self) -> bytes:
        """Return what the service says first."""
        return b""

    @abstractmethod
    def receive(self, data: bytes) -> bytes:
        """Handle what came and return all that is to be sent now, for one write."""

    @abstractmethod
    def change_presence(self) -> bytes:
        """Change the presence of every contact; empty when no user is signed on here."""


class _Connection:
    __slots__ = ("out", "peer", "socket")

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self.socket, self.peer, self.out = sock, peer, b""


class _Loop:
    def __init__(self, listener: socket.socket, make: Callable[[int], Peer]) -> None:
        self._listener = listener
        self._port: int = listener.getsockname()[1]
        self._make = make
        self._connections: dict[int, _Connection] = {}
        self._commands = b""
        self._ready = select.epoll()
        self._ready.register(listener.fileno(), select.EPOLLIN)
        self._ready.register(STDIN, select.EPOLLIN)

    def run(self) -> None:
        print(f"listening {self._port}", flush=True)
        while True:
            for number, events in self._ready.poll():
                if number == STDIN:
                    if not self._read_commands():
                        return
                elif number == self._listener.fileno():
                    self._accept()
                elif (connection := self._connections.get(number)) is not None:
                    if events & select.EPOLLOUT:
                        self._send(number, connection, b"")
                    if events & ~select.EPOLLOUT:
                        self._read(number, connection)

    def _read_commands(self) -> bool:
        data = os.read(STDIN, READ_BYTES)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            self._change(int(line.removeprefix(b"change ")))
        return bool(data)

    def _change(self, users: int) -> None:
        for number, connection in list(self._connections.items()):
            if users == 0:
                return
            if data := connection.peer.change_presence():
                self._send(number, connection, data)
                users -= 1

    def _accept(self) -> None:
        for sock in self._accepted():
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number, peer = sock.fileno(), self._make(self._port)
            connection = self._connections[number] = _Connection(sock, peer)
            self._ready.register(number, select.EPOLLIN)
            if data := peer.open():
                self._send(number, connection, data)

    def _accepted(self) -> Iterator[socket.socket]:
        with contextlib.suppress(BlockingIOError):
            while True:
                yield self._listener.accept()[0]

    def _read(self, number: int, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(number, connection)
            return
        if answer := connection.peer.receive(data):
            self._send(number, connection, answer)
        if connection.peer.finished and not connection.out and number in self._connections:
            self._drop(number, connection)

    def _send(self, number: int, connection: _Connection, data: bytes) -> None:
        waited = bool(connection.out)
        out = connection.out + data
        try:
            connection.out = out[connection.socket.send(out) :]
        except BlockingIOError:
            connection.out = out
        except OSError:
            self._drop(number, connection)
            return
        if connection.out and not waited:
            self._ready.modify(number, select.EPOLLIN | select.EPOLLOUT)
        elif waited and not connection.out:
            self._ready.modify(number, select.EPOLLIN)

    def _drop(self, number: int, connection: _Connection) -> None:
        if self._connections.pop(number, None) is not None:
            self._ready.unregister(number)
            connection.socket.close()


def serve(make: Callable[[int], Peer]) -> None:
    """Serve on a free port until standard input ends. `make` gets the port for each connection."""
    with socket.create_server((HOST, 0), backlog=BACKLOG) as listener:
        listener.setblocking(False)
        _Loop(listener, make).run()


def contacts_wanted() -> int:
    """Return how many contacts each user is to have: the command's only argument."""
    return int(sys.argv[1])
