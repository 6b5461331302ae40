"""What only the store for many nodes can meet: locks that nodes share, and what they tell each other.

What every store promises is in the files beside this one, whose tests run on a real PostgreSQL as well; what
fails is in test_postgres_faults.py.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import update

from licet.clock import FollowingClock
from licet.lanes.commit import COLLISIONS_MAX, apply_all, commit
from licet.ledger.commands import Command, Denied, Granted, SessionUnknown
from licet.ledger.prefetch import Need
from licet.model import Pool
from licet.platforms.processes import open_files_max
from licet.setup.change import changing
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.errors import Collided, StoreUnavailable
from licet.store.postgres import load_statements
from licet.store.postgres.arrays import byte_strings, flags, numbers, texts
from licet.store.postgres.batch import TENANT_LOCK
from licet.store.postgres.book import _COUNTING, parameters
from licet.store.postgres.connection import DriverConnection, Link
from licet.store.postgres.load_statements import Statement
from licet.store.postgres.store import PostgresStore
from licet.store.postgres.watcher import Watcher
from support.examples import FULL, bump, client, end, grant, jim_test, refresh, sid
from support.store.faults import answers, unavailable, works
from support.store.kinds import Place, PostgresPlaces, begun_in_postgres, opened_in_postgres
from support.store.postgres import Postgres
from support.threads import no_thread_starts
from support.waiting import PATIENCE_S, STEP_S, until

START_MS = 1_700_000_040_000
OTHER = jim_test(
    id=2, name="Other", pools=(Pool(id=9, name="full", seats=5),), clients=(client(50, "Till", "TC"),)
)


@pytest.fixture
def place(postgres_places: PostgresPlaces) -> Iterator[Place]:
    """An empty store in the shared server."""
    place = postgres_places.make(START_MS)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> PostgresStore:
    """A store with two tenants, one seat in the first."""
    return begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=1),)), OTHER)


class TestLocks:
    """A batch is alone with its tenants, and with nobody else's."""

    @contextmanager
    def batch(self, store: Store, *commands: Command) -> Iterator[None]:
        """A batch that has its locks as long as the block is."""
        with store.transaction(Purpose.BATCH) as transaction:
            apply_all(transaction, commands)
            yield

    def test_batches_of_different_tenants_do_not_wait_for_each_other(
        self, place: Place, store: Store
    ) -> None:
        """Nodes that work for different customers lose nothing to each other."""
        assert store.differences.tenants_apart
        with self.batch(store, grant(1, 1)):
            assert answers(place.open(), grant(50, 2, tenant_id=2, pool_id=9)) == [Granted]

    def test_a_batch_waits_for_another_of_its_tenant(self, place: Place, store: Store) -> None:
        """L6. It never decides on what the other is about to change."""
        other = place.open()
        with ThreadPoolExecutor(1) as pool:
            with self.batch(store, grant(1, 1)):
                waiting = pool.submit(answers, other, grant(2, 2))
                until(lambda: self.waits(store))
            assert waiting.result() == [Denied]

    def test_a_command_that_names_only_a_session_waits_for_its_tenant(
        self, place: Place, store: Store
    ) -> None:
        """L5. Which pool a session is of is known only when it is loaded."""
        other = place.open()
        commit(store, [grant(1, 1)])
        with ThreadPoolExecutor(1) as pool:
            with self.batch(store, end(1)):
                waiting = pool.submit(answers, other, refresh(1, 1))
                until(lambda: self.waits(store))
            assert waiting.result() == [SessionUnknown]

    def test_a_wait_for_a_lock_has_an_end(
        self, store: PostgresStore, postgres_places: PostgresPlaces
    ) -> None:
        """Lock time-outs: whoever holds it, a caller is answered."""
        with psycopg.connect(postgres_places.url) as holder:
            holder.execute(f"SELECT pg_advisory_xact_lock({TENANT_LOCK}, 1)".encode())
            with closing(PostgresStore(postgres_places.url)) as impatient, unavailable("took too long"):
                commit(impatient, [grant(1, 1)])
        assert answers(store, grant(1, 1)) == [Granted]

    def test_batches_that_name_tenants_in_different_orders_are_never_in_each_others_way(
        self, place: Place, store: Store
    ) -> None:
        """Locks are taken in ascending order, so that there is no deadlock to be resolved."""
        stores = [store, place.open()]
        ours, theirs = grant(1, 1), grant(50, 2, tenant_id=2, pool_id=9)
        orders: list[list[Command]] = [
            [ours, theirs, end(1), end(2, tenant_id=2)],
            [theirs, ours, end(2, tenant_id=2), end(1)],
        ]

        def work(number: int) -> None:
            for _ in range(50):
                commit(stores[number], orders[number])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(2)))
        assert sum(sum(it.collisions.values()) for it in stores) == 0

    def test_a_change_of_the_set_up_waits_for_batches_and_they_for_it(
        self, place: Place, store: Store
    ) -> None:
        """The set-up stands still while a batch decides."""
        other = place.open()
        with ThreadPoolExecutor(1) as pool:
            with self.batch(store, grant(1, 1)):
                change = pool.submit(self.disable_all, other)
                until(lambda: self.waits(store))
            change.result()
            assert answers(store, grant(2, 2)) != [Granted]
            with other.transaction() as transaction:
                transaction.load(())
                waiting = pool.submit(answers, store, grant(50, 3, tenant_id=2, pool_id=9))
                until(lambda: self.waits(other))
            assert waiting.result() == [Granted]

    def test_upkeep_waits_for_no_batch(self, place: Place, store: Store) -> None:
        """Removing what is aged keeps no grant waiting."""
        other = place.open()
        with self.batch(store, grant(1, 1)), other.transaction(Purpose.UPKEEP) as transaction:
            transaction.connection.execute(update(schema.event).values(actor="nobody"))

    def disable_all(self, store: Store) -> None:
        """An administrator's change."""
        with store.transaction() as transaction:
            transaction.connection.execute(
                update(schema.client).where(schema.client.c.tenant_id == 1).values(enabled=False)
            )
            bump(transaction.connection, 1)

    def waits(self, store: Store) -> bool:
        """Whether somebody waits for a lock."""
        with store.reading() as connection:
            query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return bool(connection.exec_driver_sql(query).scalar_one())


class TestCollisions:
    """What the database takes back whole is tried again, by name and counted; and not for ever."""

    @pytest.fixture
    def collide(self, lonely: PostgresStore, stoppable: Postgres) -> Callable[[str, int], None]:  # noqa: ARG002
        """Have the database of `lonely` fail so many inserts of sessions with an SQLSTATE."""

        def prepare(state: str, times: int) -> None:
            stoppable.execute(
                f"""
                CREATE SEQUENCE attempts;
                CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                  IF nextval('attempts') <= {times} THEN RAISE 'failed' USING ERRCODE = '{state}'; END IF;
                  RETURN NEW;
                END $$;
                CREATE TRIGGER fail BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION fail();
                """,
                "lonely",
            )

        return prepare

    @pytest.mark.parametrize(
        ("state", "name"), [("40001", "serialization_failure"), ("40P01", "deadlock_detected")]
    )
    def test_a_batch_that_collided_is_tried_again_and_counted(
        self, lonely: PostgresStore, collide: Callable[[str, int], None], state: str, name: str
    ) -> None:
        """Deadlocks and serialization failures are retried by name."""
        collide(state, COLLISIONS_MAX)
        assert answers(lonely, grant(1, 1), grant(2, 2)) == [Granted, Granted]
        assert lonely.collisions == {name: COLLISIONS_MAX}

    def test_a_batch_that_collides_again_and_again_is_given_up(
        self, lonely: PostgresStore, collide: Callable[[str, int], None]
    ) -> None:
        """Everything has a limit."""
        collide("40001", 1000)
        with pytest.raises(Collided, match="serialization_failure"):
            commit(lonely, [grant(1, 1)])
        assert lonely.collisions.total() == COLLISIONS_MAX + 1

    @pytest.mark.parametrize(
        ("state", "told"),
        [
            ("53100", "disk of the database is full"),
            ("25006", "read-only"),
            ("55P03", "took too long"),
            ("XX000", "failed"),
        ],
    )
    def test_what_the_database_cannot_do_is_told_in_a_line_and_not_tried_again(
        self, lonely: PostgresStore, collide: Callable[[str, int], None], state: str, told: str
    ) -> None:
        """A full disk, a database that was made read-only."""
        collide(state, 1)
        with unavailable(told):
            commit(lonely, [grant(1, 1)])
        until(lambda: works(lonely, grant(1, 1)))
        assert lonely.collisions == {}


class TestTheClock:
    """The database's clock is the only clock."""

    def test_a_transaction_never_comes_before_what_its_store_has_seen(
        self, place: Place, store: PostgresStore
    ) -> None:
        """A clock of the database that is set back lengthens no life."""
        place.clock.advance(seconds=600)
        [granted] = commit(store, [grant(1, 1)])
        assert isinstance(granted, Granted)
        place.clock.advance(seconds=-600)
        assert store.read_sessions([sid(1)])[0] == granted.at_ms
        with store.transaction() as transaction:
            assert transaction.now_ms == granted.at_ms
        [renewed] = commit(store, [refresh(1, 1)])
        assert isinstance(renewed, Granted)
        assert renewed.at_ms == granted.at_ms

    def test_the_clock_of_a_store_follows_the_databases_and_not_the_machines(
        self, place: Place, store: PostgresStore
    ) -> None:
        """A node whose wall clock is wrong by years is as good as any other."""
        assert 0 <= store.clock.now_ms() - START_MS < PATIENCE_S * 1000
        place.clock.advance(seconds=3600)
        store.probe()
        assert 3_600_000 <= store.clock.now_ms() - START_MS < 3_600_000 + PATIENCE_S * 1000

    def test_a_clock_that_follows_runs_on_and_never_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between two words of the other clock this machine's uptime counts."""
        uptime_ns = 0
        monkeypatch.setattr("licet.clock.uptime_ns", lambda: uptime_ns)
        clock = FollowingClock()
        clock.hear(1000)
        uptime_ns = 500_000_000
        assert clock.now_ms() == 1500
        clock.hear(1400)  # It took a tenth of a second to arrive.
        assert clock.now_ms() == 1500
        uptime_ns = 700_000_000
        assert clock.now_ms() == 1600
        assert clock.heard_ms == 1400


class TestWatching:
    """A change of the set-up counts everywhere at once, and one node is the leader."""

    def test_a_change_of_the_set_up_is_heard_of(self, place: Place, store: PostgresStore) -> None:
        """Within a second on all nodes; a poll stands behind it, and is not needed here."""
        other = place.open()
        assert other.differences.notifies_changes
        other.watch()
        until(other.is_leader)  # So it listens.
        with changing(store, "ada") as change:
            change.tenant("Jim_Test").set_pool("full", seats=7)
        until(lambda: other.tenants()[1].pools[1].seats == 7)

    def test_one_store_is_the_leader_and_when_it_is_gone_another(
        self, place: Place, store: PostgresStore
    ) -> None:
        """Housekeeping runs on one node at a time."""
        other = opened_in_postgres(place)
        assert not store.is_leader()
        store.watch()
        until(store.is_leader)
        other.watch()
        until(other._watcher._thread.is_alive)
        assert not other.is_leader()
        store.close()
        until(other.is_leader)

    @pytest.mark.parametrize("files", [0, 1024], ids=["few files", "many files"])
    def test_the_leader_keeps_its_connection_and_leads_while_nothing_happens(
        self, place: Place, files: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also beside more clients than `select` can number. A turn of upkeep needs a leader that stays."""
        monkeypatch.setattr("licet.store.postgres.watcher.HEARTBEAT_S", STEP_S)
        stood = list[tuple[DriverConnection, bool]]()

        class Noted(Watcher):
            def _stand(self, raw: DriverConnection) -> None:
                stood.append((raw, self.is_leader))
                super()._stand(raw)

        if open_files_max(2 * files) < 2 * files:
            pytest.skip("no process may have a file number above 1023 here, so there is nothing to see")
        with ExitStack() as opened:
            for _ in range(files):
                opened.enter_context(Path(os.devnull).open("rb"))
            with closing(Noted(place.url, lambda: None, PATIENCE_S)) as watcher:
                watcher.start()
                until(lambda: len(stood) >= 5)
        assert [is_leader for _, is_leader in stood[:5]] == [False, True, True, True, True]
        assert {raw for raw, _ in stood} == {stood[0][0]}


class TestConnecting:
    """A server connects for its commits while it reads the set-up; who only reads never does."""

    def test_a_store_that_writes_soon_connects_for_that_before_it_is_asked_to(
        self, postgres_places: PostgresPlaces
    ) -> None:
        """Its first grant waits for no connection."""
        url = postgres_places.url
        with closing(PostgresStore(url, writes_soon=True, answer_s=PATIENCE_S)) as store:
            until(lambda: store._writer._wire is not None)
        with closing(PostgresStore(url, answer_s=PATIENCE_S)) as reader:
            assert reader._writer._wire is None

    def test_where_no_thread_can_be_started_the_next_use_connects(
        self, postgres_places: PostgresPlaces
    ) -> None:
        """A database that is back is found, also where the system had no thread left when it was lost."""
        with closing(Link(postgres_places.url, "reader")) as link:
            with no_thread_starts(), unavailable("can't start new thread"), link.using(PATIENCE_S):
                pass
            with link.using(PATIENCE_S) as wire:
                assert list(wire.ask("SELECT 1")) == [(1,)]

    def test_where_there_is_no_database_it_says_so_and_tries_no_more(self) -> None:
        """A server ends then, with exit code 3."""
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            PostgresStore("postgresql://licet@127.0.0.1:1/licet", writes_soon=True)
        until(lambda: "licet-connect-writer" not in {it.name for it in threading.enumerate()})


def explained(store: PostgresStore, statement: Statement, asked: Mapping[str, object]) -> list[str]:
    """The plan of a statement, as a batch has it."""
    explain = Statement(b"EXPLAIN " + statement.text, statement.names)
    with store._writer.using(PATIENCE_S) as wire:
        return [line.strip() for (line,) in explain.ask(wire.raw, asked)]


def indexes_of(plan: Sequence[str]) -> list[str]:
    """By which indexes it looks up sessions, seats and free numbers."""
    scans = [line for line in plan if " Scan " in line and " using " in line and " on s" in line]
    return sorted(line.split(" using ")[1].split(" on ")[0] for line in scans)


def looks_up_by_key(plan: Sequence[str]) -> None:
    """Nothing but the set-up's one row is read from first to last, and no key only filters."""
    scans = [line.split("(cost")[0].strip() for line in plan if "Seq Scan" in line and " on s" in line]
    assert scans == ["->  Seq Scan on setup"]
    assert sum("using uq_client_tenant_id_client_id" in line for line in plan) == 1
    assert not [
        line for line in plan if line.startswith("Filter:") and ("client_key" in line or "sid =" in line)
    ]


class TestPlans:
    """A plan is made once for a connection, and must be good for a million sessions."""

    @pytest.mark.parametrize("is_analyzed", [False, True])
    def test_a_batch_is_loaded_by_the_narrowest_index_whatever_the_tables_were_like(
        self, stoppable: Postgres, lonely: PostgresStore, is_analyzed: bool
    ) -> None:
        """Tables that were empty when the plan was made fill up within seconds."""
        if is_analyzed:
            stoppable.execute("ANALYZE", "lonely")
        need = Need([grant(1, 1), end(1), refresh(1, 2)], lonely.tenants())
        plan = explained(lonely, load_statements.WHOLE, parameters(need, locked=[1], least_ms=0))
        assert indexes_of(plan) == [
            *["ix_seat_pool_id_expires_at_ms"] * 2,
            *["ix_session_client_key_expires_at_ms"] * 4,
            "ix_session_expires_at_ms",
            *["ix_session_user_seat"] * 2,
            *["pk_seat"] * 2,
            "pk_seat_count",
            *["pk_seat_free"] * 2,
            "uq_session_sid",
        ]
        looks_up_by_key(plan)

    @pytest.mark.parametrize("is_analyzed", [False, True])
    def test_so_is_a_batch_of_grants(
        self, stoppable: Postgres, lonely: PostgresStore, is_analyzed: bool
    ) -> None:
        """Its statement has not half of the other's parts."""
        if is_analyzed:
            stoppable.execute("ANALYZE", "lonely")
        asked = parameters(Need([grant(1, 1)], lonely.tenants()), locked=[1], least_ms=0)
        seats = [
            *["ix_seat_pool_id_expires_at_ms"] * 2,
            *["ix_session_client_key_expires_at_ms"] * 2,
            "ix_session_user_seat",
            "pk_seat",
        ]
        plan = explained(lonely, load_statements.OF_GRANTS, asked)
        assert indexes_of(plan) == seats
        looks_up_by_key(plan)
        plan = explained(lonely, load_statements.OF_NUMBERED_GRANTS, asked)
        assert indexes_of(plan) == [*seats, *["pk_seat_free"] * 2]
        looks_up_by_key(plan)
        plan = explained(lonely, load_statements.OF_GRANTS_WITH_OPTIONS, asked)
        assert indexes_of(plan) == [*seats, "pk_seat_count"]
        looks_up_by_key(plan)
        plan = explained(lonely, load_statements.OF_NUMBERED_GRANTS_WITH_OPTIONS, asked)
        assert indexes_of(plan) == [*seats, "pk_seat_count", *["pk_seat_free"] * 2]
        looks_up_by_key(plan)

    @pytest.mark.parametrize("is_analyzed", [False, True])
    def test_the_seats_that_count_against_a_limit_are_found_one_by_one(
        self, stoppable: Postgres, lonely: PostgresStore, is_analyzed: bool
    ) -> None:
        """L16: a denial walks over no seats, and over no sessions but those of the clients that count."""
        if is_analyzed:
            stoppable.execute("ANALYZE", "lonely")
        asked = {"now_ms": 1, "holder_pools": "{1}", "holders": "{client:A}", "client_pools": "{1}"}
        assert indexes_of(explained(lonely, _COUNTING, asked | {"clients": "{1}"})) == [
            "ix_session_client_key_expires_at_ms",
            "ix_session_client_key_expires_at_ms",
            "ix_session_user_seat",
            "pk_seat",
        ]


class TestArrays:
    """Values travel as arrays that are written here: each arrives as it was."""

    @pytest.mark.parametrize(
        ("kind", "write", "values"),
        [
            (
                "text",
                texts,
                ["plain", "NULL", "null", None, "", " {a,b} ", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"],
            ),
            ("text", texts, ['quo"te', "back\\slash", "new\nline", "\x01\x7f", None, "null"]),
            ("bigint", numbers, [0, None, -5, 2**60]),
            ("bytea", byte_strings, [b"", b'\x00\\"{}']),
            ("boolean", flags, [True, False]),
            ("text", texts, []),
        ],
    )
    def test_every_value_arrives_as_it_was(
        self, postgres: Postgres, kind: str, write: Callable[[Any], str], values: list[Any]
    ) -> None:
        """Whatever somebody calls a client."""
        with psycopg.connect(postgres.url()) as connection:
            [(found,)] = connection.execute(f"SELECT %s::{kind}[]".encode(), [write(values)])
        assert found == values
