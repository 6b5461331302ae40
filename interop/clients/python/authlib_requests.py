"""Authlib's OAuth2Session, which is a session of requests."""

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc.jwk import ECKey
from requests import RequestException

from interop.clients.python.line import Members, hello, of_response, of_token, serve

_METHODS = {
    "default": None,
    "basic": "client_secret_basic",
    "body": "client_secret_post",
    "private_key_jwt": "private_key_jwt",
}


class Client:
    """One session, with what `open` said."""

    def hello(self, _: Members) -> Members:
        """Which library this is."""
        return hello("Authlib, `requests`", "Authlib")

    def open(self, request: Members) -> None:
        """Make the session."""
        self._setup = request
        method, key = _METHODS[request["auth"]], request.get("private_key")
        self._session = OAuth2Session(
            request["client_id"],
            ECKey.import_key(key) if key else request["client_secret"],
            token_endpoint_auth_method=method,
            scope=request["scope"],
            token_endpoint=request["token_url"],
            grant_type="client_credentials",
        )
        if key:
            self._session.register_client_auth_method(
                PrivateKeyJWT(request["token_url"], alg=key["alg"], headers={"kid": key["kid"]})
            )

    def token(self, _: Members) -> Members:
        """Get a token."""
        return of_token(self._session.fetch_token())

    def refresh(self, _: Members) -> Members:
        """Renew it."""
        return of_token(self._session.refresh_token())

    def age(self, request: Members) -> None:
        """Have the token expire earlier."""
        token = self._session.token
        self._session.token = {**token, "expires_at": token["expires_at"] - request["seconds"]}

    def call(self, _: Members) -> Members:
        """Ask the API."""
        return {"status": self._session.get(self._setup["api_url"]).status_code}

    def logoff(self, _: Members) -> Members:
        """Free the seat."""
        return {"status": self._session.post(self._setup["logoff_url"]).status_code}

    def revoke(self, _: Members) -> None:
        """Revoke the access token."""
        token = self._session.token["access_token"]
        self._session.revoke_token(self._setup["revoke_url"], token=token).raise_for_status()

    def introspect(self, _: Members) -> Members:
        """Ask about the access token."""
        token = self._session.token["access_token"]
        answer = self._session.introspect_token(self._setup["introspect_url"], token=token)
        return {"active": answer.json()["active"]}

    def discover(self, _: Members) -> Members:
        """Read the metadata: Authlib knows where they are, and checks them."""
        url = get_well_known_url(self._setup["issuer"], external=True, suffix="oauth-authorization-server")
        metadata = AuthorizationServerMetadata(self._session.get(url, withhold_token=True).json())
        metadata.validate_token_endpoint()
        self._session.metadata["token_endpoint"] = metadata.token_endpoint
        return {"token_endpoint": metadata.token_endpoint}


def seen(error: Exception) -> Members:
    """What a caller can read from an error."""
    if isinstance(error, OAuthError):
        return {"code": error.error}
    if isinstance(error, RequestException) and error.response is not None:
        return of_response(error.response.status_code, error.response.text)
    return {}


if __name__ == "__main__":
    serve(Client(), seen)
