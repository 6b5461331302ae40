"""A call of the database that fails, is lost or may not be made: what callers are told, and what is true."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from licet.lanes.commit import commit
from licet.ledger.prefetch import EVER_MS
from licet.store import schema
from licet.store.errors import StoreUnavailable
from licet.store.postgres.batch import TENANT_LOCK
from licet.store.postgres.connection import DriverConnection
from licet.store.postgres.one_call import Call, Refused, commit_by_call
from licet.store.postgres.store import PostgresStore
from licet.store.rows import Row, Saving
from support.examples import add_tenant, end, grant, jim_test, refresh, sid
from support.store.faults import answers, unavailable, works
from support.store.lone_primary import cancel_commit, without_its_standby
from support.store.postgres import PASSWORD, WARY, Postgres
from support.store.store_site import do, in_use, rows
from support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence


class TestFaults:
    """A call of which nobody knows what became of it is never answered."""

    def prepared(self, store: PostgresStore) -> None:
        """Have the next grant of the first client be a call."""
        do(store, grant(1, 1))
        do(store, grant(1, 2))

    def test_a_call_that_no_standby_confirms_is_never_answered(
        self, stoppable: Postgres, lonely: PostgresStore, called: list[int]
    ) -> None:
        """L9. PostgreSQL itself only warns when the wait for the standby was broken off."""
        self.prepared(lonely)
        with without_its_standby(stoppable), ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(commit, lonely, [grant(1, 3)])
            until(lambda: cancel_commit(stoppable))
            with pytest.raises(StoreUnavailable, match="not certain"):
                waiting.result()
        assert len(called) == 1
        until(lambda: works(lonely, refresh(1, 1)))

    def test_a_call_that_fails_at_its_commit_is_not_answered(
        self, stoppable: Postgres, lonely: PostgresStore
    ) -> None:
        """The database has sent its result by then, and the error comes behind it."""
        self.prepared(lonely)
        stoppable.execute(
            """
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$;
            CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON session DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION fail();
            """,
            "lonely",
        )
        with unavailable("too late"):
            commit(lonely, [grant(1, 3)])
        stoppable.execute("DROP TRIGGER fail ON session", "lonely")
        until(lambda: works(lonely, grant(1, 3)))
        assert len(rows(lonely, schema.session)) == 3

    def test_a_connection_that_is_lost_during_a_call_is_a_fault_and_the_next_remembers_nothing(
        self, stoppable: Postgres, lonely: PostgresStore, called: list[int]
    ) -> None:
        """It waits for a lock when the database ends it."""
        self.prepared(lonely)
        with ThreadPoolExecutor(1) as pool, psycopg.connect(stoppable.url("lonely")) as holder:
            holder.execute(f"SELECT pg_advisory_xact_lock({TENANT_LOCK}, 1)".encode())
            waiting = pool.submit(commit, lonely, [grant(1, 3)])
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE NOT granted"
            until(lambda: stoppable.execute(ended) == [(1,)])
            with pytest.raises(StoreUnavailable):
                waiting.result()
        until(lambda: works(lonely, grant(1, 4)))
        assert [row.sid for row in rows(lonely, schema.session)] == [sid(1), sid(2), sid(4)]
        assert len(called) == 1

    def test_a_call_that_comes_after_its_node_gave_up_on_it_does_nothing(
        self, stoppable: Postgres, lonely: PostgresStore
    ) -> None:
        """The network kept it back. The node has another connection by then, and another number."""
        self.prepared(lonely)
        wire = lonely._writer._wire
        assert wire is not None
        memory = wire.raw.memory
        assert memory is not None
        late = Call(decided_ms=0, until_ms=EVER_MS, locks="{1}", tenants="{1}")
        rows: Sequence[Row] = ()
        nothing = Saving(*[rows] * len(Saving._fields))
        with DriverConnection.connect(stoppable.url("lonely"), autocommit=True) as raw:
            memory.backend = raw.info.backend_pid
            assert commit_by_call(raw, memory, late, nothing) > 0
            writers = "pg_stat_activity WHERE application_name = 'licet writer'"
            stoppable.execute(f"SELECT pg_terminate_backend(pid) FROM {writers}")  # noqa: S608 - ours
            until(lambda: works(lonely, end(2)))
            assert commit_by_call(raw, memory, late, nothing) == Refused.WRITER

    def test_a_role_that_may_create_no_functions_has_its_batches_loaded(
        self, stoppable: Postgres, called: list[int]
    ) -> None:
        """All works as it does elsewhere, in two round trips."""
        stoppable.create_database("strict")
        stoppable.execute(
            f"REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; GRANT ALL ON SCHEMA public TO {WARY}", "strict"
        )
        url = stoppable.url("strict", user=WARY, password=PASSWORD)
        with closing(PostgresStore(url, create=True)) as store:
            with store.transaction() as transaction:
                add_tenant(transaction.connection, jim_test())
            self.prepared(store)
            assert answers(store, grant(1, 3), end(1)) != []
            assert in_use(store) == 1
        assert called == []
        stoppable.drop_database("strict")

    def test_a_role_that_may_not_call_the_function_has_its_batches_loaded(
        self, stoppable: Postgres, lonely: PostgresStore, called: list[int]
    ) -> None:
        """The owner of the tables may, unless somebody takes that away."""
        stoppable.execute(
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {WARY};"
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {WARY}",
            "lonely",
        )
        with closing(PostgresStore(stoppable.url("lonely", user=WARY, password=PASSWORD))) as store:
            self.prepared(store)
            do(store, grant(1, 3))
        assert called == []
        do(lonely, end(3))
        stoppable.execute(f"DROP OWNED BY {WARY}", "lonely")
