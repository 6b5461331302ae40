"""Answers `POST /{tenant}/introspect` (RFC 7662): whether a token is live, whose it is, and with which scope.

The caller is a client of the tenant that may introspect. A token that is not live, or not of this tenant, and
a text that is no token get the same answer, `{"active": false}` (RFC 7662 2.2).
"""

from licet.credentials.seat_claim import seat_claim
from licet.credentials.tokens import Tokens
from licet.model import Client, Session, Tenant, Value
from licet.protocol.errors import OAuthError, Refusal
from licet.protocol.message import Request, Response, answer, required

CACHE_FOR_MAX_S = 5  # so an ended session is out within 5 s, whatever the hold

INACTIVE = answer({"active": False})

_BEARER = "Bearer"
_REFRESH = "refresh_token"


class Question(Value, frozen=True, kw_only=True):
    """The content of a token of this tenant; the times and scope of a refresh token are its session's."""

    sid: bytes
    token_type: str
    issued_at_ms: int | None
    expires_at_ms: int | None
    scope: str


def read(request: Request, tenant: Tenant, client: Client, tokens: Tokens) -> Question | None:
    """The token that is asked about; None when it is not one of this tenant.

    Raises OAuthError when this client may not ask.
    """
    if not client.introspects:
        raise OAuthError(Refusal.UNAUTHORIZED_CLIENT, "This client may not introspect.")
    token = required(request.form, "token")
    if (access := tokens.read_access(token, tenant)) is not None:
        return Question(
            sid=access.sid,
            token_type=_BEARER,
            issued_at_ms=access.issued_at_ms,
            expires_at_ms=access.expires_at_ms,
            scope=access.scope,
        )
    # Resource servers accept any active token, and few check its type: a refresh token is active only where
    # the hint names it. RFC 7662 2.2 lets us decide what is active for whom.
    if request.form.get("token_type_hint") != _REFRESH:
        return None
    if (sid := tokens.read_refresh(token, tenant.id)) is not None:
        return Question(sid=sid, token_type=_REFRESH, issued_at_ms=None, expires_at_ms=None, scope="")
    return None


def respond(
    question: Question | None,
    session: Session | None,
    tenant: Tenant,
    issuer: str,
    now_ms: int,
    *,
    seat_number: int = 0,
) -> Response:
    """The answer, for the session as the store has it at `now_ms`, None where it is not alive.

    `seat_number` is the number of its seat in a signed pool (L13), else 0.
    """
    if question is None or session is None or session.tenant_id != tenant.id:
        return INACTIVE
    client = tenant.clients_by_key.get(session.client_key)
    expires_at_ms = _expires_at_ms(question, session)
    if client is None or not client.usable or expires_at_ms <= now_ms:
        return INACTIVE
    scope = question.scope or session.scope
    pool = None if session.pool_id is None else tenant.pools.get(session.pool_id)
    content = {
        "active": True,
        "scope": scope,
        "client_id": client.client_id,
        "username": client.user.initials,
        "token_type": question.token_type,
        "exp": expires_at_ms // 1000,
        "iat": (question.issued_at_ms or session.started_at_ms) // 1000,
        "sub": f"client:{client.client_id}",  # no user can have this name (RFC 9700 4.15)
        "iss": issuer,
        "sid": session.sid.hex(),
        "read_only": tenant.is_read_only(scope),  # by the current set-up
        "cache_for": _cache_for_s(_believed_until_ms(question, session, tenant), now_ms),
    }
    if pool is not None:
        content["pool"] = pool.name
    if (seat := seat_claim(session, seat_number)) is not None:
        content["seat"] = seat
    return answer(content)


def is_use(question: Question, response: Response) -> bool:
    """Whether an API asked about a live access token, and not somebody about a refresh token."""
    return response is not INACTIVE and question.token_type is _BEARER


def same_until_ms(question: Question, session: Session, tenant: Tenant, now_ms: int) -> int:
    """Until when time alone does not change the answer: it expires, or may be cached for a second less."""
    believed_until_ms = _believed_until_ms(question, session, tenant)
    cache_for_s = _cache_for_s(believed_until_ms, now_ms)
    return believed_until_ms - cache_for_s * 1000 if cache_for_s else _expires_at_ms(question, session)


def _expires_at_ms(question: Question, session: Session) -> int:
    return min(question.expires_at_ms or session.expires_at_ms, session.expires_at_ms)


def _believed_until_ms(question: Question, session: Session, tenant: Tenant) -> int:
    """Until when the token may be taken for live by who has asked: so long nobody else gets the seat (L18).

    The seat's newest token is at least as young as the session's.
    """
    expires_at_ms = _expires_at_ms(question, session)
    if session.pool_id is None:
        return expires_at_ms
    pool = tenant.pools.get(session.pool_id)
    hold_ms = 0 if pool is None else tenant.hold_s_of(pool) * 1000
    return min(expires_at_ms, session.renewed_at_ms + hold_ms)


def _cache_for_s(believed_until_ms: int, now_ms: int) -> int:
    """For how many whole seconds the answer may be cached."""
    return max(0, min(believed_until_ms - now_ms, CACHE_FOR_MAX_S * 1000)) // 1000
