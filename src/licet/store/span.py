"""A span of time: what the store keeps about one tenant in it, and the days and hours that it is made of.

One method is one query. A span is half open. It knows nothing of what its rows mean together:
`licet.store.usage` does.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select

from licet.store import schema
from licet.store.journal import HOUR_MS, MINUTE_MS

# Every time zone of today is a multiple of a quarter of an hour away from UTC, so that no quarter of an hour
# is in two hours or days, and a year has few enough of them.
_QUARTER = 15


class Step(NamedTuple):
    """Use of a pool changed: the most at once in this minute, and what was in use at its end."""

    minute: int
    peak: int
    in_use: int
    seats: int


class Span(NamedTuple):
    """What is read of one tenant in a span. One that reaches up to now includes this very millisecond."""

    connection: Connection
    tenant_id: int
    from_ms: int
    until_ms: int
    now_ms: int
    zone: tzinfo | None

    @property
    def minutes(self) -> range:
        """Those that it touches."""
        return range(self.from_ms // MINUTE_MS, -(-self.until_ms // MINUTE_MS))

    @property
    def hours(self) -> range:
        """Those that begin in it."""
        return range(-(-self.from_ms // HOUR_MS), -(-self.until_ms // HOUR_MS))

    def includes(self, at_ms: int) -> bool:
        """Whether this instant is in it."""
        return self.from_ms <= at_ms < self.until_ms

    def edges(self, floor: Callable[[int, tzinfo | None], int], step_ms: int) -> list[int]:
        """Where its parts begin, and its end. From the begin of one part, a step leads into the next."""
        edges = [self.from_ms]
        at_ms = floor(self.from_ms, self.zone)
        while (at_ms := floor(at_ms + step_ms, self.zone)) < self.until_ms:
            edges.append(at_ms)
        return [*edges, self.until_ms] if self.from_ms < self.until_ms else []

    def journal(self) -> Sequence[Row[Any]]:
        """What happened, folded over all of the span."""
        it = schema.journal.c
        key = (it.pool, it.kind, it.reason, it.client_id, it.initials)
        return self._all(
            select(
                *key,
                func.sum(it.times).label("times"),
                func.min(it.first_at_ms).label("first_at_ms"),
                func.max(it.last_at_ms).label("last_at_ms"),
            )
            .where(self._mine(schema.journal), self._in(it.minute, self.minutes))
            .group_by(*key)
        )

    def denied(self, pool: str) -> Sequence[Row[Any]]:
        """How many grants were denied, by quarters of an hour."""
        it = schema.journal.c
        quarter = (it.minute // _QUARTER).label("quarter")
        return self._all(
            select(quarter, func.max(it.minute).label("minute"), func.sum(it.times).label("times"))
            .where(self._mine(schema.journal), self._in(it.minute, self.minutes))
            .where(it.kind == "denied", it.pool == pool)
            .group_by("quarter")
        )

    def pools_held(self) -> set[str]:
        """Those of which seats came back that were held in this span."""
        it = schema.usage_hour.c
        query = select(it.pool).distinct().where(self._mine(schema.usage_hour))
        return {row.pool for row in self._all(query.where(self._in(it.hour, self.hours)))}

    def held(self, pool: str) -> Sequence[Row[Any]]:
        """For how long seats were held that came back."""
        it = schema.usage_hour.c
        key = (it.client_id, it.initials)
        return self._all(
            select(*key, func.sum(it.held_ms).label("held_ms"))
            .where(self._mine(schema.usage_hour), it.pool == pool, self._in(it.hour, self.hours))
            .group_by(*key)
        )

    def taken(self, pool_id: int) -> Sequence[Row[Any]]:
        """The seats that did not come back yet, though they may have expired, the first to expire first."""
        seat = schema.seat
        return self._all(select(seat).where(seat.c.pool_id == pool_id).order_by(seat.c.expires_at_ms))

    def steps(self, pool: str) -> list[Step]:
        """How use changed, by quarters of an hour."""
        table, it = schema.usage_minute, schema.usage_minute.c
        quarter = (it.minute // _QUARTER).label("quarter")
        top = (
            select(quarter, func.max(it.minute).label("last"), func.max(it.peak).label("peak"))
            .where(self._mine(table), it.pool == pool, self._in(it.minute, self.minutes))
            .group_by("quarter")
            .subquery()
        )
        rows = self._all(
            select(it.minute, top.c.peak, it.in_use, it.seats)
            .join(top, it.minute == top.c.last)
            .where(self._mine(table), it.pool == pool)
            .order_by(it.minute)
        )
        return [Step(row.minute, row.peak, row.in_use, row.seats) for row in rows]

    def last_before(self, pool: str) -> Row[Any] | None:
        """How many seats were in use when use last changed before the span."""
        table, it = schema.usage_minute, schema.usage_minute.c
        query: Select[Any] = select(it.in_use, it.seats).where(self._mine(table), it.pool == pool)
        earlier = query.where(it.minute < self.minutes.start).order_by(it.minute.desc()).limit(1)
        return self.connection.execute(earlier).first()

    def first_with(self, pool: str, peak: int) -> int | None:
        """The first minute of the span with this peak."""
        it = schema.usage_minute.c
        return self.connection.execute(
            select(func.min(it.minute))
            .where(self._mine(schema.usage_minute), it.pool == pool, it.peak >= peak)
            .where(self._in(it.minute, self.minutes))
        ).scalar()

    def expired_sessions(self, pool_id: int | None) -> int:
        """How many sessions expired in the span that the journal does not know of yet."""
        it = schema.session.c
        return self.connection.execute(
            select(func.count())
            .select_from(schema.session)
            .where(self._mine(schema.session), it.pool_id.is_not_distinct_from(pool_id))
            .where(it.expires_at_ms >= self.from_ms, it.expires_at_ms < self.until_ms)
            .where(it.expires_at_ms <= self.now_ms)
        ).scalar_one()

    def user_names(self) -> dict[str, str]:
        """The names of all users of today, by their initials."""
        user = schema.user
        query = select(user.c.initials, user.c.name).where(self._mine(user))
        return {row.initials: row.name for row in self._all(query)}

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return table.c.tenant_id == self.tenant_id

    def _in(self, column: ColumnElement[int], units: range) -> ColumnElement[bool]:
        return (column >= units.start) & (column < units.stop)

    def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return self.connection.execute(query).all()


def hour_of(at_ms: int, zone: tzinfo | None) -> int:
    """When the hour of an instant began."""
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    return round(local.replace(minute=0, second=0).timestamp()) * 1000


def day_of(at_ms: int, zone: tzinfo | None) -> int:
    """When the day of an instant began."""
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    return round(local.replace(hour=0, minute=0, second=0, fold=0).timestamp()) * 1000
