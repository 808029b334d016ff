"""Somebody who listens in, and shows who can read what is on the wire."""

import trio


class Tapped(trio.abc.Stream):
    """A connection that somebody listens in on."""

    def __init__(self, stream: trio.abc.Stream, overheard: bytearray) -> None:
        self._stream = stream
        self._overheard = overheard

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._overheard += data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
