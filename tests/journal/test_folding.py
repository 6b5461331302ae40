"""Folding the journal (L11): each grant and ending is in one place at every instant, and counts once."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, update

from licet.clock import ManualClock
from licet.journal.folding import _FOLD, fold_journal
from licet.journal.history import HistoryFilter, JournalEntry, history
from licet.journal.summary import summarise
from licet.lanes.commit import commit
from licet.ledger.commands import Sweep
from licet.model import Pool
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.errors import StoreUnavailable
from licet.store.postgres.store import PostgresStore
from support.examples import end, grant, jim_test, view
from support.many import few
from support.store.beside import BESIDE
from support.store.kinds import Opener, Place
from support.store.report_site import HOUR_MS, HOUR_S, NOON_MS, Site

MINUTE = NOON_MS // 60_000
KEY = ("tenant_id", "minute", "kind", "reason", "pool", "client_id")


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """`Jim_Test` with three seats."""
    return Site(place, jim_test(pools=[Pool(id=1, name="full", seats=3)]))


def rows(store: Store, table: Any = schema.journal) -> list[dict[str, Any]]:
    """The rows of a table."""
    with store.reading() as connection:
        found = connection.execute(select(table).order_by(*table.primary_key))
        return [dict(row._mapping) for row in found]


def total(store: Store) -> int:
    """How much happened."""
    with store.reading() as connection:
        return int(connection.execute(select(func.sum(schema.whole_journal.c.times))).scalar_one() or 0)


def waiting(store: Store) -> int:
    """How many entries are not folded yet."""
    return len(rows(store, schema.journal_entry))


def fold_all(store: Store) -> None:
    """Until nothing waits."""
    while fold_journal(store):
        pass


def entry(dice: random.Random, number: int) -> dict[str, Any]:
    """An entry such as there are, at about this time and not in order."""
    return {
        "tenant_id": 1,
        "at_ms": NOON_MS + number * 2000 - dice.randrange(100_000),
        "kind": "granted",
        "reason": dice.choice(["", "logoff"]),
        "pool": dice.choice(["", "full"]),
        "client_id": dice.choice(["c1", "c2", 'c"3\\']),
        "initials": dice.choice(["TC", "C1"]),
        "address": f"192.0.2.{number % 256}",
    }


def add_to(model: dict[tuple[Any, ...], dict[str, Any]], entry: dict[str, Any]) -> None:
    """What an upsert of this entry, alone, makes of the journal: as it was when each grant did that."""
    at_ms = entry["at_ms"]
    row = {name: entry[name] for name in entry if name != "at_ms"} | {"minute": at_ms // 60_000}
    before = model.get(tuple(row[name] for name in KEY), {})
    model[tuple(row[name] for name in KEY)] = row | {
        "times": before.get("times", 0) + 1,
        "first_at_ms": min(at_ms, before.get("first_at_ms", at_ms)),
        "last_at_ms": max(at_ms, before.get("last_at_ms", at_ms)),
        "seats": None,
        "in_use": None,
    }


def upsert(connection: Connection, row: dict[str, Any]) -> None:
    """Put a row of the journal in the place of the one of its key, as a version before does."""
    same = [schema.journal.c[name] == row[name] for name in KEY]
    if not connection.execute(update(schema.journal).where(*same).values(row)).rowcount:
        connection.execute(insert(schema.journal).values(row))


@pytest.mark.parametrize("seed", few(range(5), 2))
def test_a_folded_journal_is_what_an_upsert_of_each_would_have_made(site: Site, seed: int) -> None:
    """In whatever portions, with a node of the version before that adds its own to the journal meanwhile."""
    dice = random.Random(seed)  # noqa: S311 - an example, not a secret
    model: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number in range(0, 120, 6):
        added = [entry(dice, number + more) for more in range(6)]
        with site.store.transaction() as transaction:
            transaction.connection.execute(insert(schema.journal_entry), added)
        for one in added:
            add_to(model, one)
        if dice.random() < 0.6:
            fold_journal(site.store, dice.choice([1, 4, 100]))
        if not waiting(site.store) and dice.random() < 0.5:
            one = entry(dice, number)
            add_to(model, one)
            row = model[one["tenant_id"], one["at_ms"] // 60_000, *(one[name] for name in KEY[2:])]
            with site.store.transaction() as transaction:
                upsert(transaction.connection, row)
        assert total(site.store) == sum(row["times"] for row in model.values())
    fold_all(site.store)
    found = {tuple(row[name] for name in KEY): row for row in rows(site.store)}
    assert found == model


def test_a_grant_and_an_ending_only_append(site: Site) -> None:
    """Denials have entries of their own."""
    site.do(*(grant(key, key) for key in range(1, 6)), end(1), view(1, 9))
    assert rows(site.store) == []
    assert Counter(row["kind"] for row in rows(site.store, schema.journal_entry)) == {
        "granted": 4,
        "ended": 1,
    }
    assert fold_journal(site.store) == 5
    assert fold_journal(site.store) == 0
    assert waiting(site.store) == 0
    assert sorted((row["kind"], row["pool"], row["times"]) for row in rows(site.store)) == [
        ("ended", "full", 1),
        ("granted", "", 1), ("granted", "full", 1), ("granted", "full", 1), ("granted", "full", 1),
    ]  # fmt: skip


def test_a_fold_that_is_broken_off_changes_nothing(site: Site) -> None:
    """One transaction."""
    site.do(grant(1, 1), grant(2, 2))
    before = rows(site.store, schema.journal_entry)
    with suppress(ZeroDivisionError), site.store.transaction(Purpose.UPKEEP) as transaction:
        connection = transaction.connection
        assert _FOLD[connection.dialect.name](connection, 1) == 1
        raise ZeroDivisionError
    assert rows(site.store) == []
    assert rows(site.store, schema.journal_entry) == before


def _fold_900_entries_and_wait(opener: Opener) -> None:
    """Fold three by three; what is left over shows, on a busy machine as well, that somebody killed it."""
    store = opener(ManualClock(NOON_MS))
    for _ in range(300):
        while not fold_journal(store, 3):  # on PostgreSQL another may hold the lock
            pass
    threading.Event().wait()


def test_an_entry_is_in_one_place_at_every_instant_though_the_folder_is_killed(
    place: Place, site: Site
) -> None:
    """Whoever looks, at whatever moment, sees all of it once."""
    dice = random.Random(1)  # noqa: S311 - an example, not a secret
    with site.store.transaction() as transaction:
        transaction.connection.execute(insert(schema.journal_entry), [entry(dice, it) for it in range(3000)])
    folder = BESIDE.Process(target=_fold_900_entries_and_wait, args=(place.opener,))
    folder.start()
    while waiting(site.store) > 2400:
        assert total(site.store) == 3000
    folder.kill()
    folder.join()
    assert 2100 <= waiting(site.store) <= 2400
    assert total(site.store) == 3000
    fold_all(site.store)
    assert sum(row["times"] for row in rows(site.store)) == 3000


def test_two_fold_at_once_while_others_are_granted(place: Place, site: Site) -> None:
    """Two nodes, for a moment, and each entry counts once."""
    over, faults = threading.Event(), list[Exception]()

    def fold(store: Store) -> None:
        try:
            while not over.is_set():
                fold_journal(store, 2)
        except Exception as fault:  # noqa: BLE001 - whatever it is
            faults.append(fault)

    folding = [threading.Thread(target=fold, args=(place.open(),)) for _ in range(2)]
    for thread in folding:
        thread.start()
    granted = 0
    for number in range(1, 121, 4):
        commands = [view(key, number + key) for key in range(1, 5)]
        granted += len([it for it in commit(site.store, commands) if not isinstance(it, Exception)])
    over.set()
    for thread in folding:
        thread.join()
    assert not faults
    fold_all(site.store)
    assert sum(row["times"] for row in rows(site.store) if row["kind"] == "granted") == granted == 120


def test_reports_and_sums_are_the_same_before_and_after(site: Site) -> None:
    """Sums of an hour count what is not folded yet, if it ever comes to that."""
    site.do(*(grant(key, key) for key in range(1, 6)), view(6, 60))
    site.clock.advance(seconds=30)
    site.do(end(1), end(2), grant(4, 40))

    def look() -> tuple[object, ...]:
        with site.store.reporting() as connection:
            page = history(connection, site.tenant)
        return site.usage(NOON_MS - HOUR_MS, site.now_ms), page

    before = look()
    fold_journal(site.store, 3)
    assert look() == before
    fold_all(site.store)
    assert look() == before
    site.clock.advance(seconds=5 * HOUR_S)
    site.do(Sweep(sessions_max=10))
    span = (NOON_MS - HOUR_MS, NOON_MS + 2 * HOUR_MS)
    unsummed = site.usage(*span)
    while summarise(site.store, 100 * HOUR_MS):
        pass
    assert waiting(site.store) == 3
    assert site.usage(*span) == unsummed
    assert unsummed.pools[0].sessions.endings == {"logoff": 2, "expired": 2}


@pytest.mark.parametrize("limit", few([2, 1, 3], 1))
@pytest.mark.parametrize("portion", [0, 1, 2, 100])
def test_pages_of_history_stay_right_across_a_fold(site: Site, limit: int, portion: int) -> None:
    """Each row once, wherever it is when the next page is read: it stands where it will when it is folded."""
    for second in range(4):
        site.do(view(1, 100 + second), view(2, 200 + second), view(3, 300 + second))
        fold_journal(site.store, 2)
        site.clock.advance(seconds=1)
    with site.store.reporting() as connection:
        expected = history(connection, site.tenant).entries
    assert Counter(it.times for it in expected if isinstance(it, JournalEntry)) == {4: 3}
    found: list[object] = []
    after: str | None = None
    while True:
        with site.store.reporting() as connection:
            page = history(connection, site.tenant, after=after, limit=limit)
        found += page.entries
        after = page.next
        if after is None:
            break
        if portion:
            fold_journal(site.store, portion)
    assert found == list(expected)


def test_history_looks_for_what_the_row_will_be(site: Site) -> None:
    """By time and user, a row is judged as a whole, folded or not."""
    site.do(view(1, 1), view(2, 2))
    fold_all(site.store)
    site.clock.advance(seconds=20)
    site.do(view(1, 3))
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.journal).values(initials="OLD"))

    def look(**only: Any) -> list[tuple[str, int]]:
        with site.store.reporting() as connection:
            page = history(connection, site.tenant, only=HistoryFilter(**only))
        return [(of.client_id, of.times) for of in page.entries if isinstance(of, JournalEntry)]

    for _ in range(2):
        assert look(user="OLD") == [("Client1", 1)]
        assert look(user="TC") == [("TestClientId", 2)]
        assert look(until_ms=NOON_MS + 10_000, client="TestClientId") == [("TestClientId", 2)]
        assert look(from_ms=NOON_MS + 10_000) == [("TestClientId", 2)]
        fold_all(site.store)


def test_entries_of_a_tenant_that_a_version_before_removed_are_dropped(site: Site) -> None:
    """It does not know of them."""
    dice = random.Random(1)  # noqa: S311 - an example, not a secret
    with site.store.transaction() as transaction:
        transaction.connection.execute(
            insert(schema.journal_entry), [entry(dice, 1) | {"tenant_id": 99}, entry(dice, 2)]
        )
    assert fold_journal(site.store) == 2
    assert [row["tenant_id"] for row in rows(site.store)] == [1]
    assert waiting(site.store) == 0


def test_a_folder_gives_way_to_a_node_that_has_a_row_of_the_journal(place: Place, site: Site) -> None:
    """A version before writes them in a batch, which must not wait for a fold."""
    if not isinstance(site.store, PostgresStore):
        return
    site.do(view(1, 1))
    fold_all(site.store)
    site.do(view(1, 2))
    with place.open().transaction(Purpose.UPKEEP) as transaction:
        transaction.connection.execute(update(schema.journal).values(times=schema.journal.c.times + 1))
        with pytest.raises(StoreUnavailable):
            fold_journal(site.store)
    assert total(site.store) == 3
    assert fold_journal(site.store) == 1
    assert [row["times"] for row in rows(site.store)] == [3]
