"""Signs an assertion for each token request with the private key of the client (RFC 7523 2.2).

It needs PyJWT, which comes with `licet[jwt]`, and is imported only when a key is given.
"""

import secrets
from collections.abc import Callable
from typing import Any

from licet.client.tokens import Secret

LIFE_S = 60  # as short as differing clocks allow
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_UNUSABLE = (
    "private_key must be an unlocked private key in PEM: EC on P-256, Ed25519, or RSA of 2048 bits or more"
)
_RSA_BITS_MIN = 2048


class Signing:
    """Signs for a client; `audience` is the server's issuer, `wall_s` returns seconds since 1970.

    Raises ValueError when the key is unusable, and ImportError without PyJWT.
    """

    def __init__(
        self,
        client_id: str,
        audience: str,
        private_key: Secret,
        key_id: str | None,
        wall_s: Callable[[], float],
    ) -> None:
        self._client_id = client_id
        self._audience = audience
        self._key, self._algorithm = _loaded(private_key)
        self._headers = {} if key_id is None else {"kid": key_id}
        self._wall_s = wall_s

    def __repr__(self) -> str:
        """Never the key."""
        return f"Signing({self._algorithm})"

    def form(self) -> dict[str, str]:
        """The form fields that authenticate one request; the next one needs new ones."""
        import jwt  # noqa: PLC0415 - an extra

        now_s = int(self._wall_s())
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._audience,
            "jti": secrets.token_urlsafe(16),
            "iat": now_s,
            "exp": now_s + LIFE_S,
        }
        signed = jwt.encode(claims, self._key, self._algorithm, headers=self._headers)
        return {"client_assertion_type": TYPE, "client_assertion": signed}


def _loaded(private_key: Secret) -> tuple[Any, str]:
    """The key, and its algorithm."""
    try:
        import jwt  # noqa: F401, PLC0415 - an extra
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    except ImportError:
        raise ImportError("a private key needs PyJWT: pip install 'pyjwt[crypto]'") from None
    try:
        key = load_pem_private_key(private_key.reveal().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(_UNUSABLE) from None
    match key:
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return key, "ES256"
        case ed25519.Ed25519PrivateKey():
            return key, "EdDSA"
        case rsa.RSAPrivateKey() if key.key_size >= _RSA_BITS_MIN:
            return key, "PS256"  # which a server with strict assertions accepts, too
        case _:
            raise ValueError(_UNUSABLE)
