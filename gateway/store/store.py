"""The store: what the daemon must still know after a restart.

Every method is one transaction and blocks, so callers go through `host.run_blocking`, one call at
a time. All that can go wrong with the database is raised as `StoreError`; nothing is half done.
A write for an account that was removed meanwhile does nothing: the removal wins.

Differences between databases are in `engine.py`, the tables in `schema.py` and `migrations/`.
"""

import json
import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.errors import StoreError
from gateway.host import Host
from gateway.store import engine as dialect
from gateway.store import schema
from gateway.store.migrate import migrate
from gateway.store.sealing import CannotOpen, Context, Sealed, Sealer
from gateway.store.values import (
    JournalEntry,
    JournalRow,
    StoredAccount,
    StoredContact,
    StoredRequest,
)

__all__ = [
    "SEEN_PER_ACCOUNT",
    "JournalEntry",
    "JournalRow",
    "Store",
    "StoredAccount",
    "StoredContact",
    "StoredRequest",
]

log = logging.getLogger(__name__)

SEEN_PER_ACCOUNT = 1_000

_KEY_CHECK = b"balcony"
_KEY_CHECK_CONTEXT = Context("store key")


@attrs.frozen
class _Owner:
    """Whom a sealed row belongs to."""

    account_id: int
    component: str
    jid: str

    def credentials(self) -> Context:
        return Context("credentials", self.account_id, self.component, self.jid)

    def message(self, direction: str, stanza_id: str) -> Context:
        detail = f"{direction} {stanza_id}"
        return Context("journal", self.account_id, self.component, self.jid, detail)


class Store:
    """One open store; made by `open`."""

    def __init__(self, engine: Engine, sealer: Sealer, closing: ExitStack) -> None:
        self._engine = engine
        self._sealer = sealer
        self._closing = closing
        self._closed = False

    @classmethod
    def open(cls, host: Host, url: str, key: Sealer, components: Sequence[str]) -> "Store":
        """Take the lock, bring the tables up to date, check the key.

        Raises `StoreError`, which says what to do: another daemon has the store, a newer program
        wrote it, its directory or server cannot be reached, it is damaged, the key is another's.
        """
        parsed = dialect.parse_url(url)
        where = parsed.render_as_string()  # without the password
        with ExitStack() as closing:
            engine = dialect.connect(host, parsed, components, closing)
            try:
                _look_for_damage(engine, where)
                migrate(engine)
                with engine.begin() as connection:
                    _check_key(connection, key)
            except DBAPIError as exc:
                raise StoreError(f"cannot use the store {where}: {_reason(exc)}") from exc
            except (SQLAlchemyError, CommandError) as exc:
                raise StoreError(f"cannot bring the store {where} up to date: {exc}") from exc
            return cls(engine, key, closing.pop_all())

    def close(self) -> None:
        """Give the lock back. The store cannot be used after; closing twice is harmless."""
        self._closed = True
        self._closing.close()

    # --- runs ---------------------------------------------------------------------------------

    def begin_run(self, component: str) -> bool:
        """Note that a daemon serves `component`. Returns whether the last one crashed."""
        with self._transaction() as connection:
            table = schema.running
            query = sa.select(table).where(table.c.component == component)
            if connection.execute(query).one_or_none() is not None:
                return True
            connection.execute(sa.insert(table).values(component=component))
            return False

    def end_run(self, component: str) -> None:
        """Note the orderly end: every user was told that everybody is gone."""
        with self._transaction() as connection:
            table = schema.running
            connection.execute(sa.delete(table).where(table.c.component == component))

    # --- accounts -----------------------------------------------------------------------------

    def accounts(self, component: str) -> list[StoredAccount]:
        """Return all registrations, oldest first; `broken` ones are logged."""
        query = (
            sa.select(schema.account)
            .where(schema.account.c.component == component)
            .order_by(schema.account.c.account_id)
        )
        with self._transaction() as connection:
            return [self._account(row) for row in connection.execute(query)]

    def save_account(
        self,
        component: str,
        jid: str,
        address: str,
        secret: str,
        fields: Mapping[str, str],
        *,
        anew: bool = False,
    ) -> StoredAccount:
        """Keep a registration; one that exists gets new credentials and keeps its id.

        A registration that changes its address forgets the legacy ids seen: they were another's.
        With `anew` everything of an earlier one goes in the same transaction, its id too.
        """
        table = schema.account
        with self._transaction() as connection:
            if anew:
                old = sa.delete(table).where(table.c.component == component, table.c.jid == jid)
                connection.execute(old)
            query = sa.select(table).where(table.c.component == component, table.c.jid == jid)
            row = connection.execute(query).one_or_none()
            if row is None:
                values = {"component": component, "jid": jid, "address": address}
                unsealed = {"key_id": "", "credentials": b"", "preferences": {}}  # needs the id
                new = sa.insert(table).values(**values, **unsealed).returning(table)
                row = connection.execute(new).one()
            elif row.address != address:
                old = schema.seen.c.account_id == row.account_id
                connection.execute(sa.delete(schema.seen).where(old))
            plain = _pack(secret, fields)
            sealed = self._sealer.seal(plain, _owner(row).credentials())
            changed = {"address": address, "key_id": sealed.key_id, "credentials": sealed.data}
            same = table.c.account_id == row.account_id
            connection.execute(sa.update(table).where(same).values(**changed))
        return StoredAccount(
            row.account_id, component, jid, address, secret, dict(fields), dict(row.preferences)
        )

    def renew_secret(self, account: StoredAccount, secret: str) -> bool:
        """Replace the secret of an account that is still as given. Returns whether it was."""
        table = schema.account
        with self._transaction() as connection:
            query = sa.select(table).where(table.c.account_id == account.account_id)
            row = connection.execute(query).one_or_none()
            if row is None or self._account(row) != account:
                return False
            plain = _pack(secret, account.fields)
            sealed = self._sealer.seal(plain, _owner(row).credentials())
            change = sa.update(table).where(table.c.account_id == account.account_id)
            values = {"key_id": sealed.key_id, "credentials": sealed.data}
            connection.execute(change.values(**values))
            return True

    def save_preferences(self, account_id: int, preferences: Mapping[str, str]) -> None:
        """Replace all preferences of an account."""
        table = schema.account
        change = sa.update(table).where(table.c.account_id == account_id)
        with self._transaction() as connection:
            connection.execute(change.values(preferences=dict(preferences)))

    def remove_account(self, account_id: int) -> None:
        """Remove an account and everything of it."""
        table = schema.account
        with self._transaction() as connection:
            connection.execute(sa.delete(table).where(table.c.account_id == account_id))

    # --- contacts and requests ----------------------------------------------------------------

    def contacts(self, account_id: int) -> list[StoredContact]:
        """Return the contacts, by address."""
        table = schema.contact
        query = sa.select(table).where(table.c.account_id == account_id).order_by(table.c.address)
        with self._transaction() as connection:
            return [
                StoredContact(row.address, row.state, row.name, tuple(row.groups))
                for row in connection.execute(query)
            ]

    def save_contacts(self, account_id: int, contacts: Sequence[StoredContact]) -> None:
        """Keep these contacts; what is there under the same address is replaced."""
        rows = [
            {
                "account_id": account_id,
                "address": contact.address,
                "state": contact.state,
                "name": contact.name,
                "groups": list(contact.groups),
            }
            for contact in contacts
        ]
        with self._transaction() as connection:
            if account_id in _owners(connection, [account_id]):
                _upsert(connection, schema.contact, rows)

    def remove_contacts(self, account_id: int, addresses: Sequence[str]) -> None:
        table = schema.contact
        change = sa.delete(table).where(
            table.c.account_id == account_id, table.c.address == sa.bindparam("which")
        )
        with self._transaction() as connection:
            _each(connection, change, addresses)

    def requests(self, account_id: int) -> list[StoredRequest]:
        """Return the requests without an answer, oldest first."""
        table = schema.request
        query = sa.select(table).where(table.c.account_id == account_id)
        with self._transaction() as connection:
            return [
                StoredRequest(row.address, row.nick, row.reason, row.received_at)
                for row in connection.execute(query.order_by(table.c.received_at, table.c.address))
            ]

    def save_request(self, account_id: int, request: StoredRequest) -> None:
        """Keep a request; an older one of the same contact is replaced."""
        row = {"account_id": account_id, **attrs.asdict(request)}
        with self._transaction() as connection:
            if account_id in _owners(connection, [account_id]):
                _upsert(connection, schema.request, [row])

    def remove_request(self, account_id: int, address: str) -> None:
        table = schema.request
        change = sa.delete(table).where(
            table.c.account_id == account_id, table.c.address == address
        )
        with self._transaction() as connection:
            connection.execute(change)

    # --- aliases ------------------------------------------------------------------------------

    def aliases(self, component: str) -> dict[str, str]:
        """Return the address behind each alias."""
        table = schema.alias
        query = sa.select(table).where(table.c.component == component).order_by(table.c.alias)
        with self._transaction() as connection:
            return {row.alias: row.address for row in connection.execute(query)}

    def save_alias(self, component: str, alias: str, address: str) -> None:
        row = {"component": component, "alias": alias, "address": address}
        with self._transaction() as connection:
            _upsert(connection, schema.alias, [row])

    # --- messages under way -------------------------------------------------------------------

    def commit_journal(
        self,
        add: Sequence[JournalEntry],
        remove: Sequence[int],
        seen: Sequence[tuple[int, str]],
    ) -> list[int]:
        """Write a batch: all of it or nothing. Return the row ids of `add`, in its order.

        `remove` holds row ids, `seen` (account_id, legacy id), oldest first. What belongs to an
        account that is gone is left out, and has the row id 0.
        """
        with self._transaction() as connection:
            wanted = [entry.account_id for entry in add] + [account_id for account_id, _ in seen]
            owners = _owners(connection, wanted)
            journal = schema.journal
            drop = sa.delete(journal).where(journal.c.row_id == sa.bindparam("which"))
            _each(connection, drop, remove)
            ids = iter(self._add_to_journal(connection, owners, add))
            numbers = [next(ids) if entry.account_id in owners else 0 for entry in add]
            _remember(connection, [pair for pair in seen if pair[0] in owners])
        return numbers

    def journal(self, component: str) -> list[JournalRow]:
        """Return what the journal holds, in the order it was written.

        A message that does not open is logged, left out and kept.
        """
        table, account = schema.journal, schema.account
        query = (
            sa.select(table, account.c.component, account.c.jid)
            .join(account)
            .where(account.c.component == component)
            .order_by(table.c.row_id)
        )
        rows = []
        with self._transaction() as connection:
            for row in connection.execute(query):
                payload = self._opened(row.payload, row, _message_context(row))
                if payload is not None:
                    entry = (row.account_id, row.direction, row.stanza_id, payload, row.at)
                    rows.append(JournalRow(row.row_id, *entry, row.legacy_id))
        return rows

    def seen(self, account_id: int) -> list[str]:
        """Return the legacy ids remembered, oldest first: the newest `SEEN_PER_ACCOUNT`."""
        table = schema.seen
        query = sa.select(table.c.legacy_id).where(table.c.account_id == account_id)
        with self._transaction() as connection:
            return list(connection.scalars(query.order_by(table.c.seq)))

    # --- keys ---------------------------------------------------------------------------------

    def rekey(self, new: Sealer) -> int:
        """Seal everything anew with `new`, and use it from now on. Return how many rows that were.

        `new` has to open what was sealed so far only if this is interrupted: have the old key in
        its file until this returns. A row that does not open is logged and left as it is. Raises
        `StoreError` when another daemon works on this store: it would not know the new key.
        """
        account, journal = schema.account, schema.journal
        messages = sa.select(journal, account.c.component, account.c.jid).join(account)
        with self._transaction() as connection:
            self._refuse_others(connection)
            count = 0
            for row in connection.execute(sa.select(account)).all():
                sealed = self._resealed(new, row.credentials, row, _owner(row).credentials())
                if sealed is not None:
                    values = {"key_id": sealed.key_id, "credentials": sealed.data}
                    same = account.c.account_id == row.account_id
                    connection.execute(sa.update(account).where(same).values(**values))
                    count += 1
            for row in connection.execute(messages).all():
                sealed = self._resealed(new, row.payload, row, _message_context(row))
                if sealed is not None:
                    values = {"key_id": sealed.key_id, "payload": sealed.data}
                    same = journal.c.row_id == row.row_id
                    connection.execute(sa.update(journal).where(same).values(**values))
                    count += 1
            connection.execute(sa.delete(schema.store_key))
            _check_key(connection, new)
        self._sealer = new
        return count

    # --- inside -------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Generator[Connection, None, None]:
        if self._closed:
            raise StoreError("the store is closed")
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as exc:
            raise StoreError(f"the store failed: {_reason(exc)}") from exc
        except (SQLAlchemyError, UnicodeEncodeError) as exc:
            raise StoreError(f"the store cannot take this: {exc}") from exc

    def _account(self, row: Row[Any]) -> StoredAccount:
        plain = self._opened(row.credentials, row, _owner(row).credentials())
        secret, fields = ("", {}) if plain is None else _unpack(plain)
        return StoredAccount(
            row.account_id,
            row.component,
            row.jid,
            row.address,
            secret,
            fields,
            dict(row.preferences),
            broken=plain is None,
        )

    def _opened(self, data: bytes, row: Row[Any], context: Context) -> bytes | None:
        try:
            return self._sealer.open(Sealed(row.key_id, bytes(data)), context)
        except CannotOpen as exc:
            what = f"{row.component}/{row.jid}: {context.purpose}"
            log.error("%s in the store cannot be opened: %s", what, exc)
            return None

    def _resealed(self, new: Sealer, data: bytes, row: Row[Any], context: Context) -> Sealed | None:
        plain = self._opened(data, row, context)
        return None if plain is None else new.seal(plain, context)

    def _add_to_journal(
        self, connection: Connection, owners: Mapping[int, _Owner], add: Sequence[JournalEntry]
    ) -> Sequence[int]:
        """Insert the entries whose account is there; return their row ids in order."""
        rows = []
        for entry in add:
            if owner := owners.get(entry.account_id):
                context = owner.message(entry.direction, entry.stanza_id)
                sealed = self._sealer.seal(entry.payload, context)
                values = {"key_id": sealed.key_id, "payload": sealed.data}
                rows.append(attrs.asdict(entry) | values)
        if not rows:
            return []
        table = schema.journal
        new = sa.insert(table).returning(table.c.row_id, sort_by_parameter_order=True)
        return connection.scalars(new, rows).all()

    def _refuse_others(self, connection: Connection) -> None:
        components = sa.select(schema.account.c.component).distinct()
        for component in connection.scalars(components).all():
            # Our own session holds the locks of our components, and may take them once more.
            if not dialect.lock_for_this_transaction(connection, f"component {component}"):
                raise StoreError(
                    f"another balcony serves {component} from this store; stop it, then re-key"
                )


def _pack(secret: str, fields: Mapping[str, str]) -> bytes:
    return json.dumps({"secret": secret, "fields": dict(fields)}).encode()


def _unpack(plain: bytes) -> tuple[str, dict[str, str]]:
    packed = json.loads(plain)
    return packed["secret"], packed["fields"]


def _owner(row: Row[Any]) -> _Owner:
    return _Owner(row.account_id, row.component, row.jid)


def _message_context(row: Row[Any]) -> Context:
    return _owner(row).message(row.direction, row.stanza_id)


def _owners(connection: Connection, account_ids: Iterable[int]) -> dict[int, _Owner]:
    """Return those of the accounts that are there."""
    table = schema.account
    query = sa.select(table.c.account_id, table.c.component, table.c.jid)
    wanted = table.c.account_id.in_(list(dict.fromkeys(account_ids)))
    found = [_Owner(*row) for row in connection.execute(query.where(wanted))]
    return {owner.account_id: owner for owner in found}


def _each(connection: Connection, change: sa.Delete, values: Sequence[object]) -> None:
    """Run `change` once for each value of its parameter `which`."""
    if values:
        connection.execute(change, [{"which": value} for value in values])


def _upsert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    replaced = {name: statement.excluded[name] for name in others}
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=replaced), list(rows)
    )


def _remember(connection: Connection, seen: Sequence[tuple[int, str]]) -> None:
    """Note legacy ids as the newest of their accounts, and forget the oldest beyond the limit."""
    if not seen:
        return
    table = schema.seen
    newest_last = reversed(dict.fromkeys(reversed(seen)))
    rows = [{"owner": account_id, "which": legacy_id} for account_id, legacy_id in newest_last]
    again = sa.delete(table).where(
        table.c.account_id == sa.bindparam("owner"), table.c.legacy_id == sa.bindparam("which")
    )
    connection.execute(again, rows)
    new = sa.insert(table).values(account_id=sa.bindparam("owner"), legacy_id=sa.bindparam("which"))
    connection.execute(new, rows)
    for account_id in dict.fromkeys(account_id for account_id, _ in seen):
        mine = table.c.account_id == account_id
        newest_too_old = (
            sa.select(table.c.seq)
            .where(mine)
            .order_by(table.c.seq.desc())
            .limit(1)
            .offset(SEEN_PER_ACCOUNT)
            .scalar_subquery()
        )
        connection.execute(sa.delete(table).where(mine, table.c.seq <= newest_too_old))


def _look_for_damage(engine: Engine, where: str) -> None:
    remedy = "restore it from a backup, or move it away to start with an empty one"
    try:
        with engine.begin() as connection:
            found = dialect.damage(connection)
    except DBAPIError as exc:
        if engine.dialect.name != "sqlite" or not _is_damage(exc):
            raise
        raise StoreError(f"the store {where} is damaged ({_reason(exc)}); {remedy}") from exc
    if found:
        raise StoreError(f"the store {where} is damaged ({found}); {remedy}")


def _is_damage(exc: DBAPIError) -> bool:
    return getattr(exc.orig, "sqlite_errorname", "") in ("SQLITE_NOTADB", "SQLITE_CORRUPT")


def _check_key(connection: Connection, key: Sealer) -> None:
    """Make sure that `key` opens what is in the store, and note that it will seal there."""
    table = schema.store_key
    rows = connection.execute(sa.select(table).order_by(table.c.key_id)).all()
    for row in rows:
        if not key.knows(row.key_id):
            raise StoreError(
                f"this store is sealed with another key ({row.key_id}; the key file's is"
                f" {key.key_id}): put the right key file back, or restore it from a backup"
            )
        key.open(Sealed(row.key_id, bytes(row.sealed)), _KEY_CHECK_CONTEXT)
    if any(row.key_id == key.key_id for row in rows):
        return
    sealed = key.seal(_KEY_CHECK, _KEY_CHECK_CONTEXT)
    connection.execute(sa.insert(table).values(key_id=sealed.key_id, sealed=sealed.data))


def _reason(exc: DBAPIError) -> str:
    """Return what the database said, without the statement and its values."""
    return " ".join(str(exc.orig).split())
