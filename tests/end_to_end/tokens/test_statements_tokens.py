"""What an authorization server has to be, statement by statement, seen from the network: tokens.

The statements are those of docs/reference/standards.md; a docstring begins with the number of its own and the
section of the standard. Nothing is measured in time: what must cost the same is counted.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx

from licet.cli.run.demo import PASSWORD
from licet.credentials.keyring import FILE_NAME, new_keyring, read_keyring
from licet.credentials.tokens import Tokens
from licet.model import GrantType, Session
from support.server.running import RunningServer
from support.server.served_tenant import ServedTenant
from support.server.stating import (
    ACCESS_S,
    BASIC,
    GRANT,
    OFF_RELEASED,
    SESSION_S,
    basic,
    secret_of,
    stored,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable

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
    log += "".join(content.decode("latin-1") for content in stored(tenant.server))
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
    assert without_id(other_client) == without_id(other_tenant) == without_id(unknown)
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
    assert len({without_id(response) for response in responses}) == 1


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
        assert not any(body.encode() in content for content in stored(tenant.server))
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
    assert without_id(missing) == without_id(tenant.server.http.get("/no/such/path"))


OFF_KEPT = {"logged_off": True, "seat_released": False}
FULL = "temporarily_unavailable"


def without_id(response: httpx.Response) -> str:
    return response.text.replace(response.json()["request_id"], "")


def _session(tenant: ServedTenant, tokens: dict[str, Any]) -> Session:
    """The session of these tokens, as it stands in the store."""
    sid = bytes.fromhex(tenant.introspect(tokens["access_token"])["sid"])
    with tenant.server.store() as store:
        sessions = store.read_sessions([sid]).sessions
    return sessions[sid]
