"""One service: the backend, its faults, and who is connected. What fronts are given."""

from collections.abc import Callable
from typing import Any, TypeVar

from legacy_emu.backend import Backend
from legacy_emu.faults import Connection, Faults
from legacy_emu.host import World
from legacy_emu.policy import Policy

T = TypeVar("T")


class Service:
    """An emulated service, without its listeners. Several may live in one process."""

    def __init__(
        self, world: World, policy: Policy | None = None, origins: tuple[str, ...] = ()
    ) -> None:
        self.world = world
        self.origins = origins  # of web pages that may connect; all others are foreign
        self.backend = Backend(world.now, self._new_id, policy)
        self.faults = Faults()
        self.connections: dict[str, Connection] = {}
        self.addresses: dict[str, str] = {}  # where each front listens, for those who have to say
        self._shared: dict[object, Any] = {}
        self._numbers = 0

    def connect(self, front: str) -> Connection:
        """Enter a new connection; the front takes it out again by `disconnect`."""
        self._numbers += 1
        connection = Connection(self._numbers, front)
        self.connections[connection.id] = connection
        return connection

    def disconnect(self, connection: Connection) -> None:
        del self.connections[connection.id]

    def shared(self, cls: Callable[["Service"], T]) -> T:
        """Return what the connections of one front share: one `cls(self)` for this service."""
        if cls not in self._shared:
            self._shared[cls] = cls(self)
        found: T = self._shared[cls]
        return found

    def _new_id(self) -> str:
        # Wide enough that ids stay unique over restarts: gateways remember the old ones.
        return f"{self.world.random.getrandbits(64):016x}"
