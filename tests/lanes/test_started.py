"""A batch that is started in the event loop: its answer comes by a socket, and no thread waits for it."""

import asyncio
import math
import socket
from collections.abc import Iterator, Sequence

import pytest
from anyio import fail_after
from anyio.lowlevel import checkpoint

from licet.lanes.contract import QueueFull
from licet.lanes.thread import Lane
from licet.store.errors import StoreUnavailable

pytestmark = pytest.mark.anyio
HANGS_AFTER_S = 60


class Elsewhere:
    """Something that answers by a socket: ten times each item, in as many messages as there are items."""

    def __init__(self) -> None:
        self.near, self._far = socket.socketpair()
        self.near.setblocking(False)
        self.asked: list[list[int]] = []
        self.ended = 0
        self.is_away = False  # then a thread has to do it
        self.is_wrong = False  # then nothing can be started

    def close(self) -> None:
        """Close both sides."""
        self.near.close()
        self._far.close()

    def start(self, items: Sequence[int]) -> "Asked | None":
        """Ask for ten times each of these."""
        if self.is_away:
            return None
        if self.is_wrong:
            raise OSError("no socket")
        self.asked.append([*items])
        return Asked(self, self.near, len(items))

    def answer(self, *values: int) -> None:
        """Send these."""
        self._far.sendall(bytes(values))

    def fail(self) -> None:
        """Send nothing any more."""
        self._far.close()


class Asked:
    """A batch that is being answered."""

    def __init__(self, elsewhere: Elsewhere, near: socket.socket, count: int) -> None:
        self.socket = near.fileno()
        self._elsewhere, self._near, self._count = elsewhere, near, count
        self._found: list[int] = []

    def proceed(self) -> list[int] | None:
        """One value more."""
        try:
            arrived = self._near.recv(1)
        except BlockingIOError:
            return None
        if not arrived:
            raise OSError("the other side is gone")
        self._found += arrived
        return self._found if len(self._found) == self._count else None

    def give_up(self) -> Exception:
        """It took too long."""
        return StoreUnavailable("it took too long")

    def end(self) -> None:
        """Nobody looks at the socket any more."""
        assert not asyncio.get_running_loop().remove_reader(self.socket)
        self._elsewhere.ended += 1


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.close()


def in_a_thread(items: Sequence[int]) -> list[int | Exception]:
    """A hundred times each item."""
    return [item * 100 for item in items]


def lane_to(elsewhere: Elsewhere, *, answer_within_s: float = math.inf) -> Lane[int, int]:
    """A lane that asks elsewhere first."""
    return Lane(in_a_thread, name="lane of a test", start=elsewhere.start, answer_within_s=answer_within_s)


async def asked(elsewhere: Elsewhere, count: int = 1) -> None:
    """Wait until so many batches were started."""
    while len(elsewhere.asked) < count:
        await checkpoint()


async def test_what_is_started_is_answered_without_a_thread(elsewhere: Elsewhere) -> None:
    """What arrives meanwhile is the next batch, and each item has its own answer."""
    lane = lane_to(elsewhere)
    with fail_after(HANGS_AFTER_S):
        first = asyncio.ensure_future(lane.submit(1))
        await asked(elsewhere)
        others = [asyncio.ensure_future(lane.submit(item)) for item in (2, 3)]
        elsewhere.answer(10)
        assert await first == 10
        await asked(elsewhere, 2)
        elsewhere.answer(20)
        elsewhere.answer(30)
        assert await asyncio.gather(*others) == [20, 30]
        assert elsewhere.asked == [[1], [2, 3]]
        assert elsewhere.ended == 2
        await lane.close()


@pytest.mark.parametrize("why", ["is_away", "is_wrong"])
async def test_what_cannot_be_started_is_done_by_the_thread(elsewhere: Elsewhere, why: str) -> None:
    """Also where that is a fault: in the event loop, it would leave all who come later without an answer."""
    lane = lane_to(elsewhere)
    with fail_after(HANGS_AFTER_S):
        setattr(elsewhere, why, True)
        assert await lane.submit(1) == 100
        setattr(elsewhere, why, False)
        elsewhere.answer(20)
        assert await lane.submit(2) == 20
        await lane.close()


async def test_what_fails_is_done_by_the_thread(elsewhere: Elsewhere) -> None:
    """Whoever waits learns nothing of it."""
    lane = lane_to(elsewhere)
    with fail_after(HANGS_AFTER_S):
        waiting = [asyncio.ensure_future(lane.submit(item)) for item in (1, 2)]
        await asked(elsewhere)
        elsewhere.answer(10)
        elsewhere.fail()
        assert await asyncio.gather(*waiting) == [100, 200]
        assert elsewhere.ended == 1
        elsewhere.is_away = True
        assert await lane.submit(3) == 300
        await lane.close()


async def test_nobody_waits_for_ever_for_what_was_started(elsewhere: Elsewhere) -> None:
    """It is given up; an answer that comes later reaches nobody."""
    lane = lane_to(elsewhere, answer_within_s=0.05)
    with fail_after(HANGS_AFTER_S):
        with pytest.raises(StoreUnavailable):
            await lane.submit(1)
        while not elsewhere.ended:
            await checkpoint()
        elsewhere.answer(10)
        elsewhere.is_away = True
        lane._answer_within_s = lane._deadlines._within_s = math.inf  # however busy the machine is
        assert await lane.submit(2) == 200
        await lane.close()


async def test_what_the_loop_does_not_tell_is_found_by_a_look(elsewhere: Elsewhere) -> None:
    """Uvloop tells nothing of a connection that was reset while its answer was waited for."""
    lane = lane_to(elsewhere)
    with fail_after(HANGS_AFTER_S):
        waiting = asyncio.ensure_future(lane.submit(1))
        await asked(elsewhere)
        asyncio.get_running_loop().remove_reader(elsewhere.near.fileno())
        elsewhere.answer(10)
        assert await waiting == 10
        assert elsewhere.ended == 1
        await lane.close()


async def test_closing_waits_for_what_was_started(elsewhere: Elsewhere) -> None:
    """And takes nothing new."""
    lane = lane_to(elsewhere)
    with fail_after(HANGS_AFTER_S):
        waiting = asyncio.ensure_future(lane.submit(1))
        await asked(elsewhere)
        closing = asyncio.ensure_future(lane.close())
        await checkpoint()
        with pytest.raises(QueueFull):
            await lane.submit(2)
        assert not closing.done()
        elsewhere.answer(10)
        await closing
        assert await waiting == 10


async def test_who_went_away_has_no_answer_and_disturbs_nobody(elsewhere: Elsewhere) -> None:
    """The others of the batch have theirs."""
    lane = lane_to(elsewhere)
    with fail_after(HANGS_AFTER_S):
        gone, there = (asyncio.ensure_future(lane.submit(item)) for item in (1, 2))
        await asked(elsewhere)
        gone.cancel()
        elsewhere.answer(10, 20)
        assert await there == 20
        assert gone.cancelled()
        await lane.close()
