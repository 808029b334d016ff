"""What the service's domain says: to its users' fronts as events, to their requests as refusals."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

import attrs


class Show(StrEnum):
    OFFLINE = "offline"
    ONLINE = "online"
    CHAT = "chat"
    AWAY = "away"
    XA = "xa"
    DND = "dnd"
    INVISIBLE = "invisible"


class TypingState(StrEnum):
    COMPOSING = "composing"
    PAUSED = "paused"
    IDLE = "idle"


class Reason(StrEnum):
    """Why a request is refused."""

    UNKNOWN_ADDRESS = "unknown_address"
    OFFLINE_NOT_STORED = "offline_not_stored"
    TOO_LONG = "too_long"
    RATE_LIMITED = "rate_limited"
    BLOCKED = "blocked"
    REFUSED = "refused"
    LIST_FULL = "list_full"
    UNSUPPORTED = "unsupported"


class Refusal(StrEnum):
    """Why nobody may sign on, or why a session ends."""

    WRONG_CREDENTIALS = "wrong_credentials"
    UNKNOWN_ACCOUNT = "unknown_account"
    SUSPENDED = "suspended"
    FORBIDDEN = "forbidden"
    ELSEWHERE = "elsewhere"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    BUSY = "busy"


class RequestRefused(Exception):
    """The service does not do what a user asked for."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class SignOnRefused(Exception):
    def __init__(self, reason: Refusal, text: str = "", retry_after: float | None = None) -> None:
        super().__init__(text or reason.value)
        self.reason = reason
        self.text = text
        self.retry_after = retry_after


@attrs.frozen
class Look:
    """How somebody shows himself."""

    show: Show = Show.OFFLINE
    text: str = ""
    idle_since: datetime | None = None


OFFLINE = Look()


@attrs.frozen
class Contact:
    address: str
    name: str
    groups: tuple[str, ...]
    sees: bool
    seen_by: bool
    asked: bool
    asking: bool
    blocked: bool


@attrs.frozen
class ListSent:
    contacts: tuple[Contact, ...]


@attrs.frozen
class ContactChanged:
    contact: Contact


@attrs.frozen
class ContactRemoved:
    address: str


@attrs.frozen
class PresenceShown:
    address: str
    look: Look


@attrs.frozen
class AvatarChanged:
    """Somebody who is shown as present has another picture, or none any longer."""

    address: str


@attrs.frozen
class TypingShown:
    conversation: str
    sender: str
    state: TypingState


@attrs.frozen(kw_only=True)
class Value:
    """What is repeated under the same id until it is acknowledged. `sent_at` None: it is live."""

    id: str
    sent_at: datetime | None = None


@attrs.frozen(kw_only=True)
class MessageArrived(Value):
    conversation: str
    sender: str
    text: str = attrs.field(repr=False)
    outgoing: bool = False
    replaces: str | None = None


@attrs.frozen(kw_only=True)
class RequestArrived(Value):
    address: str
    name: str
    reason: str


@attrs.frozen(kw_only=True)
class AnswerArrived(Value):
    address: str
    granted: bool
    reason: str = ""


@attrs.frozen(kw_only=True)
class RemovalArrived(Value):
    address: str
    mutual: bool


@attrs.frozen(kw_only=True)
class NudgeArrived(Value):
    conversation: str
    sender: str


@attrs.frozen(kw_only=True)
class ReadArrived(Value):
    conversation: str
    upto: str


KeptValue = (
    MessageArrived | RequestArrived | AnswerArrived | RemovalArrived | NudgeArrived | ReadArrived
)


@attrs.frozen
class MessageAccepted:
    """The message that was sent as `ref` is with the service, under this id."""

    ref: str
    id: str


@attrs.frozen
class MessageDelivered:
    """The message that was sent as `ref` has been acknowledged by its recipient."""

    ref: str
    id: str


@attrs.frozen
class NoticeShown:
    text: str


@attrs.frozen
class SessionEnded:
    """This session is over; nothing follows."""

    reason: Refusal | None
    text: str = ""
    retry_after: float | None = None


Event = (
    ListSent
    | ContactChanged
    | ContactRemoved
    | PresenceShown
    | AvatarChanged
    | TypingShown
    | MessageArrived
    | RequestArrived
    | AnswerArrived
    | RemovalArrived
    | NudgeArrived
    | ReadArrived
    | MessageAccepted
    | MessageDelivered
    | NoticeShown
    | SessionEnded
)


class Listener(Protocol):
    """One session's ear: a front's, a bot's, a scripted user's."""

    def put(self, event: Event) -> None:
        """Take `event`: at once, without waiting. It may acknowledge it, and call back no more."""
