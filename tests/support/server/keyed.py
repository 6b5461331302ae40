"""A tenant whose clients authenticate by signed assertions (RFC 7523)."""

from typing import Any
from urllib.parse import urlencode

import httpx

from support.server.running import PASSWORD_HASH
from support.server.served_tenant import ServedTenant
from support.web.signing import ALGORITHMS, Signer, claims, proof

GRANT = {"grant_type": "client_credentials"}
WHO = "TestClientId"
SIGNERS = {algorithm: Signer.new(algorithm) for algorithm in ALGORITHMS}


class Keyed:
    """A tenant of the shared server of which two clients have keys: `TestClientId` one of each kind."""

    def __init__(self, tenant: ServedTenant) -> None:
        self.tenant = tenant
        self.issuer = f"{tenant.server.url}/{tenant.name}"
        with tenant.server.changing() as change:
            setup = change.tenant(tenant.name)
            for signer in SIGNERS.values():
                setup.add_key(WHO, signer.key)
            setup.add_key("Api", SIGNER.key)
            setup.add_user("GO", password_hash=PASSWORD_HASH)
            setup.add_client("Gone", user="GO", enabled=False)
            setup.add_key("Gone", SIGNER.key)

    def claims(self, client_id: str = WHO, **more: Any) -> dict[str, Any]:
        """The claims of a client, by the server's clock."""
        audience = more.pop("aud", self.issuer)
        now_s = self.tenant.server.clock.now_ms() / 1000
        return claims(client_id, audience, now_s=now_s, **more)

    def sign(self, client_id: str = WHO, **more: Any) -> str:
        """An assertion of a client."""
        return SIGNER.sign(self.claims(client_id, **more))

    def ask(self, endpoint: str, assertion: str, **form: str) -> httpx.Response:
        """The answer to a request with this assertion."""
        return self.tenant.post(endpoint, urlencode({**proof(assertion), **form}))

    def grant(self, assertion: str | None = None, **form: str) -> httpx.Response:
        """The answer to a client that asks for a token."""
        return self.ask("token", assertion or self.sign(), **{**GRANT, **form})


def refused(response: httpx.Response, error: str = "invalid_client") -> str:
    """The content of a refusal."""
    content = response.json()
    assert (response.status_code, content["error"]) == (401 if error == "invalid_client" else 400, error)
    described: str = content["error_description"]
    return described


SIGNER = SIGNERS["ES256"]
