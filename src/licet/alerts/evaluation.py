"""Evaluates alerts every few seconds, off the request path: raises and clears them for each pool.

A grant pays nothing for it. What was reported is written in the transaction that queues the message, so that
a crash neither loses an alert nor repeats it.

The rules:

- A threshold is reached when so many per cent of the seats were in use at once, now or within the last
  `QUIET_MS`: a short peak between two evaluations counts. It is reported once, and of several at a time only
  the highest.
- It is cleared when for `QUIET_MS` the use was more than `MARGIN` points below it. When the last threshold of
  a pool is cleared, one message says that the pool is back to normal.
- A denial is reported at once, and those that follow together, every `QUIET_MS` at most, with their number.
- The overdraft of a signed pool (L14) is reported when it is used, once until nobody used it for `QUIET_MS`.
- Before and at the end of a licence: `licence_ends.py`; of one that a vendor signed: `signed_licences.py`.
- Installed licences that count for nothing: `uncounted_licences.py`.
- Seats that are used from many addresses: `shared_seats.py`; full queues: `full_queues.py`.
- A message has numbers only: never who holds a seat, or was denied one. Only the alert of a shared seat names
  its client.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, update

from licet.alerts.full_queues import full_queues, note_queue
from licet.alerts.licence_ends import licence_ends, note
from licet.alerts.notices import MARGIN, OVERDRAFT, QUIET_MS, Notice, kept_notices, write_notice
from licet.alerts.outbox import BY_MAIL, put
from licet.alerts.pool_seats import signed_pool
from licet.alerts.shared_seats import note_shared, shared_seats
from licet.alerts.signed_licences import signed_licences
from licet.alerts.uncounted_licences import uncounted_licences
from licet.formats import instant
from licet.ledger.signed_pools import room_of, seats_of
from licet.model import DENIED, NoSeatReason, Pool, Tenant, read_alerts
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.snapshots import read_tenants
from licet.store.upserts import insert_into
from licet.units import MINUTE_MS

TENANTS_MAX = 100  # whose denials are read one by one; those of more are read for all together
LOOK_BACK_MS = 60 * MINUTE_MS  # for denials after a time without a leader

THRESHOLD_REACHED = "pool.threshold_reached"
BACK_TO_NORMAL = "pool.back_to_normal"
POOL_DENIED = "pool.denied"
OVERDRAFT_USED = "pool.overdraft_used"

# A batch under way at an evaluation may still add to the minute before.
_MINUTES_UNDER_WAY = 1
# Who is denied for one of these was not denied for want of a seat.
_KEPT_OUT = (NoSeatReason.SUSPENDED, NoSeatReason.EXCLUDED, NoSeatReason.NOT_INCLUDED)


class _Denials(NamedTuple):
    """The denials of one pool in one minute, for one reason."""

    minute: int
    reason: str
    times: int
    first_at_ms: int
    last_at_ms: int


class _Pool(NamedTuple):
    """A pool as it is evaluated. `peak` is that of the last `QUIET_MS`; `raised` has the rows of `alert`.

    `seats_lately` is the most seats that it had then: at a step down, the peak was within them.
    """

    id: int
    tenant_id: int
    tenant: str
    name: str
    seats: int
    seats_lately: int
    overdraft: int  # how many seats more may be used (L14)
    in_use: int
    alerts: tuple[str, ...]
    peak: int
    denials: Sequence[_Denials]
    denials_from: int  # the first minute that `denials` covers
    raised: Mapping[str, Row[Any]]

    @property
    def thresholds(self) -> list[int]:
        """Its percentages, ascending."""
        return [int(alert) for alert in self.alerts if alert.isdigit()]

    @property
    def thresholds_raised(self) -> list[int]:
        """Those that are raised, ascending."""
        return sorted(
            int(alert) for alert, row in self.raised.items() if alert.isdigit() and row.cleared_at_ms is None
        )


class _Step(NamedTuple):
    """One thing to write: that these thresholds are raised or cleared, and what the message says."""

    pool: _Pool
    raises: tuple[str, ...] = ()
    clears: tuple[str, ...] = ()
    told_times: int = 0
    type: str = ""
    data: Mapping[str, object] = {}


class _Message(NamedTuple):
    """A message to all webhooks and addresses of a tenant's pools."""

    tenant_id: int
    type: str
    data: Mapping[str, object]


class _News(Protocol):
    """Something to write, with a message or none: the type of that is empty."""

    @property
    def tenant_id(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> Mapping[str, object]: ...


_N = TypeVar("_N", bound=_News)


def look(store: Store, *, by_mail: bool = False, is_first: bool = False, verifies: bool = True) -> int:
    """Evaluate all pools, write what is new, and queue its messages; return how many.

    `by_mail`: there are e-mail addresses, beside the webhooks. `is_first`: nobody may have evaluated for a
    while. `verifies`: read all licences and verify them, too. Raises StoreUnavailable.
    """
    back_ms = LOOK_BACK_MS if is_first else QUIET_MS + 2 * MINUTE_MS
    store.refresh_tenants()
    tenants = store.tenants()
    with store.reading() as connection:
        now_ms = store.clock.now_ms()
        # Read whole: a query that is not read to its end keeps this connection at its instant, and the next
        # reader would miss what was committed since.
        news = [
            *_steps(connection, tenants, now_ms, back_ms),
            *licence_ends(connection, tenants, now_ms),
            *shared_seats(connection, tenants, now_ms),
            *full_queues(connection, tenants, now_ms),
            *_of_signed(connection, tenants, now_ms, verifies=verifies),
        ]
        if not news:
            return 0
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection, now_ms = transaction.connection, transaction.now_ms
        # As of this transaction: no change of the set-up is made beside it.
        signed = {key for key, tenant in tenants.items() if any(map(_is_signed, tenant.pools.values()))}
        tenants = {tenant.id: tenant for tenant in read_tenants(connection, signed)}
        messages = list(_written(connection, tenants, now_ms, back_ms, verifies=verifies))
        return _queue(connection, messages, now_ms, by_mail=by_mail)


def _is_signed(pool: Pool) -> bool:
    return pool.signed is not None


def _of_signed(
    connection: Connection, tenants: Mapping[int, Tenant], now_ms: int, *, verifies: bool
) -> Iterator[Notice]:
    kept = kept_notices(connection)
    yield from signed_licences(connection, tenants, kept, now_ms)
    if verifies:
        yield from uncounted_licences(connection, tenants, kept, now_ms)


def _written(
    connection: Connection, tenants: Mapping[int, Tenant], now_ms: int, back_ms: int, *, verifies: bool
) -> Iterator[_Message]:
    """Write what is new; the messages about it, where no other node wrote it first."""
    steps = list(_steps(connection, tenants, now_ms, back_ms))
    ends = list(licence_ends(connection, tenants, now_ms))
    shared = list(shared_seats(connection, tenants, now_ms))
    queues = list(full_queues(connection, tenants, now_ms))
    notices = list(_of_signed(connection, tenants, now_ms, verifies=verifies))
    for step in steps:
        if _write(connection, step, now_ms) and step.type:
            yield _Message(step.pool.tenant_id, step.type, _data(step))
    yield from _noted(connection, ends, note, now_ms)
    yield from _noted(connection, shared, note_shared, now_ms)
    yield from _noted(connection, queues, note_queue, now_ms)
    yield from _noted(connection, notices, write_notice, now_ms)


def _noted(
    connection: Connection, news: Iterable[_N], write: Callable[[Connection, _N, int], bool], now_ms: int
) -> Iterator[_Message]:
    for one in news:
        if write(connection, one, now_ms) and one.type:
            yield _Message(one.tenant_id, one.type, one.data)


def _steps(
    connection: Connection, tenants: Mapping[int, Tenant], now_ms: int, back_ms: int
) -> Iterator[_Step]:
    for pool in _pools(connection, tenants, now_ms, back_ms):
        yield from _of_thresholds(pool)
        yield from _of_overdraft(pool)
        yield from _of_denials(pool, now_ms)


def _of_thresholds(pool: _Pool) -> Iterator[_Step]:
    level, raised = max(pool.in_use, pool.peak), pool.thresholds_raised
    reached = [
        threshold
        for threshold in pool.thresholds
        if threshold not in raised and _is_reached(pool, level, threshold)
    ]
    if reached:
        data = {"threshold": reached[-1], "peak": level}
        yield _Step(pool, raises=_names(reached), type=THRESHOLD_REACHED, data=data)
    unwanted = [threshold for threshold in raised if threshold not in pool.thresholds]
    left = [
        threshold for threshold in raised if threshold not in unwanted and _is_left(pool, level, threshold)
    ]
    if not left:
        if unwanted:
            yield _Step(pool, clears=_names(unwanted))
        return
    is_normal = not reached and len(left) + len(unwanted) == len(raised)
    since_ms = min(pool.raised[str(threshold)].raised_at_ms for threshold in raised)
    yield _Step(
        pool,
        clears=_names([*left, *unwanted]),
        type=BACK_TO_NORMAL if is_normal else "",
        data={"threshold": left[0], "since": instant(since_ms)},
    )


def _is_reached(pool: _Pool, level: int, threshold: int) -> bool:
    return level > 0 and level * 100 >= threshold * pool.seats_lately


def _is_left(pool: _Pool, level: int, threshold: int) -> bool:
    return level == 0 or level * 100 < (threshold - MARGIN) * pool.seats_lately


def _of_overdraft(pool: _Pool) -> Iterator[_Step]:
    level, row = max(pool.in_use, pool.peak), pool.raised.get(OVERDRAFT)
    is_raised = row is not None and row.cleared_at_ms is None
    # Of a pool whose licence is over nothing is overdraft.
    is_used = bool(pool.alerts) and pool.overdraft > 0 and level > pool.seats_lately
    if is_used and not is_raised:
        data = {"overdraft": pool.overdraft, "peak": level}
        yield _Step(pool, raises=(OVERDRAFT,), type=OVERDRAFT_USED, data=data)
    elif is_raised and not is_used:
        yield _Step(pool, clears=(OVERDRAFT,))


def _of_denials(pool: _Pool, now_ms: int) -> Iterator[_Step]:
    row = pool.raised.get(DENIED)
    if DENIED not in pool.alerts:
        if row is not None and row.cleared_at_ms is None:
            yield _Step(pool, clears=(DENIED,))
        return
    counted = [denial for denial in pool.denials if denial.minute >= _first_minute(pool, row)]
    reported_before: int = row.told_times if row is not None and _is_in_view(pool, row) else 0
    times = sum(denial.times for denial in counted) - reported_before
    if times > 0 and (row is None or now_ms - row.told_at_ms >= QUIET_MS):
        first_at_ms = min(denial.first_at_ms for denial in counted)
        since_ms = row.told_at_ms if row is not None and reported_before else first_at_ms
        yield _Step(
            pool,
            raises=(DENIED,),
            told_times=sum(denial.times for denial in counted if denial.minute >= _still_open(now_ms)),
            type=POOL_DENIED,
            data={
                "denials": times,
                "reasons": sorted({denial.reason for denial in counted}),
                "since": instant(since_ms),
            },
        )
    elif times <= 0 and row is not None and row.cleared_at_ms is None:
        last_at_ms = max((denial.last_at_ms for denial in counted), default=0)
        if now_ms - max(last_at_ms, row.told_at_ms) >= QUIET_MS:
            yield _Step(pool, clears=(DENIED,))


def _still_open(at_ms: int) -> int:
    """The first minute to which a denial may be added after this instant."""
    return at_ms // MINUTE_MS - _MINUTES_UNDER_WAY


def _is_in_view(pool: _Pool, row: Row[Any]) -> bool:
    """Whether the denials that were read include the minutes that were still open at the last report."""
    return bool(_still_open(row.told_at_ms) >= pool.denials_from)


def _first_minute(pool: _Pool, row: Row[Any] | None) -> int:
    """The first minute whose denials count; `told_times` is how many of them were reported already."""
    if row is None:
        return pool.denials_from
    if _is_in_view(pool, row):
        return _still_open(row.told_at_ms)
    return max(pool.denials_from, int(row.told_at_ms) // MINUTE_MS + 1)


def _names(thresholds: Iterable[int]) -> tuple[str, ...]:
    return tuple(map(str, thresholds))


# Reading


def _pools(
    connection: Connection, tenants: Mapping[int, Tenant], now_ms: int, back_ms: int
) -> Iterator[_Pool]:
    pool, tenant = schema.pool.c, schema.tenant.c
    raised = _raised(connection, now_ms)
    peaks = _peaks(connection, (now_ms - QUIET_MS) // MINUTE_MS)
    denials_from = (now_ms - back_ms) // MINUTE_MS
    query = select(schema.pool, tenant.name.label("tenant")).join(schema.tenant, tenant.id == pool.tenant_id)
    wanted = or_(pool.alerts != "", pool.alerts_more != "", pool.id.in_(select(schema.alert.c.pool_id)))
    rows = connection.execute(query.where(wanted).order_by(pool.id)).all()
    asked = {row.tenant_id for row in rows if _may_report_denials(row, raised[row.id], now_ms)}
    denials = _denials(connection, denials_from, asked)
    for row in rows:
        seats, lately, room = _seats(row, tenants, now_ms)
        yield _Pool(
            id=row.id,
            tenant_id=row.tenant_id,
            tenant=row.tenant,
            name=row.name,
            seats=seats,
            seats_lately=lately,
            overdraft=room - seats,
            in_use=row.in_use,
            alerts=read_alerts(f"{row.alerts} {row.alerts_more}"),
            peak=peaks.get((row.tenant_id, row.name), 0),
            denials=denials[row.tenant_id, row.name],
            denials_from=denials_from,
            raised=raised[row.id],
        )


def _seats(row: Row[Any], tenants: Mapping[int, Tenant], now_ms: int) -> tuple[int, int, int]:
    """How many seats a pool has, the most that it had lately, and how many may be used now."""
    pool = signed_pool(row, tenants)
    if pool is None:
        return row.seats, row.seats, row.seats
    seats = seats_of(pool, now_ms)
    return seats, max(seats, seats_of(pool, now_ms - QUIET_MS)), room_of(pool, now_ms)


def _raised(connection: Connection, now_ms: int) -> defaultdict[int, dict[str, Row[Any]]]:
    """The raised alerts, and of denials those that were reported lately."""
    alert = schema.alert.c
    lately = (alert.threshold == DENIED) & (alert.told_at_ms >= now_ms - LOOK_BACK_MS - 2 * MINUTE_MS)
    found: defaultdict[int, dict[str, Row[Any]]] = defaultdict(dict)
    for row in connection.execute(select(schema.alert).where(or_(alert.cleared_at_ms.is_(None), lately))):
        found[row.pool_id][row.threshold] = row
    return found


def _peaks(connection: Connection, from_minute: int) -> dict[tuple[int, str], int]:
    minute = schema.usage_minute.c
    # Not in the order of the key: for that SQLite would read all minutes.
    tenant_id = (minute.tenant_id + 0).label("tenant_id")
    query = select(tenant_id, minute.pool, func.max(minute.peak).label("peak"))
    rows = connection.execute(query.where(minute.minute >= from_minute).group_by(tenant_id, minute.pool))
    return {(row.tenant_id, row.pool): row.peak for row in rows}


def _may_report_denials(pool: Row[Any], raised: Mapping[str, Row[Any]], now_ms: int) -> bool:
    """Whether the denials of a pool make a difference: for a while after a report they do not.

    So they are not read again and again while many clients are denied.
    """
    row = raised.get(DENIED)
    return DENIED in read_alerts(pool.alerts) and (row is None or now_ms - row.told_at_ms >= QUIET_MS)


def _denials(
    connection: Connection, from_minute: int, tenants: Collection[int]
) -> defaultdict[tuple[int, str], list[_Denials]]:
    """The denials of these tenants, and of any where they are many."""
    denial = schema.whole_denials.c
    is_denial = denial.reason.not_in(_KEPT_OUT)
    by = (denial.tenant_id, denial.pool, denial.minute, denial.reason)
    query = select(
        *by,
        func.sum(denial.times).label("times"),
        func.min(denial.first_at_ms).label("first_at_ms"),
        func.max(denial.last_at_ms).label("last_at_ms"),
    )
    found: defaultdict[tuple[int, str], list[_Denials]] = defaultdict(list)
    if not tenants:
        return found
    if len(tenants) <= TENANTS_MAX:
        query = query.where(denial.tenant_id.in_(sorted(tenants)))
    for row in connection.execute(query.where(denial.minute >= from_minute, is_denial).group_by(*by)):
        denials = _Denials(row.minute, row.reason, int(row.times), row.first_at_ms, row.last_at_ms)
        found[row.tenant_id, row.pool].append(denials)
    return found


# Writing


def _write(connection: Connection, step: _Step, now_ms: int) -> bool:
    """Return whether no other node wrote it first: the leader may change during an evaluation."""
    is_mine = False
    for threshold in step.raises:
        is_mine = _raise(connection, step, threshold, now_ms)
    for threshold in step.clears:
        alert, before = schema.alert.c, step.pool.raised[threshold]
        as_seen = (
            (alert.pool_id == step.pool.id)
            & (alert.threshold == threshold)
            & (alert.raised_at_ms == before.raised_at_ms)
            & alert.cleared_at_ms.is_(None)
        )
        cleared = update(schema.alert).where(as_seen).values(cleared_at_ms=now_ms)
        is_mine = connection.execute(cleared).rowcount == 1
    return is_mine


def _raise(connection: Connection, step: _Step, threshold: str, now_ms: int) -> bool:
    alert, before = schema.alert.c, step.pool.raised.get(threshold)
    is_on = before is not None and before.cleared_at_ms is None
    values = {
        "raised_at_ms": before.raised_at_ms if before is not None and is_on else now_ms,
        "cleared_at_ms": None,
        "told_at_ms": now_ms,
        "told_times": step.told_times,
    }
    as_seen: ColumnElement[bool] = alert.cleared_at_ms.is_not(None)
    if threshold == DENIED and before is not None:
        as_seen = alert.told_at_ms == before.told_at_ms
    # Where two nodes insert it at once, one succeeds.
    statement = insert_into(connection, schema.alert).values(
        pool_id=step.pool.id, threshold=threshold, tenant_id=step.pool.tenant_id, **values
    )
    statement = statement.on_conflict_do_update(
        index_elements=[alert.pool_id, alert.threshold], set_=values, where=as_seen
    )
    return connection.execute(statement.returning(alert.pool_id)).first() is not None


def _queue(connection: Connection, messages: Iterable[_Message], now_ms: int, *, by_mail: bool) -> int:
    webhook = schema.webhook.c
    webhooks = connection.execute(
        select(webhook.id, webhook.tenant_id).where(webhook.enabled).order_by(webhook.created_at_ms)
    ).all()
    queued = 0
    for message in messages:
        ids = [hook.id for hook in webhooks if hook.tenant_id in {None, message.tenant_id}]
        queued += len(
            put(
                connection,
                webhook_ids=[*ids, *([BY_MAIL] if by_mail else [])],
                tenant_id=message.tenant_id,
                type=message.type,
                payload=payload(message.type, now_ms, message.data),
                now_ms=now_ms,
            )
        )
    return queued


def payload(type_: str, at_ms: int, data: Mapping[str, object]) -> str:
    """The body of a message: JSON in one line."""
    content = {"type": type_, "timestamp": instant(at_ms), "data": data}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _data(step: _Step) -> dict[str, object]:
    pool = step.pool
    return {
        "tenant": pool.tenant,
        "pool": pool.name,
        "seats": pool.seats,
        "in_use": pool.in_use,
        **step.data,
    }
