"""Runs a server process on a data directory: starts, stops and kills it, and reads its log."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Self
from urllib.parse import urlsplit

from licet.clock import Clock, SystemClock
from licet.platforms.processes import read_pipe
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from licet.testing.shared_memory import Switches

# Not from the directory where the tests run: a file there may have the name of a module of Python.
COMMAND: Final = (sys.executable, "-P", "-m", "licet.testing.serving")
START_S = 30.0  # a start takes half a second; one that takes longer has failed
END_S = 30.0
LOG_LINES = 20  # of a server that did not start

_LINE_BYTES = 4096
_STEP_S = 0.002


class NotStarted(RuntimeError):
    """The server did not start; the text has the last lines of its log."""


class ServerProcess:
    """The process, and its `switches`. `settings` are those of licet.toml.

    `start` returns when the server listens, and `url` is where; `admin_url` is '' without an admin listener.
    """

    url: str
    admin_url: str
    process: "subprocess.Popen[bytes]"

    def __init__(
        self,
        data: Path,
        *,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        manual_from_ms: int | None = None,
        settings: Mapping[str, object],
    ) -> None:
        """`manual_from_ms` makes time stand still at that instant; an existing clock continues."""
        self.data = data
        self.switches = Switches(data)
        if manual_from_ms is not None and not self.switches.clock.is_set:
            self.switches.clock.move_to(manual_from_ms)
        self.clock: Clock = SystemClock() if manual_from_ms is None else self.switches.clock
        self._command = command
        inherited = os.environ if environment is None else environment
        others = {key: value for key, value in inherited.items() if not key.startswith("LICET_")}
        self._environment = others | {
            "LICET_DATA": str(data),
            "LICET_PORT": "0",
            "LICET_ADMIN": "false",
            "LICET_ADMIN_PORT": "0",
        }
        self.set(**settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def set(self, **settings: object) -> None:
        """Change settings for the next start."""
        self._environment |= {f"LICET_{key.upper()}": str(value) for key, value in settings.items()}

    def start(self) -> None:
        """Start it, and return when it listens.

        Raises NotStarted.
        """
        with (self.data / "log").open("ab") as log:
            self.process = self._begun(log)
        line = _first_line(self.process, START_S)
        if not line:
            self.process.kill()
            ServerProcess._ended(self)
            raise NotStarted(f"Licet did not start; the end of its log:\n{self.end_of_log()}")
        self.url, _, self.admin_url = line.partition(" ")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def terminate(self) -> int:
        """Stop it, as an administrator does; return its exit code."""
        self.process.terminate()
        return self._ended()

    def kill(self) -> None:
        """Kill it, as in a power cut."""
        self.process.kill()
        self._ended()

    def let_it_look(self) -> None:
        """Return when it has read every change of the set-up, even while the switches delay answers.

        Raises TimeoutError.
        """
        changes, seen = self.switches.changes.get(), self.switches.seen
        parts = urlsplit(self.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), START_S) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: licet\r\n\r\n")
            until_s = time.monotonic() + START_S
            while seen.get() != changes:
                if time.monotonic() > until_s:
                    raise TimeoutError("the server does not look at its set-up")
                time.sleep(_STEP_S)

    def log(self) -> str:
        """Its log: complete for an answer as soon as the answer has arrived."""
        return (self.data / "log").read_text(encoding="utf-8")

    def end_of_log(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log().splitlines()[-LOG_LINES:])

    @contextmanager
    def store(self) -> Iterator[SqliteStore]:
        """Its store, opened beside it."""
        store = SqliteStore(self.data / SQLITE_NAME, self.clock)
        try:
            yield store
        finally:
            store.close()

    def _begun(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """The process, which prints its URLs to its standard output and logs to `log`."""
        return subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
            self._command, env=self._environment, stdout=subprocess.PIPE, stderr=log
        )

    def _ended(self) -> int:
        assert self.process.stdout is not None
        code = self.process.wait(END_S)
        self.process.stdout.close()
        return code


def _first_line(process: "subprocess.Popen[bytes]", within_s: float) -> str:
    """The first line that a process prints; '' when it ends before, or takes too long."""
    assert process.stdout is not None
    read, until_s = b"", time.monotonic() + within_s
    while not read.endswith(b"\n"):
        part = read_pipe(process.stdout, _LINE_BYTES, until_s - time.monotonic())
        if not part:
            return ""
        read += part
    return read.decode().strip()
