"""Adds a job to a licensed API for each line of standard input, with `licet.client`.

TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
"""

import os
import signal
import sys
from datetime import timedelta

import httpx

from licet.client import LicetAuth, LicetError

API = os.environ["API_URL"]


def main() -> None:
    """Log on with the first request, and off at the end of the block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # Ctrl-C ends the block as it is
    auth = LicetAuth(
        os.environ["TENANT_URL"],
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
        api=API,
        scope="all",
        wait_for_seat=timedelta(minutes=5),
    )
    with auth, httpx.Client(auth=auth) as http:
        for line in sys.stdin:
            answer = http.post(API, content=line.rstrip("\n"), headers={"Content-Type": "text/plain"})
            print(answer.status_code, answer.text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except LicetError as refused:
        sys.exit(f"{refused}")
