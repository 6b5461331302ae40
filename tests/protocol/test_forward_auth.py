"""Forward authentication, without I/O: what passes, and what is told of it (RFC 6750, RFC 9110 9.2.1)."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.keyring import new_keyring
from licet.credentials.tokens import Tokens
from licet.model import Client, Scope, Session, Tenant
from licet.protocol import forward_auth
from licet.protocol.errors import Header, OAuthError
from licet.protocol.message import Response
from support.examples import ALL, CLIENTS, VIEW, client, jim_test, sid

NOW_MS = 1_700_000_000_000
EXPIRES_MS = NOW_MS + 600_000
TOKENS = Tokens(new_keyring(NOW_MS))
REPORTS = Scope(name="50%off", licensed=False, read_only=True, pool=None)
TENANT = jim_test(scopes=(VIEW, ALL, REPORTS))
SESSION = Session(
    sid=sid(7),
    tenant_id=1,
    client_key=1,
    scope="view all",
    pool_id=1,
    holder="client:TestClientId",
    started_at_ms=NOW_MS,
    renewed_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + 1_200_000,
    address="192.0.2.1",
)
ORIGINAL, FORWARDED = "X-Original-Method", "X-Forwarded-Method"


def token(session: Session = SESSION, scope: str = SESSION.scope, tenant: Tenant = TENANT) -> bytes:
    return TOKENS.access(session, tenant, issued_at_ms=NOW_MS, expires_at_ms=EXPIRES_MS, scope=scope).encode()


def headers(*lines: tuple[str, str]) -> list[Header]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in lines]


def asked(
    *lines: tuple[str, str], method: str = "GET", below: bool = False, query: str = ""
) -> forward_auth.Asked:
    return forward_auth.Asked(
        method=method, query=query.encode("latin-1"), headers=headers(*lines), is_below=below
    )


def answered(
    question: forward_auth.Asked,
    scope: str = "all",
    *,
    session: Session | None = SESSION,
    tenant: Tenant = TENANT,
    now_ms: int = NOW_MS,
    authorization: bytes | None = None,
) -> Response:
    authorization = authorization or b"Bearer " + token(scope=scope)
    access = forward_auth.read(question, authorization, tenant, TOKENS)
    return forward_auth.respond(question, access, session, tenant, now_ms)


def refused(question: forward_auth.Asked, scope: str = "all", **more: object) -> OAuthError:
    with pytest.raises(OAuthError) as raised:
        answered(question, scope, **more)  # type: ignore[arg-type]
    return raised.value


def is_client_id(text: str) -> bool:
    try:
        client(1, text, "TC")
    except ValueError:
        return False
    return True


class TestYes:
    """What a proxy is told of a request that may pass."""

    def test_it_is_told_who_calls_and_by_which_session(self) -> None:
        """In four headers, and nothing that may be kept."""
        response = answered(asked((ORIGINAL, "POST")))
        assert (response.status, response.body) == (204, b"")
        assert dict(response.headers) == {
            b"x-licet-user": b"TC",
            b"x-licet-client": b"TestClientId",
            b"x-licet-scope": b"all",
            b"x-licet-session": sid(7).hex().encode(),
            b"cache-control": b"no-store",
        }

    def test_below_it_is_200(self) -> None:
        """Envoy takes no other for a yes."""
        assert answered(asked(method="POST", below=True)).status == 200

    def test_the_scope_is_the_token_s_and_not_the_session_s(self) -> None:
        """RFC 6749 6: a token may have less."""
        told = dict(answered(asked((ORIGINAL, "GET")), "view").headers)
        assert told[b"x-licet-scope"] == b"view"
        told = dict(answered(asked((ORIGINAL, "GET")), "view all").headers)
        assert told[b"x-licet-scope"] == b"view all"

    def test_a_name_is_spelt_so_that_it_fits_into_a_header(self) -> None:
        """What is not visible ASCII, and %, is percent-encoded UTF-8 (RFC 3986 2.1)."""
        named = replace(CLIENTS[0], client_id="Zoë & 50% ,x")
        told = dict(answered(asked((ORIGINAL, "POST")), tenant=jim_test(clients=(named,))).headers)
        assert told[b"x-licet-client"] == b"Zo%C3%AB%20&%2050%25%20,x"

    def test_a_scope_with_a_percent_sign_is_spelt_so_too(self) -> None:
        """And the space between two of them stays."""
        told = dict(answered(asked((ORIGINAL, "GET")), "50%off view").headers)
        assert told[b"x-licet-scope"] == b"50%25off view"

    @given(st.text(min_size=1, max_size=40).filter(is_client_id))
    def test_no_name_begins_another_header(self, client_id: str) -> None:
        """RFC 9112 5: and each can be read back."""
        tenant = jim_test(clients=(client(1, client_id, "TC"),))
        told = dict(answered(asked((ORIGINAL, "POST")), tenant=tenant).headers)[b"x-licet-client"]
        assert all(0x21 <= byte <= 0x7E for byte in told)
        assert unquote(told.decode("ascii")) == client_id


class TestToken:
    """Whose token lets a request pass (RFC 6750 2.1, 3.1)."""

    @pytest.mark.parametrize("authorization", [None, b"", b"Basic QXBpOnBhc3N3b3Jk", b"Bearerx"])
    def test_none_gets_the_challenge_alone(self, authorization: bytes | None) -> None:
        """RFC 6750 3.1: without an error code."""
        with pytest.raises(OAuthError) as raised:
            forward_auth.read(asked(), authorization, TENANT, TOKENS)
        assert raised.value.status == 401
        assert raised.value.headers == ((b"www-authenticate", b'Bearer realm="licet"'),)

    @pytest.mark.parametrize(
        "authorization",
        [
            b"Bearer",
            b"Bearer x",
            b"Bearer " + token() + b"," + token(),
            b"Bearer " + token()[:-1] + b"!",
            b"Bearer " + TOKENS.refresh(SESSION).encode(),
            b"Bearer " + token(replace(SESSION, tenant_id=2), tenant=jim_test(id=2, name="Other")),
            b"Bearer "
            + Tokens(new_keyring(NOW_MS))
            .access(SESSION, TENANT, issued_at_ms=NOW_MS, expires_at_ms=EXPIRES_MS, scope="all")
            .encode(),
            b"Bearer \xff" + b"x" * 5000,
        ],
        ids=["empty", "junk", "two", "spoilt", "refresh", "another tenant's", "another server's", "long"],
    )
    def test_what_is_no_access_token_of_this_tenant_is_invalid(self, authorization: bytes) -> None:
        """RFC 6750 3.1: malformed ones count as well, and nothing tells which it was."""
        error = refused(asked((ORIGINAL, "GET")), authorization=authorization)
        assert (error.error, error.status) == ("invalid_token", 401)
        assert error.description == "The access token is not live; get a new one."
        assert error.headers == ((b"www-authenticate", b'Bearer realm="licet", error="invalid_token"'),)

    def test_of_a_tenant_that_there_is_not_none_is_live(self) -> None:
        """As with any other token."""
        with pytest.raises(OAuthError) as raised:
            forward_auth.read(asked(), b"Bearer " + token(), None, TOKENS)
        assert raised.value.error == "invalid_token"

    @pytest.mark.parametrize(
        ("session", "now_ms", "clients"),
        [
            (None, NOW_MS, CLIENTS),
            (replace(SESSION, tenant_id=2), NOW_MS, CLIENTS),
            (SESSION, EXPIRES_MS, CLIENTS),
            (replace(SESSION, expires_at_ms=NOW_MS), NOW_MS, CLIENTS),
            (SESSION, NOW_MS, (replace(CLIENTS[0], enabled=False),)),
            (SESSION, NOW_MS, (replace(CLIENTS[0], user=replace(CLIENTS[0].user, enabled=False)),)),
            (SESSION, NOW_MS, CLIENTS[1:]),
        ],
        ids=[
            "ended",
            "elsewhere",
            "token expired",
            "session expired",
            "disabled",
            "user disabled",
            "removed",
        ],
    )
    def test_what_does_not_live_is_invalid(
        self, session: Session | None, now_ms: int, clients: tuple[Client, ...]
    ) -> None:
        """L3, L4: the same answer for all of them."""
        tenant = jim_test(clients=clients)
        error = refused(asked((ORIGINAL, "GET")), session=session, now_ms=now_ms, tenant=tenant)
        assert (error.error, error.status) == ("invalid_token", 401)
        assert error.description == "The access token is not live; get a new one."

    def test_to_the_last_millisecond_it_lives(self) -> None:
        """L3."""
        assert answered(asked((ORIGINAL, "POST")), now_ms=EXPIRES_MS - 1).status == 204


class TestMethod:
    """What a read-only token passes with."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize("name", [ORIGINAL, FORWARDED])
    def test_a_safe_one_that_is_told_in_either_header(self, name: str, method: str) -> None:
        """RFC 9110 9.2.1."""
        assert answered(asked((name, method)), "view").status == 204

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PURGE"])
    @pytest.mark.parametrize("name", [ORIGINAL, FORWARDED])
    def test_with_no_other_one(self, name: str, method: str) -> None:
        """RFC 6750 3.1: 403, and the challenge names a scope that may."""
        error = refused(asked((name, method)), "view")
        assert (error.error, error.status) == ("insufficient_scope", 403)
        challenge = b'Bearer realm="licet", error="insufficient_scope", scope="all"'
        assert error.headers == ((b"www-authenticate", challenge),)

    @pytest.mark.parametrize("value", ["", "get", "GET,POST", "GET, GET", "GET ", "GE", "\xff"])
    def test_with_nothing_that_is_not_exactly_a_safe_one(self, value: str) -> None:
        """RFC 9110 9.1: a method is case-sensitive."""
        assert refused(asked((ORIGINAL, value)), "view").status == 403

    def test_not_when_none_is_told(self) -> None:
        """A GET of nginx says nothing of the request that it asks for."""
        assert refused(asked(), "view").status == 403

    @pytest.mark.parametrize(
        "lines",
        [
            ((ORIGINAL, "GET"), (ORIGINAL, "POST")),
            ((ORIGINAL, "POST"), (ORIGINAL, "GET")),
            ((ORIGINAL, "GET"), (FORWARDED, "POST")),
            ((FORWARDED, "GET"), (ORIGINAL, "DELETE")),
        ],
    )
    def test_not_when_one_of_several_is_not_safe(self, lines: tuple[tuple[str, str], ...]) -> None:
        """A header of the client's own that a proxy hands on gains it nothing."""
        assert refused(asked(*lines), "view").status == 403

    @pytest.mark.parametrize("below", [False, True])
    def test_not_when_the_question_itself_is_asked_by_another(self, *, below: bool) -> None:
        """A proxy that keeps the method tells it so; no header makes it safe."""
        error = refused(asked((ORIGINAL, "GET"), (FORWARDED, "GET"), method="POST", below=below), "view")
        assert error.status == 403

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    def test_below_the_question_s_own_is_enough(self, method: str) -> None:
        """Envoy asks by the method of the request."""
        assert answered(asked(method=method, below=True), "view").status == 200

    def test_below_a_header_can_only_make_it_stricter(self) -> None:
        """It may be the client's."""
        assert refused(asked((ORIGINAL, "POST"), below=True), "view").status == 403

    @pytest.mark.parametrize(
        "name",
        ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override"],
    )
    @pytest.mark.parametrize("below", [False, True])
    def test_not_when_the_api_may_take_it_for_another(self, name: str, *, below: bool) -> None:
        """As the guard has it: whatever it names."""
        assert refused(asked((ORIGINAL, "GET"), (name, "GET"), below=below), "view").status == 403

    @pytest.mark.parametrize("below", [False, True])
    def test_not_when_it_opens_a_websocket(self, *, below: bool) -> None:
        """RFC 6455 4.1: a GET by name, and then anything goes through."""
        key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        assert refused(asked((ORIGINAL, "GET"), key, below=below), "view").status == 403

    @pytest.mark.parametrize("below", [False, True])
    def test_not_when_it_opens_a_tunnel_of_http_2(self, *, below: bool) -> None:
        """RFC 7540 3.2.1: about what goes through it nobody asks any more."""
        settings = ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
        assert refused(asked((ORIGINAL, "GET"), settings, below=below), "view").status == 403
        assert answered(asked((ORIGINAL, "GET"), settings, below=below)).status in {200, 204}

    def test_another_token_passes_with_any_and_with_none(self) -> None:
        """It does not matter then."""
        for scope in ("all", "view all"):
            for lines in ((), ((ORIGINAL, "POST"),), ((ORIGINAL, "?"), ("Sec-WebSocket-Key", "x"))):
                assert answered(asked(*lines), scope).status == 204

    def test_all_scopes_have_to_be_read_only_to_keep_it_out(self) -> None:
        """And a scope that is there no more is for nothing."""
        assert refused(asked(), "50%off view").status == 403
        assert answered(asked((ORIGINAL, "GET")), "50%off view").status == 204
        without_all = jim_test(scopes=(VIEW,), scope_default="view")
        error = refused(asked(), "view all", tenant=without_all)
        assert error.status == 403
        assert error.headers == ((b"www-authenticate", b'Bearer realm="licet", error="insufficient_scope"'),)


class TestQuery:
    """What a URL may hold (RFC 9700 4.3)."""

    @pytest.mark.parametrize("query", ["access_token=x", "a=b&access%5Ftoken=x"])
    @pytest.mark.parametrize("below", [False, True])
    def test_no_token(self, query: str, *, below: bool) -> None:
        """RFC 9700 4.3.2: also where a good one stands in the header."""
        error = refused(asked((ORIGINAL, "GET"), query=query, below=below))
        assert (error.error, error.status) == ("invalid_request", 400)

    def test_of_its_own_nothing_of_oauth(self) -> None:
        """As with all endpoints."""
        assert refused(asked((ORIGINAL, "GET"), query="client_secret=x")).status == 400
        assert answered(asked((ORIGINAL, "GET"), query="x=1")).status == 204

    def test_of_the_request_that_is_asked_for_what_the_api_likes(self) -> None:
        """Its names are its own."""
        assert answered(asked(query="client_id=5&scope=x&token=3", below=True)).status == 200


def test_the_headers_of_a_yes_are_its_own_and_need_not_be_kept() -> None:
    """They name a session: a listener that kept the heads of answers would lose those that come again."""
    assert answered(asked((ORIGINAL, "GET"))).is_own


@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from([ORIGINAL, FORWARDED, "X-HTTP_Method", "Sec-WebSocket-Key", "X-Other"]),
            st.sampled_from(["GET", "HEAD", "POST", "get", "", "G" * 4000]),
        ),
        max_size=4,
    ),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    below=st.booleans(),
)
def test_what_is_kept_of_a_request_is_short_and_decides_as_the_request(
    lines: list[tuple[str, str]], method: str, *, below: bool
) -> None:
    """Whoever has a live token may have many requests kept, with any headers."""
    question = asked(*lines, method=method, below=below)
    kept = question.kept()
    assert sum(len(name) + len(value) for name, value in kept.headers) < 30

    def answer(question: forward_auth.Asked) -> object:
        try:
            return answered(question, "view")
        except OAuthError as error:
            return error.error

    assert answer(kept) == answer(question)
