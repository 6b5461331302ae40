"""Signs the claims of a usage statement with the key that signs the tenant's JWTs."""

import json
from collections.abc import Mapping
from typing import Any

from licet.credentials.jwt_signing_keys import PERIOD_MS, PUBLISHED_BEFORE_MS, JwtKeys
from licet.credentials.keyring import Keyring
from licet.licences.jws import encode
from licet.model import Tenant
from licet.vendor.statements import header_of

_PUBLIC = ("kty", "crv", "x", "y")


def sign(claims: Mapping[str, Any], keyring: Keyring, tenant: Tenant, now_ms: int) -> str:
    """The statement as a compact JWS."""
    signs = keyring.signing(now_ms - PUBLISHED_BEFORE_MS)
    key = JwtKeys().key(signs, tenant.id, now_ms // PERIOD_MS)
    content = {**claims, "key": {name: key.jwk[name] for name in _PUBLIC}}
    payload = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    signed = f"{encode(header_of(key.kid))}.{encode(payload)}"
    return f"{signed}.{key.sign(signed.encode()).decode()}"
