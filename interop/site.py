"""A Licet of its own for one client: tenants, clients, and a clock that the suite moves.

All tenants have the same clients. `Plain` has seats for all, as has `Jwt`, whose tokens are JWTs; `Full400`,
`Full429` and `Full503` have one seat, and the status of their name where there is none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm

from interop.recorder import Recorder
from licet.credentials.public_keys import read_jwk
from licet.model import TokenFormat
from licet.setup.change import end_sessions
from licet.testing import LicetServer

PLAIN = "Plain"
JWT = "Jwt"
STATUSES = (400, 429, 503)
_ENDPOINTS = ("token", "revoke", "introspect", "logoff", "verify")
_PATIENCE_S = 30.0
_ONE_AT_A_TIME = Lock()  # Alembic makes the tables of one store at a time


@dataclass(frozen=True, kw_only=True)
class Who:
    """Credentials."""

    client_id: str
    secret: str


ORDINARY = Who(client_id="client", secret="a secret")
SPECIAL = Who(client_id="+ %41&=", secret="+ %41:&=x")
ACCENT = Who(client_id="clé", secret="un secret à clé")
COLON = Who(client_id="a:b", secret="another secret")
ALL_SPECIAL = Who(client_id="+ %41&=é", secret="+ %41:&=é")
SIGNING = "signing"  # a client that has a key and no secret
API = Who(client_id="Api", secret="api's secret")
_CLIENTS = (ORDINARY, SPECIAL, ACCENT, COLON, ALL_SPECIAL, API)


class Site:
    """The server, what stands before it, and what an administrator does."""

    def __init__(self, licet: LicetServer, recorder: Recorder, http: httpx.Client) -> None:
        self.recorder = recorder
        self._licet = licet
        self._http = http
        self._tenants = {PLAIN: licet.tenant(PLAIN, seats=100, clients={}, apis=())}
        self._tenants[JWT] = licet.tenant(JWT, seats=100, clients={}, apis=(), token_format=TokenFormat.JWT)
        for status in STATUSES:
            name = f"Full{status}"
            self._tenants[name] = licet.tenant(name, seats=1, clients={}, apis=(), no_seat_status=status)
        for tenant in self._tenants.values():
            tenant.add_clients({client.client_id: client.secret for client in _CLIENTS}, introspects=True)
        self.private_key = self._with_key()

    def urls(self, tenant: str, *, direct: bool = False) -> dict[str, str]:
        """The URLs of `open`: through the recorder, or `direct`, where what is signed names the endpoint."""
        before = self._licet.url if direct else self.recorder.url
        urls = {f"{end}_url": f"{before}/{tenant}/{end}" for end in _ENDPOINTS}
        api = f"{self.recorder.url}/api/{tenant}"
        return {"issuer": f"{self._licet.url}/{tenant}", "api_url": api, **urls}

    def advance(self, seconds: int) -> None:
        """Let the server's time go by."""
        self._licet.clock.advance(seconds=seconds)

    def grant(self, tenant: str, who: Who, **form: str) -> dict[str, Any]:
        """A token, without any client in between."""
        form = {"grant_type": "client_credentials", **form}
        return self._posted(tenant, "token", who, form)

    @contextmanager
    def no_seat(self, tenant: str) -> Iterator[None]:
        """Another holds the only seat."""
        with self._tenants[tenant].full_pool():
            yield

    def introspected(self, tenant: str, token: str) -> dict[str, Any]:
        """What introspection says of a token."""
        return self._posted(tenant, "introspect", API, {"token": token})

    def end(self, tenant: str, sid: str) -> None:
        """An administrator ends a session."""
        ended = end_sessions(self._licet.store, "interop", tenant, [bytes.fromhex(sid)])
        assert ended.sessions == 1

    def _with_key(self) -> dict[str, Any]:
        """The private key of `SIGNING`, whose public half Licet gets."""
        tenant, made = self._tenants[PLAIN], generate_private_key(SECP256R1())
        named = {"alg": "ES256", "kid": "of the suite"}
        tenant.add_client(SIGNING)
        with tenant.changing() as setup:
            setup.add_key(SIGNING, read_jwk(ECAlgorithm.to_jwk(made.public_key(), as_dict=True) | named))
        return ECAlgorithm.to_jwk(made, as_dict=True) | named

    @contextmanager
    def store_down(self) -> Iterator[None]:
        """Licet answers, and cannot look anything up."""
        with self._licet.store_down():
            yield

    def _posted(self, tenant: str, end: str, who: Who, form: dict[str, str]) -> dict[str, Any]:
        form = {"client_id": who.client_id, "client_secret": who.secret, **form}
        answer = self._http.post(f"{self._licet.url}/{tenant}/{end}", data=form)
        introspected: dict[str, Any] = answer.raise_for_status().json()
        return introspected


@contextmanager
def opened(data: Path) -> Iterator[Site]:
    """A site, by the clock of the machine until the suite moves it."""
    with _ONE_AT_A_TIME:
        licet = LicetServer(data)
    with licet, Recorder() as recorder, httpx.Client(timeout=_PATIENCE_S) as http:
        recorder.serve(licet.url, (API.client_id, API.secret))
        yield Site(licet, recorder, http)
