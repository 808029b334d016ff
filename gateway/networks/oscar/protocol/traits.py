"""What differs between services, networks and settings."""

from collections.abc import Callable
from enum import Enum

import attrs

from gateway.networks import base


class OfflineStore(Enum):
    """How messages that were kept are asked for."""

    ICBM = "icbm"
    ICQ = "icq"
    BOTH = "both"


@attrs.frozen(kw_only=True)
class Traits:
    """What differs between services, networks and settings."""

    canonical: Callable[[str], str]
    offered: base.Capabilities
    several: bool
    code_page: str
    strips_html: bool
    has_utf8_directory: bool  # else it is in the code page
    forgets_mime: bool  # of away texts; whoever reads one is told that it is ASCII
    refuses_kept: bool  # a number hears of a message that is kept as of one that is refused
    offline: OfflineStore
    message_bytes: int | None
    answer_seconds: float
    retry_seconds: float
