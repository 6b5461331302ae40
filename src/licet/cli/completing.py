"""Completes names in a shell: tenants, pools, scopes, users and clients.

They are read from the store of the command. Where it cannot be read, nothing is completed and nothing is
printed, because a person is typing.
"""

from collections.abc import Callable, Iterable
from typing import Any

import typer

from licet.cli.stores import chosen_tenant, opened
from licet.model import Tenant

_NAMES_MAX = 1000  # a guess: more are useless as a choice


def tenants(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of tenants."""
    return _read(ctx, incomplete, None)


def pools(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the tenant's pools."""
    return _read(ctx, incomplete, lambda tenant: (pool.name for pool in tenant.pools.values()))


def scopes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the tenant's scopes."""
    return _read(ctx, incomplete, lambda tenant: tenant.scopes)


def users(ctx: typer.Context, incomplete: str) -> list[str]:
    """Initials of the tenant's users."""
    return _read(ctx, incomplete, lambda tenant: tenant.users)


def clients(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the tenant's clients."""
    return _read(ctx, incomplete, lambda tenant: tenant.clients)


def _read(
    ctx: typer.Context, incomplete: str, names_of: Callable[[Tenant], Iterable[str]] | None
) -> list[str]:

    given: dict[str, Any] = ctx.params
    try:
        with opened(given.get("data")) as store:
            if names_of is None:
                names: Iterable[str] = (tenant.name for tenant in store.tenants().values())
            else:
                names = names_of(chosen_tenant(store, given.get("tenant")))
            return sorted(name for name in names if name.startswith(incomplete))[:_NAMES_MAX]
    except Exception:  # noqa: BLE001 - whatever it is, the verb itself will say it
        return []
