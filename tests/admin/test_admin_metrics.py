"""`GET /metrics` of a real server: who may, what it tells of requests, and what when things are broken."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from licet.accounts import administrators
from licet.admin import metrics
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.model import Role
from licet.store.opening import SQLITE_NAME
from licet.telemetry.metrics import Page
from support.server.running import PATIENCE_S, RunningServer
from support.waiting import until

if TYPE_CHECKING:
    from licet.admin.context import AdminContext
    from licet.telemetry.metrics import Metrics

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with an admin listener that commits in a process of its own."""
    with RunningServer(tmp_path_factory.mktemp("scraped"), admin=True, commit_process=True) as server:
        yield server


def key(server: RunningServer, name: str, role: Role = Role.VIEWER, tenant: str | None = None) -> str:
    """A new API key."""
    made = ApiKeys(read_keyring(server.data / FILE_NAME).pepper).generate()
    with server.store() as store, administrators.changing(store, "a test") as change:
        known = store.tenant(tenant) if tenant else None
        change.add_api_key(name, made, role=role, tenant_id=known.id if known else None)
    return made.key


def scrape(server: RunningServer, sent: str | None = None) -> httpx.Response:
    """The answer to a scraper with this key; the first may wait for the listener to be made."""
    headers = {} if sent is None else {"authorization": f"Bearer {sent}"}
    return httpx.get(f"{server.admin_url}/metrics", headers=headers, timeout=4 * PATIENCE_S)


def value(text: str, name: str, **labels: str) -> float:
    """One value of a page."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    raise LookupError(name)


def test_a_scrape_takes_a_key_that_may_look_at_all_tenants(scraped: RunningServer) -> None:
    """The safe default: metrics name every tenant."""
    assert scrape(scraped).status_code == 401
    assert scrape(scraped, "lck_nonsense").status_code == 401
    assert scrape(scraped, key(scraped, "of-one", tenant="Jim_Test")).status_code == 403
    page = scrape(scraped, key(scraped, "of-all"))
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_metrics_are_not_on_the_public_port(scraped: RunningServer) -> None:
    assert scraped.http.get("/metrics").status_code == 404


def test_what_the_committing_process_did_is_counted(scraped: RunningServer) -> None:
    """Its time and its news come with each batch."""
    sent = key(scraped, "counting")
    before = scrape(scraped, sent).text
    tokens = scraped.ask("Jim_Test/token", **GRANT).json()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    scraped.ask("Jim_Test/token", **form).raise_for_status()
    scraped.http.get("/Jim_Test/logoff", headers={"authorization": f"Bearer {tokens['access_token']}"})
    scraped.ask("Jim_Test/token", "nobody", **GRANT)
    after = scrape(scraped, sent).text

    def grown(name: str, **labels: str) -> float:
        try:
            return value(after, name, **labels) - value(before, name, **labels)
        except LookupError:
            return value(after, name, **labels)

    assert grown("licet_grants_total") == 1
    assert grown("licet_refreshes_total") == 1
    assert grown("licet_endings_total", reason="logoff") == 1
    assert grown("licet_http_requests_total", endpoint="token", status="200") == 2
    assert grown("licet_http_requests_total", endpoint="token", status="401") == 1
    assert grown("licet_http_request_duration_seconds_count", endpoint="logoff") == 1
    assert grown("licet_commit_duration_seconds_count") >= 3
    assert grown("licet_commit_duration_seconds_sum") > 0
    assert grown("licet_commit_batch_commands_sum") >= 3
    assert grown("licet_password_hash_duration_seconds_count") >= 1
    assert value(after, "licet_commit_process_resident_memory_bytes") > 0


def test_a_request_that_was_none_is_counted(scraped: RunningServer) -> None:
    sent = key(scraped, "strange")
    assert httpx.request("GET", f"{scraped.url}/x", headers={"x": "y" * 20_000}).status_code == 431
    assert value(scrape(scraped, sent).text, "licet_http_requests_total", endpoint="other", status="431") >= 1


def test_a_committing_process_that_dies_is_counted(scraped: RunningServer) -> None:
    sent = key(scraped, "dying")
    before = value(scrape(scraped, sent).text, "licet_commit_process_restarts_total")
    os.kill(scraped.committing(), signal.SIGKILL)
    until(lambda: value(scrape(scraped, sent).text, "licet_commit_process_restarts_total") == before + 1)


def test_a_server_that_commits_in_a_thread_tells_the_same_and_tells_of_a_store_that_is_gone(
    tmp_path: Path,
) -> None:
    """Nobody's key can be looked up then, and that is when metrics are wanted most."""
    with RunningServer(tmp_path, admin=True, commit_process=False) as server:
        sent, stranger = key(server, "before"), key(server, "new")
        server.ask("Jim_Test/token", **GRANT).raise_for_status()
        page = scrape(server, sent)
        assert page.status_code == 200
        assert value(page.text, "licet_grants_total") == 1
        assert value(page.text, "licet_commit_duration_seconds_count") >= 1
        assert "licet_commit_process_cpu" not in page.text
        (server.data / SQLITE_NAME).rename(server.data / "away.db")
        page = scrape(server, sent)
        assert page.status_code == 200
        assert value(page.text, "licet_store_up") == 0
        assert value(page.text, "process_open_fds") > 0
        assert scrape(server, stranger).status_code == 503


def test_metrics_that_are_public_need_nobody() -> None:
    """The metrics need no sign-in."""

    class Shown:
        is_public = True

        async def page(self, accept: str) -> Page:
            return Page(accept.encode(), "text/plain; version=0.0.4; charset=utf-8")

    application = FastAPI()
    application.include_router(metrics.router(cast("AdminContext", None), cast("Metrics", Shown())))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/metrics", headers={"accept": "text/x"})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.text) == (200, "text/x")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
