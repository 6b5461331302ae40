"""Builds the request to an introspection endpoint, and interprets the answer (RFC 7662), without I/O.

The server decides: a token is live only when the answer has `active: true`. An answer that cannot be read is
`Unusable`, and admits nobody.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx

from licet.guard.identity import Identity
from licet.guard.seat_claims import claimant

SECONDS_MAX = 1e11  # a later instant is not valid

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  # characters that a form encoding does not change
_OK = 200
_SHOWN_CHARS_MAX = 200  # of a server's text


class Secret:
    """Text that no repr, traceback or log shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(...)"

    def reveal(self) -> str:
        """The text."""
        return self._text


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A live token: whose it is, and for how long, in seconds; None where that is unknown.

    `believed_s` is for how long that may be cached, from when it was asked.
    """

    identity: Identity
    left_s: float | None
    believed_s: float


@dataclass(frozen=True, slots=True)
class Dead:
    """A token that is not live, or not for this API, and why, for the log, where that is unusual."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """No usable answer, and why, for the log."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """A tenant's introspection endpoint, as an API knows it; the URL ends with a slash."""

    url: str
    client_id: str
    secret: Secret
    tenant: str
    issuer: str | None
    is_counted: bool = False  # whether a licence is counted, for which more of the answer is kept

    def question(self, token: Secret) -> httpx.Request:
        """RFC 7662 2.1."""
        form, headers = (
            {"token": token.reveal()},
            {"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        if _PLAIN.fullmatch(self.client_id) and _PLAIN.fullmatch(self.secret.reveal()):
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret.reveal())}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode('ascii')}"
        else:  # servers read such a header in two ways, and the body in one
            form |= {"client_id": self.client_id, "client_secret": self.secret.reveal()}
        headers |= {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "licet-guard"}
        return httpx.Request(
            "POST", f"{self.url}introspect", headers=headers, content=urlencode(form).encode()
        )

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Live | Dead | Unusable:
        """The result of introspection in this answer."""
        content = _content(body)
        if status != _OK or content is None:
            return Unusable(f"answers {status} {_error_text(content)}")
        match content.get("active"):
            case True:
                return self._live(content, headers)
            case False:
                return Dead()
            case _:
                return Unusable("answers without saying whether the token is active")

    def _live(self, content: Mapping[str, Any], headers: Mapping[str, str]) -> Live | Dead | Unusable:
        scope = content.get("scope", "")
        if not isinstance(scope, str):
            return Unusable("answers with a scope that is no text")
        # A refresh token is live as well, but not for an API.
        if str(content.get("token_type", "Bearer")).lower() != "bearer":
            return Dead("it is live, and no access token")
        if not self._is_ours(issuer := content.get("iss")):
            ours = self.issuer or f"any that ends with {self.tenant}"
            return Dead(f"its issuer is {issuer!r:.{_SHOWN_CHARS_MAX}}, and not {ours}")
        left_s = _left_s(content.get("exp"), headers.get("date", ""))
        cache_for_s = _seconds(content.get("cache_for")) or 0.0  # absent: it is valid for this request only
        identity = Identity(
            tenant=self.tenant,
            client=_text(content.get("client_id")),
            user=_text(content.get("username")),
            scopes=frozenset(scope.split()),
            session=_text(content.get("sid")),
            pool=_text(content.get("pool")),
            read_only=content.get("read_only") is not False,
        )
        return Live(
            identity=claimant(identity, content) if self.is_counted else identity,
            left_s=left_s,
            believed_s=cache_for_s if left_s is None else min(cache_for_s, left_s),
        )

    def _is_ours(self, issuer: object) -> bool:
        """Whether it is a token of this tenant; without an issuer the answer is about the server's own."""
        if self.issuer is not None:
            return issuer == self.issuer
        if issuer is None:
            return True
        return isinstance(issuer, str) and last_segment(issuer) == self.tenant


def last_segment(url: str) -> str:
    """The name of the tenant in its URL."""
    try:
        return urlsplit(url).path.rstrip("/").rpartition("/")[2]
    except ValueError:
        return ""


def _content(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _error_text(content: Mapping[str, Any] | None) -> str:
    error = (content or {}).get("error")
    return error if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,60}", error) else "and no OAuth error"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _left_s(exp: object, date: str) -> float | None:
    """How long a token is live, by the clock of the server that answered: this machine's may be wrong.

    Only how long the answer is cached depends on it, so a wrong clock costs requests and admits nobody.
    """
    if exp is None:
        return None
    expires_s = _seconds(exp)
    return 0.0 if expires_s is None else max(0.0, expires_s - _instant(date).timestamp())


def _seconds(value: object) -> float | None:
    """A number of seconds, or an instant; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= SECONDS_MAX else None


def _instant(date: str) -> datetime:
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return datetime.now(UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
