"""Seats by the options of a pool: what denies first, and who is first in line (L15 to L17, L19, L20)."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import update

from licet.ledger.commands import Denied, Granted, Outcome
from licet.model import Client, Duplicates, Group, Pool, Scope
from licet.options import Priority, Share
from licet.store import schema
from licet.store.contract import Store
from support.examples import ALL, CLIENTS, FULL, VIEW, bump, client, end, grant, jim_test, refresh
from support.store.kinds import Place
from support.store.store_site import begin, do

SALES = Group(name="sales", users=frozenset({"TC"}), clients=frozenset({"Client1"}))
ONE = replace(FULL, seats=1)


def of(place: Place, *pools: Pool, clients: Sequence[Client] = CLIENTS, **more: Any) -> Store:
    """A store with these pools, and a group of sales."""
    return begin(place, jim_test(pools=pools, groups=(SALES,), clients=clients, **more))


def one(store: Store, command: Any) -> Outcome:
    """The outcome of one command."""
    [outcome] = do(store, command)
    return outcome


def denied(store: Store, command: Any) -> Denied:
    """The denial of one command."""
    outcome = one(store, command)
    assert isinstance(outcome, Denied), outcome
    return outcome


def is_granted(store: Store, command: Any) -> bool:
    """Whether a command is granted."""
    return isinstance(one(store, command), Granted)


def test_a_rule_for_one_client_or_user_takes_the_place_of_what_each_may_have(place: Place) -> None:
    """L16: max_per_user is for those without a line of their own."""
    clients = (*CLIENTS, client(8, "Desk8", "TC"), client(9, "Desk9", "TC"), client(10, "Desk10", "C1"))
    pool = replace(FULL, max_per_user=1, max=(Share(who="user:TC", seats=2),))
    store = of(place, pool, clients=clients)
    assert is_granted(store, grant(1, 1))
    assert is_granted(store, grant(8, 2))
    assert denied(store, grant(9, 3)).rule == "max user:TC"
    assert is_granted(store, grant(2, 4))
    assert denied(store, grant(10, 5)).rule == "max_per_user"


def test_a_denial_by_a_limit_of_a_pool_with_free_seats_says_when_the_first_one_expires(place: Place) -> None:
    """L16: the seats that expire first are known although the pool is not full."""
    store = of(
        place, replace(FULL, max=(Share(who="user:TC", seats=1),)), clients=(*CLIENTS, client(8, "D8", "TC"))
    )
    assert is_granted(store, grant(1, 1))
    place.clock.advance(seconds=100)
    answer = denied(store, grant(8, 2))
    assert (answer.reason, answer.retry_after_s) == ("max_reached", 1100)


def test_what_is_free_is_for_the_first_in_line_that_may_have_it(place: Place) -> None:
    """L19: a newcomer is told to wait, and asks in vain even before the first one does."""
    store = of(place, replace(FULL, seats=2, queue=3))
    do(store, grant(1, 1), grant(2, 2))
    assert denied(store, grant(3, 3, queue=True)).queue_position == 1
    do(store, end(1))
    answer = denied(store, grant(4, 4))
    assert (answer.reason, answer.queue_position, answer.retry_after_s) == ("queued", 0, 5)
    assert denied(store, grant(4, 5, queue=True)).queue_position == 2
    assert is_granted(store, grant(3, 6))
    assert denied(store, grant(4, 7, queue=True)).queue_position == 1


def test_who_waits_at_its_limit_is_in_nobodys_way(place: Place) -> None:
    """L16, L19: also of a newcomer of whom no option counts anything."""
    clients = (*CLIENTS, client(8, "Desk8", "TC"))
    pool = replace(FULL, seats=2, queue=3, max=(Share(who="user:TC", seats=1),))
    store = of(place, pool, clients=clients)
    do(store, grant(2, 1), grant(3, 2))
    assert denied(store, grant(8, 3, queue=True)).queue_position == 1
    do(store, end(1), end(2))
    assert is_granted(store, grant(1, 4)) is False
    assert is_granted(store, grant(8, 5))
    assert denied(store, grant(1, 6, queue=True)).reason == "max_reached"
    assert is_granted(store, grant(2, 7))


def test_who_waits_for_a_common_seat_does_not_keep_another_from_its_reserve(place: Place) -> None:
    """L17, L19."""
    pool = replace(FULL, seats=2, queue=3, reserve=(Share(who="group:sales", seats=1),))
    store = of(place, pool)
    do(store, grant(3, 1))
    answer = denied(store, grant(4, 2, queue=True))
    assert (answer.reason, answer.queue_position) == ("queued", 1)
    assert is_granted(store, grant(1, 3))


def test_priority_is_before_who_came_first(place: Place) -> None:
    """L19."""
    pool = replace(ONE, queue=3, priority=(Priority(who="group:sales", level=5),))
    store = of(place, pool)
    do(store, grant(3, 1))
    assert denied(store, grant(4, 2, queue=True)).queue_position == 1
    assert denied(store, grant(1, 3, queue=True)).queue_position == 1
    assert denied(store, grant(4, 4, queue=True)).queue_position == 2
    do(store, end(1))
    assert denied(store, grant(4, 5)).reason == "queued"
    assert is_granted(store, grant(1, 6))


def test_a_client_that_begins_anew_does_not_lose_its_seat_to_the_line(place: Place) -> None:
    """L8, L19: what comes back with the grant itself was never free."""
    each = replace(ONE, duplicates=Duplicates.NONE, queue=3)
    store = of(place, each, clients=(replace(CLIENTS[0], sessions_max=1), *CLIENTS[1:]))
    do(store, grant(1, 1))
    assert denied(store, grant(2, 2, queue=True)).queue_position == 1
    assert is_granted(store, grant(1, 3))


def test_asking_faster_neither_moves_a_place_nor_writes_it(place: Place) -> None:
    """L19: it is kept in the second half of its hold, and runs out when nobody asks."""
    store = of(place, replace(ONE, queue=1, queue_hold_s=30))
    do(store, grant(1, 1))
    assert denied(store, grant(2, 2, queue=True)).queue_position == 1
    answer = denied(store, grant(3, 3, queue=True))
    assert (answer.reason, answer.queue_position) == ("all_in_use", 0)
    place.clock.advance(seconds=29.999)
    assert denied(store, grant(2, 4, queue=True)).queue_position == 1
    place.clock.advance(seconds=30)
    assert denied(store, grant(3, 5, queue=True)).queue_position == 1


def test_a_refresh_is_denied_by_no_option(place: Place) -> None:
    """L5: nor the sharing of the seat that its holder has, but to whom is excluded."""
    pool = replace(FULL, seats=2, queue=2, max=(Share(who="user:TC", seats=1),), max_per_client=1)
    store = of(place, pool)
    do(store, grant(1, 1), grant(2, 2), grant(3, 3, queue=True))
    assert is_granted(store, refresh(1, 1))
    assert is_granted(store, grant(1, 4))


def test_a_seat_freed_and_taken_in_one_batch_is_counted_for_its_new_taker(place: Place) -> None:
    """L16, L17: the row of a seat that is counted otherwise is another row."""
    clients = (client(1, "Desktop", "TC"), client(2, "Phone", "TC"), client(3, "Other", "OT"))
    pool = replace(FULL, duplicates=Duplicates.USER, max=(Share(who="client:Phone", seats=1),))
    store = of(place, pool, clients=clients)
    do(store, grant(1, 1))
    do(store, end(1), grant(2, 2), grant(3, 3))
    do(store, end(2), end(3), grant(1, 4), grant(3, 5))
    do(store, end(4), end(5))


def test_the_first_pool_that_gives_a_seat_does_and_the_one_it_has_is_shared(place: Place) -> None:
    """L20: a denial says of each pool why."""
    named = Pool(id=1, name="named", seats=1, named=("TC",))
    full = Pool(id=2, name="full", seats=1)
    scope = replace(ALL, pool="named", other_pools=("full",))
    clients = (*CLIENTS, client(8, "Desk8", "TC"))
    store = of(place, named, full, scopes=(VIEW, scope), clients=clients)

    def asked(key: int, number: int) -> Outcome:
        return one(store, grant(key, number, other_pool_ids=(2,)))

    pools = [asked(1, 1), asked(8, 2), asked(8, 3)]
    assert [it.session.pool_id for it in pools if isinstance(it, Granted)] == [1, 2, 2]
    answer = asked(2, 4)
    assert isinstance(answer, Denied)
    assert (answer.reason, answer.pool) == ("all_in_use", "full")
    assert [(it.pool, it.reason) for it in answer.pools] == [
        ("named", "not_included"),
        ("full", "all_in_use"),
    ]


def test_who_waits_for_one_of_several_pools_keeps_its_place_there(place: Place) -> None:
    """L20: also when another pool comes nearer to giving a seat; and it leaves when it is served by any."""
    first = Pool(id=1, name="first", seats=1, queue=3)
    second = Pool(id=2, name="second", seats=1, queue=3, reserve=(Share(who="user:C6", seats=1),))
    scope = Scope(name="all", licensed=True, read_only=False, pool="first", other_pools=("second",))
    store = of(place, first, second, scopes=(VIEW, scope))
    do(store, grant(2, 1, other_pool_ids=(2,)))
    answer = denied(store, grant(1, 2, other_pool_ids=(2,), queue=True))
    assert (answer.pool, answer.queue_position) == ("first", 1)
    do(store, grant(7, 3, other_pool_ids=(2,)))
    answer = denied(store, grant(1, 4, other_pool_ids=(2,), queue=True))
    assert (answer.pool, answer.queue_position) == ("first", 1)


def test_who_asks_to_wait_does_so_for_the_pool_that_has_a_line_with_room(place: Place) -> None:
    """L19, L20: seats by name have no line, and the floating ones beside them do."""
    named = Pool(id=1, name="named", seats=1)
    full = Pool(id=2, name="full", seats=1, queue=1)
    more = Pool(id=3, name="more", seats=1, queue=1)
    scope = Scope(name="all", licensed=True, read_only=False, pool="named", other_pools=("full", "more"))
    store = of(place, named, full, more, scopes=(VIEW, scope))
    for key in (1, 2, 3):
        assert isinstance(one(store, grant(key, key, other_pool_ids=(2, 3))), Granted)
    assert denied(store, grant(4, 4, other_pool_ids=(2, 3))).pool == "named"
    waiting = [denied(store, grant(key, key, other_pool_ids=(2, 3), queue=True)) for key in (4, 5, 6, 4)]
    assert [(it.reason, it.pool, it.queue_position) for it in waiting] == [
        ("queued", "full", 1),
        ("queued", "more", 1),
        ("all_in_use", "named", 0),  # both lines are full
        ("queued", "full", 1),
    ]


def test_the_first_seat_of_any_pool_that_comes_free_is_when_to_ask_again(place: Place) -> None:
    """L20: the denial is of the first pool, where it would have to wait for longer."""
    pools = (Pool(id=1, name="first", seats=1), Pool(id=2, name="second", seats=1))
    scope = Scope(name="all", licensed=True, read_only=False, pool="first", other_pools=("second",))
    store = of(place, *pools, scopes=(VIEW, scope))
    do(store, grant(1, 1, other_pool_ids=(2,)))
    do(store, grant(2, 2, other_pool_ids=(2,)))
    place.clock.advance(seconds=600)
    do(store, refresh(1, 1))
    answer = denied(store, grant(3, 3, other_pool_ids=(2,)))
    assert (answer.pool, answer.retry_after_s) == ("first", 600)
    place.clock.advance(seconds=600)
    assert isinstance(one(store, grant(3, 3, other_pool_ids=(2,))), Granted)


def test_reserves_are_served_in_order_where_there_are_too_few_seats(place: Place) -> None:
    """L17: nothing of a later one is left where the first takes all."""
    pool = replace(FULL, seats=1, reserve=(Share(who="user:C1", seats=1), Share(who="user:C2", seats=1)))
    store = of(place, pool)
    assert denied(store, grant(3, 1)).reason == "reserved"
    assert is_granted(store, grant(2, 2))


def test_the_held_seat_of_a_former_user_is_not_shared_where_options_count(place: Place) -> None:
    """L16, L18: else its new user would have a seat that no limit counts."""
    pool = replace(FULL, hold_s=60, max=(Share(who="user:C2", seats=1),))
    store = of(place, pool)
    do(store, grant(2, 1), end(1))
    with store.transaction() as transaction:
        transaction.connection.execute(update(schema.client).filter_by(key=2).values(initials="C2"))
        bump(transaction.connection, 1)
    store.refresh_tenants()
    answer = denied(store, grant(2, 2))
    assert (answer.reason, answer.retry_after_s) == ("all_in_use", 60)
    place.clock.advance(seconds=60)
    assert is_granted(store, grant(2, 3))
    assert denied(store, grant(3, 4)).rule == "max user:C2"
