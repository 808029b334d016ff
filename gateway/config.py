"""The configuration file: found, read, checked, and made into frozen settings.

`docs/configuration.md` describes every key, and a test holds the two together. Errors name the key
by its dotted path. Strictness is `strict.py`'s business; what a network's own settings are is said
by its class.
"""

import ipaddress
import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from gateway.errors import ConfigurationError, StoreError
from gateway.host import Address
from gateway.networks import load_network
from gateway.networks.base import Network
from gateway.store.engine import parse_url
from gateway.strict import at_least, between, join, structure
from gateway.xmpp.jid import InvalidJid, Jid

ENVIRONMENT_VARIABLE = "BALCONY_CONFIG"
FILE_NAME = "balcony.toml"
SYSTEM_FILE = Path("/etc/balcony/balcony.toml")
SAMPLE_SECRET = "change-me"  # noqa: S105 - what it is for says its name
MAX_SOCKET_PATH_BYTES = 103  # the least that the systems we know give a Unix socket's path

MIN_STANZA_BYTES = 10_000  # RFC 6120, 13.12: no server may allow less
MAX_STANZA_BYTES = 8 * 1024 * 1024  # the stream is closed there
SERVER = Address("127.0.0.1", 5347)

LogLevel = Literal["debug", "info", "warning", "error"]
Registration = Literal["open", "closed"]


# --- the settings, as the program uses them ---------------------------------------------------


@attrs.frozen
class StoreConfig:
    url: str = attrs.field(repr=False)  # PostgreSQL's may hold a password
    key_file: Path


@attrs.frozen
class Access:
    """Whom the gateway serves. `allow` empty: each component serves its own `domain`."""

    allow: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()


@attrs.frozen
class HttpConfig:
    listen: Address


def _resource(_: object, field: "attrs.Attribute[str]", value: str) -> None:
    if value and _prepared_resource(value) != value:
        raise ValueError(
            f"{field.name} is {value!r}, expected the resource of an address, or nothing"
        )


def _prepared_resource(text: str) -> str | None:
    try:
        return Jid.parse(f"contact@example.net/{text}").resource
    except InvalidJid:
        return None


@attrs.frozen(kw_only=True)
class _Tunables:
    """What may be set for a component and needs no thought at first."""

    link_grace_seconds: float = attrs.field(default=900.0, validator=at_least(0, "seconds"))
    max_stanza_bytes: int = attrs.field(
        default=245_760, validator=between(MIN_STANZA_BYTES, MAX_STANZA_BYTES, "bytes")
    )
    sign_on_limit: int = attrs.field(default=10, validator=at_least(1))
    sign_on_rate: float = attrs.field(default=5.0, validator=at_least(0.01, "a second"))
    invite_contacts: bool = False
    contact_resource: str = attrs.field(default="", validator=_resource)
    registration: Registration = "open"
    registration_url: str = ""
    one_owner: bool = False


@attrs.frozen(kw_only=True)
class ComponentConfig(_Tunables):
    """One component of the XMPP server, and the legacy service behind it."""

    jid: str
    domain: str
    server: Address
    secret: str = attrs.field(repr=False)
    network: str
    network_class: type[Network]
    service: object  # an instance of the network's `Settings`
    allow: tuple[str, ...]  # the domains whose users it serves


@attrs.frozen(kw_only=True)
class Config:
    """A configuration that was read and can be used, as far as the file alone tells.

    `warnings` are sentences for the log: allowed, but worth a thought.
    """

    store: StoreConfig
    components: tuple[ComponentConfig, ...]
    access: Access
    control: Path
    http: HttpConfig | None
    log_level: str
    warnings: tuple[str, ...]


# --- the file, as it is written ---------------------------------------------------------------


@attrs.frozen
class _StoreTable:
    url: str = attrs.field(default="sqlite:///balcony.db", repr=False)
    key_file: Path = Path("balcony.key")


@attrs.frozen
class _LogTable:
    level: LogLevel = "info"


@attrs.frozen(kw_only=True)
class _ComponentTable(_Tunables):
    jid: str
    domain: str | None = None
    server: Address = SERVER
    secret: str | None = attrs.field(default=None, repr=False)
    secret_file: Path | None = None
    network: str
    service: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class _File:
    component: tuple[_ComponentTable, ...]
    store: _StoreTable = _StoreTable()
    access: Access = Access()
    http: HttpConfig | None = None
    log: _LogTable = _LogTable()
    control: Path | None = None


@attrs.frozen
class Setting:
    """One key of the file: its dotted path, and its default; `attrs.NOTHING`: it must be there."""

    key: str
    default: object


def known_settings() -> list[Setting]:
    """Return every key of the file, but for the networks' own below `component[].service`."""
    return [one for one in _settings_of(_File, "") if one.key != "component[].service"]


def service_settings(network: type[Network]) -> list[Setting]:
    """Return every key of `component[].service` for a network."""
    return list(_settings_of(network.Settings, "component[].service"))


def _settings_of(cls: type, path: str) -> Iterator[Setting]:
    tables = {"store": _StoreTable, "access": Access, "http": HttpConfig, "log": _LogTable}
    for field in attrs.fields(cls):
        key = join(path, field.name)
        if cls is _File and field.name == "component":
            yield from _settings_of(_ComponentTable, "component[]")
        elif cls is _File and field.name in tables:
            yield from _settings_of(tables[field.name], key)
        else:
            yield Setting(key, field.default)


# --- finding and loading ----------------------------------------------------------------------


def find_config(given: Path | None, env: Mapping[str, str]) -> Path:
    """Return the file to read: `given`, `$BALCONY_CONFIG`, here, or the system's.

    Raises `ConfigurationError` when there is none of the latter two.
    """
    if given is not None:
        return given
    if named := env.get(ENVIRONMENT_VARIABLE):
        return Path(named)
    for path in (Path(FILE_NAME), SYSTEM_FILE):
        if path.is_file():
            return path
    raise ConfigurationError(
        f"there is no configuration: neither ./{FILE_NAME} nor {SYSTEM_FILE}; name one with"
        f" --config or ${ENVIRONMENT_VARIABLE}, or make one with 'balcony init'"
    )


def load(path: Path, *, env: Mapping[str, str]) -> Config:
    """Read the file at `path` and the secrets it names. Raises `ConfigurationError`."""
    base = path.absolute().parent
    try:
        file = structure(_read(path), _File, "", base)
        return _resolve(file, path, base, env)
    except ConfigurationError as exc:
        problems = str(exc).splitlines()
        separator = " " if len(problems) == 1 else "\n  "
        raise ConfigurationError(separator.join([f"{path}:", *problems])) from exc


def _read(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigurationError("there is no such file; 'balcony init' makes one") from exc
    except OSError as exc:
        raise ConfigurationError(f"cannot be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"is not TOML: {exc}") from exc


def _resolve(file: _File, path: Path, base: Path, env: Mapping[str, str]) -> Config:
    if not file.component:
        raise ConfigurationError("component: missing, expected at least one [[component]]")
    allow = tuple(
        _domain(text, f"access.allow[{index}]") for index, text in enumerate(file.access.allow)
    )
    admins = tuple(
        _person(text, f"access.admins[{index}]") for index, text in enumerate(file.access.admins)
    )
    url, folder = _store_url(file.store.url, base)
    components = tuple(
        _component(table, f"component[{index}]", allow, base)
        for index, table in enumerate(file.component)
    )
    _refuse_twins(components)
    return Config(
        store=StoreConfig(url, base / file.store.key_file),  # the default is relative yet
        components=components,
        access=Access(allow, admins),
        control=_control(file.control, folder, env),
        http=file.http,
        log_level=file.log.level,
        warnings=tuple(_warnings(file, components, path)),
    )


def _component(
    table: _ComponentTable, path: str, allow: tuple[str, ...], base: Path
) -> ComponentConfig:
    jid = _domain(table.jid, f"{path}.jid")
    if table.domain is not None:
        domain = _domain(table.domain, f"{path}.domain")
    else:
        domain = jid.partition(".")[2]
        if not domain:
            raise ConfigurationError(
                f"{path}.domain: missing, and {jid} has no parent to take it from;"
                " expected the XMPP server's own domain"
            )
    if table.registration_url and table.registration == "open":
        raise ConfigurationError(
            f'{path}.registration_url: found one, but {path}.registration is "open"; expected it'
            ' with registration = "closed" alone'
        )
    secret = _secret(table, path)
    network_class, service = _service(table, path, base)
    tunables = {field.name: getattr(table, field.name) for field in attrs.fields(_Tunables)}
    return ComponentConfig(
        jid=jid,
        domain=domain,
        server=table.server,
        secret=secret,
        network=table.network,
        network_class=network_class,
        service=service,
        allow=allow or (domain,),
        **tunables,
    )


def _service(table: _ComponentTable, path: str, base: Path) -> tuple[type[Network], object]:
    try:
        network_class = load_network(table.network)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{path}.network: {exc}") from exc
    settings = network_class.Settings
    return network_class, structure(dict(table.service), settings, f"{path}.service", base)


def _refuse_twins(components: tuple[ComponentConfig, ...]) -> None:
    first: dict[str, int] = {}
    for index, component in enumerate(components):
        earlier = first.setdefault(component.jid, index)
        if earlier != index:
            raise ConfigurationError(
                f'component[{index}].jid: found "{component.jid}", which is component[{earlier}]\'s'
                " already; expected one of its own"
            )


def _domain(text: str, path: str) -> str:
    """Prepare a host name. A user's address or a resource is none (XEP-0100, GW-ADDR-01)."""
    try:
        jid = Jid.parse(text)
    except InvalidJid as exc:
        raise ConfigurationError(f'{path}: found "{text}", expected a host name: {exc}') from exc
    if "@" in text or "/" in text:
        raise ConfigurationError(
            f'{path}: found "{text}", expected a host name alone, without user or resource'
        )
    return str(jid)


def _person(text: str, path: str) -> str:
    expected = "a user's address, as in admin@example.net"
    try:
        jid = Jid.parse(text)
    except InvalidJid as exc:
        raise ConfigurationError(f'{path}: found "{text}", expected {expected}: {exc}') from exc
    if not jid.local or jid.resource:
        raise ConfigurationError(f'{path}: found "{text}", expected {expected}')
    return str(jid)


def _secret(table: _ComponentTable, path: str) -> str:
    if (table.secret is None) == (table.secret_file is None):
        found = "neither" if table.secret is None else "both"
        raise ConfigurationError(f"{path}: found {found} of secret and secret_file, expected one")
    if table.secret_file is not None:
        return _read_secret(table.secret_file, f"{path}.secret_file")
    assert table.secret is not None
    return _usable_secret(table.secret, f"{path}.secret")


def _read_secret(file: Path, path: str) -> str:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        why = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"{path}: cannot read {file}: {why}") from exc
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigurationError(
            f"{path}: everybody on this machine may use {file} (mode {mode:04o}), expected a file"
            f" that others cannot read; run: chmod o-rwx {file}"
        )
    return _usable_secret(text, path)


def _usable_secret(text: str, path: str) -> str:
    if not text:
        raise ConfigurationError(f"{path}: found nothing, expected the component's secret")
    if text == SAMPLE_SECRET:
        raise ConfigurationError(
            f"{path}: found the sample's, expected the secret that the XMPP server has"
        )
    return text


def _store_url(text: str, base: Path) -> tuple[str, Path]:
    """Return the URL with an absolute path, and the folder that the store is in."""
    try:
        url = parse_url(text)
    except StoreError as exc:
        raise ConfigurationError(f"store.url: {exc}") from exc
    if url.drivername != "sqlite":
        return text, base
    file = base / (url.database or "")
    return url.set(database=str(file)).render_as_string(hide_password=False), file.parent


def _control(given: Path | None, folder: Path, env: Mapping[str, str]) -> Path:
    runtime = env.get("RUNTIME_DIRECTORY", "").partition(os.pathsep)[0]
    path = given or (Path(runtime) if runtime else folder) / "balcony.sock"
    size = len(os.fsencode(path))
    if size > MAX_SOCKET_PATH_BYTES:
        raise ConfigurationError(
            f"control: found {path}, which has {size} bytes, expected a path of at most"
            f" {MAX_SOCKET_PATH_BYTES}: a Unix socket's cannot be longer; set a shorter one"
        )
    return path


def _warnings(file: _File, components: tuple[ComponentConfig, ...], path: Path) -> Iterator[str]:
    for index, component in enumerate(components):
        if not _is_loopback(component.server.host):
            yield (
                f"component[{index}].server: {component.server} is not on this machine, and the"
                " component link is not encrypted: its secret's proof and all messages cross the"
                " network in the clear; use a private channel"
            )
    inline = any(table.secret is not None for table in file.component)
    if inline and stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH:
        yield (
            f"{path} holds a secret and everybody on this machine may read it;"
            f" run: chmod o-rwx {path}"
        )
    if file.http is not None:
        yield "http.listen: has no effect yet: this version serves nothing there"
    if file.access.admins:
        yield "access.admins: has no effect yet: this version has no commands for administrators"
    if file.http is not None and not _is_loopback(file.http.listen.host):
        yield f"http.listen: {file.http.listen} may be reached from other machines, unencrypted"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


# --- the file to start from -------------------------------------------------------------------


def sample_config(
    *,
    jid: str = "aim.example.net",
    domain: str = "example.net",
    server: str = str(SERVER),
    secret: str = SAMPLE_SECRET,
    network: str = "emu",
    service: Mapping[str, str | int | float | bool] | None = None,
) -> str:
    """Return a commented file to start from; with the sample's secret, `load` refuses it.

    Without `service`, it has what the network shows. Raises `ConfigurationError` for a network that
    is not there.
    """
    settings = load_network(network).description.sample if service is None else service
    lines = "\n".join(f"{key} = {_toml(value)}" for key, value in settings.items())
    file = f"{jid.partition('.')[0]}.secret"
    return f"""\
# Balcony's configuration: the least it needs. docs/configuration.md has every key, docs/networks
# those of a network.
# Relative paths count from this file. 'balcony check' says whether it can be used.

[store]
url = "sqlite:///balcony.db"
key_file = "balcony.key"   # seals the users' passwords; keep a copy apart from the database's

[[component]]
jid = {_toml(jid)}   # the gateway's own name, as the XMPP server has it
domain = {_toml(domain)}   # that server's domain
server = {_toml(server)}   # where the server waits for components
secret = {_toml(secret)}   # as in the server; or: secret_file = {_toml(file)}
network = {_toml(network)}

[component.service]   # where the legacy service is, and what else its network asks for
{lines}

[access]
allow = [{_toml(domain)}]   # whose users may use the gateway
admins = []   # as in ["admin@example.net"]
"""


def _toml(value: str | int | float | bool) -> str:
    """Write a value in TOML; JSON's strings and booleans are TOML's too."""
    return json.dumps(value, ensure_ascii=True)
