"""Answers with the authorization server metadata of a tenant (RFC 8414): only what works."""

from urllib.parse import urlsplit

from licet.credentials.client_assertions import SIGNING_ALGORITHMS, STRICT_ALGORITHMS
from licet.model import GrantType, Tenant, TokenFormat
from licet.protocol.message import Response, answer

AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


_WELL_KNOWN = [".well-known", "oauth-authorization-server"]


def tenant_at(segments: list[str], public_url: str) -> str | None:
    """The tenant whose metadata this path is to show; None for any other path.

    RFC 8414 3.1 puts the well-known part between host and path of an issuer, and a proxy that serves us below
    a path of its own passes that on; the other address is below the issuer, where people expect it.
    """
    if segments[1:] == _WELL_KNOWN:
        return segments[0]
    below = [part for part in urlsplit(public_url).path.split("/") if part]
    return segments[-1] if segments[:-1] in (_WELL_KNOWN, _WELL_KNOWN + below) else None


def issuer(public_url: str, tenant: Tenant) -> str:
    """The issuer of a tenant (RFC 8414 2)."""
    return f"{public_url}/{tenant.name}"


def respond(public_url: str, tenant: Tenant) -> Response:
    """The document, the same at both addresses."""
    base = issuer(public_url, tenant)
    algorithms = STRICT_ALGORITHMS if tenant.strict_assertions else SIGNING_ALGORITHMS
    return answer(
        {
            "issuer": base,
            "token_endpoint": f"{base}/token",
            "token_endpoint_auth_methods_supported": AUTH_METHODS,
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "grant_types_supported": [grant_type.value for grant_type in GrantType],
            "response_types_supported": [],  # required by RFC 8414 2; there is no authorization endpoint
            "scopes_supported": sorted(tenant.scopes),
            # Reference tokens are signed too, but only we can check them.
            **({"jwks_uri": f"{base}/jwks.json"} if tenant.token_format is TokenFormat.JWT else {}),
            "revocation_endpoint": f"{base}/revoke",
            "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
            "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
            "introspection_endpoint": f"{base}/introspect",
            "introspection_endpoint_auth_methods_supported": AUTH_METHODS,
            "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        }
    )
