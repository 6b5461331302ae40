"""What is measured, as it runs: the floor, a Licet, or a peer; where it is, and what it uses."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.measured.processes import cpu_s, families, free_port, resident_mb, running, until_listening
from bench.measured.stores import Kind, Place
from bench.measured.wire import Request, ask_all

if TYPE_CHECKING:
    import subprocess

    from bench.measured.pythons import Python

FLOOR = "floor"
_HERE = Path(__file__).parent
# What uvicorn takes by itself where they are installed, and what Licet has.
_FLOOR_OPTIONS = ("--http", "httptools", "--loop", "uvloop", "--ws", "none", "--lifespan", "off")
_FLOOR_SILENCE = ("--no-access-log", "--log-level", "error", "--no-server-header", "--no-proxy-headers")


class Target(NamedTuple):
    """A server that runs.

    `roots` are its processes, whose children count as well; `database_roots` those of its database.
    """

    name: str
    url: str
    roots: Sequence[int]
    database_roots: Sequence[int] = ()

    def cpu_s(self) -> float:
        """What its processes have used."""
        return cpu_s(families(self.roots))

    def database_cpu_s(self) -> float:
        """What its database has used."""
        return cpu_s(families(self.database_roots))

    def resident_mb(self) -> float:
        """The memory of its processes, without a database's."""
        return resident_mb(families(self.roots))


@contextmanager
def floor(directory: Path, python: "Python | None" = None) -> Iterator[Target]:
    """The floor of the HTTP server, until the end of the block."""
    with asgi(FLOOR, "floor:app", directory, {}, python=python) as target:
        yield target


@contextmanager
def asgi(
    name: str,
    app: str,
    directory: Path,
    variables: Mapping[str, str],
    options: Sequence[str] = (*_FLOOR_OPTIONS, *_FLOOR_SILENCE),
    *,
    python: "Python | None" = None,
) -> Iterator[Target]:
    """An application of a file of this directory on the HTTP server, until the end of the block."""
    port = free_port()
    if python is not None:
        variables = {**variables, **python.variables}
    command = [
        python.executable if python else sys.executable,
        "-m",
        "uvicorn",
        app,
        "--port",
        str(port),
        *options,
    ]
    log = directory / f"{name}.log"
    with running(command, log, cwd=_HERE, variables=variables) as process:
        until_listening(port, process, log)
        yield Target(name, f"http://127.0.0.1:{port}", [process.pid])


@contextmanager
def licet(
    kind: Kind, place: Place, variables: Mapping[str, str] | None = None, python: "Python | None" = None
) -> Iterator[Target]:
    """A Licet with its own settings, but for these variables; until the end of the block."""
    port = free_port()
    with serving(place, port, variables or {}, python=python) as process:
        until_listening(port, process, place.data / "log")
        yield Target(f"licet {kind.name}", f"http://127.0.0.1:{port}", [process.pid], kind.pids())


def start_s(place: Place, request: Request) -> float:
    """Seconds from the start of a Licet to its first answer."""
    port = free_port()
    began = time.perf_counter()
    with serving(place, port, {}) as process:
        until_listening(port, process, place.data / "log")
        [answer] = ask_all(f"http://127.0.0.1:{port}", [request])
        assert answer.status < 400, answer
        return time.perf_counter() - began


@contextmanager
def serving(
    place: Place,
    port: int,
    variables: Mapping[str, str],
    interpreter: Sequence[str] = (),
    *,
    python: "Python | None" = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """The process of a Licet, until the end of the block; `interpreter` are options of `python`."""
    if python is not None:
        variables = {**variables, **python.variables}
    executable = python.executable if python else sys.executable
    command = [executable, *interpreter, "-m", "licet", "serve", "--port", str(port), "--admin-port", "0"]
    # The load generator has one address and more than a tenth of the connections.
    bound = {"LICET_CONNECTIONS_PER_SOURCE_MAX": "1000000"}
    with running(command, place.data / "log", variables={**place.variables, **bound, **variables}) as process:
        yield process
