"""The configuration: what is taken, what is refused and in which words."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal

import attrs
import pytest

from gateway import networks
from gateway.config import (
    Config,
    Setting,
    find_config,
    known_settings,
    load,
    sample_config,
    service_settings,
)
from gateway.errors import ConfigurationError
from gateway.host import Address, Host
from gateway.networks.base import (
    Account,
    Ask,
    Capabilities,
    Description,
    LegacyClient,
    LoginLimit,
    Network,
)
from gateway.strict import at_least, between, parse_address

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENTATION = DOCS / "configuration.md"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class FakeSettings:
    host: str
    port: int = attrs.field(validator=between(1, 65535))
    tls: Literal["off", "on"]
    colour: Colour = Colour.RED
    token: str = attrs.field(default="", repr=False)
    pin: int = attrs.field(default=1, repr=False, validator=at_least(1))
    patience_seconds: float = 5.0
    noisy: bool = False
    words: tuple[str, ...] = ()
    certificate: Path | None = None


class FakeNetwork:
    Settings: ClassVar[type] = FakeSettings
    description: Description = Description("x", "X", "", "", "", (), Capabilities())

    def __init__(self, host: Host, settings: object) -> None: ...

    @staticmethod
    def canonical(text: str) -> str:
        return text

    @property
    def service_name(self) -> str:
        return "fake"

    async def check(self, account: Account, ask: Ask) -> bool:
        return False

    def login_limit(self, account: Account) -> LoginLimit | None:
        raise NotImplementedError

    def sign_on(self, account: Account, ask: Ask) -> AbstractAsyncContextManager[LegacyClient]:
        raise NotImplementedError


FAKE: type[Network] = FakeNetwork


@pytest.fixture(autouse=True)
def _fake_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "load_network", _load_fake)
    monkeypatch.setattr("gateway.config.load_network", _load_fake)


_really_load = networks.load_network


def _load_fake(name: str) -> type[Network]:
    return FAKE if name == "fake" else _really_load(name)


TABLES = "a list of tables, the header of each in double brackets: [[ ]]"
SERVICE = {"host": '"legacy.example.org"', "port": "5190", "tls": '"off"'}
COMPONENT = {"jid": '"aim.example.net"', "secret": '"s3cret"', "network": '"fake"'}


def toml(
    component: Mapping[str, str] = {},
    service: Mapping[str, str] = {},
    rest: str = "",
) -> str:
    """Write a small good file, with changes; an empty value leaves a key out."""
    lines = [rest, "[[component]]"]
    lines += [f"{key} = {value}" for key, value in {**COMPONENT, **component}.items() if value]
    lines += ["[component.service]"]
    lines += [f"{key} = {value}" for key, value in {**SERVICE, **service}.items() if value]
    return "\n".join(lines) + "\n"


def loaded(
    folder: Path,
    text: str,
    env: Mapping[str, str] = {},
) -> Config:
    path = folder / "balcony.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, env=env)


def refusal(folder: Path, text: str) -> str:
    """Return what is said of a file that cannot be used, without the file's name."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    said = str(caught.value)
    assert said.startswith(f"{folder}/balcony.toml:")
    return said.removeprefix(f"{folder}/balcony.toml:").strip()


# --- what is taken ----------------------------------------------------------------------------


def test_a_small_file_is_filled_up_with_safe_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, toml())
    assert config.store.url == f"sqlite:///{tmp_path}/balcony.db"
    assert config.store.key_file == tmp_path / "balcony.key"
    assert config.control == tmp_path / "balcony.sock"
    assert (config.http, config.log_level, config.warnings) == (None, "info", ())
    assert config.access.admins == ()
    (component,) = config.components
    assert component.jid == "aim.example.net"
    assert component.domain == "example.net"
    assert component.allow == ("example.net",)
    assert component.server == Address("127.0.0.1", 5347)
    assert component.secret == "s3cret"
    assert component.network == "fake"
    assert component.network_class is FAKE
    assert component.service == FakeSettings("legacy.example.org", 5190, "off")
    assert component.link_grace_seconds == 900
    assert component.max_stanza_bytes == 245_760
    assert (component.sign_on_limit, component.sign_on_rate) == (10, 5.0)


def test_everything_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "aim.secret").write_text("  from a file\n")
    (tmp_path / "aim.secret").chmod(0o640)
    component = {
        "jid": '"AIM.Example.Net"',
        "domain": '"chat.example.net"',
        "server": '"[::1]:5275"',
        "secret": "",
        "secret_file": '"aim.secret"',
        "link_grace_seconds": "60",
        "max_stanza_bytes": "65536",
        "sign_on_limit": "3",
        "sign_on_rate": "0.5",
    }
    service = {
        "tls": '"on"',
        "colour": '"blue"',
        "patience_seconds": "1",
        "noisy": "true",
        "words": '["a", "b"]',
        "certificate": '"ca.pem"',
    }
    rest = """
        control = "run/b.sock"
        [store]
        url = "sqlite:///data/b.db"
        key_file = "/etc/keys/b.key"
        [access]
        allow = ["Example.org", "example.com"]
        admins = ["Admin@example.org"]
        [http]
        listen = "127.0.0.1:8080"
        [log]
        level = "debug"
    """
    config = loaded(tmp_path, toml(component, service, rest))
    assert config.store.url == f"sqlite:///{tmp_path}/data/b.db"
    assert config.store.key_file == Path("/etc/keys/b.key")
    assert config.control == tmp_path / "run" / "b.sock"
    assert config.access.allow == ("example.org", "example.com")
    assert config.access.admins == ("admin@example.org",)
    assert config.http is not None
    assert config.http.listen == Address("127.0.0.1", 8080)
    assert config.log_level == "debug"
    (one,) = config.components
    assert (one.jid, one.domain) == ("aim.example.net", "chat.example.net")
    assert one.server == Address("::1", 5275)
    assert one.secret == "from a file"
    assert one.allow == ("example.org", "example.com")
    assert (one.link_grace_seconds, one.max_stanza_bytes) == (60, 65_536)
    assert (one.sign_on_limit, one.sign_on_rate) == (3, 0.5)
    assert one.service == FakeSettings(
        "legacy.example.org",
        5190,
        "on",
        Colour.BLUE,
        patience_seconds=1.0,
        noisy=True,
        words=("a", "b"),
        certificate=tmp_path / "ca.pem",
    )
    assert type(one.service.colour) is Colour
    assert all("has no effect yet" in warning for warning in config.warnings)


@pytest.mark.conformance("GW-ADDR-03")
def test_each_component_serves_its_own_domain_by_default(tmp_path: Path) -> None:
    second = toml({"jid": '"icq.example.org"'})
    config = loaded(tmp_path, toml() + second)
    assert [one.allow for one in config.components] == [("example.net",), ("example.org",)]


def test_relative_paths_count_from_the_file_not_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "balcony.toml").write_text(toml())
    monkeypatch.chdir(tmp_path)
    config = load(Path("etc/balcony.toml"), env={})
    assert config.store.key_file == tmp_path / "etc" / "balcony.key"
    assert config.store.url == f"sqlite:///{tmp_path}/etc/balcony.db"


def test_a_store_elsewhere_keeps_its_url_and_the_socket_stays_beside_the_file(
    tmp_path: Path,
) -> None:
    url = "postgresql+psycopg://balcony:pw@db.example.net/balcony"
    config = loaded(tmp_path, toml(rest=f'[store]\nurl = "{url}"'))
    assert config.store.url == url
    assert config.control == tmp_path / "balcony.sock"
    assert "pw@" not in repr(config)


def test_the_socket_is_beside_the_store(tmp_path: Path) -> None:
    config = loaded(tmp_path, toml(rest='[store]\nurl = "sqlite:////var/lib/balcony/b.db"'))
    assert config.store.url == "sqlite:////var/lib/balcony/b.db"
    assert config.control == Path("/var/lib/balcony/balcony.sock")


def test_the_runtime_directory_is_preferred_for_the_socket(tmp_path: Path) -> None:
    env = {"RUNTIME_DIRECTORY": "/run/balcony:/run/other"}
    assert loaded(tmp_path, toml(), env).control == Path("/run/balcony/balcony.sock")
    named = loaded(tmp_path, toml(rest='control = "/run/mine.sock"'), env)
    assert named.control == Path("/run/mine.sock")


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    shown = repr(loaded(tmp_path, toml(service={"token": '"t0ken"'})))
    assert "s3cret" not in shown
    assert "t0ken" not in shown
    assert "legacy.example.org" in shown


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ({"jid": ""}, "component[0].jid: missing, expected a string"),
        ({"jid": "5"}, "component[0].jid: found 5, expected a string"),
        ({"network": ""}, "component[0].network: missing, expected a string"),
        (
            {"sign_on_limit": '"3"'},
            'component[0].sign_on_limit: found "3", expected a whole number',
        ),
        (
            {"sign_on_limit": "true"},
            "component[0].sign_on_limit: found true, expected a whole number",
        ),
        (
            {"sign_on_limit": "3.0"},
            "component[0].sign_on_limit: found 3.0, expected a whole number",
        ),
        ({"sign_on_limit": "0"}, "component[0].sign_on_limit: found 0, expected 1 or more"),
        ({"sign_on_rate": "true"}, "component[0].sign_on_rate: found true, expected a number"),
        ({"sign_on_rate": "nan"}, "component[0].sign_on_rate: found nan, expected a number"),
        (
            {"sign_on_rate": "0"},
            "component[0].sign_on_rate: found 0.0, expected 0.01 or more a second",
        ),
        (
            {"link_grace_seconds": "-1"},
            "component[0].link_grace_seconds: found -1.0, expected 0 or more seconds",
        ),
        (
            {"max_stanza_bytes": "9000"},
            "component[0].max_stanza_bytes: found 9000, expected 10000 to 8388608 bytes",
        ),
        (
            {"secret": "5"},
            "component[0].secret: found a value that is not shown, expected a string",
        ),
        (
            {"jdi": '"x"'},
            "component[0].jdi: unknown key; did you mean jid?",
        ),
        (
            {"server": '"127.0.0.1"'},
            'component[0].server: found "127.0.0.1", expected an address and a port, as in'
            ' "127.0.0.1:5347" or "[::1]:5347"',
        ),
        (
            {"server": '"localhost:70000"'},
            'component[0].server: found "localhost:70000", expected a port from 1 to 65535',
        ),
        (
            {"server": "5347"},
            "component[0].server: found 5347, expected an address and a port, as in"
            ' "127.0.0.1:5347"',
        ),
        (
            {"host": '"legacy.example.org"'},
            "component[0].host: unknown key; known here: link_grace_seconds, max_stanza_bytes,"
            " sign_on_limit, sign_on_rate, invite_contacts, contact_resource, registration,"
            " registration_url, one_owner, jid, domain, server, secret, secret_file, network,"
            " service; others belong in component[0].service",
        ),
    ],
)
def test_what_is_wrong_in_a_component(
    tmp_path: Path, component: Mapping[str, str], said: str
) -> None:
    assert refusal(tmp_path, toml(component)) == said


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({"port": '"5190"'}, 'component[0].service.port: found "5190", expected a whole number'),
        ({"port": "0"}, "component[0].service.port: found 0, expected 1 to 65535"),
        ({"host": ""}, "component[0].service.host: missing, expected a string"),
        ({"tls": ""}, 'component[0].service.tls: missing, expected "off" or "on"'),
        ({"tls": "true"}, 'component[0].service.tls: found true, expected "off" or "on"'),
        ({"colour": '"r"'}, 'component[0].service.colour: found "r", expected "red" or "blue"'),
        ({"noisy": '"false"'}, 'component[0].service.noisy: found "false", expected true or false'),
        ({"noisy": "0"}, "component[0].service.noisy: found 0, expected true or false"),
        (
            {"words": '"abc"'},
            'component[0].service.words: found "abc", expected a list, as in ["one", "another"]',
        ),
        ({"words": '["a", 1]'}, "component[0].service.words[1]: found 1, expected a string"),
        ({"certificate": '""'}, 'component[0].service.certificate: found "", expected a path'),
        (
            {"token": "12345"},
            "component[0].service.token: found a value that is not shown, expected a string",
        ),
        (
            {"pin": "-77"},
            "component[0].service.pin: found a value that is not shown, expected 1 or more",
        ),
        ({"prot": "5190"}, "component[0].service.prot: unknown key; did you mean port?"),
    ],
)
def test_what_is_wrong_in_a_networks_own_settings(
    tmp_path: Path, service: Mapping[str, str], said: str
) -> None:
    assert refusal(tmp_path, toml(service=service)) == said


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("component = 5\n", f"component: found 5, expected {TABLES}"),
        ("component = []\n", "component: missing, expected at least one [[component]]"),
        ("", f"component: missing, expected {TABLES}"),
        ("[component]\n", f"component: found a table, expected {TABLES}"),
    ],
)
def test_there_is_a_component(tmp_path: Path, rest: str, said: str) -> None:
    assert refusal(tmp_path, rest) == said


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("contol = 1", "contol: unknown key; did you mean control?"),
        ("zzz = 1", "zzz: unknown key; known here: component, store, access, http, log, control"),
        ("[service]", "service: unknown key; did you mean component[].service?"),
        ("key_file = 'x'", "key_file: unknown key; did you mean store.key_file?"),
        ("store = 1", "store: found 1, expected a table"),
        ("[store]\nkeyfile = 'x'", "store.keyfile: unknown key; did you mean key_file?"),
        ("[log]\nlevel = 'loud'",
         'log.level: found "loud", expected "debug" or "info" or "warning" or "error"'),
        ("[http]",
         'http.listen: missing, expected an address and a port, as in "127.0.0.1:5347"'),
        ("[access]\nallow = ['a@example.net']",
         'access.allow[0]: found "a@example.net", expected a host name alone, without user or'
         " resource"),
        ("[access]\nadmins = ['example.net']",
         'access.admins[0]: found "example.net", expected a user\'s address, as in'
         " admin@example.net"),
        ("[store]\nurl = 'sqlite://'",
         "store.url: a store in SQLite is a plain file, as in sqlite:///balcony.db"),
        ("[store]\nurl = 'mysql://u:hush@h/d'",
         "store.url: no store in 'mysql': expected sqlite:/// or postgresql+psycopg://"),
        ("[store]\nurl = 'nonsense'", "store.url: a store's URL looks like sqlite:///balcony.db"),
    ],
)  # fmt: skip
def test_what_is_wrong_outside_the_components(tmp_path: Path, rest: str, said: str) -> None:
    assert refusal(tmp_path, toml(rest=rest)) == said


@pytest.mark.conformance("GW-ADDR-01")
@pytest.mark.parametrize("jid", ["user@aim.example.net", "aim.example.net/home", "a b.example"])
def test_a_component_is_a_host_name_alone(tmp_path: Path, jid: str) -> None:
    said = refusal(tmp_path, toml({"jid": f'"{jid}"'}))
    assert said.startswith(f'component[0].jid: found "{jid}", expected a host name')


def test_the_problem_is_named_in_the_right_component(tmp_path: Path) -> None:
    text = toml() + toml({"jid": '"icq.example.net"'}, {"port": "true"})
    assert refusal(tmp_path, text).startswith("component[1].service.port: found true")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = toml({"sign_on_limit": "0", "sever": "1"}, rest="[log]\nlevel = 1")
    assert refusal(tmp_path, text).splitlines() == [
        "component[0].sever: unknown key; did you mean server?",
        '  log.level: found 1, expected "debug" or "info" or "warning" or "error"',
    ]


def test_two_components_have_two_names(tmp_path: Path) -> None:
    said = refusal(tmp_path, toml() + toml({"jid": '"AIM.example.net"'}))
    assert said.startswith('component[1].jid: found "aim.example.net", which is component[0]\'s')


@pytest.mark.conformance("GW-ADDR-03")
def test_a_component_without_parent_needs_a_domain(tmp_path: Path) -> None:
    said = refusal(tmp_path, toml({"jid": '"gateway"'}))
    assert said.startswith("component[0].domain: missing, and gateway has no parent")
    component = loaded(tmp_path, toml({"jid": '"gateway"', "domain": '"localhost"'})).components[0]
    assert component.domain == "localhost"


def test_an_unknown_network_is_named_with_those_there_are(tmp_path: Path) -> None:
    said = refusal(tmp_path, toml({"network": '"aol"'}))
    assert said.startswith("component[0].network: unknown network 'aol'; there are: ")


# --- secrets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("component", "found"),
    [({"secret": ""}, "neither"), ({"secret_file": '"aim.secret"'}, "both")],
)
def test_a_secret_stands_in_one_place(
    tmp_path: Path, component: Mapping[str, str], found: str
) -> None:
    said = refusal(tmp_path, toml(component))
    assert said == f"component[0]: found {found} of secret and secret_file, expected one"


def test_a_secret_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "aim.secret"
    file.write_text("hush\n")
    file.chmod(0o644)
    said = refusal(tmp_path, toml({"secret": "", "secret_file": '"aim.secret"'}))
    assert said.startswith("component[0].secret_file: everybody on this machine may use")
    assert said.endswith(f"run: chmod o-rwx {file}")
    assert "hush" not in said


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, toml({"secret": "", "secret_file": '"aim.secret"'}))
    file = tmp_path / "aim.secret"
    assert said == f"component[0].secret_file: cannot read {file}: No such file or directory"


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "aim.secret"
    file.write_text(" \n")
    file.chmod(0o600)
    said = refusal(tmp_path, toml({"secret": "", "secret_file": '"aim.secret"'}))
    assert said.startswith("component[0].secret_file: found nothing")
    assert refusal(tmp_path, toml({"secret": '""'})).startswith(
        "component[0].secret: found nothing"
    )


# --- warnings ---------------------------------------------------------------------------------


@pytest.mark.conformance("GW-SEC-02")
@pytest.mark.parametrize(
    ("server", "warned"),
    [
        ("127.0.0.1:5347", False),
        ("127.1.2.3:5347", False),
        ("[::1]:5347", False),
        ("localhost:5347", False),
        ("10.0.0.1:5347", True),
        ("[2001:db8::1]:5347", True),
        ("xmpp.example.net:5347", True),
    ],
)
def test_a_server_elsewhere_is_warned_of(tmp_path: Path, server: str, warned: bool) -> None:
    config = loaded(tmp_path, toml({"server": f'"{server}"'}))
    assert [one.startswith("component[0].server: ") for one in config.warnings] == [True] * warned


def test_a_file_with_a_secret_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "balcony.toml"
    path.write_text(toml())
    path.chmod(0o644)
    (warning,) = load(path, env={}).warnings
    assert warning.startswith(f"{path} holds a secret")


def test_what_has_no_effect_yet_is_warned_of(tmp_path: Path) -> None:
    assert loaded(tmp_path, toml()).warnings == ()
    (http,) = loaded(tmp_path, toml(rest='[http]\nlisten = "127.0.0.1:80"')).warnings
    assert http.startswith("http.listen: has no effect yet")
    (admins,) = loaded(tmp_path, toml(rest='[access]\nadmins = ["me@example.net"]')).warnings
    assert admins.startswith("access.admins: has no effect yet")


def test_http_for_other_machines_is_warned_of(tmp_path: Path) -> None:
    _no_effect, warning = loaded(tmp_path, toml(rest='[http]\nlisten = "0.0.0.0:80"')).warnings
    assert warning.startswith("http.listen: ")


# --- the file itself --------------------------------------------------------------------------


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    assert re.fullmatch(r"is not TOML: .*line 2.*", refusal(tmp_path, "a = 1\nb =\n"))


def test_a_missing_file_has_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="balcony init"):
        load(tmp_path / "none.toml", env={})


def test_a_socket_path_that_no_system_takes_is_refused(tmp_path: Path) -> None:
    long = "/run/" + "x" * 95 + ".sock"
    said = refusal(tmp_path, toml(rest=f'control = "{long}"'))
    assert said.startswith(
        f"control: found {long}, which has 105 bytes, expected a path of at most"
    )


def test_the_file_is_looked_for_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "etc.toml"
    monkeypatch.setattr("gateway.config.SYSTEM_FILE", system)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="balcony init"):
        find_config(None, {})
    system.touch()
    assert find_config(None, {}) == system
    (tmp_path / "balcony.toml").touch()
    assert find_config(None, {}) == Path("balcony.toml")
    env = {"BALCONY_CONFIG": "named.toml"}
    assert find_config(None, env) == Path("named.toml")
    assert find_config(Path("given.toml"), env) == Path("given.toml")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5347", Address("127.0.0.1", 5347)),
        ("[::1]:5347", Address("::1", 5347)),
        ("xmpp.example.net:1", Address("xmpp.example.net", 1)),
        ("::1:5347", None),
        ("[::1]", None),
        ("[localhost]:5347", None),
        (":5347", None),
        ("host:", None),
        ("host:0", None),
        ("host:-1", None),
        ("host:\u0665", None),
        ("http://host:80", None),
        ("", None),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Address | None) -> None:
    if address is None:
        with pytest.raises(ValueError, match="expected a"):
            parse_address(text)
    else:
        assert parse_address(text) == address
        assert str(address) == text


# --- the sample -------------------------------------------------------------------------------


def test_the_sample_is_refused_until_it_has_the_servers_secret(tmp_path: Path) -> None:
    assert "component[0].secret: found the sample's" in refusal(tmp_path, sample_config())


def test_the_sample_can_be_used_once_it_is_filled_in(tmp_path: Path) -> None:
    secret = 'quo"te\\ü'
    text = sample_config(
        jid="icq.example.org",
        domain="example.org",
        server="[::1]:5275",
        secret=secret,
        network="fake",
        service={"host": "h", "port": 1, "tls": "on", "noisy": True},
    )
    (component,) = loaded(tmp_path, text).components
    assert component.secret == secret
    assert (component.jid, component.allow) == ("icq.example.org", ("example.org",))
    assert component.server == Address("::1", 5275)
    assert component.service == FakeSettings("h", 1, "on", noisy=True)
    plain = tomllib.loads(sample_config())
    assert plain["store"] == {"url": "sqlite:///balcony.db", "key_file": "balcony.key"}


# --- the documentation ------------------------------------------------------------------------


def documented(setting: Setting, text: str) -> bool:
    """Say whether the setting has a row in `text` with its name and its default."""
    row = rf"^\| `{re.escape(setting.key)}` \| [^|]+ \| ([^|]+) \| [^|]+ \|$"
    found = re.search(row, text, re.MULTILINE)
    return found is not None and (
        default_text(setting.default) is None or found[1] == default_text(setting.default)
    )


def default_text(default: object) -> str | None:
    """Return how the documentation writes a default; None: it explains it in words."""
    match default:
        case _ if default is attrs.NOTHING:
            return "required"
        case bool():
            return f"`{str(default).lower()}`"
        case str() | Address() | Path():
            return f'`"{default}"`'
        case int() | float():
            return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
        case ():
            return "`[]`"
        case _:
            return None


def test_every_setting_is_documented_with_its_default() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    missing = [one.key for one in known_settings() if not documented(one, text)]
    assert missing == []
    assert len(known_settings()) > 15


@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_every_setting_of_a_built_in_network_is_documented(name: str) -> None:
    settings = service_settings(networks.load_network(name))
    text = (DOCS / "networks" / f"{name}.md").read_text(encoding="utf-8")
    assert [one.key for one in settings if not documented(one, text)] == []
    assert sorted(set(rows(text)) - {one.key for one in settings}) == []


def test_the_documentation_describes_no_setting_that_is_not_there() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    assert sorted(set(rows(text)) - {one.key for one in known_settings()}) == []


def rows(text: str) -> list[str]:
    """Return the keys that have a row, of those that can be settings."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_the_documented_example_can_be_used(tmp_path: Path) -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    example = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    for name in re.findall(r'secret_file = "(\w+\.secret)"', example):
        (tmp_path / name).write_text("hush")
        (tmp_path / name).chmod(0o600)
    assert loaded(tmp_path, example).components
