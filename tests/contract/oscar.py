"""The harness of AIM against the emulated service's OSCAR front, in memory and over loopback."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import memory_stream_pair

from gateway.host import Address, RealHost
from gateway.networks.base import Account
from gateway.networks.oscar import Aim, Icq
from gateway.networks.oscar.settings import AimSettings, IcqSettings
from legacy_emu import host as emulator_host
from legacy_emu.fronts.oscar import serve
from legacy_emu.host import RealWorld
from legacy_emu.policy import Policy
from legacy_emu.service import Service
from tests.contract.emu import EmuHarness
from tests.contract.harness import MakeHarness


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
PACED = "the rate limits, kept in real time, would take minutes"
NO_ACKS = "what was written to a client counts as heard: nothing comes again"
CANNOT = {
    "test_messages_arrive_in_order_each_with_its_outcome*": PACED,
    "test_any_text_is_taken_or_refused*": "texts come in pieces, clean, and not for ever long",
    "test_two_users_see_hear_and_read_each_other*": "no read marks, edits, nudges",
    "test_presence_for_one_is_seen_by_that_one*": "one presence for all",
    "test_what_cannot_be_done_is_refused_with_its_reason*Grant*": "an answer nobody answers",
    "test_what_cannot_be_done_is_refused_with_its_reason*Deny*": "AIM has no refusals",
    "test_what_cannot_be_done_is_refused_with_its_reason*Revoke*": "AIM has no refusals",
    "test_what_cannot_be_done_is_refused_with_its_reason*Unblock*": "who is not blocked is fine",
    "test_what_cannot_be_done_is_refused_with_its_reason*FetchAvatar*": "no picture is known",
    "test_what_cannot_be_done_is_refused_with_its_reason*MarkRead*": "no read marks",
    "test_what_cannot_be_done_is_refused_with_its_reason*SetTyping*": "nobody answers typing",
    "test_what_cannot_be_done_is_refused_with_its_reason*SendNudge*": "no nudges",
    "test_what_cannot_be_done_is_refused_with_its_reason*SetPresence*": "one presence for all",
    "test_people_are_found_and_shown*": "AIM has no search",
    "test_what_is_not_acknowledged_comes_again_under_the_same_id*": NO_ACKS,
    "test_a_cut_connection_loses_nothing_that_was_not_acknowledged*": NO_ACKS,
    "test_a_slow_reader_loses_no_value_and_holds_up_nobody*": NO_ACKS,
    "test_a_contact_request_waits_until_it_is_acknowledged*": NO_ACKS,
    "test_presence_is_told_at_sign_on_and_when_it_changes*": "away texts are fetched, and follow",
    "test_messages_come_in_the_order_they_were_sent*": "ids are made of senders' cookies",
    "test_a_text_arrives_as_it_was_said*text2*": "long texts come in pieces",
    "test_half_a_surrogate_pair_harms_nobody*": "the service itself replaces it",
    "test_being_removed_is_told*": "OSCAR does not tell it",
    "test_wrong_credentials_are_refused*nobody*": "an unknown name is as a wrong password",
    "test_the_service_ends_a_session_in_order*suspended*": "OSCAR has no word for it",
    "test_the_service_ends_a_session_in_order*busy*": "OSCAR has no word for it",
    "test_each_refusal_is_told*": "codes instead of words, and no time to wait",
}


class AimHarness(EmuHarness):
    cannot: Mapping[str, str] = CANNOT

    def account(self, name: str) -> Account:
        # AIM asks nobody; here an account may want it, which is what can be tested of asking.
        self.control.create_account(name, f"{name}-pw", consent=True)
        return Account(name, f"{name}-pw")

    def garble(self) -> None:
        self.control.say_raw("no frame starts like this")


@asynccontextmanager
async def in_memory(policy: Policy | None = None) -> AsyncGenerator[AimHarness, None]:
    async with _in_memory(policy) as (host, service):
        settings = AimSettings(host="oscar.example", tls="off")
        yield AimHarness(Aim(host, settings), service)


@asynccontextmanager
async def icq_in_memory(policy: Policy | None = None) -> AsyncGenerator[AimHarness, None]:
    async with _in_memory(policy) as (host, service):
        settings = IcqSettings(host="oscar.example", tls="off", preset="open-oscar-server")
        yield AimHarness(Icq(host, settings), service)


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
    service = Service(RealWorld(), policy)

    async def handle(stream: trio.abc.Stream) -> None:
        await serve(stream, service)

    async with trio.open_nursery() as nursery:
        listening = await emulator_host.listen("127.0.0.1", 0)
        nursery.start_soon(listening.serve, handle)
        settings = AimSettings(host="127.0.0.1", port=listening.port, tls="off", **more)
        yield AimHarness(Aim(RealHost(), settings), service)
        nursery.cancel_scope.cancel()


HARNESSES: dict[str, MakeHarness] = {
    "aim in memory": in_memory,
    "aim on loopback": on_loopback,
}
TIMED: dict[str, MakeHarness] = {"aim in memory": in_memory}
BARE: dict[str, MakeHarness] = {}
