"""AIM and ICQ against the emulated service's OSCAR front, in memory and over loopback."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from trio.testing import memory_stream_pair

from gateway.host import Address, RealHost
from gateway.networks.base import Account, Network, Refusal, Show, TypingState
from gateway.networks.oscar import Aim, Icq
from gateway.networks.oscar.settings import AimSettings, IcqSettings
from legacy_emu import host as emulator_host
from legacy_emu.fronts.oscar import rates, serve
from legacy_emu.host import RealWorld
from legacy_emu.policy import Likeness, Policy
from legacy_emu.service import Service
from tests.contract.emu import EmuHarness
from tests.contract.harness import Harness, MakeHarness
from tests.contract.renamed import RenamedNetwork


class OscarHost(RealHost):
    """A host whose every connection leads to one service, over memory streams."""

    def __init__(self, nursery: trio.Nursery, service: Service) -> None:
        super().__init__()
        self._nursery = nursery
        self._service = service

    async def dial(self, address: Address) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(serve, theirs, self._service, name="emulator/connection")
        return ours


# `test_oscar.py` shows what there is instead.
FEW_KEPT = "ten messages of one sender are kept"
NO_UNKNOWN = "names that nobody has count as offline"
FEW_LOGINS = "ten logins in a minute"
SHORT = "a text has 30,000 bytes at most"
NO_ACKS = "what was written to a client counts as heard: nothing comes again"
CANNOT = {
    "test_presence_for_one_is_seen_by_that_one*": "one presence for all",
    "test_what_cannot_be_done_is_refused_with_its_reason*Grant*": "nobody answers it",
    "test_what_cannot_be_done_is_refused_with_its_reason*Unblock*": "who is not blocked is fine",
    "test_what_cannot_be_done_is_refused_with_its_reason*FetchAvatar*": "no picture is known",
    "test_what_cannot_be_done_is_refused_with_its_reason*SetTyping*": "nobody answers it",
    "test_what_is_not_acknowledged_comes_again_under_the_same_id*": NO_ACKS,
    "test_a_cut_connection_loses_nothing_that_was_not_acknowledged*": NO_ACKS,
    "test_a_slow_reader_loses_no_value_and_holds_up_nobody*": NO_ACKS,
    "test_a_contact_request_waits_until_it_is_acknowledged*": NO_ACKS,
    "test_being_removed_is_told*": "OSCAR does not tell it",
}
CANNOT_AIM = {**CANNOT, "test_people_are_found*": "AIM has no search"}
CANNOT_ICQ = {
    **CANNOT,
    "test_what_cannot_be_done_is_refused_with_its_reason*Deny*": "nobody answers it",
    "test_what_cannot_be_done_is_refused_with_its_reason*Revoke*": "nobody answers it",
}

CODES = {Refusal.ELSEWHERE: Refusal.TOO_MANY_ATTEMPTS}  # too many connections, it is called there
NUMBERS = {
    "romeo": "10001",
    "juliet": "10002",
    "nurse": "10003",
    "tybalt": "10004",
    "nobody": "99999",
}


class AimHarness(EmuHarness):
    cannot: Mapping[str, str] = CANNOT_AIM
    repeats = False
    retry_seconds = 600.0  # after too many attempts
    endings: Collection[Refusal] = (Refusal.ELSEWHERE, Refusal.UNKNOWN_ACCOUNT)

    def account(self, name: str) -> Account:
        # AIM asks nobody; here an account may want it, which is what can be tested of asking.
        self.control.create_account(name, f"{name}-pw", consent=True)
        return Account(name, f"{name}-pw")

    def told(self, reason: Refusal, retry_after: float | None) -> tuple[Refusal, float | None]:
        code = CODES.get(reason, reason)
        return code, self.retry_seconds if code is Refusal.TOO_MANY_ATTEMPTS else None

    def garble(self) -> None:
        self.control.say_raw("no frame starts like this")


class IcqHarness(AimHarness):
    """Its people have numbers; the tests know them by their names."""

    cannot: Mapping[str, str] = CANNOT_ICQ

    def __init__(self, network: Network, service: Service) -> None:
        super().__init__(cast(Network, RenamedNetwork(network, NUMBERS)), service)

    def account(self, name: str) -> Account:
        self.control.create_account(NUMBERS[name], f"{name}-pw", name, {"first": name})
        return Account(name, f"{name}-pw")

    def befriend(self, first: str, second: str) -> None:
        super().befriend(NUMBERS[first], NUMBERS[second])

    def show(self, name: str, show: Show, text: str = "") -> None:
        super().show(NUMBERS[name], show, text)

    def say(self, sender: str, to: str, text: str) -> str:
        return super().say(NUMBERS[sender], NUMBERS[to], text)

    def type(self, sender: str, to: str, state: TypingState) -> None:
        super().type(NUMBERS[sender], NUMBERS[to], state)

    def ask(self, asker: str, to: str, reason: str) -> None:
        super().ask(NUMBERS[asker], NUMBERS[to], reason)

    def grant(self, name: str, asker: str) -> None:
        super().grant(NUMBERS[name], NUMBERS[asker])

    def deny(self, name: str, asker: str, reason: str) -> None:
        super().deny(NUMBERS[name], NUMBERS[asker], reason)

    def remove(self, name: str, contact: str) -> None:
        super().remove(NUMBERS[name], NUMBERS[contact])

    def texts_to(self, name: str) -> list[str]:
        return super().texts_to(NUMBERS[name])

    def unacknowledged(self, name: str) -> list[str]:
        return super().unacknowledged(NUMBERS[name])

    def left_orderly(self, name: str) -> bool:
        return super().left_orderly(NUMBERS[name])

    def sign_off(self, name: str, reason: Refusal | None, text: str) -> None:
        super().sign_off(NUMBERS[name], reason, text)


@asynccontextmanager
async def in_memory(policy: Policy | None = None, **more: Any) -> AsyncGenerator[AimHarness, None]:
    async with _in_memory(policy) as (host, service):
        settings = AimSettings(host="oscar.example", tls="off", **more)
        yield AimHarness(Aim(host, settings), service)


@asynccontextmanager
async def icq_in_memory(
    policy: Policy | None = None, **more: Any
) -> AsyncGenerator[AimHarness, None]:
    """ICQ with its numbers as they are; `more` are settings."""
    async with _in_memory(policy) as (host, service):
        given: dict[str, Any] = {"preset": "open-oscar-server", **more}
        settings = IcqSettings(host="oscar.example", tls="off", **given)
        yield AimHarness(Icq(host, settings), service)


@asynccontextmanager
async def numbers_in_memory(
    policy: Policy | None = None, **more: Any
) -> AsyncGenerator[IcqHarness, None]:
    async with _in_memory(policy) as (host, service):
        settings = IcqSettings(host="oscar.example", tls="off", **more)
        yield IcqHarness(Icq(host, settings), service)


@asynccontextmanager
async def _in_memory(policy: Policy | None) -> AsyncGenerator[tuple[OscarHost, Service], None]:
    service = Service(RealWorld(), policy)
    service.addresses["oscar"] = "oscar.example:5190"
    async with trio.open_nursery() as nursery:
        yield OscarHost(nursery, service), service
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def on_loopback(
    policy: Policy | None = None, **more: Any
) -> AsyncGenerator[AimHarness, None]:
    """AIM over real sockets; `more` are settings."""
    async with _on_loopback(policy) as (port, service):
        settings = AimSettings(host="127.0.0.1", port=port, tls="off", **more)
        yield AimHarness(Aim(RealHost(), settings), service)


@asynccontextmanager
async def numbers_on_loopback(**more: Any) -> AsyncGenerator[IcqHarness, None]:
    """ICQ over real sockets; `more` are settings."""
    async with _on_loopback(None) as (port, service):
        settings = IcqSettings(host="127.0.0.1", port=port, tls="off", **more)
        yield IcqHarness(Icq(RealHost(), settings), service)


@asynccontextmanager
async def _on_loopback(policy: Policy | None) -> AsyncGenerator[tuple[int, Service], None]:
    service = Service(RealWorld(), policy)

    async def handle(stream: trio.abc.Stream) -> None:
        await serve(stream, service)

    async with trio.open_nursery() as nursery:
        listening = await emulator_host.listen("127.0.0.1", 0)
        nursery.start_soon(listening.serve, handle)
        yield listening.port, service
        nursery.cancel_scope.cancel()


def unhurried(make: MakeHarness) -> MakeHarness:
    """Have the service told no rate limits that would cost a test in real time minutes."""

    @asynccontextmanager
    async def made() -> AsyncGenerator[Harness, None]:
        with pytest.MonkeyPatch.context() as patch:
            classes = [(number, 10_000, 30, 20, 10, 5, 6_000) for number in range(1, 6)]
            patch.setattr(rates, "_CLASSES", tuple(classes))
            async with make() as harness:
                yield harness

    return made


def like_open_oscar_server(make: Callable[..., Any]) -> MakeHarness:
    """Have the service behave like Open OSCAR Server, and the network know that."""
    likeness = Likeness.OPEN_OSCAR_SERVER

    @asynccontextmanager
    async def made() -> AsyncGenerator[Harness, None]:
        async with make(Policy(oscar=likeness), preset=likeness.value) as harness:
            harness.cannot = {
                **harness.cannot,
                "test_a_cancellation_anywhere_leaves_nothing*": FEW_LOGINS,
                "test_messages_arrive_in_order_each_with_its_outcome*": FEW_KEPT,
                "test_a_message_to_nobody_fails*": NO_UNKNOWN,
                "test_any_text_is_taken_or_refused*text2*": SHORT,
            }
            harness.retry_seconds = 60.0
            harness.ends_in_words = False
            yield harness

    return made


HARNESSES: dict[str, MakeHarness] = {
    "aim in memory": unhurried(in_memory),
    "aim on loopback": unhurried(on_loopback),
    "icq in memory": unhurried(numbers_in_memory),
    "icq on loopback": unhurried(numbers_on_loopback),
    "aim-open-oscar-server in memory": unhurried(like_open_oscar_server(in_memory)),
    "icq-open-oscar-server in memory": unhurried(like_open_oscar_server(numbers_in_memory)),
}
TIMED: dict[str, MakeHarness] = {
    "aim in memory": in_memory,
    "icq in memory": numbers_in_memory,
    "aim-open-oscar-server in memory": like_open_oscar_server(in_memory),
    "icq-open-oscar-server in memory": like_open_oscar_server(numbers_in_memory),
}
BARE: dict[str, MakeHarness] = {}
