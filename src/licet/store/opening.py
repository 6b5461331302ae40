"""Opens the store that the settings name: SQLite in the data directory, or PostgreSQL by a URL.

The modules of a kind of store are imported when it is opened: this saves `--help` a third of a second, and
SQLite needs no extra.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from licet.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.clock import Clock
    from licet.store.contract import Store
    from licet.store.postgres.url import Weakness

SQLITE_NAME = "licet.db"


class StoreAt(NamedTuple):
    """Where a store is: at `url`, which may contain a password, or else in the directory `data`."""

    data: Path
    url: str | None = None

    def __repr__(self) -> str:
        return f"StoreAt(data={self.data!r}, url={None if self.url is None else '***'})"

    @property
    def place(self) -> str:
        """The place as text that may be shown: without a password.

        Raises StoreUnavailable.
        """
        if self.url is None:
            return f"the store in {self.data}"
        with _extra():
            from licet.store.postgres.url import place_of_url  # noqa: PLC0415 - see above
        return place_of_url(self.url)

    def weaknesses(self) -> "list[Weakness]":
        """What is not secure about the connection to the store.

        Raises StoreUnavailable.
        """
        if self.url is None:
            return []
        with _extra():
            from licet.store.postgres.url import weaknesses_of_url  # noqa: PLC0415 - see above
        return weaknesses_of_url(self.url)

    def open(self, clock: "Clock", *, create: bool = False, writes_soon: bool = False) -> "Store":
        """The store; `create` makes one where there is none. A database has a clock of its own.

        `writes_soon` says that a commit comes first of all, as in a server.
        Raises StoreUnavailable, SchemaOutdated.
        """
        if self.url is None:
            from licet.store.sqlite.store import SqliteStore  # noqa: PLC0415 - see above

            return SqliteStore(self.data / SQLITE_NAME, clock, create=create)
        with _extra():
            from licet.store.postgres.store import PostgresStore  # noqa: PLC0415 - see above
        return PostgresStore(self.url, create=create, writes_soon=writes_soon)

    @contextmanager
    def migrating(self) -> "Iterator[Connection]":
        """A connection in a transaction of its own, of whatever version the tables are: for `migrate`.

        Raises StoreUnavailable.
        """
        if self.url is None:
            from licet.store.sqlite import store as sqlite  # noqa: PLC0415 - see above

            with sqlite.migrating(self.data / SQLITE_NAME) as connection:
                yield connection
        else:
            with _extra():
                from licet.store.postgres import store as postgres  # noqa: PLC0415 - see above
            with postgres.migrating(self.url) as connection:
                yield connection

    def copy_to(self, file: Path) -> None:
        """Copy the store, as it is at one instant, into a file that is empty; servers may run meanwhile.

        Raises StoreUnavailable.
        """
        if self.url is None:
            from licet.store.sqlite.backup import copy_store  # noqa: PLC0415 - see above

            copy_store(self.data / SQLITE_NAME, file)
        else:
            with _extra():
                from licet.store.postgres.backup import dump_store  # noqa: PLC0415 - see above
            dump_store(self.url, file)


def import_store(*, for_postgres: bool) -> None:
    """Import what opening a store needs; where that is missing, opening it will say so."""
    with suppress(ImportError):
        import_module(f"licet.store.{'postgres' if for_postgres else 'sqlite'}.store")


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ImportError as fault:  # also where the driver does not find libpq
        if fault.name is None or not fault.name.startswith("psycopg"):
            raise
        from licet.extras import how_to_install  # noqa: PLC0415 - only where something is missing

        raise StoreUnavailable(
            f"PostgreSQL needs an extra ({fault.name} is missing): {how_to_install('postgres')}"
        ) from None
