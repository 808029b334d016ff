"""The wire protocol of network `emu`: JSON objects in WebSocket frames (docs/emulator.md).

A message is answered by its two outcomes and the same text from the contact, in one write.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

from scripts.measure.peers.loop import Peer, contacts_wanted, serve

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
CONTACTS_PER_FRAME = 100
CAPABILITIES = ("per_contact_presence", "typing", "receipts", "groups", "offline_messages")

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_KEY = re.compile(rb"(?i)\r\nsec-websocket-key:[ \t]*([^\r\n \t]+)")
_OUTCOME = '{"type":"outcome","ref":%s,"stage":"%s","id":"m%d","reason":null,"text":""}'
_MESSAGE = (
    '{"type":"message","id":"m%d","conversation":%s,"sender":%s,"text":%s,'
    '"sent_at":null,"outgoing":false,"replaces":null}'
)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole unmasked frame, as servers send them."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def text_frame(fields: dict[str, Any]) -> bytes:
    return frame(TEXT, json.dumps(fields).encode())


class Account:
    """What every user of the service finds: made into frames once."""

    def __init__(self, contacts: int) -> None:
        names = [f"c{number}" for number in range(contacts)]
        self.lists = b"".join(
            text_frame(
                {
                    "type": "contact_list",
                    "contacts": [_contact(name) for name in names[at : at + CONTACTS_PER_FRAME]],
                    "complete": at + CONTACTS_PER_FRAME >= contacts,
                }
            )
            for at in range(0, max(contacts, 1), CONTACTS_PER_FRAME)
        )
        self.presences = {
            show: b"".join(_presence(name, show) for name in names) for show in ("online", "away")
        }


def _contact(name: str) -> dict[str, Any]:
    return {
        "address": name,
        "name": f"Contact {name}",
        "groups": ["Friends"],
        "sees": True,
        "seen_by": True,
        "asked": False,
        "asking": False,
        "blocked": False,
    }


def _presence(name: str, show: str) -> bytes:
    return text_frame(
        {"type": "presence", "address": name, "show": show, "text": "", "idle_since": None}
    )


class EmuPeer(Peer):
    # Ids are never used twice, not after a restart either: the gateway drops what it has seen.
    _last_id = time.time_ns()

    def __init__(self, account: Account) -> None:
        self._account = account
        self._buffer = b""
        self._upgraded = False
        self._show = ""  # of all contacts; empty: not signed on

    def receive(self, data: bytes) -> bytes:
        self._buffer += data
        out = []
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return b""
            self._upgraded, self._buffer = True, rest
            out.append(_switching_protocols(head))
        out += [self._answer(opcode, payload) for opcode, payload in self._frames()]
        return b"".join(out)

    def change_presence(self) -> bytes:
        if not self._show:
            return b""
        self._show = "away" if self._show == "online" else "online"
        return self._account.presences[self._show]

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield each whole frame, unmasked. Nothing here sends a message in fragments."""
        data, at, end = self._buffer, 0, len(self._buffer)
        while end - at >= 6:
            size, start = data[at + 1] & 0x7F, at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, start = int.from_bytes(data[start : start + width], "big"), start + width
            if end < start + 4 + size:
                break
            mask, start = data[start : start + 4], start + 4
            key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
            masked = int.from_bytes(data[start : start + size], "little")
            yield data[at] & 0x0F, (masked ^ key).to_bytes(size, "little")
            at = start + size
        self._buffer = data[at:]

    def _answer(self, opcode: int, payload: bytes) -> bytes:
        if opcode == TEXT:
            return self._answer_object(json.loads(payload))
        if opcode == PING:
            return frame(PONG, payload)
        if opcode == CLOSE:
            self.finished = True
            return frame(CLOSE, payload)
        return b""

    def _answer_object(self, fields: dict[str, Any]) -> bytes:
        match fields["type"]:
            case "send_message":
                return self._echo(fields)
            case "ack":
                return b""
            case "ping":
                return text_frame({"type": "pong", "id": fields["id"]})
            case "sign_on":
                self._show = "online"
                signed_on = {
                    "type": "signed_on",
                    "account": fields["account"],
                    "name": fields["account"],
                    "capabilities": CAPABILITIES,
                }
                account = self._account
                return text_frame(signed_on) + account.lists + account.presences[self._show]
            case "check":
                return text_frame({"type": "checked"})
            case "sign_off":
                self._show = ""
                return text_frame({"type": "signed_off", "text": "good bye"})
        return text_frame({"type": "done", "ref": fields["ref"]}) if "ref" in fields else b""

    def _echo(self, fields: dict[str, Any]) -> bytes:
        EmuPeer._last_id += 2
        theirs = self._last_id
        ref, to, text = (json.dumps(fields[key]) for key in ("ref", "to", "text"))
        return b"".join(
            frame(TEXT, one.encode())
            for one in (
                _OUTCOME % (ref, "accepted", theirs),
                _OUTCOME % (ref, "delivered", theirs),
                _MESSAGE % (theirs + 1, to, to, text),
            )
        )


def _switching_protocols(head: bytes) -> bytes:
    found = _KEY.search(head)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found[1] + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


if __name__ == "__main__":
    everyone = Account(contacts_wanted())
    serve(lambda _port: EmuPeer(everyone))
