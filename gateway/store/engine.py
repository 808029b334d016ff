"""Connections and locks: all that differs between SQLite and PostgreSQL, but for one upsert.

SQLite is a file with its lock beside it. In PostgreSQL the locks belong to the connection, so each
new connection takes them first: one that cannot is not used, and a daemon whose connection broke
works on only when it got the locks back.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from gateway.errors import StoreError
from gateway.host import Host

POSTGRESQL_DRIVER = "postgresql+psycopg"
CONNECT_SECONDS = 10
BUSY_MILLISECONDS = 5_000  # somebody looks at the file with another program
STATEMENT_MILLISECONDS = 30_000
LOCK_MILLISECONDS = 10_000

ALREADY_SERVED = "stop the other balcony first, or give this one a store of its own"


def parse_url(url: str) -> URL:
    """Read a store's URL. Raises `StoreError` for what cannot be a store."""
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise StoreError("a store's URL looks like sqlite:///balcony.db") from exc
    if parsed.drivername == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or parsed.query:
            raise StoreError("a store in SQLite is a plain file, as in sqlite:///balcony.db")
    elif parsed.drivername != POSTGRESQL_DRIVER:
        raise StoreError(
            f"no store in {parsed.drivername!r}: expected sqlite:/// or {POSTGRESQL_DRIVER}://"
        )
    return parsed


def connect(host: Host, url: URL, components: Sequence[str], closing: ExitStack) -> Engine:
    """Take the locks and make the engine; `closing` gives both back.

    Raises `StoreError` when another daemon has a lock, or the file's directory cannot be used.
    PostgreSQL's locks are taken with the first connection.
    """
    if url.drivername == POSTGRESQL_DRIVER:
        query = {"connect_timeout": str(CONNECT_SECONDS)} | dict(url.query)
        full = url.set(query=query).render_as_string(hide_password=False)
        try:
            engine = host.open_engine(full)
        except ModuleNotFoundError as exc:
            raise StoreError(
                "a store in PostgreSQL needs psycopg: pip install 'balcony-gateway[postgres]'"
            ) from exc
        closing.callback(engine.dispose)
        _prepare_postgresql(engine, components)
    else:
        path = Path(url.database or "")
        _lock_and_create(host, path, closing)
        engine = host.open_engine(url.render_as_string(hide_password=False))
        closing.callback(engine.dispose)
        _prepare_sqlite(engine)
    engine.hide_parameters = True  # errors are logged; the rows of users are not
    return engine


def _lock_and_create(host: Host, path: Path, closing: ExitStack) -> None:
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        closing.callback(host.lock_file(lock_path).close)
        path.touch(mode=0o600)
    except StoreError as exc:
        raise StoreError(f"{exc}; {ALREADY_SERVED}") from exc
    except OSError as exc:
        raise StoreError(
            f"cannot use the store {path}: {exc.strerror}; its directory must exist, and balcony's"
            " user must be allowed to write there"
        ) from exc


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # Python's sqlite3 begins transactions late, and not at all before a DDL statement; with
        # this it leaves them to us.
        connection.isolation_level = None
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            connection.execute("PRAGMA journal_mode = WAL")
            # What is acknowledged to a network is on the disk: WAL's usual NORMAL would forget the
            # last commits when the power goes.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_postgresql(engine: Engine, components: Sequence[str]) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # psycopg, an optional dependency
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {STATEMENT_MILLISECONDS}")
                cursor.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")
                for component in components:
                    key = advisory_key(f"component {component}")
                    cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
                    if cursor.fetchone() != (True,):
                        raise StoreError(
                            f"{component} is served by another balcony on this store;"
                            f" {ALREADY_SERVED}"
                        )
            connection.commit()
        except BaseException:
            connection.close()
            raise


def advisory_key(name: str) -> int:
    """Return the number PostgreSQL knows our lock `name` by."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, person=b"balcony lock").digest()
    return int.from_bytes(digest, "big", signed=True)


def lock_for_this_transaction(connection: Connection, name: str) -> bool:
    """Try to take the lock `name` until the transaction ends; SQLite's file lock covers all."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(advisory_key(name)))))


def set_foreign_keys(connection: Connection, *, on: bool) -> None:
    """Switch SQLite's foreign keys, between transactions: within one it has no effect."""
    if connection.dialect.name == "sqlite":
        cursor = connection.connection.cursor()
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if on else 'OFF'}")
        cursor.close()


def broken_references(connection: Connection) -> int:
    """Count the rows whose account is missing, where the database does not see to it."""
    if connection.dialect.name != "sqlite":
        return 0
    return len(connection.exec_driver_sql("PRAGMA foreign_key_check").all())


def damage(connection: Connection) -> str:
    """Say what is wrong with the file, as far as a quick look finds it; "" when nothing is."""
    if connection.dialect.name != "sqlite":
        return ""
    answer = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    found = " ".join(answer.split())
    return "" if found == "ok" else found
