"""What a read transaction of a store shows, on each kind of store, and that it leaves nothing behind."""

from collections.abc import Callable, Iterator
from operator import methodcaller

import pytest
from sqlalchemy import func, select

from licet.lanes.commit import apply_all
from licet.ledger.commands import Granted
from licet.setup.change import changing
from licet.store import schema
from licet.store.contract import Store
from support.examples import end, grant, sid
from support.store.kinds import Place
from support.store.store_site import SESSION_S, START_MS, begin, do, numbers

ADA = "ada"


@pytest.fixture
def crowded(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """A store with many tenants, more than one row of a query."""
    place = make_place(START_MS)
    with changing(place.open(), ADA) as change:
        for number in range(50):
            change.add_tenant(f"T{number}", seats=1)
    yield place
    place.close()


@pytest.mark.parametrize("how", ["reading", "reporting"])
def test_a_query_that_is_not_read_to_its_end_keeps_nobody_in_the_past(crowded: Place, how: str) -> None:
    """Whoever reads next on that connection sees what was committed since."""
    store = crowded.open()
    reading = methodcaller(how)
    with reading(store) as connection:
        rows = iter(connection.execute(select(schema.tenant.c.name)))
        next(rows)
    with changing(crowded.open(), ADA) as change:
        change.add_tenant("Other", seats=1)
    assert _names(store, how) == {*(f"T{number}" for number in range(50)), "Other"}
    store.refresh_tenants()
    assert store.tenant("Other") is not None
    del rows


def _names(store: Store, how: str) -> set[str]:
    with methodcaller(how)(store) as connection:
        return set(connection.execute(select(schema.tenant.c.name)).scalars())


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """Each kind of store in turn, empty."""
    place = make_place(START_MS)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> Store:
    """A store with the tenant `Jim_Test`."""
    return begin(place)


class TestReading:
    """What is read beside the transactions."""

    def test_sessions_are_read_as_long_as_they_live_and_not_a_millisecond_longer(
        self, place: Place, store: Store
    ) -> None:
        """L3."""
        [first] = do(store, grant(1, 1))
        assert isinstance(first, Granted)
        do(store, grant(2, 2), end(2))
        asked = [sid(2), sid(1), sid(404)]
        place.clock.advance(seconds=SESSION_S - 0.001)
        assert store.read_sessions(asked) == (place.clock.now_ms(), {sid(1): first.session}, {})
        place.clock.advance(seconds=0.001)
        assert store.read_sessions(asked) == (place.clock.now_ms(), {}, {})
        assert store.read_sessions([]) == (place.clock.now_ms(), {}, {})

    def test_a_reader_sees_one_instant_while_others_write(self, place: Place, store: Store) -> None:
        """A report adds up."""
        other = place.open()
        query = select(func.count()).select_from(schema.session)
        with store.reading() as connection:
            assert connection.execute(query).scalar_one() == 0
            do(other, grant(1, 1))
            assert connection.execute(query).scalar_one() == 0
        with store.reading() as connection:
            assert connection.execute(query).scalar_one() == 1

    def test_a_reader_does_not_see_what_is_not_committed(self, store: Store) -> None:
        """L9."""
        with store.transaction() as transaction:
            apply_all(transaction, [grant(1, 1)])
            assert store.read_sessions([sid(1)])[1] == {}
        assert numbers(store.read_sessions([sid(1)])[1]) == [1]

    def test_a_store_that_is_well_says_so(self, store: Store) -> None:
        """`probe`."""
        store.probe()
