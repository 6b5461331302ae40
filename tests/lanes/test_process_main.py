"""What travels between a server and the process that commits for it, and what that process makes of it.

`Child` is the committing process's side on a thread, over a true socket pair.
"""

import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import Enum
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from types import NoneType
from typing import Any, Self, cast, get_args, get_origin

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import fields

from licet.lanes.begun import COMMAND
from licet.lanes.frames import Failed, Frames, Reply, decode_replies, frame
from licet.lanes.process_main import commit_until_closed
from licet.ledger.commands import Command, Outcome, Sweep, Swept
from licet.model import Value
from licet.store.errors import (
    Collided,
    Contradiction,
    SchemaOutdated,
    SchemaUnknown,
    SetupDamaged,
    StoreUnavailable,
)
from support.examples import refresh, sid

HANGS_AFTER_S = 60  # where a test would otherwise wait for ever; no honest run comes near
STRICT = (COMMAND[0], "-W", "error", *COMMAND[1:])
PROC = Path("/proc/self/fd")

needs_proc = pytest.mark.skipif(not PROC.exists(), reason="looks at a process by way of /proc")


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
    }
    if get_origin(kind) is tuple:
        return st.lists(_values(get_args(kind)[0]), max_size=4).map(tuple)
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

    def __init__(
        self,
        *,
        is_open: bool = True,
        batch_max: int = 256,
        work: Any = None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.batches: list[list[Command]] = []
        self._settle = settle
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
                version, _, _, some = decode_replies(payload)
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
            commit_until_closed(
                theirs, self._work, lambda: len(self.batches), batch_max=batch_max, settle=self._settle
            )

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

    def test_what_a_batch_leaves_to_do_is_done_when_its_answers_are_sent(self) -> None:
        """Nobody waits for it but the next batch."""
        heard, settled = threading.Event(), list[bool]()
        with Child(settle=lambda: settled.append(heard.wait(HANGS_AFTER_S))) as child:
            child.say(*_sweeps([1]))
            assert _numbers(child.hear(1)) == [1]
            assert settled == []
            heard.set()
            child.say(*_sweeps([2]))
            assert _numbers(child.hear(1)) == [2]
        assert settled == [True, True]

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

    @pytest.mark.parametrize("fault", KINDS_OF_UNAVAILABLE, ids=lambda made: type(made).__name__)
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
        ids=lambda made: type(made).__name__,
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
        assert all(isinstance(reply, Failed) and "each command once" in reply.text for reply in replies)

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
