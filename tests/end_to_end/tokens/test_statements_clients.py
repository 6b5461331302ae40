"""What an authorization server has to be, statement by statement, seen from the network: clients.

The statements are those of docs/reference/standards.md; a docstring begins with the number of its own and the
section of the standard. Nothing is measured in time: what must cost the same is counted.
"""

import re
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from licet.cli.run.demo import PASSWORD
from licet.credentials.passwords import Passwords
from licet.model import GrantType
from support.server.running import PASSWORD_HASH, RunningServer
from support.server.served_tenant import AWAY, ServedTenant
from support.server.stating import BASIC, GRANT, OFF_RELEASED, basic, secret_of, stored, told
from support.server.wire import Wire
from support.web.signing import Signer, claims, proof

ENDPOINTS = ("token", "logoff", "revoke", "introspect")


# The request


def test_the_token_endpoint_takes_post_and_nothing_else(tenant: ServedTenant) -> None:
    """S01. RFC 6749 3.2, RFC 9110 15.5.6."""
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
        response = tenant.server.http.request(method, f"/{tenant.name}/token")
        assert response.status_code == 405, method
        assert response.headers["allow"] == "POST"
    assert told(tenant.server.http.get(f"/{tenant.name}/token")) == (405, "invalid_request")


def test_the_body_is_a_form_and_nothing_else(tenant: ServedTenant) -> None:
    """S02. RFC 6749 3.2."""
    good = "application/x-www-form-urlencoded; charset=utf-8"
    assert tenant.post("token", GRANT, authorization=BASIC, content_type=good).status_code == 200
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
        for content in (GRANT, '{"grant_type": "client_credentials"}'):
            response = tenant.post("token", content, authorization=BASIC, content_type=kind)
            assert told(response) == (400, "invalid_request"), kind


@pytest.mark.parametrize(
    "name", ["grant_type", "scope", "client_id", "client_secret", "refresh_token", "token", "token_type_hint"]
)
def test_a_parameter_that_is_there_twice_is_refused(tenant: ServedTenant, name: str) -> None:
    """S03. RFC 6749 3.2, 5.2: even with equal values; `resource` of RFC 8707 is not one of ours."""
    for first, second in (("a", "a"), ("a", "b"), ("", "a")):
        response = tenant.post("token", f"{GRANT}&{name}={first}&{name}={second}", authorization=BASIC)
        assert told(response) == (400, "invalid_request")
    assert tenant.post("token", f"{GRANT}&resource=a&resource=b", authorization=BASIC).status_code == 200


def test_an_unknown_parameter_is_ignored_and_an_empty_one_absent(tenant: ServedTenant) -> None:
    """S04. RFC 6749 3.2."""
    content = f"{GRANT}&colour=red&audience=&refresh_token=&client_secret=&token="
    assert tenant.post("token", content, authorization=BASIC).json()["scope"] == "view"
    no_scope = tenant.post("token", "grant_type=client_credentials&scope=", authorization=BASIC)
    assert no_scope.json()["scope"] == "all"
    assert told(tenant.post("token", "grant_type=", authorization=BASIC)) == (400, "invalid_request")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_credentials_and_tokens_in_the_query_are_refused(tenant: ServedTenant, endpoint: str) -> None:
    """S05. RFC 6749 2.3.1, RFC 6750 2.3, RFC 9700 4.3: a URL ends up in logs and histories."""
    for query in (
        "client_id=TestClientId&client_secret=password",
        "access_token=lca_x",
        "token=lca_x",
        "refresh_token=lcr_x",
        "client%5Fsecret=password",
    ):
        response = tenant.post(f"{endpoint}?{query}", GRANT, authorization=BASIC)
        assert told(response) == (400, "invalid_request")
    log = tenant.server.log()
    assert "client_secret=" not in log
    assert "client%5Fsecret" not in log


def test_a_grant_type_is_missing_unsupported_or_not_allowed(tenant: ServedTenant) -> None:
    """S06. RFC 6749 5.2."""
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_client(
            "Client2", grant_types=frozenset({GrantType.CLIENT_CREDENTIALS})
        )
    assert told(tenant.ask("token", scope="view")) == (400, "invalid_request")
    assert told(tenant.ask("token", grant_type="password")) == (400, "unsupported_grant_type")
    asked = {"grant_type": "refresh_token", "refresh_token": tenant.grant()["refresh_token"]}
    assert told(tenant.ask("token", "Client2", **asked)) == (400, "unauthorized_client")


def test_everything_in_a_request_is_bounded(tenant: ServedTenant) -> None:
    """S07. RFC 6749 2.3.1; the bounds are our own: 8 KiB, 64 parameters, 256 characters of a secret."""
    padding = "x" * (8192 - len(GRANT) - len("&x="))
    assert tenant.post("token", f"{GRANT}&x={padding}", authorization=BASIC).status_code == 200
    too_large = tenant.post("token", f"{GRANT}&x={padding}x", authorization=BASIC)
    assert told(too_large) == (413, "invalid_request")
    more = "".join(f"&p{number}=x" for number in range(62))
    assert tenant.post("token", GRANT + more, authorization=BASIC).status_code == 200
    assert told(tenant.post("token", f"{GRANT}{more}&q=x", authorization=BASIC)) == (400, "invalid_request")
    before = tenant.server.hashes
    for client_id, secret in (("TestClientId", "x" * 257), ("TestClientId", "x" * 4000), ("y" * 129, "x")):
        assert told(tenant.ask("token", client_id, secret)) == (401, "invalid_client")
        form = {"client_id": client_id, "client_secret": secret, "grant_type": "client_credentials"}
        assert told(tenant.server.http.post(f"/{tenant.name}/token", data=form)) == (401, "invalid_client")
    assert tenant.server.hashes == before


def test_what_is_no_clean_text_is_refused_and_never_a_fault(tenant: ServedTenant) -> None:
    """S08. RFC 6749 App. A, B."""
    for bad in (b"\xff", b"%ff", b"%00", b"\0", b"%0a", b"\r\n", b"%7f", b"%", b"%g0", b"%ed%a0%80"):
        for name in (b"scope", b"grant_type", b"unknown"):
            response = tenant.post("token", GRANT.encode() + b"&x" + name + b"=" + bad, authorization=BASIC)
            assert told(response) == (400, "invalid_request"), bad


# The client


def test_basic_credentials_are_form_decoded_and_split_at_the_first_colon(tenant: ServedTenant) -> None:
    """S09. RFC 6749 2.3.1, App. B, RFC 7617 2."""
    client_id, secret = "Büro & Co: 100% + 1", "p w:+%&=é?%41"
    with tenant.server.changing() as change:
        setup = change.tenant(tenant.name)
        setup.add_user("BC", password_hash=Passwords().hash(secret))
        setup.add_client(client_id, user="BC")
        setup.add_client("Plain", user="BC")
    encoded = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    assert tenant.post("token", GRANT, authorization=basic(encoded)).status_code == 200
    assert tenant.post("token", GRANT, authorization=basic(f"Plain:{quote_plus(secret)}")).status_code == 200
    as_it_is = tenant.post("token", GRANT, authorization=basic(f"Plain:{secret}"))
    assert as_it_is.status_code == 200  # curl, and the example call of the Web API
    form = {"client_id": client_id, "client_secret": secret, "grant_type": "client_credentials"}
    assert tenant.server.http.post(f"/{tenant.name}/token", data=form).status_code == 200


def test_malformed_basic_credentials_are_refused_with_the_reason(tenant: ServedTenant) -> None:
    """S10. RFC 7617 2."""
    for header, reason in {
        "Basic !": "Base64",
        "Basic " + "A" * 5: "Base64",
        basic(b"\xff:\xff"): "Base64",
        basic("no colon"): "colon",
        "Basic": "colon",
        basic("a:\0"): "control",
        basic("TestClientId:%zz"): "hexadecimal",
    }.items():
        response = tenant.post("token", GRANT, authorization=header)
        assert told(response) == (400, "invalid_request"), header
        assert reason in response.json()["error_description"]
    twice = [("authorization", BASIC), ("authorization", BASIC), ("content-type", FORM)]
    response = tenant.server.http.post(f"/{tenant.name}/token", content=GRANT, headers=twice)
    assert told(response) == (400, "invalid_request")


def test_the_name_of_the_scheme_is_case_insensitive(tenant: ServedTenant) -> None:
    """S11. RFC 9110 11.1."""
    for scheme in ("Basic", "basic", "BASIC"):
        header = BASIC.replace("Basic", scheme)
        assert tenant.post("token", GRANT, authorization=header).status_code == 200
    access = tenant.grant()["access_token"]
    assert tenant.post("logoff", authorization=f"bEARER {access}").json() == OFF_RELEASED


def test_a_client_authenticates_in_one_way_only(tenant: ServedTenant) -> None:
    """S12. RFC 6749 2.3, 5.2."""
    for more in ("&client_secret=password", "&client_id=TestClientId&client_secret=password"):
        assert told(tenant.post("token", GRANT + more, authorization=BASIC)) == (400, "invalid_request")
    same = tenant.post("token", f"{GRANT}&client_id=TestClientId", authorization=BASIC)
    assert same.status_code == 200
    other = tenant.post("token", f"{GRANT}&client_id=Client2", authorization=BASIC)
    assert told(other) == (400, "invalid_request")


def test_a_client_that_fails_with_a_header_is_challenged(tenant: ServedTenant) -> None:
    """S13. RFC 6749 5.2, RFC 7617 2."""
    for header in (basic("TestClientId:wrong"), "Bearer x", "Digest username=x", "Negotiate"):
        response = tenant.post("token", GRANT, authorization=header)
        assert told(response) == (401, "invalid_client")
        assert response.headers["www-authenticate"] == 'Basic realm="licet", charset="UTF-8"'


def test_a_client_that_fails_with_its_body_is_told_the_same(tenant: ServedTenant) -> None:
    """S14. RFC 6749 5.2 leaves the status open: it is 401 here too; and a 400 never has a challenge."""
    response = tenant.post("token", f"{GRANT}&client_id=TestClientId&client_secret=wrong")
    assert told(response) == (401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert "www-authenticate" not in tenant.post("token", "", authorization=BASIC).headers


@pytest.mark.parametrize("more", ["", "&client_id=TestClientId", "&client_secret=password"])
def test_no_credentials_at_all_prove_no_client(tenant: ServedTenant, more: str) -> None:
    """S15. RFC 6749 5.2."""
    response = tenant.post("token", GRANT + more)
    assert told(response) == (401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")


def test_whoever_fails_to_authenticate_gets_the_same_answer_for_the_same_work(tenant: ServedTenant) -> None:
    """S16. RFC 6749 5.2: nobody learns which clients there are, neither from an answer nor from its cost."""
    expired = secret_of(tenant.server)
    now_ms = tenant.server.clock.now_ms()
    with tenant.server.changing() as change:
        setup = change.tenant(tenant.name)
        setup.set_client("Client2", enabled=False)
        setup.set_user("C3", enabled=False)
        setup.add_user("NP")
        setup.add_client("NoPassword", user="NP")
        setup.add_client("Secretive", expired, now_ms + 1, user="TC")
        change.add_tenant(f"{tenant.name}x", seats=1)
    tenant.server.advance(seconds=1)
    strangers = [
        (tenant.name, "TestClientId", "wrong password"),
        (tenant.name, "Nobody", PASSWORD),
        (tenant.name, "Client2", PASSWORD),
        (tenant.name, "Client3", PASSWORD),
        (tenant.name, "NoPassword", PASSWORD),
        (tenant.name, "Secretive", PASSWORD),
        (f"{tenant.name}x", "TestClientId", PASSWORD),
        ("NoSuchTenant", "TestClientId", PASSWORD),
    ]
    with_secrets = [
        (name, client_id, secret.secret)
        for name, client_id, _ in strangers
        for secret in (expired, secret_of(tenant.server))
    ]
    for attempts, cost in ((strangers, 1), (with_secrets, 0)):
        for in_header in (True, False):
            assert (
                len({_anonymous(tenant.server, *attempt, cost, in_header=in_header) for attempt in attempts})
                == 1
            )


def test_what_is_kept_of_a_secret_is_not_the_secret(tenant: ServedTenant) -> None:
    """S17. RFC 6749 10.1: a stolen store lets nobody in."""
    secret = secret_of(tenant.server)
    with tenant.server.changing() as change:
        change.tenant(tenant.name).add_client("Secretive", secret, user="TC")
    assert tenant.ask("token", "Secretive", secret.secret, grant_type="client_credentials").status_code == 200
    for client_id, kept in (
        ("TestClientId", PASSWORD_HASH),
        ("Secretive", secret.hash.hex()),
        ("Secretive", f"lcs_{secret.secret_id}{secret.hash.hex()}"),
    ):
        assert told(tenant.ask("token", client_id, kept)) == (401, "invalid_client")


def test_generated_secrets_overlap_expire_and_are_kept_nowhere(tenant: ServedTenant) -> None:
    """S18. RFC 6749 10.10, RFC 9700 2.5."""
    old, new = secret_of(tenant.server), secret_of(tenant.server)
    now_ms = tenant.server.clock.now_ms()
    with tenant.server.changing() as change:
        change.tenant(tenant.name).add_client("Secretive", old, now_ms + 5000, user="TC")
        change.tenant(tenant.name).add_secret("Secretive", new)
    view = {"grant_type": "client_credentials", "scope": "view"}
    for secret in (old, new):
        assert re.fullmatch(r"lcs_[\w-]{55}", secret.secret)  # 43 of them are 256 random bits
        assert tenant.ask("token", "Secretive", secret.secret, **view).status_code == 200
        assert not any(secret.secret.encode() in content for content in stored(tenant.server))
    assert told(tenant.ask("token", "Secretive", PASSWORD, **view)) == (401, "invalid_client")
    tenant.server.advance(seconds=5)
    assert told(tenant.ask("token", "Secretive", old.secret, **view)) == (401, "invalid_client")
    assert tenant.ask("token", "Secretive", new.secret, **view).status_code == 200
    with tenant.server.changing() as change:
        change.tenant(tenant.name).remove_secret("Secretive", new.secret_id)
    assert told(tenant.ask("token", "Secretive", new.secret, **view)) == (401, "invalid_client")


def test_guessing_is_limited_and_does_not_shut_out_the_real_client(strict_server: RunningServer) -> None:
    """S19. RFC 6749 2.3.1."""

    def attempt(secret: str, source: str) -> int:
        headers = {"x-forwarded-for": source}
        form = {"grant_type": "client_credentials", "scope": "view"}
        answer = strict_server.http.post(
            "/Jim_Test/token", data=form, auth=("TestClientId", secret), headers=headers
        )
        return answer.status_code

    home, guesser = "192.0.2.1", "198.51.100.1"
    assert attempt(PASSWORD, home) == 200
    assert [attempt("wrong", guesser) for _ in range(5)] == [401, 401, 401, 429, 429]
    assert [attempt("wrong", f"203.0.113.{at}") for at in range(3)] == [401, 401, 401]
    assert attempt("wrong", "203.0.113.0") == 429  # nor from many sources, each below its limit
    assert attempt(PASSWORD, home) == 200
    assert attempt(PASSWORD, guesser) == 429  # nor is the right guess told from a wrong one
    strict_server.advance(seconds=600)  # long enough for everything to be forgotten
    assert [attempt("wrong", guesser) for _ in range(4)] == [401, 401, 401, 429]
    assert attempt(PASSWORD, home) == 200
    strict_server.advance(seconds=60)


def test_an_assertion_is_signed_by_the_clients_key_for_this_server_and_good_once(
    tenant: ServedTenant,
) -> None:
    """S21. RFC 7523 3, RFC 9700 2.5: an algorithm of a list, this audience, a near end, and once."""
    signer, issuer = Signer.new("ES256"), f"{tenant.server.url}/{tenant.name}"
    now_s = tenant.server.clock.now_ms() // 1000
    with tenant.server.changing() as change:
        change.tenant(tenant.name).add_key("TestClientId", signer.key)

    def prove(assertion: str) -> int:
        return tenant.post("token", f"{GRANT}&{urlencode(proof(assertion))}").status_code

    def said(**more: Any) -> dict[str, Any]:
        return claims("TestClientId", issuer, now_s=now_s) | more

    good = signer.sign(said())
    assert [prove(good), prove(good)] == [200, 401]
    for wrong in ({"aud": "https://other.example.com"}, {"exp": now_s + 86_400}, {"exp": now_s - 600}):
        assert prove(signer.sign(said(**wrong))) == 401
    head, payload, signature = signer.sign(said()).split(".")
    for algorithm in ("none", "HS256"):
        other = urlsafe_b64encode(f'{{"alg":"{algorithm}"}}'.encode()).decode().rstrip("=")
        assert prove(f"{other}.{payload}.") == prove(f"{other}.{payload}.{signature}") == 401
    assert prove(f"{head}.{payload}.{signature}") == 200


def test_a_store_out_of_reach_is_never_the_clients_fault(stranded_server: RunningServer) -> None:
    """S20. RFC 9110 15.6.4: who is told `invalid_client` changes its secret in vain."""
    for client_id in ("TestClientId", "Client1"):  # one that is remembered, and one that is not
        response = stranded_server.ask("Jim_Test/token", client_id, grant_type="client_credentials")
        assert told(response) == (503, "server_error")
    assert (stranded_server.data / AWAY).exists()


FORM = "application/x-www-form-urlencoded"


def _anonymous(
    server: RunningServer, tenant: str, client_id: str, secret: str, cost: int, *, in_header: bool
) -> bytes:
    """An answer but for its date and request id, to the byte, if it cost as many hashes as it should.

    The request id is a count, which grows by a digit now and then, and its answer with it.
    """
    before = server.hashes
    form = GRANT if in_header else f"{GRANT}&client_id={client_id}&client_secret={secret}"
    header = f"Authorization: {basic(f'{client_id}:{secret}')}\r\n" if in_header else ""
    head = f"POST /{tenant}/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n{header}"
    with Wire(server.url) as wire:
        wire.send(f"{head}Content-Length: {len(form)}\r\n\r\n{form}".encode(), is_last=True)
        answer = wire.answer()
    assert answer is not None
    assert answer.status == 401
    assert server.hashes - before == cost, (tenant, client_id)
    del answer.headers["date"]
    del answer.headers["content-length"]
    request_id = answer.headers["x-request-id"]
    return (answer.headers.as_bytes() + answer.body).replace(request_id.encode(), b"")
