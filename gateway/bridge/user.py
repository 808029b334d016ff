"""What is known of one user of one component while his session lives.

The session's tasks and the features work on it; between two awaits nothing else runs, so it needs
no lock. Nothing here is durable by itself: what must survive a restart goes to the store.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

import attrs
import trio

from gateway.bridge import texts
from gateway.bridge.agenda import Agenda
from gateway.bridge.domain import Domain
from gateway.bridge.inbox import Inbox
from gateway.bridge.journal import Entry
from gateway.bridge.requests import Requests
from gateway.bridge.resources import Resources, Status
from gateway.bridge.states import Phase, State
from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    CommandAnswer,
    CommandFailed,
    Contact,
    LegacyClient,
    LegacyCommand,
    LegacyEvent,
    PresenceChanged,
    Reason,
    Refusal,
    SignedOff,
    TypingState,
)
from gateway.store.store import StoredAccount, StoredContact
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import (
    Condition,
    ErrorType,
    Fault,
    Message,
    MessageType,
    Presence,
    PresenceType,
    Stanza,
)

log = logging.getLogger(__name__)

SEEN_LIMIT = 1_000
MAX_CONTACTS = 10_000  # of one account: no network's list is longer, but its bugs may be
MAX_CHATS = 1_000  # contacts whose chat states are remembered
MAX_GRANTED = 100
TOLD_NO_NAME = " "  # in the store: the roster was told of a contact without a name
SEND_SECONDS = 60.0  # a driver that has not written by then will not


@attrs.frozen
class FromUser:
    """A stanza of the user; a message of his comes with its journal entry."""

    stanza: Stanza
    entry: Entry | None = None


@attrs.frozen
class FromNetwork:
    """An event whose handling has to wait for something, such as the store."""

    event: LegacyEvent
    client: LegacyClient


Item = FromUser | FromNetwork
TakeAnswer = Callable[[CommandAnswer], None]
Directed = tuple[str, Status]  # which resource showed a contact what


class Roster(Enum):
    """What has passed between the user's roster and one contact of ours."""

    NONE = ""
    SHOWN = "shown"  # its presence was shown, nothing more
    OFFERED = "offered"  # as an item for the roster
    INVITED = "invited"  # it asked the user to be added, on our behalf
    DECLINED = "declined"  # the user does not want it in his roster
    ASKED = "asked"  # the user asked, the contact has not answered
    ACCEPTED = "accepted"  # the user is subscribed to the contact
    REFUSED = "refused"  # the user took it off, and the network does not know yet


_NOT_IN_ROSTER = (Roster.NONE, Roster.DECLINED, Roster.REFUSED)


@attrs.frozen
class Card:
    """What a roster shows of a contact."""

    name: str = ""
    groups: tuple[str, ...] = ()


@attrs.define(eq=False)
class Known:
    """A contact: as the network lists it (None: it does not), and its latest presence.

    `told` is what the user's roster was last told of it; None: nothing yet. `own` is what the user
    set instead, as far as the gateway has heard; `writing` is what is being written right now.
    """

    listed: Contact | None = None
    presence: PresenceChanged | None = None
    roster: Roster = Roster.NONE
    told: Card | None = None
    own: Card = Card()
    writing: Card | None = None


@attrs.define(eq=False)
class Pending:
    """A message of the user that is held, or handed to the network and not yet answered for."""

    message: Message = attrs.field(repr=False)
    address: str
    entry: Entry
    ref: str
    until: float


@attrs.define(eq=False)
class User:
    domain: Domain
    jid: Jid
    account: StoredAccount | None
    inbox: Inbox[Item] = attrs.field(factory=Inbox)
    resources: Resources = attrs.field(factory=Resources)
    state: State = attrs.field(factory=State)
    client: LegacyClient | None = None
    contacts: dict[str, Known] = attrs.field(factory=dict)
    has_list: bool = False  # this sign-on has brought the contact list
    unsaved: dict[str, Known] = attrs.field(factory=dict)
    shown: dict[str, Presence] = attrs.field(factory=dict)  # contacts shown available
    leaving: list[Jid] = attrs.field(factory=list)  # who is told of the end of the session
    held: deque[Pending] = attrs.field(factory=deque)
    pending: dict[str, Pending] = attrs.field(factory=dict)
    coming: dict[str, str] = attrs.field(factory=dict)  # resource -> id of the presence it came by
    asking: dict[str, str] = attrs.field(factory=dict)  # contact -> id of the user's subscribe
    adding: dict[str, str] = attrs.field(factory=dict)  # ref of AddContact -> address
    removing: dict[str, str] = attrs.field(factory=dict)  # ref of RemoveContact -> address
    granted: deque[str] = attrs.field(factory=lambda: deque(maxlen=MAX_GRANTED))  # let in just now
    awaited: dict[str, TakeAnswer] = attrs.field(factory=dict)  # ref of a command -> who waits
    seen: dict[str, None] = attrs.field(factory=dict)
    chat_states: set[str] = attrs.field(factory=set)  # contacts the user's clients type to
    typing: dict[str, TypingState] = attrs.field(factory=dict)  # what was last shown of each
    announced: Status | None = None  # what the network was last told of the user
    directing: dict[str, Directed] = attrs.field(factory=dict)  # said to single contacts, by now
    directed: dict[str, Directed] = attrs.field(factory=dict)  # what those are shown instead
    refused: Refusal | None = None  # why the last sign-on was refused
    to_carry: dict[str, None] = attrs.field(factory=dict)  # contacts the user named
    carrying: str = ""  # ref of the ChangeContact that has no answer yet
    taken_off: set[str] = attrs.field(factory=set)  # contacts taken off the roster since sign-on
    later: Agenda = attrs.field(init=False)
    requests: Requests = attrs.field(init=False)
    _sending: trio.CancelScope | None = None
    _send_by: float = float("inf")  # for a user in a hurry (trio time)
    _too_slow: LegacyClient | None = None  # the client of one who had no time to wait for it

    def __attrs_post_init__(self) -> None:
        self.later = Agenda(self.inbox.wake)
        self.requests = Requests(self.domain.link, self.domain.jid)

    @property
    def name(self) -> str:
        return f"{self.domain.jid}/{self.jid}"

    @property
    def phase(self) -> Phase:
        return self.state.phase

    def full(self, resource: str) -> Jid:
        return attrs.evolve(self.jid, resource=resource)

    def has_room_for(self, address: str) -> bool:
        """Say whether this contact is known, or may be added to those that are."""
        return address in self.contacts or len(self.contacts) < MAX_CONTACTS

    def known(self, address: str) -> Known:
        return self.contacts.setdefault(address, Known())

    def remember(self, address: str, roster: Roster) -> None:
        """Note where a contact stands with the user's roster; the session saves it."""
        known = self.known(address)
        if known.roster is not roster:
            known.roster = roster
            if roster in _NOT_IN_ROSTER:
                known.told, known.own = None, Card()
            self.unsaved[address] = known
            self.inbox.wake()

    def take_unsaved(self) -> tuple[list[StoredContact], list[str]]:
        """Return the contacts to keep, and the addresses to keep no longer."""
        unsaved, self.unsaved = self.unsaved, {}
        kept = [
            StoredContact(
                address=address,
                state=known.roster.value,
                name=(known.told.name or TOLD_NO_NAME) if known.told else "",
                groups=known.told.groups if known.told else (),
            )
            for address, known in unsaved.items()
            if known.roster is not Roster.NONE
        ]
        return kept, [one for one, known in unsaved.items() if known.roster is Roster.NONE]

    def wishes(self, contact: Jid, type_: PresenceType) -> None:
        """Handle a subscription stanza as if the user sent it now."""
        self.inbox.put_own(FromUser(Presence(from_=self.jid, to=contact, type=type_)))

    def see(self, legacy_id: str) -> None:
        """Remember a legacy id, so that a network that repeats itself is not heard twice."""
        self.seen[legacy_id] = None
        while len(self.seen) > SEEN_LIMIT:
            del self.seen[next(iter(self.seen))]

    # --- to the network ---

    async def send(self, command: LegacyCommand) -> bool:
        """Hand `command` to the network. Returns False when it cannot be known to be sent."""
        client = self.client
        if client is None:
            return False
        deadline = min(trio.current_time() + SEND_SECONDS, self._send_by)
        with trio.CancelScope(deadline=deadline) as self._sending:
            try:
                await client.send(command)
                return True
            except (ConnectionLost, SignedOff, RemoteProtocolError) as exc:
                log.debug("%s: not sent: %s", self.name, exc)
            finally:
                self._sending = None
        if trio.current_time() >= self._send_by:
            self.client, self._too_slow = None, self.client  # what follows need not be tried
        return False

    def hurry(self, seconds: float) -> None:
        """Let all that is to be sent on this connection take no longer than this, together."""
        if self.client is None:
            return
        self._send_by = min(self._send_by, trio.current_time() + seconds)
        if self._sending is not None:
            self._sending.deadline = min(self._sending.deadline, self._send_by)

    def stay(self) -> None:
        """Take back the hurry: nothing came of the leaving."""
        self._send_by = float("inf")
        if self.client is None:
            self.client = self._too_slow
        self._too_slow = None

    def await_answer(self, ref: str, take: TakeAnswer) -> None:
        """Have `take` called with the network's answer to the command `ref`, once."""
        self.awaited[ref] = take

    def answered(self, ref: str, answer: CommandAnswer | None = None) -> bool:
        """Give an answer to whoever waits for it; None: there will be none. Returns if one did."""
        take = self.awaited.pop(ref, None)
        if take is not None:
            take(answer or CommandFailed(ref, Reason.UNREACHABLE))
        return take is not None

    def disconnected(self) -> None:
        """Note that the client is gone; a send that still waits for it ends."""
        self.client = self._too_slow = None
        self._send_by = float("inf")
        if self._sending is not None:
            self._sending.cancel()

    # --- to the user ---

    def show(self, presence: Presence) -> None:
        self.domain.link.send_state(presence)

    def ask(self, from_: Jid, *types: PresenceType) -> None:
        """Send subscription stanzas, bare to bare, in this order, and a last presence (AMB-11)."""
        self.domain.link.send_batch(
            [
                Presence(
                    from_=self.domain.speaker(from_) if one is PresenceType.UNAVAILABLE else from_,
                    to=self.jid,
                    type=one,
                )
                for one in types
            ]
        )

    def presence_error(
        self, to: Iterable[Jid], condition: Condition, type_: ErrorType, text: str
    ) -> None:
        """Tell these resources that they are not signed on, as XEP-0100 has it (AMB-07).

        The first error to a resource answers the presence it came by, unless it was signed on.
        """
        for one in to:
            fault = Fault(condition=condition, type=type_, text=text, lang=texts.LANG)
            self.domain.link.send(
                Presence(
                    from_=self.domain.jid,
                    to=one,
                    id=self.coming.pop(one.resource, None),
                    type=PresenceType.ERROR,
                    error=fault,
                )
            )

    def note_coming(self, presence: Presence) -> None:
        """Note the presence that the next error to its resource answers."""
        self.coming.pop(presence.from_.resource, None)
        if presence.id is not None:
            self.coming[presence.from_.resource] = presence.id

    def notice(self, body: str) -> None:
        """Pass on what the service itself says to the user (AMB-12)."""
        self._post(body, MessageType.NORMAL)

    def note(self, text: str) -> None:
        """Tell the user one of our texts: many clients hide errors (NOTE-01)."""
        self.say(self.text(text))

    def say(self, body: str) -> None:
        """Send the user a chat message of the gateway."""
        self._post(body, MessageType.CHAT)

    def _post(self, body: str, type_: MessageType) -> None:
        message = Message(
            from_=self.domain.jid,
            to=self.jid,
            type=type_,
            id=self.domain.new_id(),
            body=body,
        )
        if self.account is not None:
            self.domain.deliveries.post(self.account.account_id, message)
        else:
            self.domain.link.send(message)

    def text(self, text: str) -> str:
        return text.format(title=self.domain.title)

    def refusal_text(self, refusal: Refusal, said: str) -> str:
        ours = self.text(texts.REFUSALS[refusal])
        return f'{ours} It said: "{said}"' if said else ours
