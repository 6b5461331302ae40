"""httpx-oauth, which has no client credentials: it renews and revokes what came from elsewhere."""

import asyncio
from typing import Any

import httpx
from httpx_oauth.oauth2 import BaseOAuth2, OAuth2RequestError, OAuth2Token

from interop.clients.python.line import Members, Unsupported, hello, of_response, of_token, serve


class Client:
    """One client, with what `open` said."""

    def hello(self, _: Members) -> Members:
        """Which library this is."""
        return hello("httpx-oauth", "httpx-oauth")

    def open(self, request: Members) -> None:
        """Make the client."""
        self._setup = request
        methods = {"basic": "client_secret_basic", "body": "client_secret_post"}
        if request["auth"] == "private_key_jwt":
            raise Unsupported("has no private_key_jwt")
        method = (
            {"token_endpoint_auth_method": methods[request["auth"]]} if request["auth"] in methods else {}
        )
        self._client: BaseOAuth2[Any] = BaseOAuth2(
            request["client_id"],
            request["client_secret"],
            "http://127.0.0.1/none",
            request["token_url"],
            request["token_url"],
            request["revoke_url"],
            revocation_endpoint_auth_method="client_secret_basic",
            **method,
        )

    def hold(self, request: Members) -> None:
        """Take over a token."""
        self._token = OAuth2Token(dict(request["token"]))

    def refresh(self, _: Members) -> Members:
        """Renew it."""
        self._token = asyncio.run(self._client.refresh_token(self._token["refresh_token"]))
        return of_token(self._token)

    def age(self, request: Members) -> None:
        """Have the token expire earlier."""
        self._token["expires_at"] -= request["seconds"]

    def call(self, _: Members) -> Members:
        """Ask the API; the library only gets tokens, and can tell whether one has expired."""
        if self._token.is_expired():
            self.refresh({})
        return {"status": httpx.get(self._setup["api_url"], headers=self._bearer()).status_code}

    def logoff(self, _: Members) -> Members:
        """Free the seat."""
        return {"status": httpx.post(self._setup["logoff_url"], headers=self._bearer()).status_code}

    def revoke(self, _: Members) -> None:
        """Revoke the access token."""
        asyncio.run(self._client.revoke_token(self._token["access_token"]))

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token['access_token']}"}


def seen(error: Exception) -> Members:
    """What a caller can read from an error."""
    if isinstance(error, OAuth2RequestError) and error.response is not None:
        return of_response(error.response.status_code, error.response.text)
    return {}


if __name__ == "__main__":
    serve(Client(), seen)
