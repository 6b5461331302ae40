"""A database that goes away, stands still, is read-only or was never there: what callers are told, and when.

Each is told in one line and within two seconds, and all works by itself when the database is back.
"""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from licet.cli import app
from licet.extras import how_to_install
from licet.lanes.commit import apply_all, commit
from licet.ledger.commands import Denied, Granted
from licet.store import postgres as package
from licet.store.contract import Purpose, Store
from licet.store.errors import SchemaOutdated, StoreUnavailable
from licet.store.postgres.store import PostgresStore
from support.examples import FULL, add_tenant, grant, jim_test, refresh, sid
from support.store.beside import BESIDE, run_beside
from support.store.faults import answers, unavailable, works
from support.store.kinds import Place, PostgresPlaces, begun_in_postgres
from support.store.lone_primary import cancel_commit, without_its_standby
from support.store.postgres import PASSWORD, PATIENCE_S, WARY, Postgres
from support.waiting import until

START_MS = 1_700_000_040_000


@pytest.fixture
def place(postgres_places: PostgresPlaces) -> Iterator[Place]:
    """An empty store in the shared server."""
    place = postgres_places.make(START_MS)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> PostgresStore:
    """A store with a tenant that has one seat."""
    return begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=1),)))


class TestALostConnection:
    """A connection that is lost is made again by itself, and callers wait for nothing meanwhile."""

    def test_connections_that_the_database_ends_are_made_again(
        self, stoppable: Postgres, lonely: PostgresStore
    ) -> None:
        """An administrator of the database ends them, or a proxy that is restarted."""
        assert works(lonely, grant(1, 1))
        lonely.read_sessions([sid(1)])
        stoppable.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'lonely'")
        with unavailable():
            commit(lonely, [refresh(1, 1)])
        until(lambda: works(lonely, refresh(1, 1)))
        with unavailable():
            lonely.read_sessions([sid(1)])
        with suppress(StoreUnavailable):
            lonely.probe()
        until(partial(self.answers, lonely))

    def test_a_database_that_is_gone_is_told_at_once_and_works_when_it_is_back(
        self, stoppable: Postgres, lonely: PostgresStore
    ) -> None:
        """Store unreachable: an answer within 2 s, and everything works by itself when it is back."""
        commit(lonely, [grant(1, 1)])
        stoppable.stop("immediate")
        try:
            for _ in range(3):
                with unavailable():
                    commit(lonely, [grant(2, 2)])
                with unavailable():
                    lonely.read_sessions([sid(1)])
                with unavailable():
                    lonely.probe()
        finally:
            stoppable.start()
        until(lambda: works(lonely, refresh(1, 1)))
        until(partial(self.answers, lonely))

    def test_a_database_that_answers_no_more_is_told_in_time(
        self, stoppable: Postgres, lonely: PostgresStore
    ) -> None:
        """Its connections live, and the machine it is on still acknowledges what arrives."""
        commit(lonely, [grant(1, 1)])
        lonely.read_sessions([sid(1)])
        pids = [stoppable.pid, *(pid for (pid,) in stoppable.execute("SELECT pid FROM pg_stat_activity"))]
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

    @pytest.mark.usefixtures("store")
    def test_a_node_that_is_stopped_in_a_transaction_keeps_others_waiting_for_a_second(
        self, place: Place, postgres_places: PostgresPlaces
    ) -> None:
        """The database gives up on it, and what it did not commit is as if it had never been."""
        other, stopped = place.open(), PostgresStore(postgres_places.url)
        found = []
        with unavailable("closed the connection"), stopped.transaction(Purpose.BATCH) as transaction:
            apply_all(transaction, [grant(1, 1)])
            with suppress(StoreUnavailable):
                found = answers(other, grant(2, 2))  # It waits here.
        assert found == [Granted]
        until(lambda: works(stopped, grant(1, 1)))
        assert answers(stopped, grant(1, 1)) == [Denied]
        stopped.close()

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
        self, stoppable: Postgres, lonely: PostgresStore
    ) -> None:
        """L9. PostgreSQL itself only warns when the wait for the standby was broken off."""
        commit(lonely, [grant(1, 1)])
        with without_its_standby(stoppable):
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(commit, lonely, [grant(2, 2)])
                until(lambda: cancel_commit(stoppable))
                with pytest.raises(StoreUnavailable, match="not certain"):
                    waiting.result()
            until(lambda: self.waits_for_standby(lonely))
            until(lambda: self.says(lonely, "no standby confirms"))
        until(lambda: works(lonely, refresh(1, 1)))

    @pytest.mark.wide
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

    def test_a_standby_alone_is_read_only(self, stoppable: Postgres) -> None:
        """A read-only database: one clear line."""
        with Postgres.standby_of(stoppable) as standby, unavailable("read-only"):
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

    def test_two_processes_that_make_a_store_at_once_make_one(self, stoppable: Postgres) -> None:
        """Two nodes that are started together, for the first time."""
        url = stoppable.create_database("made")
        barrier = BESIDE.Barrier(2)
        run_beside(partial(_make, url, barrier) for _ in range(2))
        PostgresStore(url, answer_s=PATIENCE_S).close()

    def test_a_closed_store_is_unavailable(self, store: PostgresStore) -> None:
        """A request that comes late is a fault and no crash."""
        store.close()
        with unavailable("closed"):
            commit(store, [grant(1, 1)])
        with unavailable("closed"):
            store.read_sessions([sid(1)])
        store.close()

    def test_a_store_takes_no_more_connections_than_it_needs(
        self, stoppable: Postgres, lonely: PostgresStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Bounded, whatever is asked of it, and however long one has to wait for another."""
        monkeypatch.setattr("licet.store.postgres.connection.BUSY_S", PATIENCE_S)
        lonely.watch()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: commit(lonely, [grant(1, number)]), range(64)))
            list(pool.map(lambda number: lonely.read_sessions([sid(number)]), range(64)))
            list(pool.map(lambda _: lonely.probe(), range(16)))
        with lonely.reading():
            found = stoppable.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = 'lonely' AND application_name LIKE 'licet%'"
            )
        assert found[0][0] <= 5


class TestTheCommandLine:
    """Every verb works on the store that `LICET_STORE` names."""

    def licet(self, url: str, *arguments: str, data: Path) -> Result:
        """What a verb prints, and its exit code."""
        line = [*arguments, "--data", str(data)]
        return CliRunner().invoke(app, line, env={"LICET_STORE": url}, input="battery staple\n")

    def test_a_set_up_is_made_and_shown(self, stoppable: Postgres, tmp_path: Path) -> None:
        """`init`, `add`, `check`, `export`: as on the embedded store."""
        url = stoppable.create_database("desk")
        licet = partial(self.licet, url, data=tmp_path / "data")
        assert licet("init", "--tenant", "Jim_Test", "--seats", "5").exit_code == 0
        assert licet("user", "add", "TC", "--password-stdin").exit_code == 0
        assert licet("client", "add", "TestClientId", "--user", "TC").exit_code == 0
        assert "0 of 5 seats in use" in licet("seats").output
        assert "[tenant.Jim_Test.client.TestClientId]" in licet("export").output
        assert licet("usage").exit_code == 0
        assert licet("migrate").exit_code == 0
        assert licet("pool", "set", "full", "--seats", "0").exit_code == 0
        assert "it has no seats" in licet("check").output
        assert {path.name for path in (tmp_path / "data").iterdir()} == {"secrets.json"}

    def test_a_store_that_cannot_be_reached_is_a_line_and_exit_code_3(self, tmp_path: Path) -> None:
        """A wrong URL: one clear line, without the password."""
        for verb in (["serve"], ["seats"], ["tenant", "list"], ["migrate"]):
            result = self.licet("postgresql://me:secret@127.0.0.1:1/licet", *verb, data=tmp_path)
            assert result.exit_code == 3, result.output
            assert "127.0.0.1:1" in result.output
            assert "secret" not in result.output
            assert result.output.count("\n") == 1

    def test_an_extra_that_is_missing_is_answered_with_the_command(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A base of SQLite needs no driver of PostgreSQL."""
        monkeypatch.setattr("licet.store.postgres", package)  # which is there again at the end
        for name in [it for it in sys.modules if it.startswith("licet.store.postgres")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "psycopg", None)
        result = self.licet("postgresql://127.0.0.1:1/licet", "seats", data=tmp_path)
        assert result.exit_code == 3
        assert how_to_install("postgres") in result.output


def _make(url: str, barrier: Barrier) -> None:
    barrier.wait()
    PostgresStore(url, create=True, answer_s=PATIENCE_S).close()
