"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "running",
        sa.Column("component", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("component", name="pk_running"),
    )
    op.create_table(
        "account",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("jid", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=False),
        sa.Column("preferences", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_account"),
        sa.UniqueConstraint("component", "jid", name="uq_account_component"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "contact",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "address", name="pk_contact"),
        _of_account("contact"),
    )
    op.create_table(
        "request",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("nick", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "address", name="pk_request"),
        _of_account("request"),
    )
    op.create_table(
        "alias",
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("component", "alias", name="pk_alias"),
    )
    op.create_table(
        "journal",
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("stanza_id", sa.Text(), nullable=False),
        sa.Column("legacy_id", sa.LargeBinary()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("row_id", name="pk_journal"),
        _of_account("journal"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_journal_account_id", "journal", ["account_id"])
    op.create_table(
        "seen",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("legacy_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_seen"),
        sa.UniqueConstraint("account_id", "legacy_id", name="uq_seen_account_id"),
        _of_account("seen"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "store_key",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_store_key"),
    )


def _of_account(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id"],
        ["account.account_id"],
        name=f"fk_{table}_account_id",
        ondelete="CASCADE",
    )
