"""Says what a client is told that gets no seat: by which pool, why, and when it may ask again (L19, L20).

Whether a pool gives a seat is in `licet.ledger.seat_decision`.
"""

from licet.ledger.book import Book, Change, GrantDenied
from licet.ledger.commands import Denied, Grant, Outcome, PoolDenied
from licet.ledger.queue import ask_again_ms, given_up, wait_in_line, waited_for, with_room
from licet.ledger.seat_decision import NotGiven
from licet.ledger.signed_pools import seats_of
from licet.model import Client, NoSeatReason, Pool

# How far a grant came in a pool that denied it.
_ORDER = {reason: place for place, reason in enumerate(NoSeatReason)}


def deny(
    book: Book, grant: Grant, refusals: list[tuple[Pool, NotGiven]], client: Client, now_ms: int
) -> tuple[Outcome, list[Change]]:
    """Refuse a seat: by the pool for which it waits, else by that in which the grant came farthest (L20)."""
    changes = given_up(book, client, refusals, now_ms) if book.places else []
    pool, refused = refusals[0]
    pools: tuple[PoolDenied, ...] = ()
    if len(refusals) > 1:
        waited = waited_for(book, client, refusals) if book.places else None
        among = (with_room(book, grant, refusals) if grant.queue else ()) or refusals
        pool, refused = waited or max(among, key=lambda refusal: _ORDER[refusal[1].reason])
        pools = tuple(PoolDenied(pool=it.name, reason=why.reason) for it, why in refusals)
        # It may have a seat of any of them: the first that comes free counts.
        known = [it.until_ms for _, it in refusals if it.until_ms is not None]
        refused = refused._replace(until_ms=min(known, default=None))
    position = 0
    if refused.may_wait and grant.queue:
        position, waits = wait_in_line(book, grant, client, pool, now_ms)
        changes += waits
    if position:
        until_ms = now_ms + ask_again_ms(book.tenants[grant.tenant_id], pool)
        refused = refused._replace(reason=NoSeatReason.QUEUED, until_ms=until_ms)
    denied = denied_by(pool, refused, book.in_use[pool.id], now_ms, position=position, pools=pools)
    entry = GrantDenied(
        tenant_id=grant.tenant_id,
        client_key=grant.client_key,
        pool_id=pool.id,
        reason=denied.reason,
        seats=denied.seats,
        in_use=denied.in_use,
        at_ms=now_ms,
        address=grant.address,
        scope=grant.scope,
    )
    return denied, [*changes, entry]


def denied_by(
    pool: Pool,
    refused: NotGiven,
    in_use: int,
    now_ms: int,
    *,
    position: int = 0,
    pools: tuple[PoolDenied, ...] = (),
) -> Denied:
    """The answer to a client that a pool refuses a seat, at this moment."""
    until_ms = refused.until_ms
    return Denied(
        reason=refused.reason,
        pool=pool.name,
        seats=seats_of(pool, now_ms),
        in_use=in_use,
        retry_after_s=None if until_ms is None else seconds_until(until_ms, now_ms),
        rule=refused.rule,
        queue_position=position,
        pools=pools,
    )


def seconds_until(until_ms: int, now_ms: int) -> int:
    """How many whole seconds to wait, rounded up, so that `until_ms` has passed then."""
    return max(1, -(-(until_ms - now_ms) // 1000))
