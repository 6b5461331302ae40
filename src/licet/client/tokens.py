"""Models the tokens of a session and how long they last, by a monotonic clock.

Nothing here reveals a token: it is a `Secret` until it is sent.
"""

from dataclasses import dataclass, replace

MARGIN_SHARE = 0.1  # of a token's life: it is renewed this long before it expires
MARGIN_MAX_S = 60.0  # a guess: longer than a request should take to reach the API
POSTPONED_S = 5.0  # a guess: how soon a failed early renewal is tried again


class Secret:
    """Text that no repr, traceback or log shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")

    def reveal(self) -> str:
        """The text."""
        return self._text


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of a grant; instants are of the monotonic clock, None where the server gives none.

    `warnings` are about the licence, and `licence_expires_at` is the server's text; both are often empty.
    """

    access_token: Secret
    refresh_token: Secret | None
    renew_at_s: float | None
    expires_at_s: float | None
    refresh_expires_at_s: float | None
    warnings: tuple[str, ...] = ()
    licence_expires_at: str = ""

    def is_fresh(self, now_s: float) -> bool:
        """Whether the access token can be used and need not be renewed yet."""
        return self.renew_at_s is None or now_s < self.renew_at_s

    def lives(self, now_s: float) -> bool:
        """Whether the access token still works, as far as is known."""
        return self.expires_at_s is None or now_s < self.expires_at_s

    def may_refresh(self, now_s: float) -> bool:
        """Whether there is a refresh token that is worth trying."""
        return self.refresh_token is not None and (
            self.refresh_expires_at_s is None or now_s < self.refresh_expires_at_s
        )

    def is_same(self, other: "Tokens | None") -> bool:
        """Whether it is the same access token, perhaps with another renewal time."""
        return other is not None and self.access_token is other.access_token

    def postponed(self, now_s: float) -> "Tokens":
        """The same, to be renewed a little later."""
        return replace(self, renew_at_s=now_s + POSTPONED_S)

    @property
    def authorization(self) -> str:
        """RFC 6750 2.1."""
        return f"Bearer {self.access_token.reveal()}"


def tokens(
    access_token: Secret,
    refresh_token: Secret | None,
    *,
    sent_s: float,
    expires_in_s: float | None,
    refresh_expires_in_s: float | None,
    warnings: tuple[str, ...] = (),
    licence_expires_at: str = "",
) -> Tokens:
    """Tokens that were requested at `sent_s`: their life is counted from then, so it is never too long."""
    expires_at_s = renew_at_s = None
    if expires_in_s is not None:
        expires_at_s = sent_s + expires_in_s
        renew_at_s = expires_at_s - min(expires_in_s * MARGIN_SHARE, MARGIN_MAX_S)
    return Tokens(
        access_token=access_token,
        refresh_token=refresh_token,
        renew_at_s=renew_at_s,
        expires_at_s=expires_at_s,
        refresh_expires_at_s=None if refresh_expires_in_s is None else sent_s + refresh_expires_in_s,
        warnings=warnings,
        licence_expires_at=licence_expires_at,
    )
