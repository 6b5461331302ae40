"""JWT access tokens over HTTP: granted, refreshed, asked about, ended, and verified by what others wrote."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from licet.credentials.jwt_signing_keys import PERIOD_MS, PUBLISHED_BEFORE_MS
from licet.credentials.keyring import FILE_NAME, read_keyring, write_keyring
from licet.model import TokenFormat
from support.licences.twin_signatures import twin
from support.server.running import RunningServer
from support.server.served_tenant import ServedTenant
from support.waiting import until

PERIOD_S = PERIOD_MS / 1000
METADATA = ".well-known/oauth-authorization-server"


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose clock goes on by months, and whose keys change."""
    with RunningServer(tmp_path_factory.mktemp("server"), manual_clock=True) as running:
        yield running


@pytest.fixture
def tenant(own_server: RunningServer, request: pytest.FixtureRequest) -> ServedTenant:
    """A tenant with JWTs."""
    tenant = ServedTenant(own_server, f"J{abs(hash(request.node.name))}")
    choose(tenant, TokenFormat.JWT)
    return tenant


def choose(tenant: ServedTenant, token_format: TokenFormat) -> None:
    """Change what access tokens are."""
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set(token_format=token_format)


def said(token: str) -> dict[str, Any]:
    """What a token says, believed as it is."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def kids(tenant: ServedTenant) -> list[str]:
    """The keys that are published; the one that signs first."""
    answer = tenant.server.http.get(f"/{tenant.name}/jwks.json")
    return [key["kid"] for key in answer.raise_for_status().json()["keys"]]


def logoff(tenant: ServedTenant, token: str) -> Any:
    return tenant.post("logoff", authorization=f"Bearer {token}")


class TestLife:
    """A JWT is granted, asked about and ended as a reference is."""

    def test_a_grant_gives_a_jwt_of_a_minute_and_a_refresh_token_that_is_none(
        self, tenant: ServedTenant
    ) -> None:
        """RFC 9068; its life goes with the format."""
        tokens = tenant.grant()
        claims = said(tokens["access_token"])
        assert claims["exp"] - claims["iat"] == tokens["expires_in"] == 60
        assert tokens["refresh_token"].startswith("lcr_")

    def test_it_says_what_introspection_says(self, tenant: ServedTenant) -> None:
        """RFC 7662 2.2: one truth."""
        token = tenant.grant()["access_token"]
        asked, claims = tenant.introspect(token), said(token)
        assert asked.pop("active")
        assert asked.pop("token_type") == "Bearer"
        assert asked.pop("cache_for") == 5
        assert (len(claims.pop("jti")), claims.pop("aud")) == (32, claims["iss"])
        assert claims == asked

    def test_a_refresh_gives_another_jwt_of_the_same_session_with_less_scope_if_asked(
        self, tenant: ServedTenant
    ) -> None:
        """RFC 6749 6."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set(scope_default="all")
        tokens = tenant.grant(scope="view all")
        refreshed = tenant.refresh(tokens, scope="view").json()
        first, second = said(tokens["access_token"]), said(refreshed["access_token"])
        assert (first["sid"], first["scope"]) == (second["sid"], "view all")
        assert second["scope"] == "view"
        assert tenant.introspect(refreshed["access_token"])["scope"] == "view"
        assert refreshed["refresh_token"] == tokens["refresh_token"]

    def test_introspection_tells_the_truth_of_the_session(self, tenant: ServedTenant) -> None:
        """What nobody asks about goes on, so its seat is held (L18); who asks is told at once."""
        token = tenant.grant()["access_token"]
        assert tenant.introspect(token)["active"]
        left_off = logoff(tenant, token).json()
        assert left_off == {"logged_off": True, "seat_released": False, "seat_released_in": 60}
        assert tenant.introspect(token) == {"active": False}
        assert said(token)["exp"] * 1000 > tenant.server.clock.now_ms()

    def test_a_logoff_with_one_is_idempotent(self, tenant: ServedTenant) -> None:
        """As with a reference."""
        token = tenant.grant()["access_token"]
        logoff(tenant, token)
        assert logoff(tenant, token).json() == {"logged_off": True, "seat_released": False}

    def test_the_twin_of_its_signature_is_the_same_token(self, tenant: ServedTenant) -> None:
        """It verifies as well, and anybody can make it: it says the same, and a logoff with one ends both."""
        token = tenant.grant()["access_token"]
        assert tenant.introspect(twin(token)) == tenant.introspect(token)
        assert logoff(tenant, twin(token)).json()["logged_off"]
        assert tenant.introspect(token) == tenant.introspect(twin(token)) == {"active": False}

    def test_one_that_has_expired_ends_no_session_that_lives(self, tenant: ServedTenant) -> None:
        """RFC 6750 3.1; nor is it active."""
        tokens = tenant.grant()
        tenant.server.advance(seconds=60)
        assert tenant.introspect(tokens["access_token"]) == {"active": False}
        answer = logoff(tenant, tokens["access_token"])
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        hint = {"token_type_hint": "refresh_token"}
        assert tenant.ask("introspect", "Api", token=tokens["refresh_token"], **hint).json()["active"]

    @pytest.mark.parametrize("hint", [{}, {"token_type_hint": "access_token"}])
    def test_one_is_revoked(self, tenant: ServedTenant, hint: dict[str, str]) -> None:
        """RFC 7009 2.1: its session goes with it."""
        tokens = tenant.grant()
        assert tenant.ask("revoke", token=tokens["access_token"], **hint).status_code == 200
        assert tenant.introspect(tokens["access_token"]) == {"active": False}
        assert tenant.refresh(tokens).json()["error"] == "invalid_grant"

    def test_one_lets_a_request_through_a_proxy(self, tenant: ServedTenant) -> None:
        """Forward auth asks the store, so a logoff is final at once there."""
        token = tenant.grant()["access_token"]
        asked = {"authorization": f"Bearer {token}", "x-original-method": "POST"}
        verify = f"/{tenant.name}/verify"
        assert tenant.server.http.get(verify, headers=asked).status_code == 204
        logoff(tenant, token)
        assert tenant.server.http.get(verify, headers=asked).status_code == 401

    def test_one_is_nothing_to_another_tenant(self, tenant: ServedTenant) -> None:
        """S31, S41."""
        other = ServedTenant(tenant.server, f"{tenant.name}-other")
        choose(other, TokenFormat.JWT)
        token = tenant.grant()["access_token"]
        assert other.introspect(token) == {"active": False}
        assert logoff(other, token).status_code == 401
        assert other.ask("revoke", token=token).status_code == 200
        assert tenant.introspect(token)["active"]

    def test_it_never_outlives_its_session(self, tenant: ServedTenant) -> None:
        """L3, L7: also where the licence ends in the middle of a second."""
        at_ms = tenant.server.clock.now_ms()
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", expires_at_ms=at_ms + 10_900)
        tokens = tenant.grant()
        assert said(tokens["access_token"])["exp"] == (at_ms + 10_900) // 1000
        assert tokens["expires_in"] == 10


class TestChangingTheFormat:
    """A tenant may change its mind, and nobody is logged off by that."""

    def test_what_was_granted_before_goes_on_both_ways(self, tenant: ServedTenant) -> None:
        """What a token is, its look tells."""
        signed = tenant.grant()
        choose(tenant, TokenFormat.REFERENCE)
        reference = tenant.grant("Client2")
        assert reference["access_token"].startswith("lca_")
        assert reference["expires_in"] == 600
        assert tenant.introspect(signed["access_token"])["active"]
        assert kid_of(signed["access_token"]) in kids(tenant)
        assert tenant.refresh(signed).json()["access_token"].startswith("lca_")
        choose(tenant, TokenFormat.JWT)
        assert tenant.introspect(reference["access_token"])["active"]
        assert logoff(tenant, reference["access_token"]).json()["seat_released_in"] == 60
        assert logoff(tenant, signed["access_token"]).json()["seat_released_in"] == 60

    def test_metadata_name_the_keys_where_there_are_jwts(self, tenant: ServedTenant) -> None:
        """RFC 8414 2: jwks_uri."""
        address = f"/{tenant.name}/{METADATA}"
        found = tenant.server.http.get(address).json()
        assert found["jwks_uri"] == f"{found['issuer']}/jwks.json"
        choose(tenant, TokenFormat.REFERENCE)
        assert "jwks_uri" not in tenant.server.http.get(address).json()


class TestKeys:
    """Keys come by themselves, and with the keyring."""

    def test_each_period_has_its_key_and_overlaps_with_the_next(self, tenant: ServedTenant) -> None:
        """A key is published 30 days before it signs, and 30 days after."""
        signing, sets = [], []
        for _ in range(3):
            token = tenant.grant(scope="view")["access_token"]
            signing.append(kid_of(token))
            sets.append(kids(tenant))
            assert sets[-1][0] == signing[-1]
            assert tenant.introspect(token)["active"]
            tenant.server.advance(seconds=PERIOD_S)
            until(lambda: kids(tenant)[0] != signing[-1])  # it looks four times a second
        assert len(set(signing)) == 3
        assert signing[1] in sets[0]
        assert signing[0] in sets[1]
        assert signing[2] in sets[1]
        assert signing[0] not in sets[2]

    def test_a_token_that_was_granted_as_a_period_ended_lives_its_minute(self, tenant: ServedTenant) -> None:
        """The key that signed it is still published, and still accepted."""
        now_s = tenant.server.clock.now_ms() / 1000
        tenant.server.advance(seconds=PERIOD_S - now_s % PERIOD_S - 10)
        token = tenant.grant(scope="view")["access_token"]
        tenant.server.advance(seconds=20)
        until(lambda: kids(tenant)[0] != kid_of(token))
        assert kid_of(token) in kids(tenant)
        assert tenant.introspect(token)["active"]

    def test_a_new_key_of_the_keyring_is_published_ten_minutes_before_it_signs(
        self, tenant: ServedTenant
    ) -> None:
        """Whoever has kept the set for five minutes knows it; the older one is good while it is there."""
        server = tenant.server
        path = server.data / FILE_NAME
        first, before = tenant.grant(scope="view")["access_token"], kids(tenant)
        write_keyring(path, read_keyring(path).rotated(server.clock.now_ms()))
        until(lambda: len(kids(tenant)) != len(before))
        assert kids(tenant)[0] == kid_of(first)
        server.advance(seconds=PUBLISHED_BEFORE_MS / 1000 + 1)
        until(lambda: kids(tenant)[0] != kid_of(first))
        second = tenant.grant(scope="view")["access_token"]
        assert kid_of(second) == kids(tenant)[0]
        assert set(before) < set(kids(tenant))
        third = tenant.grant("Client2", scope="view")["access_token"]
        write_keyring(path, read_keyring(path).pruned(server.clock.now_ms()))
        until(lambda: kid_of(first) not in kids(tenant))
        assert set(kids(tenant)).isdisjoint(before)
        assert tenant.introspect(third)["active"]

    def test_the_set_is_read_by_whoever_asks_and_may_be_kept(self, tenant: ServedTenant) -> None:
        """RFC 7517 8.5.2, RFC 9111 5.2.2.1."""
        address = f"/{tenant.name}/jwks.json"
        answer = tenant.server.http.get(address)
        assert answer.headers["content-type"] == "application/jwk-set+json"
        assert answer.headers["cache-control"] == "public, max-age=300"
        head = tenant.server.http.head(address)
        assert (head.status_code, head.headers["content-length"]) == (200, answer.headers["content-length"])
        assert tenant.server.http.post(address).status_code == 405
        for unknown in ("/Nobody/jwks.json", "/jwks.json", f"{address}/", f"{address}/x"):
            assert tenant.server.http.get(unknown).status_code == 404


def test_pyjwt_verifies_a_token_with_what_it_fetches(tmp_path: Path) -> None:
    """RFC 9068 4, RFC 8414 2: an API in another product needs the issuer's address and nothing else."""
    with RunningServer(tmp_path) as server:
        with server.changing() as change:
            change.tenant("Jim_Test").set(token_format=TokenFormat.JWT)
        answer = server.ask("Jim_Test/token", grant_type="client_credentials").json()
        metadata = server.http.get(f"/Jim_Test/{METADATA}").json()
        key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(answer["access_token"])
        claims = jwt.decode(
            answer["access_token"],
            key,
            algorithms=["ES256"],
            issuer=metadata["issuer"],
            audience=metadata["issuer"],
            options={"require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]},
        )
        assert claims["client_id"] == "TestClientId"
        assert 58 <= answer["expires_in"] <= 60


def test_a_token_is_accepted_after_a_restart(tmp_path: Path) -> None:
    """Nothing of a key is kept but the keyring; so it is with the nodes that share it."""
    with RunningServer(tmp_path) as server:
        with server.changing() as change:
            change.tenant("Jim_Test").set(token_format=TokenFormat.JWT)
        token = server.ask("Jim_Test/token", grant_type="client_credentials").json()["access_token"]
        server.terminate()
        server.set(port=urlsplit(server.url).port)
        server.start()
        assert server.ask("Jim_Test/introspect", "Api", token=token).json()["active"]
