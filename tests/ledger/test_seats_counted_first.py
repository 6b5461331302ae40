"""A denial by a limit or a reserve says when this client could be served, in pools with many seats.

The seats that count are spread among others that expire before them; both stores find them by an index.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from licet.ledger.commands import Denied, Granted
from licet.ledger.prefetch import FEW, SPARE
from licet.model import Client, Duplicates, Group, Pool, Scope
from licet.options import Share
from licet.store.contract import Store
from support.examples import ALL, FULL, VIEW, client, end, grant, jim_test
from support.store.kinds import Place
from support.store.store_site import begin, do

OTHERS = tuple(client(100 + number, f"Other{number}", f"O{number}") for number in range(2 * SPARE))
TEAM = tuple(client(number, f"Desk{number}", "TC") for number in range(1, 5))
BIG = replace(FULL, seats=100)


def of(place: Place, pool: Pool, clients: Sequence[Client] = TEAM, **more: Any) -> Store:
    """A store with this pool, in which many others have seats that expire before those of the team."""
    store = begin(place, jim_test(pools=(pool,), clients=(*clients, *OTHERS), **more))
    do(store, *(grant(it.key, it.key) for it in OTHERS))
    place.clock.advance(seconds=100)
    return store


def denied(store: Store, command: Any) -> tuple[str, int | None]:
    """Why, and when to ask again."""
    [outcome] = do(store, command)
    assert isinstance(outcome, Denied), outcome
    return outcome.reason, outcome.retry_after_s


@pytest.mark.parametrize("duplicates", [Duplicates.CLIENT, Duplicates.NONE])
@pytest.mark.parametrize(
    "limit",
    [
        {"max": (Share(who="user:TC", seats=2),)},
        {"max_per_user": 2},
        {"max": (Share(who="group:desk", seats=2), Share(who="user:TC", seats=2))},
    ],
    ids=["a user", "each user", "a user and its group"],
)
def test_who_is_at_a_limit_learns_when_its_own_first_seat_ends(
    place: Place, duplicates: Duplicates, limit: dict[str, Any]
) -> None:
    """L16: at that second, and not one before, it is served."""
    desk = Group(name="desk", users=frozenset({"TC"}))
    store = of(place, replace(BIG, duplicates=duplicates, **limit), groups=(desk,))
    do(store, grant(1, 1))
    place.clock.advance(seconds=50)
    do(store, grant(2, 2))
    assert denied(store, grant(3, 3)) == ("max_reached", 1150)
    do(store, grant(1, 4) if duplicates is Duplicates.CLIENT else end(1))
    if duplicates is Duplicates.NONE:
        do(store, grant(1, 4))
    place.clock.advance(seconds=10)
    assert denied(store, grant(3, 5)) == ("max_reached", 1190)
    place.clock.advance(seconds=1189)
    assert denied(store, grant(3, 6)) == ("max_reached", 1)
    place.clock.advance(seconds=1)
    [served] = do(store, grant(3, 7))
    assert isinstance(served, Granted)


def test_a_client_at_its_limit_learns_when_its_own_first_session_ends(place: Place) -> None:
    """L16: where each session has a seat of its own, which its client may have two of."""
    store = of(place, replace(BIG, duplicates=Duplicates.NONE, max_per_client=2))
    do(store, grant(1, 1))
    place.clock.advance(seconds=7)
    do(store, grant(1, 2))
    assert denied(store, grant(1, 3)) == ("max_reached", 1193)


def test_a_seat_on_hold_counts_until_its_hold_ends(place: Place) -> None:
    """L16, L18: of which there is no session any more."""
    store = of(place, replace(BIG, hold_s=90, max_per_user=1))
    do(store, grant(1, 1), end(1))
    place.clock.advance(seconds=30)
    assert denied(store, grant(2, 2)) == ("max_reached", 60)


@pytest.mark.parametrize("duplicates", Duplicates)
def test_the_answer_is_never_too_late_where_a_group_has_the_seats(
    place: Place, duplicates: Duplicates
) -> None:
    """L16: of a group no seat is looked up, and those that are not known may end before."""
    clients = tuple(client(number, f"Desk{number}", f"D{number}") for number in range(1, 5))
    desk = Group(name="desk", clients=frozenset(it.client_id for it in clients))
    pool = replace(BIG, duplicates=duplicates, max=(Share(who="group:desk", seats=2),))
    store = of(place, pool, clients, groups=(desk,))
    do(store, grant(1, 1), grant(2, 2))
    assert denied(store, grant(3, 3)) == ("max_reached", 1100)


@pytest.mark.parametrize("duplicates", [Duplicates.CLIENT, Duplicates.NONE])
def test_the_answer_is_never_too_late_where_a_user_has_many_clients(
    place: Place, duplicates: Duplicates
) -> None:
    """L16: of more clients than a few no seat is looked up."""
    many = tuple(client(200 + it, f"Many{it}", "TC") for it in range(FEW + 1))
    store = of(place, replace(BIG, duplicates=duplicates, max_per_user=2), many)
    do(store, grant(200, 1), grant(201, 2))
    assert denied(store, grant(202, 3)) == ("max_reached", 1100)


def test_seats_that_are_held_without_a_session_are_not_taken_for_none(place: Place) -> None:
    """L16, L18: a count says that there is one more than is found by sessions; it may end before these."""
    store = of(place, replace(BIG, duplicates=Duplicates.NONE, hold_s=1100, max_per_client=2))
    do(store, grant(1, 1), end(1))
    do(store, grant(1, 2))
    reason, retry_after_s = denied(store, grant(1, 3))
    assert reason == "max_reached"
    assert retry_after_s is not None
    assert 1 <= retry_after_s <= 1100


def test_who_finds_only_seats_of_others_learns_when_a_common_one_ends(place: Place) -> None:
    """L17: and not when one of the reserve does, also where all seats are in use."""
    staff = tuple(client(number, f"Desk{number}", f"D{number}") for number in range(1, 7))
    pool = replace(FULL, seats=3, reserve=(Share(who="user:D1", seats=1), Share(who="user:D2", seats=1)))
    store = begin(place, jim_test(pools=(pool,), clients=staff))
    do(store, grant(1, 1))
    place.clock.advance(seconds=100)
    do(store, grant(3, 2))
    assert denied(store, grant(4, 3)) == ("reserved", 1200)
    place.clock.advance(seconds=100)
    do(store, grant(2, 4))
    assert denied(store, grant(4, 5)) == ("all_in_use", 1100)


def test_no_seat_that_is_reserved_for_others_is_promised(place: Place) -> None:
    """L17: where there is no common seat, no wait helps, and none is named."""
    staff = tuple(client(number, f"Desk{number}", f"D{number}") for number in range(1, 4))
    pool = replace(FULL, seats=1, reserve=(Share(who="user:D1", seats=1),))
    store = begin(place, jim_test(pools=(pool,), clients=staff))
    assert denied(store, grant(2, 1)) == ("reserved", None)
    do(store, grant(1, 2))
    assert denied(store, grant(2, 3)) == ("all_in_use", None)


def test_each_of_several_pools_says_when_it_has_a_seat(place: Place) -> None:
    """L16, L20: in one batch with grants that are made."""
    first = replace(BIG, name="first", max_per_user=1)
    second = Pool(id=2, name="second", seats=50, max_per_user=1)
    scope = Scope(name="all", licensed=True, read_only=False, pool="first", other_pools=("second",))
    assert scope.name == ALL.name
    store = begin(place, jim_test(pools=(first, second), scopes=(VIEW, scope), clients=(*TEAM, *OTHERS)))
    do(store, *(grant(it.key, it.key, other_pool_ids=(2,)) for it in OTHERS))
    place.clock.advance(seconds=100)
    outcomes = do(store, *(grant(it, it, other_pool_ids=(2,)) for it in (1, 2, 3)))
    assert [isinstance(it, Granted) for it in outcomes] == [True, True, False]
    assert isinstance(outcomes[2], Denied)
    assert (outcomes[2].reason, outcomes[2].retry_after_s) == ("max_reached", 1200)
