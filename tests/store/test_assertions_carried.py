"""Grants and refreshes that carry their client's assertion, which is used with them, once (RFC 7523 3, 7)."""

import threading
from collections.abc import Callable

import pytest
from msgspec.structs import astuple, replace

from licet.ledger.commands import (
    AssertionUse,
    ClientRefused,
    Denied,
    Grant,
    Granted,
    Outcome,
    Refresh,
    ScopeRefused,
    SessionUnknown,
)
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.postgres.one_call import Refused
from licet.store.postgres.store import PostgresStore
from support.examples import CLIENTS, FULL, end, grant, jim_test, refresh, sid, used, view
from support.ledger.repeating import counted_again, counted_denied_again
from support.store.kinds import Place, begun_in_postgres, opened_in_postgres
from support.store.store_site import START_MS, begin, do, in_use, rows
from support.waiting import until

AGAIN = AssertionUse(is_first=False)
DISABLED = replace(CLIENTS[4], enabled=False)
TENANT = jim_test(pools=(replace(FULL, seats=2),), clients=(*CLIENTS[:4], DISABLED))


@pytest.fixture
def store(place: Place) -> Store:
    """Each kind of store in turn, in which the first client has a seat and was granted again."""
    store = begin(place, TENANT)
    do(store, grant(1, 1))
    do(store, grant(1, 2))
    return store


def by(command: Grant | Refresh, number: int) -> Grant | Refresh:
    """The command with an assertion of its client."""
    return replace(command, assertion=used(command.client_key, number))


def sessions(store: Store) -> set[bytes]:
    """The sessions that there are."""
    return {row.sid for row in rows(store, schema.session)}


def numbers_used(store: Store) -> set[int]:
    """The numbers of the assertions that are used."""
    return {int.from_bytes(row.jti, "big") for row in rows(store, schema.assertion_used)}


class TestOnce:
    """Each is used once, whatever carries it."""

    @pytest.mark.parametrize(
        "command",
        [grant(1, 9), grant(2, 9), view(1, 9), refresh(1, 1), grant(3, 9, scope="view", pool_id=None)],
        ids=["granted again", "a new seat", "read-only", "refresh", "read-only, of another"],
    )
    def test_the_first_is_granted_and_no_other_one(self, store: Store, command: Grant | Refresh) -> None:
        """RFC 7523 3, 7: by itself, with another command, and in the same batch."""
        [first] = do(store, by(command, 7))
        assert isinstance(first, Granted)
        before = sessions(store), in_use(store)
        again = by(replace(command, sid=sid(50)) if isinstance(command, Grant) else command, 7)
        assert do(store, again) == [AGAIN]
        assert do(store, again, used(command.client_key, 7), again) == [AGAIN] * 3
        assert (sessions(store), in_use(store)) == before
        assert numbers_used(store) == {7}

    def test_what_was_used_by_itself_is_not_good_for_a_grant(self, store: Store) -> None:
        """A client may show it at another endpoint first."""
        do(store, used(1, 7))
        assert do(store, by(grant(1, 9), 7), by(refresh(1, 1), 7), by(grant(1, 10), 8))[:2] == [AGAIN] * 2
        assert sessions(store) == {sid(1), sid(2), sid(10)}

    @pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 2), (2, 1), (2, 2)])
    def test_of_two_in_one_batch_one_is_granted(self, store: Store, first: int, second: int) -> None:
        """By whichever client's way through the store they go: 1 has a seat, and 2 takes one."""
        asked = [by(grant(first, 9), 7), by(grant(first, 10), 7), by(grant(second, 11), 8)]
        outcomes = do(store, *asked, by(grant(second, 12), 8))
        granted = [isinstance(it, Granted) for it in outcomes]
        assert sorted(granted[:2]) == sorted(granted[2:]) == [False, True]
        assert [it for it in outcomes if not isinstance(it, Granted)] == [AGAIN] * 2
        assert numbers_used(store) == {7, 8}

    def test_a_grant_that_is_refused_ends_no_session(self, place: Place) -> None:
        """L8. Somebody who has overheard an assertion may end nothing with it."""
        store = begin(place, jim_test(pools=(FULL,), clients=(replace(CLIENTS[0], sessions_max=2),)))
        for number in (1, 2):
            do(store, by(grant(1, number), number))
        assert do(store, by(grant(1, 3), 2)) == [AGAIN]
        assert sessions(store) == {sid(1), sid(2)}
        do(store, by(grant(1, 3), 3))
        assert sessions(store) == {sid(2), sid(3)}

    @pytest.mark.parametrize(
        ("command", "outcome"),
        [
            (grant(3, 9), Denied),
            (grant(5, 9), ClientRefused),
            (grant(1, 9, scope="nothing"), ScopeRefused),
            (refresh(1, 40), SessionUnknown),
            (refresh(2, 1), SessionUnknown),
        ],
    )
    def test_it_is_used_with_what_is_refused_too(
        self, store: Store, command: Grant | Refresh, outcome: type[Outcome]
    ) -> None:
        """The client has authenticated. Twice: once on a book, and then as the store may remember it."""
        do(store, grant(2, 3))
        for number in (7, 8, 9):
            assert isinstance(do(store, by(command, number))[0], outcome)
            assert do(store, by(command, number), used(command.client_key, number)) == [AGAIN] * 2
        assert numbers_used(store) == {7, 8, 9}

    def test_each_client_has_numbers_of_its_own(self, store: Store) -> None:
        """RFC 7519 4.1.7: it is for the issuer to make them unique."""
        outcomes = do(store, by(grant(1, 9), 7), by(grant(2, 10), 7), used(3, 7))
        assert [isinstance(it, Granted) for it in outcomes[:2]] == [True] * 2
        assert outcomes[2] == AssertionUse(is_first=True)

    def test_of_nodes_that_get_the_same_at_once_one_grants(self, place: Place, store: Store) -> None:
        """RFC 7523 3, 7. Each of them grants again without a book, where it is its turn."""
        nodes = [store, place.open(), place.open()]
        start = threading.Barrier(len(nodes))
        answers: list[list[Outcome]] = [[] for _ in nodes]

        def run(number: int) -> None:
            start.wait()
            for at in range(20):
                asked = by(grant(1, 1000 * number + at + 100), at)
                answers[number] += do(nodes[number], asked, by(view(2, 1000 * number + at + 500), 50 + at))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(len(nodes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for found in zip(*answers, strict=True):
            assert sum(isinstance(it, Granted) for it in found) == 1
            assert sum(it == AGAIN for it in found) == 2
        assert len(sessions(store)) == 2 + 40

    def test_nothing_of_a_batch_that_fails_is_used(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L9. The client gets an error, and may send the same request again."""

        class Broken(Exception):
            pass

        def broken(*_: object) -> bool:
            raise Broken("Broken")

        with monkeypatch.context() as broken_for_now:
            broken_for_now.setattr("licet.lanes.commit.only_renews", broken)
            broken_for_now.setattr("licet.lanes.commit.free_expired", broken)
            with pytest.raises(AssertionError, match="Broken"):
                do(store, by(grant(2, 9), 7))
        assert numbers_used(store) == set()
        assert isinstance(do(store, by(grant(2, 9), 7))[0], Granted)


class TestWithoutABook:
    """A client with an assertion is granted again as fast as one with a secret."""

    def test_it_is_granted_and_renewed_again_without_a_book(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L2, L5, L11. Each session with its entry in the journal, and the uses of assertions beside them."""
        again = counted_again(monkeypatch)
        store = begin(place, TENANT)
        renewing = replace(refresh(1, 1), address="192.0.2.1")
        for command in (grant(1, 1), grant(1, 2), renewing):
            do(store, command)
        again.clear()
        outcomes = do(store, by(grant(1, 9), 7), by(renewing, 8), used(1, 9), grant(1, 10))
        assert [type(it) for it in outcomes] == [Granted, Granted, AssertionUse, Granted]
        assert again == [3]
        assert numbers_used(store) == {7, 8, 9}
        assert len(rows(store, schema.journal_entry)) == 4

    @pytest.mark.parametrize("make_place", ["sqlite"], indirect=True)
    def test_in_sqlite_which_are_used_is_asked_once_for_a_batch(self, place: Place) -> None:
        """However many clients they are of."""
        store = begin(place, TENANT)
        asked: list[str] = []
        with store.transaction(Purpose.BATCH) as transaction:
            transaction._raw.set_trace_callback(asked.append)  # type: ignore[attr-defined]
            transaction.repeat([by(grant(key, key), key) for key in range(1, 5)])
            transaction._raw.set_trace_callback(None)  # type: ignore[attr-defined]
        assert len([it for it in asked if "assertion_used" in it]) == 1


@pytest.mark.parametrize("make_place", ["postgres"], indirect=True)
class TestACall:
    """On PostgreSQL, the call that commits also uses the assertions."""

    @pytest.fixture
    def store(self, place: Place) -> PostgresStore:
        """A store in which the first client has a seat; the second one took the other."""
        store = begun_in_postgres(place, TENANT)
        do(store, grant(1, 1), grant(2, 2))
        return store

    def test_grants_refreshes_and_uses_are_one_call(self, store: PostgresStore, called: list[int]) -> None:
        """With other commands, and by themselves."""
        do(store, by(grant(1, 3), 7), by(refresh(1, 1), 8), grant(2, 4), used(2, 9))
        do(store, used(1, 10), used(1, 11))
        assert called == [START_MS] * 2
        assert numbers_used(store) == {7, 8, 9, 10, 11}
        assert {row.until_ms for row in rows(store, schema.assertion_used)} == {used(1, 7).until_ms}

    def test_who_is_denied_again_uses_its_assertion_by_the_same_call(
        self, store: PostgresStore, called: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L6, L11."""
        do(store, grant(3, 3))
        do(store, grant(3, 3))
        before = len(called)
        denied = counted_denied_again(monkeypatch)
        outcomes = do(store, by(grant(3, 4), 7), by(grant(3, 5), 8), by(view(1, 6), 9))
        assert [type(it) for it in outcomes] == [Denied, Denied, Granted]
        assert denied in ([2], [])
        assert do(store, by(grant(3, 7), 10))[0] == outcomes[0]
        assert denied[-1] == 1
        assert called[before:].count(START_MS) >= 1
        assert do(store, by(grant(3, 8), 10)) == [AGAIN]
        assert numbers_used(store) == {7, 8, 9, 10}
        assert sum(row.times for row in rows(store, schema.denial_entry)) == 2 + 3

    def test_one_that_was_used_is_refused_by_the_statement_and_the_batch_is_loaded(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """The others of the batch get what they ask for."""
        do(store, by(grant(1, 3), 7))
        outcomes = do(store, by(grant(1, 4), 7), by(grant(1, 5), 8), grant(2, 6))
        assert [type(it) for it in outcomes] == [AssertionUse, Granted, Granted]
        assert called == [START_MS, Refused.USED]
        do(store, by(grant(1, 9), 9), grant(2, 10))
        assert called == [START_MS, Refused.USED, START_MS]

    def test_one_that_is_sent_again_and_again_does_not_slow_down_the_next_batches(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """Only the batch that has it."""
        do(store, by(grant(1, 3), 7))
        for number in range(10, 14):
            assert do(store, by(grant(1, number), 7)) == [AGAIN]
            assert isinstance(do(store, by(grant(1, 10 + number), number))[0], Granted)
        assert called.count(START_MS) == 5

    def test_two_that_are_the_same_in_one_batch_are_loaded(
        self, store: PostgresStore, called: list[int]
    ) -> None:
        """No call would be committed."""
        outcomes = do(store, by(grant(1, 3), 7), by(grant(1, 4), 7))
        assert [type(it) for it in outcomes] == [Granted, AssertionUse]
        assert called == []

    @pytest.mark.parametrize("is_forgotten", [False, True], ids=["prepared", "to be prepared anew"])
    def test_of_two_calls_at_once_the_second_writes_nothing(
        self, place: Place, store: PostgresStore, called: list[int], *, is_forgotten: bool
    ) -> None:
        """Its statement began before the first one was committed, and did not see it: the table's key did.

        Also where the connection has forgotten the statement, as after a ROLLBACK of the driver.
        """
        second = opened_in_postgres(place)
        do(store, grant(1, 20))
        before = len(called)
        holder = store._writer._wire.raw  # type: ignore[union-attr]
        if is_forgotten:
            do(store, by(grant(1, 23), 9))
            holder.execute(b"DEALLOCATE ALL")
            before = len(called)
        with opened_in_postgres(place).transaction(Purpose.UPKEEP) as other:
            other.execute("INSERT INTO assertion_used VALUES (%s, %s, %s, %s)", astuple(used(1, 7)))
            found: list[Outcome] = []
            thread = threading.Thread(target=lambda: found.extend(do(store, by(grant(1, 21), 7))))
            thread.start()
            watching = rows_waiting(second)
            until(lambda: watching() > 0)
        thread.join()
        assert holder.info.transaction_status.name == "IDLE"
        assert found == [AGAIN]
        assert called[before:] == [Refused.USED]
        assert sid(21) not in sessions(store)
        assert in_use(store) == 2
        do(store, by(grant(1, 22), 8), end(20))
        assert sid(22) in sessions(store)


def rows_waiting(store: PostgresStore) -> Callable[[], int]:
    """How many connections wait for another transaction, when it is called."""

    def waiting() -> int:
        with store.reading() as connection:
            statement = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            )
            found: int = connection.exec_driver_sql(statement).scalar_one()
            return found

    return waiting
