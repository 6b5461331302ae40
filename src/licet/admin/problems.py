"""Turns every fault into a problem document (RFC 9457) that names the fields that are wrong.

    raise not_found("there is no tenant Jim_Test")

A `Problem` is raised where it occurs, and answered in one place: as `application/problem+json` under `/api/`,
as a page elsewhere. What the store and the model raise becomes one here, too, so that both say the same. A
bug is answered with its request id and nothing else. No text contains a secret.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

import msgspec

from licet.accounts.account import NotYours
from licet.admin.authentication import TooManyAttempts
from licet.credentials.keyring import KeyringUnusable
from licet.formats import sentence
from licet.lanes.contract import QueueFull
from licet.licences.errors import LicenceCode, LicenceRefused
from licet.model import InvalidValue, Value
from licet.refusal import Code, Refusal, Subject
from licet.setup.file import DeclarationInvalid
from licet.setup.licence_terms import LicenceKept, Term
from licet.store.errors import AlreadyThere, NotFound, StoreUnavailable
from licet.store.paging import InvalidCursor

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MISTAKES_MAX = 50  # reported at once, as on the command line


class FieldError(Value, frozen=True, kw_only=True):
    """What is wrong with one value.

    `pointer` says where it is (RFC 6901, in a URI fragment), '' for all of the body; `code` what is wrong,
    and `limit` the bound that it exceeds, where there is one.
    """

    pointer: str
    code: Code
    message: str
    limit: int | None = None


class Problem(Exception):
    """A refusal that becomes an answer. `kind` names it and is the end of the problem's type.

    `refusal` is the refusal behind it, if any: of the set-up, or of a licence.
    """

    refusal: Refusal | LicenceRefused | None = None

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
        """The kind of problem, in words."""
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
            **_members(self.refusal),
            **errors,
            **self.more,
        }


def _members(refusal: Refusal | LicenceRefused | None) -> dict[str, Any]:
    """A refusal as data."""
    match refusal:
        case None:
            return {}
        case LicenceRefused():
            found = {"code": refusal.code.value, "field": refusal.field, "limit": refusal.limit}
            return {name: value for name, value in found.items() if value not in {"", None}}
        case Refusal():
            return _members_of_setup(refusal)


def _members_of_setup(refusal: Refusal) -> dict[str, Any]:
    members: dict[str, Any] = {"code": refusal.code.value}
    if refusal.subject is not None:
        members["subject"] = _subject(refusal.subject)
    if refusal.limit is not None:
        members["limit"] = refusal.limit
    if refusal.others:
        members["others"] = [_subject(other) for other in refusal.others]
    return members


def _subject(subject: Subject) -> dict[str, str]:
    return {name: text for name, text in asdict(subject).items() if text}


TITLES = {
    "malformed-request": "The request is malformed",
    "sign-in-needed": "Nobody is signed in",
    "wrong-sign-in": "Name or password is wrong",
    "not-allowed": "This is not for your role",
    "forged-request": "The request does not come from here",
    "not-found": "Not found",
    "method-not-allowed": "The method is not allowed here",
    "already-there": "The name is taken",
    "not-possible": "It cannot be done as things are",
    "changed-meanwhile": "Somebody else changed it first",
    "too-large": "The request is too large",
    "wrong-media-type": "The media type of the body is not accepted here",
    "wrong-host": "The server is not known by this name",
    "would-end-sessions": "Sessions would end",
    "licence-refused": "The licence or the vendor's file is refused",
    "invalid-value": "A value is not what it may be",
    "condition-needed": "Say which state you change",
    "too-many-attempts": "Too many attempts",
    "internal-error": "Something went wrong here",
    "store-unavailable": "The store does not answer",
}


def sign_in_needed(detail: str = "Sign in, or send an API key as Bearer token.") -> Problem:
    """The caller is not authenticated: no key or cookie, or an invalid one."""
    return Problem(401, "sign-in-needed", detail, headers={"WWW-Authenticate": 'Bearer realm="licet"'})


def not_allowed(detail: str) -> Problem:
    """The caller is known, but not allowed."""
    return Problem(403, "not-allowed", detail)


def forged_request(detail: str) -> Problem:
    """Another site may have sent it with an administrator's cookie."""
    return Problem(403, "forged-request", detail)


def not_found(detail: str = "There is nothing at this address.") -> Problem:
    """It does not exist, or the caller may not see it."""
    return Problem(404, "not-found", detail)


def invalid(*errors: FieldError, detail: str = "") -> Problem:
    """Values that are not allowed, each with its place."""
    return Problem(422, "invalid-value", detail or _summary(errors), errors=errors)


def too_many_attempts(wait_s: int) -> Problem:
    """Too many attempts failed."""
    detail = f"Too many attempts failed; try again in {wait_s} s."
    return Problem(429, "too-many-attempts", detail, headers={"Retry-After": str(wait_s)})


def internal_error() -> Problem:
    """A bug; the log has it under the request id."""
    return Problem(500, "internal-error", "The log has the cause, under this request id.")


def unavailable(detail: str) -> Problem:
    """The store is out of reach, or too much already waits."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Problem(503, "store-unavailable", detail, headers=headers)


def problem_of(fault: Exception, field_names: Sequence[str] = ()) -> Problem | None:
    """The answer to an exception that is `EXPECTED`; None for a bug.

    `field_names` are those of the request's body, for the pointer to a wrong value.
    """
    match fault:
        case Problem():
            return fault
        case Refusal() | LicenceRefused():
            problem = _of_refusal(fault, field_names) if isinstance(fault, Refusal) else _of_licence(fault)
            problem.refusal = fault
            return problem
        case DeclarationInvalid():
            errors = (
                FieldError(pointer=pointer_of(mistake.path), code=mistake.code, message=str(mistake))
                for mistake in fault.mistakes[:MISTAKES_MAX]
            )
            return invalid(*errors, detail=sentence(fault.summary))
        case InvalidCursor():
            return invalid(
                FieldError(pointer="query:cursor", code=Code.MALFORMED, message=sentence(str(fault)))
            )
        case TooManyAttempts():
            return too_many_attempts(fault.retry_after_s)
        case _:
            return unavailable(_store_text(fault)) if isinstance(fault, EXPECTED) else None


# What the store, the model and the keys raise for an error that is not a bug.
EXPECTED = (
    Problem,
    Refusal,
    LicenceRefused,
    DeclarationInvalid,
    InvalidCursor,
    TooManyAttempts,
    QueueFull,
    KeyringUnusable,
    StoreUnavailable,
)

# What is refused because of the licences that are installed; else the file alone is to blame.
_BESIDE_OTHERS = frozenset(
    {
        LicenceCode.SERIAL_TAKEN,
        LicenceCode.REMOVED_SERIAL,
        LicenceCode.OUT_OF_DATE,
        LicenceCode.TWO_VENDORS,
        LicenceCode.NO_COMMON_SCOPE,
        LicenceCode.NO_COMMON_HOLDER,
    }
)


def _of_refusal(refusal: Refusal, names: Sequence[str]) -> Problem:
    detail, pointer = sentence(str(refusal)), pointer_to(refusal, names)
    error = FieldError(pointer=pointer, code=refusal.code, message=detail, limit=refusal.limit)
    errors = (error,) if pointer else ()
    other = _pointer(refusal.beside, names)
    if refusal.code is Code.NOT_TOGETHER and other not in {"", pointer}:  # Which is wrong, the caller knows.
        errors = (*errors, FieldError(pointer=other, code=refusal.code, message=detail))
    match refusal:
        case InvalidValue():
            return invalid(*(errors or (error,)), detail=detail)
        case NotFound():  # A name in the body is a wrong value.
            return invalid(error) if pointer else not_found(detail)
        case AlreadyThere():
            return Problem(409, "already-there", detail, errors=errors)
        case NotYours():
            return Problem(403, "not-allowed", detail, errors=errors)
        case LicenceKept():
            return Problem(403, "not-allowed", detail, errors=_of_terms(refusal.terms, names))
        case _:
            return Problem(409, "not-possible", detail, errors=errors)


def _of_licence(refused: LicenceRefused) -> Problem:
    return Problem(409 if refused.code in _BESIDE_OTHERS else 422, "licence-refused", sentence(str(refused)))


def _of_terms(terms: Sequence[Term], names: Sequence[str]) -> list[FieldError]:
    return [
        FieldError(
            pointer=_pointer(term.field, names), code=Code.PART_OF_LICENCE, message=sentence(term.text)
        )
        for term in terms[:MISTAKES_MAX]
    ]


def pointer_of(path: Iterable[object]) -> str:
    """A pointer (RFC 6901 3 and 6) to the value under these keys of the body; '' for all of it."""
    steps = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    return f"#/{'/'.join(steps)}" if steps else ""


def pointer_to(refusal: Refusal, names: Sequence[str]) -> str:
    """The place of the value in a body with these names, or of the one that it conflicts with; else ''."""
    return _pointer(refusal.field, names) or _pointer(refusal.beside, names)


def _pointer(field: str, names: Sequence[str]) -> str:
    """The name of a field in the API: that of the set-up file, with its unit."""
    found = next((field + unit for unit in _UNITS if field and field + unit in names), None)
    return "" if found is None else f"#/{found}"


_UNITS = ("", "_s", "_at", "s")  # the last of what is one or several, as the pools of a scope


def _store_text(fault: Exception) -> str:
    match fault:
        case QueueFull():
            return "Too much waits already."
        case KeyringUnusable():
            return sentence(str(fault))
        case _:  # The driver's text belongs in the log.
            return (
                "The store does not answer, or cannot be written. Nothing of the request was done;"
                " the log of the server says why."
            )


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """A refusal by the framework, which has only a status and some headers."""
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
            return Problem(415, "wrong-media-type", "The media type of the body is not accepted here.")
        case _ if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Problem(status, "malformed-request", "The request is malformed.")
        case _:
            return internal_error()


def _summary(errors: Sequence[FieldError]) -> str:
    return errors[0].message if len(errors) == 1 else f"{len(errors)} values are not what they may be."
