"""The name and the groups that the user's roster is told of a contact (GW-ROST-04)."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import attrs

from gateway.bridge.translate import bounded
from gateway.bridge.user import Card, Known, Roster, User
from gateway.networks.base import Contact, Strand

MAX_NAME = 200  # characters of a name or a group
MAX_GROUPS = 20

IN_ROSTER = (Roster.OFFERED, Roster.INVITED, Roster.ACCEPTED)

_CACHED_LABELS = 4_096
_BLANK = ("Cc", "Zl", "Zp", "Zs")  # line breaks, control characters, spaces of any width
_UNSEEN = (*_BLANK, "Cf", "Mn", "Me")  # a text of these alone shows nothing
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters by category that are blank
_NO_CHARACTERS = frozenset("\ufffe\uffff")  # which XML cannot carry, beside surrogates
# Marks of direction without an end would turn the rest of the client's list around.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# --- what a roster can hold -------------------------------------------------------------------


@lru_cache(maxsize=_CACHED_LABELS)  # the same groups and names are compared again and again
def label(text: str) -> str:
    """Return a name, a nick or a group as a roster can hold it: one line; empty if it is blank."""
    line = " ".join("".join(map(_clean, text[: 4 * MAX_NAME])).split())
    return bounded(line, MAX_NAME) if any(map(_is_seen, line)) else ""


def _clean(character: str) -> str:
    category = unicodedata.category(character)
    if category in _BLANK:
        return " "
    if category == "Cs" or character in _NO_CHARACTERS:
        return "\ufffd"
    return "" if character in _TURNING else character


def _is_seen(character: str) -> bool:
    return unicodedata.category(character) not in _UNSEEN and character not in _BLANK_LETTERS


def card(name: str, groups: Iterable[str]) -> Card:
    """Return a card of this name and these groups, cleaned, without blank or repeated groups."""
    found: dict[str, None] = {}
    for group in groups:
        if len(found) >= MAX_GROUPS:
            break
        if cleaned := label(group):
            found[cleaned] = None
    return Card(label(name), tuple(found))


def card_of(contact: Contact) -> Card:
    """Return what the network's list says of a contact."""
    return card(contact.name, contact.groups)


def card_for(known: Known) -> Card:
    """Return what the roster is to have of a contact."""
    return card_of(known.listed) if known.listed is not None else Card()


def is_same(first: Card, second: Card) -> bool:
    """Compare cards; groups have no order in a roster."""
    return first.name == second.name and set(first.groups) == set(second.groups)


# --- what differs -----------------------------------------------------------------------------


@attrs.frozen
class Changes:
    """What the user's roster does not know yet, by address."""

    add: tuple[str, ...] = ()
    modify: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.modify or self.delete)


def differences(user: User) -> Changes:
    """Compare the network's list with what the roster was told of it (GW-ROST-04)."""
    add, modify, delete = [], [], []
    for address, known in user.contacts.items():
        listed = known.listed
        if listed is None:
            if known.roster in IN_ROSTER:
                delete.append(address)
        elif known.roster in (Roster.NONE, Roster.SHOWN):
            is_new = address not in user.taken_off  # RIX-03: no alternating add and delete
            if is_new and Strand.SEES in listed.subscription and not listed.blocked:
                add.append(address)
        elif known.roster in IN_ROSTER and _is_out_of_step(known):
            modify.append(address)
    return Changes(tuple(add), tuple(modify), tuple(delete))


def _is_out_of_step(known: Known) -> bool:
    """Say whether the network's list is another than the roster was told."""
    if known.told is None or known.listed is None:
        return False
    return not is_same(known.told, card_of(known.listed))


def note_told(
    user: User, action: str, address: str, roster: Roster, shown: Card | None = None
) -> None:
    """Note that the roster was told `shown` of a contact, which may have changed meanwhile."""
    known = user.known(address)
    if action == "delete":
        user.taken_off.add(address)
        user.remember(address, Roster.NONE)
        return
    if shown is not None and known.told != shown:
        known.told = shown
        user.unsaved[address] = known
    if action == "add" and known.roster in (Roster.NONE, Roster.SHOWN):
        user.remember(address, roster)


def note_listed(user: User, address: str, known: Known) -> None:
    """Take what the network lists as what the roster was told of a contact that the user added."""
    if known.roster in IN_ROSTER and known.told is None and known.listed is not None:
        note_told(user, "modify", address, known.roster, card_of(known.listed))
