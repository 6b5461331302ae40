"""Forward authentication at a running server: as proxies ask, and as nothing else may answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from licet.model import TokenFormat
from licet.store.opening import SQLITE_NAME
from licet.web.log_rate_limit import LINES_MAX
from support.server.running import RunningServer
from support.server.served_tenant import AWAY, ServedTenant, suspend
from support.server.wire import Wire

POST = {"X-Original-Method": "POST"}
GET = {"X-Original-Method": "GET"}
GRANT = {"grant_type": "client_credentials"}


def bearer(token: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **headers}


def status(tenant: ServedTenant, token: str, method: str = "POST") -> int:
    """What a proxy is told of a request with this token and method."""
    headers = bearer(token) | {"X-Original-Method": method}
    return tenant.server.http.get(f"/{tenant.name}/verify", headers=headers).status_code


class TestAsked:
    """How each proxy asks, as it is documented."""

    def test_by_nginx_without_a_body_and_by_get(self, tenant: ServedTenant) -> None:
        """auth_request: any 2xx passes, 401 and 403 do not, all else is an error."""
        token = tenant.grant()["access_token"]
        answer = tenant.server.http.get(f"/{tenant.name}/verify", headers=bearer(token, **POST))
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["x-licet-user"] == "TC"
        assert answer.headers["x-licet-client"] == "TestClientId"
        assert answer.headers["x-licet-scope"] == "all"
        assert answer.headers["x-licet-session"] == tenant.introspect(token)["sid"]
        assert answer.headers["cache-control"] == "no-store"

    def test_by_traefik_and_caddy_with_what_they_forward(self, tenant: ServedTenant) -> None:
        """forwardAuth, forward_auth: GET, and of the client's headers all that are not hop by hop."""
        view = tenant.grant(scope="view")["access_token"]
        forwarded = {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "api.example.com",
            "X-Forwarded-Uri": "/jobs?access_token=no",
            "X-Forwarded-For": "192.0.2.1",
            "Accept-Encoding": "gzip",
            "Cookie": "a=b",
        }
        for method, told in (("GET", 204), ("POST", 403)):
            headers = bearer(view, **forwarded) | {"X-Forwarded-Method": method}
            answer = tenant.server.http.get(f"/{tenant.name}/verify", headers=headers)
            assert answer.status_code == told

    def test_by_envoy_at_the_path_of_the_request(self, tenant: ServedTenant) -> None:
        """ext_authz: its own method, path and query behind the prefix, no body, and 200 for a yes."""
        view = tenant.grant(scope="view")["access_token"]
        for path in ("/", "/jobs", "/jobs/7?client_id=5&x=%2F", "//jobs", "/jobs/%2e%2e/token"):
            for method, told in (("GET", 200), ("OPTIONS", 200), ("POST", 403), ("DELETE", 403)):
                url = f"/{tenant.name}/verify{path}"
                answer = tenant.server.http.request(method, url, headers=bearer(view))
                assert answer.status_code == told, (method, path)

    @pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
    def test_by_any_method(self, tenant: ServedTenant, method: str) -> None:
        """Some proxies keep the method of the request."""
        token = tenant.grant()["access_token"]
        answer = tenant.server.http.request(method, f"/{tenant.name}/verify", headers=bearer(token))
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["x-licet-user"] == "TC"

    def test_nobody_waits_for_a_body(self, tenant: ServedTenant) -> None:
        """It is the original request's; the connection goes on where the body came with the head."""
        head = f"POST /{tenant.name}/verify HTTP/1.1\r\nHost: a\r\n".encode()
        head += f"Authorization: Bearer {tenant.grant()['access_token']}\r\n".encode()
        with Wire(tenant.server.url) as wire:
            wire.send(head + b"Content-Length: 3\r\n\r\nabc")
            assert (answer := wire.answer()) is not None
            assert answer.status == 204
            wire.send(head + b"Content-Length: 50000\r\nExpect: 100-continue\r\n\r\n")
            assert (answer := wire.answer()) is not None
            assert answer.status == 204
            assert answer.headers["connection"] == "close"

    def test_the_answer_has_no_length_and_the_connection_goes_on(self, tenant: ServedTenant) -> None:
        """RFC 9110 8.6: a 204 has none."""
        head = f"GET /{tenant.name}/verify HTTP/1.1\r\nHost: a\r\n".encode()
        head += f"Authorization: Bearer {tenant.grant()['access_token']}\r\n\r\n".encode()
        with Wire(tenant.server.url) as wire:
            for _ in range(3):
                wire.send(head)
                assert (answer := wire.answer()) is not None
                assert answer.status == 204
                assert not {"content-length", "transfer-encoding"} & {it.lower() for it in answer.headers}

    def test_two_authorization_headers_are_no_token(self, tenant: ServedTenant) -> None:
        """RFC 6750 3.1: nobody knows which one is meant."""
        token = tenant.grant()["access_token"]
        headers = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer x")]
        answer = tenant.server.http.get(f"/{tenant.name}/verify", headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    def test_a_name_beyond_ascii_is_told(self, tenant: ServedTenant) -> None:
        """Percent-encoded, so that no proxy has to guess."""
        with tenant.server.changing() as change:
            of = change.tenant(tenant.name)
            of.add_client("Zoë 50%", user="C2", scopes=frozenset({"view"}))
        token = tenant.grant("Zoë 50%", scope="view")["access_token"]
        answer = tenant.server.http.get(f"/{tenant.name}/verify", headers=bearer(token, **GET))
        assert answer.headers["x-licet-client"] == "Zo%C3%AB%2050%25"


class TestEnds:
    """Nothing is remembered."""

    def test_a_logoff_counts_from_the_next_question_on(self, tenant: ServedTenant) -> None:
        """L4."""
        token = tenant.grant()["access_token"]
        assert status(tenant, token) == 204
        tenant.server.http.post(f"/{tenant.name}/logoff", headers=bearer(token)).raise_for_status()
        assert status(tenant, token) == 401

    def test_a_revocation_does(self, tenant: ServedTenant) -> None:
        """RFC 7009 2.1."""
        tokens = tenant.grant()
        tenant.ask("revoke", token=tokens["refresh_token"]).raise_for_status()
        assert status(tenant, tokens["access_token"]) == 401

    def test_a_token_that_has_expired_is_out_though_its_session_lives(self, tenant: ServedTenant) -> None:
        """L3."""
        tokens = tenant.grant()
        tenant.server.advance(seconds=tokens["expires_in"])
        assert status(tenant, tokens["access_token"], "GET") == 401
        assert tenant.refresh(tokens).status_code == 200

    def test_a_client_that_is_disabled_is_out(self, tenant: ServedTenant) -> None:
        """Its sessions end with that."""
        token = tenant.grant("Client2")["access_token"]
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_client("Client2", enabled=False)
        assert status(tenant, token) == 401

    def test_who_is_suspended_goes_on_with_what_lives(self, tenant: ServedTenant) -> None:
        """L12: it gets no seat for a while, and nothing else changes."""
        token = tenant.grant()["access_token"]
        suspend(tenant, seconds=600)
        assert status(tenant, token) == 204

    def test_a_token_of_another_tenant_is_none(self, tenant: ServedTenant) -> None:
        """And tells nothing of it."""
        other = ServedTenant(tenant.server, f"{tenant.name}b")
        token = other.grant()["access_token"]
        assert (status(tenant, token), status(other, token)) == (401, 204)
        assert tenant.server.http.get("/Nobody/verify", headers=bearer(token)).status_code == 401

    def test_a_jwt_is_taken_as_a_reference_is(self, tenant: ServedTenant) -> None:
        """RFC 9068 4: and its session's end counts at once."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set(token_format=TokenFormat.JWT)
        token = tenant.grant()["access_token"]
        view = tenant.grant("Client2", scope="view")["access_token"]
        assert token.count(".") == 2
        assert status(tenant, token) == 204
        assert (status(tenant, view, "GET"), status(tenant, view)) == (204, 403)
        assert status(tenant, f"{token[:-2]}AA") == 401
        tenant.server.http.post(f"/{tenant.name}/logoff", headers=bearer(token)).raise_for_status()
        assert status(tenant, token) == 401


class TestDown:
    """The store is out of reach."""

    def test_nobody_passes_and_all_are_told_to_try_again(self, tmp_path: Path) -> None:
        """RFC 9110 15.6.4: it fails closed, and what is no token stays none."""
        with RunningServer(tmp_path) as server:
            token = server.ask("Jim_Test/token", **GRANT).raise_for_status().json()["access_token"]
            (server.data / SQLITE_NAME).rename(server.data / AWAY)
            answer = server.http.get("/Jim_Test/verify", headers=bearer(token, **POST))
            assert (answer.status_code, answer.json()["error"]) == (503, "server_error")
            assert answer.headers["retry-after"] == "1"
            assert "x-licet-user" not in answer.headers
            assert server.http.get("/Jim_Test/verify", headers=bearer("x")).status_code == 401


class TestLog:
    """A busy API has many callers without a live token."""

    def test_a_refusal_says_why_and_of_whom(self, tmp_path: Path) -> None:
        """What the answer does not tell."""
        with RunningServer(tmp_path) as server:
            form = {**GRANT, "scope": "view"}
            token = server.ask("Jim_Test/token", "Client1", **form).raise_for_status().json()["access_token"]
            server.http.get("/Jim_Test/verify", headers=bearer(token, **POST))
            server.http.get("/Jim_Test/verify", headers=bearer("lca_no"))
            found = refusals(server)
        assert [(it["status"], it["error"], it["tenant"]) for it in found] == [
            (403, "insufficient_scope", "Jim_Test"),
            (401, "invalid_token", "Jim_Test"),
        ]
        assert found[0]["detail"] == "a token of Client1 is read-only"
        assert "lca_no" not in server.log()

    def test_many_leave_few_lines(self, tmp_path: Path) -> None:
        """Some a second, however many there are; those of other endpoints are all there."""
        with RunningServer(tmp_path) as server:
            for _ in range(10 * LINES_MAX):
                server.http.get("/Jim_Test/verify")
            server.ask("Jim_Test/token", "Nobody", **GRANT)
            found = refusals(server)
        seconds = {it["timestamp"][:19] for it in found}
        assert found[-1]["error"] == "invalid_client"
        assert len(found) <= LINES_MAX * (len(seconds) + 1) + 1

    def test_denials_are_in_the_journal_and_some_of_them_in_the_log(self, tmp_path: Path) -> None:
        """L11. A client that tries again and again cannot fill the disk."""
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant("Jim_Test").set_pool("full", seats=0)
            for _ in range(10 * LINES_MAX):
                assert server.ask("Jim_Test/token", **GRANT).status_code == 400
            found = refusals(server)
        seconds = {it["timestamp"][:19] for it in found}
        assert {it["reason"] for it in found} == {"no_seats"}
        assert len(found) <= LINES_MAX * (len(seconds) + 1)


def refusals(server: RunningServer) -> list[dict[str, Any]]:
    """What its log has of them."""
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "refused"]
