"""What an authorization server has to be, statement by statement, seen from the network.

The statements are those of docs/reference/standards.md; a docstring begins with the number of its own and the
section of the standard. Nothing is measured in time: what must cost the same is counted.
"""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from licet.credentials.generated import ClientSecrets, NewClientSecret
from licet.credentials.keyring import FILE_NAME, new_keyring, read_keyring
from licet.credentials.passwords import Passwords
from licet.credentials.tokens import Tokens
from licet.model import GrantType, Session
from support.running import PASSWORD_HASH, RunningServer
from support.served_tenant import AWAY, ServedTenant
from support.signing import Signer, claims, proof
from support.wire import Wire

GRANT = "grant_type=client_credentials&scope=view"
BASIC = "Basic " + b64encode(b"TestClientId:password").decode()
ENDPOINTS = ("token", "logoff", "revoke", "introspect")
SESSION_S, ACCESS_S = 1200, 600


def basic(pair: str | bytes) -> str:
    """The header of these credentials."""
    return "Basic " + b64encode(pair.encode() if isinstance(pair, str) else pair).decode()


def told(response: httpx.Response) -> tuple[int, str]:
    """The status and error of a refusal."""
    return response.status_code, response.json()["error"]


def secret_of(server: RunningServer) -> NewClientSecret:
    """A new generated secret of this server."""
    return ClientSecrets(read_keyring(server.data / FILE_NAME).pepper).generate()


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
        assert not any(secret.secret.encode() in content for content in _stored(tenant.server))
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
    assert attempt(PASSWORD, guesser) == 200
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


# Scope and grant


def test_the_default_scope_is_all_and_the_granted_scope_is_always_told(tenant: ServedTenant) -> None:
    """S22. RFC 6749 3.3, 5.1."""
    tokens = tenant.grant()
    assert tokens["scope"] == "all"
    assert tenant.grant(scope="view")["scope"] == "view"
    assert tenant.refresh(tokens).json()["scope"] == "all"


def test_a_scope_is_known_well_formed_and_in_any_order(tenant: ServedTenant) -> None:
    """S23. RFC 6749 3.3, App. A.4. `view all` is both, and needs a seat."""
    for scope in ("admin", "VIEW", "view admin", "view  all", " view", 'a"b', "a\\b", "é"):
        asked = tenant.ask("token", grant_type="client_credentials", scope=scope)
        assert told(asked) == (400, "invalid_scope"), scope
    for scope in ("view all", "all view"):
        assert set(tenant.grant(scope=scope)["scope"].split(" ")) == {"view", "all"}
    assert tenant.seats_in_use() == 1


def test_a_scope_that_a_client_may_not_have_is_refused_and_not_dropped(tenant: ServedTenant) -> None:
    """S24. RFC 6749 3.3, 5.2."""
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_client("Client2", scopes=frozenset({"view"}))
    for scope in ("all", "view all", ""):
        asked = tenant.ask("token", "Client2", grant_type="client_credentials", scope=scope)
        assert told(asked) == (400, "invalid_scope")
    assert tenant.grant("Client2", scope="view")["scope"] == "view"


def test_view_takes_no_seat_in_any_way_and_never_becomes_more(tenant: ServedTenant) -> None:
    """S25. RFC 6749 6; L1."""
    tokens = tenant.grant(scope="view")
    assert told(tenant.refresh(tokens, scope="all")) == (400, "invalid_scope")
    assert told(tenant.refresh(tokens, scope="view all")) == (400, "invalid_scope")
    assert tenant.refresh(tokens).json()["scope"] == "view"
    assert tenant.seats_in_use() == 0
    assert tenant.post("logoff", authorization=f"Bearer {tokens['access_token']}").json() == OFF_KEPT
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_pool("full", seats=0)
    assert tenant.grant(scope="view")["scope"] == "view"


def test_the_subject_of_a_client_is_no_name_of_a_user(tenant: ServedTenant) -> None:
    """S26. RFC 9700 4.15: a client called like a user must not be taken for it."""
    with tenant.server.changing() as change:
        change.tenant(tenant.name).add_client("C2", user="TC")
    subject = tenant.introspect(tenant.grant("C2")["access_token"])["sub"]
    assert subject == "client:C2"
    assert not re.fullmatch(r"[A-Za-z0-9.]{2,3}", subject)  # what initials may be


# The answer


def test_every_answer_is_json_that_nobody_keeps(tenant: ServedTenant) -> None:
    """S27. RFC 6749 5.1, 5.2."""
    tokens = tenant.grant()
    for response in (
        tenant.refresh(tokens),
        tenant.ask("token", grant_type="password"),
        tenant.ask("token", "Nobody"),
        tenant.ask("introspect", "Api", token="x"),
        tenant.post("token", "x" * 9000),
        tenant.post("logoff", authorization=f"Bearer {tokens['access_token']}"),
        tenant.post("logoff", authorization="Bearer x"),
        tenant.server.http.get("/nothing"),
    ):
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["pragma"] == "no-cache"
        assert isinstance(response.json(), dict)


def test_a_grant_is_answered_with_what_a_client_needs(tenant: ServedTenant) -> None:
    """S28. RFC 6749 5.1, 4.4.3."""
    tokens = tenant.grant()
    assert tokens.keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "scope",
    }
    assert tokens["token_type"] == "Bearer"
    assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (ACCESS_S, SESSION_S)
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_client(
            "Client2", grant_types=frozenset({GrantType.CLIENT_CREDENTIALS})
        )
    assert tenant.grant("Client2").keys() == {"access_token", "token_type", "expires_in", "scope"}


def test_an_error_repeats_nothing_and_has_only_characters_that_it_may_have(tenant: ServedTenant) -> None:
    """S29. RFC 6749 5.2."""
    mark = "hunter2"
    responses = [
        tenant.ask("token", mark, mark, grant_type=mark, scope=mark),
        tenant.ask("token", grant_type=mark),
        tenant.ask("token", grant_type="client_credentials", scope=mark),
        tenant.ask("token", grant_type="refresh_token", refresh_token=mark),
        tenant.post("token", f"{mark}={mark}%", authorization=BASIC),
        tenant.post("token", f"scope={mark}&scope={mark}", authorization=BASIC),
        tenant.post("token", GRANT, authorization=basic(f"{mark}:%{mark}")),
        tenant.post("token", GRANT, authorization=mark),
        tenant.post("token", GRANT, content_type=mark),
        tenant.post(f"token?token={mark}", GRANT),
        tenant.post("logoff", authorization=f"Bearer {mark}"),
        tenant.ask("introspect", token=mark),
        tenant.server.http.get(f"/{mark}/{mark}"),
        tenant.server.http.request(mark.upper(), f"/{tenant.name}/token"),
    ]
    for response in responses:
        assert response.status_code >= 400
        assert mark not in response.text.lower()
        assert mark not in str(response.headers).lower()
        assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", response.json()["error_description"])


def test_an_answer_has_an_id_that_is_in_the_log_and_no_secret_ever_is(tenant: ServedTenant) -> None:
    """S30. RFC 6749 10.3, RFC 6819 5.1.4.1.3."""
    tokens, secret = tenant.grant(), secret_of(tenant.server)
    refused = [
        tenant.ask("token", "Nobody", "hunter2-password"),
        tenant.ask("token", "hunter2-client", secret.secret),
        tenant.ask("token", grant_type="refresh_token", refresh_token=f"{tokens['refresh_token']}x"),
        tenant.post("logoff", authorization=f"Bearer {tokens['access_token']}x"),
        tenant.post("token", f"client_secret={secret.secret}%", authorization=BASIC),
        tenant.server.http.get(f"/{tokens['access_token']}/token?client_secret={secret.secret}"),
    ]
    log = tenant.server.log()
    for response in refused:
        request_id = response.headers["x-request-id"]
        assert response.json()["request_id"] == request_id
        assert f'"request_id": "{request_id}"' in log
    assert tenant.ask("token", grant_type="client_credentials").headers["x-request-id"]
    log += "".join(content.decode("latin-1") for content in _stored(tenant.server))
    for hidden in ("hunter2", secret.secret, tokens["access_token"], tokens["refresh_token"], PASSWORD + '"'):
        assert hidden not in log


# The refresh


def test_a_refresh_token_is_worth_nothing_to_another_client_or_tenant(tenant: ServedTenant) -> None:
    """S31. RFC 6749 6, RFC 9700 4.14.2."""
    tokens = tenant.grant()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    other_client = tenant.ask("token", "Client2", **form)
    other_tenant = tenant.server.ask("Jim_Test/token", **form)
    unknown = tenant.ask("token", grant_type="refresh_token", refresh_token="lcr_unknown")
    assert told(other_client) == (400, "invalid_grant")
    assert _without_id(other_client) == _without_id(other_tenant) == _without_id(unknown)
    assert told(tenant.ask("token", "TestClientId", "wrong", **form)) == (401, "invalid_client")
    assert tenant.refresh(tokens).status_code == 200


def test_a_refresh_may_narrow_the_scope_and_the_session_keeps_its_own(tenant: ServedTenant) -> None:
    """S32. RFC 6749 6."""
    tokens = tenant.grant(scope="view all")
    narrowed = tenant.refresh(tokens, scope="view").json()
    assert narrowed["scope"] == "view"
    assert tenant.introspect(narrowed["access_token"])["scope"] == "view"
    again = tenant.refresh(narrowed).json()
    assert set(again["scope"].split(" ")) == {"view", "all"}
    assert told(tenant.refresh(tokens, scope="view all admin")) == (400, "invalid_scope")


def test_a_session_that_is_over_is_told_like_one_that_never_was(tenant: ServedTenant) -> None:
    """S33. RFC 6749 5.2."""
    logged_off, revoked, expired = (tenant.grant() for _ in range(3))
    tenant.post("logoff", authorization=f"Bearer {logged_off['access_token']}")
    tenant.ask("revoke", token=revoked["refresh_token"])
    responses = [
        tenant.refresh(logged_off),
        tenant.refresh(revoked),
        tenant.refresh({"refresh_token": "lcr_unknown"}),
    ]
    tenant.server.advance(seconds=SESSION_S)
    responses.append(tenant.refresh(expired))
    assert {told(response) for response in responses} == {(400, "invalid_grant")}
    assert len({_without_id(response) for response in responses}) == 1


def test_the_twenty_minutes_begin_anew_with_every_refresh_and_end_at_the_moment(tenant: ServedTenant) -> None:
    """S34. RFC 9700 4.14.2; L3: a refusal lengthens nothing."""
    tokens = tenant.grant()
    for _ in range(3):
        tenant.server.advance(seconds=SESSION_S - 0.001)
        assert told(tenant.refresh(tokens, scope="admin")) == (400, "invalid_scope")
        assert tenant.refresh(tokens).json()["refresh_expires_in"] == SESSION_S
    tenant.server.advance(seconds=SESSION_S - 0.001)
    assert told(tenant.refresh(tokens, scope="admin")) == (400, "invalid_scope")
    tenant.server.advance(seconds=0.001)
    assert told(tenant.refresh(tokens)) == (400, "invalid_grant")


def test_a_refresh_answers_the_same_refresh_token_and_a_lost_answer_costs_nothing(
    tenant: ServedTenant,
) -> None:
    """S35. RFC 9700 4.14.2 asks rotation of public clients only: ours are confidential, and do not rotate."""
    tokens = tenant.grant()
    for _ in range(3):
        renewed = tenant.refresh(tokens).json()
        assert renewed["refresh_token"] == tokens["refresh_token"]
        assert tenant.introspect(renewed["access_token"])["active"]
    assert tenant.introspect(tokens["access_token"])["active"]


def test_refreshes_in_parallel_keep_the_one_seat(tenant: ServedTenant) -> None:
    """S36. RFC 6749 6; L5: also with the pool full, and when it has become too small."""
    first, second = tenant.grant(), tenant.grant("Client2")
    assert tenant.seats_in_use() == 2
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_pool("full", seats=1)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(tenant.refresh, *it) for it in ((first,), (second, "Client2")) * 10]
        assert {it.result().status_code for it in asked} == {200}
    assert tenant.seats_in_use() == 2
    for tokens in (first, second):
        off = tenant.post("logoff", authorization=f"Bearer {tokens['access_token']}")
        assert off.json() == OFF_RELEASED
    assert tenant.seats_in_use() == 0


def test_a_stolen_store_has_no_token_in_it_and_makes_none(tenant: ServedTenant) -> None:
    """S37. RFC 6749 10.10: 128 random bits and a signature; nothing is stored of a token but its session."""
    tokens = tenant.grant()
    kinds = {"access_token": "lca_", "refresh_token": "lcr_"}
    for kind, prefix in kinds.items():
        assert tokens[kind].startswith(prefix)
        body = tokens[kind].removeprefix(prefix)
        assert len(body) >= 72
        assert not any(body.encode() in content for content in _stored(tenant.server))
    session = _session(tenant, tokens)
    forger = Tokens(new_keyring(tenant.server.clock.now_ms()))
    assert told(tenant.refresh({"refresh_token": forger.refresh(session)})) == (400, "invalid_grant")
    honest = Tokens(read_keyring(tenant.server.data / FILE_NAME))
    assert honest.refresh(session) == tokens["refresh_token"]


# The access token


def test_an_access_token_never_outlives_its_session(tenant: ServedTenant) -> None:
    """S38. RFC 6749 1.4; L3: at logoff, revocation, expiry, and when client or user are disabled."""

    def is_live(tokens: dict[str, Any]) -> bool:
        return tenant.introspect(tokens["access_token"]) != {"active": False}

    endings: list[Callable[[dict[str, Any]], object]] = [
        lambda it: tenant.post("logoff", authorization=f"Bearer {it['access_token']}"),
        lambda it: tenant.ask("logoff", refresh_token=it["refresh_token"]),
        lambda it: tenant.ask("revoke", token=it["access_token"]),
        lambda it: tenant.ask("revoke", token=it["refresh_token"]),
        lambda _: tenant.server.advance(seconds=ACCESS_S),
    ]
    for end in endings:
        tokens = tenant.grant()
        assert is_live(tokens)
        end(tokens)
        assert not is_live(tokens)
    tenant.server.advance(seconds=SESSION_S)
    first, second = tenant.grant("Client2"), tenant.grant("Client3")
    assert is_live(first)
    assert is_live(second)
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_client("Client2", enabled=False)
        change.tenant(tenant.name).set_user("C3", enabled=False)
    assert not is_live(first)
    assert not is_live(second)
    assert tenant.seats_in_use() == 0
    with tenant.server.changing() as change:
        soon_ms = tenant.server.clock.now_ms() + 5000
        change.tenant(tenant.name).set_pool("full", expires_at_ms=soon_ms)
    tokens = tenant.grant()
    assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (5, 5)  # L7


def test_a_logoff_frees_the_seat_before_it_answers_and_may_be_repeated(tenant: ServedTenant) -> None:
    """S39. RFC 6750 3, 3.1."""
    tokens, other = tenant.grant(), tenant.grant("Client2")
    bearer = f"Bearer {tokens['access_token']}"
    assert told(tenant.ask("token", "Client3", grant_type="client_credentials"))[1] == FULL
    foreign = tenant.ask("logoff", "Client2", refresh_token=tokens["refresh_token"])
    assert told(foreign) == (401, "invalid_token")
    assert tenant.introspect(tokens["access_token"])["active"]
    assert tenant.post("logoff", authorization=bearer).json() == OFF_RELEASED
    assert tenant.grant("Client3")["scope"] == "all"
    for _ in range(2):
        assert tenant.post("logoff", authorization=bearer).json() == OFF_KEPT
        assert tenant.ask("logoff", refresh_token=tokens["refresh_token"]).json() == OFF_KEPT
    by_get = tenant.server.http.get(
        f"/{tenant.name}/logoff", headers={"authorization": f"Bearer {other['access_token']}"}
    )
    assert by_get.json() == OFF_RELEASED
    nothing = tenant.server.http.post(f"/{tenant.name}/logoff")
    assert (nothing.status_code, nothing.headers["www-authenticate"]) == (401, 'Bearer realm="licet"')
    for bad in ("lca_x", tokens["refresh_token"], bearer):
        response = tenant.post("logoff", authorization=f"Bearer {bad}")
        assert told(response) == (401, "invalid_token")
        assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_revocation_ends_the_session_and_an_unknown_token_is_no_error(tenant: ServedTenant) -> None:
    """S40. RFC 7009 2.1, 2.2."""
    tokens = tenant.grant()
    for unknown in ("x", "lca_x", "lcr_x", tokens["refresh_token"] + "A"):
        assert tenant.ask("revoke", token=unknown).status_code == 200
    assert tenant.ask("revoke", "Client2", token=tokens["refresh_token"]).status_code == 200
    assert tenant.introspect(tokens["access_token"])["active"]  # another client has no effect
    revoked = tenant.ask("revoke", token=tokens["refresh_token"], token_type_hint="access_token")
    assert (revoked.status_code, revoked.content) == (200, b"{}")
    assert tenant.introspect(tokens["access_token"]) == {"active": False}
    assert tenant.seats_in_use() == 0
    assert told(tenant.ask("revoke", "TestClientId", "wrong", token="x")) == (401, "invalid_client")
    assert told(tenant.ask("revoke")) == (400, "invalid_request")


def test_introspection_is_for_those_who_may_and_tells_nothing_of_what_does_not_live(
    tenant: ServedTenant, strict_server: RunningServer
) -> None:
    """S41. RFC 7662 2.1, 2.2, 4."""
    tokens = tenant.grant()
    live = tenant.introspect(tokens["access_token"])
    assert live.items() >= {"active": True, "client_id": "TestClientId", "scope": "all"}.items()
    assert told(tenant.ask("introspect", token=tokens["access_token"])) == (400, "unauthorized_client")
    assert told(tenant.post("introspect", f"token={tokens['access_token']}")) == (401, "invalid_client")
    for dead in ("x", "lca_x", tokens["access_token"] + "A"):
        assert tenant.introspect(dead) == {"active": False}
    elsewhere = tenant.server.ask("Jim_Test/introspect", "Api", token=tokens["access_token"])
    assert elsewhere.json() == {"active": False}
    tenant.post("logoff", authorization=f"Bearer {tokens['access_token']}")
    assert tenant.introspect(tokens["access_token"]) == {"active": False}
    limited = [strict_server.ask("Jim_Test/introspect", "Api", "wrong", token="x") for _ in range(4)]
    assert [response.status_code for response in limited] == [401, 401, 401, 429]
    strict_server.advance(seconds=60)


def test_each_tenant_is_an_issuer_with_metadata_at_both_addresses(tenant: ServedTenant) -> None:
    """S42. RFC 8414 2, 3.1; a tenant that is not there is told like a path that is not there."""
    inserted = tenant.server.http.get(f"/.well-known/oauth-authorization-server/{tenant.name}")
    appended = tenant.server.http.get(f"/{tenant.name}/.well-known/oauth-authorization-server")
    assert inserted.json() == appended.json()
    issuer = f"{tenant.server.url}/{tenant.name}"
    assert inserted.json()["issuer"] == issuer
    assert inserted.json()["token_endpoint"] == f"{issuer}/token"
    assert tenant.introspect(tenant.grant()["access_token"])["iss"] == issuer
    missing = tenant.server.http.get("/.well-known/oauth-authorization-server/NoSuchTenant")
    assert told(missing) == (404, "invalid_request")
    assert _without_id(missing) == _without_id(tenant.server.http.get("/no/such/path"))


FORM = "application/x-www-form-urlencoded"
OFF_RELEASED = {"logged_off": True, "seat_released": True}
OFF_KEPT = {"logged_off": True, "seat_released": False}
FULL = "temporarily_unavailable"


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


def _without_id(response: httpx.Response) -> str:
    return response.text.replace(response.json()["request_id"], "")


def _stored(server: RunningServer) -> Iterable[bytes]:
    """All that the server keeps on disk, but for its own secrets."""
    for path in server.data.iterdir():
        if path.name.startswith("licet.db"):
            with suppress(FileNotFoundError):
                yield path.read_bytes()


def _session(tenant: ServedTenant, tokens: dict[str, Any]) -> Session:
    """The session of these tokens, as it stands in the store."""
    sid = bytes.fromhex(tenant.introspect(tokens["access_token"])["sid"])
    with tenant.server.store() as store:
        _, sessions = store.read_sessions([sid])
    return sessions[sid]
