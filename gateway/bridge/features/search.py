"""Looking for people in the network's directory (jabber:iq:search, XEP-0055; FIND-01).

Asked by a form, it answers by a form. What is found has JIDs, which can be added like any contact.
"""

from collections.abc import Mapping

import attrs

from gateway.bridge import texts
from gateway.bridge.features.forms import FormField, form, submitted
from gateway.bridge.translate import REASON_CONDITIONS, bounded
from gateway.bridge.user import User
from gateway.networks.base import CommandAnswer, CommandDone, Profile, Search
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, Iq, StanzaError, error_reply, result_of
from gateway.xmpp.xml import Element, to_bytes

SEARCH_SECONDS = 45.0
MAX_WAITING = 100  # answers that one user waits for, cards included
MAX_FOUND = 100
MAX_WORDS = 200  # characters of what is looked for, and of each field of what is found

ADDRESS = "x-address"  # ours: XEP-0055 has no word for it
# XEP-0055's own fields, with what a form calls them.
FIELDS = {
    "nick": "Nick",
    "first": "First name",
    "last": "Last name",
    "email": "E-mail address",
}
INSTRUCTIONS = "Fill in one or more fields to look for people on {title}."


@attrs.define(eq=False)
class _Searching:
    """One search under way; `by_form` says how it was asked and is answered."""

    iq: Iq
    by_form: bool
    ref: str


def ask(user: User, iq: Iq) -> Iq:
    """Answer what one can look for."""
    _refuse_others(user, iq)
    instructions = INSTRUCTIONS.format(title=user.domain.title)
    fields = [FormField(name, label) for name, label in _labels(user).items()]
    children = (
        Element("instructions", ns.SEARCH, {}, (instructions,)),
        *(Element(name, ns.SEARCH) for name in FIELDS),
        form(user.domain.title, instructions, ns.SEARCH, fields),
    )
    return result_of(iq, Element("query", ns.SEARCH, {}, children))


async def start(user: User, iq: Iq) -> None:
    """Put the question to the network; it is answered when the network has."""
    _refuse_others(user, iq)
    assert iq.payload is not None
    x = iq.payload.child("x", ns.DATA_FORMS)
    given = submitted(x) if x is not None else _plain(iq.payload)
    if given is None:  # the form was cancelled
        user.domain.link.answer(result_of(iq))
        return
    wanted = {
        name.removeprefix("x-"): text.strip()
        for name, text in given.items()
        if name in (ADDRESS, *FIELDS) and text.strip()
    }
    if not wanted:
        raise StanzaError(Condition.NOT_ACCEPTABLE, "Fill in at least one field to look for.")
    if any(len(text) > MAX_WORDS for text in wanted.values()):
        raise StanzaError(Condition.NOT_ACCEPTABLE, "This is too long to look for.")
    if user.client is None:
        text = texts.NOT_SIGNED_ON.format(title=user.domain.title)
        raise StanzaError(Condition.REMOTE_SERVER_TIMEOUT, text)
    if not user.client.capabilities.search:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    if len(user.awaited) >= MAX_WAITING:
        raise StanzaError(Condition.RESOURCE_CONSTRAINT, "You look for too many at once.")
    searching = _Searching(iq, x is not None, user.domain.new_id())
    user.await_answer(searching.ref, lambda answer: _answer(user, searching, answer))
    user.later.set(searching, SEARCH_SECONDS, lambda: _give_up(user, searching))
    if not await user.send(Search(ref=searching.ref, fields=wanted)):
        user.answered(searching.ref)


def _refuse_others(user: User, iq: Iq) -> None:
    """Refuse contacts to be asked, networks without a directory, and who is not registered."""
    if iq.to.local or not user.domain.network.description.capabilities.search:
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    if user.account is None:
        raise StanzaError(Condition.REGISTRATION_REQUIRED, texts.NOT_REGISTERED)


def _labels(user: User) -> dict[str, str]:
    address = user.domain.network.description.fields[0].label
    return {ADDRESS: address, **FIELDS}


def _plain(query: Element) -> dict[str, str]:
    return {element.name: element.text for element in query.elements if element.xmlns == ns.SEARCH}


def _give_up(user: User, searching: _Searching) -> None:
    user.answered(searching.ref)


def _answer(user: User, searching: _Searching, answer: CommandAnswer) -> None:
    user.later.cancel(searching)
    if isinstance(answer, CommandDone):
        found = answer.result if isinstance(answer.result, tuple) else ()
        people = [one for one in found if isinstance(one, Profile)][:MAX_FOUND]
        payload = _found(user, people, by_form=searching.by_form)
        user.domain.link.answer(result_of(searching.iq, payload))
        return
    condition, type_ = REASON_CONDITIONS[answer.reason]
    text = texts.FAILED[answer.reason].format(title=user.domain.title)
    user.domain.link.answer(error_reply(searching.iq, condition, text, type=type_))


def _found(user: User, people: list[Profile], *, by_form: bool) -> Element:
    """Return what was found, as much of it as a stanza holds."""
    children: list[Element] = []
    weight, most = 0, user.domain.config.max_stanza_bytes // 2
    for one in people:
        item = _form_item(user, one) if by_form else _item(user, one)
        weight += len(to_bytes(item, item.xmlns))
        if weight > most:
            break
        children.append(item)
    if by_form:
        return Element("query", ns.SEARCH, {}, (_result_form(user, children),))
    return Element("query", ns.SEARCH, {}, tuple(children))


def _jid_of(user: User, one: Profile) -> Jid:
    return user.domain.addresses.jid_of(one.address)


def _known(fields: Mapping[str, str]) -> dict[str, str]:
    """Return XEP-0055's fields of somebody: networks have names whole, and not all have nicks."""
    whole = fields.get("name", "")
    first, _, last = whole.partition(" ")
    known = {"nick": whole, "first": first, "last": last, **fields}
    return {name: bounded(known.get(name, ""), MAX_WORDS) for name in FIELDS}


def _item(user: User, one: Profile) -> Element:
    known = _known(one.fields)
    order = ("first", "last", "nick", "email")  # as in the schema of XEP-0055
    children = tuple(Element(name, ns.SEARCH, {}, (known[name],)) for name in order)
    return Element("item", ns.SEARCH, {"jid": str(_jid_of(user, one))}, children)


def _form_item(user: User, one: Profile) -> Element:
    values = {"jid": str(_jid_of(user, one)), ADDRESS: one.address, **_known(one.fields)}
    return Element(
        "item", ns.DATA_FORMS, {}, tuple(_value(name, text) for name, text in values.items())
    )


def _result_form(user: User, items: list[Element]) -> Element:
    columns = {"jid": "JID", **_labels(user)}
    reported = tuple(
        Element(
            "field",
            ns.DATA_FORMS,
            {"var": name, "label": label}
            | {"type": "jid-single" if name == "jid" else "text-single"},
        )
        for name, label in columns.items()
    )
    form_type = Element(
        "field",
        ns.DATA_FORMS,
        {"var": "FORM_TYPE", "type": "hidden"},
        (Element("value", ns.DATA_FORMS, {}, (ns.SEARCH,)),),
    )
    head = Element("reported", ns.DATA_FORMS, {}, reported)
    return Element("x", ns.DATA_FORMS, {"type": "result"}, (form_type, head, *items))


def _value(name: str, text: str) -> Element:
    value = Element("value", ns.DATA_FORMS, {}, (text,))
    return Element("field", ns.DATA_FORMS, {"var": name}, (value,))
