"""Which of a user's resources are here, and what status they add up to: pure.

A resource is here while it is available to at least one of our JIDs (the gateway or a contact); the
user is here while a resource is. The status of the account, since when it is idle included, is that
of the resource with the highest priority, the latest among equals, from what it told the gateway;
what it told a contact counts only for a resource that never told the gateway.
"""

from collections.abc import Iterator
from datetime import datetime

import attrs

from gateway.bridge.caps import Caps, Features
from gateway.networks.base import Show

GATEWAY = ""  # stands for the gateway's own JID among the addresses a resource is available to
MAX_DIRECTED = 1_000  # addresses remembered per resource; more directed presence is not remembered
MAX_RESOURCES = 100


@attrs.frozen
class Status:
    show: Show = Show.ONLINE
    text: str = ""
    idle_since: datetime | None = None  # in UTC


OFFLINE = Status(Show.OFFLINE)


@attrs.define
class _Resource:
    status: Status
    priority: int
    order: int
    told_gateway: bool
    available_to: set[str] = attrs.field(factory=set)
    confirmed: bool = True
    caps: Caps | None = None
    features: Features | None = None  # what the client said it can do


class Resources:
    """The resources of one user, by name. Holds no more than `MAX_RESOURCES`."""

    def __init__(self) -> None:
        self._known: dict[str, _Resource] = {}
        self._order = 0

    def __bool__(self) -> bool:
        return bool(self._known)

    def __contains__(self, resource: str) -> bool:
        return resource in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._known))

    def available(
        self, resource: str, to: str, status: Status, priority: int, *, answer: bool = False
    ) -> bool:
        """Note that `resource` is available to `to`. Returns whether the resource is new.

        One whose presence is in doubt is new too, unless this is the `answer` to a probe: then it
        was here all the time.
        """
        known = self._known.get(resource)
        new = known is None or not (known.confirmed or answer)
        if known is None:
            if len(self._known) >= MAX_RESOURCES:
                return False
            known = _Resource(status, priority, 0, told_gateway=False)
            self._known[resource] = known
        known.confirmed = True
        if len(known.available_to) < MAX_DIRECTED:
            known.available_to.add(to)
        if to == GATEWAY or not known.told_gateway:
            self._order += 1
            known.status, known.priority, known.order = status, priority, self._order
        if to == GATEWAY:
            known.told_gateway = True
        return new

    def note_caps(self, resource: str, caps: Caps | None) -> bool:
        """Note what a resource announces of its client. Returns whether that is news."""
        known = self._known.get(resource)
        if known is None or caps is None or known.caps == caps:
            return False
        known.caps, known.features = caps, None
        return True

    def caps(self, resource: str) -> Caps | None:
        known = self._known.get(resource)
        return known.caps if known is not None else None

    def note_features(self, resource: str, features: Features) -> None:
        """Note what a resource's client answered when it was asked."""
        if (known := self._known.get(resource)) is not None:
            known.features = features

    def features(self, resource: str) -> Features | None:
        known = self._known.get(resource)
        return known.features if known is not None else None

    def told_status(self, resource: str) -> Status | None:
        """Return what a resource told the gateway; None: it is not here, or told it nothing."""
        known = self._known.get(resource)
        return known.status if known is not None and known.told_gateway else None

    def unavailable(self, resource: str, to: str) -> bool:
        """Note that `resource` is no longer available to `to`. Returns whether it is gone now."""
        known = self._known.get(resource)
        if known is None:
            return False
        known.available_to.discard(to)
        if to == GATEWAY or not known.available_to:
            del self._known[resource]
            return True
        return False

    def doubt(self) -> None:
        """Hold every resource for unconfirmed: the XMPP link was away, they may have left."""
        for known in self._known.values():
            known.confirmed = False

    def doubtful(self) -> list[str]:
        return [name for name, known in self._known.items() if not known.confirmed]

    def remove(self, resource: str) -> bool:
        return self._known.pop(resource, None) is not None

    def clear(self) -> list[str]:
        """Forget all; returns who was there."""
        names = list(self._known)
        self._known.clear()
        return names

    @property
    def status(self) -> Status:
        """The status the account should show. `OFFLINE` when nobody is here."""
        if not self._known:
            return OFFLINE
        return max(self._known.values(), key=lambda one: (one.priority, one.order)).status
