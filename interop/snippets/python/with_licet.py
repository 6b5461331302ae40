"""Adds a job to a licensed API for each line of standard input, with `licet.client`.

TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
"""

import os
import signal
import sys
from datetime import timedelta

import httpx

from licet.client import LicetAuth, LicetError, NoSeatAvailable

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
            answer = http.post(API, json={"title": line.rstrip("\n")})
            print(answer.status_code, answer.text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except NoSeatAvailable as full:
        sys.exit(f"{full} ({full.reason}; try again in {full.retry_after} s)")
    except LicetError as refused:
        sys.exit(f"{refused}")
