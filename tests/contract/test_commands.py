"""Contract: each command is carried out or refused, and answered under its `ref`."""

import pytest

from gateway.networks.base import (
    AddContact,
    Block,
    Capabilities,
    ChangeContact,
    CommandDone,
    CommandFailed,
    ContactChanged,
    ContactList,
    ContactRemoved,
    Deny,
    FetchAvatar,
    FetchProfile,
    Grant,
    LegacyCommand,
    MarkRead,
    MessageOutcome,
    MessageReceived,
    NudgeReceived,
    PresenceChanged,
    Profile,
    ReadUpTo,
    Reason,
    RemoveContact,
    Revoke,
    Search,
    SendMessage,
    SendNudge,
    SetPresence,
    SetTyping,
    Show,
    Stage,
    Typing,
    TypingState,
    Unblock,
)
from tests.contract.harness import Harness, ask_of, next_event, sign_on

FINAL = (Stage.ACCEPTED, Stage.DELIVERED)


async def test_messages_arrive_in_order_each_with_its_outcome(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    texts = [f"number {number}" for number in range(20)]
    async with sign_on(harness, account) as client:
        for text in texts:
            await client.send(SendMessage(ref=text, conversation="juliet", text=text))
        for text in texts:
            outcome = await next_event(client, MessageOutcome, lambda event: event.stage in FINAL)
            assert (outcome.ref, outcome.reason) == (text, None)
            assert outcome.legacy_id
    assert harness.texts_to("juliet") == texts


async def test_a_message_to_nobody_fails(harness: Harness) -> None:
    async with sign_on(harness, harness.account("romeo")) as client:
        command = SendMessage(ref="1", conversation="nobody", text="Hello?")
        outcome = await ask_of(client, command, MessageOutcome)
        assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.UNKNOWN_ADDRESS)


@pytest.mark.parametrize("size", [200_000, 300_000, 2_000_000])
async def test_a_message_that_is_too_long_fails_alone(harness: Harness, size: int) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        command = SendMessage(ref="1", conversation="juliet", text="x" * size)
        outcome = await ask_of(client, command, MessageOutcome)
        assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.TOO_LONG)
        command = SendMessage(ref="2", conversation="juliet", text="short")
        assert (await ask_of(client, command, MessageOutcome)).stage in FINAL
    assert harness.texts_to("juliet") == ["short"]


@pytest.mark.parametrize("text", ["\x00\x01\x1b", "\ud800", "\N{PILE OF POO}" * 20_000, ""])
async def test_any_text_is_taken_or_refused(harness: Harness, text: str) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        command = SendMessage(ref="1", conversation="juliet", text=text)
        outcome = await ask_of(client, command, MessageOutcome)
        assert outcome.stage in FINAL
    # In pieces, where one is not long enough; and some services have no word for half a character.
    replaced = text.replace("\ud800", "\N{REPLACEMENT CHARACTER}")
    assert "".join(harness.texts_to("juliet")) in (text, replaced)


async def test_two_users_see_hear_and_read_each_other(harness: Harness) -> None:
    romeo_account, juliet_account = harness.account("romeo"), harness.account("juliet")
    harness.befriend("romeo", "juliet")
    async with (
        sign_on(harness, romeo_account) as romeo,
        sign_on(harness, juliet_account) as juliet,
    ):
        away = SetPresence(ref="p", show=Show.AWAY, text="in Mantua")
        await ask_of(romeo, away, CommandDone)
        seen = await next_event(juliet, PresenceChanged, lambda event: event.text == "in Mantua")
        assert (seen.address, seen.show) == ("romeo", Show.AWAY)
        writing = SetTyping(ref="t", conversation="juliet", state=TypingState.COMPOSING)
        await ask_of(romeo, writing, CommandDone)
        assert (await next_event(juliet, Typing)).state is TypingState.COMPOSING
        hello = SendMessage(ref="m", conversation="juliet", text="Hello")
        accepted = await ask_of(romeo, hello, MessageOutcome)
        heard = await next_event(juliet, MessageReceived)
        assert (heard.sender, heard.text) == ("romeo", "Hello")
        if not romeo.capabilities.receipts:
            return
        assert heard.legacy_id == accepted.legacy_id
        juliet.acknowledge(heard.token)
        delivered = await next_event(romeo, MessageOutcome)
        assert (delivered.ref, delivered.stage) == ("m", Stage.DELIVERED)
        read = MarkRead(ref="r", conversation="romeo", upto=heard.legacy_id or "")
        await ask_of(juliet, read, CommandDone)
        assert (await next_event(romeo, ReadUpTo)).upto == heard.legacy_id
        better = SendMessage(ref="e", conversation="juliet", text="Hi", replaces=heard.legacy_id)
        await ask_of(romeo, better, MessageOutcome)
        assert (await next_event(juliet, MessageReceived)).replaces == heard.legacy_id
        await ask_of(romeo, SendNudge(ref="n", conversation="juliet"), CommandDone)
        assert (await next_event(juliet, NudgeReceived)).sender == "romeo"


async def test_presence_for_one_is_seen_by_that_one(harness: Harness) -> None:
    accounts = [harness.account(name) for name in ("romeo", "juliet", "tybalt")]
    harness.befriend("romeo", "juliet")
    harness.befriend("romeo", "tybalt")
    async with (
        sign_on(harness, accounts[0]) as romeo,
        sign_on(harness, accounts[1]) as juliet,
        sign_on(harness, accounts[2]) as tybalt,
    ):
        await next_event(juliet, PresenceChanged, lambda event: event.show is Show.ONLINE)
        hidden = SetPresence(ref="1", show=Show.INVISIBLE, only_for=("tybalt",))
        await ask_of(romeo, hidden, CommandDone)
        await next_event(tybalt, PresenceChanged, lambda event: event.show is Show.OFFLINE)
        chatty = SetPresence(ref="2", show=Show.CHAT, only_for=("juliet",))
        await ask_of(romeo, chatty, CommandDone)
        assert (await next_event(juliet, PresenceChanged)).show is Show.CHAT


async def test_the_list_changes_as_it_is_told_to(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        add = AddContact(ref="1", address="juliet", name="Jule", groups=("Capulets",))
        await client.send(add)
        added = (await next_event(client, ContactChanged)).contact
        assert (added.address, added.name, added.groups) == ("juliet", "Jule", ("Capulets",))
        await client.send(ChangeContact(ref="2", address="juliet", name="J", groups=("A", "B")))
        changed = (await next_event(client, ContactChanged)).contact
        assert (changed.name, changed.groups) == ("J", ("A", "B"))
        await client.send(Block(ref="3", address="juliet"))
        assert (await next_event(client, ContactChanged)).contact.blocked
        await client.send(Unblock(ref="4", address="juliet"))
        assert not (await next_event(client, ContactChanged)).contact.blocked
        await client.send(RemoveContact(ref="5", address="juliet"))
        assert (await next_event(client, ContactRemoved)).address == "juliet"
        assert (await next_event(client, CommandDone)).ref == "5"
    async with sign_on(harness, account) as client:
        assert (await next_event(client, ContactList)).contacts == ()


FAILS = [
    (AddContact(ref="x", address="nobody"), Reason.UNKNOWN_ADDRESS),
    (AddContact(ref="x", address="romeo"), Reason.REFUSED),
    (ChangeContact(ref="x", address="juliet", name="J"), Reason.UNKNOWN_ADDRESS),
    (RemoveContact(ref="x", address="juliet"), Reason.UNKNOWN_ADDRESS),
    (Grant(ref="x", address="juliet"), Reason.REFUSED),
    (Deny(ref="x", address="juliet"), Reason.REFUSED),
    (Revoke(ref="x", address="nobody"), Reason.UNKNOWN_ADDRESS),
    (Block(ref="x", address="nobody"), Reason.UNKNOWN_ADDRESS),
    (Unblock(ref="x", address="nobody"), Reason.UNKNOWN_ADDRESS),
    (FetchProfile(ref="x", address="nobody"), Reason.UNKNOWN_ADDRESS),
    (FetchAvatar(ref="x", address="nobody"), Reason.UNKNOWN_ADDRESS),
    (MarkRead(ref="x", conversation="nobody", upto="1"), Reason.UNKNOWN_ADDRESS),
    (SetTyping(ref="x", conversation="nobody", state=TypingState.IDLE), Reason.UNKNOWN_ADDRESS),
    (SendNudge(ref="x", conversation="nobody"), Reason.UNKNOWN_ADDRESS),
    (SetPresence(ref="x", show=Show.AWAY, only_for=("nobody",)), Reason.UNKNOWN_ADDRESS),
]


@pytest.mark.parametrize(("command", "reason"), FAILS, ids=lambda value: type(value).__name__)
async def test_what_cannot_be_done_is_refused_with_its_reason(
    harness: Harness, command: LegacyCommand, reason: Reason
) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        needed = next((name for name, one in ALL_NEEDS if type(one) is type(command)), None)
        if needed is not None and not getattr(client.capabilities, needed):
            reason = Reason.UNSUPPORTED
        failed = await ask_of(client, command, CommandFailed)
        assert (failed.ref, failed.reason) == ("x", reason)
        assert failed.text


async def test_people_are_shown(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    harness.befriend("romeo", "juliet")
    harness.show("juliet", Show.ONLINE)  # of others some networks tell nothing
    async with sign_on(harness, account) as client:
        shown = await ask_of(client, FetchProfile(ref="1", address="juliet"), CommandDone)
        assert isinstance(shown.result, Profile)
        assert shown.result.address == "juliet"
        picture = await ask_of(client, FetchAvatar(ref="4", address="juliet"), CommandDone)
        assert picture.result is None


async def test_people_are_found(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        found = await ask_of(client, Search(ref="2", fields={"name": "JULI"}), CommandDone)
        assert isinstance(found.result, tuple)
        assert [profile.address for profile in found.result] == ["juliet"]
        none = await ask_of(client, Search(ref="3", fields={"name": "Rosaline"}), CommandDone)
        assert none.result == ()


NEEDS: list[tuple[str, LegacyCommand]] = [
    ("typing", SetTyping(ref="x", conversation="juliet", state=TypingState.IDLE)),
    ("read", MarkRead(ref="x", conversation="juliet", upto="1")),
    ("nudge", SendNudge(ref="x", conversation="juliet")),
    ("deny", Deny(ref="x", address="juliet")),
    ("block", Block(ref="x", address="juliet")),
    ("block", Unblock(ref="x", address="juliet")),
    ("profile", FetchProfile(ref="x", address="juliet")),
    ("avatar", FetchAvatar(ref="x", address="juliet")),
    ("search", Search(ref="x", fields={"name": "juliet"})),
    ("per_contact_presence", SetPresence(ref="x", show=Show.AWAY, only_for=("juliet",))),
]


# A network that knows no answers has nothing to take back either.
ALL_NEEDS = [*NEEDS, ("deny", Revoke(ref="x", address="juliet"))]


async def test_every_command_outside_the_capabilities_is_unsupported(bare: Harness) -> None:
    account = bare.account("romeo")
    bare.account("juliet")
    async with sign_on(bare, account) as client:
        assert client.capabilities == Capabilities()
        for _, command in NEEDS:
            failed = await ask_of(client, command, CommandFailed)
            assert failed.reason is Reason.UNSUPPORTED
        edit = SendMessage(ref="e", conversation="juliet", text="Hi", replaces="1")
        outcome = await ask_of(client, edit, MessageOutcome)
        assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.UNSUPPORTED)
        plain = SendMessage(ref="p", conversation="juliet", text="Hi")
        away = SetPresence(ref="q", show=Show.AWAY)
        await ask_of(client, away, CommandDone)
        failed_plain = await ask_of(client, plain, MessageOutcome)
        assert failed_plain.reason is Reason.OFFLINE_NOT_STORED
