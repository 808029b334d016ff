"""The emulated service's frames: literal texts both ways, and what is not one."""

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RemoteProtocolError
from gateway.networks.emu import wire
from gateway.networks.emu.wire import decode_client, decode_server, encode

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
NOON_TEXT = "2026-04-01T12:00:00+00:00"

CLIENT: list[tuple[wire.ClientFrame, str]] = [
    (wire.Check("romeo", "pw"), '{"type": "check", "account": "romeo", "password": "pw"}'),
    (
        wire.SignOn("romeo", "pw", "lab"),
        '{"type": "sign_on", "account": "romeo", "password": "pw", "client": "lab"}',
    ),
    (wire.SignOff(), '{"type": "sign_off"}'),
    (wire.Ack(("1", "2")), '{"type": "ack", "ids": ["1", "2"]}'),
    (
        wire.SendMessage("r", "juliet", 'He said "O\u2019'),
        '{"type": "send_message", "ref": "r", "to": "juliet", "text": "He said \\"O\u2019", '
        '"replaces": null}',
    ),
    (
        wire.SetPresence("r", "away", "out", NOON, ("juliet",)),
        '{"type": "set_presence", "ref": "r", "show": "away", "text": "out", '
        f'"idle_since": "{NOON_TEXT}", "only_for": ["juliet"]}}',
    ),
    (
        wire.SetTyping("r", "juliet", "paused"),
        '{"type": "set_typing", "ref": "r", "to": "juliet", "state": "paused"}',
    ),
    (
        wire.AddContact("r", "juliet", "J", ("A",), "why"),
        '{"type": "add_contact", "ref": "r", "address": "juliet", "name": "J", '
        '"groups": ["A"], "reason": "why"}',
    ),
    (
        wire.ChangeContact("r", "juliet", "J", ("A",)),
        '{"type": "change_contact", "ref": "r", "address": "juliet", "name": "J", "groups": ["A"]}',
    ),
    (
        wire.RemoveContact("r", "juliet"),
        '{"type": "remove_contact", "ref": "r", "address": "juliet"}',
    ),
    (wire.Grant("r", "juliet"), '{"type": "grant", "ref": "r", "address": "juliet"}'),
    (
        wire.Deny("r", "juliet", "no"),
        '{"type": "deny", "ref": "r", "address": "juliet", "reason": "no"}',
    ),
    (wire.Revoke("r", "juliet"), '{"type": "revoke", "ref": "r", "address": "juliet"}'),
    (wire.Block("r", "juliet"), '{"type": "block", "ref": "r", "address": "juliet"}'),
    (wire.Unblock("r", "juliet"), '{"type": "unblock", "ref": "r", "address": "juliet"}'),
    (wire.Nudge("r", "juliet"), '{"type": "nudge", "ref": "r", "to": "juliet"}'),
    (
        wire.MarkRead("r", "juliet", "7"),
        '{"type": "mark_read", "ref": "r", "to": "juliet", "upto": "7"}',
    ),
    (
        wire.FetchProfile("r", "juliet"),
        '{"type": "fetch_profile", "ref": "r", "address": "juliet"}',
    ),
    (
        wire.FetchAvatar("r", "juliet"),
        '{"type": "fetch_avatar", "ref": "r", "address": "juliet"}',
    ),
    (
        wire.Search("r", {"name": "J"}),
        '{"type": "search", "ref": "r", "fields": {"name": "J"}}',
    ),
    (wire.Ping("1"), '{"type": "ping", "id": "1"}'),
]

JULIET = wire.Contact("Juliet", "J", ("A", "B"), sees=True, asking=True)
JULIET_TEXT = (
    '{"address": "Juliet", "name": "J", "groups": ["A", "B"], "sees": true, "seen_by": false, '
    '"asked": false, "asking": true, "blocked": false}'
)

SERVER: list[tuple[wire.ServerFrame, str]] = [
    (wire.Checked(), '{"type": "checked"}'),
    (
        wire.Refused("busy", "later", 2.5),
        '{"type": "refused", "reason": "busy", "text": "later", "retry_after": 2.5}',
    ),
    (
        wire.SignedOn("Romeo", "R", ("typing",)),
        '{"type": "signed_on", "account": "Romeo", "name": "R", "capabilities": ["typing"]}',
    ),
    (
        wire.SignedOff(),
        '{"type": "signed_off", "reason": null, "text": "", "retry_after": null}',
    ),
    (
        wire.ContactList((JULIET,), complete=False),
        f'{{"type": "contact_list", "contacts": [{JULIET_TEXT}], "complete": false}}',
    ),
    (
        wire.ContactChanged(JULIET),
        f'{{"type": "contact_changed", "contact": {JULIET_TEXT}}}',
    ),
    (wire.ContactRemoved("juliet"), '{"type": "contact_removed", "address": "juliet"}'),
    (
        wire.Presence("juliet", "dnd", "busy", NOON),
        '{"type": "presence", "address": "juliet", "show": "dnd", "text": "busy", '
        f'"idle_since": "{NOON_TEXT}"}}',
    ),
    (
        wire.Typing("juliet", "juliet", "idle"),
        '{"type": "typing", "conversation": "juliet", "sender": "juliet", "state": "idle"}',
    ),
    (
        wire.Message("7", "juliet", "juliet", "half \ud83d", NOON),
        '{"type": "message", "id": "7", "conversation": "juliet", "sender": "juliet", '
        f'"text": "half \\ud83d", "sent_at": "{NOON_TEXT}", "outgoing": false, "replaces": null}}',
    ),
    (
        wire.ContactRequest("7", "juliet", "J", "why"),
        '{"type": "contact_request", "id": "7", "address": "juliet", "name": "J", '
        '"reason": "why", "sent_at": null}',
    ),
    (
        wire.RequestAnswered("7", "juliet", granted=True),
        '{"type": "request_answered", "id": "7", "address": "juliet", "granted": true, '
        '"reason": "", "sent_at": null}',
    ),
    (
        wire.RemovedByContact("7", "juliet", mutual=True),
        '{"type": "removed_by_contact", "id": "7", "address": "juliet", "mutual": true, '
        '"sent_at": null}',
    ),
    (
        wire.Nudged("7", "juliet", "juliet"),
        '{"type": "nudged", "id": "7", "conversation": "juliet", "sender": "juliet", '
        '"sent_at": null}',
    ),
    (
        wire.ReadUpTo("7", "juliet", "6"),
        '{"type": "read_up_to", "id": "7", "conversation": "juliet", "upto": "6", "sent_at": null}',
    ),
    (
        wire.Outcome("r", "failed", None, "too_long", "x"),
        '{"type": "outcome", "ref": "r", "stage": "failed", "id": null, "reason": "too_long", '
        '"text": "x"}',
    ),
    (
        wire.Done("r", "", (wire.Profile("juliet", {"city": "Verona"}),)),
        '{"type": "done", "ref": "r", "result": "", "profiles": [{"address": "juliet", '
        '"fields": {"city": "Verona"}}], "avatar": "", "avatar_type": ""}',
    ),
    (
        wire.Done("r", avatar="iVBORw==", avatar_type="image/png"),
        '{"type": "done", "ref": "r", "result": "", "profiles": [], '
        '"avatar": "iVBORw==", "avatar_type": "image/png"}',
    ),
    (
        wire.Failed("r", "refused", "no"),
        '{"type": "failed", "ref": "r", "reason": "refused", "text": "no"}',
    ),
    (wire.Notice("hello"), '{"type": "notice", "text": "hello"}'),
    (wire.Pong("1"), '{"type": "pong", "id": "1"}'),
]


EVERY: list[tuple[wire.ClientFrame | wire.ServerFrame, str]] = [*CLIENT, *SERVER]


@pytest.mark.parametrize(("frame", "text"), EVERY)
def test_each_frame_is_written_as_it_stands_here(
    frame: wire.ClientFrame | wire.ServerFrame, text: str
) -> None:
    assert encode(frame) == text
    encode(frame).encode("utf-8")


@pytest.mark.parametrize(("frame", "text"), CLIENT)
def test_each_client_frame_is_read_back(frame: wire.ClientFrame, text: str) -> None:
    assert decode_client(text) == frame
    assert decode_client(json.dumps({**json.loads(text), "new": [1]})) == frame


@pytest.mark.parametrize(("frame", "text"), SERVER)
def test_each_server_frame_is_read_back(frame: wire.ServerFrame, text: str) -> None:
    assert decode_server(text) == frame
    assert decode_server(json.dumps({**json.loads(text), "new": {"a": 1}})) == frame


def test_the_tables_above_have_every_frame() -> None:
    assert {type(frame) for frame, _ in CLIENT} == set(wire.CLIENT_FRAMES.values())
    assert {type(frame) for frame, _ in SERVER} == set(wire.SERVER_FRAMES.values())


def wrong_types() -> list[str]:
    """Return each frame above with each of its fields gone wrong in turn."""
    others: tuple[Any, ...] = (7, True, 1.5, [1], {"a": 1}, "text", ["a"], [{}], [None])
    return [
        json.dumps({**fields, name: value})
        for fields in (json.loads(text) for _, text in EVERY)
        for name in sorted(fields.keys() - {"type"})
        for value in others
        if fields[name] is not None and _shape(value) != _shape(fields[name])
    ]


def _shape(value: Any) -> Any:
    if isinstance(value, bool | str):
        return type(value)
    if isinstance(value, int | float):
        return float
    if isinstance(value, list):
        return [_shape(each) for each in value[:1]]
    return None if value is None else dict


WRONG = [
    "",
    " ",
    "nonsense",
    "[]",
    "7",
    "null",
    '"ping"',
    "{}",
    '{"type": null}',
    '{"type": 7}',
    '{"type": ["ping"]}',
    '{"type": "ping"',
    '{"type": "ping"}',
    '{"type": "ping", "id": NaN}',
    '{"type": "pong"}',
    '{"type": "refused", "reason": "busy", "retry_after": 1e999}',
    '{"type": "refused", "reason": "busy", "retry_after": -1}',
    '{"type": "refused", "reason": "busy", "retry_after": true}',
    '{"type": "refused", "reason": "busy", "retry_after": ' + "9" * 400 + "}",
    '{"type": "refused", "reason": "busy", "retry_after": ' + "9" * 5000 + "}",
    '{"type": "presence", "address": "a", "show": "dnd", "idle_since": "2026-04-01T12:00:00"}',
    '{"type": "presence", "address": "a", "show": "dnd", "idle_since": "yesterday"}',
    '{"type": "presence", "address": "a", "show": "dnd", "idle_since": 1775044800}',
    '{"type": "presence", "address": "a", "show": "x", "idle_since": "0001-01-01T00:00:00+09:00"}',
    '{"type": "done", "ref": "r", "profiles": [{"address": "a", "fields": {"n": 1}}]}',
    '{"type": "contact_list", "contacts": [{"address": "a", "groups": "abc"}]}',
    "[" * 100_000,
    '{"type": "notice", "text": "' + "x" * wire.MAX_FRAME_BYTES + '"}',
    '{"type": "notice", "text": "' + "\N{PILE OF POO}" * (wire.MAX_FRAME_BYTES // 4) + '"}',
    *wrong_types(),
]


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:60])
def test_what_is_no_frame_is_the_peers_fault(text: str) -> None:
    kind = text.partition('"type": "')[2].partition('"')[0]
    if kind in wire.CLIENT_FRAMES or not kind:
        with pytest.raises(RemoteProtocolError, match="frame"):
            decode_client(text)
    if kind in wire.SERVER_FRAMES or not kind:
        with pytest.raises(RemoteProtocolError, match="frame"):
            decode_server(text)


def test_a_binary_frame_is_the_peers_fault() -> None:
    with pytest.raises(RemoteProtocolError, match="binary"):
        decode_server(b'{"type": "checked"}')


def test_a_frame_of_unknown_type_is_no_error() -> None:
    assert decode_server('{"type": "horoscope", "sign": "leo"}') == wire.Unknown("horoscope")
    assert decode_client('{"type": "message"}') == wire.Unknown("message")


@given(data=st.text() | st.binary())
def test_random_input_raises_nothing_else(data: str | bytes) -> None:
    for decode in (decode_client, decode_server):
        with pytest.raises(RemoteProtocolError):
            decode(data)


@given(text=st.text(st.characters(), max_size=50))
def test_every_text_survives(text: str) -> None:
    assert decode_server(encode(wire.Notice(text))) == wire.Notice(text)


def test_what_no_peer_would_take_is_not_sent() -> None:
    fits = wire.Notice("x" * (wire.MAX_FRAME_BYTES - len(encode(wire.Notice("")))))
    assert decode_server(encode(fits)) == fits
    with pytest.raises(wire.FrameTooLarge):
        encode(attrs.evolve(fits, text=fits.text + "x"))


@pytest.mark.parametrize("frame", [wire.Check("romeo", "hush"), wire.SignOn("romeo", "hush")])
def test_secrets_are_not_shown(frame: wire.ClientFrame) -> None:
    assert "hush" not in repr(frame)
    with pytest.raises(RemoteProtocolError) as wrong:
        decode_client('{"type": "sign_on", "account": 7, "password": "hush"}')
    assert "hush" not in str(wrong.value)
