"""Whether the real servers are here, and what happens to a test whose server is not.

Without the server a test is skipped, in one line that names the Debian package; with
REQUIRE_SERVERS=1, as `scripts/test` and continuous integration set it, the test fails instead.
"""

import os
import shutil

import pytest

from scripts.lab import prosody


def require_prosody() -> None:
    """Go on when Prosody is installed; otherwise skip the test, or fail it."""
    _require(prosody.is_installed(), prosody.DEBIAN_PACKAGE)


def require_program(program: str, package: str) -> None:
    """Go on when `program` is on the path; otherwise skip the test, or fail it."""
    _require(shutil.which(program) is not None, package)


def _require(present: bool, package: str) -> None:
    if not present:
        skip_or_fail(package)


def skip_or_fail(package: str) -> None:
    """Skip the test whose server is missing, in a line that names the package, or fail it."""
    reason = f"missing server: apt-get install {package}"
    if os.environ.get("REQUIRE_SERVERS", "0") not in ("", "0"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
