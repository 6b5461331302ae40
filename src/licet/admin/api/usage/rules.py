"""Reads with which options of a pool an operation replays, in the words of the command line.

    ?exclude=user:TC&exclude=client:App&reserve=2:group:sales&max_per_user=0

An option that is not among them is as it is today. An empty one is nobody, and a limit of 0 is none.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Depends, Query

from licet.admin.problems import FieldError, Problem, invalid
from licet.formats import sentence
from licet.model import SEATS_MAX, InvalidValue
from licet.options import RULES_MAX
from licet.refusal import Code, Refusal
from licet.setup.nouns import POOL

_CHARS_MAX = 140  # of one rule: a number, and the longest name

Rule = Annotated[str, Query(max_length=_CHARS_MAX)]


def _rules(text: str, name: str | None = None) -> Any:
    return Query(alias=name, max_length=RULES_MAX, description=f"{text} Repeatable; empty is nobody.")


def _limit(text: str) -> Any:
    return Query(ge=0, le=SEATS_MAX, description=f"{text} 0 is no limit.")


async def _asked(  # noqa: PLR0917 - one an option
    exclude: Annotated[list[Rule] | None, _rules("Who gets no seat: `user:TC`.")] = None,
    include: Annotated[list[Rule] | None, _rules("Who alone gets one: `group:staff`.")] = None,
    named: Annotated[list[Rule] | None, _rules("The users who alone get one: `TC`.")] = None,
    reserve: Annotated[list[Rule] | None, _rules("Seats for somebody: `2:group:sales`.")] = None,
    max_: Annotated[list[Rule] | None, _rules("The most seats of somebody: `1:user:TC`.", "max")] = None,
    max_per_user: Annotated[int | None, _limit("The most seats of each user.")] = None,
    max_per_client: Annotated[int | None, _limit("The most seats of each client.")] = None,
) -> Mapping[str, Any]:
    texts = {"exclude": exclude, "include": include, "named": named, "reserve": reserve, "max": max_}
    found: dict[str, Any] = {}
    errors = []
    for field, given in texts.items():
        if given is None:
            continue
        try:
            found[field] = POOL.setting(field).kind.of_texts([text for text in given if text])  # type: ignore[attr-defined]
        except InvalidValue as wrong:
            errors.append(_error(wrong, field))
    if errors:
        raise invalid(*errors)
    limits = {"max_per_user": max_per_user, "max_per_client": max_per_client}
    return found | {field: limit or None for field, limit in limits.items() if limit is not None}


AskedRules = Annotated[Mapping[str, Any], Depends(_asked)]


def refused(refusal: Refusal, given: Sequence[str]) -> Problem:
    """The answer to a refusal of these rules, at the parameter that is wrong, or at both that contradict."""
    names = [name for name in (refusal.field, refusal.beside) if name in given]
    names = names if refusal.code is Code.NOT_TOGETHER else names[:1]
    return invalid(*(_error(refusal, name) for name in names), detail=sentence(str(refusal)))


def _error(refusal: Refusal, name: str) -> FieldError:
    return FieldError(
        pointer=f"query:{name}", code=refusal.code, message=sentence(str(refusal)), limit=refusal.limit
    )
