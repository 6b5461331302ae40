"""The jobs API behind the guard of Licet, without a proxy: jobs.py is the same.

    LICET_SECRET=password python with_guard.py [PORT] [TENANT_URL]

`Api` is a client that may introspect; its secret comes from the environment.
"""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import jobs

from licet.guard import Guard, WsgiGuardMiddleware, identity

TENANT_URL = "http://127.0.0.1:8080/Jim_Test"


def named(environ: jobs.Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Say who calls, in place of what the caller says."""
    environ["HTTP_X_LICET_USER"] = identity(environ).user or ""
    return jobs.application(environ, start_response)


def main() -> None:
    """Serve it until Ctrl-C."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else jobs.PORT
    url = sys.argv[2] if len(sys.argv) > 2 else TENANT_URL  # noqa: PLR2004
    jobs.serve(WsgiGuardMiddleware(named, Guard(url, "Api", os.environ["LICET_SECRET"])), port)


if __name__ == "__main__":
    main()
