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

    # Between OSCAR clients TLV 2 is passed on byte by byte, malformed or missing as well. What a
    # number sends live goes through `stripping`, unless the recipient's client has the capability
    # 09460002. Of a stored message between numbers the first text fragment is left.
    passes_on: bool = False
    # A number's stored message in UTF-16 is decoded, each half of a surrogate pair by itself.
    decodes_stored: bool = True
    # A number gets stored messages of AIM names by 04/07; else by 0041 with the number 0.
    names_stored: bool = True
    # A number hears 04/0C of a stored message; else 04/01 with code 4, as of one that is refused.
    acknowledges_stored: bool = True
    # 04/01 with code 4 for unknown names, too, and 10 for those whom the user blocks.
    hides_unknown: bool = False
    stored_of_one: int = 0  # messages of one sender that wait for one recipient; 0: no limit


_OPEN_OSCAR_SERVER_0_23 = Traits(
    logins_a_minute=10,
    stores_authorisations=True,
    chokes_on_stored=True,
    numbers_ask=False,
    more_at="https://example.org/open-oscar-server",
    passes_on=True,
    decodes_stored=False,
    names_stored=False,
    acknowledges_stored=False,
    hides_unknown=True,
    stored_of_one=10,
)
TRAITS: Mapping[Likeness, Traits] = {
    Likeness.PLAIN: Traits(),
    Likeness.OPEN_OSCAR_SERVER: attrs.evolve(
        _OPEN_OSCAR_SERVER_0_23,
        forwards_authorisations=True,
        numbers_ask=True,
        asks_in_silence=True,
        decodes_stored=True,
        names_stored=True,
        acknowledges_stored=True,
    ),
    Likeness.OPEN_OSCAR_SERVER_0_23: _OPEN_OSCAR_SERVER_0_23,
}
