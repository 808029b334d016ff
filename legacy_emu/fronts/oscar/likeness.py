"""What the OSCAR front takes over from a server of today, so that tests meet what users meet.

`plain` is the protocol as it is described. The others behave like Open OSCAR Server where clients
have come to rely on something else; each trait says what was measured there.
"""

from collections.abc import Mapping

import attrs

from legacy_emu.policy import Likeness


@attrs.frozen(kw_only=True)
class Traits:
    """What differs between servers."""

    # Logins of one address in a minute, counted from the first; 0: no limit. The next one is
    # refused with 001D right after the client's first frame.
    logins_a_minute: int = 0
    # Requests, answers and additions that a number missed are stored with its messages: they come
    # at each 003C, until 003E.
    stores_authorisations: bool = False
    # They come as 13/19, 13/1B and 13/1C for a client that uses its list; else as 0041.
    forwards_authorisations: bool = False
    # A stored message between numbers that cannot be read ends the connection at each 003C. It is
    # passed on as it is by 04/10.
    chokes_on_stored: bool = False
    # Whether a number is asked whose account says nothing of it; None: as the policy has it.
    numbers_ask: bool | None = None
    # The client of an AIM name is not told that the service asks the number it has added: only the
    # list has the attribute 0066.
    asks_in_silence: bool = False
    # What a sign-off has for a text: an address for more, whatever the reason.
    more_at: str = ""


_OPEN_OSCAR_SERVER_0_23 = Traits(
    logins_a_minute=10,
    stores_authorisations=True,
    chokes_on_stored=True,
    numbers_ask=False,
    more_at="https://example.org/open-oscar-server",
)
TRAITS: Mapping[Likeness, Traits] = {
    Likeness.PLAIN: Traits(),
    Likeness.OPEN_OSCAR_SERVER: attrs.evolve(
        _OPEN_OSCAR_SERVER_0_23,
        forwards_authorisations=True,
        numbers_ask=True,
        asks_in_silence=True,
    ),
    Likeness.OPEN_OSCAR_SERVER_0_23: _OPEN_OSCAR_SERVER_0_23,
}
