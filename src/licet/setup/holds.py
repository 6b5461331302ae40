"""Recounts the seats on hold when a change of the set-up makes a hold longer or shorter (L18).

A seat's row says when it expires, so that no grant has to compute it: `licet.ledger.seat_life` has the rule.
When a pool's hold, its end, or the life of its tenant's JWTs changes, all its rows are written again in the
transaction of the change. A longer hold counts for every seat that is in use; a shorter one may free some.
"""

from collections.abc import Collection

from msgspec.structs import replace
from sqlalchemy import BigInteger, ColumnElement, case, func, literal, select, update

from licet.model import Pool, Tenant
from licet.setup.end_sessions import sweep_all
from licet.store import schema
from licet.store.contract import Transaction
from licet.store.seats_now import raise_rows


def held_differently(before: Tenant, after: Tenant) -> list[Pool]:
    """The pools whose hold has changed, as they are now."""
    return [
        pool
        for pool in after.pools.values()
        if (known := before.pools.get(pool.id)) is not None
        and (before.hold_s_of(known), known.expires_at_ms) != (after.hold_s_of(pool), pool.expires_at_ms)
    ]


def recount(transaction: Transaction, tenant: Tenant, pool: Pool) -> None:
    """Write again until when the seats of a pool are in use; `tenant` and `pool` are as after the change."""
    raise_rows(transaction.connection, pool.id)
    seat, session, now_ms = schema.seat, schema.session.c, transaction.now_ms
    in_use = (seat.c.pool_id == pool.id, seat.c.expires_at_ms > now_ms)
    live = (
        select(
            session.holder,
            func.max(session.expires_at_ms).label("until_ms"),
            func.max(session.renewed_at_ms).label("issued_at_ms"),
        )
        .where(session.pool_id == pool.id, session.expires_at_ms > now_ms)
        .group_by(session.holder)
        .subquery()
    )
    of_holder = (*in_use, seat.c.holder == live.c.holder)
    # A node of the previous version renewed it without writing that.
    newer = (*of_holder, seat.c.issued_at_ms < live.c.issued_at_ms)
    held_ms = until_held(replace(tenant, pools={pool.id: pool}), now_ms)
    held_ms = case((held_ms > now_ms, held_ms), else_=_instant(now_ms))
    for statement in (
        update(seat).where(*newer).values(issued_at_ms=live.c.issued_at_ms),
        # A seat without a session that is no longer held is free from now on, and not from an earlier
        # instant.
        update(seat).where(*in_use).values(expires_at_ms=held_ms),
        update(seat)
        .where(seat.c.pool_id == pool.id, seat.c.expires_at_ms >= now_ms)
        .where(seat.c.holder == live.c.holder, seat.c.expires_at_ms < live.c.until_ms)
        .values(expires_at_ms=live.c.until_ms),
    ):
        transaction.connection.execute(statement)


def hold_numbers(transaction: Transaction, tenant: Tenant, pool: Pool, before_s: int) -> None:
    """Give the free numbers of a signed pool later or sooner where its hold was `before_s` and is another.

    Each by the difference, and none later than a hold from now: no token of it is newer. So a number whose
    pool has no licence for a while, and no hold with it, waits no longer afterwards than for its last token.
    The same holds for the moment before which a restored store gives none at all.
    """
    hold_s = tenant.hold_s_of(pool)
    if pool.signed is None or hold_s == before_s:
        return
    last_ms = transaction.now_ms + hold_s * 1000

    def moved(from_ms: ColumnElement[int]) -> ColumnElement[int]:
        moved_ms = from_ms + (hold_s - before_s) * 1000
        return case((moved_ms > last_ms, _instant(last_ms)), else_=moved_ms)

    free_number, row = schema.seat_free, schema.pool
    for statement in (
        update(free_number).filter_by(pool_id=pool.id).values(from_ms=moved(free_number.c.from_ms)),
        update(row)
        .where(row.c.id == pool.id, row.c.numbers_from_ms > 0)
        .values(numbers_from_ms=moved(row.c.numbers_from_ms)),
    ):
        transaction.connection.execute(statement)


def until_held(tenant: Tenant, now_ms: int) -> ColumnElement[int]:
    """SQL for until when a seat of this tenant stays with its holder after its sessions end.

    It is the rule of `seat_life.held_until`: 0 where there is no hold.
    """
    seat, whens = schema.seat.c, []
    for pool in tenant.pools.values():
        if hold_s := tenant.hold_s_of(pool):
            held_ms: ColumnElement[int] = seat.issued_at_ms + hold_s * 1000
            if pool.expires_at_ms is not None:
                held_ms = case((held_ms > pool.expires_at_ms, _instant(pool.expires_at_ms)), else_=held_ms)
            whens.append((seat.pool_id == pool.id, _cut(pool, held_ms, now_ms)))
    return case(*whens, else_=_instant(0)) if whens else _instant(0)


def _cut(pool: Pool, held_ms: ColumnElement[int], now_ms: int) -> ColumnElement[int]:
    """The same, but not past the first step below the number of a seat (L13)."""
    if pool.signed is None:
        return held_ms
    number = schema.seat.c.number
    whens: list[tuple[ColumnElement[bool], ColumnElement[int]]] = [
        (number > pool.signed.at(now_ms).signed, _instant(now_ms)),
        *(
            ((number > step.signed) & (held_ms > step.from_ms), _instant(step.from_ms))
            for step in pool.signed.falls(now_ms)
        ),
    ]
    return case(*whens, else_=held_ms)


def _instant(ms: int) -> ColumnElement[int]:
    return literal(ms, BigInteger)


def free(transaction: Transaction, pool_id: int, holders: Collection[str] | None = None) -> None:
    """Free seats of a pool without a live session, on hold or not: those of these holders, or all."""
    seat = schema.seat.c
    these = (seat.pool_id == pool_id) & (seat.expires_at_ms > transaction.now_ms)
    if holders is not None:
        these &= seat.holder.in_(holders)
    transaction.connection.execute(update(schema.seat).where(these).values(expires_at_ms=transaction.now_ms))
    sweep_all(transaction)
