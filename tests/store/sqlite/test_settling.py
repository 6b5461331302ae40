"""A process that commits in SQLite folds what it has appended to the journal (L11)."""

import sqlite3
from contextlib import closing
from itertools import count, islice
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select, text

from licet.clock import ManualClock
from licet.ledger.commands import Denied
from licet.model import Pool
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.minute_rows import ENTRIES_MAX
from licet.store.sqlite.store import SqliteStore
from support.examples import CLIENTS, grant, jim_test, refresh, view
from support.store.beside import BESIDE
from support.store.kinds import Opener, Place, SqlitePlaces
from support.store.store_site import START_MS, begin, do, folded, rows

BATCH = 20


@pytest.fixture
def place(sqlite_places: SqlitePlaces, tmp_path: Path) -> Place:
    return sqlite_places.make(tmp_path, START_MS)


@pytest.fixture
def store(place: Place) -> Store:
    """A pool of one seat, and clients that ask for tokens without one as well."""
    clients = tuple(replace(it, sessions_max=100_000) for it in CLIENTS)
    return begin(place, jim_test(pools=(Pool(id=1, name="full", seats=1),), clients=clients))


def add(store: Store, entries: int, numbers: "count[int]") -> None:
    """Append so many entries of grants, by different clients."""
    for left in range(entries, 0, -BATCH):
        do(store, *(view(1 + number % 4, number) for number in islice(numbers, min(BATCH, left))))


def waiting(store: Store) -> int:
    return len(rows(store, schema.journal_entry))


def happened(store: Store) -> int:
    """How much the journal has, folded or not."""
    with store.reading() as connection:
        return int(connection.execute(select(func.sum(schema.whole_journal.c.times))).scalar_one() or 0)


def test_it_is_folded_when_it_is_as_much_as_is_folded_at_once(store: Store) -> None:
    """L11. Before that a batch has nothing left to do."""
    numbers = count(1)
    add(store, ENTRIES_MAX - 1, numbers)
    store.settle()
    assert waiting(store) == ENTRIES_MAX - 1
    add(store, 1, numbers)
    assert waiting(store) == ENTRIES_MAX
    store.settle()
    assert waiting(store) == 0
    assert sum(row.times for row in rows(store, schema.journal)) == ENTRIES_MAX == happened(store)


def test_what_is_more_than_that_waits_for_its_turn(store: Store) -> None:
    """No batch waits for long: one transaction folds no more than others do."""
    add(store, 2 * ENTRIES_MAX + 30, count(1))
    for left in (ENTRIES_MAX + 30, 30, 30):
        store.settle()
        assert waiting(store) == left
    assert happened(store) == 2 * ENTRIES_MAX + 30


def test_what_is_granted_again_counts_and_what_is_refreshed_appends_nothing(store: Store) -> None:
    """A standing decision appends an entry for a session that begins, and none for one that goes on."""
    do(store, grant(1, 1))
    do(store, grant(1, 2))
    for _ in range(ENTRIES_MAX):
        do(store, refresh(1, 1))
    store.settle()
    assert waiting(store) == 2
    for number in range(ENTRIES_MAX - 2):
        do(store, grant(1, 3 + number))
    assert waiting(store) == ENTRIES_MAX
    store.settle()
    assert waiting(store) == 0


def test_denials_are_folded_too(store: Store) -> None:
    """Those of one batch that are alike are one entry."""
    do(store, grant(1, 1))
    for number in range(ENTRIES_MAX):
        [denied, _] = do(store, grant(2, 2 + number), grant(2, 9000 + number))
        assert isinstance(denied, Denied)
    store.settle()
    assert rows(store, schema.denial_entry) == []
    [row] = rows(store, schema.journal, kind="denied")
    assert row.times == 2 * ENTRIES_MAX
    assert happened(store) == 2 * ENTRIES_MAX + 1


def test_it_forgets_nothing_that_a_renewal_needs(store: Store) -> None:
    """Folding writes no session and no seat: the next grant is decided as quickly as the last."""
    add(store, ENTRIES_MAX, count(1))
    store.settle()
    assert waiting(store) == 0
    with store.transaction(Purpose.BATCH) as transaction:
        assert transaction.repeat([view(1, 9000)])[0] is not None


def test_it_waits_for_no_lock(store: Store, place: Place) -> None:
    """What another connection keeps it from is left to the housekeeping of a server."""
    assert isinstance(store, SqliteStore)
    add(store, ENTRIES_MAX, count(1))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.settle()
        other.execute("ROLLBACK")
    store.settle()
    assert waiting(store) == ENTRIES_MAX, "it is not tried again with each batch"
    folded(store)
    assert waiting(store) == 0
    assert happened(store) == ENTRIES_MAX


@pytest.mark.parametrize("fault", ["ABORT", "ROLLBACK"])
def test_a_fault_costs_no_batch_anything(store: Store, fault: str) -> None:
    """Whichever it is, nothing of it is written, and commits go on."""
    numbers = count(1)
    add(store, ENTRIES_MAX, numbers)
    with store.transaction() as transaction:
        transaction.connection.execute(
            text(
                f"CREATE TRIGGER broken BEFORE DELETE ON journal_entry BEGIN SELECT RAISE({fault}, 'no'); END"
            )
        )
    store.settle()
    assert waiting(store) == ENTRIES_MAX
    assert rows(store, schema.journal) == []
    add(store, BATCH, numbers)
    assert happened(store) == ENTRIES_MAX + BATCH


def test_a_file_that_was_moved_is_not_written_any_more(store: Store) -> None:
    """Nobody would ever see it there."""
    assert isinstance(store, SqliteStore)
    add(store, ENTRIES_MAX, count(1))
    moved = store.path.rename(store.path.with_name("moved.db"))
    store.settle()
    moved.rename(store.path)
    assert waiting(store) == ENTRIES_MAX


def _commit_and_settle(opener: Opener, first: int) -> None:
    """Until somebody ends the process."""
    store = opener(ManualClock(START_MS))
    numbers = count(first)
    while True:
        add(store, BATCH, numbers)
        store.settle()


def test_each_grant_counts_once_though_the_process_is_killed(store: Store, place: Place) -> None:
    """At whatever moment: what the journal has of grants, less what it has of endings, are the sessions."""
    for kill in range(1, 4):
        commits = BESIDE.Process(target=_commit_and_settle, args=(place.opener, kill * 1_000_000))
        commits.start()
        while sum(it.times for it in rows(store, schema.journal)) < kill * ENTRIES_MAX:
            assert commits.is_alive()
        commits.kill()
        commits.join()
        with store.reading() as connection:
            journal = schema.whole_journal.c
            kinds = select(journal.kind, func.sum(journal.times)).group_by(journal.kind)
            times = {row[0]: row[1] for row in connection.execute(kinds)}
        assert times["granted"] - times.get("ended", 0) == len(rows(store, schema.session))
