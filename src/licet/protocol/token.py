"""Answers `POST /{tenant}/token`: grants and refreshes tokens (RFC 6749 4.4 and 6)."""

import re
from collections.abc import Mapping
from typing import Any, assert_never

from licet.credentials.tokens import Tokens
from licet.ledger.commands import (
    AssertionUse,
    ClientRefused,
    Denied,
    Ended,
    Grant,
    Granted,
    Outcome,
    Refresh,
    ScopeRefused,
    SessionUnknown,
    Swept,
)
from licet.ledger.scopes import resolve_scope
from licet.model import Client, FailureCause, GrantType, Tenant, TokenFormat
from licet.protocol.errors import (
    OAuthError,
    Refusal,
    invalid_client,
    invalid_grant,
    invalid_request,
    invalid_scope,
    no_seat,
    setup_changed,
)
from licet.protocol.licence_warnings import licence_members
from licet.protocol.message import Request, Response, answer, required

SCOPE_CHARS_MAX = 512  # it may be in a token, and a token in a header
# RFC 6749 App. A.4: scope = scope-token *( SP scope-token )
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


def read(request: Request, tenant: Tenant, client: Client, tokens: Tokens, sid: bytes) -> Grant | Refresh:
    """The command of a client that has authenticated; `sid` is the id of a new session.

    Raises OAuthError.
    """
    try:
        grant_type = GrantType(required(request.form, "grant_type"))
    except ValueError:
        description = "grant_type is client_credentials or refresh_token."
        raise OAuthError(Refusal.UNSUPPORTED_GRANT_TYPE, description) from None
    if grant_type not in client.grant_types:
        raise OAuthError(Refusal.UNAUTHORIZED_CLIENT, "This client may not use this grant_type.")
    asked = _asked_scope(request.form)
    queue = _asks_to_queue(request.form)
    match grant_type:
        case GrantType.CLIENT_CREDENTIALS:
            return _read_grant(request, tenant, client, asked, sid, queue=queue)
        case GrantType.REFRESH_TOKEN:
            return _read_refresh(request, tenant, client, asked, tokens)
        case _:
            assert_never(grant_type)


def _read_grant(
    request: Request, tenant: Tenant, client: Client, asked: tuple[str, ...], sid: bytes, *, queue: bool
) -> Grant:
    resolved = resolve_scope(tenant, client, asked)
    if isinstance(resolved, ScopeRefused):
        raise invalid_scope(resolved.why)
    return Grant(
        tenant_id=tenant.id,
        client_key=client.key,
        sid=sid,
        scope=resolved.scope,
        pool_id=resolved.pool_id,
        address=request.address,
        other_pool_ids=resolved.other_pool_ids,
        queue=queue,
    )


def _read_refresh(
    request: Request, tenant: Tenant, client: Client, asked: tuple[str, ...], tokens: Tokens
) -> Refresh:
    sid = tokens.read_refresh(required(request.form, "refresh_token"), tenant.id)
    if sid is None:
        raise invalid_grant("not a refresh token of this tenant")
    return Refresh(
        tenant_id=tenant.id, client_key=client.key, sid=sid, scope=asked or None, address=request.address
    )


def _asked_scope(form: Mapping[str, str]) -> tuple[str, ...]:
    scope = form.get("scope")
    if scope is None:
        return ()
    if len(scope) > SCOPE_CHARS_MAX or not _SCOPE.fullmatch(scope):
        raise invalid_scope(
            f"scope is names apart by one space, in ASCII, {SCOPE_CHARS_MAX} characters at most."
        )
    return tuple(scope.split(" "))


def _asks_to_queue(form: Mapping[str, str]) -> bool:
    """Whether the client waits in line where no seat is free (L19)."""
    match form.get("queue"):
        case None | "false":
            return False
        case "true":
            return True
        case _:
            raise invalid_request("queue is true or false.")


def respond(outcome: Outcome, tenant: Tenant, tokens: Tokens) -> Response:
    """The answer to a grant or refresh.

    Raises OAuthError when it was refused.
    """
    match outcome:
        case Granted():
            return answer(_granted(outcome, tenant, tokens))
        case Denied():
            raise no_seat(outcome, tenant.no_seat_status)
        case ScopeRefused(is_outdated=True, why=why):  # a client takes `invalid_scope` for final
            raise setup_changed(why)
        case ScopeRefused(why=why):
            raise invalid_scope(why)
        case SessionUnknown():
            raise invalid_grant("no live session of this client")
        case ClientRefused():
            raise invalid_client("disabled since it authenticated", FailureCause.CLIENT_DISABLED)
        case Ended() | Swept() | AssertionUse():  # whoever submits an assertion settles it before
            raise AssertionError("not an outcome of a grant or refresh of a client that has authenticated")
        case _:
            assert_never(outcome)


def _granted(granted: Granted, tenant: Tenant, tokens: Tokens) -> dict[str, Any]:
    session, expires_at_ms = granted.session, granted.access_expires_at_ms
    if tenant.token_format is TokenFormat.JWT:
        expires_at_ms = _jwt_expiry_ms(granted, tenant)
    content: dict[str, Any] = {
        "access_token": tokens.access(
            session,
            tenant,
            issued_at_ms=granted.at_ms,
            expires_at_ms=expires_at_ms,
            scope=granted.scope,
            seat_number=granted.seat_number,
        ),
        "token_type": "Bearer",
        "expires_in": _whole_seconds(expires_at_ms - granted.at_ms),
    }
    # RFC 6749 5.1: no refresh token for a client that may not use one.
    if granted.may_refresh:
        content["refresh_token"] = tokens.refresh(session)
        content["refresh_expires_in"] = _whole_seconds(session.expires_at_ms - granted.at_ms)
    content["scope"] = granted.scope
    if granted.seat_number:
        content |= licence_members(granted, tenant)
    return content


def _jwt_expiry_ms(granted: Granted, tenant: Tenant) -> int:
    """In whole seconds, as in a JWT, so that `expires_in` agrees with it.

    The tenant may still have had reference tokens when it was decided, which may live longer than a JWT
    should.
    """
    latest_ms = granted.at_ms + tenant.access_ttl_s * 1000
    return min(granted.access_expires_at_ms, latest_ms) // 1000 * 1000


def _whole_seconds(duration_ms: int) -> int:
    """Rounded down, so that nobody trusts a token too long; but a live one lasts at least a second."""
    return max(1, duration_ms // 1000)
