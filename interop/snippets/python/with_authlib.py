"""Adds a job to a licensed API for each line of standard input, with Authlib and httpx.

TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
"""

import os
import signal
import sys
import time

import httpx
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

TENANT = os.environ["TENANT_URL"]
PATIENCE_S = 300.0  # how long to wait for a seat


class TryAgain(Exception):
    """The token endpoint has no seat now, or too much to do. Authlib itself does not show when to come again."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.text)
        self.after_s = float(response.headers["Retry-After"])


def waits(response: httpx.Response) -> httpx.Response:
    """Look at what the token endpoint answers, before Authlib does."""
    if "Retry-After" in response.headers:
        raise TryAgain(response)
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
    client.register_compliance_hook("access_token_response", waits)
    client.register_compliance_hook("refresh_token_response", waits)
    return client


def log_on(client: OAuth2Client) -> None:
    """Begin a session; wait for a seat, as long as the server says and the patience lasts."""
    waited_s = 0.0
    while True:
        try:
            client.fetch_token()
            return
        except TryAgain as busy:
            if waited_s + busy.after_s > PATIENCE_S:
                raise
            time.sleep(busy.after_s)
            waited_s += busy.after_s


def post(client: OAuth2Client, url: str, content: str) -> httpx.Response:
    """Send a request, and once more if the session has ended meanwhile."""
    try:
        answer = client.post(url, content=content)
        if answer.status_code != 401:
            return answer
    except OAuthError as refused:  # of the refresh
        if refused.error != "invalid_grant":
            raise
    log_off(client)
    log_on(client)
    return client.post(url, content=content)


def log_off(client: OAuth2Client) -> None:
    """Give the seat back: revoking the refresh token ends the session (RFC 7009)."""
    if client.token:
        client.revoke_token(f"{TENANT}/revoke", client.token.get("refresh_token", client.token["access_token"]))


def main() -> None:
    """Log on, work, and log off."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # Ctrl-C comes to `finally` as it is
    with licensed() as client:
        log_on(client)
        try:
            for line in sys.stdin:
                answer = post(client, os.environ["API_URL"], line.rstrip("\n"))
                print(answer.status_code, answer.text, flush=True)
        finally:
            log_off(client)


if __name__ == "__main__":
    try:
        main()
    except (OAuthError, TryAgain) as refused:
        sys.exit(f"{refused}")
