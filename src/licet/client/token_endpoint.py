"""Builds the requests to the endpoints of a tenant, and interprets the answers.

Without I/O. An answer that is not as in RFC 6749 becomes an error, and never a token; fields that only Licet
sends (`reason`, `pool`, `seats`, `in_use`, `queue_position`, `pools`, `refresh_expires_in`, `warnings`,
`request_id`) may be missing.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx

from licet.client.client_assertion import Signing
from licet.client.errors import LicetError, NoSeatAvailable, TokenRefused, UnusableAnswer, shown
from licet.client.tokens import Secret, Tokens, tokens

NO_SEAT = "temporarily_unavailable"  # RFC 6749 4.1.2.1
WAITING_IS_VAIN = frozenset({"no_seats", "licence_expired", "licence_missing", "excluded", "not_included"})
RETRY_AFTER_MAX_S = 86_400  # a day; a longer time counts as this
SECONDS_MAX = 1e10  # a larger number is ignored
WARNINGS_MAX = 8  # of one answer
POOLS_MAX = 8  # the same; Licet asks four at most

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")  # RFC 6749 A.12, without the space, which no header could carry
_DIGITS = re.compile(r"[0-9]{1,10}")
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  # characters that a form encoding does not change
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "licet-client"}

_OK = 200
_MULTIPLE_CHOICES = 300
_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a server."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)  # it may contain a token


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenServer:
    """A tenant as one of its clients knows it; the URL ends with a slash."""

    url: str
    client_id: str
    proof: Secret | Signing
    scope: str | None
    in_body: bool

    def grant(self, *, in_line: bool = False, wait_s: int = 0) -> httpx.Request:
        """RFC 6749 4.4.2. `in_line`: with a place in the queue; `wait_s`: for so long (RFC 7240 4.3)."""
        form = {"grant_type": "client_credentials"}
        if self.scope is not None:
            form["scope"] = self.scope
        if in_line:
            form["queue"] = "true"
        request = self._request("token", form)
        if wait_s:
            request.headers["Prefer"] = f"wait={wait_s}"
        return request

    def refresh(self, refresh_token: Secret) -> httpx.Request:
        """RFC 6749 6."""
        return self._request(
            "token", {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        )

    def logoff(self, held: Tokens) -> httpx.Request:
        """The request that ends a session, by its access token."""
        headers = {**_HEADERS, "Authorization": held.authorization}
        return httpx.Request("POST", f"{self.url}logoff", headers=headers)

    def logoff_by_refresh(self, refresh_token: Secret) -> httpx.Request:
        """The same when the access token has expired."""
        return self._request("logoff", {"refresh_token": refresh_token.reveal()})

    def _request(self, endpoint: str, form: dict[str, str]) -> httpx.Request:
        headers = {**_HEADERS, "Content-Type": "application/x-www-form-urlencoded"}
        if isinstance(self.proof, Signing):
            form = {**form, "client_id": self.client_id, **self.proof.form()}
        elif self.in_body:
            form = {**form, "client_id": self.client_id, "client_secret": self.proof.reveal()}
        else:
            headers["Authorization"] = self._basic(self.proof)
        content = urlencode(form).encode()
        return httpx.Request("POST", f"{self.url}{endpoint}", headers=headers, content=content)

    def _basic(self, secret: Secret) -> str:
        # RFC 6749 2.3.1: id and secret are form-encoded within the header.
        pair = f"{quote_plus(self.client_id)}:{quote_plus(secret.reveal())}"
        return f"Basic {b64encode(pair.encode()).decode('ascii')}"


def goes_in_body(client_id: str, secret: Secret) -> bool:
    """Whether servers read these credentials in the same way only in the body.

    RFC 6749 form-encodes them in the header, and many servers do not decode them.
    """
    return not (_PLAIN.fullmatch(client_id) and _PLAIN.fullmatch(secret.reveal()))


def read(answer: Answer, url: str, *, sent_s: float, old: Tokens | None = None) -> Tokens | LicetError:
    """The result of a token request; `old` are the tokens that it was to renew."""
    content = _content(answer)
    if answer.status == _OK:
        return _granted(content, url, sent_s, old)
    if answer.status < _BAD_REQUEST or content is None or not (error := shown(content.get("error"))):
        return UnusableAnswer(f"{url}token {_unusable(answer)}", status=answer.status)
    description, retry_after = shown(content.get("error_description")), _retry_after(answer, content)
    reason = shown(content.get("reason")) or None
    if error == NO_SEAT and reason != "rate_limited":
        return NoSeatAvailable(
            description,
            reason=reason,
            pool=shown(content.get("pool")) or None,
            seats=_count(content.get("seats")),
            in_use=_count(content.get("in_use")),
            retry_after=retry_after,
            queue_position=_count(content.get("queue_position")),
            pools=_reasons(content.get("pools")),
        )
    return TokenRefused(
        error,
        description,
        status=answer.status,
        retry_after=retry_after,
        request_id=shown(content.get("request_id")) or None,
    )


def _granted(
    content: dict[str, Any] | None, url: str, sent_s: float, old: Tokens | None
) -> Tokens | LicetError:
    if content is None:
        return UnusableAnswer(f"{url}token answers without JSON; is this the URL of a tenant?", status=_OK)
    access_token = _secret(content.get("access_token"))
    if access_token is None:
        return UnusableAnswer(f"{url}token answers without an access token", status=_OK)
    # RFC 6749 7.1: a client must not use a token of an unknown type. Jim2 does not name the type.
    if str(content.get("token_type", "Bearer")).lower() != "bearer":
        return UnusableAnswer(f"{url}token answers with a token that is not of type Bearer", status=_OK)
    kept = old.refresh_token if old is not None else None  # RFC 6749 6: unless a new one is issued
    return tokens(
        access_token,
        _secret(content.get("refresh_token")) or kept,
        sent_s=sent_s,
        expires_in_s=_seconds(content.get("expires_in")),
        refresh_expires_in_s=_seconds(content.get("refresh_expires_in")),
        warnings=_words(content.get("warnings")),
        licence_expires_at=shown(content.get("licence_expires_at")),
    )


def _content(answer: Answer) -> dict[str, Any] | None:
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _unusable(answer: Answer) -> str:
    if _MULTIPLE_CHOICES <= answer.status < _BAD_REQUEST:
        return f"answers with a redirect ({answer.status}); it is not followed, write the URL where it leads"
    return f"answers {answer.status} and no OAuth error; is this the URL of a tenant?"


def _secret(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _seconds(value: object) -> float | None:
    """A duration; None where there is no sensible one."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= SECONDS_MAX else None


def _words(value: object) -> tuple[str, ...]:
    """Texts of a list, a few and short ones; empty where it is none."""
    words = value[:WARNINGS_MAX] if isinstance(value, list) else []
    return tuple(word for it in words if (word := shown(it)))


def _reasons(value: object) -> dict[str, str]:
    """The reasons of pools by their names, a few; empty where it is no such list."""
    pools = [it for it in value[:POOLS_MAX] if isinstance(it, dict)] if isinstance(value, list) else []
    named = {shown(it.get("pool")): shown(it.get("reason")) for it in pools}
    return {pool: reason for pool, reason in named.items() if pool and reason}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _retry_after(answer: Answer, content: Mapping[str, Any]) -> int | None:
    found = _seconds(content.get("retry_after"))
    if found is None:
        found = _header_seconds(answer.headers.get("retry-after", ""), answer.headers.get("date", ""))
    return None if found is None else ceil(min(found, RETRY_AFTER_MAX_S))


def _header_seconds(retry_after: str, date: str) -> float | None:
    """RFC 9110 10.2.3: seconds, or an instant, which is compared with the server's own clock."""
    if _DIGITS.fullmatch(retry_after):
        return float(retry_after)
    until = _instant(retry_after)
    if until is None:
        return None
    return max(0.0, (until - (_instant(date) or datetime.now(UTC))).total_seconds())


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
