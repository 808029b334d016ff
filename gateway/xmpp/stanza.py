"""Messages, presences and iqs as frozen values, to and from XML elements; stanza errors.

What an element must have to become a stanza is checked here (RFC 6120 section 8); what a payload
means is left to whoever the stanza is for.
"""

from collections.abc import Mapping
from enum import StrEnum

import attrs

from gateway.errors import BalconyError, RemoteProtocolError
from gateway.xmpp import namespaces
from gateway.xmpp.jid import InvalidJid, Jid
from gateway.xmpp.xml import Element

LANG = "xml:lang"

# An answer repeats the id: what a user may put there must not swell ours past what servers take.
MAX_ID_CHARACTERS = 1024
_MAX_LANG_CHARACTERS = 64
_MAX_TEXT_CHARACTERS = 200

_STREAM_NAMESPACES = (namespaces.COMPONENT, namespaces.CLIENT)
_LOWEST_PRIORITY, _HIGHEST_PRIORITY = -128, 127


class MessageType(StrEnum):
    NORMAL = "normal"
    CHAT = "chat"
    GROUPCHAT = "groupchat"
    HEADLINE = "headline"
    ERROR = "error"


class PresenceType(StrEnum):
    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"
    SUBSCRIBE = "subscribe"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBE = "unsubscribe"
    UNSUBSCRIBED = "unsubscribed"
    PROBE = "probe"
    ERROR = "error"


class IqType(StrEnum):
    GET = "get"
    SET = "set"
    RESULT = "result"
    ERROR = "error"


class ErrorType(StrEnum):
    AUTH = "auth"
    CANCEL = "cancel"
    CONTINUE = "continue"
    MODIFY = "modify"
    WAIT = "wait"


class Condition(StrEnum):
    """The stanza error conditions of RFC 6120: usual type, and the code that old clients read."""

    default_type: ErrorType
    code: int

    def __new__(cls, value: str, default_type: ErrorType, code: int) -> "Condition":
        condition = str.__new__(cls, value)
        condition._value_ = value
        condition.default_type = default_type
        condition.code = code
        return condition

    BAD_REQUEST = "bad-request", ErrorType.MODIFY, 400
    CONFLICT = "conflict", ErrorType.CANCEL, 409
    FEATURE_NOT_IMPLEMENTED = "feature-not-implemented", ErrorType.CANCEL, 501
    FORBIDDEN = "forbidden", ErrorType.AUTH, 403
    GONE = "gone", ErrorType.CANCEL, 302
    INTERNAL_SERVER_ERROR = "internal-server-error", ErrorType.CANCEL, 500
    ITEM_NOT_FOUND = "item-not-found", ErrorType.CANCEL, 404
    JID_MALFORMED = "jid-malformed", ErrorType.MODIFY, 400
    NOT_ACCEPTABLE = "not-acceptable", ErrorType.MODIFY, 406
    NOT_ALLOWED = "not-allowed", ErrorType.CANCEL, 405
    NOT_AUTHORIZED = "not-authorized", ErrorType.AUTH, 401
    POLICY_VIOLATION = "policy-violation", ErrorType.MODIFY, 406
    RECIPIENT_UNAVAILABLE = "recipient-unavailable", ErrorType.WAIT, 404
    REDIRECT = "redirect", ErrorType.MODIFY, 302
    REGISTRATION_REQUIRED = "registration-required", ErrorType.AUTH, 407
    REMOTE_SERVER_NOT_FOUND = "remote-server-not-found", ErrorType.CANCEL, 404
    REMOTE_SERVER_TIMEOUT = "remote-server-timeout", ErrorType.WAIT, 504
    RESOURCE_CONSTRAINT = "resource-constraint", ErrorType.WAIT, 500
    SERVICE_UNAVAILABLE = "service-unavailable", ErrorType.CANCEL, 503
    SUBSCRIPTION_REQUIRED = "subscription-required", ErrorType.AUTH, 407
    UNDEFINED_CONDITION = "undefined-condition", ErrorType.CANCEL, 500
    UNEXPECTED_REQUEST = "unexpected-request", ErrorType.WAIT, 400


_CONDITIONS = {condition.value: condition for condition in Condition}


@attrs.frozen
class Fault:
    """What an `<error/>` says. `application` holds what a protocol adds beside the condition."""

    condition: Condition
    type: ErrorType
    text: str = ""
    by: str | None = None
    lang: str | None = None
    application: tuple[Element, ...] = ()


class StanzaError(BalconyError):
    """This request cannot be met; its sender is answered with a stanza error."""

    def __init__(
        self,
        condition: Condition,
        text: str = "",
        *,
        type: str | None = None,  # noqa: A002 - the attribute's own name
        application: tuple[Element, ...] = (),
    ) -> None:
        super().__init__(f"{condition}: {text}" if text else str(condition))
        self.condition = condition
        self.text = text
        self.type = ErrorType(type or condition.default_type)
        self.application = application


@attrs.frozen(kw_only=True)
class Message:
    to: Jid
    from_: Jid
    type: MessageType = MessageType.NORMAL
    id: str | None = None
    body: str | None = attrs.field(default=None, repr=False)
    lang: str | None = None
    error: Fault | None = None
    payload: tuple[Element, ...] = attrs.field(default=(), repr=False)


@attrs.frozen(kw_only=True)
class Presence:
    to: Jid
    from_: Jid
    type: PresenceType = PresenceType.AVAILABLE
    id: str | None = None
    show: str | None = None
    status: str | None = None
    priority: int = 0
    lang: str | None = None
    error: Fault | None = None
    payload: tuple[Element, ...] = attrs.field(default=(), repr=False)


@attrs.frozen(kw_only=True)
class Iq:
    """An iq has one payload or none. One that came without an id is answered with an empty one."""

    to: Jid
    from_: Jid
    type: IqType
    id: str
    payload: Element | None = attrs.field(default=None, repr=False)
    error: Fault | None = None
    lang: str | None = None


Stanza = Message | Presence | Iq


class MalformedStanza(RemoteProtocolError):
    """An element on the stream that is no stanza. `answer` says what to reply, if anything."""

    def __init__(self, element: Element, condition: Condition, text: str) -> None:
        super().__init__(f"{element.name}: {condition}: {text}")
        self.name = element.name
        self.attributes = element.attributes
        self.condition = condition
        self.text = text

    def answer(self, own: Jid) -> Stanza | None:
        """Return the error to send from our bare domain `own`; None where none may be sent."""
        return refusal(self.name, self.attributes, self.condition, self.text, own)


def stanza_from(element: Element) -> Stanza:
    """Read a stanza. Raises `MalformedStanza`, which knows how it is to be answered."""
    attributes = element.attributes
    try:
        from_ = Jid.parse(attributes.get("from", ""))
    except InvalidJid as exc:
        raise MalformedStanza(element, Condition.JID_MALFORMED, f"from: {exc}") from exc
    try:
        to = Jid.parse(attributes.get("to", ""))
    except InvalidJid as exc:
        raise MalformedStanza(element, Condition.JID_MALFORMED, f"to: {exc}") from exc
    if len(attributes.get("id", "")) > MAX_ID_CHARACTERS:
        raise MalformedStanza(element, Condition.NOT_ACCEPTABLE, "the id is too long")
    match element.name:
        case "message":
            return _message_from(element, to, from_)
        case "presence":
            return _presence_from(element, to, from_)
        case "iq":
            return _iq_from(element, to, from_)
        case other:
            raise MalformedStanza(element, Condition.BAD_REQUEST, f"{other!r} is no stanza")


def _message_from(element: Element, to: Jid, from_: Jid) -> Message:
    attributes = element.attributes
    try:
        type_ = MessageType(attributes.get("type", "normal"))
    except ValueError:
        type_ = MessageType.NORMAL  # RFC 6121 section 5.2.2
    lang = _lang_of(element)
    body = _text_child(element, "body", lang)
    error = _fault_from(element) if type_ is MessageType.ERROR else None
    return Message(
        to=to,
        from_=from_,
        type=type_,
        id=attributes.get("id"),
        body=None if body is None else body.text,
        lang=lang if body is None else _lang_of(body, lang),
        error=error,
        payload=_payload(element, body, with_error=error is None),
    )


def _presence_from(element: Element, to: Jid, from_: Jid) -> Presence:
    attributes = element.attributes
    try:
        type_ = PresenceType(attributes.get("type", "available"))
    except ValueError as exc:
        text = f"unknown type {attributes['type']!r}"
        raise MalformedStanza(element, Condition.BAD_REQUEST, text) from exc
    lang = _lang_of(element)
    show, priority = _text_child(element, "show", None), _text_child(element, "priority", None)
    status = _text_child(element, "status", lang)
    error = _fault_from(element) if type_ is PresenceType.ERROR else None
    known = [found for found in (show, status, priority) if found is not None]
    return Presence(
        to=to,
        from_=from_,
        type=type_,
        id=attributes.get("id"),
        show=(show.text.strip() or None) if show is not None else None,
        status=None if status is None else status.text,
        priority=0 if priority is None else _priority_from(priority.text),
        lang=lang if status is None else _lang_of(status, lang),
        error=error,
        payload=_payload(element, *known, with_error=error is None),
    )


def _priority_from(text: str) -> int:
    try:
        priority = int(text.strip()[:5])
    except ValueError:
        return 0
    return priority if _LOWEST_PRIORITY <= priority <= _HIGHEST_PRIORITY else 0


def _iq_from(element: Element, to: Jid, from_: Jid) -> Iq:
    attributes = element.attributes
    type_text = attributes.get("type", "")
    try:
        type_ = IqType(type_text)
    except ValueError as exc:
        text = f"unknown type {type_text!r}"
        raise MalformedStanza(element, Condition.BAD_REQUEST, text) from exc
    id_ = attributes.get("id")
    if id_ is None:
        raise MalformedStanza(element, Condition.BAD_REQUEST, "an iq needs an id")
    children = element.elements
    error = None
    if type_ is IqType.ERROR:
        error = _fault_from(element)
        children = tuple([child for child in children if not _is(child, "error")])
    elif type_ is not IqType.RESULT and len(children) != 1:
        text = f"an iq has one child element, not {len(children)}"
        raise MalformedStanza(element, Condition.BAD_REQUEST, text)
    return Iq(
        to=to,
        from_=from_,
        type=type_,
        id=id_,
        payload=children[0] if children else None,
        error=error,
        lang=_lang_of(element),
    )


def _lang_of(element: Element, inherited: str | None = None) -> str | None:
    lang = element.attributes.get(LANG, "")
    return lang if 0 < len(lang) <= _MAX_LANG_CHARACTERS else inherited


def _is(element: Element, name: str) -> bool:
    return element.name == name and element.xmlns in _STREAM_NAMESPACES


def _text_child(element: Element, name: str, lang: str | None) -> Element | None:
    """Pick the child of that name: the one in the stanza's own language, else the first."""
    found = [child for child in element.elements if _is(child, name)]
    for child in found:
        if child.attributes.get(LANG, lang) == lang:
            return child
    return found[0] if found else None


def _payload(element: Element, *known: Element | None, with_error: bool) -> tuple[Element, ...]:
    return tuple(
        [
            child
            for child in element.elements
            if not any(child is other for other in known)
            and (with_error or not _is(child, "error"))
        ]
    )


def _fault_from(element: Element) -> Fault:
    """Read the `<error/>`; the old `code` is not looked at."""
    error = next((child for child in element.elements if _is(child, "error")), None)
    if error is None:
        return Fault(Condition.UNDEFINED_CONDITION, ErrorType.CANCEL)
    condition, text, lang = Condition.UNDEFINED_CONDITION, "", None
    application = []
    for child in error.elements:
        if child.xmlns != namespaces.STANZA_ERRORS:
            application.append(child)
        elif child.name == "text":
            text, lang = child.text, child.attributes.get(LANG)
        elif child.name in _CONDITIONS:
            condition = _CONDITIONS[child.name]
    try:
        type_ = ErrorType(error.attributes.get("type", ""))
    except ValueError:
        type_ = condition.default_type
    return Fault(condition, type_, text, error.attributes.get("by"), lang, tuple(application))


def element_of(stanza: Stanza) -> Element:
    """Write a stanza as an element of the component stream."""
    type_: StrEnum | None
    match stanza:
        case Message():
            type_ = None if stanza.type is MessageType.NORMAL else stanza.type
            children = list(stanza.payload)
            if stanza.body is not None:
                children.insert(0, _text_element("body", stanza.body))
            name = "message"
        case Presence():
            type_ = None if stanza.type is PresenceType.AVAILABLE else stanza.type
            children = _presence_children(stanza)
            name = "presence"
        case Iq():
            type_ = stanza.type
            children = [] if stanza.payload is None else [stanza.payload]
            name = "iq"
    if stanza.error is not None:
        children.append(_error_element(stanza.error))
    attributes = {"to": str(stanza.to), "from": str(stanza.from_)}
    if type_ is not None:
        attributes["type"] = type_.value
    if stanza.id is not None:
        attributes["id"] = stanza.id
    if stanza.lang is not None:
        attributes[LANG] = stanza.lang
    return Element(name, namespaces.COMPONENT, attributes, tuple(children))


def _presence_children(presence: Presence) -> list[Element]:
    children = []
    if presence.show is not None:
        children.append(_text_element("show", presence.show))
    if presence.status is not None:
        children.append(_text_element("status", presence.status))
    if presence.priority:
        children.append(_text_element("priority", str(presence.priority)))
    children += presence.payload
    return children


def _text_element(name: str, text: str) -> Element:
    return Element(name, namespaces.COMPONENT, {}, (text,) if text else ())


def _error_element(fault: Fault) -> Element:
    children = [Element(fault.condition.value, namespaces.STANZA_ERRORS)]
    if fault.text:
        lang = {LANG: fault.lang} if fault.lang else {}
        children.append(Element("text", namespaces.STANZA_ERRORS, lang, (fault.text,)))
    children += fault.application
    attributes = {"type": fault.type.value, "code": str(fault.condition.code)}
    if fault.by is not None:
        attributes["by"] = fault.by
    return Element("error", namespaces.COMPONENT, attributes, tuple(children))


def error_reply(
    stanza: Stanza,
    condition: Condition,
    text: str = "",
    *,
    type: str | None = None,  # noqa: A002 - the attribute's own name
    lang: str | None = "en",
    application: tuple[Element, ...] = (),
    include_payload: bool | None = None,
) -> Stanza | None:
    """Return the error that answers `stanza`, or None where nothing may be answered.

    A message brings its body and payload back to its sender, so that he sees what failed; an iq and
    a presence only when asked for, and an iq for registration never: it may hold a password.
    """
    type_ = ErrorType(type or condition.default_type)
    fault = Fault(condition, type_, text, lang=lang if text else None, application=application)
    match stanza:
        case Message(type=MessageType.ERROR) | Presence(type=PresenceType.ERROR):
            return None
        case Iq(type=IqType.ERROR | IqType.RESULT):
            return None
        case Message():
            with_payload = include_payload is not False
            return Message(
                to=stanza.from_,
                from_=stanza.to,
                type=MessageType.ERROR,
                id=stanza.id,
                body=stanza.body if with_payload else None,
                lang=stanza.lang,
                error=fault,
                payload=_without_errors(stanza.payload) if with_payload else (),
            )
        case Presence():
            return Presence(
                to=stanza.from_,
                from_=stanza.to,
                type=PresenceType.ERROR,
                id=stanza.id,
                error=fault,
                payload=_without_errors(stanza.payload) if include_payload else (),
            )
        case Iq(payload=payload):
            secret = payload is not None and payload.xmlns == namespaces.REGISTER
            return Iq(
                to=stanza.from_,
                from_=stanza.to,
                type=IqType.ERROR,
                id=stanza.id,
                payload=payload if include_payload and not secret else None,
                error=fault,
            )


def _without_errors(payload: tuple[Element, ...]) -> tuple[Element, ...]:
    """Leave out what would be read as a second `<error/>` of the reply."""
    return tuple([child for child in payload if not _is(child, "error")])


def result_of(iq: Iq, payload: Element | None = None) -> Iq:
    """Return the result that answers an iq."""
    return Iq(to=iq.from_, from_=iq.to, type=IqType.RESULT, id=iq.id, payload=payload)


def refusal(
    name: str, attributes: Mapping[str, str], condition: Condition, text: str, own: Jid
) -> Stanza | None:
    """Answer a stanza of which only the tag could be read.

    The answer comes from the address it was sent to, or from `own`, our bare domain, where that is
    no address. None when it has no sender, is not for us, or is itself an answer.
    """
    type_ = attributes.get("type", "")
    if type_ == "error" or (name == "iq" and type_ == "result"):
        return None
    try:
        sender = Jid.parse(attributes.get("from", ""))
    except InvalidJid:
        return None
    try:
        from_ = Jid.parse(attributes.get("to", ""))
    except InvalidJid:
        from_ = own
    if from_.domain != own.domain:
        return None
    # The text may quote what a user sent.
    text = text[:_MAX_TEXT_CHARACTERS]
    fault = Fault(condition, condition.default_type, text, lang="en" if text else None)
    id_ = attributes.get("id")
    if id_ is not None and len(id_) > MAX_ID_CHARACTERS:
        id_ = None
    match name:
        case "message":
            return Message(to=sender, from_=from_, type=MessageType.ERROR, id=id_, error=fault)
        case "presence":
            return Presence(to=sender, from_=from_, type=PresenceType.ERROR, id=id_, error=fault)
        case "iq":
            return Iq(to=sender, from_=from_, type=IqType.ERROR, id=id_ or "", error=fault)
        case _:
            return None


def describe(stanza: Stanza) -> str:
    """Return one line for the debug log: addresses and element names, never what they hold."""
    kind = type(stanza).__name__.lower()
    if isinstance(stanza, Iq):
        children = [] if stanza.payload is None else [stanza.payload]
    else:
        children = list(stanza.payload)
    names = [f"{{{child.xmlns}}}{child.name}" for child in children]
    if isinstance(stanza, Message) and stanza.body is not None:
        names.insert(0, "body")
    if stanza.error is not None:
        names.append(f"error {stanza.error.condition}")
    return (
        f"{kind} {stanza.type} from {stanza.from_} to {stanza.to} id {stanza.id!r} "
        f"[{', '.join(names)}]"
    )
