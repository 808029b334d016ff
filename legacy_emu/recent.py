"""A memory of the newest things, bounded in their number and in their length."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import attrs

T = TypeVar("T")

_BASE_LENGTH = 100  # of a thing without a text


class Recent(Generic[T]):
    """The newest items. The oldest are forgotten when there are too many, or they are too long."""

    def __init__(self, max_items: int, max_length: int) -> None:
        self._items: deque[tuple[int, T]] = deque()
        self._max_items = max_items
        self._max_length = max_length
        self._length = 0

    def add(self, item: T) -> None:
        length = length_of(item)
        self._items.append((length, item))
        self._length += length
        while len(self._items) > self._max_items or (
            self._length > self._max_length and len(self._items) > 1
        ):
            self._length -= self._items.popleft()[0]

    def __iter__(self) -> Iterator[T]:
        return (item for _, item in self._items)


def length_of(value: Any) -> int:
    """Return how many characters the texts in `value` have, more or less."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return _BASE_LENGTH + sum(length_of(each) for each in (*value, *value.values()))
    if isinstance(value, list | tuple):
        return _BASE_LENGTH + sum(map(length_of, value))
    if attrs.has(type(value)):
        fields = attrs.fields(type(value))
        return _BASE_LENGTH + sum(length_of(getattr(value, field.name)) for field in fields)
    return 0
