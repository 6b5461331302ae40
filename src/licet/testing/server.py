"""Controls a server under test: its clock, its switches and its tenants.

    with LicetServer(tmp_path) as licet:
        tenant = licet.tenant("Jim_Test", seats=1)
        with licet.store_down():
            ...
        licet.clock.advance(minutes=20)

The server is the real one, with SQLite and one process, without an admin listener. Before it answers the next
request it has read every change that a test made.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from licet.client import LicetAuth
from licet.clock import wall_ms
from licet.credentials.keyring import FILE_NAME, new_keyring, read_keyring, write_keyring
from licet.platforms.files import rename
from licet.setup.change import SetupChange, changing
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from licet.testing.process import ServerProcess
from licet.testing.shared_memory import UNTIL_RELEASED_MS, SharedClock, Switches

ACTOR: Final = "a test"
WAIT_MAX_S: Final = 10.0  # for requests that must come: a test that waits longer has failed

# Limits must not slow tests down, whatever secrets they try; the rest is for a quick start and little memory.
_SETTINGS: Final[Mapping[str, object]] = {
    "commit_process": False,
    "hash_workers": 1,
    "connections_per_source_max": 1_000_000,  # all tests use one address
    "login_failures_per_client_max": 1_000_000,
    "login_failures_per_source_max": 1_000_000,
}
_INHERITED_NOT: Final = ("LICET_", "OTEL_", "PYTHONWARNINGS")
_AWAY: Final = "away.db"
_STEP_S: Final = 0.005


class Silence:
    """A time without answers; `answers` counts those that were ready in it."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._before = switches.waited.get()

    @property
    def answers(self) -> int:
        """How many requests were done but not answered."""
        return self._switches.waited.get() - self._before

    def wait_for_answers(self, count: int = 1, *, within_s: float = WAIT_MAX_S) -> None:
        """Return when so many requests were done.

        Raises TimeoutError.
        """
        until_s = time.monotonic() + within_s
        while self.answers < count:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{self.answers} of {count} requests have come within {within_s:g} s")
            time.sleep(_STEP_S)


class ServerUnderTest:
    """A server that runs until `close`, or the end of its block. `settings` are those of licet.toml.

    Its time stands still until `clock.advance`, unless `manual_clock=False`. `data` is its data directory.
    Raises NotStarted.
    """

    def __init__(self, data: Path, *, manual_clock: bool = True, **settings: object) -> None:
        self.data = data
        self._auths: list[LicetAuth] = []
        self._process = ServerProcess(
            data,
            environment=_environment(),
            manual_from_ms=_now_ms() if manual_clock else None,
            settings={**_SETTINGS, **settings},
        )
        self._opened = ExitStack()
        with ExitStack() as opened:
            opened.callback(self._close_auths)
            self._store = SqliteStore(data / SQLITE_NAME, self._process.clock, create=True)
            opened.callback(self._store.close)
            write_keyring(data / FILE_NAME, new_keyring(self._process.clock.now_ms()))
            self._process.start()
            opened.callback(self._process.kill)
            self._opened = opened.pop_all()
        self._pepper = read_keyring(data / FILE_NAME).pepper

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end."""
        return self._process.url

    @property
    def clock(self) -> SharedClock:
        """Its clock, which stands still until it is moved.

        Raises RuntimeError for a server that was started with another.
        """
        if not isinstance(self._process.clock, SharedClock):
            raise RuntimeError(  # noqa: TRY004 - no caller gave a wrong type
                "this server goes by the clock of the machine: it has manual_clock=False"
            )
        return self._process.clock

    @contextmanager
    def store_down(self) -> Iterator[None]:
        """The store is out of reach: grants, refreshes, logoffs and introspection are answered 503.

        Its file is moved away, and back at the end of the block. Raises RuntimeError when it is down already,
        and PermissionError on Windows, which moves no file that is open.
        """
        store, away = self.data / SQLITE_NAME, self.data / _AWAY
        if away.exists():
            raise RuntimeError("the store is down already")
        self._process.let_it_look()
        rename(store, away)
        try:
            yield
        finally:
            rename(away, store)

    @contextmanager
    def slow(self, *, seconds: float) -> Iterator[None]:
        """Each answer is delayed by so many seconds, but at most until the end of the block.

        The request is done before the delay.
        """
        with self._paused(round(seconds * 1000)):
            yield

    @contextmanager
    def silent(self) -> Iterator[Silence]:
        """No answer is sent before the end of the block, although requests are done.

        For testing a client's time-out, and many requests at once.
        """
        silence = Silence(self._process.switches)
        with self._paused(UNTIL_RELEASED_MS):
            yield silence

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server is killed, as in a power cut, and started again on its data at the end of the block.

        In between nothing listens at its port. Raises NotStarted.
        """
        self._process.kill()
        try:
            yield
        finally:
            self._process.set(port=urlsplit(self.url).port)
            self._process.start()

    def log(self) -> str:
        """Its log, one JSON object a line, with the causes that clients do not get."""
        return self._process.log()

    def close(self) -> None:
        """End it; a second call does nothing."""
        self._opened.close()

    @contextmanager
    def changing(self) -> Iterator[SetupChange]:
        """Change the set-up in one transaction.

        Raises SetupError, InvalidValue, RuntimeError.
        """
        with changing(self.store, ACTOR) as change:
            yield change
        self._process.switches.changes.add()

    @property
    def store(self) -> SqliteStore:
        """Its store, opened beside it.

        Raises RuntimeError while it is down.
        """
        if (self.data / _AWAY).exists():
            raise RuntimeError("the store is down: look at it before the block of store_down, or after it")
        return self._store

    def watch(self, auth: LicetAuth) -> LicetAuth:
        """Close it at the end of the test, unless the test does."""
        self._auths.append(auth)
        return auth

    @property
    def is_as_new(self) -> bool:
        """Whether it runs, and its clock is not beyond the machine's."""
        return self._process.is_running and self._process.clock.now_ms() <= wall_ms()

    def clear(self) -> None:
        """Reset it: switches off, clients logged off, no tenants, and the clock at the machine's.

        Raises RuntimeError when it has ended by itself.
        """
        self._process.switches.pause_ms.set(0)
        if not self._process.is_running:
            raise RuntimeError(f"Licet has ended; the end of its log:\n{self._process.end_of_log()}")
        self._close_auths()
        self.store.refresh_tenants()
        if tenants := self.store.tenants():  # also those that a test added in a change of its own
            with self.changing() as change:
                for tenant in tenants.values():
                    change.remove_tenant(tenant.name)
        if isinstance(self._process.clock, SharedClock):
            self._process.clock.move_to(_now_ms())

    @contextmanager
    def _paused(self, pause_ms: int) -> Iterator[None]:
        switch = self._process.switches.pause_ms
        before = switch.get()
        switch.set(pause_ms)
        try:
            yield
        finally:
            switch.set(before)

    def _close_auths(self) -> None:
        while self._auths:
            self._auths.pop().close()


def _now_ms() -> int:
    """The machine's time in whole seconds, so that the times in tokens are exact."""
    return wall_ms() // 1000 * 1000


def _environment() -> dict[str, str]:
    """The environment of the tests, without the variables that configure a Licet server."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_INHERITED_NOT)}
