"""The service itself: accounts, contact lists, presence, messages. Pure: no I/O, no clock.

Fronts, bots and the control channel call its methods on behalf of a user and are told the rest
through the `Listener` of each session. Users of different fronts are all the same here. Methods
that act for a user raise `RequestRefused`; addresses may come in any spelling.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import attrs

from legacy_emu.events import (
    OFFLINE,
    AnswerArrived,
    AvatarChanged,
    Contact,
    ContactChanged,
    ContactRemoved,
    Event,
    KeptValue,
    Listener,
    ListSent,
    Look,
    MessageAccepted,
    MessageArrived,
    MessageDelivered,
    NoticeShown,
    NudgeArrived,
    PresenceShown,
    ReadArrived,
    Reason,
    Refusal,
    RemovalArrived,
    RequestArrived,
    RequestRefused,
    SessionEnded,
    Show,
    SignOnRefused,
    TypingShown,
    TypingState,
)
from legacy_emu.names import NameRefused, canonical
from legacy_emu.people import Avatar, Kept, Person, Relation, Session
from legacy_emu.policy import Policy
from legacy_emu.recent import length_of
from legacy_emu.record import Record

MAX_FOUND = 50
MAX_DISPLAY_LENGTH = 200
MAX_FIELDS = 20
MAX_AVATAR_BYTES = 64 * 1024
MAX_KEPT_LENGTH = 16 * 1024 * 1024  # characters that may wait for one account
MAX_FIELD_BYTES = 2_000  # names, groups, reasons, status texts


class Backend:
    """All accounts of one service."""

    def __init__(
        self, now: Callable[[], datetime], new_id: Callable[[], str], policy: Policy | None = None
    ) -> None:
        self._now = now
        self._new_id = new_id
        self._people: dict[str, Person] = {}
        self.policy = policy or Policy()
        self.record = Record()

    # --- accounts and sessions ----------------------------------------------------------------

    def create_account(
        self,
        address: str,
        password: str,
        name: str = "",
        profile: Mapping[str, str] | None = None,
        *,
        consent: bool | None = None,
    ) -> Person:
        """Make an account. Raises `NameRefused`; also when there is one of that name."""
        key = canonical(address)
        if key in self._people:
            raise NameRefused(f"there is an account {key!r} already")
        if max(len(address), len(name)) > MAX_DISPLAY_LENGTH:
            raise NameRefused(f"a name has at most {MAX_DISPLAY_LENGTH} characters")
        person = Person(
            address=key,
            display=address.strip(),
            password=password,
            name=name or address.strip(),
            consent=consent,
            profile=dict(profile or {}),
        )
        self._people[key] = person
        return person

    def delete_account(self, address: str) -> None:
        """Take an account away, from everybody's lists too."""
        person = self.person(address)
        self.kick(address, Refusal.UNKNOWN_ACCOUNT, "this account is no more")
        for other_address in list(person.relations):
            other = self._people[other_address]
            other.told.pop(person.address, None)
            if other.relations.pop(person.address, None) is not None:
                self._tell(other, ContactRemoved(person.address))
        del self._people[person.address]

    def people(self) -> Iterator[Person]:
        yield from self._people.values()

    def person(self, address: str) -> Person:
        """Return the account of this name. Raises `RequestRefused`."""
        try:
            return self._people[canonical(address)]
        except (NameRefused, KeyError) as exc:
            raise RequestRefused(
                Reason.UNKNOWN_ADDRESS, f"there is nobody called {address[:80]!r} here"
            ) from exc

    def check(self, address: str, password: str) -> Person:
        """Return the account these credentials are right for. Raises `SignOnRefused`."""
        try:
            person = self.person(address)
        except RequestRefused as exc:
            raise SignOnRefused(Refusal.UNKNOWN_ACCOUNT, exc.text) from exc
        if person.password != password:
            raise SignOnRefused(Refusal.WRONG_CREDENTIALS, "wrong password")
        return person

    def sign_on(
        self,
        address: str,
        password: str,
        listener: Listener,
        client: str = "",
        look: Look = Look(Show.ONLINE),  # noqa: B008 - frozen
    ) -> Session:
        """Sign on: the list, presence and what waited go to `listener` at once.

        Raises `SignOnRefused`. Unless several sign-ons are allowed, the sessions there were end.
        """
        person = self.check(address, password)
        if not self.policy.several_sign_ons:
            self.kick(person.address, Refusal.ELSEWHERE, "signed on somewhere else")
        session = Session(self._new_id(), person, listener, self._now(), look)
        person.sessions.append(session)
        self._note(person, "sign_on", session=session.id, client=client)
        listener.put(ListSent(tuple(self._contacts(person))))
        person.told.clear()
        for other_address, relation in person.relations.items():
            if relation.sees:
                look = self._look_of(self._people[other_address], person)
                person.told[other_address] = look
                if look != OFFLINE:
                    listener.put(PresenceShown(other_address, look))
        for kept in list(person.kept.values()):
            listener.put(kept.value)
        self._show(person)
        return session

    def sign_off(self, session: Session, *, orderly: bool = False) -> None:
        """End a session: on its own wish (`orderly`), or as it was lost. Twice is harmless."""
        if session.over:
            return
        session.over = True
        session.person.sessions.remove(session)
        self._note(session.person, "sign_off", session=session.id, orderly=orderly)
        self._show(session.person)

    def kick(
        self,
        address: str,
        reason: Refusal | None = None,
        text: str = "",
        retry_after: float | None = None,
    ) -> int:
        """End all sessions of an account and return how many there were."""
        sessions = list(self.person(address).sessions)
        for session in sessions:
            session.listener.put(SessionEnded(reason, text, retry_after))
            self.sign_off(session)
        return len(sessions)

    # --- presence and typing ------------------------------------------------------------------

    def set_presence(self, session: Session, look: Look, only_for: tuple[str, ...] = ()) -> None:
        """Show somebody so: to all, which ends what single ones were shown, or to those alone."""
        self._check_field(look.text)
        self._note(
            session.person,
            "presence",
            show=look.show.value,
            text=look.text,
            only_for=list(only_for),
        )
        if only_for:
            session.only_for |= {self.person(address).address: look for address in only_for}
        else:
            session.look = look
            session.only_for.clear()
        # The session that spoke last is the one that is believed.
        session.person.sessions.remove(session)
        session.person.sessions.append(session)
        self._show(session.person)

    def show_as(self, session: Session, look: Look, only_for: tuple[str, ...] = ()) -> None:
        """Show somebody so though he did not ask for it himself: his client is told."""
        self.set_presence(session, look, only_for)
        if not only_for:
            session.listener.put(PresenceShown(session.person.address, look))

    def look_of(self, address: str, seen_by: str) -> Look:
        """Return how `seen_by` sees `address`."""
        return self._look_of(self.person(address), self.person(seen_by))

    def _look_of(self, person: Person, watcher: Person) -> Look:
        relation = person.relations.get(watcher.address)
        if relation is None or not relation.seen_by or relation.blocked or not person.sessions:
            return OFFLINE
        speaker = person.sessions[-1]
        look = speaker.only_for.get(watcher.address, speaker.look)
        return OFFLINE if look.show in (Show.INVISIBLE, Show.OFFLINE) else look

    def _show(self, person: Person) -> None:
        """Tell everybody who sees `person` what has changed for him."""
        for address in person.relations:
            self._show_to(person, self._people[address])

    def _show_to(self, person: Person, watcher: Person) -> None:
        look = self._look_of(person, watcher)
        if watcher.sessions and watcher.told.get(person.address, OFFLINE) != look:
            watcher.told[person.address] = look
            self._tell(watcher, PresenceShown(person.address, look))

    def typing(self, sender: str, to: str, state: TypingState) -> None:
        person, other = self.person(sender), self.person(to)
        self._note(person, "typing", to=other.address, state=state.value)
        if not self._blocks(other, person):
            self._tell(other, TypingShown(person.address, person.address, state))

    # --- messages -----------------------------------------------------------------------------

    def send_message(
        self,
        sender: str,
        to: str,
        text: str,
        *,
        replaces: str | None = None,
        session: Session | None = None,
        ref: str = "",
    ) -> str:
        """Take a message and return its id; a `session` is told so, and later of the delivery."""
        person = self.person(sender)
        try:
            self._check_field(replaces or "")
            other = self._may_send(person, to, text)
        except RequestRefused as refused:
            self._note(person, "message", id=None, to=to, text=text, refused=refused.reason.value)
            raise
        message = MessageArrived(
            id=self._new_id(),
            conversation=person.address,
            sender=person.address,
            text=text,
            replaces=replaces,
        )
        self._note(
            person,
            "message",
            id=message.id,
            to=other.address,
            text=text,
            replaces=replaces,
            refused=None,
        )
        if session is not None:
            session.listener.put(MessageAccepted(ref, message.id))
        receipts = "receipts" in self.policy.capabilities
        self._keep(other, message, session if receipts else None, ref)
        for sibling in person.sessions:
            if sibling is not session:
                sibling.listener.put(
                    attrs.evolve(message, conversation=other.address, outgoing=True)
                )
        return message.id

    def _may_send(self, person: Person, to: str, text: str) -> Person:
        other = self.person(to)
        if (weight := _weight(text)) > self.policy.max_text_bytes:
            raise RequestRefused(
                Reason.TOO_LONG,
                f"this message has {weight} bytes, at most {self.policy.max_text_bytes} go",
            )
        if self._blocks(other, person):
            raise RequestRefused(Reason.BLOCKED, f"{other.display} takes no messages from you")
        if not other.sessions and not self.policy.offline_messages:
            raise RequestRefused(
                Reason.OFFLINE_NOT_STORED, f"{other.display} is offline, and nothing is kept"
            )
        self._check_room(other)
        return other

    def nudge(self, sender: str, to: str) -> None:
        person, other = self.person(sender), self.person(to)
        self._note(person, "nudge", to=other.address)
        if not other.sessions:
            raise RequestRefused(Reason.OFFLINE_NOT_STORED, f"{other.display} is offline")
        if self._blocks(other, person):
            raise RequestRefused(Reason.BLOCKED, f"{other.display} takes no nudges from you")
        self._keep(
            other,
            NudgeArrived(id=self._new_id(), conversation=person.address, sender=person.address),
        )

    def mark_read(self, reader: str, to: str, upto: str) -> None:
        person, other = self.person(reader), self.person(to)
        self._note(person, "read", to=other.address, upto=upto)
        self._check_field(upto)
        self._keep(other, ReadArrived(id=self._new_id(), conversation=person.address, upto=upto))

    def acknowledge(self, address: str, ids: tuple[str, ...]) -> None:
        """Forget what is safe with its owner, and tell its sender where he wanted to know."""
        person = self.person(address)
        self._note(person, "ack", ids=list(ids))
        for value_id in ids:
            kept = person.release(value_id)
            if kept is None:
                continue
            person.replayable.append(kept.value)
            if kept.receipt_to is not None and not kept.receipt_to.over:
                kept.receipt_to.listener.put(MessageDelivered(kept.ref, value_id))

    def kept_ids(self, address: str) -> tuple[str, ...]:
        """Return the ids of what this account has not acknowledged, oldest first."""
        return tuple(self.person(address).kept)

    def replay(self, address: str) -> int:
        """Send again what was acknowledged lately, and what was not. Returns how much that is."""
        person = self.person(address)
        values = [*person.replayable, *(kept.value for kept in person.kept.values())]
        for value in values:
            stamped = value if value.sent_at else attrs.evolve(value, sent_at=self._now())
            self._tell(person, stamped)
        return len(values)

    def notice(self, address: str, text: str) -> None:
        """Let the service itself say something."""
        self._check_field(text)
        self._tell(self.person(address), NoticeShown(text))

    def _keep(
        self, owner: Person, value: KeptValue, receipt_to: Session | None = None, ref: str = ""
    ) -> None:
        """Tell `owner` a value now, live, and keep it with its date until it is acknowledged."""
        self._check_room(owner)
        stored = attrs.evolve(value, sent_at=self._now())
        owner.keep(Kept(stored, receipt_to, ref, length_of(stored)))
        self._tell(owner, value)

    def _check_room(self, owner: Person) -> None:
        if len(owner.kept) >= self.policy.max_kept or owner.kept_length >= MAX_KEPT_LENGTH:
            raise RequestRefused(Reason.REFUSED, f"too much waits for {owner.display} already")

    # --- contacts -----------------------------------------------------------------------------

    def contacts(self, address: str) -> tuple[Contact, ...]:
        return tuple(self._contacts(self.person(address)))

    def add_contact(
        self,
        address: str,
        contact: str,
        name: str = "",
        groups: tuple[str, ...] = (),
        reason: str = "",
        *,
        consent: bool | None = None,
    ) -> bool:
        """List a contact; returns whether he is seen at once, else he has been asked.

        `consent` is whether he is asked; None: as he himself has it, or the policy.
        """
        person, other = self.person(address), self.person(contact)
        self._note(
            person,
            "add",
            contact=other.address,
            name=name,
            groups=list(groups),
            reason=reason,
        )
        self._check_field(name, reason, *groups)
        if person is other:
            raise RequestRefused(Reason.REFUSED, "nobody is his own contact")
        mine, theirs = self._relation(person, other), self._relation(other, person)
        listed = sum(relation.listed for relation in person.relations.values())
        if not mine.listed and listed >= self.policy.max_contacts:
            raise RequestRefused(
                Reason.LIST_FULL, f"a list holds at most {self.policy.max_contacts} contacts"
            )
        mine.listed, mine.name, mine.groups = True, name, groups
        if not mine.sees:
            if self.asks(other) if consent is None else consent:
                self._ask(person, other, reason)
            else:
                mine.sees = theirs.seen_by = True
                self._tell_contact(other, person)
        self._tell_contact(person, other)
        self._show_to(other, person)
        return mine.sees

    def asks(self, person: Person) -> bool:
        """Say whether somebody wants to be asked before others see him."""
        return self.policy.consent if person.consent is None else person.consent

    def _ask(self, person: Person, other: Person, reason: str) -> None:
        mine, theirs = self._relation(person, other), self._relation(other, person)
        mine.asked = True
        if theirs.blocked:
            return  # he who is blocked is not told so
        theirs.asking = True
        waiting = (kept.value for kept in other.kept.values())
        if not any(
            isinstance(value, RequestArrived) and value.address == person.address
            for value in waiting
        ):
            request = RequestArrived(
                id=self._new_id(), address=person.address, name=person.name, reason=reason
            )
            self._keep(other, request)

    def change_contact(
        self, address: str, contact: str, name: str, groups: tuple[str, ...] = ()
    ) -> None:
        person, other = self.person(address), self.person(contact)
        self._note(person, "change", contact=other.address, name=name, groups=list(groups))
        self._check_field(name, *groups)
        relation = person.relations.get(other.address)
        if relation is None or not relation.listed:
            raise RequestRefused(
                Reason.UNKNOWN_ADDRESS, f"{other.display} is not on the contact list"
            )
        relation.name, relation.groups = name, groups
        self._tell_contact(person, other)

    def remove_contact(self, address: str, contact: str) -> None:
        """Take a contact off: neither sees the other any longer, and he is told."""
        person, other = self.person(address), self.person(contact)
        self._note(person, "remove", contact=other.address)
        mine = person.relations.get(other.address)
        if mine is None or not mine.shown:
            raise RequestRefused(
                Reason.UNKNOWN_ADDRESS, f"{other.display} is not on the contact list"
            )
        theirs = self._relation(other, person)
        was_listed, mutual = theirs.listed, self.policy.mutual_removal
        blocked, asking = mine.blocked, mine.asking
        del person.relations[other.address]
        mine = self._relation(person, other)
        mine.blocked = blocked
        theirs.sees = theirs.seen_by = theirs.asking = False
        theirs.asked = theirs.asked and asking
        mine.asking = theirs.asked
        if mutual:
            theirs.listed = False
        self._withdraw_request(other, person)
        self._tell(person, ContactRemoved(other.address))
        if mine.shown:
            self._tell_contact(person, other)
        self._show_to(other, person)
        self._show_to(person, other)
        if was_listed:
            gone = RemovalArrived(id=self._new_id(), address=person.address, mutual=mutual)
            self._keep(other, gone)
        self._tell_contact(other, person)

    def grant(self, address: str, contact: str) -> None:
        """Let somebody who asked see the user."""
        person, other = self.person(address), self.person(contact)
        self._note(person, "grant", contact=other.address)
        mine, theirs = self._relation(person, other), self._relation(other, person)
        if mine.seen_by:
            return
        self._check_asked(mine, other)
        mine.asking, mine.seen_by = False, True
        theirs.asked, theirs.sees = False, True
        self._answer(person, other, granted=True)

    def deny(self, address: str, contact: str, reason: str = "") -> None:
        person, other = self.person(address), self.person(contact)
        self._note(person, "deny", contact=other.address, reason=reason)
        self._check_field(reason)
        mine, theirs = self._relation(person, other), self._relation(other, person)
        self._check_asked(mine, other)
        mine.asking = theirs.asked = False
        self._answer(person, other, granted=False, reason=reason)

    def revoke(self, address: str, contact: str) -> None:
        """Let somebody see the user no longer."""
        person, other = self.person(address), self.person(contact)
        self._note(person, "revoke", contact=other.address)
        self._relation(person, other).seen_by = False
        self._relation(other, person).sees = False
        self._tell_contact(person, other)
        self._tell_contact(other, person)
        self._show_to(person, other)

    def set_blocked(self, address: str, contact: str, *, blocked: bool) -> None:
        person, other = self.person(address), self.person(contact)
        self._note(person, "block" if blocked else "unblock", contact=other.address)
        self._relation(person, other).blocked = blocked
        self._tell_contact(person, other)
        self._show_to(person, other)

    def befriend(
        self, first: str, second: str, groups: tuple[str, ...] = (), name: str = ""
    ) -> None:
        """Put `second` on the list of `first`, who sees him: without asking, for set-ups."""
        person, other = self.person(first), self.person(second)
        mine, theirs = self._relation(person, other), self._relation(other, person)
        mine.listed = mine.sees = theirs.seen_by = True
        mine.groups, mine.name = groups, name
        self._tell_contact(person, other)
        self._show_to(other, person)

    def _answer(self, person: Person, other: Person, *, granted: bool, reason: str = "") -> None:
        self._withdraw_request(person, other)
        answer = AnswerArrived(
            id=self._new_id(), address=person.address, granted=granted, reason=reason
        )
        self._keep(other, answer)
        self._tell_contact(person, other)
        self._tell_contact(other, person)
        self._show_to(person, other)

    def _withdraw_request(self, owner: Person, asker: Person) -> None:
        """Drop the request that waits to be acknowledged: it needs no answer any longer."""
        for value_id, kept in list(owner.kept.items()):
            if isinstance(kept.value, RequestArrived) and kept.value.address == asker.address:
                owner.release(value_id)

    def _check_asked(self, mine: Relation, other: Person) -> None:
        if not mine.asking:
            raise RequestRefused(Reason.REFUSED, f"{other.display} has not asked")

    def _relation(self, person: Person, other: Person) -> Relation:
        return person.relations.setdefault(other.address, Relation())

    def _blocks(self, person: Person, other: Person) -> bool:
        relation = person.relations.get(other.address)
        return relation is not None and relation.blocked

    def _contacts(self, person: Person) -> Iterator[Contact]:
        for address, relation in person.relations.items():
            if relation.shown:
                yield self._contact(self._people[address], relation)

    def _contact(self, other: Person, relation: Relation) -> Contact:
        return Contact(
            address=other.display,
            name=relation.name or other.name,
            groups=relation.groups,
            sees=relation.sees,
            seen_by=relation.seen_by,
            asked=relation.asked,
            asking=relation.asking,
            blocked=relation.blocked,
        )

    def _tell_contact(self, person: Person, other: Person) -> None:
        relation = self._relation(person, other)
        if relation.shown:
            self._tell(person, ContactChanged(self._contact(other, relation)))
        else:
            self._tell(person, ContactRemoved(other.address))

    # --- profiles -----------------------------------------------------------------------------

    def profile(self, asker: str, address: str) -> tuple[str, Mapping[str, str]]:
        other = self.person(address)
        self._note(self.person(asker), "profile", contact=other.address)
        return other.address, {"name": other.name, **other.profile}

    def set_avatar(self, address: str, avatar: Avatar | None) -> None:
        """Change somebody's picture; None takes it away."""
        if avatar is not None and len(avatar.data) > MAX_AVATAR_BYTES:
            raise RequestRefused(Reason.TOO_LONG, f"a picture has at most {MAX_AVATAR_BYTES} bytes")
        person = self.person(address)
        person.avatar = avatar
        for watcher in map(self._people.__getitem__, person.relations):
            if watcher.told.get(person.address, OFFLINE) != OFFLINE:
                self._tell(watcher, AvatarChanged(person.address))

    def avatar(self, asker: str, address: str) -> Avatar | None:
        other = self.person(address)
        self._note(self.person(asker), "avatar", contact=other.address)
        return other.avatar

    def search(self, asker: str, fields: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
        """Find people all of whose given fields contain what was asked for."""
        self._note(self.person(asker), "search", fields=dict(fields))
        found: list[tuple[str, Mapping[str, str]]] = []
        wanted = {key: text.casefold() for key, text in fields.items() if text.strip()}
        for person in self._people.values():
            names = {"name": person.name, "nick": person.name}
            known = {"address": person.display, **names, **person.profile}
            if wanted and all(
                text in known.get(key, "").casefold() for key, text in wanted.items()
            ):
                found.append((person.address, known))
        return found[:MAX_FOUND]

    # --- helpers ------------------------------------------------------------------------------

    def _check_field(self, *texts: str) -> None:
        if len(texts) > MAX_FIELDS:
            raise RequestRefused(Reason.TOO_LONG, f"more than {MAX_FIELDS} groups and names")
        for text in texts:
            if _weight(text) > MAX_FIELD_BYTES:
                raise RequestRefused(
                    Reason.TOO_LONG, f"this text is longer than {MAX_FIELD_BYTES} bytes"
                )

    def _tell(self, person: Person, event: Event) -> None:
        for session in list(person.sessions):
            session.listener.put(event)

    def _note(self, person: Person, kind: str, **fields: object) -> None:
        self.record.add(self._now(), person.address, kind, fields)


def _weight(text: str) -> int:
    """Return what `text` weighs as JSON: control characters swell there."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))
