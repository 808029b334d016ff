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


TRAITS: Mapping[Likeness, Traits] = {
    Likeness.PLAIN: Traits(),
    Likeness.OPEN_OSCAR_SERVER: Traits(logins_a_minute=10),
    Likeness.OPEN_OSCAR_SERVER_0_23: Traits(logins_a_minute=10),
}
