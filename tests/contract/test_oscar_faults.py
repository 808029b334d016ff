"""Each fault of the emulated service as the driver meets it: AIM and ICQ, over real sockets."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    ContactList,
    LegacyClient,
    LoginRefused,
    MessageOutcome,
    MessageReceived,
    PresenceChanged,
    Reason,
    Refusal,
    SendMessage,
    Show,
    SignedOff,
    Stage,
)
from legacy_emu.events import Refusal as EmuRefusal
from legacy_emu.faults import Kind, Moment
from legacy_emu.fronts.oscar import rates
from tests.contract.harness import ask_of, next_event, nothing_left, sign_on, until_ended
from tests.contract.oscar import AimHarness, IcqHarness, numbers_on_loopback, on_loopback

pytestmark = pytest.mark.slow  # they wait, in real time

MADE: dict[str, Callable[..., AbstractAsyncContextManager[AimHarness]]] = {
    "aim": on_loopback,
    "icq": numbers_on_loopback,
}
QUICK = {"ping_seconds": 0.3, "pong_seconds": 0.3, "sign_on_seconds": 1.0, "answer_seconds": 0.3}


@pytest.fixture(params=MADE)
async def there(request: pytest.FixtureRequest) -> AsyncGenerator[AimHarness, None]:
    """A service, and a network that has patience with it."""
    async with MADE[request.param]() as harness:
        yield harness


@pytest.fixture(params=MADE)
async def soon(request: pytest.FixtureRequest) -> AsyncGenerator[AimHarness, None]:
    """A service, and a network that soon gives it up."""
    async with MADE[request.param](**QUICK) as harness:
        yield harness


async def prepared(harness: AimHarness) -> AbstractAsyncContextManager[LegacyClient]:
    account = harness.account("romeo")
    harness.account("juliet")
    harness.befriend("romeo", "juliet")
    return sign_on(harness, account)


async def life(
    session: AbstractAsyncContextManager[LegacyClient], then: Callable[[], object] = bool
) -> Exception:
    """Sign on, do something, and take what comes; returns what ended it, wherever that was."""
    try:
        async with session as client:
            await next_event(client, ContactList)
            then()
            _, ended = await until_ended(client)
            return ended
    except (ConnectionLost, RemoteProtocolError, LoginRefused, SignedOff) as exc:
        return exc


def hello(number: int = 0) -> SendMessage:
    return SendMessage(ref=f"{number}", conversation="juliet", text=f"Hello {number}")


@pytest.mark.parametrize(
    "kind", [Kind.SEQUENCE_GAP, Kind.UNKNOWN_SNACS, Kind.EXTRA_TLVS, Kind.SPLIT, Kind.DELAY]
)
async def test_what_is_odd_is_no_trouble(there: AimHarness, kind: Kind) -> None:
    session = await prepared(there)
    there.control.set_fault(kind, seconds=0.01)
    async with nothing_left(there), session as client:
        listed = await client.receive()
        assert isinstance(listed, ContactList)
        assert [one.address for one in listed.contacts] == ["juliet"]
        there.show("juliet", Show.ONLINE)
        assert (await next_event(client, PresenceChanged)).show is Show.ONLINE
        there.say("juliet", "romeo", "Hi")
        assert (await next_event(client, MessageReceived)).text == "Hi"
        assert (await ask_of(client, hello(), MessageOutcome)).stage is Stage.ACCEPTED
        there.sign_off("romeo", Refusal.ELSEWHERE, "")
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert ended.reason is Refusal.ELSEWHERE


async def test_a_goodbye_in_four_bytes_gives_no_reason(there: AimHarness) -> None:
    session = await prepared(there)
    there.control.set_fault(Kind.SHORT_SIGN_OFF)
    async with nothing_left(there), session as client:
        await next_event(client, ContactList)
        there.sign_off("romeo", Refusal.ELSEWHERE, "closing time")
        _, ended = await until_ended(client)
        assert isinstance(ended, SignedOff)
        assert (ended.reason, ended.text) == (None, "")


async def test_a_cookie_that_is_refused_is_a_refusal(there: AimHarness) -> None:
    session = await prepared(there)
    there.control.set_fault(Kind.REFUSE_COOKIE, times=1)
    async with nothing_left(there):
        with pytest.raises(LoginRefused) as refused:
            async with session:
                pytest.fail("signed on")
        assert refused.value.reason is Refusal.TOO_MANY_ATTEMPTS


async def test_rates_that_are_enforced_are_kept(
    there: AimHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a hundredth of the usual numbers. What is too fast is dropped without a word."""
    numbers = ((each, *(one // 100 for one in rest)) for each, window, *rest in rates._CLASSES)
    windows = {each: window for each, window, *_ in rates._CLASSES}
    hundredth = tuple((each, windows[each], *rest) for each, *rest in numbers)
    monkeypatch.setattr(rates, "_CLASSES", hundredth)
    session = await prepared(there)
    there.control.set_fault(Kind.ENFORCE_RATES)
    async with nothing_left(there), session as client:
        for number in range(20):
            await client.send(hello(number))
        for number in range(20):
            outcome = await next_event(client, MessageOutcome)
            assert (outcome.ref, outcome.stage) == (f"{number}", Stage.ACCEPTED)
    assert there.texts_to("juliet") == [f"Hello {number}" for number in range(20)]


async def test_a_message_over_the_limit_fails_and_says_why(there: AimHarness) -> None:
    session = await prepared(there)
    there.control.set_fault(Kind.RATE_LIMIT, per_second=0.01, burst=1)
    async with nothing_left(there), session as client:
        assert (await ask_of(client, hello(1), MessageOutcome)).stage is Stage.ACCEPTED
        failed = await ask_of(client, hello(2), MessageOutcome)
        assert (failed.stage, failed.reason) == (Stage.FAILED, Reason.RATE_LIMITED)


async def test_a_lost_outcome_leaves_it_open(soon: AimHarness) -> None:
    session = await prepared(soon)
    soon.control.set_fault(Kind.LOSE_OUTCOMES, times=1)
    async with nothing_left(soon), session as client:
        assert (await ask_of(client, hello(1), MessageOutcome)).stage is Stage.UNKNOWN
        assert (await ask_of(client, hello(2), MessageOutcome)).stage is Stage.ACCEPTED


async def test_a_lost_acknowledgement_is_a_message_again(there: AimHarness) -> None:
    account = there.account("romeo")
    there.account("juliet")
    there.control.set_fault(Kind.LOSE_ACKS)
    there.say("juliet", "romeo", "Hi")
    ids = set()
    for _ in range(2):
        async with nothing_left(there), sign_on(there, account) as client:
            message = await next_event(client, MessageReceived)
            assert message.text == "Hi"
            assert message.sent_at is not None
            client.acknowledge(message.token)
            ids.add(message.legacy_id)
    assert len(ids) == 1
    there.heal()
    async with sign_on(there, account) as client:
        client.acknowledge((await next_event(client, MessageReceived)).token)
    assert there.unacknowledged("romeo") == []


@pytest.mark.parametrize("kind", [Kind.STALL_ANSWERS, Kind.STALL_READING])
@pytest.mark.parametrize("is_up", [False, True], ids=["signing on", "signed on"])
async def test_a_stall_is_a_lost_connection(soon: AimHarness, kind: Kind, is_up: bool) -> None:
    session = await prepared(soon)
    async with nothing_left(soon):
        if not is_up:
            soon.control.set_fault(kind)
        with trio.fail_after(8):
            ended = await life(session, lambda: soon.control.set_fault(kind))
        assert isinstance(ended, ConnectionLost)
        soon.heal()


@pytest.mark.parametrize("frames", range(0, 18, 3))
async def test_a_connection_that_drops_after_so_many_frames(there: AimHarness, frames: int) -> None:
    session = await prepared(there)
    there.control.set_fault(Kind.DROP, moment=Moment.FRAMES, after_frames=frames)
    async with nothing_left(there):
        assert isinstance(await life(session), ConnectionLost)
        there.heal()


@pytest.mark.parametrize("seed", range(6))
async def test_a_wrong_bit_is_an_orderly_end_or_none(soon: AimHarness, seed: int) -> None:
    soon.service.world.random.seed(seed)
    session = await prepared(soon)
    soon.control.set_fault(Kind.GARBLE, times=1 + seed % 3)
    async with nothing_left(soon):

        def say() -> None:
            soon.say("juliet", "romeo", "Hi")
            soon.control.set_fault(Kind.GARBLE)
            soon.say("juliet", "romeo", "Hi again")
            soon.sign_off("romeo", None, "")

        await life(session, say)
        soon.heal()


@pytest.mark.parametrize("reason", [EmuRefusal.SUSPENDED, EmuRefusal.FORBIDDEN])
async def test_a_refusal_is_told(there: AimHarness, reason: EmuRefusal) -> None:
    session = await prepared(there)
    there.control.set_fault(Kind.REFUSE, reason=reason)
    async with nothing_left(there):
        with pytest.raises(LoginRefused) as refused:
            async with session:
                pytest.fail("signed on")
        assert refused.value.reason.value == reason.value


async def test_an_unreadable_store_ends_the_connection(there: AimHarness) -> None:
    """It is ICQ's: AIM asks for nothing that way. `test_oscar_stored.py` has what follows."""
    session = await prepared(there)
    there.control.set_fault(Kind.POISON)
    if isinstance(there, IcqHarness):
        async with nothing_left(there):
            assert isinstance(await life(session), ConnectionLost)
    else:
        async with nothing_left(there), session as client:
            there.say("juliet", "romeo", "Hi")
            assert (await next_event(client, MessageReceived)).text == "Hi"


def test_no_fault_is_forgotten() -> None:
    """Each kind has its test here."""
    text = Path(__file__).read_text()
    assert [kind for kind in Kind if f"Kind.{kind.name}" not in text] == []
