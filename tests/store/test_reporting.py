"""Connections for reports: nothing waits for them, they write nothing, and there are so many and no more."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import pytest
from sqlalchemy import Connection, func, insert, select, text

from licet.lanes.commit import commit
from licet.store import schema
from licet.store.contract import REPORTS_MAX, Store
from licet.store.errors import StoreUnavailable
from licet.store.pool import ConnectionPool
from licet.store.postgres.store import PostgresStore
from support.examples import add_tenant, bump, end, grant, jim_test
from support.store.kinds import Place
from support.store.report_site import NOON_MS

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> Store:
    """A store with `Jim_Test`."""
    store = place.open()
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
    store.refresh_tenants()
    return store


def grants(connection: Connection) -> int:
    """How many sessions there are."""
    return connection.execute(select(func.count()).select_from(schema.session)).scalar_one()


def test_a_report_sees_one_instant_and_keeps_nobody_waiting(store: Store) -> None:
    """Grants, changes of the set-up, probes, looks at it and upkeep go on, and other reports too."""
    commit(store, [grant(1, 1)])
    with store.reporting() as report:
        assert grants(report) == 1
        commit(store, [grant(2, 2)])
        with store.transaction() as transaction:
            bump(transaction.connection, 1)
        store.refresh_tenants()
        store.probe()
        store.upkeep()
        with store.reading() as connection, store.reporting() as other:
            assert grants(connection) == grants(other) == 2
        commit(store, [end(2)])
        assert grants(report) == 1
    with store.reporting() as report:
        assert grants(report) == 1


def test_a_report_writes_nothing(store: Store) -> None:
    """Whatever it is told to."""
    statement = insert(schema.summed).values(until_ms=1)
    with pytest.raises(StoreUnavailable, match=r"readonly|read-only"), store.reporting() as report:
        report.execute(statement)
    with store.reading() as connection:
        assert connection.execute(select(schema.summed.c.until_ms)).all() == []


def test_so_many_threads_make_reports_at_once_and_one_more_is_told_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a while before."""
    for engine in ("sqlite", "postgres"):
        monkeypatch.setattr(f"licet.store.{engine}.store.BUSY_S", 0.01)
    ready, done = [Event() for _ in range(REPORTS_MAX)], Event()

    def report(number: int) -> int:
        with store.reporting() as connection:
            ready[number].set()
            done.wait()
            return grants(connection)

    with ThreadPoolExecutor(REPORTS_MAX) as pool, ExitStack() as released:
        released.callback(done.set)
        made = [pool.submit(report, number) for number in range(REPORTS_MAX)]
        for thread in ready:
            thread.wait()
        with pytest.raises(StoreUnavailable, match="4 reports are being made"), store.reporting():
            pass
        done.set()
        assert [it.result() for it in made] == [0] * REPORTS_MAX
    with store.reporting() as connection:
        assert grants(connection) == 0


def test_a_report_that_takes_too_long_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the store goes on as if nothing had been."""
    for engine in ("sqlite", "postgres"):
        monkeypatch.setattr(f"licet.store.{engine}.store.REPORT_S", 0.05)
    statement = text("SELECT pg_sleep(20)" if isinstance(store, PostgresStore) else ENDLESS)
    given_up = pytest.raises(StoreUnavailable, match=r"interrupted|no answer in time")
    with given_up, store.reporting() as report:
        report.execute(statement)
    monkeypatch.undo()
    with store.reading() as connection:
        assert grants(connection) == 0


def test_a_store_that_is_closed_makes_no_report(store: Store) -> None:
    """It says so."""
    with store.reporting() as report:
        grants(report)
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"), store.reporting():
        pass


def test_what_cannot_be_made_takes_nobody_a_turn_away() -> None:
    """Whoever comes next may have more luck."""
    broken = [True]

    def make() -> str:
        if broken:
            raise StoreUnavailable("not now")
        return "made"

    turns = ConnectionPool(make, most=1)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="not now"), turns.taken(0):
            pass
    broken.clear()
    with turns.taken(0) as made:
        assert made == "made"
    assert turns.close() == ["made"]
