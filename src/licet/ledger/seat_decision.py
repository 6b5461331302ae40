"""Decides whether a pool gives a seat to a client, in the order that administrators know.

`decide_seat` goes through the rules one by one; the first that denies is the reason:

1. the licence of the pool (L13), and its end (L7)
2. EXCLUDE, then INCLUDE and the named users (L15)
3. the holder has a seat, one on hold too: it is shared, and nothing more is asked (L2)
4. MAX (L16)
5. the queue: who is before it in line may have what is free (L19)
6. room: its own RESERVE, then the common seats (L17), as far as the pool has seats (L6, L14) and numbers
   (L13)

Whether the client may have a seat at all (L12), and which pools are asked in which order (L20), is decided
before, in `licet.ledger.rules`. No option touches a refresh (L5).

The functions here are pure.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from licet.ledger.book import Book, SeatFreed, SeatKey
from licet.ledger.holders import place_holder_of
from licet.ledger.numbers import Numbers
from licet.ledger.signed_pools import number_for, numbers_left, room_of, why_unlicensed
from licet.licences.steps import Step
from licet.model import Client, NoSeatReason, Place, Pool, Tenant
from licet.options import COMMON, Applied, PoolOptions, names_counted, rule_of

ASK_AGAIN_MS: Final = 5000  # after which a client that waits in line should ask again

_NO_COUNTS: Final[Mapping[str, int]] = MappingProxyType({})


class Asked(NamedTuple):
    """Who asks a pool for a seat. `key` is that of the seat; `freed` come back with this grant."""

    tenant: Tenant
    client: Client
    pool: Pool
    key: SeatKey
    scope: str
    freed: Sequence[SeatFreed] = ()

    @property
    def options(self) -> PoolOptions | None:
        """The options of the pool, if it has any."""
        return self.tenant.options.get(self.pool.id)


class Given(NamedTuple):
    """A seat is there: with this number in a signed pool, counted so by the pool's options."""

    number: int = 0
    counted: str = ""


class NotGiven(NamedTuple):
    """No seat is there. Waiting until `until_ms` may help; it will not where that is None.

    `rule` is the option that denied it. `may_wait` is whether a place in the queue would help.
    """

    reason: NoSeatReason
    until_ms: int | None = None
    rule: str = ""
    may_wait: bool = False


def decide_seat(  # noqa: C901, PLR0911, PLR0912 - a line a rule, and no call that each grant pays for
    book: Book, asked: Asked, now_ms: int
) -> Given | NotGiven:
    """Whether the pool gives a seat, and which; else why not."""
    tenant, client, pool, key, scope, freed = asked
    step = None if pool.signed is None else pool.signed.at(now_ms)
    if (reason := why_unlicensed(tenant, pool, scope, step)) is not None:  # L13
        return NotGiven(reason)
    if pool.expires_at_ms is not None and pool.expires_at_ms <= now_ms:  # L7
        return NotGiven(NoSeatReason.LICENCE_EXPIRED)
    options = tenant.options.get(pool.id)
    if options is None:  # then only L2, L6, L13 and L14 are left
        if key in book.seats:  # L2
            return _shared(book, asked, step)
        if room_of(pool, now_ms) - book.in_use[pool.id] + len(freed) <= 0:  # L6, L14
            return all_in_use(pool, book.earliest_expiry(pool.id))
        return Given() if step is None else _with_number(book, asked, step, "", now_ms)
    applied = options.applied[client.user.initials, client.client_id]
    if applied.excluded:  # L15
        return NotGiven(NoSeatReason.EXCLUDED, rule=applied.excluded)
    if applied.not_included:
        return NotGiven(NoSeatReason.NOT_INCLUDED, rule=applied.not_included)
    if key in book.seats:  # L2
        return _shared(book, asked, step)
    exceeded = book.exceeded.get(pool.id)
    if (
        exceeded is not None
        and not book.places
        and (not exceeded or exceeded.isdisjoint(applied.usual_names))
        and room_of(pool, now_ms) - book.in_use[pool.id] + len(freed) > 0
    ):  # Nothing of what follows can deny.
        return Given(0, applied.usual)
    counts = book.counts.get(pool.id, _NO_COUNTS)
    if freed:
        counts = _counts_without(counts, freed)
    for what, at_most in applied.limits:  # L16
        if counts.get(what, 0) >= at_most:
            reached = [what] if len(applied.limits) == 1 else limits_reached(applied, counts)
            until_ms = _until_below(book, pool, reached)
            return NotGiven(NoSeatReason.MAX_REACHED, until_ms, rule=rule_of(what))
    room = room_of(pool, now_ms)
    seats = room - book.in_use[pool.id] + len(freed)
    if step is not None and options.queue:  # Those who are before it in line need numbers, too.
        seats = min(seats, numbers_left(step, book.numbers[pool.id], freed, now_ms))
    if book.places and options.queue:  # L19
        left = _Left(options, counts, room, seats)
        if _others_are_first(book, asked, options, left, now_ms):
            return NotGiven(NoSeatReason.QUEUED, now_ms + ASK_AGAIN_MS, rule="queue", may_wait=True)
        counts, seats = left.counts, left.seats
    source = source_of(options, applied, counts, room) if seats > 0 else None
    if source is None:
        return _no_room(book, pool, options, applied, is_any_free=seats > 0)
    counted = applied.texts[source]
    if step is None:
        return Given(0, counted)
    return _with_number(book, asked, step, counted, now_ms, may_wait=options.queue > 0)


def _no_room(
    book: Book, pool: Pool, options: PoolOptions, applied: Applied, *, is_any_free: bool
) -> NotGiven:
    """No seat is free (L6, L14), or those that are free are reserved for others (L17)."""
    until_ms, may_wait = _until_there_is_one(book, pool, options, applied), options.queue > 0
    if not is_any_free:
        return all_in_use(pool, until_ms, may_wait=may_wait)
    return NotGiven(NoSeatReason.RESERVED, until_ms, rule="reserve", may_wait=may_wait)


def limits_reached(applied: Applied, counts: Mapping[str, int]) -> list[str]:
    """The limits into which one more seat does not fit (L16)."""
    return [what for what, at_most in applied.limits if counts.get(what, 0) >= at_most]


def source_of(options: PoolOptions, applied: Applied, counts: Mapping[str, int], room: int) -> str | None:
    """What a free seat would count as (L17): a reserve, a common seat, or '' where nothing is reserved.

    None if no free seat is for this client.
    """
    within = None if options.reserved <= room else options.reserves_within(room)
    for what, at_most in applied.reserves:
        if counts.get(what, 0) < (at_most if within is None else within[what]):
            return what
    if not options.reserved:
        return ""
    return COMMON if counts.get(COMMON, 0) < room - options.reserved else None


def _shared(book: Book, asked: Asked, step: Step | None) -> Given | NotGiven:
    """The seat that the holder has already."""
    seat = book.seats[asked.key]
    # On hold for another user, for whom this client stood then: an API and the options count the two apart.
    is_anothers = seat.initials != asked.client.user.initials and (
        seat.number or (asked.options is not None and asked.options.counts)
    )
    if is_anothers or (step is not None and seat.number > step.signed):
        return NotGiven(NoSeatReason.ALL_IN_USE, seat.expires_at_ms)
    return Given(seat.number, seat.counted)


def all_in_use(pool: Pool, until_ms: int | None, *, may_wait: bool = False) -> NotGiven:
    """What a full pool says, of which a seat may be free again at `until_ms`."""
    if pool.seats == 0:
        return NotGiven(NoSeatReason.NO_SEATS)
    return NotGiven(NoSeatReason.ALL_IN_USE, until_ms, may_wait=may_wait)


def _with_number(
    book: Book, asked: Asked, step: Step, counted: str, now_ms: int, *, may_wait: bool = False
) -> Given | NotGiven:
    """A seat of a signed pool, if there is a number for it (L13)."""
    numbers = book.numbers[asked.pool.id]
    number = number_for(step, numbers, asked.freed, now_ms)
    if number is None:
        until_ms = _numbers_again_ms(numbers, asked.freed, now_ms)
        return NotGiven(NoSeatReason.ALL_IN_USE, until_ms, may_wait=may_wait)
    return Given(number, counted)


def _counts_without(counts: Mapping[str, int], freed: Sequence[SeatFreed]) -> Mapping[str, int]:
    """The counts once these seats have come back."""
    found = dict(counts)
    for change in freed:
        _count_more(found, change.seat.counted, -1)
    return found


def _count_more(counts: dict[str, int], counted: str, seats: int) -> None:
    for what in names_counted(counted):
        counts[what] = counts.get(what, 0) + seats


class _Left:
    """What is free in a pool with options, while seats are given out on trial."""

    def __init__(self, options: PoolOptions, counts: Mapping[str, int], room: int, seats: int) -> None:
        self.counts = dict(counts)
        self.seats = seats
        self._options = options
        self._room = room

    def has_room(self, applied: Applied) -> bool:
        """Whether this client could have one more seat, if one is free."""
        return not limits_reached(applied, self.counts) and self._source(applied) is not None

    def take(self, applied: Applied) -> None:
        """Give a seat to this client, if there is one for it."""
        if not limits_reached(applied, self.counts) and (source := self._source(applied)) is not None:
            _count_more(self.counts, applied.texts[source], 1)
            self.seats -= 1

    def _source(self, applied: Applied) -> str | None:
        return source_of(self._options, applied, self.counts, self._room)


def _others_are_first(book: Book, asked: Asked, options: PoolOptions, left: _Left, now_ms: int) -> bool:
    """Whether those who are before it in line may take every free seat that it could have."""
    if left.seats <= 0 or asked.freed:
        return False  # What comes back with this very grant was never free.
    tenant, mine = asked.tenant, place_holder_of(asked.pool, asked.client)
    applied = options.of(asked.client.user.initials, asked.client.client_id)
    if not left.has_room(applied):
        return False  # It could not have a seat even if nobody waited.
    has_place = (asked.pool.id, mine) in book.places
    for place in book.queue_of(asked.pool.id):
        if place.holder == mine or left.seats <= 0:
            break
        # A client that has no place yet comes after all others of its level.
        if place.level < applied.level and not has_place:
            break
        if (other := _waiting(tenant, options, place, now_ms)) is not None:
            left.take(other)
    return left.seats <= 0 or not left.has_room(applied)


def _waiting(tenant: Tenant, options: PoolOptions, place: Place, now_ms: int) -> Applied | None:
    """What applies to the client of a place; None if that client could not have a seat."""
    client = tenant.clients_by_key.get(place.client_key)
    if client is None or not client.usable or client.suspended_at(now_ms) is not None:
        return None
    applied = options.of(client.user.initials, client.client_id)
    return None if applied.excluded or applied.not_included else applied


def _until_below(book: Book, pool: Pool, reached: Sequence[str]) -> int | None:
    """When one more seat may fit into all of these limits: when a seat of each of them has ended."""
    if len(reached) == 1:
        return book.earliest_expiry(pool.id, reached[0])
    return max(
        (it for what in reached if (it := book.earliest_expiry(pool.id, what)) is not None), default=None
    )


def _until_there_is_one(book: Book, pool: Pool, options: PoolOptions, applied: Applied) -> int | None:
    """When the first seat expires that it could then have: a common one, or one of its reserves (L17).

    None if there is none, because all are reserved for others.
    """
    if not options.reserved:
        return book.earliest_expiry(pool.id)
    sources = [*(reserve.what for reserve in applied.reserves), COMMON]
    return min(
        (it for what in sources if (it := book.earliest_expiry(pool.id, what)) is not None), default=None
    )


def _numbers_again_ms(numbers: Numbers, freed: Sequence[SeatFreed], now_ms: int) -> int | None:
    """When a number may be given again; None where that is not known."""
    moments = [change.number_from_ms for change in freed if change.number_from_ms > now_ms]
    if (next_ms := numbers.next_at_ms(now_ms)) is not None:
        moments.append(next_ms)
    return min(moments, default=None)
