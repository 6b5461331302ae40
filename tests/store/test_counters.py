"""What a process counts of its transactions is what was committed, no more and no less, on every store."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from licet.lanes.commit import apply_all, commit
from licet.ledger.commands import Sweep
from licet.store.contract import Purpose, Store
from licet.store.counters import taken
from support.examples import add_tenant, end, grant, jim_test, refresh, view
from support.store.kinds import Place

START_MS = 1_700_000_000_000


class _Undone(Exception):
    """Rolls back."""


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """Each kind of store in turn, with `Jim_Test`, of which each client may have two sessions."""
    place = make_place(START_MS)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> Store:
    """A store in it."""
    store = place.open()
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
    store.refresh_tenants()
    return store


def test_a_batch_is_counted_by_what_became_of_it(store: Store) -> None:
    grants = [grant(key, key) for key in range(1, 7)]
    commit(store, [*grants, view(1, 10), refresh(1, 1), end(2)])
    assert store.counted == {"granted": 6, "renewed": 1, "denied all_in_use": 1, "ended logoff": 1}


def test_what_expired_is_counted_when_it_is_swept(place: Place, store: Store) -> None:
    commit(store, [grant(1, 1), view(2, 2)])
    place.clock.advance(seconds=1201)
    commit(store, [Sweep(sessions_max=10)])
    assert store.counted == {"granted": 2, "ended expired": 2}


def test_what_is_rolled_back_did_not_happen(store: Store) -> None:
    """It is counted after COMMIT, as it is answered after COMMIT (L9)."""
    with suppress(_Undone), store.transaction(Purpose.SETUP) as transaction:
        apply_all(transaction, [grant(1, 1)])
        raise _Undone
    assert store.counted == {}


def test_a_change_of_the_setup_counts_what_ends_with_it(store: Store) -> None:
    commit(store, [grant(1, 1)])
    with store.transaction() as transaction:
        apply_all(transaction, [end(1)])
    assert store.counted["ended logoff"] == 1


def test_a_question_leaves_nothing_behind(store: Store) -> None:
    commit(store, [refresh(1, 99)])  # there is no such session
    assert store.counted == {}


def test_news_is_told_once() -> None:
    counted, collisions = Counter({"granted": 2}), Counter({"deadlock": 1})
    assert taken(counted, collisions) == {"granted": 2, "collided deadlock": 1}
    assert taken(counted, collisions) == {}
