"""The OpenAPI document of the public listener is true: it is valid, whole, and what a running server does."""

import ast
import inspect
import json
from collections.abc import Iterator
from functools import cache
from textwrap import dedent
from typing import Any, cast

import httpx
import jsonschema_rs
import pytest
import schemathesis
from schemathesis import Case

from licet.cli.run.demo import PASSWORD
from licet.model import NoSeatReason, TokenFormat
from licet.protocol.errors import Refusal
from licet.protocol.metadata import tenant_at
from licet.web.public import PublicApp
from support.many import few
from support.paths import DOCS
from support.server.running import RunningServer
from support.server.served_tenant import ServedTenant, suspend
from support.web.described import send_all
from support.web.exchanges import never_newer

DOCUMENT: dict[str, Any] = json.loads((DOCS / "reference" / "openapi.json").read_text(encoding="utf-8"))
METHODS = frozenset({"get", "head", "post"})

# The same requests at every run. That data which fits is accepted cannot be asked: no schema tells which
# refresh token is one.
SETTINGS: dict[str, Any] = {
    "generation": {"deterministic": True, "database": "none"},
    "parameters": {"tenant": "Jim_Test"},
    "checks": {"positive_data_acceptance": {"enabled": False}},
}
API = schemathesis.openapi.from_dict(DOCUMENT, config=schemathesis.Config.from_dict(SETTINGS))
ASKED = [
    (path, method) for path, item in DOCUMENT["paths"].items() for method in sorted(METHODS & item.keys())
]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each operation."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the document, or the one that it refers to."""
    if "$ref" not in part:
        return part
    found: Any = DOCUMENT
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return cast("dict[str, Any]", found)


def contents(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The media types of a request body or response."""
    yield from resolved(part).get("content", {}).values()


def errors_of(operation: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Error code, status and example of each refusal that an operation shows."""
    for status, response in operation["responses"].items():
        for content in contents(response):
            for example in content["examples"].values():
                if "error" in example["value"]:
                    yield example["value"]["error"], int(status), example["value"]


class TestDocument:
    """The document for itself."""

    def test_it_is_an_openapi_document(self) -> None:
        """OpenAPI 3.1, by its own schema."""
        API.validate()
        assert DOCUMENT["openapi"].startswith("3.1.")

    def test_every_example_fits_its_schema(self) -> None:
        """Of requests and of answers."""
        examples = 0
        for _, _, operation in operations():
            parts = [*operation["responses"].values(), *filter(None, [operation.get("requestBody")])]
            for content in (content for part in parts for content in contents(part)):
                root = {**content["schema"], "components": DOCUMENT["components"]}
                validator = jsonschema_rs.Draft202012Validator(root)
                for example in content["examples"].values():
                    validator.validate(example["value"])
                    examples += 1
        assert examples > 50

    def test_no_component_is_left_over(self) -> None:
        """What is described is used."""
        text = json.dumps(DOCUMENT)
        for kind, parts in DOCUMENT["components"].items():
            used = {name for name in parts if f'"#/components/{kind}/{name}"' in text}
            named = {name for name in parts if kind == "securitySchemes" and f'"{name}": []' in text}
            assert used | named == parts.keys(), kind

    def test_every_refusal_is_in_it(self) -> None:
        """The error table, but for another method, which is no operation."""
        shown = {
            (error, status) for _, _, operation in operations() for error, status, _ in errors_of(operation)
        }
        table = {(it.error, it.status) for it in Refusal if it is not Refusal.METHOD_NOT_ALLOWED}
        assert table <= shown

    def test_every_reason_is_in_it(self) -> None:
        """Why no seat is free, and that somebody fails too often."""
        grant = DOCUMENT["paths"]["/{tenant}/token"]["post"]
        shown = {example["reason"] for _, _, example in errors_of(grant) if "reason" in example}
        assert shown == {*NoSeatReason, "rate_limited"}
        assert shown == set(DOCUMENT["components"]["schemas"]["Error"]["properties"]["reason"]["enum"])


class TestRoutes:
    """The document and the public listener name the same paths and methods."""

    def test_every_endpoint_of_the_listener_is_in_it(self) -> None:
        """Those of a tenant."""
        nobody = cast("Any", None)
        application = PublicApp(
            clock=nobody,
            find_tenant=nobody,
            commits=nobody,
            reads=nobody,
            authenticator=nobody,
            tokens=nobody,
            public_url="",
            trouble=nobody,
            store_failed=nobody,
            measures=nobody,
            refusals=nobody,
            tarpit=nobody,
            recorder=nobody,
            waiting=nobody,
            latest_setup=never_newer,
        )
        served = {
            f"/{{tenant}}/{name}": {method.lower() for method in methods}
            for name, (methods, _) in application._routes.items()
        }
        described = {
            path: METHODS & item.keys() for path, item in DOCUMENT["paths"].items() if path in served
        }
        assert described == served

    def test_every_document_of_the_listener_is_in_it(self) -> None:
        """What needs no client, as `PublicApp._document` matches it."""
        endpoints = {
            "/{tenant}/token", "/{tenant}/logoff", "/{tenant}/revoke", "/{tenant}/introspect",
            "/{tenant}/licences", "/{tenant}/verify",
        }  # fmt: skip
        addresses = {f"/{at}{{tenant}}{below}" for at, below in ((f"{METADATA}/", ""), ("", f"/{METADATA}"))}
        assert set(matched_paths()) | addresses == DOCUMENT["paths"].keys() - endpoints
        for address in addresses:
            segments = address.replace("{tenant}", "Jim_Test").split("/")[1:]
            assert tenant_at(segments, "https://licence.example.com") == "Jim_Test"

    @pytest.mark.parametrize(("path", "method"), sorted((path, method) for path, method, _ in operations()))
    def test_the_listener_has_every_operation_and_no_other(
        self, path: str, method: str, strict_server: RunningServer
    ) -> None:
        """RFC 9110 15.5.6: `Allow` names what there is."""
        url = path.replace("{tenant}", "Jim_Test")
        assert strict_server.http.request(method, url).status_code != 405
        if path == "/{tenant}/verify":  # which a proxy may ask by any
            return
        refused = strict_server.http.put(url)
        assert refused.status_code == 405
        allowed = {name.strip().lower() for name in refused.headers["allow"].split(",")}
        assert allowed == METHODS & DOCUMENT["paths"][path].keys()


METADATA = ".well-known/oauth-authorization-server"


def matched_paths() -> Iterator[str]:
    """The patterns of `PublicApp._document`, as paths."""
    tree = ast.parse(dedent(inspect.getsource(PublicApp._document)))
    for sequence in (node for node in ast.walk(tree) if isinstance(node, ast.MatchSequence)):
        segments = []
        for part in sequence.patterns:
            if isinstance(part, ast.MatchValue):
                assert isinstance(part.value, ast.Constant)
                segments.append(str(part.value.value))
            else:
                segments.append("{tenant}")
        yield "/" + "/".join(segments)


class TestAnswers:
    """Answers of a running server, each held against the document."""

    def test_a_session_from_grant_to_logoff(self, tenant: ServedTenant) -> None:
        """All that goes well."""
        granted = must_fit("/{tenant}/token", tenant.ask("token", grant_type="client_credentials"), 200)
        tokens = granted.json()
        must_fit("/{tenant}/token", tenant.refresh(tokens), 200)
        must_fit("/{tenant}/token", tenant.refresh(tokens, scope="all"), 200)
        asked = must_fit(
            "/{tenant}/introspect", tenant.ask("introspect", "Api", token=tokens["access_token"]), 200
        )
        assert asked.json()["active"] is True
        asked = must_fit(
            "/{tenant}/introspect",
            tenant.ask("introspect", "Api", token=tokens["refresh_token"], token_type_hint="refresh_token"),
            200,
        )
        assert asked.json()["token_type"] == "refresh_token"
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        passed = tenant.server.http.get(f"/{tenant.name}/verify", headers=bearer)
        must_fit("/{tenant}/verify", passed, 204, method="GET")
        left = must_fit("/{tenant}/logoff", tenant.post("logoff", **bearer), 200)
        assert left.json() == {"logged_off": True, "seat_released": True}
        again = tenant.ask("logoff", refresh_token=tokens["refresh_token"])
        assert must_fit("/{tenant}/logoff", again, 200).json()["seat_released"] is False
        must_fit("/{tenant}/revoke", tenant.ask("revoke", token=tokens["access_token"]), 200)
        gone = must_fit(
            "/{tenant}/introspect", tenant.ask("introspect", "Api", token=tokens["access_token"]), 200
        )
        assert gone.json() == {"active": False}

    @pytest.mark.parametrize("status", [400, 429, 503])
    def test_no_seat_with_each_status_that_a_tenant_may_choose(
        self, status: int, tenant: ServedTenant
    ) -> None:
        """L6: all in use, none at all; L7: expired; L12: suspended."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set(no_seat_status=status)
        for client_id in ("Client2", "Client3"):
            tenant.grant(client_id)
        full = must_fit("/{tenant}/token", tenant.ask("token", grant_type="client_credentials"), status)
        assert full.json()["retry_after"] == int(full.headers["retry-after"])
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", seats=0)
        none = must_fit("/{tenant}/token", tenant.ask("token", grant_type="client_credentials"), status)
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", expires_at_ms=1)
        expired = must_fit("/{tenant}/token", tenant.ask("token", grant_type="client_credentials"), status)
        suspend(tenant, seconds=300)
        suspended = must_fit("/{tenant}/token", tenant.ask("token", grant_type="client_credentials"), status)
        reasons = [answer.json()["reason"] for answer in (full, none, expired, suspended)]
        assert reasons == ["all_in_use", "no_seats", "licence_expired", "suspended"]

    def test_what_a_client_does_wrong(self, tenant: ServedTenant) -> None:
        """One of each kind."""
        wrong = tenant.ask("token", "TestClientId", "wrong", grant_type="client_credentials")
        must_fit("/{tenant}/token", wrong, 401)
        must_fit("/{tenant}/token", tenant.ask("token", grant_type="password"), 400)
        must_fit("/{tenant}/token", tenant.ask("token", grant_type="client_credentials", scope="no"), 400)
        must_fit("/{tenant}/token", tenant.ask("token", grant_type="refresh_token", refresh_token="no"), 400)
        must_fit("/{tenant}/introspect", tenant.ask("introspect", token="no"), 400)
        must_fit("/{tenant}/revoke", tenant.ask("revoke"), 400)
        must_fit("/{tenant}/logoff", tenant.post("logoff", authorization="Bearer no"), 401)
        must_fit("/{tenant}/logoff", tenant.post("logoff"), 401)
        must_fit("/{tenant}/logoff", tenant.server.http.get(f"/{tenant.name}/logoff"), 401, method="GET")
        verify = f"/{tenant.name}/verify"
        must_fit("/{tenant}/verify", tenant.server.http.get(verify), 401, method="GET")
        view = {"authorization": f"Bearer {tenant.grant(scope='view')['access_token']}"}
        must_fit("/{tenant}/verify", tenant.server.http.get(verify, headers=view), 403, method="GET")
        must_fit("/{tenant}/token", tenant.post("token", b"a" * 9000), 413)
        long = {"x-long": "a" * 20_000}
        must_fit("/{tenant}/token", tenant.post("token", **long), 431)

    def test_a_tenant_with_jwts(self, tenant: ServedTenant) -> None:
        """RFC 9068; the metadata name the keys."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set(token_format=TokenFormat.JWT)
        tokens = must_fit("/{tenant}/token", tenant.ask("token", grant_type="client_credentials"), 200).json()
        asked = tenant.ask("introspect", "Api", token=tokens["access_token"])
        assert must_fit("/{tenant}/introspect", asked, 200).json()["active"] is True
        address = f"/{{tenant}}/{METADATA}"
        found = tenant.server.http.get(address.replace("{tenant}", tenant.name))
        assert "jwks_uri" in must_fit(address, found, 200, method="GET").json()

    def test_documents(self, tenant: ServedTenant) -> None:
        """What needs no client."""
        http = tenant.server.http
        for path in ("/health/live", "/health/ready"):
            must_fit(path, http.get(path), 200, method="GET")
        for path in (path for path in matched_paths() if "{tenant}" in path):
            must_fit(path, http.get(path.replace("{tenant}", tenant.name)), 200, method="GET")
            must_fit(path, http.get(path.replace("{tenant}", "Nobody")), 404, method="GET")

    def test_too_many_failures(self, strict_server: RunningServer) -> None:
        """RFC 6749 2.3.1: guessing is limited."""
        for _ in range(4):
            headers = {"x-forwarded-for": "198.51.100.77"}
            refused = strict_server.http.post(
                "/Jim_Test/token", headers=headers, auth=("Client6", "wrong"), data={"a": "b"}
            )
        assert must_fit("/{tenant}/token", refused, 429).json()["reason"] == "rate_limited"

    def test_a_store_out_of_reach(self, stranded_server: RunningServer) -> None:
        """Never `invalid_client`."""
        refused = stranded_server.ask("Jim_Test/token", grant_type="client_credentials")
        assert must_fit("/{tenant}/token", refused, 503).json()["error"] == "server_error"


def must_fit(path: str, response: httpx.Response, status: int, *, method: str = "POST") -> httpx.Response:
    """This answer, if it is one of the document's."""
    assert response.status_code == status, response.text
    described = resolved(DOCUMENT["paths"][path][method.lower()]["responses"][str(status)])
    kept = resolved(described["headers"]["Cache-Control"])["schema"]["const"]
    assert response.headers["cache-control"] == kept
    optional = {"Retry-After", "Preference-Applied"}
    assert {name for name in described["headers"] if name not in response.headers} <= optional
    if not described.get("content"):
        assert response.content == b""
    API[path][method].validate_response(response)
    return response


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, which lets everybody try passwords as often as they like."""
    data, often = tmp_path_factory.mktemp("openapi"), 1_000_000
    with RunningServer(
        data, login_failures_per_client_max=often, login_failures_per_source_max=often
    ) as running:
        yield running.url


@pytest.mark.parametrize("examples", few([3, 50], 1))
@pytest.mark.parametrize(("path", "method"), ASKED)
def test_any_request_gets_an_answer_of_the_document(path: str, method: str, examples: int, url: str) -> None:
    """Schemathesis sends what fits the document and what does not, without credentials that are right."""
    send_all(api(examples), path, method, lambda case: case.call_and_validate(base_url=url))


@cache
def api(examples: int) -> Any:
    """What makes so many requests of an operation."""
    generation = {**SETTINGS["generation"], "max-examples": examples}
    config = schemathesis.Config.from_dict({**SETTINGS, "generation": generation})
    return schemathesis.openapi.from_dict(DOCUMENT, config=config)


@pytest.mark.parametrize("examples", few([3, 50], 1))
@pytest.mark.parametrize(
    ("path", "method"),
    [it for it in ASKED if it not in {("/{tenant}/logoff", "get"), ("/{tenant}/licences", "get")}],
)
def test_any_request_of_a_client_that_authenticates_gets_one_too(
    path: str, method: str, examples: int, url: str
) -> None:
    """The same behind the check of the client."""

    def send(case: Case[Any]) -> None:
        if isinstance(case.body, dict):
            for name in ("client_id", "client_secret"):
                case.body.pop(name, None)
        case.call_and_validate(base_url=url, auth=("Api", PASSWORD))

    send_all(api(examples), path, method, send)
