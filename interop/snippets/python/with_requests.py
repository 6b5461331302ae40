"""Adds a job to a licensed API for each line of standard input, with `requests`.

LicetSession and OAuthError are to be copied. TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the
environment.
"""

import os
import signal
import sys
import threading
import time
from typing import Any

import requests

PATIENCE_S = 300.0  # how long to wait for a seat
TIMEOUT_S = 10.0


class OAuthError(Exception):
    """The token endpoint refused; `answer` has its reasons."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(" ".join(str(answer.get(it, "")) for it in ("error", "reason", "error_description")))
        self.answer = answer


class LicetSession:
    """One session of one program, for all its threads: a token that is renewed in time, and a seat."""

    def __init__(self, tenant: str, client_id: str, secret: str) -> None:
        self._tenant = tenant
        self._credentials = {"client_id": client_id, "client_secret": secret}
        self._token: dict[str, Any] | None = None
        self._good_until_s = 0.0
        self._turn = threading.Lock()  # one asks for a token, the others wait for it

    def request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """Send a request with the token, and once more with a new one if the API refuses it."""
        headers = arguments.pop("headers", {})
        refused = None
        while True:
            token = self._access_token(refused)
            authorized = {**headers, "Authorization": f"Bearer {token}"}
            answer = requests.request(method, url, headers=authorized, timeout=TIMEOUT_S, **arguments)
            if answer.status_code != 401 or refused is not None:
                return answer
            refused = token

    def log_off(self) -> None:
        """Give the seat back, which is else taken for 20 minutes more."""
        last, self._token = self._token, None
        if last is None:
            return
        if "refresh_token" in last:  # works also when the access token has expired
            answer = self._post("logoff", refresh_token=last["refresh_token"])
        else:
            bearer = {"Authorization": f"Bearer {last['access_token']}"}
            answer = requests.post(f"{self._tenant}/logoff", headers=bearer, timeout=TIMEOUT_S)
        if not answer.ok:
            print("The seat may still be taken.", file=sys.stderr)

    def _access_token(self, refused: str | None) -> str:
        with self._turn:
            held = self._token and self._token["access_token"]
            if held is None or held == refused or time.monotonic() >= self._good_until_s:
                self._renew()
            assert self._token is not None
            token: str = self._token["access_token"]
            return token

    def _renew(self) -> None:
        if self._token is not None and "refresh_token" in self._token:
            try:
                self._ask(grant_type="refresh_token", refresh_token=self._token["refresh_token"])
                return
            except OAuthError as refused:
                if refused.answer["error"] != "invalid_grant":
                    raise
                self._token = None  # the session has ended: begin another
        self._ask(grant_type="client_credentials", scope="all")

    def _ask(self, **fields: str) -> None:
        waited_s = 0.0
        while True:
            asked_at_s = time.monotonic()  # the token's life is counted from here
            answer = self._post("token", **fields)
            if answer.ok:
                self._token = answer.json()
                self._good_until_s = asked_at_s + 0.9 * self._token["expires_in"]
                return
            # No seat (400, 429 or 503), or a busy server (503).
            wait_s = float(answer.headers.get("Retry-After", "inf"))
            if waited_s + wait_s > PATIENCE_S:
                raise OAuthError(_reasons(answer))
            time.sleep(wait_s)
            waited_s += wait_s

    def _post(self, endpoint: str, **fields: str) -> requests.Response:
        # In the body: `auth=(id, secret)` of requests sends them as Latin-1.
        form = {**self._credentials, **fields}
        return requests.post(f"{self._tenant}/{endpoint}", data=form, timeout=TIMEOUT_S)


def _reasons(answer: requests.Response) -> dict[str, Any]:
    try:
        reasons: dict[str, Any] = answer.json()
    except ValueError:  # of a proxy, say
        return {"error": f"HTTP {answer.status_code}"}
    return reasons


def main() -> None:
    """Log on with the first request, and off at the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # Ctrl-C comes to `finally` as it is
    session = LicetSession(os.environ["TENANT_URL"], os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
    try:
        for line in sys.stdin:
            job = {"title": line.rstrip("\n")}
            answer = session.request("POST", os.environ["API_URL"], json=job)
            print(answer.status_code, answer.text, flush=True)
    finally:
        session.log_off()


if __name__ == "__main__":
    try:
        main()
    except OAuthError as refused:
        sys.exit(f"{refused}")
