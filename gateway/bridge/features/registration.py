"""Registration with the gateway by jabber:iq:register (GW-REG, GW-EDIT, GW-UNREG, REG7).

What is filled in where, and how it is answered; what becomes of it is `accounts.py`'s business.
"""

from collections.abc import Mapping

from gateway.bridge import texts
from gateway.bridge.accounts import Submission
from gateway.bridge.features import forms
from gateway.bridge.features.forms import FormField
from gateway.bridge.user import User
from gateway.networks.base import Field
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import (
    Condition,
    Iq,
    IqType,
    Presence,
    PresenceType,
    StanzaError,
    error_reply,
    result_of,
)
from gateway.xmpp.xml import Element

FORM_TYPES = frozenset((ns.REGISTER, f"{ns.REGISTER}:changepassword"))
CANCELLATION = f"{ns.REGISTER}:cancel"  # it would be asked for at a removal, which asks nothing


# --- the question -----------------------------------------------------------------------------


def ask(user: User, iq: Iq) -> Iq:
    """Answer a register get: what is to be filled in (GW-REG-01, GW-EDIT-01)."""
    _only_gateway(iq)
    check_allowed(user)
    if is_closed(user):
        return result_of(iq, _way_to_register(user))
    description = user.domain.network.description
    fields = [_element("registered")] if user.account is not None else []
    fields.append(_element("instructions", description.instructions))
    extra = [field for field in description.fields if field.name.startswith("x-")]
    if not any(field.required for field in extra):  # REG7-02
        known = _known(user)
        plain = [field for field in description.fields if field not in extra]
        fields += [_element(field.name, known.get(field.name, "")) for field in plain]
    fields.append(form(user))
    return result_of(iq, Element("query", ns.REGISTER, {}, tuple(fields)))


def form(user: User) -> Element:
    """Return the form to register by, or to change what is on record."""
    description, known = user.domain.network.description, _known(user)
    fields = [
        FormField(
            field.name,
            field.label,
            _offered(field, known.get(field.name, "")),
            # A password on record is never shown, and may be left empty to keep it (AMB-01).
            required=field.required and not (field.secret and user.account is not None),
            secret=field.secret,
            options=field.options,
        )
        for field in description.fields
    ]
    return forms.form(description.title, description.instructions, ns.REGISTER, fields)


def _offered(field: Field, value: str) -> str:
    """Return what a field has in it, if that can still be chosen."""
    return value if value and (not field.options or value in field.options) else field.default


def _known(user: User) -> Mapping[str, str]:
    """Return what of the account on record may be shown to its owner."""
    if user.account is None:
        return {}
    secret = [field.name for field in user.domain.network.description.fields if field.secret]
    shown = {name: text for name, text in user.account.fields.items() if name not in secret}
    return {**shown, "username": user.account.address}


# --- the answer -------------------------------------------------------------------------------


def is_removal(iq: Iq) -> bool:
    """Say whether a register set asks for removal and nothing else."""
    query = iq.payload
    return (
        iq.type is IqType.SET
        and query is not None
        and (query.name, query.xmlns) == ("query", ns.REGISTER)
        and len(query.elements) == 1
        and query.child("remove", ns.REGISTER) is not None
        and not iq.to.local
    )


def understand(user: User, iq: Iq) -> Submission | None:
    """Read a register set. None: a form that was cancelled. Raises `StanzaError`."""
    _only_gateway(iq)
    assert iq.payload is not None
    query = iq.payload

    def tell(error: StanzaError | None) -> None:
        if error is None:
            user.domain.link.answer(result_of(iq))
        else:
            reply = error_reply(iq, error.condition, error.text, type=error.type)
            user.domain.link.answer(reply)

    if query.child("remove", ns.REGISTER) is not None:
        if len(query.elements) > 1:  # REG7-04
            raise StanzaError(Condition.BAD_REQUEST)
        return Submission(None, tell)  # of what, if anything, is seen when its turn comes
    check_allowed(user)
    if is_closed(user):
        raise StanzaError(Condition.SERVICE_UNAVAILABLE, texts.REGISTRATION_CLOSED)
    filled_in = query.child("x", ns.DATA_FORMS)
    if filled_in is None:
        values = {one.name: one.text for one in query.elements if one.xmlns == ns.REGISTER}
        return Submission(values, tell)
    found = forms.submitted(filled_in)
    if found is None:  # REG7-03
        return None
    return Submission(checked(found), tell)


def checked(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return the values of a form, if it is one for registering. Raises `StanzaError`."""
    form_type = values.get("FORM_TYPE", ns.REGISTER)
    if form_type == CANCELLATION:  # REG7-07
        raise StanzaError(Condition.UNEXPECTED_REQUEST, "Nobody has asked for this form.")
    if form_type not in FORM_TYPES:
        raise StanzaError(Condition.BAD_REQUEST, "This form belongs to something else.")
    return values


# --- the gateway in the user's roster ---------------------------------------------------------


def subscription(user: User, stanza: Presence) -> None:
    """Take a subscription stanza of the user for the gateway itself (GW-REG-06)."""
    if stanza.type is PresenceType.SUBSCRIBE:
        user.ask(user.domain.jid, PresenceType.SUBSCRIBED)
        user.show(Presence(from_=user.domain.jid, to=user.jid))


def check_allowed(user: User) -> None:
    """Raise `StanzaError` for a user whom the operator does not let in."""
    if not user.domain.allows(user.jid):  # REG7-08
        raise StanzaError(Condition.FORBIDDEN, texts.OPERATOR_POLICY)


def is_closed(user: User) -> bool:
    """Say whether nobody new may register, and this user is not registered."""
    return user.account is None and user.domain.config.registration == "closed"


def _way_to_register(user: User) -> Element:
    """Say where people register, if it is not here (REG7-08). Raises `StanzaError`."""
    url = user.domain.config.registration_url
    if not url:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE, texts.REGISTRATION_CLOSED)
    oob = Element("x", ns.OOB, {}, (Element("url", ns.OOB, {}, (url,)),))
    instructions = _element("instructions", texts.REGISTER_ELSEWHERE.format(url=url))
    return Element("query", ns.REGISTER, {}, (instructions, oob))


def _only_gateway(iq: Iq) -> None:
    if iq.to.local:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)


def _element(name: str, text: str = "") -> Element:
    return Element(name, ns.REGISTER, {}, (text,) if text else ())
