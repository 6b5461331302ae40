"""What a read transaction of a store leaves behind, on each kind of store: nothing."""

from collections.abc import Callable, Iterator
from operator import methodcaller

import pytest
from sqlalchemy import select

from licet.setup.change import changing
from licet.store import schema
from licet.store.contract import Store
from support.kinds import Place

START_MS = 1_700_000_000_000
ADA = "ada"


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """A store with many tenants, more than one row of a query."""
    place = make_place(START_MS)
    with changing(place.open(), ADA) as change:
        for number in range(50):
            change.add_tenant(f"T{number}", seats=1)
    yield place
    place.close()


@pytest.mark.parametrize("how", ["reading", "reporting"])
def test_a_query_that_is_not_read_to_its_end_keeps_nobody_in_the_past(place: Place, how: str) -> None:
    """Whoever reads next on that connection sees what was committed since."""
    store = place.open()
    begin = methodcaller(how)
    with begin(store) as connection:
        rows = iter(connection.execute(select(schema.tenant.c.name)))
        next(rows)
    with changing(place.open(), ADA) as change:
        change.add_tenant("Other", seats=1)
    assert _names(store, how) == {*(f"T{number}" for number in range(50)), "Other"}
    store.refresh_tenants()
    assert store.tenant("Other") is not None
    del rows


def _names(store: Store, how: str) -> set[str]:
    with methodcaller(how)(store) as connection:
        return set(connection.execute(select(schema.tenant.c.name)).scalars())
