"""Work in a thread: who is cancelled waits until it is done, so that nothing of it is left behind."""

import asyncio
import threading

import pytest

from licet.lanes.in_thread import in_thread

pytestmark = pytest.mark.anyio
HANGS_AFTER_S = 60


class Slow:
    """Work that ends when it may, and fails where it has a fault."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.has_begun = asyncio.Event()
        self.may_end = threading.Event()
        self.is_done = False
        self._fault = fault
        self._loop = asyncio.get_running_loop()

    def __call__(self, result: int) -> int:
        """Do it; return what was given."""
        self._loop.call_soon_threadsafe(self.has_begun.set)
        assert self.may_end.wait(HANGS_AFTER_S)
        self.is_done = True
        if self._fault is not None:
            raise self._fault
        return result


async def test_the_result_of_the_work_is_returned() -> None:
    """Arguments go to the work."""
    work = Slow()
    work.may_end.set()
    assert await in_thread(work, result=7) == 7


async def test_what_the_work_raises_is_raised() -> None:
    """As if it had been called."""
    work = Slow(LookupError("gone"))
    work.may_end.set()
    with pytest.raises(LookupError, match="gone"):
        await in_thread(work, 7)


@pytest.mark.parametrize("fault", [None, LookupError("gone")])
async def test_a_caller_that_is_cancelled_waits_until_the_work_is_done(fault: Exception | None) -> None:
    """Then the cancellation is raised, whatever the work returned or raised."""
    work = Slow(fault)
    waiting = asyncio.create_task(in_thread(work, 7))
    await work.has_begun.wait()
    waiting.cancel()
    await asyncio.wait([waiting], timeout=0)
    assert not waiting.done()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.is_done


async def test_a_caller_that_is_cancelled_again_waits_no_longer() -> None:
    """The event loop itself ends like this: who has no time left is not held."""
    work = Slow()
    waiting = asyncio.create_task(in_thread(work, 7))
    await work.has_begun.wait()
    for _ in range(2):
        waiting.cancel()
        await asyncio.wait([waiting], timeout=0)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not work.is_done
    work.may_end.set()
