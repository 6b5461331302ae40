"""Defines what a list is as a file: its name, its columns and its rows, for one reader."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from fastapi import Request
from sqlalchemy import Connection

from licet.admin.pages.frame import Visit
from licet.admin.problems import not_found
from licet.model import Tenant

# A heading, and the value of a row under it.
Columns = Sequence[tuple[str, Callable[[Any], object]]]


class Listed(NamedTuple):
    """A list for one reader, with the filters of an address; `rows` reads no more than are taken."""

    words: tuple[str, ...]  # of the file's name
    columns: Columns
    rows: Callable[[Connection], Iterable[Any]]


Describe = Callable[[Request, Visit], Listed]


def chosen(visit: Visit) -> Tenant:
    """The tenant that the list is of.

    Raises Problem.
    """
    if visit.the_tenant is None:
        raise not_found("Say of which tenant.")
    return visit.the_tenant
