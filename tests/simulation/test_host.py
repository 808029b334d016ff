"""A killed incarnation says no goodbye, writes nothing, and leaves what a kernel would leave."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, StoreError
from gateway.host import DIAL_SECONDS, Address, Host
from tests.simulation.host import EPOCH, CrashPoint, Killed, Machine, SimHost
from tests.simulation.network import SimNetwork
from tests.simulation.trace import Trace

PLACE = Address("server", 1)


@pytest.fixture
def machine() -> Machine:
    return Machine(1, SimNetwork(1, Trace()))


def opened(host: Host, path: Path) -> sa.Engine:
    engine = host.open_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("create table if not exists word (word text)")
    return engine


def words(path: Path) -> list[str]:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        found = [row[0] for row in connection.exec_driver_sql("select word from word")]
    engine.dispose()
    return found


async def test_the_simulated_host_is_a_host(autojump_clock: MockClock, machine: Machine) -> None:
    host: Host = SimHost(machine)
    await trio.sleep(5)
    assert host.now() == EPOCH + timedelta(seconds=5)
    assert host.token_bytes(8) != host.token_bytes(8)
    assert await host.run_blocking(lambda: 42) == 42


async def test_each_incarnation_draws_its_own_randomness(machine: Machine) -> None:
    first, second = SimHost(machine), SimHost(machine)
    again = SimHost(Machine(1, SimNetwork(1, Trace())))
    drawn = first.token_bytes(8)
    assert drawn != second.token_bytes(8)
    assert drawn == again.token_bytes(8)


async def test_a_killed_incarnation_says_no_goodbye(
    autojump_clock: MockClock, machine: Machine
) -> None:
    listener = machine.network.bind(PLACE)
    heard = bytearray()
    ended: list[str] = []

    async def hear(stream: trio.abc.Stream) -> None:
        async for data in stream:
            heard.extend(data)
        ended.append("orderly")

    async def life(host: SimHost) -> None:
        stream = await host.dial(PLACE)
        await stream.send_all(b"hello")
        try:
            await stream.receive_some()
        finally:
            with trio.move_on_after(5, shield=True):
                await stream.send_all(b"goodbye")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, hear)
        host = SimHost(machine)
        nursery.start_soon(host.run, life)
        await trio.sleep(10)
        host.kill()
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert heard == b"hello"
    assert ended == ["orderly"]


async def test_a_killed_incarnation_writes_nothing_more(
    autojump_clock: MockClock, machine: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "words.db"
    fenced: list[bool] = []

    async def life(host: SimHost) -> None:
        engine = await host.run_blocking(lambda: opened(host, path))

        def write(word: str) -> None:
            with engine.begin() as connection:
                connection.exec_driver_sql("insert into word values (?)", (word,))

        await host.run_blocking(lambda: write("early"))
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                try:
                    await host.run_blocking(lambda: write("late"))
                except Killed:
                    fenced.append(True)
                    raise

    async with trio.open_nursery() as nursery:
        host = SimHost(machine)
        nursery.start_soon(host.run, life)
        await trio.sleep(1)
        host.kill()
    assert words(path) == ["early"]
    assert fenced == [True]


@pytest.mark.parametrize(
    ("point", "kept"),
    [
        (CrashPoint.BEFORE, ["old"]),
        (CrashPoint.BETWEEN, ["old"]),
        (CrashPoint.AFTER, ["old", "one", "two"]),
    ],
)
async def test_a_crash_point_strikes_where_it_says(
    autojump_clock: MockClock, machine: Machine, tmp_path: Path, point: CrashPoint, kept: list[str]
) -> None:
    path = tmp_path / "words.db"
    answered: list[str] = []

    async def life(host: SimHost) -> None:
        engine = await host.run_blocking(lambda: opened(host, path))

        def write(*new: str) -> None:
            with engine.begin() as connection:
                for word in new:
                    connection.exec_driver_sql("insert into word values (?)", (word,))

        await host.run_blocking(lambda: write("old"))
        host.crash_soon(point)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await host.run_blocking(lambda: write("one", "two"))
            answered.append("an answer")

    host = SimHost(machine)
    with trio.fail_after(10):
        await host.run(life)
    assert host.dead
    assert host.crashed_at is point
    assert words(path) == kept
    assert answered == []


async def test_locks_die_with_their_incarnation(machine: Machine) -> None:
    first, path = SimHost(machine), Path("balcony.lock")
    first.lock_file(path)
    with pytest.raises(StoreError):
        SimHost(machine).lock_file(path)
    first.kill()
    lock = SimHost(machine).lock_file(path)
    lock.close()
    SimHost(machine).lock_file(path)


async def test_every_seam_is_fenced(autojump_clock: MockClock, machine: Machine) -> None:
    machine.network.bind(PLACE)
    host = SimHost(machine)
    stream = await host.dial(PLACE)
    host.kill()
    for call in (
        lambda: host.random,
        host.now,
        lambda: host.token_bytes(1),
        lambda: host.open_engine("sqlite://"),
        lambda: host.lock_file(Path("x")),
    ):
        with pytest.raises(Killed):
            call()
    for wait in (
        lambda: host.dial(PLACE),
        lambda: host.listen(PLACE),
        lambda: host.run_blocking(lambda: None),
        lambda: stream.send_all(b"x"),
        stream.receive_some,
        stream.aclose,
    ):
        with pytest.raises(Killed):
            await wait()


async def test_a_call_to_the_store_is_not_cancelled_midway(
    autojump_clock: MockClock, machine: Machine
) -> None:
    host = SimHost(machine)
    done: list[str] = []
    with trio.CancelScope() as scope:

        def call() -> None:
            scope.cancel()
            done.append("called")

        await host.run_blocking(call)
        done.append("answered")
    assert done == ["called", "answered"]
    with trio.CancelScope() as scope:
        scope.cancel()
        await host.run_blocking(lambda: done.append("never"))
    assert done == ["called", "answered"]


async def test_dialling_fails_as_the_interface_says(
    autojump_clock: MockClock, machine: Machine
) -> None:
    host = SimHost(machine)
    with pytest.raises(ConnectionLost, match="refused"):
        await host.dial(PLACE)
    machine.network.unreachable[PLACE] = True
    start = trio.current_time()
    with pytest.raises(ConnectionLost, match="did not answer"):
        await host.dial(PLACE)
    assert trio.current_time() == start + DIAL_SECONDS


async def test_a_bug_before_the_kill_is_not_hidden(machine: Machine) -> None:
    async def life(_host: SimHost) -> None:
        raise ValueError("a bug")

    with pytest.RaisesGroup(ValueError):
        await SimHost(machine).run(life)


async def test_listening_accepts_streams_of_this_incarnation(
    autojump_clock: MockClock, machine: Machine
) -> None:
    host = SimHost(machine)
    listening = await host.listen(Address("here", 0))
    assert listening.address.port

    async def echo(stream: trio.abc.Stream) -> None:
        await stream.send_all(await stream.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening.serve, echo)
        stream = await machine.network.dial(listening.address, "client")
        await stream.send_all(b"x")
        assert await stream.receive_some() == b"x"
        nursery.cancel_scope.cancel()
