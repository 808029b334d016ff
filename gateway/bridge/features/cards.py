"""The name and the groups that the user's roster has of a contact (GW-ROST-04, PRIV-02).

Three cards meet here. `told` is what the gateway last wrote, or saw in step with the network.
`listed` is what the network says. The third is what the roster has, where the gateway may read it:
a name or groups in it that are not `told` were set by the user. They are `own`: the gateway does
not overwrite them, and carries them over to the network's list. The comparison needs `told` alone
from the store, so it holds across a restart.
"""

import logging
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import attrs

from gateway.bridge.translate import bounded
from gateway.bridge.user import Card, Known, Roster, User
from gateway.networks.base import ChangeContact, CommandAnswer, CommandFailed, Contact, Strand

log = logging.getLogger(__name__)

MAX_NAME = 200  # characters of a name or a group
MAX_GROUPS = 20
CARRY_SECONDS = 60.0  # how long the network has to answer for a name before the next one goes

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
    """Return what the roster is to have of a contact: what the user set, else what is listed."""
    listed = card_of(known.listed) if known.listed is not None else Card()
    return Card(known.own.name or listed.name, known.own.groups or listed.groups)


def is_same(first: Card, second: Card) -> bool:
    """Compare cards; groups have no order in a roster."""
    return first.name == second.name and _are_same(first.groups, second.groups)


def _are_same(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    return set(first) == set(second)


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
    """Say whether the network has changed what the user left to it."""
    if known.told is None or known.listed is None:
        return False
    told, listed = known.told, card_of(known.listed)
    if told == listed:
        return False
    return not is_same(
        Card("" if known.own.name else told.name, () if known.own.groups else told.groups),
        Card("" if known.own.name else listed.name, () if known.own.groups else listed.groups),
    )


def note_told(
    user: User, action: str, address: str, roster: Roster, shown: Card | None = None
) -> None:
    """Note that the roster was told `shown` of a contact, which may have changed meanwhile."""
    known = user.known(address)
    if action == "delete":
        user.taken_off.add(address)
        user.remember(address, Roster.NONE)
        return
    if shown is not None:
        before = known.told or Card()
        told = Card(
            before.name if known.own.name else shown.name,
            before.groups if known.own.groups else shown.groups,
        )
        if known.told != told:
            known.told = told
            user.unsaved[address] = known
    if action == "add" and known.roster in (Roster.NONE, Roster.SHOWN):
        user.remember(address, roster)


def note_listed(user: User, address: str, known: Known) -> None:
    """Take what the network lists as what the roster was told of a contact that the user added.

    Not the fields that the user has set: `told` has to differ from those.
    """
    if known.roster in IN_ROSTER and known.told is None and known.listed is not None:
        note_told(user, "modify", address, known.roster, card_of(known.listed))


# --- what the user sets -----------------------------------------------------------------------


def heard(user: User, address: str, shown: Card) -> None:
    """Take what the roster has of a contact. What the gateway did not write, the user has set."""
    known = user.known(address)
    told, was = known.told or Card(), known.own
    expected = known.writing or told  # what it has if the user did nothing
    own = Card(
        "" if shown.name == expected.name and not was.name else shown.name,
        () if _are_same(shown.groups, expected.groups) and not was.groups else shown.groups,
    )
    if is_same(own, was):
        return
    known.own = own
    # A name set back to what was told is still the user's: a restart must not forget it.
    left = Card(
        "" if own.name == told.name else told.name,
        () if _are_same(own.groups, told.groups) else told.groups,
    )
    if known.told is not None and left != told:
        known.told = left
        user.unsaved[address] = known
    carry(user, address)


def carry(user: User, address: str) -> None:
    """Have what the user set of a contact carried over to the network's list."""
    known = user.known(address)
    if known.own != Card():
        user.to_carry[address] = None
        user.inbox.wake()


async def carry_over(user: User) -> None:
    """Send the next `ChangeContact`, once the last one is answered.

    A change by the user is carried over once, and again at each sign-on while the network's list
    differs. What the network reports back starts nothing.
    """
    if user.client is None or not user.has_list or user.carrying:
        return
    while user.to_carry:
        address = next(iter(user.to_carry))
        del user.to_carry[address]
        command = _change(user, address)
        if command is not None:
            break
    else:
        return
    ref = user.carrying = command.ref

    def done(answer: CommandAnswer | None = None) -> None:
        if user.carrying == ref:
            user.carrying = ""
            user.later.cancel("carry")
            user.inbox.wake()
        if isinstance(answer, CommandFailed):
            log.info("%s: the name of %s is not taken: %s", user.name, address, answer.reason)

    user.await_answer(ref, done)
    user.later.set("carry", CARRY_SECONDS, done)
    await user.send(command)


def _change(user: User, address: str) -> ChangeContact | None:
    known = user.contacts.get(address)
    if known is None or known.listed is None:
        return None
    name, groups = own_or_listed(user, known)
    if is_same(card(name, groups), card_of(known.listed)):
        return None
    return ChangeContact(ref=user.domain.new_id(), address=address, name=name, groups=groups)


def own_or_listed(user: User, known: Known) -> tuple[str, tuple[str, ...]]:
    """Return the name and groups that the network's list is to have of a contact."""
    listed, own = known.listed, known.own
    name, groups = (listed.name, listed.groups) if listed is not None else ("", ())
    has_groups = user.client is not None and user.client.capabilities.groups
    return own.name or name, own.groups if own.groups and has_groups else groups
