"""Starts a process of the load, gives it its specification, and reads its reports."""

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from chaos.site.nodes import PATIENCE_S
from chaos.site.plans import TenantSite


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of a load process: its seed, the nodes and APIs, and the clients that it plays.

    `public_url` is that of all nodes: clients with keys name it in what they sign.
    """

    seed: int
    ports: tuple[int, ...]
    tenants: tuple[TenantSite, ...]
    history: str
    actors_per_client: int = 1
    apis: tuple[int, ...] = ()
    renewals: bool = False
    public_url: str = ""


class Count(msgspec.Struct, kw_only=True):
    """The operations of a load process so far."""

    operations: int = 0
    granted: int = 0
    unknown: int = 0


class LoadProcess:
    """A process of the load, and its latest report."""

    def __init__(self, spec: Spec, path: Path) -> None:
        path.write_bytes(msgspec.json.encode(spec))
        self.history = Path(spec.history)
        self.count = Count()
        command = [sys.executable, "-m", "chaos.load", str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._reading = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reading.start()

    def quiet(self) -> None:
        """Tell the process to finish, and wait until it has.

        Raises RuntimeError if it failed.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"quiet\n")
            self._process.stdin.close()
        if self._process.wait(PATIENCE_S):
            raise RuntimeError("the load died")

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._reading.join(PATIENCE_S)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _read(self, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                self.count = msgspec.json.decode(line, type=Count)
