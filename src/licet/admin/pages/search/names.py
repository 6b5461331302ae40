"""Finds tenants, pools, users, clients and groups by parts of their names, in the snapshots of the tenants.

The rules:

- The caller gives the tenants that the reader may see; nothing else is looked at.
- A name fits when each word of the text occurs in it, whatever the case. The whole name comes first, then
  names that begin with the text, then the others by the alphabet.
- Of each kind the best `SHOWN_MAX` are shown and all are counted, in `NAMES_MAX` names at most.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from heapq import nsmallest
from itertools import islice
from typing import NamedTuple

from licet.model import Tenant

SHOWN_MAX = 20
NAMES_MAX = 100_000  # a twentieth of a second


class Kind(StrEnum):
    """What has a name."""

    TENANT = "tenant"
    POOL = "pool"
    USER = "user"
    CLIENT = "client"
    GROUP = "group"


class Named(NamedTuple):
    """Something of this name; `more` is the rest that is searched and shown, as a user's full name."""

    kind: Kind
    name: str
    tenant: str
    more: str = ""


class Matches(NamedTuple):
    """The best matches of a kind, and how many there are in total."""

    shown: Sequence[Named]
    total: int


class Names(NamedTuple):
    """The matches of each kind that has any. `is_cut`: not every name was looked at."""

    of_kind: dict[Kind, Matches]
    is_cut: bool


def find_names(tenants: Iterable[Tenant], text: str, *, names_max: int = NAMES_MAX) -> Names:
    """What fits in these tenants, of which the first come first; nothing fits an empty text."""
    sought, words = text.casefold(), text.casefold().split()
    if not words:
        return Names({}, is_cut=False)
    everything = _all_of(tenants)
    found: dict[Kind, list[tuple[tuple[int, str, str], Named]]] = {kind: [] for kind in Kind}
    for named in islice(everything, names_max):
        name = named.name.casefold()
        whole = f"{name} {named.more.casefold()}" if named.more else name
        if all(word in whole for word in words):
            rank = 0 if sought in (name, named.more.casefold()) else 1 if name.startswith(sought) else 2
            found[named.kind].append(((rank, name, named.tenant), named))
    of_kind = {
        kind: Matches([named for _, named in nsmallest(SHOWN_MAX, matches)], len(matches))
        for kind, matches in found.items()
        if matches
    }
    return Names(of_kind, is_cut=next(everything, None) is not None)


def _all_of(tenants: Iterable[Tenant]) -> Iterator[Named]:
    for tenant in tenants:
        yield Named(Kind.TENANT, tenant.name, tenant.name)
        for pool in tenant.pools.values():
            yield Named(Kind.POOL, pool.name, tenant.name)
        for user in tenant.users.values():
            yield Named(Kind.USER, user.initials, tenant.name, user.name)
        for client_id in tenant.clients:
            yield Named(Kind.CLIENT, client_id, tenant.name)
        for name in tenant.groups:
            yield Named(Kind.GROUP, name, tenant.name)
