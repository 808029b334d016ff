"""The network interface: what the bridge asks of a legacy network, and what the network tells.

A network is one folder beside this file. It offers a `Network`, which signs accounts on and gives a
`LegacyClient`; events come from the client, commands go to it. Everything here is said in terms
that fit any network and nothing is named after one; XMPP is unknown here. The bridge does only
what the capabilities say. `docs/writing-a-network.md` takes an author through it.

State and value (docs/architecture.md): of state only the latest matters, every value counts. Every
event of value carries `token`, `legacy_id` and `sent_at`; every command carries `ref`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import Enum, StrEnum
from typing import ClassVar, Protocol

import attrs

from gateway.errors import BalconyError
from gateway.host import Host

# --- words ------------------------------------------------------------------------------------


class Show(StrEnum):
    """How available somebody is."""

    OFFLINE = "offline"
    ONLINE = "online"
    CHAT = "chat"
    AWAY = "away"
    XA = "xa"
    DND = "dnd"
    INVISIBLE = "invisible"


class Strand(StrEnum):
    """One strand of a subscription between the user and a contact."""

    SEES = "sees"  # the user sees the contact's presence
    SEEN_BY = "seen_by"  # the contact sees the user's
    ASKED = "asked"  # the user has asked, the contact has not answered
    ASKING = "asking"  # the contact has asked, the user has not answered


Subscription = frozenset[Strand]


class TypingState(StrEnum):
    COMPOSING = "composing"
    PAUSED = "paused"
    IDLE = "idle"


class Stage(StrEnum):
    """How far a message came. `UNKNOWN`: it may or may not have arrived.

    `WRITTEN` is told only by a network that has no acknowledgements, and is final there; `ACCEPTED`
    may be followed by `DELIVERED` and by nothing else.
    """

    WRITTEN = "written"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a command failed."""

    UNKNOWN_ADDRESS = "unknown_address"
    OFFLINE_NOT_STORED = "offline_not_stored"
    TOO_LONG = "too_long"
    RATE_LIMITED = "rate_limited"
    BLOCKED = "blocked"
    NOT_AUTHORISED = "not_authorised"
    REFUSED = "refused"
    LIST_FULL = "list_full"
    UNREACHABLE = "unreachable"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


class Refusal(StrEnum):
    """Why a sign-on was refused."""

    WRONG_CREDENTIALS = "wrong_credentials"
    UNKNOWN_ACCOUNT = "unknown_account"
    SUSPENDED = "suspended"
    FORBIDDEN = "forbidden"
    ELSEWHERE = "elsewhere"  # the account signed on somewhere else
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    BUSY = "busy"
    MISCONFIGURED = "misconfigured"  # the gateway: its operator has to set it up otherwise

    @property
    def passes(self) -> bool:
        """Say whether trying again later may help without the user doing anything."""
        return self in (Refusal.TOO_MANY_ATTEMPTS, Refusal.BUSY)


# --- what goes wrong --------------------------------------------------------------------------


class InvalidAddress(BalconyError):
    """A text that cannot be an address on this network; the message says why, to a person."""


class LoginRefused(BalconyError):
    """The network said no to a sign-on. `retry_after` is in seconds, where it said when."""

    def __init__(self, reason: Refusal, text: str = "", retry_after: float | None = None) -> None:
        super().__init__(text or reason.value)
        self.reason = reason
        self.text = text
        self.retry_after = retry_after


class SignedOff(BalconyError):
    """The network ended the session in an orderly way, or another sign-on replaced it.

    `reason` None: no reason given, as good as a lost connection. `retry_after` is in seconds.
    """

    def __init__(
        self, reason: Refusal | None = None, text: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(text or (reason.value if reason else "signed off by the network"))
        self.reason = reason
        self.text = text
        self.retry_after = retry_after


# --- who signs on -----------------------------------------------------------------------------


@attrs.frozen
class Account:
    """A login on the network: canonical address, secret, and the network's own extra fields."""

    address: str
    secret: str = attrs.field(repr=False)
    fields: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class Challenge:
    """A question in the middle of a sign-on: a one-time code, a captcha."""

    text: str
    fields: tuple["Field", ...] = ()
    media: bytes = attrs.field(default=b"", repr=False)
    media_type: str = ""


@attrs.frozen
class Answer:
    values: Mapping[str, str] = attrs.field(repr=False)


Ask = Callable[[Challenge], Awaitable[Answer]]


@attrs.frozen
class LoginLimit:
    """At most `logins` in any `seconds` are taken from one host by the service of this name.

    Networks that name the same service share what it takes.
    """

    service: str
    logins: int
    seconds: float


@attrs.frozen
class Field:
    """One field of a registration form; `name` as in XEP-0077 where that has one, else `x-…`.

    `options`: the values there are; none: any text. `default` is the one that is meant by nothing
    at all, which is what the account then holds. Another value of one that `names_account` is
    another account, whatever its address. `canonical` is for `username`, where not every address
    of the network can be an account: in place of the network's own.
    """

    name: str
    label: str
    required: bool = True
    secret: bool = False
    options: tuple[str, ...] = ()
    default: str = ""
    names_account: bool = False
    canonical: Callable[[str], str] | None = None


@attrs.frozen
class Capabilities:
    """What a network can do. A client's are its network's, narrowed by the service it is on."""

    per_contact_presence: bool = False
    devices: bool = False
    deny: bool = False
    typing: bool = False
    receipts: bool = False
    edits: bool = False
    read: bool = False
    profile: bool = False
    avatar: bool = False
    search: bool = False
    block: bool = False
    nudge: bool = False
    groups: bool = False
    offline_messages: bool = False
    several_sign_ons: bool = False


@attrs.frozen
class Description:
    """What a network says of itself before anybody signs on."""

    kind: str  # the disco type of category "gateway": aim, icq, msn, yahoo, …
    title: str
    prompt: str
    prompt_description: str
    instructions: str
    fields: tuple[Field, ...]
    capabilities: Capabilities
    sample: Mapping[str, str | int | float | bool] = attrs.field(factory=dict)  # settings to edit


# --- what the network tells -------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Value:
    """What every event of value carries.

    `token` goes back by `acknowledge` once the event is safe (None: nothing to acknowledge);
    `legacy_id` is the network's own id, the same when it repeats itself (None: it has none);
    `sent_at` is when it was sent, in UTC (None: live).
    """

    token: object | None = None
    legacy_id: str | None = None
    sent_at: datetime | None = None


@attrs.frozen
class Attachment:
    url: str
    name: str = ""
    media_type: str = ""
    size: int | None = None


@attrs.frozen
class Contact:
    address: str
    name: str = ""
    groups: tuple[str, ...] = ()
    subscription: Subscription = frozenset((Strand.SEES, Strand.SEEN_BY))
    blocked: bool = False


@attrs.frozen
class CredentialsRenewed:
    secret: str = attrs.field(repr=False)


@attrs.frozen
class Notice:
    """A text of the service itself to the user."""

    text: str


@attrs.frozen
class ContactList:
    """Contacts; with `complete` it is the whole list and replaces what was known."""

    contacts: tuple[Contact, ...]
    complete: bool = True


@attrs.frozen
class ContactChanged:
    contact: Contact


@attrs.frozen
class ContactRemoved:
    address: str


@attrs.frozen
class PresenceChanged:
    address: str
    show: Show
    text: str = ""
    idle_since: datetime | None = None
    last_seen: datetime | None = None
    device: str | None = None
    avatar_hash: str | None = None


@attrs.frozen
class Typing:
    conversation: str
    sender: str
    state: TypingState


@attrs.frozen(kw_only=True)
class MessageReceived(Value):
    """A message; `outgoing`: the user's own, sent from another sign-on of his account."""

    conversation: str
    sender: str
    text: str = attrs.field(repr=False)
    outgoing: bool = False
    attachments: tuple[Attachment, ...] = ()
    replaces: str | None = None


@attrs.frozen(kw_only=True)
class ReadUpTo(Value):
    conversation: str
    upto: str  # the legacy id of the newest message read


@attrs.frozen(kw_only=True)
class NudgeReceived(Value):
    conversation: str
    sender: str


@attrs.frozen(kw_only=True)
class ContactRequest(Value):
    """Somebody asks to see the user's presence."""

    address: str
    nick: str = ""
    reason: str = ""


@attrs.frozen(kw_only=True)
class RequestAnswered(Value):
    """A contact answered what `AddContact` asked."""

    address: str
    granted: bool
    reason: str = ""


@attrs.frozen(kw_only=True)
class RemovedByContact(Value):
    """A contact took the user off its list; `mutual`: and is itself off the user's."""

    address: str
    mutual: bool = False


@attrs.frozen
class MessageOutcome:
    """How far the message of command `ref` came; the last one for a `ref` is final."""

    ref: str
    stage: Stage
    legacy_id: str | None = None
    reason: Reason | None = None
    text: str = ""


@attrs.frozen
class CommandDone:
    """Command `ref` was carried out. `result` is what the command's docstring says."""

    ref: str
    result: object = None


@attrs.frozen
class CommandFailed:
    ref: str
    reason: Reason
    text: str = ""


CommandAnswer = CommandDone | CommandFailed


@attrs.frozen
class UnknownEvent:
    """Something came that this driver does not know; logged, and otherwise left alone."""

    what: str


LegacyEvent = (
    CredentialsRenewed
    | Notice
    | ContactList
    | ContactChanged
    | ContactRemoved
    | PresenceChanged
    | Typing
    | MessageReceived
    | ReadUpTo
    | NudgeReceived
    | ContactRequest
    | RequestAnswered
    | RemovedByContact
    | MessageOutcome
    | CommandDone
    | CommandFailed
    | UnknownEvent
)


# --- what the network is told -----------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Command:
    """What every command carries: `ref` names it in the answer."""

    ref: str


@attrs.frozen(kw_only=True)
class SendMessage(Command):
    """Answered by `MessageOutcome`s."""

    conversation: str
    text: str = attrs.field(repr=False)
    attachments: tuple[Attachment, ...] = ()
    replaces: str | None = None  # the legacy id of the message this one corrects


@attrs.frozen(kw_only=True)
class MarkRead(Command):
    conversation: str
    upto: str


@attrs.frozen(kw_only=True)
class SetTyping(Command):
    conversation: str
    state: TypingState


@attrs.frozen(kw_only=True)
class SendNudge(Command):
    conversation: str


@attrs.frozen(kw_only=True)
class SetPresence(Command):
    """Show the user so to everybody, or with `only_for` to those addresses alone."""

    show: Show
    text: str = ""
    idle_since: datetime | None = None
    only_for: tuple[str, ...] = ()


class AddResult(Enum):
    GRANTED = "granted"
    ASKED = "asked"


@attrs.frozen(kw_only=True)
class AddContact(Command):
    """Result: an `AddResult`."""

    address: str
    name: str = ""
    groups: tuple[str, ...] = ()
    reason: str = ""


@attrs.frozen(kw_only=True)
class ChangeContact(Command):
    address: str
    name: str
    groups: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class RemoveContact(Command):
    """Owed until it is answered: without an answer it is sent again at the next sign-on."""

    address: str


@attrs.frozen(kw_only=True)
class Grant(Command):
    """Let `address`, which asked, see the user's presence."""

    address: str


@attrs.frozen(kw_only=True)
class Deny(Command):
    """Refuse what `address` asked."""

    address: str
    reason: str = ""


@attrs.frozen(kw_only=True)
class Revoke(Command):
    """Let `address` see the user's presence no longer."""

    address: str


@attrs.frozen(kw_only=True)
class Block(Command):
    address: str


@attrs.frozen(kw_only=True)
class Unblock(Command):
    address: str


@attrs.frozen
class Profile:
    """What a network tells of somebody.

    `fields` that all networks name alike: name, nick, birthday, city, country, phone, email, url,
    about. A network's own come under whatever name it has for them.
    """

    address: str
    fields: Mapping[str, str]


@attrs.frozen(kw_only=True)
class FetchProfile(Command):
    """Result: a `Profile`."""

    address: str


@attrs.frozen
class Avatar:
    data: bytes = attrs.field(repr=False)
    media_type: str = "image/png"


@attrs.frozen(kw_only=True)
class FetchAvatar(Command):
    """Result: an `Avatar`, or None where there is none."""

    address: str


@attrs.frozen(kw_only=True)
class Search(Command):
    """Look for people who have all of `fields`, as far as the network can. Result: `Profile`s.

    What may be asked for: address, nick, first, last, email. A network that cannot look for two of
    them at once looks for the one that says more.
    """

    fields: Mapping[str, str]


LegacyCommand = (
    SendMessage
    | MarkRead
    | SetTyping
    | SendNudge
    | SetPresence
    | AddContact
    | ChangeContact
    | RemoveContact
    | Grant
    | Deny
    | Revoke
    | Block
    | Unblock
    | FetchProfile
    | FetchAvatar
    | Search
)


# --- who tells and is told --------------------------------------------------------------------


class LegacyClient(Protocol):
    """One account signed on. It lives inside the `async with` of `Network.sign_on`."""

    @property
    def own_address(self) -> str: ...

    @property
    def display_name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def receive(self) -> LegacyEvent:
        """Wait for the next event, in the order the network sent them.

        Raises `SignedOff` when the service ends the session, `ConnectionLost` when the connection
        goes, `RemoteProtocolError` when the service breaks the protocol. After that, no more.
        """

    async def send(self, command: LegacyCommand) -> None:
        """Hand `command` to the service, in order; answers come as events.

        Returns when it is written; may wait for the service's rate limits. Raises as `receive`.
        A command outside the capabilities is answered by `CommandFailed(UNSUPPORTED)`.
        """

    def acknowledge(self, token: object) -> None:
        """Note that the event with this token is safe here, and need not be repeated.

        Waits for nothing and never raises, also after the end.
        """


class Network(Protocol):
    """A network as configured by one `[[component]]`: the service and how to use it."""

    Settings: ClassVar[type]  # a frozen attrs class, structured from [component.service]
    description: Description  # the class has one; its fields may depend on the settings

    def __init__(self, host: Host, settings: object) -> None: ...

    @staticmethod
    def canonical(text: str) -> str:
        """Return the one spelling of the address `text`. Raises `InvalidAddress`."""

    @property
    def service_name(self) -> str:
        """The service's address, for logs and the status page."""

    def login_limit(self, account: Account) -> LoginLimit | None:
        """Return the limit that the next `check` or `sign_on` of `account` counts for.

        None: it counts for none. The caller keeps to the limit; an attempt that raises `Unreached`
        does not count.
        """

    async def check(self, account: Account, ask: Ask) -> bool:
        """Ask the service whether the credentials are right, without signing on.

        Returns False when this network cannot tell that way. Raises as `sign_on`.
        """

    def sign_on(self, account: Account, ask: Ask) -> AbstractAsyncContextManager[LegacyClient]:
        """Sign `account` on; inside the `async with` it is signed on, leaving it signs off.

        Entering raises `LoginRefused`, `ConnectionLost` or `RemoteProtocolError`, and is bounded in
        time by the driver; leaving is bounded too. Exceptions of the body pass through.
        """
