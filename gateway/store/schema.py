"""The tables. A change here needs a migration beside it; a test compares the two."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

_NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
}

metadata = sa.MetaData(naming_convention=_NAMES)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A point in time, in UTC in the database and in Python."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        # SQLite gives back what was written, without its zone; PostgreSQL in the session's.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class DisplayText(sa.types.TypeDecorator[str]):
    """Text that people read. What the databases refuse in a text is replaced, as U+FFFD."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return (
            value.replace("\0", "�").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )


class OpaqueText(sa.types.TypeDecorator[str]):
    """A foreign id that must come back as it was, whatever is in it; bytes in the database."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.encode("utf-8", "surrogatepass")

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else bytes(value).decode("utf-8", "surrogatepass")


def _owner(*, primary_key: bool = False, index: bool = False) -> sa.Column[int]:
    """Return the column that ties a row to its account: it goes when the account goes."""
    return sa.Column(
        "account_id",
        sa.Integer,
        sa.ForeignKey("account.account_id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
        index=index,
    )


# The ids of accounts and journal rows are never used twice (AUTOINCREMENT): a late write for an
# account that was removed must not land in a newer one.
account = sa.Table(
    "account",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("component", sa.Text, nullable=False),
    sa.Column("jid", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("credentials", sa.LargeBinary, nullable=False),  # sealed
    sa.Column("preferences", sa.JSON, nullable=False),
    sa.UniqueConstraint("component", "jid"),
    sqlite_autoincrement=True,
)

contact = sa.Table(
    "contact",
    metadata,
    _owner(primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("name", DisplayText, nullable=False),
    sa.Column("groups", sa.JSON, nullable=False),
)

request = sa.Table(
    "request",
    metadata,
    _owner(primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("nick", DisplayText, nullable=False),
    sa.Column("reason", DisplayText, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
)

alias = sa.Table(
    "alias",
    metadata,
    sa.Column("component", sa.Text, primary_key=True),
    sa.Column("alias", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
)

# A row while a daemon serves the component: one that is there at the start was left by a crash.
running = sa.Table(
    "running",
    metadata,
    sa.Column("component", sa.Text, primary_key=True),
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("row_id", sa.Integer, primary_key=True),
    _owner(index=True),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("stanza_id", sa.Text, nullable=False),
    sa.Column("legacy_id", OpaqueText),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),  # sealed
    sqlite_autoincrement=True,
)

# `seq` tells the older from the newer.
seen = sa.Table(
    "seen",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    _owner(),
    sa.Column("legacy_id", OpaqueText, nullable=False),
    sa.UniqueConstraint("account_id", "legacy_id"),
    sqlite_autoincrement=True,
)

# One row for each key that rows may be sealed with: a known text, sealed, to tell a wrong key by.
store_key = sa.Table(
    "store_key",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
