"""Completes names in a shell: tenants, pools, scopes, users, clients and groups.

The rules:

- Names are read from the store of the command. Where it cannot be read, nothing is completed and nothing is
  printed, because a person is typing.
- A name that a shell could take for anything but a word is left out: some shells evaluate what they are given
  here, and all of them run the line that it becomes.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer

from licet.store.opening import SQLITE_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from licet.model import Tenant
    from licet.store.sqlite.names import Kind

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+:/=-]*")


def tenants(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of tenants."""
    return _read(ctx, incomplete, "tenant")


def pools(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the tenant's pools."""
    return _read(ctx, incomplete, "pool")


def scopes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the tenant's scopes."""
    return _read(ctx, incomplete, "scope")


def users(ctx: typer.Context, incomplete: str) -> list[str]:
    """Initials of the tenant's users."""
    return _read(ctx, incomplete, "user")


def clients(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the tenant's clients."""
    return _read(ctx, incomplete, "client")


def groups(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the tenant's groups."""
    return _read(ctx, incomplete, "group")


def whos(ctx: typer.Context, incomplete: str) -> list[str]:
    """Whom a rule may be for: `user:TC`, `client:App`, `group:sales`.

    Whole ones: a shell adds a space to a kind alone. What of them Bash is told: `bash_words.py`.
    """
    typed, _, name = incomplete.partition(":")
    kinds = [kind for kind in _OF_RULES if f"{kind}:".startswith(incomplete) or kind == typed]
    return [f"{kind}:{found}" for kind in kinds for found in _OF_RULES[kind](ctx, name)]


def whos_behind_a_number(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same behind a number and a colon: `2:group:sales`."""
    number, colon, who = incomplete.partition(":")
    return [f"{number}:{found}" for found in whos(ctx, who)] if colon else []


_OF_RULES: Mapping[str, Callable[[typer.Context, str], list[str]]] = MappingProxyType(
    {"user": users, "client": clients, "group": groups}
)


def _read(ctx: typer.Context, incomplete: str, kind: "Kind") -> list[str]:
    from licet.cli.stores import store_at
    from licet.store.sqlite.names import read_names

    given: dict[str, Any] = ctx.params
    try:
        data: Path | None = given.get("data")
        at = store_at(None if data is None else data.expanduser())  # The shell has not expanded it.
        tenant = given.get("tenant") or ("where" in given and _tenant_of(ctx)) or None
        if at.url is None:
            names = read_names(at.data / SQLITE_NAME, kind, tenant, incomplete)
        else:
            names = _read_opened(at, kind, tenant, incomplete)
        return list(filter(_WORD.fullmatch, names))
    except Exception:  # noqa: BLE001 - whatever it is, the verb itself will say it
        return []


def _tenant_of(ctx: typer.Context) -> str:
    """The tenant whose name or URL `licet token` was given; '' where it was not."""
    # What stands by its position is not read when the last option has no value yet.
    where = ctx.params["where"] or next(iter(ctx.args), "")
    return str(where).rstrip("/").removesuffix("/token").rpartition("/")[2]


def _read_opened(at: Any, kind: "Kind", tenant: str | None, incomplete: str) -> list[str]:
    """The same from a database, by its driver."""
    from licet.cli.stores import chosen_tenant, opened
    from licet.store.sqlite.names import NAMES_MAX

    with opened(at) as store:
        if kind == "tenant":
            names: Iterable[str] = (of.name for of in store.tenants().values())
        else:
            names = _names(chosen_tenant(store, tenant), kind)
        return sorted(name for name in names if name.startswith(incomplete))[:NAMES_MAX]


def _names(tenant: "Tenant", kind: "Kind") -> Iterable[str]:
    match kind:
        case "pool":
            return [pool.name for pool in tenant.pools.values()]
        case "scope":
            return tenant.scopes
        case "user":
            return tenant.users
        case "group":
            return tenant.groups
        case _:
            return tenant.clients
