"""Answers `dry_run=true`: which sessions a change would end, without making the change.

The rules:

- All is looked at as for the change itself: who asks, the condition, every value. What would be refused is.
- An operation without a dry run refuses the parameter: otherwise it would really be done.
"""

from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from starlette.requests import Request

from licet.admin.problems import FieldError, invalid
from licet.model import Value
from licet.refusal import Code
from licet.setup.consequences import ClientSessions, Consequences

NAME = "dry_run"


class Rehearsal(Value, frozen=True, kw_only=True):
    """What a change would do to sessions: it was not made. `clients` have most of them first.

    Sessions that are cut short end when their pool does, sooner than they would have; `clients_more` clients
    are not named.
    """

    dry_run: Literal[True]
    sessions_ended: int
    sessions_cut_short: int
    clients: tuple[ClientSessions, ...]
    clients_more: int


class Rehearsed(Exception):
    """A change was rehearsed, and not made: this is what there is to answer."""

    def __init__(self, ending: Consequences) -> None:
        super().__init__("rehearsed")
        self.rehearsal = Rehearsal(
            dry_run=True,
            sessions_ended=ending.sessions_ended,
            sessions_cut_short=ending.sessions_cut_short,
            clients=ending.clients,
            clients_more=ending.clients_more,
        )


async def asked(
    request: Request,
    *,
    dry_run: Annotated[
        bool, Query(description="Do nothing, and answer which sessions would end with it.")
    ] = False,
) -> bool:
    """Whether the change is only to be rehearsed; for operations that can be."""
    request.state.dry_run = dry_run
    return dry_run


def is_asked(request: Request) -> bool:
    """Whether this request wants a rehearsal."""
    return getattr(request.state, NAME, False)


def must_be_possible(request: Request) -> None:
    """Return unless a rehearsal is wanted of what cannot be rehearsed.

    Raises Problem.
    """
    if NAME in request.query_params and not hasattr(request.state, NAME):
        message = "This operation has no dry run."
        raise invalid(FieldError(pointer=f"query:{NAME}", code=Code.UNKNOWN_FIELD, message=message))


def rehearsable(route: dict[str, Any]) -> dict[str, Any]:
    """An operation that takes `dry_run`, and answers it with 200."""
    shape = {"$ref": f"#/components/schemas/{Rehearsal.__name__}"}
    responses = dict(route["responses"])
    done = responses.get(200)
    schemas = [content["schema"] for content in done.get("content", {}).values()] if done else []
    good = done or {"description": "With dry_run: what would end."}
    schema = {"anyOf": [*schemas, shape]} if schemas else shape
    responses[200] = good | {"content": {"application/json": {"schema": schema}}}
    return route | {"responses": responses, "dependencies": [Depends(asked)]}
