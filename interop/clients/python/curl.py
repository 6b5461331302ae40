"""curl, as in the examples of the documentation."""

import json
import os
import subprocess
from typing import Any

from interop.clients.python.line import Members, Unsupported, of_response, of_token, serve


class Refused(Exception):
    """The server said no; curl shows the answer and its status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status, self.body = status, body


class Client:
    """One caller, with what `open` said."""

    def hello(self, _: Members) -> Members:
        """Which curl this is."""
        version = _run(("curl", "--version")).split()[1]
        return {"library": "curl", "version": version, "runtime": os.uname().sysname}

    def open(self, request: Members) -> None:
        """Remember the credentials."""
        if request["auth"] == "private_key_jwt":
            raise Unsupported("signs nothing")
        self._setup = request

    def token(self, _: Members) -> Members:
        """Get a token."""
        scope = [f"scope={self._setup['scope']}"] if self._setup["scope"] else []
        return self._granted("grant_type=client_credentials", *scope)

    def refresh(self, _: Members) -> Members:
        """Renew it."""
        return self._granted("grant_type=refresh_token", f"refresh_token={self._token['refresh_token']}")

    def age(self, _: Members) -> None:
        """It keeps no time."""
        raise Unsupported("keeps no time")

    def call(self, _: Members) -> Members:
        """Ask the API."""
        return {"status": _ask(self._setup["api_url"], *self._bearer())[0]}

    def logoff(self, _: Members) -> Members:
        """Free the seat."""
        return {"status": _ask(self._setup["logoff_url"], "-X", "POST", *self._bearer())[0]}

    def revoke(self, _: Members) -> None:
        """Revoke the access token."""
        self._posted(self._setup["revoke_url"], f"token={self._token['access_token']}")

    def introspect(self, _: Members) -> Members:
        """Ask about the access token."""
        found = self._posted(self._setup["introspect_url"], f"token={self._token['access_token']}")
        return {"active": json.loads(found)["active"]}

    def discover(self, _: Members) -> Members:
        """Read the metadata."""
        status, body = _ask(f"{self._setup['issuer']}/.well-known/oauth-authorization-server")
        if status != 200:
            raise Refused(status, body)
        found = json.loads(body)["token_endpoint"]
        self._setup = {**self._setup, "token_url": found}
        return {"token_endpoint": found}

    def _granted(self, *form: str) -> Members:
        self._token: dict[str, Any] = json.loads(self._posted(self._setup["token_url"], *form))
        return of_token(self._token)

    def _posted(self, url: str, *form: str) -> str:
        who = (self._setup["client_id"], self._setup["client_secret"])
        if self._setup["auth"] == "body":
            auth: tuple[str, ...] = ()
            form += (f"client_id={who[0]}", f"client_secret={who[1]}")
        else:
            auth = ("-u", ":".join(who))
        status, body = _ask(url, *auth, *(word for field in form for word in ("--data-urlencode", field)))
        if status != 200:
            raise Refused(status, body)
        return body

    def _bearer(self) -> tuple[str, str]:
        return ("-H", f"Authorization: Bearer {self._token['access_token']}")


def _ask(url: str, *options: str) -> tuple[int, str]:
    """The status and the body of an answer."""
    body, _, status = _run(("curl", "-sS", "-w", "\n%{http_code}", *options, url)).rpartition("\n")
    return int(status), body


def _run(command: tuple[str, ...]) -> str:
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout


def seen(error: Exception) -> Members:
    """What a caller can read from a refusal."""
    return of_response(error.status, error.body) if isinstance(error, Refused) else {}


if __name__ == "__main__":
    serve(Client(), seen)
