"""A data directory with a tenant, for tests of the command line's reports."""

from pathlib import Path

from typer.testing import Result

from licet.clock import ManualClock, SystemClock
from licet.lanes.commit import commit
from licet.ledger.commands import Command
from licet.model import Tenant
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from support.cli.command_line import run
from support.examples import add_tenant
from support.once.made_once import empty_store


class Site:
    """A data directory whose events happen `ago_s` seconds before now."""

    def __init__(self, data: Path, tenant: Tenant, *, ago_s: float = 60) -> None:
        self.data = data
        self.tenant = tenant
        self.clock = ManualClock(SystemClock().now_ms() - round(ago_s * 1000))
        self.store = SqliteStore(empty_store(data / SQLITE_NAME), self.clock)
        with self.store.transaction() as transaction:
            add_tenant(transaction.connection, tenant)
        self.store.refresh_tenants()

    def do(self, *commands: Command) -> None:
        """Commit these commands together."""
        for outcome in commit(self.store, commands):
            assert not isinstance(outcome, Exception), outcome

    def run(self, verb: str, *arguments: str, exit_code: int = 0) -> Result:
        """Run a command whose output is not a terminal."""
        return run(verb, "--data", str(self.data), *arguments, exit_code=exit_code)
