"""Authorization server metadata of each tenant (RFC 8414): what works here, and nothing else."""

from licet.model import GrantType, Tenant
from licet.protocol.message import Response, answer

AUTH_METHODS = ("client_secret_basic", "client_secret_post")


def issuer(public_url: str, tenant: Tenant) -> str:
    """RFC 8414 2: the tenant's own."""
    return f"{public_url}/{tenant.name}"


def respond(public_url: str, tenant: Tenant) -> Response:
    """The document, the same at both addresses."""
    base = issuer(public_url, tenant)
    return answer(
        {
            "issuer": base,
            "token_endpoint": f"{base}/token",
            "token_endpoint_auth_methods_supported": AUTH_METHODS,
            "grant_types_supported": [grant_type.value for grant_type in GrantType],
            "response_types_supported": [],  # required by RFC 8414 2; there is no authorization endpoint
            "scopes_supported": sorted(tenant.scopes),
            "revocation_endpoint": f"{base}/revoke",
            "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
            "introspection_endpoint": f"{base}/introspect",
            "introspection_endpoint_auth_methods_supported": AUTH_METHODS,
        }
    )
