"""A Python client's side of the suite's protocol: JSON lines on standard input and output.

interop/README.md has the protocol. A client is an object whose methods are called as the `do` of the request;
each is given the request and returns what the answer has beside `"ok": true`. A method that is not there is a
function that the library does not have.
"""

import json
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

Members = Mapping[str, Any]


class Unsupported(Exception):
    """The library has no function for what is asked, or cannot be made to do it so."""


def serve(client: object, seen: Callable[[Exception], Members]) -> None:
    """Answer until standard input ends; `seen` is what a caller can read from an error."""
    for line in sys.stdin:
        answer = _answer(client, json.loads(line), seen)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def hello(library: str, distribution: str) -> Members:
    """The answer to `hello`."""
    return {
        "library": library,
        "version": version(distribution),
        "runtime": f"Python {platform.python_version()}",
    }


def of_token(token: Members) -> Members:
    """What an answer has of a token that the library shows as a mapping."""
    return {
        name: token[name]
        for name in ("access_token", "refresh_token", "expires_in", "scope")
        if name in token
    }


def of_response(status: int, body: str) -> Members:
    """What a caller can read from a response that an error carries."""
    read: dict[str, Any] = {"status": status}
    try:
        content = json.loads(body)
    except ValueError:
        return read
    named = {"code": "error", "reason": "reason", "retry_after": "retry_after"}
    found = {name: content[member] for name, member in named.items() if member in content}
    return read | found | {"by_hand": True}


def _answer(client: object, request: Members, seen: Callable[[Exception], Members]) -> Members:
    method = getattr(client, request["do"], None)
    if method is None:
        return {"ok": False, "unsupported": f"has no {request['do']}"}
    try:
        return {"ok": True, **(method(request) or {})}
    except Unsupported as why:
        return {"ok": False, "unsupported": str(why)}
    except Exception as error:  # noqa: BLE001 - what a library raises is what is looked at
        return {"ok": False, "raised": type(error).__name__, "text": str(error), **seen(error)}
