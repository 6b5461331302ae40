"""Reads `dry_run` and `may_end`: a change is only rehearsed, or refused where it would end too many sessions.

The rules:

- With `dry_run=true` all is looked at as for the change itself: who asks, the condition, every value. What
  would be refused is. An operation without a dry run refuses the parameter: it would really be done.
- Of an operation with `may_end`, no session may end without it. The refusal says how many would end, at once
  or sooner than they would have, and whose. Every change that may end one has it.
- It is a number and not a yes: a session that began since the caller looked is not ended unseen.
"""

from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from starlette.requests import Request

from licet.admin.problems import FieldError, Problem, invalid
from licet.formats import counted
from licet.model import Value
from licet.refusal import Code
from licet.setup.consequences import ClientSessions, Consequences

NAME = "dry_run"
SESSIONS_MAX = 1_000_000_000  # more than a store can have


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
        bool, Query(description="Change nothing, and answer which sessions would end.")
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


async def _agreed_to(
    request: Request,
    *,
    may_end: Annotated[
        int,
        Query(
            ge=0,
            le=SESSIONS_MAX,
            description="How many sessions may end, or end sooner. If more would, the change is refused.",
        ),
    ] = 0,
) -> int:
    request.state.may_end = may_end
    return may_end


def needs_agreement(request: Request) -> bool:
    """Whether the operation takes `may_end`."""
    return hasattr(request.state, "may_end")


def is_agreed(request: Request, ending: Consequences) -> bool:
    """Whether the caller agrees to this."""
    agreed: int = request.state.may_end
    return ending.sessions_ended + ending.sessions_cut_short <= agreed


def agreeable(route: dict[str, Any]) -> dict[str, Any]:
    """An operation that takes `may_end`, and `dry_run` as well."""
    route = rehearsable(route)
    return route | {"dependencies": [*route["dependencies"], Depends(_agreed_to)]}


def would_end(ending: Consequences) -> Problem:
    """The refusal of a change that would end more sessions than the caller agrees to."""
    count = ending.sessions_ended + ending.sessions_cut_short
    detail = (
        f"{counted(count, 'session')} would end with it, at once or sooner than they would have. Nothing was"
        f" changed; send may_end={count} to agree."
    )
    return Problem(409, "would-end-sessions", detail, ending=ending)
