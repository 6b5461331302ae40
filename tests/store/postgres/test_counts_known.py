"""L16, L17: a node looks up what options count of the seats of a pool once, until anybody else writes.

Which statement a batch is loaded by tells whether it looked: see `Looks`.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from licet.lanes.commit import apply_all
from licet.ledger.commands import Command, Denied, Granted, Sweep
from licet.ledger.prefetch import Need
from licet.model import EndReason, Group
from licet.options import Share
from licet.setup.change import changing
from licet.setup.end_sessions import end_sessions
from licet.store import schema
from licet.store.contract import Purpose
from licet.store.known_counts import KnownCounts
from licet.store.postgres import load_statements
from licet.store.postgres.store import PostgresStore
from support.examples import FULL, client, end, grant, jim_test, refresh, sid
from support.store.kinds import Place, begun_in_postgres, opened_in_postgres
from support.store.store_site import SESSION_S, Undone, do, rows

SALES = Group(name="sales", clients=frozenset({"TestClientId", "Client1"}))
LIMITED = replace(FULL, seats=5, max=(Share(who="group:sales", seats=1),))
MAX = "max=group:sales"

pytestmark = pytest.mark.parametrize("make_place", ["postgres"], indirect=True)


class Looks:
    """Whether each batch of grants that was loaded looked up the counts."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.found: list[bool] = []
        truly = load_statements.statement_for

        def statement_for(need: Need, *, knows_counts: bool) -> load_statements.Statement:
            if need.is_of_grants:
                self.found.append(not knows_counts)
            return truly(need, knows_counts=knows_counts)

        patch.setattr(load_statements, "statement_for", statement_for)

    def since(self) -> list[bool]:
        """Those since the last time that this was asked."""
        found, self.found = self.found, []
        return found


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


@pytest.fixture
def limited(place: Place, looks: Looks) -> PostgresStore:
    """A pool in which two clients have one seat together; that the first one has it, is known."""
    store = begun_in_postgres(place, jim_test(pools=(LIMITED,), groups=(SALES,)))
    do(store, grant(1, 1))
    assert looks.since() == [True]
    return store


@pytest.fixture
def other(place: Place, limited: PostgresStore) -> PostgresStore:
    """Another node."""
    del limited
    return opened_in_postgres(place)


def counted(store: PostgresStore) -> dict[str, int]:
    """What the tables say."""
    return {row.what: row.in_use for row in rows(store, schema.seat_count)}


def denied(store: PostgresStore, *commands: Command) -> None:
    """All of these are, as a limit is reached."""
    for outcome in do(store, *commands):
        assert isinstance(outcome, Denied)
        assert outcome.reason == "max_reached"


def an_end(place: Place) -> None:
    """The holder ends its session at another node."""
    do(opened_in_postgres(place), end(1))


def a_sweep(place: Place) -> None:
    """It expires, and another node sweeps."""
    place.clock.advance(seconds=SESSION_S)
    do(opened_in_postgres(place), Sweep(sessions_max=10))


def an_end_by_an_administrator(place: Place) -> None:
    """In a transaction like that of a change of the set-up, of which no version tells."""
    with opened_in_postgres(place).transaction() as transaction:
        end_sessions(transaction, 1, [sid(1)], EndReason.ADMINISTRATOR)


def a_client_disabled(place: Place) -> None:
    """An administrator disables the client, which ends its session."""
    with changing(opened_in_postgres(place), "test") as change:
        change.tenant("Jim_Test").set_client("TestClientId", enabled=False)


class TestCounts:
    """Who writes, and what is known then."""

    def test_the_second_grant_to_a_pool_does_not_look(self, limited: PostgresStore, looks: Looks) -> None:
        """Nor does one that is denied, or the one after a logoff."""
        denied(limited, grant(2, 2))
        do(limited, end(1))
        assert isinstance(do(limited, grant(2, 3))[0], Granted)
        assert looks.since() == [False, False]
        assert counted(limited) == {MAX: 1}

    @pytest.mark.parametrize("write", [an_end, a_sweep, an_end_by_an_administrator, a_client_disabled])
    def test_a_seat_that_came_back_elsewhere_counts_no_more(
        self, place: Place, limited: PostgresStore, write: Callable[[Place], None]
    ) -> None:
        """Another client may have it."""
        write(place)
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        assert counted(limited) == {MAX: 1}

    def test_a_seat_that_was_taken_elsewhere_counts(
        self, limited: PostgresStore, other: PostgresStore, looks: Looks
    ) -> None:
        """The node takes what it knows, finds that another one has written, and looks."""
        do(limited, end(1))
        do(other, grant(2, 2))
        looks.since()
        denied(limited, grant(1, 3))
        assert looks.since() == [False]
        assert counted(limited) == {MAX: 1}

    def test_nodes_that_take_turns_never_pass_a_limit(
        self, limited: PostgresStore, other: PostgresStore
    ) -> None:
        """Each finds what the other one did, in both directions."""
        stores = [limited, other]
        for turn in range(2, 80):  # longer than until a node has the tenant again
            here, there = stores[turn % 2], stores[(turn + 1) % 2]
            key = 2 - turn % 2
            do(there, end(turn - 1))
            assert isinstance(do(here, grant(key, turn))[0], Granted)
            denied(there, grant(3 - key, 100 + turn))
            assert counted(limited) == {MAX: 1}

    def test_a_seat_that_ends_without_a_look_at_its_counts_is_taken_off(
        self, limited: PostgresStore, looks: Looks
    ) -> None:
        """A logoff alone looks up no count; the next grant knows it all the same."""
        do(limited, end(1))
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        denied(limited, grant(1, 3))
        assert looks.since() == [False, False]

    def test_a_seat_that_expires_is_taken_off(self, place: Place, limited: PostgresStore) -> None:
        """L4: with the batch that finds it."""
        place.clock.advance(seconds=SESSION_S)
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        denied(limited, grant(1, 3))
        assert counted(limited) == {MAX: 1}

    def test_what_failed_was_never_counted(self, limited: PostgresStore, looks: Looks) -> None:
        """Nothing that was known is trusted after it."""
        with suppress(Undone), limited.transaction(Purpose.BATCH) as transaction:
            apply_all(transaction, [end(1)])
            raise Undone
        denied(limited, grant(2, 2))
        assert looks.since() == [True]

    def test_a_change_of_the_options_empties_it(self, limited: PostgresStore) -> None:
        """What is counted is another number then."""
        with changing(limited, "test") as change:
            change.tenant("Jim_Test").set_pool("full", max=(Share(who="client:TestClientId", seats=1),))
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        assert isinstance(do(limited, grant(1, 3))[0], Granted)  # It shares its seat.
        assert counted(limited) == {"max=client:TestClientId": 1}

    def test_nothing_is_known_beside_a_node_of_the_version_before(
        self, limited: PostgresStore, looks: Looks
    ) -> None:
        """It says of nothing that it wrote."""
        with limited.transaction() as transaction:
            transaction.connection.execute(text("UPDATE setup SET seats_lag = false"))
        do(limited, end(1))
        assert isinstance(do(limited, grant(2, 2))[0], Granted)
        denied(limited, grant(1, 3))
        assert looks.since() == [True, True]

    def test_a_name_that_was_not_looked_up_yet_is(self, place: Place, looks: Looks) -> None:
        """All of a batch, or none."""
        pool = replace(FULL, seats=5, max_per_client=1)
        store = begun_in_postgres(place, jim_test(pools=(pool,)))
        do(store, grant(1, 1))
        do(store, grant(1, 2), grant(2, 3))
        do(store, end(3), end(1), end(2))
        do(store, grant(1, 4), grant(2, 5))
        assert looks.since() == [True, True, False]
        assert counted(store) == {"each=client:TestClientId": 1, "each=client:Client1": 1}

    def test_they_are_bounded(self, place: Place, looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those that are too many are forgotten, and looked up again."""
        monkeypatch.setattr("licet.store.postgres.memory.KnownCounts", lambda: KnownCounts(2))
        pool = replace(FULL, seats=5, max_per_client=1)
        store = begun_in_postgres(place, jim_test(pools=(pool,)))
        do(store, grant(1, 1), grant(2, 2))
        do(store, end(1))
        do(store, grant(1, 3))
        do(store, grant(3, 4))
        do(store, end(3))
        do(store, grant(1, 5))
        assert looks.since() == [True, False, True, True]
        assert counted(store) == {f"each=client:{it}": 1 for it in ("TestClientId", "Client1", "Client2")}

    def test_what_those_count_who_wait_is_looked_up_beside_what_is_known(self, place: Place) -> None:
        """L19: who is first in line, and may not have what is free, does not hold up others."""
        pool = replace(FULL, seats=2, queue=5, max=(Share(who="client:Client1", seats=1),))
        clients = tuple(client(key, f"Client{key}", f"C{key}") for key in range(1, 6))
        store = begun_in_postgres(place, jim_test(pools=(pool,), clients=clients))
        do(store, grant(2, 2))
        do(store, grant(1, 1))
        queued = do(store, grant(3, 3, queue=True))[0]
        assert isinstance(queued, Denied)
        do(store, end(2))
        found = [type(it) for it in do(store, grant(4, 4, queue=True), grant(3, 5, queue=True))]
        assert found == [Denied, Granted]
        assert counted(store) == {"max=client:Client1": 1}
        assert isinstance(do(store, refresh(1, 1))[0], Granted)
