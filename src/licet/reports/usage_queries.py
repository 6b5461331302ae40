"""Queries the journal and usage of a tenant in a span of time: the raw data of `licet.reports.usage`.

Sums (`licet.journal.summary`) are used where they exist. The rest, like the edges of a span that begins or
ends within a sum, is read from the rows that were summed: the result is the same. Where those rows are no
longer kept, a sum that the span cuts counts as a whole.

A span is half open. What the rows mean together is in `licet.reports.usage`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    and_,
    func,
    literal_column,
    select,
)

from licet.journal.folding import first_minute
from licet.journal.summary import DENIED, QUARTER, denials_by_quarter, summed_until_ms
from licet.store import schema
from licet.store.seats_now import SEAT
from licet.units import HOUR_MS, MINUTE_MS, QUARTER_MS


class Step(NamedTuple):
    """Use of a pool changed: the most at once in this minute, and what was in use at its end."""

    minute: int
    peak: int
    in_use: int
    seats: int


class DeniedClient(NamedTuple):
    """A client was denied seats of a pool for one reason, in one quarter of an hour since 1970."""

    quarter: int
    pool: str
    reason: str
    client_id: str
    initials: str
    times: int
    first_at_ms: int
    last_at_ms: int
    seats: int


class Session(NamedTuple):
    """How many sessions of a pool, '' for none, began or ended for one reason."""

    kind: str
    reason: str
    pool: str


class _Parts(NamedTuple):
    """A span as whole units that are summed, and the minutes before and after them."""

    units: range
    before: range
    behind: range


class Span:
    """What is read of one tenant in a span. A span up to now includes the current millisecond."""

    def __init__(  # noqa: PLR0917 - what of whom, from when until when, by whose clock
        self,
        connection: Connection,
        tenant_id: int,
        from_ms: int,
        until_ms: int,
        now_ms: int,
        zone: tzinfo | None,
    ) -> None:
        self.from_ms = from_ms
        self.until_ms = until_ms
        self.now_ms = now_ms
        self.zone = zone
        self._connection = connection
        self._tenant_id = tenant_id
        self._summed_ms = summed_until_ms(connection) or 0
        self.minutes_kept_from = first_minute(connection) or 0
        self._is_cut = from_ms < self.minutes_kept_from * MINUTE_MS

    @property
    def minutes(self) -> range:
        """The minutes that it touches."""
        return range(self.from_ms // MINUTE_MS, -(-self.until_ms // MINUTE_MS))

    @property
    def hours(self) -> range:
        """The hours that begin in it."""
        return range(-(-self.from_ms // HOUR_MS), -(-self.until_ms // HOUR_MS))

    def includes(self, at_ms: int) -> bool:
        """Whether this instant is in it."""
        return self.from_ms <= at_ms < self.until_ms

    def edges(self, floor: Callable[[int, tzinfo | None], int], step_ms: int) -> list[int]:
        """Where its parts begin, and its end. `step_ms` after the begin of a part is within the next one."""
        edges = [self.from_ms]
        at_ms = _after(floor(self.from_ms, self.zone), step_ms, floor, self.zone)
        while at_ms < self.until_ms:
            edges.append(at_ms)
            at_ms = _after(at_ms, step_ms, floor, self.zone)
        return [*edges, self.until_ms] if self.from_ms < self.until_ms else []

    def sessions(self) -> Counter[Session]:
        """How many sessions began and ended."""
        parts, sums, whole = self._parts(HOUR_MS), schema.session_summary, schema.whole_journal
        counted: Counter[Session] = Counter()
        for table, unit, units in (
            (sums, sums.c.hour, parts.units),
            (whole, whole.c.minute, parts.before),
            (whole, whole.c.minute, parts.behind),
        ):
            key = (table.c.kind, table.c.reason, table.c.pool)
            query = select(*key, func.sum(table.c.times).label("times")).group_by(*key)
            query = query.where(self._mine(table), _within(unit, units), table.c.kind != DENIED)
            for row in self._all(query) if units else ():
                counted[Session(row.kind, row.reason, row.pool)] += int(row.times)
        return counted

    def denied(self) -> list[DeniedClient]:
        """Whose grants were denied, by quarters of an hour, the first of them first."""
        parts, sums = self._parts(QUARTER_MS), schema.denial_summary
        rows: list[Row[Any]] = []
        if parts.units:
            rows += self._all(select(sums).where(self._mine(sums), _within(sums.c.quarter, parts.units)))
        for minutes in (parts.before, parts.behind):
            rows += (
                self._all(denials_by_quarter(minutes, self._mine(schema.whole_denials))) if minutes else ()
            )
        found = (
            DeniedClient(
                row.quarter,
                row.pool,
                row.reason,
                row.client_id,
                row.initials,
                int(row.times),
                row.first_at_ms,
                row.last_at_ms,
                row.seats or 0,
            )
            for row in rows
        )
        return sorted(found, key=lambda denial: (denial.first_at_ms, denial.client_id, denial.reason))

    def pools_held(self) -> set[str]:
        """The pools of which seats came back, looked up one by one: a tenant has few."""
        usage = schema.usage_hour.c
        query = select(func.min(usage.pool)).where(self._mine(schema.usage_hour))
        found: set[str] = set()
        name = self._connection.execute(query).scalar()
        while name is not None:
            found.add(name)
            name = self._connection.execute(query.where(usage.pool > name)).scalar()
        return found

    def held(self, pool: str) -> Sequence[Row[Any]]:
        """For how long seats that came back were held, and how much of that after their last use."""
        usage, idle = schema.usage_hour.c, schema.idle_hour.c
        key = (usage.client_id, usage.initials)
        idle_ms = usage.idle_ms + func.coalesce(idle.more_ms, 0)
        total = (func.sum(usage.held_ms).label("held_ms"), func.sum(idle_ms).label("idle_ms"))
        same = and_(
            *(usage[name] == idle[name] for name in ("tenant_id", "pool", "hour", "client_id")),
        )
        return self._all(
            select(*key, *total)
            .join_from(schema.usage_hour, schema.idle_hour, same, isouter=True)
            .where(self._mine(schema.usage_hour), usage.pool == pool, _within(usage.hour, self.hours))
            .group_by(*key)
        )

    def taken(self, pool_id: int) -> Sequence[Row[Any]]:
        """The seats that did not come back yet, although they may have expired, by expiry."""
        return self._all(select(*SEAT).where(schema.seat.c.pool_id == pool_id).order_by("expires_at_ms"))

    def steps(self, pool: str) -> list[Step]:
        """How use changed, by quarters of an hour."""
        parts, sums = self._parts(QUARTER_MS), schema.usage_summary.c
        summed = (
            select(sums.quarter, sums.peak, sums.in_use, sums.seats)
            .where(self._mine(schema.usage_summary), sums.pool == pool, _within(sums.quarter, parts.units))
            .order_by(sums.quarter)
        )
        return [
            *self._steps_of_minutes(pool, parts.before),
            *(Step(row.quarter * QUARTER, row.peak, row.in_use, row.seats) for row in self._all(summed)),
            *self._steps_of_minutes(pool, parts.behind),
        ]

    def steps_by_minute(self, pool: str) -> list[Step]:
        """How use changed, minute by minute as far back as minutes are kept, and before by quarters."""
        usage, kept_from = schema.usage_minute.c, self.minutes_kept_from
        rows = self._all(
            select(usage.minute, usage.peak, usage.in_use, usage.seats)
            .where(self._mine(schema.usage_minute), usage.pool == pool)
            .where(_within(usage.minute, range(max(kept_from, self.minutes.start), self.minutes.stop)))
            .order_by(usage.minute)
        )
        summed = self.steps(pool) if self._is_cut else ()
        return [
            *(step for step in summed if step.minute < kept_from),
            *(Step(row.minute, row.peak, row.in_use, row.seats) for row in rows),
        ]

    def endings(self, pool: str) -> Mapping[str, Counter[str]]:
        """How many sessions of each client ended for which reason, as far back as minutes are kept."""
        whole = schema.whole_journal.c
        key = (whole.client_id, whole.reason)
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in self._all(
            select(*key, func.sum(whole.times).label("times"))
            .where(self._mine(schema.whole_journal), whole.kind == literal_column("'ended'"))
            .where(whole.pool == pool, _within(whole.minute, self.minutes))
            .group_by(*key)
        ):
            found[row.client_id][row.reason] += int(row.times)
        return found

    def _steps_of_minutes(self, pool: str, minutes: range) -> Iterator[Step]:
        table, usage = schema.usage_minute, schema.usage_minute.c
        quarter = (usage.minute // QUARTER).label("quarter")
        top = (
            select(quarter, func.max(usage.minute).label("last"), func.max(usage.peak).label("peak"))
            .where(self._mine(table), usage.pool == pool, _within(usage.minute, minutes))
            .group_by("quarter")
            .subquery()
        )
        rows = self._all(
            select(usage.minute, top.c.peak, usage.in_use, usage.seats)
            .join(top, usage.minute == top.c.last)
            .where(self._mine(table), usage.pool == pool)
            .order_by(usage.minute)
        )
        return (Step(row.minute, row.peak, row.in_use, row.seats) for row in rows)

    def last_before(self, pool: str) -> Row[Any] | None:
        """How many seats were in use when use last changed before the span."""
        minute, quarter = schema.usage_minute.c.minute, schema.usage_summary.c.quarter
        first = self._parts(QUARTER_MS).units.start if self._is_cut else self.from_ms // QUARTER_MS
        last = self._last(schema.usage_minute, minute, pool, self.minutes.start)
        summed = self._last(schema.usage_summary, quarter, pool, min(first, self._summed_ms // QUARTER_MS))
        if last is None or (summed is not None and last.at // QUARTER < summed.at):
            return summed
        return last

    def _last(self, table: Table, unit: ColumnElement[int], pool: str, before: int) -> Row[Any] | None:
        query: Select[Any] = select(unit.label("at"), table.c.in_use, table.c.seats)
        query = query.where(self._mine(table), table.c.pool == pool, unit < before)
        return self._connection.execute(query.order_by(unit.desc()).limit(1)).first()

    def first_with(self, pool: str, peak: int, minutes: range) -> int | None:
        """The first of these minutes with this peak."""
        usage = schema.usage_minute.c
        return self._connection.execute(
            select(func.min(usage.minute))
            .where(self._mine(schema.usage_minute), usage.pool == pool, usage.peak >= peak)
            .where(_within(usage.minute, minutes))
        ).scalar()

    def expired_sessions(self, pool_id: int | None) -> int:
        """How many sessions expired in the span that the journal does not have yet."""
        session = schema.session.c
        return self._connection.execute(
            select(func.count())
            .select_from(schema.session)
            .where(self._mine(schema.session), session.pool_id.is_not_distinct_from(pool_id))
            .where(session.expires_at_ms >= self.from_ms, session.expires_at_ms < self.until_ms)
            .where(session.expires_at_ms <= self.now_ms)
        ).scalar_one()

    def user_names(self) -> dict[str, str]:
        """The names of all current users, by their initials."""
        user = schema.user
        query = select(user.c.initials, user.c.name).where(self._mine(user))
        return {row.initials: row.name for row in self._all(query)}

    def _parts(self, unit_ms: int) -> _Parts:
        """The units that are read from sums, and the minutes that are not."""
        minutes, length = self.minutes, unit_ms // MINUTE_MS
        first = self.from_ms // unit_ms if self._is_cut else -(-self.from_ms // unit_ms)
        last = min(self.until_ms, self._summed_ms) // unit_ms
        if first >= last:
            return _Parts(range(0), range(0), minutes)
        return _Parts(
            range(first, last),
            range(minutes.start, first * length),
            range(last * length, minutes.stop),
        )

    def _mine(self, table: FromClause) -> ColumnElement[bool]:
        return table.c.tenant_id == self._tenant_id

    def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return self._connection.execute(query).all()


def _within(column: ColumnElement[int], units: range) -> ColumnElement[bool]:
    return (column >= units.start) & (column < units.stop)


def _after(at_ms: int, step_ms: int, floor: Callable[[int, tzinfo | None], int], zone: tzinfo | None) -> int:
    """Where the next part begins.

    Where a clock is set back by half an hour, as on Lord Howe Island, that half hour is a part of its own.
    """
    following = floor(at_ms + step_ms, zone)
    return following if following > at_ms else at_ms + step_ms


def hour_of(at_ms: int, zone: tzinfo | None) -> int:
    """When the hour of an instant began."""
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    return round(local.replace(minute=0, second=0).timestamp()) * 1000


def day_of(at_ms: int, zone: tzinfo | None) -> int:
    """When the day of an instant began."""
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    return round(local.replace(hour=0, minute=0, second=0, fold=0).timestamp()) * 1000
