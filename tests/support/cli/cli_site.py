"""A data directory that `licet init` made, and the command line on it."""

import json
import shutil
from itertools import count
from pathlib import Path
from typing import Any

from typer.testing import Result

from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME
from licet.lanes.commit import commit
from licet.ledger.commands import Grant, Granted
from licet.ledger.scopes import ScopeGrant, resolve_scope
from licet.model import Tenant
from licet.store.sqlite.store import SqliteStore
from support.cli.command_line import run
from support.once.made_once import copied_from

PASSWORD = "correct horse"
TENANT = "Jim_Test"


class CommandLine:
    """The command line on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.store_file = data / "licet.db"
        self.secrets_file = data / FILE_NAME
        self._sids = count(1)

    def run(self, *arguments: str, stdin: str | None = None, exit_code: int = 0) -> Result:
        """Run a command, piped. The environment names the data directory."""
        return run(*arguments, stdin=stdin, exit_code=exit_code, LICET_DATA=str(self.data))

    def out(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of a command that succeeds."""
        return self.run(*arguments, stdin=stdin).stdout

    def error(self, *arguments: str, exit_code: int = 1, stdin: str | None = None) -> str:
        """The message of a command that fails, which must be one line."""
        result = self.run(*arguments, exit_code=exit_code, stdin=stdin)
        assert not result.stdout
        (line,) = result.stderr.splitlines()
        said, _, text = line.partition(": ")
        assert said == "licet"
        return text

    def json(self, *arguments: str) -> Any:
        """The output of a command with `--json`."""
        return json.loads(self.out(*arguments, "--json"))

    def tenant(self) -> Tenant:
        """The tenant, read from the store."""
        store = SqliteStore(self.store_file, SystemClock())
        tenant = _tenant(store)
        store.close()
        return tenant

    def store(self) -> SqliteStore:
        """Its store, which the caller must close."""
        return SqliteStore(self.store_file, SystemClock())

    def grant(self, client_id: str, *scopes: str) -> str:
        """Begin a session of a client, and return its identifier."""
        store = SqliteStore(self.store_file, SystemClock())
        tenant = _tenant(store)
        client = tenant.clients[client_id]
        found = resolve_scope(tenant, client, scopes)
        assert isinstance(found, ScopeGrant)
        sid = f"{next(self._sids):08x}".encode().ljust(20, b"s")
        grant = Grant(
            tenant_id=tenant.id,
            client_key=client.key,
            sid=sid,
            scope=found.scope,
            pool_id=found.pool_id,
            other_pool_ids=found.other_pool_ids,
            address="192.0.2.1",
        )
        (outcome,) = commit(store, [grant])
        store.close()
        assert isinstance(outcome, Granted), outcome
        return sid.hex()


def _tenant(store: SqliteStore) -> Tenant:
    tenant = store.tenant(TENANT)
    assert tenant is not None
    return tenant


def new_data(data: Path) -> Path:
    """A data directory with a tenant of 5 seats, the user TC and the client TestClientId."""
    return Path(shutil.copytree(copied_from("data", _make) / "licet-data", data))


def _make(directory: Path) -> None:
    cli = CommandLine(directory / "licet-data")
    cli.run("init", "--tenant", TENANT, "--seats", "5")
    cli.run("user", "add", "TC", "--name", "Test Client", "--password-stdin", stdin=f"{PASSWORD}\n")
    cli.run("client", "add", "TestClientId", "--user", "TC")


def copy_of(made: Path, place: Path) -> CommandLine:
    """A copy of a data directory for one test."""
    return CommandLine(Path(shutil.copytree(made, place / "licet-data")))
