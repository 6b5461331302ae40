"""Batches that change no seat are one call of the database, where nobody else has written since.

What a call writes is what a batch that is loaded and saved would have written; what it is refused for is
loaded and decided again, so that a caller sees no difference.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import update

from licet.lanes.commit import commit
from licet.ledger.commands import Command, Denied, Granted, SessionUnknown
from licet.model import Pool
from licet.setup.check import check
from licet.store import schema
from licet.store.contract import Purpose
from licet.store.errors import Contradiction
from licet.store.postgres import memory
from licet.store.postgres.batch import SETUP_LOCK, TENANT_LOCK
from licet.store.postgres.one_call import Refused
from licet.store.postgres.store import PostgresStore
from support.examples import (
    BY_USER,
    CLIENTS,
    EACH,
    FULL,
    bump,
    end,
    grant,
    jim_test,
    refresh,
    sid,
)
from support.ledger.asking import without_standings
from support.store.alike import said
from support.store.faults import answers, unavailable, works
from support.store.kinds import (
    Place,
    PostgresPlaces,
    SqlitePlaces,
    begun_in_postgres,
    open_postgres,
    opened_in_postgres,
)
from support.store.store_site import START_MS, begin, do, in_use, rows
from support.waiting import until

WIDE = (FULL, BY_USER)
HELD = replace(FULL, hold_s=60)  # whose seats have rows that are written each time

pytestmark = pytest.mark.parametrize("make_place", ["postgres"], indirect=True)


@pytest.fixture
def store(place: Place) -> PostgresStore:
    """A store in which `TestClientId` has a seat."""
    store = begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=2), EACH_TOO)))
    do(store, grant(1, 1))
    return store


EACH_TOO = replace(EACH, id=2, name="each")


class TestACall:
    """What it writes, and when it is made."""

    def test_grants_to_holders_of_a_seat_and_refreshes_are_one_call(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """L2, L5, L11. Each session with its entry in the journal."""
        [again, renewed] = do(store, grant(1, 2), refresh(1, 1))
        assert called == [START_MS]
        assert isinstance(again, Granted)
        assert isinstance(renewed, Granted)
        assert [row.sid for row in rows(store, schema.session)] == [sid(1), sid(2)]
        assert [row.kind for row in rows(store, schema.journal_entry)] == ["granted"] * 2
        assert in_use(store) == 1
        assert store.counted == {"granted": 2, "renewed": 1}

    def test_what_it_answers_and_writes_is_of_the_databases_clock(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """The batch was decided for the last moment that the node knew of, half a minute before."""
        place.clock.advance(seconds=30)
        [granted, renewed] = do(store, grant(1, 2), refresh(1, 1))
        now_ms = START_MS + 30_000
        assert called == [now_ms]
        assert isinstance(granted, Granted)
        assert isinstance(renewed, Granted)
        assert granted.at_ms == granted.session.started_at_ms == renewed.session.renewed_at_ms == now_ms
        assert renewed.session.started_at_ms == START_MS
        assert granted.access_expires_at_ms == now_ms + 600_000
        found = {row.sid: row for row in rows(store, schema.session)}
        for session in (granted.session, renewed.session):
            row = found[session.sid]
            times = (row.started_at_ms, row.renewed_at_ms, row.expires_at_ms)
            assert times == (session.started_at_ms, session.renewed_at_ms, session.expires_at_ms)
        assert rows(store, schema.journal_entry)[-1].at_ms == now_ms

    @pytest.mark.parametrize(
        "command",
        [grant(2, 9), end(1), grant(1, 9, scope="nothing", pool_id=None), refresh(2, 1), refresh(1, 7)],
    )
    def test_what_is_not_known_to_be_granted_is_loaded(
        self, store: PostgresStore, called: list[int], command: Command
    ) -> None:
        """Who takes a seat, ends a session, or is refused."""
        do(store, grant(1, 2), command)
        assert called == []
        do(store, grant(1, 3))

    def test_a_client_at_its_limit_of_sessions_is_loaded(self, place: Place, called: list[int]) -> None:
        """L8. The oldest one has to end."""
        clients = (replace(CLIENTS[0], sessions_max=2),)
        store = begun_in_postgres(place, jim_test(clients=clients))
        do(store, grant(1, 1))
        do(store, grant(1, 2))
        assert called == [START_MS]
        do(store, grant(1, 3))
        assert called == [START_MS]
        assert [row.sid for row in rows(store, schema.session)] == [sid(2), sid(3)]

    def test_a_session_with_a_seat_of_its_own_is_loaded(self, place: Place, called: list[int]) -> None:
        """L2. A seat that is counted for sessions is another one each time."""
        store = begun_in_postgres(place, jim_test(pools=(EACH,)))
        do(store, grant(1, 1))
        do(store, grant(1, 2))
        assert called == []
        do(store, refresh(1, 1))
        assert called == [START_MS]

    def test_what_is_remembered_is_bounded_and_the_rest_is_loaded(
        self, store: PostgresStore, called: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Everything has a limit."""
        monkeypatch.setattr(memory, "SESSIONS_MAX", 2)
        for number in range(2, 6):
            do(store, grant(1, number))
        before = len(called)
        do(store, refresh(1, 4), refresh(1, 5))
        assert len(called) == before + 1
        do(store, refresh(1, 2))
        assert len(called) == before + 1
        do(store, refresh(1, 2))
        assert len(called) == before + 2

    def test_calls_go_on_after_a_batch_that_was_rolled_back(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """The driver takes away what is prepared then."""
        do(store, grant(1, 2))
        with suppress(KeyError), store.transaction(Purpose.BATCH) as transaction:
            transaction.load([grant(1, 3)])
            raise KeyError
        do(store, grant(1, 3))  # which is loaded, as nobody knows what failed
        do(store, grant(1, 4))
        do(store, grant(1, 5))
        assert called == [START_MS] * 3


class TestARefusal:
    """Each check that the function makes, and what becomes of the batch."""

    def test_a_set_up_that_changed_is_read_first(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """A client that was disabled a moment ago gets nothing."""
        with place.open().transaction() as transaction:
            transaction.connection.execute(
                update(schema.client).where(schema.client.c.key == 1).values(enabled=False)
            )
            bump(transaction.connection, 1)
        assert answers(store, grant(1, 2)) != [Granted]
        assert called == [Refused.SETUP]

    def test_a_session_that_an_administrator_ended_is_not_renewed(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """L5. No version of the set-up changes by that, and the seat is somebody else's now."""
        with place.open().transaction() as transaction:
            book = transaction.load([end(1)])
            from licet.ledger.rules import apply  # noqa: PLC0415

            apply(book, end(1), transaction.now_ms)
            transaction.save(book)
        assert answers(store, refresh(1, 1)) == [SessionUnknown]
        assert called == [Refused.SETUP]

    def test_a_seat_that_another_node_has_freed_is_not_believed_in(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """L2, L6. Both seats are somebody else's, when their former holder comes again."""
        do(place.open(), end(1), grant(2, 2), grant(3, 3))
        assert answers(store, grant(1, 4)) == [Denied]
        assert called == [Refused.WRITER]

    @pytest.mark.parametrize("table", ["session", "seat"])
    @pytest.mark.parametrize(
        "statement", ["DELETE FROM {}", "UPDATE {} SET expires_at_ms = 1", "TRUNCATE {}"]
    )
    def test_who_does_not_say_who_it_is_is_noticed_all_the_same(
        self,
        postgres_places: PostgresPlaces,
        store: PostgresStore,
        called: list[int],
        table: str,
        statement: str,
    ) -> None:
        """A node of a version that knows nothing of writers, or an administrator of the database."""
        with psycopg.connect(postgres_places.url) as connection:
            connection.execute(statement.format(table).encode())
        do(store, grant(1, 2))
        assert called == [Refused.SETUP]
        do(store, grant(1, 3))
        assert called[1:] == [START_MS]

    def test_another_connection_under_the_same_name_is_not_believed(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """A proxy may lead to another server than the one that was written to."""
        remembered = store._writer._wire.raw.memory  # type: ignore[union-attr]
        assert remembered is not None
        remembered.backend += 1
        do(store, grant(1, 2))
        assert called == [Refused.SETUP]

    def test_what_has_expired_meanwhile_is_loaded(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """L4. The node did not know how late it was: the session and its seat are over."""
        place.clock.advance(seconds=1200)
        assert answers(store, refresh(1, 1)) == [SessionUnknown]
        assert called == [Refused.LATE]
        do(store, grant(1, 2))
        assert [row.kind for row in rows(store, schema.journal_entry)] == ["granted"] * 2
        [seat] = rows(store, schema.seat)
        assert seat.taken_at_ms == START_MS + 1_200_000

    def test_a_session_lives_to_its_last_millisecond(self, place: Place, called: list[int]) -> None:
        """L4."""
        store = begun_in_postgres(place, jim_test(pools=(HELD,)))
        do(store, grant(1, 1))
        place.clock.advance(seconds=1199.999)
        assert answers(store, refresh(1, 1)) == [Granted]
        assert called == [START_MS + 1_199_999]

    def test_a_life_that_its_pool_cuts_short_is_loaded(self, place: Place, called: list[int]) -> None:
        """L7. Also where the pool's end came within reach only after the node last looked at the clock."""
        pools = (replace(HELD, expires_at_ms=START_MS + 3_600_000),)
        store = begun_in_postgres(place, jim_test(pools=pools))
        do(store, grant(1, 1))
        place.clock.advance(seconds=1100)
        do(store, refresh(1, 1))
        place.clock.advance(seconds=1100)
        do(store, refresh(1, 1))
        place.clock.advance(seconds=1000)
        [renewed] = do(store, refresh(1, 1))
        assert isinstance(renewed, Granted)
        assert renewed.session.expires_at_ms == START_MS + 3_600_000
        assert called == [START_MS + 1_100_000, START_MS + 2_200_000, Refused.LATE]

    def test_a_row_that_is_near_its_seat_when_the_batch_is_decided_may_be_far_when_it_is_committed(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """No row of a seat is behind by more than half of a life."""
        place.clock.advance(seconds=600)
        do(store, refresh(1, 1))
        place.clock.advance(seconds=1)
        do(store, refresh(1, 1))
        assert called == [START_MS + 600_000, Refused.LATE]
        [seat] = rows(store, schema.seat)
        assert seat.expires_at_ms == START_MS + 1_801_000

    def test_nodes_that_take_turns_do_not_try_each_time(
        self, place: Place, store: PostgresStore, called: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call that fails costs a round trip. A node that is alone again remembers again."""
        monkeypatch.setattr(memory, "TURNS", 4)
        other = place.open()
        for number in range(2, 12, 2):
            do(store, grant(1, number))
            do(other, grant(1, number + 1))
        assert called.count(Refused.WRITER) == 1
        before = len(called)
        for number in range(20, 30):
            do(store, grant(1, number))
        assert [answer > 0 for answer in called[before:]] == [True] * len(called[before:])
        assert len(called) - before >= 5

    def test_what_this_node_ended_itself_is_not_remembered(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """L5. The seat lives on with another session."""
        do(store, grant(1, 2), grant(1, 3))
        do(store, end(2))
        assert answers(store, refresh(1, 2)) == [SessionUnknown]
        assert called == [START_MS]

    def test_a_clock_of_the_database_that_goes_back_shortens_nothing(
        self, place: Place, store: PostgresStore, called: list[int]
    ) -> None:
        """A transaction never comes before what its store has seen."""
        place.clock.advance(seconds=60)
        do(store, grant(1, 2))
        place.clock.advance(seconds=-60)
        do(store, grant(1, 3))
        assert called == [START_MS + 60_000] * 2

    def test_what_the_tables_contradict_is_not_believed_a_second_time(
        self, postgres_places: PostgresPlaces, store: PostgresStore, called: list[int]
    ) -> None:
        """Whoever took the session away said that it was a batch: no check finds that, but the rows do."""
        with psycopg.connect(postgres_places.url) as connection:
            connection.execute("SET licet.is_batch = 'yes'")
            connection.execute("DELETE FROM session")
        [fault] = commit(store, [refresh(1, 1)])
        assert isinstance(fault, Contradiction)
        assert answers(store, refresh(1, 1)) == [SessionUnknown]
        assert called == []


class TestLocks:
    """A call waits as a batch does, and no longer."""

    @pytest.mark.parametrize("lock", [f"{TENANT_LOCK}, 1", f"{SETUP_LOCK}, 0"])
    def test_a_call_waits_for_who_has_its_tenant_or_the_set_up(
        self, postgres_places: PostgresPlaces, store: PostgresStore, called: list[int], lock: str
    ) -> None:
        """It looks who has written when the other is done."""
        with ThreadPoolExecutor(1) as pool, psycopg.connect(postgres_places.url) as holder:
            holder.execute(f"SELECT pg_advisory_xact_lock({lock})".encode())
            waiting = pool.submit(answers, store, refresh(1, 1))
            query = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            until(lambda: holder.execute(query).fetchall() == [(1,)])
            holder.execute("DELETE FROM session")
            holder.execute("COMMIT")
            assert waiting.result() == [SessionUnknown]
        assert called == [Refused.SETUP]

    @pytest.mark.parametrize("isolation", [r"repeatable\ read", "serializable"])
    def test_a_call_sees_what_was_written_while_it_waited_whatever_the_database_has_as_default(
        self,
        place: Place,
        postgres_places: PostgresPlaces,
        called: list[int],
        isolation: str,
    ) -> None:
        """L6. Else it would see what there was when it began to wait: here a seat that is gone by now."""
        default = quote(f" -cdefault_transaction_isolation={isolation}")
        opener = partial(open_postgres, f"{place.url}{default}")
        with closing(Place(opener, place.clock)) as site:
            store = begun_in_postgres(site, jim_test(pools=(FULL,)))
            do(store, grant(1, 1))
            with ThreadPoolExecutor(1) as pool, psycopg.connect(postgres_places.url) as holder:
                holder.execute(f"SELECT pg_advisory_xact_lock({TENANT_LOCK}, 1)".encode())
                waiting = pool.submit(do, store, grant(1, 2))
                query = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                until(lambda: holder.execute(query).fetchall() == [(1,)])
                holder.execute("DELETE FROM session; DELETE FROM seat; UPDATE pool SET in_use = 0")
                holder.execute("COMMIT")
                waiting.result()
            assert called == [Refused.SETUP]
            assert in_use(store) == 1

    def test_the_wait_of_a_call_has_an_end(
        self,
        postgres_places: PostgresPlaces,
        store: PostgresStore,
        called: list[int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Whoever holds the lock, a caller is answered."""
        monkeypatch.setattr(memory, "TURNS", 0)
        with closing(PostgresStore(postgres_places.url)) as impatient:
            until(lambda: works(impatient, grant(1, 2)))
            do(impatient, grant(1, 3))
            do(impatient, grant(1, 4))
            assert len(called) == 1
            with psycopg.connect(postgres_places.url) as holder:
                holder.execute(f"SELECT pg_advisory_xact_lock({TENANT_LOCK}, 1)".encode())
                with unavailable("took too long"):
                    commit(impatient, [grant(1, 5)])
        assert len(called) == 1
        assert answers(store, refresh(1, 1)) == [Granted]


class TestAlike:
    """Random stories, by calls and without: the same answers, and the same rows."""

    @pytest.mark.parametrize(
        ("pool", "seed"),
        [
            *[(FULL, 0), (BY_USER, 0), (EACH, 1)],
            *(pytest.param(pool, seed, marks=pytest.mark.wide) for pool in WIDE for seed in range(2, 30)),
        ],
    )
    def test_two_nodes_that_call_answer_as_one_that_never_does(  # noqa: PLR0917 - fixtures
        self,
        place: Place,
        sqlite_places: SqlitePlaces,
        tmp_path: Path,
        called: list[int],
        pool: Pool,
        seed: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """L2, L4, L5, L6, L8, L11."""
        monkeypatch.setattr(memory, "TURNS", 2)
        self.granted: dict[int, int] = {}
        draw = random.Random(seed)  # noqa: S311 - a story, no secret
        tenant = jim_test(
            pools=(replace(pool, seats=3),), clients=[replace(it, sessions_max=6) for it in CLIENTS[:5]]
        )
        first = begun_in_postgres(place, tenant)
        nodes = [first, opened_in_postgres(place)]
        with closing(sqlite_places.make(tmp_path, START_MS)) as beside:
            plain = without_standings(begin(beside, tenant))
            node = 0
            for step in range(80):
                if draw.random() < 0.05:
                    node = 1 - node
                asked = [self._command(draw, 4 * step + at) for at in range(draw.choice([1, 1, 2, 3]))]
                assert do(nodes[node], *asked) == do(plain, *asked)
                seconds = draw.choice([0, 0, 0, 0, 1, 10, 30, 500])
                for clock in (place.clock, beside.clock):
                    clock.advance(seconds=seconds)
            assert said(first) == said(plain)
            with first.reading() as connection:
                found = check(connection, first.tenants(), place.clock.now_ms())
            assert [it for it in found if it.is_wrong and it.target == "sessions"] == []
        assert len([answer for answer in called if answer > 0]) >= 1

    def _command(self, draw: random.Random, number: int) -> Command:
        kind = draw.random()
        if kind < 0.4 or not self.granted:
            self.granted[number] = draw.randint(1, 4)
            return grant(self.granted[number], number)
        named = draw.choice([*self.granted][-8:])
        return refresh(self.granted[named], named) if kind < 0.95 else end(named)
