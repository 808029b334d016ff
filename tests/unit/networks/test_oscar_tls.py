"""AIM behind a TLS proxy: both connections are encrypted, and nothing is told to anybody else."""

import contextlib
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gateway.errors import ConnectionLost
from gateway.host import Address, RealHost
from gateway.networks.base import (
    Account,
    MessageOutcome,
    SendMessage,
    Stage,
)
from gateway.networks.oscar import Aim
from gateway.networks.oscar.settings import AimSettings
from legacy_emu.control import Control
from legacy_emu.fronts.oscar import serve
from legacy_emu.host import RealWorld
from legacy_emu.service import Service
from tests.contract.harness import ask_of, no_challenge
from tests.unit.networks.conftest import Tapped

ROMEO = Account("romeo", "tell-nobody")
HELLO = bytes.fromhex("2a01")  # how a FLAP connection opens


@asynccontextmanager
async def proxied(
    overheard: list[bytearray], certificate: Path | None
) -> AsyncGenerator[int, None]:
    """Serve AIM, over TLS where there is a certificate, and listen in on each connection.

    As behind stunnel, the service itself knows nothing of it.
    """
    service = Service(RealWorld())
    service.addresses["oscar"] = "127.0.0.1:1"
    Control(service).create_account(ROMEO.address, ROMEO.secret)
    Control(service).create_account("juliet", "capulet")

    async def handle(stream: trio.abc.Stream) -> None:
        overheard.append(bytearray())
        tapped: trio.abc.Stream = Tapped(stream, overheard[-1])
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            tapped = trio.SSLStream(tapped, context, server_side=True, https_compatible=True)
        with contextlib.suppress(trio.BrokenResourceError):  # by a client that does not trust us
            await serve(tapped, service)

    async with trio.open_nursery() as nursery:
        listening = await RealHost().listen(Address("localhost", 0))
        nursery.start_soon(listening.serve, handle)
        yield listening.address.port
        nursery.cancel_scope.cancel()


def aim(port: int, **more: object) -> Aim:
    given: dict[str, object] = {"host": "localhost", "port": port, "tls": "on", **more}
    return Aim(RealHost(), AimSettings(**given))  # type: ignore[arg-type]


@pytest.mark.conformance("GW-SEC-01")
@pytest.mark.parametrize("login", ["md5", "md5-old", "roasted"])
async def test_login_and_session_are_both_encrypted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    overheard: list[bytearray] = []
    async with (
        proxied(overheard, certificate) as port,
        aim(port, login=login).sign_on(ROMEO, no_challenge) as client,
    ):
        message = SendMessage(ref="m", conversation="juliet", text="sweet sorrow")
        assert (await ask_of(client, message, MessageOutcome)).stage is Stage.ACCEPTED
    assert len(overheard) == 2
    for each in overheard:
        assert len(each) > 500
        assert not each.startswith(HELLO)
        assert b"romeo" not in each
        assert b"sorrow" not in each


@pytest.mark.conformance("GW-SEC-01")
async def test_without_tls_all_of_it_is_to_be_heard() -> None:
    overheard: list[bytearray] = []
    async with proxied(overheard, None) as port:
        network = aim(port, tls="off", redirect="ignore")
        async with network.sign_on(ROMEO, no_challenge):
            pass
    assert [each.startswith(HELLO) for each in overheard] == [True, True]
    assert b"romeo" in overheard[0]
    assert ROMEO.secret.encode() not in overheard[0]


@pytest.mark.conformance("GW-SEC-01")
@pytest.mark.parametrize("secured", [True, False])
async def test_who_cannot_prove_to_be_the_service_is_told_nothing(
    certificate: Path, secured: bool
) -> None:
    overheard: list[bytearray] = []
    async with proxied(overheard, certificate if secured else None) as port:
        with pytest.raises(ConnectionLost):
            await aim(port).check(ROMEO, no_challenge)
    assert not any(b"romeo" in each for each in overheard)
