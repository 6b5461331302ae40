"""`licet.guard`: who is let in, as whom, and what the others are told."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from licet.guard import Guard, Identity, Refused, identity
from licet.guard.fastapi import dependency
from support.guard.calling import CONTEXT
from support.guard.frameworks import FRAMEWORKS
from support.guard.guarded import KINDS, Api, fastapi, plain, wsgi
from support.server.running import RunningServer
from support.server.served_tenant import ServedTenant
from support.web.http_site import PATIENCE_S

PATIENCE = timedelta(seconds=PATIENCE_S)


@pytest.fixture(params=[*KINDS, *FRAMEWORKS], ids=lambda made: made.__name__)
def api(request: pytest.FixtureRequest) -> Api:
    """Each kind of API, also in the frameworks that people use."""
    kind: Api = request.param
    return kind


@pytest.fixture(scope="module")
def tenant(server: RunningServer) -> ServedTenant:
    """A tenant for these tests; its two seats are of `TestClientId` and `Client2`."""
    return ServedTenant(server, "Guarded")


@pytest.fixture(scope="module")
def guard(tenant: ServedTenant) -> Iterator[Guard]:
    """A guard of the tenant."""
    guard = guard_of(tenant)
    yield guard
    guard.close()


@pytest.fixture(scope="module")
def bad_tokens(tenant: ServedTenant) -> dict[str, str]:
    """Tokens that nobody may come in with."""
    over, revoked, kept = tenant.grant(), tenant.grant("Client2"), tenant.grant("Client3", scope="view")
    tenant.post("logoff", authorization=f"Bearer {over['access_token']}")
    tenant.ask("revoke", "Client2", token=revoked["refresh_token"])
    foreign = ServedTenant(tenant.server, "Foreign").grant()
    return {
        "logged off": over["access_token"],
        "revoked": revoked["access_token"],
        "a refresh token": kept["refresh_token"],
        "of another tenant": foreign["access_token"],
        "forged": kept["access_token"][:-2] + "AA",
        "anything": "x",
    }


def guard_of(tenant: ServedTenant, **options: Any) -> Guard:
    """A guard that asks as `Api`."""
    url = f"{tenant.server.url}/{tenant.name}"
    return Guard(url, "Api", "password", ssl_context=CONTEXT, timeout=PATIENCE, **options)


def bearer(token: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {token}"}


class TestLetIn:
    """With a token that is live."""

    def test_a_handler_is_told_who_calls(self, tenant: ServedTenant, guard: Guard, api: Api) -> None:
        """RFC 7662 2.2, in types."""
        token = tenant.grant("Client2")["access_token"]
        found = api(guard, "POST", bearer(token))
        assert found.status_code == 200, found.text
        assert found.json() == {
            "tenant": tenant.name,
            "client": "Client2",
            "user": "C2",
            "scopes": ["all"],
            "session": tenant.introspect(token)["sid"],
            "pool": "full",
            "read_only": False,
            "features": [],
        }

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    def test_a_token_that_may_look_makes_safe_requests(
        self, tenant: ServedTenant, guard: Guard, api: Api, method: str
    ) -> None:
        """RFC 9110 9.2.1."""
        token = tenant.grant(scope="view")["access_token"]
        assert api(guard, method, bearer(token)).status_code == 200

    def test_the_scheme_is_case_insensitive(self, tenant: ServedTenant, guard: Guard, api: Api) -> None:
        """RFC 9110 11.1."""
        token = tenant.grant()["access_token"]
        assert api(guard, "GET", {"Authorization": f"bEARER  {token}"}).status_code == 200

    @pytest.mark.parametrize("kind", [plain, wsgi])
    def test_a_public_path_needs_no_token(self, guard: Guard, kind: Api) -> None:
        """As a whole, and nothing below it."""
        assert kind(guard, "GET", {}, "/health").status_code == 200
        for path in ("/health/", "/healthy", "/health/../jobs", "//health"):
            assert kind(guard, "GET", {}, path).status_code == 401


class TestNoToken:
    """Nothing to ask about."""

    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearerx y"}])
    def test_who_sends_no_token_gets_a_challenge_without_an_error(
        self, guard: Guard, api: Api, headers: dict[str, str]
    ) -> None:
        """RFC 6750 3.1."""
        found = api(guard, "GET", headers)
        assert found.status_code == 401
        assert found.headers["www-authenticate"] == 'Bearer realm="licet"'
        assert found.headers["cache-control"] == "no-store"

    def test_a_token_in_the_query_is_none(self, tenant: ServedTenant, guard: Guard) -> None:
        """RFC 6750 2.3: it would stand in every log."""
        token = tenant.grant()["access_token"]
        assert plain(guard, "GET", {}, f"/?access_token={token}").status_code == 401

    @pytest.mark.parametrize(
        "value",
        ["Bearer", "Bearer ", "Bearer a b", 'Bearer "a"', "Bearer a,Bearer b", "Bearer " + "x" * 5000],
    )
    def test_a_malformed_header_is_told_as_such(self, guard: Guard, api: Api, value: str) -> None:
        """RFC 6750 3.1: invalid_request, and no question is asked."""
        found = api(guard, "GET", {"Authorization": value})
        assert found.status_code == 400
        assert 'error="invalid_request"' in found.headers["www-authenticate"]

    @pytest.mark.parametrize("kind", [plain, fastapi])
    def test_two_headers_are_one_too_many(self, tenant: ServedTenant, guard: Guard, kind: Api) -> None:
        """Which of them an application behind would read, nobody knows."""
        token = tenant.grant()["access_token"]
        headers = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer other")]
        assert kind(guard, "GET", headers).status_code == 400


class TestBadToken:
    """A token that is not live here."""

    def test_all_of_them_get_one_answer(self, bad_tokens: dict[str, str], guard: Guard, api: Api) -> None:
        """RFC 6750 3.1: 401 and invalid_token."""
        for name, token in bad_tokens.items():
            found = api(guard, "GET", bearer(token))
            assert found.status_code == 401, name
            assert 'Bearer realm="licet", error="invalid_token"' in found.headers["www-authenticate"]

    def test_a_session_that_ends_is_out_at_once_without_a_cache(self, tenant: ServedTenant, api: Api) -> None:
        """L4, for those who want it so."""
        guard = guard_of(tenant, cache=timedelta(0))
        token = tenant.grant()["access_token"]
        assert api(guard, "GET", bearer(token)).status_code == 200
        tenant.post("logoff", authorization=f"Bearer {token}")
        assert api(guard, "GET", bearer(token)).status_code == 401
        guard.close()


class TestScope:
    """A token that is live, and does not reach this far."""

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_a_token_that_may_look_changes_nothing(
        self, tenant: ServedTenant, guard: Guard, api: Api, method: str
    ) -> None:
        """The seed: `view` is read only. The answer names what is missing."""
        found = api(guard, method, bearer(tenant.grant(scope="view")["access_token"]))
        assert found.status_code == 403
        told = found.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in told
        assert told.endswith('scope="all"')

    @pytest.mark.parametrize("method", ["TRACE", "get", "PROPFIND", "CONNECT", ""])
    def test_a_method_that_is_not_known_to_be_safe_is_not(
        self, tenant: ServedTenant, guard: Guard, method: str
    ) -> None:
        """RFC 9110 9.1: methods are case-sensitive."""
        token = tenant.grant(scope="view")["access_token"]
        with pytest.raises(Refused, match="insufficient_scope"):
            guard.check(method, f"Bearer {token}")

    @pytest.mark.parametrize(
        "name", ["X-HTTP-Method-Override", "X-Http-Method", "x-method-override", "X_Method_Override"]
    )
    def test_a_get_that_names_another_method_is_not_safe(
        self, tenant: ServedTenant, guard: Guard, api: Api, name: str
    ) -> None:
        """Some frameworks believe such a header."""
        token = tenant.grant(scope="view")["access_token"]
        assert api(guard, "GET", {**bearer(token), name: "DELETE"}).status_code == 403

    def test_both_scopes_together_may_write(self, tenant: ServedTenant, guard: Guard, api: Api) -> None:
        """L1: `view all` holds a seat."""
        token = tenant.grant(scope="view all")["access_token"]
        assert api(guard, "POST", bearer(token)).status_code == 200

    def test_scopes_that_an_api_needs_are_needed_for_everything(self, tenant: ServedTenant, api: Api) -> None:
        """All of them, and the answer names them."""
        guard = guard_of(tenant, scopes=["all", "view"])
        found = api(guard, "GET", bearer(tenant.grant()["access_token"]))
        assert found.status_code == 403
        assert found.headers["www-authenticate"].endswith('scope="all view"')
        token = tenant.grant("Client2", scope="view all")["access_token"]
        assert api(guard, "GET", bearer(token)).status_code == 200
        guard.close()

    def test_an_api_may_take_a_scope_for_read_only(self, tenant: ServedTenant, api: Api) -> None:
        """Whatever the server says: an API can only take away."""
        guard = guard_of(tenant, read_only_scopes=["all"])
        assert api(guard, "POST", bearer(tenant.grant()["access_token"])).status_code == 403
        guard.close()


class TestAsker:
    """A guard that may not ask lets nobody in."""

    @pytest.mark.parametrize("secret", ["wrong", "password"])
    def test_a_guard_that_is_not_believed_refuses_everybody(
        self, tenant: ServedTenant, api: Api, caplog: pytest.LogCaptureFixture, secret: str
    ) -> None:
        """503, and its log says why; the token is in neither."""
        url = f"{tenant.server.url}/{tenant.name}"
        guard = Guard(
            url, "Api" if secret == "wrong" else "Client2", secret, ssl_context=CONTEXT, timeout=PATIENCE
        )
        token = tenant.grant()["access_token"]
        found = api(guard, "GET", bearer(token))
        assert found.status_code == 503
        assert found.headers["retry-after"] == "2"
        assert "www-authenticate" not in found.headers
        why = "answers 401 invalid_client" if secret == "wrong" else "answers 400 unauthorized_client"
        assert f"{url}/introspect {why}; requests are refused" in caplog.text
        assert token not in caplog.text
        guard.close()


def test_a_handler_without_a_guard_is_told() -> None:
    """Rather than given somebody."""
    with pytest.raises(LookupError, match="no guard"):
        identity({})


def test_the_base_install_is_enough_for_clients_and_guard() -> None:
    """httpx, and nothing of the server, only what reads licences; import-linter says the same."""
    lines = "import sys, licet.admin_client, licet.client, licet.guard; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    loaded = set(found.stdout.split())
    assert not loaded & {
        "msgspec",
        "fastapi",
        "starlette",
        "uvicorn",
        "sqlalchemy",
        "pydantic",
        "cryptography",
    }
    ours = {it for it in loaded if it.startswith("licet")}
    assert {it.split(".")[1] for it in ours - {"licet"}} == {
        "admin_client",
        "client",
        "guard",
        "licences",
    }


def test_a_dependency_is_in_the_document_of_the_api(guard: Guard) -> None:
    """So that its readers know that a token is needed."""
    app = FastAPI()

    @app.get("/jobs")
    async def jobs(who: Annotated[Identity, Depends(dependency(guard))]) -> str:
        return who.tenant

    document = app.openapi()
    assert document["paths"]["/jobs"]["get"]["security"] == [{"licet": []}]
    assert document["components"]["securitySchemes"]["licet"]["scheme"] == "bearer"


def test_a_dependency_may_need_more(tenant: ServedTenant, guard: Guard) -> None:
    """Beside what the guard needs."""
    app = FastAPI()

    @app.get("/")
    async def jobs(who: Annotated[Identity, Depends(dependency(guard, ["view"]))]) -> str:
        return who.tenant

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api", verify=CONTEXT) as http:
            found = await http.get("/", headers=bearer(tenant.grant()["access_token"]))
        await guard.aclose()
        return found

    found = asyncio.run(run())
    assert found.status_code == 403
    assert found.headers["www-authenticate"].endswith('scope="view"')
