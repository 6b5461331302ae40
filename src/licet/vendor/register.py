"""Keeps the register of a vendor: which serial of which licence was issued, and its text.

The register is a file of SQLite, which stays whole when a process is killed or power is lost, and lets two
processes that sign at the same time wait for each other. The rules:

- A serial is taken before the licence is signed, and never issued again. If signing fails, a gap is left,
  which is harmless; the same serial on two licences is not.
- The signed text is kept, so that a lost licence can be sent again.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from licet.licences.claims import SERIAL_MAX
from licet.platforms import files
from licet.vendor.errors import VendorCode, VendorRefused

WAIT_S: Final = 10.0  # for another who signs; a serial is taken in milliseconds

_SCHEMA = """
CREATE TABLE IF NOT EXISTS licence (
    licence TEXT NOT NULL,
    serial INTEGER NOT NULL CHECK (serial BETWEEN 1 AND 2147483647),
    tenant TEXT NOT NULL,
    taken_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    text TEXT,
    PRIMARY KEY (licence, serial)
) STRICT, WITHOUT ROWID
"""


class Entry(NamedTuple):
    """A serial that was taken; `text` is what was signed, None if that never came to an end."""

    licence: str
    serial: int
    tenant: str
    taken_at: str
    text: str | None


class Register:
    """The register in a file, which is made when the first serial is taken."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, licence: str, tenant: str, serial: int | None = None) -> int:
        """Take the next serial of a licence, or this one, which has to be above all before.

        Raises VendorRefused.
        """
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            [highest] = connection.execute(
                "SELECT coalesce(max(serial), 0) FROM licence WHERE licence = ?", (licence,)
            ).fetchone()
            taken = highest + 1 if serial is None else serial
            if taken <= highest:
                problem = f"serial {serial} of {licence} is not above {highest}, which was given out"
                raise VendorRefused(VendorCode.SERIAL_TAKEN, problem, directory=self._path.parent)
            if taken > SERIAL_MAX:
                problem = f"{licence} has no serial left; give the licence another id"
                raise VendorRefused(VendorCode.SERIAL_TAKEN, problem, directory=self._path.parent)
            row = (licence, taken, tenant)
            connection.execute("INSERT INTO licence (licence, serial, tenant) VALUES (?, ?, ?)", row)
            connection.execute("COMMIT")
        return int(taken)

    def keep(self, licence: str, serial: int, text: str) -> None:
        """Keep what was signed.

        Raises VendorRefused.
        """
        with self._opened() as connection:
            connection.execute(
                "UPDATE licence SET text = ? WHERE licence = ? AND serial = ?", (text, licence, serial)
            )

    def entries(self) -> Sequence[Entry]:
        """All serials that were taken, of each licence in order; none where there is no register yet.

        Raises VendorRefused.
        """
        if not self._path.exists():
            return ()
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT licence, serial, tenant, taken_at, text FROM licence ORDER BY licence, serial"
            )
            return [Entry(*row) for row in rows]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with suppress(FileExistsError):  # customers and what they bought are nobody else's business
                files.create_closed(self._path)
            with closing(sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(_SCHEMA)
                yield connection
        except OSError as fault:
            problem = f"{self._path} cannot be opened: {fault.strerror}"
            raise VendorRefused(VendorCode.REGISTER_FAILED, problem) from None
        except sqlite3.OperationalError as fault:
            problem = f"{self._path} cannot be written now ({fault}); nothing was signed, try again"
            raise VendorRefused(VendorCode.REGISTER_FAILED, problem) from None
        except sqlite3.DatabaseError as fault:
            problem = f"{self._path} is damaged ({fault}); put back a copy of it"
            raise VendorRefused(VendorCode.REGISTER_FAILED, problem) from None
