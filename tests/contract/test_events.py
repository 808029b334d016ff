"""Contract: what the network tells, in order, in the words of `base.py`."""

import pytest

from gateway.networks.base import (
    AddContact,
    AddResult,
    CommandDone,
    ContactChanged,
    ContactList,
    ContactRemoved,
    ContactRequest,
    Grant,
    MessageReceived,
    PresenceChanged,
    RemovedByContact,
    RequestAnswered,
    Show,
    Strand,
    Typing,
    TypingState,
)
from tests.contract.harness import Harness, ask_of, next_event, sign_on


async def test_the_contact_list_comes_first_and_whole(harness: Harness) -> None:
    account = harness.account("romeo")
    for name in ("juliet", "nurse"):
        harness.account(name)
        harness.befriend("romeo", name)
    async with sign_on(harness, account) as client:
        listed = await client.receive()
        assert isinstance(listed, ContactList)
        assert listed.complete
        assert {contact.address for contact in listed.contacts} == {"juliet", "nurse"}
        assert all(contact.subscription >= {Strand.SEES} for contact in listed.contacts)


async def test_an_empty_contact_list_is_told_too(harness: Harness) -> None:
    async with sign_on(harness, harness.account("romeo")) as client:
        assert (await next_event(client, ContactList)).contacts == ()


async def test_presence_is_told_at_sign_on_and_when_it_changes(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    harness.befriend("romeo", "juliet")
    harness.show("juliet", Show.DND, "on the balcony")
    async with sign_on(harness, account) as client:
        # The text may follow: some networks have it fetched.
        there = await next_event(client, PresenceChanged)
        assert (there.address, there.show) == ("juliet", Show.DND)
        if not there.text:
            there = await next_event(client, PresenceChanged)
        assert (there.address, there.show, there.text) == ("juliet", Show.DND, "on the balcony")
        harness.show("juliet", Show.XA)
        there = await next_event(client, PresenceChanged)
        assert (there.address, there.show) == ("juliet", Show.XA)
        if there.text:
            there = await next_event(client, PresenceChanged)
        assert (there.address, there.show, there.text) == ("juliet", Show.XA, "")


async def test_messages_come_in_the_order_they_were_sent(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    before = [harness.say("juliet", "romeo", f"before {number}") for number in range(10)]
    async with sign_on(harness, account) as client:
        waited = [await next_event(client, MessageReceived) for _ in before]
        after = [harness.say("juliet", "romeo", f"after {number}") for number in range(50)]
        live = [await next_event(client, MessageReceived) for _ in after]
    texts = [f"before {number}" for number in range(10)]
    assert [event.text for event in waited + live] == texts + [
        f"after {number}" for number in range(50)
    ]
    assert all(event.sent_at is not None for event in waited)
    assert all(event.sent_at is None for event in live)
    assert {(event.conversation, event.sender) for event in live} == {("juliet", "juliet")}
    ids = [event.legacy_id for event in waited + live]
    assert len(set(ids) - {None}) == sum(one is not None for one in ids)
    if not harness.repeats:
        return
    assert ids == before + after
    tokens = [event.token for event in waited + live]
    assert None not in tokens
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize(
    "text", ["Wherefore art thou? \N{FACE WITH TEARS OF JOY}", "two\nlines\ttab", "x" * 100_000]
)
async def test_a_text_arrives_as_it_was_said(harness: Harness, text: str) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        harness.say("juliet", "romeo", text)
        got = (await next_event(client, MessageReceived)).text
        while len(got) < len(text):  # in pieces, where one is not long enough
            got += (await next_event(client, MessageReceived)).text
        assert got == text


async def test_half_a_surrogate_pair_harms_nobody(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        harness.say("juliet", "romeo", "half \ud83d of it")
        text = (await next_event(client, MessageReceived)).text
        halves = text.encode("utf-8").decode().split(" ")
        assert halves in (["half", mark, "of", "it"] for mark in "?\N{REPLACEMENT CHARACTER}")


async def test_typing_is_told(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        for state in TypingState:
            harness.type("juliet", "romeo", state)
            typing = await next_event(client, Typing)
            assert (typing.conversation, typing.sender, typing.state) == ("juliet", "juliet", state)


async def test_a_contact_request_waits_until_it_is_acknowledged(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    harness.ask("juliet", "romeo", "It is I")
    ids = set()
    for _ in range(2):
        async with sign_on(harness, account) as client:
            request = await next_event(client, ContactRequest)
            assert (request.address, request.reason) == ("juliet", "It is I")
            ids.add(request.legacy_id)
    assert len(ids) == 1
    async with sign_on(harness, account) as client:
        client.acknowledge((await next_event(client, ContactRequest)).token)
        done = await ask_of(client, Grant(ref="g", address="juliet"), CommandDone)
        assert done.result is None
    assert harness.unacknowledged("romeo") == []


@pytest.mark.parametrize("granted", [True, False])
async def test_the_answer_to_a_request_is_told(harness: Harness, granted: bool) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    async with sign_on(harness, account) as client:
        done = await ask_of(client, AddContact(ref="a", address="juliet"), CommandDone)
        assert done.result is AddResult.ASKED
        if granted:
            harness.grant("juliet", "romeo")
        else:
            harness.deny("juliet", "romeo", "Too rash")
        answer = await next_event(client, RequestAnswered)
        assert (answer.address, answer.granted) == ("juliet", granted)
        assert answer.reason == ("" if granted else "Too rash")
        contact = (await next_event(client, ContactChanged)).contact
        assert (Strand.SEES in contact.subscription) is granted
        assert Strand.ASKED not in contact.subscription


async def test_being_removed_is_told(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.account("juliet")
    harness.befriend("romeo", "juliet")
    harness.show("juliet", Show.ONLINE)
    async with sign_on(harness, account) as client:
        await next_event(client, PresenceChanged, lambda event: event.show is Show.ONLINE)
        harness.remove("juliet", "romeo")
        gone = await next_event(client, PresenceChanged)
        assert gone.show is Show.OFFLINE
        removed = await next_event(client, RemovedByContact)
        assert removed.address == "juliet"
        if removed.mutual:
            await next_event(client, ContactRemoved)
