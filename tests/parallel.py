"""Part of every test run: how a run on several cores (`-n auto --dist loadgroup`) shares out tests.

Those that need real servers stay together, one after the other in one of the workers: two at once
would only take the machine away from each other. They come first, then the slow ones, so that at
the end only short ones are left to share out.
"""

import os
from collections.abc import Generator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

SERVERS = ("tests/e2e/", "tests/unit/xmpp/test_server_link.py")
FILES = ("tests/e2e/test_removal.py",)  # whole: what is prepared for one of their tests takes long


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        # Coverage is measured where the tests run, not in the programs that they start.
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def refuse(config: pytest.Config, items: list[pytest.Item], what: str, why: str) -> None:
    """End the run before it starts, while tests are collected: `what` is at fault."""
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(why)
    items.clear()
    report = pytest.CollectReport(what, "failed", why, [])
    config.hook.pytest_collectreport(report=report)  # the controller says so, once


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    for item in items:
        if item.get_closest_marker("servers") and _group(item.nodeid) != "servers":
            where = item.nodeid.partition("::")[0]
            refuse(config, items, where, f"{where} needs servers: tests/parallel.py has to know")
            break
    yield
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)  # after those to whom the order means something have seen it


def _group(nodeid: str) -> str:
    """Return which tests this one stays together with: those of the same group."""
    if nodeid.startswith(FILES):
        return nodeid.partition("::")[0]
    return "servers" if nodeid.startswith(SERVERS) else nodeid


def _turn(item: pytest.Item) -> int:
    if _group(item.nodeid) == "servers":
        return 0
    return 1 if item.get_closest_marker("slow") else 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "_Scheduling | None":
    return _Scheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Every test for itself, but for those that stay together.

    xdist's own knows a group by the end of a test's name, which pytest 9 does not let it write.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)
