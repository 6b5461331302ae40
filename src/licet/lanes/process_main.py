"""Commits for a server, which starts this process: `python -m licet.lanes.process_main FD`.

FD is this process's end of a socket pair. On standard input it gets a byte for the kind of the store, then
the store's location, so that a password in it appears in no argument list and no environment. Meanwhile it
imports the modules that it needs. It ends when the server closes its end or has ended.
"""

import contextlib
import gc
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from traceback import format_exception
from typing import TYPE_CHECKING, Final

import msgspec

from licet.clock import Clock, SystemClock
from licet.lanes.begun import FOR_POSTGRES, expect
from licet.lanes.commit import commit
from licet.lanes.contract import BATCH_MAX
from licet.lanes.frames import Failed, Frames, Reply, decode_commands, frame
from licet.ledger.commands import Command, Outcome
from licet.platforms.processes import ignore_stop_signals, receive_now, start_with_socket
from licet.store.contract import Store
from licet.store.counters import taken
from licet.store.errors import StoreUnavailable
from licet.store.opening import StoreAt, import_store

if TYPE_CHECKING:
    import subprocess

_READ_BYTES: Final = 256 * 1024

Work = Callable[[Sequence[Command]], Sequence[Outcome | Exception]]


class _Order(msgspec.Struct):
    """What the process is to do."""

    data: bytes  # a path need not be UTF-8
    url: str | None
    identity: str
    batch_max: int


def start(
    command: Sequence[str], at: StoreAt, identity: str, batch_max: int, theirs: socket.socket
) -> "subprocess.Popen[bytes]":
    """Start the process at its end of a socket pair; `identity` is that of the server's own store.

    It has a session of its own: Ctrl-C is for the server, which ends it when all is answered.
    """
    process = start_with_socket(command, theirs)
    expect(process, for_postgres=at.url is not None)
    instruct(process, at, identity, batch_max)
    return process


def instruct(process: "subprocess.Popen[bytes]", at: StoreAt, identity: str, batch_max: int) -> None:
    """Send a process its order, after `expect`; `identity` is that of the server's own store."""
    assert process.stdin is not None
    # It may have ended already: its end of the socket pair shows that.
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(msgspec.msgpack.encode(_Order(os.fsencode(at.data), at.url, identity, batch_max)))


def run(clock: Clock) -> None:
    """Run as this process; `clock` is for a store that has none of its own."""
    ignore_stop_signals()
    if not (kind := sys.stdin.buffer.read(1)):
        return  # The server has ended before it knew its settings.
    import_store(for_postgres=kind == FOR_POSTGRES)
    message = sys.stdin.buffer.read()
    if not message:
        return  # The server has ended before it had an order.
    order = msgspec.msgpack.decode(message, type=_Order)
    with socket.socket(fileno=int(sys.argv[-1])) as connection:
        commits = _Commits(StoreAt(Path(os.fsdecode(order.data)), order.url), order.identity, clock)
        commit_until_closed(
            connection,
            commits,
            commits.setup_version,
            batch_max=order.batch_max,
            counted=commits.counted,
            settle=commits.settle,
        )
        commits.close()


def commit_until_closed(
    connection: socket.socket,
    work: Work,
    setup_version: Callable[[], int],
    *,
    batch_max: int = BATCH_MAX,
    counted: Callable[[], dict[str, int]] = dict,
    settle: Callable[[], None] = lambda: None,
) -> None:
    """The committing process: commit what arrives, until the server closes its end or is gone.

    `counted` returns what was counted since its last call; `settle` does what a batch has left to do.
    """
    frames, waiting = Frames(), deque[Command]()
    while waiting or _receive(connection, frames, waiting):
        if waiting:
            batch = [waiting.popleft() for _ in range(min(batch_max, len(waiting)))]
            began_s = perf_counter()
            replies = [_reply(result) for result in _worked(work, batch)]
            took_s = perf_counter() - began_s
            try:
                connection.sendall(frame((setup_version(), took_s, counted(), replies)))
            except OSError:
                return  # The server is gone. The batch is committed, though nobody gets the answers.
            settle()
            _receive(connection, frames, waiting, receive_now)


def _receive(
    connection: socket.socket,
    frames: Frames,
    waiting: deque[Command],
    receive: Callable[[socket.socket, int], bytes] = socket.socket.recv,
) -> bool:
    """Append what arrives to what waits; False when nothing more can arrive."""
    try:
        data = receive(connection, _READ_BYTES)
    except BlockingIOError:
        return True
    except OSError:
        return False
    for payload in frames.feed(data):
        waiting.extend(decode_commands(payload))
    return bool(data)


def _worked(work: Work, batch: Sequence[Command]) -> Sequence[Outcome | Exception]:
    try:
        answers = work(batch)
        assert len(answers) == len(batch), "work answers each command once"
        return answers
    except Exception as fault:  # noqa: BLE001 - it goes to those who wait
        return [fault] * len(batch)


def _reply(answer: Outcome | Exception) -> Reply:
    if not isinstance(answer, Exception):
        return answer
    is_unavailable = isinstance(answer, StoreUnavailable)
    # The traceback without values, which could be secrets.
    text = str(answer) if is_unavailable else "".join(format_exception(answer))
    # A path in it need not be UTF-8.
    return Failed(is_unavailable=is_unavailable, text=text.encode(errors="backslashreplace").decode())


def spare_the_collector() -> None:
    """Exclude what exists now from garbage collection: it stays, and need not be scanned again and again.

    What a request or a batch allocates has no cycles, so a rare collection is enough. A start leaves a
    thousand objects in ninety thousand as garbage: to collect them would take a twentieth of the start.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class _Commits:
    """Commits in a store. A store that cannot be opened is tried again with each batch."""

    def __init__(self, at: StoreAt, identity: str, clock: Clock) -> None:
        self._at = at
        self._identity = identity
        self._clock = clock
        self._store: Store | None = None
        with contextlib.suppress(StoreUnavailable):
            self._open()

    def __call__(self, batch: Sequence[Command]) -> Sequence[Outcome | Exception]:
        """The outcomes of a batch.

        Raises StoreUnavailable.
        """
        return commit(self._store or self._open(), batch)

    def setup_version(self) -> int:
        """The version of the set-up that was last decided on; 0 is none yet."""
        return self._store.setup_version if self._store is not None else 0

    def counted(self) -> dict[str, int]:
        """What was committed since the last call, and how often a batch collided."""
        return taken(self._store.counted, self._store.collisions) if self._store is not None else {}

    def settle(self) -> None:
        """Do what the batches have left to do, now that their answers are sent."""
        if self._store is not None:
            self._store.settle()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _open(self) -> Store:
        store = self._at.open(self._clock, writes_soon=True)
        if store.identity != self._identity:
            store.close()
            raise StoreUnavailable(f"{self._at.place} is another than the server's")
        self._store = store
        spare_the_collector()
        return store


if __name__ == "__main__":
    run(SystemClock())
