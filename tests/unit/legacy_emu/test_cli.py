"""`legacy-emu run` as its users meet it: a process, its configuration, its end."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from legacy_emu import config, server
from legacy_emu.config import Config, ConfigError
from legacy_emu.control_client import open_control
from legacy_emu.fronts import FRONTS
from legacy_emu.host import RealWorld
from legacy_emu.server import CannotListen, Running

SAMPLE = Path(config.__file__).with_name("sample.toml")
PATIENCE_SECONDS = 20

BAD_FILES = [
    ("control = 5281", "control"),
    ("contol = ''", "contol"),
    ("this is not TOML", "TOML"),
    ("[fronts]\nwebsocket = 5280", "fronts.websocket"),
    ("[policy]\nconsent = 'false'", "policy.consent"),
    ("[policy]\nmax_text_bytes = 0", "policy.max_text_bytes"),
    ("[policy]\ncapabilities = ['telepathy']", "telepathy"),
    ("[[account]]\naddress = 'romeo'", "account[0].password"),
    ("[[account]]\naddress = 'a'\npassword = 'b'\nprofile = {x = 1}", "account[0].profile.x"),
    ("[[bot]]\naccount = 'echo'\nkind = 'parrot'", "bot[0].kind"),
]

BAD_FLAGS = [
    ([], "fronts"),
    (["--front", "telepathy=127.0.0.1:0"], "telepathy"),
    (["--front", "websocket"], "NAME=HOST:PORT"),
    (["--front", "websocket=127.0.0.1"], "host:port"),
    (["--front", "websocket=127.0.0.1:99999"], "host:port"),
    (["--front", "websocket=127.0.0.1:0", "--control", "x"], "control"),
    (["--front", "websocket=127.0.0.1:0", "--accounts", "romeo"], "NAME:PASSWORD"),
    (["--front", "websocket=127.0.0.1:0", "--account", "a:b", "--account", "A:c"], "already"),
    (["--front", "websocket=127.0.0.1:0", "--web", "4080"], "web.listen"),
    (["--config", "/nowhere/at/all.toml"], "cannot read"),
]


@pytest.mark.parametrize(("text", "about"), BAD_FILES)
def test_a_bad_file_names_the_key(tmp_path: Path, text: str, about: str) -> None:
    path = tmp_path / "emu.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as wrong:
        config.read(path)
    assert about in str(wrong.value)


@pytest.mark.parametrize(("flags", "about"), BAD_FLAGS)
def test_a_bad_flag_ends_with_two_and_one_line(flags: list[str], about: str) -> None:
    done = subprocess.run(command(*flags), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert about in done.stderr
    assert len(done.stderr.splitlines()) == 1


def command(*flags: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "legacy_emu", "run", *flags]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_listens_and_ends_cleanly(how: signal.Signals) -> None:
    flags = ["--config", str(SAMPLE)]
    flags += [part for name in FRONTS for part in ("--front", f"{name}=127.0.0.1:0")]
    flags += ["--control", "127.0.0.1:0", "--web", "127.0.0.1:0", "--accounts", "rosaline:pw"]
    with trio.fail_after(PATIENCE_SECONDS):
        process = await trio.lowlevel.open_process(
            command(*flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            output = b""
            while b"ready\n" not in output:
                output += await process.stdout.receive_some()
            *fronts, control, web, ready = output.decode().splitlines()
            assert {line.split()[1] for line in fronts} == FRONTS.keys()
            assert all(line.startswith("listening ") for line in fronts)
            assert "listening websocket ws://127.0.0.1:" in output.decode()
            assert control.startswith("listening control ws://127.0.0.1:")
            assert web.startswith("listening web http://127.0.0.1:")
            assert ready == "ready"
            async with open_control(control.split()[2]) as client:
                names = {account["address"] for account in await client.call("accounts")}
            assert names >= {"romeo", "juliet", "capuletnurse", "mercutio", "rosaline"}
            process.send_signal(how)
            assert await process.wait() == 0
            assert await process.stderr.receive_some() == b""
        finally:
            process.kill()
            await process.stdout.aclose()
            await process.stderr.aclose()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                await process.wait()


def test_all_fronts_listen_at_their_usual_ports_unless_one_is_placed(tmp_path: Path) -> None:
    path = tmp_path / "emu.toml"
    path.write_text('listen = "::1"')
    assert config.read(path).fronts == {
        name: f"[::1]:{port}" for name, (_, _, port) in FRONTS.items()
    }
    path.write_text('listen = "127.0.0.1"\nfronts.websocket = "127.0.0.1:0"')
    placed = {name: f"127.0.0.1:{port}" for name, (_, _, port) in FRONTS.items()}
    assert config.read(path).fronts == {**placed, "websocket": "127.0.0.1:0"}


async def test_a_port_that_is_taken_is_named() -> None:
    once = Config(fronts={"websocket": "127.0.0.1:0"})
    async with trio.open_nursery() as nursery:
        running: Running = await nursery.start(server.run, once, RealWorld())
        where = running.urls["websocket"].removeprefix("ws://").removesuffix("/")
        twice = Config(fronts={"websocket": where})
        with pytest.RaisesGroup(pytest.RaisesExc(CannotListen, match=where)):
            await server.run(twice, RealWorld())
        nursery.cancel_scope.cancel()


def test_the_sample_is_complete_and_everybody_is_on_each_others_lists() -> None:
    service = server.build(config.check(config.read(SAMPLE)), RealWorld())
    backend = service.backend
    for first, second in (("romeo", "juliet"), ("romeo", "capulet nurse"), ("romeo", "mercutio")):
        for one, other in ((first, second), (second, first)):
            contacts = {contact.address.casefold(): contact for contact in backend.contacts(one)}
            assert contacts[other].sees
            assert contacts[other].seen_by
    assert {group for contact in backend.contacts("romeo") for group in contact.groups} > {
        "Friends"
    }
