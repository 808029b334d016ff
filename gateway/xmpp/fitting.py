"""Makes a stanza fit: what the server would refuse for its size is cut before it is written.

What a text becomes as XML is up to five times its length, so only the written bytes tell whether a
stanza fits. A stanza that a server refuses costs the link of everybody.
"""

from collections.abc import Callable, Iterator

import attrs

from gateway.xmpp.xml import Element, attribute_bytes, text_bytes, to_bytes

SHORTEST_BYTES = 64  # a text is not cut to less; what is shorter may be a word of the protocol
MARK = "…"  # shows that a text was cut

# Texts that a program reads: half of one is worth nothing.
_WHOLE = frozenset(("BINVAL", "data", "jid", "url", "username", "value"))
_NAME = "name"  # the one attribute that holds a text of somebody: of a roster or disco item
_MARK_BYTES = len(MARK.encode())


def cut_to_fit(element: Element, default_xmlns: str, *, excess: int) -> bytes | None:
    """Write `element` with at least `excess` bytes less; None: it cannot be cut so far.

    The longest texts are cut, all of them to the same length, and each shows that it was.
    """
    most_each = _most_each(sorted(_sizes(element), reverse=True), excess)
    if most_each is None:
        return None
    return to_bytes(_cut(element, most_each), default_xmlns)


def _sizes(element: Element) -> Iterator[int]:
    """Return the written bytes of each text that may be cut."""
    if _NAME in element.attributes:
        yield attribute_bytes(element.attributes[_NAME])
    for child in element.children:
        if isinstance(child, Element):
            yield from _sizes(child)
        elif element.name not in _WHOLE:
            yield text_bytes(child)


def _most_each(sizes: list[int], excess: int) -> int | None:
    """Return how long a text may be, so that `excess` bytes go; None: that many cannot go."""
    total = 0
    for number, size in enumerate(sizes, 1):
        total += size
        most_each = (total - excess) // number
        following = sizes[number] if number < len(sizes) else 0
        if most_each >= max(following, SHORTEST_BYTES):
            return most_each
    return None


def _cut(element: Element, most_each: int) -> Element:
    attributes = element.attributes
    name = attributes.get(_NAME, "")
    if attribute_bytes(name) > most_each:
        attributes = {**attributes, _NAME: _start(name, most_each, attribute_bytes)}
    children: list[Element | str] = []
    for child in element.children:
        if isinstance(child, Element):
            children.append(_cut(child, most_each))
        elif element.name not in _WHOLE and text_bytes(child) > most_each:
            children.append(_start(child, most_each, text_bytes))
        else:
            children.append(child)
    return attrs.evolve(element, attributes=attributes, children=tuple(children))


def _start(text: str, most_bytes: int, size: Callable[[str], int]) -> str:
    """Return the longest beginning of `text` that fits, in whole characters, with the mark."""
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if size(text[:middle]) + _MARK_BYTES <= most_bytes:
            fits = middle
        else:
            too_long = middle
    return text[:fits] + MARK
