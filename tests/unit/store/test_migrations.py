"""From version to version with everything in place, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import StoreError
from gateway.host import Host, RealHost
from gateway.store import engine as dialect
from gateway.store import schema
from gateway.store.migrate import MIGRATIONS, migrate
from gateway.store.store import JournalEntry, Store, StoredAccount, StoredContact, StoredRequest
from tests.unit.store.conftest import COMPONENT, Opener

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

# Batch mode makes a new table, copies, drops the old one: what would empty the tables that cascade.
ADD_A_COLUMN = """\
    recreate = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("account", recreate=recreate) as batch:
        batch.add_column(sa.Column("mood", sa.Text, nullable=False, server_default="calm"))
"""
THEN_FAIL = """\
    op.execute("DELETE FROM contact")
    op.execute("INSERT INTO no_such_table VALUES (1)")
"""
LOSE_AN_ACCOUNT = """\
    op.execute("DELETE FROM account")
"""


def version_two(folder: Path, body: str) -> Path:
    """Make migrations that go one version further than the program's."""
    location = folder / "migrations 100%"  # a name that a configuration could stumble over
    shutil.copytree(MIGRATIONS, location, ignore=shutil.ignore_patterns("__pycache__"))
    head = dedent("""\
        import sqlalchemy as sa
        from alembic import op

        revision = "test2"
        down_revision = "0001"


        def upgrade() -> None:
        """)
    (location / "versions" / "r0002_test.py").write_text(head + body)
    return location


def fill(store: Store) -> list[StoredAccount]:
    """Put something into every table."""
    for name in ("romeo", "juliet"):
        number = store.save_account(COMPONENT, f"{name}@example.net", name, "pw", {}).account_id
        store.save_contacts(number, [StoredContact("nurse", "accepted")])
        store.save_request(number, StoredRequest("paris", "", "", NOON))
        entry = JournalEntry(number, "to_user", "s1", b"hello", NOON)
        store.commit_journal([entry], [], [(number, "L1")])
    store.save_alias(COMPONENT, "h1", "long")
    return store.accounts(COMPONENT)


@contextmanager
def prepared(host: Host, url: str) -> Iterator[sa.Engine]:
    """Give an engine as the store has it, without its lock."""
    with ExitStack() as closing:
        yield dialect.connect(host, dialect.parse_url(url), [], closing)


def counts(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in schema.metadata.sorted_tables
        }


def version(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def columns(engine: sa.Engine) -> list[str]:
    return [column["name"] for column in sa.inspect(engine).get_columns("account")]


@pytest.fixture
def accounts(opener: Opener) -> list[StoredAccount]:
    """Return the accounts of a store that is filled, and closed."""
    store = opener()
    found = fill(store)
    store.begin_run(found[0].component)
    store.close()
    return found


def test_the_migrations_make_the_tables_that_the_program_uses(host: Host, url: str) -> None:
    with prepared(host, url) as engine:
        migrate(engine)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, schema.metadata) == []
            for table in schema.metadata.sorted_tables:
                found = sa.inspect(connection).get_foreign_keys(table.name)
                wanted = [key.ondelete for key in table.foreign_keys]
                assert [key["options"].get("ondelete") for key in found] == wanted


def test_a_filled_store_keeps_everything(
    host: Host, url: str, tmp_path: Path, accounts: list[StoredAccount]
) -> None:
    assert len(accounts) == 2
    with prepared(host, url) as engine:
        before = counts(engine)
        assert set(before.values()) == {1, 2}
        migrate(engine, version_two(tmp_path, ADD_A_COLUMN))
        assert (version(engine), counts(engine)) == ("test2", before)
        assert "mood" in columns(engine)


def test_migrating_twice_changes_nothing(
    host: Host, url: str, tmp_path: Path, accounts: list[StoredAccount]
) -> None:
    location = version_two(tmp_path, ADD_A_COLUMN)
    with prepared(host, url) as engine:
        migrate(engine, location)
        migrate(engine, location)
        assert version(engine) == "test2"


def test_a_failure_midway_leaves_the_old_version_with_all_its_rows(
    host: Host, url: str, tmp_path: Path, opener: Opener, accounts: list[StoredAccount]
) -> None:
    with prepared(host, url) as engine:
        before = counts(engine), columns(engine)
        with pytest.raises(SQLAlchemyError, match="no_such_table"):
            migrate(engine, version_two(tmp_path, ADD_A_COLUMN + THEN_FAIL))
        assert (version(engine), counts(engine), columns(engine)) == ("0001", *before)
    store = opener()
    assert store.accounts(COMPONENT) == accounts
    assert store.contacts(accounts[0].account_id) == [StoredContact("nurse", "accepted")]
    store.remove_account(accounts[0].account_id)
    assert store.contacts(accounts[0].account_id) == []


def test_a_migration_that_loses_an_account_is_not_committed(
    host: Host, sqlite_url: str, tmp_path: Path
) -> None:
    with prepared(host, sqlite_url) as engine:
        migrate(engine)
        with engine.begin() as connection:
            row = {"account_id": 1, "component": "c", "jid": "j", "address": "a"}
            rest = {"key_id": "", "credentials": b"", "preferences": {}}
            connection.execute(sa.insert(schema.account), [row | rest])
            seen = {"account_id": 1, "legacy_id": "L1"}
            connection.execute(sa.insert(schema.seen), [seen])
        with pytest.raises(StoreError, match=r"1 row\(s\) without their account"):
            migrate(engine, version_two(tmp_path, LOSE_AN_ACCOUNT))
        assert version(engine) == "0001"
        assert counts(engine)["account"] == 1


def test_foreign_keys_hold_again_after_a_migration(
    host: Host, url: str, tmp_path: Path, accounts: list[StoredAccount]
) -> None:
    with prepared(host, url) as engine:
        migrate(engine, version_two(tmp_path, ADD_A_COLUMN))
        with engine.begin() as connection:
            one = schema.account.c.account_id == accounts[0].account_id
            connection.execute(sa.delete(schema.account).where(one))
        after = counts(engine)
    halved = ("account", "contact", "request", "journal", "seen")
    assert [after[name] for name in halved] == [1, 1, 1, 1, 1]


@pytest.mark.slow
def test_the_migrations_of_two_daemons_do_not_mix(postgresql_url: str) -> None:
    with (
        prepared(RealHost(), postgresql_url) as one,
        prepared(RealHost(), postgresql_url) as two,
        one.begin() as connection,
    ):
        assert dialect.lock_for_this_transaction(connection, "migration")
        with pytest.raises(StoreError, match="another balcony is migrating"):
            migrate(two)
