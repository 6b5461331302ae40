"""Repeats the denial of a full pool while the pool is as full as it was.

A client that gets no seat asks again and again, and the ledger denies it each time. So a store keeps two
parts of the decision: the answer of the pool while it is full (`FullPool`), which is the same for every
client, and the clients that get this answer (`StandingDenial`), which depend on the set-up. With both, a
store denies a grant without a book.

    full = full_pool(book, denied, now_ms)  # after COMMIT; or None
    kept = standing_denial(book, denied)  # or None
    if kept.covers(grant) and now_ms < full.until_ms: DeniedAgain(grant, kept, full).answer(now_ms)

The rules:

- Only a pool without options and licence that is full (L6) has such an answer. Only a client that may have
  the scope gets it, if the scope draws on this pool alone (L1, L20).
- The answer holds until the first seat of the pool expires (L4), the pool ends (L7), or the whole seconds
  until then, which the answer contains, change. The store forgets it when a seat of the pool is taken or
  freed, and when the holder of the first seat uses it again.
- The store forgets the clients when the set-up changes. A suspension (L12) that is over stays over.
- The store checks that the holder has no seat (L2). It counts the client's sessions, and repeats the denial
  only if the client may have one more: otherwise the grant ends a session (L8), which may free a seat.
- The address is in the journal only: it is that of the repeated grant. Whether its assertion was used before,
  the store finds out.

The functions here are pure. They give no seat.
"""

from typing import NamedTuple

from licet.ledger.again import Again
from licet.ledger.book import Book, GrantDenied, SeatKey
from licet.ledger.commands import Denied, Grant
from licet.ledger.denials import denied_by
from licet.ledger.holders import holder_of
from licet.ledger.later import denied_until_ms, is_of_full_pool
from licet.ledger.scopes import ScopeGrant, resolve_scope
from licet.ledger.seat_decision import all_in_use
from licet.model import Duplicates


class FullPool(NamedTuple):
    """A pool whose seats are all in use before `until_ms`. The first of them, if any, expires at `first_ms`.

    As far as is known, its holder is `holder`. `denied` is the answer to every client before `until_ms`.
    """

    tenant_id: int
    in_use: int
    first_ms: int | None
    holder: str | None
    until_ms: int
    denied: Denied


class StandingDenial(NamedTuple):
    """A client that gets the answer of a full pool, if it asks for this scope.

    `key` is that of the seat that its holder does not have. It gets the answer only while one more session is
    within `sessions_max` (L8).
    """

    tenant_id: int
    client_key: int
    scope: str
    pool_id: int
    key: SeatKey
    sessions_max: int
    client_id: str
    initials: str

    def covers(self, grant: Grant) -> bool:
        """Whether the grant gets the answer of the pool while the pool is full."""
        return (
            self.scope == grant.scope
            and self.pool_id == grant.pool_id
            and self.client_key == grant.client_key
            and self.tenant_id == grant.tenant_id
            and not grant.other_pool_ids
        )


class DeniedAgain(NamedTuple):
    """A grant that a full pool denies again."""

    command: Grant
    standing: StandingDenial
    full: FullPool

    def answer(self, now_ms: int) -> Denied:
        """The answer at this moment, which is before `full.until_ms`."""
        del now_ms  # The whole seconds are as they were.
        return self.full.denied


Repeated = Again | DeniedAgain


def full_pool(book: Book, denied: GrantDenied, now_ms: int) -> FullPool | None:
    """The answer of a pool that has denied a grant; None if it may be another one for the next grant.

    The book is as it was at the end of its batch.
    """
    pool_id, until_ms = denied.pool_id, denied_until_ms(book, denied, now_ms)
    in_use = book.in_use[pool_id]
    if until_ms <= now_ms or in_use < denied.in_use:
        return None
    pool, first_ms = book.tenants[denied.tenant_id].pools[pool_id], book.earliest_expiry(pool_id)
    return FullPool(
        tenant_id=denied.tenant_id,
        in_use=in_use,
        first_ms=first_ms,
        holder=book.first_to_expire(pool_id),
        until_ms=until_ms,
        denied=denied_by(pool, all_in_use(pool, first_ms), in_use, now_ms),
    )


def standing_denial(book: Book, denied: GrantDenied) -> StandingDenial | None:
    """The client that a full pool denied, if the pool denies it alike each time; None if not.

    The book is as it was at the end of its batch.
    """
    tenant = book.tenants[denied.tenant_id]
    pool, client = tenant.pools[denied.pool_id], tenant.clients_by_key[denied.client_key]
    if not is_of_full_pool(book, denied) or pool.duplicates is Duplicates.NONE:
        return None
    key = (pool.id, holder_of(pool, client, b""))
    asked = ScopeGrant(scope=denied.scope, pool_id=pool.id)
    if key in book.seats or resolve_scope(tenant, client, tuple(denied.scope.split(" "))) != asked:
        return None
    return StandingDenial(
        tenant_id=tenant.id,
        client_key=client.key,
        scope=denied.scope,
        pool_id=pool.id,
        key=key,
        sessions_max=client.sessions_max,
        client_id=client.client_id,
        initials=client.user.initials,
    )
