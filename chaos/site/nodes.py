"""The nodes of a run: server processes as a user starts them, and ways to kill, pause and limit them."""

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

PATIENCE_S = 100.0  # for what must happen, also where all processors are busy
POLL_S = 0.02
PROBE_S = 10.0  # for an answer, which may be late where all processors are busy
OK = 200


class Node:
    """One server process. It keeps its port from start to start."""

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
            "LICET_LOGIN_FAILURES_PER_SOURCE_MAX": "1000000",  # whose secret was taken away asks on
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
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def publish(self, url: str) -> None:
        """Have it call itself by this URL, as all nodes behind one name do."""
        self._environment["LICET_PUBLIC_URL"] = url

    def restore(self, variable: str) -> None:
        """Have its next start find a variable as this process has it."""
        self._environment.pop(variable, None)
        if variable in os.environ:
            self._environment[variable] = os.environ[variable]

    def start(self) -> None:
        """Start it; it does not answer yet."""
        command = [sys.executable, "-m", "chaos.site.served", "serve"]
        popen = self._popen or subprocess.Popen
        self._process = popen(command, env=self._environment, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        self._keeping = threading.Thread(target=self._keep_log, args=(self._process.stderr,), daemon=True)
        self._keeping.start()

    def kill(self) -> None:
        """Have all of it die, as in a power cut."""
        self._die(self.pids())

    def kill_server(self) -> None:
        """Have the server die; what commits for it has to see that by itself."""
        self._die(self.pids()[:1])

    def terminate(self) -> int:
        """Have it stop, as an administrator does; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    def pause(self) -> None:
        """Have all of it stand still, if it runs."""
        self._pause(self.pids())

    def pause_committer(self) -> None:
        """Have only the process stand still that commits for it, if it has one; else all of it."""
        pids = self.pids()
        self._pause(pids[1:] or pids)

    def kill_committer(self) -> None:
        """Have only the process die that commits for it, if it has one."""
        signal_all(self.pids()[1:], signal.SIGKILL)

    def go_on(self) -> None:
        """Have all of it go on that stands still, also what has lost its server meanwhile."""
        signal_all({*self._paused, *self.pids()}, signal.SIGCONT)
        self._paused.clear()

    def limit_files(self, size: int | None) -> None:
        """Let no file of it grow beyond so many bytes; None takes the limit away."""
        limit_files(self.pids(), size)

    def pids(self) -> list[int]:
        """Its processes: the server first."""
        running = self._process is not None and self._process.poll() is None
        return with_children(self.pid) if running else []

    def wait_until_ready(self) -> None:
        """Return when it answers, and its store does."""
        wait_until(lambda: self._is("ready"), f"node {self.number} to be ready; see {self._log}")

    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def _pause(self, pids: list[int]) -> None:
        self._paused.update(pids)
        signal_all(pids, signal.SIGSTOP)

    def _die(self, pids: list[int]) -> None:
        signal_all(pids, signal.SIGKILL)
        if self._process is not None and self._keeping is not None:
            self._process.wait(PATIENCE_S)
            self._keeping.join(PATIENCE_S)  # until all of it is gone

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
        """Not its own file: a full disk is to be the store's trouble, and not that of who reads its log."""
        with lines, self._log.open("ab") as log:
            for line in lines:
                log.write(line)
                log.flush()


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Return when something is so.

    Raises TimeoutError.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(POLL_S)


def free_port() -> int:
    """A port of 127.0.0.1 on which no program listens, and which Linux gives to no connection by itself.

    If it did, a node that died could find its port taken, and a client could connect to itself.
    """
    for port in _PORTS:
        with socket.socket() as listening:
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


_FIRST, _LAST = 20_000, 32_000  # below those that Linux gives to connections
_PORTS = (_FIRST + (os.getpid() * 61 + number) % (_LAST - _FIRST) for number in count())
