"""What only the store for many nodes can meet: locks, lost connections, a database that answers no more.

What every store promises is in test_store.py, which runs on a real PostgreSQL as well.
"""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from time import monotonic
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import update

from examples import FULL, add_tenant, bump, client, end, grant, jim_test, refresh, sid
from kinds import Place, PostgresPlaces
from licet.clock import FollowingClock
from licet.ledger import Command, Denied, Granted, SessionUnknown
from licet.model import Pool, Tenant
from licet.store import schema
from licet.store.commit import COLLISIONS_MAX, commit, settle_all
from licet.store.contract import (
    Collided,
    Purpose,
    SchemaOutdated,
    Store,
    StoreUnavailable,
)
from licet.store.postgres import _TENANT_LOCK, PostgresStore
from licet.store.postgres_book import _LOAD, Asked
from licet.store.setup import changing
from postgres import PASSWORD, WARY, Postgres

START_MS = 1_700_000_040_000
PATIENCE_S = 20.0
ANSWERED_WITHIN_S = 2.0  # what a caller waits for an answer, also for the one that there is none
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
    return begin(place, jim_test(pools=(replace(FULL, seats=1),)), OTHER)


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    """A server that tests may stop, with an empty store to make others of."""
    with Postgres() as running:
        PostgresStore(running.create_database("empty"), create=True).close()
        yield running


@pytest.fixture
def lonely(own: Postgres) -> Iterator[PostgresStore]:
    """A store in a server that the test may stop, with a tenant."""
    store = PostgresStore(own.create_database("lonely", template="empty"))
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
    yield store
    store.close()
    own.drop_database("lonely")


def begin(place: Place, *tenants: Tenant) -> PostgresStore:
    """The first store, with these tenants."""
    store = opened(place)
    with store.transaction() as transaction:
        for tenant in tenants:
            add_tenant(transaction.connection, tenant)
    store.refresh_tenants()
    return store


def opened(place: Place) -> PostgresStore:
    """One more store."""
    store = place.open()
    assert isinstance(store, PostgresStore)
    return store


def answers(store: Store, *commands: Command) -> list[type[Any]]:
    """What sort of answer each command gets."""
    return [type(it) for it in commit(store, commands)]


def until(is_so: Callable[[], bool]) -> None:
    """Return when it is so, which has to be soon."""
    end_s = monotonic() + PATIENCE_S
    while not is_so():
        assert monotonic() < end_s, "it did not happen"


def works(store: Store, command: Command) -> bool:
    """Whether a command is answered."""
    try:
        return not isinstance(commit(store, [command])[0], Exception)
    except StoreUnavailable:
        return False


@contextmanager
def unavailable(match: str | None = None) -> Iterator[None]:
    """It fails in the one way there is, in time and in one line."""
    start_s = monotonic()
    with pytest.raises(StoreUnavailable, match=match) as raised:
        yield
    assert monotonic() - start_s < ANSWERED_WITHIN_S
    assert "\n" not in str(raised.value)


class TestLocks:
    """A batch is alone with its tenants, and with nobody else's."""

    @contextmanager
    def batch(self, store: Store, *commands: Command) -> Iterator[None]:
        """A batch that has its locks as long as the block is."""
        with store.transaction(Purpose.BATCH) as transaction:
            settle_all(transaction, commands)
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
            holder.execute(f"SELECT pg_advisory_xact_lock({_TENANT_LOCK}, 1)".encode())
            with unavailable("took too long"):
                commit(store, [grant(1, 1)])
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
    def collide(self, lonely: PostgresStore, own: Postgres) -> Callable[[str, int], None]:  # noqa: ARG002
        """Have the database of `lonely` fail so many inserts of sessions with an SQLSTATE."""

        def prepare(state: str, times: int) -> None:
            own.execute(
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
        monkeypatch.setattr("time.clock_gettime_ns", lambda _: uptime_ns)
        clock = FollowingClock()
        clock.hear(1000)
        uptime_ns = 500_000_000
        assert clock.now_ms() == 1500
        clock.hear(1400)  # It took a tenth of a second to arrive.
        assert clock.now_ms() == 1500
        uptime_ns = 700_000_000
        assert clock.now_ms() == 1600
        assert clock.heard_ms == 1400


class TestALostConnection:
    """A connection that is lost is made again by itself, and callers wait for nothing meanwhile."""

    def test_connections_that_the_database_ends_are_made_again(
        self, own: Postgres, lonely: PostgresStore
    ) -> None:
        """An administrator of the database ends them, or a proxy that is restarted."""
        assert works(lonely, grant(1, 1))
        lonely.read_sessions([sid(1)])
        own.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'lonely'")
        with unavailable():
            commit(lonely, [refresh(1, 1)])
        until(lambda: works(lonely, refresh(1, 1)))
        with unavailable():
            lonely.read_sessions([sid(1)])
        with suppress(StoreUnavailable):
            lonely.probe()
        until(partial(self.answers, lonely))

    def test_a_database_that_is_gone_is_told_at_once_and_works_when_it_is_back(
        self, own: Postgres, lonely: PostgresStore
    ) -> None:
        """Store unreachable: an answer within 2 s, and everything works by itself when it is back."""
        commit(lonely, [grant(1, 1)])
        own.stop("immediate")
        try:
            for _ in range(3):
                with unavailable():
                    commit(lonely, [grant(2, 2)])
                with unavailable():
                    lonely.read_sessions([sid(1)])
                with unavailable():
                    lonely.probe()
        finally:
            own.start()
        until(lambda: works(lonely, refresh(1, 1)))
        until(partial(self.answers, lonely))

    def test_a_database_that_answers_no_more_is_told_in_time(
        self, own: Postgres, lonely: PostgresStore
    ) -> None:
        """Its connections live, and the machine it is on still acknowledges what arrives."""
        commit(lonely, [grant(1, 1)])
        lonely.read_sessions([sid(1)])
        pids = [own.pid, *(pid for (pid,) in own.execute("SELECT pid FROM pg_stat_activity"))]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                with unavailable():
                    commit(lonely, [grant(2, 2)])
            with unavailable():
                lonely.read_sessions([sid(1)])
            with unavailable():
                lonely.probe()
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        until(lambda: works(lonely, refresh(1, 1)))
        until(partial(self.answers, lonely))

    def test_a_node_that_is_stopped_in_a_transaction_keeps_others_waiting_for_a_second(
        self, place: Place, store: Store
    ) -> None:
        """The database gives up on it, and what it did not commit is as if it had never been."""
        other = place.open()
        found = []
        with unavailable("closed the connection"), store.transaction(Purpose.BATCH) as transaction:
            settle_all(transaction, [grant(1, 1)])
            with suppress(StoreUnavailable):
                found = answers(other, grant(2, 2))  # It waits here.
        assert found == [Granted]
        until(lambda: works(store, grant(1, 1)))
        assert answers(store, grant(1, 1)) == [Denied]

    def answers(self, store: Store) -> bool:
        """Whether all that is read is read again."""
        try:
            store.probe()
            store.refresh_tenants()
            return bool(store.read_sessions([sid(1)])[1])
        except StoreUnavailable:
            return False


class TestAStandby:
    """What is answered is on the synchronous standby as well."""

    def test_a_commit_that_no_standby_confirms_is_never_answered(
        self, own: Postgres, lonely: PostgresStore
    ) -> None:
        """L9. PostgreSQL itself only warns when the wait for the standby was broken off."""
        commit(lonely, [grant(1, 1)])
        own.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        try:
            own.reload()
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(commit, lonely, [grant(2, 2)])
                cancel = (
                    "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                )
                until(lambda: own.execute(cancel) == [(1,)])
                with pytest.raises(StoreUnavailable, match="not certain"):
                    waiting.result()
            until(lambda: self.waits_for_standby(lonely))
            until(lambda: self.says(lonely, "no standby confirms"))
        finally:
            own.execute("ALTER SYSTEM RESET synchronous_standby_names")
            own.reload()
        until(lambda: works(lonely, refresh(1, 1)))

    def test_a_standby_that_is_promoted_is_found(self) -> None:
        """Failover: a URL of several hosts, and no restart of a node."""
        with Postgres() as primary:
            primary.create_database("two")
            with Postgres.standby_of(primary) as standby:
                hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
                store = PostgresStore(f"postgresql://postgres@{hosts}/two", create=True)
                with store.transaction() as transaction:
                    add_tenant(transaction.connection, jim_test())
                primary.configure(synchronous_standby_names="standby")
                primary.reload()
                assert works(store, grant(1, 1))
                primary.stop("immediate")
                standby.promote()
                until(lambda: works(store, refresh(1, 1)))
                store.close()

    def test_a_standby_alone_is_read_only(self, own: Postgres) -> None:
        """A read-only database: one clear line."""
        with Postgres.standby_of(own) as standby, unavailable("read-only"):
            PostgresStore(standby.url())

    def waits_for_standby(self, store: Store) -> bool:
        """Have a commit wait for longer than it may."""
        try:
            commit(store, [grant(3, 3)])
        except StoreUnavailable as fault:
            return "no answer in time" in str(fault)
        return False

    def says(self, store: Store, text: str) -> bool:
        """Whether it is this that a caller is told now."""
        try:
            commit(store, [grant(3, 3)])
        except StoreUnavailable as fault:
            return text in str(fault)
        return False


class TestOpening:
    """A wrong URL, an old schema, a database that is not there: one clear line."""

    @pytest.mark.parametrize(
        ("user", "database", "told"),
        [(WARY, "postgres", "password authentication failed"), ("postgres", "nowhere", "does not exist")],
    )
    def test_what_cannot_be_opened_is_told_in_a_line_without_the_password(
        self, postgres: Postgres, user: str, database: str, told: str
    ) -> None:
        """No secret is in a message."""
        with pytest.raises(StoreUnavailable, match=told) as raised:
            PostgresStore(postgres.url(database, user=user, password="not-so-secret"))
        assert "\n" not in str(raised.value)
        assert "not-so-secret" not in f"{raised.value!r} {raised.value.__cause__!r}"

    def test_a_password_may_come_from_a_variable(
        self, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As every other program of PostgreSQL takes it."""
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        with pytest.raises(SchemaOutdated):
            PostgresStore(postgres.url(user=WARY))

    def test_a_database_on_which_nobody_listens_is_told(self) -> None:
        """Each host and port is in the line."""
        with unavailable("127.0.0.1:1, 127.0.0.1:2, database there: Connection refused"):
            PostgresStore("postgresql://me:secret@127.0.0.1:1,127.0.0.1:2/there")

    def test_a_user_with_too_many_connections_is_told(self, postgres: Postgres) -> None:
        """The database has a bound, and so have we."""
        postgres.execute(f"ALTER ROLE {WARY} CONNECTION LIMIT 0")
        with unavailable("too many connections"):
            PostgresStore(postgres.url(user=WARY, password=PASSWORD))
        postgres.execute(f"ALTER ROLE {WARY} CONNECTION LIMIT -1")

    def test_a_database_without_tables_is_told_apart(self, postgres: Postgres) -> None:
        """`licet migrate` makes them."""
        with pytest.raises(SchemaOutdated, match="no tables yet"):
            PostgresStore(postgres.url())

    def test_two_processes_that_make_a_store_at_once_make_one(self, own: Postgres) -> None:
        """Two nodes that are started together, for the first time."""
        url = own.create_database("made")
        spawn = get_context("spawn")
        barrier = spawn.Barrier(2)
        processes = [spawn.Process(target=_make, args=(url, barrier)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0]
        PostgresStore(url).close()

    def test_a_closed_store_is_unavailable(self, store: PostgresStore) -> None:
        """A request that comes late is a fault and no crash."""
        store.close()
        with unavailable("closed"):
            commit(store, [grant(1, 1)])
        with unavailable("closed"):
            store.read_sessions([sid(1)])
        store.close()

    def test_a_store_takes_no_more_connections_than_it_needs(
        self, own: Postgres, lonely: PostgresStore
    ) -> None:
        """Bounded, whatever is asked of it."""
        lonely.watch()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: commit(lonely, [grant(1, number)]), range(64)))
            list(pool.map(lambda number: lonely.read_sessions([sid(number)]), range(64)))
            list(pool.map(lambda _: lonely.probe(), range(16)))
        with lonely.reading():
            found = own.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = 'lonely' AND application_name LIKE 'licet%'"
            )
        assert found[0][0] <= 5


class TestWatching:
    """A change of the set-up counts everywhere at once, and one node keeps house."""

    def test_a_change_of_the_set_up_is_heard_of(self, place: Place, store: PostgresStore) -> None:
        """Within a second on all nodes; a poll stands behind it, and is not needed here."""
        other = place.open()
        assert other.differences.tells_changes
        other.watch()
        until(other.keeps_house)  # So it listens.
        with changing(store, "ada") as change:
            change.tenant("Jim_Test").set_pool("full", seats=7)
        until(lambda: other.tenants()[1].pools[1].seats == 7)

    def test_one_store_keeps_house_and_when_it_is_gone_another(
        self, place: Place, store: PostgresStore
    ) -> None:
        """Housekeeping runs on one node at a time."""
        other = opened(place)
        assert not store.keeps_house()
        store.watch()
        until(store.keeps_house)
        other.watch()
        until(other._watcher._thread.is_alive)
        assert not other.keeps_house()
        store.close()
        until(other.keeps_house)


class TestPlans:
    """A plan is made once for a connection, and must be good for a million sessions."""

    @pytest.mark.parametrize("is_analyzed", [False, True])
    def test_a_batch_is_loaded_by_the_narrowest_index_whatever_the_tables_were_like(
        self, own: Postgres, lonely: PostgresStore, is_analyzed: bool
    ) -> None:
        """Tables that were empty when the plan was made fill up within seconds."""
        if is_analyzed:
            own.execute("ANALYZE", "lonely")
        asked = Asked([grant(1, 1), end(1), refresh(1, 2)], lonely.tenants(), locked=[1], least_ms=0)
        with lonely._writer.using(PATIENCE_S) as wire:
            rows = wire.raw.execute(b"EXPLAIN " + _LOAD.encode(), asked.parameters, prepare=True).fetchall()
        plan = [line.strip() for (line,) in rows]
        scans = [line.split("(cost")[0].strip() for line in plan if " Scan " in line and " on s" in line]
        indexes = [line.split(" using ")[1].split(" on ")[0] for line in scans if " using " in line]
        assert sorted(indexes) == [
            *["ix_seat_pool_id_expires_at_ms"] * 2,
            *["ix_session_client_key_expires_at_ms"] * 3,
            "ix_session_expires_at_ms",
            "ix_session_user_seat",
            *["pk_seat"] * 2,
            "uq_session_sid",
        ]
        assert [line for line in scans if "Seq Scan" in line] == ["->  Seq Scan on setup"]
        filters = {line for line in plan if line.startswith("Filter:")}
        assert not [line for line in filters if "client_key" in line or "sid =" in line]


def _make(url: str, barrier: Barrier) -> None:
    barrier.wait()
    PostgresStore(url, create=True).close()
