"""Saves a book in SQLite: the net effect of its changes, and the journal of them.

Every statement is for all rows of its kind at once, written as one `VALUES` list: see `book.py`.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from licet.ledger.book import Book
from licet.store.errors import Contradiction
from licet.store.rows import DENIAL, PLACE, SEAT, SESSION, Row, Saving, rows_of
from licet.store.sqlite.parts import by_pool, parts
from licet.store.unfolded import COUNT_UNFOLDED, Unfolded
from licet.units import MINUTE_MS


class _Bulk(NamedTuple):
    """A statement for many rows: its text before and after `VALUES`, and the placeholders of a row."""

    before: str
    places: int
    after: str = ""

    def run(self, raw: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], *first: object) -> None:
        """Execute it for these rows; `first` fills the placeholders before them.

        Raises Contradiction when it does not touch each of them once.
        """
        for part in parts(rows):
            count = raw.execute(_text(self, len(part)), [*first, *chain.from_iterable(part)]).rowcount
            if count != len(part):
                raise Contradiction(f"{count} rows instead of {len(part)}: {self.before}")


@cache
def _text(bulk: _Bulk, rows: int) -> str:
    row = f"({', '.join('?' * bulk.places)})"
    return f"{bulk.before} {', '.join([row] * rows)} {bulk.after}"


class _BulkOfCounts(_Bulk):
    """A statement for the rows of one pool that shrink by as much, its first three parameters."""

    def run(self, raw: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], *first: object) -> None:
        """Execute it for these rows: pool, what, and by how much."""
        found: dict[tuple[int, int], list[tuple[str]]] = {}
        for pool_id, what, less in rows:
            found.setdefault((pool_id, less), []).append((what,))
        for (pool_id, less), those in found.items():
            super().run(raw, those, *first, less, less, pool_id)


class _BulkOfPool(_Bulk):
    """A statement for the rows of one pool, its first parameter: SQLite would scan for a list of pairs."""

    def run(self, raw: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], *first: object) -> None:
        """Execute it for these rows, of whatever pools."""
        asked: list[tuple[int, Any]] = [(row[0], row[1]) for row in rows]
        for pool_id, found in by_pool(asked).items():
            super().run(raw, [(it,) for it in found], *first, pool_id)


_WRITES = Saving(
    sessions_gone=_Bulk("DELETE FROM session WHERE sid IN (VALUES", 1, ")"),
    sessions_new=_Bulk(f"INSERT INTO session ({SESSION}) VALUES", 10),
    sessions_renewed=_Bulk(
        "UPDATE session SET renewed_at_ms = new.column2, expires_at_ms = new.column3 FROM (VALUES",
        3,
        ") AS new WHERE sid = new.column1",
    ),
    seats_gone=_BulkOfPool("DELETE FROM seat WHERE pool_id = ? AND holder IN (VALUES", 1, ")"),
    numbers_gone=_BulkOfPool("DELETE FROM seat_free WHERE pool_id = ? AND number IN (VALUES", 1, ")"),
    seats_new=_Bulk(f"INSERT INTO seat ({SEAT}) VALUES", 11),
    seats_kept=_Bulk(
        "UPDATE seat SET tenant_id = new.column3, client_id = new.column4, initials = new.column5,"
        " taken_at_ms = new.column6, expires_at_ms = new.column7, issued_at_ms = new.column8,"
        " sources = new.column9 FROM (VALUES",
        9,
        ") AS new WHERE pool_id = new.column1 AND holder = new.column2",
    ),
    numbers_new=_Bulk("INSERT INTO seat_free (pool_id, number, from_ms) VALUES", 3),
    # Added, not set, like `pools` below: so the check finds a seat without a number, and one too many.
    numbers_counted=_Bulk(
        "UPDATE pool SET numbers_used = numbers_used + new.column2,"
        " numbers_free = numbers_free + new.column3, in_use = in_use + new.column4,"
        " room = CASE WHEN new.column5 < 0 THEN room ELSE new.column5 END,"
        " overuse = max(0, min(overuse, in_use + new.column4 - CASE WHEN new.column5 < 0"
        " THEN coalesce(room, seats) ELSE new.column5 END)) FROM (VALUES",
        5,
        ") AS new WHERE id = new.column1",
    ),
    # Added, not set, and `over` only shrinks, as with `pools` below (L16, L17).
    counts_up=_Bulk(
        "INSERT INTO seat_count (pool_id, what, tenant_id, in_use, at_most) VALUES",
        5,
        "ON CONFLICT DO UPDATE SET in_use = in_use + excluded.in_use, at_most = excluded.at_most,"
        " over = CASE over WHEN 0 THEN 0"  # as nearly always
        " ELSE max(0, min(over, in_use + excluded.in_use - excluded.at_most)) END",
    ),
    counts_down=_BulkOfCounts(
        "UPDATE seat_count SET in_use = in_use - ?,"
        " over = CASE over WHEN 0 THEN 0 ELSE max(0, min(over, in_use - ? - at_most)) END"
        " WHERE pool_id = ? AND what IN (VALUES",
        1,
        ")",
    ),
    places_gone=_BulkOfPool("DELETE FROM queue_place WHERE pool_id = ? AND holder IN (VALUES", 1, ")"),
    places_new=_Bulk(f"INSERT INTO queue_place ({PLACE}) VALUES", 8),
    places_kept=_Bulk(
        "UPDATE queue_place SET until_ms = new.column3 FROM (VALUES",
        3,
        ") AS new WHERE pool_id = new.column1 AND holder = new.column2",
    ),
    assertions_used=_Bulk("INSERT INTO assertion_used (tenant_id, client_key, jti, until_ms) VALUES", 4),
    # Added, not set, and overuse only shrinks: so the check on the pool guards behind the ledger, whatever
    # the number was before (L6).
    pools=_Bulk(
        "UPDATE pool SET in_use = in_use + new.column2,"
        " overuse = max(0, min(overuse, in_use + new.column2 - coalesce(room, seats))) FROM (VALUES",
        2,
        ") AS new WHERE id = new.column1",
    ),
    entries=_Bulk(
        "INSERT INTO journal_entry (tenant_id, at_ms, kind, reason, pool, client_id, initials, address)"
        " VALUES",
        8,
    ),
    denials=_Bulk(f"INSERT INTO denial_entry ({DENIAL}) VALUES", 10),
    denials_counted=_Bulk(
        "INSERT INTO journal (tenant_id, minute, kind, reason, pool, client_id,"
        " initials, times, first_at_ms, last_at_ms, seats, in_use, address)"
        f" SELECT column1, column2 / {MINUTE_MS}, 'denied', column3, column4, column5,"
        " column6, column7, column2, column2, column8, column9, column10 FROM (VALUES",
        10,
        ") WHERE true ON CONFLICT DO UPDATE SET times = times + excluded.times, initials = excluded.initials,"
        " first_at_ms = min(first_at_ms, excluded.first_at_ms),"
        " last_at_ms = max(last_at_ms, excluded.last_at_ms),"
        " seats = excluded.seats, in_use = excluded.in_use, address = excluded.address",
    ),
    minutes=_Bulk(
        "INSERT INTO usage_minute (tenant_id, pool, minute, seats, peak, in_use) VALUES",
        6,
        "ON CONFLICT DO UPDATE SET"
        " seats = excluded.seats, peak = max(peak, excluded.peak), in_use = excluded.in_use",
    ),
    hours=_Bulk(
        "INSERT INTO usage_hour (tenant_id, pool, hour, client_id, initials, held_ms, idle_ms) VALUES",
        7,
        "ON CONFLICT DO UPDATE SET held_ms = held_ms + excluded.held_ms,"
        " idle_ms = idle_ms + excluded.idle_ms, initials = excluded.initials",
    ),
    holdings=_Bulk(
        "INSERT INTO holding (tenant_id, pool, minute, client_id, initials, taken_at_ms, freed_at_ms, times,"
        " addresses, idle_from_ms) VALUES",
        10,
        "ON CONFLICT DO UPDATE SET times = times + excluded.times, initials = excluded.initials,"
        " taken_at_ms = min(taken_at_ms, excluded.taken_at_ms),"
        " freed_at_ms = max(freed_at_ms, excluded.freed_at_ms),"
        " addresses = max(addresses, excluded.addresses),"
        " idle_from_ms = max(idle_from_ms, excluded.idle_from_ms)",
    ),
)


def save_book(raw: sqlite3.Connection, book: Book, unfolded: Unfolded) -> Saving[Sequence[Row]]:
    """Write the net effect of the book's changes, and the journal of them (L11); return it.

    Raises Contradiction.
    """
    saved = rows_of(book)
    if saved.denials:
        if unfolded.must_look:
            unfolded.found(*raw.execute(COUNT_UNFOLDED).fetchone())
        saved = unfolded.bounded(saved)
    write(raw, saved)
    return saved


def write(raw: sqlite3.Connection, saved: Saving[Sequence[Row]]) -> None:
    """Write these rows.

    Raises Contradiction.
    """
    for bulk, rows in zip(_WRITES, saved, strict=True):
        if rows:
            bulk.run(raw, rows)
