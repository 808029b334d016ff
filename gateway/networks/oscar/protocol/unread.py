"""What came and cannot be handed over as it is: the user is told by notices."""

from collections.abc import Iterator

from gateway.networks import base
from gateway.networks.oscar.protocol import talk
from gateway.networks.oscar.protocol.names import cut

MAX_TOLD = 1_000
MAX_NAME_BYTES = 200
NAMELESS = "Somebody without a name"


class Unread:
    """Remembers of whom it was told that something unreadable came: once is enough."""

    def __init__(self) -> None:
        self._told: dict[str, None] = {}

    def from_somebody(self, name: str) -> Iterator[base.LegacyEvent]:
        """Tell, once, that something unreadable came from somebody."""
        if name in self._told:
            return
        if len(self._told) >= MAX_TOLD:
            del self._told[next(iter(self._told))]
        self._told[name] = None
        yield base.Notice(f"A message of {cut(name, MAX_NAME_BYTES)} could not be read.")

    def from_nobody(self, name: str, meaning: talk.Meaning) -> Iterator[base.LegacyEvent]:
        """Tell what somebody meant whose name can be no address here, so that none can answer."""
        who = cut(name, MAX_NAME_BYTES) or NAMELESS
        match meaning:
            case talk.Text(text=text):
                yield base.Notice(f"{who} wrote, and cannot be answered from here: {text}")
            case talk.Asked(reason=reason):
                asks = f"{who} asks to add you, and cannot be answered from here"
                yield base.Notice(f"{asks}: {reason}" if reason else f"{asks}.")
            case talk.Answered(granted=granted):
                yield base.Notice(f"{who} {'agreed' if granted else 'refused'} to be added.")
            case talk.Added():
                yield base.Notice(f"{who} has you on the contact list now.")
            case talk.Told(text=text):
                yield base.Notice(text)
            case talk.Unreadable():
                yield from self.from_somebody(who)
            case talk.Nothing(why=why):
                yield base.UnknownEvent(why)
