"""The way in and out of a driver's connection: deadlines, and errors without a nursery around them.

A driver holds its tasks in a nursery of its own, which wraps whatever goes through it into a group;
whoever signs on with the driver is to see what was raised, and nothing else.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import trio

from gateway.errors import ConnectionLost
from gateway.host import Address


@contextmanager
def in_time(deadline: float, address: Address) -> Generator[None, None, None]:
    """Bound what waits for the service at `address` (trio time). Raises `ConnectionLost`."""
    try:
        with trio.fail_at(deadline):
            yield
    except trio.TooSlowError as exc:
        raise ConnectionLost(f"{address} took too long to answer") from exc


def without_nursery(
    group: BaseExceptionGroup[BaseException], body_error: BaseException | None
) -> BaseException:
    """Return what the body raised; or the group, when a task of ours broke as well."""
    if body_error is None:
        return group
    # Not the groups themselves are compared: nurseries take them apart and make new ones.
    expected = {id(exc) for exc in leaves(body_error)}
    others = [
        exc
        for exc in leaves(group)
        if id(exc) not in expected and not isinstance(exc, trio.Cancelled)
    ]
    return group if others else body_error


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Return the plain exceptions in `error`, which may be one itself."""
    if isinstance(error, BaseExceptionGroup):
        for exc in error.exceptions:
            yield from leaves(exc)
    else:
        yield error
