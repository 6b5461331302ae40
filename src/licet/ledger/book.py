"""Keeps the rows that one batch of commands needs, and what the batch made of them.

A store fills a book before the ledger decides and saves it afterwards: it is the seam between them.
`licet.ledger.prefetch` says what a book must hold, so that every command of its batch can be decided,
whatever their order. A book decides nothing and does no I/O.
"""

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from licet.ledger.expiries import EVERY, Expiries
from licet.ledger.numbers import Numbers
from licet.model import EndReason, NoSeatReason, Place, Seat, Session, Tenant, Value
from licet.options import names_counted

SeatKey = tuple[int, str]


class SessionStarted(Value, frozen=True, kw_only=True):
    """A grant was made."""

    session: Session


class SessionRenewed(Value, frozen=True, kw_only=True):
    """A refresh was made, from this address; `session` is as it is now."""

    session: Session
    address: str = ""


class SessionEnded(Value, frozen=True, kw_only=True):
    """A session is no more."""

    session: Session
    reason: EndReason
    at_ms: int


class SeatTaken(Value, frozen=True, kw_only=True):
    """A free seat was given to a holder. `is_new_number`: its number was never used before (L13)."""

    seat: Seat
    is_new_number: bool = False


class SeatKept(Value, frozen=True, kw_only=True):
    """A seat in use now expires at another moment; `seat` is as it is now.

    `is_due`: its row must say so, whatever it says now (`seat_rows.py`).
    """

    seat: Seat
    is_due: bool = False


class SeatFreed(Value, frozen=True, kw_only=True):
    """A seat came back to its pool at `at_ms`, which for an expired one is before now.

    Its number, if it has one, may be given to somebody else from `number_from_ms` on.
    """

    seat: Seat
    at_ms: int
    number_from_ms: int = 0


class GrantDenied(Value, frozen=True, kw_only=True):
    """A grant was refused only for want of a seat, or because its client was suspended from one."""

    tenant_id: int
    client_key: int
    pool_id: int
    reason: NoSeatReason
    seats: int
    in_use: int
    at_ms: int
    address: str
    scope: str


class AssertionUsed(Value, frozen=True, kw_only=True):
    """A client used an assertion, which cannot be used again. The fields are in the order of the columns."""

    tenant_id: int
    client_key: int
    jti: bytes
    until_ms: int


class PlaceTaken(Value, frozen=True, kw_only=True):
    """A holder got a place in the queue of a pool (L19)."""

    place: Place


class PlaceKept(Value, frozen=True, kw_only=True):
    """A place is kept for longer; `place` is as it is now."""

    place: Place


class PlaceLeft(Value, frozen=True, kw_only=True):
    """A place was given up: its holder got a seat (`is_served`), or no longer waits."""

    place: Place
    is_served: bool
    at_ms: int


Change = (
    SessionStarted
    | SessionRenewed
    | SessionEnded
    | SeatTaken
    | SeatKept
    | SeatFreed
    | GrantDenied
    | AssertionUsed
    | PlaceTaken
    | PlaceKept
    | PlaceLeft
)


def _in_line(place: Place) -> tuple[int, int]:
    return (-place.level, place.number)


Counts = dict[int, dict[str, int]]  # of each pool: how many seats are counted as what (`licet.options`)


class Book:
    """The working copy of one batch. `apply` is the only thing that changes it.

    `sessions` are alive; `expired` are not, and wait for a sweep. `in_use` counts the seats of each pool.
    `started` lists the live sessions of each client that a grant may have to end, oldest first, and
    `live_sessions` counts all of them. `assertions_used` are those that are used, by client and `jti`.
    `numbers` are those that nobody has, of each signed pool. `rows` are the seats as their rows say, which
    may be behind them where `rows_lag` (`seat_rows.py`). Where a book does not hold all seats of a pool,
    `others_from_ms` is the moment before which none of the others expires. `counts` say how many seats are
    counted by options of their pool, and `counts_before` how many were: of all that a grant must fit into.
    The latter may have more, where `counted` has the names that are meant. What else is counted is not known,
    and begins with 0. Of a pool in `exceeded`, nothing else that is counted would be above its bound if all
    grants of the batch got a seat. `places` are the queues of the pools that are asked, lapsed places too.
    `changes` are what was applied, in order.
    """

    def __init__(
        self,
        *,
        tenants: Mapping[int, Tenant],
        in_use: Mapping[int, int] | None = None,
        seats: Iterable[Seat] = (),
        sessions: Iterable[Session] = (),
        expired: Iterable[Session] = (),
        live_sessions: Mapping[int, int] | None = None,
        started: Mapping[int, Iterable[bytes]] | None = None,
        assertions_used: Iterable[tuple[int, bytes]] = (),
        numbers: dict[int, Numbers] | None = None,
        rows: Mapping[SeatKey, Seat] | None = None,
        rows_lag: bool = False,
        others_from_ms: Mapping[int, int] | None = None,
        counts: Counts | None = None,
        counted: Mapping[int, Iterable[str]] | None = None,
        exceeded: Mapping[int, AbstractSet[str]] | None = None,
        places: Sequence[Place] = (),
        full: Iterable[int] = (),
    ) -> None:
        self.tenants = tenants
        self.full = frozenset(full)  # pools of which a store knows that they are, without having loaded them
        self.in_use_before = dict(in_use or {})
        self.in_use = self.in_use_before.copy()
        self.seats: dict[SeatKey, Seat] = {seat.key: seat for seat in seats}
        self.sessions: dict[bytes, Session] = {}
        self.sessions_of_seat: dict[SeatKey, set[bytes]] = {}
        self.expired = {session.sid: session for session in expired}
        self.live_sessions = Counter(live_sessions or {})
        self.started = {key: dict.fromkeys(sids) for key, sids in (started or {}).items()}
        self.assertions_used = set(assertions_used)
        self.numbers = {} if numbers is None else numbers
        self.rows = {**self.seats, **(rows or {})}
        self.rows_lag = rows_lag
        self.others_from_ms = others_from_ms or {}
        self.counts_before: Counts = counts or {}
        self._names = counted or {}
        self._counts: defaultdict[int, Counter[str]] | None = None  # until somebody asks
        self._moved: dict[int, Counter[str]] = {}
        # What seats were counted as that were taken or freed since; it is not added to these counts yet.
        self._taken: dict[int, list[str]] = {}
        self._freed: dict[int, list[str]] = {}
        self.exceeded = exceeded or {}
        self.places: dict[SeatKey, Place] = {place.key: place for place in places} if places else {}
        self.changes: list[Change] = []
        self._expiries: dict[int, Expiries] = {}  # of the pools that were asked for
        self._lines: dict[int, list[Place]] = {}  # of the queues that were asked for, in order
        for session in sessions:
            self._put(session)

    @property
    def counts(self) -> defaultdict[int, Counter[str]]:
        """How many seats are counted by options of their pool. Most batches never ask."""
        if self._counts is not None and not self._taken and not self._freed:
            return self._counts
        moved, counts = self.counts_moved, self._counts
        if counts is None:
            counts = self._counts = defaultdict(Counter)
            for pool_id, before in self.counts_before.items():
                names = self._names.get(pool_id, before)
                counts[pool_id] = Counter(dict(zip(names, map(before.__getitem__, names), strict=True)))
            for pool_id, by in moved.items():
                counts[pool_id].update(by)
        return counts

    @property
    def counts_moved(self) -> dict[int, Counter[str]]:
        """By how much these counts have grown or shrunk, where any seat was taken or freed."""
        if self._taken:
            self._add_up(self._taken, Counter.update)
        if self._freed:
            self._add_up(self._freed, Counter.subtract)
        return self._moved

    def _add_up(self, texts: dict[int, list[str]], add: Callable[[Counter[str], list[str]], None]) -> None:
        for pool_id, those in texts.items():
            names = [*chain.from_iterable(map(names_counted, those))]  # in C, as they may be many
            moved = self._moved.get(pool_id)
            if moved is None:
                moved = self._moved[pool_id] = Counter()
            add(moved, names)
            if self._counts is not None:
                add(self._counts[pool_id], names)
        texts.clear()

    def earliest_expiry(self, pool_id: int, what: str = EVERY) -> int | None:
        """When the first seat of a pool expires, of those that are counted so; None where there is none.

        It is an earlier moment where that seat may be one that is not in the book.
        """
        expiries = self._expiries_of(pool_id)
        return expiries.first_ms(what, self.counts[pool_id]) if what else expiries.first_ms()

    def first_to_expire(self, pool_id: int) -> str | None:
        """Whose seat that is, of those in the book."""
        expiries = self._expiries_of(pool_id)
        expiries.first_ms()
        return expiries.first_holder

    def _expiries_of(self, pool_id: int) -> Expiries:
        expiries = self._expiries.get(pool_id)
        if expiries is None:
            expiries = self._expiries[pool_id] = Expiries(
                {key[1]: seat for key, seat in self.seats.items() if key[0] == pool_id},
                self.others_from_ms.get(pool_id),
            )
        return expiries

    def queue_of(self, pool_id: int) -> list[Place]:
        """The places of a pool's queue, the first in line first; not to be changed."""
        line = self._lines.get(pool_id)
        if line is None:
            line = [place for place in self.places.values() if place.pool_id == pool_id]
            line.sort(key=_in_line)
            self._lines[pool_id] = line
        return line

    def before(self, place: Place) -> int:
        """How many places are before this one in its queue, or would be if it were taken."""
        return bisect_left(self.queue_of(place.pool_id), _in_line(place), key=_in_line)

    def apply(self, changes: Iterable[Change]) -> None:  # noqa: C901 - one case for each change
        """Put what was decided into the book, so that the commands that follow in this batch see it."""
        for change in changes:
            self.changes.append(change)
            match change:  # what is most often first: each kind is looked for in turn
                case SessionStarted(session=session):
                    self._put(session)
                    self.live_sessions[session.client_key] += 1
                    self.started.setdefault(session.client_key, {})[session.sid] = None
                case SeatKept(seat=seat):
                    self._set(seat)
                case SessionRenewed(session=session):
                    self.sessions[session.sid] = session
                case GrantDenied():
                    pass
                case SessionEnded(session=session):
                    self._remove(session)
                case SeatTaken(seat=seat):
                    self._take(seat)
                case SeatFreed():
                    self._free(change)
                case AssertionUsed():
                    self.assertions_used.add((change.client_key, change.jti))
                case PlaceTaken(place=place):
                    insort(self.queue_of(place.pool_id), place, key=_in_line)
                    self.places[place.key] = place
                case PlaceKept(place=place):
                    self.queue_of(place.pool_id)[self.before(place)] = place
                    self.places[place.key] = place
                case PlaceLeft(place=place):
                    del self.queue_of(place.pool_id)[self.before(place)]
                    del self.places[place.key]

    def _set(self, seat: Seat) -> None:
        self.seats[seat.key] = seat
        if (expiries := self._expiries.get(seat.pool_id)) is not None:
            expiries.put(seat)

    def _take(self, seat: Seat) -> None:
        self._set(seat)
        self.in_use[seat.pool_id] += 1
        if seat.counted:
            self._taken.setdefault(seat.pool_id, []).append(seat.counted)
        if seat.number:
            self.numbers[seat.pool_id].take(seat.number)

    def _free(self, freed: SeatFreed) -> None:
        seat = freed.seat
        del self.seats[seat.key]
        if (expiries := self._expiries.get(seat.pool_id)) is not None:
            expiries.remove(seat)
        self.in_use[seat.pool_id] -= 1
        if seat.counted:
            self._freed.setdefault(seat.pool_id, []).append(seat.counted)
        if seat.number and (numbers := self.numbers.get(seat.pool_id)) is not None:
            numbers.give_back(seat.number, freed.number_from_ms)

    def _put(self, session: Session) -> None:
        sid = session.sid
        self.sessions[sid] = session
        if (key := session.seat_key) is not None:
            sids = self.sessions_of_seat.get(key)
            if sids is None:
                self.sessions_of_seat[key] = {sid}
            else:
                sids.add(sid)

    def _remove(self, session: Session) -> None:
        sid, client_key = session.sid, session.client_key
        if self.expired and self.expired.pop(sid, None) is not None:
            return  # It has counted for nothing since it expired.
        del self.sessions[sid]
        self.live_sessions[client_key] -= 1
        if (started := self.started.get(client_key)) is not None:
            started.pop(sid, None)
        if (key := session.seat_key) is not None:
            self.sessions_of_seat[key].discard(sid)


_RENEWING = frozenset((SessionStarted, SessionRenewed, SeatKept, AssertionUsed))


def only_renews(book: Book) -> bool:
    """Whether nothing was decided but sessions that begin or go on with seats that their holders have.

    With assertions that are used. Or denials by a pool that the store knows is full. What is decided on a
    book that it has filled from memory counts only then.
    """
    if _RENEWING.issuperset(map(type, book.changes)):
        return True
    return bool(book.full) and all(
        change.pool_id in book.full if isinstance(change, GrantDenied) else type(change) in _RENEWING
        for change in book.changes
    )


NumberKey = tuple[int, int]


class Writes:
    """What a store must write so that a book's changes last: the net effect, each row once.

    But the seat of a signed pool that is freed and taken again is removed and added, as another may have got
    its number meanwhile. The same holds for a free number. `numbers_used` is by how much the highest number
    that was ever used grows, of each pool of which a numbered seat was taken; `last_taken` is the last one.
    """

    def __init__(self, changes: Iterable[Change]) -> None:  # noqa: C901 - one case for each change
        self.sessions_new: dict[bytes, Session] = {}
        self.sessions_renewed: dict[bytes, Session] = {}
        self.sessions_gone: list[bytes] = []
        self.seats_new: dict[SeatKey, Seat] = {}
        self.seats_kept: dict[SeatKey, Seat] = {}
        self.seats_due: set[SeatKey] = set()  # of those that are kept
        self.seats_gone: dict[SeatKey, Seat] = {}
        self.assertions_used: list[AssertionUsed] = []
        self.numbers_gone: dict[NumberKey, None] = {}
        self.numbers_new: dict[NumberKey, int] = {}
        self.numbers_used: dict[int, int] = {}
        self.last_taken: dict[int, Seat] = {}
        self.places_gone: dict[SeatKey, None] = {}
        self.places_new: dict[SeatKey, Place] = {}
        self.places_kept: dict[SeatKey, Place] = {}
        for change in changes:
            match change:  # what is most often first
                case SessionStarted(session=session):
                    self.sessions_new[session.sid] = session
                case SeatKept():
                    self._keep_seat(change)
                case SessionRenewed(session=session):
                    is_new = session.sid in self.sessions_new
                    (self.sessions_new if is_new else self.sessions_renewed)[session.sid] = session
                case GrantDenied():
                    pass
                case SessionEnded(session=session):
                    self._remove_session(session)
                case SeatTaken():
                    self._take_seat(change)
                case SeatFreed():
                    self._free_seat(change)
                case AssertionUsed():
                    self.assertions_used.append(change)
                case PlaceTaken(place=place):
                    self.places_new[place.key] = place
                case PlaceKept(place=place):
                    places = self.places_new if place.key in self.places_new else self.places_kept
                    places[place.key] = place
                case PlaceLeft(place=place):
                    self._leave(place)

    def _remove_session(self, session: Session) -> None:
        self.sessions_renewed.pop(session.sid, None)
        if self.sessions_new.pop(session.sid, None) is None:
            self.sessions_gone.append(session.sid)

    def _keep_seat(self, kept: SeatKept) -> None:
        seat, key = kept.seat, kept.seat.key
        (self.seats_new if key in self.seats_new else self.seats_kept)[key] = seat
        if kept.is_due:
            self.seats_due.add(key)

    def _free_seat(self, freed: SeatFreed) -> None:
        seat = freed.seat
        self.seats_kept.pop(seat.key, None)
        if self.seats_new.pop(seat.key, None) is None:
            self.seats_gone[seat.key] = seat
        if seat.number:
            self.numbers_new[seat.pool_id, seat.number] = freed.number_from_ms

    def _take_seat(self, taken: SeatTaken) -> None:
        seat, key = taken.seat, taken.seat.key
        gone = self.seats_gone.get(key)
        if gone is not None and not gone.number | seat.number and gone.counted == seat.counted:
            # Freed and taken again in one batch: its row is still there.
            del self.seats_gone[key]
            self.seats_due.add(key)
            self.seats_kept[key] = seat
        else:
            self.seats_new[key] = seat
        if not seat.number:
            return
        pool_id, used = seat.pool_id, self.numbers_used
        self.last_taken[pool_id] = seat
        used[pool_id] = used.get(pool_id, 0) + taken.is_new_number
        if taken.is_new_number:
            return
        number = (pool_id, seat.number)
        if self.numbers_new.pop(number, None) is None:  # It was free before this batch.
            self.numbers_gone[number] = None

    def _leave(self, place: Place) -> None:
        self.places_kept.pop(place.key, None)
        if self.places_new.pop(place.key, None) is None:
            self.places_gone[place.key] = None
