"""Reads the journal newest first: grants, denials, endings, failures, and what administrators did.

The rules:

- The journal is folded by minute: one entry counts equal grants, denials or endings of a client in one
  minute. Entries of the last seconds, which are not folded yet, are added to their row when a page is read:
  so a page is the same before and after, and a cursor stays right.
- The place of a journal entry is its first time in that minute, or its last where that is what is shown;
  that of an event is when it was made.
- By the first time, a page stays right while rows are added, which are newer than any cursor. By the last, an
  entry of the newest minute that counts once more meanwhile moves to a page that was read before.
- Failed authentications have a table of their own, because they may be of no tenant (`failures.py`).

The module only reads.
"""

from collections.abc import Iterator
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    func,
    literal,
    null,
    select,
    tuple_,
)

from licet.journal.kinds import Kind as Kind  # noqa: PLC0414 - with what it is a part of
from licet.journal.minute_sql import Conditions, equal, within
from licet.journal.summary import DENIED
from licet.journal.waiting import DENIALS, GRANTS_AND_ENDINGS, Entries, counted, same_row, will_be
from licet.model import Tenant, Value, Who
from licet.store import schema
from licet.store.paging import LIMIT, bounded, read_cursor, write_cursor
from licet.units import MINUTE_MS


class HistoryFilter(Value, frozen=True, kw_only=True):
    """Which entries: those from `from_ms` on and before `until_ms`; None, '' and no kinds are all.

    `actor`, `action` and `licence` select events only, `reason` the journal only. `pool`, `client`,
    `user` and `licence` select of the events those with this target. `with_administrators` is as in
    `FailureFilter`.
    """

    kinds: frozenset[Kind] = frozenset()
    reason: str = ""
    pool: str = ""
    client: str = ""
    user: str = ""  # initials
    actor: str = ""
    action: str = ""  # install, refuse, trust, add, ...
    licence: str = ""  # its id
    from_ms: int | None = None
    until_ms: int | None = None
    with_administrators: bool = False


class JournalEntry(Value, frozen=True, kw_only=True, tag_field="entry", tag="journal"):
    """One entry of the journal: how often in its minute, when first and last.

    `seats` and `in_use` are the pool's at the last denial, `address` is that of the last time. `pool` is ''
    where no seat is needed. Of a failed authentication `reason` is the cause, `tenant` and `client_id` are ''
    where there is none, and `client_id` is the name of an administrator or an API key (`who`).
    """

    tenant: str
    kind: Kind
    reason: str
    pool: str
    client_id: str
    initials: str
    times: int
    first_at_ms: int
    last_at_ms: int
    seats: int | None
    in_use: int | None
    address: str
    who: Who = Who.CLIENT


class EventEntry(Value, frozen=True, kw_only=True, tag_field="entry", tag="event"):
    """What an administrator did to a `target` like "client Desk"; `tenant` is '' for no single one."""

    tenant: str
    at_ms: int
    actor: str
    action: str
    target: str
    detail: str


class HistoryPage(Value, frozen=True, kw_only=True):
    """Entries, newest first; `next` is the cursor of the next page, None at the end."""

    entries: tuple[JournalEntry | EventEntry, ...]
    next: str | None


_ROWS_MAX = 20_000  # that are read at once


class By(StrEnum):
    """The time that is the place of a journal entry, by the name of its column."""

    FIRST = "first_at_ms"
    LAST = "last_at_ms"


# The place of an entry: its instant, and values that no two entries of one instant share. A journal entry has
# its key there, up to its tenant's id; an event has its own id. Their kinds put both into one order.
_Place = tuple[int, str, str, str, str, int]


class _Part(NamedTuple):
    """Which part of the entries: at most `limit` of those behind `place`, in the order of this time."""

    by: By
    place: _Place | None
    limit: int

    def place_of(self, row: Row[Any]) -> _Place:
        at_ms: int = getattr(row, self.by)
        return (at_ms, row.kind, row.reason, row.pool, row.client_id, row.tenant_id)

    def behind(self, query: Select[Any], table: FromClause) -> Select[Any]:
        """The rows of this part; the query has the columns of the table."""
        entry = table.c
        order = (entry[self.by], entry.kind, entry.reason, entry.pool, entry.client_id, entry.tenant_id)
        if self.place is not None:
            query = query.where(entry.minute <= self.place[0] // MINUTE_MS)
            query = query.where(tuple_(*order) < tuple_(*map(literal, self.place)))
        # The minute comes first, because there is an index on it.
        return query.order_by(entry.minute.desc(), *(column.desc() for column in order)).limit(self.limit)


def history(
    connection: Connection,
    tenant: Tenant | None,
    *,
    only: HistoryFilter | None = None,
    by: By = By.FIRST,
    after: str | None = None,
    limit: int = LIMIT,
) -> HistoryPage:
    """The entries of a tenant; None is all tenants, and entries of none.

    `after` is the cursor of the page before, in the same order. Raises InvalidCursor.
    """
    only, limit = only or HistoryFilter(), bounded(limit)
    place = None if after is None else read_cursor(after, tuple[int, str, str, str, str, int])
    part = _Part(by, place, limit + 1)
    rows = merge(
        _journal(connection, tenant, only, part),
        _events(connection, tenant, only, part),
        key=lambda placed: placed[0],
        reverse=True,
    )
    found = list(islice(rows, limit + 1))
    return HistoryPage(
        entries=tuple(entry for _, entry in found[:limit]),
        next=write_cursor(*found[limit - 1][0]) if len(found) > limit else None,
    )


def _journal(
    connection: Connection, tenant: Tenant | None, only: HistoryFilter, part: _Part
) -> Iterator[tuple[_Place, JournalEntry | EventEntry]]:
    kinds = _kinds(only)
    if only.actor or only.action or only.licence or not kinds:
        return
    parts = []
    if kinds != {Kind.FAILED}:
        parts.append(_folded(connection, tenant, only, part))
    if kinds & {Kind.GRANTED, Kind.ENDED}:
        parts.append(_unfolded(connection, tenant, only, part, GRANTS_AND_ENDINGS))
    if Kind.DENIED in kinds:
        parts.append(_unfolded(connection, tenant, only, part, DENIALS))
    if Kind.FAILED in kinds and not only.pool:
        parts.append(_failed(connection, tenant, only, part))
    for row in merge(*parts, key=part.place_of, reverse=True):
        yield part.place_of(row), _happened(row)


def _folded(
    connection: Connection, tenant: Tenant | None, only: HistoryFilter, part: _Part
) -> Iterator[Row[Any]]:
    """Rows of the journal to which no waiting entry is added, page after page as they are needed.

    Each page looks through the entries that wait. The pages grow, as one is added to nearly every row of the
    last minute where all clients of a full pool ask again and again.
    """
    added = [
        counted(entries, *_shared(entries, tenant, only)).subquery(f"added_{entries.table.name}")
        for entries in (GRANTS_AND_ENDINGS, DENIALS)
    ]
    while True:
        found = part.behind(_rows(schema.journal, tenant, only), schema.journal).subquery("found")
        query = select(found, *(it.c.number for it in added)).select_from(found)
        for it in added:
            query = query.join(it, same_row(found.c, it.c), isouter=True)
        rows = sorted(connection.execute(query), key=part.place_of, reverse=True)
        yield from (row for row in rows if row[-1] is None and row[-2] is None)
        if len(rows) < part.limit:
            return
        part = _Part(part.by, part.place_of(rows[-1]), min(4 * part.limit, _ROWS_MAX))


def _unfolded(
    connection: Connection, tenant: Tenant | None, only: HistoryFilter, part: _Part, entries: Entries
) -> Iterator[Row[Any]]:
    """Rows as they will be when the waiting entries are folded."""
    rows = will_be(entries, *_shared(entries, tenant, only))
    yield from connection.execute(part.behind(_rows(rows, tenant, only), rows))


def _shared(entries: Entries, tenant: Tenant | None, only: HistoryFilter) -> Conditions:
    """The part of the filter that is on what all entries of a row share."""
    entry = entries.table.c
    wanted: Conditions = [] if tenant is None else [entry.tenant_id == tenant.id]
    return wanted + equal((entry.client_id, only.client))


def _failed(
    connection: Connection, tenant: Tenant | None, only: HistoryFilter, part: _Part
) -> Iterator[Row[Any]]:
    """Failed authentications as rows of the journal; the kind of caller is in the column of the pool."""
    failure = schema.authentication_failure.c
    wanted = [] if tenant is None else [failure.tenant_id == tenant.id]
    if only.client or not only.with_administrators:
        wanted.append(failure.who == Who.CLIENT.value)
    wanted += equal((failure.cause, only.reason), (failure.name, only.client), (failure.initials, only.user))
    wanted += within(failure, only.from_ms, only.until_ms)
    rows = (
        select(
            failure.tenant_id,
            failure.minute,
            literal(Kind.FAILED.value).label("kind"),
            failure.cause.label("reason"),
            failure.who.label("pool"),
            failure.name.label("client_id"),
            failure.initials,
            failure.times,
            failure.first_at_ms,
            failure.last_at_ms,
            null().label("seats"),
            null().label("in_use"),
            failure.address,
        )
        .where(*wanted)
        .subquery("failed")
    )
    its_tenant = and_(schema.tenant.c.id == rows.c.tenant_id, schema.is_there)
    name = func.coalesce(schema.tenant.c.name, "").label("tenant")
    query = select(rows, name).join_from(rows, schema.tenant, its_tenant, isouter=True)
    yield from connection.execute(part.behind(query, rows))


def _rows(table: FromClause, tenant: Tenant | None, only: HistoryFilter) -> Select[Any]:
    entry, kinds = table.c, _kinds(only)
    wanted: Conditions = [] if tenant is None else [entry.tenant_id == tenant.id]
    if kinds == {Kind.DENIED}:
        wanted.append(entry.kind == DENIED)  # which has an index
    elif len(kinds) < len(Kind) - 1:
        wanted.append(entry.kind.in_([str(kind) for kind in kinds]))
    wanted += equal(
        (entry.reason, only.reason),
        (entry.pool, only.pool),
        (entry.client_id, only.client),
        (entry.initials, only.user),
    )
    wanted += within(entry, only.from_ms, only.until_ms)
    return (
        select(table, schema.tenant.c.name.label("tenant"))
        .join_from(table, schema.tenant, schema.tenant.c.id == entry.tenant_id)
        .where(schema.is_there, *wanted)
    )


def _kinds(only: HistoryFilter) -> frozenset[Kind]:
    """The kinds of the journal that are wanted."""
    return (only.kinds or frozenset(Kind)) - {Kind.EVENT}


def _happened(row: Row[Any]) -> JournalEntry:
    is_failure = row.kind == Kind.FAILED
    return JournalEntry(
        tenant=row.tenant,
        kind=Kind(row.kind),
        reason=row.reason,
        pool="" if is_failure else row.pool,
        client_id=row.client_id,
        initials=row.initials,
        times=int(row.times),
        first_at_ms=row.first_at_ms,
        last_at_ms=row.last_at_ms,
        seats=row.seats,
        in_use=row.in_use,
        address=row.address,
        who=Who(row.pool) if is_failure else Who.CLIENT,
    )


def _events(
    connection: Connection, tenant: Tenant | None, only: HistoryFilter, part: _Part
) -> Iterator[tuple[_Place, JournalEntry | EventEntry]]:
    if only.reason or (only.kinds and Kind.EVENT not in only.kinds):
        return
    event = schema.event.c
    query = select(schema.event).where(*_events_wanted(tenant, only))
    if part.place is not None:
        at_ms, kind, *_, event_id = part.place
        if kind == Kind.EVENT:
            query = query.where(tuple_(event.at_ms, event.id) < tuple_(literal(at_ms), literal(event_id)))
        else:
            query = query.where(event.at_ms <= at_ms if kind > Kind.EVENT else event.at_ms < at_ms)
    for row in connection.execute(query.order_by(event.at_ms.desc(), event.id.desc()).limit(part.limit)):
        yield (
            (row.at_ms, Kind.EVENT, "", "", "", row.id),
            EventEntry(
                tenant=row.tenant,
                at_ms=row.at_ms,
                actor=row.actor,
                action=row.action,
                target=row.target,
                detail=row.detail,
            ),
        )


def _events_wanted(tenant: Tenant | None, only: HistoryFilter) -> Conditions:
    event = schema.event.c
    wanted: Conditions = []
    if tenant is not None:  # Events outlive a tenant: not those of an earlier one of this name.
        of_name = schema.event.alias("of_name").c
        added = select(func.max(of_name.id)).where(
            of_name.tenant == tenant.name,
            of_name.action == "add",
            of_name.target == f"tenant {tenant.name}",
        )
        wanted += [event.tenant == tenant.name, event.id >= func.coalesce(added.scalar_subquery(), 0)]
    if only.actor:
        wanted.append(event.actor == only.actor)
    if only.action:
        wanted.append(event.action == only.action)
    named = {"pool": only.pool, "client": only.client, "user": only.user, "licence": only.licence}
    targets = [f"{noun} {name}" for noun, name in named.items() if name]
    if targets:
        wanted.append(event.target.in_(targets))
    if only.from_ms is not None:
        wanted.append(event.at_ms >= only.from_ms)
    if only.until_ms is not None:
        wanted.append(event.at_ms < only.until_ms)
    return wanted
