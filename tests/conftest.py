"""Servers that many tests share, and what speaks to them."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPMessage, parse_headers
from itertools import count
from pathlib import Path
from socket import SHUT_WR, create_connection
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

import httpx
import pytest

import statement_cache
from examples import add_tenant, jim_test
from kinds import KINDS, Place, PostgresPlaces, SqlitePlaces
from licet.cli.demo import PASSWORD
from licet.committing import spare_the_collector
from licet.store.opening import SQLITE_NAME
from licet.store.postgres import PostgresStore
from postgres import Postgres
from running import PASSWORD_HASH, PATIENCE_S, RunningServer

if TYPE_CHECKING:
    from browser import Browser

AWAY = "away.db"
_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it has names that nobody knows before
_MEMORY_BYTES_MIN = 4 * 2**30  # a guess: a run keeps less than one
_NUMBERS = count(1)
_PATIENT: dict[str, Any] = {
    "login_failures_per_client_max": 1_000_000,
    "login_failures_per_source_max": 1_000_000,
}


def pytest_configure() -> None:
    """Keep the files of tests in memory, where there is enough: a run syncs some ten thousand times.

    A kill takes nothing from either. `TMPDIR` puts them elsewhere.

    A run in the background may ignore SIGINT, and what it starts would do so as well; the tests send it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # until all is collected: most of what is made now stays
    statement_cache.share()
    if "TMPDIR" not in os.environ and _has_room(_MEMORY):
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None


def pytest_collection_finish() -> None:
    """Have the collector pass over modules and tests from now on: looking at them took an eighth of a run."""
    spare_the_collector()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has a target of its own."""
    for marker in ("long", "wide"):
        if marker not in str(config.option.markexpr):
            left_out = pytest.mark.skip(reason=f"make test-{marker} runs it")
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(left_out)


def _has_room(directory: Path) -> bool:
    """Whether large files can be there, and programs."""
    if not os.access(directory, os.W_OK | os.X_OK) or os.statvfs(directory).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(directory).free >= _MEMORY_BYTES_MIN


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: HTTPMessage
    body: bytes


class Wire:
    """One connection, to the byte."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE_S)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes, *, is_last: bool = False) -> None:
        """Send these bytes; after the last ones the server knows that there are no more."""
        self._socket.sendall(data)
        if is_last:
            self._socket.shutdown(SHUT_WR)

    def answer(self) -> Answer | None:
        """The next answer; None when the connection ends instead."""
        line = self._file.readline()
        if not line:
            return None
        headers = parse_headers(self._file)
        body = self._file.read(int(headers.get("content-length", 0)))
        return Answer(int(line.split()[1]), headers, body)


class ServedTenant:
    """A tenant that one test has for itself on the shared server.

    `full` has 2 seats; `TestClientId` is of user `TC`, `Client2` of `C2`, `Client3` of `C3`, and `Api`, of
    `AP`, may introspect. Every password is `password`.
    """

    def __init__(self, server: RunningServer, name: str) -> None:
        self.server = server
        self.name = name
        with server.changing() as change:
            tenant = change.add_tenant(name, seats=2)
            for client_id, initials in {
                "TestClientId": "TC",
                "Client2": "C2",
                "Client3": "C3",
                "Api": "AP",
            }.items():
                tenant.add_user(initials, password_hash=PASSWORD_HASH)
                tenant.add_client(client_id, user=initials, introspects=client_id == "Api")

    def ask(
        self, endpoint: str, client_id: str = "TestClientId", secret: str = PASSWORD, /, **form: str
    ) -> httpx.Response:
        """The answer to a client that sends its credentials in the header, and this form."""
        return self.server.ask(f"{self.name}/{endpoint}", client_id, secret, **form)

    def grant(self, client_id: str = "TestClientId", /, **form: str) -> dict[str, Any]:
        """What a grant of this client gives."""
        return _good(self.ask("token", client_id, grant_type="client_credentials", **form))

    def refresh(
        self, tokens: dict[str, Any], client_id: str = "TestClientId", /, **form: str
    ) -> httpx.Response:
        """The answer to a client that refreshes a session."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], **form}
        return self.ask("token", client_id, **form)

    def introspect(self, token: str) -> dict[str, Any]:
        """What `Api` is told of a token."""
        return _good(self.ask("introspect", "Api", token=token))

    def post(self, endpoint: str, content: bytes | str = b"", **headers: str) -> httpx.Response:
        """The answer to a body and headers that are as they are; the body is a form unless they say else."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("content-type", "application/x-www-form-urlencoded")
        return self.server.http.post(f"/{self.name}/{endpoint}", content=content, headers=named)

    def seats_in_use(self) -> int:
        """How many of its seats are in use."""
        with self.server.store() as store, store.reading() as connection:
            tenant = store.tenant(self.name)
            assert tenant is not None
            query = "SELECT count(*) FROM seat WHERE tenant_id = ? AND expires_at_ms > ?"
            found = connection.exec_driver_sql(query, (tenant.id, self.server.clock.now_ms()))
            seats: int = found.scalar_one()
            return seats


def bar(tenant: ServedTenant, client_id: str = "TestClientId", *, seconds: float) -> None:
    """Keep a client off the seats for so long (L12)."""
    until_ms = tenant.server.clock.now_ms() + round(seconds * 1000)
    with tenant.server.changing() as change:
        change.tenant(tenant.name).bar(client_id, until_ms)


def _good(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == httpx.codes.OK, response.text
    content: dict[str, Any] = response.json()
    return content


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose time stands still, and which lets everybody try passwords as often as they like.

    It commits in a process of its own, also where there is but one processor.
    """
    data = tmp_path_factory.mktemp("server")
    with RunningServer(data, manual_clock=True, logs_all=True, **_PATIENT, commit_process=True) as running:
        yield running


@pytest.fixture(scope="session")
def threaded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server as `server`, but that it commits in a thread and not in a process of its own."""
    data = tmp_path_factory.mktemp("threaded")
    with RunningServer(data, manual_clock=True, logs_all=True, **_PATIENT, commit_process=False) as running:
        yield running


@pytest.fixture(scope="session")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that lets a source fail three times in a minute, and a client five times.

    It believes X-Forwarded-For, so that a test can come from anywhere.
    """
    strict: dict[str, Any] = {"login_failures_per_client_max": 5, "login_failures_per_source_max": 3}
    data = tmp_path_factory.mktemp("strict")
    with RunningServer(data, manual_clock=True, trusted_proxies="127.0.0.1", **strict) as running:
        yield running


@pytest.fixture(scope="session")
def stranded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose store was moved away, to `AWAY`; before that, `TestClientId` had a token of it."""
    with RunningServer(tmp_path_factory.mktemp("stranded"), manual_clock=True) as running:
        running.ask("Jim_Test/token", grant_type="client_credentials").raise_for_status()
        (running.data / SQLITE_NAME).rename(running.data / AWAY)
        yield running


@pytest.fixture
def tenant(server: RunningServer) -> ServedTenant:
    """A tenant of the shared server for one test alone."""
    return ServedTenant(server, f"Tenant{next(_NUMBERS)}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that all tests share; nobody may stop it."""
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_places(postgres: Postgres) -> Iterator[PostgresPlaces]:
    """What makes empty stores in it."""
    places = PostgresPlaces(postgres)
    yield places
    places.close()


@pytest.fixture(scope="session")
def sqlite_places(tmp_path_factory: pytest.TempPathFactory) -> SqlitePlaces:
    """What makes empty stores in files."""
    return SqlitePlaces(tmp_path_factory.mktemp("empty"))


@pytest.fixture(params=KINDS)
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], Place]:
    """For each kind of store: what makes a place with an empty one, at this instant of its clock."""
    if request.param == "postgres":
        places: PostgresPlaces = request.getfixturevalue("postgres_places")
        return places.make
    files: SqlitePlaces = request.getfixturevalue("sqlite_places")
    return partial(files.make, tmp_path)


@pytest.fixture(scope="module")
def stoppable() -> Iterator[Postgres]:
    """A PostgreSQL that tests may stop, with an empty store to make others of."""
    with Postgres() as running:
        PostgresStore(running.create_database("empty"), create=True).close()
        yield running


@pytest.fixture
def lonely(stoppable: Postgres) -> Iterator[PostgresStore]:
    """A store in a database of its own, `lonely`, with the tenant `Jim_Test`."""
    store = PostgresStore(stoppable.create_database("lonely", template="empty"))
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
    yield store
    store.close()
    stoppable.drop_database("lonely")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A Chromium for the tests of pages; see browser.py.

    While it is open, its driver has an event loop in this thread: no other test could have one.
    """
    import browser as chromium  # noqa: PLC0415 - it takes a while, and most tests need none

    with chromium.opened() as it:
        yield it
