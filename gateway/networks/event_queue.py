"""What a driver's reader puts down and the bridge picks up: bounded, and never waiting to put.

A driver's reader may not wait for XMPP, so what it reads is bounded here. Of state only the latest
counts: a newer presence of a contact takes the place of the one that still waits. Values are all
kept, up to a limit; what is past it ends the session, and the network repeats what nobody
acknowledged.
"""

from collections import OrderedDict
from collections.abc import Hashable

import trio

from gateway.errors import ConnectionLost
from gateway.networks.base import (
    ContactChanged,
    ContactList,
    ContactRemoved,
    LegacyEvent,
    PresenceChanged,
    Typing,
    UnknownEvent,
)

MAX_WAITING_VALUES = 10_000  # as many as services keep for who is away for long
MAX_WAITING_STATES = 20_000
MAX_WAITING_UNKNOWN = 100  # of what nobody acts on; the rest is dropped


class EventQueue:
    """Events in the order they came, with one place for each piece of state."""

    def __init__(self) -> None:
        self._events: OrderedDict[Hashable, LegacyEvent] = OrderedDict()
        self._numbers = 0
        self._values = 0
        self._unknown = 0
        self._list = 0  # how many contact lists came: state before one never moves behind it
        self._end: Exception | None = None
        self._more = trio.Event()

    def put(self, event: LegacyEvent) -> None:
        """Add `event`, waiting for nothing. What does not fit ends the queue; so does `end`."""
        if self._end is not None:
            return
        if isinstance(event, UnknownEvent):
            if self._unknown >= MAX_WAITING_UNKNOWN:
                return
            self._unknown += 1
        key = self._key(event)
        if isinstance(key, int):
            self._values += 1
        self._events[key] = event  # a key that waits already keeps its place
        if isinstance(event, ContactRemoved):
            self._events.pop(("presence", self._list, event.address, None), None)
        states = len(self._events) - self._values
        if self._values > MAX_WAITING_VALUES or states > MAX_WAITING_STATES:
            self._events.popitem()
            self._values -= isinstance(key, int)
            self.end(ConnectionLost("the service sends faster than its events can be passed on"))
        self._more.set()

    def end(self, reason: Exception) -> None:
        """Let `take` raise `reason` once it has given what waits. The first reason stays."""
        if self._end is None:
            self._end = reason
            self._more.set()

    @property
    def ended(self) -> Exception | None:
        return self._end

    async def take(self) -> LegacyEvent:
        """Wait for the next event. Raises what `end` was given."""
        while not self._events:
            if self._end is not None:
                await trio.lowlevel.checkpoint()
                raise self._end
            self._more = trio.Event()
            await self._more.wait()
        await trio.lowlevel.checkpoint()
        key, event = self._events.popitem(last=False)
        self._values -= isinstance(key, int)
        self._unknown -= isinstance(event, UnknownEvent)
        return event

    def _key(self, event: LegacyEvent) -> Hashable:
        match event:
            case PresenceChanged(address=address, device=device):
                return ("presence", self._list, address, device)
            case Typing(conversation=conversation, sender=sender):
                return ("typing", self._list, conversation, sender)
            case ContactChanged(contact=contact):
                return ("contact", self._list, contact.address)
            case ContactRemoved(address=address):
                return ("contact", self._list, address)
            case ContactList():
                self._list += 1
        self._numbers += 1
        return self._numbers
