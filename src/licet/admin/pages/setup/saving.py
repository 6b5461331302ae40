"""Saves a form of the set-up in one transaction, which checks whether somebody saved first and what ends.

The rules:

- What the form showed is compared within the transaction with what is there. When somebody was first, nothing
  is changed, and the form has both versions beside each other (`Form.meet`).
- A change that ends sessions is rolled back unless the person has seen how many, and no more than these end.
- What the store refuses stands beside the field that it is about.

What is hashed or generated is made before. All of it waits for the store: it runs in the desk's threads.
"""

from collections.abc import Callable
from typing import Any

from licet.admin.context import Desk
from licet.admin.pages.forms import Form, Texts
from licet.admin.pages.frame import Visit
from licet.admin.pages.setup.noun import Noun
from licet.admin.pages.setup.nouns.tenants import save_tenant, tenant_texts
from licet.admin.pages.setup.places import places
from licet.admin.sign_in import Identity
from licet.model import Value
from licet.refusal import Code, Refusal
from licet.setup.change import SetupChange
from licet.setup.consequences import Attempt, Consequences, attempt
from licet.store.errors import NotFound, SetupError


class Gone(SetupError):
    """What the form is about was removed by somebody else."""


class Outcome(Value, frozen=True, kw_only=True):
    """What became of it. When it is not done, the form says why, or so many sessions would end."""

    is_done: bool
    sessions_ended: int = 0


class _NotInEarnest(Exception):
    """Rolls the transaction back."""


class Saving:
    """One filled form on its way into the store. `ends` is how many sessions the person agreed to end."""

    def __init__(self, desk: Desk, visit: Visit, form: Form, ends: int) -> None:
        self._desk = desk
        self._visit = visit
        self._form = form
        self._ends = ends

    def part(self, tenant: str, noun: Noun, name: str | None, values: dict[str, Any]) -> Outcome:
        """Save what a tenant has: one that is there, or a new one when there is no name.

        Raises Gone, StoreUnavailable.
        """

        def do(change: SetupChange) -> None:
            setup = _found(change, tenant)
            if name is None:
                noun.add(setup, values[noun.key], values)
                return
            part = noun.parts(setup.tenant).get(name)
            if part is None:
                raise _gone(f"{noun.word} {name}")
            self._must_be_first(noun.texts(setup.tenant, part))
            noun.set(setup, name, values)

        return self._save(do)

    def tenant(self, name: str | None, values: dict[str, Any]) -> Outcome:
        """Save a tenant's own settings, or a new tenant.

        Raises Gone, StoreUnavailable.
        """

        def do(change: SetupChange) -> None:
            if name is not None:
                self._must_be_first(tenant_texts(_found(change, name).tenant))
            save_tenant(change, name, values)

        return self._save(do)

    def _must_be_first(self, now: Texts) -> None:
        if self._form.is_behind(now):
            self._form.meet(now)
            raise _NotInEarnest

    def _save(self, do: Callable[[SetupChange], None]) -> Outcome:
        try:
            tried = _tried(self._desk, self._visit.identity, do, self._ends)
        except Gone:
            raise
        except Refusal as refusal:
            self._form.refuse_for(refusal, places(self._visit, refusal))
            return Outcome(is_done=False)
        return Outcome(is_done=tried.is_made, sessions_ended=tried.ending.sessions_ended)


def remove(
    desk: Desk, identity: Identity, do: Callable[[SetupChange], object], *, ends: int | None
) -> Outcome:
    """Remove something; without `ends`, or when more sessions end than that, it is only rehearsed.

    Raises SetupError, StoreUnavailable.
    """
    tried = _tried(desk, identity, do, -1 if ends is None else ends)
    return Outcome(is_done=tried.is_made, sessions_ended=tried.ending.sessions_ended)


def _tried(desk: Desk, identity: Identity, do: Callable[[SetupChange], object], ends: int) -> Attempt:
    """Do it unless more sessions end than may, or somebody was first."""
    try:
        return attempt(
            lambda work: desk.change_now(identity, work),
            do,
            agrees=lambda ending: ending.sessions_ended <= ends,
        )
    except _NotInEarnest:
        return Attempt(is_made=False, ending=Consequences())


def _found(change: SetupChange, tenant: str) -> Any:
    try:
        return change.tenant(tenant)
    except NotFound:
        raise _gone(f"tenant {tenant}") from None


def _gone(what: str) -> Gone:
    return Gone(f"{what} was removed by somebody else", code=Code.NOT_FOUND)
