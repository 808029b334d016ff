"""The demo is the first thing anybody runs: it works, and it leaves nothing behind."""

import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import trio

from scripts.demo_casts import cast_names, load_cast
from scripts.demo_check import find_browser
from scripts.lab.processes import REPOSITORY, running, scratch_folder
from tests.e2e.servers import require_program, require_prosody

TEST_SECONDS = 180

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def scratch() -> Generator[Path, None, None]:
    """Where the demo puts what it needs: its path is short, for the sockets in it."""
    with scratch_folder("demo") as folder:
        yield folder


def _demo_in(folder: Path) -> dict[str, str]:
    """The environment in which everything of the demo's lands in `folder`."""
    require_prosody()
    return {"TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY)}


def _left_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def _processes_naming(folder: Path) -> list[str]:
    """The command lines of the running processes that name `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, UnicodeDecodeError):
                continue
            if str(folder) in line:
                found.append(line)
    return found


@pytest.mark.parametrize("network", cast_names())
async def test_the_demo_checks_itself_and_leaves_nothing_behind(
    network: str, tmp_path: Path, scratch: Path
) -> None:
    command = [sys.executable, "-m", "scripts.demo", "--no-browser", "--check"]
    command += ["--network", network]
    with trio.fail_after(TEST_SECONDS):
        async with running(
            "demo", command, tmp_path / "demo.log", environment=_demo_in(scratch)
        ) as demo:
            code = await demo.process.wait()
    assert code == 0, demo.log_tail()
    cast = load_cast(network)
    assert f"the service hears {cast.protocol} from the gateway, and nothing else ... ok" in (
        demo.output()
    )
    assert _left_in(scratch) == []
    assert _processes_naming(scratch) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_demo_in_order(
    tmp_path: Path, scratch: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-u", "-m", "scripts.demo", "--no-browser"]
    with trio.fail_after(TEST_SECONDS):
        async with running(
            "demo", command, tmp_path / "demo.log", environment=_demo_in(scratch)
        ) as demo:
            await demo.wait_line("Ctrl-C ends it")
            assert _processes_naming(scratch) != []
            demo.process.send_signal(number)
            code = await demo.process.wait()
    assert code == 0, demo.log_tail()
    assert _left_in(scratch) == []
    assert _processes_naming(scratch) == []


async def test_a_signal_in_the_middle_of_it_leaves_nothing_behind_either(
    tmp_path: Path, scratch: Path
) -> None:
    command = [sys.executable, "-u", "-m", "scripts.demo", "--no-browser"]
    with trio.fail_after(TEST_SECONDS):
        async with running(
            "demo", command, tmp_path / "demo.log", environment=_demo_in(scratch)
        ) as demo:
            # The gateway is being started: it is this line's successor that is under way.
            await demo.wait_line("  start the emulated legacy service ... ok")
            demo.process.send_signal(signal.SIGINT)
            code = await demo.process.wait()
    assert code == 1, demo.log_tail()
    assert "Traceback" not in demo.output()
    assert _left_in(scratch) == []
    assert _processes_naming(scratch) == []


@pytest.mark.parametrize("network", cast_names())
async def test_the_page_is_seen_to_work_in_a_browser(
    network: str, tmp_path: Path, scratch: Path
) -> None:
    require_program("npm", "npm")
    if find_browser() is None:
        require_program("chromium-headless-shell", "chromium-headless-shell")
    shots = tmp_path / "shots"
    command: list[str | Path] = [REPOSITORY / "scripts" / "demo", "--network", network, "--check"]
    command += ["--screenshots", shots]
    with trio.fail_after(TEST_SECONDS * 2):
        async with running(
            "demo", command, tmp_path / "demo.log", environment=_demo_in(scratch)
        ) as demo:
            code = await demo.process.wait()
    assert code == 0, demo.log_tail()
    assert {one.stem for one in shots.iterdir()} > {"desktop-light", "desktop-dark", "phone-light"}
    assert _left_in(scratch) == []
    assert _processes_naming(scratch) == []
