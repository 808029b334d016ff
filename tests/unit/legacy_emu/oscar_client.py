"""A client of the OSCAR front in literal bytes: it knows frames and SNAC headers, and no more."""

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs
import trio
from trio.testing import memory_stream_pair

from legacy_emu.fronts.oscar import serve
from legacy_emu.service import Service

PATIENCE_SECONDS = 5
SALT = b"AOL Instant Messenger (SM)"


@attrs.frozen
class Snac:
    number: str  # as "04/0c"
    flags: int
    request: int
    data: bytes


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def tlv(kind: int, value: bytes | str) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def tlvs(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while data:
        kind, size = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        found.setdefault(kind, data[4 : 4 + size])
        data = data[4 + size :]
    return found


def s8(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()


def s16(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def item(name: str, group: int, number: int, kind: int, attributes: bytes = b"") -> bytes:
    ids = b"".join(each.to_bytes(2, "big") for each in (group, number, kind, len(attributes)))
    return s16(name) + ids + attributes


def im(
    to: str, text: str, *, extra: str = "0003 0000 0006 0000", cookie: bytes = b"11223344"
) -> bytes:
    """The body of a 04/06 on channel 1, in ASCII."""
    said = text.encode()
    part = bytes.fromhex("0501 0004 01010102 0101") + (len(said) + 4).to_bytes(2, "big")
    return b"11223344" + b"\0\1" + s8(to) + tlv(2, part + bytes(4) + said) + bytes.fromhex(extra)


class OscarWire:
    """One connection to the front."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = b""
        self._sequence = 0x1234
        self.sequences: list[int] = []  # of the frames that came
        self.passed: list[Snac] = []

    async def send_bytes(self, data: bytes | str) -> None:
        await self.stream.send_all(bytes.fromhex(data) if isinstance(data, str) else data)

    async def send_frame(self, channel: int, payload: bytes = b"") -> None:
        header = bytes([0x2A, channel]) + self._sequence.to_bytes(2, "big")
        self._sequence = (self._sequence + 1) & 0xFFFF
        await self.stream.send_all(header + len(payload).to_bytes(2, "big") + payload)

    async def send(self, number: str, data: bytes | str = b"", request: int = 0) -> None:
        """Send SNAC `number`, as "04/06"."""
        group, subtype = (int(each, 16) for each in number.split("/"))
        data = bytes.fromhex(data) if isinstance(data, str) else data
        header = group.to_bytes(2, "big") + subtype.to_bytes(2, "big") + b"\0\0"
        await self.send_frame(2, header + request.to_bytes(4, "big") + data)

    async def next_frame(self) -> tuple[int, bytes]:
        """Return channel and payload. At the end of the stream: (0, what is left)."""
        with trio.fail_after(PATIENCE_SECONDS):
            while not self._is_whole():
                data = await self.stream.receive_some()
                if not data:
                    left, self._buffer = self._buffer, b""
                    return 0, left
                self._buffer += data
        assert self._buffer[0] == 0x2A
        channel, end = self._buffer[1], 6 + int.from_bytes(self._buffer[4:6], "big")
        self.sequences.append(int.from_bytes(self._buffer[2:4], "big"))
        payload, self._buffer = self._buffer[6:end], self._buffer[end:]
        return channel, payload

    def _is_whole(self) -> bool:
        size = int.from_bytes(self._buffer[4:6], "big")
        return len(self._buffer) >= 6 and len(self._buffer) >= 6 + size

    async def next(self) -> Snac:
        channel, payload = await self.next_frame()
        assert channel == 2, (channel, payload)
        number = f"{payload[1]:02x}/{payload[3]:02x}"
        flags, request = int.from_bytes(payload[4:6], "big"), int.from_bytes(payload[6:10], "big")
        return Snac(number, flags, request, payload[10:])

    async def expect(self, number: str) -> Snac:
        """Return the next SNAC of this number; what comes before it is passed over."""
        while (snac := await self.next()).number != number:
            self.passed.append(snac)
        return snac

    async def barrier(self) -> list[Snac]:
        """Return everything that has come: the answer to a probe comes last."""
        await self.send("01/1f", request=0x7777)
        came = []
        while (snac := await self.next()).number != "01/20":
            came.append(snac)
        return came

    async def expect_end(self) -> None:
        channel, payload = await self.next_frame()
        assert (channel, payload) == (0, b"")


async def log_in(wire: OscarWire, name: str, password: str, *, several: int = 1) -> bytes:
    """Log in by challenge and strong hash; returns the cookie."""
    assert await wire.next_frame() == (1, b"\0\0\0\1")
    await wire.send_frame(1, b"\0\0\0\1")
    await wire.send("17/06", tlv(1, name) + tlv(0x4B, b"") + tlv(0x5A, b""), 1)
    challenge = (await wire.expect("17/07")).data[2:]
    digest = md5(challenge + md5(password.encode()) + SALT)
    query = tlv(1, name) + tlv(0x25, digest) + tlv(0x4C, b"") + tlv(3, "test")
    await wire.send("17/02", query + tlv(0x4A, bytes([several])), 2)
    reply = tlvs((await wire.expect("17/03")).data)
    assert 8 not in reply, reply
    return reply[6]


async def sign_on(wire: OscarWire, cookie: bytes, *, uses_list: bool = True) -> bytes:
    """Go through the sign-on to its end; returns the list, as 13/06 has it, unless it is unused."""
    assert await wire.next_frame() == (1, b"\0\0\0\1")
    await wire.send_frame(1, b"\0\0\0\1" + tlv(6, cookie))
    await wire.expect("01/03")
    await wire.send("01/17", "0001 0003 0002 0001 0003 0001 0004 0001 0013 0004 0015 0001", 1)
    await wire.expect("01/18")
    await wire.send("01/06", request=2)
    await wire.expect("01/07")
    await wire.send("01/08", "0001 0002 0003 0004 0005")
    items = b""
    if uses_list:
        await wire.send("13/04", request=3)
        items = (await wire.expect("13/06")).data
        await wire.send("13/07")
    await wire.send("01/02", "0001 0003 0110 0629 0004 0001 0110 0629")
    await wire.expect("0b/02")
    return items


Connect = Callable[[], AbstractAsyncContextManager[OscarWire]]
SignOn = Callable[..., AbstractAsyncContextManager[OscarWire]]


def connecting(service: Service) -> Connect:
    @asynccontextmanager
    async def connected() -> AsyncGenerator[OscarWire, None]:
        ours, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, service)
            yield OscarWire(ours)
            nursery.cancel_scope.cancel()

    return connected


def signing_on(service: Service) -> SignOn:
    connect = connecting(service)

    @asynccontextmanager
    async def signed_on(
        name: str, password: str = "", *, several: int = 1, uses_list: bool = True
    ) -> AsyncGenerator[OscarWire, None]:
        async with connect() as login:
            cookie = await log_in(login, name, password or f"{name}-pw", several=several)
        async with connect() as bos:
            await sign_on(bos, cookie, uses_list=uses_list)
            yield bos

    return signed_on
