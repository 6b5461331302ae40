"""Turns the changes of a batch into rows of the journal (L11).

A store adds the rows of `Folded` to the rows with the same key, so that a client that retries in a loop makes
one row a minute, and not one per attempt. Grants, endings and denials are only appended, because every
request pays for the write; they are folded some seconds later (`licet.journal.folding`). Identical denials of
a batch are one entry. Readers of the journal also read the entries.
"""

from collections.abc import Sequence
from typing import NamedTuple

from licet.ledger.book import (
    Book,
    Change,
    GrantDenied,
    SeatFreed,
    SeatKept,
    SeatTaken,
    SessionEnded,
    SessionRenewed,
    SessionStarted,
)
from licet.ledger.signed_pools import seats_of
from licet.model import Seat, Session
from licet.seat_sources import most_addresses
from licet.units import HOUR_MS, MINUTE_MS

# A grant or an ending: tenant, instant, kind, reason, pool, client, initials, address. A tuple and no class,
# because each grant makes one.
Entry = tuple[int, int, str, str, str, str, str, str]


# What one entry of denials counts: tenant, instant, reason, pool, client. Then the initials, how often, the
# seats of the pool and how many were in use at the last one, and its address.
DenialKey = tuple[int, int, str, str, str]
Denial = tuple[str, int, int, int, str]


class MinuteKey(NamedTuple):
    """One pool in one minute."""

    tenant_id: int
    pool: str
    minute: int


class Minute(NamedTuple):
    """The pool's seats, the most in use at once, and those in use at the end."""

    seats: int
    peak: int
    in_use: int


class HourKey(NamedTuple):
    """One client in one pool in one hour."""

    tenant_id: int
    pool: str
    hour: int
    client_id: str


class Hour(NamedTuple):
    """Whose seats, for how long in total, and how much of that after their last tokens."""

    initials: str
    held_ms: int
    idle_ms: int


class HoldingKey(NamedTuple):
    """One client in one pool, by the minute in which it took a seat that came back."""

    tenant_id: int
    pool: str
    minute: int
    client_id: str


class Holding(NamedTuple):
    """Whose seats; when the first was taken and the last came back; and how many.

    `addresses` is the most addresses that used one of them within a day. Since `idle_from_ms` the last one
    counts as idle in `Hour`.
    """

    initials: str
    taken_at_ms: int
    freed_at_ms: int
    times: int
    addresses: int
    idle_from_ms: int


class Folded:
    """The rows of one batch. Entries are appended, all else is added to the row of the same key."""

    def __init__(self, book: Book) -> None:
        self.entries: list[Entry] = []
        self.denials: dict[DenialKey, Denial] = {}
        self.minutes: dict[MinuteKey, Minute] = {}
        self.hours: dict[HourKey, Hour] = {}
        self.holdings: dict[HoldingKey, Holding] = {}
        self._tenants = book.tenants
        self._in_use = book.in_use_before.copy()
        for change in book.changes:
            self._add(change)

    def _add(self, change: Change) -> None:
        match change:  # what is most often first
            case SeatKept():
                pass
            case SessionStarted(session=session):
                self._append(session, session.started_at_ms, "granted", "")
            case GrantDenied():
                self._deny(change)
            case SessionRenewed():
                pass
            case SessionEnded(session=session, reason=reason, at_ms=at_ms):
                self._append(session, at_ms, "ended", reason)
            case SeatTaken(seat=seat):
                self._use(seat, seat.taken_at_ms, by=1)
            case SeatFreed(seat=seat, at_ms=at_ms):
                self._use(seat, at_ms, by=-1)
                self._hold(seat, at_ms)
            case _:
                pass

    def _append(self, session: Session, at_ms: int, kind: str, reason: str) -> None:
        tenant = self._tenants[session.tenant_id]
        client = tenant.clients_by_key[session.client_key]
        pool = "" if session.pool_id is None else tenant.pools[session.pool_id].name
        self.entries.append(
            (
                tenant.id,
                at_ms,
                kind,
                reason,
                pool,
                client.client_id,
                client.user.initials,
                session.address,
            )
        )

    def _deny(self, denied: GrantDenied) -> None:
        tenant = self._tenants[denied.tenant_id]
        client = tenant.clients_by_key[denied.client_key]
        pool = tenant.pools[denied.pool_id].name
        key = (tenant.id, denied.at_ms, denied.reason, pool, client.client_id)
        before = self.denials.get(key)
        times = 1 if before is None else before[1] + 1
        self.denials[key] = (client.user.initials, times, denied.seats, denied.in_use, denied.address)

    def _use(self, seat: Seat, at_ms: int, *, by: int) -> None:
        before = self._in_use[seat.pool_id]
        after = self._in_use[seat.pool_id] = before + by
        pool = self._tenants[seat.tenant_id].pools[seat.pool_id]
        key = MinuteKey(seat.tenant_id, pool.name, at_ms // MINUTE_MS)
        known = self.minutes.get(key)
        peak = max(before, after, known.peak if known else 0)
        self.minutes[key] = Minute(seats=seats_of(pool, at_ms), peak=peak, in_use=after)

    def _hold(self, seat: Seat, freed_at_ms: int) -> None:
        tenant, taken_at_ms, initials = self._tenants[seat.tenant_id], seat.taken_at_ms, seat.initials
        pool = tenant.pools[seat.pool_id].name
        idle_from_ms = idle_since(seat.issued_at_ms, seat.expires_at_ms, tenant.session_ttl_s)
        for hour, held_ms in split_by_hour(taken_at_ms, freed_at_ms):
            hour_key = HourKey(tenant.id, pool, hour, seat.client_id)
            end_ms = min(freed_at_ms, (hour + 1) * HOUR_MS)
            idle_ms = min(held_ms, max(0, end_ms - idle_from_ms))
            if (hours := self.hours.get(hour_key)) is not None:
                held_ms, idle_ms = held_ms + hours.held_ms, idle_ms + hours.idle_ms  # noqa: PLW2901
            self.hours[hour_key] = Hour(initials, held_ms, idle_ms)
        key = HoldingKey(tenant.id, pool, taken_at_ms // MINUTE_MS, seat.client_id)
        times, used_from = 1, most_addresses(seat.sources)
        if (before := self.holdings.get(key)) is not None:
            times += before.times
            used_from = max(used_from, before.addresses)
            taken_at_ms = min(taken_at_ms, before.taken_at_ms)
            freed_at_ms = max(freed_at_ms, before.freed_at_ms)
            idle_from_ms = max(idle_from_ms, before.idle_from_ms)
        self.holdings[key] = Holding(initials, taken_at_ms, freed_at_ms, times, used_from, idle_from_ms)


def idle_since(issued_at_ms: int, expires_at_ms: int, session_ttl_s: int) -> int:
    """When the last token of a seat was issued.

    Where a node of the previous version took the seat and did not write it, it follows from the expiry.
    """
    return issued_at_ms or expires_at_ms - session_ttl_s * 1000


def split_by_hour(from_ms: int, until_ms: int) -> Sequence[tuple[int, int]]:
    """The hours that a time span touches, each with its milliseconds in that hour."""
    parts = []
    while from_ms < until_ms:
        hour = from_ms // HOUR_MS
        end_ms = min(until_ms, (hour + 1) * HOUR_MS)
        parts.append((hour, end_ms - from_ms))
        from_ms = end_ms
    return parts
