"""What an API that introspects meets while the connection by which a server reads is lost, or hangs."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from licet.store.postgres.store import PostgresStore
from support.server.running import PATIENCE_S, RunningServer, make_tenant
from support.store.postgres import Postgres
from support.store.with_empty_store import EMPTY
from support.waiting import until

READERS = "FROM pg_stat_activity WHERE datname = 'reads' AND application_name = 'licet reader'"


@pytest.fixture
def server(tmp_path: Path, stoppable: Postgres) -> Iterator[RunningServer]:
    """A server on PostgreSQL, with the tenant `Jim_Test`."""
    url = stoppable.create_database("reads", template=EMPTY)
    with closing(PostgresStore(url, answer_s=PATIENCE_S)) as store:
        make_tenant(store)
    with RunningServer(tmp_path, store=url) as running:
        yield running
    stoppable.drop_database("reads")


def token_of(server: RunningServer) -> str:
    """An access token, about which was asked once."""
    answer = server.ask("Jim_Test/token", "TestClientId", grant_type="client_credentials")
    token: str = answer.raise_for_status().json()["access_token"]
    assert introspected(server, token) == (200, True)
    return token


def introspected(server: RunningServer, token: str) -> tuple[int, bool]:
    """The status of an answer to an API, and whether the token is active."""
    answer = server.ask("Jim_Test/introspect", "Api", token=token)
    return answer.status_code, answer.is_success and answer.json()["active"]


def test_no_api_notices_that_the_database_ends_an_idle_connection(
    server: RunningServer, stoppable: Postgres
) -> None:
    """As a firewall or a restarted proxy does; the question is asked again by a new connection."""
    token = token_of(server)
    for _ in range(5):
        [(ended,)] = stoppable.execute(f"SELECT count(pg_terminate_backend(pid)) {READERS}")
        assert ended == 1
        until(lambda: stoppable.execute(f"SELECT count(*) {READERS}") == [(0,)])
        assert introspected(server, token) == (200, True)
        until(lambda: stoppable.execute(f"SELECT count(*) {READERS}") == [(1,)])


def test_a_database_that_hangs_stops_no_other_request(server: RunningServer, stoppable: Postgres) -> None:
    """The server goes on with what needs no database, and says 503 in time; then all is as before."""
    token = token_of(server)
    [(pid,)] = stoppable.execute(f"SELECT pid {READERS}")
    os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(introspected, server, token)
            answered = 0
            while not waiting.done():
                assert server.http.get("/health/live").status_code == 200
                answered += 1
        assert waiting.result() == (503, False)
        assert answered > 10
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: introspected(server, token) == (200, True))
