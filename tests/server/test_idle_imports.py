"""What a server and its committing process import while nobody looks: nothing that they do not need.

Half of their memory, and most of a start, is modules. One interpreter each does what an idle one does, and
says what is imported then.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from licet.lanes.frames import frame
from licet.ledger.commands import Sweep
from support.cli.cli_site import new_data
from support.examples import grant, jim_test
from support.server.lane_site import identity_of
from support.store.kinds import PostgresPlaces, begun_in_postgres
from support.store.store_site import START_MS

_PATIENCE_S = 120
_COMMITTER = """
import json, sys
from pathlib import Path
from licet.clock import SystemClock
from licet.lanes.frames import decode_commands
from licet.lanes.process_main import _Commits
from licet.store.opening import StoreAt

commits = _Commits(StoreAt(Path(sys.argv[1]), sys.argv[4] or None), sys.argv[2], SystemClock())
results = commits(decode_commands(bytes.fromhex(sys.argv[3])))
assert not [it for it in results if isinstance(it, Exception)], results
commits.counted(), commits.setup_version()
commits.close()
print(json.dumps(sorted(sys.modules)))
"""
_SERVER = """
import json, os, signal, socket, sys, threading
from licet.settings.load import load_settings
from licet.cli.run.serving import run
from licet.server import upkeep

def answered(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        wire.sendall(b"GET /health/ready HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n")
        assert wire.recv(12) == b"HTTP/1.1 200"
    print(json.dumps(sorted(sys.modules)))
    os.kill(os.getpid(), signal.SIGTERM)

def look(admin_port):
    with socket.create_connection(("127.0.0.1", admin_port), timeout=60) as wire:
        wire.sendall(b"nonsense\\r\\n\\r\\n")
        assert wire.recv(8) == b"HTTP/1.1"  # so the listener has started
    print(json.dumps(sorted(sys.modules)))
    os.kill(os.getpid(), signal.SIGTERM)

store = sys.argv[3] if len(sys.argv) > 3 else None
settings = load_settings(overrides={"data": sys.argv[1], "port": 0, "admin_port": 0, "store": store})
if sys.argv[2] == "answered":
    upkeep.HOUSEKEEPING_AFTER_S = 60.0
run(settings, lambda port, admin_port: threading.Thread(
    target=answered if sys.argv[2] == "answered" else look,
    args=(port if sys.argv[2] == "answered" else admin_port,),
).start())
"""
_FOR_PAGES = {
    "fastapi",
    "starlette",
    "jinja2",
    "markupsafe",
    "matplotlib",
    "licet.admin.app",
    "licet.admin.context",
}
_SERVER_NEVER = {"alembic", "aiosqlite", "httpx", "rich", "pygments", "psycopg", "opentelemetry", *_FOR_PAGES}
_COMMITTER_NEVER = {
    "alembic",
    "cryptography",
    "pydantic",
    "sqlalchemy",
    "structlog",
    "typer",
    "uvicorn",
    "uvloop",
    "licet.credentials",
    "licet.protocol",
    "licet.server",
    "licet.settings",
    "licet.store.schema",
    "licet.web",
    *_FOR_PAGES,
}
# What waits until the first requests are answered.
_NOT_BEFORE_AN_ANSWER = {
    "sqlalchemy",
    "licet.accounts",
    "licet.admin",
    "licet.alerts",
    "licet.reports",
    "licet.setup",
    "licet.store.schema",
    *_SERVER_NEVER,
}
_OF_THE_DRIVER = {"asyncio", "email", "hashlib", "importlib.metadata", "logging", "psycopg", "ssl"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a tenant that is at work."""
    return new_data(tmp_path_factory.mktemp("idle") / "licet-data")


def imported(program: str, *arguments: str) -> set[str]:
    """The modules that are imported when the program has done its work."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert done.stdout, done.stderr
    return set(json.loads(done.stdout.splitlines()[0]))


def test_a_process_that_only_commits_imports_neither_sqlalchemy_nor_the_server(
    data: Path,
) -> None:
    """It decides and writes, and takes half of the memory that it would with all of the store."""
    batch = frame([grant(1, 1), Sweep(sessions_max=10)])[4:]
    found = imported(_COMMITTER, str(data), identity_of(data), batch.hex(), "")
    assert "licet.ledger.rules" in found
    assert sorted((_COMMITTER_NEVER | _OF_THE_DRIVER) & found) == []


def test_on_postgresql_it_imports_no_more_than_the_driver_needs(
    postgres_places: PostgresPlaces, tmp_path: Path
) -> None:
    """It decides and writes there too without SQLAlchemy."""
    place = postgres_places.make(START_MS)
    begun_in_postgres(place, jim_test())
    batch = frame([grant(1, 1), Sweep(sessions_max=10)])[4:]
    found = imported(_COMMITTER, str(tmp_path), "", batch.hex(), postgres_places.url)
    place.close()
    assert {"licet.ledger.rules", "psycopg"} <= found
    assert sorted(_COMMITTER_NEVER & found) == []


def test_a_server_at_which_nobody_looks_imports_nothing_of_the_dashboard(data: Path) -> None:
    """Its loops beside the requests have begun, and its admin listener answers."""
    found = imported(_SERVER, str(data), "idle")
    assert {"licet.server.wiring", "licet.admin.http"} <= found
    assert sorted(_SERVER_NEVER & found) == []


@pytest.mark.wide
def test_on_postgresql_it_answers_before_that_as_well(data: Path, postgres_places: PostgresPlaces) -> None:
    """Beside the rest it imports the driver."""
    place = postgres_places.make(START_MS)
    begun_in_postgres(place, jim_test())
    found = imported(_SERVER, str(data), "answered", postgres_places.url)
    place.close()
    assert {"licet.server.upkeep", "psycopg"} <= found
    assert sorted((_NOT_BEFORE_AN_ANSWER - {"psycopg"}) & found) == []


def test_a_server_answers_before_it_imports_sqlalchemy(data: Path) -> None:
    """It was a third of the processor's time until the first answer."""
    found = imported(_SERVER, str(data), "answered")
    assert "licet.server.upkeep" in found
    assert sorted(_NOT_BEFORE_AN_ANSWER & found) == []
