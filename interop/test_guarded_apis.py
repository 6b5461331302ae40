"""A small API in Go and in C#, each behind its own guard, against a real Licet with a signed pool.

The clocks are those of the machine. What needs an hour is in the vectors.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from interop.guarding import Built
from licet.cli.run.demo import PASSWORD

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # the tests' own server, and its vendor
from support.guard.licensed import BUILT, INSTALLATION, LicensedTenant
from support.licences.signed_pools import vendor_file
from support.licences.vendors import TestVendor
from support.server.running import RunningServer
from support.waiting import until

PATIENCE_S = 30.0
_NUMBERS = count(1)
pytestmark = pytest.mark.timeout(900)  # a cold build fetches what it needs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A Licet for all tests but the one that ends it."""
    with RunningServer(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def tenant(server: RunningServer) -> LicensedTenant:
    """A tenant of three seats, in no licence yet."""
    return _tenant(server)


def _tenant(server: RunningServer) -> LicensedTenant:
    tenant = LicensedTenant(server, f"Signed{next(_NUMBERS)}")
    with server.changing() as change:
        change.tenant(tenant.name).set_pool("full", seats=3)
    return tenant


class Api:
    """The API of a vendor, as its callers see it."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def call(self, granted: dict[str, Any], method: str = "POST", **headers: str) -> str:
        """What it answers to a token: the status, and the scopes that it saw or why not."""
        return self.ask(method, {"Authorization": f"Bearer {granted['access_token']}", **headers})

    def ask(self, method: str, headers: dict[str, str]) -> str:
        """The same to any headers."""
        answer = self._http.request(method, "/", headers=headers)
        content = answer.json()
        waits = answer.headers.get("Retry-After", "")
        if answer.status_code == 401:
            assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="api"')
        said = content.get("scopes", content.get("reason", waits or content.get("error")))
        return f"{answer.status_code} {said}".strip()


@contextmanager
def _api(guard: Built, tenant: LicensedTenant, vendor: TestVendor | None = None) -> Iterator[Api]:
    what = {
        "tenant_url": tenant.url,
        "client_id": "Api",
        "client_secret": PASSWORD,
        "built": BUILT.isoformat(),
        "installation": INSTALLATION,
        "vendor": json.loads(vendor_file(vendor or tenant.vendor)),
    }
    with guard.serving(what) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
        yield Api(http)


def test_whom_the_server_gave_a_seat_is_let_in(guard: Built, tenant: LicensedTenant) -> None:
    """Reading needs none; a session that was logged off has none, and its seat is the next one's."""
    tenant.install(tenant.signed(hold=1))
    first, second = tenant.grant(), tenant.grant("Client2")
    with _api(guard, tenant) as api:
        assert [api.call(it) for it in (first, second, first)] == ["200 all"] * 3
        assert api.call(tenant.grant(scope="view"), "GET") == "200 view"
        assert api.call(tenant.refresh(first).json()) == "200 all"
        headers = {"Authorization": f"Bearer {second['access_token']}"}
        assert tenant.server.http.post(f"/{tenant.name}/logoff", headers=headers).status_code == 200
        assert api.call(second) == "401 invalid_token"
        assert api.call(first) == "200 all"


def test_what_is_no_token_is_refused(guard: Built, tenant: LicensedTenant) -> None:
    """As RFC 6750 3.1 says; a token of another tenant, and one that may only read, are refused too."""
    tenant.install()
    other = _tenant(tenant.server)
    view = tenant.grant(scope="view")
    with _api(guard, tenant) as api:
        assert api.ask("GET", {}) == "401 invalid_request"
        assert api.ask("POST", {"Authorization": "Basic QTpC"}) == "400 invalid_request"
        assert api.ask("POST", {"Authorization": "Bearer"}) == "400 invalid_request"
        assert api.ask("POST", {"Authorization": "Bearer made.up"}) == "401 invalid_token"
        assert api.call({"access_token": tenant.grant()["refresh_token"]}) == "401 invalid_token"
        assert api.call(other.grant()) == "401 invalid_token"
        assert api.call(view) == "403 insufficient_scope"
        assert api.call(view, "GET", **{"X-HTTP-Method-Override": "POST"}) == "403 insufficient_scope"


def test_a_seat_that_the_vendor_did_not_sign_is_refused(guard: Built, tenant: LicensedTenant) -> None:
    """One of a licence for another installation counts in Licet, which does not look at it, and not here."""
    bound = tenant.signed(name="C-2", seats=1, claims={"installation": "A" * 43})
    tenant.install(tenant.signed(), bound)
    seats = [tenant.grant(name) for name in ("TestClientId", "Client2", "Client3")]
    with _api(guard, tenant) as api:
        assert [api.call(it) for it in seats] == ["200 all", "200 all", "403 beyond_licence"]
        assert api.call(seats[2], "GET") == "200 all"  # who only reads needs none


def test_the_licence_of_another_vendor_counts_for_nothing(guard: Built, tenant: LicensedTenant) -> None:
    """Though the Licet of the customer trusts it."""
    tenant.install()
    with _api(guard, tenant, TestVendor()) as api:
        assert api.call(tenant.grant()) == "403 unknown_vendor"
        assert api.call(tenant.grant(scope="view"), "GET") == "200 view"


def test_a_licence_that_is_installed_later_counts_at_once(guard: Built, tenant: LicensedTenant) -> None:
    """Before there is one, a token has no seat; an upgrade counts before a request is refused."""
    with _api(guard, tenant) as api:
        assert api.call(tenant.grant()) == "401 invalid_token"
        tenant.install(tenant.signed(seats=1, hold=1))
        assert api.call(tenant.grant()) == "200 all"


def test_an_upgrade_counts_before_anybody_is_refused_for_long(guard: Built, tenant: LicensedTenant) -> None:
    """Ten seconds after the last fetch at most, and not with the next one of those every five minutes."""
    tenant.install(tenant.signed(seats=1))
    with _api(guard, tenant) as api:
        assert api.call(tenant.grant()) == "200 all"
        tenant.install(tenant.signed(serial=2, seats=2))
        second = tenant.grant("Client2")
        until(lambda: api.call(second) == "200 all", within_s=PATIENCE_S)


def test_without_its_server_an_api_refuses(guard: Built, tmp_path: Path) -> None:
    """Until it is there again."""
    with RunningServer(tmp_path) as server:
        tenant = _tenant(server)
        tenant.install()
        granted = tenant.grant()
        with _api(guard, tenant) as api:
            assert api.call(granted) == "200 all"
            server.kill()
            assert api.call(granted) == "503 2"
