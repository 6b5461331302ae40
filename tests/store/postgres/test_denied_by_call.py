"""Who is denied again by a pool that is full, is denied by one call of the database, and by what is true.

Nothing is loaded for that. Whatever frees a seat is seen all the same: another node, this one, an
administrator, or time.
"""

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from licet.ledger.commands import Denied, Granted
from licet.model import NoSeatReason, Pool, Scope
from licet.options import Share
from licet.store import counters, schema, unfolded
from licet.store.contract import Purpose
from licet.store.postgres import memory
from licet.store.postgres.one_call import Refused
from licet.store.postgres.store import PostgresStore
from support.examples import BY_USER, CLIENTS, EACH, FULL, TWINS, bump, end, grant, jim_test, refresh
from support.store.kinds import Place, begun_in_postgres, opened_in_postgres
from support.store.store_site import START_MS, do, in_use, rows

DENIED = Denied(
    reason=NoSeatReason.ALL_IN_USE, pool="full", seats=1, in_use=1, retry_after_s=1200, rule="", pools=()
)

pytestmark = pytest.mark.parametrize("make_place", ["postgres"], indirect=True)


def full(place: Place, pool: Pool = FULL) -> PostgresStore:
    """A store whose only seat the first client has, and was denied to the second and the third."""
    store = begun_in_postgres(place, jim_test(pools=(replace(pool, seats=1),)))
    do(store, grant(1, 1))
    do(store, grant(2, 2), grant(3, 3))
    return store


@pytest.fixture
def store(place: Place) -> PostgresStore:
    """As `full`."""
    return full(place)


class TestACall:
    """When it is made, and what it writes."""

    def test_who_is_denied_again_is_told_the_same_by_one_call(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """L6, L11. Each denial has its entry in the journal, with those that are alike in one."""
        before = rows(store, schema.denial_entry)
        asked = [grant(2, 4), grant(3, 5), grant(2, 6)]
        assert do(store, *[replace(it, address="192.0.2.7") for it in asked]) == [DENIED] * 3
        assert called == [START_MS]
        found = rows(store, schema.denial_entry)[len(before) :]
        said = [(it.at_ms, it.client_id, it.times, it.seats, it.in_use, it.address) for it in found]
        of = [CLIENTS[1].client_id, CLIENTS[2].client_id]
        assert sorted(said) == sorted(
            (START_MS, name, times, 1, 1, "192.0.2.7") for name, times in zip(of, (2, 1), strict=True)
        )
        assert {(it.tenant_id, it.reason, it.pool) for it in found} == {(1, "all_in_use", "full")}
        assert store.counted[counters.DENIED + NoSeatReason.ALL_IN_USE] == 5
        assert in_use(store) == 1

    def test_a_connection_that_has_forgotten_what_is_prepared_prepares_each_call_anew(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """The driver has all forgotten after a ROLLBACK: the call that writes denials, and the other one."""
        raw = store._writer._wire.raw  # type: ignore[union-attr]
        raw.execute(b"DEALLOCATE ALL")  # it may be one of a test before
        raw.prepared_calls.clear()
        for client, number in ((1, 4), (1, 5), (2, 6)):
            do(store, grant(client, number))
        assert len(raw.prepared_calls) == 1
        raw.execute(b"DEALLOCATE ALL")
        before = len(called)
        for client, number in ((2, 7), (1, 8), (2, 9), (2, 10), (1, 11)):
            do(store, grant(client, number))
        assert len(raw.prepared_calls) == 2
        assert len(called) == before + 4  # once the pool is loaded, as its first seat was used on

    def test_its_moment_is_the_databases(self, place: Place, store: PostgresStore, called: list[int]) -> None:
        """The node decides for the last moment that it knows of."""
        place.clock.advance(seconds=0.4)
        do(store, grant(2, 4))
        assert called == [START_MS + 400]
        assert rows(store, schema.denial_entry)[-1].at_ms == START_MS + 400

    def test_holders_are_granted_again_by_the_same_call(self, place: Place, called: list[int]) -> None:
        """L2, L5, L6. One transaction writes both."""
        store = begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=2),)))
        do(store, grant(1, 1))
        place.clock.advance(seconds=10)
        do(store, grant(4, 2))
        do(store, grant(2, 3))
        answers = do(store, grant(4, 4), grant(2, 5), refresh(4, 2))
        assert [type(it) for it in answers] == [Granted, Denied, Granted]
        assert called == [START_MS + 10_000]
        assert len(rows(store, schema.denial_entry)) == 2
        assert len(rows(store, schema.session)) == 3

    @pytest.mark.parametrize(
        "pool",
        [
            replace(EACH, name="full"),
            replace(FULL, max=(Share(who="user:TC", seats=1),)),
            replace(FULL, queue=5),
        ],
    )
    def test_what_depends_on_more_than_a_full_pool_is_loaded(
        self, place: Place, called: list[int], pool: Pool
    ) -> None:
        """A pool with options, and one of which each session has a seat of its own."""
        store = full(place, pool)
        [denied] = do(store, grant(2, 4))
        assert isinstance(denied, Denied)
        assert called == []

    def test_who_may_ask_several_pools_is_loaded(self, place: Place, called: list[int]) -> None:
        """L20. The other pool may have a seat."""
        pools = (replace(FULL, seats=1), Pool(id=2, name="more", seats=1))
        scopes = (
            Scope(name="all", licensed=True, read_only=False, pool="full", other_pools=("more",)),
            Scope(name="one", licensed=True, read_only=False, pool="full"),
            Scope(name="two", licensed=True, read_only=False, pool="more"),
        )
        store = begun_in_postgres(place, jim_test(pools=pools, scopes=scopes))
        do(store, grant(1, 1, scope="one"), grant(1, 2, scope="two", pool_id=2))
        asked = grant(2, 3, scope="one")
        do(store, asked)
        [denied] = do(store, replace(asked, scope="all", other_pool_ids=(2,)))
        assert isinstance(denied, Denied)
        assert [it.pool for it in denied.pools] == ["full", "more"]
        assert called == []

    def test_a_client_at_its_limit_of_sessions_is_loaded(self, place: Place, called: list[int]) -> None:
        """L8. The session that ends for it may have had the seat."""
        clients = tuple(replace(it, sessions_max=1) for it in CLIENTS)
        store = begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=1),), clients=clients))
        do(store, grant(1, 1))
        do(store, grant(2, 2))
        do(store, grant(2, 3, scope="view", pool_id=None))
        before = len(called)
        [denied] = do(store, grant(2, 4))
        assert isinstance(denied, Denied)
        assert len(called) == before

    def test_now_and_then_it_is_counted_how_many_denials_wait(
        self, store: PostgresStore, called: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What waits to be folded is bounded, and only a batch that is loaded looks."""
        monkeypatch.setattr(unfolded, "LOOK_AFTER", 3)
        store._unfolded._left = 1
        for number in range(4, 14):
            assert do(store, grant(2, number)) == [DENIED]
        assert 0 < len(called) < 9
        monkeypatch.setattr(unfolded, "UNFOLDED_MAX", 5)
        store._unfolded._left = 0
        before = len(called)
        for number in range(20, 24):
            do(store, grant(2, number))
        assert len(called) == before
        [counted] = rows(store, schema.journal)[-1:]
        assert (counted.kind, counted.times) == ("denied", 4)

    def test_what_is_remembered_is_bounded(
        self, place: Place, called: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Everything has a limit."""
        monkeypatch.setattr(memory, "SEATS_MAX", 1)
        store = full(place)
        for number in range(4, 10):
            assert do(store, grant(2 + number % 2, number)) == [DENIED]
        remembered = store._writer._wire.raw.memory  # type: ignore[union-attr]
        assert remembered is not None
        assert len(remembered._without) == len(remembered._full) == 1
        assert called == []  # in turn, each of the two is forgotten before it asks again


class TestAFreeSeat:
    """Whatever frees one, it is given to the next who asks."""

    def test_another_node_frees_it(self, place: Place, store: PostgresStore, called: list[int]) -> None:
        """L4, L11. What was refused is in no journal."""
        before = len(rows(store, schema.denial_entry))
        do(place.open(), end(1))
        assert isinstance(do(store, grant(2, 4))[0], Granted)
        assert called == [Refused.WRITER]
        assert len(rows(store, schema.denial_entry)) == before

    def test_another_node_gives_it_to_the_one_who_was_denied(
        self, place: Place, store: PostgresStore
    ) -> None:
        """L2. Who has a seat now is not denied by what was."""
        do(place.open(), end(1), grant(2, 4))
        assert isinstance(do(store, grant(2, 5))[0], Granted)
        assert isinstance(do(store, grant(3, 6))[0], Denied)

    def test_this_node_frees_it(self, store: PostgresStore, called: list[int]) -> None:
        """L4."""
        do(store, end(1))
        assert isinstance(do(store, grant(2, 4))[0], Granted)
        assert [type(it) for it in do(store, grant(2, 5), grant(3, 6))] == [Granted, Denied]
        assert called == []

    def test_who_was_denied_has_one_now_of_which_no_more_is_remembered(self, store: PostgresStore) -> None:
        """L2. What is remembered of seats is bounded; that a holder has none is not believed for longer."""
        do(store, end(1))
        do(store, grant(2, 4))
        assert isinstance(do(store, grant(3, 5))[0], Denied)
        remembered = store._writer._wire.raw.memory  # type: ignore[union-attr]
        assert remembered is not None
        remembered._seats.clear()
        remembered._standings.forget()
        assert isinstance(do(store, grant(2, 6))[0], Granted)

    def test_an_administrator_frees_it(self, place: Place, store: PostgresStore, called: list[int]) -> None:
        """No version of the set-up changes by that."""
        from licet.ledger.rules import apply  # noqa: PLC0415

        with place.open().transaction(Purpose.SETUP) as transaction:
            book = transaction.load([end(1)])
            apply(book, end(1), transaction.now_ms)
            transaction.save(book)
        assert isinstance(do(store, grant(2, 4))[0], Granted)
        assert called == [Refused.SETUP]

    @pytest.mark.parametrize("seconds", [1200, 1300])
    def test_its_time_is_over(
        self, place: Place, store: PostgresStore, called: list[int], seconds: float
    ) -> None:
        """L4. Nobody wrote anything, and the node last heard of the time before."""
        place.clock.advance(seconds=seconds)
        assert isinstance(do(store, grant(2, 4))[0], Granted)
        assert all(answer < 0 for answer in called)

    def test_a_pool_gets_more_seats(self, place: Place, store: PostgresStore) -> None:
        """L6."""
        with place.open().transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=2))
            bump(transaction.connection, 1)
        assert [type(it) for it in do(store, grant(2, 4), grant(3, 5))] == [Granted, Denied]

    def test_a_client_of_the_same_user_has_one(self, place: Place, called: list[int]) -> None:
        """L2. Seats are counted for users: who was denied shares that of its user from then on."""
        store = begun_in_postgres(place, jim_test(pools=(replace(BY_USER, seats=1),), clients=TWINS))
        do(store, grant(3, 1))
        do(store, grant(1, 2), grant(2, 3))
        assert [type(it) for it in do(store, grant(2, 4), grant(1, 5))] == [Denied] * 2
        assert called == [START_MS]
        do(store, end(1))
        assert isinstance(do(store, grant(1, 6))[0], Granted)
        assert isinstance(do(store, grant(2, 7))[0], Granted)
        assert [it for it in called if it < 0] == []

    def test_in_the_same_batch(self, store: PostgresStore) -> None:
        """One batch denies, frees and gives."""
        answers = do(store, grant(2, 4), end(1), grant(3, 5))
        assert [type(it) for it in answers[::2]] == [Denied, Granted]
        assert isinstance(do(store, grant(2, 6))[0], Denied)
        assert isinstance(do(store, grant(3, 7))[0], Granted)


class TestHowLong:
    """What a denial says of the seat that expires first."""

    def test_it_is_told_to_the_second_when_to_ask_again(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """The seconds are counted down, whether it is loaded or remembered."""
        told = []
        for number in range(4, 34):
            place.clock.advance(seconds=0.25)
            [denied] = do(store, grant(2, number))
            assert isinstance(denied, Denied)
            told.append(denied.retry_after_s)
        left_ms = [1_200_000 - 250 * (at + 1) for at in range(30)]
        assert told == [-(-it // 1000) for it in left_ms]
        assert len([answer for answer in called if answer > 0]) > 10

    @pytest.mark.parametrize("renewals_before", [0, 2])
    def test_a_seat_that_is_used_on_is_not_the_first_any_more(
        self, place: Place, called: list[int], renewals_before: int
    ) -> None:
        """By the same node: the next seat is told, not the one that was."""
        store = begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=2),)))
        do(store, grant(1, 1))
        for _ in range(renewals_before):  # then the next one is granted by what was decided
            do(store, refresh(1, 1))
        before = len(called)
        place.clock.advance(seconds=600)
        do(store, grant(4, 2))
        [denied] = do(store, grant(2, 3))
        assert isinstance(denied, Denied)
        assert denied.retry_after_s == 600
        do(store, refresh(1, 1))
        [denied] = do(store, grant(2, 4))
        assert isinstance(denied, Denied)
        assert denied.retry_after_s == 1200
        assert len(called) == before + 1


class TestTwoNodes:
    """Both deny by what they remember, or look."""

    @pytest.mark.parametrize("denies_first", [0, 1])
    def test_who_only_denies_takes_no_tenant_from_who_grants(
        self, place: Place, store: PostgresStore, called: list[int], denies_first: int
    ) -> None:
        """The one that wrote last goes on as before; the other one loads each time."""
        nodes = [store, opened_in_postgres(place)]
        for step in range(4):
            node = nodes[(step + denies_first) % 2]
            assert do(node, grant(2, 10 + step)) == [DENIED]
        assert called == [START_MS] * 2

    def test_who_denies_where_nobody_wrote_last_remembers_that(
        self, place: Place, called: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its batches before may have been another node's turns."""
        monkeypatch.setattr(memory, "TURNS", 3)
        store = full(place)
        other = opened_in_postgres(place)
        do(other, grant(1, 10))  # in turn, so that the tenant is nobody's
        for step in range(8):
            assert do(store, grant(2, 20 + step)) == [DENIED]
        assert [it > 0 for it in called] == [False, *[True] * (len(called) - 1)]
        assert len(called) > 2
