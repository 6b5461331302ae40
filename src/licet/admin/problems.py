"""What the admin listener answers when something is not as it should be: problem details (RFC 9457).

    raise not_found("there is no tenant Jim_Test")

A `Problem` is raised where it is met, and answered in one place: as `application/problem+json` under `/api/`,
as a page elsewhere. What the store and the model raise becomes one here, too, so that both tell the same. A
bug is told with its request id and nothing else. No text has a secret in it.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from licet.accounts.administrators import NotYours
from licet.admin.sign_in import TooManyAttempts
from licet.credentials.keyring import KeyringUnusable
from licet.lanes.contract import QueueFull
from licet.model import InvalidValue, Value
from licet.setup.file import DeclarationInvalid
from licet.setup.licence_terms import LicenceKept
from licet.store.errors import AlreadyThere, NotFound, SetupError, StoreUnavailable
from licet.store.paging import InvalidCursor

# How a text ends that advises who works with the command line.
_ADVICE = re.compile(r"[;:,] (?:change it with: |or )?licet [a-z].*$|; change it with: licet.*$")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MISTAKES_MAX = 50  # told at once, as on the command line


class FieldError(Value, frozen=True, kw_only=True):
    """What is wrong with one field: `pointer` says where (RFC 6901, in a URI fragment), '' for all of it."""

    pointer: str
    message: str


class Problem(Exception):
    """A refusal on its way to who asked. `kind` names what happened and is the end of the problem's type."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.more = more  # extension members, as `current`

    @property
    def title(self) -> str:
        """What kind of problem it is, in words."""
        return TITLES[self.kind]

    def content(self, request_id: str) -> dict[str, Any]:
        """The members of the answer."""
        errors = {"errors": [msgspec.to_builtins(error) for error in self.errors]} if self.errors else {}
        return {
            "type": f"tag:licet,2026:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **errors,
            **self.more,
        }


TITLES = {
    "malformed-request": "The request cannot be read",
    "sign-in-needed": "Nobody is signed in",
    "wrong-sign-in": "Name or password is wrong",
    "not-allowed": "This is not for your role",
    "forged-request": "The request does not come from here",
    "not-found": "There is no such thing",
    "method-not-allowed": "That cannot be done here",
    "already-there": "The name is taken",
    "not-possible": "It cannot be done as things are",
    "changed-meanwhile": "Somebody else changed it first",
    "too-large": "The request is too large",
    "wrong-media-type": "The body is not of a kind that is taken here",
    "wrong-host": "The server is not known by this name",
    "invalid-value": "A value is not what it may be",
    "condition-needed": "Say which state you change",
    "too-many-attempts": "Too many attempts",
    "internal-error": "Something went wrong here",
    "store-unavailable": "The store does not answer",
}


def sign_in_needed(detail: str = "Sign in, or send an API key as Bearer token.") -> Problem:
    """Nobody is signed in: no key or cookie, or one that is worth nothing."""
    return Problem(401, "sign-in-needed", detail, headers={"WWW-Authenticate": 'Bearer realm="licet"'})


def not_allowed(detail: str) -> Problem:
    """Whoever asks is known, and may not."""
    return Problem(403, "not-allowed", detail)


def forged_request(detail: str) -> Problem:
    """Another site may have sent it in an administrator's name."""
    return Problem(403, "forged-request", detail)


def not_found(detail: str = "There is nothing at this address.") -> Problem:
    """It is not there, or not for the eyes of whoever asks."""
    return Problem(404, "not-found", detail)


def invalid(*errors: FieldError, detail: str = "") -> Problem:
    """Values that may not be, each with its place."""
    return Problem(422, "invalid-value", detail or _summary(errors), errors=errors)


def too_many_attempts(wait_s: int) -> Problem:
    """Somebody fails too often."""
    detail = f"Too many attempts failed; try again in {wait_s} s."
    return Problem(429, "too-many-attempts", detail, headers={"Retry-After": str(wait_s)})


def internal_error() -> Problem:
    """A bug; the log has it under the request id."""
    return Problem(500, "internal-error", "The log tells what, under this request id.")


def unavailable(detail: str) -> Problem:
    """The store, or room in it, cannot be had now."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Problem(503, "store-unavailable", detail, headers=headers)


def problem_of(fault: Exception, field_names: Sequence[str] = ()) -> Problem | None:
    """What is told of an exception that is `EXPECTED`; None for a bug.

    `field_names` are those of the request's body: the first that a text about a value names is its field.
    """
    match fault:
        case Problem():
            return fault
        case SetupError():
            return _of_setup(fault, field_names)
        case DeclarationInvalid():
            errors = (FieldError(pointer="", message=mistake) for mistake in fault.mistakes[:MISTAKES_MAX])
            return invalid(*errors, detail=f"{str(fault).partition(':')[0].capitalize()}.")
        case InvalidValue() | InvalidCursor():
            where = pointer_of(str(fault), field_names) if isinstance(fault, InvalidValue) else "query:after"
            return invalid(FieldError(pointer=where, message=sentence(fault)))
        case TooManyAttempts():
            return too_many_attempts(fault.retry_after_s)
        case _:
            return unavailable(_told_of_store(fault)) if isinstance(fault, EXPECTED) else None


# What the store, the model and the keys raise when something is not as it should be, and no bug.
EXPECTED = (
    Problem,
    SetupError,
    DeclarationInvalid,
    InvalidValue,
    InvalidCursor,
    TooManyAttempts,
    QueueFull,
    KeyringUnusable,
    StoreUnavailable,
)


def _of_setup(fault: SetupError, field_names: Sequence[str]) -> Problem:
    match fault:
        case LicenceKept():
            errors = [
                FieldError(
                    pointer=f"#/{term.field}" if term.field in field_names else "",
                    message=f"{term.text[:1].upper()}{term.text[1:]}.",
                )
                for term in fault.terms[:MISTAKES_MAX]
            ]
            return Problem(403, "not-allowed", sentence(fault), errors=errors)
        case NotFound():
            return not_found(sentence(fault))
        case AlreadyThere():
            return Problem(409, "already-there", sentence(fault))
        case NotYours():
            return not_allowed(sentence(fault))
        case _:
            return Problem(409, "not-possible", sentence(fault))


def _told_of_store(fault: Exception) -> str:
    match fault:
        case QueueFull():
            return "Too much waits already."
        case KeyringUnusable():
            return sentence(fault)
        case _:  # What the driver says belongs into the log.
            return "The store does not answer. Nothing of the request was done."


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """A refusal of the framework's, which says no more than its status, and some headers."""
    problem = _of_status(status)
    problem.headers |= headers or {}
    return problem


def _of_status(status: int) -> Problem:
    match status:
        case 404:
            return not_found()
        case 405:
            return Problem(405, "method-not-allowed", "This address does not take this method.")
        case 413:
            return Problem(413, "too-large", "The request is larger than what is taken here.")
        case 415:
            return Problem(415, "wrong-media-type", "The body is not of a kind that is taken here.")
        case _ if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Problem(status, "malformed-request", "The request cannot be read.")
        case _:
            return internal_error()


def _summary(errors: Sequence[FieldError]) -> str:
    return errors[0].message if len(errors) == 1 else f"{len(errors)} values are not what they may be."


def sentence(fault: Exception) -> str:
    """The text of an exception without advice for the command line, as a sentence."""
    text = _ADVICE.sub("", str(fault))
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def pointer_of(text: str, field_names: Sequence[str]) -> str:
    """Where the field stands that a text names first, by all of its name or by its last word.

    '' when it names none. A field ends in its unit or stands for many; a text does neither.
    """
    words = text.replace("_", " ")
    for stem_of in (_stem, lambda name: _stem(name).rpartition(" ")[2]):
        found = [(words.find(stem_of(name)), name) for name in field_names]
        at = [(place, name) for place, name in found if place >= 0]
        if at:
            return f"#/{min(at)[1]}"
    return ""


def _stem(name: str) -> str:
    for ending in ("_at_ms", "_ms", "_s", "s"):
        name = name.removesuffix(ending)
    return name.replace("_", " ")
