"""One session with the emulated service as a state machine: frames in, events out, and back.

Does no I/O and looks at no clock. `wire.py` knows how frames look, this file what they mean;
`client.py` carries them.
"""

import base64
import json
import unicodedata
from collections.abc import Iterator, Mapping
from enum import Enum, StrEnum
from typing import Any, TypeVar, assert_never

import attrs

from gateway.errors import RemoteProtocolError
from gateway.networks import base
from gateway.networks.base import AddResult, Reason, Refusal, Show, Stage, Strand, TypingState
from gateway.networks.emu import wire

MAX_ADDRESS_LENGTH = 64
MAX_CONTACTS = 10_000
MAX_UNANSWERED = 1_000  # commands; more are failed at once
MAX_FIELD_BYTES = 2_000  # a status or a reason, as JSON; what is longer the service refuses whole

MAX_ID_LENGTH = 200
MAX_IDS_PER_ACK = 200

# What the service repeats until it is acknowledged.
_VALUES = (
    wire.Message,
    wire.ContactRequest,
    wire.RequestAnswered,
    wire.RemovedByContact,
    wire.Nudged,
    wire.ReadUpTo,
)

W = TypeVar("W", bound=StrEnum)


def canonical(text: str) -> str:
    """Return the one spelling of an address: case and spaces do not count. Raises."""
    folded = "".join(text.strip().split(" ")).casefold()
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in folded):
        raise base.InvalidAddress("a name here has no control characters or line breaks")
    folded = "".join(folded.split())  # the other spaces Unicode has
    if not folded:
        raise base.InvalidAddress("a name here needs at least one character that is not a space")
    if len(folded) > MAX_ADDRESS_LENGTH:
        raise base.InvalidAddress(f"a name here has at most {MAX_ADDRESS_LENGTH} characters")
    return folded


@attrs.frozen
class SignedOn:
    """The service took us in."""

    name: str
    capabilities: base.Capabilities


class State(Enum):
    SIGNING_ON = "signing on"
    CHECKING = "checking"
    ONLINE = "online"
    ENDED = "ended"


class Session:
    """The client's side of one session."""

    def __init__(self, offered: base.Capabilities) -> None:
        self._offered = offered  # what this driver can do
        self._state = State.SIGNING_ON
        self._own = ""
        self._contacts: list[base.Contact] = []
        self._unanswered: dict[str, base.LegacyCommand] = {}
        self._acknowledged: list[str] = []
        self.signed_on: SignedOn | None = None
        self.checked = False
        self.last_pong = ""

    def sign_on(self, account: base.Account) -> wire.SignOn:
        self._state = State.SIGNING_ON
        return wire.SignOn(account=account.address, password=account.secret, client="balcony")

    def check(self, account: base.Account) -> wire.Check:
        self._state = State.CHECKING
        return wire.Check(account=account.address, password=account.secret)

    # --- what comes ---------------------------------------------------------------------------

    def receive(self, data: str | bytes) -> list[base.LegacyEvent]:
        """Take one frame and return the events it means.

        Raises `RemoteProtocolError`, `LoginRefused` and `SignedOff`.
        """
        frame = _mended(wire.decode_server(data))
        match frame:
            case wire.Pong(id=number):
                self.last_pong = number
                return []
            case wire.Unknown(type=tag):
                return [base.UnknownEvent(f"a frame of type {tag[:100]!r}")]
            case wire.SignedOff():
                self._state = State.ENDED
                reason = None if frame.reason is None else _word(Refusal, frame.reason)
                raise base.SignedOff(reason, frame.text, frame.retry_after)
        if self._state is not State.ONLINE:
            self._enter(frame)
            return []
        try:
            return list(self._events(frame))
        except base.InvalidAddress as exc:
            # One unusable name must not cost the session; and what can be acknowledged is, or the
            # service would repeat it for ever.
            if isinstance(frame, _VALUES):
                self.acknowledge(frame.id)
            return [base.UnknownEvent(f"{_name(frame)} with an unusable name: {exc}")]

    def _enter(self, frame: wire.ServerFrame) -> None:
        match frame:
            case wire.SignedOn() if self._state is State.SIGNING_ON:
                self._state = State.ONLINE
                self._own = canonical(frame.account)
                self.signed_on = SignedOn(
                    name=frame.name or frame.account, capabilities=self._narrowed(frame)
                )
            case wire.Checked() if self._state is State.CHECKING:
                self._state = State.ENDED
                self.checked = True
            case wire.Refused():
                self._state = State.ENDED
                raise base.LoginRefused(_word(Refusal, frame.reason), frame.text, frame.retry_after)
            case _:
                raise RemoteProtocolError(f"{_name(frame)} came while {self._state.value}")

    def _narrowed(self, frame: wire.SignedOn) -> base.Capabilities:
        fields = attrs.asdict(self._offered)
        return base.Capabilities(
            **{name: able and name in frame.capabilities for name, able in fields.items()}
        )

    def _events(self, frame: wire.ServerFrame) -> Iterator[base.LegacyEvent]:
        match frame:
            case wire.ContactList():
                yield from self._list(frame)
            case wire.ContactChanged(contact=contact):
                yield base.ContactChanged(_contact(contact))
            case wire.ContactRemoved(address=address):
                yield base.ContactRemoved(canonical(address))
            case wire.Presence(address=address) if canonical(address) == self._own:
                pass  # the service shows the account otherwise; the bridge knows what it wants
            case wire.Presence():
                yield base.PresenceChanged(
                    address=canonical(frame.address),
                    show=_word(Show, frame.show),
                    text=frame.text,
                    idle_since=frame.idle_since,
                )
            case wire.Typing():
                yield base.Typing(
                    conversation=canonical(frame.conversation),
                    sender=canonical(frame.sender),
                    state=_word(TypingState, frame.state),
                )
            case wire.Outcome():
                yield base.MessageOutcome(
                    ref=frame.ref,
                    stage=_word(Stage, frame.stage),
                    legacy_id=frame.id,
                    reason=None if frame.reason is None else _reason(frame.reason),
                    text=frame.text,
                )
            case wire.Done() | wire.Failed():
                yield self._answer(frame)
            case wire.Notice(text=text):
                yield base.Notice(text)
            case _:
                yield _value(frame)

    def _list(self, frame: wire.ContactList) -> Iterator[base.LegacyEvent]:
        for contact in frame.contacts:
            try:
                self._contacts.append(_contact(contact))
            except base.InvalidAddress as exc:
                yield base.UnknownEvent(f"a contact with an unusable name: {exc}")
        if len(self._contacts) > MAX_CONTACTS:
            raise RemoteProtocolError(f"a contact list of more than {MAX_CONTACTS} contacts")
        if frame.complete:
            whole, self._contacts = tuple(self._contacts), []
            yield base.ContactList(whole, complete=True)

    def _answer(self, frame: wire.Done | wire.Failed) -> base.LegacyEvent:
        command = self._unanswered.pop(frame.ref, None)
        if command is None:
            return base.UnknownEvent(f"an answer to {frame.ref[:100]!r}, which waits for none")
        if isinstance(frame, wire.Failed):
            return base.CommandFailed(frame.ref, _reason(frame.reason), frame.text)
        try:
            return base.CommandDone(frame.ref, _result(command, frame))
        except base.InvalidAddress as exc:
            return base.CommandFailed(frame.ref, Reason.UNKNOWN, str(exc))

    # --- what goes ----------------------------------------------------------------------------

    def command(
        self, command: base.LegacyCommand
    ) -> tuple[wire.ClientFrame | None, base.LegacyEvent | None]:
        """Return the frame that carries `command`, or else the event that refuses it."""
        assert self.signed_on is not None
        if (missing := _lacks(self.signed_on.capabilities, command)) is not None:
            return None, _refuse(command, Reason.UNSUPPORTED, f"this service has no {missing}")
        if isinstance(command, base.SendMessage):
            return _message(command), None
        if len(self._unanswered) >= MAX_UNANSWERED:
            text = "too many commands wait for an answer"
            return None, _refuse(command, Reason.RATE_LIMITED, text)
        self._unanswered[command.ref] = command
        return _frame(command, with_groups=self.signed_on.capabilities.groups), None

    def acknowledge(self, token: object) -> None:
        """Note a value as safe; unknown tokens are left alone."""
        if isinstance(token, str):
            self._acknowledged.append(token)

    @property
    def has_acknowledged(self) -> bool:
        return bool(self._acknowledged)

    def take_acknowledged(self) -> wire.Ack | None:
        """Return the next acknowledgement to be sent, if any."""
        if not self._acknowledged:
            return None
        ids = tuple(self._acknowledged[:MAX_IDS_PER_ACK])
        del self._acknowledged[:MAX_IDS_PER_ACK]
        return wire.Ack(ids)

    def too_large(self, command: base.LegacyCommand) -> base.LegacyEvent:
        """Return what answers a command that fits no frame."""
        self._unanswered.pop(command.ref, None)
        return _refuse(command, Reason.TOO_LONG, "this is longer than the service can take")


# --- what frames mean -------------------------------------------------------------------------


def _name(frame: object) -> str:
    return type(frame).__name__


def _word(words: type[W], text: str) -> W:
    try:
        return words(text)
    except ValueError as exc:
        raise RemoteProtocolError(f"{text[:100]!r} is no {words.__name__.lower()}") from exc


def _reason(text: str) -> Reason:
    try:
        return Reason(text)
    except ValueError:
        return Reason.UNKNOWN


def _contact(contact: wire.Contact) -> base.Contact:
    strands = {
        Strand.SEES: contact.sees,
        Strand.SEEN_BY: contact.seen_by,
        Strand.ASKED: contact.asked,
        Strand.ASKING: contact.asking,
    }
    return base.Contact(
        address=canonical(contact.address),
        name=contact.name,
        groups=contact.groups,
        subscription=frozenset(link for link, holds in strands.items() if holds),
        blocked=contact.blocked,
    )


def _value(frame: wire.ServerFrame) -> base.LegacyEvent:
    if isinstance(frame, _VALUES) and not 0 < len(frame.id) <= MAX_ID_LENGTH:
        raise RemoteProtocolError(f"{_name(frame)} has an id of {len(frame.id)} characters")
    match frame:
        case wire.Message():
            return base.MessageReceived(
                token=frame.id,
                legacy_id=frame.id,
                sent_at=frame.sent_at,
                conversation=canonical(frame.conversation),
                sender=canonical(frame.sender),
                text=frame.text,
                outgoing=frame.outgoing,
                replaces=frame.replaces,
            )
        case wire.ContactRequest():
            return base.ContactRequest(
                token=frame.id,
                legacy_id=frame.id,
                sent_at=frame.sent_at,
                address=canonical(frame.address),
                nick=frame.name,
                reason=frame.reason,
            )
        case wire.RequestAnswered():
            return base.RequestAnswered(
                token=frame.id,
                legacy_id=frame.id,
                sent_at=frame.sent_at,
                address=canonical(frame.address),
                granted=frame.granted,
                reason=frame.reason,
            )
        case wire.RemovedByContact():
            return base.RemovedByContact(
                token=frame.id,
                legacy_id=frame.id,
                sent_at=frame.sent_at,
                address=canonical(frame.address),
                mutual=frame.mutual,
            )
        case wire.Nudged():
            return base.NudgeReceived(
                token=frame.id,
                legacy_id=frame.id,
                sent_at=frame.sent_at,
                conversation=canonical(frame.conversation),
                sender=canonical(frame.sender),
            )
        case wire.ReadUpTo():
            return base.ReadUpTo(
                token=frame.id,
                legacy_id=frame.id,
                sent_at=frame.sent_at,
                conversation=canonical(frame.conversation),
                upto=frame.upto,
            )
        case _:
            raise RemoteProtocolError(f"{_name(frame)} came in the middle of a session")


def _result(command: base.LegacyCommand, frame: wire.Done) -> object:
    match command:
        case base.AddContact():
            return _add_result(frame.result)
        case base.FetchProfile():
            if len(frame.profiles) != 1:
                raise RemoteProtocolError(f"{len(frame.profiles)} profiles came, expected one")
            return _profile(frame.profiles[0])
        case base.FetchAvatar():
            return _avatar(frame)
        case base.Search():
            return tuple(_profile(profile) for profile in frame.profiles)
        case _:
            return None


def _add_result(text: str) -> AddResult:
    try:
        return AddResult(text)
    except ValueError as exc:
        raise RemoteProtocolError(f"{text[:100]!r} is no answer to adding a contact") from exc


def _profile(profile: wire.Profile) -> base.Profile:
    return base.Profile(canonical(profile.address), profile.fields)


def _avatar(frame: wire.Done) -> base.Avatar | None:
    if not frame.avatar:
        return None
    try:
        data = base64.b64decode(frame.avatar, validate=True)
    except ValueError as exc:
        raise RemoteProtocolError(f"a picture is not in base64: {exc}") from exc
    return base.Avatar(data, frame.avatar_type)


def _mended(value: Any) -> Any:
    """Replace half surrogate pairs, which JSON can spell and nothing else can carry."""
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, tuple):
        return tuple(_mended(each) for each in value)
    if isinstance(value, Mapping):
        return {_mended(key): _mended(each) for key, each in value.items()}
    if attrs.has(type(value)):
        return type(value)(*(_mended(getattr(value, name)) for name in _names(type(value))))
    return value


def _names(cls: type) -> Iterator[str]:
    return (field.name for field in attrs.fields(cls))


# --- what commands become ---------------------------------------------------------------------


def _refuse(command: base.LegacyCommand, reason: Reason, text: str) -> base.LegacyEvent:
    if isinstance(command, base.SendMessage):
        return base.MessageOutcome(command.ref, Stage.FAILED, reason=reason, text=text)
    return base.CommandFailed(command.ref, reason, text)


_NEEDS: Mapping[type, str] = {
    base.SetTyping: "typing",
    base.MarkRead: "read",
    base.SendNudge: "nudge",
    base.Deny: "deny",
    base.Block: "block",
    base.Unblock: "block",
    base.FetchProfile: "profile",
    base.FetchAvatar: "avatar",
    base.Search: "search",
}


def _lacks(able: base.Capabilities, command: base.LegacyCommand) -> str | None:
    """Name what `command` needs and the service does not have."""
    match command:
        case base.SendMessage(replaces=str()) if not able.edits:
            return "corrections of messages"
        case base.SetPresence(only_for=(_, *_)) if not able.per_contact_presence:
            return "presence for single contacts"
    needed = _NEEDS.get(type(command))
    return needed if needed is not None and not getattr(able, needed) else None


def _message(command: base.SendMessage) -> wire.SendMessage:
    """Attachments go as links: the service carries text alone."""
    lines = [command.text] if command.text else []
    return wire.SendMessage(
        ref=command.ref,
        to=command.conversation,
        text="\n".join(lines + [each.url for each in command.attachments]),
        replaces=command.replaces,
    )


def _frame(  # noqa: C901 - one row a command
    command: base.LegacyCommand, *, with_groups: bool
) -> wire.ClientFrame:
    match command:
        case base.SetPresence(ref=ref):
            text = _cut(command.text)
            return wire.SetPresence(ref, command.show, text, command.idle_since, command.only_for)
        case base.SetTyping(ref=ref):
            return wire.SetTyping(ref, command.conversation, command.state)
        case base.SendNudge(ref=ref, conversation=to):
            return wire.Nudge(ref, to)
        case base.MarkRead(ref=ref, conversation=to, upto=upto):
            return wire.MarkRead(ref, to, upto)
        case base.AddContact(ref=ref, address=address):
            groups = command.groups if with_groups else ()
            return wire.AddContact(ref, address, command.name, groups, _cut(command.reason))
        case base.ChangeContact(ref=ref, address=address):
            groups = command.groups if with_groups else ()
            return wire.ChangeContact(ref, address, command.name, groups)
        case base.RemoveContact(ref=ref, address=address):
            return wire.RemoveContact(ref, address)
        case base.Grant(ref=ref, address=address):
            return wire.Grant(ref, address)
        case base.Deny(ref=ref, address=address, reason=reason):
            return wire.Deny(ref, address, _cut(reason))
        case base.Revoke(ref=ref, address=address):
            return wire.Revoke(ref, address)
        case base.Block(ref=ref, address=address):
            return wire.Block(ref, address)
        case base.Unblock(ref=ref, address=address):
            return wire.Unblock(ref, address)
        case base.FetchProfile(ref=ref, address=address):
            return wire.FetchProfile(ref, address)
        case base.FetchAvatar(ref=ref, address=address):
            return wire.FetchAvatar(ref, address)
        case base.Search(ref=ref, fields=fields):
            return wire.Search(ref, _by_name(fields))
        case base.SendMessage():
            raise AssertionError("handled before")
        case _:
            assert_never(command)


def _by_name(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what is looked for as the service has it: people's whole names."""
    known = dict(fields)
    names = [known.pop(one) for one in ("first", "last") if one in known]
    return known | ({"name": " ".join(names)} if names else {})


def _cut(text: str) -> str:
    """Cut what the service would refuse for its length: the rest of a command is worth more."""
    if _weight(text) <= MAX_FIELD_BYTES:
        return text
    while (weight := _weight(f"{text}…")) > MAX_FIELD_BYTES:
        text = text[: len(text) * MAX_FIELD_BYTES // weight - 1]
    return f"{text}…"


def _weight(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))
