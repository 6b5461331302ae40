"""Who has a seat: `OneProcess`, and `SqlMemory` on each database, which gives the same answers."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licet.guard.memory import Kept, OneProcess, SeatMemory
from licet.guard.sql_memory import CACHE_SHARE, LEFT_MAX, WAITING_MAX, OutOfReach, SqlMemory
from support.guard.seat_memories import NO_CACHE, START_S, Database, Time
from support.many import examples
from support.store.half_open import Forwarder
from support.store.postgres import Postgres
from support.web.http_site import PATIENCE_S

HOLD_S = 60
_NAMES = count(1)


@pytest.fixture
def time() -> Time:
    """A clock that moves when told to."""
    return Time()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Each database in turn."""
    if request.param == "sqlite":
        made = Database.sqlite(tmp_path / "api.sqlite")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        made = Database.postgres(server, f"seats_{os.getpid()}_{next(_NAMES)}")
    yield made
    made.close()


class Silent:
    """A database whose connections stop answering, also new ones."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.is_silent = False
        self.waiting = 0

    def connect(self) -> "Silent":
        """A connection, which is its own cursor."""
        return self

    cursor = connect

    def execute(self, *_: object) -> None:
        """Wait for ever, if it is silent."""
        if self.is_silent:
            self.waiting += 1
            self.goes_on.wait(PATIENCE_S)

    def fetchone(self) -> tuple[int]:
        """The newest `iat`."""
        return (START_S,)

    def commit(self) -> None:
        """Nothing is kept."""

    close = commit


Kind = Callable[[Time], SeatMemory]


@pytest.fixture(params=["one process", "sqlite", "postgresql"])
def memory(request: pytest.FixtureRequest, tmp_path: Path, time: Time) -> Iterator[SeatMemory]:
    """Each memory in turn, that asks its table at every request."""
    if request.param == "one process":
        yield OneProcess(now_s=time.now_s)
        return
    if request.param == "sqlite":
        made = Database.sqlite(tmp_path / "api.sqlite")
    else:
        made = Database.postgres(request.getfixturevalue("postgres"), f"memory_{os.getpid()}_{next(_NAMES)}")
    yield made.memory(time, cache=NO_CACHE)
    made.close()


class TestOneHolder:
    """A seat that somebody has."""

    def test_its_holder_passes_again_and_again(self, memory: SeatMemory, time: Time) -> None:
        """Also with an older token: requests overtake each other."""
        for iat in (START_S, START_S + 30, START_S - 500, START_S + 31):
            assert memory.take("seat", "A", iat, HOLD_S) is None
            time.s += 1

    def test_another_is_refused_until_a_token_is_a_hold_newer(self, memory: SeatMemory, time: Time) -> None:
        """It is told what is kept, and for how long the holder must be silent."""
        memory.take("seat", "A", START_S, HOLD_S)
        time.s += 0.5
        assert memory.take("seat", "B", START_S + HOLD_S - 1, HOLD_S) == Kept(START_S, 59.5)
        assert memory.take("seat", "B", START_S + HOLD_S, HOLD_S) is None
        assert memory.take("seat", "A", START_S, HOLD_S) == Kept(START_S + HOLD_S, 60.0)

    def test_another_passes_when_nobody_was_let_in_for_a_hold(self, memory: SeatMemory, time: Time) -> None:
        """That bounds every false refusal. The holder before is silent, not its refused competitor."""
        memory.take("seat", "A", START_S, HOLD_S)
        time.s += HOLD_S - 0.001
        assert memory.take("seat", "B", START_S - 100, HOLD_S) is not None
        time.s += 0.001
        assert memory.take("seat", "B", START_S - 100, HOLD_S) is None

    def test_silence_takes_nothing_off_what_is_kept(self, memory: SeatMemory, time: Time) -> None:
        """Else two holders could take turns with tokens that they have kept in stock."""
        memory.take("seat", "A", START_S, HOLD_S)
        time.s += HOLD_S
        assert memory.take("seat", "B", START_S - 600, HOLD_S) is None
        kept = memory.take("seat", "C", START_S - 600 + HOLD_S, HOLD_S)
        assert kept == Kept(START_S, HOLD_S)

    def test_seats_do_not_meet(self, memory: SeatMemory) -> None:
        """One of each name."""
        assert memory.take("one", "A", START_S, HOLD_S) is None
        assert memory.take("other", "B", START_S, HOLD_S) is None

    def test_tasks_are_answered_the_same(self, memory: SeatMemory) -> None:
        """In an event loop that waits for nothing else."""
        assert asyncio.run(memory.atake("seat", "A", START_S, HOLD_S)) is None
        assert asyncio.run(memory.atake("seat", "B", START_S, HOLD_S)) == Kept(START_S, HOLD_S)

    def test_nothing_is_recalled_of_another_or_of_a_newer_token(self, time: Time) -> None:
        """A newer one has to be kept first."""
        memory = OneProcess(now_s=time.now_s)
        assert not memory.recall("seat", "A", START_S)
        memory.take("seat", "A", START_S, HOLD_S)
        assert memory.recall("seat", "A", START_S)
        assert not memory.recall("seat", "A", START_S + 1)
        assert not memory.recall("seat", "B", START_S)

    def test_who_is_recalled_is_not_silent(self, time: Time) -> None:
        """A request is a request."""
        memory = OneProcess(now_s=time.now_s)
        memory.take("seat", "A", START_S, HOLD_S)
        time.s += HOLD_S - 1
        assert memory.recall("seat", "A", START_S)
        time.s += HOLD_S - 1
        assert memory.take("seat", "B", START_S, HOLD_S) == Kept(START_S, 1.0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from("XY"), st.sampled_from("ABC"), st.integers(-130, 130)),
        st.tuples(st.just("step"), st.sampled_from([0.25, 1.0, 9.75, 10.0, 59.0, 60.0])),
    ),
    min_size=5,
    max_size=40,
)


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, hold_s=st.sampled_from([1, 10, 60]))
def test_a_table_gives_the_same_answers_as_a_dictionary(
    tmp_path: Path, steps: list[tuple[Any, ...]], hold_s: int
) -> None:
    """Whatever is asked; and what is kept of a seat never falls."""
    time = Time()
    database = Database.sqlite(tmp_path / f"{next(_NAMES)}.sqlite")
    table, dictionary = database.memory(time, cache=NO_CACHE), OneProcess(now_s=time.now_s)
    newest: dict[str, int] = {}
    try:
        for what, *said in steps:
            if what == "step":
                time.s += said[0]
                continue
            seat, who, ahead_s = said
            iat = int(time.s) + ahead_s
            answer = table.take(seat, who, iat, hold_s)
            assert answer == dictionary.take(seat, who, iat, hold_s)
            [(kept,)] = database.execute(f"SELECT iat FROM licet_seat WHERE seat = '{seat}'")  # noqa: S608 - X or Y
            assert kept >= newest.get(seat, 0)
            newest[seat] = kept
    finally:
        database.close()


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, hold_s=st.sampled_from([1, 10, 60]))
def test_two_processes_let_in_nobody_whom_one_would_not(
    tmp_path: Path, steps: list[tuple[Any, ...]], hold_s: int
) -> None:
    """Each has a dictionary of its own, which is as strict as the table or stricter."""
    time = Time()
    database = Database.sqlite(tmp_path / f"{next(_NAMES)}.sqlite")
    processes = [database.memory(time, cache=NO_CACHE) for _ in range(2)]
    model: dict[str, tuple[str, int, float]] = {}
    try:
        for number, (what, *said) in enumerate(steps):
            if what == "step":
                time.s += said[0]
                continue
            seat, who, ahead_s = said
            iat = int(time.s) + ahead_s
            if processes[number % 2].take(seat, who, iat, hold_s) is not None:
                continue
            if (before := model.get(seat)) is not None:
                holder, kept, seen_s = before
                assert holder == who or iat >= kept + hold_s or time.s >= seen_s + hold_s
                iat = max(iat, kept)
            model[seat] = (who, iat, time.s)
    finally:
        database.close()


class TestTable:
    """The table of `SqlMemory`, on each database."""

    def test_a_holder_passes_without_a_question_for_a_twelfth_of_the_hold(
        self, database: Database, time: Time
    ) -> None:
        """Between two processes a seat has two holders for so long at most."""
        one, other = database.memory(time), database.memory(time)
        assert one.take("seat", "A", START_S, HOLD_S) is None
        assert other.take("seat", "B", START_S + HOLD_S, HOLD_S) is None
        time.s += HOLD_S / CACHE_SHARE - 0.001
        assert one.recall("seat", "A", START_S)
        time.s += 0.001
        assert not one.recall("seat", "A", START_S)
        assert one.take("seat", "A", START_S, HOLD_S) == Kept(START_S + HOLD_S, 55.0)

    def test_a_cache_can_only_be_shorter(self, database: Database, time: Time) -> None:
        """As `cache` says."""
        memory = database.memory(time, cache=timedelta(seconds=2))
        memory.take("seat", "A", START_S, HOLD_S)
        time.s += 1.999
        assert memory.recall("seat", "A", START_S)
        time.s += 0.001
        assert not memory.recall("seat", "A", START_S)

    def test_a_process_still_refuses_when_the_rows_are_deleted(self, database: Database, time: Time) -> None:
        """Another process has nothing to go by then: one holder each, and no further."""
        one, other = database.memory(time, cache=NO_CACHE), database.memory(time, cache=NO_CACHE)
        one.take("seat", "A", START_S, HOLD_S)
        database.execute("DELETE FROM licet_seat")
        assert one.take("seat", "B", START_S, HOLD_S) == Kept(START_S, HOLD_S)
        assert other.take("seat", "B", START_S, HOLD_S) is None
        assert other.take("seat", "C", START_S, HOLD_S) == Kept(START_S, HOLD_S)

    def test_a_clock_that_was_ahead_and_is_put_right_refuses_nobody_for_long(
        self, database: Database, time: Time
    ) -> None:
        """A row from the future counts as silence; before the table stands the dictionary."""
        ahead = Time(START_S + 1_000_000)
        database.memory(ahead, cache=NO_CACHE).take("seat", "A", START_S, HOLD_S)
        assert database.memory(time, cache=NO_CACHE).take("seat", "B", START_S, HOLD_S) is None

    def test_a_database_set_back_moves_no_seat_within_a_process(self, database: Database, time: Time) -> None:
        """Its own clock only goes forward."""
        wall = Time(START_S + 100)
        memory = database.memory(time, cache=NO_CACHE, wall_ms=wall.wall_ms)
        memory.take("seat", "A", START_S, HOLD_S)
        wall.s -= 50
        assert memory.take("seat", "B", START_S, HOLD_S) == Kept(START_S, HOLD_S)

    def test_the_clock_of_the_database_measures_silence(self, database: Database) -> None:
        """In milliseconds: what was seen just now is no silence, and what was seen a hold ago is."""
        one, other = database.memory(cache=NO_CACHE), database.memory(cache=NO_CACHE)
        assert one.take("seat", "A", START_S, HOLD_S) is None
        kept = other.take("seat", "B", START_S, HOLD_S)
        assert kept is not None
        assert 50 < kept.left_s <= HOLD_S
        database.execute("UPDATE licet_seat SET seen = seen - 60000")
        assert other.take("seat", "B", START_S, HOLD_S) is None

    def test_threads_that_race_for_a_seat_are_one_holder(self, database: Database) -> None:
        """In four processes of eight threads: a statement is atomic."""
        memories = [database.memory(cache=NO_CACHE) for _ in range(4)]
        with ThreadPoolExecutor(32) as pool:
            answers = list(
                pool.map(lambda n: memories[n % 4].take("seat", f"who {n}", START_S, HOLD_S), range(64))
            )
        assert answers.count(None) == 1

    def test_it_has_one_row_and_one_entry_a_seat(self, database: Database, time: Time) -> None:
        """However many come for it."""
        memory = database.memory(time, cache=NO_CACHE)
        for number in range(20):
            time.s += HOLD_S
            assert memory.take("seat", f"who {number}", START_S, HOLD_S) is None
        assert memory.seats == 1
        assert database.execute("SELECT count(*) FROM licet_seat") == [(1,)]

    def test_its_schema_can_be_applied_again(self, database: Database, time: Time) -> None:
        """What it keeps is still there."""
        memory = database.memory(time, cache=NO_CACHE)
        memory.take("seat", "A", START_S, HOLD_S)
        database.execute(SqlMemory.SCHEMA)
        assert memory.take("seat", "B", START_S, HOLD_S) == Kept(START_S, HOLD_S)
        assert repr(memory) == "SqlMemory(1)"


class TestOutOfReach:
    """A database that does not answer: nobody is let in whom the table would have to let in."""

    def test_what_the_driver_raises_is_raised(self, tmp_path: Path) -> None:
        """Nothing is kept of it."""
        memory = SqlMemory(Database.sqlite(tmp_path / "api.sqlite").connect)
        memory.take("seat", "A", START_S, HOLD_S)
        memory.close()
        nowhere = SqlMemory(lambda: (_ for _ in ()).throw(OSError("no route")))
        for _ in range(2):
            with pytest.raises(OSError, match="no route"):
                nowhere.take("seat", "A", START_S, HOLD_S)
        assert nowhere.seats == 0
        nowhere.close()

    def test_a_table_that_is_missing_is_raised(self, tmp_path: Path, time: Time) -> None:
        """Also where there was a connection before; it comes back with the table."""
        database = Database.sqlite(tmp_path / "api.sqlite")
        memory = database.memory(time, cache=NO_CACHE)
        memory.take("seat", "A", START_S, HOLD_S)
        database.execute("ALTER TABLE licet_seat RENAME TO moved")
        with pytest.raises(Exception, match="no such table"):
            memory.take("seat", "A", START_S, HOLD_S)
        database.execute("ALTER TABLE moved RENAME TO licet_seat")
        assert memory.take("seat", "A", START_S, HOLD_S) is None
        database.close()

    def test_a_connection_that_was_cut_is_replaced(self, postgres: Postgres, time: Time) -> None:
        """A database that restarts costs no request."""
        name = f"cut_{os.getpid()}_{next(_NAMES)}"
        database = Database.postgres(postgres, name)
        memory = database.memory(time, cache=NO_CACHE)
        memory.take("seat", "A", START_S, HOLD_S)
        cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - ours
        postgres.execute(cut)
        assert memory.take("seat", "A", START_S, HOLD_S) is None
        database.close()

    def test_a_connection_that_is_half_open_is_replaced(self, postgres: Postgres, time: Time) -> None:
        """The question is put once more over a new one, by threads and tasks; nobody hears of it."""
        url = postgres.create_database(f"half_{os.getpid()}_{next(_NAMES)}")
        with Forwarder(int(urlsplit(url).port or 0)) as way:
            by_way = url.replace(f":{urlsplit(url).port}/", f":{way.port}/")
            database = Database(lambda: psycopg.connect(by_way))
            memory = database.memory(time, cache=NO_CACHE, timeout=timedelta(seconds=4))
            assert memory.take("seat", "A", START_S, HOLD_S) is None
            before = way.connections
            way.silence()
            assert memory.take("seat", "A", START_S, HOLD_S) is None
            assert way.connections == before + 1
            way.silence()
            assert asyncio.run(memory.atake("seat", "A", START_S, HOLD_S)) is None
            kept = memory.take("seat", "B", START_S + 1, HOLD_S)
            assert kept is not None
            assert kept.iat == START_S
            database.close()

    def test_a_database_that_never_answers_is_left_alone_with_few_threads(self) -> None:
        """Nor is anybody let in by it."""
        database = Silent()
        memory = SqlMemory(database.connect, dialect="sqlite", timeout=timedelta(milliseconds=20))
        try:
            assert memory.take("seat", "A", START_S, HOLD_S) is None
            database.is_silent = True
            for _ in range(3 * LEFT_MAX):
                with pytest.raises(OutOfReach, match="does not answer in time"):
                    memory.take("seat", "B", START_S + HOLD_S, HOLD_S)
            assert database.waiting <= LEFT_MAX + 1
            assert memory.seats == 1
        finally:
            database.goes_on.set()
            memory.close()

    def test_one_that_hangs_is_waited_for_no_longer_than_is_said(self) -> None:
        """Threads and tasks alike; and what waits for it is bounded."""
        goes_on = threading.Event()

        def hang() -> Any:
            goes_on.wait(PATIENCE_S)
            raise OSError

        memory = SqlMemory(hang, timeout=timedelta(milliseconds=1))
        try:
            with pytest.raises(OutOfReach, match="does not answer in time"):
                memory.take("seat", "A", START_S, HOLD_S)
            with pytest.raises(OutOfReach, match="does not answer in time"):
                asyncio.run(memory.atake("seat", "A", START_S, HOLD_S))
            for _ in range(WAITING_MAX):
                with suppress(OutOfReach):
                    memory._ask("seat", "A", START_S, HOLD_S).cancel()
            with pytest.raises(OutOfReach, match="too many wait"):
                memory.take("seat", "A", START_S, HOLD_S)
        finally:
            goes_on.set()
            memory.close()

    @pytest.mark.parametrize("options", [{"cache": timedelta(seconds=-1)}, {"timeout": timedelta(0)}])
    def test_what_cannot_be_is_told(self, options: dict[str, Any]) -> None:
        """When it is made."""
        with pytest.raises(ValueError, match="timeout must be more than nothing"):
            SqlMemory(lambda: None, **options)


def test_both_work_on_in_a_child_after_a_fork(tmp_path: Path) -> None:
    """As under Gunicorn: threads and connections of the parent's are the parent's; the table is for both."""
    program = (
        "import os, sqlite3, sys\n"
        "from licet.guard import OneProcess, SqlMemory\n"
        "memory, one = SqlMemory(lambda: sqlite3.connect(sys.argv[1])), OneProcess()\n"
        "connection = sqlite3.connect(sys.argv[1]); connection.execute(memory.SCHEMA); connection.close()\n"
        "assert memory.take('seat', 'A', 1000, 60) is None and one.take('seat', 'A', 1000, 60) is None\n"
        "child = os.fork()\n"
        "if child: assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "assert memory.take('seat', 'B', 1000, 60) and one.take('seat', 'B', 1000, 60)\n"
        "if child: assert memory.take('other', 'B', 1000, 60)\n"
        "else: assert memory.take('other', 'A', 1000, 60) is None; os._exit(7)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "api.sqlite")]
    subprocess.run(command, check=True, timeout=60)
