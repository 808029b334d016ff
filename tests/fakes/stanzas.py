"""Literal stanzas in tests: parse them, compare them, show them. Uses nothing of the gateway."""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

COMPONENT = "jabber:component:accept"
ANY = "*"
_HEADER = f"<stream xmlns='{COMPONENT}' xmlns:stream='http://etherx.jabber.org/streams'>"


def parse(literal: str) -> ET.Element:
    """Read one stanza, whose default namespace is the component stream's."""
    root = ET.fromstring(f"{_HEADER}{literal}</stream>")
    if len(root) != 1:
        raise ValueError(f"one stanza, please: {literal}")
    return root[0]


def show(element: ET.Element) -> str:
    """Write a stanza as a person would."""
    text = ET.tostring(element, encoding="unicode", default_namespace=None)
    return text.replace(f"{{{COMPONENT}}}", "")


def differences(expected: ET.Element, found: ET.Element) -> Iterator[str]:
    """Say how `found` differs from what a test wrote down.

    `*` matches any text or attribute; an `id` that is not written down may be anything; all else
    has to be there, in the same order, and nothing more.
    """
    where = expected.tag.rpartition("}")[2]
    if expected.tag != found.tag:
        yield f"<{expected.tag}> expected, <{found.tag}> came"
        return
    for name in {**expected.attrib, **found.attrib}:
        wanted, came = expected.get(name), found.get(name)
        if wanted != came and not (wanted == ANY and came is not None):
            if name == "id" and wanted is None:
                continue
            yield f"<{where}> {name}: {wanted!r} expected, {came!r} came"
    wanted_text, text = (expected.text or "").strip(), (found.text or "").strip()
    if wanted_text not in (text, ANY):
        yield f"<{where}> text: {wanted_text!r} expected, {text!r} came"
    if len(expected) != len(found):
        names = [child.tag.rpartition("}")[2] for child in found]
        yield f"<{where}>: {len(expected)} children expected, {len(found)} came: {names}"
        return
    for one, other in zip(expected, found, strict=True):
        yield from differences(one, other)
