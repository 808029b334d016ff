"""The real servers: which there are, whether they are here, and what becomes of a test if not.

Without the server a test is skipped, in one line that names the Debian package; with
REQUIRE_SERVERS=1, as `scripts/test` and continuous integration set it, the test fails instead.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import NoReturn

import attrs
import pytest

from scripts.lab import ejabberd, profanity, prosody, purple, terminal
from scripts.lab.ejabberd import prepared_ejabberd
from scripts.lab.prosody import prepared_prosody
from scripts.lab.xmpp_server import XmppServer


def require_prosody() -> None:
    """Go on when Prosody is installed; otherwise skip the test, or fail it."""
    _require(prosody.is_installed(), prosody.DEBIAN_PACKAGE)


def require_prosody_modules() -> None:
    require_prosody()
    _require(prosody.has_privilege_module(), prosody.MODULES_DEBIAN_PACKAGE)


def require_ejabberd() -> None:
    _require(ejabberd.is_installed(), ejabberd.DEBIAN_PACKAGE)


def require_profanity() -> None:
    """Go on when Profanity and the terminal it is driven in are installed."""
    _require(profanity.is_installed(), profanity.DEBIAN_PACKAGE)
    _require(terminal.is_installed(), terminal.DEBIAN_PACKAGE)


def require_bitlbee() -> None:
    _require(purple.is_installed(), purple.DEBIAN_PACKAGE)


def require_program(program: str, package: str) -> None:
    """Go on when `program` is on the path; otherwise skip the test, or fail it."""
    _require(shutil.which(program) is not None, package)


def _require(present: bool, package: str) -> None:
    if not present:
        skip_or_fail(package)


def skip_or_fail(package: str) -> None:
    """Skip the test whose server is missing, in a line that names the package, or fail it."""
    give_up(f"missing server: apt-get install {package}")


def give_up(reason: str) -> NoReturn:
    """Skip the test, in a line that says what to do, or fail it."""
    if os.environ.get("REQUIRE_SERVERS", "0") not in ("", "0"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@attrs.frozen
class Kind:
    """One of the servers that the gateway is tried on, with one of its configurations."""

    name: str
    require: Callable[[], None]
    prepare: Callable[..., AbstractAsyncContextManager[XmppServer]]
    gateway_is_down: str  # the condition by which it says so
    # Ending in order, it tells the gateway first that its users are gone.
    signs_its_users_off: bool
    sets_rosters: bool = False  # the gateway may change contact lists there, and it works

    def __str__(self) -> str:
        return self.name


PROSODY = Kind("prosody", require_prosody, prepared_prosody, "remote-server-timeout", True)
PROSODY_PRIVILEGED = attrs.evolve(
    PROSODY,
    name="prosody-privileged",
    require=require_prosody_modules,
    prepare=partial(prepared_prosody, privileged=True),
    sets_rosters=True,
)
# One that may speak with other servers looks for it there, and says `remote-server-not-found`.
EJABBERD = Kind("ejabberd", require_ejabberd, prepared_ejabberd, "forbidden", False)
# 23.01 grants a gateway the right to change contact lists, and then fails to do it.
EJABBERD_PRIVILEGED = attrs.evolve(
    EJABBERD, name="ejabberd-privileged", prepare=partial(prepared_ejabberd, privileged=True)
)
KINDS = (PROSODY, PROSODY_PRIVILEGED, EJABBERD, EJABBERD_PRIVILEGED)
PROGRAMS = (PROSODY, EJABBERD)

on_every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
on_every_program = pytest.mark.parametrize("kind", PROGRAMS, ids=str)
