"""Hostile clients of the emulator: seeded, and each connection with many inputs.

An attack is one connection, or a few that belong together: it sends its inputs and sees to it that
the service ends the connection. `hostile_<front>.py` has those of a further front.
"""

import json
import re
import struct
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio

from legacy_emu.control import ACTIONS
from scripts.lab.processes import Emulator

PATIENCE_SECONDS = 60
RESET = struct.pack("ii", 1, 0)  # for SO_LINGER: closing sends a reset
ACCOUNTS = [*(f"hostile{number}" for number in range(12)), *(f"{300 + n}" for n in range(12))]
PASSWORD = "hostile-pw"
ENDINGS = (*["half-close"] * 8, "close", "reset")  # the last two lose what is not read yet

Attack = Callable[[Emulator, Random], Awaitable[int]]  # returns how many inputs it has sent


class NotEnded(AssertionError):
    """The service kept a connection that the client had ended."""


def place(url: str) -> tuple[str, int]:
    """Return host and port of an address as the emulator prints it."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


async def throw(url: str, data: bytes, ending: str, opening: bytes = b"") -> bytes:
    """Send `data` on a connection of its own and end that; returns what came.

    `opening` is sent first, and `data` once it has been answered.
    """
    came = bytearray()
    with trio.move_on_after(PATIENCE_SECONDS) as patience:
        async with await trio.open_tcp_stream(*place(url)) as stream:
            try:
                if opening:
                    await stream.send_all(opening)
                    came += await stream.receive_some()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_send, stream, data, ending)
                    if ending == "half-close":
                        while part := await stream.receive_some():
                            came += part
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the service has had enough
            if ending == "reset":
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, RESET)
    if patience.cancelled_caught:
        raise NotEnded(f"{url}: still open after {data[:200]!r} and {ending}")
    return bytes(came)


async def _send(stream: trio.SocketStream, data: bytes, ending: str) -> None:
    # A client that closes or resets at once, and does not read, must not wait for the service.
    with trio.move_on_after(1 if ending != "half-close" else PATIENCE_SECONDS):
        await stream.send_all(data)
        if ending == "half-close":
            await stream.send_eof()


def garbled(data: bytes, random: Random) -> bytes:
    """Return `data` with something wrong in its bytes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        at = random.randrange(len(changed) + 1)
        match random.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random.randrange(8)
            case 1:
                del changed[at : at + random.choice((1, 4, 40))]
            case 2:
                changed[at:at] = random.randbytes(random.choice((1, 2, 20)))
            case 3:
                changed[at:at] = changed[at : at + random.choice((1, 10, 100))]
            case 4:
                changed[at:at] = random.choice((b"\r\n", b"\0", b"\xff\xff", b"%", b":", b" "))
            case _:
                del changed[at:]
    return bytes(changed)


# --- the page ---------------------------------------------------------------------------------

_FIELDS = "Host: 127.0.0.1\r\n"
GOING_ON = [
    f"GET / HTTP/1.1\r\n{_FIELDS}\r\n",
    f"GET /settings.json HTTP/1.1\r\n{_FIELDS}\r\n",
    f'GET /main.js?a=b HTTP/1.1\r\n{_FIELDS}If-None-Match: "0"\r\nAccept: */*\r\n\r\n',
    f"HEAD /style.css HTTP/1.1\r\n{_FIELDS}\r\n",
    f"GET /%2e%2e/%00%ff HTTP/1.1\r\n{_FIELDS}\r\n",
    f"GET /{'a' * 5_000} HTTP/1.1\r\n{_FIELDS}\r\n",
    f"GET /\xe9?\xff HTTP/1.1\r\n{_FIELDS}\r\n",
    "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "GET http://[::1/ HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    f"BREW / HTTP/1.1\r\n{_FIELDS}\r\n",
    f"GET / HTTP/1.1\r\n{_FIELDS}" + "a: b\r\n" * 500 + "\r\n",
]
THE_LAST = [
    *GOING_ON,
    "GET / HTTP/1.0\r\n\r\n",
    "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
    f"POST / HTTP/1.1\r\n{_FIELDS}Content-Length: 5\r\n\r\nhello",
    f"POST / HTTP/1.1\r\n{_FIELDS}Expect: 100-continue\r\nContent-Length: 90000\r\n\r\n",
    f"POST / HTTP/1.1\r\n{_FIELDS}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    f"GET / HTTP/1.1\r\n{_FIELDS}Connection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    f"GET / HTTP/1.1\r\n{_FIELDS}X: {'y' * 20_000}\r\n\r\n",
    f"GET / HTTP/1.1\r\n{_FIELDS}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    f"GET / HTTP/1.1\r\n{_FIELDS}Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x80",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
]


async def attack_page(emulator: Emulator, random: Random) -> int:
    inputs = [random.choice(GOING_ON).encode("latin-1") for _ in range(random.choice((0, 4, 20)))]
    # What is malformed ends the connection: it comes last, so that all is read.
    last = random.choice(THE_LAST).encode("latin-1")
    inputs.append(random.choice((last, garbled(last, random), garbled(last, random))))
    await throw(emulator.page, b"".join(inputs), random.choice(ENDINGS))
    return len(inputs)


# --- WebSockets -------------------------------------------------------------------------------

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CLOSE = b"\x03\xe8"  # 1000
NUMBERS = ["NaN", "-Infinity", "1e999", "9" * 5_000, "1" + "0" * 400, "-0", "1e-400"]
DEEP = "[" * 985 + "]" * 985
VALUES: list[Any] = [
    None, True, False, -1, 0, 1.5, 10**30, 2**63, "", " ", "romeo", "echo", "ROMEO ", "nobody",
    "\ud800", "\udc00\ud800", "\0", "\u2028", "\N{PILE OF POO}" * 200, "x" * 3_000, "away",
    "composing", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
    "drop", "elsewhere", [], ["romeo"], ["romeo", 1, None], [[[]]], ["\ud800"] * 30, {},
    {"a": {}}, {"name": "romeo"}, {"city": "verona", "\ud800": "\ud800"}, {"name": 1},
]  # fmt: skip
WORDS = [each for each in VALUES if isinstance(each, str)]

# Of the emulator's own protocol, with the values that mean something.
FRAMES: dict[str, dict[str, Any]] = {
    "check": {"account": "romeo", "password": "romeo-pw"},
    "ack": {"ids": ["0000"]},
    "send_message": {"ref": "1", "to": "echo", "text": "hi", "replaces": None},
    "set_presence": {
        "ref": "2",
        "show": "away",
        "text": "out",
        "idle_since": None,
        "only_for": ["echo"],
    },
    "set_typing": {"ref": "3", "to": "romeo", "state": "composing"},
    "add_contact": {
        "ref": "4",
        "address": "tybalt",
        "name": "T",
        "groups": ["G"],
        "reason": "please",
    },
    "change_contact": {"ref": "5", "address": "tybalt", "name": "Ty", "groups": []},
    "remove_contact": {"ref": "6", "address": "tybalt"},
    "grant": {"ref": "7", "address": "tybalt"},
    "deny": {"ref": "8", "address": "tybalt", "reason": "no"},
    "revoke": {"ref": "9", "address": "tybalt"},
    "block": {"ref": "10", "address": "tybalt"},
    "unblock": {"ref": "11", "address": "tybalt"},
    "nudge": {"ref": "12", "to": "echo"},
    "mark_read": {"ref": "13", "to": "echo", "upto": "0000"},
    "fetch_profile": {"ref": "14", "address": "romeo"},
    "fetch_avatar": {"ref": "15", "address": "romeo"},
    "search": {"ref": "16", "fields": {"name": "romeo"}},
    "ping": {"id": "17"},
    "strange": {"new": [1, 2]},
}


# Other values of these are refused, and do not end the connection.
FREE_TEXTS = ("account", "password", "to", "address", "text", "name", "reason", "upto")


def frame(opcode: int, data: bytes, *, final: bool = True) -> bytes:
    """Return one frame as a client sends it; its mask is zero."""
    head = bytes([final << 7 | opcode])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 0x10000:
        head += b"\xfe" + len(data).to_bytes(2, "big")
    else:
        head += b"\xff" + len(data).to_bytes(8, "big")
    return head + bytes(4) + data


def text(said: str) -> bytes:
    return frame(1, said.encode("utf-8", "replace"))


def odd_frames(random: Random) -> bytes:
    """Return frames that WebSocket does not have, or that hardly come."""
    return random.choice(
        (
            frame(random.randrange(3, 8), b"x"),
            frame(0, b"a continuation of nothing"),
            frame(1, b"\xff\xfe"),
            frame(1, b"\xe2\x82", final=False) + frame(0, b"\xff"),
            frame(1, b"{", final=False) * 2,
            frame(2, b"{}"),
            frame(1, b"x" * 300_000),
            frame(1, b"", final=False) + frame(0, b"", final=False) * 2_000,
            b"\x81\xff" + b"\xff" * 8 + bytes(4) + b"x" * 5_000,
            b"\x81\xff\x7f" + b"\xff" * 7 + bytes(4) + b"x" * 5_000,
            b"\xf1\x80" + bytes(4),
            b"\x81\x02{}",
            frame(8, b"\0"),
            frame(8, b"\0\1"),
            frame(8, b"\x03\xed"),
            frame(8, CLOSE + b"\xff"),
            frame(8, CLOSE + b"x" * 123) + text("{}"),
            frame(9, b"x" * 126),
            frame(9, b"x", final=False),
            frame(9, b"x") * 50 + frame(10, b"x") * 50,
            text(DEEP),
            text(random.choice(("", "null", "5", '"x"', "[]", "{", '{"type":1}', '{"type":null}'))),
        )
    )


def distorted(fields: dict[str, Any], random: Random, values: Sequence[Any]) -> dict[str, Any]:
    """Return `fields` with values of other kinds, without some, or with more."""
    made = dict(fields)
    for _ in range(random.choice((1, 1, 2, 4))):
        key = random.choice(list(made) or ["x"])
        if random.random() < 0.8:
            made[key] = random.choice(values)
        elif random.random() < 0.5:
            made.pop(key, None)
        else:
            made[random.choice(WORDS)] = random.choice(values)
    return made


def spelled(value: dict[str, Any], random: Random) -> str:
    """Write JSON, now and then with a number that is none, or with nesting without end."""
    said = json.dumps(value)
    if random.random() < 0.2:
        place_of_value = list(re.finditer(r"(?<=: )(\"[^\"\\]*\"|null|\d+)", said))
        if place_of_value:
            found = random.choice(place_of_value)
            odd = random.choice([*NUMBERS, DEEP])
            said = said[: found.start()] + odd + said[found.end() :]
    return said


async def attack_websocket(emulator: Emulator, random: Random) -> int:
    if random.random() < 0.1:
        await throw(emulator.url, garbled(HANDSHAKE, random), random.choice(ENDINGS))
        return 1
    account = random.choice(ACCOUNTS)
    hello = {"type": "sign_on", "account": account, "password": PASSWORD}
    inputs = [text(json.dumps(hello))]
    for _ in range(random.choice((4, 20, 60))):
        tag, fields = random.choice(list(FRAMES.items()))
        texts = {key: value for key, value in fields.items() if key in FREE_TEXTS}
        made = {**fields, **distorted(texts, random, WORDS)} if texts else fields
        inputs.append(text(json.dumps({**fields, **made, "type": tag})))
    # What is malformed ends the connection: it comes last, so that all is read.
    tag, fields = random.choice(list(FRAMES.items()))
    worst = text(spelled({"type": tag, **distorted(fields, random, VALUES)}, random))
    inputs.append(random.choice((worst, worst, garbled(worst, random), odd_frames(random))))
    ends = random.choice((b"", frame(8, CLOSE)))
    data = b"".join(inputs) + ends
    await throw(emulator.url, data, random.choice(ENDINGS), HANDSHAKE)
    return len(inputs)


# --- the control channel ----------------------------------------------------------------------

ARGUMENTS: dict[str, Any] = {
    "address": "victim", "contact": "echo", "first": "victim", "second": "romeo", "sender": "romeo",
    "to": "victim", "reader": "romeo", "name": "V", "password": "victim-pw", "text": "hi",
    "groups": ["G"], "mutual": True, "consent": False, "profile": {"city": "Verona"}, "since": 0,
    "account": "victim", "kind": "delay", "show": "away", "state": "idle", "upto": "0000",
    "reason": "please", "replaces": None, "idle_since": None, "only_for": ["romeo"],
    "data": "R0lG", "media_type": "image/gif", "connection": "c1", "seconds": 0.0, "times": 1,
}  # fmt: skip
# These wait, or change for everybody what the others attack.
CALM = sorted(set(ACTIONS) - {"wait_arrived", "set_policy", "kick", "cut", "say_raw", "set_fault"})
KEYS = {
    "set_fault": ("kind", "account", "seconds", "times", "reason", "text"),
    "set_policy": (),
    "kick": ("address", "text"),
    "cut": ("connection",),
    "say_raw": ("text", "connection"),
}
# The victim comes and goes, so that it is there now and then.
VICTIM = {"address": "victim", "password": "victim-pw"}


async def attack_control(emulator: Emulator, random: Random) -> int:
    inputs = []
    for _ in range(random.choice((10, 60))):
        action = random.choice(CALM if random.random() < 0.8 else list(KEYS))
        keys = KEYS.get(action, tuple(random.sample(list(ARGUMENTS), 4)))
        given = {key: ARGUMENTS[key] for key in keys}
        if action in KEYS or random.random() < 0.5:
            given = distorted(given, random, VALUES)
        # These are not for the other attackers: empty, they would be.
        if action == "set_fault":
            given |= {"account": "victim", "times": 1}
        if action in ("cut", "say_raw"):
            given |= {"connection": "none"}
        if action == "create_account":
            given = VICTIM
        asked = {"id": random.choice(VALUES), "action": action, "arguments": given}
        if random.random() < 0.1:
            asked = distorted(asked, random, VALUES)
        inputs.append(text(spelled(asked, random)))
    inputs.append(odd_frames(random))
    await throw(emulator.control, b"".join(inputs), random.choice(ENDINGS), HANDSHAKE)
    return len(inputs)


ATTACKS: dict[str, tuple[int, Attack]] = {  # how often each is tried, among all
    "page": (31, attack_page),
    "websocket": (10, attack_websocket),
    "control": (4, attack_control),
}


@attrs.define
class Tally:
    """How many inputs were sent, by attack."""

    inputs: dict[str, int] = attrs.field(factory=dict)

    @property
    def total(self) -> int:
        return sum(self.inputs.values())
