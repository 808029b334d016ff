"""OSCAR for network `aim`: login by challenge, contact list, presence, messages.

One port for the login and the session. A message is acknowledged (04/0C) and returned from the
buddy it was sent to (04/07), in one write. The one rate class limits no client: with the limits of
real services a user may send one message in five seconds. Contacts change their presence by leaving
and arriving.
"""

import struct
import time
from collections.abc import Iterator

from scripts.measure.peers.loop import Peer, contacts_wanted, serve

FLAP = struct.Struct(">BBHH")
SNAC = struct.Struct(">HHHI")
SIGNON, DATA, SIGNOFF = 1, 2, 4  # FLAP channels
UNASKED = 0x8000_0000  # request id of what no request asked for
COOKIE_BYTES = 256

FOOD_GROUPS = bytes.fromhex("0001 0002 0003 0004 0009 0010 0013 0015")
# One class: window, clear, alert, limit and disconnect level, current and maximum level; no groups.
RATES = bytes.fromhex(
    "0001 0001 00000050 00000000 00000000 00000000 00000000 00001770 00001770 00000000 000001 0000"
)
ROSTER_GROUP, ROSTER_BUDDY = 1, 0  # kinds of feedbag items
FIRST_BUDDY_ID = 2

_AUTHORISED_KEY = b"6150427895"
_ONLINE_AIM = struct.pack(">H", 0x10)


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value


def tlvs(data: bytes, at: int = 0) -> dict[int, bytes]:
    """Read TLVs up to the end of `data`."""
    found: dict[int, bytes] = {}
    while at + 4 <= len(data):
        kind, size = struct.unpack_from(">HH", data, at)
        found[kind] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def user_info(name: bytes) -> bytes:
    """Name, warning level 0, and one TLV: the user's class."""
    return bytes((len(name),)) + name + struct.pack(">HH", 0, 1) + tlv(1, _ONLINE_AIM)


def feedbag_item(name: bytes, group: int, item: int, kind: int, attributes: bytes) -> bytes:
    numbers = struct.pack(">HHHH", group, item, kind, len(attributes))
    return struct.pack(">H", len(name)) + name + numbers + attributes


class Account:
    """What every user of the service finds."""

    def __init__(self, contacts: int) -> None:
        names = [b"c%d" % number for number in range(contacts)]
        self.buddies = [user_info(name) for name in names]
        ids = range(FIRST_BUDDY_ID, FIRST_BUDDY_ID + contacts)
        order = b"".join(struct.pack(">H", number) for number in ids)
        items = [
            feedbag_item(b"", 0, 0, ROSTER_GROUP, tlv(0xC8, struct.pack(">H", 1))),
            feedbag_item(b"Friends", 1, 0, ROSTER_GROUP, tlv(0xC8, order)),
        ]
        items += [
            feedbag_item(name, 1, number, ROSTER_BUDDY, tlv(0x131, b"Contact " + name))
            for name, number in zip(names, ids, strict=True)
        ]
        changed_at = bytes.fromhex("65000000")
        feedbag = b"\0" + struct.pack(">H", len(items)) + b"".join(items) + changed_at
        done = struct.pack(">H", 0)
        # (food group, subtype) of a request -> subtype and body of its answer
        self.answers: dict[tuple[int, int], tuple[int, bytes]] = {
            (0x01, 0x06): (0x07, RATES),
            (0x02, 0x02): (0x03, tlv(1, b"\x03\xe8") + tlv(2, b"\x03\xe8")),
            (0x03, 0x02): (0x03, tlv(1, b"\x03\xe8")),
            (0x04, 0x04): (0x05, bytes.fromhex("0005 00000003 1f40 03e7 03e7 00000000")),
            (0x09, 0x02): (0x03, tlv(1, b"\x00\xc8") + tlv(2, b"\x00\xc8")),
            (0x13, 0x02): (0x03, tlv(4, b"\x00\x3d" * 3)),
            (0x13, 0x04): (0x06, feedbag),
            (0x13, 0x05): (0x06, feedbag),
            (0x13, 0x08): (0x0E, done),
            (0x13, 0x09): (0x0E, done),
            (0x13, 0x0A): (0x0E, done),
            (0x17, 0x06): (0x07, struct.pack(">H", len(_AUTHORISED_KEY)) + _AUTHORISED_KEY),
        }


class OscarPeer(Peer):
    # Cookies of messages are never used twice, not after a restart either.
    _last_cookie = time.time_ns()

    def __init__(self, account: Account, port: int) -> None:
        self._account = account
        self._port = port
        self._buffer = b""
        self._sequence = 0
        self._name = b""
        self._here: bool | None = None  # the contacts; None: not signed on

    def open(self) -> bytes:
        return self._flap(SIGNON, struct.pack(">I", 1))

    def receive(self, data: bytes) -> bytes:
        self._buffer += data
        return b"".join([self._answer(channel, body) for channel, body in self._frames()])

    def change_presence(self) -> bytes:
        if self._here is None:
            return b""
        self._here = not self._here
        return self._presences()

    def _presences(self) -> bytes:
        subtype = 0x0B if self._here else 0x0C
        return b"".join(self._snac(3, subtype, buddy) for buddy in self._account.buddies)

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        data, at, end = self._buffer, 0, len(self._buffer)
        while end - at >= FLAP.size:
            _, channel, _, size = FLAP.unpack_from(data, at)
            start = at + FLAP.size
            if end < start + size:
                break
            yield channel, data[start : start + size]
            at = start + size
        self._buffer = data[at:]

    def _flap(self, channel: int, payload: bytes) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFFFF
        return FLAP.pack(0x2A, channel, self._sequence, len(payload)) + payload

    def _snac(self, group: int, subtype: int, body: bytes, request: int = UNASKED) -> bytes:
        return self._flap(DATA, SNAC.pack(group, subtype, 0, request) + body)

    def _answer(self, channel: int, payload: bytes) -> bytes:
        if channel == DATA:
            group, subtype, _, request = SNAC.unpack_from(payload)
            return self._answer_snac(group, subtype, payload[SNAC.size :], request)
        if channel == SIGNON and (cookie := tlvs(payload, 4).get(6)) is not None:
            self._name = cookie.rstrip(b"\0")
            return self._snac(1, 3, FOOD_GROUPS)
        if channel == SIGNOFF:
            self.finished, self._here = True, None
        return b""

    def _answer_snac(self, group: int, subtype: int, body: bytes, request: int) -> bytes:
        match group, subtype:
            case 0x04, 0x06:
                return self._echo(body, request)
            case 0x17, 0x02:
                return self._let_in(body, request)
            case 0x01, 0x17:
                return self._snac(1, 0x18, body, request)
            case 0x01, 0x0E:
                return self._snac(1, 0x0F, user_info(self._name), request)
            case 0x01, 0x02:
                self._here = True
                return self._presences()
        if (answer := self._account.answers.get((group, subtype))) is None:
            return b""
        return self._snac(group, answer[0], answer[1], request)

    def _let_in(self, body: bytes, request: int) -> bytes:
        """Answer a login: the session is at the same port, the cookie holds the name."""
        self.finished = True
        name = tlvs(body)[1]
        cookie = name.ljust(COOKIE_BYTES, b"\0")
        answer = tlv(1, name) + tlv(5, b"127.0.0.1:%d" % self._port) + tlv(6, cookie)
        return self._snac(0x17, 3, answer, request) + self._flap(SIGNOFF, b"")

    def _echo(self, body: bytes, request: int) -> bytes:
        end = 11 + body[10]  # cookie, channel, length and name
        text = tlvs(body, end)[2]
        OscarPeer._last_cookie += 1
        head = struct.pack(">QH", self._last_cookie, 1)
        message = head + user_info(body[11:end]) + tlv(2, text)
        return self._snac(4, 0x0C, body[:end], request) + self._snac(4, 7, message)


if __name__ == "__main__":
    everyone = Account(contacts_wanted())
    serve(lambda port: OscarPeer(everyone, port))
