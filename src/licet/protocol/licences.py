"""Answers `GET /{tenant}/licences`: the signed licences of a tenant, for the guard of an API.

The caller is a client of the tenant that may introspect. The texts are as the vendor signed them: a guard
verifies each under the vendor's own keys, and believes this server nothing.
"""

from licet.licences.published import published
from licet.model import Client, Tenant
from licet.protocol.errors import OAuthError, Refusal
from licet.protocol.message import Response, answer


def check(client: Client) -> None:
    """Return if this client may have them.

    Raises OAuthError.
    """
    if not client.introspects:
        raise OAuthError(Refusal.UNAUTHORIZED_CLIENT, "This client may not introspect.")


def respond(tenant: Tenant, now_ms: int) -> Response:
    """The licences that count now or later, from the snapshot of the tenant."""
    return answer({"licences": published(tenant.licences, now_ms)})
