"""The harness of the emulated service, over memory streams and over loopback sockets."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio
from trio.testing import memory_stream_pair

from gateway.host import Address, RealHost
from gateway.networks.base import Account, Network, Refusal, Show, TypingState
from gateway.networks.emu import EmuNetwork, Settings
from legacy_emu import host as emulator_host
from legacy_emu.control import Control
from legacy_emu.events import Refusal as EmuRefusal
from legacy_emu.events import Show as EmuShow
from legacy_emu.events import TypingState as EmuTypingState
from legacy_emu.faults import Kind, Moment
from legacy_emu.fronts.websocket import serve
from legacy_emu.host import RealWorld
from legacy_emu.policy import Policy
from legacy_emu.service import Service
from tests.contract.harness import MakeHarness


class MemoryHost(RealHost):
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


class EmuHarness:
    cannot: Mapping[str, str] = {}
    repeats = True
    endings: Collection[Refusal] = tuple(Refusal)
    ends_in_words = True

    def __init__(self, network: Network, service: Service) -> None:
        self.network = network
        self.service = service
        self.control = Control(service)

    def told(self, reason: Refusal, retry_after: float | None) -> tuple[Refusal, float | None]:
        return reason, retry_after

    def account(self, name: str) -> Account:
        self.control.create_account(name, f"{name}-pw")
        return Account(name, f"{name}-pw")

    def befriend(self, first: str, second: str) -> None:
        self.control.befriend(first, second)

    def show(self, name: str, show: Show, text: str = "") -> None:
        self.control.set_presence(name, EmuShow(show), text)

    def say(self, sender: str, to: str, text: str) -> str:
        return self.control.send_message(sender, to, text)

    def type(self, sender: str, to: str, state: TypingState) -> None:
        self.control.typing(sender, to, EmuTypingState(state))

    def ask(self, asker: str, to: str, reason: str) -> None:
        self.control.add_contact(asker, to, reason=reason)

    def grant(self, name: str, asker: str) -> None:
        self.control.grant(name, asker)

    def deny(self, name: str, asker: str, reason: str) -> None:
        self.control.deny(name, asker, reason)

    def remove(self, name: str, contact: str) -> None:
        self.control.remove_contact(name, contact)

    def texts_to(self, name: str) -> list[str]:
        messages = self.control.arrived(kind="message")
        return [
            str(entry.fields["text"])
            for entry in messages
            if entry.fields["to"] == name and entry.fields["refused"] is None
        ]

    def unacknowledged(self, name: str) -> list[str]:
        return list(self.control.kept(name))

    def left_orderly(self, name: str) -> bool:
        *_, last = self.control.arrived(account=name, kind="sign_off")
        return last.fields["orderly"] is True

    def refuse(self, reason: Refusal, retry_after: float | None = None) -> None:
        self.control.set_fault(
            Kind.REFUSE, times=1, reason=EmuRefusal(reason), retry_after=retry_after
        )

    def sign_off(self, name: str, reason: Refusal | None, text: str) -> None:
        self.control.kick(name, None if reason is None else EmuRefusal(reason), text)

    def hang_up(self) -> None:
        self.control.cut()

    def hang_up_at_connect(self) -> None:
        self.control.set_fault(Kind.DROP, moment=Moment.CONNECT)

    def hang_up_at_sign_on(self) -> None:
        self.control.set_fault(Kind.DROP, moment=Moment.SIGN_ON)

    def fall_silent(self) -> None:
        self.control.set_fault(Kind.STALL_ANSWERS)

    def stop_reading(self) -> None:
        self.control.set_fault(Kind.STALL_READING)

    def garble(self) -> None:
        self.control.say_raw('{"type": "presence"}')

    def heal(self) -> None:
        self.control.clear_faults()

    def connections(self) -> int:
        return len(self.service.connections)


@asynccontextmanager
async def in_memory(policy: Policy | None = None) -> AsyncGenerator[EmuHarness, None]:
    service = Service(RealWorld(), policy)
    async with trio.open_nursery() as nursery:
        host = MemoryHost(nursery, service)
        settings = Settings(host="emu.example", port=1, tls="off")
        yield EmuHarness(EmuNetwork(host, settings), service)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def on_loopback() -> AsyncGenerator[EmuHarness, None]:
    service = Service(RealWorld())

    async def handle(stream: trio.abc.Stream) -> None:
        await serve(stream, service)

    async with trio.open_nursery() as nursery:
        listening = await emulator_host.listen("127.0.0.1", 0)
        nursery.start_soon(listening.serve, handle)
        settings = Settings(host="127.0.0.1", port=listening.port, tls="off")
        yield EmuHarness(EmuNetwork(RealHost(), settings), service)
        nursery.cancel_scope.cancel()


HARNESSES: dict[str, MakeHarness] = {
    "emu in memory": in_memory,
    "emu on loopback": on_loopback,
}
TIMED: dict[str, MakeHarness] = {"emu in memory": in_memory}
BARE: dict[str, MakeHarness] = {
    "emu in memory": partial(in_memory, Policy(offline_messages=False, capabilities=())),
}
