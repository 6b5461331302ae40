"""Reading sessions from an event loop: the same answers as in a thread, and no wait, whatever happens."""

import select
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from licet.ledger.commands import Granted
from licet.store.contract import LiveSessions
from licet.store.errors import StoreUnavailable
from licet.store.postgres.reading import Reading
from licet.store.postgres.store import PostgresStore
from support.examples import EACH, FULL, end, grant, jim_test, sid
from support.licences.signed_pools import put_licences, text_of, trust
from support.store.faults import unavailable
from support.store.kinds import Place, begun_in_postgres
from support.store.store_site import SESSION_S, START_MS, do
from support.waiting import until

WITHIN_S = 60

pytestmark = pytest.mark.parametrize("make_place", ["postgres"], indirect=True)


@pytest.fixture
def store(place: Place) -> PostgresStore:
    """A store with two sessions, which have been read once by a thread."""
    store = begun_in_postgres(place, jim_test(pools=(FULL, replace(EACH, id=2, name="each"))))
    do(store, grant(1, 1), grant(2, 2))
    store.read_sessions([])
    return store


def begun(store: PostgresStore, sids: Sequence[bytes]) -> Reading:
    """A question that was sent."""
    reading = store.start_reading(sids)
    assert reading is not None
    return reading


def answer(reading: Reading) -> LiveSessions:
    """The answer to a question, which an event loop would follow so."""
    while True:
        assert select.select([reading.socket], [], [], WITHIN_S)[0]
        if (found := reading.proceed()) is not None:
            reading.end()
            return found


def test_both_ways_find_the_same(store: PostgresStore) -> None:
    """Also where none of the sessions lives, and where the same one is asked for twice."""
    do(store, end(2))
    for asked in ([sid(1), sid(2), sid(3)], [sid(1), sid(1)], [sid(9)], [], [sid(n) for n in range(256)]):
        by_loop, by_thread = answer(begun(store, asked)), store.read_sessions(asked)
        assert by_loop.sessions == by_thread.sessions
        assert by_loop.numbers == by_thread.numbers == {}
        assert 0 <= by_thread.now_ms - by_loop.now_ms < WITHIN_S * 1000
    assert list(answer(begun(store, [sid(1), sid(2)])).sessions) == [sid(1)]


def test_a_session_that_has_expired_is_not_found_and_the_clock_is_heard(
    place: Place, store: PostgresStore
) -> None:
    """L4. What is decided next is not earlier than what was read."""
    place.clock.advance(seconds=SESSION_S)
    found = answer(begun(store, [sid(1)]))
    assert found.sessions == {}
    [granted] = do(store, grant(1, 5))
    assert isinstance(granted, Granted)
    assert granted.at_ms >= found.now_ms >= START_MS + SESSION_S * 1000


def test_the_numbers_of_seats_in_a_signed_pool_are_read_as_well(place: Place) -> None:
    """L13."""
    store = begun_in_postgres(place, jim_test(pools=(replace(FULL, seats=2),)))
    with store.transaction() as transaction:
        trust(transaction.connection)
        put_licences(transaction.connection, [FULL.id], [("C-1", 1, text_of("full", "all", seats=2))])
    store.refresh_tenants()
    do(store, grant(1, 1), grant(2, 2))
    by_thread = store.read_sessions([sid(1), sid(2)])
    assert sorted(by_thread.numbers.values()) == [1, 2]
    by_loop = answer(begun(store, [sid(1), sid(2)]))
    assert (by_loop.sessions, by_loop.numbers) == (by_thread.sessions, by_thread.numbers)


def test_nothing_is_asked_before_a_thread_has_made_the_connection(place: Place) -> None:
    """It may take seconds, and so may the preparing of the statement."""
    store = begun_in_postgres(place, jim_test())
    assert store.start_reading([sid(1)]) is None
    store.read_sessions([sid(1)])
    answer(begun(store, [sid(1)]))


def test_one_question_at_a_time_is_on_the_connection(store: PostgresStore) -> None:
    """A second one does not wait: a thread would."""
    reading = begun(store, [sid(1)])
    assert store.start_reading([sid(2)]) is None
    assert list(answer(reading).sessions) == [sid(1)]
    assert list(answer(begun(store, [sid(2)])).sessions) == [sid(2)]


def ended(place: Any) -> None:
    """The database ends all connections of readers."""
    place.clock._connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'licet reader'"
    )


def works_again(store: PostgresStore) -> bool:
    """Whether it is read by an event loop again, as soon as a thread has had its turn."""
    try:
        store.read_sessions([sid(1)])
    except StoreUnavailable:
        return False
    return sid(1) in answer(begun(store, [sid(1)])).sessions


def test_a_connection_that_is_lost_under_way_is_told_and_made_anew(
    place: Place, store: PostgresStore
) -> None:
    """Whether the question was sent before that, or after it."""
    reading = begun(store, [sid(1)])
    ended(place)
    try:
        answer(reading)  # The answer may have been quicker.
    except StoreUnavailable:
        reading.end()
    until(lambda: works_again(store))
    ended(place)
    later = store.start_reading([sid(1)])
    if later is not None:  # else it was noticed when the question was sent, and left to a thread
        with unavailable():
            answer(later)
        later.end()
    until(lambda: works_again(store))


def test_what_is_given_up_is_told_and_its_answer_reaches_nobody(store: PostgresStore) -> None:
    """The connection is made anew, so that the next question does not get the answer of this one."""
    reading = begun(store, [sid(1)])
    assert str(reading.give_up()).endswith("no answer in time")
    reading.end()
    until(lambda: works_again(store))
    assert list(answer(begun(store, [sid(2)])).sessions) == [sid(2)]


def test_a_store_that_is_closed_starts_nothing(store: PostgresStore) -> None:
    """Nor does it wait."""
    store.close()
    assert store.start_reading([sid(1)]) is None


def test_a_statement_that_the_database_has_forgotten_is_prepared_again(store: PostgresStore) -> None:
    """As where a proxy stands between, which gives one connection to several."""
    with store._reader.using(WITHIN_S) as wire:
        wire.raw.execute("DEALLOCATE ALL")
    assert list(store.read_sessions([sid(1)]).sessions) == [sid(1)]
    with store._reader.using(WITHIN_S) as wire:
        wire.raw.execute("DEALLOCATE ALL")
    reading = begun(store, [sid(1)])
    with unavailable("does not exist"):
        answer(reading)
    reading.end()
    until(lambda: works_again(store))


def test_a_question_that_cannot_be_sent_leaves_the_connection_to_others(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason: a fault of our own is raised, and nobody waits for the connection for ever."""
    with monkeypatch.context() as patch:
        patch.setattr("licet.store.postgres.reading.byte_strings", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            store.start_reading([sid(1)])
    until(lambda: works_again(store))
