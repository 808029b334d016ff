"""Reads one element back from the bytes it was kept in (the journal's payload)."""

from gateway.errors import RemoteProtocolError, StoreError
from gateway.xmpp import namespaces as ns
from gateway.xmpp.stream import (
    MAX_UNFINISHED_BYTES,
    ComponentStream,
    StanzaReceived,
    StreamEvent,
)
from gateway.xmpp.xml import Element

_HEADER = f"<stream:stream xmlns='{ns.COMPONENT}' xmlns:stream='{ns.STREAM}' id='kept'>"


def element_from_bytes(data: bytes) -> Element:
    """Parse what `to_bytes(element, COMPONENT)` wrote. Raises `StoreError`.

    The stream's own parser reads it: whatever could come in on a stream can be read back.
    """
    stream = ComponentStream("kept", max_stanza_bytes=MAX_UNFINISHED_BYTES)
    stream.receive_data(_HEADER.encode() + b"<handshake/>" + data)
    events: list[StreamEvent] = []
    try:
        events += stream.events()
    except RemoteProtocolError as exc:
        raise StoreError(f"a kept stanza is not readable: {exc}") from exc
    match events[2:]:
        case [StanzaReceived(element)]:
            return element
    raise StoreError("what was kept is not one stanza")
