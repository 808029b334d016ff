"""Data forms (jabber:x:data, XEP-0004): to be filled in, and filled in."""

from collections.abc import Iterable, Mapping

import attrs

from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import Condition, StanzaError
from gateway.xmpp.xml import Element


@attrs.frozen
class FormField:
    """One line of a form. The value of a `secret` one is never shown while it is typed.

    Where there are `options`, one of them is to be chosen.
    """

    name: str
    label: str = ""
    value: str = attrs.field(default="", repr=False)
    required: bool = False
    secret: bool = False
    options: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        if self.options:
            return "list-single"
        return "text-private" if self.secret else "text-single"


def form(title: str, instructions: str, form_type: str, fields: Iterable[FormField]) -> Element:
    """Return a form to be filled in."""
    children = [
        Element("title", ns.DATA_FORMS, {}, (title,)),
        Element("instructions", ns.DATA_FORMS, {}, (instructions,)),
        _field("FORM_TYPE", "hidden", FormField("FORM_TYPE", value=form_type)),
    ]
    children += [_field(one.name, one.type, one) for one in fields]
    return Element("x", ns.DATA_FORMS, {"type": "form"}, tuple(children))


def with_error(form: Element, error: str) -> Element:
    """Return the form with what was wrong before what is to be filled in."""
    title, *rest = form.children
    return attrs.evolve(
        form, children=(title, Element("instructions", ns.DATA_FORMS, {}, (error,)), *rest)
    )


def _field(name: str, type_: str, field: FormField) -> Element:
    children = [Element("required", ns.DATA_FORMS)] if field.required else []
    if field.value:
        children.append(_value(field.value))
    children += [Element("option", ns.DATA_FORMS, {}, (_value(one),)) for one in field.options]
    label = {"label": field.label} if field.label else {}
    return Element("field", ns.DATA_FORMS, {"var": name, "type": type_} | label, tuple(children))


def _value(text: str) -> Element:
    return Element("value", ns.DATA_FORMS, {}, (text,))


def submitted(x: Element) -> Mapping[str, str] | None:
    """Return the values of a form that came back; None: it was cancelled. Raises `StanzaError`."""
    if x.attributes.get("type") == "cancel":
        return None
    if x.attributes.get("type") != "submit":
        raise StanzaError(Condition.BAD_REQUEST, "This is not a submitted form.")
    values = {}
    for field in x.elements:
        value = field.child("value", ns.DATA_FORMS)
        if field.name == "field" and value is not None and "var" in field.attributes:
            values[field.attributes["var"]] = value.text
    return values
