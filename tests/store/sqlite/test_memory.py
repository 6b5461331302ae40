"""What a process remembers of seats holds only until somebody else writes (`licet.store.sqlite.memory`).

Each writer that there is writes here from a real process of its own, while this one has a store open.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from typer.testing import CliRunner

from licet.cli import app
from licet.clock import ManualClock, SystemClock
from licet.journal.folding import fold_journal
from licet.lanes.commit import apply_all
from licet.ledger.commands import Command, Denied, Granted, SessionUnknown, Sweep
from licet.model import EndReason, Group
from licet.options import Share
from licet.setup.change import changing
from licet.setup.end_sessions import end_sessions
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.migrate import finish
from licet.store.sqlite.memory import Memory
from licet.store.sqlite.store import SqliteStore, migrating
from support.examples import BY_USER, CLIENTS, EACH, FULL, TWINS, end, grant, jim_test, refresh, sid, view
from support.store.kinds import Place, SqlitePlaces
from support.store.store_site import SESSION_S, Undone, begin, do, in_use, rows

START_MS = SystemClock().now_ms()  # as the command line, which has a process and a clock of its own
ONE = replace(FULL, seats=1)
_GRANT_OF_THE_VERSION_BEFORE = """
INSERT INTO session (
  sid, tenant_id, client_key, scope, pool_id, holder, started_at_ms, renewed_at_ms, expires_at_ms, address
)
SELECT ?, tenant_id, client_key, scope, pool_id, holder, started_at_ms, renewed_at_ms, expires_at_ms, address
FROM session LIMIT 1
"""


@pytest.fixture
def place(sqlite_places: SqlitePlaces, tmp_path: Path) -> Place:
    return sqlite_places.make(tmp_path, START_MS)


@pytest.fixture
def store(place: Place) -> Store:
    """A pool of one seat; its holder is known."""
    opened = begin(place, jim_test(pools=(ONE,)))
    do(opened, grant(1, 1))
    assert recalls(opened, grant(1, 2), refresh(1, 1))
    return opened


def recalls(store: Store, *commands: Command) -> bool:
    """Whether it would decide these on what it remembers."""
    with store.transaction(Purpose.BATCH) as transaction:
        return transaction.recall(commands) is not None


def in_a_process(work: Callable[[], object]) -> None:
    """Do it in another process, of which nothing is left."""
    child = os.fork()
    if not child:
        status = 1
        with suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def a_batch(path: Path) -> None:
    """The holder ends its session, and another client has the seat."""
    do(SqliteStore(path, ManualClock(START_MS)), end(1), grant(2, 100))


def a_sweep(path: Path) -> None:
    """A process whose clock is ahead finds that all has expired, and another client has the seat."""
    ahead = SqliteStore(path, ManualClock(START_MS + SESSION_S * 1000))
    do(ahead, Sweep(sessions_max=10), grant(2, 100))


def the_command_line(path: Path) -> None:
    """The client is disabled and enabled, which ends its session; then another client has the seat."""
    for verb in ("disable", "enable"):
        asked = ["client", verb, "TestClientId", "--data", str(path.parent), *["--yes"] * (verb == "disable")]
        assert CliRunner().invoke(app, asked).exit_code == 0
    do(SqliteStore(path, ManualClock(START_MS)), grant(2, 100))


def a_change_of_the_set_up(path: Path) -> None:
    """The session is ended with a change of the set-up, of which no version tells."""
    other = SqliteStore(path, ManualClock(START_MS))
    with other.transaction() as transaction:
        transaction.connection.execute(text("UPDATE session SET expires_at_ms = expires_at_ms"))
        end_sessions(transaction, 1, [sid(1)], EndReason.ADMINISTRATOR)
    do(other, grant(2, 100))


WRITERS = (a_batch, a_sweep, the_command_line, a_change_of_the_set_up)


class TestOtherWriters:
    """L4: who has no seat any more is not taken for its holder."""

    @pytest.mark.parametrize("write", WRITERS)
    def test_what_another_process_wrote_is_looked_at(
        self, store: Store, tmp_path: Path, write: Callable[[Path], None]
    ) -> None:
        """The seat is another client's by now; a session that ended there is unknown here."""
        in_a_process(lambda: write(tmp_path / "licet.db"))
        assert not recalls(store, grant(1, 2))
        refused, denied = do(store, refresh(1, 1), grant(1, 2))
        assert isinstance(refused, SessionUnknown)
        assert isinstance(denied, Denied)
        assert in_use(store) == 1

    def test_each_of_two_processes_looks_at_what_the_other_one_wrote(
        self, place: Place, store: Store
    ) -> None:
        """They take turns; the seat is never two holders'."""
        other = place.open()
        do(other, end(1), grant(2, 2))
        assert isinstance(do(store, grant(1, 3))[0], Denied)
        do(store, end(2), grant(1, 4))
        assert isinstance(do(other, grant(2, 5))[0], Denied)
        assert isinstance(do(other, grant(1, 6))[0], Granted)

    def test_who_folds_the_journal_is_no_such_writer(self, store: Store, tmp_path: Path) -> None:
        """A server does it every few seconds, and writes no seat."""
        in_a_process(lambda: fold_journal(SqliteStore(tmp_path / "licet.db", ManualClock(START_MS))))
        assert rows(store, schema.journal)
        assert recalls(store, grant(1, 2))

    def test_nothing_is_remembered_beside_a_node_of_the_version_before(
        self, store: Store, tmp_path: Path
    ) -> None:
        """It sets no writer: until `licet migrate --finish` it may be at work."""

        def write() -> None:
            with closing(sqlite3.connect(tmp_path / "licet.db")) as raw, raw:
                raw.execute("DELETE FROM session")
                raw.execute("UPDATE seat SET holder = 'client:Client1', client_id = 'Client1'")

        with store.transaction() as transaction:
            transaction.connection.execute(text("UPDATE setup SET seats_lag = false"))
        do(store, grant(1, 2))
        assert not recalls(store, grant(1, 3))
        in_a_process(write)
        assert isinstance(do(store, grant(1, 3))[0], Denied)

    def test_nothing_is_remembered_of_the_time_before_an_upgrade_was_finished(
        self, place: Place, tmp_path: Path
    ) -> None:
        """L8. Nobody has said in that time who wrote, and nobody looks at it in another way any more."""
        store = begin(place, jim_test(clients=[replace(CLIENTS[0], sessions_max=3)]))
        path = tmp_path / "licet.db"
        with store.transaction() as transaction:
            transaction.connection.execute(text("UPDATE setup SET seats_lag = false"))
            transaction.connection.execute(text("UPDATE alembic_version SET version_num = '0006'"))
        do(store, grant(1, 1))
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.executemany(_GRANT_OF_THE_VERSION_BEFORE, [(sid(2),), (sid(3),)])
        with migrating(path) as connection:
            finish(connection, START_MS)
        for number in (4, 5):
            assert isinstance(do(store, grant(1, number))[0], Granted)
        assert len(rows(store, schema.session)) == 3


class TestWhatIsRemembered:
    """Only what this process has committed, and only where nothing but a renewal can come of it."""

    def test_what_failed_was_never_known(self, store: Store) -> None:
        """And what was known before is not trusted: it may be committed all the same."""
        with suppress(Undone), store.transaction(Purpose.BATCH) as transaction:
            transaction.save(transaction.load([grant(2, 2)]))
            raise Undone
        assert not recalls(store, grant(1, 3))

    def test_a_change_of_the_set_up_in_this_process_empties_it(self, store: Store) -> None:
        """Whatever it changed."""
        with store.transaction() as transaction:
            transaction.connection.execute(text("UPDATE session SET expires_at_ms = expires_at_ms"))
        assert not recalls(store, grant(1, 2))

    def test_a_seat_that_came_back_is_known_no_more(self, store: Store) -> None:
        """Its holder may not find it free again."""
        do(store, end(1))
        assert not recalls(store, grant(1, 2))

    def test_a_seat_whose_row_has_expired_is_looked_at(self, place: Place, store: Store) -> None:
        """It is still held, by a session that only the table has."""
        place.clock.advance(seconds=500)
        do(store, grant(1, 2))
        place.clock.advance(seconds=SESSION_S - 500)
        assert not recalls(store, grant(1, 3))
        assert isinstance(do(store, grant(2, 4))[0], Denied)
        assert recalls(store, grant(1, 3))

    @pytest.mark.parametrize(
        "commands",
        [
            pytest.param([grant(2, 2)], id="a holder without a seat"),
            pytest.param([view(1, 2), view(2, 3)], id="a client whose sessions were not counted"),
            pytest.param([grant(1, 2), end(1)], id="an end"),
            pytest.param([grant(1, 2), Sweep(sessions_max=1)], id="a sweep"),
            pytest.param([grant(1, 2), grant(99, 3)], id="an unknown client"),
        ],
    )
    def test_what_is_more_than_a_renewal_takes_a_book(self, store: Store, commands: list[Command]) -> None:
        """The ledger must see what it moves."""
        assert not recalls(store, *commands)

    def test_a_session_over_the_limit_takes_a_book(self, place: Place) -> None:
        """L8: one more ends the oldest."""
        opened = begin(place, jim_test(pools=(ONE,), clients=(replace(CLIENTS[0], sessions_max=3),)))
        do(opened, grant(1, 1))
        assert recalls(opened, grant(1, 2))
        do(opened, grant(1, 2))
        assert not recalls(opened, grant(1, 3), grant(1, 4))
        assert {row.sid for row in rows(opened, schema.session)} == {sid(1), sid(2)}

    def test_a_denial_is_decided_on_a_book(self, place: Place, store: Store) -> None:
        """L12: it says how many seats are in use, which is not remembered."""
        until_ms = place.clock.now_ms() + 60_000
        with store.transaction() as transaction:
            transaction.connection.execute(text(f"UPDATE client SET barred_until_ms = {until_ms}"))  # noqa: S608
            transaction.connection.execute(text("UPDATE setup SET version = version + 1"))
            transaction.connection.execute(text("UPDATE tenant SET version = version + 1"))
        do(store, refresh(1, 1))
        do(store, view(1, 9))
        [denied] = do(store, grant(1, 2))
        assert isinstance(denied, Denied)
        assert denied.in_use == 1

    def test_the_clients_of_a_user_share_what_is_known(self, place: Place) -> None:
        """By the holder, whoever asks; each client's sessions are counted first."""
        opened = begin(place, jim_test(pools=(replace(BY_USER, seats=1),), clients=TWINS))
        do(opened, grant(1, 1))
        assert not recalls(opened, grant(2, 2))
        do(opened, view(2, 3))
        assert recalls(opened, grant(2, 2))

    def test_a_seat_of_a_sessions_own_is_not_kept(self, place: Place) -> None:
        """Nobody else asks for it."""
        opened = begin(place, jim_test(pools=(EACH,)))
        do(opened, grant(1, 1))
        assert not recalls(opened, refresh(1, 1))

    def test_it_is_bounded(self, place: Place) -> None:
        """A full one is emptied."""
        opened = begin(place)
        assert isinstance(opened, SqliteStore)
        opened._memory = Memory(seats_max=3)
        do(opened, *(grant(key, key) for key in range(1, 4)))
        assert recalls(opened, grant(1, 10))
        do(opened, grant(4, 4))
        assert not recalls(opened, grant(1, 10))


SALES = Group(name="sales", clients=frozenset({"TestClientId", "Client1"}))
LIMITED = replace(FULL, seats=5, max=(Share(who="group:sales", seats=1),))
MAX = "max=group:sales"


@pytest.fixture
def limited(place: Place) -> Store:
    """A pool in which two clients have one seat together; that the first one has it, is known."""
    opened = begin(place, jim_test(pools=(LIMITED,), groups=(SALES,)))
    do(opened, grant(1, 1))
    assert known(opened) == {MAX: 1}
    return opened


def known(store: Store, *names: str) -> dict[str, int] | None:
    """What it would not look up any more."""
    assert isinstance(store, SqliteStore)
    with store.transaction(Purpose.BATCH):
        found = store._memory.counts(LIMITED.id, {*names} or {MAX})
        return None if found is None else {what: found[what] for what in names or (MAX,)}


def counted(store: Store) -> dict[str, int]:
    """What the tables say."""
    return {row.what: row.in_use for row in rows(store, schema.seat_count)}


def an_end(path: Path) -> None:
    """The holder ends its session."""
    do(SqliteStore(path, ManualClock(START_MS)), end(1))


def a_sweep_alone(path: Path) -> None:
    """A process whose clock is ahead finds that it has expired."""
    do(SqliteStore(path, ManualClock(START_MS + SESSION_S * 1000)), Sweep(sessions_max=10))


def a_client_disabled(path: Path) -> None:
    """An administrator disables the client, which ends its session."""
    asked = ["client", "disable", "TestClientId", "--data", str(path.parent), "--yes"]
    assert CliRunner().invoke(app, asked).exit_code == 0


def an_end_by_an_administrator(path: Path) -> None:
    """In a transaction like that of a change of the set-up, of which no version tells."""
    with SqliteStore(path, ManualClock(START_MS)).transaction() as transaction:
        end_sessions(transaction, 1, [sid(1)], EndReason.ADMINISTRATOR)


class TestCounts:
    """L16, L17: what options count is looked up once, as long as nobody else writes."""

    @pytest.mark.parametrize("write", [an_end, a_sweep_alone, a_client_disabled, an_end_by_an_administrator])
    def test_a_seat_that_came_back_elsewhere_counts_no_more(
        self, limited: Store, tmp_path: Path, write: Callable[[Path], None]
    ) -> None:
        """Another client may have it."""
        in_a_process(lambda: write(tmp_path / "licet.db"))
        assert known(limited) is None
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        assert known(limited) == counted(limited) == {MAX: 1}

    def test_a_seat_that_was_taken_elsewhere_counts(self, limited: Store, tmp_path: Path) -> None:
        """Nobody gets a seat above a limit, nor is it the tables that notice."""
        do(limited, end(1))
        assert known(limited) == {MAX: 0}
        path = tmp_path / "licet.db"
        in_a_process(lambda: do(SqliteStore(path, ManualClock(START_MS)), grant(2, 2)))
        [denied] = do(limited, grant(1, 3))
        assert isinstance(denied, Denied)
        assert denied.reason == "max_reached"
        assert counted(limited) == {MAX: 1}

    def test_processes_that_take_turns_never_pass_a_limit(self, place: Place, limited: Store) -> None:
        """Each finds what the other one did, in both directions."""
        stores = [limited, place.open()]
        for turn in range(2, 12):
            here, there = stores[turn % 2], stores[(turn + 1) % 2]
            key = 2 - turn % 2
            do(there, end(turn - 1))
            assert isinstance(do(here, grant(key, turn))[0], Granted)
            assert isinstance(do(there, grant(3 - key, 100 + turn))[0], Denied)
            assert counted(limited) == {MAX: 1}

    def test_a_seat_that_ends_without_a_look_at_its_counts_is_taken_off(self, limited: Store) -> None:
        """A logoff alone looks up no count; the next grant finds it all the same."""
        do(limited, end(1))
        assert known(limited) == counted(limited) == {MAX: 0}
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        assert known(limited) == counted(limited) == {MAX: 1}

    def test_a_seat_that_expires_is_taken_off(self, place: Place, limited: Store) -> None:
        """L4: with the batch that finds it."""
        place.clock.advance(seconds=SESSION_S)
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        assert known(limited) == counted(limited) == {MAX: 1}

    def test_what_failed_was_never_counted(self, limited: Store) -> None:
        """Nothing that was known is trusted after it."""
        with suppress(Undone), limited.transaction(Purpose.BATCH) as transaction:
            apply_all(transaction, [end(1)])
            raise Undone
        assert known(limited) is None
        assert isinstance(do(limited, grant(2, 2))[0], Denied)

    @pytest.mark.parametrize("purpose", [Purpose.BATCH, Purpose.SETUP])
    def test_a_transaction_sees_what_it_has_done_itself(self, limited: Store, purpose: Purpose) -> None:
        """Not what was so before it began."""
        with limited.transaction(purpose) as transaction:
            apply_all(transaction, [end(1)])
            [outcome] = apply_all(transaction, [grant(2, 2)])
            assert isinstance(outcome, Granted)
        assert known(limited) is None
        assert isinstance(do(limited, grant(1, 3))[0], Denied)

    def test_a_change_of_the_options_empties_it(self, limited: Store) -> None:
        """What is counted is another number then."""
        with changing(limited, "test") as change:
            change.tenant("Jim_Test").set_pool("full", max=(Share(who="client:TestClientId", seats=1),))
        assert known(limited) is None
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        assert isinstance(do(limited, grant(1, 3))[0], Granted)  # It shares its seat.
        assert counted(limited) == {"max=client:TestClientId": 1}

    def test_nothing_is_known_beside_a_node_of_the_version_before(
        self, limited: Store, tmp_path: Path
    ) -> None:
        """It says of nothing that it wrote."""

        def write() -> None:
            with closing(sqlite3.connect(tmp_path / "licet.db")) as raw, raw:
                raw.execute("UPDATE seat_count SET in_use = 1")

        with limited.transaction() as transaction:
            transaction.connection.execute(text("UPDATE setup SET seats_lag = false"))
        do(limited, end(1))
        assert known(limited) is None
        in_a_process(write)
        assert isinstance(do(limited, grant(2, 2))[0], Denied)

    def test_counts_are_bounded(self, place: Place) -> None:
        """Those of a pool that are too many are forgotten, and looked up again."""
        pool = replace(FULL, seats=5, max_per_client=1)
        opened = begin(place, jim_test(pools=(pool,)))
        assert isinstance(opened, SqliteStore)
        opened._memory = Memory(counts_max=2)
        names = [f"each=client:{it}" for it in ("TestClientId", "Client1", "Client2")]
        do(opened, grant(1, 1), grant(2, 2))
        assert known(opened, *names[:2]) == dict.fromkeys(names[:2], 1)
        do(opened, grant(3, 3))
        assert known(opened, names[0]) is None
        do(opened, end(1))
        assert isinstance(do(opened, grant(1, 4))[0], Granted)
        assert counted(opened) == dict.fromkeys(names, 1)
