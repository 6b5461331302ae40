"""Functions for every peer: to install it, to run it on loopback, and to stop and remove it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any, Protocol

import httpx

from bench.measured.stores import postgres_class
from bench.peers.contract import Row, Work


def installed_in(variables: Mapping[str, str]) -> Path:
    """The directory of installed peers: `BENCH_PEERS`, which checkouts can share, or in this checkout."""
    directory = variables.get("BENCH_PEERS")
    return Path(directory).resolve() if directory else Path(__file__).parent / ".installed"


INSTALLED = installed_in(os.environ)
PATIENCE_S = 600.0  # a Java server first creates a hundred tables, perhaps on a busy machine
TOKENS = 1000  # tokens that are introspected or refreshed in turn
_ASKING_S = 10.0  # longest time to obtain them, if each takes a slow hash

# Settings of a careful administrator for a small machine; syncs to disk stay on, as by default.
_POSTGRES_SETTINGS: dict[str, Any] = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "5s",  # so that the planner soon knows that tables are no longer empty
    "fsync": "on",
    "synchronous_commit": "on",
}
POSTGRES_WORDS = (
    "PostgreSQL from the wheel, on loopback, for this peer alone: fsync and synchronous_commit on, "
    "512 MB shared_buffers, 4 GB max_wal_size, statistics renewed every 5 s"
)


class Database(Protocol):
    """The part of the tests' PostgreSQL that is used here."""

    port: int

    @property
    def pid(self) -> int:
        """The process that is the parent of all its others."""

    def url(self, database: str = "postgres") -> str:
        """The URL of a database."""

    def create_database(self, name: str) -> str:
        """Create a database, and return its URL."""

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute a statement."""


def postgres() -> AbstractContextManager[Database]:
    """Run a separate PostgreSQL, the one of the tests. Raises RuntimeError if it is not installed."""
    server = postgres_class()
    if server is None:
        raise RuntimeError("the wheel of PostgreSQL is needed and is not installed: make check installs it")
    return server(**_POSTGRES_SETTINGS)


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a command, and return its output. Raises RuntimeError with the output when it fails."""
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-4000:]}")
    return done.stdout


@contextmanager
def running(
    command: Sequence[str | Path],
    ready: Callable[[], object],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Run a server for the block, which begins once `ready` succeeds; after it, end all its processes.

    The server has its own process group, so that the processes it starts end with it.
    """
    with TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _until_ready(process, ready, log)
            yield
        finally:
            _end(process)


def _until_ready(process: subprocess.Popen[bytes], ready: Callable[[], object], log: IO[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            ready()
        except httpx.HTTPError as error:
            if process.poll() is not None or time.monotonic() > give_up:
                log.seek(0)
                logged = log.read().decode(errors="replace")[-4000:]
                raise RuntimeError(f"{process.args!r} is not ready ({error}):\n{logged}") from error
            time.sleep(0.05)
        else:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the whole process group, which may exist without its first process."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def free_ports(count: int) -> list[int]:
    """Free ports of loopback. They differ, because all are bound at the same moment."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def ask(url: str, row: Row) -> bytes:
    """Send a request, and return the body of the answer. Raises RuntimeError if it is refused."""
    return _ask(httpx, url, row)


def _ask(client: Any, url: str, row: Row) -> bytes:
    answer: httpx.Response = client.request(
        row.method, url + row.path, headers=dict(row.headers), content=row.body, timeout=60
    )
    if answer.is_error:
        raise RuntimeError(f"refused with {answer.status_code}: {answer.text[:500]}")
    return answer.content


def answers(work: Work) -> list[dict[str, Any]]:
    """The checked answers to the first requests of a work: at most TOKENS, fewer if the peer is slow."""
    answers: list[bytes] = []
    give_up = time.monotonic() + _ASKING_S
    with httpx.Client() as client, ThreadPoolExecutor(4) as pool:
        for first in range(0, min(TOKENS, len(work.rows)), 4):
            rows = work.rows[first : min(first + 4, TOKENS)]
            answers += pool.map(lambda row: _ask(client, work.url, row), rows)
            if time.monotonic() > give_up:
                break
    wrong = [answer for answer in answers if not work.check(answer)]
    if wrong:
        raise RuntimeError(f"an unexpected answer: {wrong[0][:500]!r}")
    return [json.loads(answer) for answer in answers]


def scratch() -> AbstractContextManager[str]:
    """A directory that is removed after the block."""
    return TemporaryDirectory(prefix="licet-peer-")


def fresh(name: str) -> Path:
    """Create the directory of a peer anew. The peer counts as installed once `keep` has named a version."""
    directory = INSTALLED / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def keep(directory: Path, version: str) -> None:
    """Mark the installation as complete, with its version."""
    (directory / "version").write_text(version + "\n", encoding="utf-8")


def kept(name: str) -> str | None:
    """The installed version, or None."""
    path = INSTALLED / name / "version"
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def tool(name: str) -> str:
    """The path of a program. Raises RuntimeError if it is missing."""
    path = shutil.which(name)
    if path is None:
        raise RuntimeError(f"{name} is needed and is not on this machine")
    return path


def copy_rows(
    server: Database,
    database: str,
    table: str,
    changes: Mapping[str, str],
    clients: int,
    *,
    where: str = "TRUE",
) -> None:
    """Copy the rows of client 0 in a table of PostgreSQL for every other client.

    `changes` maps a column to the SQL of its value for client `n`; `where` selects the rows of client 0.
    The peer's own interface would take too long: one request, and often one slow hash, for each client.
    """
    fields = ", ".join(f"'{column}', {value}" for column, value in changes.items())
    [[made]] = server.execute(
        f"WITH made AS (INSERT INTO {table}"  # noqa: S608  names in this package
        f" SELECT (jsonb_populate_record(row, jsonb_build_object({fields}))).*"
        f" FROM {table} AS row, generate_series(1, {clients - 1}) AS n WHERE {where} RETURNING 1)"
        " SELECT count(*) FROM made",
        database,
    )
    if made < clients - 1:
        raise RuntimeError(f"{table} has no row of client 0 to copy")


def count(server: Database, database: str, table: str) -> int:
    """The number of rows in a table of PostgreSQL."""
    [[rows]] = server.execute(f"SELECT count(*) FROM {table}", database)  # noqa: S608  a name in this package
    return int(rows)


def java_home() -> Path:
    """The newest installed Java. Raises RuntimeError if there is none."""
    found = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    if (java := shutil.which("java")) is not None:
        found.append(Path(java).resolve().parent.parent)
    found += Path("/usr/lib/jvm").glob("*")
    homes = {home: version for home in found if (version := _java_version(home)) is not None}
    if not homes:
        raise RuntimeError("java is needed and is not on this machine")
    return max(homes, key=lambda home: homes[home])


def java_words() -> str:
    """The version of Java, in words."""
    version = _java_version(java_home())
    assert version is not None
    return "Java " + ".".join(str(number) for number in version)


def _java_version(home: Path) -> tuple[int, ...] | None:
    release = home / "release"
    if not (home / "bin" / "java").exists() or not release.exists():
        return None
    found = re.search(r'^JAVA_VERSION="([\d.]+)', release.read_text(encoding="utf-8"), re.MULTILINE)
    return tuple(int(word) for word in found[1].split(".")) if found else None


def make_environment(directory: Path, requirements: Path) -> None:
    """Create a Python virtual environment, `venv` in the directory, from a file of requirements."""
    environment = directory / "venv"
    run([sys.executable, "-m", "venv", environment])
    pip: list[str | Path] = [
        environment / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    run([*pip, "--requirement", requirements])
