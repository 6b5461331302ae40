"""The process of a `RunningServer`: that of `licet.testing`, which counts passwords and hashes them cheaply.

`python served.py` is one server; others are forked (`nursing.py`). What commits for those is forked as well,
or is `committing.py`.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from licet.credentials.passwords import Passwords
from licet.lanes import process_main as committing
from licet.lanes.begun import FOR_POSTGRES, FOR_SQLITE
from licet.lanes.process import Committer
from licet.model import User
from licet.protocol.message import Response
from licet.server import commits, wiring
from licet.server.parts import Parts
from licet.server.public import public_config
from licet.settings.load import load_settings
from licet.store.opening import StoreAt
from licet.testing import serving
from licet.testing.shared_memory import SharedNumber
from licet.web.request import Answering, Exchange

if __name__ == "__main__":  # as a script, it adds `tests` to the path itself
    sys.path[0] = str(Path(__file__).parents[2])

from support.server.ending import end_after
from support.server.forked import ForkedProcess

COMMAND = (sys.executable, "-W", "error", __file__)
COMMITTER = (sys.executable, "-W", "error", str(Path(__file__).with_name("committing.py")))
# Argon2id itself, and nothing of its cost: who tests that makes hashes of his own.
HASHED_WITH = {"memory_kib": 8, "time_cost": 1}
HASHES = "hashes"  # the file in which passwords are counted
LOGS_ALL = "logs-all"  # the file that lifts the bound on lines of a second
KILLS_SOON = "kills-soon"  # the file that has a server kill what commits after fewer seconds of silence
SILENT_S = 7.5  # so many; more than it may be silent and ready
STOPS_AT_START = "stops-at-start"  # the file that has a server stopped before it listens
DATES_BY_CLOCK = "dates-by-clock"  # the file that has answers dated by the server's clock
_ORDER_BYTES_MAX = 1 << 16


class HashGate:
    """A gate for hashing: while it is shut, a server hashes only what the test lets through."""

    def __init__(self, data: Path) -> None:
        self._path = data / "hash-gate"
        self._begun, self._let = (SharedNumber(data / f"hashes-{it}") for it in ("begun", "let"))

    def shut(self) -> None:
        """Shut the gate, from the next hash on."""
        self._path.touch()

    def let_through(self, number: int) -> None:
        """Let so many hashes through, one after the other."""
        for _ in range(number):
            self._let.add()

    def open(self) -> None:
        """Open the gate."""
        self._path.unlink()

    def is_reached(self) -> bool:
        """Whether a hash waits at the gate."""
        return self._begun.get() > self._let.get()

    def wait(self) -> None:
        """Wait until the hash is let through; called in the server."""
        if self._path.exists():
            self._begun.add()
            while self._path.exists() and self.is_reached():
                time.sleep(0.001)  # so that it takes nothing of the processor from the server


class _CountingPasswords(Passwords):
    """Passwords with a cheap hash, which are counted, behind a gate."""

    def __init__(self, hashes: SharedNumber, gate: HashGate) -> None:
        super().__init__(**HASHED_WITH)
        self._hashes = hashes
        self._gate = gate

    def verify_hash(self, kept: str | None, password: str) -> bool:
        self._gate.wait()
        return super().verify_hash(kept, password)

    def verify(self, user: User | None, password: str) -> bool:
        self._hashes.add()
        return super().verify(user, password)


def _counting(**_: object) -> Passwords:
    data = Path(os.environ["LICET_DATA"])
    return _CountingPasswords(SharedNumber(data / HASHES), HashGate(data))


def _adjust(server: serving.SwitchedServer) -> None:
    data = Path(os.environ["LICET_DATA"])
    if (data / LOGS_ALL).exists():
        server._refusals._lines_max = sys.maxsize
    if (data / STOPS_AT_START).exists():
        begin = server._parts

        def begin_late() -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return begin()

        vars(server)["_parts"] = begin_late


def _dated_config(answering: Answering, parts: Parts, _: object) -> uvicorn.Config:
    """A protocol whose answers have the date of the test's clock, and not of the machine's."""

    async def answer(exchange: Exchange) -> Response:
        response = await answering(exchange)
        at = formatdate(parts.store.clock.now_ms() // 1000, usegmt=True)
        return msgspec.structs.replace(response, headers=(*response.headers, (b"date", at.encode())))

    config = public_config(answer, parts)
    config.date_header = False  # the machine's
    return config


def _adjust_modules() -> None:
    vars(wiring)["Passwords"] = _counting  # before a server hashes anything
    if (Path(os.environ["LICET_DATA"]) / KILLS_SOON).exists():
        vars(commits)["Committer"] = partial(Committer, kill_after_s=SILENT_S)
    if (Path(os.environ["LICET_DATA"]) / DATES_BY_CLOCK).exists():
        vars(wiring)["public_config"] = _dated_config


def serve() -> None:
    """Act as a forked server, with a forked committing process."""
    _adjust_modules()
    if load_settings().commit_process:
        vars(commits)["start_committer"] = _Waiting(committing.start).start
    serving.main(COMMITTER, _adjust)


class _Waiting:
    """A future committing process: forked before the server has a thread or a store, and started later.

    When it has ended, another one is started as `ordinary` does it.
    """

    def __init__(self, ordinary: Callable[..., Any]) -> None:
        self._ordinary = ordinary
        self._wish, wishes = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            self._wish.close()
            os.setsid()
            with Path(os.devnull).open("r+b", buffering=0) as nothing:
                os.dup2(nothing.fileno(), 0)
                os.dup2(nothing.fileno(), 1)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            end_after(partial(_commit, wishes))
        wishes.close()

    def start(
        self, command: Sequence[str], at: StoreAt, identity: str, batch_max: int, theirs: socket.socket
    ) -> Any:
        """Like `committing.start`."""
        if self._pid == 0:
            return self._ordinary(command, at, identity, batch_max, theirs)
        order = committing._Order(os.fsencode(at.data), at.url, identity, batch_max)
        kind = FOR_SQLITE if at.url is None else FOR_POSTGRES
        socket.send_fds(self._wish, [kind, msgspec.msgpack.encode(order)], [theirs.fileno()])
        self._wish.close()
        started, self._pid = ForkedProcess(self._pid), 0
        return started


def _commit(wishes: socket.socket) -> None:
    """Act as the committing process, if there is to be one."""
    order, descriptors, _, _ = socket.recv_fds(wishes, _ORDER_BYTES_MAX, 1)
    if not order:
        return
    reading, writing = os.pipe()
    os.write(writing, order)
    os.close(writing)
    os.dup2(reading, 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the rest of the process
    sys.argv = [__file__, "commit", str(descriptors[0])]
    serving.main(COMMITTER)


if __name__ == "__main__":
    _adjust_modules()
    serving.main(COMMITTER, _adjust)
