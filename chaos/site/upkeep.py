"""Watches after the end of the load whether the nodes do their upkeep: whether the rows that are due go away.

It must begin when all nodes run and nothing is broken, and before the set-up changes again, because a change
clears away what has expired as well. The store that reads never stands for election as leader.
"""

import time
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, exists, func, insert, select, text, true

from chaos.history import Backlog, DueRow, Upkeep, now_us
from chaos.site.plans import ASKER
from licet.store import schema
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.postgres.watcher import LEADER_LOCK

LOOK_EVERY_S = 0.25
STEADY_S = 3  # the age of the leader's connection; some heartbeats of a node
AHEAD_S = 2.0  # what expires so soon is due as well, so that there is something to clear away in a short run
OLDEST_MAX = 5  # rows of each table that a finding names
LONG_AGO_MS = 1  # a moment of 1970, which no retention reaches
OLD = "old"  # the name of what was planted
NOBODY = 0  # the key of no client
SID_BYTES = 20  # of a session's id

# The lock has two keys, which is what the 2 says. The clock of a test may hide that of PostgreSQL.
_LEADING = text(f"""
SELECT count(*) FROM pg_locks AS held JOIN pg_stat_activity AS its USING (pid)
WHERE held.locktype = 'advisory' AND (held.classid, held.objid, held.objsubid) = ({LEADER_LOCK}, 0, 2)
AND held.granted AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND its.backend_start <= pg_catalog.clock_timestamp() - make_interval(secs => :for_s)
""")


class _Kind(NamedTuple):
    """The rows of a table that are due from the moment in a column on, if the condition holds.

    `done` reads how many rows of the kind were cleared away or folded so far.
    """

    table: Table
    name: ColumnElement[Any]
    due: ColumnElement[int]
    condition: ColumnElement[bool] = true()
    done: Select[int] | None = None


def plant_old_rows(store: Store) -> None:
    """Add rows that upkeep has to remove, since no run is as long as rows of these kinds are kept.

    Raises StoreUnavailable.
    """
    assertion = {"client_key": NOBODY, "jti": OLD.encode(), "until_ms": LONG_AGO_MS}
    failure = {
        "minute": 0,
        "who": "client",
        "cause": OLD,
        "name": OLD,
        "initials": "",
        "address": "",
        "times": 1,
        "first_at_ms": LONG_AGO_MS,
        "last_at_ms": LONG_AGO_MS,
    }
    with store.transaction() as transaction:
        connection = transaction.connection
        tenant_id = connection.execute(select(func.min(schema.tenant.c.id))).scalar_one()
        connection.execute(insert(schema.assertion_used), {**assertion, "tenant_id": tenant_id})
        connection.execute(insert(schema.authentication_failure), {**failure, "tenant_id": tenant_id})


def plant_expired_session(store: Store) -> None:
    """Add a session that has just expired: where the load takes long to end, all others may be gone by then.

    It has no seat, and belongs to a client that the load does not play.

    Raises StoreUnavailable.
    """
    client = schema.client.c
    with store.transaction() as transaction:
        connection, now_ms = transaction.connection, transaction.now_ms
        whose = select(client.tenant_id, client.key).where(client.client_id == ASKER).order_by(client.key)
        tenant_id, key = connection.execute(whose.limit(1)).one()
        connection.execute(
            insert(schema.session),
            {
                **dict.fromkeys(("started_at_ms", "renewed_at_ms", "expires_at_ms"), now_ms),
                **dict.fromkeys(("scope", "address"), ""),
                "sid": bytes(SID_BYTES),
                "tenant_id": tenant_id,
                "client_key": key,
            },
        )


def watch_upkeep(store: Store, within_s: float) -> Upkeep:
    """Look until nothing that is due is left and a node leads, but for `within_s` at most.

    Raises StoreUnavailable if the first look fails.
    """
    begun_us, give_up_s = now_us(), time.monotonic() + AHEAD_S + within_s
    due_ms = store.read_sessions(()).now_ms + round(AHEAD_S * 1000)
    now_ms, first = look(store, due_ms)
    left, is_led = first, leads(store, STEADY_S)
    while (not is_led or any(it.rows for it in left)) and time.monotonic() < give_up_s:
        time.sleep(LOOK_EVERY_S)
        with suppress(StoreUnavailable):
            now_ms, left = look(store, due_ms)
            is_led = leads(store, STEADY_S)
    return Upkeep(
        begun_us=begun_us,
        ended_us=now_us(),
        due_ms=due_ms,
        now_ms=now_ms,
        is_led=is_led,
        first=first,
        left=left,
    )


def leads(store: Store, for_s: float) -> bool:
    """Whether a node is the leader by a connection that it has for so long.

    One that leads for moments only does its upkeep now and then, by chance. On SQLite every node leads.

    Raises StoreUnavailable.
    """
    with store.reading() as connection:
        if connection.dialect.name == "sqlite":
            return True
        return bool(connection.execute(_LEADING, {"for_s": for_s}).scalar_one())


def look(store: Store, due_ms: int) -> tuple[int, tuple[Backlog, ...]]:
    """What is left of what is due at that moment, and when it was looked at, by the clock of the store.

    Raises StoreUnavailable.
    """
    now_ms = store.read_sessions(()).now_ms
    with store.reading() as connection:
        return now_ms, tuple(_backlog(connection, kind, due_ms) for kind in _kinds(due_ms))


def _kinds(due_ms: int) -> tuple[_Kind, ...]:
    """All that is due, in the order in which it is read.

    The journal comes last: when a session is cleared away, its ending is appended there, with the moment of
    its expiry. So if nothing is left in one look, nothing comes after it.
    """
    session, seat, place = schema.session.c, schema.seat.c, schema.queue_place.c
    assertion, failure = schema.assertion_used, schema.authentication_failure
    entry, denial, journal = schema.journal_entry.c, schema.denial_entry.c, schema.journal.c
    # The row of a seat may have an earlier expiry than its sessions.
    is_held = exists().where(
        session.pool_id == seat.pool_id, session.holder == seat.holder, session.expires_at_ms > due_ms
    )
    is_planted, is_old = assertion.c.client_key == NOBODY, failure.c.minute == 0
    is_denial = journal.kind == schema.DENIED
    folded = select(func.coalesce(func.sum(journal.times), 0))
    return (
        _Kind(schema.session, session.sid, session.expires_at_ms),
        _Kind(schema.seat, seat.holder, seat.expires_at_ms, ~is_held),
        _Kind(schema.queue_place, place.holder, place.until_ms),
        _Kind(assertion, assertion.c.jti, assertion.c.until_ms, done=_gone(assertion, is_planted)),
        _Kind(failure, failure.c.name, failure.c.last_at_ms, is_old, done=_gone(failure, is_old)),
        _Kind(schema.journal_entry, entry.client_id, entry.at_ms, done=folded.where(~is_denial)),
        _Kind(schema.denial_entry, denial.client_id, denial.at_ms, done=folded.where(is_denial)),
    )


def _gone(table: Table, *conditions: ColumnElement[bool]) -> Select[int]:
    """Counts what is gone of the one row that was planted."""
    return select(1 - func.count()).select_from(table).where(*conditions)


def _backlog(connection: Connection, kind: _Kind, due_ms: int) -> Backlog:
    table, tenant = kind.table, schema.tenant.c
    query = (
        select(tenant.name, kind.name.label("what"), kind.due.label("due"), func.count().over().label("rows"))
        .join_from(table, schema.tenant, table.c.tenant_id == tenant.id)
        .where(kind.due <= due_ms, kind.condition)
        .order_by(kind.due)
        .limit(OLDEST_MAX)
    )
    rows = connection.execute(query).all()
    return Backlog(
        table=str(table.name),
        rows=rows[0].rows if rows else 0,
        done=0 if kind.done is None else int(connection.execute(kind.done).scalar_one()),
        oldest=tuple(DueRow(tenant=row.name, name=_text(row.what), due_ms=row.due) for row in rows),
    )


def _text(name: bytes | str) -> str:
    return name.hex() if isinstance(name, bytes) else name
