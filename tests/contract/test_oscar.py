"""AIM and ICQ against the emulated service: what the contract asks of others in another way."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    AddContact,
    AddResult,
    Avatar,
    CommandDone,
    ContactChanged,
    ContactList,
    ContactRequest,
    Deny,
    FetchAvatar,
    FetchProfile,
    Grant,
    LoginRefused,
    MessageOutcome,
    MessageReceived,
    PresenceChanged,
    Profile,
    Reason,
    Refusal,
    RequestAnswered,
    Search,
    SendMessage,
    SetPresence,
    SetTyping,
    Show,
    SignedOff,
    Stage,
    Strand,
    Typing,
    TypingState,
)
from legacy_emu.faults import Kind
from legacy_emu.policy import Policy
from tests.contract.harness import ask_of, next_event, nothing_left, sign_on, until_ended
from tests.contract.oscar import AimHarness, icq_in_memory, in_memory

LONG = " ".join(f"word{number}" for number in range(800))


async def test_twenty_messages_arrive_in_order_at_the_pace_the_service_allows(
    autojump_clock: MockClock,
) -> None:
    async with in_memory() as aim:
        account = aim.account("romeo")
        aim.account("juliet")
        aim.control.set_fault(Kind.ENFORCE_RATES)
        texts = [f"number {number}" for number in range(20)]
        async with sign_on(aim, account) as client:
            for text in texts:
                await client.send(SendMessage(ref=text, conversation="juliet", text=text))
            for text in texts:
                outcome = await next_event(client, MessageOutcome)
                assert (outcome.ref, outcome.stage) == (text, Stage.ACCEPTED)
        assert aim.texts_to("juliet") == texts


@pytest.mark.parametrize("text", ["two\nlines <b>&amp;</b>  spaced", "\N{PILE OF POO} Zo\xeb"])
async def test_texts_arrive_as_they_were_said_between_aim_and_aim(
    autojump_clock: MockClock, text: str
) -> None:
    async with in_memory() as aim:
        accounts = aim.account("romeo"), aim.account("juliet")
        async with sign_on(aim, accounts[0]) as romeo, sign_on(aim, accounts[1]) as juliet:
            message = SendMessage(ref="m", conversation="juliet", text=text)
            await ask_of(romeo, message, MessageOutcome)
            got = await next_event(juliet, MessageReceived)
            assert (got.sender, got.conversation, got.text) == ("romeo", "romeo", text)
            assert got.sent_at is None


async def test_long_texts_come_in_pieces_both_ways(autojump_clock: MockClock) -> None:
    async with in_memory() as aim:
        account = aim.account("romeo")
        aim.account("juliet")
        async with sign_on(aim, account) as client:
            message = SendMessage(ref="m", conversation="juliet", text=LONG)
            assert (await ask_of(client, message, MessageOutcome)).stage is Stage.ACCEPTED
            assert " ".join(aim.texts_to("juliet")) == LONG
            aim.say("juliet", "romeo", LONG * 3)
            got = ""
            while len(got) < 3 * len(LONG) - 3:
                got += (await next_event(client, MessageReceived)).text
            assert got.replace(" ", "") == (LONG * 3).replace(" ", "")


async def test_presence_comes_with_its_texts(autojump_clock: MockClock) -> None:
    async with in_memory() as aim:
        account = aim.account("romeo")
        aim.account("juliet")
        aim.befriend("romeo", "juliet")
        aim.show("juliet", Show.DND, "on the <balcony>")
        async with sign_on(aim, account) as client:
            there = await next_event(client, PresenceChanged)
            assert (there.address, there.show, there.text) == ("juliet", Show.DND, "")
            there = await next_event(client, PresenceChanged)
            assert (there.show, there.text) == (Show.DND, "on the <balcony>")
            aim.show("juliet", Show.CHAT, "come up")
            there = await next_event(client, PresenceChanged)
            assert (there.show, there.text) == (Show.CHAT, "come up")
            away = SetPresence(ref="p", show=Show.XA, text="in Mantua")
            await ask_of(client, away, CommandDone)
            await trio.testing.wait_all_tasks_blocked()
            seen = aim.control.look("romeo", "juliet")
            assert (seen.show.value, seen.text) == ("xa", "in Mantua")


async def test_two_users_write_and_see_each_other_type(autojump_clock: MockClock) -> None:
    async with in_memory() as aim:
        accounts = aim.account("romeo"), aim.account("juliet")
        aim.befriend("romeo", "juliet")
        async with sign_on(aim, accounts[0]) as romeo, sign_on(aim, accounts[1]) as juliet:
            for state in (TypingState.COMPOSING, TypingState.PAUSED, TypingState.IDLE):
                writing = SetTyping(ref="t", conversation="juliet", state=state)
                await ask_of(romeo, writing, CommandDone)
                assert await next_event(juliet, Typing) == Typing("romeo", "romeo", state)


async def test_an_unknown_name_and_each_refusal_have_their_code(
    autojump_clock: MockClock,
) -> None:
    told = {
        Refusal.SUSPENDED: Refusal.SUSPENDED,
        Refusal.TOO_MANY_ATTEMPTS: Refusal.TOO_MANY_ATTEMPTS,
        Refusal.BUSY: Refusal.BUSY,
        Refusal.WRONG_CREDENTIALS: Refusal.WRONG_CREDENTIALS,
    }
    async with in_memory() as aim, nothing_left(aim):
        account = aim.account("romeo")
        for reason, expected in told.items():
            aim.refuse(reason)
            with pytest.raises(LoginRefused) as refused:
                async with sign_on(aim, account):
                    pytest.fail("signed on")
            assert refused.value.reason is expected
        aim.control.set_fault(Kind.REFUSE_COOKIE, times=1)
        with pytest.raises(LoginRefused) as refused:
            async with sign_on(aim, account):
                pytest.fail("signed on")
        assert refused.value.reason is Refusal.TOO_MANY_ATTEMPTS
        async with sign_on(aim, account):
            pass


@pytest.mark.parametrize(
    "kind",
    [Kind.SEQUENCE_GAP, Kind.SHORT_SIGN_OFF, Kind.UNKNOWN_SNACS, Kind.EXTRA_TLVS, Kind.SPLIT],
)
async def test_odd_services_are_understood(autojump_clock: MockClock, kind: Kind) -> None:
    async with in_memory() as aim:
        account = aim.account("romeo")
        aim.account("juliet")
        aim.befriend("romeo", "juliet")
        aim.control.set_fault(kind)
        async with nothing_left(aim), sign_on(aim, account) as client:
            listed = await client.receive()
            assert isinstance(listed, ContactList)
            assert [contact.address for contact in listed.contacts] == ["juliet"]
            aim.show("juliet", Show.ONLINE)
            await next_event(client, PresenceChanged)
            aim.say("juliet", "romeo", "Hi")
            assert (await next_event(client, MessageReceived)).text == "Hi"
            aim.sign_off("romeo", None, "")
            _, ended = await until_ended(client)
            assert isinstance(ended, SignedOff)


@pytest.mark.parametrize("seed", range(60))
async def test_a_garbled_connection_ends_in_an_orderly_error(
    seed: int, autojump_clock: MockClock
) -> None:
    async with in_memory() as aim, nothing_left(aim):
        aim.service.world.random.seed(seed)
        account = aim.account("romeo")
        aim.account("juliet")
        aim.befriend("romeo", "juliet")
        if seed % 4 == 0:
            aim.control.set_fault(Kind.GARBLE)  # the sign-on, too
        may_fail = (ConnectionLost, RemoteProtocolError, LoginRefused) if seed % 4 == 0 else ()
        with contextlib.suppress(*may_fail):
            async with sign_on(aim, account) as client:
                aim.control.set_fault(Kind.GARBLE)
                for number in range(20):
                    aim.say("juliet", "romeo", f"message {number}")
                aim.control.kick("romeo")
                with trio.fail_after(1_000):
                    while True:
                        try:
                            await client.receive()
                        except (ConnectionLost, RemoteProtocolError, SignedOff):
                            break


async def test_a_second_client_may_stay(autojump_clock: MockClock) -> None:
    async with in_memory(Policy(several_sign_ons=True)) as aim:
        account = aim.account("romeo")
        aim.account("juliet")
        async with sign_on(aim, account) as first, sign_on(aim, account) as second:
            await ask_of(second, AddContact(ref="a", address="juliet"), CommandDone)
            changed = await next_event(first, ContactChanged)
            assert changed.contact.address == "juliet"
            for client in (first, second):
                aim.say("juliet", "romeo", "both of you")
                assert (await next_event(client, MessageReceived)).text == "both of you"


@pytest.mark.parametrize("login", [None, "md5", "md5-old", "roasted"])
@pytest.mark.parametrize(
    ("network", "preset"),
    [
        (in_memory, "plain"),
        (in_memory, "open-oscar-server"),
        (in_memory, "open-oscar-server-0.23"),
        (icq_in_memory, "plain"),
        (icq_in_memory, "open-oscar-server"),
        (icq_in_memory, "open-oscar-server-0.23"),
        (icq_in_memory, "icq-only"),
    ],
)
async def test_each_preset_signs_on_writes_and_gets_what_was_kept(
    autojump_clock: MockClock, network: Callable[..., Any], preset: str, login: str | None
) -> None:
    async with network(preset=preset, login=login) as oscar, nothing_left(oscar):
        mine, theirs = ("10001", "10002") if network is icq_in_memory else ("romeo", "juliet")
        account = oscar.account(mine)
        oscar.account(theirs)
        oscar.befriend(mine, theirs)
        oscar.say(theirs, mine, "1 < 2 \u2713 <b>")
        async with sign_on(oscar, account) as client:
            listed = await next_event(client, ContactList)
            assert [contact.address for contact in listed.contacts] == [theirs]
            kept = await next_event(client, MessageReceived)
            assert kept.text == "1 < 2 \u2713 <b>"
            assert kept.sent_at is not None
            client.acknowledge(kept.token)
            for text in ("plain", "&amp; <b> \u010d"):
                message = SendMessage(ref=text, conversation=theirs, text=text)
                assert (await ask_of(client, message, MessageOutcome)).stage is Stage.ACCEPTED
        # Of what may be stored, each charset is a message of its own.
        first, *rest = oscar.texts_to(theirs)
        assert (first, "".join(rest)) == ("plain", "&amp; <b> \u010d")
        assert oscar.unacknowledged(mine) == []


# --- ICQ --------------------------------------------------------------------------------------


async def befriended(icq: AimHarness) -> None:
    for number in ("10001", "10002"):
        icq.control.create_account(
            number,
            f"{number}-pw",
            f"nick {number}",
            {"first": "N", "last": number, "city": "Z", "email": f"{number}@x"},
        )


async def test_numbers_ask_each_other(autojump_clock: MockClock) -> None:
    async with icq_in_memory() as icq:
        first, second = icq.account("10001"), icq.account("10002")
        async with sign_on(icq, first) as romeo, sign_on(icq, second) as juliet:
            add = AddContact(ref="a", address="10002", reason="It is I")
            assert (await ask_of(romeo, add, CommandDone)).result is AddResult.ASKED
            request = await next_event(juliet, ContactRequest)
            assert (request.address, request.reason) == ("10001", "It is I")
            await ask_of(juliet, Deny(ref="d", address="10001", reason="Too rash"), CommandDone)
            answer = await next_event(romeo, RequestAnswered)
            assert (answer.address, answer.granted, answer.reason) == ("10002", False, "Too rash")
            again = AddContact(ref="b", address="10002", reason="Please")
            assert (await ask_of(romeo, again, CommandDone)).result is AddResult.ASKED
            assert (await next_event(juliet, ContactRequest)).reason == "Please"
            await ask_of(juliet, Grant(ref="g", address="10001"), CommandDone)
            assert (await next_event(romeo, RequestAnswered)).granted
            changed = await next_event(romeo, ContactChanged)
            assert Strand.SEES in changed.contact.subscription
            there = await next_event(romeo, PresenceChanged)
            assert (there.address, there.show) == ("10002", Show.ONLINE)


@pytest.mark.parametrize("text", ["1 < 2 <b> &amp;\nlines", "Zo\xeb \N{PILE OF POO}"])
async def test_numbers_write_plain_text(autojump_clock: MockClock, text: str) -> None:
    async with icq_in_memory() as icq:
        accounts = icq.account("10001"), icq.account("10002")
        async with sign_on(icq, accounts[0]) as romeo, sign_on(icq, accounts[1]) as juliet:
            message = SendMessage(ref="m", conversation="10002", text=text)
            assert (await ask_of(romeo, message, MessageOutcome)).stage is Stage.ACCEPTED
            assert (await next_event(juliet, MessageReceived)).text == text
        failing = SendMessage(ref="n", conversation="10003", text="Hello?")
        async with sign_on(icq, accounts[0]) as romeo:
            outcome = await ask_of(romeo, failing, MessageOutcome)
            assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.UNKNOWN_ADDRESS)


async def test_what_was_kept_comes_with_its_time(autojump_clock: MockClock) -> None:
    async with icq_in_memory() as icq:
        account = icq.account("10001")
        icq.account("10002")
        for text in ("one", "two", "two"):
            icq.say("10002", "10001", text)
        async with sign_on(icq, account) as client:
            got = [await next_event(client, MessageReceived) for _ in range(3)]
            assert [one.text for one in got] == ["one", "two", "two"]
            assert all(one.sent_at is not None for one in got)
            assert len({one.legacy_id for one in got}) == 3
            for one in got:
                client.acknowledge(one.token)
        assert icq.unacknowledged("10001") == []


async def test_numbers_are_looked_up_and_found(autojump_clock: MockClock) -> None:
    async with icq_in_memory() as icq:
        await befriended(icq)
        account = icq.account("10003")
        async with sign_on(icq, account) as client:
            done = await ask_of(client, FetchProfile(ref="p", address="10002"), CommandDone)
            assert isinstance(done.result, Profile)
            assert done.result.fields["nick"] == "nick 10002"
            assert done.result.fields["name"] == "N 10002"
            assert done.result.fields["city"] == "Z"
            found = await ask_of(client, Search(ref="s", fields={"uin": "10001"}), CommandDone)
            assert isinstance(found.result, tuple)
            assert [profile.address for profile in found.result] == ["10001"]
            for fields in ({"nick": "nick 10002"}, {"name": "N 10002"}, {"email": "10002@x"}):
                found = await ask_of(client, Search(ref="n", fields=fields), CommandDone)
                assert [profile.address for profile in found.result] == ["10002"]  # type: ignore[attr-defined]
            nobody = await ask_of(client, Search(ref="t", fields={"uin": "99999"}), CommandDone)
            assert nobody.result == ()


async def test_a_picture_comes_by_its_own_connection(autojump_clock: MockClock) -> None:
    async with in_memory() as aim:
        account = aim.account("romeo")
        aim.account("juliet")
        aim.befriend("romeo", "juliet")
        aim.control.set_avatar("juliet", "R0lGODlhAQABAAAAACw=", "image/gif")
        aim.show("juliet", Show.ONLINE)
        async with sign_on(aim, account) as client:
            there = await next_event(client, PresenceChanged)
            assert there.avatar_hash
            done = await ask_of(client, FetchAvatar(ref="a", address="juliet"), CommandDone)
            assert isinstance(done.result, Avatar)
            assert done.result.media_type == "image/gif"
            assert done.result.data.startswith(b"GIF89a")
