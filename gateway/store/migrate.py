"""Bring the tables to this program's version: all migrations in one transaction, or none.

Each migration is a file in `migrations/versions/`, run by Alembic on a connection that already
holds a transaction. On SQLite foreign keys are off meanwhile, since Alembic's batch mode drops and
renames tables, and are checked before the commit.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine

from gateway.errors import StoreError
from gateway.store import engine as dialect

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine, location: Path = MIGRATIONS) -> None:
    """Run what is missing. Raises `StoreError` when the store is newer than this program.

    Whatever goes wrong midway, the store stays as it was.
    """
    config = Config()
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        dialect.set_foreign_keys(connection, on=False)
        try:
            with connection.begin():
                _migrate(connection, config, script)
        finally:
            dialect.set_foreign_keys(connection, on=True)


def _migrate(connection: Connection, config: Config, script: ScriptDirectory) -> None:
    if not dialect.lock_for_this_transaction(connection, "migration"):
        raise StoreError("another balcony is migrating this store; start this one again later")
    present = set(MigrationContext.configure(connection).get_current_heads())
    known = {revision.revision for revision in script.walk_revisions()}
    if newer := present - known:
        raise StoreError(
            f"a newer balcony wrote this store (its version is {', '.join(sorted(newer))});"
            " install that one again, or restore a backup from before"
        )
    if present == set(script.get_heads()):
        return
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if broken := dialect.broken_references(connection):
        raise StoreError(f"a migration left {broken} row(s) without their account; nothing changed")
