"""Runs a real Licet server in a process of its own, for tests that send it HTTP, kill it or move its clock.

    with RunningServer(tmp_path) as server:
        answer = server.ask("Jim_Test/token", grant_type="client_credentials")
        with server.changing() as change:  # a server that runs has seen it when the block ends
            change.tenant("Jim_Test").set_pool("full", seats=1)
        server.kill()
        server.start()  # on the same data, at another port

It is the process of `licet.testing`, with the set-up of `licet demo`: every password is `password`. `start`
returns when the server listens; nothing here sleeps. With `manual_clock` time stands still until
`advance`. There is no admin listener unless the settings say `admin=True`; its URL is `admin_url`.

One that many tests share logs each refusal, with `logs_all`: the ten lines of a second may be used up by a
test before.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import httpx

from licet.cli.run.demo import CLIENTS, PASSWORD, SEATS, TENANT
from licet.clock import Clock, SystemClock
from licet.credentials.keyring import FILE_NAME, new_keyring, write_keyring
from licet.credentials.passwords import Passwords
from licet.setup.change import SetupChange, changing
from licet.store.contract import Store
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from licet.testing.process import ServerProcess
from licet.testing.shared_memory import SharedNumber
from support.once.made_once import copied_from, empty_store
from support.server import served
from support.server.nursery import Nursery
from support.waiting import until

if TYPE_CHECKING:
    import subprocess

PATIENCE_S = 60.0  # for what must happen: a test that waits as long as this has failed
PASSWORD_HASH = Passwords(**served.HASHED_WITH).hash(PASSWORD)

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_EPOCH_MS = 1_700_000_000_000
_CHILDREN = Path("/proc/thread-self/children")


class RunningServer(ServerProcess):
    """The server of a data directory, killed at the end of its block; `settings` are those of licet.toml."""

    http: httpx.Client

    def __init__(
        self,
        data: Path,
        *,
        manual_clock: bool = False,
        logs_all: bool = False,
        dates_by_clock: bool = False,
        is_executed: bool = False,
        **settings: object,
    ) -> None:
        """`is_executed`: it starts as a program, and is not forked from one that has imported all.

        `dates_by_clock`: a guard of JWTs finds its manual clock to be right.
        """
        self._is_executed = is_executed
        manual_from_ms = _EPOCH_MS if manual_clock else None
        super().__init__(data, command=served.COMMAND, manual_from_ms=manual_from_ms, settings=settings)
        self._hashes = SharedNumber(data / served.HASHES)
        if logs_all:
            (data / served.LOGS_ALL).touch()
        if dates_by_clock:
            (data / served.DATES_BY_CLOCK).touch()
        if not (data / SQLITE_NAME).exists():
            _set_up(data, self.clock)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        super().start()
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S)

    def advance(self, *, seconds: float) -> None:
        """Move its clock forward, if it has a manual one."""
        self.switches.clock.advance(seconds=seconds)

    @property
    def hashes(self) -> int:
        """How many times it has checked a password against a hash."""
        return self._hashes.get()

    def ask(
        self, path: str, client_id: str = "TestClientId", secret: str = PASSWORD, /, **form: str
    ) -> httpx.Response:
        """The answer to a client that sends its credentials in the header, and this form."""
        return self.http.post(f"/{path}", content=urlencode(form), headers=_FORM, auth=(client_id, secret))

    @contextmanager
    def changing(self) -> Iterator[SetupChange]:
        """Change the set-up during a `with` block; at its end a running server has noticed the change."""
        with self.store() as store, changing(store, "a test") as change:
            yield change
        self.notice()

    def notice(self) -> None:
        """Wait until it has read the present set-up; return at once if it does not run."""
        self.switches.changes.add()
        if self.is_running:
            self.let_it_look()

    def kill(self, *, waits_for_committer: bool = True) -> None:
        """Kill it, as in a power failure, and wait until none of its processes has files open any more.

        What commits for it ends by itself a moment later, unless somebody holds the lock that it waits for.
        """
        left = children(self.process.pid) if waits_for_committer else []
        super().kill()
        until(lambda: all(map(is_over, left)))

    def committing(self) -> int:
        """The id of its committing process, once it has one."""
        found: list[int] = []

        def is_one() -> bool:  # looked for once: the next moment it may have been killed
            found[:] = children(self.process.pid)
            return len(found) == 1

        until(is_one)
        return found[0]

    def _begun(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        if self._is_executed:
            return super()._begun(log)
        forked: Any = Nursery.current().fork(self._environment, log)
        return cast("subprocess.Popen[bytes]", forked)

    def _ended(self) -> int:
        self.http.close()
        return super()._ended()


def children(pid: int) -> list[int]:
    """The ids of a process's children that have not ended."""
    if not _CHILDREN.exists():  # Linux was made without CONFIG_PROC_CHILDREN
        found = (_parent(Path(it.path)) for it in os.scandir("/proc") if it.name.isdecimal())
        return [child for child, parent in found if parent == pid]
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [it for thread in threads for it in _numbers(thread) if not is_over(it)]


def is_over(pid: int) -> bool:
    """Whether a process has ended, even if its parent has not noticed."""
    return _parent(Path(f"/proc/{pid}")) == (pid, None)


def _numbers(file: Path) -> list[int]:
    """The children of a thread; none if it has ended."""
    try:
        return list(map(int, file.read_text(encoding="ascii").split()))
    except OSError:
        return []


def _parent(process: Path) -> tuple[int, int | None]:
    """The id of a process and that of its parent; no parent if it has ended."""
    try:
        state, parent = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
    except OSError:
        return int(process.name), None
    return int(process.name), None if state in "ZX" else int(parent)


def _set_up(data: Path, clock: Clock) -> None:
    """The set-up of the demo: each process of tests makes it once for either kind of clock, and copies it."""
    name = f"demo-{'system' if isinstance(clock, SystemClock) else 'manual'}"
    made = copied_from(name, lambda directory: _make(directory, clock))
    shutil.copytree(made, data, dirs_exist_ok=True)


def _make(data: Path, clock: Clock) -> None:
    write_keyring(data / FILE_NAME, new_keyring(clock.now_ms()))
    store = SqliteStore(empty_store(data / SQLITE_NAME), clock)
    make_tenant(store)
    store.close()


def make_tenant(store: Store) -> None:
    """Put the set-up of the demo into an empty store."""
    with changing(store, "a test") as change:
        tenant = change.add_tenant(TENANT, seats=SEATS)
        for client_id, initials in CLIENTS.items():
            tenant.add_user(initials, name=client_id, password_hash=PASSWORD_HASH)
            tenant.add_client(client_id, user=initials, introspects=client_id == "Api")
