"""Decides what of the set-up a reader may change: owners change it, and owners of all tenants the licence."""

from collections.abc import Sequence

from msgspec.structs import replace

from licet.admin.context import must_be
from licet.admin.pages.forms import Field, Kind
from licet.admin.pages.frame import Visit
from licet.admin.problems import not_allowed
from licet.formats import NEVER
from licet.model import Role
from licet.setup.licence_terms import WHY, is_counted, licence_names


def may_add(visit: Visit, word: str) -> bool:
    """Whether the reader may add and remove one of these, where that changes the licence."""
    return visit.may(Role.OWNER) and (visit.identity.owns_licence or not is_counted(word))


def must_add(visit: Visit, word: str) -> None:
    """Return if the reader may add and remove one of these.

    Raises Problem.
    """
    must_be(visit.identity, Role.OWNER)
    if not may_add(visit, word):
        raise not_allowed(f"{WHY} Your role is for one tenant.")


def may_change(visit: Visit, word: str, fields: Sequence[Field]) -> bool:
    """Whether there is anything in a form of this noun that the reader may change."""
    if not visit.may(Role.OWNER):
        return False
    licence = licence_names(word)
    return visit.identity.owns_licence or any(
        field.kind is not Kind.FIXED and field.refused_as not in licence for field in fields
    )


def keeping_licence(visit: Visit, word: str, fields: Sequence[Field]) -> tuple[Field, ...]:
    """The fields of a form; those of the licence are only shown to a reader who does not own it."""
    if visit.identity.owns_licence or not may_change(visit, word, fields):
        return tuple(fields)
    licence = licence_names(word)
    return tuple(_only_shown(field) if field.refused_as in licence else field for field in fields)


def _only_shown(field: Field) -> Field:
    nothing = NEVER if field.kind is Kind.END else WHY  # what stands there when it holds nothing
    return replace(field, kind=Kind.FIXED, help=nothing)
