"""What the users' clients can do: entity capabilities, as they announce them (XEP-0115, CAPS-01).

A client's presence names its features by a hash; what stands behind a hash is asked once, and
remembered for all clients of that kind once the hash proves to be right. Of all features only
those are kept that the gateway does something with.
"""

import base64
import hashlib
from collections import OrderedDict

import attrs

from gateway.xmpp import namespaces as ns
from gateway.xmpp.stanza import Presence
from gateway.xmpp.xml import Element

OF_INTEREST = frozenset((ns.ROSTER_EXCHANGE,))
MAX_KINDS = 1_000
MAX_LENGTH = 256  # characters of a node or hash; longer ones are nobody's

Features = frozenset[str]


@attrs.frozen
class Caps:
    """What a presence says of its client: `node` names the software, `ver` is the hash."""

    node: str
    ver: str
    hash: str


def caps_of(presence: Presence) -> Caps | None:
    """Return what the presence says of its client, if it says it in a form that can be used."""
    for element in presence.payload:
        if element.name == "c" and element.xmlns == ns.CAPS:
            found = [element.attributes.get(name, "") for name in ("node", "ver", "hash")]
            if all(0 < len(one) <= MAX_LENGTH for one in found):
                return Caps(*found)
    return None


def features_in(info: Element) -> Features:
    """Return the features of interest in an answer to disco#info."""
    named = {one.attributes.get("var", "") for one in info.elements if one.name == "feature"}
    return OF_INTEREST & named


def verification(info: Element) -> str | None:
    """Return the hash of an answer to disco#info (XEP-0115, 5.1); None: it is ill-formed."""
    identities, features, forms = [], [], []
    for child in info.elements:
        if child.name == "identity":
            words = [child.attributes.get(word, "") for word in ("category", "type")]
            words += [child.attributes.get("xml:lang", ""), child.attributes.get("name", "")]
            identities.append("/".join(words))
        elif child.name == "feature":
            features.append(child.attributes.get("var", ""))
        elif child.name == "x" and child.xmlns == ns.DATA_FORMS:
            form = _form(child)
            if form is None:
                return None
            forms.append(form)
    if any(len(set(found)) < len(found) for found in (identities, features)):
        return None
    parts = [*sorted(identities), *sorted(features)]
    for type_, fields in sorted(forms):
        parts.append(type_)
        for name, values in sorted(fields):
            parts += [name, *sorted(values)]
    text = "".join(f"{part}<" for part in parts)
    digest = hashlib.sha1(text.encode("utf-8", "surrogatepass"))  # noqa: S324 - XEP-0115
    return base64.b64encode(digest.digest()).decode()


def _form(x: Element) -> tuple[str, list[tuple[str, list[str]]]] | None:
    fields = {
        field.attributes.get("var", ""): [one.text for one in field.elements if one.name == "value"]
        for field in x.elements
        if field.name == "field"
    }
    types = fields.pop("FORM_TYPE", [])
    return (types[0], list(fields.items())) if len(set(types)) == 1 else None


class Kinds:
    """What is known of clients by their hash. The one used longest ago goes first."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Features] = OrderedDict()

    def features(self, caps: Caps) -> Features | None:
        """Return what clients of this kind can do; None: nobody has said so yet."""
        if caps.hash != "sha-1" or caps.ver not in self._known:
            return None
        self._known.move_to_end(caps.ver)
        return self._known[caps.ver]

    def learn(self, caps: Caps, info: Element) -> None:
        """Remember what a client answered, if its hash is the one it announced."""
        if caps.hash == "sha-1" and verification(info) == caps.ver:
            self._known[caps.ver] = features_in(info)
            while len(self._known) > MAX_KINDS:
                self._known.popitem(last=False)
