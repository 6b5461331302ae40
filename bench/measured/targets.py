"""Runs the measured servers (the floor, Licet, peers), and reads their use of processor and memory."""

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
# uvicorn uses these by itself where they are installed, and so does Licet.
_FLOOR_OPTIONS = ("--http", "httptools", "--loop", "uvloop", "--ws", "none", "--lifespan", "off")
_FLOOR_SILENCE = ("--no-access-log", "--log-level", "error", "--no-server-header", "--no-proxy-headers")


class Target(NamedTuple):
    """A running server.

    `roots` are its processes, `database_roots` those of its database; their children count as well.
    """

    name: str
    url: str
    roots: Sequence[int]
    database_roots: Sequence[int] = ()

    def cpu_s(self) -> float:
        """The processor time that its processes have used, in seconds."""
        return cpu_s(families(self.roots))

    def database_cpu_s(self) -> float:
        """The processor time that its database has used, in seconds."""
        return cpu_s(families(self.database_roots))

    def resident_mb(self) -> float:
        """The resident memory of its processes, without that of a database."""
        return resident_mb(families(self.roots))


@contextmanager
def floor(directory: Path, python: "Python | None" = None) -> Iterator[Target]:
    """Run the floor during a `with` block."""
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
    """Run an ASGI application of this directory on uvicorn during a `with` block."""
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
    """Run Licet with its default settings, except for these variables, during a `with` block."""
    port = free_port()
    with serving(place, port, variables or {}, python=python) as process:
        until_listening(port, process, place.data / "log")
        yield Target(f"licet {kind.name}", f"http://127.0.0.1:{port}", [process.pid], kind.pids())


def start_s(place: Place, request: Request) -> float:
    """Seconds from the start of Licet to its first answer."""
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
    """Run the process of Licet during a `with` block; `interpreter` are options of the Python interpreter."""
    if python is not None:
        variables = {**variables, **python.variables}
    executable = python.executable if python else sys.executable
    command = [executable, *interpreter, "-m", "licet", "serve", "--port", str(port), "--admin-port", "0"]
    # The load generator has a single address, and more connections than one address may have.
    bound = {"LICET_CONNECTIONS_PER_SOURCE_MAX": "1000000"}
    with running(command, place.data / "log", variables={**place.variables, **bound, **variables}) as process:
        yield process
