"""How a service behaves: switches, limits, capabilities."""

from enum import StrEnum

import attrs

CAPABILITIES = (
    "per_contact_presence",
    "deny",
    "typing",
    "receipts",
    "edits",
    "read",
    "profile",
    "avatar",
    "search",
    "block",
    "nudge",
    "groups",
)
MAX_TEXT_BYTES = 120_000  # as JSON; whatever is in it, this fits the frame limit


def _at_most_the_frame(_: object, field: "attrs.Attribute[int]", value: int) -> None:
    if not 0 < value <= MAX_TEXT_BYTES:
        raise ValueError(f"{field.name}: {value} found, expected 1 to {MAX_TEXT_BYTES}")


def _known(_: object, field: "attrs.Attribute[tuple[str, ...]]", value: tuple[str, ...]) -> None:
    if unknown := [word for word in value if word not in CAPABILITIES]:
        expected = ", ".join(CAPABILITIES)
        raise ValueError(f"{field.name}: {unknown[0]!r} found, expected some of {expected}")


class Likeness(StrEnum):
    """Which server the OSCAR front behaves like; `fronts/oscar/likeness.py` has what that means."""

    PLAIN = "plain"
    OPEN_OSCAR_SERVER = "open-oscar-server"
    OPEN_OSCAR_SERVER_0_23 = "open-oscar-server-0.23"  # the last before v0.24.0


@attrs.frozen
class Policy:
    """How this service behaves; may be replaced at any time."""

    offline_messages: bool = True
    consent: bool = True  # adding a contact asks him first
    mutual_removal: bool = False
    several_sign_ons: bool = False
    max_text_bytes: int = attrs.field(default=MAX_TEXT_BYTES, validator=_at_most_the_frame)
    max_contacts: int = 1_000
    max_kept: int = 10_000  # values that wait for one account
    capabilities: tuple[str, ...] = attrs.field(default=CAPABILITIES, validator=_known)
    oscar: Likeness = Likeness.PLAIN

    @property
    def all_capabilities(self) -> tuple[str, ...]:
        """Return what is told at sign-on: the list, and what two switches say."""
        return (
            *self.capabilities,
            *(("offline_messages",) if self.offline_messages else ()),
            *(("several_sign_ons",) if self.several_sign_ons else ()),
        )
