"""The lane: how what arrives together is worked on together, and what a fault does to whom."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from anyio import fail_after
from anyio.lowlevel import checkpoint

from licet.lanes.contract import QueueFull
from licet.lanes.thread import Lane
from licet.store.errors import StoreUnavailable

pytestmark = pytest.mark.anyio
HANGS_AFTER_S = 60  # where a test would otherwise wait for ever; no honest run comes near


class Gate:
    """Work that notes its batches, and does each of them only when it is let through."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.batches: list[list[int]] = []
        self._is_open = is_open
        self._begun = threading.Semaphore(0)
        self._let_through = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        """Ten times each item."""
        self.batches.append(list(items))
        self._begun.release()
        if not self._is_open:
            assert self._let_through.acquire(timeout=HANGS_AFTER_S)
        return [item * 10 for item in items]

    async def begun(self) -> None:
        """Wait until one more batch is being worked on."""
        assert await asyncio.to_thread(self._begun.acquire, timeout=HANGS_AFTER_S)

    def let_through(self, batches: int = 1) -> None:
        """Let so many batches come to their end."""
        self._let_through.release(batches)


@asynccontextmanager
async def open_lane(
    work: Callable[[Sequence[int]], Sequence[int | Exception]], *, batch_max: int = 256, queue_max: int = 4096
) -> AsyncIterator[Lane[int, int]]:
    """A lane that is closed at the end."""
    lane: Lane[int, int] = Lane(work, name="lane of a test", batch_max=batch_max, queue_max=queue_max)
    with fail_after(HANGS_AFTER_S):
        yield lane
        await lane.close()


async def submit_behind(lane: Lane[int, int], *items: int) -> list[asyncio.Task[int]]:
    """Submit items, and return as soon as all of them wait for a batch."""
    before = lane.queue_length
    tasks = [asyncio.create_task(lane.submit(item)) for item in items]
    while lane.queue_length < before + len(items):
        await checkpoint()
    return tasks


async def busy(lane: Lane[int, int], gate: Gate, item: int = 1) -> asyncio.Task[int]:
    """Have the lane work on a lone item."""
    task = asyncio.create_task(lane.submit(item))
    await gate.begun()
    return task


class TestBatches:
    """What travels together."""

    async def test_a_lone_item_is_worked_on_at_once_and_alone(self) -> None:
        """Group commit: no ticker, an idle server commits a lone command at once."""
        gate = Gate(is_open=True)
        async with open_lane(gate) as lane:
            assert await lane.submit(1) == 10
            assert await lane.submit(2) == 20
        assert gate.batches == [[1], [2]]

    async def test_what_arrives_in_one_turn_of_the_loop_is_one_batch(self) -> None:
        """Group commit."""
        gate = Gate(is_open=True)
        async with open_lane(gate) as lane:
            assert await asyncio.gather(*map(lane.submit, (1, 2, 3))) == [10, 20, 30]
        assert gate.batches == [[1, 2, 3]]

    async def test_what_arrives_while_a_batch_runs_is_the_next_batch_in_its_order(self) -> None:
        """Group commit."""
        gate = Gate()
        async with open_lane(gate) as lane:
            first = await busy(lane, gate)
            others = [
                *(await submit_behind(lane, 2)),
                *(await submit_behind(lane, 3, 4)),
            ]
            assert gate.batches == [[1]]
            gate.let_through()
            assert await first == 10
            await gate.begun()
            assert not any(task.done() for task in others)
            gate.let_through()
            assert await asyncio.gather(*others) == [20, 30, 40]
        assert gate.batches == [[1], [2, 3, 4]]

    async def test_nobody_is_answered_before_the_work_is_done(self) -> None:
        """L9."""
        gate = Gate()
        async with open_lane(gate) as lane:
            first = await busy(lane, gate)
            for _ in range(100):
                await checkpoint()
            assert not first.done()
            gate.let_through()
            assert await first == 10

    async def test_a_batch_holds_no_more_than_its_bound_and_the_rest_follows(self) -> None:
        """Everything has a limit: the batch."""
        gate = Gate()
        async with open_lane(gate, batch_max=3) as lane:
            first = await busy(lane, gate)
            others = await submit_behind(lane, *range(2, 10))
            gate.let_through(4)
            assert await first == 10
            assert await asyncio.gather(*others) == [item * 10 for item in range(2, 10)]
        assert gate.batches == [[1], [2, 3, 4], [5, 6, 7], [8, 9]]

    async def test_the_first_batch_is_bounded_as_well(self) -> None:
        """Everything has a limit: the batch."""
        gate = Gate(is_open=True)
        async with open_lane(gate, batch_max=2) as lane:
            await asyncio.gather(*map(lane.submit, range(5)))
        assert gate.batches == [[0, 1], [2, 3], [4]]

    async def test_work_runs_on_one_thread_that_is_not_the_loops(self) -> None:
        """The event loop never waits for a disk."""
        threads: set[threading.Thread] = set()

        def work(items: Sequence[int]) -> Sequence[int]:
            threads.add(threading.current_thread())
            return items

        async with open_lane(work, batch_max=1) as lane:
            await asyncio.gather(*map(lane.submit, range(5)))
        assert len(threads) == 1
        assert threads != {threading.main_thread()}


class TestTheQueue:
    """How many may wait."""

    async def test_an_item_too_many_is_refused_at_once_and_those_who_wait_are_not(self) -> None:
        """Everything has a limit: the queue."""
        gate = Gate()
        async with open_lane(gate, queue_max=2) as lane:
            first = await busy(lane, gate)
            others = await submit_behind(lane, 2, 3)
            for item in 4, 5:
                with pytest.raises(QueueFull):
                    await lane.submit(item)
            gate.let_through(2)
            assert await asyncio.gather(first, *others) == [10, 20, 30]
        assert gate.batches == [[1], [2, 3]]

    async def test_there_is_room_again_as_soon_as_a_batch_has_left_the_queue(self) -> None:
        """Everything has a limit: the queue."""
        gate = Gate()
        async with open_lane(gate, queue_max=1) as lane:
            tasks = [await busy(lane, gate), *(await submit_behind(lane, 2))]
            gate.let_through()
            await gate.begun()
            tasks += await submit_behind(lane, 3)
            with pytest.raises(QueueFull):
                await lane.submit(4)
            gate.let_through(2)
            assert await asyncio.gather(*tasks) == [10, 20, 30]

    async def test_an_idle_lane_refuses_what_is_too_many_within_one_turn(self) -> None:
        """Everything has a limit: the queue."""
        gate = Gate(is_open=True)
        async with open_lane(gate, queue_max=2) as lane:
            answers = await asyncio.gather(*map(lane.submit, (1, 2, 3)), return_exceptions=True)
        assert answers[:2] == [10, 20]
        assert isinstance(answers[2], QueueFull)

    async def test_a_refused_item_is_never_worked_on(self) -> None:
        """A refusal is final: who was told 503 has no session."""
        gate = Gate()
        async with open_lane(gate, queue_max=1) as lane:
            tasks = [await busy(lane, gate), *(await submit_behind(lane, 2))]
            with pytest.raises(QueueFull):
                await lane.submit(3)
            gate.let_through(2)
            await asyncio.gather(*tasks)
        assert 3 not in {item for batch in gate.batches for item in batch}


class TestFaults:
    """What goes wrong, and for whom."""

    async def test_what_the_work_raises_is_the_answer_to_everybody_in_the_batch(self) -> None:
        """A store that is out of reach fails a batch as a whole."""

        def work(items: Sequence[int]) -> Sequence[int]:
            if 2 in items:
                raise OSError("no disk")
            return items

        async with open_lane(work) as lane:
            answers = await asyncio.gather(*map(lane.submit, (1, 2, 3)), return_exceptions=True)
            assert [type(answer) for answer in answers] == [OSError] * 3
            assert await lane.submit(4) == 4

    async def test_an_exception_among_the_answers_is_raised_to_its_own_caller_only(self) -> None:
        """One faulty command must not fail its batch."""

        def work(items: Sequence[int]) -> Sequence[int | Exception]:
            return [KeyError(item) if item == 2 else item for item in items]

        async with open_lane(work) as lane:
            answers = await asyncio.gather(*map(lane.submit, (1, 2, 3)), return_exceptions=True)
        assert (answers[0], answers[2]) == (1, 3)
        assert isinstance(answers[1], KeyError)

    async def test_nothing_is_done_for_a_caller_that_went_away_before_its_batch_began(self) -> None:
        """A seat that nobody hears of would be held for twenty minutes."""
        gate = Gate()
        async with open_lane(gate) as lane:
            first = await busy(lane, gate)
            gone, stays = await submit_behind(lane, 2, 3)
            gone.cancel()
            gate.let_through(2)
            assert [await first, await stays] == [10, 30]
        assert gate.batches == [[1], [3]]

    async def test_a_caller_that_goes_away_while_it_waits_does_not_hurt_the_others(self) -> None:
        """Its connection was closed before its turn came."""
        gate = Gate()
        async with open_lane(gate) as lane:
            first = await busy(lane, gate)
            gone, *others = await submit_behind(lane, 2, 3, 4)
            gone.cancel()
            gate.let_through(2)
            assert await asyncio.gather(first, *others) == [10, 30, 40]
            assert gone.cancelled()

    async def test_a_caller_that_goes_away_while_its_batch_runs_does_not_hurt_the_others(self) -> None:
        """Its connection was closed during the commit: what was done stays done."""
        gate = Gate()
        async with open_lane(gate) as lane:
            gone, other = (asyncio.create_task(lane.submit(item)) for item in (1, 2))
            await gate.begun()
            gone.cancel()
            gate.let_through(2)
            assert await other == 20
            assert await lane.submit(3) == 30
            assert gone.cancelled()
        assert gate.batches == [[1, 2], [3]]

    async def test_a_batch_of_which_everybody_went_away_is_followed_by_the_next(self) -> None:
        """Every connection was closed."""
        gate = Gate()
        async with open_lane(gate) as lane:
            gone = [await busy(lane, gate), *(await submit_behind(lane, 2, 3))]
            for task in gone:
                task.cancel()
            gate.let_through(3)
            assert await lane.submit(4) == 40
            assert all(task.cancelled() for task in gone)

    async def test_an_exception_for_a_caller_that_went_away_is_nobodys(self) -> None:
        """Not even a warning at the end: nobody is left to read it."""
        begun, let_through = threading.Event(), threading.Event()

        def work(items: Sequence[int]) -> Sequence[int]:
            begun.set()
            assert let_through.wait(HANGS_AFTER_S)
            raise OSError("no disk")

        async with open_lane(work) as lane:
            gone = asyncio.create_task(lane.submit(1))
            await asyncio.to_thread(begun.wait, HANGS_AFTER_S)
            gone.cancel()
            let_through.set()
            with pytest.raises(OSError, match="no disk"):
                await lane.submit(2)

    @pytest.mark.parametrize("answers", [[1], [1, 2, 3], [StopIteration(), 2]], ids=["few", "many", "stop"])
    async def test_work_that_answers_what_cannot_be_handed_on_is_a_fault_and_no_hang(
        self, answers: list[int | Exception]
    ) -> None:
        """A bug in the work is an error to those who wait, and the lane goes on."""
        batches: list[Sequence[int]] = []

        def work(items: Sequence[int]) -> Sequence[int | Exception]:
            batches.append(items)
            return answers if len(batches) == 1 else list(items)

        lane: Lane[int, int] = Lane(work, name="lane of a test")
        tasks = [asyncio.create_task(lane.submit(item)) for item in (1, 2)]
        while not batches:
            await checkpoint()
        follower = asyncio.create_task(lane.submit(3))
        _, hanging = await asyncio.wait([*tasks, follower], timeout=60)
        for task in hanging:
            task.cancel()
        assert not hanging
        assert await follower == 3
        faults = [task.exception() for task in tasks]
        assert any(faults)
        await lane.close()


class TestDeadlines:
    """A caller is told in time that there is no answer."""

    async def test_who_waits_too_long_is_told_and_what_had_not_begun_for_him_is_never_done(self) -> None:
        """Product 3: 503 when the store does not answer; the next to ask is served as ever."""
        gate = Gate()
        lane: Lane[int, int] = Lane(gate, name="lane of a test", batch_max=1, answer_within_s=0.05)
        with fail_after(HANGS_AFTER_S):
            under_way = asyncio.ensure_future(lane.submit(1))
            await gate.begun()
            for waiting in (under_way, lane.submit(2)):
                with pytest.raises(StoreUnavailable, match="no answer in time"):
                    await waiting
            gate.let_through(2)
            lane._deadlines._within_s = math.inf  # however busy the machine is from now on
            assert await lane.submit(3) == 30
            assert gate.batches == [[1], [3]]
            await lane.close()

    async def test_who_is_answered_in_time_is_left_alone(self) -> None:
        """Also when others, before and behind, are not."""
        gate = Gate(is_open=True)
        lane: Lane[int, int] = Lane(gate, name="lane of a test", answer_within_s=HANGS_AFTER_S)
        with fail_after(HANGS_AFTER_S):
            assert await asyncio.gather(*(lane.submit(it) for it in range(5))) == [0, 10, 20, 30, 40]
            await lane.close()


class TestClosing:
    """How a lane ends."""

    async def test_closing_finishes_what_runs_and_what_waits_and_takes_nothing_new(self) -> None:
        """A server that is told to stop answers whom it let in."""
        gate = Gate()
        lane: Lane[int, int] = Lane(gate, name="lane of a test", batch_max=2)
        tasks = [await busy(lane, gate), *(await submit_behind(lane, 2, 3, 4))]
        closing = asyncio.create_task(lane.close())
        await checkpoint()
        with pytest.raises(QueueFull):
            await lane.submit(5)
        assert not closing.done()
        gate.let_through(3)
        await closing
        assert [task.result() for task in tasks] == [10, 20, 30, 40]
        assert gate.batches == [[1], [2, 3], [4]]

    async def test_closing_right_after_submitting_still_answers(self) -> None:
        """The item is let in before it is handed to the thread."""
        lane: Lane[int, int] = Lane(Gate(is_open=True), name="lane of a test")
        [task] = await submit_behind(lane, 1)
        await lane.close()
        assert task.result() == 10

    async def test_closing_an_idle_lane_ends_its_thread(self) -> None:
        """Nothing is left behind."""
        lane: Lane[int, int] = Lane(Gate(is_open=True), name="lane of this test alone")
        assert "lane of this test alone" in {thread.name for thread in threading.enumerate()}
        await lane.close()
        assert "lane of this test alone" not in {thread.name for thread in threading.enumerate()}

    async def test_closing_twice_is_closing_once(self) -> None:
        """A shutdown may be asked for by more than one signal."""
        lane: Lane[int, int] = Lane(Gate(is_open=True), name="lane of a test")
        await lane.close()
        await lane.close()
        with pytest.raises(QueueFull):
            await lane.submit(1)

    async def test_closing_finishes_though_a_batch_fails(self) -> None:
        """A fault at the end doesn't keep a server from stopping."""

        def work(items: Sequence[int]) -> Sequence[int]:
            raise OSError("no disk")

        lane: Lane[int, int] = Lane(work, name="lane of a test")
        [task] = await submit_behind(lane, 1)
        await lane.close()
        with pytest.raises(OSError, match="no disk"):
            await task
