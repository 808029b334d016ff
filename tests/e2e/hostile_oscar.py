"""Hostile OSCAR clients of the emulator: in the login, after it, and where pictures are."""

from collections.abc import Iterable
from random import Random

import trio

from gateway.networks.oscar.wire import login
from scripts.lab.processes import Emulator
from tests.e2e.hostile import ACCOUNTS, ENDINGS, PASSWORD, Attack, garbled, place, throw
from tests.unit.legacy_emu.oscar_client import OscarWire, im, log_in, s8, sign_on, tlv, tlvs
from tests.unit.legacy_emu.test_oscar_bad_clients import DOING, ENTERING, LOGIN, ROASTED
from tests.unit.networks.test_oscar_fuzz import frame, mutated, snac

HELLO = bytes.fromhex("00000001")
GOOD_BYE = frame(4, b"")
SNAC_HEADER_END = 16
PICTURES = [
    snac(1, 0x17, "0001 0003 0010 0001", 1),
    snac(1, 6, "", 2),
    snac(1, 8, "0001", 3),
    snac(0x10, 4, s8("romeo") + bytes.fromhex("01 0001 01 10") + bytes(16), 4),
    snac(0x10, 6, s8("romeo") + b"\5" + (bytes.fromhex("0001 01 10") + bytes(16)) * 5, 5),
    snac(0x10, 2, b"\0\1\0\3GIF", 6),
]


def with_headers(frames: Iterable[bytes]) -> list[bytes]:
    """Leave out what would end the connection, so that all that follows is read."""
    return [each for each in frames if each[:2] == b"\x2a\2" and len(each) >= SNAC_HEADER_END]


async def attack_login(emulator: Emulator, random: Random) -> int:
    inputs = list(mutated(random.choice((LOGIN, ROASTED)), random))[:4]
    if random.random() < 0.3:
        inputs = [garbled(each, random) if each else each for each in inputs]
    await throw(emulator.fronts["oscar"], b"".join(inputs), random.choice(ENDINGS))
    return len(inputs)


async def attack_service(emulator: Emulator, random: Random) -> int:
    name = random.choice(ACCOUNTS)
    first = [frame(1, HELLO + tlv(6, await _cookie(emulator, name))), *ENTERING]
    if random.random() < 0.2:
        first = list(mutated(first, random))
    inputs = first
    doing = [each for each in DOING if each != GOOD_BYE]
    for _ in range(random.choice((1, 2, 4))):
        inputs += with_headers(mutated(doing, random))
    inputs.append(garbled(random.choice(DOING), random))
    await throw(emulator.fronts["oscar"], b"".join(inputs), random.choice(ENDINGS))
    return len(inputs)


async def attack_pictures(emulator: Emulator, random: Random) -> int:
    async with await trio.open_tcp_stream(*place(emulator.fronts["oscar"])) as stream:
        bos = OscarWire(stream)
        name = random.choice(ACCOUNTS)
        await bos.next_frame()
        await bos.send_frame(1, HELLO + tlv(6, await _cookie(emulator, name)))
        await bos.send("01/04", b"\0\x10", 1)
        cookie = tlvs((await bos.expect("01/05")).data)[6]
    inputs = [frame(1, HELLO + tlv(6, cookie))]
    for _ in range(5):
        inputs += with_headers(mutated(PICTURES, random))
    inputs.append(garbled(random.choice(PICTURES), random))
    await throw(emulator.fronts["oscar"], b"".join(inputs), random.choice(ENDINGS))
    return len(inputs)


async def _cookie(emulator: Emulator, name: str) -> bytes:
    """Log in the short way, by roasted password."""
    roasted = login.roast(PASSWORD.encode())
    hello = frame(1, HELLO + tlv(1, name) + tlv(2, roasted) + tlv(3, "hostile"))
    came = await throw(emulator.fronts["oscar"], hello, "half-close")
    return tlvs(came[16:])[6]  # behind the service's own hello, and the head of its sign-off


async def receive(emulator: Emulator, account: str, ready: trio.Event) -> bytes:
    """Sign on as an honest client, and return the next message that comes."""
    password = emulator.passwords[account]
    where = place(emulator.fronts["oscar"])
    async with await trio.open_tcp_stream(*where) as stream:
        cookie = await log_in(OscarWire(stream), account, password)
    async with await trio.open_tcp_stream(*where) as stream:
        client = OscarWire(stream)
        await sign_on(client, cookie)
        ready.set()
        message = await client.expect("04/07")
        await client.send("04/06", im("romeo", "and good night"), 1)
        await client.barrier()
        return message.data


ATTACKS: dict[str, tuple[int, Attack]] = {
    "oscar login": (17, attack_login),
    "oscar service": (2, attack_service),
    "oscar pictures": (1, attack_pictures),
}
