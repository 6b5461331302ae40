"""Makes requests conditional: entity tags of what is shown, and `If-Match` (RFC 9110 8.8.3, 13.1)."""

import hashlib
from typing import Annotated, Any

import msgspec
from fastapi import Depends
from starlette.requests import Request

from licet.admin.problems import Problem
from licet.model import Value

ETAG_BYTES = 12


class Shown(Value, frozen=True, kw_only=True):
    """The representation of something that can be edited: its bytes, and its entity tag."""

    body: bytes
    etag: str

    @property
    def content(self) -> Any:
        """As a member of a problem."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return self.body.decode()


def represent(value: Value, hidden: bytes = b"") -> Shown:
    """The bytes of something that can be edited, and the tag of its content."""
    return _tagged(msgspec.json.encode(value), hidden)


def represent_text(text: str) -> Shown:
    """The same of a text."""
    return _tagged(text.encode(), b"")


def _tagged(body: bytes, hidden: bytes) -> Shown:
    digest = hashlib.sha256(body + b"\0" + hidden).hexdigest()
    return Shown(body=body, etag=f'"{digest[: 2 * ETAG_BYTES]}"')


async def condition_of(request: Request) -> str:
    """A dependency: what `If-Match` says.

    Raises Problem when it is not there.
    """
    condition: str | None = request.headers.get("if-match")
    if condition is None:
        detail = "Send If-Match with the ETag of what you have seen, or * for whatever is there."
        raise Problem(428, "condition-needed", detail)
    return condition


Condition = Annotated[str, Depends(condition_of)]


def must_match(condition: str, found: Shown) -> None:
    """Return if this is the content that is meant.

    Raises Problem, with what is there.
    """
    if not matches(condition, found.etag):
        raise Problem(
            412,
            "changed-meanwhile",
            "It is not what you have seen: somebody changed it first. `current` is what is there now.",
            headers={"ETag": found.etag},
            current=found.content,
        )


def matches(condition: str, etag: str, *, weakly: bool = False) -> bool:
    """Whether a list of entity tags has this one (RFC 9110 8.8.3, 13.1)."""
    tags = [tag.strip() for tag in condition.split(",")]
    if weakly:
        tags = [tag.removeprefix("W/") for tag in tags]
    return tags == ["*"] or etag in tags
