"""Runs a lane in a thread: all items that arrive during a batch are the next batch.

This is group commit, and group read: one thread, one batch at a time, no timer. An idle lane starts when the
event loop has no more items, after a tenth of a millisecond at most. Queue and batch are bounded. A lane does
not depend on the type of its items.

If the answer comes by a socket, a batch may also be started in the event loop: then no thread waits for it,
and none shares the interpreter's lock. A timer checks it, in case the loop reports nothing. The thread does
batches that cannot be started in this way, or that failed: a started batch may be done twice.
"""

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

from licet.lanes.contract import BATCH_MAX, QUEUE_MAX, QueueFull, Started, Submitter, Waiter
from licet.lanes.deadlines import LOOK_EVERY_S, Deadlines

Item = TypeVar("Item")
Answer = TypeVar("Answer")

QUIET_TURNS_MAX = 32  # some 100 us of a loop that has nothing to do, a tenth of what a batch takes

_Waiting = tuple[Item, Waiter[Answer]]


class _Begun(Generic[Item, Answer]):
    """A batch that was started in the event loop, and until when its answers are waited for."""

    def __init__(self, batch: list[_Waiting[Item, Answer]], started: Started[Answer], until_s: float) -> None:
        self.batch, self.started, self.until_s = batch, started, until_s
        self.timer: asyncio.TimerHandle | None = None


class Lane(Submitter[Item, Answer]):
    """Carries items to `work` in batches, on a thread of its own, and the answers to who waits for them.

    `work` gets a batch and returns an answer or an exception for each item, in their order; what it
    raises itself is everybody's answer. `start` is asked before, in the event loop, and does not wait: it
    returns None where `work` has to be called. Use a lane from one event loop.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        *,
        name: str,
        batch_max: int = BATCH_MAX,
        queue_max: int = QUEUE_MAX,
        answer_within_s: float = math.inf,
        start: Callable[[Sequence[Item]], Started[Answer] | None] = lambda _: None,
    ) -> None:
        self._work, self._start = work, start
        self._answer_within_s = answer_within_s
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._busy = False
        self._closed = False
        self._quiet_turns = 1
        self._batches: SimpleQueue[list[_Waiting[Item, Answer]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop, answer_within_s)
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item, waiter: Waiter[Answer]) -> None:
        """Have an item worked on; who waits has its answer when the batch is done.

        Raises QueueFull. The waiter gets StoreUnavailable after `answer_within_s`, and what `work` answers.
        """
        if self._closed or len(self._waiting) >= self._queue_max:
            raise QueueFull
        self._waiting.append((item, waiter))
        self._deadlines.watch(waiter)
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._gather, 1, self._quiet_turns)

    async def close(self) -> None:
        """Take nothing new, finish what waits, and end the thread."""
        self._closed = True
        await self._idle.wait()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    @property
    def is_open(self) -> bool:
        """Whether it takes items."""
        return not self._closed

    @property
    def queue_length(self) -> int:
        """How many items wait for a batch."""
        return len(self._waiting)

    def _gather(self, seen: int, quiet_turns: int) -> None:
        """Hand over what there is once so many turns of the loop brought nothing more.

        The loop and the worker share the interpreter's lock: a batch is done soonest when the loop has read
        all that was there to read, and has nothing else to do meanwhile. As many turns as the last batch
        had items: who was answered just now may ask again, and a lone item does not wait.
        """
        waiting = len(self._waiting)
        if waiting >= self._batch_max or quiet_turns == 0:
            self._dispatch()
        elif waiting > seen:
            self._loop.call_soon(self._gather, waiting, self._quiet_turns)
        else:
            self._loop.call_soon(self._gather, waiting, quiet_turns - 1)

    def _dispatch(self) -> None:
        batch: list[_Waiting[Item, Answer]] = []
        while self._waiting and len(batch) < self._batch_max:
            entry = self._waiting.popleft()
            if not entry[1].done():  # It went away or gave up before anything was done.
                batch.append(entry)
        if not batch:
            self._busy = False
            self._idle.set()
        elif (started := self._started(batch)) is not None:
            self._await(_Begun(batch, started, self._loop.time() + self._answer_within_s))
        else:
            self._batches.put(batch)

    def _started(self, batch: list[_Waiting[Item, Answer]]) -> Started[Answer] | None:
        try:
            return self._start([item for item, _ in batch])
        except Exception:  # noqa: BLE001 - the thread will see, and tell
            return None

    def _await(self, begun: "_Begun[Item, Answer]") -> None:
        """Go on with a batch when its socket becomes readable.

        A look now and then finds what uvloop does not tell: that a connection was reset.
        """
        self._loop.add_reader(begun.started.socket, self._proceed, begun)
        begun.timer = self._loop.call_later(LOOK_EVERY_S, self._look, begun)

    def _look(self, begun: "_Begun[Item, Answer]") -> None:
        if self._proceed(begun):
            return
        if self._loop.time() < begun.until_s:
            begun.timer = self._loop.call_later(LOOK_EVERY_S, self._look, begun)
            return
        fault = begun.started.give_up()
        self._end(begun)
        self._finish(begun.batch, [fault] * len(begun.batch))

    def _proceed(self, begun: "_Begun[Item, Answer]") -> bool:
        """Take what has come; whether the batch is over."""
        try:
            answers = begun.started.proceed()
        except Exception:  # noqa: BLE001 - the thread will see, and tell
            self._end(begun)
            self._batches.put(begun.batch)
            return True
        if answers is None:
            return False
        self._end(begun)
        self._finish(begun.batch, answers)
        return True

    def _end(self, begun: "_Begun[Item, Answer]") -> None:
        if begun.timer is not None:
            begun.timer.cancel()
        self._loop.remove_reader(begun.started.socket)  # before it may be closed
        begun.started.end()

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            answers: Sequence[Answer | Exception]
            try:
                answers = self._work([item for item, _ in batch])
                assert len(answers) == len(batch), "work answers each item once"
            except Exception as fault:  # noqa: BLE001 - it goes to those who wait
                answers = [fault] * len(batch)
            self._loop.call_soon_threadsafe(self._finish, batch, answers)

    def _finish(self, batch: list[_Waiting[Item, Answer]], answers: Sequence[Answer | Exception]) -> None:
        for (_, waiter), answer in zip(batch, answers, strict=True):
            if waiter.done():  # It went away; what was committed for it stays.
                continue
            if not isinstance(answer, Exception):
                waiter.set_result(answer)
            elif isinstance(answer, StopIteration):  # which a future does not accept
                waiter.set_exception(RuntimeError("work answered StopIteration"))
            else:
                waiter.set_exception(answer)
        self._quiet_turns = min(len(batch), QUIET_TURNS_MAX)
        if self._waiting:
            self._loop.call_soon(self._gather, len(self._waiting), self._quiet_turns)
        else:
            self._dispatch()
