"""Migrations: in `pre` and `post` steps, so that nodes of two versions can work on one store.

What the first released version says to its store was recorded, and is said again on the tables of this one.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from licet.clock import ManualClock
from licet.refusal import Code
from licet.setup.check import check
from licet.store import schema
from licet.store.errors import SchemaOutdated, SchemaUnknown, StillInUse, StoreUnavailable
from licet.store.migrate import (
    COMPATIBLE_FROM,
    HEAD,
    MIGRATIONS,
    Schema,
    _config,
    check_current,
    current,
    finish,
    is_unfinished,
    upgrade,
)
from licet.store.nodes import SILENT_AFTER_MS, store_now_ms
from licet.store.opening import SQLITE_NAME, StoreAt
from licet.store.postgres import connection as postgres_connection
from licet.store.postgres import store as postgres_store
from licet.store.sqlite.store import SqliteStore, migrating
from support.once.made_once import empty_store
from support.paths import FIXTURES
from support.server.nursery import ran
from support.store.kinds import KINDS, PATIENCE_S
from support.store.next_version import NEXT, NextVersion
from support.store.statements import Recording, read_recording, replay
from support.store.with_empty_store import EMPTY

LATER = ("FROM schema_version pre", "sqlite_master")  # a step that is done, and tables that were added
RECORDINGS = sorted((FIXTURES).glob("statements-*.json"))
if TYPE_CHECKING:
    import sqlite3

    from support.store.postgres import Postgres

_KILLED = """
import os, signal, sys
from pathlib import Path
from licet.store.migrate import upgrade
from licet.store.opening import StoreAt

def die_at_the_tenth(done, total):
    if done == 9:
        print(done, "of", total, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

with StoreAt(Path(sys.argv[1]), sys.argv[2] or None).migrating() as connection:
    upgrade(connection, die_at_the_tenth)
"""

Begin = Callable[[], AbstractContextManager[Connection]]


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator["Postgres | None"]:
    """Each kind of store in turn: for PostgreSQL its server; none for SQLite.

    Who migrates there waits for others, and is waited for, as long as a test waits for anything.
    """
    if request.param == "sqlite":
        yield None
        return
    patient = postgres_store._PATIENT.replace(b"'5s'", b"'%ds'" % PATIENCE_S)
    monkeypatch.setattr(postgres_store, "_PATIENT", patient)
    monkeypatch.setattr(postgres_connection, "CONNECT_S", PATIENCE_S)
    running: Postgres = request.getfixturevalue("postgres")
    yield running
    running.drop_database("migrate")


@pytest.fixture
def at(server: "Postgres | None", tmp_path: Path) -> StoreAt:
    """A store without tables."""
    if server is None:
        (tmp_path / SQLITE_NAME).touch()
        return StoreAt(tmp_path)
    return StoreAt(tmp_path, server.create_database("migrate"))


@pytest.fixture
def begin(at: StoreAt) -> Begin:
    """Begins a transaction on a store without tables; at the end of its block it is committed."""
    return at.migrating


@pytest.fixture
def begin_made(server: "Postgres | None", tmp_path: Path) -> Begin:
    """The same on a store of this version."""
    if server is None:
        empty_store(tmp_path / SQLITE_NAME)
        return StoreAt(tmp_path).migrating
    return StoreAt(tmp_path, server.create_database("migrate", template=EMPTY)).migrating


@pytest.fixture
def next_version(tmp_path: Path) -> NextVersion:
    return NextVersion(tmp_path / "next")


def columns(connection: Connection, table: str) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(table)}


def as_released(connection: Connection) -> None:
    """Do what 0.1.0 did: its tables are the first ones, and one of them tells their version."""
    assert current(connection) is None  # begins the transaction that Alembic then keeps to
    for kind in ("pre", "post"):
        command.upgrade(_config(connection, kind), "0001")
    connection.execute(text("DROP TABLE schema_version"))


def add_node(connection: Connection, *, schema_of_code: str, silent_ms: int = 0) -> None:
    node = {
        "id": schema_of_code,
        "name": "licence1:8080",
        "version": "0.2.0",
        "schema": schema_of_code,
        "url": "",
        "token_keys": "[]",
        "pepper": "",
        "started_at_ms": 0,
        "seen_at_ms": store_now_ms(connection) - silent_ms,
        "skew_ms": 0,
    }
    connection.execute(schema.node.insert().values(node))


class TestSteps:
    """From one schema to the next."""

    def test_a_new_store_is_of_this_version(self, begin: Begin) -> None:
        """All steps are done: there is nobody who needs what a post step takes away."""
        with begin() as connection:
            upgrade(connection)
            check_current(connection)
            assert current(connection) == Schema(pre=HEAD, post=COMPATIBLE_FROM)

    def test_the_tables_are_those_of_the_schema(self, begin: Begin) -> None:
        """They are written down twice, and are the same."""
        with begin() as connection:
            upgrade(connection)
            options = {
                "version_table": "schema_version",
                "include_name": lambda name, *_: name != "alembic_version",
            }
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, schema.metadata) == []

    @pytest.mark.parametrize(("kind", "head"), [("pre", HEAD), ("post", COMPATIBLE_FROM)])
    def test_the_heads_are_those_of_the_migrations(self, kind: str, head: str) -> None:
        """They are constants, so that a server starts without reading the migrations."""
        scripts = ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS / kind)])
        assert scripts.get_current_head() == head

    def test_a_store_without_tables_is_outdated(self, begin: Begin) -> None:
        """And can be made one by the same verb."""
        with begin() as connection, pytest.raises(SchemaOutdated, match="no tables"):
            check_current(connection)

    def test_a_store_of_the_first_release_is_outdated_and_can_be_upgraded(self, begin: Begin) -> None:
        """It told its version in one table only."""
        with begin() as connection:
            as_released(connection)
            assert current(connection) == Schema(pre="0001", post="0001")
            with pytest.raises(SchemaOutdated, match=f"is at schema 0001, this version needs {HEAD}"):
                check_current(connection)
            upgrade(connection)
            check_current(connection)

    def test_a_pre_step_leaves_what_older_code_needs(
        self, begin_made: Begin, next_version: NextVersion
    ) -> None:
        """So this version goes on working on the tables of the next one, and its `migrate` does nothing."""
        with begin_made() as connection:
            with next_version.code():
                upgrade(connection)
                check_current(connection)
                assert is_unfinished(connection)
            for _ in range(2):
                assert current(connection) == Schema(pre=NEXT, post=COMPATIBLE_FROM)
                assert {"detail", "address"} <= columns(connection, "event")
                check_current(connection)
                upgrade(connection)

    def test_a_post_step_takes_it_away_and_older_code_stays_out(
        self, begin_made: Begin, next_version: NextVersion
    ) -> None:
        """Neither its servers nor its `migrate` touch the tables."""
        with begin_made() as connection:
            with next_version.code():
                finish(connection, store_now_ms(connection))
                check_current(connection)
                assert not is_unfinished(connection)
            assert "detail" not in columns(connection, "event")
            with pytest.raises(SchemaUnknown, match=f"schema {NEXT}, which only a later version"):
                check_current(connection)
            with pytest.raises(SchemaUnknown):
                upgrade(connection)

    def test_code_of_the_schema_before_may_leave_the_columns_of_holds_and_licences_out(
        self, begin_made: Begin
    ) -> None:
        """It knows no hold (L18) and no licence (L13): its seats tell of no token, and have no number."""
        with begin_made() as connection:
            for row in (
                (
                    "tenant (id, name, version, session_ttl_s, access_ttl_s, scope_default, no_seat_status)"
                    " VALUES (1, 'T', 1, 2, 1, 'all', 400)"
                ),
                "pool (id, tenant_id, name, seats, duplicates) VALUES (1, 1, 'full', 1, 'client')",
                (
                    "seat (pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms)"
                    " VALUES (1, 'client:a', 1, 'a', 'AA', 1, 2)"
                ),
            ):
                connection.execute(text(f"INSERT INTO {row}"))
            held = "SELECT pool.hold_s, seat.issued_at_ms FROM pool, seat"
            assert connection.execute(text(held)).one() == (0, 0)
            signed = "SELECT pool.is_signed, pool.numbers_used, seat.number FROM pool, seat"
            assert connection.execute(text(signed)).one() == (False, 0, 0)

    def test_steps_are_done_once(self, begin: Begin) -> None:
        """A second run finds nothing to do."""
        with begin() as connection:
            for _ in range(2):
                upgrade(connection)
                finish(connection, store_now_ms(connection))
            check_current(connection)

    def test_it_tells_how_far_it_is(self, begin: Begin, next_version: NextVersion) -> None:
        """Steps done, and of how many."""
        told: list[tuple[int, int]] = []
        with begin() as connection:
            as_released(connection)
            with next_version.code():
                upgrade(connection, lambda done, total: told.append((done, total)))
        steps = len(list((next_version.directory / "pre").glob("[0-9]*.py"))) - 1
        assert told == [(done, steps) for done in range(steps + 1)]

    def test_where_no_step_is_left_it_tells_nothing(self, begin_made: Begin) -> None:
        """And Alembic is not asked."""
        told: list[tuple[int, int]] = []
        with begin_made() as connection:
            upgrade(connection, lambda done, total: told.append((done, total)))
        assert told == []

    @pytest.mark.parametrize("kind", ["pre", "post"])
    def test_the_name_of_a_file_begins_with_its_step(self, kind: str) -> None:
        """By the names it is known which steps are left, without reading the files."""
        scripts = ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS / kind)])
        for script in scripts.walk_revisions():
            assert Path(script.path).name.startswith(f"{script.revision}_")

    def test_a_step_that_fails_leaves_nothing_behind(
        self, begin_made: Begin, next_version: NextVersion
    ) -> None:
        """All steps are one transaction."""
        next_version.spoil()
        with (
            pytest.raises(StoreUnavailable, match="nothing"),
            begin_made() as connection,
            next_version.code(),
        ):
            upgrade(connection)
        with begin_made() as connection:
            assert current(connection) == Schema(pre=HEAD, post=COMPATIBLE_FROM)
            assert "address" not in columns(connection, "event")

    def test_one_that_is_killed_in_the_middle_leaves_nothing_behind(self, at: StoreAt, begin: Begin) -> None:
        """Whoever comes next makes all of the tables."""
        killed = ran([sys.executable, "-c", _KILLED, str(at.data), at.url or ""], PATIENCE_S)
        assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, "")
        assert killed.stdout.startswith("9 of ")
        with begin() as connection:
            assert inspect(connection).get_table_names() == []
            upgrade(connection)
            check_current(connection)

    def test_two_that_migrate_at_once_do_it_once(self, begin: Begin) -> None:
        """The second waits for the first, and finds it done."""

        def make() -> None:
            with begin() as connection:
                upgrade(connection)

        with ThreadPoolExecutor(4) as pool:
            for made in [pool.submit(make) for _ in range(4)]:
                made.result()
        with begin() as connection:
            check_current(connection)


class TestNodesInTheWay:
    """The post steps wait for the last node of an older version."""

    def test_a_node_of_an_older_version_is_named(self, begin_made: Begin, next_version: NextVersion) -> None:
        """And nothing is done, not even the pre steps."""
        with begin_made() as connection:
            add_node(connection, schema_of_code=HEAD)
        told = r"servers of an older version still run: licence1:8080 \(0.2.0\); stop them first"
        with (
            next_version.code(),
            pytest.raises(StillInUse, match=told) as refused,
            begin_made() as connection,
        ):
            finish(connection, store_now_ms(connection))
        assert refused.value.code is Code.OLDER_NODES
        with begin_made() as connection:
            assert current(connection) == Schema(pre=HEAD, post=COMPATIBLE_FROM)

    def test_it_can_be_forced(self, begin_made: Begin, next_version: NextVersion) -> None:
        """When the administrator knows better."""
        with begin_made() as connection:
            add_node(connection, schema_of_code=HEAD)
            with next_version.code():
                finish(connection, store_now_ms(connection), force=True)
            assert current(connection) == Schema(pre=NEXT, post=NEXT)

    def test_a_node_of_the_new_version_and_one_that_is_silent_are_not(
        self, begin_made: Begin, next_version: NextVersion
    ) -> None:
        """What was killed does not say good-bye."""
        with begin_made() as connection:
            add_node(connection, schema_of_code=NEXT)
            add_node(connection, schema_of_code=HEAD, silent_ms=SILENT_AFTER_MS + 1000)
            with next_version.code():
                finish(connection, store_now_ms(connection))
            assert current(connection) == Schema(pre=NEXT, post=NEXT)

    def test_where_no_post_step_is_due_nobody_is_in_the_way(self, begin_made: Begin) -> None:
        """Nothing is taken from anybody."""
        with begin_made() as connection:
            add_node(connection, schema_of_code="0001")
            finish(connection, store_now_ms(connection))


@pytest.fixture(scope="module", params=RECORDINGS, ids=lambda path: path.stem)
def replayed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Any]]:
    """A store to which all of a recording was said, and what was answered in another way."""
    store = tmp_path_factory.mktemp("replayed") / "licet.db"
    return store, _replay_upgraded(read_recording(request.param), store)


class TestTheVersionBefore:
    """What a released version says to its store is answered the same on the tables of this version."""

    def test_its_statements_run_after_the_pre_steps(self, replayed: tuple[Path, list[Any]]) -> None:
        """The store is made as it made it; then come the pre steps, and the rest of what it says."""
        assert replayed[1] == []

    def test_what_it_wrote_is_sound(self, replayed: tuple[Path, list[Any]]) -> None:
        """This version opens the store, and finds nothing that contradicts itself."""
        store = SqliteStore(replayed[0], ManualClock())
        with store.reading() as connection:
            found = check(connection, store.tenants(), ManualClock().now_ms())
        store.close()
        assert [finding for finding in found if "bug of Licet" in finding.advice] == []


def _replay_upgraded(recording: Recording, store: Path) -> list[Any]:
    """All of it again, with this version's pre steps in between: the calls with another answer."""
    opened: dict[int, sqlite3.Connection] = {}
    others = []
    answers = replay(store, recording.calls, opened)
    for number, expected in enumerate(recording.answers):
        if number == recording.made:
            with migrating(store) as connection:
                upgrade(connection)
        answer = next(answers)
        statement = recording.calls[number].statement
        if answer != expected and not any(it in statement for it in LATER):
            others.append((recording.calls[number], answer))
    for left in opened.values():
        left.close()
    return others
