"""The simulated network fails as real links do, and in no other way."""

import math
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.host import Address
from tests.simulation.network import RETRANSMIT_SECONDS, Connection, Quality, SimNetwork, SimStream
from tests.simulation.trace import Trace

PLACE = Address("server", 1)
EVEN = Quality(latency=0.5, jitter=0.0, bytes_per_second=math.inf, buffer_bytes=10)


async def connected(quality: Quality = EVEN) -> tuple[SimNetwork, Connection]:
    network = SimNetwork(1, Trace(), quality)
    network.bind(PLACE)
    await network.dial(PLACE, "client")
    return network, network.connections[0]


async def test_bytes_arrive_in_order_after_the_latency(autojump_clock: MockClock) -> None:
    _, link = await connected()
    start = trio.current_time()
    await link.client.send_all(b"ab")
    await link.client.send_all(b"cd")
    assert await link.server.receive_some() == b"abcd"
    assert trio.current_time() == start + EVEN.latency


async def test_bandwidth_delays_what_stands_behind(autojump_clock: MockClock) -> None:
    _, link = await connected(Quality(latency=0, jitter=0, bytes_per_second=2))
    start = trio.current_time()
    await link.client.send_all(b"abcd")
    await link.client.send_all(b"ef")
    assert await link.server.receive_some() == b"abcd"
    assert trio.current_time() == start + 2
    assert await link.server.receive_some() == b"ef"
    assert trio.current_time() == start + 3


async def test_a_sender_waits_for_its_reader(autojump_clock: MockClock) -> None:
    _, link = await connected()
    with trio.move_on_after(100) as waiting:
        await link.client.send_all(bytes(11))
    assert waiting.cancelled_caught
    assert await link.server.receive_some() == bytes(10)
    assert link.client.peer_read == 10
    with trio.fail_after(1):
        await link.client.send_all(b"!")


async def test_a_parked_sender_goes_on_when_there_is_room(autojump_clock: MockClock) -> None:
    _, link = await connected()
    got = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.client.send_all, bytes(range(25)))
        while len(got) < 25:
            got += await link.server.receive_some()
    assert got == bytes(range(25))


async def test_when_each_byte_was_read_is_known(autojump_clock: MockClock) -> None:
    _, link = await connected()
    await link.client.send_all(b"abcdef")
    await trio.sleep(7)
    read_at = trio.current_time()
    assert await link.server.receive_some(4) == b"abcd"
    assert link.client.peer_read_at(4) == read_at
    assert link.client.peer_read_at(5) == math.inf
    await trio.sleep(1)
    await link.server.receive_some()
    assert link.client.peer_read_at(5) == read_at + 1


async def test_an_orderly_end_comes_after_the_data(autojump_clock: MockClock) -> None:
    _, link = await connected()
    await link.client.send_all(b"bye")
    await link.client.aclose()
    assert await link.server.receive_some() == b"bye"
    assert await link.server.receive_some() == b""
    assert await link.server.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        await link.client.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await link.client.send_all(b"x")


async def test_half_closing_leaves_the_other_direction(autojump_clock: MockClock) -> None:
    _, link = await connected()
    await link.client.send_eof()
    assert await link.server.receive_some() == b""
    await link.server.send_all(b"late")
    assert await link.client.receive_some() == b"late"


async def test_closing_with_unread_input_resets_the_peer(autojump_clock: MockClock) -> None:
    _, link = await connected()
    await link.server.send_all(b"last")
    await link.client.send_all(b"unread")
    await trio.sleep(1)
    await link.server.send_all(b"words")
    await link.server.aclose()
    assert await link.client.receive_some() == b"last"
    assert await link.client.receive_some() == b"words"
    with pytest.raises(trio.BrokenResourceError):
        await link.client.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await link.client.send_all(b"x")


async def test_sending_to_a_closed_peer_is_noticed_a_round_trip_later(
    autojump_clock: MockClock,
) -> None:
    _, link = await connected()
    await link.server.aclose()
    await link.client.send_all(b"x")
    await trio.sleep(2 * EVEN.latency)
    with pytest.raises(trio.BrokenResourceError):
        await link.client.send_all(b"x")
    assert link.client.peer_read == 0


async def test_what_is_under_way_to_a_closed_socket_comes_back_as_a_reset(
    autojump_clock: MockClock,
) -> None:
    _, link = await connected()
    await link.client.send_all(b"x")
    await link.server.aclose()
    assert await link.client.receive_some() == b""
    await trio.sleep(EVEN.latency)
    with pytest.raises(trio.BrokenResourceError):
        await link.client.send_all(b"y")


async def test_a_cut_fails_both_ends_and_loses_what_was_unread(autojump_clock: MockClock) -> None:
    _, link = await connected()
    await link.client.send_all(b"lost")
    await trio.sleep(1)
    failed = 0

    async def expect_failure(call: Callable[[], Awaitable[object]]) -> None:
        nonlocal failed
        with pytest.raises(trio.BrokenResourceError):
            await call()
        failed += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_failure, link.client.receive_some)
        nursery.start_soon(expect_failure, lambda: link.client.send_all(bytes(20)))
        await wait_all_tasks_blocked()
        link.cut()
    await expect_failure(link.server.receive_some)
    assert failed == 3
    assert link.client.peer_read == 0
    assert not link.alive


async def test_a_stall_holds_everything_back_and_loses_nothing(autojump_clock: MockClock) -> None:
    _, link = await connected()
    await link.client.send_all(b"a")
    link.stall(30)
    end = trio.current_time() + 30
    await link.client.send_all(b"b")
    assert await link.server.receive_some() == b"ab"
    assert trio.current_time() == end


async def test_healing_ends_a_stall_at_once(autojump_clock: MockClock) -> None:
    network, link = await connected()
    await link.client.send_all(b"a")
    link.stall(math.inf)
    with trio.move_on_after(5) as waiting:
        await link.server.receive_some()
    assert waiting.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.server.receive_some)
        await wait_all_tasks_blocked()
        network.heal()
    assert link.client.peer_read == 1


async def test_half_open_is_silence_until_the_kernel_gives_up(autojump_clock: MockClock) -> None:
    _, link = await connected()
    await link.client.send_all(b"early")
    await trio.sleep(1)
    link.half_open()
    assert await link.server.receive_some() == b"early"
    with trio.move_on_after(10_000) as silence:
        await link.client.receive_some()
    assert silence.cancelled_caught, "who sends nothing never learns of it"
    start = trio.current_time()
    with pytest.raises(trio.BrokenResourceError):
        await link.client.send_all(bytes(20))  # ten fill the buffer
    assert trio.current_time() == start + RETRANSMIT_SECONDS
    with pytest.raises(trio.BrokenResourceError):
        await link.client.receive_some()
    with trio.move_on_after(10_000) as silence:
        await link.server.receive_some()
    assert silence.cancelled_caught


async def test_a_reader_parked_on_a_half_open_link_learns_of_the_timeout(
    autojump_clock: MockClock,
) -> None:
    _, link = await connected()
    link.half_open()
    start = trio.current_time()
    with pytest.RaisesGroup(trio.BrokenResourceError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.client.receive_some)
            await wait_all_tasks_blocked()
            await link.client.send_all(b"x")
    assert trio.current_time() == start + RETRANSMIT_SECONDS


async def test_healing_cuts_what_is_half_open(autojump_clock: MockClock) -> None:
    network, link = await connected()
    link.half_open()
    network.heal()
    with pytest.raises(trio.BrokenResourceError):
        await link.server.receive_some()


async def test_closing_a_half_open_end_tells_the_other_nothing(autojump_clock: MockClock) -> None:
    _, link = await connected()
    link.half_open()
    await link.client.aclose()
    with trio.move_on_after(10_000) as silence:
        await link.server.receive_some()
    assert silence.cancelled_caught


async def test_split_gives_crumbs_that_add_up(autojump_clock: MockClock) -> None:
    _, link = await connected(Quality(buffer_bytes=1000))
    link.split()
    sent = bytes(range(200))
    await link.client.send_all(sent)
    parts: list[bytes] = []
    while sum(map(len, parts)) < len(sent):
        parts.append(await link.server.receive_some())
    assert b"".join(parts) == sent
    assert max(map(len, parts)) <= 7


async def test_two_tasks_may_not_send_at_once(autojump_clock: MockClock) -> None:
    _, link = await connected()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.client.send_all, bytes(20))
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await link.client.send_all(b"x")
        nursery.cancel_scope.cancel()


async def test_closing_wakes_the_own_reader(autojump_clock: MockClock) -> None:
    _, link = await connected()
    with pytest.RaisesGroup(trio.ClosedResourceError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.client.receive_some)
            await wait_all_tasks_blocked()
            await link.client.aclose()


async def test_nobody_listening_refuses(autojump_clock: MockClock) -> None:
    network = SimNetwork(1, Trace())
    with pytest.raises(OSError, match="refused"):
        await network.dial(PLACE, "client")
    listener = network.bind(PLACE)
    with pytest.raises(OSError, match="in use"):
        network.bind(PLACE)
    listener.close()
    with pytest.raises(OSError, match="refused"):
        await network.dial(PLACE, "client")


async def test_a_listener_serves_each_connection_until_it_is_closed(
    autojump_clock: MockClock,
) -> None:
    network = SimNetwork(1, Trace())
    listener = network.bind(PLACE)

    async def echo(stream: trio.abc.Stream) -> None:
        await stream.send_all(await stream.receive_some())

    async def ask(who: str) -> None:
        stream: SimStream = await network.dial(PLACE, who)
        await stream.send_all(who.encode())
        assert await stream.receive_some() == who.encode()
        assert await stream.receive_some() == b"", "closed after its handler"
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, echo)
        async with trio.open_nursery() as askers:
            askers.start_soon(ask, "one")
            askers.start_soon(ask, "two")
        listener.close()
