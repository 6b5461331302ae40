"""An issuer of JWT access tokens that serves only its metadata and its keys."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from licet.guard import Guard, JwtGuard, Refused
from support.guard.calling import CONTEXT
from support.web.http_site import PATIENCE_S, Asked, Site

NOW_S = 1_800_000_000.0
PATIENCE = timedelta(seconds=PATIENCE_S)
METADATA = "/Jim_Test/.well-known/oauth-authorization-server"
JWKS = "/Jim_Test/jwks.json"
KEY, OTHER_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


class Clock:
    """A clock that a test moves."""

    def __init__(self, s: float) -> None:
        self.s = s

    def __call__(self) -> float:
        """The time in seconds."""
        return self.s


def jwk_of(key: ec.EllipticCurvePrivateKey, kid: str = "first", **changes: Any) -> dict[str, Any]:
    """The public key as a JWK."""
    content = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return {**content, "kid": kid, "use": "sig", "alg": "ES256", **changes}


def http(status: int, content: Any, **headers: str) -> bytes:
    """The bytes of an HTTP answer, dated by the test's clock."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {"date": format_datetime(datetime.fromtimestamp(NOW_S, UTC), usegmt=True), **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in named.items() if value)]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "connection: close", "", ""]).encode() + body


class Issuer:
    """An issuer with its keys and clocks. A test may change `answers`, by path, at any time."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.url = f"{site.url}/Jim_Test"
        self.wall, self.now = Clock(NOW_S), Clock(1000.0)
        self.metadata: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{site.url}{JWKS}"}
        self.keys: list[Any] = [jwk_of(KEY)]
        self.answers: dict[str, bytes] = {}
        site.answer = self._answer

    def _answer(self, asked: Asked) -> bytes:
        usual = {METADATA: http(200, self.metadata), JWKS: http(200, {"keys": self.keys})}
        return self.answers.get(asked.path) or usual.get(asked.path) or http(404, {})

    def fetches(self, path: str = JWKS) -> int:
        """How often this path was fetched."""
        return sum(asked.path == path for asked in self.site.asked)

    def token(self, key: Any = KEY, header: Any = None, algorithm: str = "ES256", **changes: Any) -> str:
        """A token with these claims changed; a claim that is None is left out."""
        claims = {
            "iss": self.url,
            "aud": self.url,
            "sub": "client:TestClientId",
            "client_id": "TestClientId",
            "username": "TC",
            "scope": "view all",
            "sid": "0a0b",
            "read_only": False,
            "iat": int(NOW_S),
            "exp": int(NOW_S) + 60,
            "jti": "x",
            **changes,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        named = {"kid": "first", "typ": "at+jwt", **(header or {})}
        return jwt.PyJWS().encode(
            json.dumps(said).encode(),
            key,
            algorithm=algorithm,
            headers={name: value for name, value in named.items() if value is not None},
        )

    def guard(self, **options: Any) -> JwtGuard:
        """A guard that accepts tokens of this issuer."""
        usual: dict[str, Any] = {
            "ssl_context": CONTEXT,
            "timeout": PATIENCE,
            "now_s": self.now,
            "wall_s": self.wall,
            "cache": timedelta(0),
        }
        return JwtGuard(self.url, **usual | options)


def refused(guard: Guard, token: str, method: str = "POST") -> tuple[int, str]:
    """The status and the error with which a request with this token is refused."""
    with pytest.raises(Refused) as caught:
        guard.check(method, f"Bearer {token}")
    return caught.value.status, caught.value.error


UNAVAILABLE = (503, "temporarily_unavailable")
INVALID = (401, "invalid_token")
