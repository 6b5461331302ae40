"""Resolves which scopes a client gets, and from which pools its seat may come (L1, L20)."""

from licet.ledger.commands import ScopeRefused
from licet.model import Client, Scope, Tenant, Value

_NO_POOL = "These scopes draw on different licence pools; ask for them one by one."


class ScopeGrant(Value, frozen=True, kw_only=True):
    """What these scopes grant: the scope as one string, and the pools of which a seat is needed, in order."""

    scope: str
    pool_id: int | None
    other_pool_ids: tuple[int, ...] = ()


def resolve_scope(tenant: Tenant, client: Client, asked: tuple[str, ...]) -> ScopeGrant | ScopeRefused:
    """Which scopes a client gets for what it asked, and from which pools its seat may come (L1, L20).

    Nothing asked means the tenant's default scope. One session holds a seat of one pool at most, so it is one
    on which all these scopes draw.
    """
    names = asked if len(asked) == 1 else tuple(dict.fromkeys(asked)) or (tenant.scope_default,)
    scopes, allowed = tenant.scopes, client.scopes
    first: Scope | None = None
    drawn: list[Scope] | None = None  # where there are more than one
    for name in names:
        scope = scopes.get(name)
        if scope is None:
            return ScopeRefused(why="A scope that was asked for does not exist here.")
        if allowed is not None and name not in allowed:
            return ScopeRefused(why="This client may not have a scope that was asked for.")
        if scope.pool is None:
            continue
        if first is None:
            first = scope
        else:
            drawn = [*(drawn or [first]), scope]
    text = " ".join(names)
    if first is None or first.pool is None:
        return ScopeGrant(scope=text, pool_id=None)
    if drawn is None and not first.other_pools:  # as nearly always
        pool = tenant.pool_named(first.pool)
        return ScopeRefused(why=_NO_POOL) if pool is None else ScopeGrant(scope=text, pool_id=pool.id)
    drawn = drawn or [first]
    pool_ids = [
        pool.id
        for it in first.pools
        if all(it in scope.pools for scope in drawn) and (pool := tenant.pool_named(it)) is not None
    ]
    if not pool_ids:
        return ScopeRefused(why=_NO_POOL)
    return ScopeGrant(scope=text, pool_id=pool_ids[0], other_pool_ids=tuple(pool_ids[1:]))
