"""Somebody on the emulated legacy service: a client of its WebSocket front, in literal JSON.

It shares no code with the gateway's driver or the emulator, so that one misreading cannot hide in
both ends. `docs/emulator.md` has the table of frames.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from scripts.lab.jabber import PATIENCE_SECONDS, NotSeen

Frame = dict[str, Any]


class LegacyUser:
    """One sign-on of a legacy user. One task at a time may read."""

    def __init__(self, name: str, socket: WebSocketConnection) -> None:
        self.name = name
        self._socket = socket
        self._numbers = count(1)
        self._waiting: list[Frame] = []
        self._transcript: list[str] = []

    async def send(self, type_: str, **fields: object) -> None:
        """Send one frame."""
        text = json.dumps({"type": type_, **fields}, ensure_ascii=False)
        # The sign-on holds a password, and the transcript is shown to people.
        self._transcript.append(f">>> {'{sign_on}' if type_ == 'sign_on' else text}")
        await self._socket.send_message(text)

    async def command(self, type_: str, **fields: object) -> Frame:
        """Send a command and return its answer. Raises `NotSeen` when the service refuses it."""
        ref = f"{self.name}-{next(self._numbers)}"
        await self.send(type_, ref=ref, **fields)
        while True:
            answer = await self.expect(ref=ref)
            if answer["type"] == "failed" or answer.get("stage") == "failed":
                raise NotSeen(self._story(f"the service refused {type_}"))
            return answer

    async def receive(self) -> Frame:
        """Wait for the next frame; pings are answered, values acknowledged."""
        if self._waiting:
            return self._waiting.pop(0)
        return await self._read()

    async def expect(
        self, type_: str = "", *, seconds: float = PATIENCE_SECONDS, **fields: object
    ) -> Frame:
        """Wait for a frame of this type with these fields and take it; others are kept.

        Raises `NotSeen`, with the conversation, after `seconds`.
        """
        wanted = {**({"type": type_} if type_ else {}), **fields}
        with trio.move_on_after(seconds):
            for index, frame in enumerate(self._waiting):
                if wanted.items() <= frame.items():
                    return self._waiting.pop(index)
            while True:
                frame = await self._read()
                if wanted.items() <= frame.items():
                    return frame
                self._waiting.append(frame)
        raise NotSeen(self._story(f"{wanted} did not come in {seconds} s"))

    async def _read(self) -> Frame:
        while True:
            text = await self._socket.get_message()
            self._transcript.append(f"<<< {text!s}")
            frame: Frame = json.loads(text)
            if frame["type"] == "ping":
                await self.send("pong", id=frame["id"])
                continue
            if "id" in frame and frame["type"] in _VALUES:
                await self.send("ack", ids=[frame["id"]])
            return frame

    def _story(self, what: str) -> str:
        return "\n".join((f"{self.name}: {what}", "conversation so far:", *self._transcript))


_VALUES = frozenset(
    {
        "message",
        "contact_request",
        "request_answered",
        "removed_by_contact",
        "nudged",
        "read_up_to",
    }
)


@asynccontextmanager
async def legacy_user(url: str, account: str, password: str) -> AsyncGenerator[LegacyUser, None]:
    """Sign a legacy user on; leaving signs it off. Raises `NotSeen` when it is refused."""
    async with open_websocket_url(url) as socket:
        user = LegacyUser(account, socket)
        await user.send("sign_on", account=account, password=password, client="lab")
        await user.expect("signed_on")
        yield user
        await user.send("sign_off")
