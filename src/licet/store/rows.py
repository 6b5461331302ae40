"""Converts sessions, seats and journal entries between a book and table rows, in column order.

Each store has its own way to send rows; their content, and the order in which a batch writes, is defined
here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, Final, Generic, NamedTuple, TypeVar

from msgspec.structs import astuple

from licet.ledger.book import Book, Writes
from licet.ledger.seat_rows import is_near
from licet.ledger.signed_pools import room_of
from licet.model import Place, Seat, Session
from licet.store.journal_rows import Folded

# The columns of the two tables that a batch reads and writes, in the order of the values of the model.
SESSION = (
    "sid, tenant_id, client_key, scope, pool_id, holder, started_at_ms, renewed_at_ms, expires_at_ms, address"
)
SEAT_KEPT = (
    "pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms, issued_at_ms, sources"
)
SEAT = f"{SEAT_KEPT}, number, counted"  # the last two of which a seat keeps for good
PLACE = "pool_id, holder, tenant_id, client_key, level, number, since_ms, until_ms"
# The columns of an entry of denials: those of `licet.store.journal_rows`.
DENIAL = "tenant_id, at_ms, reason, pool, client_id, initials, times, seats, in_use, address"

ROOM_KEPT = -1

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
    numbers_counted: _Of
    counts_up: _Of
    counts_down: _Of
    places_gone: _Of
    places_new: _Of
    places_kept: _Of
    assertions_used: _Of
    pools: _Of
    entries: _Of
    denials: _Of
    denials_counted: _Of  # the same rows, of which one kind is empty: `licet.store.unfolded`
    minutes: _Of
    hours: _Of
    holdings: _Of


NO_ROWS: Final[Saving[Sequence[Row]]] = Saving(*[()] * len(Saving._fields))  # nothing to write


def rows_of(book: Book) -> Saving[Sequence[Row]]:
    """The net effect of a book's changes, and the journal of them (L11)."""
    writes, folded, before = Writes(book.changes), Folded(book), book.in_use_before
    counted = _numbers_counted(book, writes)
    up, down = _counts_moved(book, writes)
    # In most batches most kinds have no row: those are not even looped over.
    return Saving(
        sessions_gone=[(sid,) for sid in writes.sessions_gone] if writes.sessions_gone else (),
        sessions_new=[*map(astuple, writes.sessions_new.values())],
        sessions_renewed=[
            (session.sid, session.renewed_at_ms, session.expires_at_ms)
            for session in writes.sessions_renewed.values()
        ]
        if writes.sessions_renewed
        else (),
        seats_gone=[*writes.seats_gone],
        numbers_gone=[*writes.numbers_gone],
        seats_new=[*map(astuple, writes.seats_new.values())],
        seats_kept=_seats_kept(book, writes) if writes.seats_kept else (),
        numbers_new=[(*key, from_ms) for key, from_ms in writes.numbers_new.items()] if counted else (),
        numbers_counted=[(key, *numbers) for key, numbers in counted.items()] if counted else (),
        counts_up=up,
        counts_down=down,
        places_gone=[*writes.places_gone],
        places_new=[*map(astuple, writes.places_new.values())],
        places_kept=[(*place.key, place.until_ms) for place in writes.places_kept.values()]
        if writes.places_kept
        else (),
        assertions_used=[*map(astuple, writes.assertions_used)],
        # By how many the seats in use grow, of each pool whose numbers are as before.
        pools=[
            (key, seats - before[key])
            for key, seats in book.in_use.items()
            if seats != before[key] and key not in counted
        ]
        if book.in_use != before
        else (),
        entries=folded.entries,
        denials=_joined(folded.denials),
        denials_counted=(),
        minutes=_joined(folded.minutes),
        hours=_joined(folded.hours),
        holdings=_joined(folded.holdings),
    )


def _seats_kept(book: Book, writes: Writes) -> list[Row]:
    return [
        astuple(seat)[:-2]
        for key, seat in writes.seats_kept.items()
        if key in writes.seats_due or not book.rows_lag or not is_near(book, seat)
    ]


def _joined(found: Mapping[Any, Row]) -> Sequence[Row]:
    """The rows of what was found by key."""
    return [key + row for key, row in found.items()] if found else ()


def _numbers_counted(book: Book, writes: Writes) -> dict[int, Row]:
    """What becomes of each signed pool whose numbers change.

    By how much its highest number grows, how many numbers are free, and how many seats are in use; then its
    room where a seat was taken (L14), else `ROOM_KEPT`. All of it is one statement, as the tables check that
    each number is somebody's or free.
    """
    if not (writes.numbers_used or writes.numbers_new or writes.numbers_gone):
        return {}
    free = Counter(key[0] for key in writes.numbers_new)
    free.subtract(key[0] for key in writes.numbers_gone)
    found: dict[int, Row] = {}
    for key in {*writes.numbers_used, *free}:
        seat = writes.last_taken.get(key)
        room = ROOM_KEPT
        if seat is not None:
            room = room_of(book.tenants[seat.tenant_id].pools[key], seat.taken_at_ms)
        more = book.in_use[key] - book.in_use_before[key]
        found[key] = (writes.numbers_used.get(key, 0), free[key], more, room)
    return found


def _counts_moved(book: Book, writes: Writes) -> tuple[Sequence[Row], Sequence[Row]]:
    """The counts that grow: of which pool and what, of which tenant, by how much, and up to how many.

    And those that shrink: of which pool and what, and by how much.
    """
    found = book.counts_moved
    if not found:
        return (), ()
    up: list[Row] = []
    down: list[Row] = []
    for pool_id, by in found.items():
        moved: Mapping[str, int] = by
        if min(by.values()) <= 0:
            down += [(pool_id, what, -less) for what, less in by.items() if less < 0]
            moved = {what: more for what, more in by.items() if more > 0}
        if moved:
            taken = next(reversed(writes.seats_new.values()))
            if taken.pool_id != pool_id:
                taken = next(it for it in writes.seats_new.values() if it.pool_id == pool_id)
            tenant = book.tenants[taken.tenant_id]
            options = tenant.options[pool_id]
            # `limits` have all but `COMMON`. In C, as each grant of a batch may have some of its own.
            common = room_of(tenant.pools[pool_id], taken.taken_at_ms) - options.reserved
            at_most = map(options.limits.get, moved, repeat(common))
            up += zip(repeat(pool_id), moved, repeat(tenant.id), moved.values(), at_most, strict=False)
    return up, down


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
    pool_id, holder, tenant_id, client_id, initials, taken, expires, issued, sources, number, counted = row
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
        counted=counted,
    )


def to_place(row: Sequence[Any]) -> Place:
    """The place of a row with the columns of `PLACE`."""
    pool_id, holder, tenant_id, client_key, level, number, since, until = row
    return Place(
        pool_id=pool_id,
        holder=holder,
        tenant_id=tenant_id,
        client_key=client_key,
        level=level,
        number=number,
        since_ms=since,
        until_ms=until,
    )
