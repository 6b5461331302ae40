"""Saves a book in PostgreSQL: the net effect of its changes, and the journal of them.

Every statement is for all rows of its kind at once. A statement that must touch exactly so many rows counts
them itself, and fails by a division by zero where the number differs: so the transaction fails before the
COMMIT that is sent with it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from psycopg import Cursor

from licet.ledger.book import Book
from licet.store.postgres.arrays import WRITERS, number_of, seat_of
from licet.store.postgres.connection import DriverConnection
from licet.store.rows import DENIAL, PLACE, SEAT, SEAT_KEPT, SESSION, Row, Saving, rows_of
from licet.store.unfolded import COUNT_UNFOLDED, Unfolded
from licet.units import MINUTE_MS


class _Bulk:
    """A statement for many rows. `ROWS` in its text stands for them; `types` are those of their columns.

    An exact one fails when it does not touch as many rows as it was given.
    """

    def __init__(self, statement: str, types: str, *, exact: bool = True) -> None:
        names = {"b": "bytea", "i": "bigint", "t": "text"}
        arrays = ", ".join(f"%s::{names[type_]}[]" for type_ in types)
        statement = statement.replace("ROWS", f"unnest({arrays})")
        if exact:
            statement = (
                f"WITH done AS ({statement} RETURNING 1)"
                " SELECT 1 / (count(*) = %s::integer)::integer FROM done"
            )
        self._statement = statement.encode()
        self._writers = [WRITERS[type_] for type_ in types]
        self._exact = exact

    def send(self, raw: DriverConnection, rows: Collection[Sequence[Any]]) -> None:
        """Execute it for these rows."""
        columns = zip(*rows, strict=True)
        arrays = [write(values) for write, values in zip(self._writers, columns, strict=True)]
        raw.execute(self._statement, [*arrays, len(rows)] if self._exact else arrays, prepare=True)


_WRITES = Saving(
    sessions_gone=_Bulk("DELETE FROM session USING ROWS AS old (sid) WHERE session.sid = old.sid", "b"),
    sessions_new=_Bulk(f"INSERT INTO session ({SESSION}) SELECT * FROM ROWS", "biititiiit"),
    sessions_renewed=_Bulk(
        "UPDATE session SET renewed_at_ms = new.renewed_at_ms, expires_at_ms = new.expires_at_ms"
        " FROM ROWS AS new (sid, renewed_at_ms, expires_at_ms) WHERE session.sid = new.sid",
        "bii",
    ),
    seats_gone=_Bulk(
        "DELETE FROM seat USING ROWS AS old (pool_id, holder)"
        f" CROSS JOIN LATERAL ({seat_of('ctid', 'old')}) AS found WHERE seat.ctid = found.ctid",
        "it",
    ),
    numbers_gone=_Bulk(
        "DELETE FROM seat_free USING ROWS AS old (pool_id, number)"
        f" CROSS JOIN LATERAL ({number_of('old')}) AS found WHERE seat_free.ctid = found.ctid",
        "ii",
    ),
    seats_new=_Bulk(f"INSERT INTO seat ({SEAT}) SELECT * FROM ROWS", "itittiiitit"),
    seats_kept=_Bulk(
        "UPDATE seat SET tenant_id = new.tenant_id, client_id = new.client_id, initials = new.initials,"
        " taken_at_ms = new.taken_at_ms, expires_at_ms = new.expires_at_ms, issued_at_ms = new.issued_at_ms,"
        " sources = new.sources"
        f" FROM ROWS AS new ({SEAT_KEPT})"
        f" CROSS JOIN LATERAL ({seat_of('ctid', 'new')}) AS found WHERE seat.ctid = found.ctid",
        "itittiiit",
    ),
    numbers_new=_Bulk("INSERT INTO seat_free (pool_id, number, from_ms) SELECT * FROM ROWS", "iii"),
    # Added, not set, like `pools` below: so the check finds a seat without a number, and one too many.
    numbers_counted=_Bulk(
        "UPDATE pool SET numbers_used = numbers_used + new.used, numbers_free = numbers_free + new.free,"
        " in_use = in_use + new.more, room = CASE WHEN new.room < 0 THEN pool.room ELSE new.room END,"
        " overuse = greatest(0, least(overuse, in_use + new.more"
        " - CASE WHEN new.room < 0 THEN coalesce(pool.room, seats) ELSE new.room END))"
        " FROM ROWS AS new (id, used, free, more, room) WHERE pool.id = new.id",
        "iiiii",
    ),
    # Added, not set, and `over` only shrinks, as with `pools` below (L16, L17).
    counts_up=_Bulk(
        "INSERT INTO seat_count AS this (pool_id, what, tenant_id, in_use, at_most) SELECT * FROM ROWS"
        " ON CONFLICT (pool_id, what) DO UPDATE SET"
        " in_use = this.in_use + excluded.in_use, at_most = excluded.at_most,"
        " over = greatest(0, least(this.over, this.in_use + excluded.in_use - excluded.at_most))",
        "itiii",
    ),
    counts_down=_Bulk(
        "UPDATE seat_count AS this SET in_use = this.in_use - new.less,"
        " over = greatest(0, least(this.over, this.in_use - new.less - this.at_most))"
        " FROM ROWS AS new (pool_id, what, less) WHERE this.pool_id = new.pool_id AND this.what = new.what",
        "iti",
    ),
    places_gone=_Bulk(
        "DELETE FROM queue_place AS this USING ROWS AS old (pool_id, holder)"
        " WHERE this.pool_id = old.pool_id AND this.holder = old.holder",
        "it",
    ),
    places_new=_Bulk(f"INSERT INTO queue_place ({PLACE}) SELECT * FROM ROWS", "itiiiiii"),
    places_kept=_Bulk(
        "UPDATE queue_place AS this SET until_ms = new.until_ms FROM ROWS AS new (pool_id, holder, until_ms)"
        " WHERE this.pool_id = new.pool_id AND this.holder = new.holder",
        "iti",
    ),
    assertions_used=_Bulk(
        "INSERT INTO assertion_used (tenant_id, client_key, jti, until_ms) SELECT * FROM ROWS", "iibi"
    ),
    # Added, not set, and overuse only shrinks: so the check on the pool guards behind the ledger, whatever
    # the number was before (L6).
    pools=_Bulk(
        "UPDATE pool SET in_use = in_use + new.more,"
        " overuse = greatest(0, least(overuse, in_use + new.more - coalesce(room, seats)))"
        " FROM ROWS AS new (id, more) WHERE pool.id = new.id",
        "ii",
    ),
    entries=_Bulk(
        "INSERT INTO journal_entry (tenant_id, at_ms, kind, reason, pool, client_id, initials, address)"
        " SELECT * FROM ROWS",
        "iitttttt",
        exact=False,
    ),
    denials=_Bulk(
        f"INSERT INTO denial_entry ({DENIAL}) SELECT * FROM ROWS",
        "iittttiiit",
        exact=False,
    ),
    denials_counted=_Bulk(
        "INSERT INTO journal AS this (tenant_id, minute, kind, reason, pool, client_id,"
        " initials, times, first_at_ms, last_at_ms, seats, in_use, address)"
        f" SELECT tenant_id, at_ms / {MINUTE_MS}, 'denied', reason, pool, client_id,"
        f" initials, times, at_ms, at_ms, seats, in_use, address FROM ROWS AS new ({DENIAL})"
        " ON CONFLICT (tenant_id, minute, kind, reason, pool, client_id) DO UPDATE SET"
        " times = this.times + excluded.times, initials = excluded.initials,"
        " first_at_ms = least(this.first_at_ms, excluded.first_at_ms),"
        " last_at_ms = greatest(this.last_at_ms, excluded.last_at_ms),"
        " seats = excluded.seats, in_use = excluded.in_use, address = excluded.address",
        "iittttiiit",
        exact=False,
    ),
    minutes=_Bulk(
        "INSERT INTO usage_minute AS this (tenant_id, pool, minute, seats, peak, in_use) SELECT * FROM ROWS"
        " ON CONFLICT (tenant_id, pool, minute) DO UPDATE SET"
        " seats = excluded.seats, peak = greatest(this.peak, excluded.peak), in_use = excluded.in_use",
        "itiiii",
        exact=False,
    ),
    hours=_Bulk(
        "INSERT INTO usage_hour AS this (tenant_id, pool, hour, client_id, initials, held_ms, idle_ms)"
        " SELECT * FROM ROWS"
        " ON CONFLICT (tenant_id, pool, hour, client_id) DO UPDATE SET"
        " held_ms = this.held_ms + excluded.held_ms, idle_ms = this.idle_ms + excluded.idle_ms,"
        " initials = excluded.initials",
        "itittii",
        exact=False,
    ),
    holdings=_Bulk(
        "INSERT INTO holding AS this"
        " (tenant_id, pool, minute, client_id, initials, taken_at_ms, freed_at_ms, times, addresses,"
        " idle_from_ms)"
        " SELECT * FROM ROWS"
        " ON CONFLICT (tenant_id, pool, minute, client_id) DO UPDATE SET"
        " times = this.times + excluded.times, initials = excluded.initials,"
        " taken_at_ms = least(this.taken_at_ms, excluded.taken_at_ms),"
        " freed_at_ms = greatest(this.freed_at_ms, excluded.freed_at_ms),"
        " addresses = greatest(this.addresses, excluded.addresses),"
        " idle_from_ms = greatest(this.idle_from_ms, excluded.idle_from_ms)",
        "itittiiiii",
        exact=False,
    ),
)


def look(raw: DriverConnection) -> Cursor[tuple[Any, ...]]:
    """Ask how many denials wait to be folded; the cursor has it after the pipeline's sync."""
    return raw.execute(COUNT_UNFOLDED.encode(), prepare=True)


def save(raw: DriverConnection, book: Book, unfolded: Unfolded) -> Saving[Sequence[Row]]:
    """Send the net effect of the book's changes, and the journal of them (L11); the rows that were sent."""
    found = unfolded.bounded(rows_of(book))
    for bulk, rows in zip(_WRITES, found, strict=True):
        if rows:
            bulk.send(raw, rows)
    return found
