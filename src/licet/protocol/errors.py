"""Defines the error table: every refusal that a client can get, with its status and its standard.

`OAuthError` has two texts: `description` goes to the client and reveals nothing, `detail` goes to the log and
never contains a secret. The description is ASCII without quotes and backslashes (RFC 6749 5.2).
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from licet.ledger.commands import Denied
from licet.model import FailureCause, NoSeatReason


class Row(NamedTuple):
    """One row of the table, and the level at which the log has it: an error is one of the server's own."""

    error: str
    status: int
    level: str = "info"


class Refusal(Row, Enum):
    """The table of docs/reference/errors.md."""

    INVALID_REQUEST = Row("invalid_request", 400)  # RFC 6749 5.2
    NOT_FOUND = Row("invalid_request", 404)
    METHOD_NOT_ALLOWED = Row("invalid_request", 405)  # RFC 9110 15.5.6
    REQUEST_TIMEOUT = Row("invalid_request", 408)  # RFC 9110 15.5.9
    BODY_TOO_LARGE = Row("invalid_request", 413)  # RFC 9110 15.5.14
    NO_TOKEN = Row("invalid_request", 401)  # RFC 6750 3.1
    INVALID_CLIENT = Row("invalid_client", 401)  # RFC 6749 5.2
    INVALID_GRANT = Row("invalid_grant", 400)  # RFC 6749 5.2
    UNAUTHORIZED_CLIENT = Row("unauthorized_client", 400)  # RFC 6749 5.2
    UNSUPPORTED_GRANT_TYPE = Row("unsupported_grant_type", 400)  # RFC 6749 5.2
    INVALID_SCOPE = Row("invalid_scope", 400)  # RFC 6749 5.2
    INVALID_TOKEN = Row("invalid_token", 401)  # RFC 6750 3.1
    INSUFFICIENT_SCOPE = Row("insufficient_scope", 403)  # RFC 6750 3.1
    NO_SEAT = Row("temporarily_unavailable", 400)  # RFC 6749 4.1.2.1; a tenant may choose the status
    RATE_LIMITED = Row("temporarily_unavailable", 429)  # RFC 6585 4
    UNAVAILABLE = Row("server_error", 503, "error")  # RFC 9110 15.6.4
    SETUP_CHANGED = Row("server_error", 503)  # the same for a client
    FAULT = Row("server_error", 500, "error")


Header = tuple[bytes, bytes]
Field = str | int | list[dict[str, str]]

_BASIC = (b"www-authenticate", b'Basic realm="licet", charset="UTF-8"')  # RFC 7617 2.1
_BEARER = (b"www-authenticate", b'Bearer realm="licet"')  # RFC 6750 3
_SEND_ONE = "Send the access token as Bearer, or the refresh token with the credentials of its client."
_BEARER_INVALID = (b"www-authenticate", b'Bearer realm="licet", error="invalid_token"')


class OAuthError(Exception):
    """A refusal on its way to the client.

    `fields` are in the answer beside `error` and `error_description`; `detail` is for the log alone, and
    `cause`, of an authentication that failed, for administrators.
    """

    def __init__(
        self,
        refusal: Refusal,
        description: str,
        *,
        detail: str = "",
        status: int | None = None,
        headers: tuple[Header, ...] = (),
        fields: Mapping[str, Field] | None = None,
        cause: FailureCause | None = None,
    ) -> None:
        super().__init__(description)
        self.refusal = refusal
        self.error = refusal.error
        self.description = description
        self.detail = detail or description
        self.status = status or refusal.status
        self.headers = headers
        self.fields = fields or {}
        self.cause = cause


def invalid_request(description: str) -> OAuthError:
    """The request is malformed; `description` says how and reflects none of it."""
    return OAuthError(Refusal.INVALID_REQUEST, description)


def invalid_client(detail: str, cause: FailureCause | None = None) -> OAuthError:
    """The client did not authenticate: one answer, whatever was wrong."""
    description = "Client authentication failed: unknown tenant or client, wrong secret, or none was sent."
    return OAuthError(Refusal.INVALID_CLIENT, description, detail=detail, headers=(_BASIC,), cause=cause)


def invalid_assertion(detail: str, cause: FailureCause | None = None) -> OAuthError:
    """The same for a client that sent an assertion (RFC 7521 4.2.1), whatever was wrong with it."""
    description = "Client authentication failed: the client assertion proves no client of this server."
    return OAuthError(Refusal.INVALID_CLIENT, description, detail=detail, headers=(_BASIC,), cause=cause)


def invalid_grant(detail: str) -> OAuthError:
    """The refresh token is not valid: one answer, whatever was wrong."""
    description = "The refresh token is unknown, has expired, or is not of this client."
    return OAuthError(Refusal.INVALID_GRANT, description, detail=detail)


def invalid_scope(description: str) -> OAuthError:
    """The scope cannot be granted."""
    return OAuthError(Refusal.INVALID_SCOPE, description)


def no_token(description: str = _SEND_ONE) -> OAuthError:
    """RFC 6750 3.1: without a token the challenge has no error code."""
    return OAuthError(Refusal.NO_TOKEN, description, headers=(_BEARER,))


def invalid_token(description: str, detail: str = "") -> OAuthError:
    """The token is not ours, or has expired."""
    return OAuthError(Refusal.INVALID_TOKEN, description, detail=detail, headers=(_BEARER_INVALID,))


def insufficient_scope(scope: str, detail: str) -> OAuthError:
    """The token is live and read-only; `scope` is one that allows more, '' where none is to be named."""
    challenge = b'Bearer realm="licet", error="insufficient_scope"'
    if scope:
        challenge += b', scope="%b"' % scope.encode("ascii")  # a scope has no quote (RFC 6749 3.3)
    return OAuthError(
        Refusal.INSUFFICIENT_SCOPE,
        "The token is read-only: GET, HEAD and OPTIONS.",
        detail=detail,
        headers=((b"www-authenticate", challenge),),
    )


def no_seat(denied: Denied, status: int) -> OAuthError:
    """No seat was free; the answer never says who holds them."""
    fields: dict[str, Field] = {
        "reason": denied.reason.value,
        "pool": denied.pool,
        "seats": denied.seats,
        "in_use": denied.in_use,
    }
    if denied.queue_position:
        fields["queue_position"] = denied.queue_position
    if denied.pools:
        fields["pools"] = [{"pool": each.pool, "reason": each.reason.value} for each in denied.pools]
    headers: tuple[Header, ...] = ()
    if denied.retry_after_s is not None:
        fields["retry_after"] = denied.retry_after_s
        headers = (_retry_after(denied.retry_after_s),)
    return OAuthError(Refusal.NO_SEAT, _why_no_seat(denied), status=status, headers=headers, fields=fields)


def _why_no_seat(denied: Denied) -> str:
    if denied.reason is NoSeatReason.ALL_IN_USE:
        return f"No seat is free: {denied.in_use} of {denied.seats} in use."
    if denied.queue_position:
        return f"No seat is free for this client yet: it is number {denied.queue_position} in line."
    return _WHY[denied.reason]


_WHY = {
    NoSeatReason.NO_SEATS: "This licence has no seats.",
    NoSeatReason.LICENCE_EXPIRED: "This licence has expired; scopes that need no seat go on working.",
    NoSeatReason.LICENCE_MISSING: (
        "No licence that counts now gives a seat for this scope; others go on working."
    ),
    NoSeatReason.SUSPENDED: "An administrator ended this client's session and gives it no seat for a while.",
    NoSeatReason.EXCLUDED: "This licence is not for this client or its user.",
    NoSeatReason.NOT_INCLUDED: "This licence is not for this client or its user.",
    NoSeatReason.MAX_REACHED: "This client, its user or a group of theirs has as many seats as it may.",
    NoSeatReason.RESERVED: "The seats that are free are reserved for others.",
    NoSeatReason.QUEUED: "The seats that are free are for those who wait in line.",
}


def rate_limited(retry_after_s: int) -> OAuthError:
    """Too many failed attempts."""
    return OAuthError(
        Refusal.RATE_LIMITED,
        "Too many failed attempts; wait before the next one.",
        headers=(_retry_after(retry_after_s),),
        fields={"reason": "rate_limited", "retry_after": retry_after_s},
    )


def unavailable(
    detail: str,
    retry_after_s: int = 1,
    refusal: Refusal = Refusal.UNAVAILABLE,
    description: str = "The server cannot answer now; try again soon.",
) -> OAuthError:
    """The store does not answer, or the queue is full."""
    return OAuthError(
        refusal,
        description,
        detail=detail,
        headers=(_retry_after(retry_after_s),),
        fields={"retry_after": retry_after_s},
    )


def not_ready(trouble: str) -> OAuthError:
    """This server should get no requests for now: who asks may know why, and the log has had it."""
    return unavailable(trouble, description=f"The server is not ready: {trouble}.")


def setup_changed(detail: str) -> OAuthError:
    """The set-up is another than when the request was read: sent again, it is read anew."""
    return unavailable(detail, refusal=Refusal.SETUP_CHANGED)


def fault() -> OAuthError:
    """A bug in Licet; the log has it under the request id."""
    return OAuthError(Refusal.FAULT, "The server failed; its log has the cause under this request id.")


def _retry_after(seconds: int) -> Header:
    return (b"retry-after", str(seconds).encode())
