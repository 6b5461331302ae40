"""A running server with a dashboard and an administrator of each role, and an HTTP client of its pages.

    with DashboardSite(tmp_path) as site, site.reader("ada") as reader:
        reader.get("/seats")
        reader.post("/seats/end", seat="full/client:TestClientId", sure="1")

Every administrator's password is PASSWORD.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, select, update

from licet.accounts import administrators
from licet.credentials.passwords import Passwords
from licet.model import Role
from licet.setup.change import SetupChange
from licet.store import schema
from licet.store.contract import Store
from support.server.running import PATIENCE_S, RunningServer

PASSWORD = "correct horse battery"
ADMINS = {"ada": Role.OWNER, "oscar": Role.OPERATOR, "vera": Role.VIEWER}

_HASH = Passwords(memory_kib=1024, time_cost=1).hash(PASSWORD)
_CSRF = re.compile(r'name="csrf" value="([^"]*)"')
_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


class DashboardSite(RunningServer):
    """A running server with a dashboard."""

    def __init__(self, data: Path, **settings: Any) -> None:
        super().__init__(data, admin=True, **settings)
        with self.store() as store:
            for name, role in ADMINS.items():
                add_admin(store, name, role)

    def add_owner(self, name: str, tenant_name: str) -> None:
        """Add an owner of one tenant only."""
        with self.store() as store:
            tenant = store.tenant(tenant_name)
            assert tenant is not None
            add_admin(store, name, Role.OWNER, tenant.id)

    def take(self, client_id: str = "TestClientId", **form: str) -> httpx.Response:
        """Ask for a token of a client, by HTTP, and return the answer."""
        return self.ask("Jim_Test/token", client_id, grant_type="client_credentials", **form)

    @contextmanager
    def reader(self, name: str | None = "ada", **options: Any) -> Iterator["Reader"]:
        """A client that is signed in as this administrator; with None it is not signed in."""
        with reader_of(self, **options) as reader:
            if name is not None:
                assert reader.sign_in(name).status_code == 303
            yield reader


class Reader:
    """A client of the pages without a browser: it keeps cookies, and adds the CSRF token to forms."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self._csrf: dict[
            tuple[str | None, ...], str
        ] = {}  # by cookies: all pages of a sign-in have the same token

    def sign_in(self, name: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        """Sign in with the form."""
        return self.http.post("/sign-in", data={"name": name, "password": password, **fields})

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Get a page."""
        return self.http.get(path, headers=headers)

    def csrf(self, path: str = "/seats") -> str:
        """The CSRF token in the forms of a page."""
        found = _CSRF.search(self.get(path).text)
        assert found, f"{path} has no form"
        return found[1]

    def post(self, path: str, **fields: str | list[str]) -> httpx.Response:
        """Send a form."""
        cookies = tuple(cookie.value for cookie in self.http.cookies.jar)
        if cookies not in self._csrf:
            self._csrf[cookies] = self.csrf()
        return self.http.post(path, data={"csrf": self._csrf[cookies], **fields})


@contextmanager
def reader_of(site: RunningServer, **options: Any) -> Iterator[Reader]:
    """A client of a server's pages, not signed in."""
    with httpx.Client(base_url=site.admin_url, timeout=PATIENCE_S, **options) as http:
        yield Reader(http)


def add_admin(store: Store, name: str, role: Role, tenant_id: int | None = None) -> None:
    """Add an administrator with PASSWORD."""
    with administrators.changing(store, "a test") as change:
        change.add_admin(name, password_hash=_HASH, role=role, tenant_id=tenant_id)


def heading(page: httpx.Response) -> str:
    """The heading of a page."""
    found = _HEADING.search(page.text)
    assert found, page.text[:400]
    return " ".join(unescape(_TAG.sub("", found[1])).split())


def hidden(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    return {unescape(name): unescape(text) for name, text in _HIDDEN.findall(page.text)}


def fill(change: SetupChange, name: str, rows: int) -> None:
    """Add a tenant with this many seats in use, by rows alone: grants would take a minute."""
    setup = change.add_tenant(name, seats=2 * rows)
    setup.add_user("MM", name="Many Machines")
    setup.add_client("Machine", user="MM")
    tenant, now_ms = setup.tenant, change.transaction.now_ms
    connection = change.transaction.connection
    pool = connection.execute(select(schema.pool).filter_by(tenant_id=tenant.id)).one()
    key = connection.execute(select(schema.client.c.key).filter_by(tenant_id=tenant.id)).scalar_one()
    shared = {"tenant_id": tenant.id, "pool_id": pool.id, "expires_at_ms": now_ms + 1_200_000}
    holders = [(f"session:{number:040x}", now_ms - number) for number in range(rows)]
    taken = {"client_id": "Machine", "initials": "MM"}
    connection.execute(
        insert(schema.seat),
        [{**shared, **taken, "holder": holder, "taken_at_ms": at_ms} for holder, at_ms in holders],
    )
    begun = {"client_key": key, "scope": "all", "renewed_at_ms": now_ms, "address": "192.0.2.7"}
    connection.execute(
        insert(schema.session),
        [
            {**shared, **begun, "holder": holder, "started_at_ms": at_ms, "sid": number.to_bytes(20, "big")}
            for number, (holder, at_ms) in enumerate(holders)
        ],
    )
    connection.execute(update(schema.pool).filter_by(id=pool.id).values(in_use=rows))
