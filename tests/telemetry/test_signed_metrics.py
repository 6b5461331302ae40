"""The metrics of signed pools: the seats that count, the overdraft in use, and when the licences end."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import update

from licet.lanes.commit import commit
from licet.model import Pool
from licet.store import schema
from licet.store.contract import Store
from support.examples import add_tenant, end, grant, jim_test
from support.licences.signed_pools import put_licences, text_of, trust
from support.server.scraping import made, of_pool, values
from support.store.kinds import Place

START_MS = 1_700_000_000_000
NOW_S = START_MS // 1000
FULL = ("Jim_Test", "full")
OF_OTHER = Pool(id=9, name="full", seats=7)


@pytest.fixture
def store(make_place: Callable[[int], Place]) -> Iterator[Store]:
    """A store with the tenant `Jim_Test`, whose vendor is trusted."""
    place = make_place(START_MS)
    store = place.open()
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
        trust(transaction.connection)
    yield store
    place.close()


def sign(store: Store, *licences: dict[str, Any]) -> None:
    """Give the pool these licences."""
    store.refresh_tenants()
    pool_ids = store.tenants()[1].pools
    texts = [(it.get("name", "C-1"), 1, text_of("full", "all", **({"seats": 2} | it))) for it in licences]
    with store.transaction() as transaction:
        put_licences(transaction.connection, pool_ids, texts)
    store.refresh_tenants()


def test_a_signed_pool_has_the_seats_that_count_its_overdraft_and_its_end(store: Store) -> None:
    """Overdraft in use is no overuse; the hold of the licence counts."""
    sign(store, {"overdraft": 1, "exp": NOW_S + 1000, "grace": 500})
    commit(store, [grant(1, 1), grant(2, 2), grant(3, 3)])
    found = values(made(store))
    expected = {
        "licet_seats": 2,
        "licet_seats_signed": 2,
        "licet_seats_in_use": 3,
        "licet_seats_overdraft_in_use": 1,
        "licet_seats_overuse": 0,
        "licet_seats_on_hold": 0,
        "licet_licence_expiry_timestamp_seconds": NOW_S + 1000,
    }
    assert {name: of_pool(found, name)[FULL] for name in expected} == expected


def test_what_the_administrator_leaves_of_it_is_what_counts(store: Store) -> None:
    """And a licence without an end has no instant of one."""
    sign(store, {"seats": 9})
    found = values(made(store))
    assert (of_pool(found, "licet_seats")[FULL], of_pool(found, "licet_seats_signed")[FULL]) == (5, 9)
    assert not of_pool(found, "licet_licence_expiry_timestamp_seconds")


def test_a_signed_pool_whose_licences_count_for_nothing_has_no_seat(store: Store) -> None:
    """It stays signed: 0 is an alarm, and a missing series is none."""
    sign(store, {"exp": NOW_S - 1})
    found = values(made(store))
    assert (of_pool(found, "licet_seats")[FULL], of_pool(found, "licet_seats_signed")[FULL]) == (0, 0)


def test_an_unsigned_pool_has_no_series_of_licences(store: Store) -> None:
    """Its seats are those that were set."""
    store.refresh_tenants()
    found = values(made(store))
    assert of_pool(found, "licet_seats")[FULL] == 5
    for name in ("signed", "overdraft_in_use"):
        assert not of_pool(found, f"licet_seats_{name}")


def test_a_pool_in_no_licence_has_no_seat_where_its_tenant_requires_one(store: Store) -> None:
    """As a grant there is denied, whatever number was set; what is in use is then overuse."""
    commit(store, [grant(1, 1)])
    with store.transaction() as transaction:
        transaction.connection.execute(update(schema.tenant).values(licence_required=True))
    store.refresh_tenants()
    found = values(made(store))
    names = ("licet_seats", "licet_seats_in_use", "licet_seats_overuse")
    assert [of_pool(found, name)[FULL] for name in names] == [0, 1, 1]


def test_the_signed_pools_of_unnamed_tenants_are_one_with_the_others(store: Store) -> None:
    """Their number is bounded as of all others."""
    sign(store, {"overdraft": 1, "exp": NOW_S + 1000})
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test(id=2, name="Other", pools=(OF_OTHER,), clients=()))
    commit(store, [grant(1, 1), grant(2, 2), grant(3, 3)])
    found = values(made(store, tenants_max=0))
    others = ("(others)", "(others)")
    assert of_pool(found, "licet_seats") == {others: 9}
    assert of_pool(found, "licet_seats_in_use") == {others: 3}
    assert of_pool(found, "licet_seats_signed") == {others: 2}
    assert of_pool(found, "licet_seats_overdraft_in_use") == {others: 1}
    assert not of_pool(found, "licet_licence_expiry_timestamp_seconds")


def test_the_hold_of_a_licence_is_shown_where_the_pool_has_none_of_its_own(store: Store) -> None:
    """The seat is in use, and no session lives on it."""
    sign(store, {"hold": 600})
    commit(store, [grant(1, 1)])
    commit(store, [end(1)])
    found = values(made(store))
    assert (of_pool(found, "licet_seats_in_use")[FULL], of_pool(found, "licet_seats_on_hold")[FULL]) == (1, 1)
