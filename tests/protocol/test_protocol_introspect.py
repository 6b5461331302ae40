"""Introspection and metadata, without I/O (RFC 7662, RFC 8414)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.keyring import new_keyring
from licet.credentials.tokens import Tokens
from licet.model import Client, Pool, Scope, Session, Tenant, TokenFormat
from licet.protocol import introspect, metadata
from licet.protocol.errors import OAuthError
from licet.protocol.introspect import Question
from licet.protocol.message import Request
from support.examples import ALL, CLIENTS, VIEW, jim_test, sid

NOW_MS = 1_700_000_000_123
ACCESS_EXPIRY_MS = NOW_MS + 600_000
TOKENS = Tokens(new_keyring(NOW_MS))
TENANT = jim_test()
ASKER = replace(CLIENTS[1], introspects=True)
ISSUER = "https://licence.example.com/Jim_Test"
SESSION = Session(
    sid=sid(1),
    tenant_id=1,
    client_key=1,
    scope="view all",
    pool_id=1,
    holder="client:TestClientId",
    started_at_ms=NOW_MS - 5000,
    renewed_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + 1_200_000,
    address="192.0.2.1",
)
INACTIVE = {"active": False}


def access(session: Session = SESSION, scope: str = SESSION.scope) -> str:
    return TOKENS.access(session, TENANT, issued_at_ms=NOW_MS, expires_at_ms=ACCESS_EXPIRY_MS, scope=scope)


def read(token: str | None, client: Client = ASKER, *, hint: str | None = None) -> Question | None:
    sent = {"token": token, "token_type_hint": hint}
    form = {name: value for name, value in sent.items() if value is not None}
    request = Request(tenant="Jim_Test", basic=None, form=form, address="192.0.2.9")
    return introspect.read(request, TENANT, client, TOKENS)


def answered(
    token: str,
    session: Session | None = SESSION,
    *,
    tenant: Tenant = TENANT,
    now_ms: int = NOW_MS,
    hint: str | None = None,
) -> dict[str, Any]:
    response = introspect.respond(read(token, hint=hint), session, tenant, ISSUER, now_ms)
    assert response.status == 200
    content: dict[str, Any] = json.loads(response.body)
    return content


class TestQuestion:
    """Who may ask what."""

    def test_a_client_that_may_not_introspect_is_refused(self) -> None:
        """S41; RFC 7662 2.1, 4: or any client could try tokens."""
        with pytest.raises(OAuthError) as raised:
            read(access(), CLIENTS[1])
        assert (raised.value.error, raised.value.status) == ("unauthorized_client", 400)

    def test_a_token_that_is_absent_is_a_malformed_request(self) -> None:
        """RFC 7662 2.1."""
        with pytest.raises(OAuthError) as raised:
            read(None)
        assert raised.value.error == "invalid_request"

    @given(st.text(min_size=1, max_size=100))
    def test_any_text_may_be_asked_about(self, token: str) -> None:
        """S08, S41."""
        assert read(token) is None

    def test_a_token_of_another_tenant_is_none(self) -> None:
        """S41: no answers across tenants."""
        elsewhere = replace(SESSION, tenant_id=2)
        assert read(access(elsewhere)) is None
        assert read(TOKENS.refresh(elsewhere), hint="refresh_token") is None

    @pytest.mark.parametrize("hint", [None, "access_token", "unknown"])
    def test_a_refresh_token_is_none_unless_it_is_asked_for(self, hint: str | None) -> None:
        """RFC 7662 2.2, 4: a resource server that lets in what is active must not let it in."""
        assert read(TOKENS.refresh(SESSION), hint=hint) is None


class TestAnswer:
    """RFC 7662 2.2."""

    def test_a_live_access_token_is_told_with_its_client_user_scope_and_life(self) -> None:
        """S26, S41; times are whole seconds."""
        assert answered(access()) == {
            "active": True,
            "scope": "view all",
            "client_id": "TestClientId",
            "username": "TC",
            "token_type": "Bearer",
            "exp": ACCESS_EXPIRY_MS // 1000,
            "iat": NOW_MS // 1000,
            "sub": "client:TestClientId",
            "iss": ISSUER,
            "sid": SESSION.sid.hex(),
            "pool": "full",
            "read_only": False,
            "cache_for": 0,
        }

    def test_the_seat_of_a_signed_pool_is_told_with_whom_it_was_counted_for(self) -> None:
        """L13: the session's holder says it, not the pool as it is now; a pool in no licence has none."""
        seen = introspect.respond(read(access()), SESSION, TENANT, ISSUER, NOW_MS, seat_number=7)
        assert json.loads(seen.body) == answered(access()) | {"seat": {"number": 7, "counted_for": "client"}}
        of_user = replace(SESSION, holder="user:TC")
        seen = introspect.respond(read(access()), of_user, TENANT, ISSUER, NOW_MS, seat_number=1)
        assert json.loads(seen.body)["seat"] == {"number": 1, "counted_for": "user"}

    def test_a_refresh_token_is_told_apart_and_lives_as_long_as_its_session(self) -> None:
        """A resource server must not take it for an access token."""
        content = answered(TOKENS.refresh(SESSION), hint="refresh_token")
        assert content["active"]
        assert content["token_type"] != "Bearer"
        assert content["exp"] == SESSION.expires_at_ms // 1000
        assert content["iat"] == SESSION.started_at_ms // 1000

    def test_a_narrowed_token_is_told_with_its_own_scope(self) -> None:
        """S32."""
        assert answered(access(scope="view"))["scope"] == "view"

    def test_it_says_whether_a_token_is_read_only_by_the_set_up_as_it_is_now(self) -> None:
        """So that no API needs a list of its own; a scope that was removed allows nothing."""
        report = Scope(name="report", licensed=False, read_only=True, pool=None)
        writing = replace(report, read_only=False)
        for scopes, is_read_only in (
            ((VIEW, ALL, report), True),
            ((VIEW, ALL, writing), False),
            ((VIEW,), True),
        ):
            told = answered(access(scope="view report"), tenant=jim_test(scopes=scopes))
            assert told["read_only"] is is_read_only

    @pytest.mark.parametrize(
        ("hold_s", "later_ms", "told"),
        [
            (0, 0, 0),
            (3, 0, 3),
            (3, 1, 2),
            (3, 2000, 1),
            (3, 2001, 0),
            (3, 60_000, 0),
            (60, 0, 5),
            (60, 55_000, 5),
            (60, 55_001, 4),
            (60, 60_000, 0),
        ],
    )
    def test_it_may_be_believed_while_its_seat_is_held(self, hold_s: int, later_ms: int, told: int) -> None:
        """L18: what is left of the hold after the session's last token: whole seconds, 5 at most."""
        tenant = jim_test(pools=(Pool(id=1, name="full", seats=2, hold_s=hold_s),))
        assert answered(access(), tenant=tenant, now_ms=NOW_MS + later_ms)["cache_for"] == told

    def test_the_last_token_of_its_session_counts_and_not_its_own_age(self) -> None:
        """A refresh begins the hold anew."""
        tenant = jim_test(pools=(Pool(id=1, name="full", seats=2, hold_s=60),))
        refreshed = replace(SESSION, renewed_at_ms=NOW_MS + 300_000)
        assert answered(access(), refreshed, tenant=tenant, now_ms=NOW_MS + 310_000)["cache_for"] == 5

    def test_where_access_tokens_are_jwts_their_life_is_held(self) -> None:
        """As some are believed until they expire."""
        tenant = jim_test(token_format=TokenFormat.JWT, access_ttl_s=60)
        assert answered(access(), tenant=tenant, now_ms=NOW_MS + 57_000)["cache_for"] == 3

    def test_a_token_without_a_seat_may_be_believed_for_five_seconds(self) -> None:
        """There is no seat that could be another's."""
        viewing = replace(SESSION, scope="view", pool_id=None, holder=None)
        assert answered(access(viewing, scope="view"), viewing)["cache_for"] == 5

    def test_an_answer_is_not_believed_beyond_the_end_of_its_token(self) -> None:
        """Nor beyond that of its session."""
        viewing = replace(SESSION, scope="view", pool_id=None, holder=None)
        shorter = replace(viewing, expires_at_ms=NOW_MS + 4100)
        assert answered(access(viewing, scope="view"), shorter, now_ms=NOW_MS + 2000)["cache_for"] == 2

    def test_a_seat_of_a_pool_that_was_removed_is_not_believed_to_be_held(self) -> None:
        """Until the node has seen that the session ended with it."""
        tenant = jim_test(pools=(Pool(id=2, name="full", seats=2, hold_s=60),))
        assert answered(access(), tenant=tenant)["cache_for"] == 0

    def test_a_session_without_a_seat_names_no_pool(self) -> None:
        """S25."""
        viewing = replace(SESSION, scope="view", pool_id=None, holder=None)
        assert "pool" not in answered(access(viewing, scope="view"), viewing)

    def test_an_access_token_never_outlives_its_session(self) -> None:
        """S38; L3: a pool's end may have cut the session short."""
        shorter = replace(SESSION, expires_at_ms=NOW_MS + 2000)
        assert answered(access(), shorter)["exp"] == (NOW_MS + 2000) // 1000
        assert answered(access(), shorter, now_ms=NOW_MS + 2000) == INACTIVE

    def test_an_access_token_ends_at_the_very_moment(self) -> None:
        """S34: it lives while the clock shows less."""
        assert answered(access(), now_ms=ACCESS_EXPIRY_MS - 1)["active"]
        assert answered(access(), now_ms=ACCESS_EXPIRY_MS) == INACTIVE

    @pytest.mark.parametrize(
        ("session", "tenant"),
        [
            (None, TENANT),
            (replace(SESSION, tenant_id=2), TENANT),
            (replace(SESSION, client_key=99), TENANT),
            (SESSION, jim_test(clients=(replace(CLIENTS[0], enabled=False),))),
            (SESSION, jim_test(clients=(replace(CLIENTS[0], user=replace(CLIENTS[0].user, enabled=False)),))),
        ],
        ids=["ended", "of another tenant", "of no client", "of a disabled client", "of a disabled user"],
    )
    def test_what_does_not_live_is_inactive_and_nothing_more(
        self, session: Session | None, tenant: Tenant
    ) -> None:
        """S41: exactly {"active": false}, whatever the reason."""
        assert answered(access(), session, tenant=tenant) == INACTIVE
        assert answered(TOKENS.refresh(SESSION), session, tenant=tenant, hint="refresh_token") == INACTIVE

    @pytest.mark.parametrize(
        "token",
        ["abc", access()[:-1], access(replace(SESSION, tenant_id=2))],
        ids=["text", "cut", "foreign"],
    )
    def test_what_is_no_token_of_this_tenant_is_inactive(self, token: str) -> None:
        """S41."""
        assert answered(token) == INACTIVE


class TestMetadata:
    """RFC 8414."""

    def test_each_tenant_has_an_issuer_of_its_own(self) -> None:
        """S42; RFC 8414 2."""
        assert metadata.issuer("https://licence.example.com", TENANT) == ISSUER

    @pytest.mark.parametrize(
        ("path", "public_url", "tenant"),
        [
            ("/.well-known/oauth-authorization-server/Jim_Test", "https://x", "Jim_Test"),
            ("/Jim_Test/.well-known/oauth-authorization-server", "https://x", "Jim_Test"),
            ("/.well-known/oauth-authorization-server/a/b/Jim_Test", "https://x/a/b", "Jim_Test"),
            ("/.well-known/oauth-authorization-server/Jim_Test", "https://x/a/b", "Jim_Test"),
            ("/.well-known/oauth-authorization-server/b/Jim_Test", "https://x/a/b", None),
            ("/.well-known/oauth-authorization-server", "https://x", None),
            ("/Jim_Test/token", "https://x", None),
            ("/", "https://x", None),
        ],
    )
    def test_the_addresses_are_that_of_the_standard_and_the_one_below_the_issuer(
        self, path: str, public_url: str, tenant: str | None
    ) -> None:
        """RFC 8414 3.1, also for a server that is reached below a path."""
        assert metadata.tenant_at(path.split("/")[1:], public_url) == tenant

    def test_only_what_works_is_listed(self) -> None:
        """S47; RFC 8414 2, RFC 7009, RFC 7662."""
        report = Scope(name="report", licensed=False, read_only=True, pool=None)
        tenant = jim_test(scopes=(VIEW, ALL, report))
        methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
        algorithms = ["ES256", "Ed25519", "EdDSA", "PS256", "RS256"]
        assert json.loads(metadata.respond("https://licence.example.com", tenant).body) == {
            "issuer": ISSUER,
            "token_endpoint": f"{ISSUER}/token",
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "grant_types_supported": ["client_credentials", "refresh_token"],
            "response_types_supported": [],
            "scopes_supported": ["all", "report", "view"],
            "revocation_endpoint": f"{ISSUER}/revoke",
            "revocation_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
            "introspection_endpoint": f"{ISSUER}/introspect",
            "introspection_endpoint_auth_methods_supported": methods,
            "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        }
