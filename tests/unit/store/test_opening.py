"""Who may open a store, and what is said to those who may not; what a dump of it shows."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from gateway.errors import StoreError
from gateway.host import FileLock, Host, RealHost
from gateway.store import schema
from gateway.store.sealing import Sealer
from gateway.store.store import JournalEntry, Store, StoredContact
from tests.unit.store.conftest import COMPONENT, KEY, Opener

OTHER_KEY = bytes(32)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@contextmanager
def raw(url: str) -> Iterator[sa.Connection]:
    """Reach into the database past the store."""
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def filled(store: Store) -> int:
    """Put one account with a waiting message into the store."""
    account = store.save_account(COMPONENT, "romeo@example.net", "romeo", "swordfish", {"x": "y"})
    entry = JournalEntry(account.account_id, "to_user", "s1", b"<body>hush</body>", NOON)
    store.commit_journal([entry], [], [(account.account_id, "L1")])
    return account.account_id


# --- one daemon -------------------------------------------------------------------------------


def test_a_second_daemon_is_refused_until_the_first_is_gone(opener: Opener) -> None:
    first = opener()
    filled(first)
    with pytest.raises(StoreError, match="stop the other balcony first"):
        opener()
    assert len(first.accounts(COMPONENT)) == 1
    first.close()
    assert len(opener().accounts(COMPONENT)) == 1


def test_a_refused_opening_leaves_no_lock(opener: Opener, host: Host) -> None:
    opener().close()
    with pytest.raises(StoreError, match="another key"):
        opener(key=Sealer(host, [OTHER_KEY]))
    opener()


@pytest.mark.slow
def test_daemons_with_other_components_share_a_server(
    host: Host, sealer: Sealer, postgresql_url: str
) -> None:
    with (
        closing(Store.open(host, postgresql_url, sealer, ["a.example", "b.example"])),
        closing(Store.open(host, postgresql_url, sealer, ["c.example"])),
    ):
        with pytest.raises(StoreError, match=r"b\.example is served by another"):
            Store.open(host, postgresql_url, sealer, ["d.example", "b.example"])
        Store.open(host, postgresql_url, sealer, ["d.example"]).close()


@pytest.mark.slow
def test_a_lost_connection_takes_the_lock_again(
    host: Host, sealer: Sealer, postgresql_url: str
) -> None:
    with closing(Store.open(host, postgresql_url, sealer, [COMPONENT])) as store:
        with raw(postgresql_url) as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE pid != pg_backend_pid() AND datname = current_database()"
            )
        with pytest.raises(StoreError, match="store failed"):
            store.accounts(COMPONENT)
        assert store.accounts(COMPONENT) == []
        with pytest.raises(StoreError, match="stop the other balcony first"):
            Store.open(host, postgresql_url, sealer, [COMPONENT])


@pytest.mark.slow
def test_a_killed_daemon_leaves_no_lock(
    host: Host, sealer: Sealer, sqlite_url: str, sqlite_path: Path
) -> None:
    script = (
        "import sys; from gateway.host import RealHost; from gateway.store.sealing import Sealer;"
        "from gateway.store.store import Store; h = RealHost();"
        f"s = Store.open(h, {sqlite_url!r}, Sealer(h, [{KEY!r}]), ['{COMPONENT}']);"
        "s.save_alias('c', 'a', 'x'); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=_ROOT) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match="stop the other balcony first"):
            Store.open(host, sqlite_url, sealer, [COMPONENT])
        daemon.send_signal(signal.SIGKILL)
    with closing(Store.open(host, sqlite_url, sealer, [COMPONENT])) as store:
        assert store.aliases("c") == {"a": "x"}


_ROOT = Path(__file__).resolve().parents[3]


# --- keys -------------------------------------------------------------------------------------


def test_the_wrong_key_is_refused_even_for_an_empty_store(opener: Opener, host: Host) -> None:
    opener().close()
    with pytest.raises(StoreError, match=r"another key.*put the right key file back"):
        opener(key=Sealer(host, [OTHER_KEY]))


def test_a_key_with_the_right_name_that_does_not_open_is_refused(opener: Opener, url: str) -> None:
    opener().close()
    with raw(url) as connection:
        connection.execute(sa.update(schema.store_key).values(sealed=b"\0" * 40))
    with pytest.raises(StoreError, match="store key"):
        opener()


def test_a_new_key_before_the_old_one_opens_and_seals(opener: Opener, host: Host) -> None:
    first = opener()
    filled(first)
    first.close()
    second = opener(key=Sealer(host, [OTHER_KEY, KEY]))
    second.save_account(COMPONENT, "juliet@example.net", "juliet", "rosebud", {})
    assert [one.secret for one in second.accounts(COMPONENT)] == ["swordfish", "rosebud"]
    second.close()
    for keys in ([KEY], [OTHER_KEY]):  # either alone would leave rows that do not open
        with pytest.raises(StoreError, match="another key"):
            opener(key=Sealer(host, keys))


def test_rekeying_seals_everything_with_the_new_key_alone(
    opener: Opener, host: Host, url: str
) -> None:
    store = opener()
    account_id = filled(store)
    before = store.accounts(COMPONENT), store.journal(COMPONENT)
    new = Sealer(host, [OTHER_KEY])
    assert store.rekey(new) == 2
    assert (store.accounts(COMPONENT), store.journal(COMPONENT)) == before
    late = JournalEntry(account_id, "from_user", "s2", b"late", NOON)
    store.commit_journal([late], [], [])
    store.close()
    with raw(url) as connection:
        tables = (schema.account, schema.journal, schema.store_key)
        used = {key for table in tables for key in connection.scalars(sa.select(table.c.key_id))}
    assert used == {new.key_id}
    with pytest.raises(StoreError, match="another key"):
        opener()
    after = opener(key=new)
    assert after.accounts(COMPONENT) == before[0]
    assert [row.payload for row in after.journal(COMPONENT)] == [b"<body>hush</body>", b"late"]


@pytest.mark.slow
def test_rekeying_is_refused_while_others_work_on_the_store(
    host: Host, sealer: Sealer, postgresql_url: str
) -> None:
    with closing(Store.open(host, postgresql_url, sealer, ["a.example", COMPONENT])) as store:
        filled(store)
        with closing(Store.open(host, postgresql_url, sealer, ["b.example"])) as other:
            other.save_account("b.example", "x@example.net", "x", "y", {})
            with pytest.raises(StoreError, match=r"another balcony serves b\.example"):
                store.rekey(Sealer(host, [OTHER_KEY]))
            assert [one.broken for one in other.accounts("b.example")] == [False]
        assert store.rekey(Sealer(host, [OTHER_KEY])) == 3


# --- what is in the database ------------------------------------------------------------------


@pytest.mark.conformance("GW-SEC-03")
def test_no_secret_and_no_body_is_in_the_files(
    host: Host, sealer: Sealer, sqlite_url: str, sqlite_path: Path
) -> None:
    store = Store.open(host, sqlite_url, sealer, [COMPONENT])
    filled(store)
    log = sqlite_path.with_name("balcony.db-wal")
    contents = log.read_bytes()  # the file itself only later: reading it here would drop locks
    assert b"romeo@example.net" in contents
    store.close()
    contents += sqlite_path.read_bytes()
    assert b"romeo@example.net" in sqlite_path.read_bytes()
    for hidden in (b"swordfish", b"hush", KEY):
        assert hidden not in contents


def test_the_files_are_their_owners_alone(
    host: Host, sealer: Sealer, sqlite_url: str, sqlite_path: Path
) -> None:
    before = os.umask(0)
    try:
        with closing(Store.open(host, sqlite_url, sealer, [COMPONENT])) as store:
            filled(store)
            modes = {
                path.name: path.stat().st_mode & 0o777 for path in sqlite_path.parent.iterdir()
            }
    finally:
        os.umask(before)
    assert modes == {
        "balcony.db": 0o600,
        "balcony.db-shm": 0o600,
        "balcony.db-wal": 0o600,
        "balcony.db.lock": 0o600,
    }


def test_moved_credentials_do_not_open_and_stop_nobody(
    store: Store, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    filled(store)
    store.save_account(COMPONENT, "eve@example.net", "eve", "evesown", {})
    store.save_preferences(2, {"a": "b"})
    with raw(url) as connection:
        table = schema.account
        stolen = sa.select(table.c.credentials).where(table.c.jid == "romeo@example.net")
        data = connection.scalar(stolen)
        eve = sa.update(table).where(table.c.jid == "eve@example.net")
        connection.execute(eve.values(credentials=data))
    with caplog.at_level(logging.ERROR):
        romeo, eve_now = store.accounts(COMPONENT)
    assert (romeo.secret, romeo.broken) == ("swordfish", False)
    assert (eve_now.secret, eve_now.fields, eve_now.broken) == ("", {}, True)
    assert (eve_now.address, eve_now.preferences) == ("eve", {"a": "b"})
    assert "aim.example.net/eve@example.net: credentials in the store cannot be" in caplog.text
    mended = store.save_account(COMPONENT, "eve@example.net", "eve", "again", {})
    assert store.accounts(COMPONENT) == [romeo, mended]


def test_a_moved_message_does_not_open_and_stops_nobody(
    store: Store, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = filled(store)
    eve = store.save_account(COMPONENT, "eve@example.net", "eve", "evesown", {})
    store.commit_journal([JournalEntry(eve.account_id, "to_user", "s1", b"x", NOON)], [], [])
    with raw(url) as connection:
        table = schema.journal
        stolen = sa.select(table.c.payload).where(table.c.account_id == account_id)
        data = connection.scalar(stolen)
        mine = sa.update(table).where(table.c.account_id == eve.account_id)
        connection.execute(mine.values(payload=data))
    with caplog.at_level(logging.ERROR):
        rows = store.journal(COMPONENT)
    assert [(row.account_id, row.payload) for row in rows] == [(account_id, b"<body>hush</body>")]
    assert "aim.example.net/eve@example.net: journal in the store cannot be" in caplog.text


def test_what_was_sealed_for_an_earlier_registration_of_the_same_user_does_not_open(
    store: Store, url: str
) -> None:
    first = filled(store)
    with raw(url) as connection:
        old_secret = connection.scalar(sa.select(schema.account.c.credentials))
        old_payload = connection.scalar(sa.select(schema.journal.c.payload))
    store.remove_account(first)
    filled(store)
    with raw(url) as connection:
        connection.execute(sa.update(schema.account).values(credentials=old_secret))
        connection.execute(sa.update(schema.journal).values(payload=old_payload))
    assert [one.broken for one in store.accounts(COMPONENT)] == [True]
    assert store.journal(COMPONENT) == []


# --- what cannot be opened --------------------------------------------------------------------


def test_a_store_of_a_newer_program_is_refused_and_left_alone(opener: Opener, url: str) -> None:
    opener().close()
    with raw(url) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"newer balcony wrote this store.*9999.*install"):
        opener()
    with raw(url) as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        assert found == "9999"


@pytest.mark.parametrize("content", [b"this is no database at all, is it?" * 100])
def test_a_file_that_is_no_database_has_a_remedy(
    host: Host, sealer: Sealer, sqlite_url: str, sqlite_path: Path, content: bytes
) -> None:
    sqlite_path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged .*restore it from a backup"):
        Store.open(host, sqlite_url, sealer, [COMPONENT])
    assert sqlite_path.read_bytes() == content


def test_a_damaged_file_has_a_remedy(
    host: Host, sealer: Sealer, sqlite_url: str, sqlite_path: Path
) -> None:
    with closing(Store.open(host, sqlite_url, sealer, [COMPONENT])) as store:
        account_id = filled(store)
        contacts = [StoredContact(f"contact {n}", "accepted", "x" * 50) for n in range(500)]
        store.save_contacts(account_id, contacts)
    content = bytearray(sqlite_path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    sqlite_path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged .*restore it from a backup"):
        Store.open(host, sqlite_url, sealer, [COMPONENT])


def test_a_directory_that_is_not_there_has_a_remedy(
    host: Host, sealer: Sealer, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/nowhere/balcony.db"
    with pytest.raises(StoreError, match=r"No such file.*its directory must exist"):
        Store.open(host, url, sealer, [COMPONENT])


def test_a_server_that_is_not_there_is_a_store_error_without_the_password(
    host: Host, sealer: Sealer, tmp_path: Path
) -> None:
    url = f"postgresql+psycopg://balcony:s3cret@/balcony?host={tmp_path}"
    with pytest.raises(StoreError, match="cannot use the store postgresql") as caught:
        Store.open(host, url, sealer, [COMPONENT])
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "mysql://h/d", "postgresql://h/d",
     "not a url"],
)  # fmt: skip
def test_what_cannot_be_a_store_is_refused(host: Host, sealer: Sealer, url: str) -> None:
    with pytest.raises(StoreError, match="store"):
        Store.open(host, url, sealer, [COMPONENT])


class WithoutPsycopg(RealHost):
    """A host where the optional driver is not installed."""

    def open_engine(self, url: str) -> sa.Engine:
        raise ModuleNotFoundError("No module named 'psycopg'")


def test_a_missing_driver_has_a_remedy(sealer: Sealer) -> None:
    with pytest.raises(StoreError, match=r"needs psycopg: pip install"):
        Store.open(WithoutPsycopg(), "postgresql+psycopg://h/d", sealer, [COMPONENT])


def test_tables_of_another_program_are_left_alone(opener: Opener, url: str) -> None:
    with raw(url) as connection:
        connection.exec_driver_sql("CREATE TABLE account (mine INTEGER)")
        connection.exec_driver_sql("INSERT INTO account VALUES (5)")
    with pytest.raises(StoreError, match=r"account.* already exists"):
        opener()
    with raw(url) as connection:
        assert connection.exec_driver_sql("SELECT mine FROM account").scalar() == 5
        assert sa.inspect(connection).get_table_names() == ["account"]


def test_a_new_connection_is_prepared_like_the_first(store: Store, url: str) -> None:
    account_id = filled(store)
    store._engine.dispose()
    store.remove_account(account_id)
    with raw(url) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.journal)) == 0


# --- crashes ----------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone, as far as anybody in it can tell."""


class Doomed(RealHost):
    """A host that dies at a chosen statement, leaving everything as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.dies_at = ""
        self.engines: list[sa.Engine] = []
        self.locks: list[FileLock] = []

    def open_engine(self, url: str) -> sa.Engine:
        engine = super().open_engine(url)
        self.engines.append(engine)

        @event.listens_for(engine, "before_cursor_execute")
        def crash_point(
            _connection: object, _cursor: object, statement: str, *_rest: object
        ) -> None:
            if self.dies_at and self.dies_at in statement:
                raise Killed

        return engine

    def lock_file(self, path: Path) -> FileLock:
        lock = super().lock_file(path)
        self.locks.append(lock)
        return lock

    def kill(self) -> None:
        for engine in self.engines:
            engine.dispose()
        for lock in self.locks:
            lock.close()


@pytest.mark.parametrize("statement", ["INSERT INTO journal", "DELETE FROM seen", "INTO seen"])
def test_a_crash_within_a_batch_leaves_nothing_of_it(
    opener: Opener, url: str, sealer: Sealer, statement: str
) -> None:
    doomed = Doomed()
    store = Store.open(doomed, url, sealer, [COMPONENT])
    account_id = filled(store)
    (before,) = store.journal(COMPONENT)
    doomed.dies_at = statement
    late = JournalEntry(account_id, "to_user", "s2", b"late", NOON)
    with pytest.raises(Killed):
        store.commit_journal([late], [before.row_id], [(account_id, "L2")])
    doomed.kill()
    again = opener()
    assert again.journal(COMPONENT) == [before]
    assert again.seen(account_id) == ["L1"]


def test_a_crash_while_opening_frees_the_lock(opener: Opener, url: str, sealer: Sealer) -> None:
    doomed = Doomed()
    doomed.dies_at = "CREATE TABLE journal"
    with pytest.raises(Killed):
        Store.open(doomed, url, sealer, [COMPONENT])
    assert opener().accounts(COMPONENT) == []
