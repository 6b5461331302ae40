"""Answers `POST /{tenant}/revoke` (RFC 7009): ends the session of a token, and with it all its tokens.

An access token takes its session along, as RFC 7009 2.1 allows: a seat is held by a session, not by a token.
"""

from licet.credentials.tokens import Tokens
from licet.ledger.commands import End
from licet.model import Client, EndReason, Tenant
from licet.protocol.message import Request, Response, answer, required


def read(request: Request, tenant: Tenant, client: Client, tokens: Tokens) -> End | None:
    """The session to end; None when the token is none of this tenant, which is no error (RFC 7009 2.2).

    A hint is not needed: the prefix of a token tells its kind. Raises OAuthError.
    """
    token = required(request.form, "token")
    access = tokens.read_access(token, tenant)
    sid = access.sid if access else tokens.read_refresh(token, tenant.id)
    if sid is None:
        return None
    return End(tenant_id=tenant.id, sid=sid, reason=EndReason.REVOKED, client_key=client.key)


def respond() -> Response:
    """RFC 7009 2.2: 200, whatever became of the token. Nobody reads what is in it; some have to parse it."""
    return answer({})
