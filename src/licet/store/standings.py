"""Keeps the standing decisions of a store (`licet.ledger.again`), one for each client.

The owner calls `learn` after each COMMIT with everything that was committed, and `forget` when another writer
may have written. A decision is kept under a `mark`, which stands for the set-up and the last writer: it is
found only under the same mark.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec.structs import astuple

from licet.ledger.again import Again, Standing, standing
from licet.ledger.book import Book, SeatKept, SeatKey, SessionEnded, SessionRenewed, SessionStarted
from licet.ledger.commands import Grant, Refresh, UseAssertion
from licet.ledger.denied_again import DeniedAgain
from licet.ledger.holders import USER_HOLDER
from licet.model import EndReason, Seat, Session
from licet.store.rows import Row, Saving

STANDINGS_MAX: Final = 50_000  # some 32 MB

_MATTERING: Final = frozenset((SessionStarted, SessionRenewed, SessionEnded))  # changes
_MarkOf = Callable[[int], object | None]


class Standings:
    """The decisions of one open store, or of one connection. Use them from one thread."""

    def __init__(self, most: int = STANDINGS_MAX) -> None:
        self._most = most
        self._kept: dict[int, tuple[object, Standing]] = {}
        # The addresses from which a user's seat is used: all of the user's clients write its row.
        self._sources: dict[SeatKey, str] = {}

    def forget(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._sources.clear()

    def find(self, grant: Grant, mark: object, now_ms: int) -> Standing | None:
        """The decision that grants this grant again; None where there is none."""
        kept = self._kept.get(grant.client_key)
        if kept is None:
            return None
        of, found = kept
        return found if of == mark and found.covers(grant, now_ms) and self._is_so(found, now_ms) else None

    def find_renewal(self, refresh: Refresh, session: Session, mark: object, now_ms: int) -> Standing | None:
        """The decision that grants this refresh of a session again; None where there is none."""
        kept = self._kept.get(refresh.client_key)
        if kept is None:
            return None
        of, found = kept
        is_so = of == mark and found.renews(refresh, session, now_ms) and self._is_so(found, now_ms)
        return found if is_so else None

    def learn_repeated(self, it: Again, now_ms: int) -> Seat | None:
        """Move a decision on that granted again at this moment; return the seat if its row was written."""
        before = it.standing
        if not 0 < before.row_until_ms <= now_ms:
            return None
        moved = before.moved(now_ms)
        mark, kept = self._kept.get(before.client_key, (None, None))
        if kept is before:
            self._kept[before.client_key] = (mark, moved)
        return moved.seat

    def learn(self, book: Book, mark_of: _MarkOf, now_ms: int) -> None:
        """Keep what was granted in a book at this moment, under the marks of the tenants that have one."""
        if not _MATTERING.isdisjoint(map(type, book.changes)):
            self._learn(book, mark_of, now_ms)

    def _learn(self, book: Book, mark_of: _MarkOf, now_ms: int) -> None:
        for change in book.changes:
            match change:
                case SessionStarted(session=session):
                    mark = mark_of(session.tenant_id)
                    self._keep(book, session, session.address, mark, now_ms, is_grant=True)
                case SessionRenewed(session=session, address=address):
                    mark = mark_of(session.tenant_id)
                    self._keep(book, session, address, mark, now_ms, is_grant=False)
                case SeatKept(seat=seat):
                    if self._sources and (key := seat.key) in self._sources:
                        self._sources[key] = seat.sources
                case SessionEnded(session=session, reason=reason) if reason is not EndReason.EXPIRED:
                    self._kept.pop(session.client_key, None)
                case _:
                    pass
        if max(len(self._kept), len(self._sources)) > self._most:
            self.forget()

    def _keep(
        self, book: Book, granted: Session, address: str, mark: object, now_ms: int, *, is_grant: bool
    ) -> None:
        key, session = granted.client_key, book.sessions.get(granted.sid)
        kept = None
        if session is not None and mark is not None:
            of, before = self._kept.get(key, (None, None))
            if before is not None and not is_grant and of == mark and before.fits(session, address, now_ms):
                if not 0 < before.row_until_ms <= now_ms:
                    return  # The one before says the same, and covers grants too.
                is_grant = before.sessions_max > 0
            kept = standing(book, session, address, now_ms, is_grant=is_grant)
        if kept is None:
            self._kept.pop(key, None)
            return
        self._kept[key] = (mark, kept)
        if kept.seat is not None and kept.seat.holder.startswith(USER_HOLDER):
            self._sources[kept.seat.key] = kept.seat.sources

    def _is_so(self, found: Standing, now_ms: int) -> bool:
        """Whether it knows the row of its seat, if that has to be written."""
        seat = found.seat
        if found.row_until_ms > now_ms or seat is None or not seat.holder.startswith(USER_HOLDER):
            return True
        return self._sources.get(seat.key) == seat.sources


def with_repeated(
    rows: Saving[Sequence[Row]], repeated: Sequence[Again], now_ms: int
) -> Saving[Sequence[Row]]:
    """These rows, and those of what is granted again: sessions, journal entries (L11), seats, assertions."""
    sessions, entries, renewed, seats = [*rows.sessions_new], [*rows.entries], {}, {}
    for command, it, session in repeated:
        if session is None:
            sessions.append((command.sid, *it.asked, now_ms, now_ms, now_ms + it.life_ms, it.address))
            entries.append((it.tenant_id, now_ms, "granted", "", *it.noted))
        else:
            renewed[command.sid] = (command.sid, now_ms, now_ms + it.life_ms)
        if it.row_until_ms <= now_ms:
            seat = it.seat_at(now_ms)
            seats[seat.key] = astuple(seat)[:-2]
    saved = rows._replace(sessions_new=sessions, entries=entries)
    # A row that was decided on a book is as late, so it wins.
    if renewed:
        renewed |= {row[0]: row for row in rows.sessions_renewed}
        saved = saved._replace(sessions_renewed=[*renewed.values()])
    if seats:
        seats |= {(row[0], row[1]): row for row in rows.seats_kept}
        saved = saved._replace(seats_kept=[*seats.values()])
    return _with_used(saved, [it.command.assertion for it in repeated])


def with_denied(
    rows: Saving[Sequence[Row]], denied: Sequence[DeniedAgain], now_ms: int
) -> Saving[Sequence[Row]]:
    """These rows, and the entries of what is denied again: those of one client are one (L11).

    Of these clients there are no other denials in the rows.
    """
    times = Counter([it.command.client_key for it in denied])
    denials = [*rows.denials]
    for command, it, full in {it.command.client_key: it for it in denied}.values():  # the last of each
        said = full.denied
        denials.append(
            (
                *(it.tenant_id, now_ms, said.reason, said.pool, it.client_id, it.initials),
                *(times[it.client_key], said.seats, said.in_use, command.address),
            )
        )
    return _with_used(rows._replace(denials=denials), [it.command.assertion for it in denied])


def _with_used(rows: Saving[Sequence[Row]], used: Iterable[UseAssertion | None]) -> Saving[Sequence[Row]]:
    more = [astuple(use) for use in used if use is not None]
    return rows._replace(assertions_used=[*rows.assertions_used, *more]) if more else rows
