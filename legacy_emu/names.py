"""Screen names: as on AIM, case and spaces do not count."""

import unicodedata
from functools import lru_cache

MAX_NAME_LENGTH = 64
MAX_WRITTEN_LENGTH = 1_000  # with its blanks; the cache below keeps texts as they are written


class NameRefused(ValueError):
    """A text that cannot be a screen name; the message says why."""


@lru_cache(maxsize=10_000)
def canonical(text: str) -> str:
    """Return the one spelling of a screen name. Raises `NameRefused`."""
    if len(text) > MAX_WRITTEN_LENGTH:
        raise NameRefused(f"a screen name has at most {MAX_NAME_LENGTH} characters")
    name = text.strip()
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        raise NameRefused("a screen name has no control characters and no line breaks")
    name = "".join(char for char in name if not char.isspace()).casefold()
    if not name:
        raise NameRefused("a screen name is not empty")
    if len(name) > MAX_NAME_LENGTH:
        raise NameRefused(f"a screen name has at most {MAX_NAME_LENGTH} characters")
    return name
