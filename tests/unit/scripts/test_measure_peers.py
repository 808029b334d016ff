"""The bench's light legacy services speak what the drivers read."""

import json

from gateway.networks.emu import wire
from scripts.measure.peers.emu import TEXT, Account, EmuPeer
from scripts.measure.peers.irc import IrcPeer

UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3


def masked(frame: wire.ClientFrame) -> bytes:
    """Return a frame as clients send it."""
    data, mask = wire.encode(frame).encode(), b"\x01\x02\x03\x04"
    hidden = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    return bytes((0x80 | TEXT, 0x80 | 126)) + len(data).to_bytes(2, "big") + mask + hidden


def unpacked(data: bytes) -> list[wire.ServerFrame]:
    frames = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        frames.append(wire.decode_server(data[start : start + size].decode()))
        data = data[start + size :]
    return frames


def signed_on() -> tuple[EmuPeer, list[wire.ServerFrame]]:
    peer = EmuPeer(Account(2))
    assert ACCEPT in peer.receive(UPGRADE)
    return peer, unpacked(peer.receive(masked(wire.SignOn("u1", "secret"))))


def test_emu_sign_on_shows_online_contacts() -> None:
    _, (hello, contacts, *presences) = signed_on()
    assert isinstance(hello, wire.SignedOn)
    assert isinstance(contacts, wire.ContactList)
    assert [one.address for one in contacts.contacts] == ["c0", "c1"]
    assert presences == [wire.Presence("c0", "online"), wire.Presence("c1", "online")]


def test_emu_message_is_echoed_after_its_outcomes() -> None:
    peer, _ = signed_on()
    text = 'so "late"? ♥'
    data = masked(wire.SendMessage("r1", "c1", text))
    assert peer.receive(data[:7]) == b""
    accepted, delivered, echo = unpacked(peer.receive(data[7:]))
    assert isinstance(accepted, wire.Outcome)
    assert isinstance(delivered, wire.Outcome)
    assert (accepted.stage, delivered.stage) == ("accepted", "delivered")
    assert isinstance(echo, wire.Message)
    assert (echo.sender, echo.text) == ("c1", text)
    assert echo.id != accepted.id


def test_emu_presence_changes_every_time() -> None:
    peer, _ = signed_on()
    shows = [
        [frame.show for frame in unpacked(peer.change_presence()) if hasattr(frame, "show")]
        for _ in range(3)
    ]
    assert shows == [["away"] * 2, ["online"] * 2, ["away"] * 2]
    assert EmuPeer(Account(2)).change_presence() == b""  # no user here


def test_emu_commands_are_done() -> None:
    peer, _ = signed_on()
    (done,) = unpacked(peer.receive(masked(wire.SetPresence("r2", "online"))))
    assert done == wire.Done("r2")
    assert json.loads(wire.encode(done))["type"] == "done"


def test_irc_private_message_comes_back() -> None:
    peer = IrcPeer([b"c0", b"c1"])
    peer.receive(b"NICK u1\r\nUSER u1 0 * :u1\r\nJOIN #r\r\n")
    assert (
        peer.receive(b"PRIVMSG c1 :good night\r\n") == b":c1!c1@legacy PRIVMSG u1 :good night\r\n"
    )
    assert peer.change_presence() == b":c0!c0@legacy PART #r\r\n:c1!c1@legacy PART #r\r\n"
