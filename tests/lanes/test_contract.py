"""The contract of submitting work, held by each form of it: a thread, another process, a traced one."""

import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from licet.lanes.contract import QueueFull, Submitter
from licet.lanes.process import Committer
from licet.lanes.process_main import commit_until_closed
from licet.lanes.thread import Lane
from licet.ledger.commands import Command, Outcome, Sweep, Swept
from licet.store.errors import StoreUnavailable
from licet.telemetry.traces import Traces

Submits = Submitter[Command, Outcome]
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The loop of asyncio."""
    return "asyncio"


class _Work:
    """Answers a sweep of so many sessions with as many; one of 13 fails."""

    def __call__(self, batch: Sequence[Command]) -> Sequence[Outcome | Exception]:
        return [self._answer(command) for command in batch]

    @staticmethod
    def _answer(command: Command) -> Outcome | Exception:
        assert isinstance(command, Sweep)
        number = command.sessions_max
        return StoreUnavailable("the store is down") if number == 13 else Swept(sessions=number)


class _AsProcess:
    """The committing process's code, on a thread: it is waited for like a process."""

    pid = 1

    def __init__(self, work: _Work, theirs: socket.socket) -> None:
        self._own = theirs.dup()
        run = partial(commit_until_closed, self._own, work, lambda: 1)
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended."""
        self._thread.join(timeout)
        self._own.close()
        return 0


async def _lane(work: _Work) -> Submits:
    return Lane(work, name="contract", queue_max=4)


async def _committer(work: _Work) -> Submits:
    start: Any = partial(_AsProcess, work)
    committer = Committer(start, on_end=pytest.fail, saw_version=lambda _: None, queue_max=4)
    await committer.open()
    return committer


async def _traced(work: _Work) -> Submits:
    return Traces(TracerProvider(), "0").submitter(await _lane(work), "contract")


@pytest.fixture(params=[_lane, _committer, _traced])
def make(request: pytest.FixtureRequest) -> Callable[[_Work], Any]:
    """One form of it."""
    form: Callable[[_Work], Any] = request.param
    return form


async def test_each_item_gets_its_own_answer(make: Callable[[_Work], Any]) -> None:
    """Also one that fails: it fails for the one who submitted it."""
    submitter: Submits = await make(_Work())
    assert (submitter.is_open, submitter.trouble) == (True, "")
    assert await submitter.submit(Sweep(sessions_max=1)) == Swept(sessions=1)
    with pytest.raises(StoreUnavailable, match="the store is down"):
        await submitter.submit(Sweep(sessions_max=13))
    assert await submitter.submit(Sweep(sessions_max=2)) == Swept(sessions=2)
    assert submitter.queue_length == 0
    await submitter.close()


async def test_one_that_is_closed_takes_nothing_and_says_so(make: Callable[[_Work], Any]) -> None:
    """It is never done."""
    submitter: Submits = await make(_Work())
    await submitter.close()
    assert not submitter.is_open
    assert submitter.trouble
    with pytest.raises(QueueFull):
        await submitter.submit(Sweep(sessions_max=1))
