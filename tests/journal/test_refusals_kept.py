"""What a process collects of its refusals: bounded whatever is sent, and not a count lost."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from sqlalchemy import func, select

from licet.clock import ManualClock
from licet.credentials.generated import ClientSecrets
from licet.journal import refusals, retention
from licet.journal.failures import FailureFilter, failures, find_request
from licet.model import FailureCause, Who
from licet.setup.change import changing
from licet.store import schema
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.web import recording
from licet.web.recording import Caller, Recorder
from support.store.kinds import Place

MINUTE_MS = 60_000
START_MS = 1_700_000_000_000 - 1_700_000_000_000 % MINUTE_MS
WRONG = FailureCause.WRONG_SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    """One that a test moves."""
    return ManualClock(START_MS)


@pytest.fixture
def recorder(clock: ManualClock) -> Recorder:
    """One that has collected nothing."""
    return Recorder(clock, ClientSecrets(bytes(32)))


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """Stores of each kind."""
    found = make_place(START_MS)
    yield found
    found.close()


@pytest.fixture
def store(place: Place) -> Store:
    """One with the tenant `Jim`."""
    found = place.open()
    with changing(found, "a test") as change:
        change.add_tenant("Jim", seats=1)
    return found


class Failing:
    """Fails as somebody."""

    def __init__(self, recorder: Recorder, tenant_id: int = 1) -> None:
        self.recorder = recorder
        self.tenant_id = tenant_id
        self.ids = (f"id-{number}" for number in count())

    def __call__(
        self, name: str = "C1", cause: FailureCause = WRONG, address: str = "192.0.2.1", who: Who = Who.CLIENT
    ) -> str:
        """Once; the request id."""
        request_id = next(self.ids)
        caller = Caller(who, self.tenant_id, name, "U1" if name else "")
        self.recorder.failed(caller, cause, request_id=request_id, address=address)
        return request_id


def told(store: Store) -> dict[str, int]:
    """How often each name failed, of all that is written."""
    with store.reading() as connection:
        found = failures(connection, None, only=FailureFilter(with_administrators=True), limit=500).ranges
    times: dict[str, int] = {}
    for failure in found:
        times[failure.name] = times.get(failure.name, 0) + failure.times
    return times


def rows_of(store: Store, table: str) -> int:
    """How many rows a table has."""
    with store.reading() as connection:
        counted = select(func.count()).select_from(schema.metadata.tables[table])
        return int(connection.execute(counted).scalar_one())


async def test_failures_of_a_minute_are_one_row_that_counts_them(
    recorder: Recorder, store: Store, place: Place, clock: ManualClock
) -> None:
    """Written by two processes and in two seconds: the first, the last and their sum are right."""
    fail, others = Failing(recorder), Recorder(clock, ClientSecrets(bytes(32)))
    fail()
    await recorder.write_down(store)
    clock.advance(seconds=2)
    fail(address="192.0.2.9")
    Failing(others)(address="192.0.2.8")
    await recorder.write_down(store)
    await others.write_down(place.open())
    with store.reading() as connection:
        (row,) = failures(connection, store.tenant("Jim")).ranges
    assert (row.name, row.initials, row.cause, row.times) == ("C1", "U1", WRONG, 3)
    assert (row.first_at_ms, row.last_at_ms, row.address) == (START_MS, START_MS + 2000, "192.0.2.8")


async def test_nothing_is_written_where_nothing_failed(recorder: Recorder) -> None:
    """A server in which all is well pays for no transaction."""
    await recorder.write_down(None)  # type: ignore[arg-type]


async def test_a_flood_of_failures_makes_a_bounded_number_of_rows(
    recorder: Recorder, store: Store, clock: ManualClock
) -> None:
    """48,000 failures, of many names from many addresses, while the store is down: each of them counts."""
    failed, seconds = 48_000, 240
    for second in range(seconds):
        clock.advance(seconds=1)
        for number in range(failed // seconds):
            fail = Failing(recorder, tenant_id=number % 150)
            fail.ids = (f"{second}-{number}-{it}" for it in count())
            fail(f"C{number}", list(FailureCause)[number % 4], f"192.0.2.{number % 250}")
    kept = recorder._failures
    assert len(kept) <= recording.ROWS_MAX + len(FailureCause) * len(Who)
    assert len(recorder._requests) <= recording.WAITING_REQUESTS_MAX
    assert len(recorder._keys) <= 2 * recording.NAMES_MAX
    assert sum(recorder.counts.values()) == sum(it.times for it in kept.values()) == failed
    await recorder.write_down(store)
    assert sum(told(store).values()) == failed


async def test_beyond_so_many_names_in_a_minute_a_row_without_a_name_counts(
    recorder: Recorder, store: Store, clock: ManualClock
) -> None:
    """Known names, too: an attacker may have a list of them."""
    fail = Failing(recorder)
    for number in range(recording.NAMES_MAX + 50):
        fail(f"C{number}", address=f"192.0.2.{number % 50}")
    await recorder.write_down(store)
    assert told(store) == {"": 50} | {f"C{number}": 1 for number in range(recording.NAMES_MAX)}
    clock.advance(seconds=60)
    fail("C999")
    await recorder.write_down(store)
    assert told(store)["C999"] == 1


async def test_who_tries_all_clients_from_one_address_leaves_room_for_the_names_of_others(
    recorder: Recorder, store: Store
) -> None:
    """An address of IPv6 is its /64."""
    fail = Failing(recorder)
    for number in range(300):
        fail(f"C{number}", address=f"2001:db8::{number:x}")
    fail("Honest", address="2001:db8:0:1::1")
    await recorder.write_down(store)
    times = told(store)
    assert times.pop("Honest") == 1
    assert times.pop("") == 300 - recording.NAMES_OF_SOURCE_MAX
    assert set(times.values()) == {1}


async def test_counts_are_kept_while_the_store_is_down(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed before and meanwhile is one row when it is back."""

    def fail_to_write(*_: object) -> None:
        fail("C1")
        raise StoreUnavailable("the disk is full")

    fail = Failing(recorder)
    first = fail("C1")
    with monkeypatch.context() as broken:
        broken.setattr(recording, "write_refusals", fail_to_write)
        with pytest.raises(StoreUnavailable):
            await recorder.write_down(store)
    await recorder.write_down(store)
    assert told(store) == {"C1": 2}
    with store.reading() as connection:
        assert find_request(connection, first) is not None


@pytest.mark.parametrize("is_store_down", [False, True])
async def test_a_write_that_is_cancelled_loses_no_failure_and_counts_none_twice(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch, *, is_store_down: bool
) -> None:
    """A server that stops in the middle of a write waits for it, and writes what is left."""
    has_begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def write_late(*arguments: Any) -> None:
        loop.call_soon_threadsafe(has_begun.set)
        assert may_end.wait(60)
        if is_store_down:
            raise StoreUnavailable("the disk is full")
        refusals.write_refusals(*arguments)

    failed = Failing(recorder)()
    with monkeypatch.context() as late:
        late.setattr(recording, "write_refusals", write_late)
        writing = asyncio.create_task(recorder.write_down(store))
        await has_begun.wait()
        writing.cancel()
        await asyncio.wait([writing], timeout=0)
        assert not writing.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert told(store) == ({} if is_store_down else {"C1": 1})
    await recorder.write_down(store)
    assert told(store) == {"C1": 1}
    with store.reading() as connection:
        assert find_request(connection, failed) is not None


async def test_one_address_leaves_room_for_the_request_ids_of_others(
    recorder: Recorder, store: Store
) -> None:
    """What is not kept is not found, and counts."""
    fail = Failing(recorder)
    flood = [fail("") for _ in range(1000)]
    honest = fail("", address="192.0.2.2")
    await recorder.write_down(store)
    with store.reading() as connection:
        found = [find_request(connection, it) is not None for it in flood]
        assert find_request(connection, honest) is not None
    assert found == [True] * recording.REQUESTS_OF_SOURCE_MAX + [False] * (1000 - 16)
    assert told(store) == {"": 1001}


async def test_the_newest_request_ids_are_kept(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many, however long they may be kept."""
    monkeypatch.setattr(retention, "REQUESTS_KEPT_MAX", 5)
    fail = Failing(recorder)
    ids = [fail() for _ in range(12)]
    await recorder.write_down(store)
    while retention.remove_aged(store, 10 * MINUTE_MS):
        pass
    with store.reading() as connection:
        assert [it for it in ids if find_request(connection, it)] == ids[-5:]


async def test_what_is_older_than_the_journal_is_removed(
    recorder: Recorder, store: Store, place: Place, clock: ManualClock
) -> None:
    """Failures and request ids stay as long as denials do."""
    Failing(recorder)()
    await recorder.write_down(store)
    place.clock.advance(seconds=661)
    clock.advance(seconds=661)
    fail = Failing(recorder)
    fail.ids = (f"later-{it}" for it in count())
    fail("C2")
    await recorder.write_down(store)
    while retention.remove_aged(store, 10 * MINUTE_MS):
        pass
    assert told(store) == {"C2": 1}
    assert rows_of(store, "refused_request") == 1


async def test_a_tenant_that_is_removed_takes_its_failures_along(recorder: Recorder, store: Store) -> None:
    """Nothing is left of it, and until it is gone nobody sees it."""
    Failing(recorder)()
    await recorder.write_down(store)
    with changing(store, "a test") as change:
        change.remove_tenant("Jim")
    while retention.remove_history(store):
        pass
    assert rows_of(store, "authentication_failure") == rows_of(store, "refused_request") == 0
