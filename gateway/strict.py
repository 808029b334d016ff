"""Structure a configuration's tables into attrs classes, strictly, with errors a person can use.

cattrs does the work but coerces by default (`"5190"` becomes 5190, `"false"` True, `"abc"` a list
of letters) and ignores unknown keys. Here a value has the type that is asked for, each key is
known, and every problem names the key by its dotted path, what was found and what was expected.
"""

import difflib
import ipaddress
import math
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import (
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.gen import make_dict_structure_fn

from gateway.errors import ConfigurationError
from gateway.host import Address

T = TypeVar("T")

MAX_PORT = 65_535


class Wrong(ValueError):
    """A value that cannot be used; `key` names it when a class's validator raises this."""

    def __init__(self, found: object, expected: str, key: str = "") -> None:
        super().__init__(f"found {found!r}, expected {expected}")
        self.found = found
        self.expected = expected
        self.key = key


def structure(raw: object, cls: type[T], path: str, base: Path) -> T:
    """Make a `cls` of `raw`, which stands at the dotted `path`; "" is the top.

    Relative paths in it count from `base`. Raises `ConfigurationError`, a line for each problem.
    """
    try:
        structured: T = _converter(base).structure(raw, cls)
    except (BaseValidationError, Wrong) as exc:
        raise ConfigurationError("\n".join(_problems(exc, path))) from exc
    return structured


def at_least(least: float, unit: str = "") -> Any:
    """Return an attrs validator: the value is not below `least`."""

    def check(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
        if value < least:
            expected = f"{least} or more {unit}".rstrip()
            raise Wrong(value, expected, attribute.name)

    return check


def between(least: float, most: float, unit: str = "") -> Any:
    """Return an attrs validator: the value is neither below `least` nor above `most`."""

    def check(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
        if not least <= value <= most:
            expected = f"{least} to {most} {unit}".rstrip()
            raise Wrong(value, expected, attribute.name)

    return check


def host_alone(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Check, as an attrs validator, that each host of a string or of a tuple is one and no more."""
    expected = 'a host name or an IP address alone, as in "chat.example.org", without a port'
    for host in value if isinstance(value, tuple) else (value,):
        if not _is_host(host):
            raise Wrong(host, expected, attribute.name)


def _is_host(text: str) -> bool:
    if ":" not in text:
        return text != "" and not any(char in "[]@/" or char.isspace() for char in text)
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def parse_address(text: str) -> Address:
    """Read `host:port`; an IPv6 address stands in brackets. Raises `Wrong`."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    plain = host[1:-1] if bracketed else host
    usable = plain and not any(char in plain for char in "[]@/ ") and (":" in plain) == bracketed
    if not (colon and usable and port.isascii() and port.isdigit()):
        raise Wrong(text, 'an address and a port, as in "127.0.0.1:5347" or "[::1]:5347"')
    if not 0 < int(port) <= MAX_PORT:
        raise Wrong(text, f"a port from 1 to {MAX_PORT}")
    return Address(plain, int(port))


# --- strict types -----------------------------------------------------------------------------


def _converter(base: Path) -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)

    def table(cls: type) -> Any:
        plain: Any = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True)

        def structure_table(raw: object, of: Any) -> object:
            return plain(_expect(raw, dict), of)

        return structure_table

    def sequence(raw: object, of: Any) -> object:
        if not isinstance(raw, list):
            raise Wrong(raw, _type_name(of))
        items: Any = list[get_args(of)[0]]  # type: ignore[misc]
        return tuple(converter.structure(raw, items))

    def address(raw: object, _of: object) -> Address:
        if not isinstance(raw, str):
            raise Wrong(raw, _TYPE_NAMES[Address])
        return parse_address(raw)

    def path(raw: object, _of: object) -> Path:
        if text := _expect(raw, str):
            return base / text
        raise Wrong(raw, "a path")

    # The later a predicate is registered, the earlier it is asked; classes are asked before them.
    converter.register_structure_hook_factory(attrs.has, table)
    converter.register_structure_hook_func(_made_from(tuple), sequence)
    converter.register_structure_hook_func(_is_mapping, lambda raw, _: _expect(raw, dict))
    converter.register_structure_hook_func(_is_enum, _structure_enum)
    converter.register_structure_hook_func(_made_from(Literal), _structure_literal)
    for cls in (bool, int, str):
        converter.register_structure_hook(cls, _structure_scalar)
    converter.register_structure_hook(float, _structure_float)
    converter.register_structure_hook(Path, path)
    converter.register_structure_hook(Address, address)
    return converter


def _made_from(generic: object) -> Any:
    return lambda t: get_origin(t) is generic


def _is_mapping(of: Any) -> bool:
    return get_origin(of) in (dict, Mapping)


def _is_enum(of: Any) -> bool:
    return isinstance(of, type) and issubclass(of, Enum)


def _expect(raw: object, cls: type[T]) -> T:
    if type(raw) is not cls:  # a bool is no int here
        raise Wrong(raw, _TYPE_NAMES[cls])
    return raw


def _structure_scalar(raw: object, of: Any) -> object:
    # An enumeration that is a str or an int comes here too.
    return _structure_enum(raw, of) if _is_enum(of) else _expect(raw, of)


def _structure_float(raw: object, _of: object) -> float:
    if type(raw) not in (int, float) or not math.isfinite(raw):  # type: ignore[arg-type]
        raise Wrong(raw, _TYPE_NAMES[float])
    return float(raw)  # type: ignore[arg-type]


def _structure_literal(raw: object, of: Any) -> object:
    for value in get_args(of):
        if type(raw) is type(value) and raw == value:
            return value
    raise Wrong(raw, _type_name(of))


def _structure_enum(raw: object, of: type[Enum]) -> Enum:
    for member in of:
        if type(raw) is type(member.value) and raw == member.value:
            return member
    raise Wrong(raw, _type_name(of))


# --- saying what is wrong ---------------------------------------------------------------------

_TYPE_NAMES: Mapping[object, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
    Path: "a path",
    Address: 'an address and a port, as in "127.0.0.1:5347"',
}


def _type_name(of: Any) -> str:
    """Say in the words of TOML what a type is."""
    if of in _TYPE_NAMES:
        return _TYPE_NAMES[of]
    if get_origin(of) is Literal:
        return _one_of(get_args(of))
    if _is_enum(of):
        return _one_of(tuple(member.value for member in of))
    if get_origin(of) is tuple:
        return _list_of(get_args(of)[0])
    if get_origin(of) in (Union, types.UnionType):
        return _type_name(get_args(of)[0])
    return "a table" if attrs.has(of) or _is_mapping(of) else "a value"


def _list_of(item: Any) -> str:
    if attrs.has(item):
        return "a list of tables, the header of each in double brackets: [[ ]]"
    return 'a list, as in ["one", "another"]' if item is str else "a list"


def _one_of(values: tuple[object, ...]) -> str:
    return " or ".join(_shown(value) for value in values)


def _shown(value: object) -> str:
    """Write a value as it stands in TOML, and say what it is where that is easily mistaken."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case int() | float():
            return str(value)
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return f"{value} (a {type(value).__name__})"


def join(path: str, key: str) -> str:
    """Return the dotted path of `key` in the table at `path`."""
    return f"{path}.{key}" if path else key


def _problems(exc: Exception, path: str, *, secret: bool = False) -> Iterator[str]:
    """Yield a line for each problem in `exc`; `secret` values are not shown."""
    match exc:
        case ClassValidationError():
            fields = attrs.fields_dict(exc.cl)
            noted, others = exc.group_exceptions()
            for one, note in noted:
                if isinstance(one, KeyError):
                    yield f"{join(path, note.name)}: missing, expected {_type_name(note.type)}"
                else:
                    hide = not fields[note.name].repr
                    yield from _problems(one, join(path, note.name), secret=hide)
            for other in others:
                hide = isinstance(other, Wrong) and bool(other.key) and not fields[other.key].repr
                yield from _problems(other, path, secret=hide)
        case IterableValidationError():
            for one, index in exc.group_exceptions()[0]:
                yield from _problems(one, f"{path}[{index.index}]", secret=secret)
        case ForbiddenExtraKeysError():
            for key in sorted(exc.extra_fields):
                yield f"{join(path, key)}: unknown key; {_nearest(key, exc.cl, path)}"
        case Wrong():
            found = "a value that is not shown" if secret else _shown(exc.found)
            where = join(path, exc.key) if exc.key else path
            yield f"{where}: found {found}, expected {exc.expected}"
        case _:
            yield f"{path}: {exc}"


def _nearest(key: str, cls: type, path: str) -> str:
    """Say which key was meant, or which there are, or where there are others."""
    known = {field.name: field.type for field in attrs.fields(cls)}
    if near := difflib.get_close_matches(key, known, n=1):
        return f"did you mean {near[0]}?"
    for name, of in known.items():
        inner = get_args(of)[0] if get_origin(of) is tuple else of
        is_table = inner is not None and inner not in _TYPE_NAMES and attrs.has(inner)
        if is_table and key in attrs.fields_dict(inner):
            mark = "" if inner is of else "[]"
            return f"did you mean {join(path, name)}{mark}.{key}?"
    free = [join(path, name) for name, of in known.items() if _is_mapping(of)]
    elsewhere = f"; others belong in {' or '.join(free)}" if free else ""
    return f"known here: {', '.join(known)}{elsewhere}"
