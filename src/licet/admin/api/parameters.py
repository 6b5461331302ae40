"""Defines the path and query parameters of endpoints: names, the page of a list, and its filters.

What reads one is a coroutine function: the framework runs any other in a thread. What an operation does not
take, in the address or as a body, is refused.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Annotated

import msgspec
from fastapi import Depends, Path, Query
from fastapi.dependencies.models import Dependant
from pydantic import BeforeValidator
from starlette.requests import Request

from licet.admin.gate import SAFE_METHODS, SLASH
from licet.admin.problems import MISTAKES_MAX, FieldError, invalid, not_found, pointer_of
from licet.formats import without_controls
from licet.licences.claims import SERIAL_MAX
from licet.model import Value
from licet.nearest import or_rather
from licet.refusal import Code
from licet.store.paging import LIMIT, LIMIT_MAX

LINE = r"^[^\x00-\x1f\x7f]*$"
_ZONE = r"^[A-Za-z0-9_+/-]+$"
_CURSOR = r"^[A-Za-z0-9_-]+$"
_NAME_CHARS_MAX = 64  # of an unknown parameter that is repeated
INITIALS = r"^[A-Za-z0-9.]{2,3}$"

# Pages


class Page(Value, frozen=True):
    """Which part of a list is wanted."""

    limit: int
    cursor: str | None  # of the page before


async def _page(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="The maximum number.")] = LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=1000, pattern=_CURSOR, description="`next` of the previous page.")
    ] = None,
) -> Page:
    return Page(limit, cursor)


Paged = Annotated[Page, Depends(_page)]

# Names in the path


def _named(sent: str) -> str:
    """A name in an address, with the slashes that were encoded."""
    name = sent.replace(SLASH, "/")
    if name != without_controls(name):  # No name of ours is like this, and not every store could look for it.
        raise not_found()
    return name


NamePath = Annotated[str, Path(min_length=1, max_length=200), BeforeValidator(_named)]
TenantPath = Annotated[
    str, Path(min_length=1, max_length=200, examples=["Jim_Test"]), BeforeValidator(_named)
]


def name_in_path(key: str) -> Callable[[str], Awaitable[str]]:
    """A dependency that reads a name from this parameter of the path."""
    examples = ["Jim_Test"] if key == "tenant" else None

    async def read(
        name: Annotated[
            str, Path(alias=key, min_length=1, max_length=200, examples=examples), BeforeValidator(_named)
        ],
    ) -> str:
        return name

    return read


# What is looked for

OfUser = Annotated[str | None, Query(pattern=INITIALS, description="Those of this user only (initials).")]
OnlyEnabled = Annotated[bool | None, Query(description="Only those that are, or are not.")]
Matching = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=128,
        pattern=LINE,
        description="Those whose name contains this, ignoring case.",
    ),
]
Text = Annotated[str, Query(max_length=200, pattern=LINE)]
Zone = Annotated[
    str | None,
    Query(
        max_length=64,
        pattern=_ZONE,
        description="The time zone of days; by default that of the tenant, for all tenants UTC.",
        examples=["Australia/Sydney"],
    ),
]
SerialPath = Annotated[int, Path(ge=1, le=SERIAL_MAX, description="A serial, as the list shows it.")]
SeqPath = Annotated[int, Path(ge=1, le=SERIAL_MAX, description="A number, as the list shows it.")]
Sid = Annotated[str, Path(pattern=r"^[0-9a-f]{40}$", examples=["6924173f0c1d" + "0" * 28])]


def must_be_known(request: Request) -> None:
    """Return if the operation takes every parameter that the address has.

    Raises Problem.
    """
    known = _known(request)
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise invalid(
            *(
                FieldError(
                    pointer=f"query:{name[:_NAME_CHARS_MAX]}",
                    code=Code.UNKNOWN_FIELD,
                    message=f"There is no such parameter{or_rather(name, known)}",
                )
                for name in unknown[:MISTAKES_MAX]
            )
        )


async def must_have_no_body(request: Request) -> None:
    """Return if the operation takes a body, or the body says nothing: none at all, `{}` or `null`.

    What is sent with GET has no meaning (RFC 9110 9.3.1). Raises Problem.
    """
    route = request.scope["route"]
    takes_one = route.body_field is not None or "requestBody" in (route.openapi_extra or {})
    if takes_one or request.method in SAFE_METHODS:
        return
    if not (content := (await request.body()).strip()):
        return
    known = _known(request)
    fields = _members(content)
    if fields is None:
        raise invalid(FieldError(pointer="", code=Code.WRONG_TYPE, message=_NO_BODY))
    if fields:
        raise invalid(
            *(
                FieldError(
                    pointer=pointer_of([name[:_NAME_CHARS_MAX]]),
                    code=Code.UNKNOWN_FIELD,
                    message=f"{_NO_BODY[:-1]}: {name} is a parameter of its address."
                    if name in known
                    else _NO_BODY,
                )
                for name in fields[:MISTAKES_MAX]
            )
        )


_NO_BODY = "This operation takes no body."


def _members(content: bytes) -> list[str] | None:
    """The names in a JSON object, of `null` none; None for anything else."""
    try:
        return list(msgspec.json.decode(content, type=dict[str, msgspec.Raw] | None) or ())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _known(request: Request) -> set[str]:
    """The names of the parameters that the operation takes in the address."""
    return set(_aliases(request.scope["route"].dependant))


def _aliases(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _aliases(dependency)


def body_fields(request: Request) -> Collection[str]:
    """What the body of this request may have; nothing where it is none of JSON."""
    route = request.scope.get("route")
    body = getattr(route, "body_field", None)
    return getattr(body.field_info.annotation, "model_fields", ()) if body is not None else ()


def has_part(text: str, part: str | None) -> bool:
    """Whether a text has this part, whatever the case; None is part of every text."""
    return part is None or part.casefold() in text.casefold()
