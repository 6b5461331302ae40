"""The commit lane in a process of its own: what travels, what is committed together, who hears of a death.

`Child` is the committing process's side on a thread, over a true socket pair; from `TestProcess` on it is a
process, on a true store. SIGSTOP makes a process wait, so that nothing here has to be quick.
"""

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from enum import Enum
from functools import partial
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast, get_args

import msgspec
import pytest
from anyio import fail_after
from anyio.lowlevel import checkpoint
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import fields

from examples import add_tenant, bump, end, grant, jim_test, refresh, sid, view
from licet.clock import ManualClock
from licet.committing import COMMAND, start
from licet.ledger import Command, Ended, Granted, Outcome, Sweep, Swept
from licet.model import Value
from licet.store.committer import (
    RESTART_AFTER_S,
    RESTART_AFTER_S_MAX,
    CommitFault,
    Committer,
    Failed,
    Frames,
    Reply,
    _decode_replies,
    commit_until_closed,
    frame,
)
from licet.store.contract import (
    Collided,
    Contradiction,
    QueueFull,
    SchemaOutdated,
    SchemaUnknown,
    SetupDamaged,
    StoreUnavailable,
)
from licet.store.opening import SQLITE_NAME, StoreAt
from licet.store.sqlite import SqliteStore

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


def _values(kind: Any) -> st.SearchStrategy[Any]:
    """All values of a type that commands and outcomes are made of; of a union, those of every member."""
    if isinstance(kind, type) and issubclass(kind, Value):
        return st.builds(kind, **{it.name: _values(it.type) for it in fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        NoneType: st.none(),
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**64 - 1),
        str: st.text(),
        bytes: st.binary(min_size=20, max_size=20),
        tuple[str, ...]: st.lists(st.text()).map(tuple),
    }
    return simple[kind] if kind in simple else st.one_of(*map(_values, get_args(kind)))


class TestFrames:
    """Bytes come as they like, and frames come out as they went in."""

    @given(st.lists(st.binary(max_size=300)), st.lists(st.integers(0, 3000)))
    @example([b"", b"", b""], [1, 2, 3, 5, 9])
    @example([b"abc"], list(range(8)))
    def test_any_split_of_the_bytes_gives_the_same_frames_and_leaves_nothing_over(
        self, contents: list[bytes], cuts: list[int]
    ) -> None:
        """A socket promises the order of bytes, and nothing about where they are cut."""
        data = b"".join(map(frame, contents))
        frames, payloads = Frames(), list[bytes]()
        for begin, end_at in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
            payloads += frames.feed(data[begin:end_at])
        assert [msgspec.msgpack.decode(payload) for payload in payloads] == contents
        assert not frames._buffer

    @given(st.binary(max_size=40), st.integers(1, 44))
    def test_a_frame_that_is_not_whole_is_not_given(self, content: bytes, missing: int) -> None:
        """Its rest may still come."""
        data = frame(content)
        at = max(len(data) - missing, 0)
        frames = Frames()
        assert list(frames.feed(data[:at])) == []
        assert list(frames.feed(data[at:])) == [data[4:]]

    def test_large_frames_come_out_whole(self) -> None:
        """A queue that is full travels in one."""
        contents = [bytes([number]) * size for number, size in enumerate((70_000, 8 << 20, 0, 1 << 20))]
        data = b"".join(map(frame, contents))
        frames, payloads = Frames(), list[bytes]()
        for at in range(0, len(data), 65_537):
            payloads += frames.feed(data[at : at + 65_537])
        assert [msgspec.msgpack.decode(payload) for payload in payloads] == contents
        assert not frames._buffer


class Child:
    """The committing process's side, on a thread; `batches` is what its work was given.

    The work answers a `Sweep` of n with a `Swept` of n, and the version it is asked for is the number of
    batches. With `is_open` false it does each batch only when it is let through.
    """

    def __init__(self, *, is_open: bool = True, batch_max: int = 256, work: Any = None) -> None:
        self.batches: list[list[Command]] = []
        self._is_open = is_open
        self._answer = work or _swept
        self._begun = threading.Semaphore(0)
        self._let_through = threading.Semaphore(0)
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(HANGS_AFTER_S)
        self._frames = Frames()
        self._thread = threading.Thread(target=self._run, args=(theirs, batch_max), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.close()
        self.let_through(1000)
        self.must_end()

    def say(self, *commands: Command) -> None:
        """Send a frame."""
        self.ours.sendall(frame(list(commands)))

    def hear(self, count: int) -> list[Reply]:
        """So many replies; the versions that come with them have to be right."""
        replies: list[Reply] = []
        while len(replies) < count:
            data = self.ours.recv(1 << 16)
            assert data, "it ended without an answer"
            for payload in self._frames.feed(data):
                version, some = _decode_replies(payload)
                assert 1 <= version <= len(self.batches)
                replies += some
        assert len(replies) == count
        return replies

    def begun(self) -> None:
        """Wait until one more batch is being worked on."""
        assert self._begun.acquire(timeout=HANGS_AFTER_S)

    def let_through(self, batches: int = 1) -> None:
        """Let so many batches come to their end."""
        self._let_through.release(batches)

    def must_end(self) -> None:
        """The process is over, in an orderly way."""
        self._thread.join(HANGS_AFTER_S)
        assert not self._thread.is_alive()

    def _run(self, theirs: socket.socket, batch_max: int) -> None:
        with theirs:
            commit_until_closed(theirs, self._work, lambda: len(self.batches), batch_max=batch_max)

    def _work(self, batch: Sequence[Command]) -> Sequence[Outcome | Exception]:
        self.batches.append(list(batch))
        self._begun.release()
        if not self._is_open:
            assert self._let_through.acquire(timeout=HANGS_AFTER_S)
        answers: Sequence[Outcome | Exception] = self._answer(batch)
        return answers


def _swept(batch: Sequence[Command]) -> list[Outcome | Exception]:
    return [Swept(sessions=command.sessions_max) for command in batch if isinstance(command, Sweep)]


def _sweeps(numbers: Collection[int]) -> list[Command]:
    return [Sweep(sessions_max=number) for number in numbers]


def _numbers(answers: Sequence[object]) -> list[int]:
    return [it.sessions if isinstance(it, Swept) else -1 for it in answers]


class TestBatches:
    """What the process commits together."""

    def test_what_is_there_is_one_batch_however_it_was_framed(self) -> None:
        """Group commit: what came while one transaction ran travels together in the next."""
        with Child(is_open=False) as child:
            child.say(*_sweeps([1]))
            child.begun()
            for numbers in ([2], [3, 4, 5], [6]):
                child.say(*_sweeps(numbers))
            child.let_through(2)
            assert _numbers(child.hear(6)) == [1, 2, 3, 4, 5, 6]
            assert child.batches == [_sweeps([1]), _sweeps([2, 3, 4, 5, 6])]

    def test_a_batch_holds_no_more_than_its_bound_and_the_rest_follows(self) -> None:
        """Everything has a limit: the batch, the first one as well."""
        with Child(batch_max=3) as child:
            child.say(*_sweeps(range(8)))
            assert _numbers(child.hear(8)) == list(range(8))
            assert child.batches == [_sweeps([0, 1, 2]), _sweeps([3, 4, 5]), _sweeps([6, 7])]

    def test_what_comes_while_a_rest_waits_goes_behind_it(self) -> None:
        """The order is that of the commands: by nothing else does the server know whose an outcome is."""
        with Child(is_open=False, batch_max=2) as child:
            child.say(*_sweeps([1, 2, 3]))
            child.begun()
            child.say(*_sweeps([4, 5]))
            child.let_through(3)
            assert _numbers(child.hear(5)) == [1, 2, 3, 4, 5]
            assert child.batches == [_sweeps([1, 2]), _sweeps([3, 4]), _sweeps([5])]

    def test_a_command_that_comes_byte_by_byte_is_committed_when_it_is_whole(self) -> None:
        """And what came whole before it does not wait for it."""
        data = frame(_sweeps([2]))
        with Child() as child:
            child.ours.sendall(frame(_sweeps([1])) + data[:1])
            assert _numbers(child.hear(1)) == [1]
            for at in range(1, len(data)):
                child.ours.sendall(data[at : at + 1])
            assert _numbers(child.hear(1)) == [2]

    def test_far_more_than_fits_into_the_socket_is_answered_in_its_order(self) -> None:
        """Nobody waits for the other for ever, and nothing is lost or doubled."""
        count, long = 4000, ("x" * 1000,)

        def work(batch: Sequence[Command]) -> list[Outcome | Exception]:
            return [Swept(sessions=int.from_bytes(cast("Any", command).sid, "big")) for command in batch]

        with Child(work=work, batch_max=count) as child:
            commands = [refresh(1, number, *long) for number in range(count)]
            telling = threading.Thread(
                target=lambda: child.ours.sendall(b"".join(frame([command]) for command in commands))
            )
            telling.start()
            assert _numbers(child.hear(count)) == list(range(count))
            telling.join()
            assert sum(map(len, child.batches)) == count

    def test_an_empty_frame_is_no_batch(self) -> None:
        """There is nothing to commit."""
        with Child() as child:
            child.say()
            child.say(*_sweeps([1]))
            assert _numbers(child.hear(1)) == [1]
            assert child.batches == [_sweeps([1])]


class TestTravel:
    """What is sent is what arrives."""

    @given(st.lists(st.tuples(_values(Command), _values(Outcome)), min_size=1, max_size=4))
    def test_every_command_and_every_outcome_arrives_unchanged(
        self, asked: list[tuple[Command, Outcome]]
    ) -> None:
        """Of every kind that the ledger has, with every field: None, letters of any script, every reason."""
        outcomes = deque(outcome for _, outcome in asked)
        with Child(work=lambda batch: [outcomes.popleft() for _ in batch]) as child:
            child.say(*(command for command, _ in asked))
            assert child.hear(len(asked)) == [outcome for _, outcome in asked]
            assert [it for batch in child.batches for it in batch] == [command for command, _ in asked]

    @pytest.mark.parametrize("kind", get_args(Command) + get_args(Outcome))
    def test_every_kind_of_the_ledger_can_be_told_from_the_others(self, kind: type[Value]) -> None:
        """Values of two kinds with the same fields are not the same value."""
        assert kind.__struct_config__.tag == kind.__name__
        assert kind.__struct_config__.array_like

    def test_what_is_no_command_is_not_committed_and_ends_the_process_with_a_fault(self) -> None:
        """A bug of ours: not one of the commands is guessed at, not even those before it."""
        batches: list[Sequence[Command]] = []

        def work(batch: Sequence[Command]) -> Sequence[Outcome | Exception]:
            batches.append(batch)
            return _swept(batch)

        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(frame(_sweeps([1])) + frame([["Sweep", "many"]]))
            with pytest.raises(msgspec.ValidationError) as raised:
                commit_until_closed(theirs, work, lambda: 1)
        assert "many" not in str(raised.value)
        assert not batches


KINDS_OF_UNAVAILABLE = (
    StoreUnavailable("gone"),
    SchemaOutdated("gone"),
    SchemaUnknown("gone"),
    SetupDamaged("gone"),
    Collided("a name", "gone"),
)


class TestFaults:
    """What goes wrong in the work, and for whom."""

    @pytest.mark.parametrize("fault", KINDS_OF_UNAVAILABLE, ids=lambda it: type(it).__name__)
    def test_a_store_out_of_reach_is_the_answer_to_everybody_in_the_batch_and_the_next_is_tried(
        self, fault: StoreUnavailable
    ) -> None:
        """Product 3: 503. Every kind of it is one."""
        with Child(work=_raising(fault)) as child:
            child.say(*_sweeps([1, 2, 3]))
            assert child.hear(3) == [Failed(is_unavailable=True, text="gone")] * 3
            child.say(*_sweeps([4]))
            assert child.hear(1) == [Swept(sessions=4)]

    @pytest.mark.parametrize(
        "fault",
        [KeyError("a bug"), Contradiction("a bug"), OSError("a bug"), StopIteration("a bug"), MemoryError()],
        ids=lambda it: type(it).__name__,
    )
    def test_a_bug_in_the_work_is_a_fault_to_everybody_in_the_batch_and_the_process_goes_on(
        self, fault: Exception
    ) -> None:
        """Product 3.2: it can be found in the log, and says where it happened."""
        with Child(work=_raising(fault)) as child:
            child.say(*_sweeps([1, 2]))
            for reply in child.hear(2):
                assert isinstance(reply, Failed)
                assert not reply.is_unavailable
                assert reply.text.startswith("Traceback")
                assert type(fault).__name__ in reply.text
            child.say(*_sweeps([3]))
            assert child.hear(1) == [Swept(sessions=3)]

    def test_a_traceback_has_no_values_of_variables(self) -> None:
        """No log of a fault holds a secret: what a command carries is anybody's."""
        secret = token_hex(10)

        def work(batch: Sequence[Command]) -> list[Outcome | Exception]:
            value = secret * 2
            raise Contradiction("a bug") from KeyError(len(value))

        with Child(work=work) as child:
            child.say(refresh(1, 1, secret))
            (reply,) = child.hear(1)
        assert isinstance(reply, Failed)
        assert "in work" in reply.text
        assert "KeyError" in reply.text
        assert secret not in reply.text
        assert sid(1).hex() not in reply.text

    def test_an_exception_among_the_outcomes_is_the_answer_to_its_own_command_only(self) -> None:
        """One faulty command must not fail its batch."""

        def work(batch: Sequence[Command]) -> list[Outcome | Exception]:
            faults = {2: KeyError("a bug"), 3: StoreUnavailable("gone")}
            return [faults.get(cast("Sweep", it).sessions_max, answer) for it, answer in _paired(batch)]

        with Child(work=work) as child:
            child.say(*_sweeps([1, 2, 3, 4]))
            first, second, third, fourth = child.hear(4)
        assert (first, fourth) == (Swept(sessions=1), Swept(sessions=4))
        assert isinstance(second, Failed)
        assert not second.is_unavailable
        assert third == Failed(is_unavailable=True, text="gone")

    @pytest.mark.parametrize("too_many", [-1, 1])
    def test_work_that_does_not_answer_each_command_once_is_a_fault_and_no_wrong_answer(
        self, too_many: int
    ) -> None:
        """Else everybody behind would be told what is another's."""

        def work(batch: Sequence[Command]) -> list[Outcome | Exception]:
            answers = _swept(batch)
            return answers[:too_many] if too_many < 0 and len(batch) > 1 else answers * (1 + (len(batch) > 1))

        with Child(work=work) as child:
            child.say(*_sweeps([1, 2]))
            replies = child.hear(2)
            child.say(*_sweeps([3]))
            assert child.hear(1) == [Swept(sessions=3)]
        assert all(isinstance(it, Failed) and "each command once" in it.text for it in replies)

    @pytest.mark.parametrize("kind", [StoreUnavailable, KeyError])
    def test_a_text_that_is_no_utf_8_can_be_told(self, kind: type[Exception]) -> None:
        """The path of a data directory may be any bytes."""
        with Child(work=_raising(kind(os.fsdecode(b"no \xff")))) as child:
            child.say(*_sweeps([1]))
            (reply,) = child.hear(1)
        assert isinstance(reply, Failed)
        assert "no \\udcff" in reply.text.replace("\\\\", "\\")


def _paired(batch: Sequence[Command]) -> Iterator[tuple[Command, Outcome | Exception]]:
    return zip(batch, _swept(batch), strict=True)


def _raising(fault: Exception) -> Callable[[Sequence[Command]], list[Outcome | Exception]]:
    """Work that raises the first time."""
    faults = [fault]

    def work(batch: Sequence[Command]) -> list[Outcome | Exception]:
        if faults:
            raise faults.pop()
        return _swept(batch)

    return work


class TestTheEnd:
    """When the process ends."""

    def test_it_ends_when_the_server_closes_its_end(self) -> None:
        """Also a server that is gone has closed it."""
        with Child() as child:
            child.say(*_sweeps([1]))
            child.hear(1)
            child.ours.close()
            child.must_end()

    def test_it_ends_when_the_server_never_asked_anything(self) -> None:
        """Nobody is left behind."""
        with Child() as child:
            child.ours.close()
            child.must_end()
        assert child.batches == []

    def test_a_batch_that_runs_when_the_server_goes_is_finished_and_nothing_behind_it_is_begun(self) -> None:
        """Whoever waits is told nothing either way; a seat that nobody hears of is best not taken."""
        with Child(is_open=False, batch_max=2) as child:
            child.say(*_sweeps([1, 2, 3, 4]))
            child.begun()
            child.ours.close()
            child.let_through(5)
            child.must_end()
        assert child.batches == [_sweeps([1, 2])]

    def test_what_was_sent_before_the_server_said_that_it_is_all_is_answered(self) -> None:
        """A server that stops lets nobody down whom it let in."""
        with Child(is_open=False, batch_max=2) as child:
            child.say(*_sweeps([1, 2, 3]))
            child.begun()
            child.say(*_sweeps([4]))
            child.ours.shutdown(socket.SHUT_WR)
            child.let_through(2)
            assert _numbers(child.hear(4)) == [1, 2, 3, 4]
            child.must_end()

    @pytest.mark.parametrize("missing", [1, 5, 10])
    def test_half_a_frame_at_the_end_is_not_committed(self, missing: int) -> None:
        """The server died while it sent it."""
        with Child() as child:
            child.ours.sendall((frame(_sweeps([1])) + frame(_sweeps([2])))[:-missing])
            assert _numbers(child.hear(1)) == [1]
            child.ours.close()
            child.must_end()
        assert child.batches == [_sweeps([1])]


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
) -> AsyncIterator[Site]:
    """A committer that is closed at the end."""
    told, versions = list[str](), list[int]()
    started = start_at or _starting(data, identity=identity, batch_max=batch_max)
    committer = Committer(started, tell=told.append, saw_version=versions.append, queue_max=queue_max)
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
        replies = frame((1, [Swept(sessions=1), Swept(sessions=2)])) + frame((1, [Swept(sessions=3)]))
        async with at(data, _in_turn(_answering(replies[:-1], stays=False), _WORKS)) as site:
            tasks = await site.waiting(*_sweeps([1, 2, 3, 4]))
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert answers[:2] == [Swept(sessions=1), Swept(sessions=2)]
            assert [type(answer) for answer in answers[2:]] == [StoreUnavailable] * 2
            await _until(lambda: site.committer.is_open)
            await site.working()

    @pytest.mark.parametrize(
        "replies",
        [
            frame((1, [["Swept", "many"]])),
            frame("no replies"),
            frame((1, [Swept(sessions=1)] * 5)),
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
            tasks = await site.waiting(*_sweeps([1, 2]))
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
            assert b"licet.committing" in (process / "cmdline").read_bytes()
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
_WORKS = _answering(frame((1, [Swept(sessions=0)])))


def _in_turn(*commands: Sequence[str]) -> Start:
    """Start these processes one after the other, and the last one again and again."""
    waiting = deque(commands)

    def start_at(theirs: socket.socket) -> "subprocess.Popen[bytes]":
        command = waiting.popleft() if len(waiting) > 1 else waiting[0]
        return start(command, StoreAt(Path()), "", 1, theirs)

    return start_at
