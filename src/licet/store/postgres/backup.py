"""Dumps a PostgreSQL store into a file while servers use it, and loads such a dump into its database.

The rules:

- PostgreSQL's own programs do the work, `pg_dump` and `pg_restore`: they know each version of the server.
- They connect as Licet does, encrypted by the same defaults. The password reaches them in an environment
  variable, and never in their arguments, which every user of the machine can read.
- A load is one transaction: it takes the place of the tables that are there, or changes nothing.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, inspect

from licet.store import schema
from licet.store.errors import StoreUnavailable
from licet.store.postgres.url import parameters_of

_LOCK_S = 10  # a server that still runs holds no lock for so long
_SECRETS = {"password": "PGPASSWORD", "sslpassword": "PGSSLPASSWORD"}
_VERSIONS = {"schema_version", "alembic_version"}


def dump_store(url: str, into: Path) -> None:
    """Dump the database into a file, in the custom form of `pg_dump`.

    Raises StoreUnavailable.
    """
    _run("pg_dump", url, "--format=custom", "--no-password", f"--file={into}")


def load_store(url: str, file: Path) -> None:
    """Put the tables of a dump in the place of those of the database.

    Raises StoreUnavailable; nothing has changed then.
    """
    options = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--no-password")
    _run("pg_restore", url, *options, "--exit-on-error", "--single-transaction", str(file))


def tables_of(file: Path) -> set[str]:
    """The names of the tables in a dump.

    Raises StoreUnavailable where it is no dump.
    """
    lines = (line.split() for line in _run("pg_restore", None, "--list", str(file)).splitlines())
    return {words[5] for words in lines if words[3:4] == ["TABLE"] and words[4] != "DATA"}


def tables_left(connection: Connection, file: Path) -> set[str]:
    """Those tables of Licet in the database that a load of this dump would leave as they are.

    Raises StoreUnavailable.
    """
    ours = {*schema.metadata.tables, *_VERSIONS}
    return ours.intersection(inspect(connection).get_table_names()) - tables_of(file)


def _run(program: str, url: str | None, *options: str) -> str:
    """What it prints. Raises StoreUnavailable."""
    command, environment = [program, *options], dict(os.environ)
    if url is not None:
        parameters = parameters_of(url)
        environment |= {_SECRETS[key]: str(parameters.pop(key)) for key in _SECRETS.keys() & parameters}
        environment["PGOPTIONS"] = f"{parameters.pop('options', '')} -c lock_timeout={_LOCK_S}s".strip()
        command.insert(1, f"--dbname={make_conninfo(**_plain(parameters))}")
    try:
        done = subprocess.run(  # noqa: S603 - a program of PostgreSQL, found as the administrator's shell does
            command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except FileNotFoundError:
        raise StoreUnavailable(
            f"{program} is missing; install the client programs of PostgreSQL (postgresql-client)"
        ) from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(f"{program}: error: ")]
        why = said[0].removeprefix(f"{program}: error: ") if said else f"it ended with {done.returncode}"
        raise StoreUnavailable(f"{program}: {why}")
    return done.stdout


def _plain(parameters: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in parameters.items()}
