"""Answers `POST /{tenant}/revoke` (RFC 7009): ends the session of a token, and with it all its tokens.

Revoking an access token ends its session, as RFC 7009 2.1 allows: a session holds the seat, not a token.
"""

from licet.credentials.tokens import Tokens
from licet.ledger.commands import End
from licet.model import Client, EndReason, Tenant
from licet.protocol.message import Request, Response, answer, required


def read(request: Request, tenant: Tenant, client: Client, tokens: Tokens) -> End | None:
    """The session to end; None when the token is not one of this tenant, which is no error (RFC 7009 2.2).

    No hint is needed: the prefix of a token shows its kind. Raises OAuthError.
    """
    token = required(request.form, "token")
    access = tokens.read_access(token, tenant)
    sid = access.sid if access else tokens.read_refresh(token, tenant.id)
    if sid is None:
        return None
    return End(tenant_id=tenant.id, sid=sid, reason=EndReason.REVOKED, client_key=client.key)


def respond() -> Response:
    """RFC 7009 2.2: 200, whatever the token was. The body means nothing, but some clients parse it."""
    return answer({})
