"""Codes of SNAC errors."""


class Code:
    """Those that are used here."""

    UNKNOWN_SNAC = 0x01
    RATE = 0x02
    NOT_LOGGED_ON = 0x04
    UNAVAILABLE = 0x05
    UNSUPPORTED = 0x08
    CLIENT_CANNOT = 0x09
    TOO_BIG = 0x0B
    MALFORMED = 0x0E
    DENIED = 0x0D
    BLOCKED_BY_YOU = 0x10
    NO_MATCH = 0x14
    INBOX_FULL = 0x0F  # as the sub-code of NOT_LOGGED_ON
