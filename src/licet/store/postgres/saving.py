"""Saving a book in PostgreSQL: the net effect of its changes, and the journal of them.

Every statement is for all rows of its kind at once. One that has to touch so many rows and no other counts
them itself, and fails by a division by zero where it does not: so the transaction is lost before the COMMIT
that travels with it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from msgspec.structs import astuple

from licet.ledger.book import Book, Writes
from licet.store.journal_rows import Folded
from licet.store.postgres.arrays import SEAT, SESSION, WRITERS, seat_of
from licet.store.postgres.connection import DriverConnection


class _Bulk:
    """A statement for many rows. `ROWS` in it stands for them; `types` are those of their columns.

    An exact one fails when it does not touch as many rows as it was given.
    """

    def __init__(self, statement: str, types: str, *, exact: bool = True) -> None:
        names = {"b": "bytea", "i": "bigint", "t": "text"}
        arrays = ", ".join(f"%s::{names[it]}[]" for it in types)
        statement = statement.replace("ROWS", f"unnest({arrays})")
        if exact:
            statement = (
                f"WITH done AS ({statement} RETURNING 1)"
                " SELECT 1 / (count(*) = %s::integer)::integer FROM done"
            )
        self._statement = statement.encode()
        self._writers = [WRITERS[it] for it in types]
        self._exact = exact

    def send(self, raw: DriverConnection, rows: Collection[Sequence[Any]]) -> None:
        """Execute it for these rows."""
        if rows:
            columns = zip(*rows, strict=True)
            arrays = [write(values) for write, values in zip(self._writers, columns, strict=True)]
            raw.execute(self._statement, [*arrays, len(rows)] if self._exact else arrays, prepare=True)


_SESSION_DELETE = _Bulk("DELETE FROM session USING ROWS AS old (sid) WHERE session.sid = old.sid", "b")
_SESSION_INSERT = _Bulk(f"INSERT INTO session ({SESSION}) SELECT * FROM ROWS", "biititiiit")
_SESSION_RENEW = _Bulk(
    "UPDATE session SET renewed_at_ms = new.renewed_at_ms, expires_at_ms = new.expires_at_ms"
    " FROM ROWS AS new (sid, renewed_at_ms, expires_at_ms) WHERE session.sid = new.sid",
    "bii",
)
_SEAT_DELETE = _Bulk(
    "DELETE FROM seat USING ROWS AS old (pool_id, holder)"
    f" CROSS JOIN LATERAL ({seat_of('ctid', 'old')}) AS found WHERE seat.ctid = found.ctid",
    "it",
)
_SEAT_INSERT = _Bulk(f"INSERT INTO seat ({SEAT}) SELECT * FROM ROWS", "itittiiit")
_SEAT_UPDATE = _Bulk(
    "UPDATE seat SET tenant_id = new.tenant_id, client_id = new.client_id, initials = new.initials,"
    " taken_at_ms = new.taken_at_ms, expires_at_ms = new.expires_at_ms, issued_at_ms = new.issued_at_ms,"
    " sources = new.sources"
    f" FROM ROWS AS new ({SEAT})"
    f" CROSS JOIN LATERAL ({seat_of('ctid', 'new')}) AS found WHERE seat.ctid = found.ctid",
    "itittiiit",
)
# Added, not set, and overuse only shrinks: so the check `in_use <= seats + overuse` stands behind the
# ledger, whatever number it began with (L6).
_POOL_UPDATE = _Bulk(
    "UPDATE pool SET in_use = in_use + new.more,"
    " overuse = greatest(0, least(overuse, in_use + new.more - seats))"
    " FROM ROWS AS new (id, more) WHERE pool.id = new.id",
    "ii",
)
_ASSERTION_INSERT = _Bulk(
    "INSERT INTO assertion_used (tenant_id, client_key, jti, until_ms) SELECT * FROM ROWS", "iibi"
)
_ENTRY_INSERT = _Bulk(
    "INSERT INTO journal_entry (tenant_id, at_ms, kind, reason, pool, client_id, initials, address)"
    " SELECT * FROM ROWS",
    "iitttttt",
    exact=False,
)
_DENIAL_ADD = _Bulk(
    "INSERT INTO journal AS this (tenant_id, minute, kind, reason, pool, client_id,"
    " initials, times, first_at_ms, last_at_ms, seats, in_use, address) SELECT * FROM ROWS"
    " ON CONFLICT (tenant_id, minute, kind, reason, pool, client_id) DO UPDATE SET"
    " times = this.times + excluded.times, initials = excluded.initials,"
    " first_at_ms = least(this.first_at_ms, excluded.first_at_ms),"
    " last_at_ms = greatest(this.last_at_ms, excluded.last_at_ms),"
    " seats = excluded.seats, in_use = excluded.in_use, address = excluded.address",
    "iitttttiiiiit",
    exact=False,
)
_MINUTE_ADD = _Bulk(
    "INSERT INTO usage_minute AS this (tenant_id, pool, minute, seats, peak, in_use) SELECT * FROM ROWS"
    " ON CONFLICT (tenant_id, pool, minute) DO UPDATE SET"
    " seats = excluded.seats, peak = greatest(this.peak, excluded.peak), in_use = excluded.in_use",
    "itiiii",
    exact=False,
)
_HOUR_ADD = _Bulk(
    "INSERT INTO usage_hour AS this (tenant_id, pool, hour, client_id, initials, held_ms, idle_ms)"
    " SELECT * FROM ROWS"
    " ON CONFLICT (tenant_id, pool, hour, client_id) DO UPDATE SET"
    " held_ms = this.held_ms + excluded.held_ms, idle_ms = this.idle_ms + excluded.idle_ms,"
    " initials = excluded.initials",
    "itittii",
    exact=False,
)
_HOLDING_ADD = _Bulk(
    "INSERT INTO holding AS this"
    " (tenant_id, pool, minute, client_id, initials, taken_at_ms, freed_at_ms, times, addresses)"
    " SELECT * FROM ROWS"
    " ON CONFLICT (tenant_id, pool, minute, client_id) DO UPDATE SET"
    " times = this.times + excluded.times, initials = excluded.initials,"
    " taken_at_ms = least(this.taken_at_ms, excluded.taken_at_ms),"
    " freed_at_ms = greatest(this.freed_at_ms, excluded.freed_at_ms),"
    " addresses = greatest(this.addresses, excluded.addresses)",
    "itittiiii",
    exact=False,
)


def save(raw: DriverConnection, book: Book) -> None:
    """Send the net effect of the book's changes, and the journal of them (L11)."""
    writes = Writes(book.changes)
    _SESSION_DELETE.send(raw, [(sid,) for sid in writes.sessions_gone])
    _SESSION_INSERT.send(raw, [astuple(it) for it in writes.sessions_new.values()])
    renewed = writes.sessions_renewed.values()
    _SESSION_RENEW.send(raw, [(it.sid, it.renewed_at_ms, it.expires_at_ms) for it in renewed])
    _SEAT_DELETE.send(raw, list(writes.seats_gone))
    _SEAT_INSERT.send(raw, [astuple(it) for it in writes.seats_new.values()])
    _SEAT_UPDATE.send(raw, [astuple(it) for it in writes.seats_kept.values()])
    _ASSERTION_INSERT.send(raw, [astuple(it) for it in writes.assertions_used])
    before = book.in_use_before
    _POOL_UPDATE.send(raw, [(key, it - before[key]) for key, it in book.in_use.items() if it != before[key]])
    folded = Folded(book)
    _ENTRY_INSERT.send(raw, folded.entries)
    _DENIAL_ADD.send(raw, [key + denial for key, denial in folded.denials.items()])
    _MINUTE_ADD.send(raw, [key + minute for key, minute in folded.minutes.items()])
    _HOUR_ADD.send(raw, [key + hour for key, hour in folded.hours.items()])
    _HOLDING_ADD.send(raw, [key + holding for key, holding in folded.holdings.items()])
