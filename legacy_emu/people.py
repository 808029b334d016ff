"""What the service knows of its people: accounts, sessions, what stands between two accounts."""

from collections import deque
from datetime import datetime

import attrs

from legacy_emu.events import KeptValue, Listener, Look, Show

MAX_REPLAYED = 100


@attrs.define(eq=False)
class Relation:
    """What stands between one account and another, as the first one has it."""

    listed: bool = False
    name: str = ""
    groups: tuple[str, ...] = ()
    sees: bool = False
    seen_by: bool = False
    asked: bool = False
    asking: bool = False
    blocked: bool = False

    @property
    def shown(self) -> bool:
        return self.listed or self.seen_by or self.asking or self.blocked


@attrs.define(eq=False)
class Kept:
    """A value until its owner acknowledges it, and who wants to hear of that."""

    value: KeptValue
    receipt_to: "Session | None" = None
    ref: str = ""
    length: int = 0  # of its texts, in characters


@attrs.frozen
class Avatar:
    """A picture somebody shows of himself."""

    data: bytes = attrs.field(repr=False)
    media_type: str


@attrs.define(eq=False)
class Session:
    """One sign-on."""

    id: str
    person: "Person" = attrs.field(repr=False)
    listener: Listener = attrs.field(repr=False)
    since: datetime
    look: Look = attrs.field(factory=lambda: Look(Show.ONLINE))
    only_for: dict[str, Look] = attrs.field(factory=dict)
    over: bool = False


@attrs.define(eq=False)
class Person:
    """One account."""

    address: str
    display: str  # the screen name as its owner writes it
    password: str = attrs.field(repr=False)
    name: str = ""
    consent: bool | None = None  # None: as the service has it
    profile: dict[str, str] = attrs.field(factory=dict)
    avatar: Avatar | None = None
    relations: dict[str, Relation] = attrs.field(factory=dict, repr=False)
    sessions: list[Session] = attrs.field(factory=list, repr=False)
    kept: dict[str, Kept] = attrs.field(factory=dict, repr=False)
    kept_length: int = 0  # of all that is kept
    replayable: deque[KeptValue] = attrs.field(
        factory=lambda: deque(maxlen=MAX_REPLAYED), repr=False
    )
    told: dict[str, Look] = attrs.field(factory=dict, repr=False)  # whom he was last shown how

    def keep(self, kept: Kept) -> None:
        self.kept[kept.value.id] = kept
        self.kept_length += kept.length

    def release(self, value_id: str) -> Kept | None:
        """Take out what was kept under this id."""
        kept = self.kept.pop(value_id, None)
        if kept is not None:
            self.kept_length -= kept.length
        return kept
