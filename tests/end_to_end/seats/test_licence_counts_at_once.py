"""A licence counts within a second for a server that runs, whoever installs it and wherever the store is."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet.accounts import administrators
from licet.clock import SystemClock
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.licences.armour import armoured
from licet.model import Role
from licet.store.opening import SQLITE_NAME
from licet.store.postgres.store import PostgresStore
from licet.store.sqlite.store import SqliteStore
from support.cli.command_line import run
from support.licences.signed_pools import text_of, the_vendor, vendor_file
from support.server.running import PATIENCE_S, RunningServer, make_tenant
from support.waiting import until

LICENCES = "/api/v1/tenants/Jim_Test/licences"


class Owner:
    """An owner of a running server, with the command line and an API key."""

    def __init__(self, server: RunningServer, key: str, store_url: str | None) -> None:
        self._server = server
        self._variables: dict[str, Any] = {} if store_url is None else {"LICET_STORE": store_url}
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/plain"}
        self._api = httpx.Client(base_url=server.admin_url, headers=headers, timeout=PATIENCE_S)

    def run(self, *verb: str, content: str) -> None:
        """A verb of the command line about a file."""
        run(*verb, "-", "--data", str(self._server.data), stdin=content, **self._variables)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """An operation of the API, which is done."""
        return self._api.request(method, path, **options).raise_for_status()

    def get_in(self) -> int:
        """How many of four clients have a seat."""
        names = ("TestClientId", "Client1", "Client2", "Client3")
        asked = [self._server.ask("Jim_Test/token", it, grant_type="client_credentials") for it in names]
        return sum(it.is_success for it in asked)

    def close(self) -> None:
        """Let go of the connection."""
        self._api.close()


@pytest.fixture(params=["sqlite", "postgres"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owner]:
    """A server of five seats, on either store."""
    url: str | None = None
    settings: dict[str, Any] = {}
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").create_database("licensed")
        settings = {"store": url}
        with closing(PostgresStore(url, create=True, answer_s=PATIENCE_S)) as store:
            make_tenant(store)
    with RunningServer(tmp_path, admin=True, **settings) as server:
        made = ApiKeys(read_keyring(server.data / FILE_NAME).pepper).generate()
        file = server.data / SQLITE_NAME
        opened = SqliteStore(file, SystemClock()) if url is None else PostgresStore(url, answer_s=PATIENCE_S)
        with closing(opened), administrators.changing(opened, "a test") as change:
            change.add_api_key("owner", made, role=Role.OWNER)
        with closing(Owner(server, made.key, url)) as made_owner:
            yield made_owner


def licence(serial: int, seats: int) -> str:
    """A licence; its seats come back as soon as there may be fewer."""
    return armoured(text_of("full", "all", serial=serial, seats=seats, hold=1))


def test_what_is_installed_and_removed_counts_within_a_second(owner: Owner) -> None:
    """By the command line and by the admin API; the server is not told, and not restarted."""
    owner.run("trust", "add", content=vendor_file(the_vendor()))
    owner.run("licence", "install", content=licence(1, 2))
    until(lambda: owner.get_in() == 2)
    owner.call("POST", LICENCES, content=licence(2, 3))
    until(lambda: owner.get_in() == 3)
    owner.call("DELETE", f"{LICENCES}/C-1/2?may_end=1000")
    until(lambda: owner.get_in() == 0)
    [steps] = [it["steps"] for it in owner.call("GET", "/api/v1/tenants/Jim_Test/pools").json()["items"]]
    assert [it["seats"] for it in steps] == [0]
