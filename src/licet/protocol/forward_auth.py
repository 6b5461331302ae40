"""Answers `/{tenant}/verify`: a proxy asks whether a request may pass, and for whom.

nginx (`auth_request`), Traefik, Caddy and others ask at `/{tenant}/verify`, by GET whatever the method of the
request was, which a header tells. Envoy (`ext_authz`) asks by that method at `/{tenant}/verify/...`, and its
own path follows; it takes 200 for a yes, and nothing else. The rules:

- The token is the request's own, and who asks need not authenticate: it learns of a token that it has.
- A read-only token passes with a safe method (RFC 9110 9.2.1). Where several are told, all have to
  be safe, so that a header of the client's own gains nothing; where none is told, nobody knows, and it
  is not.
- Nothing is remembered: a logoff counts from the next question on.
- What is told is there in every yes and never empty, so that a proxy that sets it leaves nothing forged.
"""

from collections.abc import Sequence
from urllib.parse import quote

from licet.credentials.tokens import AccessToken, Tokens
from licet.model import Client, Session, Tenant, Value
from licet.protocol.errors import Header, insufficient_scope, invalid_token, no_token
from licet.protocol.logoff import bearer
from licet.protocol.message import Response, check_query

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})  # TRACE is safe too, and shows the token in its answer
_METHODS = frozenset({b"x-original-method", b"x-forwarded-method"})
# What is behind the proxy may take its method from these; in a WSGI application both spellings are one.
_OVERRIDING = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
# What is spoken after these carries anything. `Upgrade` does not get here; what else a handshake cannot do
# without does: RFC 6455 4.1, RFC 7540 3.2.1.
_UPGRADING = frozenset({b"sec-websocket-key", b"http2-settings"})

# RFC 6750 2.3 has the token in a query; RFC 9700 4.3.2 takes that back. The rest of a query is the API's.
_NEVER_IN_ITS_QUERY = frozenset({"access_token"})

_VISIBLE = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"  # beside what `quote` never touches; % is not there

_NO_STORE: Header = (b"cache-control", b"no-store")
_SEND_ONE = "Send an access token: Authorization: Bearer."
_NOT_LIVE = "The access token is not live; get a new one."


class Asked(Value, frozen=True, kw_only=True):
    """How a proxy asked: `is_below` is whether the path of the request that it asks for follows ours."""

    method: str
    query: bytes
    headers: Sequence[Header]
    is_below: bool


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
    """The yes, from the session as the store has it at `now_ms`; None when it does not live.

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
    return Response(
        status=200 if asked.is_below else 204, headers=_told(client, scope, session.sid), body=b""
    )


def _writing(tenant: Tenant) -> str:
    """The scope to ask for, where that is plain; else ''."""
    return "" if tenant.is_read_only(tenant.scope_default) else tenant.scope_default


def _is_safe(asked: Asked) -> bool:
    """Whether the request that the proxy asks for changes nothing, by all that is told of it."""
    is_known = asked.is_below
    if asked.method.encode("latin-1") not in _SAFE:
        return False
    for name, value in asked.headers:
        if name in _METHODS:
            if value not in _SAFE:
                return False
            is_known = True
        elif name in _UPGRADING or name.replace(b"_", b"-") in _OVERRIDING:
            return False
    return is_known


def _told(client: Client, scope: str, sid: bytes) -> tuple[Header, ...]:
    return (
        (b"x-licet-user", _spelt(client.user.initials)),
        (b"x-licet-client", _spelt(client.client_id)),
        (b"x-licet-scope", _spelt(scope, also=" ")),  # what stands between two of them
        (b"x-licet-session", sid.hex().encode()),
        _NO_STORE,
    )


def _spelt(text: str, also: str = "") -> bytes:
    """Visible ASCII: what is not, and `%`, as %XX of its UTF-8. So no value can begin another header."""
    if not (text.isascii() and text.isalnum()):  # most are, and this is quick
        text = quote(text, safe=_VISIBLE + also)
    return text.encode()
