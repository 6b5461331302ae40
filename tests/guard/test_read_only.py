"""Which tokens are read-only: the server says it; `Guard`, `JwtGuard` and forward authentication agree."""

from collections.abc import Iterator

import httpx
import pytest

from licet.guard import Guard, JwtGuard
from licet.model import TokenFormat
from licet.testing import LicetServer
from licet.testing.tenant import LicetTenant
from support.guard.calling import CONTEXT
from support.guard.guarded import KINDS, Api


@pytest.fixture(scope="module")
def licet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LicetServer]:
    """A server whose clock stands still."""
    with LicetServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(params=TokenFormat)
def tenant(licet: LicetServer, request: pytest.FixtureRequest) -> Iterator[LicetTenant]:
    """A tenant with each kind of access token, a scope `audit` that is read-only, and `jobs` that is not."""
    tenant = licet.tenant(seats=1, token_format=request.param, clients=["Auditor", "Worker"])
    with tenant.changing() as setup:
        setup.add_scope("audit", read_only=True)
        setup.add_scope("jobs", read_only=False)
    yield tenant
    licet.clear()


def guards(tenant: LicetTenant) -> list[Guard]:
    """Each guard that takes the tokens of this tenant."""
    asking = Guard(tenant.url, *tenant.credentials("Api"), ssl_context=CONTEXT)
    if not tenant.token("Auditor", "view").startswith("eyJ"):
        return [asking]
    return [asking, JwtGuard(tenant.url, ssl_context=CONTEXT)]


def verified(tenant: LicetTenant, token: str, method: str) -> int:
    """How forward authentication answers to a proxy."""
    headers = {"Authorization": f"Bearer {token}", "X-Original-Method": method}
    return httpx.get(f"{tenant.url}/verify", headers=headers, verify=CONTEXT).status_code


@pytest.fixture(params=KINDS, ids=lambda made: made.__name__)
def api(request: pytest.FixtureRequest) -> Api:
    """Each kind of API."""
    kind: Api = request.param
    return kind


def test_a_read_only_scope_of_any_name_writes_nowhere(tenant: LicetTenant, api: Api) -> None:
    """It takes no seat, also where none is free: so it must do no work that needs one."""
    with tenant.full_pool():
        token = tenant.token("Auditor", "view audit")
        for guard in guards(tenant):
            headers = {"Authorization": f"Bearer {token}"}
            assert (api(guard, "GET", headers).status_code, api(guard, "POST", headers).status_code) == (
                200,
                403,
            )
            guard.close()
        assert (verified(tenant, token, "GET"), verified(tenant, token, "POST")) == (204, 403)


@pytest.mark.parametrize("scope", ["jobs", "view jobs", "audit jobs"])
def test_a_scope_that_may_write_writes_everywhere(tenant: LicetTenant, api: Api, scope: str) -> None:
    """One of several is enough."""
    token = tenant.token("Worker", scope)
    for guard in guards(tenant):
        assert api(guard, "POST", {"Authorization": f"Bearer {token}"}).status_code == 200
        guard.close()
    assert verified(tenant, token, "POST") == 204


def test_a_scope_that_becomes_read_only_writes_no_more_where_the_server_is_asked(licet: LicetServer) -> None:
    """By the set-up of today; a JWT that nobody asks about says what was so when it was issued."""
    tenant = licet.tenant("Changing", clients=["Worker"])
    with tenant.changing() as setup:
        setup.add_scope("jobs", read_only=False)
    token = tenant.token("Worker", "jobs")
    assert tenant.introspect(token)["read_only"] is False
    with tenant.changing() as setup:
        setup.set_scope("jobs", read_only=True)
    assert tenant.introspect(token)["read_only"] is True
    assert verified(tenant, token, "POST") == 403
