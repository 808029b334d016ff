"""A fresh database for each test: an SQLite file, and a private PostgreSQL where one is at hand."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.host import Host, RealHost
from gateway.store.sealing import Sealer
from gateway.store.store import Store
from tests.e2e.servers import skip_or_fail

COMPONENT = "aim.example.net"
KEY = bytes(range(32))

Opener = Callable[..., Store]


@pytest.fixture
def host() -> Host:
    return RealHost()


@pytest.fixture
def sealer(host: Host) -> Sealer:
    return Sealer(host, [KEY])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str | None]:
    """Run a PostgreSQL server of our own; None where that is not possible."""
    initdb = _postgresql_program("initdb")
    user = _unprivileged_user()
    if initdb is None or user is None:
        yield None
        return
    # In /tmp: the path of a Unix socket has little room.
    folder = Path(tempfile.mkdtemp(prefix="balcony-pg-"))
    shutil.chown(folder, user)
    as_user = [] if os.getuid() else ["runuser", "-u", user, "--"]
    data = str(folder / "data")
    control = [*as_user, str(initdb.with_name("pg_ctl")), "-D", data, "-w"]
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    log = str(folder / "log")
    try:
        _run([*as_user, str(initdb), "-D", data, "-A", "trust", "-N", "-U", "balcony"])
        _run([*control, "-l", log, "-o", options, "start"])
        yield f"postgresql+psycopg://balcony@/postgres?host={folder}"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            _run([*control, "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=60)


def _postgresql_program(name: str) -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found:
        return found[-1]
    on_path = shutil.which(name)
    return Path(on_path).resolve() if on_path else None


def _unprivileged_user() -> str | None:
    """Return who may run PostgreSQL, which refuses root."""
    if os.getuid():
        return pwd.getpwuid(os.getuid()).pw_name
    if shutil.which("runuser") is None:
        return None
    return "nobody"


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "balcony.db"


@pytest.fixture
def sqlite_url(sqlite_path: Path) -> str:
    return f"sqlite:///{sqlite_path}"


@pytest.fixture
def postgresql_url(postgresql: str | None) -> str:
    if postgresql is None:
        skip_or_fail("postgresql")
    assert postgresql is not None
    engine = sa.create_engine(postgresql)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return postgresql


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    found = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(found, str)
    return found


@pytest.fixture
def opener(host: Host, url: str, sealer: Sealer) -> Iterator[Opener]:
    """Open the test's database; what is open at the end is closed."""
    with contextlib.ExitStack() as closing:

        def open_store(key: Sealer = sealer, components: Sequence[str] = (COMPONENT,)) -> Store:
            store = Store.open(host, url, key, components)
            closing.callback(store.close)
            return store

        yield open_store


@pytest.fixture
def store(opener: Opener) -> Store:
    return opener()
