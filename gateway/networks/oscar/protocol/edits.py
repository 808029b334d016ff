"""Changes of the feedbag, step by step.

A change is a generator: it yields what the service is to do, and is sent the result of each item.
Nobody but `Edits` runs one, and only one runs at a time, between the marks of a transaction; what
the service has agreed to is in the roster before the next step.
"""

from collections import deque
from collections.abc import Generator, Iterator, Mapping

import attrs

from gateway.networks import base
from gateway.networks.base import AddResult, Reason
from gateway.networks.oscar.protocol.names import cut, plain
from gateway.networks.oscar.protocol.roster import ROOT, Roster, alias_of, key_of
from gateway.networks.oscar.wire import Body, Tlv, Tlvs, encode_block
from gateway.networks.oscar.wire.feedbag import (
    AddItems,
    Attribute,
    BeginEdit,
    DeleteItems,
    EndEdit,
    Item,
    ItemClass,
    PrivacyMode,
    RequestAuthorisation,
    Result,
    UpdateItems,
    decode_order,
    encode_order,
)


@attrs.frozen
class Look:
    """See what the service has on the list now."""


Step = AddItems | UpdateItems | DeleteItems
Edit = Generator[Step | Look | RequestAuthorisation, int, object]

MAX_WAITING = 500
MAX_NAME_BYTES = 200
MAX_REASON_BYTES = 500
MAX_ITEM_BYTES = 60_000  # it has to fit a frame
DEFAULT_GROUP = "Buddies"

_REASONS: Mapping[int, Reason] = {
    Result.DATABASE_ERROR: Reason.UNREACHABLE,
    Result.NOT_FOUND: Reason.UNKNOWN_ADDRESS,
    Result.EXISTS: Reason.REFUSED,
    Result.UNAVAILABLE: Reason.UNREACHABLE,
    Result.BAD_REQUEST: Reason.REFUSED,
    Result.DATABASE_TIMEOUT: Reason.UNREACHABLE,
    Result.CLASS_FULL: Reason.LIST_FULL,
    Result.NOT_EXECUTED: Reason.REFUSED,
    Result.NEEDS_AUTHORISATION: Reason.NOT_AUTHORISED,
    Result.BAD_NAME: Reason.UNKNOWN_ADDRESS,
    Result.LIST_FULL: Reason.LIST_FULL,
    Result.TIMED_OUT: Reason.UNREACHABLE,
}


class Refused(Exception):
    """The service, or the list as it is, does not allow a change."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


# --- the changes ------------------------------------------------------------------------------


def add(roster: Roster, command: base.AddContact, shown_as: str, *, looks: bool = False) -> Edit:
    """Put somebody on the list, and ask them if they have to be asked.

    `looks`: the service may ask by itself. It changes the item then, and need not tell.
    """
    if command.address in roster:
        return (yield from _ask_again(roster, command))
    names = command.groups or (_usual_group(roster),)
    for name in dict.fromkeys(names):
        yield from _add_to_group(roster, command, name, shown_as)
    if looks and not roster.awaits_authorisation(command.address):
        yield Look()
    return _added(roster, command.address)


def _added(roster: Roster, address: str) -> AddResult:
    waits = roster.awaits_authorisation(address)
    return AddResult.ASKED if waits else AddResult.GRANTED


def _ask_again(roster: Roster, command: base.AddContact) -> Edit:
    yield from _change(roster, command.address, command.name or None, command.groups)
    if roster.awaits_authorisation(command.address):
        yield _request(command)
        roster.ask_again(command.address)
    return _added(roster, command.address)


def _add_to_group(roster: Roster, command: base.AddContact, group_name: str, shown_as: str) -> Edit:
    group = yield from _group(roster, group_name)
    item = Item(shown_as, group, _free_item_id(roster), ItemClass.BUDDY, _alias(command.name))
    result = yield AddItems((item,))
    asked = result == Result.NEEDS_AUTHORISATION
    if asked:
        item = attrs.evolve(item, attributes=item.attributes.with_value(Attribute.AWAITING, b""))
        result = yield AddItems((item,))
    if result != Result.EXISTS:
        _demand(result)
    yield from _reorder(roster, group, added=item.id)
    if asked:
        roster.ask_again(command.address)
        yield _request(command)
    return None


def _request(command: base.AddContact) -> RequestAuthorisation:
    reason = cut(command.reason, MAX_REASON_BYTES).encode()
    return RequestAuthorisation(command.address, reason)


def change(roster: Roster, command: base.ChangeContact) -> Edit:
    """Give a contact another name, or other groups."""
    if command.address not in roster:
        raise Refused(Reason.UNKNOWN_ADDRESS, "This contact is not on the list.")
    yield from _change(roster, command.address, command.name, command.groups)
    return None


def _change(roster: Roster, address: str, name: str | None, groups: tuple[str, ...]) -> Edit:
    """Set name and groups; None and nothing leave them as they are."""
    for item in roster.buddies(address) if name is not None else ():
        name = cut(name or "", MAX_NAME_BYTES)
        if alias_of(item) != name:
            value = name.encode() or None
            attributes = item.attributes.with_value(Attribute.ALIAS, value)
            _demand((yield UpdateItems((attrs.evolve(item, attributes=attributes),))))
    if not groups:  # here everybody is in a group: he stays where he is
        return None
    wanted: dict[int, None] = {}
    for group_name in groups:
        wanted[(yield from _group(roster, group_name))] = None
    here = {item.group for item in roster.buddies(address)}
    for group in wanted:
        items = roster.buddies(address)
        if group not in here and items:
            copy = attrs.evolve(items[0], group=group, id=_free_item_id(roster))
            _demand((yield AddItems((copy,))))
            yield from _reorder(roster, group, added=copy.id)
    for item in roster.buddies(address):
        if item.group not in wanted:
            _demand((yield DeleteItems((item,))))
            yield from _reorder(roster, item.group, removed=item.id)
    return None


def remove(roster: Roster, address: str) -> Edit:
    """Take somebody off the list."""
    if address not in roster:
        raise Refused(Reason.UNKNOWN_ADDRESS, "This contact is not on the list.")
    for item in roster.buddies(address):
        result = yield DeleteItems((item,))
        if result == Result.NOT_FOUND:
            roster.remove((item,))
        else:
            _demand(result)
            yield from _reorder(roster, item.group, removed=item.id)
    roster.ask_again(address)
    return None


def block(roster: Roster, address: str, shown_as: str) -> Edit:
    """Let somebody neither see the user nor write to him."""
    if not roster.denials(address):
        item = Item(shown_as, 0, _free_item_id(roster), ItemClass.DENY)
        _demand((yield AddItems((item,))))
    if roster.privacy_mode() != PrivacyMode.ALLOW_ALL:
        return None  # the list of those who are blocked counts, or something stricter does
    old = roster.privacy()
    item = old or Item("", 0, _free_item_id(roster), ItemClass.PRIVACY)
    mode = bytes([PrivacyMode.BLOCK_LISTED])
    attributes = item.attributes.with_value(Attribute.PRIVACY_MODE, mode)
    if old is None:
        attributes = attributes.with_value(Attribute.PRIVACY_MASK, b"\xff\xff\xff\xff")
    item = attrs.evolve(item, attributes=attributes)
    _demand((yield AddItems((item,)) if old is None else UpdateItems((item,))))
    return None


def unblock(roster: Roster, address: str) -> Edit:
    for denial in roster.denials(address):
        _demand((yield DeleteItems((denial,))))
    return None


def authorised(roster: Roster, address: str) -> Edit:
    """Note on the list that somebody need not be waited for any longer."""
    for item in roster.buddies(address):
        if item.attributes.first(Attribute.AWAITING) is not None:
            attributes = item.attributes.with_value(Attribute.AWAITING, None)
            _demand((yield UpdateItems((attrs.evolve(item, attributes=attributes),))))
    return None


# --- what they are made of --------------------------------------------------------------------


def _usual_group(roster: Roster) -> str:
    groups = roster.groups()
    return plain(groups[0].name) if groups else DEFAULT_GROUP


def _group(roster: Roster, name: str) -> Generator[Step | Look | RequestAuthorisation, int, int]:
    """Return the id of the group of this name, which is made if there is none."""
    found = roster.group_named(name)
    if found is None:
        name = cut(name, MAX_NAME_BYTES) or DEFAULT_GROUP
        found = roster.group_named(name)
    if found is not None:
        return found.group
    group = roster.free_group_id()
    if group is None:
        raise Refused(Reason.LIST_FULL, "The list has no room for another group.")
    order = Tlvs((Tlv(Attribute.ORDER, b""),))
    _demand((yield AddItems((Item(name, group, 0, ItemClass.GROUP, order),))))
    root = roster.item(ROOT)
    made = root or Item("", 0, 0, ItemClass.GROUP, order)
    made = _with_order(made, added=group)
    yield UpdateItems((made,)) if root is not None else AddItems((made,))
    return group


def _reorder(roster: Roster, group: int, *, added: int = 0, removed: int = 0) -> Edit:
    """Tell who is in a group. It is for the eye alone: a failure costs the change nothing."""
    item = roster.item((group, 0, int(ItemClass.GROUP)))
    if item is not None:
        yield UpdateItems((_with_order(item, added=added, removed=removed),))
    return None


def _with_order(item: Item, *, added: int = 0, removed: int = 0) -> Item:
    order = decode_order(item.attributes.first(Attribute.ORDER) or b"")
    ids = [one for one in order if one not in (added, removed)]
    if added:
        ids.append(added)
    value = encode_order(tuple(ids))
    return attrs.evolve(item, attributes=item.attributes.with_value(Attribute.ORDER, value))


def _free_item_id(roster: Roster) -> int:
    found = roster.free_item_id()
    if found is None:
        raise Refused(Reason.LIST_FULL, "The list is full.")
    return found


def _alias(name: str) -> Tlvs:
    name = cut(name, MAX_NAME_BYTES)
    return Tlvs((Tlv(Attribute.ALIAS, name.encode()),)) if name else Tlvs()


def _demand(result: int) -> None:
    """Go on only if the service has agreed."""
    if result != Result.OK:
        reason = _REASONS.get(result, Reason.UNKNOWN)
        raise Refused(reason, f"The service refuses this change of the list (code {result:#04x}).")


# --- who runs them ----------------------------------------------------------------------------


@attrs.define(eq=False)
class _Running:
    ref: str
    edit: Edit
    begun: bool = False
    requests: list[Body] = attrs.field(factory=list)  # sent when the list is as it should be
    step: Step | Look | None = None  # what the service is asked for


@attrs.frozen
class Last:
    """The last word of a change; `answer` is told once it is written."""

    body: Body
    ref: str
    answer: base.LegacyEvent


class Edits:
    """Changes of one feedbag, one after the other. `outgoing` is what is to be sent for them."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._waiting: deque[_Running] = deque()
        self._current: _Running | None = None
        self.outgoing: list[Body | Look | Last] = []

    def start(self, ref: str, edit: Edit) -> Iterator[base.LegacyEvent]:
        """Carry out a change when its turn comes; `ref` may be empty: then nobody is told."""
        if len(self._waiting) >= MAX_WAITING:
            edit.close()
            yield from _failed(ref, Reason.RATE_LIMITED, "Too many changes wait for the service.")
            return
        self._waiting.append(_Running(ref, edit))
        yield from self._go_on()

    @property
    def ref(self) -> str:
        """The command whose change is under way."""
        return self._current.ref if self._current is not None else ""

    @property
    def awaits_results(self) -> bool:
        return self._current is not None

    def results(self, results: tuple[int, ...]) -> Iterator[base.LegacyEvent]:
        """Take the service's answer to the step under way."""
        running = self._current
        if running is None or running.step is None or isinstance(running.step, Look):
            return
        if not results:
            yield from self.give_up(Reason.UNKNOWN, "The service's answer says nothing.")
            return
        step, running.step = running.step, None
        result = results[0]
        if result == Result.OK:
            if isinstance(step, DeleteItems):
                self._roster.remove(step.items)
            elif isinstance(step, AddItems):
                # What the service has said of an item in the meantime is newer.
                yield from self._roster.put(one for one in step.items if not self._is_asked(one))
            else:
                yield from self._roster.put(step.items)
        yield from self._advance(running, result)
        yield from self._go_on()

    def _is_asked(self, item: Item) -> bool:
        known = self._roster.item(key_of(item))
        return (
            known is not None
            and known.name == item.name
            and known.attributes.first(Attribute.AWAITING) is not None
        )

    def seen(self, items: tuple[Item, ...], *, more: bool) -> Iterator[base.LegacyEvent]:
        """Take the list, or a part of it, as the service has it now."""
        running = self._current
        if running is None or not isinstance(running.step, Look):
            return
        yield from self._roster.put(items)
        if not more:
            running.step = None
            yield from self._advance(running, Result.OK)
            yield from self._go_on()

    def give_up(self, reason: Reason, text: str) -> Iterator[base.LegacyEvent]:
        """End the change under way: the service has not answered, or not as it should."""
        running, self._current = self._current, None
        if running is not None:
            running.edit.close()
            self.outgoing.append(EndEdit())
            yield from _failed(running.ref, reason, text)
        yield from self._go_on()

    def abandon(self, ref: str, *, is_written: bool) -> Iterator[base.LegacyEvent]:
        """Forget the change of a command: nobody is told what became of it.

        What of it `is_written` is carried through: the service's answer is due.
        """
        for waiting in [one for one in self._waiting if one.ref == ref]:
            self._waiting.remove(waiting)
            waiting.edit.close()
        if self._current is not None and self._current.ref == ref:
            self._current.ref = ""
            if not is_written:
                yield from self.give_up(Reason.UNKNOWN, "")

    def _go_on(self) -> Iterator[base.LegacyEvent]:
        while self._current is None and self._waiting:
            self._current = self._waiting.popleft()
            yield from self._advance(self._current, None)

    def _advance(self, running: _Running, result: int | None) -> Iterator[base.LegacyEvent]:
        answer: base.LegacyEvent | None = None
        try:
            step = next(running.edit) if result is None else running.edit.send(result)
            while isinstance(step, RequestAuthorisation):  # nobody answers that here
                running.requests.append(step)
                step = next(running.edit)
            items = () if isinstance(step, Look) else step.items
            if sum(len(encode_block(item)) for item in items) > MAX_ITEM_BYTES:
                running.edit.close()
                raise Refused(Reason.LIST_FULL, "The service has made this entry too large.")
        except StopIteration as end:
            answer = base.CommandDone(running.ref, end.value)
        except Refused as refused:
            answer = base.CommandFailed(running.ref, refused.reason, refused.text)
        else:
            if not running.begun:
                running.begun = True
                self.outgoing.append(BeginEdit())
            running.step = step
            self.outgoing.append(step)
            return
        self._current = None
        if running.begun:
            self.outgoing.append(EndEdit())
        yield from self._roster.changes()
        if not running.ref:
            self.outgoing += running.requests
        elif running.requests:  # it is done when they are written
            *requests, last = running.requests
            self.outgoing += [*requests, Last(last, running.ref, answer)]
        else:
            yield answer


def _failed(ref: str, reason: Reason, text: str) -> Iterator[base.LegacyEvent]:
    if ref:
        yield base.CommandFailed(ref, reason, text)
