"""What a server on PostgreSQL does beside the requests: its node is the leader, and stays it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from licet.store.postgres.store import PostgresStore
from support.server.running import PATIENCE_S, RunningServer, make_tenant
from support.store.postgres import Postgres
from support.store.with_empty_store import EMPTY
from support.waiting import until

DATABASE = "upkeep"
WATCHERS = "SELECT pid FROM pg_stat_activity WHERE datname = 'upkeep' AND application_name = 'licet watcher'"


@pytest.fixture
def server(tmp_path: Path, postgres: Postgres) -> Iterator[RunningServer]:
    """A server with the tenant `Jim_Test`."""
    url = postgres.create_database(DATABASE, template=EMPTY)
    with closing(PostgresStore(url, answer_s=PATIENCE_S)) as store:
        make_tenant(store)
    with RunningServer(tmp_path, store=url) as running:
        yield running
    postgres.drop_database(DATABASE)


def test_a_server_clears_away_what_has_expired_and_folds_its_journal(
    server: RunningServer, postgres: Postgres
) -> None:
    """L4, L11. It listens on one connection meanwhile, by which it is the leader."""

    def count(table: str) -> int:
        [(found,)] = postgres.execute(f"SELECT count(*) FROM {table}", DATABASE)  # noqa: S608 - names of our own
        return int(found)

    until(lambda: len(postgres.execute(WATCHERS)) == 1)
    watchers = postgres.execute(WATCHERS)
    for _ in range(5):
        server.ask("Jim_Test/token", "TestClientId", grant_type="client_credentials").raise_for_status()
    assert count("session") == 5
    for table in ("seat", "session"):
        postgres.execute(f"UPDATE {table} SET expires_at_ms = 1", DATABASE)  # noqa: S608 - the same
    until(lambda: count("session") == count("seat") == 0)
    until(lambda: count("journal_entry") == 0)
    found = postgres.execute("SELECT kind, sum(times) FROM journal GROUP BY kind", DATABASE)
    assert dict(found) == {"granted": 5, "ended": 5}
    assert postgres.execute(WATCHERS) == watchers
