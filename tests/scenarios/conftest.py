"""The daemon between a played XMPP server and the emulated service, in one process.

Romeo has Juliet and the Nurse on his list, and they have him on theirs; Mercutio is a stranger to
him. The legacy side is acted through `Control`, the XMPP side in literal stanzas.
"""

import shutil
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Protocol

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.host import RealHost
from gateway.store.sealing import Sealer
from gateway.store.store import Store
from legacy_emu.control import Control
from legacy_emu.service import Service
from tests.fakes.interpreter import Interpreter
from tests.fakes.stage import G, Stage, make_config, stage
from tests.scenarios.casts import ABILITIES, Cast, casts
from tests.scenarios.places import LEGACY_PLACE
from tests.simulation.host import Machine, virtual_now
from tests.simulation.network import SimNetwork
from tests.simulation.trace import Trace

FIRST_CAST = "emu"  # plays in the quick part, too


def _params() -> list[Any]:
    slow = pytest.mark.slow
    return [
        pytest.param(each, id=each.name, marks=() if each.name == FIRST_CAST else slow)
        for each in casts()
    ]


@attrs.frozen
class _Place:
    """Where the emulator lives: the simulated calendar, and randomness of its own."""

    random: Random = attrs.field(factory=lambda: Random("scenarios"))  # noqa: S311 - not for secrets

    def now(self) -> datetime:
        return virtual_now()


class Raise(Protocol):
    """Starts a daemon on the store of this test; the one before has to have ended.

    What is given are further keys of its `[[component]]`.
    """

    def __call__(self, **more: Any) -> AbstractAsyncContextManager[Stage]: ...


@pytest.fixture(params=_params())
def cast(request: pytest.FixtureRequest) -> Cast:
    """The network on which this scenario plays."""
    found: Cast = request.param
    for needed in [one for mark in request.node.iter_markers("needs") for one in mark.args]:
        assert needed in ABILITIES
        if needed in found.lacks:
            pytest.skip(f"{found.name.upper()} {found.lacks[needed]}")
    return found


@pytest.fixture
def interpreter(cast: Cast) -> Interpreter:
    return cast.interpreter()


@pytest.fixture
def service(cast: Cast) -> Service:
    return Service(_Place(), cast.policy)


@pytest.fixture
def legacy(service: Service, cast: Cast, interpreter: Interpreter) -> Control:
    control = cast.legacy(Control(service), interpreter)
    control.create_account("Romeo", "montague", "Romeo Montague")
    control.create_account("Juliet", "capulet", "Juliet Capulet")
    control.create_account("Nurse", "angelica", "The Nurse")
    control.create_account("Mercutio", "queenmab", "Mercutio")
    control.befriend("Romeo", "Juliet")
    control.befriend("Romeo", "Nurse")
    return control


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which nothing is: to make one for each test takes as long as it."""
    folder, first = tmp_path_factory.mktemp("empty-store"), next(casts())
    store, host = make_config(folder, first.network, first.settings).store, RealHost()
    Store.open(host, store.url, Sealer.from_file(host, store.key_file), [G]).close()
    return folder


@pytest.fixture
def curtain(
    tmp_path: Path,
    empty_store: Path,
    cast: Cast,
    interpreter: Interpreter,
    service: Service,
    legacy: Control,
) -> Raise:
    for file in empty_store.iterdir():
        shutil.copy(file, tmp_path)
    seeds = iter(range(1, 1_000))

    @asynccontextmanager
    async def performance(**more: Any) -> AsyncGenerator[Stage, None]:
        seed = next(seeds)
        machine = Machine(seed, SimNetwork(seed, Trace()))

        async def serve(stream: trio.abc.Stream) -> None:
            await cast.serve(stream, service)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(machine.network.bind(LEGACY_PLACE).serve, serve)
            async with stage(
                tmp_path, cast.network, cast.settings, machine, interpreter, **more
            ) as play:
                yield play
            nursery.cancel_scope.cancel()

    return performance


@pytest.fixture
async def play(curtain: Raise, autojump_clock: MockClock) -> AsyncGenerator[Stage, None]:
    async with curtain() as it:
        yield it
