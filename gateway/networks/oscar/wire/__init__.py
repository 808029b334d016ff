"""The wire of AIM and ICQ: bytes to packets and back, both directions.

Both ends use this: the driver decodes what servers send, a server's front what clients send. There
is no I/O here and no meaning either; packets are frozen attrs classes, and bytes that are none
raise `RemoteProtocolError` and nothing else. What a packet cannot hold raises `LocalProtocolError`.

```
reader = FrameReader(); writer = FrameWriter(first_sequence)
reader.receive_data(data)
for frame in reader.frames():
    match decode(frame):                 # a Packet
        case SignOn(cookie=cookie): ...  # channel 1
        case Snac(body=messages.Send() as message, request=request): ...
        case SignOff() | KeepAlive() | FlapError(): ...
stream.send_all(encode(writer, Snac(messages.HostAck(…), request)))
```

At the end of a stream `reader.at_the_end()` may have one frame more. The bodies of SNACs stand by
food group: `login` (17), `general` (01), `people` (02, 03, 09, 0B; also the user info block and
BART ids), `messages` (04), `rooms` (0D), `icons` (10), `feedbag` (13), `icq` (15); `snac.Error`
answers for any of them, `snac.Unknown` is what this codec does not know. Every body can be decoded
and encoded, whichever side sends it. `text` reads and writes the charsets, `html` AIM's HTML.

Where bytes hold a block of their own, that is read and written apart, since what it is depends on
something else: `messages.decode_parts`/`encode_parts` (channel 1), `messages.decode_typed` with
`encode_block(TypedMessage(…))` (channel 4), `messages.decode_rendezvous` (channel 2),
`icq.decode_envelope` with `icq.icq_query` and `icq.icq_reply`, `feedbag.decode_order` and
`encode_order`; any other by `decode_block(cls, data)` and `encode_block(value)`.

Names and item names are `str`; bytes in them that are not UTF-8 survive as half surrogate pairs, so
that what is sent back is what came. Texts stay bytes until `text` has been told their charset.
"""

from gateway.errors import LocalProtocolError as LocalProtocolError  # for the front, too
from gateway.errors import RemoteProtocolError as RemoteProtocolError
from gateway.networks.oscar.wire import (
    feedbag,
    general,
    html,
    icons,
    icq,
    login,
    messages,
    people,
    rooms,
    text,
)
from gateway.networks.oscar.wire.fields import (
    Tlv,
    Tlvs,
    decode_block,
    encode_block,
)
from gateway.networks.oscar.wire.flap import (
    MAX_PAYLOAD_BYTES,
    MAX_SENT_PAYLOAD_BYTES,
    Channel,
    FlapError,
    Frame,
    FrameReader,
    FrameWriter,
    KeepAlive,
    SignOff,
    SignOn,
)
from gateway.networks.oscar.wire.snac import (
    EXTENSION,
    MORE,
    SERVER_REQUEST,
    Body,
    Error,
    Snac,
    Unknown,
    decode_snac,
    decode_unread,
    encode_snac,
    group_of,
    known_bodies,
    number_of,
)

__all__ = [
    "EXTENSION",
    "MAX_PAYLOAD_BYTES",
    "MAX_SENT_PAYLOAD_BYTES",
    "MORE",
    "SERVER_REQUEST",
    "Body",
    "Channel",
    "Error",
    "FlapError",
    "Frame",
    "FrameReader",
    "FrameWriter",
    "KeepAlive",
    "Packet",
    "SignOff",
    "SignOn",
    "Snac",
    "Tlv",
    "Tlvs",
    "Unknown",
    "decode",
    "decode_block",
    "decode_snac",
    "decode_unread",
    "encode",
    "encode_block",
    "encode_snac",
    "feedbag",
    "general",
    "group_of",
    "html",
    "icons",
    "icq",
    "known_bodies",
    "login",
    "messages",
    "number_of",
    "people",
    "rooms",
    "text",
]

Packet = SignOn | Snac | FlapError | SignOff | KeepAlive


def decode(frame: Frame) -> Packet:
    """Return what a frame holds. Raises `RemoteProtocolError`."""
    match frame.channel:
        case Channel.SIGN_ON:
            return _block(SignOn, frame)
        case Channel.DATA:
            return decode_snac(frame.payload)
        case Channel.ERROR:
            return FlapError(frame.payload)
        case Channel.SIGN_OFF:
            return _block(SignOff, frame)
        case Channel.KEEP_ALIVE:
            return KeepAlive()
    raise RemoteProtocolError(f"a FLAP frame on channel {frame.channel}, which there is not")


def encode(writer: FrameWriter, packet: Packet) -> bytes:
    """Return the bytes of the next frame. Raises `LocalProtocolError`, and then none was used."""
    match packet:
        case SignOn():
            return writer.frame(Channel.SIGN_ON, encode_block(packet))
        case Snac():
            return writer.frame(Channel.DATA, encode_snac(packet))
        case FlapError(data=data):
            return writer.frame(Channel.ERROR, data)
        case SignOff():
            return writer.frame(Channel.SIGN_OFF, encode_block(packet))
        case KeepAlive():
            return writer.frame(Channel.KEEP_ALIVE, b"")


def _block(cls: type[SignOn] | type[SignOff], frame: Frame) -> SignOn | SignOff:
    try:
        return decode_block(cls, frame.payload)
    except RemoteProtocolError as exc:
        raise RemoteProtocolError(f"FLAP channel {frame.channel}: {exc}") from exc
