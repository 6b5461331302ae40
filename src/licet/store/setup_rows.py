"""Turns the values of the set-up into rows and back: a column keeps the field that has its name.

An enumeration is stored as its text, and a set as its sorted words, separated by spaces; NULL is None. Other
fields are handled here too: seats and alerts of a pool, the pool of a scope, and the user of a client.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from licet.licences.steps import SignedSeats
from licet.model import (
    DENIED,
    Client,
    Duplicates,
    GrantType,
    Pool,
    Scope,
    Tenant,
    TokenFormat,
    User,
    Value,
    read_alerts,
)
from licet.options import Group, Priority, Share

if TYPE_CHECKING:
    from sqlalchemy import Table

Kept = TypeVar("Kept", bound=Value)

_OF_STORE = frozenset({"id", "key", "version"})  # columns that no change of a value writes


def columns_of(value: Value, table: "Table") -> dict[str, Any]:
    """The columns of a value that an administrator sets, and those by which it is found."""
    fields = [name for name in value.__struct_fields__ if name in table.c and name not in _OF_STORE]
    return {name: _plain(getattr(value, name)) for name in fields} | _kept_otherwise(value)


def value_of(kind: type[Kept], row: Any, **others: Any) -> Kept:
    """The value that a row keeps, with what is not in the column of its name.

    Raises ValueError.
    """
    fields = _names(kind)
    return kind(**{name: kept for name, kept in row._asdict().items() if name in fields} | others)


@cache
def _names(kind: type[Value]) -> frozenset[str]:
    return frozenset(kind.__struct_fields__)


def tenant_of(row: Any, **parts: Any) -> Tenant:
    """A tenant with its parts. Raises ValueError."""
    return value_of(Tenant, row, token_format=TokenFormat(row.token_format), **parts)


def pool_of(row: Any, rules: Iterable[Any] = (), signed: SignedSeats | None = None) -> Pool:
    """A pool with its rules, and what is signed for it. Raises ValueError."""
    alerts = read_alerts(f"{row.alerts} {row.alerts_more}")
    seats = None if row.all_signed else row.seats
    duplicates = Duplicates(row.duplicates)
    return value_of(
        Pool, row, seats=seats, duplicates=duplicates, alerts=alerts, signed=signed, **_rules_of(rules)
    )


def _rules_of(rows: Iterable[Any]) -> dict[str, Any]:
    """The options of a pool that name somebody, by their fields. Not names that were taken off."""
    found: dict[str, list[Any]] = {}
    for row in sorted(rows, key=lambda row: row.who):  # each store has an order of its own for texts
        if row.until_ms is None:
            found.setdefault(row.kind, []).append(_rule(row))
    return {kind: tuple(rules) for kind, rules in found.items()}


def _rule(row: Any) -> Any:
    match row.kind:
        case "reserve" | "max":
            return Share(who=row.who, seats=row.number)
        case "priority":
            return Priority(who=row.who, level=row.number)
        case "named":
            return row.who.removeprefix("user:")
        case _:
            return row.who


def rule_rows(pool: Pool) -> list[dict[str, Any]]:
    """The rows of a pool's rules, without its id and its tenant's."""
    named = [f"user:{initials}" for initials in pool.named]
    listed = (("exclude", pool.exclude), ("include", pool.include), ("named", named))
    rows: list[dict[str, Any]] = [
        {"kind": kind, "who": who, "number": 0} for kind, all_ in listed for who in all_
    ]
    for kind, shares in (("reserve", pool.reserve), ("max", pool.max)):
        rows += [{"kind": kind, "who": share.who, "number": share.seats} for share in shares]
    return rows + [{"kind": "priority", "who": rule.who, "number": rule.level} for rule in pool.priority]


def groups_of(rows: Iterable[Any]) -> dict[str, Group]:
    """The groups of a tenant, by name: a row for each member, and one without a member for each group."""
    members: dict[str, list[str]] = {}
    for row in rows:
        members.setdefault(row.name, []).append(row.member)
    return {name: _group(name, found) for name, found in members.items()}


def _group(name: str, members: Iterable[str]) -> Group:
    split = [member.partition(":") for member in members]
    return Group(
        name=name,
        users=frozenset(who for kind, _, who in split if kind == "user"),
        clients=frozenset(who for kind, _, who in split if kind == "client"),
    )


def scope_of(row: Any, pools: Mapping[int, Pool], other_pools: Iterable[str] = ()) -> Scope:
    """A scope that draws on one of these pools, by id, then on the others; or on none. Raises ValueError."""
    pool = None if row.pool_id is None else pools[row.pool_id].name
    return value_of(Scope, row, licensed=pool is not None, pool=pool, other_pools=tuple(other_pools))


def client_of(row: Any, user: User, **credentials: Any) -> Client:
    """A client of this user. Raises ValueError."""
    return value_of(
        Client,
        row,
        user=user,
        scopes=None if row.scopes is None else frozenset(row.scopes.split()),
        grant_types=frozenset(GrantType(name) for name in row.grant_types.split()),
        suspended_until_ms=row.barred_until_ms,
        **credentials,
    )


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case frozenset():
            return " ".join(sorted(value))
        case _:
            return value


def _kept_otherwise(value: Value) -> dict[str, Any]:
    match value:
        case Pool():
            return _alerts(value.alerts) | {"seats": value.seats or 0, "all_signed": value.seats is None}
        case Client():
            return {"initials": value.user.initials}
        case _:
            return {}


def _alerts(alerts: tuple[str, ...]) -> dict[str, str]:
    """In two columns: code of schema 0003 knows percentages and `denied` alone."""
    known = [word for word in alerts if word == DENIED or word.isdigit()]
    return {
        "alerts": " ".join(known),
        "alerts_more": " ".join(word for word in alerts if word not in known),
    }
