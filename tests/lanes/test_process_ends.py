"""The end of the committing process: closed or dead; who waits hears of it."""

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anyio.lowlevel import checkpoint

from licet.lanes.contract import QueueFull
from licet.lanes.frames import frame
from licet.lanes.process import RESTART_AFTER_S
from licet.ledger.commands import Granted, Outcome, Sweep, Swept
from licet.store.errors import StoreUnavailable
from support.examples import grant, sid, view

if TYPE_CHECKING:
    import subprocess
from support.server.lane_site import ENDS_AT_ONCE, HANGS_AFTER_S, WORKS, Site, answering, at, in_turn, until


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.mark.anyio
class TestClosing:
    """How it ends when it is told to."""

    async def test_closing_finishes_what_is_under_way_and_takes_nothing_new(self, data: Path) -> None:
        """L9: a server that is told to stop answers whom it let in; the process ends in an orderly way."""
        async with at(data, batch_max=2) as site:
            await site.working()
            with site.locked():
                tasks = await site.waiting(*(view(1, number) for number in range(5)))
                closing_it = asyncio.create_task(site.committer.close())
                await checkpoint()
                with pytest.raises(QueueFull):
                    await site.committer.submit(view(1, 5))
                assert not closing_it.done()
                assert not any(task.done() for task in tasks)
            await closing_it
            assert all(isinstance(task.result(), Granted) for task in tasks)
            assert site.committer._process.returncode == 0
            assert not site.committer.is_open
        assert site.sids() == set(map(sid, range(5)))
        assert site.told == []

    async def test_closing_right_after_submitting_still_answers(self, data: Path) -> None:
        """Also what is not even sent yet, to a process that has hardly begun."""
        async with at(data) as site:
            tasks = [asyncio.create_task(site.committer.submit(view(1, number))) for number in range(3)]
            await asyncio.sleep(0)
            await site.committer.close()
            assert all(isinstance(task.result(), Granted) for task in tasks)

    async def test_closing_twice_is_closing_once(self, data: Path) -> None:
        """A shutdown may be asked for by more than one signal."""
        async with at(data) as site:
            await asyncio.gather(site.committer.close(), site.committer.close())
            await site.committer.close()
            with pytest.raises(QueueFull):
                await site.committer.submit(view(1, 1))
        assert site.committer._process.returncode == 0

    async def test_a_process_that_dies_while_it_is_closed_keeps_nobody(self, data: Path) -> None:
        """Who waits is told that it is unknown, and no other process is started."""
        async with at(data) as site:
            await site.working()
            with site.locked():
                (task,) = await site.waiting(grant(1, 1))
                closing_it = asyncio.create_task(site.committer.close())
                await checkpoint()
                os.kill(site.pid, signal.SIGKILL)
                await closing_it
            with pytest.raises(StoreUnavailable):
                await task
            assert site.committer._process.returncode == -signal.SIGKILL
        assert site.told == []

    async def test_a_process_that_is_stopped_keeps_nobody_however_much_it_has_not_taken(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The pipe to it is full, and nobody reads: a stopping server gives that up as well."""
        monkeypatch.setattr("licet.lanes.process.FINISH_WITHIN_S", 0.0)
        monkeypatch.setattr("licet.lanes.process.END_WITHIN_S", 0.0)
        async with at(data, queue_max=100_000) as site:
            await site.working()
            with site.stopped():
                tasks = list[asyncio.Task[Outcome]]()
                while not unwritten(site):
                    tasks += await site.waiting(*(view(1, number) for number in range(100)))
                await site.committer.close()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(answer) for answer in answers} == {StoreUnavailable}
            assert site.committer._process.returncode == -signal.SIGKILL
        assert site.told == []

    @pytest.mark.parametrize("turns", range(5))
    async def test_closing_while_it_is_being_started_again_leaves_no_process_behind(
        self, data: Path, turns: int
    ) -> None:
        """In the middle of a start, and at any turn of the loop after it: a stopping server must not hang."""
        processes: list[subprocess.Popen[bytes]] = []

        def start_at(theirs: socket.socket) -> "subprocess.Popen[bytes]":
            processes.append(in_turn(ENDS_AT_ONCE)(theirs))
            return processes[-1]

        async with at(data, start_at) as site:
            await until(lambda: len(processes) == 2)
            for _ in range(turns):
                await checkpoint()
            await site.committer.close()
            assert not site.committer.is_open
            started = len(processes)
            for _ in range(20):
                await checkpoint()
            assert len(processes) == started
        assert all(process.poll() is not None for process in processes)

    async def test_closing_does_not_wait_until_it_would_be_started_again(self, data: Path) -> None:
        """A server that stops has nothing to start; what it says of the death is all there is to say."""
        async with at(data) as site:
            await site.working()
            site.committer._restart_after_s = 10 * HANGS_AFTER_S
            os.kill(site.pid, signal.SIGKILL)
            await until(lambda: bool(site.told))
            await site.committer.close()
        assert site.told == ["exit code -9"]


@pytest.mark.anyio
class TestDeath:
    """The process dies."""

    async def test_who_waits_is_told_that_it_is_unknown_and_another_process_works(self, data: Path) -> None:
        """L9: never an outcome that is not so; 503 until it is there again, which `tell` hears of."""
        async with at(data) as site:
            await site.working()
            first = site.pid
            with site.locked():
                tasks = await site.waiting(*(grant(1, number) for number in range(20)))
                os.kill(first, signal.SIGKILL)
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                assert [type(answer) for answer in answers] == [StoreUnavailable] * 20
                assert "unknown" in str(answers[0])
                assert not site.committer.is_open
                assert site.committer.queue_length == 0
                with pytest.raises(StoreUnavailable, match="started again"):
                    await site.committer.submit(grant(1, 20))
            await until(lambda: site.committer.is_open)
            granted = await site.committer.submit(grant(1, 21))
            assert isinstance(granted, Granted)
            assert granted.session.sid == sid(21)
            assert site.pid != first
            assert site.told == ["exit code -9"]
            assert site.sids() == {sid(21)}

    async def test_it_is_started_again_each_time_and_soon_after_it_worked(self, data: Path) -> None:
        """The wait before a start grows only while nothing works."""
        async with at(data) as site:
            for number in range(3):
                await until(lambda: site.committer.is_open)
                assert isinstance(await site.committer.submit(view(1, number)), Granted)
                assert site.committer._restart_after_s == RESTART_AFTER_S
                os.kill(site.pid, signal.SIGKILL)
                await until(lambda: not site.committer.is_open)
            await until(lambda: site.committer.is_open)
            await site.working()
        assert site.told == ["exit code -9"] * 3
        assert site.sids() == set(map(sid, range(3)))

    async def test_what_was_answered_before_it_died_is_kept_and_the_rest_is_unknown(self, data: Path) -> None:
        """An answer that is half there is none."""
        replies = frame((1, 0.0, {}, [Swept(sessions=1), Swept(sessions=2)])) + frame(
            (1, 0.0, {}, [Swept(sessions=3)])
        )
        async with at(data, in_turn(answering(replies[:-1], stays=False), WORKS)) as site:
            tasks = await site.waiting(*(Sweep(sessions_max=it) for it in (1, 2, 3, 4)))
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert answers[:2] == [Swept(sessions=1), Swept(sessions=2)]
            assert [type(answer) for answer in answers[2:]] == [StoreUnavailable] * 2
            await until(lambda: site.committer.is_open)
            await site.working()

    @pytest.mark.parametrize(
        "replies",
        [
            frame((1, 0.0, {}, [["Swept", "many"]])),
            frame("no replies"),
            frame((1, 0.0, {}, [Swept(sessions=1)] * 5)),
            b"\x00\x00\x00\x01\xc1",
        ],
        ids=["no number", "no replies", "too many", "no MessagePack"],
    )
    async def test_replies_that_make_no_sense_end_the_process_and_are_nobodys_answer(
        self, data: Path, replies: bytes
    ) -> None:
        """By their order alone is known whose they are: after one mistake none can be believed."""
        loop, faults = asyncio.get_running_loop(), list[dict[str, Any]]()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        async with at(data, in_turn(answering(replies), WORKS)) as site:
            tasks = await site.waiting(*(Sweep(sessions_max=it) for it in (1, 2)))
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(answers[1], StoreUnavailable | Swept)
            await until(lambda: site.committer.is_open)
            await site.working()
        assert len(site.told) == 1
        assert faults


def unwritten(site: Site) -> int:
    """How many bytes wait until the process reads."""
    transport = site.committer._transport
    assert transport is not None
    return transport.get_write_buffer_size()
