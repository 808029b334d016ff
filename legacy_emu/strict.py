"""Structure what people and programs wrote: to the letter, with errors that name the key."""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from inspect import signature
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs


class Malformed(ValueError):
    """A value is not what it should be; the message names its key, what came, what is expected."""


def structure(value: object, wanted: Any, key: str) -> Any:
    """Return `value` as the type `wanted`, or raise `Malformed` about `key`."""
    origin = get_origin(wanted)
    if origin in (Union, UnionType):
        inner = [each for each in get_args(wanted) if each is not NoneType]
        return None if value is None else structure(value, inner[0], key)
    if origin is tuple:
        return _list(value, get_args(wanted)[0], key)
    if origin in (dict, Mapping):
        return _table(value, get_args(wanted)[1], key)
    if attrs.has(wanted):
        return _fields(value, wanted, key)
    if wanted is float and type(value) in (int, float):
        return _number(value, key)
    if wanted is datetime and type(value) is str:
        return _moment(value, key)
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        words = [word.value for word in wanted]
        if value not in words:
            raise Malformed(f"{key}: {value!r} found, expected one of {', '.join(words)}")
        return wanted(str(value))
    if type(value) is not wanted:
        raise Malformed(f"{key}: {_kind(value)} found, expected {_NAMES[wanted]}")
    return value


def arguments(call: Any, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the keyword arguments of function `call`, each to the letter of its annotation."""
    hints = get_type_hints(call)
    hints.pop("return", None)
    if unknown := [name for name in given if name not in hints]:
        raise Malformed(f"{unknown[0]}: unknown, expected one of {', '.join(hints)}")
    for name, parameter in signature(call).parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise Malformed(f"{name}: missing")
    return {name: structure(value, hints[name], name) for name, value in given.items()}


_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    datetime: "a date with time and zone",
}


def _kind(value: object) -> str:
    return _NAMES.get(type(value), "a table" if isinstance(value, dict) else repr(value)[:60])


def _number(value: Any, key: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Malformed(f"{key}: a number that is too large or none found, expected a finite one")
    return number


def _list(value: object, item: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise Malformed(f"{key}: {_kind(value)} found, expected a list")
    return tuple(structure(each, item, f"{key}[{at}]") for at, each in enumerate(value))


def _table(value: object, item: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{key}: {_kind(value)} found, expected a table")
    return {name: structure(each, item, f"{key}.{name}") for name, each in value.items()}


def _fields(value: object, wanted: Any, key: str) -> Any:
    if not isinstance(value, dict):
        raise Malformed(f"{key}: {_kind(value)} found, expected a table")
    lead = f"{key}." if key else ""
    hints = get_type_hints(wanted)
    known = {field.name: field for field in attrs.fields(wanted)}
    if unknown := [name for name in value if name not in known]:
        raise Malformed(f"{lead}{unknown[0]}: unknown, expected one of {', '.join(known)}")
    for name, field in known.items():
        if field.default is attrs.NOTHING and name not in value:
            raise Malformed(f"{lead}{name}: missing")
    made = {name: structure(each, hints[name], f"{lead}{name}") for name, each in value.items()}
    try:
        return wanted(**made)
    except Malformed:
        raise
    except ValueError as exc:
        raise Malformed(f"{lead}{exc}") from exc


def _moment(value: str, key: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as exc:
        raise Malformed(f"{key}: {value[:60]!r} found, expected {_NAMES[datetime]}") from exc
    if moment.tzinfo is None:
        raise Malformed(f"{key}: a time without its zone found, expected {_NAMES[datetime]}")
    return moment
