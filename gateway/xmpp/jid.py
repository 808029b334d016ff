"""JIDs (RFC 7622), the older Nodeprep that servers still apply, and XEP-0106 escaping.

A legacy name becomes a localpart by `localpart_for`: mapped, escaped, and only when every server
will leave it as it is. Any other name goes by `stable_alias`; who stands behind an alias is for the
caller to remember.
"""

import base64
import hashlib
import ipaddress
import re
import stringprep
import unicodedata
from collections.abc import Callable
from functools import lru_cache

import attrs
import idna
from precis_i18n import get_profile

from gateway.errors import BalconyError

MAX_PART_BYTES = 1023

_CACHED_JIDS = 4096
# What RFC 7622 takes out of the localpart on top of PRECIS, and XEP-0106 brings back.
_LOCALPART_EXCLUDES = frozenset("\"&'/:<>@ ")
_PLAIN_LOCALPART = re.compile(r"[!#-%(-.0-9;=?A-Z\[-~]+")
_PLAIN_RESOURCE = re.compile(r"[ -~]+")
_DOMAIN_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")

_CODES = "20|22|26|27|2f|3a|3c|3e|40|5c"
_TO_ESCAPE = re.compile(rf"[ \"&'/:<>@]|\\(?={_CODES})")
_ESCAPED = re.compile(rf"\\({_CODES})")

_ALIAS_PREFIX = "alias-"
_ALIAS_BYTES = 20
_ALIAS = re.compile(rf"{_ALIAS_PREFIX}[a-z2-7]{{32}}")

_username = get_profile("UsernameCaseMapped")
_opaque_string = get_profile("OpaqueString")
_unicode_3_2 = unicodedata.ucd_3_2_0


class InvalidJid(BalconyError, ValueError):
    """The text is no JID, or cannot stand in that part of one."""


@attrs.frozen(cache_hash=True)
class Jid:
    """One prepared address; an absent part is the empty string.

    `Jid.parse` prepares and checks. The constructor takes its parts as they are.
    """

    local: str
    domain: str
    resource: str = ""

    def __str__(self) -> str:
        text = f"{self.local}@{self.domain}" if self.local else self.domain
        return f"{text}/{self.resource}" if self.resource else text

    @property
    def bare(self) -> "Jid":
        return Jid(self.local, self.domain, "") if self.resource else self

    @property
    def is_bare(self) -> bool:
        return not self.resource

    @staticmethod
    def parse(text: str) -> "Jid":
        """Prepare `text` as RFC 7622 says. Raises `InvalidJid`.

        What only the older profiles allow is taken too: servers pass such addresses on, and their
        owners must get an answer.
        """
        if len(text) > 3 * MAX_PART_BYTES + 2:
            raise InvalidJid(f"a JID of {len(text)} characters is too long")
        return _parse(text)


@lru_cache(maxsize=_CACHED_JIDS)
def _parse(text: str) -> Jid:
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.rpartition("@")
    return Jid(
        _prepare_localpart(local) if at else "",
        _prepare_domain(domain),
        _prepare_resource(resource) if slash else "",
    )


def _prepare_localpart(text: str) -> str:
    if _PLAIN_LOCALPART.fullmatch(text):
        return _bounded(text.lower(), "localpart")
    try:
        prepared: str = _username.enforce(text)
    except UnicodeEncodeError:
        prepared = _prepare_old(text)
    if not _LOCALPART_EXCLUDES.isdisjoint(prepared):
        raise InvalidJid(f"the localpart {text!r} holds a character that is not allowed there")
    return _bounded(prepared, "localpart")


def _prepare_old(text: str) -> str:
    """Prepare by Nodeprep what PRECIS refuses; then by PRECIS, should that now take it."""
    prepared = _nodeprep(text, unassigned=True)
    try:
        again: str = _username.enforce(prepared)
    except UnicodeEncodeError:
        return prepared
    return again


def _prepare_resource(text: str) -> str:
    if _PLAIN_RESOURCE.fullmatch(text):
        return _bounded(text, "resource")
    try:
        prepared: str = _opaque_string.enforce(text)
    except UnicodeEncodeError:
        # A newer emoji than our Unicode tables know is the usual case.
        prepared = _stringprep(text, _RESOURCE_PROHIBITED, fold=False, unassigned=True)
    return _bounded(prepared, "resource")


def _prepare_domain(text: str) -> str:
    plain = text.lower().removesuffix(".")
    if plain.isascii() and "xn--" not in plain:
        if _DOMAIN_LABELS.fullmatch(plain) or _is_ipv6_literal(plain):
            return _bounded(plain, "domain")
        raise InvalidJid(f"{text!r} is no domain")
    try:
        ascii_form = idna.encode(text.removesuffix("."), uts46=True).decode("ascii")
        prepared = idna.decode(ascii_form)
    except (idna.IDNAError, UnicodeError) as exc:
        raise InvalidJid(f"{text!r} is no domain: {exc}") from exc
    if not _DOMAIN_LABELS.fullmatch(ascii_form):
        raise InvalidJid(f"{text!r} is no domain")
    return _bounded(prepared, "domain")


def _is_ipv6_literal(text: str) -> bool:
    if not (text.startswith("[") and text.endswith("]")) or "%" in text:
        return False
    try:
        ipaddress.IPv6Address(text[1:-1])
    except ValueError:
        return False
    return True


def _bounded(text: str, part: str) -> str:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if not 0 < size <= MAX_PART_BYTES:
        raise InvalidJid(f"the {part} has {size} bytes, 1 to {MAX_PART_BYTES} are allowed")
    return text


# Stringprep (RFC 3454), for servers have not moved to PRECIS.

_RESOURCE_PROHIBITED: tuple[Callable[[str], bool], ...] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_NODE_PROHIBITED = (
    stringprep.in_table_c11,
    *_RESOURCE_PROHIBITED,
    _LOCALPART_EXCLUDES.__contains__,
)


def nodeprep(text: str) -> str:
    """Prepare a localpart as RFC 3920 did. Raises `InvalidJid`, also for unassigned characters."""
    return _nodeprep(text, unassigned=False)


def _nodeprep(text: str, *, unassigned: bool) -> str:
    prepared = _stringprep(text, _NODE_PROHIBITED, fold=True, unassigned=unassigned)
    return _bounded(prepared, "localpart")


def _stringprep(
    text: str, prohibited: tuple[Callable[[str], bool], ...], *, fold: bool, unassigned: bool
) -> str:
    kept = [c for c in text if not stringprep.in_table_b1(c)]
    mapped = "".join(map(stringprep.map_table_b2, kept)) if fold else "".join(kept)
    prepared = _unicode_3_2.normalize("NFKC", mapped)
    for c in prepared:
        if any(is_prohibited(c) for is_prohibited in prohibited):
            raise InvalidJid(f"U+{ord(c):04X} is not allowed in {text!r}")
        if not unassigned and stringprep.in_table_a1(c):
            raise InvalidJid(f"U+{ord(c):04X} in {text!r} is newer than Unicode 3.2")
    _check_direction(prepared)
    return prepared


def _check_direction(text: str) -> None:
    """Refuse text that mixes writing directions as RFC 3454 section 6 forbids."""
    if not any(map(stringprep.in_table_d1, text)):
        return
    if any(map(stringprep.in_table_d2, text)):
        raise InvalidJid(f"{text!r} mixes writing directions")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise InvalidJid(f"{text!r} does not begin and end in its right-to-left script")


# Escaping (XEP-0106).


def escape(text: str) -> str:
    """Escape a name for the localpart. Case mapping and the checks are `localpart_for`'s."""
    return _TO_ESCAPE.sub(lambda found: f"\\{ord(found[0]):02x}", text)


def unescape(text: str) -> str:
    """Undo `escape`, in one pass from left to right; whatever is no escape stays."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def localpart_for(name: str) -> str | None:
    """Return the localpart that stands for a canonical legacy name, or None if there can be none.

    It is mapped to lower case, escaped, legal, and left alone by PRECIS and by Nodeprep alike.
    None is returned for what has the shape of an alias as well, so that nobody can pose as an
    aliased contact by taking the alias for a name.
    """
    mapped = unicodedata.normalize("NFC", name.lower())
    if not mapped or mapped.strip(" ") != mapped:
        return None  # XEP-0106: no \20 at either end
    localpart = escape(mapped)
    if _ALIAS.fullmatch(localpart):
        return None
    if _PLAIN_LOCALPART.fullmatch(localpart):
        return localpart if len(localpart) <= MAX_PART_BYTES else None
    try:
        settled = _username.enforce(localpart) == localpart == nodeprep(localpart)
        _bounded(localpart, "localpart")
    except (InvalidJid, UnicodeEncodeError):
        return None
    return localpart if settled else None


def stable_alias(name: str) -> str:
    """Return the localpart for a canonical name that `localpart_for` cannot represent.

    It is a hash of the name: the same for ever, and legal everywhere. `localpart_for` gives no name
    a localpart of this shape, so an alias and an escaped name never meet.
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:_ALIAS_BYTES]
    return _ALIAS_PREFIX + base64.b32encode(digest).decode("ascii").lower()


def is_alias(localpart: str) -> bool:
    """Say whether the localpart has the shape of `stable_alias`."""
    return _ALIAS.fullmatch(localpart) is not None
