"""The commit lane in a process of its own, on a true store: who is answered what, and when."""

import asyncio
import math
import os
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from licet.clock import ManualClock
from licet.lanes.contract import QueueFull
from licet.lanes.process import CommitFault
from licet.ledger.commands import Ended, Granted
from licet.store.errors import StoreUnavailable
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from support.examples import bump, end, grant, refresh, sid, view
from support.server.lane_site import Site, at


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.mark.anyio
class TestProcess:
    """A process on a store."""

    async def test_a_session_begins_is_renewed_and_ends(self, data: Path) -> None:
        """L1, L4, L5, L9: as on a thread; what was answered is in the store."""
        async with at(data) as site:
            granted = await site.committer.submit(grant(1, 7))
            assert isinstance(granted, Granted)
            assert granted.session.sid == sid(7)
            assert site.sids() == {sid(7)}
            renewed = await site.committer.submit(refresh(1, 7, "all"))
            assert isinstance(renewed, Granted)
            assert renewed.session.started_at_ms == granted.session.started_at_ms
            ended = await site.committer.submit(end(7))
            assert isinstance(ended, Ended)
            assert ended.seat_released
            assert site.sids() == set()
            assert await site.committer.submit(end(7)) == Ended(session=None, seat_released=False)
            assert site.committer.queue_length == 0
        assert site.told == []

    async def test_of_many_at_once_everybody_gets_its_own_outcome(self, data: Path) -> None:
        """Also over several batches, and where one asks again as soon as it was answered."""
        async with at(data, batch_max=7) as site:

            async def ask(first: int) -> None:
                for number in range(first, first + 20):
                    granted = await site.committer.submit(view(1 + first % 7, number))
                    assert isinstance(granted, Granted)
                    assert granted.session.sid == sid(number)
                    assert granted.session.client_key == 1 + first % 7

            await asyncio.gather(*(ask(20 * number) for number in range(15)))
            assert site.sids() == {sid(number) for number in range(300)}

    @pytest.mark.parametrize(("batch_max", "batches"), [(2, 3), (5, 1)])
    async def test_what_waits_is_committed_in_batches_of_the_size_that_was_set(
        self, data: Path, batch_max: int, batches: int
    ) -> None:
        """`batch_commands_max`; with each batch the version that it was decided on is told."""
        async with at(data, batch_max=batch_max) as site:
            await site.working()
            site.versions.clear()
            with site.stopped():
                tasks = await site.waiting(*(view(1, number) for number in range(5)))
            await asyncio.gather(*tasks)
            assert len(site.versions) == batches

    async def test_what_it_decides_on_is_told_with_the_first_outcome_that_was_decided_so(
        self, data: Path
    ) -> None:
        """A change of the set-up counts at once, for who proves a client as well."""
        async with at(data) as site:
            await site.working()
            store = SqliteStore(data / SQLITE_NAME, ManualClock())
            with store.transaction() as transaction:
                version = bump(transaction.connection, 1)
            store.close()
            assert max(site.versions) < version
            await site.committer.submit(grant(1, 1))
            assert site.versions[-1] == version

    async def test_a_bug_is_a_fault_with_its_traceback_to_its_own_command_only(self, data: Path) -> None:
        """Product 3.2: the seats in use were counted down to none by hand: none can be given back."""
        async with at(data) as site:
            await site.committer.submit(grant(1, 1))
            with closing(sqlite3.connect(data / SQLITE_NAME)) as connection:
                connection.execute("UPDATE pool SET in_use = 0")
                connection.commit()
            with site.stopped():
                first, faulty, last = await site.waiting(view(2, 2), end(1), view(3, 3))
            assert isinstance(await first, Granted)
            assert isinstance(await last, Granted)
            with pytest.raises(CommitFault, match=r"(?s)^Traceback.*Contradiction") as raised:
                await faulty
            assert sid(1).hex() not in str(raised.value)
        assert site.told == []

    async def test_what_cannot_travel_is_refused_for_itself_alone(self, data: Path) -> None:
        """A lone surrogate is no UTF-8; who waits beside it gets its own outcome."""
        async with at(data) as site:
            with site.stopped():
                before = await site.waiting(view(1, 1))
                with pytest.raises(UnicodeEncodeError):
                    await site.committer.submit(refresh(1, 2, "\ud800"))
                after = await site.waiting(view(1, 3))
            outcomes = await asyncio.gather(*before, *after)
            assert [it.session.sid for it in outcomes if isinstance(it, Granted)] == [sid(1), sid(3)]

    async def test_a_data_directory_whose_name_is_no_utf_8_is_as_good_as_another(self, data: Path) -> None:
        """A path is bytes."""
        odd = data / os.fsdecode(b"\xff")
        odd.mkdir()
        (data / SQLITE_NAME).rename(odd / SQLITE_NAME)
        async with at(odd) as site:
            await site.working()
            (odd / SQLITE_NAME).rename(data / SQLITE_NAME)
            with pytest.raises(StoreUnavailable, match="udcff"):
                await site.committer.submit(grant(1, 1))
            (data / SQLITE_NAME).rename(odd / SQLITE_NAME)
            await site.working()
        assert site.told == []


@pytest.mark.anyio
class TestTheQueue:
    """How many may wait."""

    async def test_a_command_too_many_is_refused_at_once_and_never_committed(self, data: Path) -> None:
        """Everything has a limit: the queue. A refusal is final: who was told 503 has no session."""
        async with at(data, queue_max=10) as site:
            with site.stopped():
                tasks = await site.waiting(*(view(1, number) for number in range(10)))
                for number in (10, 11):
                    with pytest.raises(QueueFull):
                        await site.committer.submit(view(1, number))
                assert site.committer.queue_length == 10
            outcomes = await asyncio.gather(*tasks)
            assert [it.session.sid for it in outcomes if isinstance(it, Granted)] == list(map(sid, range(10)))
            assert isinstance(await site.committer.submit(view(1, 12)), Granted)
            assert site.sids() == set(map(sid, (*range(10), 12)))

    async def test_what_is_too_many_within_one_turn_of_the_loop_is_refused(self, data: Path) -> None:
        """Everything has a limit: the queue."""
        async with at(data, queue_max=3) as site:
            commands = [view(1, number) for number in range(5)]
            answers = await asyncio.gather(*map(site.committer.submit, commands), return_exceptions=True)
            assert [type(it) for it in answers] == [Granted] * 3 + [QueueFull] * 2

    async def test_a_caller_that_goes_away_does_not_disturb_the_order_of_the_others(self, data: Path) -> None:
        """Its connection was closed: what was done for it stays done, and nobody gets what was its."""
        async with at(data) as site:
            await site.working()
            for begin, gone in ((0, {0}), (20, {1, 3}), (40, {9}), (60, {7, 8}), (80, set(range(10)))):
                with site.stopped():
                    tasks = await site.waiting(*(view(1, begin + number) for number in range(10)))
                    for number in gone:
                        tasks[number].cancel()
                    tasks += await site.waiting(view(1, begin + 10))
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
                for number, outcome in enumerate(outcomes):
                    if number in gone:
                        assert isinstance(outcome, asyncio.CancelledError)
                    else:
                        assert isinstance(outcome, Granted)
                        assert outcome.session.sid == sid(begin + number)
                assert site.sids() >= {sid(begin + number) for number in range(11)}

    async def test_a_fault_for_a_caller_that_went_away_is_nobodys(self, data: Path) -> None:
        """Not even a warning at the end: nobody is left to read it."""
        async with at(data) as site:
            await site.working()
            with site.stopped():
                gone, stays = await site.waiting(view(1, 1), view(1, 2))
                gone.cancel()
                await asyncio.wait([gone])
                os.kill(site.pid, signal.SIGKILL)
            with pytest.raises(StoreUnavailable):
                await stays


@pytest.mark.anyio
class TestDeadlines:
    """A caller is told in time that there is no answer."""

    async def test_who_waits_too_long_is_told_and_the_next_gets_his_own_answer(self, data: Path) -> None:
        """Product 3: a process that stands still is a store out of reach; what became of it is unknown."""
        async with at(data, answer_within_s=0.5) as site:
            await _until_answered(site)
            with site.stopped():
                for waiting in await site.waiting(grant(1, 1), grant(2, 2)):
                    with pytest.raises(StoreUnavailable, match="no answer in time"):
                        await waiting
            await _until_answered(site)
            site.committer._deadlines._within_s = math.inf  # however busy the machine is from now on
            granted = await site.committer.submit(grant(3, 3))
            assert isinstance(granted, Granted)
            assert granted.session.sid == sid(3)
            assert site.sids() == {sid(1), sid(2), sid(3)}  # they were under way
            assert site.told == []


async def _until_answered(site: Site) -> None:
    """Ask until the process is there to answer in time."""
    while True:
        with suppress(StoreUnavailable):
            await site.working()
            return
