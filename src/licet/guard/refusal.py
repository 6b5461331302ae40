"""Answers requests that are refused: RFC 6750 3, and 503 when introspection is out of reach.

A refusal says what is missing and repeats nothing of the request.
"""

import json
from collections.abc import Iterable

RETRY_AFTER_S = 2  # a guess: by then an outage is over, or lasts longer than anybody waits

_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _UNAVAILABLE = 400, 401, 403, 503


class Refused(Exception):
    """The request is refused; `headers` and `body` are ready to be sent instead of the API's answer."""

    def __init__(
        self, status: int, error: str, description: str, headers: dict[str, str], reason: str = ""
    ) -> None:
        super().__init__(f"{error}: {description}")
        self.status = status
        self.error = error
        self.description = description
        self.reason = reason  # of `licence_refused`; else empty
        self.headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **headers}
        said = {"error": error, "error_description": description}
        self.body = json.dumps({**said, "reason": reason} if reason else said).encode()


def no_token(realm: str) -> Refused:
    """RFC 6750 3.1: a challenge without an error code."""
    description = "Send an access token: Authorization: Bearer."
    return Refused(
        _UNAUTHORIZED, "invalid_request", description, {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    )


def malformed(realm: str) -> Refused:
    """The Authorization header has no token, or there are two."""
    description = "The Authorization header is not Bearer and one token."
    return Refused(
        _BAD_REQUEST, "invalid_request", description, _challenge(realm, "invalid_request", description)
    )


def invalid_token(realm: str) -> Refused:
    """Expired, logged off, revoked, of another tenant, or no token at all: one answer for all of them."""
    description = "The access token is not live; get a new one."
    return Refused(
        _UNAUTHORIZED, "invalid_token", description, _challenge(realm, "invalid_token", description)
    )


def insufficient_scope(realm: str, scopes: Iterable[str], description: str) -> Refused:
    """The token is live, but its scope is not enough."""
    headers = _challenge(realm, "insufficient_scope", description, scope=" ".join(sorted(scopes)))
    return Refused(_FORBIDDEN, "insufficient_scope", description, headers)


def unavailable() -> Refused:
    """Whether the token is live is unknown, so it counts as not live."""
    description = "Whether the token is live can't be found out now; try again soon."
    return Refused(_UNAVAILABLE, "temporarily_unavailable", description, {"Retry-After": str(RETRY_AFTER_S)})


def handed_over(retry_after_s: int) -> Refused:
    """Another holder has the seat's number still, or has it again."""
    description = f"Your seat is being handed over; try again in {retry_after_s} seconds."
    return Refused(_UNAVAILABLE, "temporarily_unavailable", description, {"Retry-After": str(retry_after_s)})


def licence_refused(reason: str) -> Refused:
    """No licence that the vendor signed covers this; a new token does not help."""
    description = f"The licence does not cover this seat ({reason})."
    return Refused(_FORBIDDEN, "licence_refused", description, {}, reason)


def _challenge(realm: str, error: str, description: str, **more: str) -> dict[str, str]:
    named = {"realm": realm, "error": error, "error_description": description, **more}
    return {"WWW-Authenticate": "Bearer " + ", ".join(f'{name}="{value}"' for name, value in named.items())}
