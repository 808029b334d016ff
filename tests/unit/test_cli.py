"""The commands of `balcony`: one clear line for each error, exit code 2 or 1, and no traceback."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from gateway import __version__, cli
from gateway.config import sample_config
from gateway.host import RealHost
from gateway.networks import NETWORKS
from gateway.store.sealing import Sealer

START_SECONDS = 20
REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY_THERE = "127.0.0.1:1"  # tcpmux: on no machine of ours


@attrs.frozen
class Said:
    code: int
    out: str
    err: str


Balcony = Callable[..., Said]


@pytest.fixture
def balcony(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Balcony:
    """Run a command as the console script does, in 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("BALCONY_CONFIG", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["balcony", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that can be used, with its key; its XMPP server is not there."""
    file = tmp_path / "balcony.toml"
    file.write_text(sample_config(server=NOBODY_THERE, secret="s3cret"))
    file.chmod(0o600)
    Sealer.create_key_file(tmp_path / "balcony.key")
    return file


def test_init_makes_a_configuration_and_a_key_that_only_their_owner_can_read(
    balcony: Balcony, tmp_path: Path
) -> None:
    folder = tmp_path / "etc" / "balcony"
    said = balcony("init", folder)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"wrote {folder}/balcony.key",
        "  keep a copy: without it no stored password can be read",
        f"wrote {folder}/balcony.toml",
        f"  edit it, then: balcony check --config {folder}/balcony.toml",
    ]
    for name in ("balcony.toml", "balcony.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    Sealer.from_file(RealHost(), folder / "balcony.key")


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_init_writes_what_a_network_needs(balcony: Balcony, tmp_path: Path, name: str) -> None:
    config = tmp_path / "balcony.toml"
    assert balcony("init", tmp_path, "--network", name).code == 0
    config.write_text(config.read_text().replace('"change-me"', '"s3cret"'))
    said = balcony("check", "--config", config)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{name}.example.net: network {name} at ")


def test_init_knows_which_networks_there_are(balcony: Balcony, tmp_path: Path) -> None:
    said = balcony("init", tmp_path / "new", "--network", "pigeon")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("balcony: unknown network 'pigeon'; there are: ")
    assert not (tmp_path / "new").exists()


def test_init_overwrites_nothing(balcony: Balcony, tmp_path: Path) -> None:
    balcony("init", tmp_path)
    key, config = tmp_path / "balcony.key", tmp_path / "balcony.toml"
    before = key.read_bytes()
    config.write_text("mine")
    said = balcony("init", tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err == f"balcony: {config} is there already; it was left alone\n"
    assert (key.read_bytes(), config.read_text()) == (before, "mine")
    config.unlink()
    assert balcony("init", tmp_path).code == 0  # beside a key that is there
    assert key.read_bytes() == before


def test_init_where_nothing_can_be_written_is_one_line(balcony: Balcony, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = balcony("init", tmp_path / "file" / "x")
    assert (said.code, said.out) == (2, "")
    assert said.err == f"balcony: cannot write to {tmp_path}/file/x: Not a directory\n"


def test_what_init_made_is_refused_until_it_was_edited(balcony: Balcony, tmp_path: Path) -> None:
    balcony("init", tmp_path)
    said = balcony("check", "--config", tmp_path / "balcony.toml")
    assert said.code == 2
    assert said.err == (
        f"balcony: {tmp_path}/balcony.toml: component[0].secret: found the sample's, expected the"
        " secret that the XMPP server has\n"
    )


def test_check_says_what_would_be_served(balcony: Balcony, config: Path) -> None:
    said = balcony("check", "-c", config)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"aim.example.net: network emu at 127.0.0.1:4000, XMPP server {NOBODY_THERE}",
        "the configuration can be used",
    ]


def test_check_warns_of_what_has_no_effect_yet(balcony: Balcony, config: Path) -> None:
    text = config.read_text().replace("admins = []", 'admins = ["admin@example.net"]')
    config.write_text(f'{text}\n[http]\nlisten = "127.0.0.1:8080"\n')
    said = balcony("check", "-c", config)
    assert said.code == 0
    warnings = [line for line in said.out.splitlines() if line.startswith("warning: ")]
    assert [line.split(":")[1].strip() for line in warnings] == ["http.listen", "access.admins"]
    assert all("has no effect yet" in line for line in warnings)


Spoil = Callable[[Path], None]


def _without_key(config: Path) -> None:
    (config.parent / "balcony.key").unlink()


def _key_for_others(config: Path) -> None:
    (config.parent / "balcony.key").chmod(0o640)


def _damaged_key(config: Path) -> None:
    (config.parent / "balcony.key").write_text("balcony-key-1 nonsense\n")


def _unknown_key(config: Path) -> None:
    config.write_text(config.read_text().replace("[access]", "[acces]"))


def _wrong_type(config: Path) -> None:
    config.write_text(config.read_text().replace("port = 4000", 'port = "4000"'))


def _no_toml(config: Path) -> None:
    config.write_text("[store\n")


def _not_there(config: Path) -> None:
    config.unlink()


BAD = [
    (_without_key, r"there is no key file \S*balcony.key; 'balcony init' makes one"),
    (_key_for_others, r"others than its owner .*\(mode 0640\); run: chmod 600 \S*/balcony.key$"),
    (_damaged_key, r"line 1 of the key file .*; restore the file from a backup$"),
    (_unknown_key, r"balcony.toml: acces: unknown key; did you mean access\?$"),
    (_wrong_type, r'component\[0\].service.port: found "4000", expected a whole number$'),
    (_no_toml, r"is not TOML: .*line 1"),
    (_not_there, r"there is no such file; 'balcony init' makes one$"),
]


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("spoil", "remedy"), BAD, ids=[one.__name__ for one, _ in BAD])
def test_a_bad_configuration_is_one_line_and_exit_code_2(
    balcony: Balcony, config: Path, spoil: Spoil, remedy: str, command: str
) -> None:
    spoil(config)
    said = balcony(command, "--config", config)
    assert (said.code, said.out) == (2, "")
    (line,) = [one for one in said.err.splitlines() if " INFO " not in one]
    assert line.startswith("balcony: ")
    assert re.search(remedy, line), line


def test_several_problems_are_several_lines(balcony: Balcony, config: Path) -> None:
    text = config.read_text().replace("port = 4000", 'port = "x"').replace('tls = "off"', "")
    config.write_text(text)
    said = balcony("check", "-c", config)
    assert said.code == 2
    assert said.err.splitlines() == [
        f"balcony: {config}:",
        '  component[0].service.port: found "x", expected a whole number',
        "  component[0].service.tls: missing, expected a string",
    ]


def test_without_a_configuration_it_says_where_one_is_looked_for(
    balcony: Balcony, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.config.SYSTEM_FILE", tmp_path / "etc" / "balcony.toml")
    said = balcony("check")
    assert said.code == 2
    assert "./balcony.toml" in said.err
    assert "'balcony init'" in said.err


@pytest.mark.parametrize("command", ["tasks", "users"])
def test_without_a_daemon_it_says_how_to_start_one(
    balcony: Balcony, config: Path, command: str
) -> None:
    said = balcony(command, "--config", config)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "balcony: no daemon runs with this configuration (nobody listens at"
        f" {config.parent}/balcony.sock): start `balcony run`\n"
    )


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check", "--nonsense"]])
def test_a_command_that_is_none_is_usage(balcony: Balcony, arguments: list[str]) -> None:
    said = balcony(*arguments)
    assert said.code == 2
    assert "Usage: balcony" in said.out + said.err


def test_the_version_is_the_packages(balcony: Balcony) -> None:
    assert balcony("version") == Said(0, f"{__version__}\n", "")


# --- the daemon, as a process -----------------------------------------------------------------


@contextmanager
def a_daemon(config: Path) -> Generator["subprocess.Popen[str]", None, None]:
    """Run `balcony run` until its socket is there; whoever is left at the end is killed."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "gateway", "run", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _until_warned(process: "subprocess.Popen[str]") -> list[str]:
    """Read the log until the daemon has tried its XMPP server: all of it runs by then."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line.rstrip())
        if "cannot connect" in line:
            return lines
    raise AssertionError("\n".join(lines))


def test_the_log_of_a_start_is_what_an_operator_acts_on(config: Path) -> None:
    with a_daemon(config) as process:
        lines = _until_warned(process)
    start, lost = (line.split(" ", 2)[2] for line in lines)
    assert start == f"INFO gateway: balcony {__version__}: aim.example.net"
    assert re.fullmatch(
        r"WARNING gateway.xmpp.component: aim.example.net: cannot connect to 127.0.0.1:1:"
        r" Connection refused; trying again in \d+ s",
        lost,
    )


@pytest.mark.conformance("GW-SEC-02")
def test_a_link_that_leaves_the_machine_is_warned_of_at_the_start(config: Path) -> None:
    config.write_text(config.read_text().replace(NOBODY_THERE, "xmpp.invalid:5347"))
    with a_daemon(config) as process:
        lines = _until_warned(process)
    [warning] = [line.split(" ", 2)[2] for line in lines if "component[0].server" in line]
    assert re.match(r"WARNING gateway: component\[0\].server: .*not encrypted", warning)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_though_no_server_is_there(
    config: Path, number: signal.Signals
) -> None:
    with a_daemon(config) as process:
        _until_warned(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, out) == (0, "")
    assert f"{number.name}: ending in order" in err
    assert "Traceback" not in err
    left = {path.name for path in config.parent.iterdir()}
    assert left == {"balcony.toml", "balcony.key", "balcony.db", "balcony.db.lock"}


def test_sighup_is_logged_and_ends_nothing(config: Path) -> None:
    with a_daemon(config) as process:
        _until_warned(process)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 0
    assert "SIGHUP: nothing can be reloaded yet; restart to change the settings" in err
    assert "SIGTERM: ending in order" in err


def test_users_and_tasks_of_a_daemon_are_readable(config: Path, balcony: Balcony) -> None:
    with a_daemon(config) as process:
        _until_warned(process)
        assert balcony("users", "-c", config) == Said(0, "nobody is registered\n", "")
        said = balcony("tasks", "-c", config)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "app",
        "├── control",
        "├── journal",
        "├── links",
        "│   └── aim.example.net",
        "│       └── roll call",
        "├── readiness",
        "├── sessions",
        "└── signals",
    ]


def test_long_names_stay_whole_for_a_program_that_reads_them(
    balcony: Balcony, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = f"{'r' * 60}@a-rather-long-domain.example.net"
    row = {"component": "aim.example.net", "user": user, "account": "[b]romeo[/b]"}
    monkeypatch.setattr(cli, "_ask", lambda _config, _command: [{**row, "state": "online"}])
    header, line = balcony("users", "-c", config).out.splitlines()
    assert header.split() == ["component", "user", "account", "state"]
    assert line.split() == ["aim.example.net", user, "[b]romeo[/b]", "online"]


def test_a_second_daemon_on_the_same_store_is_refused(config: Path, balcony: Balcony) -> None:
    with a_daemon(config) as process:
        _until_warned(process)
        with a_daemon(config) as second:
            out, err = second.communicate(timeout=START_SECONDS)
        assert (second.returncode, out) == (1, "")
        assert err.splitlines()[-1] == (
            f"balcony: {config.parent}/balcony.db.lock is locked: another balcony uses this store;"
            " stop the other balcony first, or give this one a store of its own"
        )
        assert balcony("users", "-c", config).code == 0  # the first one still answers


def test_a_key_that_is_not_the_stores_is_refused(config: Path) -> None:
    with a_daemon(config) as process:
        _until_warned(process)
        process.terminate()
        process.communicate(timeout=START_SECONDS)
    key = config.parent / "balcony.key"
    key.unlink()
    Sealer.create_key_file(key)
    with a_daemon(config) as process:
        out, err = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, out) == (1, "")
    assert "this store is sealed with another key" in err.splitlines()[-1]
    assert "Traceback" not in err


PLACES = [
    ("", 'control = "balcony.key"', 2, "balcony.key: it is there already, and no socket;"),
    ("", 'control = "no/such.sock"', 2, "no/such.sock: No such file or directory; its directory"),
    ("sqlite:///", "sqlite:///no/", 1, "no/balcony.db: No such file or directory; its directory"),
]


@pytest.mark.parametrize(("old", "new", "code", "said"), PLACES)
def test_a_place_that_cannot_be_used_is_one_line(
    config: Path, old: str, new: str, code: int, said: str
) -> None:
    text = config.read_text()
    config.write_text(text.replace(old, new) if old else f"{new}\n{text}")
    with a_daemon(config) as process:
        out, err = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, out) == (code, "")
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err
    Sealer.from_file(RealHost(), config.parent / "balcony.key")  # it is still there
