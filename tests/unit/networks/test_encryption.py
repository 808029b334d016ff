"""The way to a legacy service: encrypted, unless the operator writes down that it is not."""

import contextlib
import ssl
import tomllib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from gateway.config import load, service_settings
from gateway.errors import ConfigurationError, ConnectionLost
from gateway.host import Address, RealHost
from gateway.networks import NETWORKS, load_network
from gateway.networks.base import Account
from gateway.networks.emu import EmuNetwork, Settings
from legacy_emu.control import Control
from legacy_emu.fronts.websocket import serve
from legacy_emu.host import RealWorld
from legacy_emu.service import Service
from tests.contract.harness import no_challenge
from tests.unit.networks.conftest import Tapped

ROMEO = Account("romeo", "tell-nobody")
REQUEST = b"GET / HTTP/1.1"  # how a WebSocket opens; what follows is masked, and so no proof
FILE = """
[[component]]
jid = "legacy.example.net"
secret = "s3cret"
network = "{network}"

[component.service]
host = "legacy.example.org"
port = 4000
"""


@pytest.mark.conformance("GW-SEC-01")
@pytest.mark.parametrize("name", NETWORKS)
def test_no_network_has_a_default_for_cleartext(name: str) -> None:
    defaults = {one.key: one.default for one in service_settings(load_network(name))}
    assert defaults["component[].service.tls"] is attrs.NOTHING


@pytest.mark.conformance("GW-SEC-01")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("written", "taken"),
    [("", False), ('tls = ""', False), ("tls = false", False), ('tls = "off"', True),
     ('tls = "on"', True)],
)  # fmt: skip
def test_cleartext_has_to_be_written_down(
    tmp_path: Path, name: str, written: str, taken: bool
) -> None:
    path = tmp_path / "balcony.toml"
    path.write_text(FILE.format(network=name) + written)
    path.chmod(0o600)
    if taken:
        [component] = load(path, env={}).components
        assert getattr(component.service, "tls", None) == tomllib.loads(written)["tls"]
    else:
        with pytest.raises(ConfigurationError, match=r"component\[0\]\.service.*\btls\b"):
            load(path, env={})


# --- on the wire -------------------------------------------------------------------------------


@asynccontextmanager
async def emulator(overheard: bytearray, certificate: Path | None) -> AsyncGenerator[int, None]:
    """Serve the emulated service, over TLS where there is a certificate, and listen in."""
    service = Service(RealWorld())
    Control(service).create_account(ROMEO.address, ROMEO.secret)

    async def handle(stream: trio.abc.Stream) -> None:
        tapped: trio.abc.Stream = Tapped(stream, overheard)
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


def network(port: int, tls: str) -> EmuNetwork:
    return EmuNetwork(RealHost(), Settings(host="localhost", port=port, tls=tls))


@pytest.mark.conformance("GW-SEC-01")
async def test_with_tls_no_password_is_to_be_heard(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    overheard = bytearray()
    async with emulator(overheard, certificate) as port:
        assert await network(port, "on").check(ROMEO, no_challenge)
        async with network(port, "on").sign_on(ROMEO, no_challenge) as client:
            assert client.own_address == "romeo"
    assert len(overheard) > 500
    assert REQUEST not in overheard


@pytest.mark.conformance("GW-SEC-01")
async def test_without_tls_all_of_it_is() -> None:
    overheard = bytearray()
    async with (
        emulator(overheard, None) as port,
        network(port, "off").sign_on(ROMEO, no_challenge),
    ):
        assert overheard.startswith(REQUEST)


@pytest.mark.conformance("GW-SEC-01")
@pytest.mark.parametrize("secured", [True, False])
async def test_who_cannot_prove_to_be_the_service_is_told_nothing(
    certificate: Path, secured: bool
) -> None:
    overheard = bytearray()
    async with emulator(overheard, certificate if secured else None) as port:
        with pytest.raises(ConnectionLost):
            async with network(port, "on").sign_on(ROMEO, no_challenge):
                pytest.fail("signed on")
    assert REQUEST not in overheard
