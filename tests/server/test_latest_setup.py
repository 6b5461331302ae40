"""A server looks at the set-up before it refuses by it: how often, for whom, and for how long one waits."""

import asyncio
import threading

import pytest

from licet.server import latest_setup
from licet.server.latest_setup import LatestSetup
from licet.store.errors import StoreUnavailable

PATIENCE_S = 10

pytestmark = pytest.mark.anyio


class Looks:
    """What reads the set-up: each look waits until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.times = 0
        self.fault: Exception | None = None

    def __call__(self) -> None:
        """Look."""
        self.times += 1
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE_S)
        if self.fault is not None:
            raise self.fault

    async def wait_until_one_has_begun(self) -> None:
        """Return when one more has begun."""
        assert await asyncio.to_thread(self.begun.acquire, timeout=PATIENCE_S)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up because the machine is busy."""
    monkeypatch.setattr(latest_setup, "WAIT_S", float(PATIENCE_S))


async def one_under_way() -> tuple[Looks, LatestSetup, asyncio.Task[None]]:
    """Somebody waits for a look, which has begun."""
    looks = Looks()
    latest = LatestSetup(looks)
    asking = asyncio.create_task(latest())
    await looks.wait_until_one_has_begun()
    return looks, latest, asking


async def test_who_asks_during_a_look_waits_for_the_next_one() -> None:
    """The one under way may have read the set-up before the change."""
    looks, latest, first = await one_under_way()
    second = asyncio.create_task(latest())
    looks.go.release()
    await first
    assert not second.done()
    looks.go.release()
    await second
    assert looks.times == 2


async def test_all_that_ask_during_a_look_share_the_next_one() -> None:
    looks, latest, first = await one_under_way()
    others = [asyncio.create_task(latest()) for _ in range(500)]
    looks.go.release(2)
    await asyncio.gather(first, *others)
    assert looks.times == 2


async def test_looks_follow_each_other_by_a_pause_and_nobody_waits_longer_than_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flood of wrong secrets costs the store only so many."""
    monkeypatch.setattr(latest_setup, "PAUSE_S", 3600.0)
    looks = Looks()
    looks.go.release(2)
    latest = LatestSetup(looks)
    await latest()
    monkeypatch.setattr(latest_setup, "WAIT_S", 0.01)
    await asyncio.gather(*(latest() for _ in range(500)))
    assert looks.times == 1
    await latest.close()


async def test_the_first_look_does_not_wait_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest_setup, "PAUSE_S", 3600.0)
    looks = Looks()
    looks.go.release()
    await LatestSetup(looks)()
    assert looks.times == 1


async def test_a_store_that_does_not_answer_is_waited_for_no_longer_than_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is known counts; and no second thread waits for it."""
    monkeypatch.setattr(latest_setup, "WAIT_S", 0.01)
    looks = Looks()
    latest = LatestSetup(looks)
    await asyncio.gather(*(latest() for _ in range(500)))
    await latest()
    assert looks.times == 1
    looks.go.release()
    await latest.close()


async def test_a_store_that_is_away_leaves_what_is_known() -> None:
    looks = Looks()
    looks.fault = StoreUnavailable("it is away")
    looks.go.release(2)
    latest = LatestSetup(looks)
    await latest()
    looks.fault = None
    await latest()
    assert looks.times == 2


async def test_a_request_whose_client_is_gone_ends_no_look_of_others() -> None:
    looks = Looks()
    latest = LatestSetup(looks)
    gone, stays = asyncio.create_task(latest()), asyncio.create_task(latest())
    await looks.wait_until_one_has_begun()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert not stays.done()
    looks.go.release()
    await stays


async def test_at_its_end_no_look_is_under_way() -> None:
    """The store closes after that, and must not be read any more."""
    looks, latest, asking = await one_under_way()
    another = asyncio.create_task(latest())
    ending = asyncio.create_task(latest.close())
    await asyncio.sleep(0)
    assert not ending.done()
    looks.go.release()
    await asyncio.gather(ending, asking, another)
    assert looks.times == 1
