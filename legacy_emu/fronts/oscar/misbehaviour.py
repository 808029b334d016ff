"""The faults of OSCAR's own: what they put on the wire."""

from collections.abc import Iterator

import attrs

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import Snac, Tlv, Unknown, feedbag, login, messages, people

COOKIE_REFUSED = 0x18
GAP = 7  # frames that seem to be missing
SHORT_BYTES = 4  # a sign-off without its length

_EXTRA = Tlv(0x7A7A, b"nobody knows me")


def unknown_snacs() -> Iterator[Snac]:
    """Yield a SNAC of a food group nobody knows, and one that a known group does not have."""
    yield Snac(Unknown(0x7A7A, 0x0001, b"\0\1\2\3"), wire.SERVER_REQUEST)
    yield Snac(Unknown(0x0004, 0x7A7A, b"\xff" * 5), wire.SERVER_REQUEST)


def with_extra_tlvs(snac: Snac) -> Snac:
    """Put a TLV nobody knows where TLVs are: at the end, in user info blocks, in feedbag items."""
    body = snac.body
    group, subtype = wire.number_of(body)
    match body:
        case people.Arrived() | people.Departed():
            data = b"".join(_in_user_info(each) for each in body.users)
        case feedbag.Feedbag(items=items):
            body = attrs.evolve(body, items=tuple(_in_item(each) for each in items))
            return attrs.evolve(snac, body=body)
        case (
            login.LoginReply()
            | messages.Receive()
            | people.InfoReply()
            | people.LocateRights()
            | people.BuddyRights()
            | people.PermitRights()
            | feedbag.FeedbagRights()
            | wire.Error()
        ):
            data = wire.encode_snac(wire.Snac(body))[10:] + wire.encode_block(_EXTRA)
        case _:
            return snac
    return attrs.evolve(snac, body=Unknown(group, subtype, data))


def _in_user_info(user: people.UserInfo) -> bytes:
    data = wire.encode_block(user)
    at = 1 + data[0] + 2  # behind the name and the warning level stands how many TLVs there are
    count = int.from_bytes(data[at : at + 2], "big") + 1
    return data[:at] + count.to_bytes(2, "big") + data[at + 2 :] + wire.encode_block(_EXTRA)


def _in_item(item: feedbag.Item) -> feedbag.Item:
    attributes = wire.Tlvs((_EXTRA, *item.attributes.items))
    return attrs.evolve(item, attributes=attributes)
