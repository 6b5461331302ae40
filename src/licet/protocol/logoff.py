"""Answers `POST` or `GET /{tenant}/logoff`: ends the session of a token and frees its seat.

The token comes as a bearer token; or, when the access token has expired, as refresh_token in the body
together with the credentials of its client. Logging off twice is no error.
"""

from typing import assert_never

from licet.credentials.tokens import AccessToken, Tokens
from licet.ledger.commands import (
    AssertionUse,
    ClientRefused,
    Denied,
    End,
    Ended,
    Granted,
    Outcome,
    ScopeRefused,
    SessionUnknown,
    Swept,
)
from licet.model import Client, EndReason, Session, Tenant
from licet.protocol.errors import invalid_token, no_token
from licet.protocol.message import Request, Response, answer

_USUAL = b"Bearer "  # as nearly all clients write it
_NOT_OURS = "The token is not one of this server."
_EXPIRED = "The access token has expired; send the refresh token with the credentials of its client."


def bearer(authorization: bytes | None) -> str | None:
    """The token of an `Authorization: Bearer` header, None when there is none (RFC 6750 2.1)."""
    if authorization is None:
        return None
    if authorization.startswith(_USUAL):
        return authorization[len(_USUAL) :].strip().decode("latin-1")
    scheme, _, token = authorization.partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def read_bearer(token: str, tenant: Tenant | None, tokens: Tokens) -> AccessToken:
    """The access token of a logoff.

    Raises OAuthError when it is not a token of this tenant.
    """
    access = tokens.read_access(token, tenant) if tenant else None
    if access is None:
        raise invalid_token(_NOT_OURS)
    return access


def must_be_current(access: AccessToken, session: Session | None, now_ms: int) -> None:
    """Return unless an expired token is to end a session that is still alive.

    Raises OAuthError.
    """
    if session is not None and access.expires_at_ms <= now_ms:
        raise invalid_token(_EXPIRED)


def read_form(request: Request, tenant: Tenant, client: Client, tokens: Tokens) -> End:
    """The logoff of a client that authenticated and sends its refresh token.

    Raises OAuthError.
    """
    token = request.form.get("refresh_token")
    if token is None:
        raise no_token()
    sid = tokens.read_refresh(token, tenant.id)
    if sid is None:
        raise invalid_token(_NOT_OURS)
    return End(tenant_id=tenant.id, sid=sid, reason=EndReason.LOGOFF, client_key=client.key)


def respond(outcome: Outcome) -> Response:
    """The answer to a logoff.

    Raises OAuthError when the session is another client's.
    """
    match outcome:
        case Ended(seat_released=seat_released, seat_released_in_s=None):
            return answer({"logged_off": True, "seat_released": seat_released})
        case Ended(seat_released_in_s=seconds):  # It is on hold (L18).
            return answer({"logged_off": True, "seat_released": False, "seat_released_in": seconds})
        case SessionUnknown():
            raise invalid_token(_NOT_OURS)
        case Granted() | Denied() | ClientRefused() | ScopeRefused() | Swept() | AssertionUse():
            raise AssertionError("not an outcome of a logoff")
        case _:
            assert_never(outcome)
