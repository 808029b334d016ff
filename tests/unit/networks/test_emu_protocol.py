"""The state machine of the emulated service's driver, without any I/O."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RemoteProtocolError
from gateway.networks import base
from gateway.networks.emu import CAPABILITIES, EmuNetwork, Settings, protocol, wire
from gateway.networks.emu.protocol import MAX_CONTACTS, MAX_UNANSWERED, Session
from legacy_emu import names

ROMEO = base.Account("romeo", "pw")
ALL = tuple(name for name in base.Capabilities.__annotations__)


def session(capabilities: tuple[str, ...] = ALL) -> Session:
    made = Session(CAPABILITIES)
    made.sign_on(ROMEO)
    assert tell(made, wire.SignedOn("Romeo", "Romeo M.", capabilities)) == []
    return made


def tell(session: Session, frame: wire.ServerFrame) -> list[base.LegacyEvent]:
    return session.receive(wire.encode(frame))


def test_capabilities_are_what_both_sides_have() -> None:
    signed_on = session(("typing", "devices", "telepathy")).signed_on
    assert signed_on is not None
    assert signed_on.capabilities == base.Capabilities(typing=True)


@pytest.mark.parametrize(
    "frame",
    [
        wire.Presence("juliet", "away"),
        wire.Message("1", "juliet", "juliet", "Too early"),
        wire.Checked(),
        wire.Done("r"),
    ],
)
def test_before_signing_on_nothing_else_may_come(frame: wire.ServerFrame) -> None:
    made = Session(CAPABILITIES)
    made.sign_on(ROMEO)
    with pytest.raises(RemoteProtocolError, match="signing on"):
        tell(made, frame)


@pytest.mark.parametrize("frame", [wire.SignedOn("a", "b"), wire.Checked(), wire.Refused("busy")])
def test_nobody_signs_on_twice(frame: wire.ServerFrame) -> None:
    with pytest.raises(RemoteProtocolError, match="middle of a session"):
        tell(session(), frame)


@pytest.mark.parametrize(
    "frame",
    [
        wire.Presence("juliet", "asleep"),
        wire.Typing("juliet", "juliet", "singing"),
        wire.Outcome("r", "lost in Mantua"),
        wire.Message("", "juliet", "juliet", "no id"),
        wire.Message("x" * 201, "juliet", "juliet", "long id"),
        wire.SignedOff("boredom"),
    ],
)
def test_words_that_are_not_in_the_protocol_are_refused(frame: wire.ServerFrame) -> None:
    with pytest.raises(RemoteProtocolError):
        tell(session(), frame)


def test_a_list_in_parts_comes_as_one() -> None:
    made = session()
    assert tell(made, wire.ContactList((wire.Contact("Juliet"),), complete=False)) == []
    [whole] = tell(made, wire.ContactList((wire.Contact("Capulet Nurse"),)))
    assert isinstance(whole, base.ContactList)
    assert [contact.address for contact in whole.contacts] == ["juliet", "capuletnurse"]
    [again] = tell(made, wire.ContactList(()))
    assert again == base.ContactList((), complete=True)


def test_a_list_without_end_is_refused() -> None:
    made = session()
    part = wire.ContactList(tuple(wire.Contact(str(number)) for number in range(1000)), False)
    for _ in range(MAX_CONTACTS // 1000):
        assert tell(made, part) == []
    with pytest.raises(RemoteProtocolError, match="contacts"):
        tell(made, part)


def test_an_unusable_name_costs_that_event_alone_and_is_acknowledged() -> None:
    made = session()
    [event] = tell(made, wire.Message("7", "a\0b", "a\0b", "Boo"))
    assert isinstance(event, base.UnknownEvent)
    assert made.take_acknowledged() == wire.Ack(("7",))
    assert made.take_acknowledged() is None
    bad = wire.ContactList((wire.Contact(""), wire.Contact("juliet")))
    unknown, whole = tell(made, bad)
    assert isinstance(unknown, base.UnknownEvent)
    assert whole == base.ContactList((base.Contact("juliet", subscription=frozenset()),))


def test_an_unknown_reason_is_told_as_unknown() -> None:
    [outcome] = tell(session(), wire.Outcome("r", "failed", reason="moonphase", text="It is full."))
    assert isinstance(outcome, base.MessageOutcome)
    assert (outcome.reason, outcome.text) == (base.Reason.UNKNOWN, "It is full.")


def test_an_answer_nobody_waits_for_is_left_alone() -> None:
    made = session()
    made.command(base.Grant(ref="g", address="juliet"))
    assert tell(made, wire.Done("g")) == [base.CommandDone("g")]
    assert isinstance(tell(made, wire.Done("g"))[0], base.UnknownEvent)
    assert isinstance(tell(made, wire.Failed("x", "refused"))[0], base.UnknownEvent)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (base.AddContact(ref="r", address="juliet"), wire.Done("r", "perhaps")),
        (base.FetchProfile(ref="r", address="juliet"), wire.Done("r")),
        (base.FetchAvatar(ref="r", address="juliet"), wire.Done("r", avatar="not base64")),
    ],
)
def test_a_result_that_is_none_is_refused(
    command: base.LegacyCommand, answer: wire.ServerFrame
) -> None:
    made = session()
    made.command(command)
    with pytest.raises(RemoteProtocolError):
        tell(made, answer)


def test_a_picture_comes_as_bytes() -> None:
    made = session()
    made.command(base.FetchAvatar(ref="r", address="juliet"))
    picture = wire.Done("r", avatar="iVBORw==", avatar_type="image/png")
    assert tell(made, picture) == [base.CommandDone("r", base.Avatar(b"\x89PNG", "image/png"))]


def test_commands_without_an_answer_do_not_pile_up() -> None:
    made = session()
    for number in range(MAX_UNANSWERED):
        frame, refused = made.command(base.Grant(ref=str(number), address="juliet"))
        assert (frame, refused) == (wire.Grant(str(number), "juliet"), None)
    frame, refused = made.command(base.Grant(ref="one too many", address="juliet"))
    assert frame is None
    assert isinstance(refused, base.CommandFailed)
    assert refused.reason is base.Reason.RATE_LIMITED
    tell(made, wire.Done("0"))
    frame, _ = made.command(base.Grant(ref="now", address="juliet"))
    assert frame is not None


def test_attachments_go_as_links() -> None:
    command = base.SendMessage(
        ref="r",
        conversation="juliet",
        text="Look",
        attachments=(base.Attachment("https://example.net/a"),),
    )
    frame, _ = session().command(command)
    assert frame == wire.SendMessage("r", "juliet", "Look\nhttps://example.net/a")


@pytest.mark.parametrize(
    "text", ["", "x" * 1_998, "x" * 1_999, "\u2665" * 5_000, "\x00\U0001f339" * 9_000]
)
def test_a_status_and_a_reason_are_cut_to_what_the_service_takes(text: str) -> None:
    made = session()
    for command in (
        base.SetPresence(ref="1", show=base.Show.DND, text=text),
        base.AddContact(ref="2", address="juliet", reason=text),
        base.Deny(ref="3", address="juliet", reason=text),
    ):
        frame, refused = made.command(command)
        assert refused is None
        assert isinstance(frame, wire.SetPresence | wire.AddContact | wire.Deny)
        cut = frame.text if isinstance(frame, wire.SetPresence) else frame.reason
        weight = len(json.dumps(cut, ensure_ascii=False).encode())
        if len(text) < 1_999:
            assert cut == text
        else:
            assert 1_950 < weight <= 2_000
            assert cut.endswith("\u2026")
            assert text.startswith(cut[:-1])


def test_groups_stay_at_home_where_there_are_none() -> None:
    command = base.AddContact(ref="r", address="juliet", groups=("A",))
    assert session(()).command(command)[0] == wire.AddContact("r", "juliet")
    assert session().command(command)[0] == wire.AddContact("r", "juliet", groups=("A",))


@given(text=st.text(st.characters(), max_size=80))
def test_driver_and_service_spell_names_alike(text: str) -> None:
    try:
        expected = names.canonical(text)
    except names.NameRefused:
        with pytest.raises(base.InvalidAddress):
            protocol.canonical(text)
    else:
        assert protocol.canonical(text) == expected


@pytest.mark.parametrize("text", ["Capulet Nurse", "capuletnurse", " CAPULET\u00a0NURSE "])
def test_case_and_spaces_do_not_count(text: str) -> None:
    assert EmuNetwork.canonical(text) == "capuletnurse"


BAD: list[dict[str, Any]] = [{"tls": "yes"}, {"port": 0}, {"port": 65_536}, {"ping_seconds": 0}]
GOOD: dict[str, Any] = {"host": "emu.example", "port": 5280, "tls": "off"}


@pytest.mark.parametrize("fields", BAD)
def test_settings_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        Settings(**{**GOOD, **fields})


def test_cleartext_is_no_default() -> None:
    without = {name: value for name, value in GOOD.items() if name != "tls"}
    with pytest.raises(TypeError, match="tls"):
        Settings(**without)


def test_how_the_account_itself_is_shown_is_no_contact() -> None:
    assert tell(session(), wire.Presence("Ro meo", "away")) == []
