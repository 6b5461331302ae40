"""Defines the errors for which a program gets no token.

None of them holds a secret: not in its text, not in its attributes, and none is chained to an error of the
HTTP library, whose frames have the request as it was sent. What a server said is cut short and printable.
"""

TOLD_CHARS_MAX = 300  # of what a server says


class LicetError(Exception):
    """There is no token to call the API with."""


class NoSeatAvailable(LicetError):
    """The credentials are right, and no seat is free.

    What the server does not tell is None; `retry_after` is in seconds. A `reason` of Licet is `all_in_use`,
    `no_seats`, `licence_expired` or `suspended`.
    """

    def __init__(
        self,
        description: str,
        *,
        reason: str | None = None,
        pool: str | None = None,
        seats: int | None = None,
        in_use: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(description or "No seat is free.")
        self.reason = reason
        self.pool = pool
        self.seats = seats
        self.in_use = in_use
        self.retry_after = retry_after


class TokenRefused(LicetError):
    """The server refuses a token: `error` and `description` as in RFC 6749 5.2; `retry_after` in seconds."""

    def __init__(
        self,
        error: str,
        description: str = "",
        *,
        status: int,
        retry_after: int | None = None,
        request_id: str | None = None,
    ) -> None:
        told = f"{error}: {description}" if description else error
        super().__init__(f"{told} (request {request_id})" if request_id else told)
        self.error = error
        self.description = description
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id


class ServerUnreachable(LicetError):
    """The token endpoint does not answer, or not in time."""


class UnusableAnswer(LicetError):
    """What answers at the token endpoint is no OAuth server: no JSON, or a redirect, with this `status`."""

    def __init__(self, description: str, *, status: int) -> None:
        super().__init__(description)
        self.status = status


class ForeignOrigin(LicetError, ValueError):
    """A request would take the token to an origin that is not the API's; it was not sent."""


class SessionClosed(LicetError, RuntimeError):
    """The `LicetAuth` was closed, and its session logged off."""


def told(value: object) -> str:
    """What a server says, as one short line that can be shown; empty where it says nothing."""
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text[:TOLD_CHARS_MAX]).strip()
