"""What the services beside the service proper have in common: versions, rates, and 01/02.

Each has a connection of its own, with a cookie from the service proper, and a class that inherits
from `Beside`.
"""

from typing import ClassVar

import trio

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import general
from legacy_emu.fronts.oscar.codes import Code
from legacy_emu.fronts.oscar.link import Link
from legacy_emu.fronts.oscar.rates import Rates
from legacy_emu.fronts.oscar.shared import Ticket


class Beside:
    """A `Speaker`."""

    GROUP: ClassVar[int]
    """The food group that is served, beside 01."""

    def __init__(self, link: Link, ticket: Ticket) -> None:
        self._link = link
        self._backend = link.service.backend
        self._own = ticket.person.address
        self._rates = Rates(trio.current_time())
        link.say(general.HostOnline((0x01, self.GROUP)))

    def take(self, snac: wire.Snac) -> None:
        say, request = self._link.say, snac.request
        match snac.body:
            case general.ClientVersions(versions=versions):
                self._rates.long = any(each.group == 1 and each.version > 1 for each in versions)
                ours = (general.Version(0x01, 3), general.Version(self.GROUP, 1))
                say(general.HostVersions(ours), request)
            case general.RateQuery():
                say(self._rates.parameters(), request)
            case general.RateSubscribe() | general.ClientOnline() | general.NoOperation():
                pass
            case wire.Error():
                pass
            case body:
                self.serve(body, request)

    def serve(self, body: wire.Body, request: int) -> None:
        """Answer a SNAC that not all of these services have. Here: refuse it as unknown."""
        self.refuse(body, request, Code.UNKNOWN_SNAC)

    def refuse(self, body: wire.Body, request: int, code: int) -> None:
        self._link.say(wire.Error(wire.number_of(body)[0], code), request)

    def written(self, value: str) -> None:
        pass

    def wake_at(self) -> float:
        return float("inf")

    def wake(self) -> None:
        pass

    def leave(self, *, orderly: bool) -> None:
        pass
