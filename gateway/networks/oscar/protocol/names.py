"""Names: AIM's screen names and ICQ's numbers, and texts that are safe to hand over."""

import re

from gateway.networks.base import InvalidAddress

MAX_NAME_LENGTH = 97  # a mail-like name at its longest
MAX_TEXT_LENGTH = 100  # of a number as somebody may write it
FIRST_UIN = 10_000
LAST_UIN = 2_147_483_646

_SCREEN_NAME = re.compile(r"[a-z0-9][a-z0-9@._+-]*")
_NUMERIC = str.maketrans(dict.fromkeys("0123456789- "))
_UIN = re.compile(r"[0-9]{1,10}")


def canonical_screen_name(text: str) -> str:
    """Return the one spelling of a screen name: spaces and case do not count. Raises."""
    if len(text) > 2 * MAX_NAME_LENGTH:
        raise InvalidAddress(f"a screen name has at most {MAX_NAME_LENGTH} characters")
    folded = text.strip().replace(" ", "").lower()
    if not folded:
        raise InvalidAddress("a screen name has at least one character that is not a space")
    if len(folded) > MAX_NAME_LENGTH:
        raise InvalidAddress(f"a screen name has at most {MAX_NAME_LENGTH} characters")
    if not _SCREEN_NAME.fullmatch(folded):
        raise InvalidAddress(
            "a screen name has letters, digits and spaces, or is like a mail address"
        )
    return folded


def canonical_uin(text: str) -> str:
    """Return the one spelling of an ICQ number: dashes and spaces do not count. Raises."""
    digits = text.strip().replace(" ", "").replace("-", "") if len(text) < MAX_TEXT_LENGTH else ""
    if not _UIN.fullmatch(digits) or not FIRST_UIN <= int(digits) <= LAST_UIN:
        raise InvalidAddress("an ICQ number has five digits or more, like 12345678")
    return str(int(digits))


def canonical_contact(text: str) -> str:
    """Return the one spelling of whoever an ICQ number may talk to: a number, or a screen name.

    What has only digits, dashes and blanks is a number. Raises.
    """
    if len(text) < MAX_TEXT_LENGTH and not text.translate(_NUMERIC):
        return canonical_uin(text)
    try:
        return canonical_screen_name(text)
    except InvalidAddress as exc:
        raise InvalidAddress(
            f"an ICQ number has five digits or more, like 12345678; {exc}"
        ) from exc


def is_uin(name: str) -> bool:
    """Say whether a name is a number as ICQ has them: other names may be all digits, too."""
    return _UIN.fullmatch(name) is not None and int(name) <= LAST_UIN


def plain(text: str) -> str:
    """Replace what is half a surrogate pair: nothing else can carry it."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, most: int) -> str:
    """Return `text` within `most` bytes of UTF-8, and without half surrogate pairs."""
    data = plain(text).encode()
    if len(data) <= most:
        return data.decode()
    return data[: most - 3].decode("utf-8", "ignore") + "\N{HORIZONTAL ELLIPSIS}"
