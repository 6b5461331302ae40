"""Reads the visits of a pool from the journal: who asked for a seat when, got one or none, and until when.

The rules:

- The journal counts by minute, and has neither the ids of sessions nor their renewals. A client's session
  that began first is taken to end first, and equal entries of one minute are spread over it.
- A session that ended before any began was there when the span began. One that has no end is still there.
- The denials of a want (`journal/wants.py`) are the attempts of the visit that followed, or of one without a
  grant: somebody who was turned away.

The module only reads.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, literal_column, select

from licet.journal.wants import Want
from licet.model import EndReason, Tenant
from licet.store import schema
from licet.units import MINUTE_MS

VISITS_MAX = 500_000  # of one replay; a guess: what takes a minute

_GRANTED: ColumnElement[str] = literal_column("'granted'")
_ENDED: ColumnElement[str] = literal_column("'ended'")


class TooManyVisits(Exception):
    """A span has more visits than are replayed; a shorter one has fewer."""


class Visit(NamedTuple):
    """A client wanted a seat. `denied_at_ms` are its attempts, in order, that were denied.

    `granted_at_ms` is when it got one, None where it was turned away. `ended_at_ms` is when its session
    ended, None where it lives or there was none; `reason` is why.
    """

    client_id: str
    initials: str
    denied_at_ms: tuple[int, ...]
    granted_at_ms: int | None
    ended_at_ms: int | None
    reason: str = ""

    @property
    def has_expired(self) -> bool:
        """Whether its session ended for want of a renewal."""
        return self.reason == EndReason.EXPIRED

    @property
    def begins_at_ms(self) -> int:
        """When it first asked."""
        if self.denied_at_ms:
            return self.denied_at_ms[0]
        assert self.granted_at_ms is not None
        return self.granted_at_ms


class _Entry(NamedTuple):
    at_ms: int
    is_end: bool
    client_id: str
    initials: str
    reason: str


def visits(  # noqa: PLR0917 - what of which pool, from when until when
    connection: Connection,
    tenant: Tenant,
    pool: str,
    wants: Sequence[Want],
    from_ms: int,
    until_ms: int,
    now_ms: int,
) -> list[Visit]:
    """The visits of a pool that touch a span, in the order in which they began; `wants` are the pool's.

    Raises TooManyVisits.
    """
    entries = sorted(_entries(connection, tenant, pool, from_ms, until_ms))
    sessions = _paired(entries, from_ms) if entries else []
    sessions = _with_ends(connection, tenant, pool, sessions, from_ms, now_ms)
    served = {(want.client_id, want.served_at_ms): want for want in wants if want.served_at_ms is not None}
    by_initials = {(want.initials, want.served_at_ms): want for want in served.values()}
    found = []
    for visit in sessions:
        at_ms = visit.granted_at_ms or 0
        want = served.get((visit.client_id, at_ms)) or by_initials.get((visit.initials, at_ms))
        found.append(visit if want is None else visit._replace(denied_at_ms=want.known_at_ms))
    found += [
        Visit(want.client_id, want.initials, want.known_at_ms, None, None)
        for want in wants
        if want.served_at_ms is None
    ]
    return sorted(found, key=lambda visit: visit.begins_at_ms)


def _spread(times: int, first_ms: int, last_ms: int) -> Iterator[int]:
    if times == 1:
        yield first_ms
        return
    yield from (first_ms + (last_ms - first_ms) * number // (times - 1) for number in range(times))


def _entries(
    connection: Connection, tenant: Tenant, pool: str, from_ms: int, until_ms: int
) -> Iterator[_Entry]:
    whole = schema.whole_journal.c
    query: Select[Any] = select(
        whole.kind,
        whole.reason,
        whole.client_id,
        whole.initials,
        whole.times,
        whole.first_at_ms,
        whole.last_at_ms,
    ).where(
        whole.tenant_id == tenant.id,
        whole.kind.in_([_GRANTED, _ENDED]),
        whole.pool == pool,
        whole.minute >= from_ms // MINUTE_MS,
        whole.minute < -(-until_ms // MINUTE_MS),
    )
    number = 0
    for row in connection.execute(query):
        number += int(row.times)
        if number > 2 * VISITS_MAX:
            raise TooManyVisits
        is_end = row.kind == "ended"
        for at_ms in _spread(int(row.times), row.first_at_ms, row.last_at_ms):
            yield _Entry(at_ms, is_end, row.client_id, row.initials, row.reason)


def _paired(entries: Sequence[_Entry], from_ms: int) -> list[Visit]:
    """Each end with the beginning that it is taken to belong to; a beginning may be left without."""
    begun: defaultdict[str, deque[_Entry]] = defaultdict(deque)
    found = []
    for entry in entries:
        waiting = begun[entry.client_id]
        if not entry.is_end:
            waiting.append(entry)
            continue
        at_ms = waiting.popleft().at_ms if waiting else from_ms
        found.append(Visit(entry.client_id, entry.initials, (), at_ms, entry.at_ms, entry.reason))
    for waiting in begun.values():
        found += [Visit(it.client_id, it.initials, (), it.at_ms, None) for it in waiting]
    return found


def _with_ends(  # noqa: PLR0917 - what of which pool, and what is known
    connection: Connection, tenant: Tenant, pool: str, found: Sequence[Visit], from_ms: int, now_ms: int
) -> list[Visit]:
    """The visits, those that expired and are not swept with their end, and those of before the span."""
    ends = _sessions(connection, tenant, pool, now_ms)
    whole = []
    for visit in found:
        ended = ends.get(visit.client_id)
        if visit.ended_at_ms is None and ended:
            end_ms = ended.popleft()[1]
            whole.append(visit._replace(ended_at_ms=end_ms, reason=_reason(end_ms)))
        else:
            whole.append(visit)
    of_client = {client.client_id: client.user.initials for client in tenant.clients.values()}
    for client_id, left in ends.items():
        whole += [
            Visit(client_id, of_client.get(client_id, ""), (), from_ms, end_ms, _reason(end_ms))
            for started_ms, end_ms in left
            if started_ms < from_ms and (end_ms is None or end_ms > from_ms)
        ]
    return whole


def _reason(expired_ms: int | None) -> str:
    return "" if expired_ms is None else EndReason.EXPIRED


def _sessions(
    connection: Connection, tenant: Tenant, pool: str, now_ms: int
) -> Mapping[str, deque[tuple[int, int | None]]]:
    """The sessions that are still written, of each client: when they began, and when they expired."""
    session = schema.session.c
    ids = [it.id for it in tenant.pools.values() if it.name == pool]
    query = select(session.client_key, session.started_at_ms, session.expires_at_ms).where(
        session.tenant_id == tenant.id, session.pool_id.in_(ids)
    )
    found: defaultdict[str, deque[tuple[int, int | None]]] = defaultdict(deque)
    for row in connection.execute(query.order_by(session.started_at_ms)):
        client = tenant.clients_by_key.get(row.client_key)
        if client is not None:
            end_ms = row.expires_at_ms if row.expires_at_ms <= now_ms else None
            found[client.client_id].append((row.started_at_ms, end_ms))
    return found
