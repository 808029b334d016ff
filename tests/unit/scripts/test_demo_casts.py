"""The demo's casts: each fits its network, the emulated service, and the sample it names."""

import subprocess
import sys
from pathlib import Path

import pytest

import legacy_emu
from gateway.networks import NETWORKS
from legacy_emu import config, server
from legacy_emu.fronts import FRONTS
from legacy_emu.host import RealWorld
from legacy_emu.names import canonical
from scripts.demo_casts import cast_names, load_cast
from scripts.demo_web import ACTS

SAMPLES = Path(legacy_emu.__file__).parent


def test_every_network_has_a_cast() -> None:
    assert cast_names() == sorted(NETWORKS)


@pytest.mark.parametrize("name", cast_names())
def test_a_cast_fits_its_network_and_the_service(name: str) -> None:
    cast = load_cast(name)
    assert cast.network == name
    assert cast.gateway == f"{name}.localhost"
    assert cast.front in FRONTS
    assert set(cast.acts) <= ACTS.keys()
    service = server.build(config.read(SAMPLES / cast.sample), RealWorld())
    contacts = {canonical(one.address) for one in service.backend.contacts(cast.account("romeo"))}
    assert contacts >= {cast.address("juliet"), cast.address("echo"), cast.address("mercutio")}
    assert cast.address("tybalt") in {person.address for person in service.backend.people()}


def test_a_network_that_is_not_there_is_answered_by_those_that_are() -> None:
    command = [sys.executable, "-m", "scripts.demo", "--no-browser", "--network", "pigeon"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"COLUMNS": "200", "PYTHONPATH": str(SAMPLES.parent)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no network 'pigeon'; there are: {', '.join(cast_names())}" in done.stderr
