"""What only a store in a file can suffer: it is lost, damaged, locked, full, read-only or replaced."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

import pytest
from sqlalchemy import Connection

from licet.clock import ManualClock
from licet.lanes.commit import apply_all, commit
from licet.ledger.commands import Granted, Sweep
from licet.store import migrate
from licet.store.errors import SchemaOutdated, SchemaUnknown, StoreUnavailable
from licet.store.sqlite import connecting
from licet.store.sqlite.book import _COUNTING_OWN
from licet.store.sqlite.connecting import wait_for_locks
from licet.store.sqlite.store import SqliteStore, _driver
from support.examples import add_tenant, end, grant, jim_test, refresh, sid
from support.server.running import PATIENCE_S
from support.store.beside import BESIDE, run_beside
from support.store.store_site import do, everything, numbers


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store without tenants, made once."""
    path = tmp_path_factory.mktemp("empty") / "licet.db"
    SqliteStore(path, ManualClock(), create=True).close()
    return path


@pytest.fixture
def sqlite_file(empty_file: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return Path(shutil.copy(empty_file, tmp_path))


class TestAFile:
    """What only a store in one file can meet: SQLite."""

    @pytest.fixture
    def store(self, sqlite_file: Path) -> Iterator[SqliteStore]:
        """A store with the tenant `Jim_Test`, in the file."""
        store = SqliteStore(sqlite_file, ManualClock())
        with store.transaction() as transaction:
            add_tenant(transaction.connection, jim_test())
        yield store
        store.close()

    def fails(self, store: SqliteStore) -> None:
        """Nothing can be done with this store, and it says so in the one way there is."""
        attempts: list[Callable[[], object]] = [
            store.probe,
            store.refresh_tenants,
            partial(store.read_sessions, [sid(1)]),
            partial(commit, store, [grant(1, 1)]),
            partial(commit, store, [grant(1, 1), grant(2, 2)]),
        ]
        for attempt in attempts:
            with pytest.raises(StoreUnavailable):
                attempt()

    def test_a_file_that_is_not_there_is_not_made_unless_asked_for(self, tmp_path: Path) -> None:
        """A mistyped directory is an error, and no empty licence."""
        with pytest.raises(StoreUnavailable):
            SqliteStore(tmp_path / "licet.db", ManualClock())
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(StoreUnavailable):
            SqliteStore(tmp_path / "nowhere" / "licet.db", ManualClock(), create=True)

    def test_a_file_that_is_made_is_readable_by_its_owner_only(self, tmp_path: Path) -> None:
        """It has hashes of passwords. What SQLite puts beside it is no more open."""
        before = os.umask(0)
        try:
            store = SqliteStore(tmp_path / "licet.db", ManualClock(), create=True)
            with store.transaction() as transaction:
                add_tenant(transaction.connection, jim_test())
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        store.close()
        assert set(modes) == {"licet.db", "licet.db-wal", "licet.db-shm"}
        assert set(modes.values()) == {0o600}

    def test_making_a_store_that_is_there_changes_nothing(self, store: SqliteStore) -> None:
        """`create` again, by a second server."""
        commit(store, [grant(1, 1)])
        before = everything(store)
        again = SqliteStore(store.path, ManualClock(), create=True)
        assert everything(again) == before
        again.close()

    @pytest.mark.parametrize("lost", [slice(0, 4096), slice(4096, None)], ids=["head", "body"])
    def test_a_file_that_is_damaged_is_not_opened(self, sqlite_file: Path, lost: slice) -> None:
        """No driver's exception leaves a store."""
        content = bytearray(sqlite_file.read_bytes())
        content[lost] = b"?" * len(content[lost])
        sqlite_file.write_bytes(content)
        with pytest.raises(StoreUnavailable):
            SqliteStore(sqlite_file, ManualClock())

    def test_a_file_of_something_else_is_not_opened(self, tmp_path: Path) -> None:
        """Neither a directory, nor a text, nor another program's tables."""
        with pytest.raises(StoreUnavailable):
            SqliteStore(tmp_path, ManualClock())
        text_file = tmp_path / "text"
        text = "This is not a store.\n" * 1000
        text_file.write_text(text, encoding="utf-8")
        with pytest.raises(StoreUnavailable):
            SqliteStore(text_file, ManualClock(), create=True)
        assert text_file.read_text(encoding="utf-8") == text
        empty = tmp_path / "empty"
        empty.touch()
        with pytest.raises(SchemaOutdated):
            SqliteStore(empty, ManualClock())

    def test_a_file_that_is_damaged_while_it_is_in_use_is_unavailable(self, sqlite_file: Path) -> None:
        """No driver's exception leaves a store."""
        store = SqliteStore(sqlite_file, ManualClock())
        with sqlite_file.open("r+b") as file:
            file.seek(4096)
            file.write(b"?" * (sqlite_file.stat().st_size - 4096))
        with pytest.raises(StoreUnavailable):
            commit(store, [Sweep(sessions_max=1)])
        with pytest.raises(StoreUnavailable):
            store.read_sessions([sid(1)])
        store.close()

    def test_a_file_that_is_moved_away_while_it_is_in_use_is_unavailable_until_it_is_back(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        """L9. Nothing is written where nobody would find it."""
        commit(store, [grant(1, 1)])
        elsewhere = tmp_path / "elsewhere"
        store.path.rename(elsewhere)
        self.fails(store)
        elsewhere.rename(store.path)
        store.probe()
        assert [type(answer) for answer in commit(store, [refresh(1, 1)])] == [Granted]

    def test_a_file_that_is_replaced_while_it_is_in_use_is_unavailable(
        self, store: SqliteStore, empty_file: Path, tmp_path: Path
    ) -> None:
        """L9. Not even by one that is as good."""
        shutil.copy(empty_file, tmp_path / "new")
        (tmp_path / "new").replace(store.path)
        self.fails(store)

    def test_a_file_that_another_process_keeps_locked_is_unavailable_and_can_be_read(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A wait has a limit. It is set to none here."""
        commit(store, [grant(1, 1)])
        monkeypatch.setattr(connecting, "BUSY_S", 0.0)
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            commit(store, [grant(2, 2)])
        store.probe()
        assert numbers(store.read_sessions([sid(1), sid(2)])[1]) == [1]
        other.execute("ROLLBACK")
        other.close()
        assert [type(answer) for answer in commit(store, [grant(2, 2)])] == [Granted]

    def test_a_commit_waits_for_another_process_that_has_the_file_locked(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L9. And begins when that has ended, also where it has looked in vain before."""
        looked = threading.Event()

        def looked_again(seconds: float) -> None:
            looked.set()
            sleep(seconds)

        monkeypatch.setattr(connecting, "sleep", looked_again)
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with futures.ThreadPoolExecutor() as threads:
            answers = threads.submit(commit, store, [grant(2, 2)])
            assert looked.wait(PATIENCE_S)
            assert not answers.done()
            other.execute("ROLLBACK")
            assert [type(answer) for answer in answers.result(PATIENCE_S)] == [Granted]
        other.close()

    def test_a_disk_that_is_full_is_unavailable_and_what_was_answered_holds(self, store: SqliteStore) -> None:
        """L9. There is room for as many pages as there are, and no more."""
        commit(store, [grant(1, 1)])
        raw = store._writer
        [pages] = raw.execute("PRAGMA page_count").fetchone()
        raw.execute(f"PRAGMA max_page_count = {pages}")
        before = everything(store)
        with pytest.raises(StoreUnavailable):
            commit(store, [grant(2, number) for number in range(1000, 1100)])
        assert everything(store) == before
        raw.execute("PRAGMA max_page_count = 1000000")
        assert [type(it) for it in commit(store, [refresh(1, 1), grant(2, 2)])] == [Granted, Granted]

    def test_a_disk_that_became_read_only_is_unavailable(self, store: SqliteStore) -> None:
        """No driver's exception leaves a store."""
        commit(store, [grant(1, 1)])
        store._writer.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreUnavailable):
            commit(store, [refresh(1, 1)])
        assert numbers(store.read_sessions([sid(1)])[1]) == [1]

    @pytest.mark.parametrize(("directory_mode", "file_mode"), [(0o755, 0o444), (0o555, 0o666)])
    def test_a_file_that_may_not_be_written_is_not_opened(
        self, empty_file: Path, directory_mode: int, file_mode: int
    ) -> None:
        """Neither one that is read-only, nor one in a directory that is."""
        with TemporaryDirectory() as directory:
            path = Path(shutil.copy(empty_file, directory))
            path.chmod(file_mode)
            Path(directory).chmod(directory_mode)
            with nobody(), pytest.raises(StoreUnavailable):
                SqliteStore(path, ManualClock())
            Path(directory).chmod(0o755)

    def test_a_store_that_is_opened_beside_another_leaves_it_its_locks(self, store: SqliteStore) -> None:
        """sqlite.org, How To Corrupt, 2.2: a close of the file by hand would take the process's locks away.

        Another process would then take itself for the last, and remove the log that the first still writes.
        """
        SqliteStore(store.path, ManualClock()).close()
        look = (
            "import sys, sqlite3; it = sqlite3.connect(sys.argv[1]);"
            "print(it.execute('SELECT count(*) FROM session').fetchone()[0]); it.close()"
        )
        for count in (0, 1):
            seen = subprocess.run([sys.executable, "-c", look, store.path], capture_output=True, check=True)
            assert int(seen.stdout) == count
            do(store, grant(1, count + 1))

    def test_no_statement_of_a_batch_walks_through_a_table(self, store: SqliteStore) -> None:
        """What a batch costs must not grow with the seats and sessions that it has nothing to do with."""
        raw, said = store._writer, dict[str, None]()
        raw.set_trace_callback(said.setdefault)
        do(store, grant(1, 1), grant(2, 2), grant(3, 3))
        do(store, refresh(1, 1), refresh(2, 2))
        do(store, end(1), end(2), end(3))
        raw.set_trace_callback(None)
        statements = [it for it in said if it.startswith(("SELECT", "UPDATE", "DELETE"))]
        plans = {
            statement: [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")]
            for statement in statements
        }
        tables = {"session", "seat", "journal", "journal_entry", "denial_entry", "usage_minute", "usage_hour"}
        walks = {(it, step) for it, plan in plans.items() for step in plan if _walked(step) in tables}
        assert len(plans) > 10
        assert not walks

    def test_the_seats_that_count_against_a_limit_are_found_one_by_one(self, store: SqliteStore) -> None:
        """L16: those that are a session's own, by the sessions of the clients that count."""
        rows = store._writer.execute(f"EXPLAIN QUERY PLAN {_COUNTING_OWN}", (1, 1, 1, 1))
        found = [row[3] for row in rows if " seat " in row[3] or row[3].startswith("SEARCH session USING")]
        index = "ix_session_client_key_expires_at_ms"
        assert found[:2] == [
            "SEARCH seat USING PRIMARY KEY (pool_id=? AND holder=?)",
            f"SEARCH session USING INDEX {index} (client_key=? AND expires_at_ms>?)",
        ]

    @pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2)])
    def test_every_commit_waits_for_the_disk(self, store: SqliteStore, pragma: str, value: object) -> None:
        """L9: 2 is FULL. With less, a loss of power could take back what was answered."""
        do(store, grant(1, 1))
        store.settle()
        assert store._writer.execute(f"PRAGMA {pragma}").fetchall() == [(value,)]

    def test_a_closed_store_is_unavailable(self, store: SqliteStore) -> None:
        """A request that comes late is a fault and no crash."""
        store.close()
        self.fails(store)
        store.close()

    def test_tables_of_another_version_are_not_touched(self, store: SqliteStore) -> None:
        """`licet migrate` mends it; a newer one is not an older server's."""
        with store.transaction() as transaction:
            transaction.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(SchemaUnknown):
            store.probe()
        with pytest.raises(SchemaUnknown):
            SqliteStore(store.path, ManualClock())
        with pytest.raises(SchemaUnknown):
            SqliteStore(store.path, ManualClock(), create=True)

    def test_making_a_store_that_was_interrupted_is_finished_the_next_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A migration is one transaction, or is taken up where it stopped."""

        def refuse(action: int, name: str | None, *_: object) -> int:
            is_there = action == sqlite3.SQLITE_CREATE_TABLE and name == "journal"
            return sqlite3.SQLITE_DENY if is_there else sqlite3.SQLITE_OK

        def upgrade_half(connection: Connection) -> None:
            _driver(connection).set_authorizer(refuse)
            migrate.upgrade(connection)

        path = tmp_path / "licet.db"
        with monkeypatch.context() as patch:
            patch.setattr("licet.store.sqlite.store.upgrade", upgrade_half)
            with pytest.raises(StoreUnavailable):
                SqliteStore(path, ManualClock(), create=True)
        SqliteStore(path, ManualClock(), create=True).close()

    def test_two_processes_that_make_a_store_at_once_make_one(self, tmp_path: Path) -> None:
        """A server and a command line that are started together, for the first time."""
        barrier = BESIDE.Barrier(2)
        run_beside(partial(_make, tmp_path / "licet.db", barrier) for _ in range(2))
        SqliteStore(tmp_path / "licet.db", ManualClock()).close()

    def test_who_finds_the_tables_being_made_waits_longer_than_a_batch_may(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a slow disk the tables take longer to make than a batch waits for another one."""
        path, is_about_to_begin = tmp_path / "licet.db", threading.Event()

        def wait(raw: sqlite3.Connection, within_s: float) -> None:
            wait_for_locks(raw, within_s)
            is_about_to_begin.set()

        monkeypatch.setattr("licet.store.sqlite.connecting.BUSY_S", 0.0)
        monkeypatch.setattr("licet.store.sqlite.store.wait_for_locks", wait)
        with (
            closing(sqlite3.connect(path, isolation_level=None)) as other,
            futures.ThreadPoolExecutor() as threads,
        ):
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("BEGIN IMMEDIATE")
            making = threads.submit(SqliteStore, path, ManualClock(), create=True)
            assert is_about_to_begin.wait(60)
            assert not futures.wait([making], timeout=0.2).done
            other.execute("COMMIT")
            making.result().close()

    def test_a_look_at_the_set_up_does_not_wait_for_the_upkeep_of_the_file(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a slow disk that takes seconds, and a change of the set-up takes effect within one."""
        begun, may_end = threading.Event(), threading.Event()

        class Slow:
            def execute(self, _: str) -> "Slow":
                begun.set()
                assert may_end.wait(60)
                return self

            def fetchall(self) -> None:
                """It has ended."""

        with monkeypatch.context() as patch, futures.ThreadPoolExecutor() as threads:
            patch.setattr(store, "_keeper", Slow())
            keeping = threads.submit(store.upkeep)
            assert begun.wait(60)
            looking = threads.submit(store.refresh_tenants)
            try:
                looking.result(timeout=60)
                assert not keeping.done()
            finally:
                may_end.set()

    def test_what_was_committed_is_brought_into_the_file_while_another_writes(
        self, store: SqliteStore
    ) -> None:
        """`upkeep` keeps no commit waiting, and none keeps it."""
        commit(store, [grant(1, 1)])
        with store.transaction() as transaction:
            apply_all(transaction, [grant(2, 2)])
            store.upkeep()
        store.upkeep()
        copy = Path(shutil.copy(store.path, store.path.with_suffix(".copy")))
        alone = SqliteStore(copy, ManualClock())
        assert numbers(alone.read_sessions([sid(1), sid(2)])[1]) == [1, 2]
        alone.close()


@contextmanager
def nobody() -> Iterator[None]:
    """Be somebody who may write only what all may: root may write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _make(path: Path, barrier: Barrier) -> None:
    barrier.wait()
    SqliteStore(path, ManualClock(), create=True).close()


def _walked(step: str) -> str:
    """The table that a step of SQLite's plan reads from one end to the other."""
    return step.split()[1] if step.startswith("SCAN ") else ""
