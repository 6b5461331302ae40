"""The journal: what happened, folded by minute, written in the transaction in which it happened (L11).

`fold` turns the changes of a batch into rows; a store adds them to those of the same key. So a client in
a loop makes one row a minute, and not one an attempt.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from licet.book import Book, Change, GrantDenied, SeatFreed, SeatTaken, SessionEnded, SessionStarted
from licet.model import Seat, Session, Tenant

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


class EntryKey(NamedTuple):
    """What one journal row counts."""

    tenant_id: int
    minute: int
    kind: str
    reason: str
    pool: str
    client_id: str


class Entry(NamedTuple):
    """How often, when first and last, and how it looked the last time."""

    initials: str
    times: int
    first_at_ms: int
    last_at_ms: int
    seats: int | None
    in_use: int | None
    address: str


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
    """Whose seats, and for how long together."""

    initials: str
    held_ms: int


class Folded:
    """The rows of one batch: each is added to the row of the same key, if there is one."""

    def __init__(self, book: Book) -> None:
        self.entries: dict[EntryKey, Entry] = {}
        self.minutes: dict[MinuteKey, Minute] = {}
        self.hours: dict[HourKey, Hour] = {}
        self._tenants = book.tenants
        self._in_use = book.in_use_before.copy()
        for change in book.changes:
            self._add(change)

    def _add(self, change: Change) -> None:
        match change:
            case SessionStarted(session=session):
                self._count(session, "granted", "", session.started_at_ms)
            case SessionEnded(session=session, reason=reason, at_ms=at_ms):
                self._count(session, "ended", reason, at_ms)
            case GrantDenied(reason=reason, at_ms=at_ms, seats=seats, in_use=in_use):
                self._count(change, "denied", reason, at_ms, seats, in_use)
            case SeatTaken(seat=seat):
                self._use(seat, seat.taken_at_ms, by=1)
            case SeatFreed(seat=seat, at_ms=at_ms):
                self._use(seat, at_ms, by=-1)
                self._hold(seat, at_ms)
            case _:
                pass

    def _count(  # noqa: PLR0917 - once for each grant, and a keyword costs
        self,
        subject: Session | GrantDenied,
        kind: str,
        reason: str,
        at_ms: int,
        seats: int | None = None,
        in_use: int | None = None,
    ) -> None:
        tenant = self._tenants[subject.tenant_id]
        client = tenant.clients_by_key[subject.client_key]
        pool = "" if subject.pool_id is None else tenant.pools[subject.pool_id].name
        key = EntryKey(tenant.id, at_ms // MINUTE_MS, kind, reason, pool, client.client_id)
        times, first_at_ms, last_at_ms = 1, at_ms, at_ms
        if (before := self.entries.get(key)) is not None:
            times += before.times
            first_at_ms, last_at_ms = min(before.first_at_ms, at_ms), max(before.last_at_ms, at_ms)
        self.entries[key] = Entry(
            client.user.initials, times, first_at_ms, last_at_ms, seats, in_use, subject.address
        )

    def _use(self, seat: Seat, at_ms: int, *, by: int) -> None:
        before = self._in_use[seat.pool_id]
        after = self._in_use[seat.pool_id] = before + by
        pool = self._tenants[seat.tenant_id].pools[seat.pool_id]
        key = MinuteKey(seat.tenant_id, pool.name, at_ms // MINUTE_MS)
        known = self.minutes.get(key)
        peak = max(before, after, known.peak if known else 0)
        self.minutes[key] = Minute(seats=pool.seats, peak=peak, in_use=after)

    def _hold(self, seat: Seat, freed_at_ms: int) -> None:
        pool = pool_name(self._tenants, seat.tenant_id, seat.pool_id)
        for hour, held_ms in split_by_hour(seat.taken_at_ms, freed_at_ms):
            key = HourKey(seat.tenant_id, pool, hour, seat.client_id)
            known = self.hours.get(key)
            self.hours[key] = Hour(seat.initials, held_ms + (known.held_ms if known else 0))


def pool_name(tenants: Mapping[int, Tenant], tenant_id: int, pool_id: int | None) -> str:
    """The pool's name, '' for none."""
    return "" if pool_id is None else tenants[tenant_id].pools[pool_id].name


def split_by_hour(from_ms: int, until_ms: int) -> Sequence[tuple[int, int]]:
    """The hours that a time span touches, each with its milliseconds in that hour."""
    parts = []
    while from_ms < until_ms:
        hour = from_ms // HOUR_MS
        end_ms = min(until_ms, (hour + 1) * HOUR_MS)
        parts.append((hour, end_ms - from_ms))
        from_ms = end_ms
    return parts
