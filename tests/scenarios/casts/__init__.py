"""On which networks the scenarios play: a module here offers one cast or several.

The script is the same everywhere: Romeo, Juliet and the Nurse, by name. A network on which people
are called otherwise brings an interpreter along. A scenario says what it needs (`ABILITIES`); what
a network truly lacks it says in `lacks`, with the reason, which docs/conformance.md repeats.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules

import attrs

from gateway.networks.base import Description, Network
from legacy_emu.control import Control
from legacy_emu.fronts import Serve
from legacy_emu.policy import Policy
from tests.fakes.interpreter import Interpreter

ABILITIES = {
    "any names": "names of any script and with any signs, up to 64 characters",
    "capabilities": "the service says of each ability whether it has it",
    "carriage returns": "a carriage return that stands alone arrives as one",
    "consent": "who is added is asked first",
    "countries": "people tell their country by name",
    "details": "people tell their nick, town and mail address",
    "frames": "what the service sends is text, which a test may write by hand",
    "line ends": "line ends at the end of a text arrive",
    "exact refusals": "the service gives its own words, and the time to wait, with a refusal",
    "long texts": "a text of a hundred thousand characters goes in one piece",
    "many sign-ons": "hundreds of sign-ons may follow each other at once",
    "names": "people have names, not numbers",
    "one order": "whatever is done reaches the service in the order in which it was done",
    "pace": "as many messages as one likes may follow each other",
    "per-contact presence": "one contact may see the user otherwise than all others",
    "search": "there is a directory of all people",
    "told withdrawals": "a consent that was taken back is told from one not yet given",
    "told blocks": "a sender is told that the contact has blocked them",
    "reasons for an end": "a session that is ended says why in more than one way",
    "redelivery": "what was not acknowledged comes again, under the same id",
    "unknown names": "who writes to a name that nobody has is told so",
    "revocation": "a contact may be told that they see the user no longer",
    "told removals": "who is taken off a list is told so",
}


@attrs.frozen
class Cast:
    """A network, and the front of the emulated service that speaks its protocol.

    `network_name` is the network's in the table of networks; `name` differs from it where a network
    plays in front of services that behave differently. `lacks` maps abilities to the reason why
    there is none, as a sentence without its subject.
    """

    name: str
    network: type[Network]
    settings: object
    serve: Serve
    lacks: Mapping[str, str] = attrs.field(factory=dict)
    away_text: str = ""  # what an away user says who says nothing
    tells_of_adding: bool = False  # who is added hears of it, whether he is asked or not
    tells_who_sees: bool = True  # the service says which contacts may see the user
    policy: Policy = attrs.field(factory=Policy)  # how the service behaves
    likeness: str = ""  # which server it behaves like; empty: none

    @lacks.validator
    def _known(self, _: object, lacks: Mapping[str, str]) -> None:
        assert lacks.keys() <= ABILITIES.keys()

    @property
    def network_name(self) -> str:
        return self.name.removesuffix(f"-{self.likeness}") if self.likeness else self.name

    @property
    def description(self) -> Description:
        return self.network.description

    @property
    def title(self) -> str:
        return self.description.title

    def interpreter(self) -> Interpreter:
        """Return one for a single performance."""
        return Interpreter()

    def legacy(self, control: Control, interpreter: Interpreter) -> Control:
        """Return `control` as the script calls its people."""
        del interpreter
        return control

    def request_nick(self, name: str) -> str:
        """Return what a request to see the user says of its sender's name."""
        return f"<nick xmlns='http://jabber.org/protocol/nick'>{name}</nick>"

    def stamp(self, text: str) -> str:
        """Return the time of a message that was kept, as exactly as the service tells it."""
        return text

    def shown(self, inside: str) -> tuple[str, ...]:
        """Return what the presence of a contact says, when it comes in several steps."""
        return (inside,)


def casts() -> Iterator[Cast]:
    """Return every cast of every module in this folder."""
    for module in iter_modules(__path__):
        yield from import_module(f"{__name__}.{module.name}").CASTS
