"""What `[component.service]` holds, and the presets that fill in what a kind of server needs."""

import ipaddress
import json
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from gateway.errors import RemoteProtocolError
from gateway.host import Address
from gateway.networks.oscar.protocol import OfflineStore, Variant
from gateway.strict import Wrong, host_alone

MAX_PORT = 65_535

Redirect = Literal["follow", "ignore"]


@attrs.frozen(kw_only=True)
class Preset:
    """What is known of one kind of server."""

    port: int = 5190
    tls_port: int = 5190
    login: Variant = "md5"
    offline: OfflineStore = OfflineStore.BOTH
    strips_html: bool = False
    has_utf8_directory: bool = False
    refuses_kept: bool = False
    forgets_mime: bool = False
    message_bytes: int | None = None
    retry_seconds: float = 600.0
    logins_a_minute: int = 0  # 0: as many as one likes


# It answers 512 for the length of messages and does not mean it; takes ten logins of an address
# in any minute; rewrites what looks like HTML in messages of numbers. One listener serves
# everything; TLS is stunnel's, at the port of the sample.
_OPEN_OSCAR_SERVER = Preset(
    tls_port=5193,
    offline=OfflineStore.ICQ,
    strips_html=True,
    has_utf8_directory=True,
    forgets_mime=True,
    message_bytes=2544,
    retry_seconds=60.0,
    logins_a_minute=10,
)

PRESETS: Mapping[str, Preset] = {
    "plain": Preset(),
    "open-oscar-server": _OPEN_OSCAR_SERVER,
    # Before v0.24.0 it told numbers that nobody is there when it kept a message.
    "open-oscar-server-0.23": attrs.evolve(_OPEN_OSCAR_SERVER, refuses_kept=True),
    # Servers of the old ICQ: no MD5, and messages are kept in the old way alone.
    "icq-only": Preset(login="roasted", offline=OfflineStore.ICQ),
}


def _seconds(_: object, field: "attrs.Attribute[float]", value: float) -> None:
    if not 0 < value < 86_400:
        raise Wrong(value, "a number of seconds above 0 and below a day", field.name)


def _port(_: object, field: "attrs.Attribute[int | None]", value: int | None) -> None:
    if value is not None and not 0 < value <= MAX_PORT:
        raise Wrong(value, f"a number from 1 to {MAX_PORT}", field.name)


def _amount(_: object, field: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and value < 0:
        raise Wrong(value, "0 or more", field.name)


def _name(_: object, field: "attrs.Attribute[str]", value: str) -> None:
    if value.strip() != value:
        raise Wrong(value, "a name without blanks around it", field.name)


def _code_page(_: object, field: "attrs.Attribute[str]", value: str) -> None:
    try:
        b"a".decode(value, "replace")
    except (LookupError, ValueError) as exc:
        raise Wrong(value, 'a charset, as in "cp1251"', field.name) from exc


@attrs.frozen(kw_only=True, slots=False)
class Server:
    """One server, as the operator says. `tls` has no default: cleartext must be written down."""

    name: str = attrs.field(
        default="", validator=_name
    )  # by which users choose it; empty: its host
    host: str = attrs.field(validator=host_alone)
    port: int | None = attrs.field(default=None, validator=_port)
    tls: Literal["on", "off"]
    login: Variant | None = None
    redirect: Redirect | None = None
    allow_hosts: tuple[str, ...] = attrs.field(default=(), validator=host_alone)
    code_page: str = attrs.field(default="cp1252", validator=_code_page)
    logins_a_minute: int | None = attrs.field(default=None, validator=_amount)

    @property
    def title(self) -> str:
        return self.name or self.host

    @property
    def cuts_passwords(self) -> bool:
        return False


@attrs.frozen(kw_only=True, slots=False)
class Settings(Server):
    """What both networks share: the server that is meant unless another one is chosen, and more."""

    several_sign_ons: bool = True
    max_avatar_bytes: int = attrs.field(default=4_000_000, validator=_amount)
    avatar_cache_bytes: int = attrs.field(default=16_000_000, validator=_amount)
    sign_on_seconds: float = attrs.field(default=60.0, validator=_seconds)
    sign_off_seconds: float = attrs.field(default=5.0, validator=_seconds)
    answer_seconds: float = attrs.field(default=30.0, validator=_seconds)
    ping_seconds: float = attrs.field(default=60.0, validator=_seconds)
    pong_seconds: float = attrs.field(default=30.0, validator=_seconds)

    @property
    def others(self) -> tuple[Server, ...]:
        """The servers that users may choose instead."""
        return ()


def _titles(settings: Settings, _: "attrs.Attribute[Any]", servers: tuple[Server, ...]) -> None:
    titles = [one.title for one in (settings, *servers)]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise ValueError(
            f'two servers are called "{twice[0]}": users choose by that; give each a name of its'
            ' own, as in name = "Revival"'
        )


@attrs.frozen(kw_only=True, slots=False)
class AimServer(Server):
    preset: Literal["plain", "open-oscar-server", "open-oscar-server-0.23"] = "plain"


@attrs.frozen(kw_only=True, slots=False)
class AimSettings(AimServer, Settings):
    server: tuple[AimServer, ...] = attrs.field(default=(), validator=_titles)

    @property
    def others(self) -> tuple[Server, ...]:
        return self.server


@attrs.frozen(kw_only=True, slots=False)
class IcqServer(Server):
    preset: Literal["plain", "open-oscar-server", "open-oscar-server-0.23", "icq-only"] = "plain"
    cut_password: bool = False

    @property
    def cuts_passwords(self) -> bool:
        return self.cut_password


@attrs.frozen(kw_only=True, slots=False)
class IcqSettings(IcqServer, Settings):
    server: tuple[IcqServer, ...] = attrs.field(default=(), validator=_titles)

    @property
    def others(self) -> tuple[Server, ...]:
        return self.server


def preset_of(server: Server) -> Preset:
    """Return the preset with what the operator says otherwise."""
    preset = PRESETS[getattr(server, "preset", "plain")]
    said = {
        name: value
        for name in ("login", "logins_a_minute")
        if (value := getattr(server, name)) is not None
    }
    return attrs.evolve(preset, **said)


def address_of(server: Server) -> Address:
    """Return where the login is."""
    preset = preset_of(server)
    tls = server.tls == "on"
    usual = preset.tls_port if tls else preset.port
    return Address(server.host, server.port or usual, tls=tls)


class NotAllowed(RemoteProtocolError):
    """The service sends us where the operator does not let us go; the message has the remedy."""


def redirected(server: Server, told: str, tls: int) -> Address:
    """Return where the service sends us: `told` is its word for it, `tls` as in TLV 0x8E.

    A service behind a TLS proxy knows its address in the clear alone, so that a login in TLS comes
    back to where it was, unless the service says that it speaks TLS there. Raises
    `NotAllowed` for an address the operator has not allowed, `RemoteProtocolError` for none.
    """
    here = address_of(server)
    ignores = server.redirect == "ignore"
    if server.redirect is None:
        ignores = here.tls and not tls
    if ignores or not told:
        return here
    host, port = _host_and_port(told, here.port)
    allowed = {_folded(one): one for one in (*server.allow_hosts, here.host)}
    if (known := allowed.get(_folded(host))) is None:
        raise NotAllowed(
            f"{here} sends us to {told[:100]!r}, which is not allowed; set"
            f" allow_hosts = [{json.dumps(host[:100])}],"
            ' or redirect = "ignore" if the session is where the login is'
        )
    if here.tls and not tls:
        raise NotAllowed(
            f"{here} sends us to {told[:100]!r}, where there is no TLS; set"
            ' redirect = "ignore" if the session is where the login is'
        )
    # In the operator's spelling: there is more than one, and not each of them can be dialled.
    return Address(known, port, tls=here.tls or tls in (1, 2))


def _host_and_port(told: str, usual_port: int) -> tuple[str, int]:
    host, colon, port = told.rpartition(":")
    if not colon or told.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = told, ""  # no port, or an IPv6 address by itself
    host = host.removeprefix("[").removesuffix("]")
    if not port:
        return host, usual_port
    is_number = port.isascii() and port.isdigit() and len(port) <= len(str(MAX_PORT))
    if not host or not is_number or not 0 < int(port) <= MAX_PORT:
        raise RemoteProtocolError(f"{told[:100]!r} is no address")
    return host, int(port)


def _folded(host: str) -> str:
    host = host.strip("[]").rstrip(".").casefold()
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host
