"""Starts the nodes of a run as a user starts servers, and kills, pauses and limits their processes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import IO

from chaos.site.processes import limit_files, signal_all, with_children
from chaos.site.served import BROKEN, CLOCK, WallClock

PATIENCE_S = 100.0  # for what must happen, also on a busy machine
POLL_S = 0.02
PROBE_S = 10.0  # for an answer, which may be late on a busy machine
OK = 200


class Node:
    """One server, which keeps its ports when it starts again."""

    def __init__(
        self,
        number: int,
        directory: Path,
        variables: Mapping[str, str],
        *,
        broken: str = "",
        popen: type[subprocess.Popen[bytes]] | None = None,
    ) -> None:
        self.number = number
        self._popen = popen
        self.port, self.admin_port = free_port(), free_port()
        self.clock = WallClock(directory / f"clock{number}")
        self._log = directory / f"node{number}.log"
        others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
        self._environment = {
            **others,
            "LICET_PORT": str(self.port),
            "LICET_ADMIN_PORT": str(self.admin_port),
            "LICET_LOG_LEVEL": "error",
            "LICET_CONNECTIONS_PER_SOURCE_MAX": "1000000",  # all clients have one address
            "LICET_LOGIN_FAILURES_PER_SOURCE_MAX": "1000000",  # clients go on with removed secrets
            "LICET_LOGIN_FAILURES_PER_CLIENT_MAX": "1000000",
            CLOCK: str(directory / f"clock{number}"),
            **({BROKEN: broken} if broken else {}),
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._keeping: threading.Thread | None = None
        self._paused: set[int] = set()

    @property
    def url(self) -> str:
        """The URL of its public listener."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of its server process."""
        assert self._process is not None
        return self._process.pid

    def publish(self, url: str) -> None:
        """Set its public URL, which nodes behind one name share."""
        self._environment["LICET_PUBLIC_URL"] = url

    def restore(self, variable: str) -> None:
        """Give its next start the environment variable of this process, or none."""
        self._environment.pop(variable, None)
        if variable in os.environ:
            self._environment[variable] = os.environ[variable]

    def start(self) -> None:
        """Start it, without waiting until it answers."""
        command = [sys.executable, "-m", "chaos.site.served", "serve"]
        popen = self._popen or subprocess.Popen
        self._process = popen(command, env=self._environment, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        self._keeping = threading.Thread(target=self._keep_log, args=(self._process.stderr,), daemon=True)
        self._keeping.start()

    def kill(self) -> None:
        """Kill all of its processes, as in a power failure."""
        self._die(self.pids())

    def kill_server(self) -> None:
        """Kill the server process; the committing process has to notice that by itself."""
        self._die(self.pids()[:1])

    def terminate(self) -> int:
        """Stop it with a signal, as an administrator does; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    def pause(self) -> None:
        """Pause all of its processes."""
        self._pause(self.pids())

    def pause_committer(self) -> None:
        """Pause only its committing process; without one, all of it."""
        pids = self.pids()
        self._pause(pids[1:] or pids)

    def kill_committer(self) -> None:
        """Kill only its committing process, if it has one."""
        signal_all(self.pids()[1:], signal.SIGKILL)

    def go_on(self) -> None:
        """Continue all paused processes, also those whose server has died meanwhile."""
        signal_all({*self._paused, *self.pids()}, signal.SIGCONT)
        self._paused.clear()

    def limit_files(self, size: int | None) -> None:
        """Let no file of its processes grow beyond so many bytes; None removes the limit."""
        limit_files(self.pids, size)

    def pids(self) -> list[int]:
        """The ids of its processes, the server's first."""
        running = self._process is not None and self._process.poll() is None
        return with_children(self.pid) if running else []

    def wait_until_ready(self) -> None:
        """Wait until it is ready, which includes its store."""
        wait_until(lambda: self._is("ready"), f"node {self.number} to be ready; see {self._log}")

    def log(self) -> str:
        """Its log so far."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def _pause(self, pids: list[int]) -> None:
        self._paused.update(pids)
        signal_all(pids, signal.SIGSTOP)

    def _die(self, pids: list[int]) -> None:
        signal_all(pids, signal.SIGKILL)
        if self._process is not None and self._keeping is not None:
            self._process.wait(PATIENCE_S)
            self._keeping.join(PATIENCE_S)  # returns when all of its processes are gone

    def _is(self, state: str) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PROBE_S)
        try:
            connection.request("GET", f"/health/{state}")
            return connection.getresponse().status == OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _keep_log(self, lines: IO[bytes]) -> None:
        """Copy its log to a file of this process, which a limit for the node's files does not affect."""
        with lines, self._log.open("ab") as log:
            for line in lines:
                log.write(line)
                log.flush()


def wait_until(holds: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds.

    Raises TimeoutError.
    """
    give_up_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"waited {within_s:.0f} s for {what}")
        time.sleep(POLL_S)


def free_port() -> int:
    """A port of 127.0.0.1 on which no program listens, below the range of ephemeral ports.

    Linux could give an ephemeral port to a connection while its node is dead, and a client could connect to
    itself.
    """
    for port in _PORTS:
        with socket.socket() as listening:
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


_FIRST, _LAST = 20_000, 32_000  # below the ephemeral ports of Linux
_PORTS = (_FIRST + (os.getpid() * 61 + number) % (_LAST - _FIRST) for number in count())
