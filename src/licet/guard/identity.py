"""Defines the identity of a caller, which a handler gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEY = "licet.identity"  # in an ASGI scope and in a WSGI environ


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A live token's client and user. A field that the server does not send is None, `read_only` is true.

    `features` are those that a vendor has signed, where the guard has a licence (`licet.guard.licence`).
    """

    tenant: str
    client: str | None
    user: str | None
    scopes: frozenset[str]
    session: str | None
    pool: str | None
    read_only: bool = True
    features: frozenset[str] = frozenset()


def identity(request: Any) -> Identity:
    """The caller of a request of Starlette, FastAPI, Flask or Django, of an ASGI scope or a WSGI environ.

    Raises LookupError when no guard is before it.
    """
    for place in (request, *(getattr(request, name, None) for name in ("scope", "environ", "META"))):
        if isinstance(place, Mapping) and isinstance(found := place.get(KEY), Identity):
            return found
    raise LookupError("no guard of Licet stands before this handler")
