"""What people say: plain text on the backend's side, OSCAR's formats on the other."""

from collections.abc import Iterator

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import html, messages, text
from gateway.networks.oscar.wire.messages import TypedKind
from gateway.networks.oscar.wire.people import SERVER_RELAY
from legacy_emu.fronts.oscar.looks import is_uin

MAX_TEXT_BYTES = 7_800  # of one message, as it is sent


class Unreadable(Exception):
    """A message this service has no use for; the recipient's client would not take it."""


def is_plain(first: str, second: str) -> bool:
    """Say whether two accounts write plain text to each other: HTML is AIM's."""
    return is_uin(first) and is_uin(second)


def readable(message: messages.Send, sender: str, to: str) -> str:
    """Return what a message on channel 1 or 2 says.

    Raises `Unreadable`, and `RemoteProtocolError` for one that is malformed.
    """
    if message.channel == messages.PLAIN and message.text is not None:
        parts, _ = messages.read_parts(message.text)
        if not parts:
            raise wire.RemoteProtocolError("a message without a text that can be read")
        return _plain(text.decode_parts_text(parts), sender, to)
    if message.channel == messages.RENDEZVOUS and message.data is not None:
        rendezvous = messages.decode_rendezvous(message.data)
        if rendezvous.capability == SERVER_RELAY and rendezvous.relayed is not None:
            relayed = messages.decode_relayed(rendezvous.relayed)
            if relayed.kind == TypedKind.PLAIN and relayed.format != messages.RTF_GUID:
                return _plain(text.decode_loose(relayed.text), sender, to)
    raise Unreadable(f"a message on channel {message.channel} that nobody here takes")


def readable_somehow(message: messages.Send, sender: str, to: str) -> str:
    """Return what can be read of a message on channel 1 that is passed on as it is."""
    parts, _ = messages.read_parts(message.text or b"")
    return _plain(text.decode_parts_text(parts), sender, to)


def typed_text(typed: messages.TypedMessage) -> str:
    """Return what a message on channel 4 says to a person. Raises `Unreadable`."""
    fields = [text.decode_loose(each) for each in typed.text.split(messages.FIELD_END)]
    if typed.kind == TypedKind.PLAIN:
        return text.decode_loose(typed.text)
    if typed.kind == TypedKind.URL:
        return "\n".join(each for each in fields[:2] if each)
    raise Unreadable(f"a message of kind {typed.kind:#04x}")


def _plain(raw: str, sender: str, to: str) -> str:
    if is_plain(sender, to) and not html.looks_like_html(raw):
        return raw
    return html.from_html(raw)


def parts(plain: str, *, as_html: bool) -> Iterator[bytes]:
    """Write a text for channel 1: several messages, if it is long."""
    part = text.encode_text(html.to_html(plain) if as_html else plain)
    if len(part.data) <= MAX_TEXT_BYTES or len(plain) < 2:
        features = messages.AIM_FEATURES if as_html else messages.ICQ_FEATURES
        yield messages.encode_parts((part,), features)
        return
    middle = _place_to_cut(plain)
    yield from parts(plain[:middle], as_html=as_html)
    yield from parts(plain[middle:].removeprefix(" "), as_html=as_html)


def _place_to_cut(plain: str) -> int:
    """Return where to cut in two: near the middle, at a blank if there is one."""
    middle = len(plain) // 2
    for blank in "\n ":
        at = plain.rfind(blank, middle // 2, middle)
        if at > 0:
            return at
    return middle
