"""Converts sessions, seats and journal entries between a book and table rows, in column order.

Each store has its own way to send rows; their content, and the order in which a batch writes, is defined
here.
"""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec.structs import astuple

from licet.ledger.book import Book, Writes
from licet.ledger.signed_pools import room_of
from licet.model import Seat, Session
from licet.store.journal_rows import Folded

# The columns of the two tables that a batch reads and writes, in the order of the values of the model.
SESSION = (
    "sid, tenant_id, client_key, scope, pool_id, holder, started_at_ms, renewed_at_ms, expires_at_ms, address"
)
SEAT_KEPT = (
    "pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms, issued_at_ms, sources"
)
SEAT = f"{SEAT_KEPT}, number"  # which a seat keeps for good

_Of = TypeVar("_Of")
Row = tuple[Any, ...]


class Saving(NamedTuple, Generic[_Of]):
    """One value for each kind of row that a batch writes, in the order in which they are written.

    Rows are removed before new ones are added: a seat's key may be the same.
    """

    sessions_gone: _Of
    sessions_new: _Of
    sessions_renewed: _Of
    seats_gone: _Of
    numbers_gone: _Of
    seats_new: _Of
    seats_kept: _Of
    numbers_new: _Of
    numbers_used: _Of
    assertions_used: _Of
    pools: _Of
    entries: _Of
    denials: _Of
    minutes: _Of
    hours: _Of
    holdings: _Of


def rows_of(book: Book) -> Saving[Sequence[Row]]:
    """The net effect of a book's changes, and the journal of them (L11)."""
    writes, folded, before = Writes(book.changes), Folded(book), book.in_use_before
    return Saving(
        sessions_gone=[(sid,) for sid in writes.sessions_gone],
        sessions_new=[astuple(session) for session in writes.sessions_new.values()],
        sessions_renewed=[
            (session.sid, session.renewed_at_ms, session.expires_at_ms)
            for session in writes.sessions_renewed.values()
        ],
        seats_gone=list(writes.seats_gone),
        numbers_gone=list(writes.numbers_gone),
        seats_new=[astuple(seat) for seat in writes.seats_new.values()],
        seats_kept=[astuple(seat)[:-1] for seat in writes.seats_kept.values()],
        numbers_new=[(*key, from_ms) for key, from_ms in writes.numbers_new.items()],
        numbers_used=_numbers_used(book, writes) if writes.numbers_used else (),
        assertions_used=[astuple(assertion) for assertion in writes.assertions_used],
        # By how many the seats in use of each pool grow.
        pools=[(key, seats - before[key]) for key, seats in book.in_use.items() if seats != before[key]],
        entries=folded.entries,
        denials=[key + denial for key, denial in folded.denials.items()],
        minutes=[key + minute for key, minute in folded.minutes.items()],
        hours=[key + hour for key, hour in folded.hours.items()],
        holdings=[key + holding for key, holding in folded.holdings.items()],
    )


def _numbers_used(book: Book, writes: Writes) -> list[Row]:
    """By how much the highest number grows of each signed pool, and its overdraft beyond its own seats (L14).

    The check on the pool lets that many more be in use, as long as they are: where no more are than before,
    it need not.
    """
    pools = {pool.id: pool for tenant in book.tenants.values() for pool in tenant.pools.values()}
    found = []
    for key, grows in writes.numbers_used.items():
        over = room_of(pools[key], writes.taken_at_ms[key]) - pools[key].seats
        found.append((key, grows, max(0, over) if book.in_use[key] > book.in_use_before[key] else 0))
    return found


def to_session(row: Sequence[Any]) -> Session:
    """The session of a row with the columns of `SESSION`."""
    sid, tenant_id, client_key, scope, pool_id, holder, started, renewed, expires, address = row
    return Session(
        sid=sid,
        tenant_id=tenant_id,
        client_key=client_key,
        scope=scope,
        pool_id=pool_id,
        holder=holder,
        started_at_ms=started,
        renewed_at_ms=renewed,
        expires_at_ms=expires,
        address=address,
    )


def to_seat(row: Sequence[Any]) -> Seat:
    """The seat of a row with the columns of `SEAT`."""
    pool_id, holder, tenant_id, client_id, initials, taken, expires, issued, sources, number = row
    return Seat(
        pool_id=pool_id,
        holder=holder,
        tenant_id=tenant_id,
        client_id=client_id,
        initials=initials,
        taken_at_ms=taken,
        expires_at_ms=expires,
        issued_at_ms=issued,
        sources=sources,
        number=number,
    )
