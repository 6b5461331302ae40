"""Defines what a call of the admin API raises: a problem that the server answered, or no answer at all.

An `AdminProblem` has the members of the problem document (RFC 9457). Which class it is says what to do about
it. No text has the API key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from licet.admin_client.answers.nouns import Consequences, FieldError, Subject
from licet.admin_client.decoding import decode

_TYPE = "tag:licet,2026:"


class AdminError(Exception):
    """A call of the admin API did not do what was asked."""


class AdminUnreachable(AdminError):
    """No answer came, or one that is none of the admin API. What was asked may have been done."""


class AdminProblem(AdminError):
    """The server refused it: nothing was done. `kind` is the end of the problem's type."""

    def __init__(
        self, members: Mapping[str, Any], *, retry_after_s: int | None = None, etag: str = ""
    ) -> None:
        self.status = int(members["status"])
        self.kind = str(members["type"]).removeprefix(_TYPE)
        self.title = str(members["title"])
        self.detail = str(members["detail"])
        self.request_id = str(members["request_id"])
        self.code: str | None = members.get("code")
        self.limit: int | None = members.get("limit")
        self.field: str | None = members.get("field")
        self.subject = _subject(members["subject"]) if "subject" in members else None
        self.others = tuple(map(_subject, members.get("others", ())))
        self.errors: tuple[FieldError, ...] = decode(tuple[FieldError, ...], members.get("errors", []))
        self.current: Any = members.get("current")
        self.retry_after_s = retry_after_s
        self.etag = etag
        self._ending: Any = members.get("ending")
        super().__init__(f"{self.detail} ({self.status} {self.kind}, request {self.request_id})")

    @property
    def ending(self) -> Consequences | None:
        """Which sessions would end, where it was refused for that."""
        return None if self._ending is None else decode(Consequences, self._ending)


class SignInNeeded(AdminProblem):
    """The API key is unknown, or is over."""


class NotAllowed(AdminProblem):
    """The key's role does not include this."""


class NotFound(AdminProblem):
    """What was named does not exist, or is of a tenant that the key is not for."""


class ChangedMeanwhile(AdminProblem):
    """Somebody else was first: `current` is what is there now, and `etag` its tag."""


class WouldEndSessions(AdminProblem):
    """More sessions would end than `may_end` says: `ending` says which."""


class InvalidValue(AdminProblem):
    """Values are wrong: `errors` has each with its place."""


class TryLater(AdminProblem):
    """Too many attempts, or the store does not answer: `retry_after_s`."""


@dataclass(frozen=True, kw_only=True)
class _Class:
    of: type[AdminProblem]
    status: int
    kind: str = ""


_CLASSES = (
    _Class(of=SignInNeeded, status=401),
    _Class(of=NotAllowed, status=403),
    _Class(of=NotFound, status=404),
    _Class(of=WouldEndSessions, status=409, kind="would-end-sessions"),
    _Class(of=ChangedMeanwhile, status=412),
    _Class(of=InvalidValue, status=422, kind="invalid-value"),
    _Class(of=TryLater, status=429),
    _Class(of=TryLater, status=503),
)


def problem_of(members: Mapping[str, Any], *, retry_after_s: int | None, etag: str) -> AdminProblem:
    """The problem of this document."""
    kind = str(members["type"]).removeprefix(_TYPE)
    found = (it.of for it in _CLASSES if it.status == members["status"] and it.kind in {"", kind})
    return next(found, AdminProblem)(members, retry_after_s=retry_after_s, etag=etag)


def _subject(members: Mapping[str, str]) -> Subject:
    return decode(Subject, members)
