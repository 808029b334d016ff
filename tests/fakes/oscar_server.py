"""An OSCAR server by hand: literal bytes, its own few lines of framing, and none of our codec.

It takes everybody in and answers what a sign-on asks. A test says more by `script`, by `bos.snac`,
or by `bos.raw`; what clients said is in `heard`.
"""

import hashlib
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio
from trio.testing import memory_stream_pair

from gateway.errors import ConnectionLost
from gateway.host import Address, RealHost

PASSWORDS = {"romeo": b"montague", "10001": b"montague"}
COOKIE = bytes(range(256))
CHALLENGE = b"6150427895"
PUSHED = 0x80000000

GROUPS = "0001 0002 0003 0004 0009 0013 0015 0010"
# One class for everything (1), one for messages (3), with a real server's numbers.
RATES = """0002
0001 00000050 000009c4 000007d0 000005dc 00000320 00001770 00001770 00000000 00
0003 00000014 000013ec 00001388 00000fa0 00000bb8 00001770 00001770 00000000 00
0001 0006 0001 000e  0001 0011  0001 001e  0002 0004  0013 0008  0015 0002
0003 0002 0004 0006  0002 0005"""
ROOT = "0000 0000 0000 0001 0006 00c8 0002 0001"
BUDDIES = "0007 42756464696573 0001 0000 0001 0006 00c8 0002 0002"
JULIET = "0006 4a756c696574 0001 0002 0000 0008 0131 0004 4a756c65"  # Juliet, alias Jule


def h(text: str) -> bytes:
    return bytes.fromhex(text)


def name8(name: str) -> bytes:
    return bytes([len(name.encode())]) + name.encode()


def tlv(type_: int, value: bytes) -> bytes:
    return struct.pack(">HH", type_, len(value)) + value


def user(name: str, *tlvs: bytes) -> bytes:
    """A user info block."""
    return name8(name) + struct.pack(">HH", 0, len(tlvs)) + b"".join(tlvs)


def im(
    sender: str, text: bytes, *more: bytes, charset: int = 0, cookie: bytes = b"12345678"
) -> bytes:
    """The body of a 04/07 on channel 1."""
    part = struct.pack(">HH", charset, 0) + text
    data = h("0501 0003 010102 0101") + struct.pack(">H", len(part)) + part
    return cookie + h("0001") + user(sender, tlv(1, h("0010"))) + tlv(2, data) + b"".join(more)


def item(name: str, group: int, id_: int, cls: int, attributes: bytes = b"") -> bytes:
    head = struct.pack(">H", len(name.encode())) + name.encode()
    return head + struct.pack(">HHHH", group, id_, cls, len(attributes)) + attributes


@attrs.frozen
class Heard:
    """A SNAC a client sent; channels other than 2 have group 0 and their number as subtype."""

    group: int
    subtype: int
    request: int
    body: bytes
    at: float

    def tlvs(self, start: int = 0) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        at = start
        while at < len(self.body):
            type_, length = struct.unpack_from(">HH", self.body, at)
            found.setdefault(type_, self.body[at + 4 : at + 4 + length])
            at += 4 + length
        return found


class Connection:
    """One client's connection."""

    def __init__(self, stream: trio.abc.Stream, server: "OscarServer") -> None:
        self.stream = stream
        self.server = server
        self.is_bos = False
        self.is_over = False  # the client is gone, as far as writing to it has shown
        self._sequence = 0
        self._buffer = b""
        self._writing = trio.Lock()

    async def flap(self, channel: int, payload: bytes) -> None:
        head = struct.pack(">BBHH", 0x2A, channel, self._sequence & 0xFFFF, len(payload))
        self._sequence += 1
        await self.raw(head + payload)

    async def raw(self, data: bytes) -> None:
        try:
            async with self._writing:
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.is_over = True

    async def snac(
        self,
        group: int,
        subtype: int,
        body: bytes | str = b"",
        request: int = PUSHED,
        flags: int = 0,
    ) -> None:
        if isinstance(body, str):
            body = h(body)
        await self.flap(2, struct.pack(">HHHI", group, subtype, flags, request) + body)

    async def close(self) -> None:
        await trio.aclose_forcefully(self.stream)

    async def read(self) -> tuple[int, bytes] | None:
        while True:
            if len(self._buffer) >= 6:
                _, channel, _, length = struct.unpack_from(">BBHH", self._buffer)
                if len(self._buffer) >= 6 + length:
                    payload = self._buffer[6 : 6 + length]
                    self._buffer = self._buffer[6 + length :]
                    return channel, payload
            try:
                data = await self.stream.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._buffer += data


Script = Callable[[Connection, Heard], Awaitable[None]]


class OscarServer:
    """The server: its answers, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.connections: list[Connection] = []
        self.dialled: list[Address] = []
        self.script: dict[tuple[int, int], Script] = {}
        self.feedbag = [h(ROOT), h(BUDDIES), h(JULIET)]
        self.results: list[int] = []  # of the next edits; then 0
        self.groups = GROUPS
        self.bos_address = b"oscar.example:5190"
        self.silent = False  # hears, and answers nothing
        self.refuses = False  # takes no connections
        self.greetings: int | None = None  # so many connections are greeted; None: all
        self._news = trio.Event()

    @property
    def bos(self) -> Connection:
        return [one for one in self.connections if one.is_bos][-1]

    def said(self, group: int, subtype: int) -> list[Heard]:
        return [one for one in self.heard if (one.group, one.subtype) == (group, subtype)]

    async def hear(self, group: int, subtype: int, count: int = 1) -> Heard:
        """Wait until so many of these have come, and return the last of them."""
        with trio.fail_after(1_000):
            while len(self.said(group, subtype)) < count:
                await self._news.wait()
        return self.said(group, subtype)[count - 1]

    async def serve(self, stream: trio.abc.Stream) -> None:
        connection = Connection(stream, self)
        self.connections.append(connection)
        try:
            if self.greetings is None or self.greetings > 0:
                await connection.flap(1, h("00000001"))
            if self.greetings:
                self.greetings -= 1
            while (frame := await connection.read()) is not None:
                channel, payload = frame
                heard = self._note(channel, payload)
                if not self.silent:
                    await self._answer(connection, heard)
                if channel == 4:
                    break
        finally:
            self.connections.remove(connection)
            await connection.close()

    def _note(self, channel: int, payload: bytes) -> Heard:
        now = trio.current_time()
        if channel == 2:
            group, subtype, _, request = struct.unpack_from(">HHHI", payload)
            heard = Heard(group, subtype, request, payload[10:], now)
        else:
            heard = Heard(0, channel, 0, payload, now)
        self.heard.append(heard)
        self._news.set()
        self._news = trio.Event()
        return heard

    async def _answer(self, connection: Connection, heard: Heard) -> None:
        number = heard.group, heard.subtype
        await self.script.get(number, self.usual(*number))(connection, heard)

    def usual(self, group: int, subtype: int) -> "Script":
        """Return what answers this where no script does."""

        async def answer(connection: Connection, heard: Heard) -> None:
            if (group, subtype) == (0, 1):
                await self._signed_on(connection, heard)
            elif (usual := _ANSWERS.get((group, subtype))) is not None:
                await usual(self, connection, heard)

        return answer

    async def _signed_on(self, connection: Connection, heard: Heard) -> None:
        tlvs = heard.tlvs(4)
        if 6 in tlvs:
            assert tlvs[6] == COOKIE
            connection.is_bos = True
            await connection.snac(1, 3, self.groups)
        elif 1 in tlvs:
            table = h("F3 26 81 C4 39 86 DB 92 71 A3 B9 E6 53 7A 95 7C")
            password = bytes(
                byte ^ table[place % 16] for place, byte in enumerate(tlvs.get(2, b""))
            )
            await connection.flap(4, self.login_result(tlvs[1], password))

    def login_result(self, name: bytes, password: bytes | None) -> bytes:
        """What 17/03 and channel 4 hold; None: the password was right."""
        known = PASSWORDS.get(name.decode())
        if known is None or (password is not None and password != known):
            return tlv(1, name) + tlv(8, h("0001" if known is None else "0005"))
        return tlv(1, b"Romeo") + tlv(5, self.bos_address) + tlv(6, COOKIE)


# --- what a sign-on asks ----------------------------------------------------------------------

Answer = Callable[[OscarServer, Connection, Heard], Awaitable[None]]
_ANSWERS: dict[tuple[int, int], Answer] = {}


def answers(group: int, subtype: int) -> Callable[[Answer], Answer]:
    def enter(answer: Answer) -> Answer:
        _ANSWERS[group, subtype] = answer
        return answer

    return enter


def fixed(group: int, subtype: int, back: int, body: str) -> None:
    async def answer(server: OscarServer, connection: Connection, heard: Heard) -> None:
        await connection.snac(group, back, body, heard.request)

    _ANSWERS[group, subtype] = answer


fixed(0x01, 0x06, 0x07, RATES)
fixed(0x02, 0x02, 0x03, "0001 0002 03e8 0002 0002 03e8")
fixed(0x03, 0x02, 0x03, "0001 0002 03e8")
fixed(0x04, 0x04, 0x05, "0005 00000003 0200 03e7 03e7 00000000")  # 512 bytes
fixed(0x09, 0x02, 0x03, "0001 0002 00c8 0002 0002 00c8")
fixed(0x13, 0x02, 0x03, "0004 0006 003d 003d 003d")


@answers(0x17, 0x06)
async def _challenge(server: OscarServer, connection: Connection, heard: Heard) -> None:
    if heard.tlvs()[1].decode() in PASSWORDS:
        body = struct.pack(">H", len(CHALLENGE)) + CHALLENGE
        await connection.snac(0x17, 0x07, body, heard.request)
    else:
        await connection.snac(0x17, 0x03, tlv(8, h("0001")), heard.request)
        await connection.close()


@answers(0x17, 0x02)
async def _log_in(server: OscarServer, connection: Connection, heard: Heard) -> None:
    tlvs = heard.tlvs()
    password = PASSWORDS[tlvs[1].decode()]
    if 0x4C in tlvs:
        password = hashlib.md5(password).digest()  # noqa: S324 - the protocol's
    wanted = hashlib.md5(CHALLENGE + password + b"AOL Instant Messenger (SM)")  # noqa: S324
    right = tlvs[0x25] == wanted.digest()
    result = server.login_result(tlvs[1], None if right else b"")
    await connection.snac(0x17, 0x03, result, heard.request)
    await connection.flap(4, b"")


@answers(0x01, 0x17)
async def _versions(server: OscarServer, connection: Connection, heard: Heard) -> None:
    await connection.snac(0x01, 0x18, heard.body, heard.request)
    await connection.snac(0x01, 0x13, h("0004") + tlv(0x0B, b"Welcome"))


@answers(0x01, 0x0E)
async def _own_info(server: OscarServer, connection: Connection, heard: Heard) -> None:
    await connection.snac(0x01, 0x0F, user("Ro Meo", tlv(1, h("0010"))), heard.request)


@answers(0x13, 0x04)
async def _list(server: OscarServer, connection: Connection, heard: Heard) -> None:
    """The list, in two pieces."""
    first, rest = server.feedbag[:1], server.feedbag[1:]
    body = h("00") + struct.pack(">H", len(first)) + b"".join(first) + h("00000000")
    await connection.snac(0x13, 0x06, body, heard.request, flags=1)
    body = h("00") + struct.pack(">H", len(rest)) + b"".join(rest) + h("65000000")
    await connection.snac(0x13, 0x06, body, heard.request)


async def _edit(server: OscarServer, connection: Connection, heard: Heard) -> None:
    result = server.results.pop(0) if server.results else 0
    await connection.snac(0x13, 0x0E, struct.pack(">H", result), heard.request)


for _subtype in (0x08, 0x09, 0x0A):
    _ANSWERS[0x13, _subtype] = _edit


@answers(0x15, 0x02)
async def _kept(server: OscarServer, connection: Connection, heard: Heard) -> None:
    """Nothing was kept."""
    if heard.body[10:12] == h("3c00"):
        end = heard.body[6:10] + h("4200") + heard.body[12:14] + b"\0"
        body = tlv(1, struct.pack("<H", len(end)) + end)
        await connection.snac(0x15, 0x03, body, heard.request)


@answers(0x04, 0x06)
async def _message(server: OscarServer, connection: Connection, heard: Heard) -> None:
    end = 11 + heard.body[10]
    await connection.snac(0x04, 0x0C, heard.body[:end], heard.request)


# --- the way to it ----------------------------------------------------------------------------


class OscarHost(RealHost):
    """A host whose every connection leads to one server, over memory streams."""

    def __init__(self, nursery: trio.Nursery, server: OscarServer) -> None:
        super().__init__()
        self._nursery = nursery
        self._server = server

    async def dial(self, address: Address) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self._server.dialled.append(address)
        if self._server.refuses:
            raise ConnectionLost(f"cannot connect to {address}")
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._server.serve, theirs, name="oscar server")
        return ours


@asynccontextmanager
async def oscar_server() -> AsyncGenerator[tuple[OscarServer, OscarHost], None]:
    server = OscarServer()
    async with trio.open_nursery() as nursery:
        yield server, OscarHost(nursery, server)
        nursery.cancel_scope.cancel()
