"""Counts seats in use and live sessions of all tenants at once, for the metrics.

It takes few queries, however many tenants there are. A signed pool has the seats that count: what its
licences give, and its administrator leaves of it (L13). Prometheus keeps each series for months: so only the
oldest tenants are named, and all others are one together. What has expired counts for nothing, swept or not
(L4).
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Label, Row, Select, case, func, literal, select, true

from licet.ledger.signed_pools import room_of, seats_of
from licet.model import Pool
from licet.reports.options.now import is_reserved
from licet.reports.seats_on_hold import seats_on_hold
from licet.store import schema
from licet.store.seats_now import is_over, lives

OTHERS = "(others)"  # not a valid name of a tenant, pool or scope
SCOPES_MAX = 20  # of one pool of a tenant, in whatever order clients ask for scopes


class PoolNow(NamedTuple):
    """A pool, or all pools of the unnamed tenants together. None is a licence without end.

    `signed` is how many seats licences give now, without their overdraft, and None where no pool is signed;
    `licence_expires_at_ms` is when they give fewer.
    """

    tenant: str
    pool: str
    seats: int
    in_use: int
    on_hold: int
    overuse: int
    expires_at_ms: int | None
    signed: int | None = None
    overdraft_in_use: int = 0
    licence_expires_at_ms: int | None = None


class Occupancy(NamedTuple):
    """The pools; the number of live sessions by tenant, pool ('' for none) and scope; and that of tenants.

    `waiting` are those who wait in line, of each pool that has a queue (L19), by tenant and pool; `reserved`
    the seats that are reserved (L17), and `reserved_in_use` those of them that are in use.
    """

    pools: tuple[PoolNow, ...]
    sessions: Mapping[tuple[str, str, str], int]
    tenants: int
    tenants_named: int
    waiting: Mapping[tuple[str, str], int] = MappingProxyType({})
    reserved: Mapping[tuple[str, str], int] = MappingProxyType({})
    reserved_in_use: Mapping[tuple[str, str], int] = MappingProxyType({})


def occupancy(
    connection: Connection, now_ms: int, *, tenants_max: int, pools: Mapping[int, Pool] = MappingProxyType({})
) -> Occupancy:
    """The occupancy at `now_ms`, with so many tenants by name.

    `pools` are the signed ones by their id, as the store has verified their licences.
    """
    [(tenants, last)] = connection.execute(_tenants(tenants_max))
    named = schema.tenant.c.id <= (last or 0) if tenants > tenants_max else true()
    on_hold = _on_hold(connection, named, now_ms)
    found: dict[tuple[str, str], PoolNow] = {}
    for row in connection.execute(_unsigned(named, now_ms)):
        found[row.tenant, row.pool] = PoolNow(
            row.tenant,
            row.pool,
            int(row.seats),
            int(row.in_use),
            on_hold[row.tenant, row.pool],
            int(row.overuse),
            row.expires_at_ms,
        )
    for row in connection.execute(_signed(named, now_ms)):
        before = found.get((row.tenant, row.pool))
        now = _of_signed(row, pools.get(row.id), now_ms, on_hold[row.tenant, row.pool])
        found[row.tenant, row.pool] = now if before is None else _together(before, now)
    sessions = _folded(connection.execute(_sessions(named, now_ms)))
    return Occupancy(
        tuple(found[key] for key in sorted(found)),
        sessions,
        tenants,
        min(tenants, tenants_max),
        _of_options(connection, _waiting(named, now_ms)),
        _of_options(connection, _reserved(named)),
        _of_options(connection, _reserved_in_use(named, now_ms)),
    )


def _of_options(connection: Connection, query: Select[Any]) -> dict[tuple[str, str], int]:
    return {(row.tenant, row.pool): int(row.number) for row in connection.execute(query)}


def _waiting(named: ColumnElement[bool], now_ms: int) -> Select[Any]:
    pool, place = schema.pool, schema.queue_place.c
    waits = (place.pool_id == pool.c.id) & (place.until_ms > now_ms)
    return (
        _of_pools(named, func.count(place.holder))
        .outerjoin(schema.queue_place, waits)
        .where(pool.c.queue > 0)
    )


def _reserved(named: ColumnElement[bool]) -> Select[Any]:
    rule = schema.pool_rule.c
    found = _of_pools(named, func.sum(rule.number)).join(schema.pool_rule, rule.pool_id == schema.pool.c.id)
    return found.where(rule.kind == "reserve")


def _reserved_in_use(named: ColumnElement[bool], now_ms: int) -> Select[Any]:
    """By the seats: what the ledger counts has those that expired, until they are swept."""
    rule, seat, pool = schema.pool_rule.c, schema.seat.c, schema.pool.c
    counted = (seat.pool_id == pool.id) & lives(now_ms) & is_reserved(seat.counted)
    with_reserve = select(rule.pool_id).where(rule.kind == "reserve")
    found = _of_pools(named, func.count(seat.holder)).outerjoin(schema.seat, counted)
    return found.where(pool.id.in_(with_reserve))


def _of_pools(named: ColumnElement[bool], number: ColumnElement[int]) -> Select[Any]:
    """A number for each pool; `(others)` are one together."""
    tenant, pool = _name(named, schema.tenant.c.name, "tenant"), _name(named, schema.pool.c.name, "pool")
    joined = schema.pool.join(schema.tenant, schema.tenant.c.id == schema.pool.c.tenant_id)
    return select(tenant, pool, number.label("number")).select_from(joined).group_by("tenant", "pool")


def _of_signed(row: Row[Any], pool: Pool | None, now_ms: int, on_hold: int) -> PoolNow:
    """A signed pool; it has no seat as long as its licences are not read yet."""
    signed = None if pool is None else pool.signed
    seats, room = (0, row.in_use) if pool is None else (seats_of(pool, now_ms), room_of(pool, now_ms))
    is_named = row.tenant != OTHERS
    return PoolNow(
        row.tenant,
        row.pool,
        seats,
        row.in_use,
        on_hold,
        overuse=max(0, row.in_use - room),
        expires_at_ms=row.expires_at_ms,
        signed=0 if signed is None else signed.at(now_ms).seats,
        overdraft_in_use=0 if pool is None else max(0, min(row.in_use, room) - seats),
        licence_expires_at_ms=signed.expires_at_ms(now_ms) if is_named and signed is not None else None,
    )


def _together(one: PoolNow, other: PoolNow) -> PoolNow:
    """Two pools of the unnamed tenants; each was given what is on hold in all of them."""
    return one._replace(
        seats=one.seats + other.seats,
        in_use=one.in_use + other.in_use,
        overuse=one.overuse + other.overuse,
        signed=(one.signed or 0) + (other.signed or 0),
        overdraft_in_use=one.overdraft_in_use + other.overdraft_in_use,
    )


def _tenants(tenants_max: int) -> Select[Any]:
    """How many tenants there are, and the id of the last one that is named."""
    present = select(schema.tenant.c.id).where(schema.is_there)
    ids = present.order_by(schema.tenant.c.id).limit(tenants_max).subquery()
    last = select(func.max(ids.c.id)).scalar_subquery()
    return select(func.count(), last).select_from(present.subquery())


def _each(named: ColumnElement[bool], now_ms: int, *, is_signed: bool) -> Select[Any]:
    """A row for each pool: what has expired is not in use."""
    pool, seat, tenant = schema.pool, schema.seat, schema.tenant
    # A tenant may require a licence: then a pool in none gives no seat (L13).
    seats = pool.c.seats if is_signed else case((tenant.c.licence_required, 0), else_=pool.c.seats)
    expired = select(func.count()).where(seat.c.pool_id == pool.c.id, is_over(now_ms)).scalar_subquery()
    return (
        select(
            pool.c.id,
            _name(named, tenant.c.name, "tenant"),
            _name(named, pool.c.name, "pool"),
            seats.label("seats"),
            (pool.c.in_use - expired).label("in_use"),
            case((named, pool.c.expires_at_ms)).label("expires_at_ms"),
        )
        .join(tenant, tenant.c.id == pool.c.tenant_id)
        .where(pool.c.is_signed == is_signed)
    )


def _unsigned(named: ColumnElement[bool], now_ms: int) -> Select[Any]:
    """The pools in no licence, those of the unnamed tenants together."""
    each = _each(named, now_ms, is_signed=False).subquery()
    overuse = case((each.c.in_use > each.c.seats, each.c.in_use - each.c.seats), else_=0)
    return select(
        each.c.tenant,
        each.c.pool,
        func.sum(each.c.seats).label("seats"),
        func.sum(each.c.in_use).label("in_use"),
        func.sum(overuse).label("overuse"),
        func.min(each.c.expires_at_ms).label("expires_at_ms"),
    ).group_by(each.c.tenant, each.c.pool)


def _signed(named: ColumnElement[bool], now_ms: int) -> Select[Any]:
    """The signed pools, one by one: their seats are in no table."""
    return _each(named, now_ms, is_signed=True)


def _on_hold(connection: Connection, named: ColumnElement[bool], now_ms: int) -> Counter[tuple[str, str]]:
    """How many seats are on hold, by the names of tenant and pool."""
    counted: Counter[tuple[str, str]] = Counter()
    if not (found := seats_on_hold(connection, now_ms)):
        return counted
    pool, tenant = schema.pool.c, schema.tenant.c
    names = select(pool.id, _name(named, tenant.name, "tenant"), _name(named, pool.name, "pool"))
    for row in connection.execute(names.join(schema.tenant, tenant.id == pool.tenant_id)):
        counted[row.tenant, row.pool] += found.get(row.id, 0)
    return counted


def _sessions(named: ColumnElement[bool], now_ms: int) -> Select[Any]:
    session, pool = schema.session, schema.pool
    each = (
        select(session.c.tenant_id, session.c.pool_id, session.c.scope, func.count().label("times"))
        .where(session.c.expires_at_ms > now_ms)
        .group_by(session.c.tenant_id, session.c.pool_id, session.c.scope)
        .subquery()
    )
    return (
        select(
            _name(named, schema.tenant.c.name, "tenant"),
            _name(named, func.coalesce(pool.c.name, ""), "pool"),
            _name(named, each.c.scope, "scope"),
            each.c.times,
        )
        .join(schema.tenant, schema.tenant.c.id == each.c.tenant_id)
        .outerjoin(pool, pool.c.id == each.c.pool_id)
    )


def _name(named: ColumnElement[bool], name: ColumnElement[Any], label: str) -> Label[Any]:
    return case((named, name), else_=literal(OTHERS)).label(label)


def _folded(rows: Any) -> Counter[tuple[str, str, str]]:
    """The sessions by scope: the order of scopes does not count, and rare scopes are one together."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        counted[row.tenant, row.pool, " ".join(sorted(row.scope.split(" ")))] += row.times
    scopes: Counter[tuple[str, str]] = Counter()
    folded: Counter[tuple[str, str, str]] = Counter()
    for (tenant, pool, scope), times in counted.most_common():
        scopes[tenant, pool] += 1
        folded[tenant, pool, scope if scopes[tenant, pool] <= SCOPES_MAX else OTHERS] += times
    return folded
