"""Reads names out of the file of a store, for the completion in a shell: without opening the store.

The rules:

- It changes nothing: it creates no file, waits for no lock, and does not checkpoint the log.
- It does not import SQLAlchemy, because a person has pressed a key and waits.
- If the file is from another version, or is locked, it raises `sqlite3.Error`.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

Kind = Literal["tenant", "pool", "scope", "user", "client", "group"]

NAMES_MAX: Final = 1000  # a guess: more are useless as a choice
_TENANTS = "SELECT name FROM tenant WHERE removed_at_ms IS NULL"
_OF_TENANT: Final = {
    "pool": "SELECT name FROM pool WHERE tenant_id = ?",
    "scope": "SELECT name FROM scope WHERE tenant_id = ?",
    "user": "SELECT initials AS name FROM user_account WHERE tenant_id = ?",
    "client": "SELECT client_id AS name FROM client WHERE tenant_id = ?",
    "group": "SELECT DISTINCT name FROM group_member WHERE tenant_id = ?",
}


def read_names(path: Path, kind: Kind, tenant: str | None, prefix: str) -> list[str]:
    """The names of a kind that begin so, in order: `NAMES_MAX` at most.

    They are those of a tenant, or of the only one; where there are several and none is named, there are none.
    Raises sqlite3.Error.
    """
    with closing(sqlite3.connect(_uri(path), timeout=0, uri=True)) as connection:
        if kind == "tenant":
            return _beginning(connection, _TENANTS, (), prefix)
        named, parameters = (" AND name = ?", (tenant,)) if tenant else ("", ())
        tenants = connection.execute(
            f"SELECT id FROM tenant WHERE removed_at_ms IS NULL{named} LIMIT 2", parameters
        )
        ids = tenants.fetchall()
        return _beginning(connection, _OF_TENANT[kind], ids[0], prefix) if len(ids) == 1 else []


def _beginning(
    connection: sqlite3.Connection, names: str, parameters: tuple[object, ...], prefix: str
) -> list[str]:
    beginning = "SELECT name FROM ({}) WHERE substr(name, 1, ?) = ? ORDER BY name LIMIT {}"
    found = connection.execute(beginning.format(names, NAMES_MAX), (*parameters, len(prefix), prefix))
    return [name for (name,) in found]


def _uri(path: Path) -> str:
    """The file as SQLite names it, read-only.

    Where nobody has the store open, it is read as a file that does not change (https://sqlite.org/uri.html):
    a reader that is the only one would leave the files of its log behind.
    """
    log, shared = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    is_open = shared.exists() and log.exists() and log.stat().st_size > 0
    return f"{path.absolute().as_uri()}?{'mode=ro' if is_open else 'immutable=1'}"
