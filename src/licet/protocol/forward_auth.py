"""Answers `/{tenant}/verify`: a proxy asks whether a request may pass, and for whom.

nginx (`auth_request`), Traefik, Caddy and others ask at `/{tenant}/verify` by GET, and give the method of the
request in a header. Envoy (`ext_authz`) asks by the request's own method at `/{tenant}/verify/...`, followed
by the request's path; it accepts 200 as a yes, and nothing else. The rules:

- The token is the request's own, and the proxy need not authenticate: it learns only about a token that it
  has.
- A read-only token passes with a safe method (RFC 9110 9.2.1). Where several methods are given, all have to
  be safe, so that a header of the client's own gains nothing; where none is given, it counts as not safe.
- Nothing is cached: a logoff counts from the next request on.
- Every yes has all headers and none is empty, so that a proxy that sets them overwrites forged ones.
"""

from collections.abc import Sequence
from urllib.parse import quote

from licet.credentials.tokens import AccessToken, Tokens
from licet.model import Client, Session, Tenant, Value
from licet.protocol.errors import Header, insufficient_scope, invalid_token, no_token
from licet.protocol.logoff import bearer
from licet.protocol.message import Response, check_query

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})  # TRACE is safe too, but its answer shows the token
_METHODS = frozenset({b"x-original-method", b"x-forwarded-method"})
# An application behind the proxy may take its method from these; in WSGI `-` and `_` are the same.
_OVERRIDING = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
# After these another protocol follows, which can carry any method. `Upgrade` does not get here, but these
# fields, without which there is no handshake, do: RFC 6455 4.1, RFC 7540 3.2.1.
_UPGRADING = frozenset({b"sec-websocket-key", b"http2-settings"})

# RFC 6750 2.3 allows a token in the query; RFC 9700 4.3.2 forbids it. The rest of a query belongs to the API.
_NEVER_IN_ITS_QUERY = frozenset({"access_token"})

_VISIBLE = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"  # beside what `quote` never changes; % is not among them

# Instead of all headers of a request that is kept.
_AS_SAFE: Sequence[Header] = ((b"x-original-method", b"GET"),)
_AS_NOT_SAFE: Sequence[Header] = ((b"x-original-method", b""),)

_NO_STORE: Header = (b"cache-control", b"no-store")
_SEND_ONE = "Send an access token: Authorization: Bearer."
_NOT_LIVE = "The access token is not live; get a new one."


class Asked(Value, frozen=True, kw_only=True):
    """How a proxy asked: `is_below` is whether the path of the request follows ours."""

    method: str
    query: bytes
    headers: Sequence[Header]
    is_below: bool

    def kept(self) -> "Asked":
        """The same without what might be a secret or long: one header that decides as all of them do."""
        headers = _AS_SAFE if _is_safe(self) else _AS_NOT_SAFE
        return Asked(method=self.method, query=b"", headers=headers, is_below=self.is_below)


def read(asked: Asked, authorization: bytes | None, tenant: Tenant | None, tokens: Tokens) -> AccessToken:
    """The access token of the request that the proxy asks for.

    Raises OAuthError.
    """
    if asked.is_below:
        check_query(asked.query, _NEVER_IN_ITS_QUERY)
    else:
        check_query(asked.query)
    token = bearer(authorization)
    if token is None:
        raise no_token(_SEND_ONE)
    access = tokens.read_access(token, tenant) if tenant else None
    if access is None:
        raise invalid_token(_NOT_LIVE, "not an access token of this tenant")
    return access


def respond(
    asked: Asked, access: AccessToken, session: Session | None, tenant: Tenant, now_ms: int
) -> Response:
    """The yes, for the session as the store has it at `now_ms`, None where it is not alive.

    Raises OAuthError.
    """
    if session is None or session.tenant_id != tenant.id or session.expires_at_ms <= now_ms:
        raise invalid_token(_NOT_LIVE, "its session has ended")
    if access.expires_at_ms <= now_ms:
        raise invalid_token(_NOT_LIVE, "it has expired")
    client = tenant.clients_by_key.get(session.client_key)
    if client is None or not client.usable:
        raise invalid_token(_NOT_LIVE, "its client is disabled or removed")
    scope = access.scope or session.scope
    if tenant.is_read_only(scope) and not _is_safe(asked):
        raise insufficient_scope(_writing(tenant), f"a token of {client.client_id} is read-only")
    headers = _headers(client, scope, session.sid)
    return Response(status=200 if asked.is_below else 204, headers=headers, body=b"", is_own=True)


def same_until_ms(access: AccessToken, session: Session) -> int:
    """Until when time alone does not change a yes."""
    return min(access.expires_at_ms, session.expires_at_ms)


def _writing(tenant: Tenant) -> str:
    """The scope to ask for, where there is only one; else ''."""
    return "" if tenant.is_read_only(tenant.scope_default) else tenant.scope_default


def _is_safe(asked: Asked) -> bool:
    """Whether the request changes nothing, by every method that the proxy gives."""
    is_known = asked.is_below
    if asked.method.encode("latin-1") not in _SAFE:
        return False
    for name, value in asked.headers:
        if name in _METHODS:
            if value not in _SAFE:
                return False
            is_known = True
        elif _decides(name):
            return False
    return is_known


def _decides(name: bytes) -> bool:
    """Whether a header of this name may say that the request changes something."""
    return name in _METHODS or name in _UPGRADING or name.replace(b"_", b"-") in _OVERRIDING


def _headers(client: Client, scope: str, sid: bytes) -> tuple[Header, ...]:
    return (
        (b"x-licet-user", _spelt(client.user.initials)),
        (b"x-licet-client", _spelt(client.client_id)),
        (b"x-licet-scope", _spelt(scope, also=" ")),  # the separator of two scopes
        (b"x-licet-session", sid.hex().encode()),
        _NO_STORE,
    )


def _spelt(text: str, also: str = "") -> bytes:
    """The text in visible ASCII, other characters and `%` as %XX of UTF-8: no value can begin a header."""
    if not (text.isascii() and text.isalnum()):  # the usual case, and quick
        text = quote(text, safe=_VISIBLE + also)
    return text.encode()
