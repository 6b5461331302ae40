"""A real Licet server in a process of its own, for tests that speak HTTP to it, kill it or turn its clock.

    with RunningServer(tmp_path) as server:
        answer = server.ask("Jim_Test/token", grant_type="client_credentials")
        with server.changing() as change:  # a server that runs has seen it when the block ends
            change.tenant("Jim_Test").set_pool("full", seats=1)
        server.kill()
        server.start()  # on the same data, at another port

A new data directory gets the set-up of `licet demo`: every password is `password`. `start` returns when the
server listens; nothing here sleeps. With `manual_clock` time stands still until `dials.advance`. There is no
admin listener unless the settings say `admin=True`; its URL is `admin_url`.
"""

import asyncio
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from mmap import mmap
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import httpx
import uvloop

from licet import committing
from licet.app import Server, bind
from licet.cli.demo import CLIENTS, PASSWORD, SEATS, TENANT
from licet.clock import Clock, SystemClock
from licet.credentials import ClientSecrets, Passwords
from licet.keyring import FILE_NAME, new_keyring, write_keyring
from licet.model import User
from licet.settings import load_settings
from licet.store.opening import SQLITE_NAME
from licet.store.setup import SetupChange, changing
from licet.store.sqlite import SqliteStore
from licet.web.logs import configure_logs

PATIENCE_S = 10.0  # for what must happen: a test that waits as long as this has failed
PASSWORD_HASH = Passwords().hash(PASSWORD)

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_COMMAND = (sys.executable, "-W", "error", __file__)
_EPOCH_S = 1_700_000_000
_PROBE = "Probe"  # a tenant and its client, by which the server is made to look at the set-up
_PROBE_SECRET = "probe-secret"
_NUMBERS = itertools.count(1)


class Dials:
    """Memory shared by a test and its server: a manual clock (0 is none), and a count of hashed passwords."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(16)
            self._memory = mmap(file.fileno(), 16)
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return int.from_bytes(self._memory[:8], "big")

    def advance(self, *, seconds: float) -> None:
        """Move the clock forward."""
        self._memory[:8] = (self.now_ms() + round(seconds * 1000)).to_bytes(8, "big")

    @property
    def hashes(self) -> int:
        """How many times the server has checked a password against a hash."""
        return int.from_bytes(self._memory[8:], "big")

    def count_hash(self) -> None:
        """One more."""
        with self._lock:
            self._memory[8:] = (self.hashes + 1).to_bytes(8, "big")


class RunningServer:
    """The server of a data directory, killed at the end of its block; `settings` are those of licet.toml."""

    url: str
    admin_url: str
    http: httpx.Client
    process: "subprocess.Popen[str]"

    def __init__(self, data: Path, *, manual_clock: bool = False, **settings: object) -> None:
        self.data = data
        self.dials = Dials(data / "dials")
        if manual_clock and not self.dials.now_ms():
            self.dials.advance(seconds=_EPOCH_S)
        self.clock: Clock = self.dials if manual_clock else SystemClock()
        others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
        self._environment = others | {
            "LICET_DATA": str(data),
            "LICET_PORT": "0",
            "LICET_ADMIN": "false",
            "LICET_ADMIN_PORT": "0",
        }
        self.set(**settings)
        if not (data / SQLITE_NAME).exists():
            _set_up(data, self.clock)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def set(self, **settings: object) -> None:
        """Change settings for the next start."""
        self._environment |= {f"LICET_{key.upper()}": str(value) for key, value in settings.items()}

    def start(self) -> None:
        """Start it, and return when it listens."""
        with (self.data / "log").open("ab") as log:
            self.process = subprocess.Popen(
                _COMMAND, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        self.url, _, self.admin_url = self.process.stdout.readline().strip().partition(" ")
        assert self.url, f"the server did not start: {self.log()}"
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S)

    def terminate(self) -> int:
        """Have it stop, as an administrator does; its exit code."""
        self.process.terminate()
        return self._ended()

    def kill(self) -> None:
        """Have it die, as in a power cut."""
        self.process.kill()
        self._ended()

    def log(self) -> str:
        """What it has logged: all that belongs to an answer, as soon as that is here."""
        return (self.data / "log").read_text(encoding="utf-8")

    def ask(
        self, path: str, client_id: str = "TestClientId", secret: str = PASSWORD, /, **form: str
    ) -> httpx.Response:
        """The answer to a client that sends its credentials in the header, and this form."""
        return self.http.post(f"/{path}", content=urlencode(form), headers=_FORM, auth=(client_id, secret))

    @contextmanager
    def store(self) -> Iterator[SqliteStore]:
        """Its store, opened beside it."""
        store = SqliteStore(self.data / SQLITE_NAME, self.clock)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def changing(self) -> Iterator[SetupChange]:
        """Change the set-up; a server that runs has seen it at the end."""
        mark = f"change-{next(_NUMBERS)}-{os.getpid()}"
        with self.store() as store, changing(store, "a test") as change:
            yield change
            change.tenant(_PROBE).add_scope(mark, read_only=True)
        if self.process.poll() is None:  # What it decides on, it has seen; who proves a client learns of it.
            secret = (self.data / _PROBE_SECRET).read_text(encoding="ascii")
            form = {"grant_type": "client_credentials", "scope": "view"}
            self.ask(f"{_PROBE}/token", _PROBE, secret, **form).raise_for_status()
            while mark not in self._scopes():
                pass

    def committing(self) -> int:
        """The process that commits for it, once there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := children(self.process.pid)):
            assert time.monotonic() < deadline, "nobody commits"
        (pid,) = found
        return pid

    def _scopes(self) -> list[str]:
        """The scopes of the probe's tenant, as the server knows them."""
        metadata = self.http.get(f"/{_PROBE}/.well-known/oauth-authorization-server").raise_for_status()
        scopes: list[str] = metadata.json()["scopes_supported"]
        return scopes

    def _ended(self) -> int:
        self.process.communicate(timeout=PATIENCE_S)
        self.http.close()
        return self.process.returncode


def children(pid: int) -> list[int]:
    """The processes that a process started and that are not over."""
    found = (_parent(Path(it.path)) for it in os.scandir("/proc") if it.name.isdecimal())
    return [child for child, parent in found if parent == pid]


def is_over(pid: int) -> bool:
    """Whether a process has ended, whoever was to hear of it."""
    return _parent(Path(f"/proc/{pid}")) == (pid, None)


def _parent(process: Path) -> tuple[int, int | None]:
    """A process and its parent; no parent where it is over."""
    try:
        state, parent = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
    except OSError:
        return int(process.name), None
    return int(process.name), None if state in "ZX" else int(parent)


def _set_up(data: Path, clock: Clock) -> None:
    keyring = new_keyring(clock.now_ms())
    write_keyring(data / FILE_NAME, keyring)
    probe_secret = ClientSecrets(keyring.pepper).generate()
    (data / _PROBE_SECRET).write_text(probe_secret.secret, encoding="ascii")
    store = SqliteStore(data / SQLITE_NAME, clock, create=True)
    with changing(store, "a test") as change:
        tenant = change.add_tenant(TENANT, seats=SEATS)
        for client_id, initials in CLIENTS.items():
            tenant.add_user(initials, name=client_id, password_hash=PASSWORD_HASH)
            tenant.add_client(client_id, user=initials, introspects=client_id == "Api")
        probe = change.add_tenant(_PROBE, seats=0)
        probe.add_user("PR")
        probe.add_client(_PROBE, probe_secret, user="PR", sessions_max=1)
    store.close()


class _CountingPasswords(Passwords):
    """Passwords as they are, and counted."""

    def __init__(self, dials: Dials) -> None:
        super().__init__()
        self._dials = dials

    def verify(self, user: User | None, password: str) -> bool:
        self._dials.count_hash()
        return super().verify(user, password)


def _serve() -> None:
    """What `licet serve` does, with the clock and the count of the test; the URLs go to stdout."""
    settings = load_settings()
    dials = Dials(settings.data / "dials")
    with ExitStack() as bound:
        listening = bound.enter_context(bind(settings.host, settings.port))
        url, admin = settings.base_url(listening.getsockname()[1]), None
        if settings.admin:
            admin = bound.enter_context(bind(settings.admin_host, settings.admin_port))
            url += f" {settings.admin_base_url(admin.getsockname()[1])}"
        log = configure_logs(level=settings.log_level, as_json=True)
        clock = dials if dials.now_ms() else None
        server = Server(
            settings, listening, log, clock, committer=(*_COMMAND, "commit"), admin_listening=admin
        )
        server._passwords = _CountingPasswords(dials)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.run(lambda: _tell(url)))


def _commit() -> None:
    """What `licet.committing` does, with the clock of the test."""
    dials = Dials(Path(os.environ["LICET_DATA"]) / "dials")
    committing.run(dials if dials.now_ms() else SystemClock())


def _tell(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _commit() if "commit" in sys.argv else _serve()
