"""Keeps the standing grants of a store, by client; what they are says `licet.ledger.again`.

Who keeps them calls `learn` after each COMMIT, with all that was committed, and `forget` where anybody else
may have written. What is kept is of one `mark`: another one, of another set-up or writer, finds nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import astuple

from licet.ledger.again import Standing, standing
from licet.ledger.book import Book, SessionEnded, SessionStarted
from licet.ledger.commands import Grant
from licet.model import EndReason
from licet.store.rows import Row, Saving

STANDINGS_MAX: Final = 50_000  # some 25 MB

_MATTERING: Final = frozenset((SessionStarted, SessionEnded))  # changes
Repeated = Sequence[tuple[Grant, Standing]]


class Standings:
    """Of one open store, or of one connection, in the thread that uses it."""

    def __init__(self, most: int = STANDINGS_MAX) -> None:
        self._most = most
        self._kept: dict[int, tuple[object, Standing]] = {}

    def forget(self) -> None:
        """Know nothing any more."""
        self._kept.clear()

    def find(self, grant: Grant, mark: object, now_ms: int) -> Standing | None:
        """What a client was granted, and is granted again by this grant; None where it is not known."""
        kept = self._kept.get(grant.client_key)
        if kept is None:
            return None
        of, found = kept
        return found if of == mark and found.covers(grant, now_ms) else None

    def learn(self, book: Book, mark_of: Callable[[int], object | None], now_ms: int) -> None:
        """Keep what was granted in a book, at this moment, with the marks of the tenants that have one."""
        if not _MATTERING.isdisjoint(map(type, book.changes)):
            self._learn(book, mark_of, now_ms)

    def _learn(self, book: Book, mark_of: Callable[[int], object | None], now_ms: int) -> None:
        for change in book.changes:
            if isinstance(change, SessionStarted):
                started = change.session
                session, mark = book.sessions.get(started.sid), mark_of(started.tenant_id)
                kept = None if session is None or mark is None else standing(book, session, now_ms)
                if kept is not None:
                    self._kept[started.client_key] = (mark, kept)
            elif isinstance(change, SessionEnded) and change.reason is not EndReason.EXPIRED:
                self._kept.pop(change.session.client_key, None)
        if len(self._kept) > self._most:
            self._kept.clear()


def with_repeated(rows: Saving[Sequence[Row]], repeated: Repeated, now_ms: int) -> Saving[Sequence[Row]]:
    """The rows of what is saved, and of the grants that are repeated: sessions, entries (L11), and seats."""
    sessions, entries = [*rows.sessions_new], [*rows.entries]
    seats = {}
    for grant, it in repeated:
        sessions.append((grant.sid, *it.asked, now_ms, now_ms, now_ms + it.life_ms, it.address))
        entries.append((it.tenant_id, now_ms, "granted", "", *it.noted))
        if it.seat is not None and (seat := it.seat_at(now_ms)) is not None:
            seats[seat.key] = astuple(seat)[:-2]
    if not seats:
        return rows._replace(sessions_new=sessions, entries=entries)
    # What was decided on a book is as late.
    seats |= {(row[0], row[1]): row for row in rows.seats_kept}
    return rows._replace(sessions_new=sessions, entries=entries, seats_kept=[*seats.values()])
