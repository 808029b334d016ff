"""The one fence: a fault in the life of one connection, or of one bot, ends that life alone."""

import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


async def fenced(name: str, life: Callable[[], Awaitable[None]]) -> None:
    """Live one life. Log what it raises, from our code or a library's, and go on."""
    try:
        await life()
    except* Exception:  # not Cancelled: that is a BaseException, and passes
        log.exception("%s: ended by a bug", name)
