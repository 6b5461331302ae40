"""Remembers which alerts of licences, overdraft and queues were reported, so that each is reported once.

A notice is a row of the table `alert`, beside the thresholds of the same pool. Its key says what it is about:
`licence_expires 1830297600000`. It is written in the transaction that queues the message, and removed when
what it reports is no longer true.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, delete, or_, select

from licet.store import schema
from licet.store.upserts import insert_into
from licet.units import MINUTE_MS

QUIET_MS = 10 * MINUTE_MS  # a guess: long enough to fold a busy morning, short enough to act on
MARGIN = 5  # percentage points below a threshold, to which use must fall before an alert ends

LICENCE_EXPIRES = "licence_expires"
LICENCE_GRACE = "licence_grace"
LICENCE_EXPIRED = "licence_expired"
LICENCE_INVALID = "licence_invalid"
OVERDRAFT = "overdraft"
QUEUE_FULL = "queue_full"
OF_LICENCES = (LICENCE_EXPIRES, LICENCE_GRACE, LICENCE_EXPIRED, LICENCE_INVALID)

Kept = Mapping[int, Mapping[str, Row[Any]]]  # of each pool, the rows by their keys


class Due(NamedTuple):
    """What is true of a pool now. Of one key only a lower `level` is news: fewer days are left."""

    key: str
    level: int
    type: str
    data: Mapping[str, object]


class Notice(NamedTuple):
    """Something to write: what is due, or that a row is no longer true, which has no `due`."""

    pool_id: int
    tenant_id: int
    key: str
    due: Due | None
    before: Row[Any] | None

    @property
    def type(self) -> str:
        """The type of the message; empty where there is none."""
        return "" if self.due is None else self.due.type

    @property
    def data(self) -> Mapping[str, object]:
        """What the message says."""
        return {} if self.due is None else self.due.data


def kept_notices(connection: Connection) -> Kept:
    """The notices about licences that were reported and are still true as far as is known."""
    alert = schema.alert.c
    found: defaultdict[int, dict[str, Row[Any]]] = defaultdict(dict)
    of_licences = or_(*(alert.threshold.startswith(f"{kind} ", autoescape=True) for kind in OF_LICENCES))
    for row in connection.execute(select(schema.alert).where(of_licences)):
        found[row.pool_id][row.threshold] = row
    return found


def news(
    due: Iterable[Due], rows: Mapping[str, Row[Any]], *, kinds: Iterable[str], pool_id: int, tenant_id: int
) -> Iterator[Notice]:
    """What has to be reported of a pool, and which of its rows of these kinds are no longer true."""
    true = {one.key: one for one in due}
    for key, one in true.items():
        row = rows.get(key)
        if row is None or one.level < row.told_times:
            yield Notice(pool_id, tenant_id, key, one, row)
    of_kinds = tuple(f"{kind} " for kind in kinds)
    for key, row in rows.items():
        if key.startswith(of_kinds) and key not in true:
            yield Notice(pool_id, tenant_id, key, None, row)


def write_notice(connection: Connection, notice: Notice, now_ms: int) -> bool:
    """Write it; return whether no other node wrote it first."""
    table, alert, before = schema.alert, schema.alert.c, notice.before
    this = and_(alert.pool_id == notice.pool_id, alert.threshold == notice.key)
    if notice.due is None:
        assert before is not None
        as_seen = and_(alert.raised_at_ms == before.raised_at_ms, alert.told_times == before.told_times)
        return connection.execute(delete(table).where(this, as_seen)).rowcount == 1
    values = {
        "raised_at_ms": now_ms if before is None else before.raised_at_ms,
        "told_at_ms": now_ms,
        "told_times": notice.due.level,
    }
    statement = insert_into(connection, table).values(
        pool_id=notice.pool_id, threshold=notice.key, tenant_id=notice.tenant_id, **values
    )
    key = [alert.pool_id, alert.threshold]
    if before is None:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    else:
        as_seen = alert.told_times == before.told_times
        statement = statement.on_conflict_do_update(index_elements=key, set_=values, where=as_seen)
    return connection.execute(statement.returning(alert.pool_id)).first() is not None
