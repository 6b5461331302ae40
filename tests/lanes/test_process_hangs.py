"""A committing process that lives and does not answer: who waits, when it is killed, and what comes next."""

import asyncio
import math
import os
import signal
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from licet.lanes.process_main import start
from licet.lanes.silence import LOOK_EVERY_S
from licet.ledger.commands import Granted
from licet.store.errors import StoreUnavailable
from licet.store.opening import SQLITE_NAME, StoreAt
from support.examples import grant, sid, view
from support.server.lane_site import Site, at, one_after_the_other, script, starting, until

SOON_S = LOOK_EVERY_S


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


def _killed_soon(site: Site) -> None:
    """A process that worked is from now on killed soon; before, a busy machine might need the time."""
    site.committer._silence._kill_after_s = SOON_S


def _killed_late(site: Site) -> None:
    site.committer._silence._kill_after_s = math.inf


def _wait_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("END_WITHIN_S", "DIE_WITHIN_S"):
        monkeypatch.setattr(f"licet.lanes.process.{name}", 0.01)


def _is_locked(data: Path) -> bool:
    """Whether somebody writes to the store."""
    with closing(sqlite3.connect(data / SQLITE_NAME, timeout=0)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


@pytest.mark.anyio
class TestHanging:
    """A process that is stopped."""

    async def test_it_is_killed_who_waits_is_told_that_it_is_unknown_and_another_one_works(
        self, data: Path
    ) -> None:
        """L9: what it had not begun is not committed, and nothing is answered that is not."""
        async with at(data) as site:
            await site.working()
            first = site.pid
            os.kill(first, signal.SIGSTOP)
            _killed_soon(site)
            tasks = await site.waiting(*(grant(1, number) for number in range(20)))
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            _killed_late(site)
            assert [type(answer) for answer in answers] == [StoreUnavailable] * 20
            assert "unknown" in str(answers[0])
            await until(lambda: site.committer.is_open)
            granted = await site.committer.submit(grant(1, 21))
            assert isinstance(granted, Granted)
            assert site.pid != first
            assert site.committer.trouble == ""
            assert site.sids() == {sid(21)}
        assert site.told == [f"killed: no answer for {SOON_S:g} s", "exit code -9"]

    async def test_one_that_goes_on_in_time_is_left_alone_and_answers(self, data: Path) -> None:
        """It is told meanwhile that it does not answer, and no longer when it does."""
        async with at(data) as site:
            await site.working()
            site.committer._silence._tell_after_s = SOON_S
            with site.stopped():
                (task,) = await site.waiting(grant(1, 1))
                await until(lambda: site.committer.trouble == "the committing process does not answer")
            assert isinstance(await task, Granted)
            assert site.committer.trouble == ""
            assert isinstance(await site.committer.submit(view(2, 2)), Granted)
        assert site.told == []

    async def test_one_that_waits_for_the_lock_of_another_process_is_told_and_not_killed(
        self, data: Path
    ) -> None:
        """It answers as soon as it has the lock: a kill would help nobody."""
        async with at(data) as site:
            await site.working()
            first = site.pid
            site.committer._silence._tell_after_s = SOON_S
            with site.locked():
                (task,) = await site.waiting(grant(1, 1))
                await until(lambda: bool(site.committer.trouble))
            assert isinstance(await task, Granted)
            assert (site.committer.trouble, site.pid, site.told) == ("", first, [])

    async def test_one_that_hangs_in_a_transaction_ends_with_it_so_that_the_next_has_the_lock(
        self, data: Path
    ) -> None:
        """What it had not committed is not: a lock of a file, and a transaction, end with their process."""
        code = (
            "import sqlite3, time; sys.stdin.read(); socket.socket(fileno=int(sys.argv[-1])).recv(4096)"
            "; store = sqlite3.connect(sys.argv[1]); store.execute('DELETE FROM pool'); time.sleep(3600)"
        )
        hangs = partial(start, (*script(code), str(data / SQLITE_NAME)), StoreAt(Path()), "", 1)
        async with at(data, one_after_the_other(hangs, starting(data))) as site:
            (task,) = await site.waiting(grant(1, 1))
            await until(lambda: _is_locked(data))
            _killed_soon(site)
            with pytest.raises(StoreUnavailable):
                await task
            _killed_late(site)
            await until(lambda: site.committer.is_open)
            assert isinstance(await site.committer.submit(grant(2, 2)), Granted)
            assert site.sids() == {sid(2)}

    async def test_one_that_does_not_die_is_waited_for_and_has_nobody_wait(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in a disk that hangs: it dies when the disk answers, and no other one is started before."""
        async with at(data) as site:
            await site.working()
            process, pid = site.committer._process, site.pid
            with monkeypatch.context() as unkillable:
                unkillable.setattr(process, "kill", lambda: None)
                _wait_briefly(unkillable)
                os.kill(pid, signal.SIGSTOP)
                _killed_soon(site)
                (task,) = await site.waiting(grant(1, 1))
                with pytest.raises(StoreUnavailable):
                    await task
                _killed_late(site)
                assert "has not ended yet" in site.committer.trouble
                with pytest.raises(StoreUnavailable, match="has not ended yet"):
                    await site.committer.submit(grant(1, 2))
                for _ in range(10):
                    await asyncio.to_thread(process.poll)
                assert (site.pid, site.committer.is_open) == (pid, False)
                os.kill(pid, signal.SIGKILL)
                await until(lambda: site.committer.is_open)
            await site.working()
            assert site.told == [f"killed: no answer for {SOON_S:g} s", "exit code -9"]

    async def test_one_that_does_not_die_keeps_no_server_from_stopping(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It ends by itself, when the disk answers: nothing that it still does is an answer to anybody."""
        async with at(data) as site:
            await site.working()
            process = site.committer._process
            with monkeypatch.context() as unkillable:
                unkillable.setattr(process, "kill", lambda: None)
                _wait_briefly(unkillable)
                os.kill(site.pid, signal.SIGSTOP)
                _killed_soon(site)
                (task,) = await site.waiting(grant(1, 1))
                with pytest.raises(StoreUnavailable):
                    await task
                await site.committer.close()
                assert process.poll() is None
            process.kill()
            process.wait()
        assert site.told == [f"killed: no answer for {SOON_S:g} s"]
