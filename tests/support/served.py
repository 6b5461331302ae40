"""The process of a `RunningServer`: that of `licet.testing`, which counts passwords and hashes them cheaply.

`python served.py` is one server. `python served.py nursery FD` has imported what a server needs, compiled its
statements and its templates, and forks one for each order that comes by the socket FD. What commits for it is
forked as well, or is `committing.py`.
"""

import gc
import importlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from licet.clock import SystemClock
from licet.credentials.passwords import Passwords
from licet.lanes import process_main as committing
from licet.model import User
from licet.server import commits, wiring
from licet.settings.load import load_settings
from licet.store.opening import SQLITE_NAME, StoreAt
from licet.store.sqlite.store import SqliteStore
from licet.testing import serving
from licet.testing.shared_memory import SharedNumber

if __name__ == "__main__":  # as a script, it is in the room itself
    sys.path[0] = str(Path(__file__).parent.parent)

from support import statement_cache
from support.forked import ForkedProcess

COMMAND = (sys.executable, "-W", "error", __file__)
COMMITTER = (sys.executable, "-W", "error", str(Path(__file__).with_name("committing.py")))
# Argon2id itself, and nothing of its cost: who tests that makes hashes of his own.
HASHED_WITH = {"memory_kib": 8, "time_cost": 1}
HASHES = "hashes"  # the file in which passwords are counted
LOGS_ALL = "logs-all"  # the file that lifts the bound on lines of a second
ORDER_BYTES_MAX = 1 << 20


class Order(msgspec.Struct):
    """A server that is to be: its environment and its directory. Its output and log come as descriptors."""

    environment: dict[str, str]
    directory: str


class HashGate:
    """While it is shut, nothing is hashed in a server with one thread for it, but what is let through."""

    def __init__(self, data: Path) -> None:
        self._path = data / "hash-gate"
        self._begun, self._let = (SharedNumber(data / f"hashes-{it}") for it in ("begun", "let"))

    def shut(self) -> None:
        """From the next hash on."""
        self._path.touch()

    def let_through(self, number: int) -> None:
        """So many hashes, one after the other."""
        for _ in range(number):
            self._let.add()

    def open(self) -> None:
        """For all."""
        self._path.unlink()

    def is_reached(self) -> bool:
        """Whether a hash has begun and waits."""
        return self._begun.get() > self._let.get()

    def wait(self) -> None:
        """In the server: for being let through."""
        if self._path.exists():
            self._begun.add()
            while self._path.exists() and self.is_reached():
                time.sleep(0.001)  # so that it takes nothing of the processor from the server


class _CountingPasswords(Passwords):
    """Passwords as they are, but for what they cost, and counted; behind a gate."""

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


def _nurse(orders: socket.socket) -> None:
    """Fork a server for each order, until nobody can order more."""
    for module in ("licet.admin.app", "licet.admin.http", "licet.telemetry.metrics"):
        importlib.import_module(module)  # a server imports them as well, a little later
    _compile()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with who orders
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES_MAX, 2)
        if not message:
            return
        order = msgspec.msgpack.decode(message, type=Order)
        # The child of a child: when the first one has ended, it is the child of who ordered it.
        first = os.fork()
        if first == 0:
            first_pid, server = os.getpid(), os.fork()
            if server == 0:
                orders.close()
                _be(order, descriptors, first_pid)
            orders.send(str(server).encode())
            os._exit(0)
        os.waitpid(first, 0)
        for descriptor in descriptors:
            os.close(descriptor)


def _compile() -> None:
    """Compile what a server compiles when it is first needed."""
    from licet.admin.pages.frame import _templates  # noqa: PLC0415 - a server that is executed imports it later

    templates = _templates()
    for name in templates.list_templates():
        templates.get_template(name)
    statement_cache.share()
    with tempfile.TemporaryDirectory(prefix="licet-nursery-") as directory:
        SqliteStore(Path(directory) / SQLITE_NAME, SystemClock(), create=True).close()


def _be(order: Order, descriptors: list[int], first: int) -> None:
    """Be the server, and end."""
    while os.getppid() == first:
        os.sched_yield()
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.directory)
    sys.argv = [__file__]
    _end_after(_serve)


def _serve() -> None:
    vars(wiring)["Passwords"] = _counting  # before a server hashes anything
    if load_settings().commit_process:
        vars(commits)["start_committer"] = _Waiting(committing.start).start
    serving.main(COMMITTER, _adjust)


def _end_after(work: Callable[[], None]) -> NoReturn:
    """Do this and nothing else, and end as an interpreter does."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Waiting:
    """What will commit for a server: forked before that has a thread or a store, and set to work by `start`.

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
            _end_after(partial(_commit, wishes))
        wishes.close()

    def start(
        self, command: Sequence[str], at: StoreAt, identity: str, batch_max: int, theirs: socket.socket
    ) -> Any:
        """As `committing.start`."""
        if self._pid == 0:
            return self._ordinary(command, at, identity, batch_max, theirs)
        order = committing._Order(os.fsencode(at.data), at.url, identity, batch_max)
        socket.send_fds(self._wish, [msgspec.msgpack.encode(order)], [theirs.fileno()])
        self._wish.close()
        started, self._pid = ForkedProcess(self._pid), 0
        return started


def _commit(wishes: socket.socket) -> None:
    """Be the process that commits, if there is to be one."""
    order, descriptors, _, _ = socket.recv_fds(wishes, ORDER_BYTES_MAX, 1)
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
    if "nursery" in sys.argv:
        with socket.socket(fileno=int(sys.argv[-1])) as ordered:
            _nurse(ordered)
    else:
        vars(wiring)["Passwords"] = _counting
        serving.main(COMMITTER, _adjust)
