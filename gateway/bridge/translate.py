"""Events to stanzas, stanzas to commands: pure functions.

What a legacy network says is put into XMPP here, and the other way round; who may say what to whom,
and when, is decided by the features.
"""

import hashlib
import re
from contextlib import suppress
from datetime import UTC, datetime

import attrs

from gateway.bridge.resources import Status
from gateway.networks.base import PresenceChanged, Reason, Refusal, Show, TypingState
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, ErrorType, Message, MessageType, Presence, PresenceType
from gateway.xmpp.xml import Element

MAX_TEXT = 2_000  # characters of a status, a nick, a reason, an error text
MAX_BODY = 32_768  # characters
CHARACTER_BYTES = 5  # that a character of a body takes at most: `&amp;`
BESIDE_BODY_BYTES = 6_500  # two addresses of the longest, an id, a delay stamp

_TIME = re.compile(  # XEP-0082
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})"
)

_SHOW_TO_XMPP = {
    Show.CHAT: "chat",
    Show.AWAY: "away",
    Show.XA: "xa",
    Show.DND: "dnd",
}
_SHOW_FROM_XMPP = {text: show for show, text in _SHOW_TO_XMPP.items()}

CHAT_STATES = {
    "composing": TypingState.COMPOSING,
    "paused": TypingState.PAUSED,
    "active": TypingState.IDLE,
    "inactive": TypingState.IDLE,
    "gone": TypingState.IDLE,
}
_TYPING_TO_CHAT_STATE = {
    TypingState.COMPOSING: "composing",
    TypingState.PAUSED: "paused",
    TypingState.IDLE: "active",
}

REASON_CONDITIONS = {
    Reason.UNKNOWN_ADDRESS: (Condition.ITEM_NOT_FOUND, ErrorType.CANCEL),
    Reason.OFFLINE_NOT_STORED: (Condition.SERVICE_UNAVAILABLE, ErrorType.CANCEL),
    Reason.TOO_LONG: (Condition.NOT_ACCEPTABLE, ErrorType.MODIFY),
    Reason.RATE_LIMITED: (Condition.RESOURCE_CONSTRAINT, ErrorType.WAIT),
    Reason.BLOCKED: (Condition.FORBIDDEN, ErrorType.AUTH),
    Reason.NOT_AUTHORISED: (Condition.FORBIDDEN, ErrorType.AUTH),
    Reason.REFUSED: (Condition.FORBIDDEN, ErrorType.AUTH),
    Reason.LIST_FULL: (Condition.RESOURCE_CONSTRAINT, ErrorType.WAIT),
    Reason.UNREACHABLE: (Condition.REMOTE_SERVER_TIMEOUT, ErrorType.WAIT),
    Reason.UNSUPPORTED: (Condition.FEATURE_NOT_IMPLEMENTED, ErrorType.CANCEL),
    Reason.UNKNOWN: (Condition.UNDEFINED_CONDITION, ErrorType.CANCEL),
}
REFUSAL_CONDITIONS = {  # GW-IN-07, GW-IN-09
    Refusal.WRONG_CREDENTIALS: (Condition.NOT_AUTHORIZED, ErrorType.AUTH),
    Refusal.UNKNOWN_ACCOUNT: (Condition.NOT_AUTHORIZED, ErrorType.AUTH),
    Refusal.SUSPENDED: (Condition.FORBIDDEN, ErrorType.AUTH),
    Refusal.FORBIDDEN: (Condition.FORBIDDEN, ErrorType.AUTH),
    Refusal.ELSEWHERE: (Condition.CONFLICT, ErrorType.CANCEL),
    Refusal.TOO_MANY_ATTEMPTS: (Condition.RESOURCE_CONSTRAINT, ErrorType.WAIT),
    Refusal.BUSY: (Condition.REMOTE_SERVER_TIMEOUT, ErrorType.WAIT),
    Refusal.MISCONFIGURED: (Condition.SERVICE_UNAVAILABLE, ErrorType.CANCEL),
}


def status_of(presence: Presence) -> Status:
    """Say what an available presence of the user shows on the network."""
    show = _SHOW_FROM_XMPP.get(presence.show or "", Show.ONLINE)
    return Status(show, presence.status or "", _idle_since(presence))


def _idle_since(presence: Presence) -> datetime | None:
    """Return since when the user is idle by XEP-0319; what is no time is none."""
    for element in presence.payload:
        if (element.name, element.xmlns) == ("idle", ns.IDLE):
            return time_of(element.attributes.get("since", ""))
    return None


def time_of(text: str) -> datetime | None:
    """Read a time as XEP-0082 has it, in UTC."""
    if _TIME.fullmatch(text):
        with suppress(ValueError, OverflowError):  # a 13th month; before the year 1
            return datetime.fromisoformat(text).astimezone(UTC)
    return None


def contact_presence(event: PresenceChanged, from_: Jid, to: Jid) -> Presence:
    """Show a contact that is there, as the network shows it (GW-IN-04, GW-IN-05)."""
    payload: tuple[Element, ...] = ()
    if event.idle_since is not None:  # XEP-0319
        payload = (Element("idle", ns.IDLE, {"since": stamp(event.idle_since)}),)
    return Presence(
        from_=from_,
        to=to,
        show=_SHOW_TO_XMPP.get(event.show),
        status=bounded(event.text) or None,
        payload=payload,
    )


def unavailable(from_: Jid, to: Jid, text: str | None = None) -> Presence:
    return Presence(from_=from_, to=to, type=PresenceType.UNAVAILABLE, status=text)


def chat_state_of(message: Message) -> TypingState | None:
    """Return the typing a message tells of by XEP-0085, if any."""
    for element in message.payload:
        if element.xmlns == ns.CHAT_STATES:
            return CHAT_STATES.get(element.name)
    return None


def chat_state(state: TypingState, from_: Jid, to: Jid) -> Message:
    """Return a standalone chat state notification."""
    element = Element(_TYPING_TO_CHAT_STATE[state], ns.CHAT_STATES)
    return Message(from_=from_, to=to, type=MessageType.CHAT, payload=(element,))


def bounded(text: str, most: int = MAX_TEXT) -> str:
    """Cut a text that somebody else chose the length of; the cut shows."""
    return text if len(text) <= most else text[: most - 1] + "…"


def pieces(text: str, max_stanza_bytes: int) -> list[str]:
    """Split a text so that each piece fits into a stanza however its characters are escaped."""
    most = min(MAX_BODY, (max_stanza_bytes - BESIDE_BODY_BYTES) // CHARACTER_BYTES)
    return [text[start : start + most] for start in range(0, len(text), most)] or [""]


def delayed(message: Message, gateway: Jid, at: datetime) -> Message:
    """Stamp a message that is older than its sending, once (XEP-0203, DELAY-01)."""
    if any(element.xmlns == ns.DELAY for element in message.payload):
        return message
    element = Element("delay", ns.DELAY, {"from": str(gateway), "stamp": stamp(at)})
    return attrs.evolve(message, payload=(*message.payload, element))


def stamp(at: datetime) -> str:
    """Write a time as XEP-0082 has it, in UTC, to the millisecond where it is not whole."""
    utc = at.astimezone(UTC)
    whole = utc.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{utc.microsecond // 1000:03d}Z" if utc.microsecond else f"{whole}Z"


def stanza_id(gateway: Jid, user: Jid, legacy_id: str) -> str:
    """Return the id of the stanza for a legacy message: the same whenever it is repeated.

    It depends on nothing that a restart could change, so that a repeat after a crash keeps it.
    """
    named = "\0".join((str(gateway), str(user), legacy_id)).encode("utf-8", "surrogatepass")
    return "l" + hashlib.sha256(named).hexdigest()[:31]
