"""What is kept comes back, on both databases."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from gateway.errors import StoreError
from gateway.store.store import (
    SEEN_PER_ACCOUNT,
    JournalEntry,
    JournalRow,
    Store,
    StoredAccount,
    StoredContact,
    StoredRequest,
)
from tests.unit.store.conftest import COMPONENT, Opener

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def romeo(store: Store) -> StoredAccount:
    return store.save_account(COMPONENT, "romeo@example.net", "romeo", "swordfish", {"x-a": "1"})


def juliet(store: Store) -> StoredAccount:
    return store.save_account(COMPONENT, "juliet@example.net", "juliet", "rosebud", {})


def entry(account: StoredAccount, stanza_id: str, payload: bytes = b"<message/>") -> JournalEntry:
    return JournalEntry(account.account_id, "to_user", stanza_id, payload, NOON, "L1")


def test_an_account_comes_back_as_it_was_saved(store: Store) -> None:
    saved = romeo(store)
    assert store.accounts(COMPONENT) == [saved]
    assert (saved.secret, saved.fields, saved.preferences) == ("swordfish", {"x-a": "1"}, {})
    assert store.accounts("icq.example.net") == []


def test_accounts_come_oldest_first(store: Store) -> None:
    saved = [romeo(store), juliet(store)]
    assert store.accounts(COMPONENT) == saved


def test_new_credentials_keep_the_id_and_all_that_belongs_to_it(store: Store) -> None:
    before = romeo(store)
    store.save_preferences(before.account_id, {"stay_connected": "yes"})
    store.save_contacts(before.account_id, [StoredContact("nurse", "accepted")])
    store.commit_journal([], [], [(before.account_id, "L1")])
    after = store.save_account(COMPONENT, "romeo@example.net", "romeo", "new", {"x-b": "2"})
    assert after.account_id == before.account_id
    assert (after.secret, after.fields) == ("new", {"x-b": "2"})
    assert after.preferences == {"stay_connected": "yes"}
    assert store.accounts(COMPONENT) == [after]
    assert store.contacts(after.account_id) == [StoredContact("nurse", "accepted")]
    assert store.seen(after.account_id) == ["L1"]


def test_a_new_address_forgets_the_ids_seen_on_the_old_one(store: Store) -> None:
    account_id = romeo(store).account_id
    store.commit_journal([], [], [(account_id, "L1")])
    store.save_account(COMPONENT, "romeo@example.net", "romeo2", "swordfish", {})
    assert store.seen(account_id) == []


def test_preferences_are_replaced_as_a_whole(store: Store) -> None:
    account_id = romeo(store).account_id
    store.save_preferences(account_id, {"a": "1", "b": "2"})
    store.save_preferences(account_id, {"b": "3"})
    assert [one.preferences for one in store.accounts(COMPONENT)] == [{"b": "3"}]


def test_contacts_are_upserted_and_removed_by_address(store: Store) -> None:
    account_id = romeo(store).account_id
    nurse = StoredContact("nurse", "offered", "Nurse", ("House", "Verona"))
    tybalt = StoredContact("tybalt", "refused")
    store.save_contacts(account_id, [tybalt, nurse])
    assert store.contacts(account_id) == [nurse, tybalt]
    nanny = StoredContact("nurse", "accepted", "Nanny")
    store.save_contacts(account_id, [nanny])
    assert store.contacts(account_id) == [nanny, tybalt]
    store.remove_contacts(account_id, ["tybalt", "nobody"])
    assert store.contacts(account_id) == [nanny]


def test_the_last_of_two_contacts_with_one_address_wins(store: Store) -> None:
    account_id = romeo(store).account_id
    both = [StoredContact("nurse", "offered"), StoredContact("nurse", "accepted")]
    store.save_contacts(account_id, both)
    assert store.contacts(account_id) == both[1:]


def test_requests_come_oldest_first_and_in_utc(store: Store) -> None:
    account_id = romeo(store).account_id
    east = timezone(timedelta(hours=5))
    late = StoredRequest("paris", "Paris", "marry me", NOON + timedelta(seconds=1))
    early = StoredRequest("tybalt", "", "", NOON.astimezone(east))
    store.save_request(account_id, late)
    store.save_request(account_id, early)
    found = store.requests(account_id)
    assert found == [early, late]
    assert [one.received_at.tzinfo for one in found] == [UTC, UTC]
    again = StoredRequest("paris", "Paris", "please", NOON + timedelta(seconds=2))
    store.save_request(account_id, again)
    store.remove_request(account_id, "tybalt")
    assert store.requests(account_id) == [again]


def test_aliases_belong_to_a_component(store: Store) -> None:
    store.save_alias(COMPONENT, "h1", "a very long address")
    store.save_alias(COMPONENT, "h1", "a very long address")
    store.save_alias("icq.example.net", "h1", "another")
    assert store.aliases(COMPONENT) == {"h1": "a very long address"}


def test_the_journal_comes_back_in_the_order_it_was_written(store: Store) -> None:
    one, two = romeo(store), juliet(store)
    first = store.commit_journal([entry(two, "s1", b"1"), entry(one, "s2", b"2")], [], [])
    second = store.commit_journal([entry(two, "s3", b"3")], [first[1]], [])
    assert store.journal(COMPONENT) == [
        JournalRow(first[0], two.account_id, "to_user", "s1", b"1", NOON, "L1"),
        JournalRow(second[0], two.account_id, "to_user", "s3", b"3", NOON, "L1"),
    ]
    assert store.journal("icq.example.net") == []


def test_many_row_ids_come_in_the_order_of_their_entries(store: Store) -> None:
    account = romeo(store)
    ids = store.commit_journal([entry(account, f"s{n}") for n in range(2_500)], [], [])
    found = {row.row_id: row.stanza_id for row in store.journal(COMPONENT)}
    assert [found[row_id] for row_id in ids] == [f"s{n}" for n in range(2_500)]


def test_a_row_id_is_never_used_twice(store: Store) -> None:
    account = romeo(store)
    (first,) = store.commit_journal([entry(account, "s1")], [], [])
    (second,) = store.commit_journal([entry(account, "s2")], [first], [])
    store.commit_journal([], [second], [])
    (third,) = store.commit_journal([entry(account, "s3")], [], [])
    assert third not in (first, second)


def test_an_account_id_is_never_used_twice(store: Store) -> None:
    old = romeo(store)
    store.remove_account(old.account_id)
    assert romeo(store).account_id != old.account_id


def test_removing_an_account_removes_everything_of_it_and_nothing_else(store: Store) -> None:
    gone, stays = romeo(store), juliet(store)
    for account in (gone, stays):
        store.save_contacts(account.account_id, [StoredContact("nurse", "accepted")])
        store.save_request(account.account_id, StoredRequest("paris", "", "", NOON))
        store.commit_journal([entry(account, "s1")], [], [(account.account_id, "L1")])
    store.remove_account(gone.account_id)
    assert store.accounts(COMPONENT) == [stays]
    assert [row.account_id for row in store.journal(COMPONENT)] == [stays.account_id]
    kept = {account.account_id: _all_of(store, account) for account in (gone, stays)}
    assert kept == {gone.account_id: (0, 0, 0), stays.account_id: (1, 1, 1)}


def _all_of(store: Store, account: StoredAccount) -> tuple[int, int, int]:
    number = account.account_id
    return len(store.contacts(number)), len(store.requests(number)), len(store.seen(number))


def test_late_writes_for_a_removed_account_do_nothing(store: Store) -> None:
    gone, stays = romeo(store), juliet(store)
    store.remove_account(gone.account_id)
    store.save_preferences(gone.account_id, {"a": "1"})
    store.save_contacts(gone.account_id, [StoredContact("nurse", "accepted")])
    store.save_request(gone.account_id, StoredRequest("paris", "", "", NOON))
    store.remove_contacts(gone.account_id, ["nurse"])
    store.remove_request(gone.account_id, "paris")
    store.remove_account(gone.account_id)
    batch = [entry(gone, "s1"), entry(stays, "s2"), entry(gone, "s3")]
    ids = store.commit_journal(batch, [], [(gone.account_id, "L1"), (stays.account_id, "L2")])
    assert (ids[0], ids[2]) == (0, 0)
    assert [(row.row_id, row.stanza_id) for row in store.journal(COMPONENT)] == [(ids[1], "s2")]
    assert _all_of(store, gone) == (0, 0, 0)
    assert store.seen(stays.account_id) == ["L2"]


def test_only_the_newest_ids_are_remembered(store: Store) -> None:
    one, two = romeo(store).account_id, juliet(store).account_id
    total = SEEN_PER_ACCOUNT + 3
    store.commit_journal([], [], [(two, "x")] + [(one, str(n)) for n in range(total)])
    assert store.seen(one) == [str(n) for n in range(3, total)]
    assert store.seen(two) == ["x"]
    store.commit_journal([], [], [(one, "new")])
    assert store.seen(one) == [*(str(n) for n in range(4, total)), "new"]


def test_an_id_seen_again_is_the_newest_again(store: Store) -> None:
    account_id = romeo(store).account_id
    store.commit_journal([], [], [(account_id, "a"), (account_id, "b")])
    store.commit_journal([], [], [(account_id, "a"), (account_id, "c"), (account_id, "a")])
    assert store.seen(account_id) == ["b", "c", "a"]


def test_ids_and_names_that_no_database_likes_are_kept(store: Store) -> None:
    account_id = romeo(store).account_id
    odd = "\0\ud800\U0001f339"
    store.commit_journal([], [], [(account_id, odd)])
    assert store.seen(account_id) == [odd]
    store.save_contacts(account_id, [StoredContact("nurse", "offered", odd)])
    assert [one.name for one in store.contacts(account_id)] == ["��\U0001f339"]


def test_an_address_that_cannot_be_stored_is_refused_and_the_store_goes_on(store: Store) -> None:
    account_id = romeo(store).account_id
    with pytest.raises(StoreError, match="cannot take"):
        store.save_contacts(account_id, [StoredContact("\ud800", "offered")])
    store.save_contacts(account_id, [StoredContact("nurse", "offered")])
    assert len(store.contacts(account_id)) == 1


def test_a_batch_is_written_as_a_whole_or_not_at_all(store: Store) -> None:
    account = romeo(store)
    (kept,) = store.commit_journal([entry(account, "s1")], [], [])
    bad = JournalEntry(account.account_id, "to_user", "\ud800", b"", NOON)
    with pytest.raises((StoreError, UnicodeEncodeError)):
        store.commit_journal([entry(account, "s2"), bad], [kept], [(account.account_id, "L1")])
    assert [row.stanza_id for row in store.journal(COMPONENT)] == ["s1"]
    assert store.seen(account.account_id) == []


def test_a_time_without_zone_is_refused(store: Store) -> None:
    account_id = romeo(store).account_id
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(StoreError, match="time zone"):
        store.save_request(account_id, StoredRequest("paris", "", "", naive))


def test_a_restart_keeps_everything(opener: Opener) -> None:
    before = opener()
    account = romeo(before)
    store_contents = [StoredContact("nurse", "accepted", "Nurse", ("House",))]
    before.save_contacts(account.account_id, store_contents)
    before.save_request(account.account_id, StoredRequest("paris", "Paris", "hi", NOON))
    before.save_alias(COMPONENT, "h1", "long")
    before.commit_journal([entry(account, "s1", b"hello")], [], [(account.account_id, "L1")])
    journal = before.journal(COMPONENT)
    before.close()
    after = opener()
    assert after.accounts(COMPONENT) == [account]
    assert after.contacts(account.account_id) == store_contents
    assert after.requests(account.account_id) == [StoredRequest("paris", "Paris", "hi", NOON)]
    assert after.aliases(COMPONENT) == {"h1": "long"}
    assert after.journal(COMPONENT) == journal
    assert [row.payload for row in journal] == [b"hello"]
    assert after.seen(account.account_id) == ["L1"]


def test_a_closed_store_is_not_written_to(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        romeo(store)
    store.close()


def test_secrets_are_in_no_repr(store: Store) -> None:
    account = romeo(store)
    store.commit_journal([entry(account, "s1", b"hush")], [], [])
    shown = repr((account, entry(account, "s1", b"hush"), store.journal(COMPONENT), store))
    assert "swordfish" not in shown
    assert "hush" not in shown


def test_a_failing_database_is_a_store_error_without_the_values(store: Store, url: str) -> None:
    account = romeo(store)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE contact")
    engine.dispose()
    with pytest.raises(StoreError, match="store failed") as caught:
        store.save_contacts(account.account_id, [StoredContact("nurse-address", "offered")])
    assert "nurse-address" not in f"{caught.value} {caught.value.__cause__}"


def test_a_crash_is_known_at_the_next_start_and_an_orderly_end_is_none(opener: Opener) -> None:
    first = opener()
    assert not first.begin_run("aim.example.net")
    first.close()
    second = opener()
    assert second.begin_run("aim.example.net")
    assert not second.begin_run("icq.example.net")
    second.end_run("aim.example.net")
    assert not second.begin_run("aim.example.net")
    assert second.begin_run("icq.example.net")
