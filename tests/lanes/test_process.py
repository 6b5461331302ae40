"""The commit lane in a process of its own, on a true store: who is answered what, and who hears of a death.

SIGSTOP makes a process wait, so that nothing here has to be quick.
"""

import asyncio
import math
import os
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from anyio import fail_after
from anyio.lowlevel import checkpoint

from licet.clock import ManualClock
from licet.lanes.contract import QueueFull
from licet.lanes.frames import frame
from licet.lanes.process import RESTART_AFTER_S, RESTART_AFTER_S_MAX, CommitFault, Committer
from licet.lanes.process_main import COMMAND, start
from licet.ledger.commands import Command, Ended, Granted, Outcome, Sweep, Swept
from licet.store.errors import StoreUnavailable
from licet.store.opening import SQLITE_NAME, StoreAt
from licet.store.sqlite.store import SqliteStore
from support.examples import add_tenant, bump, end, grant, jim_test, refresh, sid, view

if TYPE_CHECKING:
    import subprocess

HANGS_AFTER_S = 30  # where a test would otherwise wait for ever; no honest run comes near
STRICT = (COMMAND[0], "-W", "error", *COMMAND[1:])
PROC = Path("/proc/self/fd")

needs_proc = pytest.mark.skipif(not PROC.exists(), reason="looks at a process by way of /proc")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


class Site(NamedTuple):
    """A data directory with `Jim_Test`, and a `Committer` on it with a process of its own."""

    data: Path
    committer: Committer
    told: list[str]
    versions: list[int]

    @property
    def pid(self) -> int:
        """The process."""
        return self.committer._process.pid

    async def working(self) -> None:
        """Wait until the process has answered something."""
        assert await self.committer.submit(Sweep(sessions_max=1)) == Swept(sessions=0)

    async def waiting(self, *commands: Command) -> list["asyncio.Task[Outcome]"]:
        """Submit these; all of them wait for their outcomes."""
        before = self.committer.queue_length
        tasks = [asyncio.create_task(self.committer.submit(command)) for command in commands]
        while self.committer.queue_length < before + len(commands):
            await checkpoint()
        await checkpoint()  # then they are sent as well
        return tasks

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The process does nothing meanwhile."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Somebody else has the store meanwhile: a batch that begins comes as far as to its first lock."""
        with closing(sqlite3.connect(self.data / SQLITE_NAME)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    def sids(self) -> set[bytes]:
        """The sessions in the store."""
        with closing(sqlite3.connect(self.data / SQLITE_NAME)) as connection:
            return {row[0] for row in connection.execute("SELECT sid FROM session")}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `Jim_Test`."""
    path = tmp_path_factory.mktemp("prepared") / SQLITE_NAME
    store = SqliteStore(path, ManualClock(), create=True)
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
    store.close()
    return path


@pytest.fixture
def data(prepared: Path, tmp_path: Path) -> Path:
    """A directory with a store of `Jim_Test`."""
    shutil.copy(prepared, tmp_path / SQLITE_NAME)
    return tmp_path


def _identity(data: Path) -> str:
    store = SqliteStore(data / SQLITE_NAME, ManualClock())
    store.close()
    return store.identity


Start = Callable[[socket.socket], "subprocess.Popen[bytes]"]


@asynccontextmanager
async def at(
    data: Path,
    start_at: Start | None = None,
    *,
    identity: str = "",
    queue_max: int = 4096,
    batch_max: int = 256,
    answer_within_s: float = math.inf,
) -> AsyncIterator[Site]:
    """A committer that is closed at the end."""
    told, versions = list[str](), list[int]()
    started = start_at or _starting(data, identity=identity, batch_max=batch_max)
    committer = Committer(
        started,
        tell=told.append,
        saw_version=versions.append,
        queue_max=queue_max,
        answer_within_s=answer_within_s,
    )
    await committer.open()
    try:
        with fail_after(HANGS_AFTER_S):
            yield Site(data, committer, told, versions)
    except BaseException:
        committer._process.kill()  # Nothing is to be waited for any more.
        raise
    finally:
        with fail_after(HANGS_AFTER_S, shield=True):
            await committer.close()
    assert committer._process.poll() is not None


def _starting(
    data: Path,
    command: Sequence[str] = STRICT,
    *,
    identity: str = "",
    batch_max: int = 256,
    url: str | None = None,
) -> Start:
    return partial(start, command, StoreAt(data, url), identity or _identity(data), batch_max)


async def _until(condition: Callable[[], bool]) -> None:
    """Look again and again, until it is so; `fail_after` is around it."""
    while not condition():
        await checkpoint()


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

    @pytest.mark.parametrize("turns", range(5))
    async def test_closing_while_it_is_being_started_again_leaves_no_process_behind(
        self, data: Path, turns: int
    ) -> None:
        """In the middle of a start, and at any turn of the loop after it: a stopping server must not hang."""
        processes: list[subprocess.Popen[bytes]] = []

        def start_at(theirs: socket.socket) -> "subprocess.Popen[bytes]":
            processes.append(_in_turn(_ENDS_AT_ONCE)(theirs))
            return processes[-1]

        async with at(data, start_at) as site:
            await _until(lambda: len(processes) == 2)
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
            await _until(lambda: bool(site.told))
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
            await _until(lambda: site.committer.is_open)
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
                await _until(lambda: site.committer.is_open)
                assert isinstance(await site.committer.submit(view(1, number)), Granted)
                assert site.committer._restart_after_s == RESTART_AFTER_S
                os.kill(site.pid, signal.SIGKILL)
                await _until(lambda: not site.committer.is_open)
            await _until(lambda: site.committer.is_open)
            await site.working()
        assert site.told == ["exit code -9"] * 3
        assert site.sids() == set(map(sid, range(3)))

    async def test_what_was_answered_before_it_died_is_kept_and_the_rest_is_unknown(self, data: Path) -> None:
        """An answer that is half there is none."""
        replies = frame((1, 0.0, {}, [Swept(sessions=1), Swept(sessions=2)])) + frame(
            (1, 0.0, {}, [Swept(sessions=3)])
        )
        async with at(data, _in_turn(_answering(replies[:-1], stays=False), _WORKS)) as site:
            tasks = await site.waiting(*(Sweep(sessions_max=it) for it in (1, 2, 3, 4)))
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert answers[:2] == [Swept(sessions=1), Swept(sessions=2)]
            assert [type(answer) for answer in answers[2:]] == [StoreUnavailable] * 2
            await _until(lambda: site.committer.is_open)
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
        async with at(data, _in_turn(_answering(replies), _WORKS)) as site:
            tasks = await site.waiting(*(Sweep(sessions_max=it) for it in (1, 2)))
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(answers[1], StoreUnavailable | Swept)
            await _until(lambda: site.committer.is_open)
            await site.working()
        assert len(site.told) == 1
        assert faults


@pytest.mark.anyio
class TestStarting:
    """A process that does not come up."""

    async def test_one_that_cannot_be_started_again_is_tried_less_and_less_often_until_it_can(
        self, data: Path
    ) -> None:
        """No process or file to be had. It is said why, and nothing is left open."""
        command, tried_at_s = list(STRICT), list[float]()

        def start_at(theirs: socket.socket) -> "subprocess.Popen[bytes]":
            tried_at_s.append(time.monotonic())
            return _starting(data, command)(theirs)

        async with at(data, start_at) as site:
            await site.working()
            command[0] = "/nowhere/python"
            os.kill(site.pid, signal.SIGKILL)
            await _until(lambda: len(site.told) == 4)
            with pytest.raises(StoreUnavailable):
                await site.committer.submit(grant(1, 1))
            command[0] = sys.executable
            await _until(lambda: site.committer.is_open)
            await site.working()
        waits = [later - sooner for sooner, later in pairwise(tried_at_s[1:])]
        assert all(wait >= RESTART_AFTER_S * 2 ** (at + 1) for at, wait in enumerate(waits))
        assert site.told[0] == "exit code -9"
        assert all("/nowhere/python" in why for why in site.told[1:])

    def test_the_wait_before_a_start_has_a_bound(self) -> None:
        """Everything has a limit: 503 is not for ever once the cause is mended."""
        assert RESTART_AFTER_S < RESTART_AFTER_S_MAX <= 1

    async def test_one_that_ends_at_once_is_an_answer_to_who_waits_and_no_hang(self, data: Path) -> None:
        """Whether it reads what it is to do or not."""
        reads = _script("sys.stdin.read(); sys.exit(7)")
        async with at(data, _in_turn(reads, _ENDS_AT_ONCE, _WORKS)) as site:
            (task,) = await site.waiting(grant(1, 1))
            with pytest.raises(StoreUnavailable):
                await task
            await _until(lambda: len(site.told) == 2 and site.committer.is_open)
            assert site.committer._restart_after_s == 4 * RESTART_AFTER_S
            await site.working()
            assert site.committer._restart_after_s == RESTART_AFTER_S
        assert site.told == ["exit code 7", "exit code 0"]

    def test_one_that_does_not_wait_to_be_told_what_to_do_is_a_process_that_ended(self) -> None:
        """And not one that cannot be started: it is over, and nobody else would hear of it."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            too_long_for_a_pipe = StoreAt(Path("x" * 200_000))
            process = start(_script("sys.exit(7)"), too_long_for_a_pipe, "", 1, theirs)
            assert process.wait(HANGS_AFTER_S) == 7

    async def test_one_that_cannot_be_started_at_first_is_an_error_at_once(self, data: Path) -> None:
        """A server that would never commit does not come up; and nothing is left open."""
        committer = Committer(_starting(data, ["/nowhere"]), tell=print, saw_version=print)
        with pytest.raises(FileNotFoundError):
            await committer.open()
        assert not committer.is_open

    async def test_a_store_that_cannot_be_opened_at_first_is_opened_when_it_can(self, data: Path) -> None:
        """Product 3: 503 meanwhile, from a process that stays."""
        identity = _identity(data)
        (data / SQLITE_NAME).rename(data / "away")
        async with at(data, identity=identity) as site:
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await site.committer.submit(grant(1, 1))
            assert site.versions == [0, 0]
            (data / "away").rename(data / SQLITE_NAME)
            assert isinstance(await site.committer.submit(grant(1, 1)), Granted)
            assert site.versions[-1] > 0
        assert site.told == []

    async def test_a_file_in_the_place_of_the_servers_own_is_refused(self, data: Path) -> None:
        """A copy of a store is not the store: nobody else would see what is granted from it."""
        identity = _identity(data)
        (data / SQLITE_NAME).rename(data / "away")
        shutil.copy(data / "away", data / SQLITE_NAME)
        async with at(data, identity=identity) as site:
            with pytest.raises(StoreUnavailable, match="another than the server's"):
                await site.committer.submit(grant(1, 1))
            assert site.sids() == set()
            (data / "away").rename(data / SQLITE_NAME)
            assert isinstance(await site.committer.submit(grant(1, 1)), Granted)
            (data / SQLITE_NAME).rename(data / "away")
            shutil.copy(data / "away", data / SQLITE_NAME)
            with pytest.raises(StoreUnavailable, match="moved or replaced"):
                await site.committer.submit(grant(1, 2))
            assert site.sids() <= {sid(1)}

    @needs_proc
    async def test_a_password_in_the_url_of_a_store_stands_in_no_argument_and_no_answer(
        self, data: Path
    ) -> None:
        """Everybody on the machine may read the arguments of a process."""
        secret = token_hex(10)
        url = f"postgresql://licet:{secret}@127.0.0.1:1/licet"
        async with at(data, _starting(data, url=url)) as site:
            with pytest.raises(StoreUnavailable) as raised:
                await site.committer.submit(grant(1, 1))
            process = Path(f"/proc/{site.pid}")
            assert b"licet.lanes.process_main" in (process / "cmdline").read_bytes()
            for name in ("cmdline", "environ"):
                assert secret.encode() not in (process / name).read_bytes()
        assert secret not in str(raised.value)
        assert secret not in "".join(site.told)


def _script(script: str) -> Sequence[str]:
    """A process that is quick to start, as it is not the true one."""
    return (sys.executable, "-S", "-c", f"import socket, sys; {script}")


def _answering(replies: bytes, *, stays: bool = True) -> Sequence[str]:
    """A process that waits for a command, whatever it is, and answers these bytes."""
    then = "; connection.recv(1)" if stays else ""
    return _script(
        "sys.stdin.read(); connection = socket.socket(fileno=int(sys.argv[-1])); connection.recv(4096)"
        f"; connection.sendall({replies!r}){then}"
    )


_ENDS_AT_ONCE = _script("pass")
_WORKS = _answering(frame((1, 0.0, {}, [Swept(sessions=0)])))


def _in_turn(*commands: Sequence[str]) -> Start:
    """Start these processes one after the other, and the last one again and again."""
    waiting = deque(commands)

    def start_at(theirs: socket.socket) -> "subprocess.Popen[bytes]":
        command = waiting.popleft() if len(waiting) > 1 else waiting[0]
        return start(command, StoreAt(Path()), "", 1, theirs)

    return start_at
