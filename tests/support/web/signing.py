"""Key pairs of clients, and the client assertions that PyJWT signs with them (RFC 7523).

signer = Signer.new("ES256")
form = proof(signer.sign(claims("TestClientId", "https://licence.example.com/Jim_Test")))
"""

import itertools
import json
import time
from functools import cache
from typing import Any, NamedTuple, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from licet.credentials.client_assertions import TYPE
from licet.credentials.public_keys import read_keys
from licet.model import PublicKey

ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")
_NUMBERS = itertools.count(1)


class Signer(NamedTuple):
    """A key pair and its algorithm."""

    private: Any
    algorithm: str

    @classmethod
    def new(cls, algorithm: str) -> Self:
        """A new key pair."""
        return cls(_generated(algorithm), algorithm)

    @property
    def pem(self) -> str:
        """The public key in PEM."""
        public: bytes = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return public.decode()

    @property
    def key(self) -> PublicKey:
        """The public key as Licet keeps it."""
        [key] = read_keys(self.pem)
        return key

    @property
    def private_jwk(self) -> dict[str, Any]:
        """The private key as a JWK, which must never leave its client."""
        algorithm: Any = jwt.get_algorithm_by_name(self.algorithm)
        found: dict[str, Any] = json.loads(algorithm.to_jwk(self.private))
        return found

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """An assertion; a header that is None is left out."""
        return jwt.encode(claims, self.private, self.algorithm, headers=header or None)


def claims(
    client_id: str, audience: str | list[str], *, now_s: float | None = None, **more: Any
) -> dict[str, Any]:
    """The claims of a client, valid for a minute from now; None in `more` removes a claim."""
    now_s = time.time() if now_s is None else now_s
    said = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": f"assertion-{next(_NUMBERS)}",
        "iat": int(now_s),
        "exp": int(now_s) + 60,
    }
    return {name: it for name, it in (said | more).items() if it is not None}


def proof(assertion: str) -> dict[str, str]:
    """The form fields of an assertion (RFC 7521 4.2)."""
    return {"client_assertion_type": TYPE, "client_assertion": assertion}


def _generated(algorithm: str) -> Any:
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return _rsa(algorithm)


@cache
def _rsa(algorithm: str) -> Any:
    """One key for each algorithm in a process: to generate an RSA key takes long."""
    del algorithm
    return rsa.generate_private_key(65_537, 2048)
