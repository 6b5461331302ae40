"""Defines the exceptions raised when a program gets no token, such as `NoSeatAvailable`.

None of them contains a secret: neither its text nor its attributes, and none is chained to an error of the
HTTP library, whose frames contain the request. A server's text is shortened and made printable.
"""

from collections.abc import Mapping

SHOWN_CHARS_MAX = 300  # of a server's text


class LicetError(Exception):
    """There is no token to call the API with."""


class NoSeatAvailable(LicetError):
    """The credentials are right, but no seat is free.

    An attribute that the server does not send is None; `retry_after` is in seconds. A `reason` of Licet is
    `all_in_use`, `no_seats`, `reserved`, `queued`, `max_reached`, `excluded`, `not_included`,
    `licence_expired`, `licence_missing` or `suspended`. `queue_position` is the place in line from 1 on, and
    `pools` are the reasons of the pools that were asked, by their names, where there were several.
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
        queue_position: int | None = None,
        pools: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(description or "No seat is free.")
        self.reason = reason
        self.pool = pool
        self.seats = seats
        self.in_use = in_use
        self.retry_after = retry_after
        self.queue_position = queue_position
        self.pools = dict(pools or {})


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
        text = f"{error}: {description}" if description else error
        super().__init__(f"{text} (request {request_id})" if request_id else text)
        self.error = error
        self.description = description
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id


class ServerUnreachable(LicetError):
    """The token endpoint does not answer, or not in time."""


class UnusableAnswer(LicetError):
    """The answer is not of an OAuth token endpoint: not JSON, or a redirect, with this `status`."""

    def __init__(self, description: str, *, status: int) -> None:
        super().__init__(description)
        self.status = status


class ForeignOrigin(LicetError, ValueError):
    """A request would send the token to an origin that is not the API's; it was not sent."""


class SessionClosed(LicetError, RuntimeError):
    """The `LicetAuth` was closed, and its session logged off."""


def shown(value: object) -> str:
    """A server's text as one short, printable line; empty where there is none."""
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text[:SHOWN_CHARS_MAX]).strip()
