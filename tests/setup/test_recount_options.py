"""A pool is counted anew when the set-up counts its seats otherwise: who has a seat keeps it."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, delete, insert, select, text, update

from licet.ledger.commands import Denied, Granted
from licet.ledger.rules import apply
from licet.model import Duplicates, Group, Pool, Tenant
from licet.options import Share
from licet.setup.recount_options import recount_options
from licet.store import schema
from licet.store.contract import Store
from licet.store.errors import Contradiction
from licet.store.setup_rows import columns_of, rule_rows
from support.examples import CLIENTS, FULL, bump, client, end, grant, jim_test, members_of
from support.store.kinds import Place
from support.store.store_site import begin, do, rows

SALES = Group(name="sales", users=frozenset({"TC", "C1"}))


def change(store: Store, make: Callable[[Connection], Any]) -> None:
    """Change rows of the set-up, as `finish` does."""
    before = store.tenants()[1]
    with store.transaction() as transaction:
        make(transaction.connection)
        recount_options(transaction, before)
        bump(transaction.connection, 1)
    store.refresh_tenants()


def set_pool(store: Store, pool: Pool) -> None:
    """Have a pool these options."""

    def make(connection: Connection) -> None:
        connection.execute(update(schema.pool).filter_by(id=pool.id).values(columns_of(pool, schema.pool)))
        connection.execute(delete(schema.pool_rule).filter_by(pool_id=pool.id))
        found = [{**it, "pool_id": pool.id, "tenant_id": 1} for it in rule_rows(pool)]
        if found:
            connection.execute(insert(schema.pool_rule), found)

    change(store, make)


def set_group(store: Store, group: Group) -> None:
    """Have a group these members."""

    def make(connection: Connection) -> None:
        connection.execute(delete(schema.group_member).filter_by(name=group.name))
        found = [{"tenant_id": 1, "name": group.name, "member": it} for it in members_of(group)]
        connection.execute(insert(schema.group_member), found)

    change(store, make)


def counts(store: Store) -> dict[str, tuple[int, int, int]]:
    """Of each count: in use, at most, and by how much it was over when it was counted."""
    return {it.what: (it.in_use, it.at_most, it.over) for it in rows(store, schema.seat_count)}


def grant_without_counts(store: Store) -> None:
    """A client gets a seat as if nobody else had one."""
    with store.transaction() as transaction:
        book = transaction.load([grant(2, 2)])
        book.counts.clear()  # as if the store had loaded none
        book.counts_before.clear()
        assert isinstance(apply(book, grant(2, 2), transaction.now_ms), Granted)
        transaction.save(book)


def why(store: Store, key: int, number: int) -> str:
    """The reason of a denial."""
    [denied] = do(store, grant(key, number))
    assert isinstance(denied, Denied)
    return denied.reason


def test_a_limit_below_what_is_in_use_takes_nobodys_seat(place: Place) -> None:
    """L5, L16: it counts from the next new seat on, when so many have come back."""
    store = begin(place, jim_test(groups=(SALES,)))
    do(store, grant(1, 1), grant(2, 2), grant(3, 3))
    set_pool(store, replace(FULL, max=(Share(who="group:sales", seats=1),)))
    assert counts(store) == {"max=group:sales": (2, 1, 1)}
    do(store, end(1))
    assert counts(store) == {"max=group:sales": (1, 1, 0)}
    assert why(store, 1, 5) == "max_reached"
    do(store, end(2))
    assert isinstance(do(store, grant(1, 6))[0], Granted)


def test_reserves_are_filled_from_the_oldest_seat_on(place: Place) -> None:
    """L17: what does not fit is a common seat, so that no reserve is above its number."""
    store = begin(place, jim_test(groups=(SALES,), clients=(*CLIENTS, client(8, "Desk8", "TC"))))
    for number in (1, 2, 8):
        do(store, grant(number, number))
        place.clock.advance(seconds=1)
    set_pool(store, replace(FULL, reserve=(Share(who="group:sales", seats=2),)))
    found = {it.client_id: it.counted for it in rows(store, schema.seat)}
    assert found == {
        "TestClientId": "reserve=group:sales",
        "Client1": "reserve=group:sales",
        "Desk8": "common",
    }
    assert counts(store) == {"reserve=group:sales": (2, 2, 0), "common": (1, 3, 0)}


def test_fewer_seats_than_common_ones_are_in_use_are_noted(place: Place) -> None:
    """L17: nothing but the change raises that, and each end lowers it."""
    pool = replace(FULL, reserve=(Share(who="group:sales", seats=2),))
    store = begin(place, jim_test(pools=(pool,), groups=(SALES,)))
    do(store, grant(3, 3), grant(4, 4), grant(5, 5))
    set_pool(store, replace(pool, seats=4))
    assert counts(store) == {"common": (3, 2, 1)}
    assert why(store, 6, 6) == "reserved"
    do(store, end(3))
    assert counts(store) == {"common": (2, 2, 0)}


def test_who_joins_a_group_is_counted_with_it(place: Place) -> None:
    """L16: and who leaves it is not any more."""
    pool = replace(FULL, max=(Share(who="group:sales", seats=2),))
    store = begin(place, jim_test(pools=(pool,), groups=(SALES,)))
    do(store, grant(1, 1), grant(3, 3))
    set_group(store, replace(SALES, users=frozenset({"TC", "C2", "C3"})))
    assert counts(store) == {"max=group:sales": (2, 2, 0)}
    assert why(store, 4, 4) == "max_reached"
    set_group(store, replace(SALES, users=frozenset({"C3"})))
    assert counts(store) == {}
    assert isinstance(do(store, grant(4, 5))[0], Granted)


def test_without_options_nothing_is_counted_any_more(place: Place) -> None:
    """No row is left of what was."""
    pool = replace(FULL, seats=1, max_per_user=1, queue=2)
    store = begin(place, jim_test(pools=(pool,)))
    do(store, grant(1, 1), grant(2, 2, queue=True))
    set_pool(store, replace(FULL, seats=1))
    assert counts(store) == {}
    assert [it.counted for it in rows(store, schema.seat)] == [""]
    assert rows(store, schema.queue_place) == []
    do(store, end(1))


def test_of_a_shorter_line_the_last_leave(place: Place) -> None:
    """L19: by the new priorities."""
    pool = replace(FULL, seats=1, queue=3)
    store = begin(place, jim_test(pools=(pool,), groups=(SALES,)))
    do(store, grant(1, 1), *(grant(key, key, queue=True) for key in (2, 3, 4)))
    set_pool(store, replace(pool, queue=2, exclude=("user:C1",)))
    assert [it.holder for it in rows(store, schema.queue_place)] == ["client:Client2", "client:Client3"]
    set_pool(store, replace(pool, queue=1))
    assert [it.holder for it in rows(store, schema.queue_place)] == ["client:Client2"]


def test_whose_client_stands_for_another_user_has_no_place(place: Place) -> None:
    """L19: in a pool that is counted for users, a place is the user's."""
    pool = replace(FULL, seats=1, queue=3, duplicates=Duplicates.USER)
    store = begin(place, jim_test(pools=(pool,)))
    do(store, grant(1, 1), grant(2, 2, queue=True))
    change(store, lambda it: it.execute(update(schema.client).filter_by(key=2).values(initials="C4")))
    assert rows(store, schema.queue_place) == []


def test_a_count_that_was_forgotten_is_an_error_of_the_database(place: Place) -> None:
    """Behind the ledger: a seat above the limit is refused by the tables, and nothing of it is kept."""
    pool = replace(FULL, max=(Share(who="group:sales", seats=1),))
    store = begin(place, jim_test(pools=(pool,), groups=(SALES,)))
    do(store, grant(1, 1))
    with pytest.raises(Contradiction):
        grant_without_counts(store)
    assert [it.client_id for it in rows(store, schema.seat)] == ["TestClientId"]


@pytest.mark.parametrize("many", [5000, pytest.param(100_000, marks=pytest.mark.wide)])
def test_a_hundred_thousand_seats_are_counted_in_seconds(place: Place, many: int) -> None:
    """Grants wait for a change of the set-up, so it must be short."""
    tenant: Tenant = jim_test(pools=(replace(FULL, seats=many),), groups=(SALES,))
    store = begin(place, tenant)
    with store.transaction() as transaction:
        now_ms = transaction.now_ms
        every = {
            "sqlite": "(WITH RECURSIVE it (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM it WHERE n < :many)"
            " SELECT n FROM it)",
            "postgresql": "(SELECT generate_series(1, :many) AS n)",
        }[transaction.connection.dialect.name]
        statement = (
            "INSERT INTO seat (pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms)"
            " SELECT 1, 'client:Client' || n, 1, 'Client' || n, CASE WHEN n % 2 = 0 THEN 'TC' ELSE 'X1' END,"
            " :now - n, :now + 600000 FROM EVERY AS found"
        ).replace("EVERY", every)
        transaction.connection.execute(text(statement), {"many": many, "now": now_ms})
        transaction.connection.execute(update(schema.pool).values(in_use=many))
    began = time.monotonic()
    set_pool(
        store,
        replace(FULL, seats=many, max_per_client=1, reserve=(Share(who="group:sales", seats=100),)),
    )
    assert time.monotonic() - began < 60
    with store.reading() as connection:
        [common] = connection.execute(select(schema.seat_count.c.in_use).filter_by(what="common")).scalars()
    assert common == many - 100
