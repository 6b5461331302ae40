"""requests-oauthlib, with the client of oauthlib for client credentials."""

import os

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from interop.clients.python.line import Members, Unsupported, hello, of_token, serve

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # http on 127.0.0.1


class Client:
    """One session, with what `open` said."""

    def hello(self, _: Members) -> Members:
        """Which library this is."""
        return hello("requests-oauthlib", "requests-oauthlib")

    def open(self, request: Members) -> None:
        """Make the session; it renews by itself, as far as it can."""
        if request["auth"] == "private_key_jwt":
            raise Unsupported("has no private_key_jwt for client credentials")
        self._setup = request
        who = {name: request[name] for name in ("client_id", "client_secret")}
        in_body = request["auth"] == "body"
        self._auth = None if in_body else HTTPBasicAuth(who["client_id"], who["client_secret"])
        scope = request["scope"]
        self._session = OAuth2Session(
            client=BackendApplicationClient(request["client_id"], scope=scope and [scope]),
            auto_refresh_url=request["token_url"],
            auto_refresh_kwargs=who if in_body else {},
            token_updater=lambda _: None,
        )

    def token(self, _: Members) -> Members:
        """Get a token."""
        how = {
            "default": {"client_secret": self._setup["client_secret"]},
            "basic": {"auth": self._auth},
            "body": {"client_secret": self._setup["client_secret"], "include_client_id": True},
        }
        return of_token(self._session.fetch_token(self._setup["token_url"], **how[self._setup["auth"]]))

    def refresh(self, _: Members) -> Members:
        """Renew it."""
        return of_token(self._session.refresh_token(self._setup["token_url"], auth=self._auth))

    def age(self, request: Members) -> None:
        """Have the token expire earlier."""
        token = self._session.token
        self._session.token = {**token, "expires_at": token["expires_at"] - request["seconds"]}

    def call(self, _: Members) -> Members:
        """Ask the API; the credentials with which to renew go with each request."""
        who = {name: self._setup[name] for name in ("client_id", "client_secret")} if self._auth else {}
        return {"status": self._session.get(self._setup["api_url"], **who).status_code}

    def logoff(self, _: Members) -> Members:
        """Free the seat."""
        return {"status": self._session.post(self._setup["logoff_url"]).status_code}


def seen(error: Exception) -> Members:
    """What a caller can read from an error: oauthlib has a class for each code, and the code in it."""
    if not isinstance(error, OAuth2Error):
        return {}
    return {"code": error.error}


if __name__ == "__main__":
    serve(Client(), seen)
