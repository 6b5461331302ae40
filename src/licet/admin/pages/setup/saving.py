"""Saves or removes an object in one transaction that detects concurrent edits and counts ended sessions.

The rules:

- What the form showed is compared within the transaction with what is there. When somebody was first, nothing
  is changed, and the form has both versions beside each other (`Form.meet`).
- A change that ends sessions is rolled back unless the person has seen how many, and no more than these end.
- What the store refuses stands beside the field that it is about.

What is hashed or generated is made before. All of it waits for the store: call it in a thread.
"""

from typing import Any

from licet.admin.pages.forms import Form, Texts
from licet.admin.pages.setup.error_links import places
from licet.admin.pages.setup.noun import Noun
from licet.model import Value
from licet.refusal import Code, Refusal
from licet.store.errors import NotFound, SetupError

REHEARSED = -1  # sessions that somebody agreed to end who was not asked yet: nothing is done


class Gone(SetupError):
    """What the form is about was removed by somebody else."""


class Outcome(Value, frozen=True, kw_only=True):
    """What became of it. When it is not done, it was refused, or so many sessions would end."""

    is_done: bool
    sessions_ended: int = 0
    refusal: Refusal | None = None


class _NotFirst(Exception):
    """Rolls the transaction back: somebody else was first."""


def save(noun: Noun[Any], form: Form, name: str | None, values: dict[str, Any], ends: int) -> Outcome:
    """Save what a form holds: one that is there, or a new one without a name.

    `ends` is how many sessions the person agreed to end. What is refused is said in the form.
    Raises Gone, StoreUnavailable.
    """

    def do(change: Any) -> None:
        within, now = _found(noun, change, name)
        if now is None or name is None:
            noun.add(within, values)
            return
        if form.is_behind(now):
            form.meet(now)
            raise _NotFirst
        noun.set(within, name, values)

    try:
        tried = noun.attempt(do, ends)
    except Gone:
        raise
    except _NotFirst:
        return Outcome(is_done=False)
    except Refusal as refusal:
        form.refuse_for(refusal, places(noun.visit, refusal))
        return Outcome(is_done=False, refusal=refusal)
    return Outcome(is_done=tried.is_made, sessions_ended=tried.ending.sessions_ended)


def remove(noun: Noun[Any], name: str, ends: int) -> Outcome:
    """Remove one, unless more than `ends` sessions end with it; with REHEARSED nothing is done.

    Raises StoreUnavailable.
    """
    try:
        tried = noun.attempt(lambda change: noun.remove(noun.enter(change), name), ends)
    except SetupError as refusal:
        return Outcome(is_done=False, refusal=refusal)
    return Outcome(is_done=tried.is_made, sessions_ended=tried.ending.sessions_ended)


def _found(noun: Noun[Any], change: Any, name: str | None) -> tuple[Any, Texts | None]:
    """Where a noun is changed in this transaction, and what the form of this one would show now."""
    try:
        within = noun.enter(change)
        return within, None if name is None else noun.texts(noun.current(within, name))
    except NotFound as gone:
        raise Gone(f"{gone.subject} was removed by somebody else", code=Code.NOT_FOUND) from None
