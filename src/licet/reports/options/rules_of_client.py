"""Lists the rules of pools that apply to a client: by itself, its user and its groups.

    rules_of_client(tenant, client) -> [PoolRules(pool="full", scopes=("all",), rules=(RuleOfClient(...),))]

It is what the set-up says, whoever has which seats now; what the client would be answered now, says `why.py`.
A rule that another one takes the place of is there as well, and says so.
"""

from collections.abc import Iterator, Sequence

from licet.formats import counted
from licet.model import Client, Pool, Tenant, Value


class RuleOfClient(Value, frozen=True, kw_only=True):
    """One rule: the option, for whom it is, and what it says. `counts` is not so where another one does.

    `who` is '' where the rule names nobody of this client: a list on which it is not, or a limit of each.
    """

    option: str
    who: str
    text: str
    counts: bool = True


class PoolRules(Value, frozen=True, kw_only=True):
    """The rules of one pool that apply to the client, in the order in which a grant is decided."""

    pool: str
    scopes: tuple[str, ...]  # of the client, that draw on it
    rules: tuple[RuleOfClient, ...]


class RulesOfClient(Value, frozen=True, kw_only=True):
    """What the set-up says of a client: the rules of each pool of its scopes, by the names of the pools."""

    tenant: str
    client_id: str
    initials: str
    pools: tuple[PoolRules, ...]


def names_of(tenant: Tenant, client: Client) -> list[str]:
    """By what rules can name this client, the closest first."""
    groups = sorted(tenant.groups.values(), key=lambda group: group.name)
    of_client = [group.name for group in groups if client.client_id in group.clients]
    of_user = [group.name for group in groups if client.user.initials in group.users]
    names = [f"client:{client.client_id}", f"user:{client.user.initials}"]
    return [*names, *(f"group:{name}" for name in dict.fromkeys([*of_client, *of_user]))]


def rules_of_client(tenant: Tenant, client: Client) -> list[PoolRules]:
    """The rules of each pool of its scopes, in the order of their names; of one without rules, none."""
    scopes: dict[str, list[str]] = {}
    for name in sorted(tenant.scopes if client.scopes is None else client.scopes & tenant.scopes.keys()):
        for pool in tenant.scopes[name].pools:
            scopes.setdefault(pool, []).append(name)
    names = names_of(tenant, client)
    pools = (tenant.pool_named(name) for name in sorted(scopes))
    return [
        PoolRules(pool=pool.name, scopes=tuple(scopes[pool.name]), rules=tuple(_rules(pool, client, names)))
        for pool in pools
        if pool is not None
    ]


def _rules(pool: Pool, client: Client, names: Sequence[str]) -> Iterator[RuleOfClient]:
    excluding = [who for who in names if who in pool.exclude]
    yield from (RuleOfClient(option="exclude", who=who, text="gets no seat") for who in excluding)
    others = _others(pool, client, names)
    # EXCLUDE beats all (L15).
    yield from ((_without(rule) for rule in others) if excluding else others)


def _without(rule: RuleOfClient) -> RuleOfClient:
    return RuleOfClient(option=rule.option, who=rule.who, text=rule.text, counts=False)


def _others(pool: Pool, client: Client, names: Sequence[str]) -> Iterator[RuleOfClient]:
    reserved = [share for who in names for share in pool.reserve if share.who == who]
    yield from _included(pool, client, names, is_reserved_for=bool(reserved))
    yield from _limits(pool, client, names)
    for share in reserved:
        seats = f"{counted(share.seats, 'seat')} {'is' if share.seats == 1 else 'are'} reserved"
        yield RuleOfClient(option="reserve", who=share.who, text=seats)
    levels = [rule for who in names for rule in pool.priority if rule.who == who]
    highest = max((rule.level for rule in levels), default=0)
    for rule in levels:
        counts = rule.level == highest
        yield RuleOfClient(option="priority", who=rule.who, text=f"level {rule.level}", counts=counts)


def _included(
    pool: Pool, client: Client, names: Sequence[str], *, is_reserved_for: bool
) -> Iterator[RuleOfClient]:
    # RESERVE counts as included (L15).
    counts = not is_reserved_for
    found = [who for who in names if who in pool.include]
    yield from (RuleOfClient(option="include", who=who, text="may have a seat") for who in found)
    if pool.include and not found:
        yield RuleOfClient(option="include", who="", text="is not among those who may", counts=counts)
    if client.user.initials in pool.named:
        yield RuleOfClient(option="named", who=f"user:{client.user.initials}", text="is a named user")
    elif pool.named:
        yield RuleOfClient(option="named", who="", text="its user is no named one", counts=counts)


def _limits(pool: Pool, client: Client, names: Sequence[str]) -> Iterator[RuleOfClient]:
    own = {share.who: share.seats for share in pool.max}
    for who in names:
        if who in own:
            together = ", all members together" if who.startswith("group:") else ""
            yield RuleOfClient(
                option="max", who=who, text=f"has {counted(own[who], 'seat')} at most{together}"
            )
    # A limit of its own takes the place of the one that each has (L16).
    for kind, name, seats in (
        ("client", client.client_id, pool.max_per_client),
        ("user", client.user.initials, pool.max_per_user),
    ):
        if seats is not None:
            text = f"each {kind} has {counted(seats, 'seat')} at most"
            yield RuleOfClient(
                option=f"max_per_{kind}", who="", text=text, counts=f"{kind}:{name}" not in own
            )
