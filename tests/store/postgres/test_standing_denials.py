"""Who is denied by a full pool again and again is denied without a book, and by what is true.

A store that does so is beside one that never does: both answer the same, and write the same journal. Whatever
makes a difference to a client is seen all the same, by the next grant.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Table, update

from licet.ledger.commands import (
    ClientRefused,
    Command,
    Denied,
    Grant,
    Granted,
    Outcome,
    Refresh,
    ScopeRefused,
)
from licet.ledger.rules import apply
from licet.model import NoSeatReason, Pool, Scope
from licet.store import counters, schema
from licet.store.contract import Purpose, Store
from licet.store.postgres import memory
from licet.store.postgres.one_call import Refused
from licet.store.postgres.store import PostgresStore
from support.examples import (
    ALL,
    BY_USER,
    CLIENTS,
    FULL,
    TWINS,
    VIEW,
    bump,
    end,
    grant,
    jim_test,
    refresh,
    view,
)
from support.ledger.asking import without_standings
from support.ledger.repeating import counted_denied_again
from support.many import few
from support.store.alike import are_alike, said
from support.store.faults import unavailable, works
from support.store.kinds import (
    Place,
    PostgresPlaces,
    SqlitePlaces,
    begun_in_postgres,
    opened_in_postgres,
)
from support.store.store_site import START_MS, begin, do, in_use, rows
from support.waiting import until

DENIED = Denied(reason=NoSeatReason.ALL_IN_USE, pool="full", seats=1, in_use=1, retry_after_s=1200)
MORE = Scope(name="more", licensed=True, read_only=False, pool="full")
OTHER = Pool(id=2, name="other", seats=1)


@pytest.fixture
def place(postgres_places: PostgresPlaces) -> Iterator[Place]:
    """An empty store in the shared server."""
    place = postgres_places.make(START_MS)
    yield place
    place.close()


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many grants are denied again from now on, of each commit in which some are."""
    return counted_denied_again(monkeypatch)


@pytest.fixture
def store(place: Place, repeated: list[int]) -> PostgresStore:
    """A store whose only seat the first client has, and which denies it to the second and third again."""
    pools = (replace(FULL, seats=1), OTHER)
    store = begun_in_postgres(place, jim_test(pools=pools, scopes=(VIEW, ALL, MORE)))
    do(store, grant(1, 1))
    deny_again(store, repeated, 2, 3)
    return store


def deny_again(store: PostgresStore, repeated: list[int], *clients: int) -> None:
    """Deny these clients a seat until it is done without a book."""
    for number in range(3):
        outcomes = do(store, *[grant(client, 100 + 10 * number + client) for client in clients])
        assert [type(it) for it in outcomes] == [Denied] * len(clients)
    assert repeated == [len(clients)]
    repeated.clear()


class TestAgain:
    """What is denied so, and what is written."""

    def test_the_answer_and_the_journal_are_as_before(
        self, store: PostgresStore, repeated: list[int], called: list[int]
    ) -> None:
        """L6, L11. By one call; the denials of a client are one entry, with the last address."""
        before = rows(store, schema.denial_entry)
        asked = [grant(2, 4), grant(3, 5), replace(grant(2, 6), address="192.0.2.7", queue=True)]
        assert do(store, *asked) == [DENIED] * 3
        assert (repeated, called) == ([3], [START_MS])
        found = rows(store, schema.denial_entry)[len(before) :]
        entry = {"tenant_id": 1, "at_ms": START_MS, "reason": "all_in_use", "pool": "full"}
        counts = {"seats": 1, "in_use": 1}
        of = [{"client_id": it.client_id, "initials": it.user.initials} for it in CLIENTS[1:3]]
        assert [it._asdict() | {"number": 0} for it in found] == [
            {"number": 0, **entry, **counts, **of[0], "times": 2, "address": "192.0.2.7"},
            {"number": 0, **entry, **counts, **of[1], "times": 1, "address": "192.0.2.1"},
        ]
        assert store.counted[counters.DENIED + NoSeatReason.ALL_IN_USE] == 6 + 3
        assert in_use(store) == 1

    def test_beside_what_is_granted_again_and_what_needs_a_book(
        self, place: Place, store: PostgresStore, repeated: list[int], called: list[int]
    ) -> None:
        """One call writes all of them, in the order of the commands."""
        do(store, view(4, 4))
        do(store, view(4, 5))
        called.clear()
        place.clock.advance(seconds=0.1)
        asked: list[Command] = [grant(2, 6), view(4, 7), refresh(4, 4), grant(3, 8), view(5, 9)]
        [first, second, third, fourth] = do(store, *asked[:4])
        assert [first, fourth] == [DENIED] * 2
        assert [type(second), type(third)] == [Granted] * 2
        assert (repeated, called) == ([2], [START_MS + 100])
        assert [type(it) for it in do(store, *asked[4:], grant(2, 10))] == [Granted, Denied]

    def test_each_second_it_is_loaded_once_and_stands_for_all(
        self, place: Place, store: PostgresStore, repeated: list[int], called: list[int]
    ) -> None:
        """L4. The seconds that are told are counted down."""
        for number in range(5):
            place.clock.advance(seconds=1)
            told = [do(store, grant(2 + at % 2, 200 + 10 * number + at))[0] for at in range(4)]
            assert [it.retry_after_s for it in told if isinstance(it, Denied)] == [1199 - number] * 4
        assert repeated == [1] * 15
        assert len([it for it in called if it > 0]) == 15

    def test_a_node_that_has_heard_that_it_is_later_does_not_call_in_vain(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """L4. It tells fewer seconds by then."""
        place.clock.advance(seconds=1)
        do(store, view(5, 4))
        called.clear()
        [denied] = do(store, grant(2, 5))
        assert isinstance(denied, Denied)
        assert denied.retry_after_s == 1199
        assert called == []

    def test_a_client_that_asks_for_two_things_at_once_is_loaded(
        self, store: PostgresStore, repeated: list[int]
    ) -> None:
        """Which of the two is first may matter (L8), and the journal has one entry with the last address."""
        asked = [grant(2, 4), replace(grant(2, 5, scope="more"), address="192.0.2.7")]
        assert do(store, *asked) == [DENIED] * 2
        assert repeated == []
        found = rows(store, schema.denial_entry)[-1]
        assert (found.times, found.address) == (2, "192.0.2.7")

    def test_a_pool_that_has_no_seats_stands_until_it_has(self, place: Place, repeated: list[int]) -> None:
        """L6. There is nothing to wait for."""
        store = begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=0),)))
        for number in range(8):
            place.clock.advance(seconds=100)
            [denied] = do(store, grant(1, number))
            assert isinstance(denied, Denied)
            assert (denied.reason, denied.retry_after_s) == (NoSeatReason.NO_SEATS, None)
        assert len(repeated) > 2

    def test_what_is_remembered_is_bounded(
        self, store: PostgresStore, repeated: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The oldest is forgotten, and decided on a book."""
        monkeypatch.setattr(memory, "SEATS_MAX", 2)
        for number in range(200, 230):
            assert do(store, grant(2 + number % 5, number)) == [DENIED]
        remembered = store._writer._wire.raw.memory  # type: ignore[union-attr]
        assert remembered is not None
        assert len(remembered._denials) <= 2
        assert len(repeated) <= 2


def _set(table: Table, where: ColumnElement[bool], **values: object) -> Callable[[Store], None]:
    """A change of the set-up, by another node."""

    def change(other: Store) -> None:
        with other.transaction() as transaction:
            transaction.connection.execute(update(table).where(where).values(**values))
            bump(transaction.connection, 1)

    return change


def _ended_by_an_administrator(other: Store) -> None:
    with other.transaction(Purpose.SETUP) as transaction:
        book = transaction.load([end(1)])
        apply(book, end(1), transaction.now_ms)
        transaction.save(book)


_SECOND = schema.client.c.key == 2


class TestADifference:
    """Whatever makes one is seen by the next grant, and what was not true is in no journal."""

    @pytest.mark.parametrize(
        ("happens", "becomes", "refused"),
        [
            (lambda other: do(other, end(1)), Granted, Refused.WRITER),
            (lambda other: do(other, end(1), grant(2, 300)), Granted, Refused.WRITER),
            (_ended_by_an_administrator, Granted, Refused.SETUP),
            (_set(schema.pool, schema.pool.c.id == 1, seats=2), Granted, Refused.SETUP),
            (_set(schema.client, _SECOND, enabled=False), ClientRefused, Refused.SETUP),
            (_set(schema.client, _SECOND, scopes="view"), ScopeRefused, Refused.SETUP),
            (_set(schema.scope, schema.scope.c.name == "all", pool_id=2), ScopeRefused, Refused.SETUP),
            (
                _set(schema.client, _SECOND, barred_until_ms=START_MS + 9000),
                NoSeatReason.SUSPENDED,
                Refused.SETUP,
            ),
            (
                _set(schema.pool, schema.pool.c.id == 1, expires_at_ms=START_MS - 1),
                NoSeatReason.LICENCE_EXPIRED,
                Refused.SETUP,
            ),
            (
                _set(schema.tenant, schema.tenant.c.id == 1, licence_required=True),
                NoSeatReason.LICENCE_MISSING,
                Refused.SETUP,
            ),
        ],
    )
    def test_that_another_node_makes(  # noqa: PLR0917 - fixtures
        self,
        place: Place,
        store: PostgresStore,
        repeated: list[int],
        called: list[int],
        happens: Callable[[Store], object],
        becomes: type[Outcome] | NoSeatReason,
        refused: Refused,
    ) -> None:
        """L1, L2, L4, L6, L7, L12, L13: this node has heard of nothing."""
        before = len(rows(store, schema.denial_entry))
        happens(place.open())
        [outcome] = do(store, grant(2, 4))
        if isinstance(becomes, NoSeatReason):
            assert isinstance(outcome, Denied)
            assert outcome.reason is becomes
        else:
            assert isinstance(outcome, becomes)
        assert (repeated, called) == ([], [refused])
        entries = [it.reason for it in rows(store, schema.denial_entry)[before:]]
        assert entries == ([str(becomes)] if isinstance(becomes, NoSeatReason) else [])

    def test_that_this_node_makes(self, store: PostgresStore, repeated: list[int]) -> None:
        """L4. A seat comes back, and is taken by one who was denied."""
        do(store, end(1))
        assert [type(it) for it in do(store, grant(2, 4), grant(3, 5))] == [Granted, Denied]
        assert isinstance(do(store, grant(2, 6))[0], Granted)
        assert repeated == []

    def test_that_the_same_batch_makes(self, store: PostgresStore) -> None:
        """L4. Denied, freed and given at once."""
        answers = do(store, grant(2, 4), end(1), grant(3, 5), grant(2, 6))
        assert [type(it) for it in [answers[0], *answers[2:]]] == [Denied, Granted, Denied]

    @pytest.mark.parametrize("seconds", [1200, 1300])
    def test_that_time_makes(
        self, place: Place, store: PostgresStore, repeated: list[int], called: list[int], seconds: int
    ) -> None:
        """L4. Nobody wrote anything, and the node last heard of the time before."""
        place.clock.advance(seconds=seconds)
        assert isinstance(do(store, grant(2, 4))[0], Granted)
        assert repeated == []
        assert all(it < 0 for it in called)

    def test_that_the_end_of_the_pool_makes(self, place: Place, repeated: list[int]) -> None:
        """L7. To the millisecond, within the second in which the denial would stand."""
        pool = replace(FULL, seats=0, expires_at_ms=START_MS + 700)
        store = begun_in_postgres(place, jim_test(pools=(pool,)))
        for number in range(3):
            do(store, grant(2, number))
        place.clock.advance(seconds=0.699)
        do(store, grant(2, 4))
        assert repeated == [1, 1]
        place.clock.advance(seconds=0.001)
        [denied] = do(store, grant(2, 5))
        assert isinstance(denied, Denied)
        assert denied.reason is NoSeatReason.LICENCE_EXPIRED
        assert repeated == [1, 1]

    @pytest.mark.parametrize("renewals", [0, 3])
    def test_that_the_first_seat_makes_as_it_is_used_again(
        self, place: Place, repeated: list[int], renewals: int
    ) -> None:
        """L4. In the same batch, on a book and by what was decided: the next seat is told."""
        store = begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=2),)))
        do(store, grant(1, 1))
        for _ in range(renewals):
            do(store, refresh(1, 1))
        place.clock.advance(seconds=600)
        do(store, grant(4, 2))
        deny_again(store, repeated, 2)
        [renewed, denied] = do(store, refresh(1, 1), grant(2, 3))
        assert isinstance(renewed, Granted)
        assert isinstance(denied, Denied)
        assert denied.retry_after_s == 1200
        assert repeated == []

    def test_that_a_seat_makes_as_it_was_used_again_before(self, place: Place, repeated: list[int]) -> None:
        """Its remembered row is behind by then: nobody is told by it when the first seat ends."""
        store = begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=2),)))
        do(store, grant(1, 1), grant(4, 2))
        for number in (3, 4):
            do(store, grant(1, number))
        place.clock.advance(seconds=400)
        do(store, refresh(4, 2))
        place.clock.advance(seconds=100)
        do(store, grant(1, 5))  # again, without a book
        place.clock.advance(seconds=100)
        do(store, grant(2, 6), grant(3, 7))
        denied, granted = do(store, grant(3, 8), replace(grant(1, 9), address="192.0.2.77"))
        assert isinstance(granted, Granted)
        assert isinstance(denied, Denied)
        assert denied.retry_after_s == 1000
        assert repeated == []

    @pytest.mark.parametrize("at_once", [False, True])
    @pytest.mark.parametrize("views", [0, 2])
    def test_that_a_limit_of_sessions_makes(
        self, place: Place, repeated: list[int], views: int, *, at_once: bool
    ) -> None:
        """L8. The session that has to end has the seat: its client stood for another user when it began.

        It comes to its limit in the batch before or in the same one, on a book or by what was decided.
        """
        clients = [replace(it, sessions_max=2 + views) for it in TWINS]
        tenant = jim_test(pools=(replace(BY_USER, seats=1),), clients=clients)
        store = begun_in_postgres(place, tenant)
        do(store, grant(1, 1))
        _set(schema.client, schema.client.c.key == 1, initials="OT")(store)
        store.refresh_tenants()
        deny_again(store, repeated, 1)
        for number in range(views):
            do(store, view(1, 10 + number))
        last = [view(1, 20), grant(1, 21)]
        answers = do(store, *last) if at_once else [do(store, it)[0] for it in last]
        assert [type(it) for it in answers] == [Granted, Granted]
        assert repeated == []

    def test_that_a_change_of_one_of_two_clients_of_a_user_makes(
        self, place: Place, repeated: list[int]
    ) -> None:
        """L1. It is remembered of the other one that their user has no seat, and how full the pool is."""
        store = begun_in_postgres(place, jim_test(pools=(replace(BY_USER, seats=1),), clients=TWINS))
        do(store, grant(3, 1))
        deny_again(store, repeated, 1, 2)
        _set(schema.client, schema.client.c.key == 1, scopes="view")(store)
        store.refresh_tenants()
        deny_again(store, repeated, 2)
        do(store, view(1, 4))
        assert [type(it) for it in do(store, grant(1, 5), grant(2, 6))] == [ScopeRefused, Denied]
        assert repeated == []

    def test_that_a_client_of_the_same_user_makes(self, place: Place, repeated: list[int]) -> None:
        """L2. Who was denied shares the seat that its user has from then on."""
        store = begun_in_postgres(place, jim_test(pools=(replace(BY_USER, seats=1),), clients=TWINS))
        do(store, grant(3, 1))
        deny_again(store, repeated, 1, 2)
        do(store, end(1))
        assert isinstance(do(store, grant(1, 6))[0], Granted)
        assert isinstance(do(store, grant(2, 7))[0], Granted)
        assert repeated == []

    def test_that_another_connection_makes(self, store: PostgresStore, repeated: list[int]) -> None:
        """A new one begins with an empty memory: of what became of the last call, nothing is known."""
        store._writer._wire.raw.pgconn.finish()  # type: ignore[union-attr]
        with unavailable():
            do(store, grant(2, 4))
        assert repeated == []
        until(lambda: works(store, grant(2, 5)))
        assert repeated == []
        assert do(store, grant(2, 6)) == [DENIED]


@pytest.mark.parametrize("seed", few(range(40), 1))
@pytest.mark.parametrize(
    "pool",
    [
        replace(FULL, seats=2),
        replace(BY_USER, seats=1),
        replace(FULL, seats=1, hold_s=30),
        replace(FULL, seats=1, expires_at_ms=START_MS + 900_500),
    ],
)
def test_a_store_that_denies_again_answers_as_one_that_never_does(  # noqa: PLR0917 - fixtures
    place: Place,
    sqlite_places: SqlitePlaces,
    tmp_path_factory: pytest.TempPathFactory,
    repeated: list[int],
    pool: Pool,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """L1, L2, L4 to L8, L11, L12: two nodes in turns, with ends, limits, changes of the set-up and time."""
    monkeypatch.setattr(memory, "TURNS", 1)
    story = _Story(seed)
    tenant = jim_test(
        pools=(pool, OTHER),
        scopes=(VIEW, ALL, MORE),
        clients=[replace(it, sessions_max=3 if it.key == 3 else 10_000) for it in CLIENTS[:5]],
    )
    nodes = [begun_in_postgres(place, tenant), opened_in_postgres(place)]
    with closing(sqlite_places.make(tmp_path_factory.mktemp("plain"), START_MS)) as beside:
        plain = without_standings(begin(beside, tenant))
        for step in range(160):
            if story.draw.random() < 0.03:
                change = story.change(place.clock.now_ms())
                for each in (nodes[story.draw.randrange(2)], plain):
                    change(each)
                nodes[1].refresh_tenants()
            asked = story.batch(4 * step)
            node = nodes[1 if step % 40 > 37 else 0]
            answers = do(node, *asked)
            assert answers == do(plain, *asked), step
            story.hear(answers)
            seconds = story.draw.choice([*[0] * 16, 0.2, 0.2, 0.3, 1, 10, 200])
            for clock in (place.clock, beside.clock):
                clock.advance(seconds=seconds)
        are_alike(nodes[0], plain, place.clock.now_ms())
        mine, others = said(nodes[0]), said(plain)
        for name in ("journal", "journal_entry", "denial_entry", "usage_minute"):
            assert mine[name] == others[name], name
    assert sum(repeated) > 3 or seed > 1  # in some, nobody is denied often


class _Story:
    """Random batches, mostly of grants of the same few clients, and changes of the set-up."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - a story, no secret
        self.begun: dict[int, int] = {}

    def batch(self, number: int) -> Sequence[Command]:
        """One batch; a batch with an end is that alone."""
        draw = self.draw
        if draw.random() < 0.03 and self.begun:
            return [end(draw.choice([*self.begun][-6:]))]
        asked: list[Grant | Refresh] = []
        for at in range(draw.choice([1, 2, 3, 4])):
            if draw.random() < 0.85 or not self.begun:
                # Of sessions that begin in the same millisecond, either may count as older (L8).
                of = draw.choice([1, 1, 2, 2, 2, 2, 2, 3, 4, 4, 4, 4, 4, 5, 5])
                if of == 3 and any(it.client_key == 3 for it in asked):
                    continue
                made: Any = draw.choice([view, *[grant] * 9])(of, number + at)
                if made.scope == "all" and draw.random() < 0.1:
                    made = replace(made, scope="more")
            else:
                named = draw.choice([*self.begun][-8:])
                made = refresh(self.begun[named], named)
            asked.append(replace(made, address=f"192.0.2.{draw.choice([1] * 9 + [made.client_key])}"))
        return asked

    def hear(self, answers: Sequence[Outcome]) -> None:
        """Remember the sessions that began."""
        for answer in answers:
            if isinstance(answer, Granted):
                session = answer.session
                self.begun[int.from_bytes(session.sid, "big")] = session.client_key

    def change(self, now_ms: int) -> Callable[[Store], None]:
        """A change of a client, or of a scope."""
        table, draw = schema.client, self.draw
        of = table.c.key == draw.randint(1, 5)
        changes: list[Callable[[Store], None]] = [
            _set(table, of, enabled=draw.random() < 0.5),
            _set(table, of, barred_until_ms=draw.choice([None, now_ms + 500, now_ms + 20_000])),
            _set(table, of, scopes=draw.choice([None, "view", "view all"])),
            _set(table, of, initials=draw.choice(["TC", "C1", "C2"])),
            _set(schema.scope, schema.scope.c.name == "more", pool_id=draw.choice([1, 2])),
        ]
        return draw.choice(changes)
