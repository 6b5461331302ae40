"""Adds a job to a licensed API for each line of standard input, with Authlib and httpx.

TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
from authlib.integrations.httpx_client import OAuth2Client

TENANT = os.environ["TENANT_URL"]
PATIENCE_S = 300.0  # how long to wait for a seat


class Refused(Exception):
    """The token endpoint refused. Authlib's OAuthError has `error` only, and nothing of a 503."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.text)
        is_json = response.headers.get("Content-Type") == "application/json"
        self.error = response.json()["error"] if is_json else f"HTTP {response.status_code}"
        # Seconds, for no seat (400, 429 or 503) or a busy server (503); else for ever.
        self.after_s = float(response.headers.get("Retry-After", "inf"))


def looked_at(response: httpx.Response) -> httpx.Response:
    """An answer of the token endpoint, before Authlib looks at it."""
    if response.is_error:
        raise Refused(response)
    return response


def licensed() -> OAuth2Client:
    """A client of httpx that has its tokens renewed by their refresh token."""
    client = OAuth2Client(
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
        token_endpoint=f"{TENANT}/token",
        token_endpoint_auth_method="client_secret_post",  # or client_secret_basic, the default
        grant_type="client_credentials",
        scope="all",
        leeway=10,  # seconds before the end; the default of 60 is a whole life of some tokens
    )
    client.register_compliance_hook("access_token_response", looked_at)
    client.register_compliance_hook("refresh_token_response", looked_at)
    return client


def patiently(ask: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Do something that may need a token; wait as long as the server says, while the patience lasts."""
    waited_s = 0.0
    while True:
        try:
            return ask(*arguments, **named)
        except Refused as refused:
            if waited_s + refused.after_s > PATIENCE_S:
                raise
            time.sleep(refused.after_s)
            waited_s += refused.after_s


def post(client: OAuth2Client, url: str, content: dict[str, str]) -> httpx.Response:
    """Send a request, and once more with a new token if the API refuses the first."""
    send: Callable[[], httpx.Response] = partial(patiently, client.post, url, json=content)
    try:
        answer = send()
        if answer.status_code != 401:
            return answer
        patiently(client.refresh_token, f"{TENANT}/token")
    except Refused as refused:
        if refused.error != "invalid_grant":
            raise
        patiently(client.fetch_token)  # the session has ended: begin another
    return send()


def log_off(client: OAuth2Client) -> None:
    """Give the seat back: revoking the refresh token ends the session (RFC 7009)."""
    if client.token:
        token = client.token.get("refresh_token", client.token["access_token"])
        client.revoke_token(f"{TENANT}/revoke", token)


def main() -> None:
    """Log on, work, and log off."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # Ctrl-C comes to `finally` as it is
    with licensed() as client:
        patiently(client.fetch_token)
        try:
            for line in sys.stdin:
                answer = post(client, os.environ["API_URL"], {"title": line.rstrip("\n")})
                print(answer.status_code, answer.text, flush=True)
        finally:
            log_off(client)


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"{refused}")
