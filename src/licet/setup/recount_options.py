"""Counts a pool anew by its options when a change of the set-up makes them count otherwise (L15 to L17, L19).

Each seat keeps what it was counted as, so that its end takes back exactly that. When rules, groups, the users
of clients or the seats of a pool change, its seats are counted as if they had been taken by the new options,
the oldest first: in the transaction of the change, which is alone in the store. The rules:

- Who has a seat keeps it. A count that is above what the options allow then is noted as `over`; nothing else
  raises that, and every end lowers it.
- Reserves are filled from the oldest seat on; what does not fit into one is one of the common seats.
- Who waits in line and could have no seat any more has no place. Where the line became shorter, its last
  ones leave.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache

from sqlalchemy import Connection, TextClause, delete, insert, select, text, update

from licet.ledger.holders import place_holder_of
from licet.ledger.signed_pools import room_of
from licet.model import Client, Pool, Tenant
from licet.options import COMMON, Applied, PoolOptions, counted_as
from licet.setup.end_sessions import sweep_all
from licet.store import schema
from licet.store.contract import Transaction
from licet.store.snapshots import read_tenants

ROWS_MAX = 10_000  # in one statement, as each has to be answered in time

_HAS_OPTIONS = text(
    "SELECT count(*) FROM pool WHERE tenant_id = :tenant_id AND (queue > 0 OR max_per_user IS NOT NULL"
    " OR max_per_client IS NOT NULL OR EXISTS (SELECT 1 FROM pool_rule WHERE pool_id = pool.id))"
)

_COUNTED_IN_SQLITE = text("UPDATE seat SET counted = :counted WHERE pool_id = :pool_id AND holder = :holder")


def recount_options(transaction: Transaction, before: Tenant) -> None:
    """Count the pools of a tenant anew that have options, or had some; its rows are as after the change."""
    connection, now_ms = transaction.connection, transaction.now_ms
    if not before.options and not connection.execute(_HAS_OPTIONS, {"tenant_id": before.id}).scalar_one():
        return
    after = next(iter(read_tenants(connection, {before.id})), None)
    if after is None:
        return
    pools = [it for it in after.pools.values() if it.id in after.options or it.id in before.options]
    differing = [pool for pool in pools if _counts_otherwise(before, after, pool, now_ms)]
    if differing:
        sweep_all(transaction)  # What has expired is in nobody's way.
    for pool in differing:
        _count_seats(connection, after, pool, after.options.get(pool.id), now_ms)
    for pool in pools:
        _prune_line(connection, after, pool, after.options.get(pool.id), now_ms)


def _counts_otherwise(before: Tenant, after: Tenant, pool: Pool, now_ms: int) -> bool:
    known = before.pools.get(pool.id)
    if known is None or _counting(known) != _counting(pool) or before.groups != after.groups:
        return True
    if room_of(known, now_ms) != room_of(pool, now_ms):
        return True
    return _users_of(before) != _users_of(after)


def _counting(pool: Pool) -> tuple[object, ...]:
    return (pool.reserve, pool.max, pool.max_per_user, pool.max_per_client, pool.duplicates)


def _users_of(tenant: Tenant) -> dict[str, str]:
    return {client.client_id: client.user.initials for client in tenant.clients.values()}


def _count_seats(
    connection: Connection, tenant: Tenant, pool: Pool, options: PoolOptions | None, now_ms: int
) -> None:
    seat, room = schema.seat.c, room_of(pool, now_ms)
    query = (
        select(seat.holder, seat.client_id, seat.initials, seat.counted)
        .where(seat.pool_id == pool.id)
        .order_by(seat.taken_at_ms, seat.holder)
    )
    counting = None if options is None else _Counting(options, room)
    # Piece by piece: a database ends a transaction in which nothing is said for a while.
    for part in connection.execute(query).partitions(ROWS_MAX):
        changed: dict[str, str] = {}
        for holder, client_id, initials, counted in part:
            anew = "" if counting is None else counting.next(initials, client_id)
            if anew != counted:
                changed[holder] = anew
        if changed:
            _write(connection, pool.id, changed)
    connection.execute(delete(schema.seat_count).filter_by(pool_id=pool.id))
    if options is not None and counting is not None:
        rows = list(_count_rows(tenant, pool, options, room, counting.counts))
        for at in range(0, len(rows), ROWS_MAX):
            connection.execute(insert(schema.seat_count), rows[at : at + ROWS_MAX])


def _write(connection: Connection, pool_id: int, changed: Mapping[str, str]) -> None:
    """Write what seats are counted as, by their holders."""
    if connection.dialect.name == "sqlite":  # where one row after the other costs no round trip
        rows = [{"pool_id": pool_id, "holder": it, "counted": counted} for it, counted in changed.items()]
        connection.execute(_COUNTED_IN_SQLITE, rows)
    else:
        connection.execute(counted_in_postgres(), {"pool_id": pool_id, "changed": json.dumps(changed)})


@cache
def counted_in_postgres() -> TextClause:
    """The statement that counts seats of a pool anew in PostgreSQL, by a JSON object of their holders.

    Each is found by its key, whatever the statistics say: a join could compare each name with all seats.
    """
    # A verb of the command line does not import it for SQLite.
    from licet.store.postgres.arrays import seat_of  # noqa: PLC0415

    return text(
        "UPDATE seat SET counted = new.counted"  # noqa: S608 - SQL of our own
        " FROM (SELECT key AS holder, value AS counted, CAST(:pool_id AS bigint) AS pool_id"
        " FROM jsonb_each_text(CAST(:changed AS jsonb))) AS new"
        f" CROSS JOIN LATERAL ({seat_of('ctid', 'new')}) AS found WHERE seat.ctid = found.ctid"
    )


class _Counting:
    """Counts seats one after the other. `counts` are how many are counted as what by now."""

    def __init__(self, options: PoolOptions, room: int) -> None:
        self.counts: dict[str, int] = {}
        self._options = options
        self._within = options.reserves_within(room)

    def next(self, initials: str, client_id: str) -> str:
        """What the next seat is counted as, which this client and user took."""
        applied, counts = self._options.of(initials, client_id), self.counts
        names = [limited.what for limited in applied.limits]
        if self._options.reserved:
            names.append(self._source(applied))
        for what in names:
            counts[what] = counts.get(what, 0) + 1
        return counted_as(names)

    def _source(self, applied: Applied) -> str:
        for what, at_most in applied.reserves:
            if self.counts.get(what, 0) < (at_most if self._within is None else self._within[what]):
                return what
        return COMMON


def _count_rows(
    tenant: Tenant, pool: Pool, options: PoolOptions, room: int, counts: Mapping[str, int]
) -> Iterator[dict[str, object]]:
    for what, in_use in counts.items():
        at_most = max(0, room - options.reserved) if what == COMMON else options.limits[what]
        yield {
            "pool_id": pool.id,
            "what": what,
            "tenant_id": tenant.id,
            "in_use": in_use,
            "at_most": at_most,
            "over": max(0, in_use - at_most),
        }


def _prune_line(
    connection: Connection, tenant: Tenant, pool: Pool, options: PoolOptions | None, now_ms: int
) -> None:
    """Remove the places of those that could not have a seat any more, and those that are too many."""
    place = schema.queue_place
    rows = connection.execute(select(place).filter_by(pool_id=pool.id)).all()
    if not rows:
        return
    kept: list[tuple[int, int, str]] = []
    for row in rows:
        client = tenant.clients_by_key.get(row.client_key)
        if options is None or not _may_wait(client, pool, options, row.holder, now_ms):
            continue
        assert client is not None
        level = options.of(client.user.initials, client.client_id).level
        kept.append((-level, row.number, row.holder))
    kept = sorted(kept)[: 0 if options is None else options.queue]
    staying = {holder: -level for level, _, holder in kept}
    for row in rows:
        this = {"pool_id": pool.id, "holder": row.holder}
        if row.holder not in staying:
            connection.execute(delete(place).filter_by(**this))
        elif staying[row.holder] != row.level:
            connection.execute(update(place).filter_by(**this).values(level=staying[row.holder]))


def _may_wait(client: Client | None, pool: Pool, options: PoolOptions, holder: str, now_ms: int) -> bool:
    if client is None or not client.usable or client.suspended_at(now_ms) is not None:
        return False
    applied = options.of(client.user.initials, client.client_id)
    return not (applied.excluded or applied.not_included) and place_holder_of(pool, client) == holder
